//! `[[node]]`, its ports and lines: who is who on every wire.

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use kodo_engine::limits;
use kodo_node::limits as node;
use toml::Spanned;

use super::wires::{distinct, own_networks, same_networks};
use super::{Unique, suggest, take, take_all, too_many};
use crate::cluster::{self, Cidr, NicId, Role};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Name, Text};
use crate::partition::PartitionName;
use crate::raw;
use crate::read::{Entry, NodeEntry};

/// Rates that the kernel's serial drivers set exactly.
const BAUDS: [u32; 10] = [
    9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000, 1_500_000,
];

/// Most votes of one node: more is no finer.
const VOTES: u8 = 100;

/// All nodes, and whether everything about their wires could be read.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) list: Vec<Node>,
    pub(super) complete: bool,
}

/// One node with the places of its values.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) name: Option<Spanned<String>>,
    /// As written, or one.
    pub(super) votes: Spanned<u8>,
    /// Where the file makes it a voter.
    pub(super) voter: Option<Range<usize>>,
    /// As written; without one it has no limit.
    pub(super) capacity: Option<Spanned<u16>>,
    pub(super) state_partition: Option<Spanned<PartitionName>>,
    pub(super) nics: Vec<Nic>,
    pub(super) serial: Vec<Serial>,
}

/// One port.
#[derive(Debug)]
pub(super) struct Nic {
    pub(super) span: Range<usize>,
    pub(super) role: Spanned<Role>,
    pub(super) id: Option<Spanned<NicId>>,
    pub(super) addresses: Vec<Spanned<Cidr>>,
    pub(super) gateways: Vec<Spanned<IpAddr>>,
}

/// One line.
#[derive(Debug)]
pub(super) struct Serial {
    pub(super) span: Range<usize>,
    pub(super) device: Spanned<String>,
    pub(super) baud: Spanned<u32>,
    /// The node at the other end.
    pub(super) peer: Option<Spanned<String>>,
    pub(super) keepalive: Option<Spanned<Duration>>,
}

impl Node {
    /// The node's name for messages.
    pub(super) fn title(&self) -> &str {
        self.name
            .as_ref()
            .map_or("this node", |name| name.get_ref().as_str())
    }

    /// Whether it runs groups.
    pub(super) fn runs(&self) -> bool {
        self.voter.is_none()
    }

    /// Ports with a role, in order.
    pub(super) fn ports(&self, role: Role) -> impl Iterator<Item = &Nic> {
        self.nics
            .iter()
            .filter(move |nic| *nic.role.get_ref() == role)
    }

    /// Without places.
    pub(super) fn finish(self) -> Option<cluster::Node> {
        let plain = |nic: Nic| {
            Some(cluster::Nic {
                role: nic.role.into_inner(),
                id: nic.id?.into_inner(),
                addresses: nic.addresses.into_iter().map(Spanned::into_inner).collect(),
                gateways: nic.gateways.into_iter().map(Spanned::into_inner).collect(),
            })
        };
        Some(cluster::Node {
            name: self.name?.into_inner(),
            votes: self.votes.into_inner(),
            voter: self.voter.is_some(),
            capacity: self.capacity.map_or(u16::MAX, Spanned::into_inner),
            state_partition: self.state_partition.map(|name| name.into_inner().0),
            nics: self.nics.into_iter().map(plain).collect::<Option<_>>()?,
            serial: self
                .serial
                .into_iter()
                .map(|line| cluster::Serial {
                    device: line.device.into_inner(),
                    baud: line.baud.into_inner(),
                })
                .collect(),
        })
    }
}

impl Nodes {
    /// Position of the node that a name means, and where it was named; tells a name that
    /// is no node, or a voter where `wanted` is a node that runs groups.
    pub(super) fn named(
        &self,
        sink: &mut Sink<'_>,
        text: Text<Name>,
        wanted: &str,
    ) -> Option<Spanned<usize>> {
        let name = take(sink, text)?;
        let (place, name) = (name.span(), name.into_inner().0);
        let known = || self.list.iter().filter_map(|node| node.name.as_ref());
        let same = |node: &Node| node.name.is_some() && node.title() == name;
        let Some(position) = self.list.iter().position(same) else {
            if self.complete {
                let known: Vec<&str> = known().map(|name| name.get_ref().as_str()).collect();
                let item = Diagnostic::error(place, format!("there is no node `{name}`"));
                sink.push(suggest(item, &name, &known));
            }
            return None;
        };
        if let Some(voter) = &self.list[position].voter {
            sink.push(
                Diagnostic::error(place, format!("`{name}` is a voter"))
                    .see(voter.clone(), "it runs nothing")
                    .because(wanted)
                    .help("remove it here, or remove its `voter`"),
            );
            return None;
        }
        Some(Spanned::new(place, position))
    }
}

