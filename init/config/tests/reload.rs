//! A changed file for nodes that run: how it travels, what of it differs, and which numbers it
//! leaves alone.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use kodo_config::bundle::{LARGEST, Unopened};
use kodo_config::{Bundle, Cluster, Secret};
use kodo_engine::{Key, ResourceId};
use kodo_node::config::Target;
use kodo_node::io::ServiceId;

const OLD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEW: &str = "ffeeddccbbaa99887766554433221100fedcba9876543210fedcba9876543210";
const NONCE: [u8; 12] = [7; 12];

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
    fs::read_to_string(path).unwrap()
}

fn load(secret: Secret, path: &str) -> Result<String, String> {
    match (secret, path) {
        (Secret::Key, keys) => Ok(keys
            .replace("old", OLD)
            .replace("new", NEW)
            .replace('+', "\n")),
        (Secret::Tokens, _) => {
            let of = |name| kodo_config::secrets::token_line(name, name);
            Ok(of("ada") + &of("bob"))
        }
        (Secret::Witness, _) => Err("not found".into()),
        (Secret::Recipe, path) => Ok(format!(
            "debian = [\"a1\"]\ncommand = \"/bin/a\"\narguments = [\"{path}\"]\n"
        )),
    }
}

fn cluster(text: &str) -> Cluster {
    Cluster::parse("new.toml", text, &load).unwrap_or_else(|items| panic!("{}", items[0]))
}

/// The example whose keys are "old", "new+old" and so on.
fn keyed(keys: &str) -> String {
    let text = example();
    let line = text
        .lines()
        .find(|line| line.starts_with("key = "))
        .unwrap();
    text.replacen(line, &format!("key_file = \"{keys}\""), 1)
}

fn told(old: &str, new: &str) -> Vec<String> {
    let changes = cluster(new).changes(&cluster(old));
    changes.iter().map(ToString::to_string).collect()
}

