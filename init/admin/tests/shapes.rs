//! The JSON that operators' programs rely on, and the datagrams to PID 1.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::healthy;
use kodo_admin::api;
use kodo_admin::relay::{self, DATAGRAM, FromNode, Malformed, ProbeRequest, ToNode, TooLarge};
use kodo_engine::placement::{Nodes, State};
use kodo_engine::surface::{Health, Level, PathState};
use kodo_engine::{NodeId, NodeSet};
use kodo_node::Now;
use kodo_node::io::{LogLine, Reply, Request, ServiceId, Token};
use kodo_node::status::{DiskStatus, GroupState, Role, Status, WitnessStatus, WitnessWord};
use serde_json::json;

fn seen(status: &Status) -> api::Status {
    api::Status::from(status)
}

#[test]
fn status_of_a_healthy_pair() {
    let path = |name| json!({"name": name, "state": "up"});
    let member = |name| json!({"name": name, "state": "started"});
    let facts = json!({"leaving": false, "foreign": false, "reachable": true, "lost": false,
                       "found": true, "unsteady": false});
    assert_eq!(
        serde_json::to_value(seen(&healthy())).unwrap(),
        json!({
            "schema": 1,
            "cluster": "web",
            "node": "node1",
            "uptime_ms": 754_321,
            "file": "0123456789abcdef",
            "role": "active",
            "health": "healthy",
            "concerns": [],
            "notes": [],
            "staged": null,
            "waits_for": [],
            "view": {"epoch": 3, "members": ["node1", "node2"], "written_off": []},
            "reachable": true,
            "witness": null,
            "watchdog": {"name": "i6300esb", "timeout_ms": 5000},
            "gate": "kernel",
            "maintenance": false,
            "nodes": [
                {"name": "node1", "role": "active", "standby": false, "quarantined": false, "health": "green",
                 "disk": "none",
                 "carries": true, "boot": "0123456789abcdef",
                 "silent_ms": null, "same_file": true, "placement": facts, "paths": []},
                {"name": "node2", "role": "standby", "standby": false, "quarantined": false, "health": "green",
                 "disk": "none",
                 "carries": false, "boot": "fedcba9876543210",
                 "silent_ms": 120, "same_file": true, "placement": facts,
                 "paths": [path("crossover"), path("lan"), path("serial")]},
            ],
            "groups": [
                {"name": "www", "managed": true, "clones": null, "holder": "node1",
                 "nodes": ["node1"], "promotes": null, "promotion": [], "waits_for": null, "stuck_on": null,
                 "epoch": 2, "state": "started", "failures": 0,
                 "placement": {"planned": ["node1"], "holders": ["node1"], "banned": [],
                               "waiting": [], "damped": false, "first": false,
                               "prefer": {"node": "node2", "pending": true, "once": true}},
                 "members": [member("web"), member("vip")]},
            ],
            "counters": {"forged": 0, "malformed": 0, "replayed": 0, "stale": 0, "twin": 0,
                         "noise": 0, "unsent": 0},
            "last_event": "www: started on node1",
        })
    );
}

fn witness(reachable: bool, since: Option<u64>, word: WitnessWord) -> WitnessStatus {
    WitnessStatus {
        address: "192.168.0.5".try_into().unwrap(),
        reachable,
        since: since.map(Now::from_millis),
        life: reachable.then_some(0x0123_4567_89ab_cdef),
        word,
        holder: None,
    }
}

#[test]
fn a_witness_that_answers_is_no_concern() {
    let mut status = healthy();
    for word in [WitnessWord::Idle, WitnessWord::Granted, WitnessWord::Taken] {
        let mut good = witness(true, Some(1_500), word);
        good.holder = Some("node1".try_into().unwrap());
        status.witness = Some(good);
        assert!(seen(&status).concerns.is_empty());
    }
    assert_eq!(
        serde_json::to_value(seen(&status).witness).unwrap(),
        json!({"address": "192.168.0.5", "reachable": true, "since_ms": 1500,
               "life": "0123456789abcdef", "word": "taken", "holder": "node1"})
    );
}

