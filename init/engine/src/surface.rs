//! The engine's inputs and outputs: the closed sets that everything outside it knows.
//!
//! Owns the vocabulary, decides nothing. An effect whose result matters comes back
//! as an input: `Start`, `Stop` as [`Report`], `Probe` as [`Report`], pings as an
//! arbiter's answer.

use crate::limits;
use crate::placement::Reasons;
use crate::table::Block;
use crate::types::{BootId, GroupId, NodeId, NodeSet, Now, PathId, ResourceId};
use crate::witness::{Holder, WitnessFrame, Word};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// One heartbeat, encoded and authenticated.
pub type Frame = Vec<u8, { limits::FRAME }>;

/// What the engine wants done, in this order. Drained through `poll_effect`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "no allocation; one lives at a time"
)]
pub enum Effect {
    /// Send a heartbeat on a path.
    Send(PathId, Frame),
    /// Send a question to the witness; what comes back goes to
    /// [`crate::Engine::handle_witness`].
    Ask(WitnessFrame),
    /// Start a resource; answered by [`Report`].
    Start(ResourceId, Reason),
    /// Stop a resource; answered by [`Report`].
    Stop(ResourceId, Reason),
    /// Begin looking for a stranger that already answers for this VIP (warntime).
    Probe(ResourceId),
    /// Tell the LAN again where this VIP lives (a split healed, a peer gave way).
    Announce(ResourceId),
    /// A VIP may speak until then, on this node's boot clock, and not from then on: the
    /// kernel's gate closes by itself. Always told before the VIP's stop is asked for.
    Gate(ResourceId, Now),
    /// Write this to the state partition, over the older of its two slots; answered by
    /// [`crate::Engine::handle_written`] with its serial number. At most one is under way.
    Persist(u64, Block),
    /// The whole decision loop has made progress: feed the hardware watchdog.
    FeedWatchdog,
    /// This node cannot keep its promises: reset it now.
    ResetSelf(Fatal),
    /// From here on the staged cluster file is the one that runs; its hash. Effects before
    /// this one speak of the groups of the old file, those after it of the new one's.
    Adopted(u64),
    /// Write down and show: a decision with its evidence, or an alert.
    Log(Event),
}

/// Why a resource is started or stopped; services are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// First start of the group after boot of the cluster.
    Start,
    /// The former holder is dead, restarted or gave up.
    Failover,
    /// Back to a more preferred node.
    Failback,
    /// An operator moved it, or sent a node to standby.
    Move,
    /// Restarted in place after a failure.
    Recover,
    /// The lease ended, or a newer holder was seen: give way.
    Yield,
    /// The node shuts down.
    Shutdown,
}

/// What became of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It runs (a service is ready, a VIP is bound and announced).
    Started,
    /// It is down for certain.
    Stopped,
    /// A start did not succeed; it is down for certain.
    StartFailed,
    /// A stop did not succeed; it may still act.
    StopFailed,
    /// It ran and failed; the supervisor restarts it in place.
    Failed,
    /// It failed and was restarted in place; it runs again.
    Recovered,
    /// A stranger on the LAN answers for this VIP; it is not bound.
    AddressTaken,
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Give up everything on a node and take nothing, until `online`.
    Standby(NodeId, bool),
    /// Run a group on this node; prefer it from now on, unless it is to be moved once.
    Move(GroupId, NodeId, bool),
    /// Touch nothing and judge nothing, until it is over. Leases still count: a node that
    /// nobody hears lets go of what is exclusive.
    Maintenance(bool),
    /// Act on a group again, or watch it only.
    Manage(GroupId, bool),
    /// The operator vouches that the silent nodes are dead: do not wait for evidence, and
    /// do not count their votes until they are heard again.
    TakeoverAnyway,
    /// Forget a group's fail counts on every node.
    Cleanup(GroupId),
    /// Give up everything and leave the view in order; the node powers off afterwards.
    Leave,
    /// Run the cluster file of this hash, which every member has staged.
    Adopt(u64),
}

