//! The JSON that operators' programs see: shapes, and how the node's own words become them.
//!
//! Owns the public vocabulary of the admin API, shared by its server and the `kodo`
//! command. Durations are whole milliseconds, boot ids are hexadecimal strings (a
//! JavaScript number cannot hold them). Readers are tolerant: unknown fields are skipped
//! and unknown words read as `unknown`, so that an older `kodo` still shows a newer node.

mod from_node;

use serde::{Deserialize, Serialize};

/// `GET /v1/status`: everything an operator asks for first, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// 1.
    pub schema: u8,
    /// Cluster name.
    pub cluster: String,
    /// The node that answers.
    pub node: String,
    /// Its time since boot.
    pub uptime_ms: u64,
    /// Hash of the cluster file that it runs.
    #[serde(default)]
    pub file: String,
    /// Where it stands.
    pub role: Role,
    /// Whether everything is as it should be; see `concerns`.
    pub health: Health,
    /// What keeps the cluster from being healthy, worst first; empty when healthy.
    pub concerns: Vec<String>,
    /// What is worth a look, but keeps nothing from working.
    pub notes: Vec<String>,
    /// Hash of the file that is staged there, to be run when an operator says so.
    #[serde(default)]
    pub staged: Option<String>,
    /// Members that are not ready yet for the file that is to run.
    #[serde(default)]
    pub waits_for: Vec<String>,
    /// The view installed here.
    pub view: Option<View>,
    /// Whether this node reaches the public network, as far as known.
    pub reachable: bool,
    /// The witness, where the cluster has one.
    #[serde(default)]
    pub witness: Option<Witness>,
    /// The hardware watchdog of this node.
    pub watchdog: Option<Watchdog>,
    /// What silences the VIPs of this node when it is stuck.
    #[serde(default)]
    pub gate: Gate,
    /// Whether operators want nothing touched at all.
    #[serde(default)]
    pub maintenance: bool,
    /// All nodes of the cluster file.
    pub nodes: Vec<Node>,
    /// All groups of the cluster file.
    pub groups: Vec<Group>,
    /// What was rejected or lost since boot.
    pub counters: Counters,
    /// The newest log line.
    pub last_event: String,
}

/// Whether everything is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Every group runs, and the next fault would be survived.
    Healthy,
    /// Something is wrong, even if every group still runs.
    #[serde(other)]
    Degraded,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Fresh from boot: hears and is heard, decides nothing.
    Observer,
    /// A member that holds nothing.
    Standby,
    /// A member that runs at least one group.
    Active,
    /// Refused: another machine carries this identity.
    Refused,
    /// Silent, or never heard.
    Dead,
    /// A newer node's word.
    #[serde(other)]
    Unknown,
}

/// What silences a node's VIPs when it is stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A program of the kernel, as soon as the lease ends.
    Kernel,
    /// Nothing, until the watchdog fires.
    None,
    /// An older node does not say, or a newer one has another word.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One path towards one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathState {
    /// Heard both ways.
    Up,
    /// Heard one way only.
    OneWay,
    /// Not heard, or no carrier.
    Down,
    /// A newer node's word.
    #[serde(other)]
    Unknown,
}

/// How well a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeHealth {
    /// Nothing is known against it.
    #[default]
    Green,
    /// It is strained.
    Yellow,
    /// It is ill.
    Red,
    /// A newer node's word.
    #[serde(other)]
    Unknown,
}

/// What a node does with a group, or a member of one.
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
    /// May not be started here at present.
    Blocked,
    /// A newer node's word.
    #[serde(other)]
    Unknown,
}

/// An installed view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Grows with every change.
    pub epoch: u64,
    /// Names of its members.
    pub members: Vec<String>,
    /// Names of nodes that operators vouched for as dead: their votes do not count.
    #[serde(default)]
    pub written_off: Vec<String>,
}

/// The witness as the node that answers sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Where it listens.
    pub address: String,
    /// Whether it answers.
    pub reachable: bool,
    /// For how long it has answered, or has not; `null` when it never did.
    pub since_ms: Option<u64>,
    /// Its life: another one after each restart.
    pub life: Option<String>,
    /// What it said last.
    pub word: WitnessWord,
    /// The node for which it speaks.
    pub holder: Option<String>,
}

