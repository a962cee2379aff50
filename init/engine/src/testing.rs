//! Shared by the unit tests of this crate: a small pair cluster.

use core::time::Duration;

use crate::codec::{Bond, Standing};
use crate::config::{
    Config, Failback, Group, Path, Resource, ResourceKind, SplitBrain, Timing, ranked,
};
use crate::limits;
use crate::peer::Said;
use crate::surface::Health;
use crate::table::Disk;
use crate::types::{Key, NodeId, NodeSet, ResourceId};
use heapless::Vec;

fn name(name: &str) -> crate::config::Name {
    name.try_into().expect("short")
}

/// Node `me` of a pair: paths lan and serial, group www = web + vip.
pub(crate) fn config(me: u8) -> Config {
    let ms = Duration::from_millis;
    let path = |what: &str, budget, public| Path {
        name: name(what),
        keepalive: ms(100),
        budget,
        public,
        ends: NodeSet::first(2),
    };
    let resource = |what: &str, kind| Resource {
        name: name(what),
        kind,
        make: 0,
        start_timeout: ms(5000),
        stop_timeout: ms(5000),
    };
    Config {
        cluster_id: 0x6b6f_646f,
        file_hash: 0x1122_3344_5566_7788,
        keys: Vec::from_slice(&[Key([7; 32])]).expect("fits"),
        me: NodeId(me),
        nodes: ["node1", "node2"].map(name).into_iter().collect(),
        votes: [1, 1].into_iter().collect(),
        timing: Timing {
            keepalive: ms(100),
            warntime: ms(250),
            deadtime: ms(500),
            initdead: ms(2000),
            linkwait: ms(1000),
            lease: ms(380),
            release: ms(100),
            guard: ms(2500),
        },
        split_brain: SplitBrain::Accept,
        witness_key: None,
        pings: false,
        paths: [path("lan", limits::FRAME, true), path("serial", 240, false)]
            .into_iter()
            .collect(),
        resources: [
            resource("web", ResourceKind::Service),
            resource("vip", ResourceKind::Vip),
        ]
        .into_iter()
        .collect(),
        groups: [Group {
            failback: Failback::Auto,
            failure_timeout: ms(60_000),
            ..Group::new(
                name("www"),
                Vec::from_slice(&[ResourceId(0), ResourceId(1)]).expect("fits"),
                ranked(2, &[NodeId(0), NodeId(1)]),
            )
        }]
        .into_iter()
        .collect(),
        capacity: (0..2).map(|_| 0).collect(),
        colocations: Default::default(),
        orders: Default::default(),
        quarantine: None,
        keeps_state: false,
    }
}

/// What an observer without any claim says.
pub(crate) fn said() -> Said {
    Said {
        file: 0x1122_3344_5566_7788,
        next: 0,
        ready: false,
        standing: Standing::Held,
        reachable: true,
        health: Health::Green,
        mesh: NodeSet::EMPTY,
        vouched: NodeSet::EMPTY,
        owes: NodeSet::EMPTY,
        owes_guarded: NodeSet::EMPTY,
        leased: false,
        alone: false,
        bound: Duration::ZERO,
        terms: 0,
        view: None,
        ballot: None,
        plan: 0,
        disk: Disk::None,
        groups: [None; limits::GROUPS],
        strange: false,
        bond: Bond::Candidate,
        paths: 0,
        kept: None,
    }
}
