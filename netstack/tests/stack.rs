//! Netstacks on a LAN with each other and with hosts of another make.

#[cfg(test)]
#[allow(unreachable_pub, reason = "a module of this test only")]
mod lan;

use kodo_netstack::{Event, LineIndex, Mac, TargetIndex, Transmit, Unsent, VipIndex, limits};
use lan::{ECHO, LAN, Lan, config, mac, ms, with_witness};

const VIP: VipIndex = VipIndex(0);

/// A node that holds or wants both VIPs and has no targets.
fn pair_node() -> kodo_netstack::Config {
    config(
        &["192.168.0.18/24", "fd00::18/64"],
        &[],
        &["192.168.0.33", "fd00::33"],
        &[],
    )
}

#[test]
fn pings_find_their_way() {
    // Our addresses and gateways, the target, and what the other machine has.
    let none: &[&str] = &[];
    let v4 = &["192.168.0.18/24"][..];
    let v6 = &["fd00::18/64"][..];
    let two = &["10.0.0.1/8", "192.168.0.18/24"][..];
    for (addresses, gateways, target, host) in [
        (v4, none, "192.168.0.1", &["192.168.0.1/24"][..]),
        (v6, none, "fd00::1", &["fd00::1/64"]),
        (v6, none, "fe80::1", &["fe80::1/64", "fd00::1/64"]),
        (two, &["10.0.0.2"], "192.168.0.1", &["192.168.0.1/24"]),
        (
            v4,
            &["fd00::1", "192.168.0.1"],
            "8.8.8.8",
            &["8.8.8.8/0", "192.168.0.1/24"],
        ),
    ] {
        let mut lan = Lan::new();
        lan.host(1, host);
        let node = lan.node(18, config(addresses, gateways, &[], &[target]));
        let start = lan.now;
        lan.run(ms(1000));
        let answers = lan.answers(node);
        assert_eq!(answers.len(), 11, "{target}: {:?}", lan.events);
        assert!(
            answers
                .iter()
                .zip(0..)
                .all(|(sent, n)| *sent == start + ms(100) * n)
        );
        assert_eq!(lan.stack(node).counters().answers, 11);
        assert_eq!(lan.said(node), 12, "one question, then pings only");
    }
}

#[test]
fn a_target_without_a_way_is_not_asked_for() {
    let none: &[&str] = &[];
    for (gateways, target) in [
        (none, "10.0.0.1"),
        (&["10.0.0.254"], "10.0.0.1"),
        (&["192.168.0.1"], "fd00::1"),
    ] {
        let addresses = &["192.168.0.18/24"];
        let mut lan = Lan::new();
        let node = lan.node(18, config(addresses, gateways, &[], &[target]));
        lan.run(ms(10_000));
        assert_eq!(lan.said(node), 0);
        assert_eq!(lan.stack(node).poll_deadline(), None);
    }
}

#[test]
fn a_silent_target_is_asked_for_once_a_second_and_found_when_it_comes() {
    let mut lan = Lan::new();
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(9_950));
    assert_eq!(lan.said(node), 10);
    lan.host(1, &["192.168.0.1/24"]);
    lan.run(ms(100));
    let [sent] = lan.answers(node)[..] else {
        panic!("{:?}", lan.events)
    };
    assert_eq!(
        sent,
        ms(20_000),
        "the ping went with the answer to the question"
    );
}

#[test]
fn a_gateway_that_is_replaced_is_found_again() {
    let mut lan = Lan::new();
    let old = lan.host(1, &["192.168.0.1/24"]);
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(5_000));
    lan.unplugged.push(old);
    lan.host(2, &["192.168.0.1/24"]);
    let change = lan.now;
    lan.run(ms(3_000));
    let back = lan.answers(node).into_iter().find(|sent| *sent > change);
    assert!(
        back.is_some_and(|sent| sent <= change + ms(1_200)),
        "{back:?}"
    );
}

#[test]
fn a_ping_lost_on_the_way_is_not_answered_by_the_next_one() {
    let mut lan = Lan::new();
    let host = lan.host(1, &["192.168.0.1/24"]);
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(250));
    lan.unplugged.push(host);
    lan.run(ms(300));
    lan.unplugged.clear();
    lan.run(ms(300));
    let times: Vec<_> = lan
        .answers(node)
        .iter()
        .map(std::time::Duration::as_millis)
        .collect();
    assert_eq!(times, [10_000, 10_100, 10_200, 10_600, 10_700, 10_800]);
}

