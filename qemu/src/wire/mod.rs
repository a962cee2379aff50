//! Wires: cables with faults, the switch, and what was seen on them.

pub mod fabric;
pub mod flow;
pub mod frames;
pub mod judge;
pub mod mac;
mod pcap;
pub mod record;
pub(crate) mod rng;
pub mod sighting;
mod switch;