/// Reads all nodes. `readable` tells whether every table of the file was.
pub(super) fn read(sink: &mut Sink<'_>, tables: Vec<NodeEntry>, readable: bool) -> Nodes {
    let mut complete = readable;
    let count = tables.len();
    let spans: Vec<_> = tables.iter().map(|table| table.span.clone()).collect();
    let list: Vec<_> = tables
        .into_iter()
        .map(|table| one(sink, table, &mut complete))
        .collect();
    if count == 0 && readable {
        sink.push(
            Diagnostic::error(0..0, "the file has no `[[node]]`")
                .help("write one `[[node]]` table for each machine"),
        );
    }
    too_many(sink, "nodes", &spans, limits::NODES);
    complete &= (1..=limits::NODES).contains(&count);
    if complete {
        complete &= somebody_runs(sink, &list);
    }
    if complete {
        for node in list
            .iter()
            .filter(|node| node.ports(Role::Lan).next().is_none())
        {
            sink.push(
                Diagnostic::error(
                    node.span.clone(),
                    format!("{} has no lan port", node.title()),
                )
                .because("clients, VIPs, pings and operators reach a node through it")
                .help("add a `[[node.nic]]` with `role = \"lan\"`, `mac` and `address`"),
            );
            complete = false;
        }
    }
    distinct(sink, &list);
    same_networks(sink, &list);
    Nodes { list, complete }
}

/// Remarks on who is there to run anything; whether anybody is.
fn somebody_runs(sink: &mut Sink<'_>, list: &[Node]) -> bool {
    let runners: Vec<_> = list.iter().filter(|node| node.runs()).collect();
    match runners[..] {
        [] => {
            let place = list.first().and_then(|node| node.voter.clone());
            sink.push(
                Diagnostic::error(place.unwrap_or(0..0), "every node is a voter")
                    .because("a voter runs nothing, so nothing would ever run")
                    .help("remove `voter` from the nodes that run groups"),
            );
        }
        [only] => sink.push(
            Diagnostic::warning(
                only.span.clone(),
                format!("{} is the only node that runs groups", only.title()),
            )
            .because("nothing takes over when it fails")
            .help("write a `[[node]]` table for a second machine"),
        ),
        _ => {}
    }
    !runners.is_empty()
}

fn one(sink: &mut Sink<'_>, table: NodeEntry, complete: &mut bool) -> Node {
    *complete &= table.table.is_some();
    let (name, votes, voter, capacity, state_partition) = match table.table {
        Some(raw) => (
            take(sink, raw.name),
            raw.votes,
            raw.voter,
            raw.capacity,
            raw.state_partition.and_then(|name| take(sink, name)),
        ),
        None => (None, None, None, None, None),
    };
    *complete &= name.is_some();
    let voter = voter
        .filter(|voter| *voter.get_ref())
        .map(|voter| voter.span());
    let votes = votes.unwrap_or_else(|| Spanned::new(table.span.clone(), 1));
    if *votes.get_ref() > VOTES {
        *complete = false;
        sink.push(
            Diagnostic::error(
                votes.span(),
                format!("{} votes are too many for one node", votes.get_ref()),
            )
            .help(format!(
                "write 0 to {VOTES}; only the proportion between the nodes counts"
            )),
        );
    }
    if let Some(voter) = &voter
        && *votes.get_ref() == 0
    {
        sink.push(
            Diagnostic::error(votes.span(), "this voter has no vote")
                .see(voter.clone(), "it runs nothing either")
                .help("give it 1 vote, or remove the node"),
        );
    }
    if let Some((voter, capacity)) = voter.as_ref().zip(capacity.as_ref()) {
        sink.push(
            Diagnostic::error(capacity.span(), "a voter has no capacity")
                .see(voter.clone(), "it runs nothing")
                .help("remove `capacity` here, or `voter` if the node runs groups"),
        );
    }
    let ports: Vec<_> = table.nics.iter().map(|nic| nic.span.clone()).collect();
    let lines: Vec<_> = table.serial.iter().map(|line| line.span.clone()).collect();
    too_many(sink, "ports on one node", &ports, node::PORTS);
    too_many(sink, "serial lines on one node", &lines, node::LINES);
    let read = Node {
        span: table.span,
        name: name.map(string),
        votes,
        voter,
        capacity,
        state_partition,
        nics: table
            .nics
            .into_iter()
            .filter_map(|nic| port(sink, nic, complete))
            .collect(),
        serial: table
            .serial
            .into_iter()
            .filter_map(|entry| line(sink, entry, complete))
            .collect(),
    };
    own_networks(sink, &read);
    read
}

