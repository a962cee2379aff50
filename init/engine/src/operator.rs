//! What operators asked for: one register per wish, the newest stamp wins.
//!
//! Owns the table and its merge. Registers travel in every heartbeat (as many as
//! fit, in turn), so that every node comes to know them, also after a split. Never
//! judges whether a wish is sensible.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::REGISTER;
use crate::config::Config;
use crate::limits;
use crate::types::{GroupId, NodeId};

/// Orders wishes: by the epoch in which they were made, then by how many wishes the
/// node had seen, then by node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The newest epoch known where it was made. A move bumps it, so that a tenure
    /// older than the stamp has not fulfilled the wish yet.
    pub epoch: u64,
    /// Grows with every wish seen.
    pub counter: u32,
    /// Where it was made.
    pub node: NodeId,
}

/// What a register is about. Groups go by [`tag`], not by position: nodes may run
/// different files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Key {
    /// Standby of a node: value 1 or 0.
    Standby(NodeId),
    /// Preferred node of a group: value is the node, with [`ONCE`] when the preference
    /// ends with the move.
    Prefer(u32),
    /// Cleanup of a group's fail counts: any value, the stamp counts.
    Cleanup(u32),
    /// Nobody touches anything: value 1 or 0.
    Maintenance,
    /// Nobody touches this group: value 1 or 0.
    Unmanaged(u32),
    /// A node that failed too often and runs nothing until an operator calls it online:
    /// value 1 or 0. Not an operator's wish, but agreed on in the same way.
    Quarantine(NodeId),
    /// The cluster file to run: value is its [`mark`], 0 when the wish was withdrawn. The
    /// mark is the value and not part of the key, so that there is one wish at a time.
    File,
}

/// Set in the value of [`Key::Prefer`]: move there, and prefer it no longer.
pub const ONCE: u32 = 0x80;

/// One wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Register {
    /// About what.
    pub key: Key,
    /// What: mostly small, and then one byte on the wire.
    pub value: u32,
    /// How new.
    pub stamp: Stamp,
}

/// Names a group across different cluster files: FNV-1a of its name. `kodo-config`
/// refuses a file in which two groups share a tag.
pub fn tag(name: &str) -> u32 {
    fnv(name.bytes())
}

/// FNV-1a (Fowler, Noll, Vo).
fn fnv(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Names a cluster file in heartbeats, by half of its hash; never 0.
pub fn mark(hash: u64) -> u32 {
    let [a, b, c, d, e, f, g, h] = hash.to_le_bytes();
    let fold = u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h]);
    fold.max(1)
}

/// An operator's preferred node of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The node.
    pub node: NodeId,
    /// It stays the preferred one after the group came there.
    pub lasting: bool,
    /// The epoch of that wish: an older tenure has not fulfilled it.
    pub epoch: u64,
}

/// A register and where it came from.
#[derive(Clone, Copy, Debug, Hash)]
struct Entry {
    register: Register,
    /// Another view (a healed split).
    foreign: bool,
    /// An operator here, in this life.
    here: bool,
}

/// All registers of the cluster.
#[derive(Clone, Debug, Hash)]
pub struct Registers {
    table: Vec<Entry, { limits::REGISTERS }>,
    groups: [u32; limits::GROUPS],
    nodes: usize,
    count: usize,
    newest: u32,
}

impl Registers {
    /// No wishes yet.
    pub fn new(config: &Config) -> Registers {
        let mut groups = [0; limits::GROUPS];
        for (slot, group) in groups.iter_mut().zip(&config.groups) {
            *slot = tag(&group.name);
        }
        Registers {
            table: Vec::new(),
            groups,
            nodes: config.nodes.len(),
            count: config.groups.len(),
            newest: 0,
        }
    }

    /// A new wish made here.
    pub fn write(&mut self, key: Key, value: u32, epoch: u64, node: NodeId) {
        let stamp = Stamp {
            epoch,
            counter: self.newest.saturating_add(1),
            node,
        };
        let register = Register { key, value, stamp };
        self.put(Entry {
            register,
            foreign: false,
            here: true,
        });
    }

    /// A wish heard of. True when it is news. Wishes about what this file does not
    /// know are ignored.
    pub fn merge(&mut self, register: Register, foreign: bool) -> bool {
        self.put(Entry {
            register,
            foreign,
            here: false,
        })
    }

