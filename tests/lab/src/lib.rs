//! Stories told on the shipped image: real kernels in QEMU, faults from outside only.
//!
//! Owns the door through which every scenario begins ([`Story::begin`]), the states that
//! scenarios wait for, and the judgement at their end ([`Story::end`]): from recorded
//! frames, never from the nodes' own word, whether two nodes spoke for a VIP at once; and
//! whether the cluster did what `kodo simulate` had foretold ([`Story::foretell`]).
//! Never sleeps: it waits for states, each with a deadline.
//!
//! A scenario that panics prints its timeline and keeps its captures (see
//! [`kodo_qemu::Lab`]).

pub mod brought;
mod foretold;
mod image;
mod operator;
mod story;

pub use foretold::Way;
pub use image::{
    Cluster, FROM_CIB, FROM_HEARTBEAT, MUTUAL, N_PLUS_ONE, PAIR, PROMOTABLE, THREE, VOTER, Variant,
    WITNESS, boot_json,
};
pub use operator::{Desk, Told};
pub use story::{GROUP, Story, TWIN};