#[test]
fn every_fault_is_a_concern_and_says_where() {
    type Break = fn(&mut Status);
    let cases: [(&str, Break); 27] = [
        (
            "node1 is in no view and decides nothing: fresh from boot, or left out by the others",
            |s| {
                s.view = None;
            },
        ),
        (
            "maintenance is on: nothing is started, stopped or moved, and nothing taken over",
            |s| s.maintenance = true,
        ),
        ("www runs nowhere", |s| s.groups[0].holder = None),
        (
            "www could not be stopped on node1: nobody touches it there until it is cleaned up",
            |s| {
                s.groups[0].state = GroupState::Blocked;
                s.groups[0].stuck_on = Some("node1".try_into().unwrap());
            },
        ),
        ("www runs nowhere: node1 waits for db", |s| {
            s.groups[0].holder = None;
            s.groups[0].waits_for = Some("db".try_into().unwrap());
        }),
        (
            "www is not managed: it is watched only, and nobody takes it over",
            |s| s.groups[0].managed = false,
        ),
        ("www runs nowhere", |s| {
            s.groups[0].holder = None;
            s.groups[0].clones = Some(2);
            s.groups[0].runs_on = NodeSet::EMPTY;
        }),
        ("www runs on node1 only, and should on 2 nodes", |s| {
            s.groups[0].holder = None;
            s.groups[0].clones = Some(2);
        }),
        (
            "node2 is in quarantine: it died too often, and takes nothing until it is called online",
            |s| s.nodes[1].quarantined = true,
        ),
        ("node2 is strained: its health is yellow", |s| {
            s.nodes[1].health = Health::Yellow;
        }),
        ("node1 is ill: its health is red", |s| {
            s.nodes[0].health = Health::Red;
        }),
        (
            "node2's state partition does not answer: it keeps no wishes through a power loss",
            |s| s.nodes[1].disk = DiskStatus::Failing,
        ),
        ("www is stopping on node1", |s| {
            s.groups[0].state = GroupState::Stopping;
        }),
        ("node2 is dead: silent for 12 s", |s| {
            s.nodes[1].role = Role::Dead;
            s.nodes[1].silent = Some(Now::from_millis(12_345));
            s.nodes[1].paths[0].state = PathState::Down; // goes without saying
        }),
        ("node2 was never heard", |s| {
            s.nodes[1].role = Role::Dead;
            s.nodes[1].silent = None;
        }),
        (
            "node2 is not a member: fresh from boot, or not heard by every member",
            |s| {
                s.nodes[1].role = Role::Observer;
            },
        ),
        (
            "node2 is refused: another machine carries its identity",
            |s| {
                s.nodes[1].role = Role::Refused;
            },
        ),
        ("node2 was put on standby and takes nothing over", |s| {
            s.nodes[1].standby = true;
        }),
        (
            "node2 runs another cluster file: groups are not moved by hand",
            |s| {
                s.nodes[1].same_file = false;
            },
        ),
        ("path crossover to node2 is down", |s| {
            s.nodes[1].paths[0].state = PathState::Down;
        }),
        ("path lan to node2 works one way only", |s| {
            s.nodes[1].paths[1].state = PathState::OneWay;
        }),
        ("node1 does not reach the public network", |s| {
            s.reachable = false;
        }),
        ("node1 has no watchdog: stuck, it would stay stuck", |s| {
            s.watchdog = None;
        }),
        (
            "the witness 192.168.0.5 has not answered for 12 s: half a cluster cannot go on alone",
            |s| {
                s.witness = Some(witness(false, Some(12_345), WitnessWord::Idle));
            },
        ),
        (
            "the witness 192.168.0.5 has not answered yet: half a cluster cannot go on alone",
            |s| {
                s.witness = Some(witness(false, None, WitnessWord::None));
            },
        ),
        (
            "the witness 192.168.0.5 has just started and speaks for nobody yet",
            |s| {
                s.witness = Some(witness(true, Some(100), WitnessWord::HoldingOff));
            },
        ),
        (
            "the witness 192.168.0.5 never speaks for this cluster: its --hold-off is too short",
            |s| {
                s.witness = Some(witness(true, Some(100), WitnessWord::WaitTooLong));
            },
        ),
    ];
    for (concern, break_it) in cases {
        let mut status = healthy();
        break_it(&mut status);
        let seen = seen(&status);
        assert_eq!(seen.concerns, [concern]);
        assert_eq!(seen.health, api::Health::Degraded);
    }
}

#[test]
fn the_other_nodes_group_is_judged_by_its_holder() {
    let mut status = healthy();
    status.groups[0].holder = Some("node2".try_into().unwrap());
    status.groups[0].state = GroupState::Stopped;
    assert_eq!(seen(&status).health, api::Health::Healthy);
    status.groups[0].state = GroupState::Blocked;
    assert_eq!(seen(&status).concerns, ["www cannot be started on node1"]);
    status.groups[0].state = GroupState::Stopped;
    status.nodes[1].role = Role::Dead;
    let concerns = seen(&status).concerns;
    assert_eq!(concerns[0], "www was last seen on node2, which is silent");
}

#[test]
fn a_clone_on_all_its_nodes_is_no_concern() {
    let mut status = healthy();
    status.groups[0].holder = None;
    status.groups[0].clones = Some(2);
    // A set may name more nodes than there are.
    status.groups[0].runs_on = NodeSet(0b111);
    let seen = seen(&status);
    assert_eq!(seen.groups[0].nodes, ["node1", "node2"]);
    assert_eq!(seen.health, api::Health::Healthy);
}

