//! The promises, checked from outside the nodes after every step.
//!
//! Owns what an observer of the wires and of the machines' kernels can know, and nothing
//! that a node says about itself, but where a promise is about what it says (epochs).
//! The first broken promise ends a run.

mod bounds;
mod epochs;
mod exclusive;
mod hearing;
mod liveness;
mod quorum;
mod takeover;
mod vigil;

use core::fmt;
use core::time::Duration;

use kodo_engine::config::Timing;
use kodo_engine::surface::Fatal;
use kodo_node::status::Status;

use crate::clock::At;
use crate::facts::Facts;
use crate::machine::{Ills, Machine};
use crate::origin::Origin;
use crate::packet::Mac;
use crate::plan::{Machine as Name, Part, Plan, Wish};
use crate::story::Stamp;

use bounds::Bounds;
use epochs::Epochs;
use exclusive::Exclusive;
use hearing::Hearing;
use liveness::Liveness;
use quorum::Quorum;
use takeover::{Eye, Takeover};
use vigil::Vigil;

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its number in the list of promises, or a word for what has none.
    pub promise: &'static str,
    /// When it was noticed.
    pub at: At,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "promise {} at {}: {}",
            self.promise,
            Stamp(self.at),
            self.text
        )
    }
}

/// What one checker found: promise and text.
type Found = Option<(&'static str, String)>;

/// Every machine is looked at this often, and those to which something happens at once.
const SWEEP: Duration = Duration::from_millis(5);

/// All checkers.
#[derive(Debug)]
pub(crate) struct Checks {
    hearing: Hearing,
    quorum: Quorum,
    /// Whom operators called dead.
    vouched: Part,
    swept: At,
    exclusive: Exclusive,
    takeover: Takeover,
    epochs: Epochs,
    liveness: Liveness,
    vigil: Vigil,
    broken: Option<Violation>,
}

impl Checks {
    /// With each machine's timing, by the file that it was given.
    pub(crate) fn new(plan: &Plan, timings: &[Timing]) -> Checks {
        let bounds = timings.iter().map(|timing| Bounds::new(plan, timing));
        let bounds: Vec<_> = bounds.collect();
        let slowest = timings.iter().max_by_key(|timing| timing.deadtime);
        let slowest = slowest.expect("a world has machines");
        Checks {
            hearing: Hearing::new(&bounds),
            quorum: Quorum::new(plan, bounds.clone()),
            vouched: Part::default(),
            swept: Duration::ZERO,
            exclusive: Exclusive::new(plan, bounds.clone()),
            takeover: Takeover::new(plan, bounds.clone()),
            epochs: Epochs::new(plan),
            liveness: Liveness::new(plan, slowest),
            vigil: Vigil::new(plan, bounds),
            broken: None,
        }
    }

    /// A promise is broken; the first one counts.
    pub(crate) fn broken(&mut self, promise: &'static str, at: At, text: &str) {
        self.broken.get_or_insert_with(|| Violation {
            promise,
            at,
            text: text.to_owned(),
        });
    }

    fn found(&mut self, at: At, found: Found) {
        if let Some((promise, text)) = found {
            self.broken(promise, at, &text);
        }
    }

    /// The first broken promise.
    pub(crate) fn take(&mut self) -> Option<Violation> {
        self.broken.take()
    }

    /// After every event: at the machine to which it happened, at all of them if it was to
    /// none, and in any case often enough.
    pub(crate) fn look(&mut self, now: At, machine: Option<usize>, machines: &[Machine]) {
        let found = self
            .exclusive
            .look(now, machines, &self.hearing, self.vouched);
        self.found(now, found);
        match machine {
            Some(id) if now < self.swept + SWEEP => self.look_at(now, id, machines),
            _ => {
                self.swept = now;
                for id in 0..machines.len() {
                    self.look_at(now, id, machines);
                }
            }
        }
    }

    fn look_at(&mut self, now: At, id: usize, machines: &[Machine]) {
        let machine = &machines[id];
        let found = self.vigil.look(now, id, machine);
        self.found(now, found);
        if machine.kernel.bound.contains(&true) && !self.exclusive.excused(now, id) {
            let found = self
                .quorum
                .look(now, id, machine, &self.hearing, self.vouched);
            self.found(now, found);
        }
    }

    pub(crate) fn life_begins(&mut self, now: At, id: usize) {
        self.hearing.life_begins(id);
        self.quorum.life_begins(id);
        self.exclusive.life_begins(id);
        self.takeover.life_begins(id);
        self.epochs.life_begins(id);
        self.vigil.life_begins(now, id);
    }

    pub(crate) fn life_ends(&mut self, now: At, id: usize, machines: &[Machine]) {
        self.takeover.life_ends(id, machines);
        self.vigil.life_ends(now, id);
    }

    pub(crate) fn ails(&mut self, now: At, id: usize, old: Ills, new: Ills) {
        self.exclusive.ails(now, id, old, new);
        self.vigil.ails(now, id, old, new);
    }

    pub(crate) fn heard(&mut self, now: At, id: usize, origin: &Origin, machines: &[Machine]) {
        if self.hearing.heard(now, id, origin, machines) {
            self.exclusive.heard(now, id, origin);
        }
    }

    pub(crate) fn pinged(&mut self, now: At, id: usize) {
        self.exclusive.pinged(now, id);
    }

    /// The witness's answer that it speaks for a machine reaches it; when that asked.
    pub(crate) fn witnessed(&mut self, id: usize, asked: Duration) {
        self.quorum.witnessed(id, asked);
    }

    /// A group's first resource starts at a node that did not run it.
    pub(crate) fn starts(&mut self, now: At, id: usize, group: usize, machines: &[Machine]) {
        let (hearing, vouched) = (&self.hearing, self.vouched);
        let eye = Eye {
            machines,
            hearing,
            vouched,
        };
        self.takeover.starts(now, id, group, &eye);
    }

    pub(crate) fn bound(&mut self, now: At, id: usize, group: usize, machines: &[Machine]) {
        self.exclusive.bound(now, id, group);
        let (hearing, vouched) = (&self.hearing, self.vouched);
        let eye = Eye {
            machines,
            hearing,
            vouched,
        };
        let found = self.takeover.bound(now, id, group, &eye);
        self.found(now, found);
    }

    pub(crate) fn removed(&mut self, id: usize, group: usize) {
        self.exclusive.removed(id, group);
        self.takeover.removed(id, group);
    }

    pub(crate) fn beats(&mut self, now: At, id: usize, port: u8, machine: &Machine) {
        let found = self.vigil.beats(now, id, port, machine);
        self.found(now, found);
    }

    pub(crate) fn watchdog_fires(&mut self, now: At, id: usize) {
        let found = self.vigil.watchdog_fires(now, id);
        self.found(now, found);
    }

    pub(crate) fn resets_itself(&mut self, now: At, id: usize, fatal: Fatal) {
        let found = self.vigil.resets_itself(now, id, fatal);
        self.found(now, found);
    }

    /// A node agreed to an operator's wish.
    pub(crate) fn obeyed(&mut self, now: At, id: usize, wish: Wish, machines: &[Machine]) {
        if wish == Wish::TakeoverAnyway {
            let silent = |other: &usize| {
                let hearing = &self.hearing;
                *other != id && hearing.together(now, id, *other, machines).is_none()
            };
            let silent: Part = (0..machines.len()).filter(silent).collect();
            self.vouched = Part(self.vouched.0 | silent.0);
        }
        self.liveness.obeyed(wish);
    }

    pub(crate) fn wants_status(&mut self, now: At, id: usize) -> bool {
        self.epochs.wants(now, id)
    }

    pub(crate) fn status(&mut self, now: At, id: usize, status: &Status, machines: &[Machine]) {
        let found = self.epochs.status(now, id, status, machines, &self.hearing);
        let found = found.map(|(promise, text)| (promise, format!("{}: {text}", Name(id))));
        self.found(now, found);
    }

    pub(crate) fn healed(&mut self, now: At, machines: &[Machine]) {
        self.liveness.healed(now, machines);
    }

    /// Looks once in the healed phase; true when the run has shown all it can.
    pub(crate) fn converging(
        &mut self,
        now: At,
        placement: &Result<Vec<usize>, String>,
        served_by: &[Option<Mac>],
    ) -> bool {
        match self.liveness.look(now, placement, served_by) {
            Ok(over) => over,
            Err(text) => {
                self.broken(self.liveness.promise(), now, &text);
                true
            }
        }
    }

    /// When and where the healed cluster converged, and how soon after the healing.
    pub(crate) fn converged(&self, facts: &mut Facts) {
        facts.converged = self.liveness.converged();
        facts.bound = self.liveness.bound();
    }
}
