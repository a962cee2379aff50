//! What is modelled: the cluster file, the clocks, and how much the environment may do.
//!
//! Owns the tiny timing. One tick of a model is one keepalive; deadtime is four, so that a
//! few dozen ticks hold a boot, a view, a takeover and a heal.

use core::fmt;
use core::time::Duration;

use kodo_engine::config::{
    Config, Failback, Group, Name, Path, Resource, ResourceKind, SplitBrain, Timing, ranked,
};
use kodo_engine::{GroupId, Key, NodeId, NodeSet, PathId, ResourceId, limits, timing};

/// The only path, group and resource of a model.
pub(crate) const LINK: PathId = PathId(0);
pub(crate) const GROUP: GroupId = GroupId(0);
pub(crate) const HELD: ResourceId = ResourceId(0);

/// Nodes that a model may have.
pub(crate) const NODES: usize = 3;

/// One keepalive.
pub(crate) const TICK: u64 = ms(100);
/// A frame, an answer, a start take so long.
pub(crate) const HOP: u64 = ms(1);
/// The worst release that the file allows, and the one that every stop here takes: worst
/// within the bound.
pub(crate) const RELEASE: u64 = ms(60);
pub(crate) const STOP: u64 = ms(59);

/// A witness that has just started grants nothing for so long: more than W.
pub(crate) const HOLD_OFF: u64 = 5 * TICK;
pub(crate) const CLUSTER: u32 = 77;
pub(crate) const WITNESS_KEY: Key = Key([9; 32]);

/// World time, in nanoseconds.
pub(crate) const fn ms(n: u64) -> u64 {
    n * 1_000_000
}

/// Who decides when the nodes are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nobody: both parts serve.
    Accept,
    /// A ping group, which the environment lets at most one part reach at a time.
    Ping,
    /// A witness, real and with a clock of its own, which the environment may restart.
    Witness,
    /// More than half of the votes.
    Quorum,
}

/// The clocks of a run: they differ in rate, and nodes beat out of step.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Faster than the world by so many parts per thousand.
    pub drift: [i64; NODES],
    /// Boots so long after the tick begins.
    pub phase: [u64; NODES],
    /// The witness's clock, as `drift`.
    pub witness: i64,
}

impl Cast {
    /// All alike.
    pub const EQUAL: Cast = Cast {
        drift: [0; NODES],
        phase: [0; NODES],
        witness: 0,
    };
    /// The preferred node's clock is as slow as the file allows, the others are as fast:
    /// its lease lasts longest, their patience least.
    pub const SLOW_HOLDER: Cast = Cast {
        drift: [-10, 10, 10],
        phase: [0, ms(50), ms(33)],
        witness: 10,
    };
    /// The other way round.
    pub const FAST_HOLDER: Cast = Cast {
        drift: [10, -10, -10],
        phase: [ms(50), 0, ms(33)],
        witness: -10,
    };
}

/// Where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// No machine is on; the environment switches them on one by one, as it likes.
    Cold,
    /// All were switched on together, and the first one serves.
    Settled,
}

/// Links that fail together, one bit for each of `from * NODES + to`.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As a story tells it.
    pub name: String,
    pub(crate) links: u16,
}

/// How much the environment may do; what it mends costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Faults of all kinds.
    pub faults: u8,
    /// Cuts of some links, until mended.
    pub cuts: u8,
    /// Crashes with amnesia.
    pub crashes: u8,
    /// Machines that stand still, their clocks too.
    pub pauses: u8,
    /// Loops that stand still, while clock and kernel go on.
    pub stalls: u8,
    /// Changes of whom the arbiter answers, for the worse, and restarts of the witness.
    pub arbiter: u8,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults", self.faults)?;
        let kinds = [
            self.cuts,
            self.crashes,
            self.pauses,
            self.stalls,
            self.arbiter,
        ];
        let names = ["cuts", "crashes", "pauses", "stalls", "arbiter"];
        let allowed = kinds.iter().zip(names).filter(|(count, _)| **count > 0);
        for (n, (count, name)) in allowed.enumerate() {
            let sign = if n == 0 { ':' } else { ',' };
            write!(f, "{sign} {name} {count}")?;
        }
        Ok(())
    }
}

/// One model.
#[derive(Clone, Debug)]
pub struct Setting {
    /// As `cargo xtask model` lists it.
    pub name: &'static str,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Who decides when they are apart.
    pub policy: Policy,
    /// Where the search begins.
    pub start: Start,
    /// With which clocks: each is a beginning of its own.
    pub casts: Vec<Cast>,
    /// What may fail together.
    pub shapes: Vec<Shape>,
    /// What the environment may do.
    pub budget: Budget,
    /// Ticks after which it mends something, or does more harm.
    pub patience: u8,
}