#[test]
fn answers_count_once_and_only_when_they_are_ours() {
    let mut lan = Lan::new();
    let host = lan.host(1, &["192.168.0.1/24"]);
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(50));
    let reply = lan
        .frames
        .iter()
        .rfind(|(_, from, _)| *from == host)
        .unwrap()
        .2
        .clone();
    assert_eq!(lan.answers(node).len(), 1);
    // Again, as a duplicating or replaying network would.
    lan.deliver(node, &reply);
    lan.settle();
    assert_eq!(lan.answers(node).len(), 1);
    // Each field that makes it ours, with both checksums corrected for the change.
    for at in [26, 30, 38, 40, 42] {
        lan.run(ms(100));
        let mut forged = lan
            .frames
            .iter()
            .rfind(|(_, from, _)| *from == host)
            .unwrap()
            .2
            .clone();
        lan.unplugged.push(host);
        lan.run(ms(100));
        lan.unplugged.clear();
        // What the lost answer would have looked like, but for one word.
        forged[41] += 1;
        forged[at + 1] ^= 4;
        correct(&mut forged);
        let before = lan.answers(node).len();
        lan.deliver(node, &forged);
        lan.settle();
        assert_eq!(lan.answers(node).len(), before, "byte {at}");
        forged[at + 1] ^= 4;
        correct(&mut forged);
        lan.deliver(node, &forged);
        lan.settle();
        let answers = lan.answers(node);
        assert_eq!(
            answers.len(),
            before + 1,
            "and without the change it counts"
        );
        let asked = lan.now - ms(50);
        assert_eq!(answers.last(), Some(&asked), "as of when it was asked");
    }
    assert_eq!(
        lan.stack(node).counters().malformed,
        0,
        "checksums held throughout"
    );
}

/// Makes both checksums of an ICMPv4 frame fit.
fn correct(frame: &mut [u8]) {
    use smoltcp::wire::{Icmpv4Packet, Ipv4Packet};
    Ipv4Packet::new_unchecked(&mut frame[14..34]).fill_checksum();
    Icmpv4Packet::new_unchecked(&mut frame[34..50]).fill_checksum();
}

#[test]
fn without_carrier_nothing_is_said_and_after_it_everything_at_once() {
    let mut lan = Lan::new();
    lan.host(1, &["192.168.0.1/24"]);
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(1_000));
    let now = lan.now;
    lan.stack(node).handle_carrier(now, LAN, false);
    let before = lan.said(node);
    lan.run(ms(10_000));
    assert_eq!(lan.said(node), before);
    let now = lan.now;
    lan.stack(node).handle_carrier(now, LAN, true);
    lan.settle();
    assert_eq!(lan.answers(node).last(), Some(&now));
}

#[test]
fn a_gateway_replaced_while_the_cable_was_out_is_found_at_once() {
    let mut lan = Lan::new();
    let old = lan.host(1, &["192.168.0.1/24"]);
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], &["192.168.0.1"]));
    lan.run(ms(1_000));
    let now = lan.now;
    lan.stack(node).handle_carrier(now, LAN, false);
    lan.unplugged.push(old);
    lan.host(2, &["192.168.0.1/24"]);
    lan.run(ms(10));
    let now = lan.now;
    lan.stack(node).handle_carrier(now, LAN, true);
    lan.settle();
    assert_eq!(lan.answers(node).last(), Some(&now));
}

#[test]
fn a_new_device_has_no_carrier_until_it_says_so() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let now = lan.now;
    lan.stack(a).handle_port(now, LAN, None);
    lan.stack(a).handle_port(now, LAN, Some(mac(77)));
    assert_eq!(
        lan.stack(a).send_heartbeat(LAN, b"beat"),
        Err(Unsent::NoLink)
    );
    lan.stack(a).handle_carrier(now, LAN, true);
    assert_eq!(lan.stack(a).send_heartbeat(LAN, b"beat"), Ok(()));
}

#[test]
fn heartbeats_cross_the_lan_whatever_their_length() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let b = lan.node(19, pair_node());
    for len in [1, 41, 42, 43, limits::FRAME] {
        let payload = vec![0xab; len];
        lan.stack(a).send_heartbeat(LAN, &payload).unwrap();
        lan.settle();
        assert_eq!(lan.beats.pop(), Some((b, mac(18), payload)));
    }
    assert!(
        lan.frames.iter().all(|(_, _, frame)| frame.len() >= 60),
        "no runts"
    );
}

