//! Stage six: what operators wished, kept on disk.
//!
//! Owns when the table is written, what is known of the disk, and what it means for the
//! wishes that it brings back. One write is under way at a time, and the newest table
//! follows it. A disk that hangs, refuses or goes away is told once, and once more when it
//! works again. Nothing here waits for a disk: every other stage goes on without it.

use heapless::Vec;

use super::{Engine, Pending};
use crate::limits;
use crate::operator::{Key, ONCE, Register};
use crate::surface::{DiskTrouble, Event};
use crate::table::{Block, Disk, Table, Unreadable};
use crate::timers::Timer;
use crate::types::{NodeId, Now};

/// What is known of this node's state partition.
#[derive(Clone, Debug, Hash)]
pub(super) struct Keeper {
    standing: Standing,
    /// Digest of the table that is on disk for certain.
    on_disk: u32,
    /// The file by whose key the newest table is signed, once a write was confirmed since the
    /// partition was read.
    proven: Option<u64>,
    /// Of the newest table that is on disk for certain. The next one has the next number,
    /// again until it is confirmed, so that no attempt touches the slot of this one.
    serial: u64,
    writing: Option<Writing>,
    /// After a refused write: when to try again.
    retry: Now,
}

/// The write under way.
#[derive(Clone, Copy, Debug, Hash)]
struct Writing {
    serial: u64,
    digest: u32,
    /// The file that signed it.
    file: u64,
    since: Now,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Standing {
    /// The file gives this node no partition.
    Without,
    /// Not read yet.
    Unread,
    Works,
    /// Told, and not better since. `read`: it was read, so that it may be written to.
    Fails {
        read: bool,
    },
}

impl Keeper {
    pub(super) fn new(wanted: bool) -> Keeper {
        Keeper {
            standing: if wanted {
                Standing::Unread
            } else {
                Standing::Without
            },
            on_disk: 0,
            proven: None,
            serial: 0,
            writing: None,
            retry: Now::ZERO,
        }
    }

    /// Whether the partition may still bring wishes back.
    pub(super) fn is_unread(&self) -> bool {
        self.standing == Standing::Unread
    }

    /// Of the table that is to be written.
    pub(super) fn serial(&self) -> u64 {
        self.serial + 1
    }

    /// As the others are told.
    pub(super) fn disk(&self) -> Disk {
        match self.standing {
            Standing::Without => Disk::None,
            Standing::Unread | Standing::Fails { .. } => Disk::Failing,
            Standing::Works => Disk::Holds(self.on_disk),
        }
    }
}

impl Engine {
    /// The state partition was found, and these are its slots. May come at any time, and
    /// again when it went away and came back.
    pub fn handle_state(&mut self, now: Now, slots: [&[u8]; 2]) {
        self.enter(now);
        if self.keeper.standing != Standing::Without {
            self.read(slots.map(|slot| self.codec.open_table(slot)));
        }
        self.decide(now);
    }

    /// What became of the [`crate::surface::Effect::Persist`] with this serial number: it is
    /// on disk, or the kernel's errno.
    pub fn handle_written(&mut self, now: Now, serial: u64, result: Result<(), i32>) {
        self.enter(now);
        let writing = &mut self.keeper.writing;
        if let Some(written) = writing.take_if(|writing| writing.serial == serial) {
            match result {
                Ok(()) => {
                    self.keeper.serial = serial;
                    self.keeper.on_disk = written.digest;
                    self.keeper.proven = Some(written.file);
                    if self.keeper.standing != Standing::Works {
                        self.keeper.standing = Standing::Works;
                        self.log(Event::DiskWorks);
                    }
                }
                Err(errno) => {
                    self.keeper.retry = now + limits::STATE_RETRY;
                    self.disk_fails(DiskTrouble::Refused(errno), true);
                }
            }
        }
        self.decide(now);
    }

    /// The state partition is not there any more, or nobody who could write to it.
    pub fn handle_state_gone(&mut self, now: Now) {
        self.enter(now);
        if self.keeper.standing != Standing::Without {
            self.keeper.writing = None;
            self.disk_fails(DiskTrouble::Gone, false);
        }
        self.decide(now);
    }

    /// What a node's disk holds, as far as heard.
    fn disk_of(&self, node: NodeId) -> Disk {
        if node == self.config.me {
            return self.keeper.disk();
        }
        let life = self.peers.get(node.index()).and_then(|peer| peer.alive());
        life.map_or(Disk::None, |life| life.said.disk)
    }

    /// Whether a node's disk works, so that it will hold what it hears of.
    pub fn will_keep(&self, node: NodeId) -> bool {
        matches!(self.disk_of(node), Disk::Holds(_))
    }

