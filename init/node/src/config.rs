//! One node's configuration: its parts' own, and how they are wired together.
//!
//! `kodo-config` makes it from a validated cluster file; nothing here is checked again.

use core::net::IpAddr;

use heapless::Vec;
use kodo_engine::Now;
use kodo_engine::limits as engine;
use serde::{Deserialize, Serialize};

use crate::io::{Line, Port, ServiceId};
use crate::limits;
use crate::status::Name;

/// Everything a node needs to know before its first input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The cluster's name, for people.
    pub cluster: Name,
    /// The deciding part.
    pub engine: kodo_engine::Config,
    /// The part that looks after service processes.
    pub supervisor: kodo_supervisor::Config,
    /// The part that speaks on wires.
    pub netstack: kodo_netstack::Config,
    /// By `PathId`: how that path leaves this node; `None` where this node has no end of it.
    pub paths: Vec<Option<Wire>, { engine::PATHS }>,
    /// By `ResourceId`: what stands behind it.
    pub resources: Vec<Target, { engine::RESOURCES }>,
    /// The port on which clients reach the VIPs.
    pub public: Port,
    /// A privileged helper that answers later than this has failed.
    pub act_timeout: Now,
    /// Whether [`crate::io::Drill`] is allowed.
    pub drills: bool,
}

/// This node's end of a heartbeat path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wire {
    /// A network port.
    Port(Port),
    /// A serial line.
    Line(Line),
}

/// What stands behind a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A VIP: its position among the VIPs, its port here and its address.
    Vip {
        /// Position in `kodo_netstack::Config`'s VIPs, at most [`limits::VIPS`].
        index: u8,
        /// The port that carries it on this node.
        port: Port,
        /// The address itself.
        address: IpAddr,
    },
    /// A service.
    Service(ServiceId),
    /// That this service's instance here is the promoted one.
    Role(ServiceId),
}

const _: () = assert!(
    limits::VIPS + 2 * limits::SERVICES <= engine::RESOURCES,
    "every resource has an id"
);
