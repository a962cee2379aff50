//! The admin child as operators meet it, with a PID 1 of the tests' own behind it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use common::child::{Child, PORT, SECRET, call};
use common::{eventually, healthy, pair};
use kodo_admin::admin::{self, AdminConfig, limits};
use kodo_admin::api;
use kodo_admin::relay::{self, DATAGRAM, FileRead, FileRefused, FromNode, ToNode};
use kodo_engine::surface::{Command, Level, Refusal};
use kodo_engine::{GroupId, NodeId, NodeSet, Now};
use kodo_node::io::{Drill, Halt, LogLine, Refused, Reply, Request};
use serde_json::json;

fn by_ben(command: Command) -> Request {
    Request::Command {
        command,
        operator: "ben".try_into().unwrap(),
    }
}

#[test]
fn status_is_the_nodes_own() {
    let child = Child::new(|_| Some(Reply::Status(healthy())));
    let (status, body) = child.get("/v1/status");
    assert_eq!(status, 200);
    let expected = api::Status::from(&healthy());
    assert_eq!(
        serde_json::from_value::<api::Status>(body).unwrap(),
        expected
    );
    child.was_asked(&Request::Status);
}

#[test]
fn log_pages() {
    let child = Child::new(|request| {
        let Request::Log { from } = *request else {
            return None;
        };
        let text = "booted".try_into().unwrap();
        let line = LogLine {
            seq: from,
            at: Now::from_millis(1),
            level: Level::Info,
            text,
        };
        Some(Reply::Log {
            lines: [line].into_iter().collect(),
            next: from + 1,
        })
    });
    let (status, body) = child.get("/v1/log?from=41");
    assert_eq!(status, 200);
    let line = json!({"seq": 41, "at_us": 1000, "level": "info", "text": "booted"});
    assert_eq!(body, json!({"lines": [line], "next": 42}));
    assert_eq!(child.get("/v1/log").1["next"], 1);
    for bad in [
        "/v1/log?from=x",
        "/v1/log?from=-1",
        "/v1/log?from=99999999999999999999",
    ] {
        assert_eq!(child.get(bad).0, 400, "{bad}");
    }
}

