//! The door for operators.
//!
//! Owns the checks before a wish is taken. A wish becomes a register that spreads
//! with the beats; what follows from it is placement's business.

use super::{Engine, Exits};
use crate::operator::{Key, ONCE};
use crate::surface::{Ack, Command, Event, Gone, Refusal, Role};
use crate::types::{GroupId, NodeId, NodeSet, Now};

impl Engine {
    /// An operator's wish.
    ///
    /// # Errors
    /// Why it was not taken; nothing has changed then.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<Ack, Refusal> {
        self.enter(now);
        let taken = self.take(now, command);
        if taken.is_ok() {
            self.log(Event::Commanded { command });
            self.changed();
        }
        self.decide(now);
        let agreed = self.fellows().both(self.mesh()).with(self.config.me);
        let ack = Ack {
            nodes: u8::try_from(agreed.len()).unwrap_or(u8::MAX),
            disks: match command {
                // what was vouched for, or left, is over with this life
                Command::TakeoverAnyway | Command::Leave => NodeSet::EMPTY,
                _ => agreed.iter().filter(|node| self.will_keep(*node)).collect(),
            },
        };
        taken.map(|()| ack)
    }

    fn take(&mut self, now: Now, command: Command) -> Result<(), Refusal> {
        let me = self.config.me;
        match command {
            Command::Standby(node, on) => {
                self.known_node(node)?;
                if on && self.is_frozen() {
                    return Err(Refusal::Frozen);
                }
                self.registers
                    .write(Key::Standby(node), u32::from(on), self.epoch, me);
                if !on && self.registers.quarantined(node) {
                    self.exits[node.index()] = Exits::default();
                    self.registers
                        .write(Key::Quarantine(node), 0, self.epoch, me);
                }
            }
            Command::Maintenance(on) => {
                self.registers
                    .write(Key::Maintenance, u32::from(on), self.epoch, me);
            }
            Command::Manage(group, on) => {
                self.known_group(group)?;
                let key = Key::Unmanaged(self.registers.tag(group));
                self.registers.write(key, u32::from(!on), self.epoch, me);
            }
            Command::Move(group, node, once) => {
                self.known_node(node)?;
                self.known_group(group)?;
                self.may_move(group, node)?;
                // newer than every tenure, so that any present one is outdated by it
                self.epoch += 1;
                self.registers.write(
                    Key::Prefer(self.registers.tag(group)),
                    u32::from(node.0) | if once { ONCE } else { 0 },
                    self.epoch,
                    me,
                );
            }
            Command::Cleanup(group) => {
                self.known_group(group)?;
                self.registers
                    .write(Key::Cleanup(self.registers.tag(group)), 0, self.epoch, me);
            }
            Command::TakeoverAnyway => {
                let all = NodeSet::first(self.config.nodes.len());
                let heard = self.mesh().iter().filter_map(|node| {
                    let life = self.peers[node.index()].alive()?;
                    Some(life.said.mesh.with(node))
                });
                let heard = heard.fold(NodeSet::only(me), NodeSet::union);
                let silent = all.minus(heard);
                if silent.is_empty() {
                    return Err(Refusal::PeerAlive);
                }
                if !matches!(self.role, Role::Observer | Role::Member) {
                    return Err(Refusal::NotNow);
                }
                self.vouched = silent;
                for node in silent.iter() {
                    self.absent[node.index()].gone = Some((Gone::Vouched, now));
                    self.granted[node.index()].at = None;
                }
            }
            Command::Adopt(hash) => self.want_file(hash)?,
            Command::Leave => {
                if self.role != Role::Left {
                    self.role = Role::Leaving;
                    self.leaving_since = now;
                    self.ballot = None;
                }
            }
        }
        Ok(())
    }

    fn known_node(&self, node: NodeId) -> Result<(), Refusal> {
        if node.index() < self.config.nodes.len() {
            Ok(())
        } else {
            Err(Refusal::Unknown)
        }
    }

    fn known_group(&self, group: GroupId) -> Result<(), Refusal> {
        if group.index() < self.config.groups.len() {
            Ok(())
        } else {
            Err(Refusal::Unknown)
        }
    }

    /// Whether a group could be moved to a node now.
    fn may_move(&self, group: GroupId, node: NodeId) -> Result<(), Refusal> {
        if !self.config.groups[group.index()].may_run(node) {
            return Err(Refusal::Unknown);
        }
        if self.is_frozen() {
            return Err(Refusal::Frozen);
        }
        if self.is_pinned(group) {
            return Err(Refusal::Untouched);
        }
        if self.stuck_on(group).is_some() {
            return Err(Refusal::Blocked);
        }
        let here = node == self.config.me;
        let word = self.peers[node.index()]
            .alive()
            .and_then(|life| life.said.groups[group.index()]);
        if !self.is_member(node) || !(here || word.is_some()) {
            return Err(Refusal::NotMember);
        }
        let banned = match here {
            true => self.is_barred(group),
            false => word.is_some_and(|word| word.banned),
        };
        let unfit = self.config.promoted(group).is_some() && self.fitness(node, group).is_none();
        if banned || unfit || self.registers.standby(node) {
            Err(Refusal::NotEligible)
        } else {
            Ok(())
        }
    }
}
