//! The fabric: what passes, what a cut cable swallows, and what a full socket loses.

use std::time::Duration;

use super::*;
use crate::wire::frames;
use crate::wire::mac::{EtherType, Mac};

const NODE1: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NODE2: Mac = Mac([2, 0, 0, 0, 0, 2]);
const VIP: [u8; 4] = [192, 168, 0, 33];
const T: LabTime = Duration::from_millis(1);

/// Two nodes on a LAN and a crossover, as a pair has them.
struct Pair {
    fabric: Fabric,
    lan: [Plug; 2],
    crossover: [Plug; 2],
}

impl Pair {
    fn new() -> Self {
        let mut fabric = Fabric::new(Clock::start(), 1, [VIP.into()]);
        let switch = fabric.add_switch("lan");
        let lan = ["node1", "node2"].map(|node| {
            let ends = [(node, Socket::Outside), ("switch", Socket::Switch(switch))];
            let plugs = fabric
                .add_cable(&format!("lan-{node}"), Medium::Ethernet, ends, None)
                .unwrap();
            fabric.watch(plugs[0].unwrap());
            plugs[0].unwrap()
        });
        let ends = [("node1", Socket::Outside), ("node2", Socket::Outside)];
        let crossover = fabric
            .add_cable("crossover", Medium::Ethernet, ends, None)
            .unwrap()
            .map(Option::unwrap);
        for plug in lan.into_iter().chain(crossover) {
            fabric.set_powered(plug, true);
        }
        Self {
            fabric,
            lan,
            crossover,
        }
    }

    fn arrivals(&mut self) -> Vec<Plug> {
        std::iter::from_fn(|| self.fabric.take())
            .map(|(plug, _)| plug)
            .collect()
    }
}

fn heartbeat(from: Mac) -> Vec<u8> {
    frames::ethernet(from, Mac::BROADCAST, EtherType::KODO, &[7; 46])
}

#[test]
fn frames_reach_the_other_node_on_both_ways() {
    let mut pair = Pair::new();
    pair.fabric.send(T, pair.lan[0], heartbeat(NODE1));
    pair.fabric.send(T, pair.crossover[1], heartbeat(NODE2));
    assert_eq!(pair.arrivals(), [pair.lan[1], pair.crossover[0]]);
}

#[test]
fn power_off_takes_the_peers_crossover_carrier_but_not_its_lan() {
    let mut pair = Pair::new();
    pair.fabric.carrier_changes();
    for plug in [pair.lan[0], pair.crossover[0]] {
        pair.fabric.set_powered(plug, false);
    }
    let down: Vec<(String, String)> = pair
        .fabric
        .carrier_changes()
        .iter()
        .map(|c| (c.cable.to_string(), c.end.to_string()))
        .collect();
    let pairs = [
        ("lan-node1", "node1"),
        ("lan-node1", "switch"),
        ("crossover", "node1"),
        ("crossover", "node2"),
    ];
    assert_eq!(
        down,
        pairs.map(|(cable, end)| (cable.to_owned(), end.to_owned()))
    );
    assert!(!pair.fabric.carrier(pair.crossover[1]) && pair.fabric.carrier(pair.lan[1]));
    assert!(pair.fabric.carrier_changes().is_empty());
}

#[test]
fn a_cut_cable_passes_nothing_not_even_what_was_under_way() {
    let mut pair = Pair::new();
    pair.fabric
        .set_faults("crossover", &Direction::Both, |f| f.delay = 50 * T);
    pair.fabric.send(T, pair.crossover[0], heartbeat(NODE1));
    assert!(pair.fabric.set_cut("crossover", true));
    pair.fabric.send(2 * T, pair.crossover[0], heartbeat(NODE1));
    pair.fabric.poll(100 * T);
    assert_eq!(pair.arrivals(), []);
    let flow = &pair.fabric.cables()[2].flows[0];
    assert_eq!((flow.counters.lost, flow.counters.cut), (1, 1));
    assert!(!pair.fabric.set_cut("cross", true));
}

#[test]
fn one_way_loss_harms_one_direction() {
    let mut pair = Pair::new();
    assert!(
        pair.fabric
            .set_faults("crossover", &Direction::From("node1".into()), |f| f.drop =
                true)
    );
    assert!(
        !pair
            .fabric
            .set_faults("crossover", &Direction::From("node9".into()), |f| f.drop =
                true)
    );
    pair.fabric.send(T, pair.crossover[0], heartbeat(NODE1));
    pair.fabric.send(T, pair.crossover[1], heartbeat(NODE2));
    assert_eq!(pair.arrivals(), [pair.crossover[0]]);
    assert_eq!(pair.fabric.cables()[2].flows[0].faults, "drop");
}