/// What a witness said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WitnessWord {
    /// Nothing yet.
    None,
    /// The node does not need its word.
    Idle,
    /// It speaks for the node.
    Granted,
    /// It speaks for somebody else.
    Taken,
    /// It has just started and speaks for nobody yet.
    HoldingOff,
    /// Its hold-off is too short for this cluster: it never will.
    WaitTooLong,
    /// A newer node's word.
    #[serde(other)]
    Unknown,
}

/// The hardware watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// As the driver calls it.
    pub name: String,
    /// What the driver granted.
    pub timeout_ms: u64,
}

/// One node as seen from the one that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// From the file.
    pub name: String,
    /// Where it stands.
    pub role: Role,
    /// Whether an operator put it on standby.
    pub standby: bool,
    /// Whether it died too often and runs nothing until an operator calls it online.
    #[serde(default)]
    pub quarantined: bool,
    /// How well it is; groups may be told to keep away from ill nodes.
    #[serde(default)]
    pub health: NodeHealth,
    /// What its state partition does for operators' wishes, as far as heard.
    #[serde(default)]
    pub disk: Disk,
    /// Whether anything of any group is up there, on its way up or down included.
    #[serde(default)]
    pub carries: bool,
    /// Its boot id, once confirmed.
    pub boot: Option<String>,
    /// Silence since its last fresh heartbeat.
    pub silent_ms: Option<u64>,
    /// False when it runs another cluster file.
    pub same_file: bool,
    /// What placement looks at; `null` from an older node.
    #[serde(default)]
    pub placement: Option<NodeFacts>,
    /// Paths towards it; empty for the node that answers.
    pub paths: Vec<Path>,
}

/// What placement looks at of a node, beside standby, quarantine and the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// It gives everything up, or was refused.
    pub leaving: bool,
    /// Its standby was learned from another view, after a split.
    pub foreign: bool,
    /// It reaches the clients.
    pub reachable: bool,
    /// It has not reached them for the settling time.
    pub lost: bool,
    /// It has reached them for the settling time.
    pub found: bool,
    /// It lost them within the damping window.
    pub unsteady: bool,
}

/// A state partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// The file gives the node none, or the node is not heard.
    #[default]
    None,
    /// Not found or read yet, or it does not take writes.
    Failing,
    /// It works, and does not hold all wishes yet.
    Writing,
    /// All wishes are on it: they outlive a loss of power.
    Kept,
    /// Something that a newer node says.
    #[serde(other)]
    Unknown,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// From the file.
    pub name: String,
    /// Up, one-way or down.
    pub state: PathState,
}

/// One group as seen from the node that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// From the file.
    pub name: String,
    /// False while it is watched only: nobody starts, stops or moves it.
    #[serde(default = "yes")]
    pub managed: bool,
    /// On how many nodes it runs at once when all is well; `null` when one holds it.
    #[serde(default)]
    pub clones: Option<u8>,
    /// Who holds it; of clones nobody does.
    pub holder: Option<String>,
    /// Where all of it runs: several nodes of clones.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The clone of which it promotes an instance.
    #[serde(default)]
    pub promotes: Option<String>,
    /// Nodes whose instance it could promote, and how fit each says it is.
    #[serde(default)]
    pub promotion: Vec<Fitness>,
    /// The group without which the answering node does not start it, although it should.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// The node on which it could not be stopped: it stays there until `cleanup`.
    #[serde(default)]
    pub stuck_on: Option<String>,
    /// The tenure's epoch.
    pub epoch: u64,
    /// What the answering node does with it.
    pub state: GroupState,
    /// Failures counted on the answering node.
    pub failures: u8,
    /// What placement looks at; `null` from an older node.
    #[serde(default)]
    pub placement: Option<GroupFacts>,
    /// Its members on the answering node.
    pub members: Vec<Member>,
}

/// What placement looks at of a group. All but the flags are names of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFacts {
    /// Where the plan wants it.
    pub planned: Vec<String>,
    /// Who holds it; of a clone, where it runs.
    pub holders: Vec<String>,
    /// Members where it may not run at present.
    pub banned: Vec<String>,
    /// Members whose return is too recent for a delayed failback.
    pub waiting: Vec<String>,
    /// An operator's preferred node.
    pub prefer: Option<Preference>,
    /// It was moved for reachability within the damping window.
    pub damped: bool,
    /// Nobody held it before.
    pub first: bool,
}