#[test]
fn a_heartbeat_that_cannot_leave_is_refused_and_counted() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let now = lan.now;
    let stack = lan.stack(a);
    assert_eq!(stack.send_heartbeat(LAN, &[]), Err(Unsent::Length));
    assert_eq!(
        stack.send_heartbeat(LAN, &[0; limits::FRAME + 1]),
        Err(Unsent::Length)
    );
    stack
        .send_heartbeat(LAN, b"the link goes before it leaves")
        .unwrap();
    stack.handle_carrier(now, LAN, false);
    assert_eq!(stack.poll_transmit(), None);
    assert_eq!(stack.send_heartbeat(LAN, b"beat"), Err(Unsent::NoLink));
    stack.handle_port(now, LAN, None);
    stack.handle_carrier(now, LAN, true);
    assert_eq!(stack.send_heartbeat(LAN, b"beat"), Err(Unsent::NoLink));
    assert_eq!(stack.counters().unsent, 5);
}

#[test]
fn when_nobody_drains_the_newest_heartbeats_stay() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let many = u8::try_from(limits::HEARTBEATS).unwrap() + 3;
    for beat in 0..many {
        lan.stack(a).send_serial(LineIndex(0), &[beat]).unwrap();
    }
    assert_eq!(lan.stack(a).counters().unsent, 3);
    for beat in 3..many {
        let Some(Transmit::Line(LineIndex(0), line)) = lan.stack(a).poll_transmit() else {
            panic!("fewer than were kept");
        };
        let mut bytes = &line[..];
        assert_eq!(
            lan.stack(a).handle_serial(LineIndex(0), &mut bytes),
            Some(&[beat][..])
        );
    }
    assert_eq!(lan.stack(a).poll_transmit(), None);
}

#[test]
fn noise_on_a_line_is_counted_by_line() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let mut bytes = &[1, 2, 3, 0, 9, 9, 0][..];
    assert_eq!(lan.stack(a).handle_serial(LineIndex(0), &mut bytes), None);
    let counters = lan.stack(a).counters();
    assert_eq!((counters.noise, counters.broken), (5, 2));
    assert_eq!(lan.stack(a).line_noise(LineIndex(0)), 5);
}

#[test]
fn an_ipv6_stranger_of_another_make_is_found() {
    // smoltcp answers solicitations only when they come from an address, so this is the
    // question of a node that already announced.
    let mut lan = Lan::new();
    let node = lan.node(18, pair_node());
    lan.host(9, &["fd00::33/64"]);
    let now = lan.now;
    lan.stack(node).announce(now, VipIndex(1));
    lan.run(ms(100));
    assert_eq!(lan.told(node), [Event::Conflict(VipIndex(1), mac(9))]);
}

#[test]
fn two_that_announce_hear_of_each_other() {
    for vip in [VIP, VipIndex(1)] {
        let mut lan = Lan::new();
        let a = lan.node(18, pair_node());
        let b = lan.node(19, pair_node());
        let now = lan.now;
        lan.stack(a).learn_member(mac(19));
        lan.stack(a).announce(now, vip);
        lan.run(ms(1_000));
        let now = lan.now;
        lan.stack(b).announce(now, vip);
        lan.settle();
        assert_eq!(lan.told(a), [Event::Conflict(vip, mac(19))]);
        assert!(lan.stack(a).is_member(mac(19)));
        assert_eq!(
            lan.told(b),
            [],
            "the other one is not allowed to fight back"
        );
        lan.run(ms(1_000));
        // Now it is.
        lan.stack(a).defend(vip, true);
        let now = lan.now;
        lan.stack(b).announce(now, vip);
        lan.run(ms(1));
        assert_eq!(lan.told(b), [Event::Conflict(vip, mac(18))]);
    }
}

#[test]
fn two_that_search_at_once_do_not_block_each_other() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let b = lan.node(19, pair_node());
    for (node, other) in [(a, 19), (b, 18)] {
        let now = lan.now;
        lan.stack(node).learn_member(mac(other));
        lan.stack(node).probe(now, VIP);
    }
    lan.run(ms(1_000));
    assert_eq!(
        (lan.told(a), lan.told(b)),
        (vec![Event::AddressFree(VIP)], vec![Event::AddressFree(VIP)])
    );
}

#[test]
fn a_strangers_search_is_taken_for_a_claim() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let stranger = lan.node(19, pair_node());
    let now = lan.now;
    lan.stack(a).probe(now, VIP);
    lan.settle();
    lan.stack(stranger).probe(now, VIP);
    lan.settle();
    assert_eq!(lan.told(a), [Event::AddressTaken(VIP, mac(19))]);
    assert_eq!(lan.stack(a).counters().strangers, 1);
}