#[test]
fn attacks_and_a_missing_gate_are_notes_not_degradation() {
    let mut status = healthy();
    status.counters.forged = 7;
    status.groups[0].failures = 1;
    status.gate = false;
    let seen = seen(&status);
    assert_eq!(seen.health, api::Health::Healthy);
    let notes = [
        "www failed 1 time on node1",
        "node1 has no gate: stuck, it answers for its addresses until its watchdog fires",
        "node1 rejected 7 heartbeats signed with a wrong key",
    ];
    assert_eq!(seen.notes, notes);
}

#[test]
fn an_older_reader_survives_a_newer_node() {
    let mut value = serde_json::to_value(seen(&healthy())).unwrap();
    value["role"] = json!("ascended");
    value["groups"][0]["state"] = json!("frozen");
    value["nodes"][1]["paths"][0]["state"] = json!("quantum");
    value["counters"]["surprises"] = json!(3);
    value["gate"] = json!("of gold");
    value["invention"] = json!({"of": "later"});
    let read: api::Status = serde_json::from_value(value).unwrap();
    assert_eq!(read.role, api::Role::Unknown);
    assert_eq!(read.gate, api::Gate::Unknown);
    assert_eq!(read.groups[0].state, api::GroupState::Unknown);
    assert_eq!(read.nodes[1].paths[0].state, api::PathState::Unknown);
}

#[test]
fn a_newer_reader_survives_an_older_node() {
    let mut value = serde_json::to_value(seen(&healthy())).unwrap();
    let mut forget = |part: &str, names: &[&str]| {
        let part = value.pointer_mut(part).unwrap().as_object_mut().unwrap();
        names.iter().for_each(|name| drop(part.remove(*name)));
    };
    forget("", &["maintenance", "gate", "witness"]);
    forget("/nodes/0", &["quarantined", "health", "carries"]);
    forget(
        "/groups/0",
        &[
            "managed",
            "clones",
            "nodes",
            "promotes",
            "promotion",
            "waits_for",
            "stuck_on",
        ],
    );
    let read: api::Status = serde_json::from_value(value).unwrap();
    assert!(!read.maintenance && !read.nodes[0].quarantined);
    assert!(read.groups[0].managed && read.groups[0].nodes.is_empty());
}

#[test]
fn log_lines() {
    let line = LogLine {
        seq: 41,
        at: Now::from_micros(12_345_678),
        level: Level::Alert,
        text: "www: taking over".try_into().unwrap(),
    };
    assert_eq!(
        serde_json::to_value(api::LogLine::from(&line)).unwrap(),
        json!({"seq": 41, "at_us": 12_345_678, "level": "alert", "text": "www: taking over"})
    );
}

