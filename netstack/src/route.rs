//! How a host outside the cluster is reached from a port, without the kernel's routes.
//!
//! Owns one rule: straight when it is on a network of the port, else by the first gateway
//! that is. Never changes while the node runs.

use core::net::IpAddr;

use crate::config::PortConfig;

/// Our address towards a host, and whom to hand packets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) own: IpAddr,
    pub(crate) hop: IpAddr,
}

impl Route {
    /// `None` when the port has no address for either, and the host can never answer.
    pub(crate) fn to(target: IpAddr, port: &PortConfig) -> Option<Route> {
        let own = |hop: IpAddr| {
            let addresses = port.addresses.iter();
            let near = addresses.clone().find(|prefix| prefix.contains(hop));
            // A link-local hop is near on every port, whatever our prefixes are.
            let any = || {
                addresses
                    .clone()
                    .find(|prefix| link_local(hop) && prefix.address.is_ipv6())
            };
            near.or_else(any).map(|prefix| prefix.address)
        };
        core::iter::once(target)
            .chain(port.gateways.iter().copied())
            .filter(|hop| hop.is_ipv4() == target.is_ipv4())
            .find_map(|hop| own(hop).map(|own| Route { own, hop }))
    }
}

fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