fn port(sink: &mut Sink<'_>, entry: Entry<raw::Nic>, complete: &mut bool) -> Option<Nic> {
    let Entry { span, value: raw } = entry;
    let addressed = raw.address.is_some();
    let wanted =
        raw.address.as_ref().map_or(0, Vec::len) + raw.gateway.as_ref().map_or(0, Vec::len);
    let addresses = take_all(sink, raw.address);
    let gateways = take_all(sink, raw.gateway);
    *complete &= addresses.len() + gateways.len() == wanted;

    let mut ids = Vec::new();
    let mut named = 0;
    if let Some(mac) = raw.mac {
        named += 1;
        ids.extend(
            take(sink, mac).map(|mac| Spanned::new(mac.span(), NicId::Mac(mac.into_inner()))),
        );
    }
    if let Some(pci) = raw.pci {
        named += 1;
        ids.extend(
            take(sink, pci).map(|pci| Spanned::new(pci.span(), NicId::Pci(pci.into_inner()))),
        );
    }
    if let Some(order) = raw.order {
        named += 1;
        let limit = u8::try_from(node::PORTS).unwrap_or(u8::MAX);
        if (1..=limit).contains(order.get_ref()) {
            sink.push(
                Diagnostic::warning(order.span(), "a port found by `order` is for labs")
                    .because("the kernel numbers ports as their drivers happen to appear: a new card or kernel may exchange them")
                    .help("write `mac` or `pci` instead"),
            );
            ids.push(Spanned::new(order.span(), NicId::Order(*order.get_ref())));
        } else {
            sink.push(
                Diagnostic::error(
                    order.span(),
                    format!("`order` counts the ports of a node from 1 to {limit}"),
                )
                .help("write 1 for the first port"),
            );
        }
    }
    if named != 1 {
        let item = Diagnostic::error(
            ids.last().map_or(span.clone(), Spanned::span),
            if named == 0 {
                "this port says neither `mac` nor `pci`"
            } else {
                "this port is described in more than one way"
            },
        );
        sink.push(
            item.because("every port is found in exactly one way").help(
                "write `mac = \"52:54:00:00:01:01\"` or `pci = \"0000:03:00.0\"`, one of them",
            ),
        );
    }
    let role = take(sink, raw.role);
    let lost = !addressed
        && role
            .as_ref()
            .is_some_and(|role| *role.get_ref() == Role::Lan);
    *complete &= role.is_some() && !ids.is_empty() && !lost;
    let nic = Nic {
        span,
        role: role?,
        id: ids.into_iter().next(),
        addresses,
        gateways,
    };
    addresses_of(sink, &nic, addressed);
    Some(nic)
}

/// Judges a port's addresses and gateways by themselves.
fn addresses_of(sink: &mut Sink<'_>, nic: &Nic, addressed: bool) {
    let spans: Vec<_> = nic.addresses.iter().map(Spanned::span).collect();
    too_many(
        sink,
        "addresses on one port",
        &spans,
        kodo_netstack::limits::ADDRESSES,
    );
    let odd = nic
        .addresses
        .iter()
        .filter(|address| !usable(sink, address))
        .count();
    let sound = odd == 0;
    match nic.role.get_ref() {
        Role::Lan if !addressed => sink.push(
            Diagnostic::error(nic.span.clone(), "this lan port has no `address`")
                .because("pings to the ping group and the operators' API use the node's own address, not the VIP")
                .help("write `address = [\"192.168.0.18/24\"]` with an address that no other machine has"),
        ),
        Role::Crossover => {
            if let Some(gateway) = nic.gateways.first() {
                sink.push(
                    Diagnostic::error(gateway.span(), "a crossover port has no gateway")
                        .because("it leads to other nodes only; nothing is routed through it")
                        .help("move `gateway` to the lan port"),
                );
                return;
            }
        }
        Role::Lan => {}
    }
    let mut families = Unique::new();
    for gateway in &nic.gateways {
        let address = *gateway.get_ref();
        if let Some(first) = families.insert(address.is_ipv4(), gateway.span()) {
            sink.push(
                Diagnostic::error(
                    gateway.span(),
                    "a second default gateway of the same family",
                )
                .see(first, "the first one")
                .because("the kernel would use one of the two")
                .help("keep one"),
            );
        }
        if nic
            .addresses
            .iter()
            .any(|own| own.get_ref().address == address)
        {
            sink.push(
                Diagnostic::error(
                    gateway.span(),
                    format!("the gateway {address} is this port's own address"),
                )
                .help("write the router's address"),
            );
        } else if sound
            && !nic.addresses.is_empty()
            && !nic
                .addresses
                .iter()
                .any(|own| own.get_ref().contains(address))
        {
            let networks: Vec<_> = nic
                .addresses
                .iter()
                .map(|own| own.get_ref().to_string())
                .collect();
            sink.push(
                Diagnostic::error(
                    gateway.span(),
                    format!("the gateway {address} is in none of this port's networks"),
                )
                .because(format!(
                    "a gateway must be reachable directly; the port has {}",
                    networks.join(", ")
                ))
                .help("correct the gateway, or the prefix length of the address"),
            );
        }
    }
}

