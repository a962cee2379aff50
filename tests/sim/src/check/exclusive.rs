//! Promise 1: at most one machine answers for a VIP, or runs anything of a guarded group.
//!
//! Owns the list of exceptions, which is the documentation's list and no longer:
//! - the policy does not exclude (`accept`, or `ping` while both reach the group at one
//!   time), and the machines have not exchanged fresh heartbeats for deadtime; a takeover
//!   that began then may be finished, and the old holder falls silent once it has heard a
//!   fresh heartbeat that names the new one;
//! - one of them was paused, its clock with it, and has just gone on;
//! - an operator vouched that one of them is dead.
//!
//! A machine that stalled, or whose PID 1 is stuck, is no exception: its gate closes at
//! its lease's end by a clock that runs on. Only the role of a light group is not seen
//! meanwhile: no gate demotes an instance.

use core::time::Duration;

use crate::check::Found;
use crate::check::bounds::{Bounds, YIELD};
use crate::check::hearing::Hearing;
use crate::clock::At;
use crate::machine::{Ills, Machine};
use crate::origin::Origin;
use crate::plan::{Machine as Name, Part, Plan, Policy};
use crate::story::Vip;

/// Of a wake-up, a look at a clock, a packet under way.
const SLACK: Duration = Duration::from_millis(5);

/// A takeover takes so long from its decision to a bound VIP: a service starts.
const UNDER_WAY: Duration = Duration::from_millis(600);

#[derive(Debug)]
pub(crate) struct Exclusive {
    bounds: Vec<Bounds>,
    policy: Policy,
    /// By machine: when the ping group answered last, and since when it has without a gap.
    pinged: Vec<Option<(At, At)>>,
    /// By group and machine: since when the VIP is bound.
    holds: Vec<Vec<Option<At>>>,
    /// Whether a group may have two holders at present.
    several: bool,
    /// By group: whether an instance is promoted by it.
    promotable: Vec<bool>,
    /// By group, hearer and holder: when it first heard, fresh, that this one holds.
    named: Vec<Vec<Vec<Option<At>>>>,
    /// Until when a machine that was paused may answer once more.
    grace: Vec<At>,
}

