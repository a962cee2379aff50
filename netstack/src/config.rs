//! What the cluster file says, in the netstack's terms. `kodo-config` makes it from a
//! validated file; it is never checked again, only asserted.

use core::net::IpAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::types::{IfIndex, Now, Prefix};

/// One node's wires and what to do on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Network ports, crossovers included, in cluster-file order.
    pub ports: Vec<PortConfig, { limits::PORTS }>,
    /// How many serial lines there are; at most [`limits::LINES`].
    pub lines: u8,
    /// VIPs, in the same order on every node.
    pub vips: Vec<VipConfig, { limits::VIPS }>,
    /// What must answer pings for the public network to count as reachable.
    pub targets: Vec<TargetConfig, { limits::TARGETS }>,
    /// The host that breaks ties, where there is one.
    pub witness: Option<WitnessConfig>,
}

/// One network port. A crossover has neither addresses nor gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortConfig {
    /// Static addresses: the sources of pings.
    pub addresses: Vec<Prefix, { limits::ADDRESSES }>,
    /// Routers on this port: next hops to targets outside every prefix.
    pub gateways: Vec<IpAddr, { limits::GATEWAYS }>,
}

/// One VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipConfig {
    /// The address.
    pub address: IpAddr,
    /// The port on which clients reach it.
    pub port: IfIndex,
}

/// One ping target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetConfig {
    /// Its address: on a prefix of the port, or behind one of its gateways.
    pub address: IpAddr,
    /// The port that reaches it.
    pub port: IfIndex,
    /// Time between two echo requests.
    pub interval: Now,
}

/// The witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessConfig {
    /// Its address: on a prefix of the port, or behind one of its gateways.
    pub address: IpAddr,
    /// The UDP port on which it listens.
    pub udp: u16,
    /// The port that reaches it.
    pub port: IfIndex,
}
