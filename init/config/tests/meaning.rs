//! What a file means, whatever it looks like; and that no text at all brings the reader down.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kodo_config::cluster::{IdentityError, Mac};
use kodo_config::{Cluster, Diagnostic, Secret, Severity};
use kodo_engine::config::{ResourceKind, Together};
use kodo_engine::{GroupId, ResourceId};
use kodo_node::config::{Target, Wire};
use kodo_node::io::{Line, Port, ServiceId};
use proptest::prelude::*;

const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100fedcba9876543210fedcba9876543210";
const TOKENS: &str = "ada 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n";

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
    fs::read_to_string(path).unwrap()
}

fn secrets(secret: Secret, path: &str) -> Result<String, String> {
    match (secret, path) {
        (Secret::Key, "other.key") => Ok(format!("# a comment\n{OTHER_KEY}\n")),
        (Secret::Tokens, "operators.tokens") => Ok(TOKENS.into()),
        _ => Err("not found".into()),
    }
}

fn parse(text: &str) -> Result<Cluster, Vec<Diagnostic>> {
    Cluster::parse("web.toml", text, &secrets)
}

/// The example with one line that begins with `old` replaced.
fn with(old: &str, new: &str) -> String {
    let text = example();
    let line = text.lines().find(|line| line.starts_with(old)).unwrap();
    text.replacen(line, new, 1)
}

fn hash(text: &str) -> u64 {
    parse(text)
        .unwrap_or_else(|items| panic!("{}", items[0]))
        .file_hash()
}

#[test]
fn the_example_means_what_it_says() {
    let cluster = parse(&example()).unwrap();
    let millis = Duration::from_millis;
    let timing = cluster.timing;
    assert_eq!(
        (timing.keepalive, timing.warntime, timing.deadtime),
        (millis(250), millis(1_000), millis(2_000))
    );
    assert_eq!(
        (timing.initdead, timing.linkwait, timing.release),
        (millis(10_000), millis(10_000), millis(250))
    );
    assert!(
        timing.lease > millis(1_700) && timing.lease < millis(1_720),
        "{:?}",
        timing.lease
    );
    let paths: Vec<_> = cluster
        .paths
        .iter()
        .map(|path| (path.name.as_str(), path.public))
        .collect();
    assert_eq!(
        paths,
        [("crossover", false), ("lan", true), ("serial", false)]
    );
    assert_eq!(cluster.node_by_name("node2"), Some(1));
    assert_eq!(cluster.groups[0].prefer, [0, 1]);
    assert_eq!(cluster.admin.unwrap().tokens[0].name, "operator");
}

#[test]
fn a_machine_is_known_by_its_ports() {
    let cluster = parse(&example()).unwrap();
    let mac = |last: [u8; 2]| Mac([0x52, 0x54, 0, 0, last[0], last[1]]);
    assert_eq!(cluster.node_by_mac(&[mac([9, 9]), mac([2, 2])]), Ok(1));
    assert_eq!(cluster.node_by_mac(&[mac([1, 1]), mac([1, 2])]), Ok(0));
    assert_eq!(
        cluster.node_by_mac(&[mac([9, 9])]),
        Err(IdentityError::Unknown)
    );
    let nodes = ["node1".into(), "node2".into()];
    assert_eq!(
        cluster.node_by_mac(&[mac([1, 1]), mac([2, 1])]),
        Err(IdentityError::Ambiguous { nodes })
    );
}

#[test]
fn appearance_does_not_change_the_hash_and_secrets_do() {
    let known = hash(&example());
    for same in [
        format!("# a comment\n{}", example()),
        // What the profile says anyway.
        example() + "\n[timing]\ndeadtime = \"2000ms\"\nkeepalive = \"0.25s\"\n",
    ] {
        assert_eq!(hash(&same), known, "{same}");
    }
    let key = [
        with("key =", &format!("key = \"{OTHER_KEY}\"")),
        with("key =", "key_file = \"other.key\""),
    ];
    let tokens = example();
    let (before, rest) = tokens.split_once("[[admin.token]]").unwrap();
    let (_, after) = rest.split_once("[watchdog]").unwrap();
    let (ada, sha256) = TOKENS.trim().split_once(' ').unwrap();
    let token = [
        format!(
            "{before}[[admin.token]]\nname = \"{ada}\"\nsha256 = \"{sha256}\"\n[watchdog]{after}"
        ),
        format!("{before}tokens_file = \"operators.tokens\"\n[watchdog]{after}"),
    ];
    for [written, named] in [key, token] {
        assert_eq!(hash(&written), hash(&named));
        assert_ne!(hash(&written), known);
    }
}