    /// Whether a node's disk holds all wishes that are known here: they outlive a loss of
    /// power. `None` where the file gives it none, or it is not heard.
    pub fn keeps(&self, node: NodeId) -> Option<bool> {
        match self.disk_of(node) {
            Disk::None => None,
            Disk::Failing => Some(false),
            Disk::Holds(digest) => Some(digest == self.registers.digest()),
        }
    }

    fn read(&mut self, slots: [Result<Table, Unreadable>; 2]) {
        let is = |why| slots.iter().any(|slot| *slot == Err(why));
        let damaged = is(Unreadable::Torn) || is(Unreadable::NotOurs);
        let ours = damaged || slots.iter().any(Result::is_ok);
        if is(Unreadable::Foreign) && !ours {
            return self.disk_fails(DiskTrouble::Foreign, false);
        }
        let table = slots.into_iter().flatten().max_by_key(|table| table.serial);
        match &table {
            Some(table) => {
                self.keeper.serial = self.keeper.serial.max(table.serial);
                self.restore(&table.registers);
                self.log(Event::Restored {
                    wishes: u8::try_from(table.registers.len()).unwrap_or(u8::MAX),
                    serial: table.serial,
                });
            }
            None if damaged => self.log(Event::Disk {
                trouble: DiskTrouble::Unreadable,
            }),
            None => {}
        }
        self.keeper.proven = None;
        self.keeper.writing = None;
        self.keeper.retry = Now::ZERO;
        self.keeper.standing = match self.keeper.standing {
            // works again once a write says so
            Standing::Fails { .. } => Standing::Fails { read: true },
            _ => Standing::Works,
        };
    }

    /// Merges what the disk brings back, whenever that is. What operators wished here since
    /// boot is newer, although its stamps are of a small epoch.
    fn restore(&mut self, registers: &Vec<Register, { limits::REGISTERS }>) {
        let since_boot = self.registers.made_here();
        let foreign = self.view.is_some();
        let mut news = false;
        for register in registers {
            self.epoch = self.epoch.max(register.stamp.epoch);
            // a node boots the file of its image, whatever ran before
            if register.key == Key::File {
                if ![0, self.file()].contains(&register.value) {
                    self.log(Event::ImageFile);
                }
                continue;
            }
            // a move for once is over with the tenure that it asked for
            let once = matches!(register.key, Key::Prefer(_)) && register.value & ONCE != 0;
            news |= !once && self.registers.merge(*register, foreign);
        }
        for wish in since_boot {
            let newest = self.registers.newest(wish.key);
            if newest.is_some_and(|newest| newest.stamp != wish.stamp) {
                let (epoch, me) = (self.epoch, self.config.me);
                self.registers.write(wish.key, wish.value, epoch, me);
            }
        }
        if news {
            self.changed();
        }
    }

    fn disk_fails(&mut self, trouble: DiskTrouble, read: bool) {
        if !matches!(self.keeper.standing, Standing::Fails { .. }) {
            self.log(Event::Disk { trouble });
        }
        self.keeper.standing = Standing::Fails { read };
    }

    /// Writes the table when it is news, or signed by another file's key, and minds the disk's answers.
    pub(super) fn keep(&mut self, now: Now) {
        match (self.keeper.standing, self.keeper.writing) {
            (Standing::Without, _)
            | (Standing::Fails { .. }, Some(_))
            | (Standing::Fails { read: false }, None) => {}
            (Standing::Unread, _) => {
                if now >= limits::STATE_UNREAD {
                    self.disk_fails(DiskTrouble::Unread(now), false);
                }
                self.timers.set(Timer::Keep, limits::STATE_UNREAD);
            }
            (_, Some(Writing { since, .. })) => {
                if now >= since + limits::STATE_OVERDUE {
                    self.disk_fails(DiskTrouble::Overdue(now - since), true);
                }
                self.timers.set(Timer::Keep, since + limits::STATE_OVERDUE);
            }
            (Standing::Works, None) => {
                let signed = self.keeper.proven == Some(self.config.file_hash);
                if !signed || self.keeper.on_disk != self.registers.digest() {
                    self.write_table(now);
                }
            }
            (Standing::Fails { read: true }, None) => {
                if now >= self.keeper.retry {
                    self.write_table(now);
                }
                self.timers.set(Timer::Keep, self.keeper.retry);
            }
        }
    }

    fn write_table(&mut self, now: Now) {
        self.keeper.writing = Some(Writing {
            serial: self.keeper.serial(),
            digest: self.registers.digest(),
            file: self.config.file_hash,
            since: now,
        });
        self.timers.set(Timer::Keep, now + limits::STATE_OVERDUE);
        let queued = self.effects.push_back(Pending::Persist);
        assert!(queued.is_ok(), "effects are drained after every input");
    }

    /// Lays out the table for the disk.
    pub(super) fn table(&self) -> Block {
        let registers = self.registers.in_turn(0);
        self.codec.seal_table(self.keeper.serial(), registers)
    }
}
