//! Stations that do not hear each other while everybody else does.
//!
//! Owns splits that no single cable makes: of three machines on one switch, two are kept
//! apart, both ways or one way. Carriers stay; only frames, and bytes of a serial line
//! between the two, are missed.

use std::fmt;
use std::sync::Arc;

use super::Lab;
use crate::error::{Error, Result};
use crate::wire::fabric::{Fabric, Part};

/// Two stations (machines, or hosts as `gateway` and `client`) that are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    from: Arc<str>,
    to: Arc<str>,
    one_way: bool,
    on: Option<Arc<str>>,
}

impl Parting {
    /// Neither hears the other.
    #[must_use]
    pub fn between(one: &str, other: &str) -> Self {
        Self {
            from: one.into(),
            to: other.into(),
            one_way: false,
            on: None,
        }
    }

    /// Only what the first sends does not reach the second.
    #[must_use]
    pub fn one_way(from: &str, to: &str) -> Self {
        Self {
            one_way: true,
            ..Self::between(from, to)
        }
    }

    /// Only on this switch (`lan`, `crossover`), or on this cable straight from one to the
    /// other.
    #[must_use]
    pub fn on(self, way: &str) -> Self {
        Self {
            on: Some(way.into()),
            ..self
        }
    }

    fn ways(&self) -> Vec<Part> {
        let part = |from: &Arc<str>, to: &Arc<str>| Part {
            from: Arc::clone(from),
            to: Arc::clone(to),
            on: self.on.clone(),
        };
        let mut ways = vec![part(&self.from, &self.to)];
        if !self.one_way {
            ways.push(part(&self.to, &self.from));
        }
        ways
    }
}

/// As it is typed: `node1 node3`, `node1 -> node3 on lan`.
impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.one_way { " -> " } else { " " };
        write!(f, "{}{arrow}{}", self.from, self.to)?;
        match &self.on {
            Some(on) => write!(f, " on {on}"),
            None => Ok(()),
        }
    }
}

impl Lab {
    /// Keeps two stations apart.
    ///
    /// # Errors
    /// When there is no such station, switch or direct cable.
    pub fn part(&self, parting: &Parting) -> Result<()> {
        self.known(parting)?;
        self.act(format!("part {parting}"));
        self.core.change(|fabric| {
            for way in parting.ways() {
                fabric.part(way);
            }
        });
        Ok(())
    }

    /// Lets two stations hear each other again (with [`Parting::one_way`]: the second the
    /// first), on all ways; cables that were cut or harmed stay so.
    ///
    /// # Errors
    /// When there is no such station.
    pub fn join(&self, parting: &Parting) -> Result<()> {
        self.known(parting)?;
        self.act(format!("heal {parting}"));
        self.core.change(|fabric| {
            for way in parting.ways() {
                fabric.join(&way.from, &way.to);
            }
        });
        Ok(())
    }

    /// Puts everything back: all cables, and nobody is kept apart.
    pub fn heal_all(&self) {
        self.act("heal all".to_owned());
        self.core.change(Fabric::heal_all);
    }

    fn known(&self, parting: &Parting) -> Result<()> {
        let (stations, ways) = self
            .core
            .pump
            .with(|world| (world.fabric.stations(), world.fabric.ways()));
        let unknown = |kind, name: &Arc<str>, known: &std::collections::BTreeSet<Arc<str>>| {
            Err(Error::Unknown {
                kind,
                name: name.to_string(),
                known: known.iter().map(ToString::to_string).collect(),
            })
        };
        for station in [&parting.from, &parting.to] {
            if !stations.contains(station) {
                return unknown("station", station, &stations);
            }
        }
        if parting.from == parting.to {
            return Err(Error::Command(format!(
                "`{}` cannot be kept apart from itself",
                parting.from
            )));
        }
        match &parting.on {
            Some(on) if !ways.contains(on) => unknown("way between stations", on, &ways),
            _ => Ok(()),
        }
    }
}