/// A command was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Nodes of the view that will hear of it, this one included.
    pub nodes: u8,
    /// Those of them that will keep it through a loss of power, by what is known of their
    /// disks now. It is kept once [`crate::Engine::keeps`] says so.
    pub disks: NodeSet,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such node or group in the cluster file.
    Unknown,
    /// The target is not a member of the view.
    NotMember,
    /// The target is on standby, or the group is banned there by its fail count, or no
    /// instance runs there that it could promote.
    NotEligible,
    /// Takeover-anyway while every other node is heard: they are alive.
    PeerAlive,
    /// The nodes run different cluster files: voluntary moves are frozen.
    Frozen,
    /// Maintenance, or the group is not managed: nothing is moved.
    Untouched,
    /// Its stop failed on a node: it stays there until an operator has looked.
    Blocked,
    /// Takeover-anyway or adopt on a node that is leaving, refused as a twin, or in no view.
    NotNow,
    /// This member has not staged the cluster file that is to be run.
    NotStaged(NodeId),
}

/// A bug is an assertion; this is the environment failing. The number is printed
/// and kept for the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Fatal {
    /// A VIP or service could not be stopped in time.
    StopFailed = 1,
    /// The lease ended and the release was not confirmed within its bound.
    ReleaseOverdue = 2,
    /// A privileged helper died or stopped answering.
    HelperLost = 3,
    /// An operator's drill.
    Drill = 4,
}

/// How bad an [`Event`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Normal life: a member joined, a group started.
    Info,
    /// Something to look at in the morning: a late heartbeat, a path down.
    Warn,
    /// Something to get up for: takeover, failed stop, duplicate identity.
    Alert,
}

