//! The node's status as everybody outside it sees it: console, API, tests.
//!
//! Owns shapes only. Durations are ages or uptimes on this node's clock.

use heapless::{String, Vec};
use kodo_engine::limits as engine;
use kodo_engine::placement::{Nodes, State};
use kodo_engine::surface::{Health, PathState};
use kodo_engine::{NodeSet, Now};
use serde::{Deserialize, Serialize};

use crate::limits;

/// A name from the cluster file.
pub type Name = String<{ limits::NAME }>;

/// A bounded copy of a text, cut where it is too long.
pub(crate) fn name<const N: usize>(text: &str) -> String<N> {
    let mut name = String::new();
    for c in text.chars() {
        if name.push(c).is_err() {
            break;
        }
    }
    name
}

/// Everything an operator asks for first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Cluster name.
    pub cluster: Name,
    /// This node.
    pub node: Name,
    /// Time since boot.
    pub uptime: Now,
    /// The cluster file that it runs.
    pub file: u64,
    /// Where this node stands in the cluster.
    pub role: Role,
    /// The view installed here; `None` before the first one.
    pub view: Option<View>,
    /// Which cluster file comes next.
    pub next: NextFile,
    /// Whether operators want nothing touched at all.
    pub maintenance: bool,
    /// What placement looks at of the nodes.
    pub sees: Nodes,
    /// All nodes of the file, this one included.
    pub nodes: Vec<NodeStatus, { engine::NODES }>,
    /// All groups of the file.
    pub groups: Vec<GroupStatus, { engine::GROUPS }>,
    /// The watchdog: its name and granted timeout.
    pub watchdog: Option<(Name, Now)>,
    /// Whether the kernel's gate is in place: stuck, this node's VIPs fall silent.
    pub gate: bool,
    /// Whether the public network is reachable, as far as known.
    pub reachable: bool,
    /// The witness, where there is one.
    pub witness: Option<WitnessStatus>,
    /// Frames that changed nothing, by reason, and paths' noise.
    pub counters: Counters,
    /// The newest log line's text.
    pub last_event: String<{ limits::LOG_TEXT }>,
}

/// The cluster file that comes after the running one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextFile {
    /// Hash of the one that is staged.
    pub staged: Option<u64>,
    /// Members that are not ready for the one that operators want, by position in
    /// [`Status::nodes`]: the switch waits for them. Empty when none is under way.
    pub waits_for: NodeSet,
}

/// The witness as seen from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessStatus {
    /// Its address.
    pub address: String<{ limits::ADDRESS }>,
    /// Whether it answers.
    pub reachable: bool,
    /// For how long it has answered, or not; `None` when it never has since boot.
    pub since: Option<Now>,
    /// Which life of it was heard last.
    pub life: Option<u64>,
    /// What it said last.
    pub word: WitnessWord,
    /// The node for which it speaks.
    pub holder: Option<Name>,
}

/// What a witness said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WitnessWord {
    /// Nothing yet.
    None,
    /// Nobody here needs its word.
    Idle,
    /// It speaks for this node.
    Granted,
    /// It speaks for somebody else.
    Taken,
    /// It has just started and speaks for nobody yet.
    HoldingOff,
    /// Its hold-off is too short for this cluster: it never will.
    WaitTooLong,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Fresh from boot: hears and is heard, decides nothing.
    Observer,
    /// A member of the view that holds nothing.
    Standby,
    /// A member that runs at least one group.
    Active,
    /// Refused: another machine carries this identity.
    Refused,
    /// Silent, or never heard (only of peers).
    Dead,
}

/// An installed view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Grows with every change.
    pub epoch: u64,
    /// Names of its members.
    pub members: Vec<Name, { engine::NODES }>,
    /// Nodes that operators vouched for as dead, by position in [`Status::nodes`].
    pub written_off: NodeSet,
}

/// One node as seen from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// From the file.
    pub name: Name,
    /// Where it stands.
    pub role: Role,
    /// Whether an operator put it on standby.
    pub standby: bool,
    /// Whether it died too often and runs nothing until an operator calls it online.
    pub quarantined: bool,
    /// How well it is, as far as it says.
    pub health: Health,
    /// Its state partition.
    pub disk: DiskStatus,
    /// Whether anything of any group is up there, on its way up or down included.
    pub carries: bool,
    /// Its boot id, once confirmed.
    pub boot: Option<u64>,
    /// Silence since its last fresh heartbeat.
    pub silent: Option<Now>,
    /// False when it runs another cluster file.
    pub same_file: bool,
    /// Paths between it and this node; empty for this node itself.
    pub paths: Vec<PathStatus, { engine::PATHS }>,
}

/// What a node's state partition does for operators' wishes, as far as heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskStatus {
    /// The file gives it none, or the node is not heard.
    #[default]
    None,
    /// Not found or read yet, or it does not take writes.
    Failing,
    /// It works, and does not hold all wishes yet.
    Writing,
    /// All wishes are on it: they outlive a loss of power.
    Kept,
}

/// One path towards one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathStatus {
    /// From the file: `crossover`, `lan`, `serial`.
    pub name: Name,
    /// Up, one-way or down.
    pub state: PathState,
}

/// One group as seen from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// From the file.
    pub name: Name,
    /// False while it is watched only: nobody starts, stops or moves it.
    pub managed: bool,
    /// On how many nodes it runs at once; `None` when one holds it.
    pub clones: Option<u8>,
    /// Who holds it, as far as this node knows; of clones nobody does.
    pub holder: Option<Name>,
    /// Where all of it runs, by position in [`Status::nodes`].
    pub runs_on: NodeSet,
    /// The clone of which it promotes an instance.
    pub promotes: Option<Name>,
    /// The group without which it is not started here, although it should run here.
    pub waits_for: Option<Name>,
    /// The node on which it could not be stopped: it stays there until `cleanup`.
    pub stuck_on: Option<Name>,
    /// The tenure's epoch.
    pub epoch: u64,
    /// What this node does with it.
    pub state: GroupState,
    /// Failures counted on this node.
    pub failures: u8,
    /// What placement looks at of it.
    pub sees: State,
    /// Whether an operator's wish in it ends when something moves the group on.
    pub once: bool,
    /// Its members and their state on this node.
    pub members: Vec<MemberStatus, { engine::MEMBERS }>,
}

/// What a node does with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupState {
    /// Nothing of it runs here.
    Stopped,
    /// On its way up.
    Starting,
    /// All of it runs here.
    Started,
    /// On its way down.
    Stopping,
    /// A member of it may not be started here at present (fail count, stranger on the VIP).
    Blocked,
}

/// One member of a group on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// From the file.
    pub name: Name,
    /// What this node does with it.
    pub state: GroupState,
}

/// What was rejected or lost, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Frames with a MAC that no accepted key makes.
    pub forged: u32,
    /// Frames that are not ours or do not decode.
    pub malformed: u32,
    /// Frames of an older sequence, or of a superseded life.
    pub replayed: u32,
    /// Authentic frames that echo nothing recent: not yet, or no longer, fresh.
    pub stale: u32,
    /// Frames of a second machine with one identity.
    pub twin: u32,
    /// Serial bytes that belong to no valid frame.
    pub noise: u32,
    /// Heartbeats that could not be sent (queue full, no carrier).
    pub unsent: u32,
}
