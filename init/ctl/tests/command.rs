//! The `kodo` program as an operator runs it, against nodes that answer as scripted.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const TOKEN: &str = "kodo-test-token";

/// A node that gives these answers, one per connection, and remembers what it was asked.
struct Node {
    address: String,
    asked: mpsc::Receiver<String>,
}

impl Node {
    fn new(answers: &[(u16, &str)]) -> Node {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers: Vec<(u16, String)> = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        let (asks, asked) = mpsc::channel();
        thread::spawn(move || {
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let _ = asks.send(answer(stream, status, &body));
            }
        });
        Node { address, asked }
    }

    /// Request line and body of the next request.
    fn was_asked(&self) -> (String, String) {
        let request = self.asked.recv_timeout(Duration::from_secs(20)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.to_lowercase()
                .contains(&format!("authorization: bearer {TOKEN}")),
            "{head}"
        );
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

/// Reads one request and answers it; returns the request.
fn answer(mut stream: TcpStream, status: u16, body: &str) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break;
            }
        }
        let read = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..read]);
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    String::from_utf8(request).unwrap()
}

/// Runs `kodo` with a clean environment.
fn kodo(node: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kodo"))
        .args(args)
        .env_clear()
        .env("KODO_NODE", node)
        .env("KODO_TOKEN", TOKEN)
        // A proxy must never see a token.
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An address that refuses connections.
fn nobody() -> String {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

const HEALTHY: &str = r#"{"schema": 1, "cluster": "web", "node": "node1", "uptime_ms": 5000,
    "role": "active", "health": "healthy", "concerns": [], "notes": [], "view": null,
    "reachable": true, "watchdog": null, "nodes": [], "groups": [], "counters": {},
    "last_event": ""}"#;
const DONE: &str = r#"{"nodes": 2, "of": 2, "forgotten_by": ""}"#;

#[test]
fn status_tells_by_its_exit_code() {
    let node = Node::new(&[(200, HEALTHY)]);
    let output = kodo(&node.address, &["status"]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    assert!(out(&output).starts_with("web: healthy, as node1 sees it, up 5 s\n"));
    assert_eq!(node.was_asked().0, "GET /v1/status HTTP/1.1");

    let degraded = HEALTHY.replace("healthy", "degraded");
    let node = Node::new(&[(200, &degraded)]);
    assert_eq!(code(&kodo(&node.address, &["status"])), 1);

    let output = kodo(&nobody(), &["status"]);
    assert_eq!(code(&output), 2);
    assert!(
        err(&output).starts_with("kodo: no node answered\n  127.0.0.1:"),
        "{}",
        err(&output)
    );
}

#[test]
fn status_as_json() {
    let node = Node::new(&[(200, HEALTHY)]);
    let output = kodo(&node.address, &["status", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["cluster"], "web");
}

#[test]
fn questions_go_on_to_the_next_node() {
    let stuck = Node::new(&[(504, r#"{"error": "stuck", "hint": "wait"}"#)]);
    let well = Node::new(&[(200, HEALTHY)]);
    let nodes = format!("{},{},{}", nobody(), stuck.address, well.address);
    assert_eq!(code(&kodo(&nodes, &["status"])), 0);
    let stuck = Node::new(&[(504, r#"{"error": "it is stuck", "hint": "wait"}"#)]);
    let output = kodo(&format!("{},{}", nobody(), stuck.address), &["status"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("it is stuck"), "{}", err(&output));
}

#[test]
fn commands_say_what_the_api_wants() {
    for (args, path, body) in [
        (
            &["standby", "node1"][..],
            "standby",
            r#"{"node":"node1","on":true}"#,
        ),
        (
            &["online", "node1"],
            "standby",
            r#"{"node":"node1","on":false}"#,
        ),
        (
            &["move", "www", "node2"],
            "move",
            r#"{"group":"www","node":"node2"}"#,
        ),
        (
            &["move", "--once", "www", "node2"],
            "move",
            r#"{"group":"www","node":"node2","once":true}"#,
        ),
        (&["maintenance", "on"], "maintenance", r#"{"on":true}"#),
        (&["maintenance", "off"], "maintenance", r#"{"on":false}"#),
        (&["manage", "www"], "manage", r#"{"group":"www","on":true}"#),
        (
            &["unmanage", "www"],
            "manage",
            r#"{"group":"www","on":false}"#,
        ),
        (&["takeover-anyway", "--yes"], "takeover-anyway", "null"),
        (&["cleanup", "www"], "cleanup", r#"{"group":"www"}"#),
        (
            &["drill", "service-kill"],
            "drill",
            r#"{"kind":"service-kill"}"#,
        ),
        (
            &["drill", "pid1-stuck"],
            "drill",
            r#"{"kind":"pid1-stuck"}"#,
        ),
        (&["halt", "--power-off"], "halt", r#"{"kind":"power-off"}"#),
        (&["halt", "--reboot"], "halt", r#"{"kind":"reboot"}"#),
    ] {
        let node = Node::new(&[(200, DONE)]);
        let output = kodo(&node.address, args);
        assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
        assert!(out(&output).contains("(2 of 2 nodes know)"));
        let asked = node.was_asked();
        assert_eq!(
            asked,
            (format!("POST /v1/{path} HTTP/1.1"), body.to_owned()),
            "{args:?}"
        );
    }
}

#[test]
fn what_would_be_forgotten_is_said() {
    let done = r#"{"nodes": 1, "of": 2, "forgotten_by": "a power loss of all nodes at once"}"#;
    let node = Node::new(&[(200, done)]);
    let output = kodo(&node.address, &["standby", "node2"]);
    let expected = "node2 is on standby (1 of 2 nodes know)\n\
                    forgotten by: a power loss of all nodes at once\n";
    assert_eq!(out(&output), expected);
}

#[test]
fn a_wish_that_stays_open_says_why() {
    let done = r#"{"nodes": 3, "of": 3, "forgotten_by": "",
                   "warning": "node2 is on standby; until that ends www stays on node1"}"#;
    let node = Node::new(&[(200, done)]);
    let output = kodo(&node.address, &["move", "www", "node2"]);
    let expected = "www moves to node2 (3 of 3 nodes know)\n\
                    but not yet: node2 is on standby; until that ends www stays on node1\n";
    assert_eq!(out(&output), expected);
}

#[test]
fn what_is_kept_is_said_once_it_is_on_disk() {
    let done = r#"{"nodes": 2, "of": 2, "forgotten_by": "", "kept_on": ["node1", "node2"]}"#;
    let writing = draining("active", "node1");
    let kept = writing.replace(
        r#""standby": false,"#,
        r#""standby": false, "disk": "kept","#,
    );
    let node = Node::new(&[(200, done), (200, &writing), (200, &kept)]);
    let output = kodo(&node.address, &["maintenance", "on"]);
    let expected = "maintenance is on: nothing is started, stopped or moved (2 of 2 nodes know)\n\
                    kept through a loss of all power on node1, node2\n";
    assert_eq!(out(&output), expected);
}

/// A status of node2, by which node1 is active or not and www is held by this node.
fn draining(role: &str, holder: &str) -> String {
    let node = |name, role| {
        format!(
            r#"{{"name": "{name}", "role": "{role}", "standby": false, "boot": null,
                "silent_ms": 80, "same_file": true, "paths": []}}"#
        )
    };
    let nodes = [node("node1", role), node("node2", "active")].join(",");
    let group = format!(
        r#"{{"name": "www", "holder": "{holder}", "epoch": 2, "state": "stopped",
            "failures": 0, "members": []}}"#
    );
    HEALTHY
        .replace(r#""nodes": []"#, &format!(r#""nodes": [{nodes}]"#))
        .replace(r#""groups": []"#, &format!(r#""groups": [{group}]"#))
}

#[test]
fn drain_waits_until_the_node_is_empty() {
    let (full, empty) = (draining("active", "node1"), draining("standby", "node2"));
    let busy = r#"{"error": "busy", "hint": "wait"}"#;
    let node = Node::new(&[(200, DONE), (200, &full), (503, busy), (200, &empty)]);
    let output = kodo(&node.address, &["drain", "node1"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(err(&output), "node1 still holds www\nno node answers\n");
    assert_eq!(
        out(&output),
        "node1 is on standby (2 of 2 nodes know)\n\
         node1 holds nothing any more, after 1 s: www on node2\n\
         it can be switched off; `kodo online node1` when it is back\n"
    );
    let asked = node.was_asked();
    assert_eq!(
        (asked.0.as_str(), asked.1.as_str()),
        ("POST /v1/standby HTTP/1.1", r#"{"node":"node1","on":true}"#)
    );
    assert_eq!(node.was_asked().0, "GET /v1/status HTTP/1.1");
}

#[test]
fn drain_gives_up_and_says_why() {
    let full = draining("active", "node1");
    let node = Node::new(&[(200, DONE), (200, &full)]);
    let output = kodo(&node.address, &["drain", "node1", "--timeout", "0s"]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        err(&output),
        "kodo: node1 still holds www, after 0 s\n  \
         try: kodo status, to see why; node1 stays on standby until `kodo online node1`\n"
    );
    let frozen = full.replace(r#""schema": 1,"#, r#""schema": 1, "maintenance": true,"#);
    let node = Node::new(&[(200, DONE), (200, &frozen)]);
    let output = kodo(&node.address, &["drain", "node1"]);
    assert_eq!(code(&output), 1);
    let why = "node1 keeps www: maintenance is on, and nothing is moved\n";
    assert!(err(&output).contains(why), "{}", err(&output));
    // A node that nobody hears may still run everything.
    let dead = draining("dead", "node2");
    let node = Node::new(&[(200, DONE), (200, &dead)]);
    let output = kodo(&node.address, &["drain", "node1", "--timeout", "0s"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("node1 is silent"), "{}", err(&output));
    // What was refused is not waited for.
    let node = Node::new(&[(404, r#"{"error": "no node", "hint": "it has node1"}"#)]);
    assert_eq!(code(&kodo(&node.address, &["drain", "node9"])), 1);
}

#[test]
fn refusals_are_repeated_with_their_hint() {
    let refusal = r#"{"error": "the peer is heard: it is alive", "hint": "use move"}"#;
    let node = Node::new(&[(409, refusal)]);
    let output = kodo(&node.address, &["takeover-anyway", "--yes"]);
    assert_eq!(code(&output), 1);
    let expected = format!(
        "kodo: {} refused: the peer is heard: it is alive\n  try: use move\n",
        node.address
    );
    assert_eq!(err(&output), expected);
}

#[test]
fn an_unknown_token_is_not_a_refusal() {
    let node = Node::new(&[(
        401,
        r#"{"error": "this token is not known here", "hint": "ask"}"#,
    )]);
    let output = kodo(&node.address, &["status"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("this token is not known here"));
}

#[test]
fn a_command_is_never_sent_twice() {
    // It reached the first node, which hung up: whether it was done nobody knows.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let first = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
    });
    let second = Node::new(&[(200, DONE)]);
    let output = kodo(
        &format!("{first},{}", second.address),
        &["move", "www", "node2"],
    );
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("did not confirm"), "{}", err(&output));
    second.asked.try_recv().unwrap_err();
    // One that could not be connected to certainly did nothing.
    let third = Node::new(&[(200, DONE)]);
    let nodes = format!("{},{}", nobody(), third.address);
    assert_eq!(code(&kodo(&nodes, &["move", "www", "node2"])), 0);
    let stuck = Node::new(&[(504, r#"{"error": "no answer", "hint": "wait"}"#)]);
    assert_eq!(code(&kodo(&stuck.address, &["move", "www", "node2"])), 2);
}

#[test]
fn what_breaks_a_node_wants_one_name() {
    for args in [&["drill", "kernel-panic"][..], &["halt", "--reboot"]] {
        let output = kodo("192.0.2.1,192.0.2.2", args);
        assert_eq!(code(&output), 64);
        assert!(err(&output).contains("exactly one"), "{}", err(&output));
    }
}

#[test]
fn takeover_wants_a_person_or_yes() {
    let node = Node::new(&[(200, DONE)]);
    let output = kodo(&node.address, &["takeover-anyway"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("--yes"));
    node.asked.try_recv().unwrap_err();
}

#[test]
fn the_log_is_read_to_its_end() {
    let line = |seq: u64| {
        let at_us = seq * 1_000_000;
        format!(r#"{{"seq": {seq}, "at_us": {at_us}, "level": "info", "text": "line {seq}"}}"#)
    };
    let pages = [
        format!(r#"{{"lines": [{}, {}], "next": 2}}"#, line(0), line(1)),
        format!(r#"{{"lines": [{}], "next": 3}}"#, line(2)),
        r#"{"lines": [], "next": 3}"#.to_owned(),
    ];
    let answers: Vec<(u16, &str)> = pages.iter().map(|page| (200, page.as_str())).collect();
    let node = Node::new(&answers);
    let output = kodo(&node.address, &["log", "-n", "2"]);
    assert_eq!(
        out(&output),
        "[    1.000000] info  line 1\n[    2.000000] info  line 2\n"
    );
    for from in [0, 2, 3] {
        assert_eq!(
            node.was_asked().0,
            format!("GET /v1/log?from={from} HTTP/1.1")
        );
    }
}

#[test]
fn token_files_beat_the_environment_and_bad_ones_are_named() {
    let file = std::env::temp_dir().join(format!("kodo-token-{}", std::process::id()));
    std::fs::write(&file, "kodo-file-token\nsecond line\n").unwrap();
    let node = Node::new(&[(200, HEALTHY)]);
    let output = kodo(
        &node.address,
        &["status", "--token-file", file.to_str().unwrap()],
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(&output), 0);
    let request = node.asked.recv().unwrap().to_lowercase();
    assert!(
        request.contains("authorization: bearer kodo-file-token\r\n"),
        "{request}"
    );
    let output = kodo("192.0.2.1", &["status", "--token-file", "/nonexistent"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("/nonexistent"));
}

#[test]
fn the_command_line_teaches() {
    let output = kodo("", &["--help"]);
    assert_eq!(code(&output), 0);
    for word in ["First steps", "Exit codes", "takeover-anyway", "KODO_NODE"] {
        assert!(out(&output).contains(word), "{word}");
    }
    assert!(!out(&output).contains(TOKEN), "help shows no secret");
    let output = kodo("", &["stand-by", "node1"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("standby"), "{}", err(&output));
    let output = Command::new(env!("CARGO_BIN_EXE_kodo"))
        .arg("status")
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("KODO_NODE"));
}

#[test]
fn something_else_on_that_port_is_named() {
    let node = Node::new(&[(200, "<html>a router</html>")]);
    let output = kodo(&node.address, &["status"]);
    assert_eq!(code(&output), 2);
    assert!(
        err(&output).contains("is that the admin API of a kodo node?"),
        "{}",
        err(&output)
    );
}

#[test]
fn simulate_asks_a_node_only_about_the_running_cluster() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
    let node = Node::new(&[(200, HEALTHY)]);
    let output = kodo(&node.address, &["simulate", file, "--running"]);
    assert_eq!(node.was_asked().0, "GET /v1/status HTTP/1.1");
    // its status has no view
    assert_eq!((code(&output), out(&output).as_str()), (1, ""));
    assert!(err(&output).contains("name another node with --node"));
    assert_eq!(code(&kodo(&nobody(), &["simulate", file, "--running"])), 2);
    assert_eq!(code(&kodo(&nobody(), &["simulate", file])), 0);
}
