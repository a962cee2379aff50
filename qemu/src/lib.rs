//! The lab: a cluster's machines in QEMU, on wires that this process is.
//!
//! No root, no bridge, no tap: each machine's network ports and serial lines are unix
//! sockets of this process, which is the LAN's switch, the crossover and null-modem
//! cables, and the power switch. It breaks things from outside, as the world does, records
//! what passed, and measures from a client on the LAN what users would have seen.
//!
//! A node is a black box here: `boot.json` says how to start it, and everything else is
//! bytes on wires and consoles, and JSON from its admin API.
//!
//! ```no_run
//! use std::time::Duration;
//! # fn main() -> kodo_qemu::Result<()> {
//! let lab = kodo_qemu::Lab::start("out/boot.json".as_ref(), kodo_qemu::Options::default())?;
//! lab.power_on_all()?;
//! let first = lab.wait_for("a page", Duration::from_secs(60), |lab| lab.client().answering())?;
//! lab.power_off(&first)?;
//! lab.wait_for("the other node", Duration::from_secs(20), |lab| {
//!     lab.client().answering().filter(|node| *node != first)
//! })?;
//! let vip = lab.boot().vips[0].addr;
//! assert!(lab.wire().overlaps(vip, Duration::ZERO).is_empty());
//! # Ok(())
//! # }
//! ```

mod admin;
mod board;
mod boot;
mod client;
pub mod command;
mod console;
mod core;
mod error;
pub mod front;
mod host;
mod journal;
mod lab;
mod lan;
mod machine;
mod options;
mod place;
mod pump;
#[cfg(test)]
mod test;
mod time;
mod timeline;
pub mod wire;
mod wires;
mod wiring;

pub use admin::Admin;
pub use boot::{Boot, BootForm, BootNode, BootWitness, Cidr, Nic, NicRole, Serial, SerialRole};
pub use client::Client;
pub use console::{Level, LogLine, log_line};
pub use error::{Error, Result};
pub use host::probe::{NODE_HEADER, Outage, Outcome, ProbeOptions, Sample};
pub use journal::{Entry, Event, Journal};
pub use lab::{Lab, Mark, Parting, WitnessProgram};
pub use machine::accel::{self, Accel};
pub use machine::{MachineState, NicModel, Power};
pub use options::Options;
pub use time::{Clock, LabTime};
pub use timeline::Timeline;
pub use wires::Wire;
