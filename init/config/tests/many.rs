//! Clusters of other sizes than two: which are accepted, and what each node gets.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write as _;
use std::time::Duration;

use kodo_config::{Cluster, Diagnostic, Secret, Severity};
use kodo_engine::config::{SplitBrain, Tie};
use kodo_engine::timing::wait_bound;
use kodo_engine::{BootId, Engine, Key, NodeSet};
use kodo_netstack::Stack;
use kodo_node::Node;
use kodo_node::config::Wire;
use kodo_node::io::{Line, Port};

const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100fedcba9876543210fedcba9876543210";

/// A file of `count` nodes; what `extra` says goes into each node's table.
fn file(policy: &str, count: usize, extra: impl Fn(usize) -> &'static str) -> String {
    let mut text = format!(
        "schema = 1\n[cluster]\nname = \"many\"\nkey = \"{KEY}\"\nsplit_brain = {policy}\n"
    );
    for node in 1..=count {
        writeln!(
            text,
            "[[node]]\nname = \"node{node}\"\n{}\n\
             [[node.nic]]\nrole = \"lan\"\nmac = \"52:54:00:00:{node:02x}:01\"\naddress = [\"10.0.0.{node}/24\"]\n\
             [[node.nic]]\nrole = \"crossover\"\nmac = \"52:54:00:00:{node:02x}:02\"",
            extra(node)
        )
        .unwrap();
    }
    text + "[[service]]\nname = \"web\"\n[[vip]]\nname = \"vip\"\naddress = \"10.0.0.200/24\"\n\
            [[group]]\nname = \"www\"\nmembers = [\"web\", \"vip\"]\n"
}

fn plain(policy: &str, count: usize) -> String {
    file(policy, count, |_| "")
}

fn secrets(secret: Secret, path: &str) -> Result<String, String> {
    match (secret, path) {
        (Secret::Witness, "witness.key") => Ok(format!("{OTHER_KEY}\n")),
        (Secret::Witness, "both.key") => Ok(format!("{OTHER_KEY}\n{KEY}\n")),
        (Secret::Key, "cluster.key") => Ok(format!("{KEY}\n")),
        _ => Err("not found".into()),
    }
}

fn parse(text: &str) -> Result<Cluster, Vec<Diagnostic>> {
    Cluster::parse("many.toml", text, &secrets)
}

fn accepted(text: &str) -> Cluster {
    parse(text).unwrap_or_else(|items| panic!("{}\n{text}", items[0]))
}

/// The first error.
fn refused(text: &str) -> String {
    let items = parse(text).expect_err(text);
    let errors = items.iter().filter(|item| item.severity == Severity::Error);
    let errors: Vec<_> = errors.map(ToString::to_string).collect();
    errors[0].clone()
}

fn engine(cluster: &Cluster, node: usize) -> kodo_engine::Config {
    cluster.node(&cluster.nodes[node].name).unwrap().engine
}

const WITNESS: &str =
    "\"witness\"\n[witness]\naddress = \"10.0.0.250\"\nkey_file = \"witness.key\"";

#[test]
fn one_to_thirty_two_nodes_are_accepted_and_lowered() {
    for (policy, sizes) in [
        ("\"accept\"", 2..=32),
        ("\"quorum\"", 3..=32),
        ("\"ping\"\nping = [\"10.0.0.250\"]", 2..=2),
    ] {
        for count in sizes {
            let cluster = accepted(&plain(policy, count));
            assert_eq!(cluster.nodes.len(), count);
            assert_eq!(cluster.groups[0].prefer, (0..count).collect::<Vec<_>>());
            let configs = (0..count).map(|node| cluster.node(&cluster.nodes[node].name).unwrap());
            for (node, config) in configs.enumerate() {
                assert_eq!(config.engine.me.index(), node);
                assert_eq!(config.engine.votes[..], vec![1; count]);
                for path in &config.engine.paths {
                    assert_eq!(path.ends, NodeSet::first(count), "{}", path.name);
                }
                assert!(config.paths.iter().all(Option::is_some));
                // They assert what the checks promise.
                let start = Duration::from_secs(1);
                let _ = Box::new(Engine::new(config.engine, BootId(1), 1, start));
                let _ = Box::new(Stack::new(config.netstack, 1));
            }
        }
    }
    let alone = plain("\"accept\"", 1);
    assert!(refused(&alone).contains("no other node has a crossover port"));
    let (before, rest) = alone
        .split_once("[[node.nic]]\nrole = \"crossover\"")
        .unwrap();
    let (_, after) = rest.split_once("[[service]]").unwrap();
    let alone = accepted(&format!("{before}[[service]]{after}"));
    let said: Vec<_> = alone
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect();
    assert!(
        said.contains(&"node1 is the only node that runs groups"),
        "{said:?}"
    );
    assert!(refused(&plain("\"accept\"", 33)).contains("there are 33 nodes"));
}