/// A decision with its evidence, or an observation. Closed: every line that the
/// engine can write is here; [`crate::Engine::text`] renders it with the file's
/// names and [`Event::level`] says how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields are named after what they hold; durations are ages, `epoch` is a tenure's or view's"
)]
pub enum Event {
    /// A peer's path changed its state.
    Path {
        peer: NodeId,
        path: PathId,
        state: PathState,
    },
    /// A path's carrier at this end came or went.
    Carrier { path: PathId, up: bool },
    /// The public network became reachable from here, or stopped being so.
    Reachable { yes: bool, ping: Option<Now> },
    /// This node is ill, or well again.
    Health { health: Health },
    /// A life of a peer proved itself by an echo, with nothing known before it.
    Heard {
        peer: NodeId,
        boot: BootId,
        uptime: Now,
    },
    /// A peer is late: silent for longer than warntime.
    Late { peer: NodeId, silent: Now },
    /// A late or dead peer is heard again in the same life.
    Back { peer: NodeId, silent: Now },
    /// A peer is dead: silent for deadtime on every path.
    Dead { peer: NodeId, evidence: Evidence },
    /// A peer restarted: a new boot id whose uptime is shorter than our silence from the old.
    Restarted {
        peer: NodeId,
        old: BootId,
        new: BootId,
        uptime: Now,
        silent: Now,
    },
    /// Two machines carry one identity; the newcomer is refused.
    Twin {
        node: NodeId,
        kept: BootId,
        refused: BootId,
    },
    /// This machine is the newcomer of two with one identity and gives everything up;
    /// or the other one is gone and it may take part again.
    Refused { yes: bool, other: BootId },
    /// A peer runs another cluster file (voluntary moves freeze), or the same one again.
    OtherFile { peer: NodeId, yes: bool, hash: u64 },
    /// A new cluster file is staged here: it runs when an operator says so.
    Staged { hash: u64 },
    /// A group stops, since the cluster file that is to run next changes it.
    Parts { group: GroupId },
    /// From here on this cluster file runs.
    Adopted { hash: u64, before: u64 },
    /// The switch to another cluster file was given up; the members that were not ready.
    Withdrawn { unready: NodeSet },
    /// This loop did not run for `gap`: what it did not hear in that time proves nothing.
    Stalled { gap: Now },
    /// A fresh node starts to wait for the others before it may decide alone.
    Waiting { until: Now },
    /// A node that hears nobody decides alone from now on.
    Alone { evidence: Evidence },
    /// The nodes that this one hears have too few votes to decide.
    NoQuorum { heard: NodeSet, votes: u32, of: u32 },
    /// A silent peer should be removed, but the ping group does not answer: no decision.
    NoEvidence { peer: NodeId, ping: Option<Now> },
    /// A view was installed here.
    View { epoch: u64, members: NodeSet },
    /// The others have had a view without this node for deadtime: it gives up its own.
    LeftOut { epoch: u64 },
    /// A proposal was not answered in time; it is retried without that node.
    Unanswered { peer: NodeId, epoch: u64 },
    /// The coordinator (this node) gives a group to another node, or a clone to several, and
    /// why to no other.
    Plan {
        group: GroupId,
        to: NodeSet,
        cause: Cause,
        reasons: Reasons,
    },
    /// This node takes a group from a node that no longer holds it, and why it may.
    Takeover {
        group: GroupId,
        from: NodeId,
        epoch: u64,
        evidence: Evidence,
    },
    /// This node begins to start a group.
    Starting {
        group: GroupId,
        epoch: u64,
        reason: Reason,
    },
    /// A group that should run here waits until another one runs where it should.
    Awaits { group: GroupId, first: GroupId },
    /// All of a group runs here.
    Started { group: GroupId, took: Now },
    /// This node begins to stop a group.
    Stopping { group: GroupId, reason: Reason },
    /// The group's exclusive resources are down for certain: another node may take it.
    Released { group: GroupId, epoch: u64 },
    /// Nothing of a group runs here any more.
    Stopped { group: GroupId },
    /// A peer holds the group by a tenure that names ours as superseded: give way at once.
    Superseded {
        group: GroupId,
        epoch: u64,
        by: NodeId,
        newer: u64,
    },
    /// Two unrelated tenures met: both nodes give way.
    Conflict {
        group: GroupId,
        peer: NodeId,
        ours: u64,
        theirs: u64,
    },
    /// Our tenure names the peer's as superseded: we keep the group and announce it again.
    Kept { group: GroupId, from: NodeId },
    /// The lease ended: neither a peer nor the ping group renewed it.
    LeaseEnded {
        peer: Option<Now>,
        ping: Option<Now>,
    },
    /// A resource ran and failed; the count on this node.
    Failed {
        resource: ResourceId,
        failures: u8,
        threshold: u8,
    },
    /// A failed resource runs again in place.
    Recovered { resource: ResourceId },
    /// A stop failed, and the file says that the group is left as it is then.
    StopBlocked {
        group: GroupId,
        resource: ResourceId,
    },
    /// A start did not succeed, or took too long.
    StartFailed { resource: ResourceId, overdue: bool },
    /// A stranger answers for a VIP that this node wants to bind.
    AddressTaken { resource: ResourceId },
    /// A group may not run here until the time given, or may again.
    Banned { group: GroupId, until: Option<Now> },
    /// A group has no node that may run it; a holder keeps it.
    NoEligible {
        group: GroupId,
        kept: Option<NodeId>,
        reasons: Reasons,
    },
    /// A guarded group may not run here: the watchdog would fire too late, or not at all.
    Unguarded {
        group: GroupId,
        granted: Option<Now>,
    },
    /// A node died so often that it runs nothing until an operator calls it online.
    Quarantined { node: NodeId, exits: u8 },
    /// An operator's command was taken here.
    Commanded { command: Command },
    /// The state partition was read: so many wishes of before are known again.
    Restored { wishes: u8, serial: u64 },
    /// The state partition knows of another cluster file that operators had adopted before
    /// this boot; the one of the image runs.
    ImageFile,
    /// The state partition does not do its work.
    Disk { trouble: DiskTrouble },
    /// The state partition works again, and holds all wishes.
    DiskWorks,
    /// This node has left the view in order.
    Left,
    /// The hardware watchdog is open.
    Watchdog { granted: Now },
    /// Frames were rejected; sent at most once per ten seconds and reason.
    Rejected {
        reject: Reject,
        path: PathId,
        total: u32,
    },
    /// The witness answers, or has not for so long.
    Witness { yes: bool, silent: Option<Now> },
    /// The witness was restarted and holds off before it grants anything.
    WitnessRestarted,
    /// What the witness said when it was asked for its word, if it is news.
    WitnessSaid { word: Word, holder: Option<Holder> },
    /// Answers from the witness's address were rejected; sent at most once per ten
    /// seconds.
    WitnessRejected { reject: Reject, total: u32 },
    /// This node resets itself.
    Reset {
        fatal: Fatal,
        resource: Option<ResourceId>,
    },
    /// Log lines were dropped since the last one: the queue was full.
    Dropped { lines: u32 },
}

/// What is wrong with a state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// Not found, or not read, for so long since boot.
    Unread(Now),
    /// It holds something that is not this program's: it is not touched.
    Foreign,
    /// Tables are on it, and none of them opens: damaged, of another cluster, or by an
    /// earlier key. They are written over.
    Unreadable,
    /// A write was not confirmed for so long.
    Overdue(Now),
    /// The kernel refused a write; its errno.
    Refused(i32),
    /// It went away: the disk, the partition, or the helper that writes to it.
    Gone,
}

