//! Packets on a port: checked bytes become a narrow type, and back.
//!
//! Owns reading and writing of ARP, NDP, ICMP echo and UDP around smoltcp's wire types. What
//! it gives out is valid and means something to the netstack; everything else is
//! [`Packet::Other`] (well-formed or not our business) or a typed [`Malformed`]. Never
//! keeps state, never panics on any bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv4Message, Icmpv4Packet, Icmpv4Repr, Icmpv6Message, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
    RawHardwareAddress, UdpPacket, UdpRepr,
};

use crate::ethernet::{self, ETHERTYPE, HEADER};
use crate::limits;
use crate::types::Mac;

/// A whole Ethernet frame.
pub type Frame = Vec<u8, { limits::PACKET }>;

/// Bytes of an echo request's data: enough to know our own again.
pub const ECHO_DATA: usize = 8;

/// Every IPv6 node on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// NDP is believed only when no router forwarded it (RFC 4861, 7.1).
const NDP_HOPS: u8 = 255;
/// Of echo requests and datagrams.
const HOPS: u8 = 64;

/// What arrived, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The station that put it on the wire.
    pub source: Mac,
    /// What it says.
    pub packet: Packet<'a>,
}

/// What a frame says, as far as the netstack cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A heartbeat's payload.
    Heartbeat(&'a [u8]),
    /// Someone says that it has `address` at `mac`: an ARP packet of either form with a
    /// sender, or a neighbour advertisement.
    Claim {
        /// The address.
        address: IpAddr,
        /// Where it is said to be.
        mac: Mac,
        /// Whether it replaces what was known before (always so for ARP).
        replaces: bool,
    },
    /// Someone wants `address` and asks whether it is free: an ARP probe, or an NDP
    /// solicitation from nowhere.
    Query {
        /// The address.
        address: IpAddr,
        /// Who wants it.
        mac: Mac,
    },
    /// An answer to a ping.
    EchoReply(EchoReply<'a>),
    /// A UDP datagram to [`limits::WITNESS_PORT`].
    Datagram(Datagram<'a>),
    /// Anything else.
    Other,
}

/// An answer to a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply<'a> {
    /// Who answered.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// From the request.
    pub ident: u16,
    /// From the request.
    pub seq: u16,
    /// From the request.
    pub data: &'a [u8],
}

/// A UDP datagram. Its checksum was not looked at: between machines of one host the
/// kernel leaves it out, and what counts here is authenticated by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// From which port to which.
    pub ports: (u16, u16),
    /// Its data.
    pub data: &'a [u8],
}

/// Why a packet of a kind that matters was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than an Ethernet header.
    Short,
    /// From a group address or all zeros.
    Source,
    /// Our EtherType, but not our framing, or cut short.
    Heartbeat,
    /// ARP that is not Ethernet and IPv4, or from an impossible sender.
    Arp,
    /// An IP header that does not hold.
    Ip,
    /// An ICMP message that does not hold.
    Icmp,
    /// NDP that RFC 4861 (7.1) says to discard.
    Ndp,
    /// UDP whose length does not hold.
    Udp,
}

/// Reads a whole Ethernet frame.
///
/// # Errors
/// [`Malformed`] when it is of a kind that matters, and wrong.
pub fn parse(frame: &[u8]) -> Result<Received<'_>, Malformed> {
    let ethernet = EthernetFrame::new_checked(frame).map_err(|_| Malformed::Short)?;
    let source = Mac(ethernet.src_addr().0);
    if !source.is_station() {
        return Err(Malformed::Source);
    }
    let body = ethernet.payload();
    let packet = match ethernet.ethertype() {
        EthernetProtocol::Unknown(ETHERTYPE) => {
            Packet::Heartbeat(ethernet::payload(body).ok_or(Malformed::Heartbeat)?)
        }
        EthernetProtocol::Arp => parse_arp(body)?,
        EthernetProtocol::Ipv4 => parse_ipv4(body)?,
        EthernetProtocol::Ipv6 => parse_ipv6(body, source)?,
        EthernetProtocol::Unknown(_) => Packet::Other,
    };
    Ok(Received { source, packet })
}

fn parse_arp(body: &[u8]) -> Result<Packet<'static>, Malformed> {
    let arp = ArpPacket::new_checked(body).map_err(|_| Malformed::Arp)?;
    let Ok(ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    }) = ArpRepr::parse(&arp)
    else {
        return Err(Malformed::Arp);
    };
    let mac = Mac(source_hardware_addr.0);
    if !mac.is_station() {
        return Err(Malformed::Arp);
    }
    Ok(match (operation, source_protocol_addr.is_unspecified()) {
        (ArpOperation::Request | ArpOperation::Reply, false) => Packet::Claim {
            address: source_protocol_addr.into(),
            mac,
            replaces: true,
        },
        (ArpOperation::Request, true) => Packet::Query {
            address: target_protocol_addr.into(),
            mac,
        },
        _ => Packet::Other,
    })
}