#[test]
fn votes_and_ties_reach_the_engine() {
    let votes = |text: &str| {
        let config = engine(&accepted(text), 0);
        (config.votes.to_vec(), config.split_brain)
    };
    let heavy = |node| if node == 1 { "votes = 2" } else { "" };
    assert_eq!(
        votes(&file("\"quorum\"", 3, heavy)),
        (vec![2, 1, 1], SplitBrain::Votes(Tie::Nobody))
    );
    for (rule, tie) in [("none", Tie::Nobody), ("first", Tie::First)] {
        let policy = format!("\"quorum\"\neven_split = \"{rule}\"");
        assert_eq!(
            votes(&plain(&policy, 4)),
            (vec![1; 4], SplitBrain::Votes(tie))
        );
    }
    assert_eq!(votes(&plain(WITNESS, 2)), (vec![1; 2], SplitBrain::WITNESS));
    assert_eq!(votes(&plain(WITNESS, 4)), (vec![1; 4], SplitBrain::WITNESS));
    let hash = |text: &str| accepted(text).file_hash();
    assert_ne!(
        hash(&plain("\"quorum\"", 4)),
        hash(&plain("\"quorum\"\neven_split = \"first\"", 4))
    );
    assert_ne!(
        hash(&plain("\"quorum\"", 3)),
        hash(&file("\"quorum\"", 3, heavy))
    );
}

#[test]
fn a_voter_runs_nothing() {
    let third = |node| if node == 3 { "voter = true" } else { "" };
    let text = file("\"quorum\"", 3, third);
    let cluster = accepted(&text);
    assert_eq!(cluster.groups[0].prefer, [0, 1]);
    assert_eq!(
        engine(&cluster, 2).groups[0].location[..],
        [Some(1), Some(0), None]
    );
    assert_eq!(engine(&cluster, 2).votes[..], [1, 1, 1]);
    // Its address may lie outside the VIP's network.
    accepted(&text.replace("10.0.0.3/24", "10.0.3.3/24"));
    let preferred = text + "prefer = [\"node1\", \"node3\"]\n";
    assert!(refused(&preferred).contains("`node3` is a voter"));
}

