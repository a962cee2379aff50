//! Frames as a client or a node on the LAN writes them: RFC 826, 791, 792, 9293, 8200, 4443,
//! 4861.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const CLIENT4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);
pub(super) const STATIC4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 18);
pub(super) const VIP4: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 33);
pub(super) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100);
pub(super) const STATIC6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x18);
pub(super) const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x33);
/// The client's hardware address.
pub(super) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

pub(super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(MAC);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The same frame to one station.
fn to(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame
}

/// The same frame behind tags for VLAN 0.
pub(super) fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for tag in tags {
        tagged.extend(tag.to_be_bytes());
        tagged.extend([0, 0]);
    }
    tagged.extend(&frame[12..]);
    tagged
}

pub(super) fn arp(request: bool, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, if request { 1 } else { 2 }];
    packet.extend(MAC);
    packet.extend(sender.octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    ethernet(0x0806, &packet)
}

/// The Internet checksum of some parts (RFC 1071), each of an even length but the last.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

/// What an upper layer's checksum covers besides its own bytes.
fn envelope(source: &[u8], destination: &[u8], protocol: u8, len: usize) -> Vec<u8> {
    let mut envelope = [source, destination].concat();
    envelope.extend([0, protocol]);
    envelope.extend(u16::try_from(len).unwrap().to_be_bytes());
    envelope
}

pub(super) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

pub(super) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([protocol, 255]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    ethernet(0x86dd, &packet)
}

fn icmp6(from: Ipv6Addr, to: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let envelope = envelope(&from.octets(), &to.octets(), ICMP6, message.len());
    let sum = checksum(&[&envelope, &message]);
    message[2..4].copy_from_slice(&sum);
    ipv6(from, to, ICMP6, &message)
}

/// A neighbour solicitation, with the asker's hardware address but in a probe from nobody.
pub(super) fn solicitation(from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    );
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if !from.is_unspecified() {
        message.extend([1, 1]);
        message.extend(MAC);
    }
    to([0x33, 0x33, 0xff, a, b, c], icmp6(from, group, message))
}

pub(super) fn advertisement(from: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(target.octets());
    to([0x33, 0x33, 0, 0, 0, 1], icmp6(from, everybody, message))
}

/// A connection's first segment.
fn syn(source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut segment = vec![
        0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ];
    let envelope = envelope(source, destination, TCP, segment.len());
    let sum = checksum(&[&envelope, &segment]);
    segment[16..18].copy_from_slice(&sum);
    segment
}

/// Whether a frame speaks for an address.
pub(super) fn speaks_for(frame: &[u8], address: IpAddr) -> bool {
    let at = |offset: usize, octets: &[u8]| frame[offset.min(frame.len())..].starts_with(octets);
    match (address, [frame[12], frame[13]]) {
        (IpAddr::V4(address), [0x08, 0x06]) => at(28, &address.octets()),
        (IpAddr::V4(address), [0x08, 0x00]) => at(26, &address.octets()),
        (IpAddr::V6(address), [0x86, 0xdd]) => {
            let advertised = at(20, &[ICMP6]) && at(54, &[136]) && at(62, &address.octets());
            at(22, &address.octets()) || advertised
        }
        _ => false,
    }
}

/// Whether a frame is an answer.
type Answer = Box<dyn Fn(&[u8]) -> bool>;

/// What a client asks of a machine, and what an answer looks like.
pub(super) fn questions(
    mac: [u8; 6],
    v4: Ipv4Addr,
    v6: Ipv6Addr,
) -> Vec<(&'static str, Vec<u8>, Answer)> {
    // The type or protocol of an answer, at an offset.
    let answer =
        |address: IpAddr, protocol: usize, kind: Option<(usize, u8)>, value: u8| -> Answer {
            Box::new(move |frame| {
                speaks_for(frame, address)
                    && frame.get(protocol) == Some(&value)
                    && kind.is_none_or(|(offset, kind)| frame.get(offset) == Some(&kind))
            })
        };
    let mut ping = vec![8, 0, 0, 0, 0, 7, 0, 1];
    let sum = checksum(&[&ping]);
    ping[2..4].copy_from_slice(&sum);
    let ping6 = icmp6(CLIENT6, v6, vec![128, 0, 0, 0, 0, 7, 0, 1]);
    let tcp = ipv4(CLIENT4, v4, TCP, &syn(&CLIENT4.octets(), &v4.octets()));
    let tcp6 = ipv6(CLIENT6, v6, TCP, &syn(&CLIENT6.octets(), &v6.octets()));
    let (a4, a6) = (IpAddr::V4(v4), IpAddr::V6(v6));
    vec![
        ("ARP", arp(true, CLIENT4, v4), answer(a4, 21, None, 2)),
        (
            "ping",
            to(mac, ipv4(CLIENT4, v4, ICMP, &ping)),
            answer(a4, 23, Some((34, 0)), ICMP),
        ),
        // Accepted or refused: it answers.
        ("TCP", to(mac, tcp), answer(a4, 23, None, TCP)),
        (
            "ND",
            solicitation(CLIENT6, v6),
            answer(a6, 20, Some((54, 136)), ICMP6),
        ),
        (
            "ping6",
            to(mac, ping6),
            answer(a6, 20, Some((54, 129)), ICMP6),
        ),
        ("TCP6", to(mac, tcp6), answer(a6, 20, None, TCP)),
    ]
}
