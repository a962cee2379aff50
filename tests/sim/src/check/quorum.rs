//! Promise 1 from the other side: nobody answers for a VIP whose lease must be over.
//!
//! Owns a second lease arithmetic, written from the protocol's description and from what
//! passed the wires: a lease ends L after the newest time at which its holder sent what a
//! quorum is known to have heard, and the gate with it, whatever PID 1 does. What is known
//! to have been heard is more than what was granted, so this never blames a right holder.

use core::time::Duration;

use crate::check::Found;
use crate::check::bounds::Bounds;
use crate::check::hearing::Hearing;
use crate::clock::At;
use crate::machine::Machine;
use crate::plan::{ClusterPlan, Machine as Name, Part, Plan, Policy};
use crate::story::Vip;

/// Of a look at a clock.
const SLACK: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Quorum {
    cluster: ClusterPlan,
    bounds: Vec<Bounds>,
    /// By machine: when, by its own clock, it sent the newest question by which the witness
    /// spoke for it.
    witnessed: Vec<Option<Duration>>,
}

impl Quorum {
    pub(crate) fn new(plan: &Plan, bounds: Vec<Bounds>) -> Quorum {
        Quorum {
            cluster: plan.cluster.clone(),
            bounds,
            witnessed: vec![None; plan.machines.len()],
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.witnessed[id] = None;
    }

    /// The witness speaks for a machine, which asked it then, by its own clock.
    pub(crate) fn witnessed(&mut self, id: usize, asked: Duration) {
        self.witnessed[id] = self.witnessed[id].max(Some(asked));
    }

    /// Looks at one machine.
    pub(crate) fn look(
        &self,
        now: At,
        id: usize,
        machine: &Machine,
        hearing: &Hearing,
        vouched: Part,
    ) -> Found {
        if !self.cluster.policy.excludes() {
            return None;
        }
        for group in (0..self.cluster.group_count()).filter(|group| machine.speaks(*group, now)) {
            let lasts = self.bounds[id].lease_by_own_clock + SLACK;
            let since = machine.clock.local(now).saturating_sub(lasts);
            if let Some(votes) = self.lacks(since, id, hearing, vouched) {
                let (name, vip, all) = (Name(id), Vip(group), self.cluster.all_votes());
                let text = format!(
                    "{name} answers for the {vip}, but in {lasts:?} it was heard by nodes with {votes} of {all} votes"
                );
                return Some(("1", text));
            }
        }
        None
    }

    /// How many votes stood behind a machine since a time of its own clock, when they were
    /// too few.
    fn lacks(&self, since: Duration, id: usize, hearing: &Hearing, vouched: Part) -> Option<u32> {
        let stands = |node: &usize| {
            *node == id || hearing.support(id, *node).is_some_and(|sent| sent >= since)
        };
        let votes = |nodes: Vec<usize>| -> u32 {
            let counted = nodes.into_iter().map(|node| self.cluster.votes(node));
            counted.sum()
        };
        let nodes = || 0..self.cluster.nodes;
        let behind = votes(nodes().filter(stands).collect());
        let all = votes(nodes().filter(|node| !vouched.has(*node)).collect());
        let tie = match self.cluster.policy {
            Policy::QuorumFirst => stands(&0),
            Policy::Witness => self.witnessed[id].is_some_and(|sent| sent >= since),
            _ => false,
        };
        let enough = behind * 2 > all || (behind * 2 == all && tie);
        (!enough).then_some(behind)
    }
}
