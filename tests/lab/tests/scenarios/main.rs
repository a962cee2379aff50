//! The situations of twenty years of bug trackers, on the shipped image. Each module is
//! one family, each test one named case; see `tests/lab/src/story.rs` for the door.

mod agents;
mod boots;
mod cables;
mod deaths;
mod hostile;
mod imported;
mod operators;
mod origins;
mod plain;
mod policy;
mod promotable;
mod reload;
mod services;
mod state;
mod votes;
mod witness;
