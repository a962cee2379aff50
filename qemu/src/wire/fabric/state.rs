//! What is told about cables, and how their directions are named.

use std::fmt;
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

/// One station is not heard by another, whatever lies between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Who sends in vain.
    pub from: Arc<str>,
    /// Who gets nothing of it.
    pub to: Arc<str>,
    /// The only switch or direct cable where it is so; `None` for all.
    pub on: Option<Arc<str>>,
}

impl Part {
    /// Whether it keeps a frame from passing here.
    pub(super) fn stops(&self, here: &str, from: &str, to: &str) -> bool {
        *self.from == *from && *self.to == *to && self.on.as_deref().is_none_or(|only| only == here)
    }

    /// Whether it stops all that another one does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.from == other.from && self.to == other.to && (self.on.is_none() || self.on == other.on)
    }

    /// Several in few words: `node1 and node3, node1 -> node2 on lan`, where the first is a
    /// part in both directions.
    #[must_use]
    pub fn words(parts: &[Self]) -> Vec<String> {
        let mirrored = |part: &Self| {
            let mirror = |other: &Self| {
                other.from == part.to && other.to == part.from && other.on == part.on
            };
            parts.iter().position(mirror)
        };
        let told = parts.iter().enumerate().filter_map(|(at, part)| {
            let on = part.on.as_ref().map(|on| format!(" on {on}"));
            let on = on.unwrap_or_default();
            match mirrored(part) {
                Some(other) if other < at => None,
                Some(_) => Some(format!("{} and {}{on}", part.from, part.to)),
                None => Some(format!("{part}")),
            }
        });
        told.collect()
    }
}

/// `node1 -> node3 on lan`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)?;
        match &self.on {
            Some(on) => write!(f, " on {on}"),
            None => Ok(()),
        }
    }
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
