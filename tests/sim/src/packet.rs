//! The little of Ethernet, ARP and IPv4 that hosts and kernels of this world speak.
//!
//! Written apart from the netstack under test, so that both can be wrong only in
//! different ways. Reading is total: what is not understood is [`Packet::Other`].

use core::net::Ipv4Addr;

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// Every station.
pub(crate) const BROADCAST: Mac = [0xff; 6];
/// For experiments (RFC 3692): the client's requests and their answers.
const EXPERIMENT: u8 = 253;
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Of our EtherType.
    Heartbeat,
    /// An ARP packet.
    Arp(Arp),
    /// An ICMP echo request, whole from its header on.
    EchoRequest(Ip<'a>),
    /// An ICMP echo reply.
    EchoReply(Ip<'a>),
    /// A UDP datagram.
    Udp(Ip<'a>, Udp<'a>),
    /// A client's request, or its answer: `true` for an answer, then its number.
    Client(Ip<'a>, bool, u64),
    /// Anything else.
    Other,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    /// A question, not an answer.
    pub(crate) request: bool,
    /// Who says it.
    pub(crate) mac: Mac,
    /// For which address it speaks; unspecified in a probe.
    pub(crate) sender: Ipv4Addr,
    /// About which address.
    pub(crate) target: Ipv4Addr,
}

/// An IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ip<'a> {
    /// From.
    pub(crate) source: Ipv4Addr,
    /// To.
    pub(crate) destination: Ipv4Addr,
    /// Behind its header.
    pub(crate) body: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp<'a> {
    /// From this port
    pub(crate) from: u16,
    /// to this one.
    pub(crate) to: u16,
    /// Behind its header.
    pub(crate) body: &'a [u8],
}

/// Who a frame is for.
#[must_use]
pub(crate) fn destination(frame: &[u8]) -> Mac {
    frame.first_chunk().copied().unwrap_or_default()
}

/// Who put it on the wire.
#[must_use]
pub(crate) fn source(frame: &[u8]) -> Mac {
    let from = frame.get(6..).and_then(|rest| rest.first_chunk());
    from.copied().unwrap_or_default()
}

/// Reads a frame.
#[must_use]
pub(crate) fn parse(frame: &[u8]) -> Packet<'_> {
    try_parse(frame).unwrap_or(Packet::Other)
}

