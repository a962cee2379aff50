//! Promise 3: a takeover never comes before the old holder confirmed its stop, was
//! confirmed restarted, or was silent longer than its own self-release bound W.
//!
//! Owns, by group and machine, how its last tenure ended. A stop is confirmed when the
//! kernel no longer has the address: nobody can claim more.
//!
//! A takeover begins when the group's first resource starts. An old holder that is heard
//! again after that has lost the group; that it falls silent is promise 1's business. So it
//! is when the old holder was left out of the view because others do not hear it: then W
//! counts from the last grant, and the taker may hear it all the time.

use core::time::Duration;

use crate::check::Found;
use crate::check::bounds::Bounds;
use crate::check::hearing::Hearing;
use crate::clock::At;
use crate::machine::Machine;
use crate::plan::{Machine as Name, Part, Plan};
use crate::story::Vip;

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
    bounds: Vec<Bounds>,
    /// Of the file; twins take over from nobody.
    nodes: usize,
    /// By group and machine.
    tenure: Vec<Vec<Tenure>>,
    /// By group and machine: whether its newest start was a takeover in good time.
    rightful: Vec<Vec<bool>>,
}

impl Takeover {
    pub(crate) fn new(plan: &Plan, bounds: Vec<Bounds>) -> Takeover {
        let (groups, machines) = (plan.cluster.group_count(), plan.machines.len());
        Takeover {
            bounds,
            nodes: plan.cluster.nodes,
            tenure: vec![vec![Tenure::None; machines]; groups],
            rightful: vec![vec![false; machines]; groups],
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        for rightful in &mut self.rightful {
            rightful[id] = false;
        }
    }

    pub(crate) fn life_ends(&mut self, id: usize, machines: &[Machine]) {
        // It may have been bound without the others ever being told that it ended.
        let machine = &machines[id];
        for (tenure, bound) in self.tenure.iter_mut().zip(&machine.kernel.bound) {
            if *bound {
                tenure[id] = Tenure::Unconfirmed(machine.life);
            }
        }
    }

    pub(crate) fn removed(&mut self, id: usize, group: usize) {
        self.tenure[group][id] = Tenure::None;
    }

    pub(crate) fn starts(&mut self, now: At, id: usize, group: usize, eye: &Eye<'_>) {
        self.rightful[group][id] = self.judge(now, id, group, eye).is_none();
    }

    pub(crate) fn bound(&mut self, now: At, id: usize, group: usize, eye: &Eye<'_>) -> Found {
        self.tenure[group][id] = Tenure::Unconfirmed(eye.machines[id].life);
        if core::mem::take(&mut self.rightful[group][id]) {
            return None;
        }
        self.judge(now, id, group, eye)
    }

    fn judge(&self, now: At, id: usize, group: usize, eye: &Eye<'_>) -> Found {
        let me = &eye.machines[id];
        let others = (0..eye.machines.len()).filter(|other| *other != id);
        for other in others.filter(|other| !eye.vouched.has(*other)) {
            let Tenure::Unconfirmed(life) = self.tenure[group][other] else {
                continue;
            };
            let heard = eye.hearing.last(id, other);
            if heard.is_some_and(|(newest, _)| newest > life) {
                // Confirmed restarted.
                continue;
            }
            let since = heard.map_or(me.plan.uptime, |(_, local)| local);
            // It is the old holder's own bound, whatever the taker's file says.
            let wait = self.bounds[other].wait_of(group);
            let silent = me.clock.local(now).saturating_sub(since);
            if silent + ROUNDING < wait && !self.left_out(now, id, other, eye) {
                let (name, old, vip) = (Name(id), Name(other), Vip(group));
                let text = format!(
                    "{name} binds the {vip} {silent:?} after it heard {old} (its last holder) last; W is {wait:?}"
                );
                return Some(("3", text));
            }
        }
        None
    }

    /// Whether a third node, which the taker hears, does not hear the old holder, or did
    /// not a short while ago.
    fn left_out(&self, now: At, id: usize, old: usize, eye: &Eye<'_>) -> bool {
        let within = self.bounds[old].wait + self.bounds[id].deadtime;
        let thirds = (0..self.nodes).filter(|third| *third != id && *third != old);
        let machines = eye.machines;
        let mut heard =
            thirds.filter(|third| eye.hearing.together(now, id, *third, machines).is_some());
        heard.any(|third| eye.hearing.parted(now, old, third, within, machines))
    }
}

/// What a takeover is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eye<'a> {
    pub(crate) machines: &'a [Machine],
    pub(crate) hearing: &'a Hearing,
    pub(crate) vouched: Part,
}
