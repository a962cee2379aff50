//! One node: engine, supervisor and netstack pumped in one fixed order.
//!
//! Owns the order of calls and the translation between the parts. Decides nothing,
//! performs nothing: PID 1 and the simulator give it [`io::Input`] and carry out
//! [`io::Output`].
#![no_std]

mod acts;
mod children;
pub mod config;
pub mod io;
pub mod limits;
mod log;
mod node;
mod operator;
mod report;
pub mod status;
mod switch;
mod vip;
mod words;

pub use config::Config;
pub use kodo_engine::Now;
pub use kodo_netstack::limits::WITNESS_PORT;
pub use kodo_netstack::{ETHERTYPE, GROUP_MAC};
pub use node::Node;
pub use switch::{Seats, Unfit};