#[test]
fn a_serial_line_joins_the_two_nodes_that_it_names() {
    let lines = |node| match node {
        1 => {
            "[[node.serial]]\ndevice = \"ttyS1\"\npeer = \"node3\"\n\
             [[node.serial]]\ndevice = \"ttyS2\"\npeer = \"node2\""
        }
        2 => {
            "[[node.serial]]\ndevice = \"ttyS1\"\npeer = \"node1\"\n\
             [[node.serial]]\ndevice = \"ttyS2\"\npeer = \"node3\""
        }
        _ => {
            "[[node.serial]]\ndevice = \"ttyS1\"\npeer = \"node2\"\n\
             [[node.serial]]\ndevice = \"ttyS2\"\npeer = \"node1\""
        }
    };
    let cluster = accepted(&file("\"quorum\"", 3, lines));
    let names: Vec<_> = cluster
        .paths
        .iter()
        .map(|path| path.name.as_str())
        .collect();
    let serial = [
        "serial-node1-node2",
        "serial-node1-node3",
        "serial-node2-node3",
    ];
    assert_eq!(names, [&["crossover", "lan"][..], &serial].concat());
    let ends = |node| {
        let engine = engine(&cluster, node);
        engine
            .paths
            .iter()
            .map(|path| path.ends.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(0), [0b111, 0b111, 0b011, 0b101, 0b110]);
    assert_eq!(ends(2), ends(0));
    let wires = |node: &str| cluster.node(node).unwrap().paths.to_vec();
    let (port, line) = (|n| Some(Wire::Port(Port(n))), |n| Some(Wire::Line(Line(n))));
    assert_eq!(wires("node1"), [port(1), port(0), line(1), line(0), None]);
    assert_eq!(wires("node2"), [port(1), port(0), line(0), None, line(1)]);
    assert_eq!(wires("node3"), [port(1), port(0), None, line(1), line(0)]);

    // Nobody is told that a line of two others is down.
    let config = cluster.node("node3").unwrap();
    let node = Box::new(Node::new(config, 1, 1, Duration::from_secs(1)));
    let shown: Vec<Vec<String>> = node
        .status()
        .nodes
        .iter()
        .map(|node| {
            node.paths
                .iter()
                .map(|path| path.name.to_string())
                .collect()
        })
        .collect();
    let paths = |line: &str| vec!["crossover".to_owned(), "lan".to_owned(), line.to_owned()];
    assert_eq!(
        shown,
        [paths(serial[1]), paths(serial[2]), Vec::new()],
        "as node3 sees it"
    );
}

#[test]
fn a_crossover_is_between_those_that_have_one() {
    let text = plain("\"quorum\"", 3).replace(
        "[[node.nic]]\nrole = \"crossover\"\nmac = \"52:54:00:00:03:02\"",
        "",
    );
    let cluster = accepted(&text);
    let engine = engine(&cluster, 2);
    assert_eq!(engine.paths[0].ends, NodeSet::first(2));
    assert_eq!(cluster.node("node3").unwrap().paths[0], None);
    let said: Vec<_> = cluster
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect();
    assert!(
        said.contains(&"`lan` is the only heartbeat path of node3"),
        "{said:?}"
    );
}

#[test]
fn the_witness_is_lowered_and_its_key_is_a_secret() {
    let text = plain(WITNESS, 2);
    let cluster = accepted(&text);
    let bytes = |key: &str| -> [u8; 32] {
        core::array::from_fn(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
    };
    for node in ["node1", "node2"] {
        let config = cluster.node(node).unwrap();
        let target = config.netstack.witness.expect("asked over the LAN");
        let place = (std::net::IpAddr::from([10, 0, 0, 250]), 5581);
        assert_eq!((target.address, target.udp), place);
        assert_eq!(config.engine.witness_key, Some(Key(bytes(OTHER_KEY))));
    }
    assert!(!format!("{cluster:?}").contains("ff, ee"));
    let hash = cluster.file_hash();
    let written =
        |key: &str| text.replace("key_file = \"witness.key\"", &format!("key = \"{key}\""));
    assert_eq!(accepted(&written(OTHER_KEY)).file_hash(), hash);
    let other = written(&OTHER_KEY.replace("ff", "fe"));
    assert_ne!(accepted(&other).file_hash(), hash);
    for (old, new) in [
        ("10.0.0.250", "10.0.0.251"),
        ("key_file", "port = 5582\nkey_file"),
    ] {
        assert_ne!(accepted(&text.replace(old, new)).file_hash(), hash);
    }
    let same = text.replace("key_file = \"witness.key\"", &format!("key = \"{KEY}\""));
    assert!(refused(&same).contains("the witness has the cluster's key"));
    let both = text.replace("witness.key", "both.key");
    assert!(refused(&both).contains("holds two keys"));
    assert!(
        accepted(&plain("\"accept\"", 2))
            .node("node1")
            .unwrap()
            .engine
            .witness_key
            .is_none()
    );
}

#[test]
fn a_guarded_group_waits_for_the_watchdog() {
    let text = plain("\"quorum\"", 3) + "guarded = true\n";
    let cluster = accepted(&text);
    let config = engine(&cluster, 1);
    assert!(
        config.groups[0].guarded
            && !engine(&accepted(&plain("\"quorum\"", 3)), 1).groups[0].guarded
    );
    let timing = &config.timing;
    assert_eq!(
        timing.guard,
        timing.release + timing.keepalive + Duration::from_secs(2)
    );
    assert_eq!(
        cluster.longest_wait(),
        wait_bound(timing.lease, timing.guard)
    );
    assert!(cluster.longest_wait() > timing.deadtime);
    assert_ne!(
        cluster.file_hash(),
        accepted(&plain("\"quorum\"", 3)).file_hash()
    );
}