impl Setting {
    /// W: how long a silent holder must be waited for.
    pub(crate) fn wait(&self) -> u64 {
        let timing = timing();
        nanos(timing::wait_bound(timing.lease, timing.release))
    }

    /// L: how long a holder may act on what it heard last.
    pub(crate) fn lease(&self) -> u64 {
        nanos(timing().lease)
    }

    /// The file of one node.
    pub(crate) fn config(&self, me: usize) -> Config {
        let names = (0..self.nodes).map(|n| name(&format!("node{}", n + 1)));
        let all = NodeSet::first(self.nodes);
        Config {
            cluster_id: CLUSTER,
            file_hash: 1,
            keys: [Key([7; 32])].into_iter().collect(),
            me: NodeId::from_index(me),
            nodes: names.collect(),
            votes: (0..self.nodes).map(|_| 1).collect(),
            timing: timing(),
            split_brain: match self.policy {
                Policy::Accept => SplitBrain::Accept,
                Policy::Ping => SplitBrain::PING,
                Policy::Witness => SplitBrain::WITNESS,
                Policy::Quorum => SplitBrain::QUORUM,
            },
            witness_key: (self.policy == Policy::Witness).then_some(WITNESS_KEY),
            pings: self.policy == Policy::Ping,
            paths: [Path {
                name: name("crossover"),
                keepalive: Duration::from_nanos(TICK),
                budget: limits::FRAME,
                public: false,
                ends: all,
            }]
            .into_iter()
            .collect(),
            resources: [Resource {
                name: name("vip"),
                kind: ResourceKind::Vip,
                make: 0,
                start_timeout: Duration::from_secs(5),
                stop_timeout: Duration::from_secs(5),
            }]
            .into_iter()
            .collect(),
            groups: [Group {
                failback: Failback::Auto,
                failure_timeout: Duration::from_secs(60),
                ..Group::new(
                    name("www"),
                    [HELD].into_iter().collect(),
                    ranked(all.len(), &all.iter().collect::<Vec<_>>()),
                )
            }]
            .into_iter()
            .collect(),
            capacity: (0..all.len()).map(|_| 0).collect(),
            colocations: Default::default(),
            orders: Default::default(),
            quarantine: None,
            keeps_state: false,
        }
    }
}

fn timing() -> Timing {
    let (release, deadtime) = (
        Duration::from_nanos(RELEASE),
        Duration::from_nanos(4 * TICK),
    );
    Timing {
        keepalive: Duration::from_nanos(TICK),
        warntime: Duration::from_nanos(TICK * 5 / 2),
        deadtime,
        initdead: Duration::from_nanos(6 * TICK),
        linkwait: Duration::from_nanos(2 * TICK),
        lease: timing::largest_lease(deadtime, release).expect("the release is short"),
        release,
        guard: Duration::from_nanos(8 * TICK),
    }
}

fn name(text: &str) -> Name {
    text.try_into().expect("short")
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Pairs of nodes that do not hear each other: the plainest of [`shapes`].
pub(crate) fn torn(nodes: usize) -> Vec<Shape> {
    let both = |shape: &Shape| shape.links.count_ones() == 2 && shape.name.contains(" -- node");
    shapes(nodes).into_iter().filter(both).collect()
}

/// The links of a cluster, cut in every way that matters: one direction, both, and a
/// node that nobody hears, that hears nobody, or both.
#[must_use]
pub fn shapes(nodes: usize) -> Vec<Shape> {
    let link = |from: usize, to: usize| 1u16 << (from * NODES + to);
    let name = |n: usize| format!("node{}", n + 1);
    let mut shapes = Vec::new();
    for a in 0..nodes {
        for b in a + 1..nodes {
            let both = [link(a, b), link(b, a), link(a, b) | link(b, a)];
            for (links, sign) in both.into_iter().zip(["->", "<-", "--"]) {
                shapes.push(Shape {
                    name: format!("{} {sign} {}", name(a), name(b)),
                    links,
                });
            }
        }
    }
    if nodes == 2 {
        return shapes;
    }
    for a in 0..nodes {
        let others = (0..nodes).filter(|b| *b != a);
        let mute = others.clone().fold(0, |links, b| links | link(a, b));
        let deaf = others.fold(0, |links, b| links | link(b, a));
        for (links, sign) in [(mute, "-> all"), (deaf, "<- all"), (mute | deaf, "-- all")] {
            shapes.push(Shape {
                name: format!("{} {sign}", name(a)),
                links,
            });
        }
    }
    shapes
}
