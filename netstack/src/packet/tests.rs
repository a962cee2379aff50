//! Against recorded bytes, and round trips. Arbitrary bytes are the fuzz crate's.

use super::*;
use proptest::prelude::*;

const MAC: Mac = Mac([0x52, 0x54, 0, 0, 1, 1]);
const FAR: Mac = Mac([0x52, 0x54, 0, 0, 2, 1]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The bytes of one frame, in hexadecimal with spaces as one likes.
fn bytes(hex: &str) -> std::vec::Vec<u8> {
    let digits: std::vec::Vec<u8> = hex
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| u8::try_from(digit).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn an_arp_announcement_is_what_others_expect() {
    let expected = bytes(
        "ffffffffffff 525400000101 0806  0001 0800 06 04 0001
         525400000101 c0a80021 000000000000 c0a80021
         000000000000000000000000000000000000",
    );
    assert_eq!(
        announce_request(MAC, "192.168.0.33".parse().unwrap())[..],
        expected
    );
}

#[test]
fn an_arp_probe_names_no_sender() {
    let expected = bytes(
        "ffffffffffff 525400000101 0806  0001 0800 06 04 0001
         525400000101 00000000 000000000000 c0a80021
         000000000000000000000000000000000000",
    );
    assert_eq!(query(MAC, ip("192.168.0.33"))[..], expected);
}

#[test]
fn an_unsolicited_advertisement_is_what_others_expect() {
    let expected = bytes(
        "333300000001 525400000101 86dd  60000000 0020 3a ff
         fd000000000000000000000000000033 ff020000000000000000000000000001
         88 00 08e3 20000000 fd000000000000000000000000000033 0201 525400000101",
    );
    assert_eq!(advertise(MAC, "fd00::33".parse().unwrap())[..], expected);
}

#[test]
fn a_search_over_ndp_goes_to_the_solicited_node_group() {
    let frame = query(MAC, ip("fd00::1:2:33"));
    assert_eq!(frame[..6], bytes("3333ff020033"));
    assert_eq!(frame[22..38], [0; 16], "from nowhere");
    assert_eq!(frame[38..54], bytes("ff0200000000000000000001ff020033"));
}

/// Parses a frame after a change to it.
fn changed(frame: &Frame, change: impl FnOnce(&mut [u8])) -> Result<Packet<'static>, Malformed> {
    let mut frame = frame.clone();
    change(&mut frame);
    match parse(&frame).map(|received| received.packet) {
        Ok(Packet::Other) => Ok(Packet::Other),
        Ok(Packet::Claim {
            address,
            mac,
            replaces,
        }) => Ok(Packet::Claim {
            address,
            mac,
            replaces,
        }),
        Ok(Packet::Query { address, mac }) => Ok(Packet::Query { address, mac }),
        Ok(packet) => panic!("{packet:?}"),
        Err(error) => Err(error),
    }
}

/// An advertisement with another byte in it, and a checksum that fits again.
fn advertised(at: usize, value: u8) -> Result<Packet<'static>, Malformed> {
    let address = "fd00::33".parse().unwrap();
    changed(&advertise(MAC, address), |frame| {
        frame[at] = value;
        let (src, dst): ([u8; 16], [u8; 16]) = (
            frame[22..38].try_into().unwrap(),
            frame[38..54].try_into().unwrap(),
        );
        Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&src.into(), &dst.into());
    })
}

