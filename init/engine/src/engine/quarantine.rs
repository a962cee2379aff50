//! Nodes that die again and again.
//!
//! Owns the count: every member counts the restarts that it sees of nodes that had not left
//! in order; the coordinator puts a node into quarantine when they reach the file's number.
//! It ends by an operator's word only. Never leaves a cluster without a node to run things:
//! placement then looks past it.

use super::{Engine, Exits};
use crate::operator::Key;
use crate::surface::Event;
use crate::types::{NodeId, Now};

impl Engine {
    /// A node restarted that had not left.
    pub(super) fn count_exit(&mut self, now: Now, node: NodeId) {
        let Some(rule) = self.config.quarantine else {
            return;
        };
        let exits = &mut self.exits[node.index()];
        let again = now < exits.at + rule.window;
        *exits = Exits {
            count: if again {
                exits.count.saturating_add(1)
            } else {
                1
            },
            at: now,
        };
        let count = exits.count;
        let (epoch, me) = (self.epoch, self.config.me);
        let coordinates = self.view.is_some_and(|view| view.coordinator == me);
        if coordinates && count >= rule.exits && !self.registers.quarantined(node) {
            self.registers.write(Key::Quarantine(node), 1, epoch, me);
            self.log(Event::Quarantined { node, exits: count });
        }
    }
}