    fn put(&mut self, entry: Entry) -> bool {
        let register = entry.register;
        if !self.known(&register) {
            return false;
        }
        self.newest = self.newest.max(register.stamp.counter);
        if let Some(old) = self
            .table
            .iter_mut()
            .find(|old| old.register.key == register.key)
        {
            let newer = register.stamp > old.register.stamp;
            if newer {
                *old = entry;
            }
            return newer;
        }
        self.table.push(entry).is_ok()
    }

    /// Whether a node is on standby.
    pub fn standby(&self, node: NodeId) -> bool {
        self.is_set(Key::Standby(node))
    }

    /// Whether a node's standby was learned from another view.
    pub fn standby_is_foreign(&self, node: NodeId) -> bool {
        self.find(Key::Standby(node))
            .is_some_and(|entry| entry.register.value == 1 && entry.foreign)
    }

    /// The preferred node of a group.
    pub fn prefer(&self, group: GroupId) -> Option<Preference> {
        let register = self.find(Key::Prefer(self.tag(group)))?.register;
        Some(Preference {
            node: node(register.value),
            lasting: register.value & ONCE == 0,
            epoch: register.stamp.epoch,
        })
    }

    /// Whether nothing is to be touched.
    pub fn maintenance(&self) -> bool {
        self.is_set(Key::Maintenance)
    }

    /// Whether a group is not to be touched.
    pub fn unmanaged(&self, group: GroupId) -> bool {
        self.is_set(Key::Unmanaged(self.tag(group)))
    }

    /// Whether a node is in quarantine.
    pub fn quarantined(&self, node: NodeId) -> bool {
        self.is_set(Key::Quarantine(node))
    }

    /// The [`mark`] of the cluster file wanted, and how new that wish is; 0 when it was
    /// withdrawn.
    pub fn file(&self) -> Option<(u32, Stamp)> {
        let register = self.find(Key::File)?.register;
        Some((register.value, register.stamp))
    }

    /// The same wishes under another file: those about groups that it lacks are over.
    pub fn adopt(&mut self, config: &Config) {
        let Registers {
            groups,
            nodes,
            count,
            ..
        } = Registers::new(config);
        (self.groups, self.nodes, self.count) = (groups, nodes, count);
        let mut n = 0;
        while let Some(entry) = self.table.get(n) {
            if self.known(&entry.register) {
                n += 1;
            } else {
                self.table.remove(n);
            }
        }
    }

    /// The newest cleanup of a group.
    pub fn cleanup(&self, group: GroupId) -> Option<Stamp> {
        Some(self.find(Key::Cleanup(self.tag(group)))?.register.stamp)
    }

    /// A group's tag.
    pub fn tag(&self, group: GroupId) -> u32 {
        self.groups[group.index()]
    }

    /// The group with a tag, in this node's file.
    pub fn group(&self, tag: u32) -> Option<GroupId> {
        self.groups[..self.count]
            .iter()
            .position(|known| *known == tag)
            .map(GroupId::from_index)
    }

    /// Wishes made here in this life that no newer one replaced.
    pub(crate) fn made_here(&self) -> Vec<Register, { limits::REGISTERS }> {
        let here = self.table.iter().filter(|entry| entry.here);
        here.map(|entry| entry.register).collect()
    }

    /// The newest register about something.
    pub(crate) fn newest(&self, key: Key) -> Option<Register> {
        Some(self.find(key)?.register)
    }

    /// Names a table, whatever the order of its registers: the sum of their FNV-1a hashes.
    /// Nodes whose tables have one digest know the same wishes.
    pub fn digest(&self) -> u32 {
        let hash = |entry: &Entry| {
            let mut bytes = [0; REGISTER];
            let used = postcard::to_slice(&entry.register, &mut bytes).map_or(0, |used| used.len());
            fnv(bytes[..used].iter().copied())
        };
        self.table
            .iter()
            .fold(0, |sum, entry| sum.wrapping_add(hash(entry)))
    }

