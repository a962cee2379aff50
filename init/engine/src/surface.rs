//! The engine's inputs and outputs: the closed sets that everything outside it knows.
//!
//! Owns the vocabulary, decides nothing. An effect whose result matters comes back
//! as an input: `Start`, `Stop` as [`Report`], `Probe` as [`Report`], pings as an
//! arbiter's answer.

use crate::limits;
use crate::types::{BootId, GroupId, NodeId, Now, PathId, ResourceId};
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// One heartbeat, encoded and authenticated.
pub type Frame = Vec<u8, { limits::FRAME }>;

/// What the engine wants done, in this order. Drained through `poll_effect`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "no allocation; one lives at a time")]
pub enum Effect {
    /// Send a heartbeat on a path.
    Send(PathId, Frame),
    /// Start a resource; answered by [`Report`].
    Start(ResourceId, Reason),
    /// Stop a resource; answered by [`Report`].
    Stop(ResourceId, Reason),
    /// Begin looking for a stranger that already answers for this VIP (warntime).
    Probe(ResourceId),
    /// Tell the LAN again where this VIP lives (a split healed, a peer gave way).
    Announce(ResourceId),
    /// The whole decision loop has made progress: feed the hardware watchdog.
    FeedWatchdog,
    /// This node cannot keep its promises: reset it now.
    ResetSelf(Fatal),
    /// Write down and show: a decision with its evidence, or an alert.
    Log(Event),
}

/// Why a resource is started or stopped; services are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Run a group on this node, and prefer it from now on.
    Move(GroupId, NodeId),
    /// The operator vouches that the silent peer is dead: do not wait for evidence.
    TakeoverAnyway,
    /// Forget a group's fail counts on every node.
    Cleanup(GroupId),
    /// Give up everything and leave the view in order; the node powers off afterwards.
    Leave,
}

/// A command was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Nodes of the view that will hear of it, this one included.
    pub nodes: u8,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such node or group in the cluster file.
    Unknown,
    /// The target is not a member of the view.
    NotMember,
    /// The target is on standby, or banned there by its fail count.
    NotEligible,
    /// Takeover-anyway while the peer is heard: it is alive.
    PeerAlive,
    /// The nodes run different cluster files: voluntary moves are frozen.
    Frozen,
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
/// engine can write is here, and `Text` renders it with the file's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer's path changed its state.
    Path { peer: NodeId, path: PathId, state: PathState },
    /// A peer was late (silent for longer than warntime), or is heard again.
    Late { peer: NodeId, silent: Now },
    /// A peer is dead: silent for deadtime on every path.
    Dead { peer: NodeId, silent: Now },
    /// A peer restarted: a new boot id whose uptime is shorter than our silence from the old.
    Restarted { peer: NodeId, old: BootId, new: BootId },
    /// Two machines carry one identity; the newcomer is refused.
    Twin { node: NodeId, kept: BootId, refused: BootId },
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