fn parse_ipv4(body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let checks = ChecksumCapabilities::default();
    let ip = Ipv4Packet::new_checked(body).map_err(|_| Malformed::Ip)?;
    let wanted = matches!(ip.next_header(), IpProtocol::Icmp | IpProtocol::Udp);
    if !wanted || ip.more_frags() || ip.frag_offset() != 0 {
        return Ok(Packet::Other);
    }
    let header = Ipv4Repr::parse(&ip, &checks).map_err(|_| Malformed::Ip)?;
    if header.next_header == IpProtocol::Udp {
        let addresses = (header.src_addr.into(), header.dst_addr.into());
        return parse_udp(ip.payload(), addresses);
    }
    let icmp = Icmpv4Packet::new_checked(ip.payload()).map_err(|_| Malformed::Icmp)?;
    if icmp.msg_type() != Icmpv4Message::EchoReply {
        return Ok(Packet::Other);
    }
    match Icmpv4Repr::parse(&icmp, &checks) {
        Ok(Icmpv4Repr::EchoReply {
            ident,
            seq_no,
            data,
        }) => Ok(Packet::EchoReply(EchoReply {
            source: header.src_addr.into(),
            destination: header.dst_addr.into(),
            ident,
            seq: seq_no,
            data,
        })),
        _ => Err(Malformed::Icmp),
    }
}

fn parse_ipv6(body: &[u8], station: Mac) -> Result<Packet<'_>, Malformed> {
    let ip = Ipv6Packet::new_checked(body).map_err(|_| Malformed::Ip)?;
    let header = Ipv6Repr::parse(&ip).map_err(|_| Malformed::Ip)?;
    // Behind an extension header there is nothing for us: echo replies and NDP that
    // a host sends without being asked to do otherwise have none.
    if header.next_header == IpProtocol::Udp {
        let addresses = (header.src_addr.into(), header.dst_addr.into());
        return parse_udp(ip.payload(), addresses);
    }
    if header.next_header != IpProtocol::Icmpv6 {
        return Ok(Packet::Other);
    }
    let Ok(icmp) = Icmpv6Packet::new_checked(ip.payload()) else {
        return Err(Malformed::Icmp);
    };
    let wanted = [
        Icmpv6Message::EchoReply,
        Icmpv6Message::NeighborAdvert,
        Icmpv6Message::NeighborSolicit,
    ];
    if !wanted.contains(&icmp.msg_type()) {
        return Ok(Packet::Other);
    }
    let checks = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&header.src_addr, &header.dst_addr, &icmp, &checks) {
        Ok(Icmpv6Repr::EchoReply {
            ident,
            seq_no,
            data,
        }) => Ok(Packet::EchoReply(EchoReply {
            source: header.src_addr.into(),
            destination: header.dst_addr.into(),
            ident,
            seq: seq_no,
            data,
        })),
        Ok(Icmpv6Repr::Ndisc(message)) => parse_ndp(&header, message, station),
        _ => Err(Malformed::Icmp),
    }
}

fn parse_udp(
    body: &[u8],
    (source, destination): (IpAddr, IpAddr),
) -> Result<Packet<'_>, Malformed> {
    let udp = UdpPacket::new_checked(body).map_err(|_| Malformed::Udp)?;
    if udp.dst_port() != limits::WITNESS_PORT {
        return Ok(Packet::Other);
    }
    Ok(Packet::Datagram(Datagram {
        source,
        destination,
        ports: (udp.src_port(), udp.dst_port()),
        data: udp.payload(),
    }))
}

