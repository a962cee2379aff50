//! The netstack: packets, serial lines, and a whole stack under random calls.

use core::net::IpAddr;

use kodo_netstack::packet::{self, Packet};
use kodo_netstack::serial::{self, Decoder};
use kodo_netstack::{Mac, ethernet, limits};
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, Ipv4Packet, Ipv6Packet};

use super::Target;

mod operations;

pub use operations::OPERATIONS;

/// Whole Ethernet frames.
pub const PACKET: Target = Target {
    name: "netstack-packet",
    run: run_packet,
    examples: packets,
    words: &[
        &[0x88, 0xb5],
        &[0x08, 0x06],
        &[0x08, 0x00, 0x45, 0x00],
        &[0x86, 0xdd, 0x60],
        &[0x88, 0x00],
        &[0x81, 0x00],
        &[135],
        &[136],
        &[129],
        &[17],
        &limits::WITNESS_PORT.to_be_bytes(),
        &[0x02, 0x01],
    ],
    longest: 2000,
    inputs: 200_000,
};

/// Bytes on a serial line.
pub const SERIAL: Target = Target {
    name: "netstack-serial",
    run: run_serial,
    examples: lines,
    words: &[&[0], &[0xff], &[0, 0], &[1, 1, 1, 1, 1]],
    longest: 8192,
    inputs: 10_000,
};

const NEAR: Mac = Mac([0x52, 0x54, 0, 0, 1, 1]);
const FAR: Mac = Mac([0x52, 0x54, 0, 0, 2, 1]);

fn run_packet(bytes: &[u8]) {
    check_packet(bytes);
    check_packet(&repaired(bytes));
}

/// Whatever is accepted must be what its type promises.
fn check_packet(bytes: &[u8]) {
    let Ok(received) = packet::parse(bytes) else {
        return;
    };
    assert!(received.source.is_station());
    match received.packet {
        Packet::Heartbeat(payload) => {
            assert!((1..=limits::FRAME).contains(&payload.len()));
            let again = ethernet::heartbeat(received.source, payload).expect("its length is fine");
            let parsed = packet::parse(&again).expect("we accept what we send");
            assert_eq!(parsed.packet, received.packet);
        }
        Packet::Claim { mac, address, .. } => {
            assert!(mac.is_station());
            assert!(!matches!(address, IpAddr::V6(address) if address.is_multicast()));
        }
        Packet::Query { mac, .. } => assert!(mac.is_station()),
        Packet::EchoReply(reply) => {
            assert!(reply.data.len() < bytes.len());
            assert_eq!(reply.source.is_ipv4(), reply.destination.is_ipv4());
        }
        Packet::Datagram(datagram) => {
            assert!(datagram.data.len() < bytes.len());
            assert_eq!(datagram.ports.1, limits::WITNESS_PORT);
            let (source, destination) = (datagram.source, datagram.destination);
            assert_eq!(source.is_ipv4(), destination.is_ipv4());
            if datagram.data.len() <= limits::DATAGRAM {
                let (macs, ips) = ((NEAR, FAR), (source, destination));
                let again = packet::datagram(macs, ips, datagram.ports, datagram.data)
                    .expect("its length is fine");
                let parsed = packet::parse(&again).expect("we accept what we send");
                assert_eq!(parsed.packet, received.packet);
            }
        }
        Packet::Other => {}
    }
}

/// The same frame with checksums that fit, as far as it has the shape for them: behind
/// checksums is what a mutation would hardly ever reach.
pub(crate) fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut frame = bytes.to_vec();
    if let Some((head, body)) = frame.split_at_mut_checked(ethernet::HEADER) {
        match head[12..] {
            [0x08, 0x00] => repair_ipv4(body),
            [0x86, 0xdd] => repair_ipv6(body),
            _ => {}
        }
    }
    frame
}

fn repair_ipv4(body: &mut [u8]) {
    let Ok(mut ip) = Ipv4Packet::new_checked(body) else {
        return;
    };
    ip.fill_checksum();
    if let Ok(mut icmp) = Icmpv4Packet::new_checked(ip.payload_mut()) {
        icmp.fill_checksum();
    }
}

fn repair_ipv6(body: &mut [u8]) {
    let Ok(mut ip) = Ipv6Packet::new_checked(body) else {
        return;
    };
    let (from, to) = (ip.src_addr(), ip.dst_addr());
    if let Ok(mut icmp) = Icmpv6Packet::new_checked(ip.payload_mut()) {
        icmp.fill_checksum(&from, &to);
    }
}

fn packets() -> Vec<Vec<u8>> {
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let mut frames = Vec::new();
    for (own, other) in [("192.168.0.18", "192.168.0.33"), ("fd00::18", "fd00::33")] {
        frames.push(Some(packet::query(NEAR, ip(other))));
        frames.push(packet::ask(NEAR, ip(own), ip(other)));
        frames.push(packet::echo_request(
            (NEAR, FAR),
            (ip(own), ip(other)),
            1,
            2,
            &[3; 8],
        ));
        frames.push(packet::datagram(
            (NEAR, FAR),
            (ip(own), ip(other)),
            (7007, limits::WITNESS_PORT),
            b"answer",
        ));
        frames.push(match ip(other) {
            IpAddr::V4(address) => Some(packet::announce_reply(NEAR, address)),
            IpAddr::V6(address) => Some(packet::advertise(NEAR, address)),
        });
    }
    frames.push(ethernet::heartbeat(NEAR, b"heartbeat"));
    frames
        .into_iter()
        .flatten()
        .map(|frame| frame.to_vec())
        .collect()
}

fn run_serial(bytes: &[u8]) {
    // However it is cut into reads.
    let chunk = 1 + bytes.first().map_or(0, |first| usize::from(*first));
    let mut decoder = Decoder::default();
    let mut nonzero = 0;
    let mut used = 0;
    for mut part in bytes.chunks(chunk) {
        nonzero += part.iter().filter(|byte| **byte != 0).count();
        while let Some(payload) = decoder.next(&mut part) {
            assert!((1..=limits::FRAME).contains(&payload.len()));
            used += serial::encode(payload).expect("its length is fine").len() - 2;
        }
        assert!(part.is_empty());
    }
    let noise = usize::try_from(decoder.noise()).expect("fewer than 2^32 bytes");
    assert!(noise <= nonzero && used <= nonzero);
    // A whole frame behind a delimiter arrives, whatever came before: the delimiter ends
    // that, well or badly.
    let _ = decoder.next(&mut &[0][..]);
    let payload = &bytes[..bytes.len().min(limits::FRAME)];
    if let Some(line) = serial::encode(payload) {
        assert!(line.len() <= serial::wire_len(payload.len()));
        let mut line = &line[..];
        assert_eq!(decoder.next(&mut line), Some(payload));
        assert_eq!(decoder.next(&mut line), None);
    }
}

fn lines() -> Vec<Vec<u8>> {
    let long = [0x5a; limits::FRAME];
    let zeros = [0; 300];
    let payloads = [&b"heartbeat"[..], &long, &zeros];
    let framed = payloads.map(|payload| serial::encode(payload).expect("it fits").to_vec());
    framed.into_iter().chain([framed_twice()]).collect()
}

fn framed_twice() -> Vec<u8> {
    [b"one".as_slice(), b"two"]
        .iter()
        .flat_map(|payload| serial::encode(payload).expect("it fits"))
        .collect()
}
