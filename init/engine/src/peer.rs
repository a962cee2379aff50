//! Who is who: the lives of one node as heard from here.
//!
//! Owns identity: the confirmed life, the candidates, the superseded lives, and per
//! path the newest beat heard. A life is confirmed only by an echo of something
//! that was sent here within deadtime, so a recording, of this life or an earlier
//! one, of either node, can never become or displace a life. Never decides about
//! views or groups.
//!
//! What an authentic frame that is not fresh may change, and nothing else:
//! - of the confirmed life: the newest sequence heard (it is echoed, so that the
//!   sender's next frame can be judged), and "heard on this path";
//! - of an unknown life: one of a few candidate slots (echoed for the same reason).

use core::hash::{Hash, Hasher};

use heapless::{Deque, Vec};

use crate::claims::Claim;
use crate::codec::{Assigned, Beat, Bond, Hears, Standing};
use crate::limits;
use crate::surface::{Health, Phase, View};
use crate::table::Disk;
use crate::types::{BootId, GroupId, NodeId, NodeSet, Now, PathId};

/// What the newest fresh beat of a life said.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Said {
    /// The file it runs, the one staged there by its mark, and whether it is ready for that.
    pub(crate) file: u64,
    pub(crate) next: u32,
    pub(crate) ready: bool,
    pub(crate) standing: Standing,
    pub(crate) reachable: bool,
    pub(crate) health: Health,
    pub(crate) mesh: NodeSet,
    pub(crate) vouched: NodeSet,
    pub(crate) owes: NodeSet,
    pub(crate) owes_guarded: NodeSet,
    pub(crate) leased: bool,
    pub(crate) alone: bool,
    pub(crate) bound: Now,
    pub(crate) terms: u32,
    pub(crate) view: Option<View>,
    pub(crate) ballot: Option<View>,
    pub(crate) plan: u32,
    pub(crate) disk: Disk,
    /// By our own group ids; `None` for a group that its file lacks.
    pub(crate) groups: [Option<Word>; limits::GROUPS],
    /// It holds a group that our file lacks.
    pub(crate) strange: bool,
    /// What it thinks of this life of ours.
    pub(crate) bond: Bond,
    /// Paths on which it hears us, one bit each.
    pub(crate) paths: u8,
    /// The life that it believes to be ours, when that is another.
    pub(crate) kept: Option<BootId>,
}

/// A life's word on one group.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Word {
    pub(crate) claim: Claim,
    pub(crate) banned: bool,
    pub(crate) phase: Phase,
    pub(crate) fit: Option<i16>,
    pub(crate) assigned: Option<Assigned>,
}

impl Said {
    /// From a fresh beat, in which `bond` and `paths` are its echo of us.
    pub(crate) fn new(
        beat: &Beat,
        me: NodeId,
        boot: BootId,
        group_of: impl Fn(u32) -> Option<GroupId>,
    ) -> Said {
        let mut groups = [None; limits::GROUPS];
        let mut strange = false;
        for line in &beat.core.groups {
            match group_of(line.tag) {
                Some(group) => {
                    groups[group.index()] = Some(Word {
                        claim: line.claim,
                        banned: line.banned,
                        phase: line.phase,
                        fit: line.fit,
                        assigned: line.assigned,
                    });
                }
                None => strange |= line.claim.may_act(),
            }
        }
        let echo = beat.echo(me, boot);
        Said {
            file: beat.core.file_hash,
            next: beat.core.next,
            ready: beat.core.ready,
            standing: beat.core.standing,
            reachable: beat.core.reachable,
            health: beat.core.health,
            mesh: beat.core.mesh,
            vouched: beat.core.vouched,
            owes: beat.core.owes,
            owes_guarded: beat.core.owes_guarded,
            leased: beat.core.leased,
            alone: beat.core.alone,
            bound: Now::from_millis(beat.core.bound.into()),
            terms: beat.core.terms,
            view: beat.core.view,
            ballot: beat.core.ballot,
            plan: beat.core.plan,
            disk: beat.core.disk,
            groups,
            strange,
            bond: echo.map_or(Bond::Candidate, |echo| echo.bond),
            paths: echo.map_or(0, |echo| echo.paths),
            kept: beat
                .hears
                .iter()
                .find(|other| kept(other, me, boot))
                .map(|other| BootId(other.boot)),
        }
    }

    /// Its claim on a group; never held when its file lacks the group.
    pub(crate) fn claim(&self, group: GroupId) -> Claim {
        self.groups[group.index()].map_or_else(Claim::default, |word| word.claim)
    }