fn parse_ndp(
    header: &Ipv6Repr,
    message: NdiscRepr<'_>,
    station: Mac,
) -> Result<Packet<'static>, Malformed> {
    if header.hop_limit != NDP_HOPS {
        return Err(Malformed::Ndp);
    }
    match message {
        NdiscRepr::NeighborAdvert {
            flags,
            target_addr,
            lladdr,
        } => {
            let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
            if target_addr.is_multicast() || (header.dst_addr.is_multicast() && solicited) {
                return Err(Malformed::Ndp);
            }
            let mac = match lladdr {
                Some(raw) => raw
                    .as_bytes()
                    .try_into()
                    .map(Mac)
                    .map_err(|_| Malformed::Ndp)?,
                None => station,
            };
            if !mac.is_station() {
                return Err(Malformed::Ndp);
            }
            let replaces = flags.contains(NdiscNeighborFlags::OVERRIDE);
            Ok(Packet::Claim {
                address: target_addr.into(),
                mac,
                replaces,
            })
        }
        NdiscRepr::NeighborSolicit {
            target_addr,
            lladdr,
        } => {
            if target_addr.is_multicast() {
                return Err(Malformed::Ndp);
            }
            if !header.src_addr.is_unspecified() {
                return Ok(Packet::Other);
            }
            if lladdr.is_some() || !solicited_node_group(header.dst_addr) {
                return Err(Malformed::Ndp);
            }
            Ok(Packet::Query {
                address: target_addr.into(),
                mac: station,
            })
        }
        _ => Ok(Packet::Other),
    }
}

/// Asks whether anyone has `address`, without saying that we do: an ARP probe
/// (RFC 5227, 2.1.1) or a solicitation from nowhere (RFC 4862, 5.4.2).
pub fn query(mac: Mac, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => arp(
            mac,
            ArpOperation::Request,
            Ipv4Addr::UNSPECIFIED,
            Mac([0; 6]),
            address,
        ),
        IpAddr::V6(address) => solicit(mac, Ipv6Addr::UNSPECIFIED, address),
    }
}

/// Asks where `address` is, in our own name: an ARP request or a solicitation. `None`
/// when the two addresses are of different families.
pub fn ask(mac: Mac, own: IpAddr, address: IpAddr) -> Option<Frame> {
    match (own, address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => {
            Some(arp(mac, ArpOperation::Request, own, Mac([0; 6]), address))
        }
        (IpAddr::V6(own), IpAddr::V6(address)) => Some(solicit(mac, own, address)),
        _ => None,
    }
}

/// An ARP announcement: a request for our own address (RFC 5227, 2.3).
pub fn announce_request(mac: Mac, address: Ipv4Addr) -> Frame {
    arp(mac, ArpOperation::Request, address, Mac([0; 6]), address)
}

/// An ARP announcement in reply form, for hosts that learn from replies only.
pub fn announce_reply(mac: Mac, address: Ipv4Addr) -> Frame {
    arp(mac, ArpOperation::Reply, address, mac, address)
}

/// An unsolicited neighbour advertisement (RFC 4861, 7.2.6) that replaces what everybody
/// knew before. It goes to all nodes; routers are among them (RFC 9131).
pub fn advertise(mac: Mac, address: Ipv6Addr) -> Frame {
    let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(hardware(mac)),
    });
    icmpv6(
        mac,
        group_mac(ALL_NODES),
        (address, ALL_NODES),
        NDP_HOPS,
        &message,
    )
}

/// A ping. `None` when the two addresses are of different families.
pub fn echo_request(
    macs: (Mac, Mac),
    addresses: (IpAddr, IpAddr),
    ident: u16,
    seq: u16,
    data: &[u8; ECHO_DATA],
) -> Option<Frame> {
    match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let message = Icmpv4Repr::EchoRequest {
                ident,
                seq_no: seq,
                data,
            };
            Some(icmpv4(macs, (source, destination), &message))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let message = Icmpv6Repr::EchoRequest {
                ident,
                seq_no: seq,
                data,
            };
            Some(icmpv6(
                macs.0,
                macs.1,
                (source, destination),
                HOPS,
                &message,
            ))
        }
        _ => None,
    }
}

/// A UDP datagram. `None` when the two addresses are of different families, or the data
/// is longer than [`limits::DATAGRAM`].
pub fn datagram(
    (source, destination): (Mac, Mac),
    addresses: (IpAddr, IpAddr),
    (src_port, dst_port): (u16, u16),
    data: &[u8],
) -> Option<Frame> {
    if data.len() > limits::DATAGRAM {
        return None;
    }
    let checks = ChecksumCapabilities::default();
    let udp = UdpRepr { src_port, dst_port };
    let payload_len = udp.header_len() + data.len();
    let next_header = IpProtocol::Udp;
    let hop_limit = HOPS;
    let emit = |body: &mut [u8]| {
        udp.emit(
            &mut UdpPacket::new_unchecked(body),
            &addresses.0.into(),
            &addresses.1.into(),
            data.len(),
            |place| place.copy_from_slice(data),
            &checks,
        );
    };
    match addresses {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let header = Ipv4Repr {
                src_addr,
                dst_addr,
                next_header,
                payload_len,
                hop_limit,
            };
            let len = header.buffer_len() + payload_len;
            let fill = |body: &mut [u8]| {
                let (head, rest) = body.split_at_mut(header.buffer_len());
                header.emit(&mut Ipv4Packet::new_unchecked(head), &checks);
                emit(&mut rest[..payload_len]);
            };
            Some(build(
                source,
                destination,
                EthernetProtocol::Ipv4,
                len,
                fill,
            ))
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let header = Ipv6Repr {
                src_addr,
                dst_addr,
                next_header,
                payload_len,
                hop_limit,
            };
            let len = header.buffer_len() + payload_len;
            let fill = |body: &mut [u8]| {
                let (head, rest) = body.split_at_mut(header.buffer_len());
                header.emit(&mut Ipv6Packet::new_unchecked(head));
                emit(&mut rest[..payload_len]);
            };
            Some(build(
                source,
                destination,
                EthernetProtocol::Ipv6,
                len,
                fill,
            ))
        }
        _ => None,
    }
}