    /// All registers, starting with the one in turn.
    pub fn in_turn(&self, turn: u64) -> impl Iterator<Item = Register> + '_ {
        let len = self.table.len();
        let first = if len == 0 {
            0
        } else {
            usize::try_from(turn % len as u64).unwrap_or(0)
        };
        (0..len).map(move |n| self.table[(first + n) % len].register)
    }

    fn is_set(&self, key: Key) -> bool {
        self.find(key)
            .is_some_and(|entry| entry.register.value == 1)
    }

    fn find(&self, key: Key) -> Option<&Entry> {
        self.table.iter().find(|entry| entry.register.key == key)
    }

    fn known(&self, register: &Register) -> bool {
        match register.key {
            Key::Standby(node) | Key::Quarantine(node) => {
                node.index() < self.nodes && register.value <= 1
            }
            Key::Prefer(tag) => {
                self.group(tag).is_some() && node(register.value).index() < self.nodes
            }
            Key::Cleanup(tag) => self.group(tag).is_some(),
            Key::Maintenance => register.value <= 1,
            Key::File => true,
            Key::Unmanaged(tag) => self.group(tag).is_some() && register.value <= 1,
        }
    }
}

/// The node of a [`Key::Prefer`]; one that no file has when the value is out of range.
fn node(value: u32) -> NodeId {
    NodeId(u8::try_from(value & !ONCE).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    fn register(node: u8, value: u32, epoch: u64, counter: u32, author: u8) -> Register {
        Register {
            key: Key::Standby(NodeId(node)),
            value,
            stamp: Stamp {
                epoch,
                counter,
                node: NodeId(author),
            },
        }
    }

    #[test]
    fn the_newest_wish_wins_whatever_the_order() {
        let old = register(0, 1, 3, 9, 1);
        let new = register(0, 0, 4, 1, 0);
        for order in [[old, new], [new, old]] {
            let mut registers = Registers::new(&testing::config(0));
            order.iter().for_each(|r| {
                registers.merge(*r, false);
            });
            assert!(!registers.standby(NodeId(0)));
        }
    }

    #[test]
    fn a_wish_made_here_is_newer_than_all_seen() {
        let mut registers = Registers::new(&testing::config(0));
        registers.merge(register(1, 1, 5, 100, 1), true);
        assert!(registers.standby_is_foreign(NodeId(1)));
        registers.write(Key::Standby(NodeId(1)), 0, 5, NodeId(0));
        assert!(!registers.standby(NodeId(1)));
    }

    #[test]
    fn wishes_about_strangers_are_ignored() {
        let mut registers = Registers::new(&testing::config(0));
        assert!(!registers.merge(register(7, 1, 1, 1, 0), false));
        let stamp = Stamp {
            epoch: 1,
            counter: 1,
            node: NodeId(0),
        };
        assert!(!registers.merge(
            Register {
                key: Key::Prefer(12345),
                value: 0,
                stamp
            },
            false
        ));
        assert!(!registers.merge(
            Register {
                key: Key::Prefer(tag("www")),
                value: 2,
                stamp
            },
            false
        ));
        assert!(registers.merge(
            Register {
                key: Key::Prefer(tag("www")),
                value: 1,
                stamp
            },
            false
        ));
        assert_eq!(
            registers.prefer(GroupId(0)),
            Some(Preference {
                node: NodeId(1),
                lasting: true,
                epoch: 1
            })
        );
    }

    proptest! {
        #[test]
        fn all_nodes_come_to_agree(wishes in prop::collection::vec((0u8..2, 0u32..2, 0u64..4, 0u32..4, 0u8..2), 0..12)) {
            let mut there = Registers::new(&testing::config(0));
            let mut back = there.clone();
            let all: std::vec::Vec<_> = wishes.into_iter().map(|(n, v, e, c, a)| register(n, v, e, c, a)).collect();
            // one author never gives one stamp to two wishes
            let mut seen = std::collections::HashSet::new();
            let all: std::vec::Vec<_> = all.into_iter().filter(|r| seen.insert((r.stamp.epoch, r.stamp.counter, r.stamp.node))).collect();
            all.iter().for_each(|r| { there.merge(*r, false); });
            all.iter().rev().for_each(|r| { back.merge(*r, false); });
            for node in [NodeId(0), NodeId(1)] {
                prop_assert_eq!(there.standby(node), back.standby(node));
            }
        }
    }
}