/// What was known when a peer was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What proves that it holds nothing.
    pub gone: Gone,
    /// Time since its last fresh beat; `None` when it was never heard.
    pub silent: Option<Now>,
    /// By path: what was seen of it there.
    pub paths: [Sight; limits::PATHS],
    /// Age of the newest answered ping request.
    pub ping: Option<Now>,
}

/// What proves that a peer holds nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gone {
    /// Silent for deadtime, and for its own self-release bound.
    Silent,
    /// It restarted: a new life holds nothing.
    Restarted,
    /// It said so, and left.
    Left,
    /// An operator vouched for it.
    Vouched,
}

/// What is seen of a peer on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The path does not join the two nodes.
    Elsewhere,
    /// The path has no carrier at this end.
    NoCarrier,
    /// Carrier, but nothing is heard.
    Silent,
    /// Heard one way only.
    OneWay,
    /// Heard both ways.
    Up,
}

/// How well a node is: what Pacemaker calls node health.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Health {
    /// Nothing is known against it.
    #[default]
    Green,
    /// It is strained.
    Yellow,
    /// It is ill: what runs there is in danger.
    Red,
}

/// How far a group is on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing of it runs.
    Idle,
    /// Its members start in order.
    Starting,
    /// All of it was started.
    Running,
    /// Its members stop in reverse order.
    Stopping,
    /// A stop failed: it is as it is, and is not touched any more.
    Blocked,
}

/// Why the coordinator gave a group to a node. Travels in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Nobody held it before.
    Start,
    /// Its holder died, failed, or left.
    Failover,
    /// A more preferred node is back.
    Failback,
    /// An operator's wish.
    Move,
    /// Its holder no longer reaches the clients' network, the target does.
    Health,
    /// It makes room for a more important group, or follows one that it must be with.
    Displaced,
}

impl Cause {
    /// As services are told.
    pub fn reason(self) -> Reason {
        match self {
            Cause::Start => Reason::Start,
            Cause::Failover | Cause::Health => Reason::Failover,
            Cause::Failback => Reason::Failback,
            Cause::Move | Cause::Displaced => Reason::Move,
        }
    }
}

/// Why a frame changed nothing. Counted in [`crate::counters::Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    /// Too short, another version, or a body that does not decode to valid values.
    Malformed,
    /// Of another cluster.
    OtherCluster,
    /// Its MAC fits no accepted key.
    Forged,
    /// Sent on another path than it arrived on.
    WrongPath,
    /// Our own, come back.
    Own,
    /// Its sequence is not newer than what was heard, or its life is superseded.
    Replayed,
    /// Authentic, but it echoes nothing that I sent within deadtime.
    Stale,
    /// Of a second machine with one identity.
    Twin,
}

/// Where this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Fresh from boot: hears and is heard, decides nothing.
    Observer,
    /// In a view: votes, grants, may hold.
    Member,
    /// Gives everything up, then leaves.
    Leaving,
    /// Left in order: the machine may power off.
    Left,
    /// Another machine carries this identity and was there first.
    Refused,
}

/// An installed view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Grows with every change that shares memory.
    pub epoch: u64,
    /// Its members.
    pub members: NodeSet,
    /// Who proposed it: plans its groups.
    pub coordinator: NodeId,
    /// Nodes that operators vouched for as dead: their votes do not count under it.
    pub written_off: NodeSet,
    /// The cluster file that its members agreed on, by its [`crate::operator::mark`].
    pub file: u32,
}

/// What a node does with a group, or with a member of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Nothing of it runs here.
    Stopped,
    /// On its way up.
    Starting,
    /// It runs here.
    Started,
    /// On its way down.
    Stopping,
    /// It may not run here at present: fail count, or a stranger on the VIP; or a stop failed,
    /// and it is not touched any more.
    Blocked,
}

/// A group as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Who holds it, as far as this node knows.
    pub holder: Option<NodeId>,
    /// The newest tenure's epoch; 0 before the first.
    pub epoch: u64,
    /// What this node does with it.
    pub state: RunState,
    /// Failures counted on this node.
    pub failures: u8,
    /// True while it may not run here.
    pub banned: bool,
}

/// A path as seen towards one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathState {
    /// Heard both ways.
    Up,
    /// Heard one way only.
    OneWay,
    /// Not heard, or no carrier.
    Down,
}
