//! What the cluster file says, in the engine's terms. `kodo-config` makes it from
//! a validated file; the engine never checks it again, it asserts.

use core::fmt;

use crate::codec;
use crate::limits;
use crate::operator;
use crate::surface::Health;
use crate::timing;
use crate::types::{GroupId, Key, NodeId, NodeSet, Now, ResourceId};
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// A name from the cluster file, for log lines.
pub type Name = String<{ limits::NAME }>;

/// One node's view of the cluster file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What each node can carry, in the units of [`Group::weight`]; in the order of `nodes`.
    pub capacity: Vec<u16, { limits::NODES }>,
    /// Groups that belong together, or apart.
    pub colocations: Vec<Colocation, { limits::COLOCATIONS }>,
    /// Groups that need others to run before them.
    pub orders: Vec<Order, { limits::ORDERS }>,
    /// When a node that dies again and again is no longer given anything.
    pub quarantine: Option<Quarantine>,
    /// This node has a partition that keeps operators' wishes through a loss of power.
    pub keeps_state: bool,
}

/// How often a node may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// At so many deaths it is enough.
    pub exits: u8,
    /// Each at most so long after the one before.
    pub window: Now,
}

/// The clock of the protocol. All are durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SplitBrain {
    /// Nobody: each part may decide alone. Two owners are possible, and accepted.
    Accept,
    /// The part that has more than half of all votes.
    Votes(Tie),
}

/// Which of two parts with exactly half of the votes each decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// From the file.
    pub name: Name,
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// A hash of what only others know of it, an address or a program: where it differs,
    /// another thing bears the name.
    pub make: u32,
    /// A start that takes longer has failed.
    pub start_timeout: Now,
    /// A stop that takes longer has failed.
    pub stop_timeout: Now,
}

/// What the engine must know of a resource's nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A virtual address: the exclusive thing of a light group.
    Vip,
    /// A child process tree.
    Service,
    /// That this service's instance here is the promoted one. As exclusive as an address.
    Role(ResourceId),
}

impl ResourceKind {
    /// It must never be on two nodes at once, whatever group it is in.
    pub fn is_exclusive(self) -> bool {
        self != ResourceKind::Service
    }
}

/// An ordered set of resources: started first to last, stopped last to first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// From the file.
    pub name: Name,
    /// It holds data: another node takes it only when this one's stop is confirmed or
    /// proven by its watchdog, and then all of it is exclusive, not just its VIPs.
    pub guarded: bool,
    /// In start order.
    pub members: Vec<ResourceId, { limits::MEMBERS }>,
    /// What each node is worth to it, in the order of [`Config::nodes`]; a node without a
    /// score may not run it.
    pub location: Vec<Option<Score>, { limits::NODES }>,
    /// Of two groups that cannot both run, the one with the higher priority does.
    pub priority: i16,
    /// How much of a node's capacity it takes.
    pub weight: u16,
    /// It runs on so many nodes at once, and nothing of it is exclusive; `None` for a group
    /// that one node at a time holds.
    pub clones: Option<u8>,
    /// By how much another node must be worth more before the group moves there by itself.
    pub stickiness: Score,
    /// What happens when a more preferred node returns.
    pub failback: Failback,
    /// Failures on one node within `failure_timeout` after which it is banned there.
    pub migration_threshold: u8,
    /// Time without a new failure after which the count is forgotten.
    pub failure_timeout: Now,
    /// Which nodes are too ill for it.
    pub health: HealthRule,
    /// A failed start bans it at once; otherwise it is one failure more.
    pub start_failure_is_fatal: bool,
    /// What happens when a stop fails.
    pub on_stop_failure: OnStopFailure,
}

/// Which nodes are too ill for a group; Pacemaker's `node-health-strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthRule {
    /// None.
    None,
    /// Red ones.
    MigrateOnRed,
    /// Red and yellow ones.
    OnlyGreen,
}

impl HealthRule {
    /// Whether a node of this health may not run the group.
    pub fn bars(self, health: Health) -> bool {
        match self {
            HealthRule::None => false,
            HealthRule::MigrateOnRed => health == Health::Red,
            HealthRule::OnlyGreen => health != Health::Green,
        }
    }
}

/// What happens when something of a group cannot be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnStopFailure {
    /// The node resets itself: who cannot stop must not be followed.
    Fence,
    /// The group stays where it is, and is not touched until an operator has looked.
    Block,
}

/// When a group returns to a more preferred node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failback {
    /// As soon as that node is a healthy member.
    Auto,
    /// The same, but only after it has been one for so long: where nobody holds the group,
    /// nothing is delayed.
    Delayed(Now),
    /// Only when an operator moves it.
    Manual,
}

/// What a place is worth to a group. Bounded, so that sums cannot overflow.
pub type Score = i32;

/// What scores may be: further than this in either direction is refused by `kodo-config`.
pub const SCORES: core::ops::RangeInclusive<Score> = -1_000_000..=1_000_000;

/// Two groups on one node, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colocation {
    /// The one that follows.
    pub group: GroupId,
    /// The one that is followed.
    pub with: GroupId,
    /// How strongly.
    pub bond: Together,
}