    /// Whether anything of any group may still act there.
    pub(crate) fn holds_any(&self) -> bool {
        let mut known = self.groups.iter().flatten();
        self.strange || known.any(|word| word.claim.may_act())
    }

    /// The same by the groups of another file of ours, where `from` tells of each which group
    /// of the old file it was. Of new ones it has said nothing yet.
    pub(crate) fn regroup(&mut self, from: &[Option<GroupId>; limits::GROUPS]) {
        let old = self.groups;
        self.groups = from.map(|group| group.and_then(|group| old[group.index()]));
        let kept = |n: usize| from.iter().flatten().any(|group| group.index() == n);
        let holds = |word: &Option<Word>| word.is_some_and(|word| word.claim.may_act());
        self.strange |= old
            .iter()
            .enumerate()
            .any(|(n, word)| holds(word) && !kept(n));
    }
}

/// An echo of a life that is believed to be `me` and is not `boot`.
fn kept(echo: &Hears, me: NodeId, boot: BootId) -> bool {
    echo.node == me && echo.boot != boot.0 && echo.bond == Bond::Confirmed
}

/// The confirmed life of a node.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Life {
    pub(crate) boot: BootId,
    /// Newest beat on each path, fresh or not: a path's sequence must grow.
    newest: [u64; limits::PATHS],
    /// When each path last carried a newer beat.
    pub(crate) heard_at: [Option<Now>; limits::PATHS],
    /// Newest beat on any path, fresh or not: what we echo.
    pub(crate) heard: u64,
    /// Newest fresh beat: what we believe.
    pub(crate) believed: u64,
    /// When that beat arrived, and where its first copy did.
    pub(crate) fresh_at: Now,
    pub(crate) fresh_on: PathId,
    /// Time since then in which our own loop did not run.
    pub(crate) excused: Now,
    pub(crate) said: Said,
    /// Newest beat granted to it.
    pub(crate) granted: u64,
    /// When we sent the newest beat that it granted us as a fellow member.
    pub(crate) renewed: Option<Now>,
    /// It is in the view in this very life.
    pub(crate) joined: bool,
    /// It came into the view holding something: nothing is granted before it says that
    /// it no longer does, or nobody else can have a lease of ours.
    pub(crate) suspect: bool,
    pub(crate) late: bool,
    pub(crate) dead: bool,
}

impl Life {
    /// How long it has been silent, our own stalls not counted.
    pub(crate) fn silence(&self, now: Now) -> Now {
        (now - self.fresh_at).saturating_sub(self.excused)
    }
}

/// A life that has not proven itself.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Candidate {
    pub(crate) boot: BootId,
    newest: [u64; limits::PATHS],
    heard_at: [Option<Now>; limits::PATHS],
    pub(crate) heard: u64,
    since: Now,
    last: Now,
    /// When it last proved itself by an echo, without having been let in.
    proven: Option<Now>,
    /// It has proven itself, as the newcomer of two with one identity.
    pub(crate) refused: bool,
}

/// The few candidates of one node; the one heard longest ago makes room.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Candidates {
    slots: Vec<Candidate, { limits::CANDIDATES }>,
}

/// What a candidate's frame amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audition {
    /// An older beat than one heard on this path.
    Replayed,
    /// News from a candidate known since then.
    Heard { since: Now },
}

impl Candidates {
    /// A frame of an unconfirmed life.
    pub(crate) fn hear(&mut self, now: Now, path: PathId, boot: BootId, seq: u64) -> Audition {
        let known = self.slots.iter().position(|slot| slot.boot == boot);
        let index = known.unwrap_or_else(|| {
            let fresh = Candidate {
                boot,
                newest: [0; limits::PATHS],
                heard_at: [None; limits::PATHS],
                heard: 0,
                since: now,
                last: now,
                proven: None,
                refused: false,
            };
            match self.slots.push(fresh) {
                Ok(()) => self.slots.len() - 1,
                Err(fresh) => {
                    let oldest = (0..self.slots.len())
                        .min_by_key(|n| self.slots[*n].last)
                        .unwrap_or(0);
                    self.slots[oldest] = fresh;
                    oldest
                }
            }
        });
        let slot = &mut self.slots[index];
        if seq <= slot.newest[path.index()] {
            return Audition::Replayed;
        }
        slot.newest[path.index()] = seq;
        slot.heard_at[path.index()] = Some(now);
        slot.heard = slot.heard.max(seq);
        slot.last = now;
        Audition::Heard { since: slot.since }
    }

