//! The net lane: everything that takes the kernel's RTNL lock.
//!
//! Owns rtnetlink (links, addresses, routes), the kernel's per-NIC settings, its gate, and
//! opening packet sockets, which it hands to PID 1. It decides nothing: each request is carried
//! out and answered in order. A NIC whose driver holds the lock while it resets delays
//! this lane, never the heartbeat.
//!
//! Messages are encoded by netlink-bindings: generated from the kernel's own descriptions,
//! it takes 7 kB of the shipped binary, where netlink-packet-route takes more than half a
//! megabyte. The price is that it is one person's work; it is pinned, and used for
//! addresses and routes only.

mod gate;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kodo_node::io::ActError;
use kodo_node::{ETHERTYPE, GROUP_MAC, WITNESS_PORT};
use kodo_sys::netlink::Route;
use kodo_sys::packet::PacketSocket;
use kodo_sys::{AsFd, Result};
use kodo_sys::{link, neighbour};
use netlink_bindings::traits::NetlinkRequest;
use netlink_bindings::{rt_addr, rt_route};

use self::gate::Gates;
use super::{Link, PRIORITY};
use crate::wire::{FromNet, PortSetup, ToNet};

/// The kernel answers at once or waits for RTNL; PID 1 gives up earlier than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The loopback's index in every network namespace.
const LOOPBACK: u32 = 1;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_REPLACE: u16 = 0x100;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const EADDRNOTAVAIL: i32 = 99;
const ENODEV: i32 = 19;
const ENOENT: i32 = 2;

/// Kernel settings of every NIC: it answers ARP only for addresses of the NIC asked,
/// speaks only with such, and neither listens to routers nor makes up addresses.
const SETTINGS: [(&str, &str); 9] = [
    ("ipv4/conf/NIC/arp_ignore", "1"),
    ("ipv4/conf/NIC/arp_announce", "2"),
    ("ipv4/conf/NIC/rp_filter", "0"),
    ("ipv4/conf/NIC/accept_redirects", "0"),
    ("ipv4/conf/NIC/promote_secondaries", "1"),
    ("ipv6/conf/NIC/accept_dad", "0"),
    ("ipv6/conf/NIC/accept_ra", "0"),
    ("ipv6/conf/NIC/autoconf", "0"),
    ("ipv6/conf/NIC/dad_transmits", "0"),
];

/// Runs until PID 1 is gone.
pub(crate) fn run() -> Result<()> {
    let mut pid1 = Link::inherit("kodo-net")?;
    // A VIP must come off in time even when a service uses every CPU.
    kodo_sys::schedule::real_time(PRIORITY)?;
    let mut route = Route::open(PATIENCE)?;
    link_up(&mut route, LOOPBACK)?;
    let mut gates = Gates::default();
    while let Some((request, _)) = pid1.receive::<ToNet>()? {
        serve(&mut route, &mut gates, &mut pid1, request)?;
    }
    Ok(())
}

fn serve(route: &mut Route, gates: &mut Gates, pid1: &mut Link, request: ToNet) -> Result<()> {
    match request {
        ToNet::Gate(vips) => gates.load(&vips, pid1),
        ToNet::Ungate => {
            gates.take_off();
            Ok(())
        }
        ToNet::Port(setup) => {
            let (port, index) = (setup.port, setup.index);
            // Before it has an address that could speak.
            gates.guard(&setup, pid1)?;
            match set_up(route, &setup) {
                Ok((socket, mac, detail)) => {
                    let carrier = carrier(route, index).unwrap_or(false);
                    let ready = FromNet::Ready {
                        port,
                        index,
                        mac,
                        carrier,
                        detail,
                    };
                    pid1.send(&ready, Some(socket.as_fd()))
                }
                Err(error) => {
                    let why = format!("{}: {error}", setup.name);
                    pid1.send(&FromNet::Unusable { port, index, why }, None)
                }
            }
        }
        ToNet::AddAddress(token, index, address) => {
            let result = add_address(route, index, (address, host_prefix(address)), true);
            pid1.send(
                &FromNet::Done(token, result.map_err(|e| act_error(&e))),
                None,
            )
        }
        ToNet::DelAddress(token, index, address) => {
            let result = del_address(route, index, address);
            pid1.send(
                &FromNet::Done(token, result.map_err(|e| act_error(&e))),
                None,
            )
        }
        ToNet::Carrier(port, index) => {
            let carrier = carrier(route, index).ok();
            pid1.send(&FromNet::Carrier(port, index, carrier), None)
        }
    }
}