#[test]
fn what_a_node_said_itself_is_no_claim() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let now = lan.now;
    lan.stack(a).probe(now, VIP);
    lan.run(ms(1));
    lan.stack(a).announce(now, VIP);
    lan.run(ms(10_000));
    for (_, _, frame) in lan.frames.clone() {
        lan.deliver(a, &frame);
    }
    let now = lan.now;
    lan.stack(a).withdraw(now, VIP);
    lan.stack(a).probe(now, VIP);
    for (_, _, frame) in lan.frames.clone() {
        lan.deliver(a, &frame);
    }
    lan.run(ms(1_000));
    assert_eq!(lan.told(a), [Event::AddressFree(VIP)]);
}

#[test]
fn addresses_of_other_vips_and_ports_do_not_concern_a_search() {
    let mut lan = Lan::new();
    let mut two = pair_node();
    two.ports.push(two.ports[0].clone()).unwrap();
    let a = lan.node(18, two);
    let other = kodo_netstack::IfIndex(1);
    let claim = kodo_netstack::packet::announce_request(mac(9), "192.168.0.33".parse().unwrap());
    let now = lan.now;
    lan.stack(a).handle_port(now, other, Some(mac(20)));
    lan.stack(a).handle_carrier(now, other, true);
    lan.stack(a).probe(now, VIP);
    lan.stack(a).probe(now, VipIndex(1));
    lan.stack(a).handle_packet(now, other, &claim);
    lan.settle();
    assert_eq!(lan.told(a), []);
    lan.deliver(a, &claim);
    lan.run(ms(1_000));
    assert_eq!(
        lan.told(a),
        [
            Event::AddressTaken(VIP, mac(9)),
            Event::AddressFree(VipIndex(1))
        ]
    );
}

#[test]
fn a_new_device_in_a_port_is_announced_with_its_own_address() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let now = lan.now;
    lan.stack(a).announce(now, VIP);
    lan.run(ms(60_000));
    lan.frames.clear();
    let now = lan.now;
    lan.stack(a).handle_port(now, LAN, Some(mac(77)));
    lan.settle();
    assert!(lan.frames.len() >= 2);
    assert!(
        lan.frames
            .iter()
            .all(|(_, _, frame)| frame[6..12] == mac(77).0)
    );
}

#[test]
fn an_idle_stack_wants_no_timer() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    assert_eq!(lan.stack(a).poll_deadline(), None);
    let now = lan.now;
    lan.stack(a).probe(now, VIP);
    assert!(lan.stack(a).poll_deadline().is_some());
    lan.run(ms(10_000));
    assert_eq!(lan.stack(a).poll_deadline(), None);
}

#[test]
fn the_oldest_member_makes_room() {
    let mut lan = Lan::new();
    let a = lan.node(18, pair_node());
    let numbered = |n: usize| Mac([2, 0, 0, 0, 1, u8::try_from(n).unwrap()]);
    for n in 0..=limits::MEMBERS {
        lan.stack(a).learn_member(numbered(n));
        lan.stack(a).learn_member(numbered(n));
    }
    assert!(!lan.stack(a).is_member(numbered(0)));
    assert!(lan.stack(a).is_member(numbered(1)));
    assert!(lan.stack(a).is_member(numbered(limits::MEMBERS)));
}

#[test]
fn targets_answer_for_themselves() {
    let mut lan = Lan::new();
    lan.host(2, &["192.168.0.2/24"]);
    let targets = &["192.168.0.1", "192.168.0.2"];
    let node = lan.node(18, config(&["192.168.0.18/24"], &[], &[], targets));
    lan.run(ms(500));
    let answered = lan.told(node);
    assert!(!answered.is_empty());
    let second = |event: &Event| {
        matches!(
            event,
            Event::Answered {
                target: TargetIndex(1),
                ..
            }
        )
    };
    assert!(answered.iter().all(second), "{answered:?}");
}

#[test]
fn questions_find_their_way_and_answers_theirs() {
    let none: &[&str] = &[];
    let v4 = &["192.168.0.18/24"][..];
    let v6 = &["fd00::18/64"][..];
    for (addresses, gateways, witness, host) in [
        (v4, none, "192.168.0.5", &["192.168.0.5/24"][..]),
        (v6, none, "fd00::5", &["fd00::5/64"]),
        (
            v4,
            &["192.168.0.1"],
            "8.8.8.8",
            &["8.8.8.8/0", "192.168.0.1/24"],
        ),
    ] {
        let mut lan = Lan::new();
        lan.host(5, host);
        let node = lan.node(18, with_witness(addresses, gateways, witness));
        for question in [&b"one"[..], b"two", &[3; limits::DATAGRAM]] {
            let now = lan.now;
            assert_eq!(lan.stack(node).send_witness(now, question), Ok(()));
            lan.run(ms(100));
            assert_eq!(
                lan.said_back.pop(),
                Some((node, question.to_vec())),
                "{witness}"
            );
        }
        assert_eq!(
            lan.said(node),
            4,
            "one question for its address, then three"
        );
        assert_eq!(lan.stack(node).counters().unsent, 0);
    }
}

