//! One state of the search: small, comparable, and cheap to copy.
//!
//! Owns the picture between two ticks. Engines are shared by all states that have the same
//! one, with a digest of everything that counts in them; a state is compared by digests.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use kodo_engine::surface::Report;
use kodo_engine::witness::Granter;
use kodo_engine::{BootId, Engine};

use crate::judge::Judge;
use crate::setting::{Budget, HOLD_OFF, NODES};

/// An engine at rest. Its hash says which one it is: `kodo_engine` decides what counts.
#[derive(Debug)]
pub(crate) struct Brain {
    pub(crate) engine: Box<Engine>,
    digest: u64,
}

impl Brain {
    pub(crate) fn new(engine: Box<Engine>) -> Brain {
        Brain {
            digest: digest(&*engine),
            engine,
        }
    }
}

impl PartialEq for Brain {
    fn eq(&self, other: &Brain) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Brain {}

impl Hash for Brain {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.digest);
    }
}

/// The same in every run, so that a story stays the same.
pub(crate) fn digest(value: &impl Hash) -> u64 {
    ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one(value)
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) brain: Option<Arc<Brain>>,
    /// Switched on, and boots then.
    pub(crate) boots_at: Option<u64>,
    /// Lives so far.
    pub(crate) lives: u8,
    /// When its clock showed zero, and for how long it stood since.
    pub(crate) booted: u64,
    pub(crate) stood: u64,
    /// Its clock stands since then.
    pub(crate) paused: Option<u64>,
    /// Its loop stands, its clock does not.
    pub(crate) stalled: bool,
    /// What arrived meanwhile.
    pub(crate) inbox: Vec<Cargo>,
    pub(crate) next_ping: u64,
    /// It acts as the owner of the resource, as seen from outside.
    pub(crate) acts: bool,
    /// Until when the kernel lets it speak as such, by its own clock.
    pub(crate) gate: u64,
    /// Faster than the world by so many parts per thousand.
    pub(crate) drift: i64,
    /// Boots so long after the tick begins.
    pub(crate) phase: u64,
}

impl Node {
    pub(crate) fn off(drift: i64, phase: u64) -> Node {
        Node {
            brain: None,
            boots_at: None,
            lives: 0,
            booted: 0,
            stood: 0,
            paused: None,
            stalled: false,
            inbox: Vec::new(),
            next_ping: 0,
            acts: false,
            gate: 0,
            drift,
            phase,
        }
    }

    /// What its clock shows.
    pub(crate) fn local(&self, now: u64) -> u64 {
        let elapsed = self.paused.unwrap_or(now) - self.booted - self.stood;
        scale(elapsed, 1000 + self.drift, 1000)
    }

    /// When its clock will show this, or a little later.
    pub(crate) fn world(&self, local: u64) -> u64 {
        let exact = self.drift == 0;
        let elapsed = scale(local, 1000, 1000 + self.drift) + u64::from(!exact);
        (self.booted + self.stood).saturating_add(elapsed)
    }

    /// Switched on, or about to be.
    pub(crate) fn on(&self) -> bool {
        self.brain.is_some() || self.boots_at.is_some()
    }

    /// Its loop does not run.
    pub(crate) fn stands(&self) -> bool {
        self.stalled || self.paused.is_some()
    }

    pub(crate) fn runs(&self) -> bool {
        self.brain.is_some() && !self.stands()
    }
}

fn clock(drift: i64, now: u64) -> Duration {
    Duration::from_nanos(scale(now, 1000 + drift, 1000))
}

fn scale(time: u64, by: i64, of: i64) -> u64 {
    let scaled = i128::from(time) * i128::from(by) / i128::from(of);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The witness: one life of it, and a clock of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Witness {
    pub(crate) granter: Granter,
    pub(crate) life: u8,
    pub(crate) drift: i64,
}

impl Witness {
    /// Starts at `now` and has forgotten everything.
    pub(crate) fn start(life: u8, drift: i64, now: u64) -> Witness {
        let (hold_off, now) = (Duration::from_nanos(HOLD_OFF), clock(drift, now));
        Witness {
            granter: Granter::new(life.into(), hold_off, now),
            life,
            drift,
        }
    }

    pub(crate) fn clock(&self, now: u64) -> Duration {
        clock(self.drift, now)
    }
}

/// Something on its way to a node, or from it to the witness.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) at: u64,
    pub(crate) to: usize,
    pub(crate) what: Cargo,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cargo {
    /// A heartbeat, with its sender's life and its word on the group.
    Frame {
        from: usize,
        life: u8,
        tenure: u64,
        holds: bool,
        bytes: Arc<[u8]>,
    },
    /// What became of the resource, for the life that asked.
    Report {
        report: Outcome,
        life: u8,
    },
    /// The ping group's answer to a question of this local time.
    Pong {
        asked: u64,
        life: u8,
    },
    /// A question to the witness, and its answer to a node.
    Question {
        from: usize,
        bytes: Arc<[u8]>,
    },
    Answer {
        bytes: Arc<[u8]>,
    },
}

/// A [`Report`] that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Started,
    Stopped,
}

impl Outcome {
    pub(crate) fn report(self) -> Report {
        match self {
            Outcome::Started => Report::Started,
            Outcome::Stopped => Report::Stopped,
        }
    }
}

/// What the environment does, and may still do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Environment {
    /// Shapes in force, one bit each.
    pub(crate) cut: u32,
    /// Nodes that the arbiter answers, one bit each; and when it last stopped to.
    pub(crate) reach: u8,
    pub(crate) lost_at: [u64; NODES],
    pub(crate) left: Budget,
    /// Ticks since its last move.
    pub(crate) idle: u8,
    /// Moves of one tick come in one order: only those from here on may follow.
    pub(crate) next: u8,
}

/// Everything, at the beginning of a tick.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) witness: Option<Witness>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) environment: Environment,
    pub(crate) judge: Judge,
}

impl State {
    /// A machine is gone, and what was on its way to it.
    pub(crate) fn switch_off(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        (node.brain, node.acts) = (None, false);
        (node.paused, node.stalled) = (None, false);
        node.inbox.clear();
        self.flights.retain(|flight| flight.to != n);
    }
}

/// A life's id: without order between older and newer, and the same in every run.
pub(crate) fn boot_id(node: usize, life: u8) -> BootId {
    let number = node as u64 * 256 + u64::from(life);
    BootId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}