#[test]
fn requests_are_strict() {
    assert!(serde_json::from_str::<api::Standby>(r#"{"node": "a", "on": true}"#).is_ok());
    for bad in [
        r#"{"node": "a"}"#,
        r#"{"node": "a", "on": 1}"#,
        r#"{"node": "a", "on": true, "x": 1}"#,
    ] {
        assert!(serde_json::from_str::<api::Standby>(bad).is_err(), "{bad}");
    }
    let once = |text: &str| serde_json::from_str::<api::Move>(text).map(|wish| wish.once);
    assert!(!once(r#"{"group": "www", "node": "a"}"#).unwrap());
    assert!(once(r#"{"group": "www", "node": "a", "once": true}"#).unwrap());
    assert!(serde_json::from_str::<api::Maintenance>(r#"{"on": true, "group": "www"}"#).is_err());
    assert!(serde_json::from_str::<api::Manage>(r#"{"group": "www"}"#).is_err());
    for (text, kind) in [
        ("service-kill", api::DrillKind::ServiceKill),
        ("kernel-panic", api::DrillKind::KernelPanic),
        ("pid1-stuck", api::DrillKind::Pid1Stuck),
        ("pid1-dies", api::DrillKind::Pid1Dies),
    ] {
        assert_eq!(
            serde_json::from_value::<api::DrillKind>(json!(text)).unwrap(),
            kind
        );
    }
    for (text, kind) in [
        ("power-off", api::HaltKind::PowerOff),
        ("reboot", api::HaltKind::Reboot),
    ] {
        assert_eq!(
            serde_json::from_value::<api::HaltKind>(json!(text)).unwrap(),
            kind
        );
    }
}

/// The largest status that the node's limits allow.
fn largest() -> Status {
    let mut status = healthy();
    let name: kodo_node::status::Name = "n"
        .repeat(kodo_node::limits::NAME)
        .as_str()
        .try_into()
        .unwrap();
    let line = "t".repeat(kodo_node::limits::LOG_TEXT);
    status.last_event = line.as_str().try_into().unwrap();
    status.cluster = name.clone();
    status.node = name.clone();
    status.watchdog = Some((name.clone(), Now::MAX));
    status.uptime = Now::MAX;
    let view = status.view.as_mut().unwrap();
    view.epoch = u64::MAX;
    view.members.clear();
    while view.members.push(name.clone()).is_ok() {}
    let every = NodeSet(u32::MAX);
    view.written_off = every;
    status.file = u64::MAX;
    status.sees = Nodes {
        members: every,
        leaving: every,
        standby: every,
        foreign: every,
        reachable: every,
        lost: every,
        found: every,
        unsteady: every,
        frozen: true,
    };
    let mut node = status.nodes[1].clone();
    node.name = name.clone();
    node.boot = Some(u64::MAX);
    node.silent = Some(Now::MAX);
    let mut path = node.paths[0].clone();
    path.name = name.clone();
    node.paths.clear();
    while node.paths.push(path.clone()).is_ok() {}
    status.nodes.clear();
    while status.nodes.push(node.clone()).is_ok() {}
    let mut group = status.groups[0].clone();
    group.name = name.clone();
    group.holder = Some(name.clone());
    group.clones = Some(u8::MAX);
    group.runs_on = every;
    group.sees = State {
        known: every,
        unwell: NodeSet(u32::MAX),
        banned: every,
        holders: every,
        planned: every,
        prefer: Some((NodeId(u8::MAX), true)),
        waiting: every,
        damped: true,
        first: true,
        pinned: true,
        unfit: every,
        scores: [i16::MAX; kodo_engine::limits::NODES],
    };
    group.waits_for = Some(name.clone());
    group.stuck_on = Some(name.clone());
    group.promotes = Some(name.clone());
    group.epoch = u64::MAX;
    let mut member = group.members[0].clone();
    member.name = name;
    group.members.clear();
    while group.members.push(member.clone()).is_ok() {}
    status.groups.clear();
    while status.groups.push(group.clone()).is_ok() {}
    status.counters.forged = u32::MAX;
    status
}

#[test]
fn the_largest_answers_fit_one_datagram() {
    let mut buffer = vec![0; DATAGRAM];
    let status = FromNode::Reply {
        token: Token(u32::MAX),
        reply: Reply::Status(largest()),
    };
    let encoded = relay::encode(&status, &mut buffer).unwrap();
    assert_eq!(relay::decode::<FromNode>(encoded), Ok(status));

    let text = "t".repeat(kodo_node::limits::LOG_TEXT);
    let text = text.as_str().try_into().unwrap();
    let line = LogLine {
        seq: u64::MAX,
        at: Now::MAX,
        level: Level::Alert,
        text,
    };
    let mut lines = heapless::Vec::new();
    while lines.push(line.clone()).is_ok() {}
    let log = FromNode::Reply {
        token: Token(u32::MAX),
        reply: Reply::Log {
            lines,
            next: u64::MAX,
        },
    };
    let encoded = relay::encode(&log, &mut buffer).unwrap();
    assert_eq!(relay::decode::<FromNode>(encoded), Ok(log));
}

#[test]
fn decoders_take_exactly_one_message() {
    let mut buffer = [0; 64];
    let request = ProbeRequest {
        token: Token(9),
        service: ServiceId(1),
    };
    let encoded = relay::encode(&request, &mut buffer).unwrap().to_vec();
    assert_eq!(relay::decode::<ProbeRequest>(&encoded), Ok(request));
    let mut longer = encoded.clone();
    longer.push(0);
    assert_eq!(relay::decode::<ProbeRequest>(&longer), Err(Malformed));
    assert_eq!(relay::decode::<ProbeRequest>(&encoded[..1]), Err(Malformed));
    assert_eq!(relay::decode::<ProbeRequest>(&[]), Err(Malformed));
    assert_eq!(relay::encode(&request, &mut [0; 1]), Err(TooLarge));
}

#[test]
fn any_bytes_decode_to_something_or_nothing() {
    // PID 1 reads what a compromised child writes.
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    for length in 0..200 {
        for _ in 0..50 {
            let mut bytes: Vec<u8> = (0..length).map(|_| random()).collect();
            let _ = relay::decode::<ToNode>(&bytes);
            // Beginnings that lead deeper than chance does.
            for kind in 0..6 {
                if bytes.len() > 2 {
                    bytes[0] = kind % 2;
                    bytes[2] = kind;
                    let _ = relay::decode::<ToNode>(&bytes);
                }
            }
        }
    }
    let mut buffer = [0; 64];
    let status = ToNode::Ask {
        token: Token(1),
        request: Request::Status,
    };
    assert_eq!(
        relay::decode::<ToNode>(relay::encode(&status, &mut buffer).unwrap()),
        Ok(status)
    );
}