/// The example with one text replaced.
fn with(old: &str, new: &str) -> String {
    let text = example();
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

#[test]
fn a_bundle_is_opened_by_the_key_that_sealed_it_and_means_what_was_sealed() {
    let (bundle, read) = Bundle::gather("new.toml", &keyed("new+old"), &load).unwrap();
    assert!(!format!("{bundle:?}").contains("key"));
    let (signs, accepted) = (read.keys[0].clone(), read.keys[1].clone());
    let sealed = bundle.clone().seal(&signs, &[1, 2], NONCE).unwrap();
    let text = String::from_utf8_lossy(&sealed).into_owned();
    assert!(!text.contains("cluster") && !text.contains(NEW) && !text.contains(OLD));
    for running in [1, 2] {
        let keys = [accepted.clone(), signs.clone()];
        let opened = Bundle::open(&sealed, &keys, running).unwrap();
        assert_eq!(opened, bundle);
        let again = opened.cluster("new.toml").unwrap();
        assert_eq!(
            (again.file_hash(), again.keys),
            (read.file_hash(), read.keys.clone())
        );
    }
    let open = |keys: &[Key], running| Bundle::open(&sealed, keys, running).unwrap_err();
    assert_eq!(open(&[accepted], 1), Unopened::Key);
    assert_eq!(open(&[signs], 3), Unopened::Replaces);
    assert_eq!(Bundle::from_bytes(&bundle.to_bytes()), Some(bundle));
}

#[test]
fn recipes_travel_with_the_file() {
    let text = with("kind = \"builtin\"", "recipe = \"./mine\"");
    let (bundle, read) = Bundle::gather("new.toml", &text, &load).unwrap();
    let again = bundle.cluster("new.toml").unwrap();
    assert_eq!(again.file_hash(), read.file_hash());
}

#[test]
fn a_root_is_what_its_image_made_of_it() {
    let rooted = |words: &str| with("kind = \"builtin\"", words);
    let base = "recipe = \"./mine\"\nenvironment = { A = \"1\" }";
    let told = |words: &str| told(&rooted(base), &rooted(words));
    assert_eq!(
        told(
            "recipe = \"./mine\"\ndebian = [\"b1\"]\nwritable = [\"/tmp\"]\nenvironment = { A = \"1\" }"
        ),
        [
            "service web: origin: Debian's a1 -> Debian's a1, b1 (needs new images)",
            "service web: writable: none -> /tmp (needs new images)",
        ]
    );
    assert_eq!(
        told("recipe = \"./mine\"\narguments = [\"-x\"]\nenvironment = { A = \"2\" }"),
        [
            "service web: arguments: ./mine/recipe.toml -> -x (its group restarts)",
            "service web: environment: A -> A with other values (its group restarts)",
        ]
    );
    assert_eq!(
        told(&format!(
            "{base}\nmemory = \"64M\"\npids = 64\ncpu = 50\nstop_signal = \"SIGQUIT\""
        )),
        [
            "service web: memory: shared -> 64M",
            "service web: pids: 512 -> 64",
            "service web: cpu: shared -> 50",
            "service web: stop_signal: SIGTERM -> SIGQUIT",
        ]
    );
}

#[test]
fn how_a_service_is_asked_changes_at_once() {
    let asked = |words: &str| with("path = \"/\"\n", words);
    let change = |words: &str| told(&example(), &asked(words));
    assert_eq!(
        change("path = \"/health\"\nstatus = 200\nbody = \"well\"\n"),
        ["service web: probe: the page / -> the page /health with status 200 that holds \"well\""]
    );
    assert_eq!(
        change("kind = \"tcp\"\n"),
        ["service web: probe: the page / -> a connection"]
    );
}

#[test]
fn what_was_cut_or_changed_on_its_way_is_refused() {
    let (bundle, read) = Bundle::gather("new.toml", &example(), &load).unwrap();
    let sealed = bundle.seal(&read.keys[0], &[1], NONCE).unwrap();
    for len in 0..sealed.len() {
        assert!(Bundle::open(&sealed[..len], &read.keys, 1).is_err());
    }
    for position in 0..sealed.len() {
        let mut sealed = sealed.clone();
        sealed[position] ^= 0x10;
        assert!(Bundle::open(&sealed, &read.keys, 1).is_err(), "{position}");
    }
    let long = format!("{}\n# {}", example(), "x".repeat(LARGEST));
    let (bundle, _) = Bundle::gather("new.toml", &long, &load).unwrap();
    let why = bundle.seal(&read.keys[0], &[1], NONCE).unwrap_err();
    assert!(why.to_string().contains("128 kB"));
    assert_eq!(Bundle::from_bytes(b"\xff\xff\xff\xff\x7f"), None);
}

#[test]
fn what_a_running_cluster_takes_over() {
    let second = "\n[[vip]]\nname = \"vip2\"\naddress = \"192.168.0.34/24\"\n";
    let service = "\n[[service]]\nname = \"api\"\nkind = \"builtin\"\nport = 81\n";
    let group = "\n[[group]]\nname = \"api\"\nmembers = [\"api\", \"vip2\"]\n";
    let more = example() + second + service + group;
    assert_eq!(
        told(&example(), &more),
        [
            "service api: new, builtin on port 81",
            "vip vip2: new, 192.168.0.34/24",
            "group api: new, api, vip2",
        ]
    );
    assert_eq!(
        told(&more, &example()),
        [
            "service api: gone, was builtin on port 81",
            "vip vip2: gone, was 192.168.0.34/24",
            "group api: gone, was api, vip2",
        ]
    );
    for (old, new, says) in [
        (
            "failback = \"manual\"",
            "failback = \"auto\"",
            "group www: failback: manual -> auto",
        ),
        (
            "prefer = [\"node1\", \"node2\"]",
            "prefer = [\"node2\", \"node1\"]",
            "group www: prefer: node1, node2 -> node2, node1",
        ),
        (
            "migration_threshold = 3",
            "migration_threshold = 4",
            "group www: migration_threshold: 3 -> 4",
        ),
        ("fall = 2", "fall = 3", "service web: probe fall: 2 -> 3"),
        (
            "drills = true",
            "drills = false",
            "cluster: drills: true -> false",
        ),
        (
            "name = \"operator\"",
            "name = \"ada\"",
            "admin token operator: gone, was valid",
        ),
        (
            "port = 80\n",
            "port = 81\n",
            "service web: port: 80 -> 81 (its group restarts)",
        ),
        (
            "192.168.0.33/24",
            "192.168.0.35/24",
            "vip vip: address: 192.168.0.33/24 -> 192.168.0.35/24 (its group restarts)",
        ),
        (
            "[\"web\", \"vip\"]",
            "[\"vip\", \"web\"]",
            "group www: members: web, vip -> vip, web (its group restarts)",
        ),
        (
            "migration_threshold = 3",
            "migration_threshold = 3\non_stop_failure = \"block\"",
            "group www: on_stop_failure: fence -> block",
        ),
        (
            "migration_threshold = 3",
            "migration_threshold = 3\nstart_failure_is_fatal = false",
            "group www: start_failure_is_fatal: true -> false",
        ),
        (
            "drills = true",
            "drills = true\nquarantine_exits = 3",
            "quarantine: new, 3 deaths, each within 10min",
        ),
        (
            "[[node]]\nname = \"node1\"",
            "[[node]]\nname = \"node1\"\ncapacity = 3",
            "node node1: capacity: no limit -> 3",
        ),
    ] {
        let list = told(&example(), &with(old, new));
        assert_eq!(list[0], says);
        assert!(
            !list.iter().any(|line| line.contains("needs new images")),
            "{list:?}"
        );
    }
    assert_eq!(told(&example(), &example()), [""; 0]);
}

#[test]
fn what_needs_new_images() {
    for (old, new, says) in [
        (
            "name = \"web\"\n",
            "name = \"web2\"\n",
            "cluster: name: web -> web2",
        ),
        (
            "profile = \"lab\"",
            "profile = \"default\"",
            "timing: keepalive: 250ms -> 100ms",
        ),
        (
            "split_brain = \"ping\"",
            "split_brain = \"accept\"",
            "cluster: split_brain: ping -> accept",
        ),
        (
            "ping = [\"192.168.0.1\"]",
            "ping = [\"192.168.0.2\"]",
            "cluster: ping: 192.168.0.1 -> 192.168.0.2",
        ),
        (
            "port = 5580",
            "port = 5581",
            "admin: port 5580 -> port 5581",
        ),
        (
            "timeout = \"5s\"",
            "timeout = \"6s\"",
            "watchdog: timeout: 5s -> 6s",
        ),
        (
            "52:54:00:00:01:01",
            "52:54:00:00:01:11",
            "node node1: nic 1: lan 52:54",
        ),
        (
            "baud = 115200                   #",
            "baud = 57600 #",
            "node node1: serial 1: ttyS1 at 115200 baud",
        ),
    ] {
        let mut text = with(old, new);
        if new.starts_with("baud") {
            text = text.replace("baud = 115200", "baud = 57600");
        }
        let list = told(&example(), &text);
        assert!(list[0].starts_with(says), "{list:?}");
        assert!(list[0].ends_with(" (needs new images)"), "{list:?}");
    }
}

/// Whatever tells two files apart is in the list.
#[test]
fn no_difference_is_silent() {
    let lines: Vec<_> = example().lines().map(str::to_owned).collect();
    let mut seen = 0;
    for at in 0..lines.len() {
        for change in [None, Some("3"), Some("\"3s\""), Some("\"accept\"")] {
            let mut lines = lines.clone();
            match (change, lines[at].split_once('=')) {
                (None, _) => lines[at] = String::new(),
                (Some(value), Some((key, _))) => lines[at] = format!("{key}= {value}"),
                (Some(_), None) => continue,
            }
            let Ok(other) = Cluster::parse("new.toml", &lines.join("\n"), &load) else {
                continue;
            };
            let old = cluster(&example());
            let silent = other.changes(&old).is_empty();
            assert_eq!(
                silent,
                other.file_hash() == old.file_hash(),
                "line {at}, {change:?}"
            );
            seen += usize::from(!silent);
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn keys_are_told_by_what_becomes_of_them_and_never_shown() {
    for (old, new, says) in [
        (
            "old",
            "old+new",
            "one key -> signs with the one that signed, accepts a fresh one too",
        ),
        (
            "old+new",
            "new+old",
            "two keys -> signs with the one that was accepted, accepts the one that signed too",
        ),
        (
            "new+old",
            "new",
            "two keys -> signs with the one that signed, accepts no other",
        ),
    ] {
        let list = told(&keyed(old), &keyed(new));
        assert_eq!(list, [format!("cluster: key: {says}")]);
        assert_ne!(
            cluster(&keyed(old)).file_hash(),
            cluster(&keyed(new)).file_hash()
        );
    }
}

#[test]
fn names_keep_their_numbers() {
    let first = cluster(&example());
    let running = first.node("node1").unwrap();
    let (same, seats) = first.node_after("node1", &running).unwrap();
    assert_eq!((same, &seats[..]), (running.clone(), &[ServiceId(0)][..]));

    let before =
        "[[service]]\nname = \"api\"\nkind = \"builtin\"\nport = 81\n\n[[service]]\nname = \"web\"";
    let text = with("[[service]]\nname = \"web\"", before)
        + "\n[[group]]\nname = \"api\"\nmembers = [\"api\"]\n";
    let second = cluster(&text);
    let (config, seats) = second.node_after("node1", &running).unwrap();
    let names: Vec<_> = config
        .engine
        .resources
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["web", "vip", "api"]);
    assert_eq!(config.resources[0], Target::Service(ServiceId(0)));
    assert_eq!(config.resources[2], Target::Service(ServiceId(1)));
    assert_eq!(config.supervisor.services[1].name, "api");
    assert_eq!(config.engine.groups[1].members[..], [ResourceId(2)]);
    assert_eq!(seats[..], [ServiceId(1), ServiceId(0)]);

    // What is gone keeps its place, and gets it back.
    let (third, _) = first.node_after("node1", &config).unwrap();
    assert_eq!(third.engine.resources.len(), 3);
    let members = || third.engine.groups.iter().flat_map(|group| &group.members);
    assert!(members().all(|member| *member != ResourceId(2)));
    let (again, _) = second.node_after("node1", &third).unwrap();
    assert_eq!(again, config);

    let mut running = running;
    for n in 0..7 {
        let text = with("name = \"web\"\nkind", &format!("name = \"w{n}\"\nkind"))
            .replace("[\"web\", \"vip\"]", &format!("[\"w{n}\", \"vip\"]"));
        running = cluster(&text).node_after("node1", &running).unwrap().0;
    }
    let why = second.node_after("node1", &running).unwrap_err();
    assert!(why.starts_with("too many services or VIPs"), "{why}");
}
