//! After stage five: until when each VIP may speak.
//!
//! Owns the deadlines that the kernel's gates are given. A gate is open while its VIP is
//! started here and not yet being stopped, and closes by itself when the lease ends, so a
//! loop that no longer runs needs to do nothing to fall silent. Giving way closes it at
//! once, before the removal of the address is asked for; the stop itself counts only when
//! the kernel has confirmed it, as ever.
//!
//! A lease that never ends (a node that need not ask anybody) has no deadline to give. Its
//! gate is carried on by L at each tick that earns the watchdog's feed. A loop that stood
//! still for longer than that finds the gate closed, and may have a successor that it has
//! not heard of: it earns nothing until every other node is heard again, or for deadtime,
//! after which they count as dead.

use super::{Engine, Small};
use crate::config::{Config, ResourceKind};
use crate::group::Member;
use crate::limits;
use crate::types::{Now, ResourceId};

/// What the gates were told last.
#[derive(Clone, Debug, Hash)]
pub(super) struct Gates {
    /// By resource; `None` before the first word.
    told: [Option<Now>; limits::RESOURCES],
    /// As far as ticks have carried a lease that never ends.
    pub(super) earned: Now,
    /// The newest tick.
    ticked: Now,
    /// When the loop ran again after it had stood still for too long.
    doubted: Option<Now>,
}

impl Gates {
    pub(super) fn new(now: Now) -> Gates {
        Gates {
            told: [None; limits::RESOURCES],
            earned: now,
            ticked: now,
            doubted: None,
        }
    }

    /// What is another thing under its old name was told nothing yet.
    pub(super) fn adopt(&mut self, old: &Config, new: &Config) {
        let both = old.resources.iter().zip(&new.resources);
        for (told, (was, is)) in self.told.iter_mut().zip(both) {
            if (&was.name, was.make) != (&is.name, is.make) {
                *told = None;
            }
        }
    }
}

impl Engine {
    /// A tick in which every stage ran carries on what has no end of its own.
    pub(super) fn earn_gates(&mut self, now: Now) {
        let lease = self.config.timing.lease;
        if now >= self.gates.ticked + lease {
            self.gates.doubted = Some(now);
        }
        self.gates.ticked = now;
        if let Some(since) = self.gates.doubted {
            let deadtime = self.config.timing.deadtime;
            if now < since + deadtime && !self.all_heard_since(since) {
                return;
            }
            self.gates.doubted = None;
        }
        self.gates.earned = now + lease;
        self.move_gates(now);
    }

    fn all_heard_since(&self, since: Now) -> bool {
        self.others().all(|node| {
            let life = self.peers[node.index()].life.as_ref();
            life.is_some_and(|life| life.fresh_at > since)
        })
    }

    /// Opens and carries on what should speak; what should not is closed from the start.
    pub(super) fn move_gates(&mut self, now: Now) {
        let until = self.lease_end().unwrap_or(self.gates.earned);
        let leased = self.holds_lease(now) && !self.resetting;
        for n in 0..self.config.resources.len() {
            let resource = ResourceId::from_index(n);
            match self.resources[n] {
                Member::Idle | Member::Stopping { .. } => self.close_gate(now, resource),
                // The lease's end closes it, and the run stage follows.
                _ if !leased => {}
                _ => self.set_gate(resource, until),
            }
        }
    }

    /// Closes a gate that is not closed.
    pub(super) fn close_gate(&mut self, now: Now, resource: ResourceId) {
        if self.gates.told[resource.index()].is_none_or(|until| until > now) {
            self.set_gate(resource, now);
        }
    }

    fn set_gate(&mut self, resource: ResourceId, until: Now) {
        let told = &mut self.gates.told[resource.index()];
        let vip = self.config.resources[resource.index()].kind == ResourceKind::Vip;
        if vip && *told != Some(until) {
            *told = Some(until);
            self.act(Small::Gate(resource, until));
        }
    }
}
