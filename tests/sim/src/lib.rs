//! The deterministic simulator: real nodes in a made-up world, judged from outside.
//!
//! The bytes that ship run here: [`kodo_node::Node`], configured by the shipped reader of
//! cluster files. Simulated are clocks, wires, a switch with a gateway and a client on it,
//! kernels with their address tables and helpers, service processes, power, watchdogs and
//! operators. A [`plan::Plan`] decides a run bit for bit. It has a phase in which things
//! go wrong and a healed phase that must converge; checkers outside the nodes judge every
//! step by the promises of ARCHITECTURE.md.
//!
//! Never looks into a heartbeat and never asks a node whether it kept a promise: it looks
//! at wires and address tables. Read first: [`plan`], then [`scenario`], then `check`.

pub mod clock;
pub mod cluster;
pub mod facts;
pub mod plan;
pub mod rng;
pub mod scenario;
pub mod story;

mod check;
mod disk;
mod faults;
mod fleet;
mod helpers;
mod host;
mod inject;
mod kernel;
mod lan;
mod machine;
mod origin;
mod packet;
mod power;
mod queue;
mod run;
mod shrink;
mod step;
mod wires;
mod witness;
mod world;

pub use check::Violation;
pub use fleet::{Failure, Fleet, Tally};
pub use run::{Outcome, run};
pub use shrink::shrink;