fn act_error(error: &kodo_sys::Error) -> ActError {
    match kodo_sys::errno(error) {
        ENODEV => ActError::Absent,
        errno => ActError::Errno(errno),
    }
}

/// Prepares a NIC. What makes it useless is an error; what merely did not work is told.
fn set_up(route: &mut Route, setup: &PortSetup) -> Result<(PacketSocket, [u8; 6], Option<String>)> {
    let mut troubles = Vec::new();
    let mut note = |what: &str, result: Result<()>| {
        if let Err(error) = result {
            troubles.push(format!("{what}: {error}"));
        }
    };
    for (path, value) in SETTINGS {
        let path = Path::new("/proc/sys/net").join(path.replace("NIC", &setup.name));
        // A kernel without IPv6 has none of its settings.
        if path.exists() {
            note(&path.display().to_string(), std::fs::write(&path, value));
        }
    }
    if setup.addresses.is_empty() {
        // A bare crossover carries no IP at all, so the kernel shall not make some up.
        let path = Path::new("/proc/sys/net/ipv6/conf")
            .join(&setup.name)
            .join("disable_ipv6");
        if path.exists() {
            note("no IPv6", std::fs::write(path, "1"));
        }
    }
    // Before the link comes up, so that no heartbeat is missed.
    let socket = PacketSocket::open(setup.index, ETHERTYPE, WITNESS_PORT, GROUP_MAC.0)?;
    link_up(route, setup.index)?;
    for (address, prefix) in &setup.addresses {
        let result = add_address(route, setup.index, (*address, *prefix), false);
        note(&format!("address {address}/{prefix}"), result);
    }
    for gateway in &setup.gateways {
        note(
            &format!("default route through {gateway}"),
            add_default(route, setup.index, *gateway),
        );
    }
    let mac = socket.hardware_address()?;
    Ok((
        socket,
        mac,
        (!troubles.is_empty()).then(|| troubles.join("; ")),
    ))
}

