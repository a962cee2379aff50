//! Every high-availability decision of a node, as a state machine without I/O.
//!
//! Time and randomness are arguments. Inputs go in through `handle_*`, each with
//! `now`; outputs are drained through `poll_*`; plain getters tell the status.
//!
//! | module | owns |
//! |---|---|
//! | [`types`], [`config`], [`surface`], [`limits`] | the vocabulary |
//! | [`timing`] | the lease arithmetic |
//! | [`codec`], [`table`] | layouts: of the heartbeat, of operators' wishes on disk |
//! | [`operator`], [`claims`], [`placement`] | wishes, tenures, where groups run |
//! | `peer`, `twin`, `sends` | identity and freshness |
//! | [`witness`] | the word of a third party: its messages, its decision, the node's half |
//! | `engine` | the stages: detect, agree, lease, place, run, keep, beat |
//!
//! Deliberately absent: I/O, clocks, entropy, allocation, threads, disks.
#![cfg_attr(not(test), no_std)]

pub mod claims;
pub mod codec;
pub mod config;
pub mod counters;
mod engine;
mod group;
mod level;
pub mod limits;
mod membership;
pub mod operator;
mod peer;
pub mod placement;
mod progress;
pub mod reload;
mod rng;
mod sends;
pub mod surface;
pub mod table;
#[cfg(test)]
mod testing;
mod text;
mod timers;
pub mod timing;
mod twin;
pub mod types;
pub mod witness;

pub use config::Config;
pub use engine::{Engine, Hindrance};
pub use types::{BootId, GroupId, Key, NodeId, NodeSet, Now, PathId, ResourceId};
