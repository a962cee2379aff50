//! What the tests share: a socketpair as PID 1 makes it, a full status, and waiting.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod child;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use kodo_engine::placement::{Nodes, State};
use kodo_engine::surface::PathState;
use kodo_engine::{NodeId, NodeSet};
use kodo_node::Now;
use kodo_node::status::{
    Counters, DiskStatus, GroupState, GroupStatus, MemberStatus, NodeStatus, PathStatus, Role,
    Status, View,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// The child's end and PID 1's end. std has no type for `SOCK_SEQPACKET`; its datagram
/// socket makes the same calls.
pub(crate) fn pair() -> (OwnedFd, UnixDatagram) {
    let flags = SocketFlags::CLOEXEC;
    let (child, pid1) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let pid1 = UnixDatagram::from(pid1);
    pid1.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (child, pid1)
}

/// Tries until it works; the deadline only bounds a broken test.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A healthy pair, as its active node sees it.
pub(crate) fn healthy() -> Status {
    let name = |text: &str| text.try_into().unwrap();
    let mut status = Status {
        cluster: name("web"),
        node: name("node1"),
        uptime: Now::from_millis(754_321),
        file: 0x0123_4567_89ab_cdef,
        role: Role::Active,
        view: Some(View {
            epoch: 3,
            members: [name("node1"), name("node2")].into_iter().collect(),
            written_off: NodeSet::EMPTY,
        }),
        next: Default::default(),
        maintenance: false,
        sees: Nodes {
            members: NodeSet::first(2),
            reachable: NodeSet::first(2),
            found: NodeSet::first(2),
            ..Nodes::default()
        },
        nodes: heapless::Vec::new(),
        groups: heapless::Vec::new(),
        watchdog: Some((name("i6300esb"), Now::from_secs(5))),
        gate: true,
        reachable: true,
        witness: None,
        counters: Counters::default(),
        last_event: "www: started on node1".try_into().unwrap(),
    };
    let path = |text: &str| PathStatus {
        name: name(text),
        state: PathState::Up,
    };
    for (node, role, boot, silent) in [
        ("node1", Role::Active, 0x0123_4567_89ab_cdef_u64, None),
        (
            "node2",
            Role::Standby,
            0xfedc_ba98_7654_3210,
            Some(Now::from_millis(120)),
        ),
    ] {
        let paths = match silent {
            Some(_) => ["crossover", "lan", "serial"]
                .map(path)
                .into_iter()
                .collect(),
            None => heapless::Vec::new(),
        };
        let node = NodeStatus {
            name: name(node),
            role,
            standby: false,
            quarantined: false,
            health: kodo_engine::surface::Health::Green,
            disk: DiskStatus::None,
            carries: role == Role::Active,
            boot: Some(boot),
            silent,
            same_file: true,
            paths,
        };
        status.nodes.push(node).unwrap();
    }
    let member = |text: &str| MemberStatus {
        name: name(text),
        state: GroupState::Started,
    };
    let group = GroupStatus {
        name: name("www"),
        managed: true,
        clones: None,
        promotes: None,
        runs_on: NodeSet::only(NodeId(0)),
        waits_for: None,
        stuck_on: None,
        holder: Some(name("node1")),
        epoch: 2,
        state: GroupState::Started,
        failures: 0,
        sees: State {
            known: NodeSet::first(2),
            holders: NodeSet::only(NodeId(0)),
            planned: NodeSet::only(NodeId(0)),
            prefer: Some((NodeId(1), true)),
            ..State::default()
        },
        once: true,
        members: ["web", "vip"].map(member).into_iter().collect(),
    };
    status.groups.push(group).unwrap();
    status
}