fn try_parse(frame: &[u8]) -> Option<Packet<'_>> {
    let body = frame.get(14..)?;
    match u16::from_be_bytes([frame[12], frame[13]]) {
        kodo_netstack::ETHERTYPE => Some(Packet::Heartbeat),
        0x0806 => {
            let at = |from: usize| body.get(from..from + 4)?.first_chunk::<4>().copied();
            Some(Packet::Arp(Arp {
                request: body.get(7) == Some(&1),
                mac: body.get(8..14)?.first_chunk().copied()?,
                sender: at(14)?.into(),
                target: at(24)?.into(),
            }))
        }
        0x0800 => {
            let len = usize::from(u16::from_be_bytes([*body.get(2)?, *body.get(3)?]));
            if body[0] != 0x45 || checksum(body.get(..20)?) != 0 {
                return None;
            }
            let at = |from: usize| body.get(from..from + 4)?.first_chunk::<4>().copied();
            let ip = Ip {
                source: at(12)?.into(),
                destination: at(16)?.into(),
                body: body.get(20..len)?,
            };
            match (body[9], ip.body.first()?) {
                (ICMP, _) if checksum(ip.body) != 0 => None,
                (ICMP, &ECHO_REQUEST) => Some(Packet::EchoRequest(ip)),
                (ICMP, &ECHO_REPLY) => Some(Packet::EchoReply(ip)),
                (UDP, _) => {
                    let word = |at: usize| {
                        let bytes = ip.body.get(at..)?.first_chunk::<2>()?;
                        Some(u16::from_be_bytes(*bytes))
                    };
                    let (from, to, len) = (word(0)?, word(2)?, usize::from(word(4)?));
                    if word(6)? != 0 && checksum(&pseudo(&ip)) != 0 {
                        return None;
                    }
                    let body = ip.body.get(8..len)?;
                    Some(Packet::Udp(ip, Udp { from, to, body }))
                }
                (EXPERIMENT, kind) => {
                    let number = u64::from_be_bytes(*ip.body.get(1..)?.first_chunk()?);
                    Some(Packet::Client(ip, *kind == 1, number))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// An ARP packet as a frame.
#[must_use]
pub(crate) fn arp(to: Mac, arp: Arp, target_mac: Mac) -> Vec<u8> {
    let mut frame = header(to, arp.mac, 0x0806);
    frame.extend([0, 1, 8, 0, 6, 4, 0, if arp.request { 1 } else { 2 }]);
    frame.extend(arp.mac);
    frame.extend(arp.sender.octets());
    frame.extend(target_mac);
    frame.extend(arp.target.octets());
    frame.resize(60, 0);
    frame
}

/// The answer to an echo request.
#[must_use]
pub(crate) fn echo_reply(to: Mac, from: Mac, request: &Ip<'_>) -> Vec<u8> {
    let mut body = request.body.to_vec();
    body[0] = ECHO_REPLY;
    body[2..4].fill(0);
    let sum = checksum(&body).to_be_bytes();
    body[2..4].copy_from_slice(&sum);
    ipv4((to, from), request.destination, request.source, ICMP, &body)
}

/// A UDP datagram as a frame.
#[must_use]
pub(crate) fn udp(
    macs: (Mac, Mac),
    source: Ipv4Addr,
    destination: Ipv4Addr,
    udp: Udp<'_>,
) -> Vec<u8> {
    let len = u16::try_from(8 + udp.body.len()).expect("small packets only");
    let mut body = Vec::with_capacity(usize::from(len));
    body.extend(udp.from.to_be_bytes());
    body.extend(udp.to.to_be_bytes());
    body.extend(len.to_be_bytes());
    body.extend([0, 0]);
    body.extend(udp.body);
    let ip = Ip {
        source,
        destination,
        body: &body,
    };
    let sum = match checksum(&pseudo(&ip)) {
        0 => u16::MAX,
        sum => sum,
    };
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(macs, source, destination, UDP, &body)
}

/// What UDP's checksum covers (RFC 768).
fn pseudo(ip: &Ip<'_>) -> Vec<u8> {
    let len = u16::try_from(ip.body.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(12 + ip.body.len());
    bytes.extend(ip.source.octets());
    bytes.extend(ip.destination.octets());
    bytes.extend([0, UDP]);
    bytes.extend(len.to_be_bytes());
    bytes.extend(ip.body);
    bytes
}

/// A client's request, or the answer to it.
#[must_use]
pub(crate) fn client(
    macs: (Mac, Mac),
    source: Ipv4Addr,
    destination: Ipv4Addr,
    answer: bool,
    n: u64,
) -> Vec<u8> {
    let mut body = vec![u8::from(answer)];
    body.extend(n.to_be_bytes());
    ipv4(macs, source, destination, EXPERIMENT, &body)
}

fn ipv4(
    (to, from): (Mac, Mac),
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    body: &[u8],
) -> Vec<u8> {
    let len = u16::try_from(20 + body.len()).expect("small packets only");
    let mut ip = vec![0x45, 0];
    ip.extend(len.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    ip.extend(source.octets());
    ip.extend(destination.octets());
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let mut frame = header(to, from, 0x0800);
    frame.extend(ip);
    frame.extend(body);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn header(to: Mac, from: Mac, ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.extend(to);
    frame.extend(from);
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// The Internet checksum (RFC 1071); 0 over bytes that carry a right one.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = bytes.chunks(2).fold(0_u32, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], low]))
    });
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];
    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn the_netstack_understands_what_is_built_here() {
        use kodo_netstack::packet::{Packet as Theirs, parse as read};
        let claim = Arp {
            request: false,
            mac: A,
            sender: ONE,
            target: TWO,
        };
        let frame = arp(B, claim, B);
        assert!(
            matches!(read(&frame).expect("valid").packet, Theirs::Claim { address, .. } if address == ONE)
        );
        let request =
            kodo_netstack::packet::ask(kodo_netstack::Mac(A), ONE.into(), TWO.into()).expect("v4");
        assert!(matches!(
            parse(&request),
            Packet::Arp(Arp {
                request: true,
                sender: ONE,
                target: TWO,
                mac: A
            })
        ));
        let macs = (kodo_netstack::Mac(A), kodo_netstack::Mac(B));
        let ping = kodo_netstack::packet::echo_request(
            macs,
            (ONE.into(), TWO.into()),
            7,
            9,
            &[1; kodo_netstack::packet::ECHO_DATA],
        )
        .expect("v4");
        let Packet::EchoRequest(ip) = parse(&ping) else {
            panic!("a ping reads as one")
        };
        let reply = echo_reply(A, B, &ip);
        assert!(matches!(
            read(&reply).expect("valid").packet,
            Theirs::EchoReply(echo) if echo.seq == 9 && echo.destination == ONE
        ));
    }

    #[test]
    fn requests_and_rubbish() {
        let frame = client((A, B), ONE, TWO, false, 77);
        assert!(matches!(parse(&frame), Packet::Client(ip, false, 77) if ip.destination == TWO));
        for len in 0..frame.len() {
            let _ = parse(&frame[..len]);
        }
        let mut rng = crate::rng::Rng::new(1);
        for len in 0..200 {
            let _ = parse(&rng.bytes(len));
        }
    }
}
