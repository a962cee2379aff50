//! What the nodes' ports and lines must not share, and what they must.

use super::Unique;
use super::nodes::Node;
use crate::cluster::{NicId, Role};
use crate::diagnostic::{Diagnostic, Sink};

/// Names, hardware addresses and addresses that two things share.
pub(super) fn distinct(sink: &mut Sink<'_>, nodes: &[Node]) {
    let mut names = Unique::new();
    let mut macs = Unique::new();
    let mut addresses = Unique::new();
    for node in nodes {
        if let Some(name) = &node.name
            && let Some(first) = names.insert(name.get_ref().to_lowercase(), name.span())
        {
            sink.push(
                Diagnostic::error(
                    name.span(),
                    format!("two nodes are called `{}`", name.get_ref()),
                )
                .see(first, "the first one")
                .help("give every node its own name; capitals make no difference"),
            );
        }
        let mut here = Unique::new();
        let mut devices = Unique::new();
        for nic in &node.nics {
            if let Some(id) = &nic.id {
                let first = match id.get_ref() {
                    NicId::Mac(mac) => macs.insert(*mac, id.span()),
                    other => here.insert(other.clone(), id.span()),
                };
                if let Some(first) = first {
                    sink.push(
                        Diagnostic::error(id.span(), format!("two ports are found by {}", id.get_ref()))
                            .see(first, "the first one")
                            .because("a machine finds out by its ports which node it is and what each cable is for")
                            .help("read the right one from the card's label or the firmware's boot screen"),
                    );
                }
            }
            for address in &nic.addresses {
                if let Some(first) = addresses.insert(address.get_ref().address, address.span()) {
                    sink.push(
                        Diagnostic::error(
                            address.span(),
                            format!("the address {} is given twice", address.get_ref().address),
                        )
                        .see(first, "the first time")
                        .help("give every port its own address"),
                    );
                }
            }
        }
        for line in &node.serial {
            if let Some(first) = devices.insert(line.device.get_ref().clone(), line.device.span()) {
                sink.push(
                    Diagnostic::error(
                        line.device.span(),
                        format!("two lines use {}", line.device.get_ref()),
                    )
                    .see(first, "the first one")
                    .help("name the other serial port, or remove this table"),
                );
            }
        }
    }
}

/// Two ports of one node in the same network: the kernel would answer on either.
pub(super) fn own_networks(sink: &mut Sink<'_>, node: &Node) {
    for (position, nic) in node.nics.iter().enumerate() {
        for address in &nic.addresses {
            let clash = node.nics[..position]
                .iter()
                .flat_map(|other| &other.addresses)
                .find(|other| {
                    other.get_ref().overlaps(address.get_ref())
                        && other.get_ref().address != address.get_ref().address
                });
            if let Some(clash) = clash {
                sink.push(
                    Diagnostic::error(
                        address.span(),
                        format!("{} is in the network of another port", address.get_ref()),
                    )
                    .see(clash.span(), "that port's address")
                    .because("the kernel would send to that network through either of the two")
                    .help("use separate networks; a crossover needs no address for its heartbeats"),
                );
            }
        }
    }
}

/// The n-th LAN is one network: its prefix lengths must agree on all nodes.
pub(super) fn same_networks(sink: &mut Sink<'_>, nodes: &[Node]) {
    let [first, others @ ..] = nodes else { return };
    for other in others {
        for role in [Role::Lan, Role::Crossover] {
            for (a, b) in first.ports(role).zip(other.ports(role)) {
                for address in &b.addresses {
                    let unequal = a.addresses.iter().find(|theirs| {
                        theirs.get_ref().overlaps(address.get_ref())
                            && theirs.get_ref().prefix != address.get_ref().prefix
                    });
                    if let Some(unequal) = unequal {
                        sink.push(
                            Diagnostic::error(address.span(), format!("{} and {} share a network but not its prefix length", address.get_ref(), unequal.get_ref()))
                                .see(unequal.span(), format!("on {}", first.title()))
                                .because("one of the two nodes would take neighbours for strangers behind the gateway")
                                .help("write the network's prefix length at both"),
                        );
                    }
                }
            }
        }
    }
}
