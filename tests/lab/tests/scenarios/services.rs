//! Services that misbehave: one that hangs, one that does not listen, one that takes all it
//! can get, and one that was taken over and looks for a way out.
//!
//! The service is `src/bin/rogue.rs`, brought into the image as a program of this host.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use kodo_tests_lab::{GROUP, PAIR, Story, Variant, boot_json};

use crate::reload::{WARNTIME, longest_silence};

/// A few probes, a restart and a change of views, at the lab profile under emulation.
const SOON: Duration = Duration::from_secs(30);
/// What an image with a program in it needs, and some room to serve.
const MEMORY_MB: u32 = 256;

const ROGUE: &str = concat!(
    "program = \"",
    env!("CARGO_BIN_EXE_rogue"),
    "\"\nwritable = [\"/tmp\"]\nmemory = \"48M\"\npids = 64\ncpu = 50"
);
/// The service of the example is the rogue, asked for a page that says so, and leaves at its
/// second failure.
const MISBEHAVES: Variant = &[
    ("kind = \"builtin\"", ROGUE),
    (
        "path = \"/\"\n",
        "path = \"/\"\nstatus = 200\nbody = \"served\"\n",
    ),
    ("migration_threshold = 3", "migration_threshold = 2"),
];
/// The same, deaf to TERM, and asked for a connection.
const STUBBORN: Variant = &[
    (
        "kind = \"builtin\"",
        concat!(
            "program = \"",
            env!("CARGO_BIN_EXE_rogue"),
            "\"\narguments = [\"stubborn\"]"
        ),
    ),
    ("path = \"/\"\n", "kind = \"tcp\"\n"),
];

/// What the example says; the supervisor's bound for a kill comes on top.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

fn begin(variant: Variant) -> Story {
    let story = Story::sized(PAIR.with(variant), MEMORY_MB);
    story.power_on_pair();
    story
}