/// How strongly one group wants another on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Together {
    /// It runs nowhere else.
    Must,
    /// Never on one node.
    Never,
    /// A common node is worth so much more, or less.
    Score(Score),
}

/// One group needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Starts first and stops last.
    pub first: GroupId,
    /// Starts when `first` runs, wherever that is.
    pub then: GroupId,
    /// It stops when `first` stops. Otherwise only starts that fall together are ordered.
    pub must: bool,
}

impl Group {
    /// What a file means that says nothing but this.
    pub fn new(
        name: Name,
        members: Vec<ResourceId, { limits::MEMBERS }>,
        location: Vec<Option<Score>, { limits::NODES }>,
    ) -> Group {
        Group {
            name,
            guarded: false,
            members,
            location,
            priority: 0,
            weight: 0,
            clones: None,
            stickiness: 0,
            failback: Failback::Manual,
            migration_threshold: 3,
            failure_timeout: Now::from_secs(600),
            health: HealthRule::None,
            start_failure_is_fatal: true,
            on_stop_failure: OnStopFailure::Fence,
        }
    }

    /// Whether the file lets a node run it.
    pub fn may_run(&self, node: NodeId) -> bool {
        self.score(node).is_some()
    }

    /// What a node is worth to it, if it may run there.
    pub fn score(&self, node: NodeId) -> Option<Score> {
        self.location.get(node.index()).copied().flatten()
    }
}

/// Locations of a plain list of nodes, the best first: each is worth one more than the next.
pub fn ranked(nodes: usize, prefer: &[NodeId]) -> Vec<Option<Score>, { limits::NODES }> {
    let rank = |node: usize| prefer.iter().rev().position(|known| known.index() == node);
    let score = |rank: usize| Score::try_from(rank).unwrap_or(Score::MAX);
    (0..nodes).map(|node| rank(node).map(score)).collect()
}

impl Config {
    /// What a group promotes: the clone, and the service of it that has the role.
    pub fn promoted(&self, group: GroupId) -> Option<(GroupId, ResourceId)> {
        let mut members = self.groups.get(group.index())?.members.iter();
        let service =
            members.find_map(|member| match self.resources.get(member.index())?.kind {
                ResourceKind::Role(service) => Some(service),
                ResourceKind::Vip | ResourceKind::Service => None,
            })?;
        let has = |group: &Group| group.members.contains(&service);
        let clone = self.groups.iter().position(has)?;
        Some((GroupId::from_index(clone), service))
    }

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
        if let Some(fault) = self.fault() {
            panic!("{fault}");
        }
    }

    /// What keeps an engine from running it, if anything: total, whatever the values.
    pub fn fault(&self) -> Option<Fault> {
        let mut faults = [
            self.timing_fault(),
            self.cluster_fault(),
            self.path_fault(),
            self.group_fault(),
        ]
        .into_iter();
        faults.find_map(|fault| fault)
    }

    fn timing_fault(&self) -> Option<Fault> {
        let timing = &self.timing;
        let wait = timing::wait_bound(timing.lease, timing.release);
        let beats = timing.deadtime.as_nanos() / timing.keepalive.as_nanos().max(1);
        let times = [timing.initdead, timing.linkwait, timing.guard];
        first([
            (
                times.iter().all(|time| *time <= limits::LONGEST),
                Fault::Longest,
            ),
            (
                !timing.keepalive.is_zero() && !timing.lease.is_zero(),
                Fault::Interval,
            ),
            (
                timing.deadtime > timing.keepalive.saturating_mul(2),
                Fault::Deadtime,
            ),
            (beats <= limits::BEATS_PER_DEADTIME as u128, Fault::Beats),
            (
                timing.warntime > timing.keepalive && timing.warntime < timing.deadtime,
                Fault::Warntime,
            ),
            (timing.initdead >= timing.deadtime, Fault::Initdead),
            (timing.guard >= timing.release, Fault::Guard),
            (wait <= timing.deadtime, Fault::Wait),
        ])
    }

    fn cluster_fault(&self) -> Option<Fault> {
        let nodes = self.nodes.len();
        first([
            (self.me.index() < nodes, Fault::Me),
            (self.votes.len() == nodes, Fault::Votes),
            (
                !self.keys.is_empty() && !self.paths.is_empty(),
                Fault::KeyOrPath,
            ),
            (self.capacity.len() == nodes, Fault::Capacity),
            (
                self.quarantine
                    .is_none_or(|rule| rule.window <= limits::LONGEST),
                Fault::Longest,
            ),
        ])
    }

    fn path_fault(&self) -> Option<Fault> {
        let all = NodeSet::first(self.nodes.len());
        let floor = codec::floor(self.groups.len(), 2);
        self.paths.iter().find_map(|path| {
            first([
                (path.keepalive >= self.timing.keepalive, Fault::PathRate),
                (path.keepalive <= limits::LONGEST, Fault::Longest),
                (path.budget >= floor, Fault::PathBudget),
                (path.ends.is_subset(all), Fault::PathEnds),
            ])
        })
    }

    fn group_fault(&self) -> Option<Fault> {
        let known = |group: GroupId| group.index() < self.groups.len();
        let both = |a: GroupId, b: GroupId| known(a) && known(b) && a != b;
        let pairs = self.colocations.iter().map(|pair| (pair.group, pair.with));
        let orders = self.orders.iter().map(|order| (order.first, order.then));
        let tags = || self.groups.iter().map(|group| operator::tag(&group.name));
        let unlike = |(n, tag): (usize, u32)| tags().skip(n + 1).all(|other| other != tag);
        let members = || self.groups.iter().flat_map(|group| group.members.iter());
        let once = |(n, one): (usize, &ResourceId)| members().skip(n + 1).all(|other| other != one);
        let bounded = |score: Score| (2 * *SCORES.start()..=2 * *SCORES.end()).contains(&score);
        let bonds = self.colocations.iter().all(|pair| match pair.bond {
            Together::Score(score) => bounded(score),
            Together::Must | Together::Never => true,
        });
        let mut times = self
            .resources
            .iter()
            .flat_map(|resource| [resource.start_timeout, resource.stop_timeout])
            .chain(self.groups.iter().flat_map(|group| match group.failback {
                Failback::Delayed(delay) => [group.failure_timeout, delay],
                Failback::Auto | Failback::Manual => [group.failure_timeout; 2],
            }));
        let groups = self.groups.iter().find_map(|group| {
            let known = |resource: &ResourceId| resource.index() < self.resources.len();
            let scores = group.location.iter().flatten().chain([&group.stickiness]);
            first([
                (
                    !group.members.is_empty() && group.members.iter().all(known),
                    Fault::Members,
                ),
                (group.location.len() == self.nodes.len(), Fault::Location),
                (scores.copied().all(bounded), Fault::Score),
            ])
        });
        let service = |of: ResourceId| {
            let of = self.resources.get(of.index());
            of.is_some_and(|of| of.kind == ResourceKind::Service)
        };
        let mut roles = self.resources.iter().map(|resource| match resource.kind {
            ResourceKind::Role(of) => service(of),
            ResourceKind::Vip | ResourceKind::Service => true,
        });
        let mut promoted = (0..self.groups.len()).map(GroupId::from_index).map(|id| {
            let promoted = self.promoted(id);
            promoted.is_none_or(|(of, _)| self.groups[of.index()].clones.is_some())
        });
        let rest = first([
            (
                pairs.chain(orders).all(|(a, b)| both(a, b)),
                Fault::Constraint,
            ),
            (roles.all(|sane| sane), Fault::Role),
            (promoted.all(|sane| sane), Fault::Promoted),
            (bonds, Fault::Score),
            (tags().enumerate().all(unlike), Fault::Tags),
            (members().enumerate().all(once), Fault::Shared),
            (times.all(|time| time <= limits::LONGEST), Fault::Longest),
        ]);
        groups.or(rest)
    }
}

