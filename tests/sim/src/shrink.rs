//! From a failing plan to the shortest one that still fails in the same way.
//!
//! Owns the search: drop faults, shorten them, drop groups and nodes, make machines and
//! wires ordinary. Greedy, and repeated until nothing more can go; every candidate is a
//! whole run.

use core::time::Duration;

use crate::check::Violation;
use crate::plan::{Fault, Part, Plan, Policy, Wire};
use crate::run::run;

/// Below that it would be another kind of cluster.
const SMALLEST: usize = 3;
/// Runs that a search may cost.
const RUNS: u32 = 400;

/// The shortest plan found that breaks the same promise, and how many runs it took.
#[must_use]
pub fn shrink(plan: &Plan, mut tick: impl FnMut()) -> Plan {
    let mut search = Search {
        kind: match run(plan, false).violation {
            Some(violation) => kind(&violation),
            None => return plan.clone(),
        },
        best: plan.clone(),
        runs: 0,
        tick: &mut tick,
    };
    loop {
        let before = search.best.clone();
        search.drop_episodes();
        search.shorten_episodes();
        search.fewer_groups();
        search.fewer_nodes();
        search.plain_machines();
        search.plain_wires();
        let after = &search.best;
        let same = before.episodes == after.episodes && before.wires.len() == after.wires.len();
        if same || search.runs >= RUNS {
            return search.best;
        }
    }
}

/// The promise, and the first words of what was seen without its numbers: a shorter plan
/// that breaks something else is another failure.
fn kind(violation: &Violation) -> (&'static str, String) {
    let words = violation.text.split_whitespace();
    let plain = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    (violation.promise, plain.take(4).collect())
}

struct Search<'a> {
    kind: (&'static str, String),
    best: Plan,
    runs: u32,
    tick: &'a mut dyn FnMut(),
}

impl Search<'_> {
    /// Keeps a change when the plan still fails.
    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        if self.runs >= RUNS {
            return false;
        }
        let mut plan = self.best.clone();
        change(&mut plan);
        self.runs += 1;
        (self.tick)();
        let fails = run(&plan, false)
            .violation
            .is_some_and(|violation| kind(&violation) == self.kind);
        if fails {
            self.best = plan;
        }
        fails
    }

    fn drop_episodes(&mut self) {
        let mut size = self.best.episodes.len();
        while size > 0 {
            let mut at = 0;
            while at < self.best.episodes.len() {
                let end = (at + size).min(self.best.episodes.len());
                if !self.attempt(|plan| drop(plan.episodes.drain(at..end))) {
                    at = end;
                }
            }
            size /= 2;
        }
    }

    fn shorten_episodes(&mut self) {
        for at in 0..self.best.episodes.len() {
            for _ in 0..4 {
                let episode = &self.best.episodes[at];
                let len = episode.until.saturating_sub(episode.from);
                let short = len < Duration::from_millis(20) || episode.fault.is_instant();
                if short || !self.attempt(|plan| plan.episodes[at].until -= len / 2) {
                    break;
                }
            }
        }
    }

    fn fewer_groups(&mut self) {
        while self.best.cluster.groups.len() > 1 {
            let gone = self.attempt(|plan| {
                plan.cluster.groups.pop();
                let left = plan.cluster.groups.len();
                plan.cluster.rules.retain(|rule| {
                    let (one, other) = rule.groups();
                    one < left && other < left
                });
            });
            if !gone {
                break;
            }
        }
    }

    /// Takes out the last node, if no fault is about it.
    fn fewer_nodes(&mut self) {
        while self.best.cluster.nodes > SMALLEST && !about_the_last(&self.best) {
            let gone = self.attempt(|plan| {
                let file = &mut plan.cluster;
                file.nodes -= 1;
                let last = file.nodes;
                file.voters = file.voters.saturating_sub(1);
                file.votes.truncate(last);
                for group in &mut file.groups {
                    group.prefer.retain(|node| *node != last);
                }
                plan.machines.remove(last);
                let gone = |wire: Wire| match wire {
                    Wire::Lan(at) | Wire::Private(at) | Wire::Line(at) => at == last,
                    _ => false,
                };
                plan.wires.retain(|(wire, _)| !gone(*wire));
                plan.episodes
                    .retain_mut(|episode| match &mut episode.fault {
                        Fault::Apart { these, those, .. } => {
                            (*these, *those) = (these.without(last), those.without(last));
                            *these != Part::default() && *those != Part::default()
                        }
                        _ => true,
                    });
            });
            if !gone {
                break;
            }
        }
    }

    fn plain_machines(&mut self) {
        for at in 0..self.best.machines.len() {
            if self.best.machines[at].ppm != 0 {
                self.attempt(|plan| plan.machines[at].ppm = 0);
            }
        }
    }

    fn plain_wires(&mut self) {
        for at in (0..self.best.wires.len()).rev() {
            self.attempt(|plan| {
                plan.wires.remove(at);
            });
        }
    }
}

/// Whether a fault names the last node, other than as one of many; or without that node
/// the file would be another kind of file.
fn about_the_last(plan: &Plan) -> bool {
    let last = plan.cluster.nodes - 1;
    let twins = plan.machines.len() > plan.cluster.nodes;
    let even = plan.cluster.policy == Policy::QuorumFirst || plan.cluster.policy == Policy::Witness;
    let mut faults = plan.episodes.iter().map(|episode| &episode.fault);
    twins || even || faults.any(|fault| fault.is_about(last))
}