impl Exclusive {
    pub(crate) fn new(plan: &Plan, bounds: Vec<Bounds>) -> Exclusive {
        let (groups, machines) = (plan.cluster.group_count(), plan.machines.len());
        Exclusive {
            bounds,
            policy: plan.cluster.policy,
            pinged: vec![None; machines],
            holds: vec![vec![None; machines]; groups],
            several: false,
            promotable: (0..groups)
                .map(|group| plan.cluster.promotable(group))
                .collect(),
            named: vec![vec![vec![None; machines]; machines]; groups],
            grace: vec![Duration::ZERO; machines],
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.pinged[id] = None;
        self.grace[id] = Duration::ZERO;
        for (holds, named) in self.holds.iter_mut().zip(&mut self.named) {
            holds[id] = None;
            named[id].fill(None);
        }
        self.count();
    }

    pub(crate) fn bound(&mut self, now: At, id: usize, group: usize) {
        self.holds[group][id] = Some(now);
        for named in &mut self.named[group] {
            named[id] = None;
        }
        self.count();
    }

    pub(crate) fn removed(&mut self, id: usize, group: usize) {
        self.holds[group][id] = None;
        self.count();
    }

    fn count(&mut self) {
        // Of a guarded group also what is not bound is looked for.
        let several = |(group, holds): (usize, &Vec<Option<At>>)| {
            self.bounds[0].is_guarded(group)
                || self.promotable[group]
                || holds.iter().flatten().nth(1).is_some()
        };
        self.several = self.holds.iter().enumerate().any(several);
    }

    pub(crate) fn pinged(&mut self, now: At, id: usize) {
        let lease = self.bounds[id].lease;
        let run = self.pinged[id].filter(|(last, _)| now - *last <= lease);
        self.pinged[id] = Some((now, run.map_or(now, |(_, since)| since)));
    }

    /// A machine that was paused has a short while to notice: its clocks did not run, so
    /// it believes in its lease to the end.
    pub(crate) fn ails(&mut self, now: At, id: usize, old: Ills, new: Ills) {
        if old.paused && !new.paused {
            self.grace[id] = now + self.bounds[id].lease + YIELD;
        }
    }

    /// A fresh heartbeat reached PID 1.
    pub(crate) fn heard(&mut self, now: At, id: usize, origin: &Origin) {
        let from = origin.machine;
        let mut rival = false;
        for (holds, named) in self.holds.iter().zip(&mut self.named) {
            if holds[from].is_some_and(|since| since <= origin.sent) {
                named[id][from].get_or_insert(now);
                rival = true;
            }
        }
        if rival {
            self.grace[id] = self.grace[id].min(now + YIELD);
        }
    }

    pub(crate) fn look(
        &mut self,
        now: At,
        machines: &[Machine],
        hearing: &Hearing,
        vouched: Part,
    ) -> Found {
        if !self.several {
            return None;
        }
        for group in 0..self.holds.len() {
            let guarded = self.bounds[0].is_guarded(group);
            let acts = |id: &usize| match guarded {
                true => machines[*id].runs(group, now),
                false if self.promotable[group] && machines[*id].has_role(group) => true,
                false => machines[*id].speaks(group, now),
            };
            let holders: Vec<_> = (0..machines.len()).filter(acts).collect();
            for (at, a) in holders.iter().enumerate() {
                for b in &holders[at + 1..] {
                    let excused = |id: usize| {
                        let release = if guarded {
                            self.bounds[id].release_of(group)
                        } else {
                            Duration::ZERO
                        };
                        vouched.has(id) || self.excused(now.saturating_sub(release), id)
                    };
                    if excused(*a) || excused(*b) {
                        continue;
                    }
                    let found = self.judge(now, group, (*a, *b), machines, hearing);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }

    /// Two machines answer for one VIP: whether anything allows it.
    fn judge(
        &self,
        now: At,
        group: usize,
        (a, b): (usize, usize),
        machines: &[Machine],
        hearing: &Hearing,
    ) -> Found {
        let why = match hearing.together(now, a, b, machines) {
            _ if self.policy.excludes() => "where votes decide".to_owned(),
            None if self.policy == Policy::Accept || self.both_reach(now, a, b) => return None,
            None => "they do not hear each other, and not both reach the ping group".to_owned(),
            Some(since) if now <= self.yields_by(since, group, a, b) => return None,
            Some(since) => format!("and hear each other for {} ms", (now - since).as_millis()),
        };
        let (a, b, vip) = (Name(a), Name(b), Vip(group));
        Some(("1", format!("{a} and {b} both have the {vip}, {why}")))
    }

    /// When one of two that hear each other since a while must have fallen silent: soon
    /// after it heard of the newer one, if that one's takeover began before.
    fn yields_by(&self, since: At, group: usize, a: usize, b: usize) -> At {
        let holds = &self.holds[group];
        let (older, newer) = if holds[a] <= holds[b] { (a, b) } else { (b, a) };
        let began_apart = holds[newer].is_some_and(|at| at <= since + UNDER_WAY);
        if !began_apart {
            return since + YIELD;
        }
        match self.named[group][older][newer] {
            Some(at) => at.max(since) + YIELD,
            None => since + UNDER_WAY + self.bounds[older].deadtime,
        }
    }

    /// Whether both reach the group, or did a lease ago: not one after the other.
    fn both_reach(&self, now: At, a: usize, b: usize) -> bool {
        let recent = |id: usize| {
            let window = self.bounds[a].wait.max(self.bounds[b].wait) + SLACK;
            self.pinged[id].filter(|(last, _)| now - *last <= window)
        };
        match (recent(a), recent(b)) {
            (Some((last_a, since_a)), Some((last_b, since_b))) => {
                since_a <= last_b && since_b <= last_a
            }
            _ => false,
        }
    }

    /// Whether a machine may answer too for a reason of its own.
    pub(crate) fn excused(&self, now: At, id: usize) -> bool {
        now <= self.grace[id]
    }
}
