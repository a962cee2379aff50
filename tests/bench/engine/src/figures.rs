//! Figures and how they read: tables with ratios, and JSON.
//!
//! Owns what is said of a measurement. Measures nothing, judges nothing.

use std::fmt;
use std::time::Duration;

use kodo_netstack::{ethernet, serial};
use serde::Serialize;

/// Preamble, check sequence and gap of an Ethernet frame.
const AROUND: usize = 8 + 4 + 12;
/// Of a gigabit network, in bits a second.
const GIGABIT: f64 = 1e9;
/// Start bit, eight data bits, stop bit.
const BITS: usize = 10;
/// Of the serial line between the first two nodes.
pub(crate) const BAUD: u32 = 115_200;

/// One size of cluster at one keepalive.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) nodes: usize,
    pub(crate) keepalive: Duration,
    pub(crate) calls: Calls,
    pub(crate) second: Second,
    pub(crate) ethernet: Beat,
    pub(crate) serial: Beat,
    /// In all of the engines' calls.
    pub(crate) allocations: u64,
}

/// What one call of an engine takes, with the effects that it asks for: medians, in
/// microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Calls {
    /// A heartbeat that says something new.
    pub(crate) news: f64,
    /// The same heartbeat by another path.
    pub(crate) copy: f64,
    /// The timer, and what it sends.
    pub(crate) tick: f64,
    /// A frame with another signature.
    pub(crate) forged: f64,
    /// A frame that was heard before.
    pub(crate) replayed: f64,
}

/// One node's share in one second of a healthy cluster.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Second {
    /// Heartbeats that it hears, copies among them.
    pub(crate) heard: f64,
    /// What the engine takes for them and for its own, at the medians, in microseconds.
    pub(crate) cost: f64,
}

/// The heartbeat of one kind of path.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Beat {
    /// The largest, in bytes as the engine signs it.
    pub(crate) frame: usize,
    /// With all that the medium puts around it.
    pub(crate) on_wire: usize,
    /// How often each node sends one.
    pub(crate) every: Duration,
    /// Share of the medium that these take: of an Ethernet all nodes', of a line one
    /// direction's.
    pub(crate) share: f64,
}

impl Beat {
    pub(crate) fn on_ethernet(frame: usize, every: Duration, nodes: usize) -> Beat {
        let on_wire = ethernet::wire_len(frame) + AROUND;
        let bits = (nodes * on_wire * 8) as f64;
        Beat {
            frame,
            on_wire,
            every,
            share: bits / every.as_secs_f64() / GIGABIT,
        }
    }

    pub(crate) fn on_serial(frame: usize, every: Duration) -> Beat {
        let on_wire = serial::wire_len(frame);
        Beat {
            frame,
            on_wire,
            every,
            share: line_time(on_wire).as_secs_f64() / every.as_secs_f64(),
        }
    }
}

/// How long a line is busy with so many bytes.
fn line_time(bytes: usize) -> Duration {
    Duration::from_secs_f64((bytes * BITS) as f64 / f64::from(BAUD))
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// How long the bench took.
    pub(crate) took: Duration,
}

impl Report {
    /// The smallest cluster with the same keepalive.
    fn smallest<'a>(&'a self, row: &'a Row) -> &'a Row {
        let alike = self
            .rows
            .iter()
            .filter(|other| other.keepalive == row.keepalive);
        alike.min_by_key(|other| other.nodes).unwrap_or(row)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "One call of an engine, medians in µs; (×) against the smallest cluster at the same keepalive"
        )?;
        writeln!(
            f,
            "{:>5} {:>9} {:>15} {:>6} {:>15} {:>7} {:>9}",
            "nodes", "keepalive", "fresh beat", "copy", "tick, sending", "forged", "replayed"
        )?;
        for row in &self.rows {
            let (calls, base) = (&row.calls, &self.smallest(row).calls);
            writeln!(
                f,
                "{} {:>15} {:>6.1} {:>15} {:>7.1} {:>9.1}",
                key(row),
                times(calls.news, base.news),
                calls.copy,
                times(calls.tick, base.tick),
                calls.forged,
                calls.replayed
            )?;
        }
        writeln!(f, "\nOne node's second in a healthy cluster")?;
        writeln!(
            f,
            "{:>5} {:>9} {:>11} {:>18} {:>15} {:>11}",
            "nodes", "keepalive", "beats heard", "engine, µs", "of a processor", "allocations"
        )?;
        for row in &self.rows {
            let (second, base) = (&row.second, &self.smallest(row).second);
            writeln!(
                f,
                "{} {:>11.0} {:>18} {:>13.3} % {:>11}",
                key(row),
                second.heard,
                times(second.cost, base.cost),
                second.cost / 10_000.0,
                row.allocations
            )?;
        }
        writeln!(
            f,
            "\nThe largest heartbeat, in bytes: as signed, and with all that is around it"
        )?;
        writeln!(
            f,
            "{:>5} {:>9} {:>14} {:>17} {:>14} {:>9} {:>7} {:>14}",
            "nodes",
            "keepalive",
            "on Ethernet",
            "of a gigabit, all",
            "on serial",
            "line busy",
            "every",
            "of 115200 baud"
        )?;
        for row in &self.rows {
            let (ethernet, serial) = (&row.ethernet, &row.serial);
            writeln!(
                f,
                "{} {:>14} {:>15.3} % {:>14} {:>6.1} ms {:>4} ms {:>12.1} %",
                key(row),
                format!("{} ({})", ethernet.frame, ethernet.on_wire),
                ethernet.share * 100.0,
                format!("{} ({})", serial.frame, serial.on_wire),
                line_time(serial.on_wire).as_secs_f64() * 1000.0,
                serial.every.as_millis(),
                serial.share * 100.0
            )?;
        }
        write!(f, "measured in {:.1} s", self.took.as_secs_f64())
    }
}

fn key(row: &Row) -> String {
    format!("{:>5} {:>6} ms", row.nodes, row.keepalive.as_millis())
}

fn times(now: f64, base: f64) -> String {
    format!("{now:.1} (×{:.1})", now / base.max(0.001))
}