/// An operator's preferred node of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    /// Its name.
    pub node: String,
    /// The wish is still to be fulfilled.
    pub pending: bool,
    /// It ends when something moves the group on.
    pub once: bool,
}

/// How fit a node's instance is to be promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fitness {
    /// Which node.
    pub node: String,
    /// As the instance says: the higher the better.
    pub score: i16,
}

/// What an older node, which does not say, means.
fn yes() -> bool {
    true
}

/// One member of a group on the node that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// From the file.
    pub name: String,
    /// What the node does with it.
    pub state: GroupState,
}

/// What was rejected or lost since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Frames with a MAC that no accepted key makes.
    pub forged: u32,
    /// Frames that are not ours or do not decode.
    pub malformed: u32,
    /// Frames of an older sequence, or of a superseded life.
    pub replayed: u32,
    /// Authentic frames that echo nothing recent.
    pub stale: u32,
    /// Frames of a second machine with one identity.
    pub twin: u32,
    /// Serial bytes that belong to no valid frame.
    pub noise: u32,
    /// Heartbeats that could not be sent.
    pub unsent: u32,
}

/// `GET /v1/log?from=N`: a page of the node's log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// As many lines as fit; empty when there are no newer ones.
    pub lines: Vec<LogLine>,
    /// Ask again from here.
    pub next: u64,
}

/// One line of the node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts from 0 at boot; a gap means that lines were lost.
    pub seq: u64,
    /// Time since boot, in microseconds.
    pub at_us: u64,
    /// How bad it is.
    pub level: Level,
    /// What happened and why.
    pub text: String,
}

/// How bad a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Normal life.
    Info,
    /// Something to look at in the morning.
    Warn,
    /// Something to get up for; also a newer node's word.
    #[serde(other)]
    Alert,
}

/// `POST /v1/standby`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standby {
    /// Which node.
    pub node: String,
    /// True: give everything up and take nothing. False: be a member again.
    pub on: bool,
}

/// `POST /v1/move`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Which group.
    pub group: String,
    /// Where to.
    pub node: String,
    /// Only this time: the group does not prefer that node from now on. Left out when false:
    /// older nodes do not know it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub once: bool,
}

/// `POST /v1/maintenance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// True: start, stop and move nothing, and judge no failure. False: it is over.
    pub on: bool,
}

/// `POST /v1/manage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manage {
    /// Which group.
    pub group: String,
    /// True: act on it again. False: watch it only.
    pub on: bool,
}

/// `POST /v1/cleanup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// Whose fail counts to forget.
    pub group: String,
}

/// `POST /v1/drill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// How to break the node that answers.
    pub kind: DrillKind,
}

/// Ways to break a node on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillKind {
    /// KILL the main process of every service.
    ServiceKill,
    /// Panic the kernel.
    KernelPanic,
    /// Make the decision loop spin for ever.
    Pid1Stuck,
    /// Abort PID 1.
    Pid1Dies,
}

/// `POST /v1/halt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// What follows the orderly leave of the node that answers.
    pub kind: HaltKind,
}

/// What follows an orderly leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HaltKind {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
}

/// `POST /v1/file/adopt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// Of the file that every member has staged.
    pub hash: String,
}

/// The answer to a cluster file that the node can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// Its hash.
    pub hash: String,
    /// What differs from the running file, a line each; empty when it is that one.
    pub changes: Vec<String>,
    /// Whether it is staged there now, and can be adopted.
    pub staged: bool,
}

/// A file's hash as the API writes it.
#[must_use]
pub fn file(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The answer to a `POST` that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Nodes that will hear of it, the answering one included.
    pub nodes: u8,
    /// Nodes of the cluster file.
    pub of: u8,
    /// What would make the cluster forget it; empty when there is nothing to forget.
    pub forgotten_by: String,
    /// Why it is not done yet, and what happens instead; empty when nothing is in its way.
    #[serde(default)]
    pub warning: String,
    /// Nodes whose disks will keep it through a loss of power of all nodes: it is kept once
    /// their `disk` in the status is `kept`.
    #[serde(default)]
    pub kept_on: Vec<String>,
}

/// The answer to anything that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What was not done, and why.
    pub error: String,
    /// What to do next.
    pub hint: String,
}