#[test]
fn advertisements_that_rfc_4861_says_to_discard() {
    let flags = 58;
    assert!(matches!(
        advertised(flags, 0x20),
        Ok(Packet::Claim { replaces: true, .. })
    ));
    assert!(matches!(
        advertised(flags, 0x00),
        Ok(Packet::Claim {
            replaces: false,
            ..
        })
    ));
    assert_eq!(
        advertised(flags, 0x60),
        Err(Malformed::Ndp),
        "solicited, yet to a group"
    );
    assert_eq!(
        advertised(21, 64),
        Err(Malformed::Ndp),
        "a router forwarded it"
    );
    assert_eq!(advertised(62, 0xff), Err(Malformed::Ndp), "about a group");
    assert_eq!(
        advertised(80, 0x01),
        Err(Malformed::Ndp),
        "at a group address"
    );
    assert_eq!(
        advertised(79, 0),
        Err(Malformed::Icmp),
        "an option of no length"
    );
    assert_eq!(advertised(55, 1), Err(Malformed::Icmp), "a code");
    let frame = advertise(MAC, "fd00::33".parse().unwrap());
    assert_eq!(
        changed(&frame, |frame| frame[57] ^= 1),
        Err(Malformed::Icmp),
        "checksum"
    );
}

#[test]
fn questions_that_rfc_4861_says_to_discard() {
    let address: Ipv6Addr = "fd00::33".parse().unwrap();
    let asked = |own: Ipv6Addr, group: Ipv6Addr, lladdr: Option<Mac>| {
        let message = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
            target_addr: address,
            lladdr: lladdr.map(hardware),
        });
        let frame = icmpv6(MAC, group_mac(group), (own, group), NDP_HOPS, &message);
        changed(&frame, |_| ())
    };
    let nowhere = Ipv6Addr::UNSPECIFIED;
    let group = solicited_node(address);
    let query = Packet::Query {
        address: address.into(),
        mac: MAC,
    };
    assert_eq!(asked(nowhere, group, None), Ok(query));
    assert_eq!(
        asked(nowhere, group, Some(MAC)),
        Err(Malformed::Ndp),
        "from nowhere, yet at"
    );
    assert_eq!(
        asked(nowhere, ALL_NODES, None),
        Err(Malformed::Ndp),
        "to everybody"
    );
    assert_eq!(
        asked(address, group, Some(MAC)),
        Ok(Packet::Other),
        "an ordinary question"
    );
}

#[test]
fn arp_that_means_nothing() {
    let frame = announce_reply(MAC, "192.168.0.33".parse().unwrap());
    assert!(matches!(changed(&frame, |_| ()), Ok(Packet::Claim { .. })));
    assert_eq!(
        changed(&frame, |frame| frame[15] = 6),
        Err(Malformed::Arp),
        "hardware type"
    );
    assert_eq!(
        changed(&frame, |frame| frame[18] = 8),
        Err(Malformed::Arp),
        "hardware length"
    );
    assert_eq!(
        changed(&frame, |frame| frame[22] |= 1),
        Err(Malformed::Arp),
        "a group's claim"
    );
    assert_eq!(
        changed(&frame, |frame| frame[21] = 9),
        Ok(Packet::Other),
        "operation"
    );
    assert_eq!(
        changed(&frame, |frame| frame[28..32].fill(0)),
        Ok(Packet::Other),
        "nobody"
    );
    assert_eq!(
        changed(&frame, |frame| frame[6] |= 1),
        Err(Malformed::Source)
    );
    assert_eq!(parse(&frame[..41]), Err(Malformed::Arp), "cut short");
    assert_eq!(parse(&frame[..13]), Err(Malformed::Short));
}

#[test]
fn heartbeats_of_others_on_the_same_type() {
    let frame = ethernet::heartbeat(MAC, b"beat").unwrap();
    assert_eq!(parse(&frame).unwrap().packet, Packet::Heartbeat(b"beat"));
    for (at, value) in [(14, 0), (15, 2), (16, 0xff), (17, 0)] {
        assert_eq!(
            changed(&frame, |frame| frame[at] = value),
            Err(Malformed::Heartbeat)
        );
    }
    let tagged = changed(&frame, |frame| frame[12..14].copy_from_slice(&[0x81, 0x00]));
    assert_eq!(tagged, Ok(Packet::Other), "VLAN tags are not ours");
}

