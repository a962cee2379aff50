//! The disk lane as this process sees it: a lane that may hang or die without harm.

use kodo_node::io::Input;
use kodo_sys::clock;

use super::lane::Heard;
use super::{Level, Pid1};
use crate::wire::{FromDisk, ToDisk};

/// "Try again": the lane takes no more requests.
const EAGAIN: i32 = 11;

impl Pid1 {
    /// All other drivers are loaded: the lane may look for its disk.
    pub(super) fn find_state(&mut self) {
        if let (Some(disk), Some(name)) = (&self.disk, &self.plan.state_partition) {
            // When that fails nothing is found, which the node says in time.
            let _ = disk.send(&ToDisk::Find(name.clone()), None);
        }
    }

    /// Asks for a table to be written.
    pub(super) fn persist(&mut self, serial: u64, table: &[u8]) {
        let message = ToDisk::Write {
            serial,
            table: table.to_vec(),
        };
        let sent = self.disk.as_ref().map(|disk| disk.send(&message, None));
        let answer = match sent {
            Some(Ok(())) => return,
            Some(Err(_)) => Input::StateWritten(serial, Err(EAGAIN)),
            None => Input::StateGone,
        };
        self.node.handle(clock::boottime(), answer);
    }

    pub(super) fn disk_event(&mut self) {
        let Some(disk) = &self.disk else {
            return;
        };
        match disk.receive(&mut self.buffer[..]) {
            Heard::Message(FromDisk::Found { device, slots }, _) => {
                let name = self.plan.state_partition.as_deref().unwrap_or_default();
                let text = format!("state partition {name}: it is {device}");
                self.note(Level::Info, &text);
                self.give(Input::StateFound([&slots[0], &slots[1]]));
            }
            Heard::Message(FromDisk::Written { serial, result }, _) => {
                self.give(Input::StateWritten(serial, result));
            }
            Heard::Message(FromDisk::Gone, _) => self.give(Input::StateGone),
            Heard::Message(FromDisk::Trouble(text), _) => self.note(Level::Alert, &text),
            Heard::Nonsense => self.note(Level::Alert, "the disk helper spoke nonsense"),
            Heard::Nothing => {}
            Heard::Gone => self.disk_lost(),
        }
    }

    /// The lane is gone: nothing depends on it, and what it kept is kept.
    pub(super) fn disk_lost(&mut self) {
        if let Some(disk) = self.disk.take() {
            // Closing it would do the same.
            let _ = self.poller.remove(&disk);
            self.note(
                Level::Alert,
                "the disk helper died: nothing is kept on disk until this node boots again",
            );
            self.give(Input::StateGone);
        }
    }
}