#[test]
fn a_question_waits_for_the_witness_to_come_and_only_the_newest_leaves() {
    let mut lan = Lan::new();
    let node = lan.node(18, with_witness(&["192.168.0.18/24"], &[], "192.168.0.5"));
    for question in [b"one", b"two"] {
        let now = lan.now;
        assert_eq!(lan.stack(node).send_witness(now, question), Ok(()));
        lan.run(ms(1_000));
    }
    assert_eq!(lan.said(node), 2, "nobody says where it is");
    assert_eq!(lan.stack(node).counters().unsent, 1);
    lan.host(5, &["192.168.0.5/24"]);
    let now = lan.now;
    assert_eq!(lan.stack(node).send_witness(now, b"three"), Ok(()));
    lan.run(ms(1));
    assert_eq!(lan.said_back, [(node, b"three".to_vec())]);
}

#[test]
fn a_question_that_cannot_leave_is_refused_and_not_kept() {
    let mut lan = Lan::new();
    lan.host(5, &["192.168.0.5/24"]);
    let near = lan.node(18, with_witness(&["192.168.0.18/24"], &[], "192.168.0.5"));
    let far = lan.node(19, with_witness(&["192.168.0.19/24"], &[], "10.0.0.5"));
    let none = lan.node(20, pair_node());
    let now = lan.now;
    let long = [1; limits::DATAGRAM + 1];
    for (node, question, expect) in [
        (near, &b""[..], Unsent::Length),
        (near, &long, Unsent::Length),
        (far, b"one", Unsent::NoRoute),
        (none, b"one", Unsent::NoRoute),
    ] {
        assert_eq!(lan.stack(node).send_witness(now, question), Err(expect));
    }
    lan.stack(near).handle_carrier(now, LAN, false);
    assert_eq!(
        lan.stack(near).send_witness(now, b"one"),
        Err(Unsent::NoLink)
    );
    lan.stack(near).handle_carrier(now, LAN, true);
    lan.run(ms(1_000));
    assert_eq!(lan.said(near), 0);
    assert!(lan.said_back.is_empty());
}

#[test]
fn only_the_witness_answers() {
    use kodo_netstack::packet::datagram;
    let mut lan = Lan::new();
    let node = lan.node(18, with_witness(&["192.168.0.18/24"], &[], "192.168.0.5"));
    let ip = |text: &str| text.parse().unwrap();
    let ours = limits::WITNESS_PORT;
    let right = ("192.168.0.5", "192.168.0.18", (ECHO, ours));
    let wrong = [
        ("192.168.0.6", right.1, right.2),
        (right.0, "192.168.0.19", right.2),
        (right.0, right.1, (ECHO + 1, ours)),
        (right.0, right.1, (ECHO, ours + 1)),
    ];
    for (from, to, ports) in wrong.into_iter().chain([right]) {
        let macs = (mac(5), mac(18));
        let frame = datagram(macs, (ip(from), ip(to)), ports, b"yes").unwrap();
        lan.deliver(node, &frame);
    }
    assert_eq!(lan.said_back, [(node, b"yes".to_vec())]);
}

#[test]
fn vips_of_a_new_file() {
    let addresses = &["192.168.0.18/24"][..];
    let mut lan = Lan::new();
    let node = lan.node(18, config(addresses, &[], &["192.168.0.33"], &[]));
    let now = lan.now;
    lan.stack(node).announce(now, VIP);
    lan.run(ms(300));
    let before = lan.said(node);
    // the first goes on as it is, the second is new: on a live port it can be searched for
    let both = config(addresses, &[], &["192.168.0.33", "192.168.0.34"], &[]);
    let now = lan.now;
    lan.stack(node).adopt(now, &both);
    lan.run(ms(300));
    assert_eq!(lan.said(node), before, "nothing is announced anew");
    let now = lan.now;
    lan.stack(node).probe(now, VipIndex(1));
    lan.run(ms(300));
    assert!(lan.told(node).contains(&Event::AddressFree(VipIndex(1))));
    // the first has another address now: whatever was known of it is forgotten
    let moved = config(addresses, &[], &["192.168.0.35", "192.168.0.34"], &[]);
    let (now, before) = (lan.now, lan.said(node));
    lan.stack(node).adopt(now, &moved);
    lan.run(ms(40_000));
    assert_eq!(lan.said(node), before, "it is no longer refreshed");
}