#[test]
fn the_longest_and_the_shortest_heartbeat() {
    let longest = [0xa5; limits::FRAME];
    for payload in [&longest[..], &[0]] {
        let frame = ethernet::heartbeat(MAC, payload).unwrap();
        assert_eq!(frame.len(), ethernet::wire_len(payload.len()));
        assert_eq!(parse(&frame).unwrap().packet, Packet::Heartbeat(payload));
    }
    assert_eq!(ethernet::heartbeat(MAC, &[]), None);
    assert_eq!(ethernet::heartbeat(MAC, &[0; limits::FRAME + 1]), None);
}

/// A ping's bytes turned into its answer's.
fn answered(request: &Frame) -> Frame {
    let mut reply = request.clone();
    let (source, destination) = (&request[..6], &request[6..12]);
    reply[..6].copy_from_slice(destination);
    reply[6..12].copy_from_slice(source);
    if request[12..14] == [0x08, 0x00] {
        reply[26..30].copy_from_slice(&request[30..34]);
        reply[30..34].copy_from_slice(&request[26..30]);
        reply[34] = 0;
        Icmpv4Packet::new_unchecked(&mut reply[34..50]).fill_checksum();
    } else {
        reply[22..38].copy_from_slice(&request[38..54]);
        reply[38..54].copy_from_slice(&request[22..38]);
        reply[54] = 129;
        let (src, dst): ([u8; 16], [u8; 16]) = (
            reply[22..38].try_into().unwrap(),
            reply[38..54].try_into().unwrap(),
        );
        Icmpv6Packet::new_unchecked(&mut reply[54..70]).fill_checksum(&src.into(), &dst.into());
    }
    reply
}

#[test]
fn pings_and_answers() {
    for (own, target) in [("192.168.0.18", "192.168.0.1"), ("fd00::18", "fd00::1")] {
        let mark = [1, 2, 3, 4, 5, 6, 7, 8];
        let request = echo_request((MAC, FAR), (ip(own), ip(target)), 7, 9, &mark).unwrap();
        assert_eq!(
            parse(&request).unwrap().packet,
            Packet::Other,
            "not ours to answer"
        );
        let reply = answered(&request);
        let expected = EchoReply {
            source: ip(target),
            destination: ip(own),
            ident: 7,
            seq: 9,
            data: &mark,
        };
        assert_eq!(parse(&reply).unwrap().packet, Packet::EchoReply(expected));
    }
    let mixed = (ip("fd00::18"), ip("192.168.0.1"));
    assert_eq!(echo_request((MAC, FAR), mixed, 7, 9, &[0; 8]), None);
}

/// The test machines' addresses in both families, near first.
const ENDS: [(&str, &str); 2] = [("192.168.0.18", "192.168.0.5"), ("fd00::18", "fd00::5")];

#[test]
fn a_datagram_is_what_others_expect() {
    let [(near, far), (near6, far6)] = ENDS.map(|(near, far)| (ip(near), ip(far)));
    let ports = (5581, 7007);
    let expected = bytes(
        "525400000201 525400000101 0800  4500 0020 0000 4000 40 11 b965 c0a80012 c0a80005
         15cd 1b5f 000c 7d63 6b6f646f 0000000000000000000000000000",
    );
    let frame = datagram((MAC, FAR), (near, far), ports, b"kodo").unwrap();
    assert_eq!(frame[..], expected);
    let expected = bytes(
        "525400000201 525400000101 86dd  60000000 000c 11 40
         fd000000000000000000000000000018 fd000000000000000000000000000005
         15cd 1b5f 000c 04ad 6b6f646f",
    );
    let frame = datagram((MAC, FAR), (near6, far6), ports, b"kodo").unwrap();
    assert_eq!(frame[..], expected);
    assert_eq!(datagram((MAC, FAR), (near, far6), ports, b"kodo"), None);
    let long = [0; limits::DATAGRAM + 1];
    assert_eq!(datagram((MAC, FAR), (near, far), ports, &long), None);
}

