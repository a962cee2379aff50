//! What is told about cables, and how their directions are named.

use std::sync::Arc;

use serde::Serialize;

use super::Plug;
use crate::wire::flow::Counters;

/// Carrier came or went at one end of a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierChange {
    /// The cable.
    pub cable: Arc<str>,
    /// The end, by its name.
    pub end: Arc<str>,
    /// The plug there; `None` at a switch.
    pub plug: Option<Plug>,
    /// Whether there is carrier now.
    pub up: bool,
    /// Whether there is anything there to see it.
    pub powered: bool,
}

/// One direction of a cable, for people.
#[derive(Clone, Debug, Serialize)]
pub struct FlowState {
    /// The end that sends.
    pub from: Arc<str>,
    /// What became of what it sent.
    pub counters: Counters,
    /// The faults in force, in words; empty when there are none.
    pub faults: String,
}

/// One cable, for people.
#[derive(Clone, Debug, Serialize)]
pub struct CableState {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is pulled.
    pub cut: bool,
    /// Whether each end has carrier, in the order of `flows`.
    pub carrier: [bool; 2],
    /// Both directions.
    pub flows: [FlowState; 2],
}

/// Which directions of a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Both,
    /// What this end sends.
    From(String),
    /// What this end gets.
    To(String),
}