#[test]
fn every_meaning_changes_the_hash() {
    let mut hashes = vec![hash(&example())];
    let key = format!("key = \"{OTHER_KEY}\"");
    for (old, new) in [
        // A rotated key makes another file: the nodes agree on it before they use it.
        ("key =", key.as_str()),
        ("name = \"web\"", "name = \"web3\""),
        ("profile =", "profile = \"default\""),
        ("split_brain", "split_brain = \"accept\""),
        ("ping =", "ping = [\"192.168.0.2\"]"),
        ("drills", "drills = false"),
        ("port = 5580", "port = 5581"),
        ("timeout = \"5s\"", "timeout = \"6s\""),
        ("softdog", "softdog = true"),
        ("mac = \"52:54:00:00:01:01\"", "mac = \"52:54:00:00:01:11\""),
        (
            "address = [\"192.168.0.18/24\"]",
            "address = [\"192.168.0.20/24\"]",
        ),
        ("port = 80", "port = 81"),
        ("path =", "path = \"/health\""),
        ("fall", "fall = 3"),
        (
            "address = \"192.168.0.33/24\"",
            "address = \"192.168.0.34/24\"",
        ),
        ("members", "members = [\"vip\", \"web\"]"),
        ("prefer", "prefer = [\"node2\", \"node1\"]"),
        ("failback", "failback = \"auto\""),
        ("migration_threshold", "migration_threshold = 4"),
    ] {
        let changed = hash(&with(old, new));
        assert!(!hashes.contains(&changed), "{new}");
        hashes.push(changed);
    }
}

#[test]
fn a_node_gets_its_own_ends() {
    let reordered = example().replacen(
        "role = \"lan\"                    # clients, the VIP, operators; heartbeats too\nmac = \"52:54:00:00:01:01\"",
        "role = \"crossover\"\nmac = \"52:54:00:00:01:02\"\n[[node.nic]]\nrole = \"lan\"\nmac = \"52:54:00:00:01:01\"",
        1,
    );
    let second = "[[node.nic]]\nrole = \"crossover\"              # a cable to the other node; needs no address\nmac = \"52:54:00:00:01:02\"\n";
    let reordered = reordered.replacen(second, "", 1);
    let cluster = parse(&reordered).unwrap();
    let (one, two) = (
        cluster.node("node1").unwrap(),
        cluster.node("node2").unwrap(),
    );
    let wires = |ports: [u8; 2]| {
        [
            Some(Wire::Port(Port(ports[0]))),
            Some(Wire::Port(Port(ports[1]))),
            Some(Wire::Line(Line(0))),
        ]
    };
    assert_eq!(
        one.paths[..],
        wires([0, 1]),
        "node1 names its crossover first"
    );
    assert_eq!(two.paths[..], wires([1, 0]));
    assert_eq!((one.public, two.public), (Port(1), Port(0)));
    assert_eq!(one.netstack.vips[0].port.0, 1);
    assert_eq!(one.netstack.targets[0].port.0, 1);
    assert_eq!(
        one.netstack.ports[1].addresses[0].address,
        IpAddr::from([192, 168, 0, 18])
    );
    assert_eq!((one.engine.me.0, two.engine.me.0), (0, 1));
    assert_eq!(
        one.engine.groups[0].members[..],
        [ResourceId(0), ResourceId(1)]
    );
    assert_eq!(one.resources[0], Target::Service(ServiceId(0)));
    assert_eq!(one.engine.file_hash, two.engine.file_hash);
    let error = cluster.node("node3").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cluster file has no node `node3`; it has node1 and node2"
    );
}

/// A role is the first member of the group that promotes, and follows the clone.
#[test]
fn a_role_is_a_resource_of_the_group_that_promotes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good/promotable.toml");
    let cluster = parse(&fs::read_to_string(path).unwrap()).unwrap();
    let node = cluster.node("node1").unwrap();
    let engine = &node.engine;
    let (db, primary) = (GroupId(0), GroupId(1));
    assert_eq!(engine.promoted(primary), Some((db, ResourceId(0))));
    assert_eq!(engine.promoted(db), None);
    assert_eq!(
        engine.groups[1].members[..],
        [ResourceId(3), ResourceId(2)],
        "the role, then the VIP"
    );
    let role = &engine.resources[3];
    assert_eq!(role.kind, ResourceKind::Role(ResourceId(0)));
    assert_eq!(role.name, "db role");
    assert_eq!(node.resources[3], Target::Role(ServiceId(0)));
    let pair = engine.colocations[0];
    assert_eq!(
        (pair.group, pair.with, pair.bond),
        (primary, db, Together::Must)
    );
    let order = engine.orders[0];
    assert_eq!((order.first, order.then, order.must), (db, primary, true));
}

