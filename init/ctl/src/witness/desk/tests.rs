//! What an administrator reads of a pair that asks, splits, restarts and is attacked.

use super::*;
use kodo_engine::witness::Client as Node;
use kodo_engine::{BootId, Key};

const HOLD_OFF: Duration = Duration::from_secs(20);
const WAIT: Duration = Duration::from_secs(2);

fn served(name: &str, key: u8) -> Served {
    Served {
        name: name.to_owned(),
        keys: vec![Key([key; 32]), Key([key + 1; 32])],
        nodes: vec!["node1".to_owned(), "node2".to_owned()],
    }
}

fn from(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 0, host], 5581))
}

/// A desk of two clusters, and nodes that reach it without delay.
struct Room {
    desk: Desk,
    now: Now,
    lives: u64,
}

impl Room {
    fn new() -> Room {
        let mut room = Room {
            desk: Desk::new(Vec::new(), HOLD_OFF, Now::ZERO, &mut || Ok(0)).unwrap(),
            now: Now::ZERO,
            lives: 0,
        };
        room.restart();
        room
    }

    /// Past the hold-off, with nothing left to read.
    fn open() -> Room {
        let mut room = Room::new();
        room.pass(20_000);
        room.read();
        room
    }

    fn restart(&mut self) {
        let clusters = vec![served("web", 1), served("shop", 3)];
        let mut next = || {
            self.lives += 1;
            Ok(self.lives)
        };
        self.desk = Desk::new(clusters, HOLD_OFF, self.now, &mut next).unwrap();
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.desk.look(self.now);
    }

    /// One question and its answer; true when the witness speaks for the asker.
    fn ask(&mut self, node: &mut Node, wants: bool) -> bool {
        let side = if wants {
            NodeSet::only(node.me())
        } else {
            NodeSet::EMPTY
        };
        let question = node.ask(self.now, side);
        let host = from(18 + node.me().0);
        let answer = self.desk.hear(self.now, host, &question).expect("ours");
        node.hear(self.now, &answer).unwrap().granted.is_some()
    }

    fn read(&mut self) -> Vec<String> {
        let lines = self.desk.lines();
        lines
            .map(|line| format!("{} {}", line.level(), line.text))
            .collect()
    }
}

fn node(cluster: &str, key: u8, n: u8, boot: u64) -> Node {
    let id = Cluster::id_of(cluster);
    Node::new(id, &Key([key; 32]), NodeId(n), BootId(boot), WAIT)
}

#[test]
fn a_split_reads_like_a_story() {
    let mut room = Room::open();
    let (mut one, mut two) = (node("web", 1, 0, 7), node("web", 1, 1, 8));
    for asker in [&mut one, &mut two] {
        assert!(!room.ask(asker, false) && !room.ask(asker, false));
    }
    assert_eq!(
        room.read(),
        [
            "info web: node1 asks from 192.168.0.18:5581; a word to it lasts 2.0 s",
            "info web: node2 asks from 192.168.0.19:5581; a word to it lasts 2.0 s",
        ]
    );
    assert!(room.ask(&mut one, true) && !room.ask(&mut two, true));
    assert!(!room.ask(&mut two, true));
    assert_eq!(
        room.read(),
        [
            "ALERT web: speaks for node1 from now on",
            "warn web: node2 is refused: node1 has the word, for 2.0 s more",
        ]
    );
    room.pass(2_000);
    assert_eq!(room.read(), ["info web: speaks for node1 no more"]);
    assert!(room.ask(&mut two, true) && !room.ask(&mut one, true));
    assert_eq!(
        room.read(),
        [
            "ALERT web: speaks for node2 from now on",
            "warn web: node1 is refused: node2 has the word, for 2.0 s more",
        ]
    );
}

#[test]
fn a_restart_refuses_until_the_hold_off_is_over() {
    let mut room = Room::new();
    let mut one = node("web", 1, 0, 7);
    room.ask(&mut one, true);
    assert!(!room.ask(&mut one, true) && !room.ask(&mut one, true));
    assert_eq!(
        room.read(),
        [
            "info web: node1 asks from 192.168.0.18:5581; a word to it lasts 2.0 s",
            "warn web: node1 is refused for 20 s more: this witness has just started and may have \
             forgotten a word",
        ]
    );
    for _ in 0..199 {
        room.pass(100);
        assert!(!room.ask(&mut one, true));
    }
    room.pass(100);
    assert!(room.ask(&mut one, true));
    let lines = room.read();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("refused for"), "once more after a while");
    assert!(lines[1].contains("the hold-off is over"));
    assert_eq!(lines[2], "ALERT web: speaks for node1 from now on");
}