#[test]
fn wishes_reach_the_node_by_id_and_with_a_name() {
    let child = Child::ok();
    for (path, body, command) in [
        (
            "/v1/standby",
            r#"{"node":"node2","on":true}"#,
            Command::Standby(NodeId(1), true),
        ),
        (
            "/v1/standby",
            r#"{"node":"node1","on":false}"#,
            Command::Standby(NodeId(0), false),
        ),
        (
            "/v1/move",
            r#"{"group":"www","node":"node2"}"#,
            Command::Move(GroupId(0), NodeId(1), false),
        ),
        (
            "/v1/move",
            r#"{"group":"www","node":"node2","once":true}"#,
            Command::Move(GroupId(0), NodeId(1), true),
        ),
        (
            "/v1/maintenance",
            r#"{"on":true}"#,
            Command::Maintenance(true),
        ),
        (
            "/v1/manage",
            r#"{"group":"www","on":false}"#,
            Command::Manage(GroupId(0), false),
        ),
        ("/v1/takeover-anyway", "", Command::TakeoverAnyway),
        (
            "/v1/cleanup",
            r#"{"group":"www"}"#,
            Command::Cleanup(GroupId(0)),
        ),
    ] {
        let (status, answer) = child.post(path, body);
        assert_eq!(
            (status, &answer["nodes"], &answer["of"]),
            (200, &json!(2), &json!(2)),
            "{path}"
        );
        child.was_asked(&by_ben(command));
    }
    for (path, body) in [
        ("/v1/standby", r#"{"node":"node2","on":true}"#),
        ("/v1/maintenance", r#"{"on":true}"#),
        ("/v1/manage", r#"{"group":"www","on":false}"#),
    ] {
        let (_, answer) = child.post(path, body);
        assert_eq!(answer["forgotten_by"], "a power loss of all nodes at once");
    }
    for (path, body) in [
        ("/v1/standby", r#"{"node":"node2","on":false}"#),
        ("/v1/maintenance", r#"{"on":false}"#),
        ("/v1/manage", r#"{"group":"www","on":true}"#),
    ] {
        let (_, answer) = child.post(path, body);
        assert_eq!(
            answer["forgotten_by"], "",
            "{path}: nothing is left to forget"
        );
    }
}

#[test]
fn what_disks_keep_is_not_forgotten() {
    let child = Child::new(|_| {
        let disks = NodeSet::only(NodeId(1));
        Some(Reply::Ok { nodes: 2, disks })
    });
    let (_, answer) = child.post("/v1/maintenance", r#"{"on":true}"#);
    assert_eq!(answer["forgotten_by"], "");
    assert_eq!(answer["kept_on"], json!(["node2"]));
}

#[test]
fn drills_and_halts() {
    let child = Child::ok();
    let operator = || "ben".try_into().unwrap();
    for (kind, drill) in [
        ("service-kill", Drill::ServiceKill),
        ("kernel-panic", Drill::KernelPanic),
        ("pid1-stuck", Drill::Pid1Stuck),
        ("pid1-dies", Drill::Pid1Dies),
    ] {
        assert_eq!(
            child
                .post("/v1/drill", &json!({ "kind": kind }).to_string())
                .0,
            200
        );
        child.was_asked(&Request::Drill {
            drill,
            operator: operator(),
        });
    }
    for (kind, halt) in [("power-off", Halt::PowerOff), ("reboot", Halt::Reboot)] {
        assert_eq!(
            child
                .post("/v1/halt", &json!({ "kind": kind }).to_string())
                .0,
            200
        );
        child.was_asked(&Request::Halt {
            halt,
            operator: operator(),
        });
    }
}

#[test]
fn a_wish_that_stays_open_says_why() {
    let why = "node2 is full; until that ends www stays on node1";
    let child = Child::new(move |_| {
        Some(Reply::Open {
            disks: NodeSet::EMPTY,
            nodes: 2,
            why: why.try_into().unwrap(),
        })
    });
    let (status, answer) = child.post("/v1/move", r#"{"group":"www","node":"node2"}"#);
    assert_eq!((status, &answer["warning"]), (200, &json!(why)));
    assert_eq!(answer["nodes"], 2);
}

#[test]
fn refusals_say_what_to_do() {
    for (refused, status) in [
        (Refused::Engine(Refusal::Unknown), 404),
        (Refused::Engine(Refusal::NotMember), 409),
        (Refused::Engine(Refusal::NotEligible), 409),
        (Refused::Engine(Refusal::PeerAlive), 409),
        (Refused::Engine(Refusal::Frozen), 409),
        (Refused::Engine(Refusal::Untouched), 409),
        (Refused::Engine(Refusal::Blocked), 409),
        (Refused::Engine(Refusal::NotNow), 409),
        (Refused::DrillsForbidden, 403),
    ] {
        let child = Child::new(move |_| Some(Reply::Refused(refused)));
        let (got, body) = child.post("/v1/takeover-anyway", "");
        assert_eq!(got, status, "{refused:?}");
        let error: api::Error = serde_json::from_value(body).unwrap();
        assert!(!error.error.is_empty() && !error.hint.is_empty());
    }
}

#[test]
fn unknown_names_are_told_the_known_ones() {
    let child = Child::ok();
    let (status, body) = child.post("/v1/move", r#"{"group":"www","node":"node3"}"#);
    assert_eq!(status, 404);
    assert_eq!(body["error"], "the cluster file has no node \"node3\"");
    assert_eq!(body["hint"], "it has node1, node2");
    child.was_asked_nothing();
}

#[test]
fn nobody_gets_past_without_a_token() {
    let child = Child::ok();
    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/v1/log"),
        ("POST", "/v1/standby"),
        ("POST", "/v1/move"),
        ("POST", "/v1/maintenance"),
        ("POST", "/v1/manage"),
        ("POST", "/v1/takeover-anyway"),
        ("POST", "/v1/cleanup"),
        ("POST", "/v1/drill"),
        ("POST", "/v1/halt"),
    ] {
        let (status, body) = child.call(method, path, None, "");
        assert_eq!(status, 401, "{path}");
        assert_eq!(body["error"], "no token was presented");
    }
    for wrong in ["a token of the test", "A TOKEN OF THE TESTS", "anna"] {
        assert_eq!(child.call("GET", "/v1/status", Some(wrong), "").0, 401);
    }
    child.was_asked_nothing();
    let head = "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(
        child
            .raw(head.as_bytes())
            .to_lowercase()
            .contains("www-authenticate: bearer")
    );
}

#[test]
fn guessing_is_slowed_down() {
    let child = Child::new(|_| Some(Reply::Status(healthy())));
    assert_eq!(child.get("/v1/status").0, 200);
    for _ in 0..admin::limits::WRONG_TOKENS {
        assert_eq!(child.call("GET", "/v1/status", Some("guess"), "").0, 401);
    }
    // Not even the right one is looked at now ...
    assert_eq!(child.get("/v1/status").0, 429);
    // ... and soon again.
    eventually("the pause ends", || {
        (child.get("/v1/status").0 == 200).then_some(())
    });
}

#[test]
fn a_silent_node_is_explained() {
    let child = Child::new(|_| None);
    let begun = Instant::now();
    let (status, body) = child.get("/v1/status");
    assert_eq!(status, 504);
    assert!(begun.elapsed() >= admin::limits::NODE_TIMEOUT);
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("did not answer within 2 s")
    );
}

#[test]
fn a_stuck_node_is_asked_a_bounded_number_of_times() {
    let child = Child::new(|_| None);
    let address = child.address;
    let statuses: Vec<u16> = thread::scope(|scope| {
        let callers: Vec<_> = (0..admin::limits::PENDING + 2)
            .map(|_| scope.spawn(move || call(address, "GET", "/v1/status", Some(SECRET), "").0))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(
        (count(504), count(503)),
        (admin::limits::PENDING, 2),
        "{statuses:?}"
    );
    // The places are free again.
    assert_eq!(child.get("/v1/status").0, 504);
}

#[test]
fn a_late_answer_is_not_given_to_the_next_question() {
    let child = Child::with(|pid1, _| {
        pid1.set_read_timeout(None).unwrap();
        let mut buffer = vec![0; DATAGRAM];
        let mut open = Vec::new();
        while let Ok(length @ 1..) = pid1.recv(&mut buffer) {
            let Ok(ToNode::Ask { token, request }) = relay::decode(&buffer[..length]) else {
                continue;
            };
            open.push(token);
            if request == Request::Status {
                // First what was asked long ago, then what was asked now.
                let replies = [
                    Reply::Ok {
                        nodes: 1,
                        disks: NodeSet::EMPTY,
                    },
                    Reply::Status(healthy()),
                ];
                for (token, reply) in open.drain(..).zip(replies) {
                    let mut buffer = vec![0; DATAGRAM];
                    let reply = FromNode::Reply { token, reply };
                    pid1.send(relay::encode(&reply, &mut buffer).unwrap())
                        .unwrap();
                }
            }
        }
    });
    assert_eq!(child.get("/v1/log").0, 504);
    assert_eq!(child.get("/v1/status").0, 200);
}

#[test]
fn an_answer_of_another_kind_is_not_believed() {
    let child = Child::ok();
    assert_eq!(child.get("/v1/status").0, 500);
    assert_eq!(child.get("/v1/log").0, 500);
}

#[test]
fn nonsense_is_refused_in_json() {
    let child = Child::ok();
    for (method, path, body, status) in [
        ("GET", "/nowhere", "", 404),
        ("GET", "/v1/standby", "", 405),
        ("POST", "/v1/status", "", 405),
        ("POST", "/v1/standby", "", 400),
        ("POST", "/v1/standby", "[]", 400),
        ("POST", "/v1/standby", r#"{"node":"node1"}"#, 400),
        (
            "POST",
            "/v1/standby",
            r#"{"node":"node1","on":true,"off":false}"#,
            400,
        ),
        ("POST", "/v1/drill", r#"{"kind":"flood"}"#, 400),
        ("POST", "/v1/standby", "\u{0}\u{1}", 400),
    ] {
        let (got, answer) = child.call(method, path, Some(SECRET), body);
        assert_eq!(got, status, "{method} {path} {body}");
        let error: api::Error = serde_json::from_value(answer).unwrap();
        assert!(!error.error.is_empty() && !error.hint.is_empty());
    }
    let long = format!(
        r#"{{"node":"{}","on":true}}"#,
        "n".repeat(admin::limits::BODY)
    );
    assert_eq!(child.post("/v1/standby", &long).0, 413);
    child.was_asked_nothing();
}

#[test]
fn heads_are_bounded() {
    let child = Child::ok();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(2 * admin::limits::HEAD)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(2 * admin::limits::HEADERS)
    );
    for request in [long, many] {
        let answer = child.raw(request.as_bytes());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer:?}"
        );
    }
    assert!(
        child
            .raw(b"\x16\x03\x01\x00\xffTLS?\r\n\r\n")
            .starts_with("HTTP/1.1 400")
    );
}

#[test]
fn a_slow_head_is_cut_off() {
    let child = Child::ok();
    let begun = Instant::now();
    let answer = child.raw(b"GET / HTTP/1.1\r\nHost:");
    assert!(!answer.contains("200 OK"));
    assert!(begun.elapsed() >= admin::limits::HEAD_TIMEOUT);
}

#[test]
fn a_slow_body_is_cut_off() {
    let child = Child::ok();
    let head = format!(
        "POST /v1/standby HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n\
         Connection: close\r\nContent-Length: 30\r\n\r\n{{"
    );
    assert!(child.raw(head.as_bytes()).starts_with("HTTP/1.1 408"));
    child.was_asked_nothing();
}

#[test]
fn one_source_leaves_room_for_others() {
    let child = Child::ok();
    let held: Vec<TcpStream> = (0..admin::limits::CONNECTIONS_PER_SOURCE)
        .map(|_| {
            let mut stream = TcpStream::connect(child.address).unwrap();
            stream
                .write_all(b"GET /page.css HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let page = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(child.raw(page), "", "one too many");
    drop(held);
    eventually("places come back", || {
        child.raw(page).starts_with("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn the_page_is_self_contained() {
    let child = Child::ok();
    let mut all = String::new();
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = child.raw(request.as_bytes());
        let lower = answer.to_lowercase();
        assert!(lower.contains(&format!("content-type: {kind}")), "{path}");
        assert!(lower.contains("content-security-policy: default-src 'none'"));
        assert!(lower.contains("cache-control: no-store"));
        all.push_str(&answer);
    }
    for outside in ["http://", "https://", "//cdn", "innerHTML", "eval("] {
        assert!(!all.contains(outside), "{outside}");
    }
    child.was_asked_nothing();
}

#[test]
fn an_address_that_is_not_there_yet_is_waited_for() {
    // 192.0.2.1 belongs to nobody; the other address is served all the same.
    let (child, pid1) = pair();
    let config = AdminConfig {
        port: PORT,
        addresses: vec!["192.0.2.1".parse().unwrap(), "127.255.0.1".parse().unwrap()],
        tokens: Vec::new(),
        nodes: Vec::new(),
        groups: Vec::new(),
    };
    let runner = thread::spawn(move || admin::run(child, config));
    eventually("the other one is served", || {
        TcpStream::connect(("127.255.0.1", PORT)).ok()
    });
    drop(pid1);
    assert!(matches!(
        runner.join().unwrap(),
        Err(admin::Error::Orphaned)
    ));
}

/// PID 1 that says this of every file, and keeps what came with it.
fn keeper(
    verdict: Result<FileRead, FileRefused>,
) -> (Child, std::sync::mpsc::Receiver<(bool, Vec<u8>)>) {
    let (keeps, kept) = std::sync::mpsc::channel();
    let child = Child::with(move |pid1, _| {
        pid1.set_read_timeout(None).unwrap();
        let channel = kodo_sys::seqpacket::Channel::from_fd(pid1.into());
        let mut buffer = vec![0; DATAGRAM];
        while let Ok(received) = channel.receive_waiting(&mut buffer) {
            let Ok(ToNode::File {
                token,
                operator,
                stage,
            }) = relay::decode(&buffer[..received.len])
            else {
                return;
            };
            assert_eq!(operator, "ben");
            let mut file = std::fs::File::from(received.descriptor.unwrap());
            let mut bytes = Vec::new();
            std::io::Seek::rewind(&mut file).unwrap();
            std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            keeps.send((stage, bytes)).unwrap();
            let verdict = verdict.clone();
            let mut buffer = vec![0; DATAGRAM];
            let answer = FromNode::File { token, verdict };
            let answer = relay::encode(&answer, &mut buffer).unwrap();
            channel.send(answer, None).unwrap();
        }
    });
    (child, kept)
}

#[test]
fn a_file_goes_to_pid_1_unread() {
    let read = FileRead {
        hash: 0x0123_4567_89ab_cdef,
        changes: vec!["group www: failback: manual -> auto".to_owned()],
        staged: true,
    };
    let (child, kept) = keeper(Ok(read));
    let sealed = "not even this child knows what it is ".repeat(1000);
    for (path, stage) in [("/v1/file", true), ("/v1/file/diff", false)] {
        let (status, answer) = child.post(path, &sealed);
        assert_eq!(status, 200);
        assert_eq!(
            answer,
            json!({
                "hash": "0123456789abcdef",
                "changes": ["group www: failback: manual -> auto"],
                "staged": true,
            })
        );
        assert_eq!(kept.recv().unwrap(), (stage, sealed.clone().into_bytes()));
    }
    let (status, answer) = child.post("/v1/file", &"x".repeat(limits::FILE + 1));
    assert_eq!(status, 413);
    assert!(
        answer["error"].as_str().unwrap().contains("131072 bytes"),
        "{answer}"
    );
    assert_eq!(child.call("POST", "/v1/file", None, &sealed).0, 401);
    assert!(
        kept.try_recv().is_err(),
        "what is refused here goes nowhere"
    );
}

#[test]
fn a_refused_file_says_why() {
    for (refused, status, says) in [
        (FileRefused::Busy, 409, "being read"),
        (FileRefused::Unread, 422, "without an answer"),
        (
            FileRefused::Wrong("line 7 is wrong".to_owned()),
            422,
            "line 7 is wrong",
        ),
    ] {
        let (child, _kept) = keeper(Err(refused));
        let (got, answer) = child.post("/v1/file", "anything");
        assert_eq!(got, status);
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[test]
fn a_staged_file_is_adopted_by_its_hash() {
    let child = Child::ok();
    let (status, answer) = child.post("/v1/file/adopt", r#"{"hash": "0123456789abcdef"}"#);
    assert_eq!(status, 200);
    assert!(
        answer["forgotten_by"].as_str().unwrap().contains("image"),
        "{answer}"
    );
    child.was_asked(&by_ben(Command::Adopt(0x0123_4567_89ab_cdef)));
    assert_eq!(
        child.post("/v1/file/adopt", r#"{"hash": "web.toml"}"#).0,
        400
    );
    let refused = Refused::Engine(Refusal::NotStaged(NodeId(1)));
    let child = Child::new(move |_| Some(Reply::Refused(refused)));
    let (status, answer) = child.post("/v1/file/adopt", r#"{"hash": "01"}"#);
    assert_eq!(status, 409);
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .starts_with("node2 has not staged"),
        "{answer}"
    );
}
