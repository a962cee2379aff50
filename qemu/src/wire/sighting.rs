//! Who speaks for a VIP, as seen on the wire.
//!
//! Owns the reading of one frame: does its sender claim a VIP, and how. Decides nothing.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, Icmpv6Message, Icmpv6Packet, IpProtocol,
    Ipv4Packet, Ipv6Packet, NdiscNeighborFlags,
};

use super::mac::{EtherType, Mac};
use crate::time::LabTime;

/// How a frame speaks for a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Told everybody unasked: gratuitous ARP, unsolicited neighbour advertisement.
    Announcement,
    /// Answered an ARP request.
    ArpReply,
    /// Asked by ARP with the VIP as its own address.
    ArpRequest,
    /// Answered a neighbour solicitation.
    Nd,
    /// An IP packet with the VIP as its source.
    Ip,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announcement => "announcement",
            Self::ArpReply => "ARP reply",
            Self::ArpRequest => "ARP request",
            Self::Nd => "neighbour advertisement",
            Self::Ip => "IP packet",
        })
    }
}

/// One frame that spoke for a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// When it passed the node's LAN cable.
    pub at: LabTime,
    /// The VIP.
    pub vip: IpAddr,
    /// The node from whose LAN cable it came.
    pub node: Arc<str>,
    /// How it spoke for the VIP.
    pub kind: Kind,
    /// The hardware address it gave for the VIP, or the frame's source.
    pub mac: Mac,
}

/// Who asks, without giving an address of its own, whether an address is in use: by an ARP
/// probe (RFC 5227) or by IPv6's duplicate address detection (RFC 4862).
#[must_use]
pub fn probes_for(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let eth = EthernetFrame::new_checked(frame).ok()?;
    match EtherType::of(frame)? {
        EtherType::ARP => {
            match ArpRepr::parse(&ArpPacket::new_checked(eth.payload()).ok()?).ok()? {
                ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Request,
                    source_hardware_addr,
                    source_protocol_addr,
                    target_protocol_addr,
                    ..
                } if source_protocol_addr.is_unspecified() => {
                    Some((target_protocol_addr.into(), Mac(source_hardware_addr.0)))
                }
                _ => None,
            }
        }
        EtherType::IPV6 => {
            let ip = Ipv6Packet::new_checked(eth.payload()).ok()?;
            if ip.next_header() != IpProtocol::Icmpv6 || !ip.src_addr().is_unspecified() {
                return None;
            }
            let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
            let asks = icmp.msg_type() == Icmpv6Message::NeighborSolicit;
            asks.then(|| (icmp.target_addr().into(), Mac(eth.src_addr().0)))
        }
        _ => None,
    }
}