fn arp(mac: Mac, operation: ArpOperation, own: Ipv4Addr, target: Mac, address: Ipv4Addr) -> Frame {
    let message = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: own,
        target_hardware_addr: EthernetAddress(target.0),
        target_protocol_addr: address,
    };
    build(
        mac,
        Mac::BROADCAST,
        EthernetProtocol::Arp,
        message.buffer_len(),
        |body| {
            message.emit(&mut ArpPacket::new_unchecked(body));
        },
    )
}

fn solicit(mac: Mac, own: Ipv6Addr, address: Ipv6Addr) -> Frame {
    // RFC 4861, 4.3: the option must be absent when the source is unspecified.
    let lladdr = (!own.is_unspecified()).then(|| hardware(mac));
    let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: address,
        lladdr,
    });
    let group = solicited_node(address);
    icmpv6(mac, group_mac(group), (own, group), NDP_HOPS, &message)
}

fn icmpv4(
    (source, destination): (Mac, Mac),
    (src_addr, dst_addr): (Ipv4Addr, Ipv4Addr),
    message: &Icmpv4Repr<'_>,
) -> Frame {
    let checks = ChecksumCapabilities::default();
    let header = Ipv4Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmp,
        payload_len: message.buffer_len(),
        hop_limit: HOPS,
    };
    let len = header.buffer_len() + message.buffer_len();
    build(source, destination, EthernetProtocol::Ipv4, len, |body| {
        let (head, rest) = body.split_at_mut(header.buffer_len());
        header.emit(&mut Ipv4Packet::new_unchecked(head), &checks);
        message.emit(&mut Icmpv4Packet::new_unchecked(rest), &checks);
    })
}

fn icmpv6(
    source: Mac,
    destination: Mac,
    (src_addr, dst_addr): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    message: &Icmpv6Repr<'_>,
) -> Frame {
    let header = Ipv6Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit,
    };
    let len = header.buffer_len() + message.buffer_len();
    build(source, destination, EthernetProtocol::Ipv6, len, |body| {
        let (head, rest) = body.split_at_mut(header.buffer_len());
        header.emit(&mut Ipv6Packet::new_unchecked(head));
        let checks = ChecksumCapabilities::default();
        message.emit(
            &src_addr,
            &dst_addr,
            &mut Icmpv6Packet::new_unchecked(rest),
            &checks,
        );
    })
}

/// An Ethernet frame around a body of `len` bytes that `emit` fills.
fn build(
    source: Mac,
    destination: Mac,
    ethertype: EthernetProtocol,
    len: usize,
    emit: impl FnOnce(&mut [u8]),
) -> Frame {
    let mut frame = Frame::new();
    // Only messages of this module come here; the longest has a few hundred bytes.
    frame
        .resize(HEADER + len, 0)
        .expect("a control message fits in a frame");
    let (head, body) = frame.split_at_mut(HEADER);
    let header = EthernetRepr {
        src_addr: EthernetAddress(source.0),
        dst_addr: EthernetAddress(destination.0),
        ethertype,
    };
    header.emit(&mut EthernetFrame::new_unchecked(head));
    emit(body);
    ethernet::pad(&mut frame);
    frame
}

fn hardware(mac: Mac) -> RawHardwareAddress {
    RawHardwareAddress::from_bytes(&mac.0)
}

/// The group that a node joins for each of its addresses (RFC 4291, 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let [c, b, a] = [u16::from(c), u16::from(b), u16::from(a)];
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a, b << 8 | c)
}

fn solicited_node_group(address: Ipv6Addr) -> bool {
    address == solicited_node(address)
}

/// Where Ethernet carries an IPv6 group (RFC 2464, 7).
fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests;