/// Asks a node's own service for a path; what it says until it hangs up, or keeps silent.
fn ask(story: &Story, node: &str, path: &str) -> String {
    let port = story.lab.own_port(node).expect("a door");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the door");
    let timeout = stream.set_read_timeout(Some(SOON));
    timeout.expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    // One that crashes or hangs may cut this short.
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// It takes connections and never answers: the probe notices, it is killed and started
/// again, and the second time it moves.
#[test]
fn service_hangs() {
    let story = begin(MISBEHAVES);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let first = story.now();
    ask(&story, &active, "/hang");
    story.says(&active, "web: runs again", first, SOON);
    story.served_by(&active, SOON);
    println!("service-hangs: outage in place {:?}", story.outage(first));
    story.settled();
    let second = story.now();
    story.foretell("--stop web");
    ask(&story, &active, "/hang");
    story.served_by(&standby, SOON);
    println!("service-hangs: outage with move {:?}", story.outage(second));
    story.end();
}

/// It does not listen to TERM. The address is all that is exclusive of a light group, so the
/// other node serves at once; the service is killed with its cgroup after `stop_timeout`.
#[test]
fn stuck_stop() {
    let story = begin(STUBBORN);
    let active = story.serving(SOON);
    let heir = story.other(&active);
    story.foretell(&format!("--move {GROUP}={heir}"));
    let before = story.now();
    let asked = story.admin(&active).move_group(GROUP, &heir);
    asked.expect("agreed");
    story.served_by(&heir, SOON);
    println!("stuck-stop: outage {:?}", story.outage(before));
    let stopped = format!("{GROUP}: stopped");
    story.says(&active, "service web was ended by signal 9", before, SOON);
    story.says(&active, &stopped, before, SOON);
    let took = story.now().at.saturating_sub(before.at);
    println!("stuck-stop: down after {took:?}");
    assert!(took >= STOP_TIMEOUT, "killed early: {took:?}");
    story.end();
}

/// It forks without end, and it eats all memory: it is ended each time, and the nodes do not
/// miss a beat.
#[test]
fn starved() {
    let story = begin(MISBEHAVES);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let first = story.now();
    ask(&story, &active, "/bomb");
    story.says(&active, "web: runs again", first, SOON);
    story.served_by(&active, SOON);
    println!("starved: outage by forks {:?}", story.outage(first));
    story.settled();
    let second = story.now();
    story.foretell("--stop web");
    ask(&story, &active, "/eat");
    story.served_by(&standby, SOON);
    println!("starved: outage by memory {:?}", story.outage(second));
    let silence = longest_silence(&story, first);
    println!("starved: longest silence of a node on a cable {silence:?}");
    assert!(silence < WARNTIME, "a beat was missed: {silence:?}");
    story.end();
}

/// The lines of a report of the rogue: what it tried, and what of that it reached.
fn report(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let reached = text
        .lines()
        .filter_map(|line| line.strip_prefix("REACHED "));
    let reached: BTreeSet<String> = reached.map(str::to_owned).collect();
    let refused = text
        .lines()
        .filter_map(|line| line.strip_prefix("refused "));
    let refused = refused.filter_map(|line| line.split_once(": "));
    let tried = refused.map(|(what, _)| what.to_owned());
    (tried.chain(reached.clone()).collect(), reached)
}

/// What every report must have tried.
const TRIED: [&str; 24] = [
    "reading /etc/kodo/cluster.toml",
    "reading /srv",
    "reading /sys/fs/cgroup",
    "reading /lib/modules",
    "reading /proc/1/root/etc/kodo/cluster.toml",
    "making a file in its root",
    "writing /dev/mem",
    "writing /dev/watchdog",
    "writing /dev/ttyS1",
    "writing /proc/sysrq-trigger",
    "writing /proc/kcore",
    "making a device",
    "a packet socket",
    "a raw IP socket",
    "the operators' port",
    "capabilities in CapEff",
    "capabilities in CapBnd",
    "privileges of other programs",
    "becoming root",
    "mounting",
    "a user namespace",
    "a network namespace",
    "another root directory",
    "the host name",
];

/// A service that was taken over reaches nothing of its node: not the cluster's key, not another
/// service's files, not PID 1, no device and no raw socket.
#[test]
fn an_intruder_reaches_nothing() {
    let story = begin(MISBEHAVES);
    let active = story.serving(SOON);
    let (tried, reached) = report(&ask(&story, &active, "/reach"));
    println!("an intruder tried {} ways", tried.len());
    for wanted in TRIED {
        assert!(tried.contains(wanted), "{wanted} was not tried: {tried:?}");
    }
    assert!(reached.is_empty(), "reached: {reached:?}");
    // What it looked for is there.
    let manifest = boot_json(PAIR.with(MISBEHAVES)).with_file_name("manifest.json");
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    for there in [
        "\"/etc/kodo/cluster.toml\"",
        "\"/srv/web/",
        "\"/lib/modules/",
    ] {
        assert!(manifest.contains(there), "the image has no {there}");
    }
    story.end();
}

/// The same list run by root of this host, where nothing stands in its way: it does tell what it reaches.
#[test]
fn an_intruder_that_nothing_holds_is_told() {
    if !kodo_sys::process::is_root() {
        return;
    }
    let own = env!("CARGO_BIN_EXE_rogue");
    let output = Command::new("unshare")
        .args(["--mount", "--uts", own, "reach"])
        .output();
    let output = output.expect("unshare, of util-linux");
    let (tried, reached) = report(&String::from_utf8_lossy(&output.stdout));
    for wanted in TRIED {
        assert!(tried.contains(wanted), "{wanted} was not tried: {tried:?}");
    }
    for wanted in [
        "reading /srv",
        "making a file in its root",
        "making a device",
        "a packet socket",
        "a raw IP socket",
        "capabilities in CapEff",
        "privileges of other programs",
        "becoming root",
        "mounting",
        "another root directory",
        "the host name",
    ] {
        assert!(
            reached.contains(wanted),
            "{wanted} is not told: {reached:?}"
        );
    }
    assert!(
        reached
            .iter()
            .any(|what| what.starts_with("seeing process")),
        "{reached:?}"
    );
    assert!(
        reached.iter().any(|what| what.starts_with("the memory of")),
        "{reached:?}"
    );
}
