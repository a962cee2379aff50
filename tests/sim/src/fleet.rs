//! Many runs at once: every scenario over a range of seeds, on a few threads.
//!
//! Owns the order of work and the sums. Results do not depend on the number of threads:
//! each run stands alone, and failures are sorted by seed.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::check::Violation;
use crate::clock::At;
use crate::plan::Plan;
use crate::run::run;
use crate::scenario::Scenario;

/// A stack on which a whole node is built before it moves to the heap.
const STACK: usize = 16 << 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    /// These scenarios.
    pub scenarios: &'a [&'static Scenario],
    /// From this seed on.
    pub first: u64,
    /// Over so many seeds each.
    pub seeds: u64,
    /// On so many threads.
    pub jobs: usize,
    /// Failures after which no new run begins.
    pub enough: usize,
    /// Time after which no new run begins.
    pub limit: Option<Duration>,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was run.
    pub plan: Plan,
    /// How it failed.
    pub violation: Violation,
}

/// The sums.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs done.
    pub runs: u64,
    /// World time that passed in all of them.
    pub simulated: Duration,
    /// Hashes of all runs, folded so that the order does not matter.
    pub hash: u64,
    /// By scenario and seed.
    pub failures: Vec<Failure>,
    /// The slowest convergence after the last fault, its share of the stated bound, and its run.
    pub slowest: Option<(Duration, Duration, String, u64)>,
}

impl Fleet<'_> {
    /// Runs everything; `done` is called after each run with the time simulated in it.
    pub fn run(&self, done: &(dyn Fn(At) + Sync)) -> Tally {
        let tally = Mutex::new(Tally::default());
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let total = self.seeds * self.scenarios.len() as u64;
        let start = Instant::now();
        std::thread::scope(|scope| {
            let work = || {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= total {
                        break;
                    }
                    let kinds = self.scenarios.len() as u64;
                    let scenario = self.scenarios[usize::try_from(at % kinds).unwrap_or(0)];
                    let seed = self.first + at / kinds;
                    let failures = one(scenario, seed, &tally, done);
                    let late = self.limit.is_some_and(|limit| start.elapsed() >= limit);
                    if late || failures >= self.enough {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            };
            let spawn = |_| {
                let thread = std::thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, work).expect("a thread")
            };
            let threads: Vec<_> = (0..self.jobs.max(1)).map(spawn).collect();
            for thread in threads {
                thread.join().expect("runs catch their panics");
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally
            .failures
            .sort_by(|a, b| (&a.plan.scenario, a.plan.seed).cmp(&(&b.plan.scenario, b.plan.seed)));
        tally
    }
}

/// One run; the number of failures so far.
fn one(scenario: &Scenario, seed: u64, tally: &Mutex<Tally>, done: &(dyn Fn(At) + Sync)) -> usize {
    let plan = scenario.plan(seed);
    let outcome = run(&plan, false);
    done(outcome.simulated);
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.runs += 1;
    tally.simulated += outcome.simulated;
    tally.hash = tally.hash.wrapping_add(outcome.hash);
    if let Some(at) = outcome.facts.converged {
        let took = at.saturating_sub(plan.healed);
        if tally
            .slowest
            .as_ref()
            .is_none_or(|slowest| slowest.0 < took)
        {
            tally.slowest = Some((took, outcome.facts.bound, plan.scenario.clone(), seed));
        }
    }
    if let Some(violation) = outcome.violation {
        tally.failures.push(Failure { plan, violation });
    }
    tally.failures.len()
}