    /// The candidate whose turn it is to be echoed. Those not heard for `forget`
    /// are passed over: their echo could prove nothing.
    pub(crate) fn in_turn(&self, turn: u64, now: Now, forget: Now) -> Option<&Candidate> {
        let alive = || self.slots.iter().filter(|slot| now - slot.last < forget);
        let count = alive().count() as u64;
        if count == 0 {
            return None;
        }
        alive().nth(usize::try_from(turn % count).unwrap_or(0))
    }

    fn take(&mut self, boot: BootId) -> Option<Candidate> {
        let index = self.slots.iter().position(|slot| slot.boot == boot)?;
        Some(self.slots.swap_remove(index))
    }

    fn get_mut(&mut self, boot: BootId) -> Option<&mut Candidate> {
        self.slots.iter_mut().find(|slot| slot.boot == boot)
    }
}

impl Candidate {
    /// Paths on which it was heard within `window` of each path.
    pub(crate) fn paths(&self, now: Now, window: impl Fn(PathId) -> Now) -> u8 {
        bitmap(&self.heard_at, now, window)
    }
}

/// A node other than ours, as heard from here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) life: Option<Life>,
    pub(crate) candidates: Candidates,
    superseded: Deque<BootId, { limits::SUPERSEDED }>,
}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, to: &mut H) {
        (&self.life, &self.candidates).hash(to);
        self.superseded.iter().for_each(|old| old.hash(to));
    }
}

/// What a frame is in the light of the lives known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standpoint {
    /// The newest beat of the confirmed life: to be believed.
    News,
    /// Fresh, but another path was faster: nothing new in it.
    Echo,
    /// The first life that proved itself here: to be believed.
    First,
    /// A new life, too young to have run beside the old one: to be believed.
    Restarted { old: BootId, silent: Now },
    /// A new life after the old one was removed as dead: to be believed.
    Replaced { old: BootId, silent: Now },
    /// A second machine: not to be believed.
    Twin { kept: BootId },
    /// Not fresh. `doubtful` when it has been so for longer than a healed split or
    /// a boot explains.
    Stale { doubtful: bool },
    /// Not newer. `deep` when no network duplicates that late.
    Replayed { deep: bool },
}

/// What a life was before its newest beat.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) silent: Now,
    pub(crate) late: bool,
    pub(crate) said: Said,
}

/// What is asked about a frame: authentic, decoded, on the right path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) now: Now,
    pub(crate) path: PathId,
    pub(crate) boot: BootId,
    pub(crate) uptime: Now,
    pub(crate) seq: u64,
    /// It echoes something sent within deadtime.
    pub(crate) fresh: bool,
    /// The node was removed from the view, or never in it: a dead life may be replaced.
    pub(crate) removed: bool,
    /// After so long a candidate should have proven itself.
    pub(crate) patience: Now,
    /// After so long a life that lives has been heard beside its successor.
    pub(crate) settle: Now,
    /// A dead life is given up for a candidate that was heard for so long.
    pub(crate) forget: Now,
}

impl Peer {
    /// Judges a frame and remembers that it was heard. The caller believes what it
    /// says only on `News`, `First`, `Restarted` and `Replaced`, by calling [`Peer::believe`].
    pub(crate) fn hear(&mut self, arrival: &Arrival) -> Standpoint {
        let Arrival {
            now,
            path,
            boot,
            seq,
            ..
        } = *arrival;
        if self.superseded.iter().any(|old| *old == boot) {
            return Standpoint::Replayed { deep: true };
        }
        match &mut self.life {
            Some(life) if life.boot == boot => {
                let newest = &mut life.newest[path.index()];
                if seq <= *newest {
                    return Standpoint::Replayed {
                        deep: *newest - seq > limits::BEATS_PER_DEADTIME as u64,
                    };
                }
                *newest = seq;
                life.heard_at[path.index()] = Some(now);
                life.heard = life.heard.max(seq);
                match arrival.fresh {
                    false => Standpoint::Stale { doubtful: false },
                    true if seq <= life.believed => Standpoint::Echo,
                    true => Standpoint::News,
                }
            }
            _ => self.audition(arrival),
        }
    }

