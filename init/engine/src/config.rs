//! What the cluster file says, in the engine's terms. `kodo-config` makes it from
//! a validated file; the engine never checks it again, it asserts.

use crate::codec;
use crate::limits;
use crate::operator;
use crate::timing;
use crate::types::{Key, NodeId, NodeSet, Now, ResourceId};
use heapless::{String, Vec};

/// A name from the cluster file, for log lines.
pub type Name = String<{ limits::NAME }>;

/// One node's view of the cluster file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Hash of the cluster's name: frames of another cluster are not ours.
    pub cluster_id: u32,
    /// Hash of the cluster file without its secrets.
    pub file_hash: u64,
    /// Keys accepted; the first signs.
    pub keys: Vec<Key, 2>,
    /// This node.
    pub me: NodeId,
    /// Names of all nodes; its length is the size of the cluster.
    pub nodes: Vec<Name, { limits::NODES }>,
    /// Votes of each node, in the same order.
    pub votes: Vec<u8, { limits::NODES }>,
    /// Timing, already validated.
    pub timing: Timing,
    /// What decides when the nodes do not hear each other.
    pub split_brain: SplitBrain,
    /// Key of the witness, where one is configured; not a cluster key.
    pub witness_key: Option<Key>,
    /// True when ping targets are configured: reachability then counts for health.
    pub pings: bool,
    /// Heartbeat paths, cluster-wide.
    pub paths: Vec<Path, { limits::PATHS }>,
    /// Resources, cluster-wide.
    pub resources: Vec<Resource, { limits::RESOURCES }>,
    /// Groups, cluster-wide.
    pub groups: Vec<Group, { limits::GROUPS }>,
}

/// The clock of the protocol. All are durations.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Interval between heartbeats on an ordinary path.
    pub keepalive: Now,
    /// Silence after which a peer is called late.
    pub warntime: Now,
    /// Silence after which a peer is called dead.
    pub deadtime: Now,
    /// How long a fresh node waits for the others before it may decide alone.
    pub initdead: Now,
    /// How long `initdead` may wait for carrier before it starts anyway.
    pub linkwait: Now,
    /// Lease length L.
    pub lease: Now,
    /// Worst release latency R after a lease ends, of a light group: its VIPs fall silent.
    pub release: Now,
    /// The same of a guarded group, whose node the hardware watchdog must reset first.
    pub guard: Now,
}

/// Who decides between parts of the cluster that do not hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBrain {
    /// Nobody: each part may decide alone. Two owners are possible, and accepted.
    Accept,
    /// The part that has more than half of all votes.
    Votes(Tie),
}

/// Which of two parts with exactly half of the votes each decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// Neither.
    Nobody,
    /// The one with the first node of the file in it.
    First,
    /// The one that an arbiter outside the cluster speaks for.
    Arbiter {
        /// It speaks for one part at a time (a witness). Otherwise it answers whoever
        /// reaches it (a ping group): that proves isolation, not exclusivity.
        exclusive: bool,
    },
}

impl SplitBrain {
    /// A majority of votes, and nothing else.
    pub const QUORUM: SplitBrain = SplitBrain::Votes(Tie::Nobody);
    /// A ping group breaks ties.
    pub const PING: SplitBrain = SplitBrain::Votes(Tie::Arbiter { exclusive: false });
    /// A witness breaks ties.
    pub const WITNESS: SplitBrain = SplitBrain::Votes(Tie::Arbiter { exclusive: true });
}

/// One heartbeat path.
#[derive(Clone, Debug)]
pub struct Path {
    /// As the operator knows it: `crossover`, `lan`, `serial`.
    pub name: Name,
    /// Interval between heartbeats here; never shorter than [`Timing::keepalive`].
    pub keepalive: Now,
    /// Largest heartbeat in bytes that this path carries.
    pub budget: usize,
    /// True for the network on which clients reach the VIPs.
    pub public: bool,
    /// The nodes that it connects.
    pub ends: NodeSet,
}

/// One resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// From the file.
    pub name: Name,
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// A start that takes longer has failed.
    pub start_timeout: Now,
    /// A stop that takes longer has failed.
    pub stop_timeout: Now,
}

/// What the engine must know of a resource's nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A virtual address: the exclusive thing of a light group.
    Vip,
    /// A child process tree.
    Service,
}