/// Engine and netstack assert what the checks promise.
#[test]
fn the_parts_accept_what_was_accepted() {
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let files = fs::read_dir(good)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|kind| kind == "toml"));
    let texts = texts.map(|path| fs::read_to_string(path).unwrap());
    for text in texts.chain([example()]) {
        let cluster = parse(&text).unwrap();
        for node in &cluster.nodes {
            let config = cluster.node(&node.name).unwrap();
            let start = Duration::from_secs(1);
            let _ = Box::new(kodo_engine::Engine::new(
                config.engine,
                kodo_engine::BootId(1),
                1,
                start,
            ));
            let _ = Box::new(kodo_netstack::Stack::new(config.netstack, 1));
            let _ = kodo_supervisor::Supervisor::new(config.supervisor, 1);
        }
    }
}

#[test]
fn the_parts_bounds_outlast_each_other() {
    let config = parse(&example()).unwrap().node("node1").unwrap();
    let (service, vip) = (&config.engine.resources[0], &config.engine.resources[1]);
    assert!(service.stop_timeout > config.supervisor.services[0].stop_bound());
    assert!(service.start_timeout > config.supervisor.services[0].start_bound());
    assert!(vip.stop_timeout > config.act_timeout);
}

#[test]
fn the_cluster_id_is_its_name() {
    let id = |text: &str| parse(text).unwrap().cluster_id();
    assert_eq!(
        id(&example()),
        id(&with("profile", "profile = \"default\""))
    );
    assert_ne!(
        id(&example()),
        id(&with("name = \"web\"", "name = \"shop\""))
    );
}

/// Whatever came in: no panic, and a refusal names at least one error, each inside the text.
fn survives(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(cluster) => {
            prop_assert!(
                cluster
                    .notes
                    .iter()
                    .all(|note| note.severity > Severity::Error)
            );
            for node in &cluster.nodes {
                let config = cluster.node(&node.name).unwrap();
                let start = Duration::from_secs(1);
                let _ = Box::new(kodo_engine::Engine::new(
                    config.engine,
                    kodo_engine::BootId(1),
                    1,
                    start,
                ));
            }
        }
        Err(items) => {
            prop_assert!(items.iter().any(|item| item.severity == Severity::Error));
            for item in &items {
                prop_assert!(text.get(item.span.clone()).is_some());
                prop_assert!(!item.to_string().is_empty());
            }
            let _ = kodo_config::report::render(&items, text, kodo_config::report::Style::Terminal);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        survives(&text)?;
    }

    #[test]
    fn toml_like_text_is_survived(
        lines in prop::collection::vec(
            prop_oneof![
                "\\[\\[?(cluster|node|node.nic|node.serial|vip|group|location|colocation|order|service|service.probe|admin|admin.token)\\]\\]?",
                "(name|role|mac|address|members|group|with|first|then|score|clones|weight|capacity|deadtime|keepalive|lease|key|port|ping|device) = (\"[a-z0-9:./]{0,20}\"|-?[0-9]{1,20}|\\[\\]|\\[\"x\", 1\\]|true|1e9|\\{a = 1\\}|1979-05-27)",
                "\\PC{0,20}",
            ],
            0..40,
        )
    ) {
        survives(&lines.join("\n"))?;
    }

    #[test]
    fn a_damaged_example_is_survived(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, "[ -~\\n\"\\[\\]=é]{0,8}"), 1..6)
    ) {
        let mut text: Vec<char> = example().chars().collect();
        for (at, cut, insert) in edits {
            let at = at.index(text.len());
            let until = (at + cut).min(text.len());
            text.splice(at..until, insert.chars());
            prop_assume!(!text.is_empty());
        }
        survives(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn a_shuffled_value_is_survived(
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>())
    ) {
        let text = example();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains('=') && !line.starts_with('#')).collect();
        let value = |line: &str| line.split_once('=').map(|(_, value)| value.split('#').next().unwrap().trim().to_owned()).unwrap();
        let (from, to) = (from.get(&lines), to.get(&lines));
        let key = to.split('=').next().unwrap();
        survives(&text.replacen(*to, &format!("{key}= {}", value(from)), 1))?;
    }
}
