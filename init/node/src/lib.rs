//! One node: engine, supervisor and netstack pumped in one fixed order.
//!
//! Owns the order of calls and the translation between the parts. Decides nothing,
//! performs nothing: PID 1 and the simulator give it [`io::Input`] and carry out
//! [`io::Output`].
#![no_std]

pub mod config;
pub mod io;
pub mod limits;
pub mod status;