#[test]
fn datagrams_to_the_port_of_questions_are_read() {
    let here = limits::WITNESS_PORT;
    for (near, far) in ENDS {
        let send = |to: u16| datagram((FAR, MAC), (ip(far), ip(near)), (7, to), b"kodo").unwrap();
        let answer = send(here);
        let udp = answer.len() - if near.contains('.') { 26 } else { 12 };
        // a kernel that hands it over within one machine does not fill the checksum in
        for damage in [0, 1] {
            let mut frame = answer.clone();
            frame[udp + 6] ^= damage;
            let packet = parse(&frame).unwrap().packet;
            let expect = Datagram {
                source: ip(far),
                destination: ip(near),
                ports: (7, here),
                data: b"kodo",
            };
            assert_eq!(packet, Packet::Datagram(expect));
        }
        assert_eq!(parse(&send(here + 1)).unwrap().packet, Packet::Other);
        let length = |len: u8| changed(&answer, |frame| frame[udp + 5] = len);
        assert_eq!(length(13), Err(Malformed::Udp), "beyond the packet");
        assert_eq!(length(7), Err(Malformed::Udp), "shorter than its header");
    }
}

#[test]
fn fragments_and_damage_are_no_answers() {
    let addresses = (ip("192.168.0.18"), ip("192.168.0.1"));
    let reply = answered(&echo_request((MAC, FAR), addresses, 7, 9, &[0; 8]).unwrap());
    assert_eq!(
        changed(&reply, |frame| frame[20] = 0x20),
        Ok(Packet::Other),
        "more fragments"
    );
    assert_eq!(
        changed(&reply, |frame| frame[24] ^= 1),
        Err(Malformed::Ip),
        "header checksum"
    );
    assert_eq!(
        changed(&reply, |frame| frame[40] ^= 1),
        Err(Malformed::Icmp),
        "checksum"
    );
    assert_eq!(
        changed(&reply, |frame| frame[14] = 0x65),
        Err(Malformed::Ip),
        "version"
    );
    assert_eq!(
        changed(&reply, |frame| frame[17] = 0xff),
        Err(Malformed::Ip),
        "length"
    );
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ]
}

proptest! {
    #[test]
    fn heartbeats_survive_the_wire(
        source: [u8; 6],
        payload in prop::collection::vec(any::<u8>(), 1..=limits::FRAME),
        padding in 0usize..100,
    ) {
        let source = Mac([source[0] & 0xfe | 2, source[1], source[2], source[3], source[4], source[5]]);
        let mut frame = ethernet::heartbeat(source, &payload).unwrap().to_vec();
        frame.resize(frame.len() + padding, 0x55);
        prop_assert_eq!(
            parse(&frame),
            Ok(Received { source, packet: Packet::Heartbeat(&payload) })
        );
    }

    #[test]
    fn questions_and_announcements_survive_the_wire(address in any_ip()) {
        let question = query(MAC, address);
        let asked = parse(&question).map(|received| received.packet);
        let multicast = matches!(address, IpAddr::V6(address) if address.is_multicast());
        if multicast {
            prop_assert_eq!(asked, Err(Malformed::Ndp));
        } else {
            prop_assert_eq!(asked, Ok(Packet::Query { address, mac: MAC }));
            let frames = match address {
                IpAddr::V4(address) if address.is_unspecified() => std::vec![],
                IpAddr::V4(address) => {
                    std::vec![announce_request(MAC, address), announce_reply(MAC, address)]
                }
                IpAddr::V6(address) => std::vec![advertise(MAC, address)],
            };
            for frame in frames {
                let claim = Packet::Claim { address, mac: MAC, replaces: true };
                prop_assert_eq!(parse(&frame), Ok(Received { source: MAC, packet: claim }));
            }
        }
    }
}
