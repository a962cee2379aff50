//! What a node says and hears on its wires, without any I/O.
//!
//! Owns the heartbeat framing on Ethernet and serial lines, the search for strangers on
//! a virtual address and its announcement (ARP, NDP), the reachability of ping targets
//! (ICMP), and the way of questions to a witness (UDP). It works beside the kernel's IP stack and shares nothing with it: a
//! wrong route or packet filter cannot silence it.
//!
//! Never decides who may hold an address, never looks into a heartbeat, never reads a
//! clock. Read first: RFC 826 and RFC 5227 (ARP), RFC 4861, RFC 4862 and RFC 9131 (NDP).
#![no_std]

#[cfg(test)]
extern crate std;

mod announce;
pub mod config;
pub mod ethernet;
mod jitter;
pub mod limits;
mod neighbour;
pub mod packet;
mod ping;
mod route;
pub mod serial;
mod stack;
mod surface;
mod types;
mod witness;

pub use config::Config;
pub use ethernet::{ETHERTYPE, GROUP_MAC};
pub use stack::Stack;
pub use surface::{Counters, Event, Ingress, Transmit, Unsent};
pub use types::{IfIndex, LineIndex, Mac, Now, Prefix, TargetIndex, VipIndex};