/// Tells an address that no host may have; whether it may have this one.
pub(super) fn usable(sink: &mut Sink<'_>, address: &Spanned<Cidr>) -> bool {
    let Cidr {
        address: ip,
        prefix,
    } = *address.get_ref();
    let odd = match ip {
        _ if ip.is_unspecified() => Some("means \"no address\""),
        _ if ip.is_loopback() => Some("never leaves its machine"),
        _ if ip.is_multicast() => Some("is a multicast group"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("is the broadcast address"),
        IpAddr::V4(v4) if v4.is_link_local() => {
            Some("is link-local: hosts make these up for themselves")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("is link-local: every port makes one for itself")
        }
        _ if address.get_ref().is_network_or_broadcast() => {
            Some("is its network's own or broadcast address")
        }
        _ => None,
    };
    let Some(odd) = odd else { return true };
    sink.push(
        Diagnostic::error(address.span(), format!("{ip}/{prefix} {odd}"))
            .help("write an address that your network plan gives to this host"),
    );
    false
}

fn string(name: Spanned<Name>) -> Spanned<String> {
    Spanned::new(name.span(), name.into_inner().0)
}

fn line(sink: &mut Sink<'_>, entry: Entry<raw::Serial>, complete: &mut bool) -> Option<Serial> {
    let Entry { span, value: raw } = entry;
    let keepalive_wanted = raw.keepalive.is_some();
    let keepalive = raw.keepalive.and_then(|text| take(sink, text));
    *complete &= keepalive.is_some() == keepalive_wanted;
    let peer_wanted = raw.peer.is_some();
    let peer = raw.peer.and_then(|text| take(sink, text)).map(string);
    *complete &= peer.is_some() == peer_wanted;
    let baud = raw
        .baud
        .unwrap_or_else(|| Spanned::new(span.clone(), 115_200));
    if !BAUDS.contains(baud.get_ref()) {
        let rates: Vec<_> = BAUDS.iter().map(u32::to_string).collect();
        sink.push(
            Diagnostic::error(
                baud.span(),
                format!(
                    "{} baud is not a rate that serial ports have",
                    baud.get_ref()
                ),
            )
            .help(format!("write one of {}", rates.join(", "))),
        );
    }
    let device = raw.device.get_ref();
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let shaped = name.strip_prefix("tty").is_some_and(|rest| {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_uppercase());
        digits.len() < rest.len()
            && !digits.is_empty()
            && digits.bytes().all(|c| c.is_ascii_digit())
    });
    let item = match () {
        () if !shaped || name.len() > 16 => Some(
            Diagnostic::error(
                raw.device.span(),
                format!("\"{device}\" is not a serial port"),
            )
            .help("write its name under /dev, such as \"ttyS1\" or \"ttyUSB0\""),
        ),
        () if name == "ttyS0" => Some(
            Diagnostic::error(raw.device.span(), "ttyS0 is the node's console")
                .because("the kernel writes its messages there, between the heartbeats")
                .help("use the second port")
                .fix("\"ttyS1\""),
        ),
        () if name != device => Some(
            Diagnostic::error(
                raw.device.span(),
                format!("\"{device}\" is a path; a name under /dev is wanted"),
            )
            .help("leave out /dev/")
            .fix(format!("\"{name}\"")),
        ),
        () => None,
    };
    if let Some(item) = item {
        sink.push(item);
        *complete = false;
        return None;
    }
    Some(Serial {
        span,
        device: raw.device,
        baud,
        peer,
        keepalive,
    })
}