/// Which address a frame speaks for, how, and with which hardware address. Any address
/// counts; the caller knows which are VIPs. ARP probes (RFC 5227, no sender address) and
/// duplicate address detection claim nothing.
#[must_use]
pub fn speaks_for(frame: &[u8]) -> Option<(IpAddr, Kind, Mac)> {
    let eth = EthernetFrame::new_checked(frame).ok()?;
    let source = Mac(eth.src_addr().0);
    match EtherType::of(frame)? {
        EtherType::ARP => {
            let ArpRepr::EthernetIpv4 {
                operation,
                source_hardware_addr,
                source_protocol_addr,
                target_protocol_addr,
                ..
            } = ArpRepr::parse(&ArpPacket::new_checked(eth.payload()).ok()?).ok()?
            else {
                return None;
            };
            if source_protocol_addr.is_unspecified() {
                return None;
            }
            let kind = match operation {
                _ if source_protocol_addr == target_protocol_addr => Kind::Announcement,
                ArpOperation::Reply if eth.dst_addr().is_multicast() => Kind::Announcement,
                ArpOperation::Reply => Kind::ArpReply,
                ArpOperation::Request => Kind::ArpRequest,
                ArpOperation::Unknown(_) => return None,
            };
            Some((
                source_protocol_addr.into(),
                kind,
                Mac(source_hardware_addr.0),
            ))
        }
        EtherType::IPV4 => {
            let ip = Ipv4Packet::new_checked(eth.payload()).ok()?;
            Some((ip.src_addr().into(), Kind::Ip, source))
        }
        EtherType::IPV6 => {
            let ip = Ipv6Packet::new_checked(eth.payload()).ok()?;
            if ip.next_header() == IpProtocol::Icmpv6 {
                let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
                if icmp.msg_type() == Icmpv6Message::NeighborAdvert {
                    let asked = icmp
                        .neighbor_flags()
                        .contains(NdiscNeighborFlags::SOLICITED);
                    let kind = if asked { Kind::Nd } else { Kind::Announcement };
                    return Some((icmp.target_addr().into(), kind, source));
                }
            }
            Some((ip.src_addr().into(), Kind::Ip, source))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::wire::frames;

    const NODE: Mac = Mac([0x52, 0x54, 0, 0, 1, 1]);
    const ASKER: Mac = Mac([2, 0, 0, 0, 0, 9]);

    #[test]
    fn arp_is_told_apart() {
        let vip = [192, 168, 0, 33].into();
        let asker = [192, 168, 0, 100].into();
        let of =
            |frame: Vec<u8>| speaks_for(&frame).map(|(ip, kind, mac)| (ip.to_string(), kind, mac));
        let said = |kind| Some(("192.168.0.33".to_owned(), kind, NODE));
        assert_eq!(
            of(frames::arp_announcement(NODE, vip)),
            said(Kind::Announcement)
        );
        assert_eq!(
            of(frames::arp_reply(NODE, vip, ASKER, asker)),
            said(Kind::ArpReply)
        );
        assert_eq!(
            of(frames::arp_request(NODE, vip, asker)),
            said(Kind::ArpRequest)
        );
        assert_eq!(
            of(frames::arp_request(NODE, [0; 4].into(), vip)),
            None,
            "a probe claims nothing"
        );
    }

    #[test]
    fn a_probe_is_a_question() {
        let vip = [192, 168, 0, 33].into();
        let probe = frames::arp_request(NODE, [0; 4].into(), vip);
        assert_eq!(probes_for(&probe), Some((vip.into(), NODE)));
        assert_eq!(
            probes_for(&frames::arp_request(NODE, vip, [192, 168, 0, 1].into())),
            None
        );
        assert_eq!(probes_for(&frames::arp_announcement(NODE, vip)), None);
        let vip: Ipv6Addr = "fd00::33".parse().unwrap();
        let probe = frames::solicitation(NODE, Ipv6Addr::UNSPECIFIED, vip);
        assert_eq!(probes_for(&probe), Some((vip.into(), NODE)));
        let question = frames::solicitation(NODE, "fd00::1".parse().unwrap(), vip);
        assert_eq!(probes_for(&question), None);
    }

    #[test]
    fn neighbour_advertisements_are_told_apart() {
        let vip = "fd00::33".parse().unwrap();
        let asker = "fd00::64".parse().unwrap();
        let of = |frame: Vec<u8>| speaks_for(&frame).map(|(ip, kind, _)| (ip, kind));
        assert_eq!(
            of(frames::advertisement(NODE, vip, None)),
            Some((vip.into(), Kind::Announcement))
        );
        assert_eq!(
            of(frames::advertisement(NODE, vip, Some((ASKER, asker)))),
            Some((vip.into(), Kind::Nd))
        );
        assert_eq!(
            of(frames::solicitation(ASKER, asker, vip)),
            Some((asker.into(), Kind::Ip))
        );
    }

    #[test]
    fn scraps_claim_nothing() {
        let whole = frames::arp_announcement(NODE, [192, 168, 0, 33].into());
        for len in 0..whole.len() {
            assert_eq!(speaks_for(&whole[..len]), None, "{len} bytes");
        }
    }
}