    fn audition(&mut self, arrival: &Arrival) -> Standpoint {
        let since = match self
            .candidates
            .hear(arrival.now, arrival.path, arrival.boot, arrival.seq)
        {
            Audition::Replayed => return Standpoint::Replayed { deep: false },
            Audition::Heard { since } => since,
        };
        if !arrival.fresh {
            return Standpoint::Stale {
                doubtful: arrival.now - since > arrival.patience,
            };
        }
        if let Some(candidate) = self.candidates.get_mut(arrival.boot) {
            candidate.proven = Some(arrival.now);
        }
        let Some(old) = &self.life else {
            return Standpoint::First;
        };
        // The uptime was rounded down; a true restart is younger than the silence by
        // the time that firmware takes, so rounding up here costs nothing.
        // What we did not hear because our own loop stood still is not silence.
        let (kept, silent) = (old.boot, old.silence(arrival.now));
        let uptime = arrival.uptime + Now::from_millis(1);
        if uptime <= silent {
            return Standpoint::Restarted { old: kept, silent };
        }
        let explained = uptime <= arrival.now - old.fresh_at;
        // Where the dead one cannot be removed without its successor, time must do.
        let outlasted = arrival.now - since >= arrival.forget;
        if old.dead && (arrival.removed || explained || outlasted) {
            return Standpoint::Replaced { old: kept, silent };
        }
        // Only our own standstill speaks against a restart: an old life that lives is heard
        // soon, now that we listen again.
        if explained && old.fresh_at < since && arrival.now - since >= arrival.settle {
            return Standpoint::Restarted { old: kept, silent };
        }
        if explained {
            return Standpoint::Stale { doubtful: false };
        }
        if let Some(candidate) = self.candidates.get_mut(arrival.boot) {
            candidate.refused = true;
        }
        Standpoint::Twin { kept }
    }

    /// Takes over what a fresh beat says, after [`Peer::hear`] allowed it. Gives what
    /// the same life was before.
    pub(crate) fn believe(&mut self, arrival: &Arrival, said: Said) -> Option<Before> {
        let Arrival {
            now,
            path,
            boot,
            seq,
            ..
        } = *arrival;
        if let Some(life) = self.life.as_mut().filter(|life| life.boot == boot) {
            let (silent, late) = (life.silence(now), life.late);
            life.believed = seq;
            life.fresh_at = now;
            life.fresh_on = path;
            life.excused = Now::ZERO;
            life.late = false;
            life.dead = false;
            let said = core::mem::replace(&mut life.said, said);
            return Some(Before { silent, late, said });
        }
        let candidate = self.candidates.take(boot)?;
        if let Some(old) = self.life.take() {
            if self.superseded.is_full() {
                self.superseded.pop_front();
            }
            let _ = self.superseded.push_back(old.boot);
        }
        self.life = Some(Life {
            boot,
            newest: candidate.newest,
            heard_at: candidate.heard_at,
            heard: candidate.heard,
            believed: seq,
            fresh_at: now,
            fresh_on: path,
            excused: Now::ZERO,
            said,
            granted: 0,
            renewed: None,
            joined: false,
            suspect: false,
            late: false,
            dead: false,
        });
        None
    }

    /// Another life than the confirmed one proved itself within `window`: whatever became
    /// of the old one, somebody there lives.
    pub(crate) fn knocks(&self, now: Now, window: Now) -> bool {
        let proven = |slot: &Candidate| slot.proven.is_some_and(|at| now - at < window);
        self.candidates.slots.iter().any(proven)
    }

    /// In unit tests: one heard just now.
    #[cfg(test)]
    pub(crate) fn saying(said: Said) -> Peer {
        let arrival = Arrival {
            now: Now::ZERO,
            path: PathId(0),
            boot: BootId(2),
            uptime: Now::ZERO,
            seq: 1,
            fresh: true,
            removed: false,
            patience: Now::ZERO,
            settle: Now::ZERO,
            forget: Now::MAX,
        };
        let mut peer = Peer::default();
        peer.hear(&arrival);
        peer.believe(&arrival, said);
        peer
    }

    /// The confirmed life, while it is not dead.
    pub(crate) fn alive(&self) -> Option<&Life> {
        self.life.as_ref().filter(|life| !life.dead)
    }

    /// Paths on which the confirmed life was heard within `window` of each path.
    pub(crate) fn paths(&self, now: Now, window: impl Fn(PathId) -> Now) -> u8 {
        self.life
            .as_ref()
            .map_or(0, |life| bitmap(&life.heard_at, now, window))
    }
}

fn bitmap(heard_at: &[Option<Now>; limits::PATHS], now: Now, window: impl Fn(PathId) -> Now) -> u8 {
    heard_at.iter().enumerate().fold(0, |bits, (n, at)| {
        let heard = at.is_some_and(|at| now - at < window(PathId::from_index(n)));
        bits | u8::from(heard) << n
    })
}

#[cfg(test)]
mod tests;
