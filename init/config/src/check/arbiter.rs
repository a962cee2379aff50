//! The ping group and the witness: hosts outside the cluster whose word counts.

use core::net::IpAddr;

use toml::Spanned;

use super::nodes::{Node, Nodes};
use super::policy::{General, WitnessChecked};
use super::resources::Resources;
use super::{Unique, too_many};
use crate::cluster::{Role, SplitBrain};
use crate::diagnostic::{Diagnostic, Sink};
use crate::words::and;

/// Judges whether `split_brain` has its arbiter, and where that is. `readable` tells whether
/// every table of the file was.
pub(super) fn judge(
    sink: &mut Sink<'_>,
    general: &General,
    witness: Option<&WitnessChecked>,
    nodes: &Nodes,
    resources: &Resources,
    readable: bool,
) {
    let policy = general.split_brain.as_ref();
    let limit = kodo_netstack::limits::TARGETS;
    let spans: Vec<_> = general.ping.iter().map(Spanned::span).collect();
    too_many(sink, "ping targets", &spans, limit);
    match (policy.map(|policy| (*policy.get_ref(), policy.span())), witness) {
        (Some((SplitBrain::Ping, place)), _) if general.ping_span.is_none() => sink.push(
            Diagnostic::error(place, "`split_brain = \"ping\"` needs somebody to ping")
                .because("the side that still reaches the ping group may go on; without one nobody may")
                .help("write `ping = [\"192.168.0.1\"]` with addresses that every client depends on: the gateway, the switch"),
        ),
        (Some((SplitBrain::Witness, place)), None) if readable => sink.push(
            Diagnostic::error(place, "`split_brain = \"witness\"` needs a witness")
                .because("the half that the witness speaks for may go on; without one neither may")
                .help("write a `[witness]` table with the `address` of a third machine that runs `kodo witness`, and its `key_file`"),
        ),
        (Some((policy, place)), Some(witness)) if policy != SplitBrain::Witness => sink.push(
            Diagnostic::error(witness.span.clone(), "nobody asks this witness")
                .see(place, "this decides instead")
                .because("one rule decides in a split, not two")
                .help("write `split_brain = \"witness\"`, or remove the table"),
        ),
        _ => {}
    }
    let mut seen = Unique::new();
    for target in &general.ping {
        if let Some(first) = seen.insert(*target.get_ref(), target.span()) {
            sink.push(
                Diagnostic::error(
                    target.span(),
                    format!("{} is named twice", target.get_ref()),
                )
                .see(first, "here")
                .help("remove one of the two"),
            );
        }
        outside(sink, &PING, target, nodes, resources);
    }
    if let Some(address) = witness.and_then(|witness| witness.address.as_ref()) {
        outside(sink, &WITNESS, address, nodes, resources);
    }
}

/// What is said of an address that is no good for an arbiter.
struct Words {
    nowhere: &'static str,
    inside: &'static str,
    instead: &'static str,
    within_reach: &'static str,
}

const PING: Words = Words {
    nowhere: "cannot prove that the network is there",
    inside: "the ping group decides between the nodes, so none of them may be in it",
    instead: "write the address of a router or switch on the LAN",
    within_reach: "write a target on the LAN itself, or give the lan ports a `gateway`",
};

const WITNESS: Words = Words {
    nowhere: "is nobody's address on a network",
    inside: "the witness decides between the nodes, so it runs on none of them",
    instead: "write the address of a third machine that runs `kodo witness`",
    within_reach: "write the address of a machine on the LAN itself, or give the lan ports a `gateway`",
};

/// Refuses an address that is not outside the cluster, or that a node cannot reach.
fn outside(
    sink: &mut Sink<'_>,
    words: &Words,
    target: &Spanned<IpAddr>,
    nodes: &Nodes,
    resources: &Resources,
) {
    let address = *target.get_ref();
    if address.is_loopback() || address.is_multicast() || address.is_unspecified() {
        sink.push(
            Diagnostic::error(target.span(), format!("{address} {}", words.nowhere))
                .help(words.instead),
        );
        return;
    }
    let own = nodes.list.iter().find_map(|node| {
        node.nics
            .iter()
            .flat_map(|nic| &nic.addresses)
            .find(|own| own.get_ref().address == address)
            .map(|own| (node, own))
    });
    if let Some((node, own)) = own {
        sink.push(
            Diagnostic::error(
                target.span(),
                format!("{address} is {}'s own address", node.title()),
            )
            .see(own.span(), "given here")
            .because(words.inside)
            .help(words.instead),
        );
        return;
    }
    if let Some(vip) = resources
        .vip_addresses
        .iter()
        .find(|vip| vip.get_ref().address == address)
    {
        sink.push(
            Diagnostic::error(target.span(), format!("{address} is a VIP"))
                .see(vip.span(), "given here")
                .because("its holder would always reach it, whatever happened to the network")
                .help(words.instead),
        );
        return;
    }
    if !nodes.complete {
        return;
    }
    let reaches = |node: &&Node| {
        node.ports(Role::Lan).any(|nic| {
            nic.addresses
                .iter()
                .any(|own| own.get_ref().contains(address))
                || nic
                    .gateways
                    .iter()
                    .any(|gateway| gateway.get_ref().is_ipv4() == address.is_ipv4())
        })
    };
    let lost: Vec<_> = nodes.list.iter().filter(|node| !reaches(node)).collect();
    if !lost.is_empty() {
        let titles: Vec<_> = lost.iter().map(|node| node.title()).collect();
        let item = Diagnostic::error(
            target.span(),
            format!("no way from {} to {address}", and(&titles)),
        )
        .because("no lan port there has such a network, or a gateway of that family")
        .help(words.within_reach);
        sink.push(
            lost.iter()
                .fold(item, |item, node| item.see(node.span.clone(), "from here")),
        );
    }
}
