//! Builders of the few frames that the lab itself sends, and that tests forge.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags,
    NdiscRepr,
};

use super::mac::{EtherType, Mac};

const ETHERNET_HEADER: usize = 14;

/// An Ethernet frame around a payload.
#[must_use]
pub fn ethernet(from: Mac, to: Mac, kind: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_HEADER + payload.len());
    frame.extend(to.0);
    frame.extend(from.0);
    frame.extend(kind.0.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Asks everybody who has `wanted`.
#[must_use]
pub fn arp_request(from: Mac, own: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    arp(
        ArpOperation::Request,
        from,
        own,
        Mac::BROADCAST,
        Mac([0; 6]),
        wanted,
    )
}

/// Answers an ARP request.
#[must_use]
pub fn arp_reply(from: Mac, own: Ipv4Addr, to: Mac, asker: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::Reply, from, own, to, to, asker)
}

/// A gratuitous ARP request: tells everybody who has `own`.
#[must_use]
pub fn arp_announcement(from: Mac, own: Ipv4Addr) -> Vec<u8> {
    arp(
        ArpOperation::Request,
        from,
        own,
        Mac::BROADCAST,
        Mac([0; 6]),
        own,
    )
}

fn arp(
    operation: ArpOperation,
    from: Mac,
    own: Ipv4Addr,
    to: Mac,
    target: Mac,
    wanted: Ipv4Addr,
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(from.0),
        source_protocol_addr: own,
        target_hardware_addr: EthernetAddress(target.0),
        target_protocol_addr: wanted,
    };
    let mut payload = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut payload));
    ethernet(from, to, EtherType::ARP, &payload)
}

/// Asks by neighbour discovery who has `wanted`.
#[must_use]
pub fn solicitation(from: Mac, own: Ipv6Addr, wanted: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = wanted.octets();
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
    // Without an address of its own the asker must not name its hardware address either.
    let lladdr = (!own.is_unspecified()).then(|| EthernetAddress(from.0).into());
    let repr = NdiscRepr::NeighborSolicit {
        target_addr: wanted,
        lladdr,
    };
    ndisc(from, own, Mac([0x33, 0x33, 0xff, a, b, c]), group, repr)
}

/// Advertises `own`: to an asker, or to everybody when nobody asked.
#[must_use]
pub fn advertisement(from: Mac, own: Ipv6Addr, asker: Option<(Mac, Ipv6Addr)>) -> Vec<u8> {
    let everybody = (
        Mac([0x33, 0x33, 0, 0, 0, 1]),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    );
    let (to, dst) = asker.unwrap_or(everybody);
    let mut flags = NdiscNeighborFlags::OVERRIDE;
    flags.set(NdiscNeighborFlags::SOLICITED, asker.is_some());
    let repr = NdiscRepr::NeighborAdvert {
        flags,
        target_addr: own,
        lladdr: Some(EthernetAddress(from.0).into()),
    };
    ndisc(from, own, to, dst, repr)
}

fn ndisc(
    from: Mac,
    src_addr: Ipv6Addr,
    to: Mac,
    dst_addr: Ipv6Addr,
    repr: NdiscRepr<'_>,
) -> Vec<u8> {
    let icmp = Icmpv6Repr::Ndisc(repr);
    let ip = Ipv6Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmpv6,
        payload_len: icmp.buffer_len(),
        hop_limit: 255,
    };
    let mut frame = vec![0; ETHERNET_HEADER + ip.buffer_len() + icmp.buffer_len()];
    EthernetRepr {
        src_addr: EthernetAddress(from.0),
        dst_addr: EthernetAddress(to.0),
        ethertype: EthernetProtocol::Ipv6,
    }
    .emit(&mut EthernetFrame::new_unchecked(&mut frame));
    let (head, payload) = frame.split_at_mut(ETHERNET_HEADER + ip.buffer_len());
    ip.emit(&mut Ipv6Packet::new_unchecked(&mut head[ETHERNET_HEADER..]));
    icmp.emit(
        &src_addr,
        &dst_addr,
        &mut Icmpv6Packet::new_unchecked(payload),
        &ChecksumCapabilities::default(),
    );
    frame
}