/// The first thing that does not hold.
fn first<const N: usize>(all: [(bool, Fault); N]) -> Option<Fault> {
    let mut broken = all.into_iter().filter(|(holds, _)| !holds);
    broken.next().map(|(_, fault)| fault)
}

/// What an engine cannot run with. `kodo-config` refuses such a file long before, with the
/// line; this is the last guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is spelled out by its Display")]
pub enum Fault {
    Me,
    Votes,
    KeyOrPath,
    Interval,
    Longest,
    Deadtime,
    Beats,
    Warntime,
    Initdead,
    Guard,
    Wait,
    PathRate,
    PathBudget,
    PathEnds,
    Capacity,
    Constraint,
    Role,
    Promoted,
    Members,
    Shared,
    Location,
    Score,
    Tags,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Me => "this node is not in the file",
            Fault::Votes => "a node has no votes, or too many have",
            Fault::KeyOrPath => "there is no key, or no path",
            Fault::Interval => "an interval is zero",
            Fault::Longest => "a time is longer than a century",
            Fault::Deadtime => "deadtime spans less than two beats",
            Fault::Beats => "deadtime spans more beats than are remembered",
            Fault::Warntime => "warntime does not lie between a beat and deadtime",
            Fault::Initdead => "a fresh node waits for less than deadtime",
            Fault::Guard => "a guarded group is let go before its addresses",
            Fault::Wait => "a silent holder may act after it is called dead",
            Fault::PathRate => "a path beats faster than the tick",
            Fault::PathBudget => "a path does not carry a heartbeat",
            Fault::PathEnds => "a path ends at a node that there is not",
            Fault::Capacity => "a node has no capacity, or too many have",
            Fault::Constraint => "a constraint does not join two groups",
            Fault::Role => "a role is not a service's",
            Fault::Promoted => "what is promoted is not an instance of a clone",
            Fault::Members => "a group has no members, or unknown ones",
            Fault::Shared => "two groups share a member",
            Fault::Location => "a group has no score for a node, or too many",
            Fault::Score => "a score is out of bounds",
            Fault::Tags => "two groups share a tag",
        })
    }
}