#[test]
fn parted_nodes_miss_each_other_and_nobody_else_does() {
    let mut fabric = Fabric::new(Clock::start(), 1, []);
    let switch = fabric.add_switch("lan");
    let lan = ["node1", "node2", "node3"].map(|node| {
        let ends = [(node, Socket::Outside), ("switch", Socket::Switch(switch))];
        let name = format!("lan-{node}");
        let plugs = fabric.add_cable(&name, Medium::Ethernet, ends, None);
        plugs.unwrap()[0].unwrap()
    });
    let ends = [("node1", Socket::Outside), ("node3", Socket::Outside)];
    let medium = Medium::Serial { baud: 115_200 };
    let line = fabric.add_cable("serial", medium, ends, None).unwrap();
    let line = line.map(Option::unwrap);
    for plug in lan.into_iter().chain(line) {
        fabric.set_powered(plug, true);
    }
    assert_eq!(fabric.ways().len(), 2);
    assert_eq!(fabric.stations().len(), 3);
    let part = |from: &str, to: &str, on: Option<&str>| Part {
        from: from.into(),
        to: to.into(),
        on: on.map(Into::into),
    };
    let heard = |fabric: &mut Fabric| {
        fabric.send(T, lan[0], heartbeat(NODE1));
        fabric.send(T, lan[2], heartbeat(NODE2));
        fabric.send(T, line[0], vec![1]);
        fabric.poll(9 * T);
        let all = std::iter::from_fn(|| fabric.take());
        all.map(|(plug, _)| plug).collect::<Vec<_>>()
    };
    let all = [lan[1], lan[2], lan[0], lan[1], line[1]];
    assert_eq!(heard(&mut fabric), all);

    fabric.part(part("node1", "node3", Some("lan")));
    assert_eq!(heard(&mut fabric), [lan[1], lan[0], lan[1], line[1]]);
    fabric.part(part("node1", "node3", None));
    assert_eq!(heard(&mut fabric), [lan[1], lan[0], lan[1]]);
    assert_eq!(Part::words(fabric.parts()), ["node1 -> node3"]);
    fabric.part(part("node3", "node1", None));
    assert_eq!(heard(&mut fabric), [lan[1], lan[1]]);
    assert_eq!(Part::words(fabric.parts()), ["node1 and node3"]);
    assert!(fabric.carrier(lan[0]) && fabric.carrier(line[0]));
    let towards_node3 = &fabric.cables()[2].flows[1].counters;
    assert_eq!(towards_node3.parted, 3);

    fabric.join("node1", "node3");
    fabric.join("node3", "node1");
    assert_eq!(heard(&mut fabric), all);
}

#[test]
fn delayed_frames_come_when_due() {
    let mut pair = Pair::new();
    pair.fabric
        .set_faults("lan-node1", &Direction::To("switch".into()), |f| {
            f.delay = 10 * T;
        });
    pair.fabric.send(T, pair.lan[0], heartbeat(NODE1));
    assert_eq!(pair.arrivals(), []);
    assert_eq!(pair.fabric.deadline(), Some(11 * T));
    pair.fabric.poll(11 * T);
    assert_eq!(pair.arrivals(), [pair.lan[1]]);
}

#[test]
fn vip_frames_are_seen_where_they_pass() {
    let mut pair = Pair::new();
    pair.fabric
        .send(T, pair.lan[0], frames::arp_announcement(NODE1, VIP.into()));
    // Dropped on the cable: nobody on the LAN saw it.
    pair.fabric
        .set_faults("lan-node2", &Direction::From("node2".into()), |f| {
            f.drop = true;
        });
    pair.fabric.send(
        2 * T,
        pair.lan[1],
        frames::arp_announcement(NODE2, VIP.into()),
    );
    // Not the LAN.
    pair.fabric.send(
        2 * T,
        pair.crossover[1],
        frames::arp_announcement(NODE2, VIP.into()),
    );
    let seen = pair.fabric.sightings(VIP.into(), LabTime::ZERO).unwrap();
    assert_eq!(
        seen.iter().map(|s| (&*s.node, s.at)).collect::<Vec<_>>(),
        [("node1", T)]
    );
    let told = pair.fabric.take_ownership();
    assert_eq!(told.len(), 1);
    assert_eq!(&*told[0].owners[0], "node1");
}

#[test]
fn injected_frames_pass_faults_and_are_remembered() {
    let mut pair = Pair::new();
    pair.fabric
        .set_faults("crossover", &Direction::Both, |f| f.drop = true);
    assert!(
        pair.fabric
            .inject(T, "crossover", "node1", heartbeat(NODE1))
    );
    assert_eq!(pair.arrivals(), [pair.crossover[1]]);
    let recorded = pair.fabric.recorded("crossover", LabTime::ZERO).unwrap();
    assert!(
        recorded[0].injected && &*recorded[0].from == "node1" && recorded[0].fate == Fate::Passed
    );
    pair.fabric.set_cut("crossover", true);
    assert!(
        !pair
            .fabric
            .inject(T, "crossover", "node1", heartbeat(NODE1))
    );
}

#[test]
fn a_machine_that_is_off_sends_nothing() {
    let mut pair = Pair::new();
    pair.fabric.set_powered(pair.lan[0], false);
    pair.fabric
        .send(T, pair.lan[0], frames::arp_announcement(NODE1, VIP.into()));
    assert_eq!(pair.arrivals(), []);
    assert!(
        pair.fabric
            .recorded("lan-node1", LabTime::ZERO)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_same_seed_harms_the_same_frames() {
    let survivors = || {
        let mut pair = Pair::new();
        pair.fabric
            .set_faults("crossover", &Direction::Both, |f| f.loss = 0.5);
        (0..64u32)
            .map(|n| {
                pair.fabric.send(n * T, pair.crossover[0], heartbeat(NODE1));
                pair.arrivals().len()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(survivors(), survivors());
}
