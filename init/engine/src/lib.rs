//! Every high-availability decision of a node, as a state machine without I/O.
//!
//! Time and randomness are arguments. Inputs go in through `handle_*`, each with
//! `now`; outputs are drained through `poll_*`; plain getters tell the status.
#![no_std]

pub mod config;
pub mod counters;
mod engine;
pub mod limits;
pub mod surface;
pub mod types;

pub use config::Config;
pub use engine::Engine;
pub use types::{BootId, GroupId, Key, NodeId, NodeSet, Now, PathId, ResourceId};
