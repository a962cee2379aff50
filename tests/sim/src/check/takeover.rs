//! Promise 3: a takeover never comes before the old holder confirmed its stop, was
//! confirmed restarted, or was silent longer than its own self-release bound W.
//!
//! Owns, by machine, how its last tenure ended, and by pair what was heard last. A stop
//! is confirmed when the kernel no longer has the address: nobody can claim more.
//!
//! A takeover begins when the group's first resource starts. An old holder that is heard
//! again after that has lost the group; that it falls silent is promise 1's business.

use core::time::Duration;

use crate::check::Found;
use crate::check::bounds::Bounds;
use crate::clock::At;
use crate::machine::Machine;
use crate::origin::{MACHINES, Origin};
use crate::plan::Machine as Name;

/// The clock of a node is read a little before its helper binds an address.
const ROUNDING: Duration = Duration::from_micros(10);

/// Where a machine's newest tenure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    /// None, or its address was removed.
    None,
    /// It holds, or died holding, in this life.
    Unconfirmed(u32),
}

#[derive(Debug)]
pub(crate) struct Takeover {
    bounds: Bounds,
    tenure: [Tenure; MACHINES],
    /// By machine: whether its newest start of the group was a takeover in good time.
    rightful: [bool; MACHINES],
    /// By hearer and sender: life and the hearer's own time of its last fresh heartbeat.
    last: [[Option<(u32, Duration)>; MACHINES]; MACHINES],
    vouched: bool,
}

impl Takeover {
    pub(crate) fn new(bounds: Bounds) -> Takeover {
        Takeover {
            bounds,
            tenure: [Tenure::None; MACHINES],
            rightful: [false; MACHINES],
            last: Default::default(),
            vouched: false,
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.last[id] = [None; MACHINES];
        self.rightful[id] = false;
    }

    pub(crate) fn life_ends(&mut self, id: usize, machines: &[Machine]) {
        // It may have been bound without the others ever being told that it ended.
        if machines[id].kernel.bound {
            self.tenure[id] = Tenure::Unconfirmed(machines[id].life);
        }
    }

    pub(crate) fn vouched(&mut self) {
        self.vouched = true;
    }

    pub(crate) fn removed(&mut self, id: usize) {
        self.tenure[id] = Tenure::None;
    }

    /// A fresh heartbeat reached PID 1.
    pub(crate) fn heard(&mut self, now: At, id: usize, origin: &Origin, machines: &[Machine]) {
        let local = machines[id].clock.local(now);
        self.last[id][origin.machine] = Some((origin.life, local));
    }

    pub(crate) fn starts(&mut self, now: At, id: usize, machines: &[Machine]) {
        self.rightful[id] = self.judge(now, id, machines).is_none();
    }

    pub(crate) fn bound(&mut self, now: At, id: usize, machines: &[Machine]) -> Found {
        self.tenure[id] = Tenure::Unconfirmed(machines[id].life);
        if self.vouched || core::mem::take(&mut self.rightful[id]) {
            return None;
        }
        self.judge(now, id, machines)
    }

    fn judge(&self, now: At, id: usize, machines: &[Machine]) -> Found {
        let me = &machines[id];
        let others = (0..machines.len()).filter(|other| *other != id);
        for other in others {
            let Tenure::Unconfirmed(life) = self.tenure[other] else {
                continue;
            };
            let heard = self.last[id][other];
            if heard.is_some_and(|(newest, _)| newest > life) {
                // Confirmed restarted.
                continue;
            }
            let since = heard.map_or(me.plan.uptime, |(_, local)| local);
            let silent = me.clock.local(now).saturating_sub(since);
            if silent + ROUNDING < self.bounds.wait {
                let text = format!(
                    "{} binds the VIP {silent:?} after it heard {} (its last holder) last; W is {:?}",
                    Name(id),
                    Name(other),
                    self.bounds.wait
                );
                return Some(("3", text));
            }
        }
        None
    }
}