/// An ordered set of resources: started first to last, stopped last to first.
#[derive(Clone, Debug)]
pub struct Group {
    /// From the file.
    pub name: Name,
    /// It holds data: another node takes it only when this one's stop is confirmed or
    /// proven by its watchdog, and then all of it is exclusive, not just its VIPs.
    pub guarded: bool,
    /// In start order.
    pub members: Vec<ResourceId, { limits::MEMBERS }>,
    /// Nodes that may run it, most preferred first.
    pub prefer: Vec<NodeId, { limits::NODES }>,
    /// What happens when a more preferred node returns.
    pub failback: Failback,
    /// Failures on one node within `failure_timeout` after which it is banned there.
    pub migration_threshold: u8,
    /// Time without a new failure after which the count is forgotten.
    pub failure_timeout: Now,
}

/// When a group returns to a more preferred node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// As soon as that node is a healthy member.
    Auto,
    /// Only when an operator moves it.
    Manual,
}

impl Config {
    /// A hash of what nodes must have in common to agree with each other: who they are,
    /// in which order, with how many votes, and who decides.
    pub(crate) fn terms(&self) -> u32 {
        let policy = match self.split_brain {
            SplitBrain::Accept => 0,
            SplitBrain::Votes(Tie::Nobody) => 1,
            SplitBrain::Votes(Tie::First) => 2,
            SplitBrain::Votes(Tie::Arbiter { exclusive: false }) => 3,
            SplitBrain::Votes(Tie::Arbiter { exclusive: true }) => 4,
        };
        let mix = |terms: u32, word: u32| (terms.rotate_left(7) ^ word).wrapping_mul(0x0100_0193);
        let nodes = self.nodes.iter().zip(&self.votes);
        let node = |(name, votes): (&Name, &u8)| operator::tag(name) ^ u32::from(*votes) << 8;
        let witness = self.witness_key.iter().flat_map(|key| key.0).map(u32::from);
        nodes.map(node).chain(witness).fold(policy, mix)
    }

    /// What `kodo-config` promises. A file that breaks it never got here.
    pub(crate) fn assert_valid(&self) {
        let config = self;
        let timing = &config.timing;
        let wait = timing::wait_bound(timing.lease, timing.release);
        let beats = timing.deadtime.as_nanos() / timing.keepalive.as_nanos().max(1);
        assert!(
            config.me.index() < config.nodes.len(),
            "this node is in the file"
        );
        assert!(
            config.votes.len() == config.nodes.len(),
            "every node has its votes"
        );
        assert!(
            !config.keys.is_empty() && !config.paths.is_empty(),
            "a key and a path"
        );
        assert!(
            !timing.keepalive.is_zero() && !timing.lease.is_zero(),
            "no interval is zero"
        );
        assert!(
            timing.deadtime > 2 * timing.keepalive,
            "deadtime spans more than two beats"
        );
        assert!(
            beats <= limits::BEATS_PER_DEADTIME as u128,
            "deadtime fits the ring of send times"
        );
        assert!(
            timing.warntime > timing.keepalive && timing.warntime < timing.deadtime,
            "late comes before dead"
        );
        assert!(
            timing.initdead >= timing.deadtime,
            "a fresh node waits for at least deadtime"
        );
        assert!(
            timing.guard >= timing.release,
            "a guarded group is let go after its addresses"
        );
        assert!(
            wait <= timing.deadtime,
            "a silent holder has let go before it is called dead"
        );
        for path in &config.paths {
            assert!(
                path.keepalive >= timing.keepalive,
                "no path beats faster than the tick"
            );
            assert!(
                path.budget >= codec::floor(config.groups.len(), 2),
                "a path carries a heartbeat"
            );
        }
        for group in &config.groups {
            let known = |resource: &ResourceId| resource.index() < config.resources.len();
            assert!(
                !group.members.is_empty() && group.members.iter().all(known),
                "members are resources"
            );
            assert!(
                group
                    .prefer
                    .iter()
                    .all(|node| node.index() < config.nodes.len()),
                "preferred nodes are nodes"
            );
        }
        let tags = || config.groups.iter().map(|group| operator::tag(&group.name));
        assert!(
            tags()
                .enumerate()
                .all(|(n, tag)| tags().skip(n + 1).all(|other| other != tag)),
            "groups differ by tag"
        );
    }
}