fn link_up(route: &mut Route, index: u32) -> Result<()> {
    route.request(link::SET, 0, &link::up(index))
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn send(route: &mut Route, request: &impl NetlinkRequest) -> Result<()> {
    let netlink_bindings::traits::Protocol::Raw { request_type, .. } = request.protocol() else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    route.request(request_type, request.flags(), request.payload())
}

/// Binds an address without duplicate address detection (kodo does its own); a VIP also
/// without a route, since its network is the static address's. One that is there already
/// is success.
fn add_address(
    route: &mut Route,
    index: u32,
    (address, prefix): (IpAddr, u8),
    vip: bool,
) -> Result<()> {
    let header = rt_addr::Ifaddrmsg {
        ifa_family: family(address),
        ifa_prefixlen: prefix,
        ifa_index: index,
        ..Default::default()
    };
    let mut flags = rt_addr::IfaFlags::Nodad as u32;
    if vip {
        flags |= rt_addr::IfaFlags::Noprefixroute as u32;
    }
    let mut request = rt_addr::Request::new()
        .set_flags(NLM_F_CREATE | NLM_F_REPLACE)
        .op_newaddr_do(&header);
    request
        .encode()
        .push_local(address)
        .push_address(address)
        .push_flags(flags);
    send(route, &request)
}

/// Removes a VIP; one that is not there is success. The kernel also forgets the link's
/// neighbours, and with them the packets from the VIP that still wait for one to be
/// resolved: after a heal they would speak for an address that is another node's by then.
fn del_address(route: &mut Route, index: u32, address: IpAddr) -> Result<()> {
    let header = rt_addr::Ifaddrmsg {
        ifa_family: family(address),
        ifa_prefixlen: host_prefix(address),
        ifa_index: index,
        ..Default::default()
    };
    let mut request = rt_addr::Request::new().op_deladdr_do(&header);
    request.encode().push_local(address).push_address(address);
    match send(route, &request) {
        Ok(()) => forget_neighbours(route, index),
        // A NIC that is gone carries no address either.
        Err(error) if matches!(kodo_sys::errno(&error), EADDRNOTAVAIL | ENODEV) => Ok(()),
        other => other,
    }
}

fn forget_neighbours(route: &mut Route, index: u32) -> Result<()> {
    let mut found = Vec::new();
    route.dump(neighbour::GET, &neighbour::ALL, |told| {
        found.extend(neighbour::forget(told, index));
    })?;
    for neighbour in found {
        match route.request(neighbour::DEL, 0, &neighbour) {
            // It went by itself meanwhile.
            Err(error) if kodo_sys::errno(&error) == ENOENT => {}
            other => other?,
        }
    }
    Ok(())
}

fn add_default(route: &mut Route, index: u32, gateway: IpAddr) -> Result<()> {
    let header = rt_route::Rtmsg {
        rtm_family: family(gateway),
        rtm_table: RT_TABLE_MAIN,
        rtm_protocol: RTPROT_STATIC,
        rtm_type: RTN_UNICAST,
        ..Default::default()
    };
    let mut request = rt_route::Request::new()
        .set_flags(NLM_F_CREATE | NLM_F_REPLACE)
        .op_newroute_do(&header);
    request.encode().push_gateway(gateway).push_oif(index);
    send(route, &request)
}

/// Whether a NIC has carrier.
fn carrier(route: &mut Route, index: u32) -> Result<bool> {
    let answer = route.get(link::GET, &link::of(index))?;
    Ok(link::LinkChange::parse(&answer.message())
        .and_then(|change| change.carrier)
        .unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kodo_node::io::{Port, Token};
    use kodo_sys::gate::Deadlines;
    use std::net::UdpSocket;

    /// Runs `test` in a network of its own, so that this machine's is left alone.
    fn in_new_network(test: fn(&mut Route)) {
        if !kodo_sys::process::is_root() {
            return;
        }
        let thread = std::thread::spawn(move || {
            kodo_sys::process::new_network().unwrap();
            test(&mut Route::open(PATIENCE).unwrap());
        });
        thread.join().unwrap();
    }

    fn lo(addresses: &[(&str, u8)], gateways: &[&str]) -> PortSetup {
        let address = |(address, prefix): &(&str, u8)| (address.parse().unwrap(), *prefix);
        PortSetup {
            port: Port(0),
            index: LOOPBACK,
            name: "lo".into(),
            public: true,
            addresses: addresses.iter().map(address).collect(),
            gateways: gateways
                .iter()
                .map(|gateway| gateway.parse().unwrap())
                .collect(),
        }
    }

    fn bound(address: &str) -> bool {
        UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).is_ok()
    }

    #[test]
    fn a_port_gets_its_settings_addresses_and_routes() {
        in_new_network(|route| {
            // Loopback takes no IPv6 gateway; a real NIC does.
            let setup = lo(&[("192.168.0.18", 24), ("fd00::18", 64)], &["192.168.0.1"]);
            let (_socket, _mac, detail) = set_up(route, &setup).unwrap();
            assert_eq!(detail, None);
            assert!(bound("192.168.0.18") && bound("fd00::18"));
            assert!(carrier(route, LOOPBACK).unwrap());
            let setting =
                |path: &str| std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap();
            assert_eq!(setting("ipv4/conf/lo/arp_ignore").trim(), "1");
            assert_eq!(setting("ipv4/conf/lo/arp_announce").trim(), "2");
            // Again, as after a driver's reset.
            assert_eq!(set_up(route, &setup).unwrap().2, None);
        });
    }

    #[test]
    fn what_does_not_work_is_told_and_the_rest_is_done() {
        in_new_network(|route| {
            let setup = lo(&[("192.168.0.18", 24)], &["10.9.9.9"]);
            let (_, _, detail) = set_up(route, &setup).unwrap();
            assert!(
                detail
                    .unwrap()
                    .starts_with("default route through 10.9.9.9: ")
            );
            assert!(bound("192.168.0.18"));
        });
    }

    #[test]
    fn vips_come_and_go_as_often_as_asked() {
        in_new_network(|route| {
            link_up(route, LOOPBACK).unwrap();
            for vip in ["192.168.0.33", "fd00::33"] {
                let address: IpAddr = vip.parse().unwrap();
                for _ in 0..2 {
                    add_address(route, LOOPBACK, (address, host_prefix(address)), true).unwrap();
                    assert!(bound(vip), "{vip}");
                }
                for _ in 0..2 {
                    del_address(route, LOOPBACK, address).unwrap();
                    assert!(!bound(vip), "{vip}");
                }
            }
        });
    }

    #[test]
    fn a_nic_that_is_gone_takes_no_address_and_carries_none() {
        in_new_network(|route| {
            let vip: IpAddr = "192.168.0.33".parse().unwrap();
            let error = add_address(route, 99, (vip, 32), true).unwrap_err();
            assert_eq!(act_error(&error), ActError::Absent);
            del_address(route, 99, vip).unwrap();
            let setup = PortSetup {
                index: 99,
                ..lo(&[], &[])
            };
            assert!(set_up(route, &setup).is_err());
        });
    }

    #[test]
    fn every_request_is_answered() {
        in_new_network(|route| {
            let (ours, theirs) = kodo_sys::seqpacket::pair().unwrap();
            let (mut lane, mut pid1) = (Link::new(theirs), Link::new(ours));
            let mut gates = Gates::default();
            let vip = "192.168.0.33".parse().unwrap();
            for request in [
                ToNet::Port(lo(&[], &[])),
                ToNet::AddAddress(Token(1), LOOPBACK, vip),
                ToNet::DelAddress(Token(2), LOOPBACK, vip),
                ToNet::Carrier(Port(0), 99),
                ToNet::Ungate,
                ToNet::Gate(vec![vip]),
            ] {
                serve(route, &mut gates, &mut lane, request).unwrap();
            }
            let mut next = || pid1.receive::<FromNet>().unwrap().unwrap();
            assert!(matches!(
                next(),
                (FromNet::Ready { carrier: true, .. }, Some(_))
            ));
            assert!(matches!(next(), (FromNet::Done(Token(1), Ok(())), None)));
            assert!(matches!(next(), (FromNet::Done(Token(2), Ok(())), None)));
            assert!(matches!(
                next(),
                (FromNet::Carrier(Port(0), 99, None), None)
            ));
            assert!(matches!(
                next(),
                (FromNet::Gate, Some(_)) | (FromNet::NoGate(_), None)
            ));
        });
    }

    #[test]
    fn a_public_port_has_its_gate_before_its_addresses() {
        in_new_network(|route| {
            let (ours, theirs) = kodo_sys::seqpacket::pair().unwrap();
            let (mut lane, mut pid1) = (Link::new(theirs), Link::new(ours));
            let mut gates = Gates::default();
            let vip: IpAddr = "192.168.0.33".parse().unwrap();
            let mut ask = |request| serve(route, &mut gates, &mut lane, request).unwrap();
            let mut hear = || pid1.receive::<FromNet>().unwrap().unwrap();
            ask(ToNet::Gate(vec![vip]));
            let (FromNet::Gate, Some(deadlines)) = hear() else {
                eprintln!("not tested: this kernel has no gate");
                return;
            };
            let deadlines = Deadlines::map(deadlines.as_fd()).unwrap();
            // The loopback plays the port: what it sends to itself passes its gate too.
            let passes = |should: bool| {
                let socket = UdpSocket::bind((vip, 0)).unwrap();
                let patience = Duration::from_millis(50);
                socket.set_read_timeout(Some(patience)).unwrap();
                let arrives = || {
                    let _ = socket.send_to(b"hello", socket.local_addr().unwrap());
                    socket.recv(&mut [0; 8]).is_ok()
                };
                // the kernel takes a program off when it gets to it
                match should {
                    true => (0..200).any(|_| arrives()),
                    false => !arrives(),
                }
            };
            for (set_up, gate) in [(true, true), (true, true), (false, false)] {
                if set_up {
                    ask(ToNet::Port(lo(&[("192.168.0.33", 32)], &[])));
                    if matches!(hear(), (FromNet::NoGate(_), _)) {
                        eprintln!("not tested: this kernel attaches no gate");
                        return;
                    }
                } else {
                    ask(ToNet::Ungate);
                }
                deadlines.set(0, Duration::ZERO);
                assert!(passes(!gate), "closed");
                deadlines.set(0, Duration::MAX);
                assert!(passes(true), "open");
            }
        });
    }
}