#[test]
fn a_bound_that_is_too_long_is_an_alert_before_it_is_needed() {
    let mut room = Room::open();
    let id = Cluster::id_of("web");
    let long = HOLD_OFF + Duration::from_secs(1);
    let mut one = Node::new(id, &Key([1; 32]), NodeId(0), BootId(7), long);
    for _ in 0..3 {
        room.ask(&mut one, false);
    }
    let lines = room.read();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[1],
        "ALERT web: node1 can never be helped: its bound W of 21 s is longer than the hold-off of \
         20 s; start this witness again with a longer --hold-off"
    );
}

#[test]
fn clusters_do_not_touch_each_other_and_either_key_is_answered_in_kind() {
    let mut room = Room::open();
    let mut web = node("web", 1, 0, 7);
    let mut shop = node("shop", 4, 1, 7);
    for asker in [&mut web, &mut shop] {
        room.ask(asker, false);
        assert!(room.ask(asker, true));
    }
    assert_eq!(room.desk.rejects.total(), 0);
}

#[test]
fn what_is_not_authentic_is_counted_and_told_now_and_then() {
    let mut room = Room::open();
    let mut one = node("web", 1, 0, 7);
    let question = one.ask(room.now, NodeSet::EMPTY);
    assert!(room.desk.hear(room.now, from(18), &question).is_some());
    room.ask(&mut one, false);
    let again = one.ask(room.now, NodeSet::EMPTY);
    assert!(room.desk.hear(room.now, from(18), &again).is_some());
    room.read();
    let mut forger = node("web", 9, 0, 7);
    let forged = forger.ask(room.now, NodeSet::only(NodeId(0)));
    let mut stranger = node("elsewhere", 1, 0, 7);
    let foreign = stranger.ask(room.now, NodeSet::only(NodeId(0)));
    for bytes in [&forged[..], &forged, &foreign, &again, b"junk", b""] {
        assert_eq!(room.desk.hear(room.now, from(99), bytes), None);
    }
    assert_eq!(
        room.read(),
        [
            "warn packets ignored since the start: 1 signed by no key of their cluster; the last \
             came from 192.168.0.99:5581"
        ]
    );
    room.pass(9_999);
    assert_eq!(room.read(), Vec::<String>::new());
    room.pass(1);
    assert_eq!(
        room.read(),
        [
            "warn packets ignored since the start: 2 signed by no key of their cluster, 1 of a \
             cluster that is not served here, 1 sent before, 2 not a question at all; the last \
             came from 192.168.0.99:5581"
        ]
    );
    room.pass(60_000);
    assert_eq!(room.read().len(), 1, "only that node1 is silent");
    assert_eq!(room.desk.clusters[0].told, []);
}

#[test]
fn restarts_moves_silence_and_deaf_nodes_are_told() {
    let mut room = Room::open();
    let mut one = node("web", 1, 0, 7);
    room.ask(&mut one, false);
    room.ask(&mut one, false);
    room.read();
    let mut again = node("web", 1, 0, 8);
    room.ask(&mut again, false);
    room.ask(&mut again, false);
    assert_eq!(room.read(), ["info web: node1 has restarted"]);
    let question = again.ask(room.now, NodeSet::EMPTY);
    room.desk.hear(room.now, from(77), &question);
    assert_eq!(
        room.read(),
        ["warn web: node1 asks from 192.168.0.77:5581 now, before from 192.168.0.18:5581"]
    );
    room.pass(30_000);
    assert_eq!(room.read(), ["warn web: node1 has not asked for 30 s"]);
    room.pass(30_000);
    assert!(room.read().is_empty());
    room.ask(&mut again, false);
    room.ask(&mut again, false);
    assert_eq!(
        room.read(),
        ["info web: node1 asks again, from 192.168.0.18:5581"]
    );
    // its questions come, the answers do not arrive
    let mut deaf = node("web", 1, 1, 9);
    for _ in 0..21 {
        let question = deaf.ask(room.now, NodeSet::only(NodeId(1)));
        assert!(room.desk.hear(room.now, from(19), &question).is_some());
        room.pass(500);
    }
    assert_eq!(
        room.read(),
        [
            "warn web: questions of node2 come from 192.168.0.19:5581, but it does not seem to \
             hear the answers: is UDP from this machine to it blocked?"
        ]
    );
}
