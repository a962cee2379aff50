//! The cluster as the rest of the product knows it: checked, complete, in file order.
//!
//! Owns shapes and identity (which node is this machine, which file is this).
//! A value of [`Cluster`] exists only for a file without errors. Everything that is
//! serialized here enters [`Cluster::file_hash`], and so do the secrets; places in the file do not.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use kodo_engine::Key;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::diagnostic::Diagnostic;

pub use crate::net::{Cidr, Mac, PciAddress};

/// A cluster file without errors.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// The cluster's name.
    pub name: String,
    /// Keys accepted on heartbeats, the first signs; one or two. Never shown.
    #[serde(skip)]
    pub keys: Vec<Key>,
    /// The clock of the protocol.
    pub timing: Timing,
    /// Who decides when the nodes do not hear each other.
    pub split_brain: SplitBrain,
    /// Which of two halves decides, with [`SplitBrain::Quorum`].
    pub even_split: EvenSplit,
    /// Who breaks ties, exactly with [`SplitBrain::Witness`].
    pub witness: Option<Witness>,
    /// When a node that dies again and again is no longer given anything.
    pub quarantine: Option<Quarantine>,
    /// Addresses whose answers prove that this side reaches the public network.
    pub ping: Vec<IpAddr>,
    /// Whether operators may break nodes on purpose.
    pub drills: bool,
    /// The operators' API; `None` leaves it out.
    pub admin: Option<Admin>,
    /// The hardware watchdog.
    pub watchdog: Watchdog,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All services.
    pub services: Vec<Service>,
    /// All virtual addresses.
    pub vips: Vec<Vip>,
    /// All groups.
    pub groups: Vec<Group>,
    /// Which groups belong together, or apart.
    pub colocations: Vec<Colocation>,
    /// Which groups need others to run first.
    pub orders: Vec<Order>,
    /// All heartbeat paths: crossovers, then LANs, then serial lines.
    pub paths: Vec<Path>,
    /// Warnings and notes; `kodo check` prints them.
    #[serde(skip)]
    pub notes: Vec<Diagnostic>,
}

/// The clock of the protocol, complete. See `explain timing` for what each bound means.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Where the defaults came from.
    #[serde(skip)]
    pub profile: Profile,
    /// Interval between heartbeats on a path.
    pub keepalive: Duration,
    /// Silence after which a peer is late.
    pub warntime: Duration,
    /// Silence after which a peer is dead.
    pub deadtime: Duration,
    /// How long a fresh node waits for the others before it may decide without them.
    pub initdead: Duration,
    /// How long `initdead` may wait for carrier.
    pub linkwait: Duration,
    /// How long a holder may hold without proof of being heard.
    pub lease: Duration,
    /// How long releasing a VIP may take once the lease ended.
    pub release: Duration,
    /// Which of them the file wrote itself.
    #[serde(skip)]
    pub written: Written,
}

/// Which timings the file wrote itself; the others follow from the profile or from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `keepalive`
    pub keepalive: bool,
    /// `warntime`
    pub warntime: bool,
    /// `deadtime`
    pub deadtime: bool,
    /// `initdead`
    pub initdead: bool,
    /// `linkwait`
    pub linkwait: bool,
    /// `lease`
    pub lease: bool,
    /// `release`
    pub release: bool,
}

/// A named set of timings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Profile {
    /// For machines on a quiet network: 100 ms and 500 ms.
    Default,
    /// For virtual machines on a busy host: 250 ms and 2 s.
    Lab,
    /// For hardware that was measured to keep it: 40 ms and 200 ms.
    Fast,
}

/// Who decides when the nodes do not hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SplitBrain {
    /// Nobody; two owners are possible, and accepted.
    Accept,
    /// The node of a pair that reaches the ping group.
    Ping,
    /// The part with more than half of all votes.
    Quorum,
    /// The part with more than half of all votes, or with half of them and the witness.
    Witness,
}

/// Which of two parts with half of all votes each decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EvenSplit {
    /// Neither.
    None,
    /// The one with the first node of the file.
    First,
}

/// When a node that dies again and again is no longer given anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantine {
    /// At so many deaths.
    pub exits: u8,
    /// Each at most so long after the one before.
    pub window: Duration,
}

/// A program on another host that speaks for at most one half of the cluster at a time.
#[derive(Clone, Debug, Serialize)]
pub struct Witness {
    /// Where it listens.
    pub address: IpAddr,
    /// Its UDP port.
    pub port: u16,
    /// Signs questions and answers. Never shown.
    #[serde(skip)]
    pub key: Key,
}

/// The operators' API.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    /// TCP port on every static LAN address.
    pub port: u16,
    /// Who may use it.
    #[serde(skip)]
    pub tokens: Vec<Token>,
}

/// An operator's token, as the node knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, for the log.
    pub name: String,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The hardware watchdog.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Watchdog {
    /// Asked of the driver, whole seconds; what it granted is read back at boot.
    pub timeout: Duration,
    /// Whether the kernel's software watchdog may stand in for a missing one.
    pub softdog: bool,
}

/// The worst release of a guarded group: a node that missed its deadline feeds its watchdog
/// once more at most, and is reset.
pub(crate) fn guard(timing: &Timing, watchdog: &Watchdog) -> Duration {
    timing.release + timing.keepalive + watchdog.timeout
}

/// One machine.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What its word weighs.
    pub votes: u8,
    /// It votes and runs nothing.
    pub voter: bool,
    /// How much it carries, in the units of [`Group::weight`]; `u16::MAX` is no limit.
    pub capacity: u16,
    /// Name of the partition that keeps operators' wishes through a loss of power.
    pub state_partition: Option<String>,
    /// Its network ports, in file order.
    pub nics: Vec<Nic>,
    /// Its serial heartbeat lines, in file order.
    pub serial: Vec<Serial>,
}

/// One network port.
#[derive(Clone, Debug, Serialize)]
pub struct Nic {
    /// What it is for.
    pub role: Role,
    /// How it is found.
    pub id: NicId,
    /// Its static addresses.
    pub addresses: Vec<Cidr>,
    /// Its default gateways, at most one of each family.
    pub gateways: Vec<IpAddr>,
}

/// What a network port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Role {
    /// The public network: clients, VIPs, operators, and heartbeats too.
    Lan,
    /// A cable to the other node, or a switch between the nodes: heartbeats.
    Crossover,
}

impl Role {
    /// As the file writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Crossover => "crossover",
        }
    }
}

/// How a network port is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum NicId {
    /// By its hardware address.
    Mac(Mac),
    /// By its place on the PCI bus.
    Pci(PciAddress),
    /// The n-th Ethernet port that appears, from 1; for labs.
    Order(u8),
}

impl fmt::Display for NicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "{mac}"),
            Self::Pci(PciAddress(pci)) => write!(f, "PCI {pci}"),
            Self::Order(n) => write!(f, "port number {n}"),
        }
    }
}

/// A serial heartbeat line.
#[derive(Clone, Debug, Serialize)]
pub struct Serial {
    /// Its name under `/dev`: `ttyS1`.
    pub device: String,
    /// Bits per second; 8N1.
    pub baud: u32,
}

/// A service process.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What runs.
    pub kind: ServiceKind,
    /// TCP port on which it serves HTTP.
    pub port: u16,
    /// Directory of files, relative to the cluster file; the image carries a copy.
    pub files: Option<Spanned<String>>,
    /// Its instances have two roles: one of them can be promoted.
    pub promotable: bool,
    /// What all its processes together may take.
    pub bounds: Bounds,
    /// What asks it to end.
    pub stop_signal: StopSignal,
    /// How its health is asked.
    pub probe: Probe,
    /// A start that is not ready after this has failed.
    pub start_timeout: Duration,
    /// From [`Service::stop_signal`] to KILL.
    pub stop_timeout: Duration,
    /// Shortest wait before a restart in place.
    pub backoff_min: Duration,
    /// Longest wait before a restart in place.
    pub backoff_max: Duration,
}

/// What the processes of a service together may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Bytes of memory, files in memory included; otherwise what all services share.
    pub memory: Option<u64>,
    /// Processes and threads: a fork bomb ends here.
    pub pids: u32,
    /// Percent of one processor; otherwise as much as is free.
    pub cpu: Option<u32>,
}

/// What asks a service to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM, which most programs know.
    #[default]
    Term,
    /// SIGINT
    Int,
    /// SIGQUIT: nginx and PHP-FPM answer what they have begun.
    Quit,
    /// SIGHUP
    Hup,
    /// SIGUSR1: HAProxy answers what it has begun.
    Usr1,
    /// SIGUSR2
    Usr2,
    /// SIGWINCH: Apache httpd answers what it has begun.
    Winch,
}

impl StopSignal {
    /// As the file writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
        }
    }
}

/// What a service runs.
#[derive(Clone, Debug, Serialize)]
pub enum ServiceKind {
    /// The web server that is part of the image.
    Builtin,
    /// A program in a root directory of its own: `/srv/NAME` of the image.
    Root(Box<Root>),
}

/// A service's own root directory: where it comes from, and what is started in it. What
/// the file and its recipe leave open, the image knows (see [`crate::start`]).
#[derive(Clone, Debug, Serialize)]
pub struct Root {
    /// Where it comes from.
    pub origin: Spanned<Origin>,
    /// The recipe that was followed: its `overlay` goes into the root. What it says is in
    /// the other fields.
    #[serde(skip)]
    pub recipe: Option<Recipe>,
    /// Patterns of files that are kept beside what is started: absolute, `*` within one
    /// name, `**` across directories.
    pub keep: Vec<String>,
    /// Where in the root [`Service::files`] goes.
    pub files_at: Option<String>,
    /// Links beside them, and where they lead: what Debian's `update-alternatives` would make.
    pub links: BTreeMap<String, String>,
    /// The OCF resource agent that runs it; then [`Root::command`] is the agent's program.
    pub agent: Option<Agent>,
    /// Absolute path in the root of what is started.
    pub command: Option<String>,
    /// Its arguments, without the zeroth.
    pub arguments: Option<Vec<String>>,
    /// Its environment, beside what every service is told.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub directory: Option<String>,
    /// Where in the root it may write: memory, empty at each start.
    pub writable: Vec<String>,
    /// Who it is; otherwise a user of its own.
    pub user: Option<User>,
}

/// An OCF resource agent (Open Cluster Framework, resource agent API 1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Who made it: a directory below [`Agent::ROOT`].
    pub provider: String,
    /// Its program there.
    pub kind: String,
    /// Told to it as `OCF_RESKEY_` variables.
    pub parameters: BTreeMap<String, String>,
}

impl Agent {
    /// Where agents are in every root.
    pub const ROOT: &'static str = "/usr/lib/ocf/resource.d";
    /// Where agents keep their state: memory, empty at each start.
    pub const STATE: &'static str = "/run/resource-agents";
    /// Where the node's own program is put in the root: it runs the agent.
    pub const RUNNER: &'static str = "/usr/lib/kodo/ocf";
    /// Further names of that program in the root, by which agents say how fit they are to be
    /// promoted.
    pub const SCORE: [&'static str; 2] = ["/usr/sbin/crm_attribute", "/usr/sbin/crm_master"];

    /// Its program's path in the root.
    #[must_use]
    pub fn program(&self) -> String {
        format!("{}/{}/{}", Self::ROOT, self.provider, self.kind)
    }
}

/// Where a service's root comes from. Paths are relative to the cluster file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// A program of the build host, and the libraries that it needs.
    Program(String),
    /// Debian packages, and what they depend on; reduced to what is started and kept.
    Debian(Vec<String>),
    /// A container image: an OCI layout or a docker archive in one tar file, whole.
    Oci(String),
}

/// A recipe that a service follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One of [`crate::recipe::READY`].
    Ready(String),
    /// A directory, relative to the cluster file.
    Directory(String),
}

/// Who a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name in the root's `/etc/passwd`.
    Name(String),
}

/// How a service's health is asked, at its own port; an OCF agent is asked instead of it.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From one request to the next.
    pub interval: Duration,
    /// An answer that takes longer is none.
    pub timeout: Duration,
    /// Good answers in a row after which it is well.
    pub rise: u8,
    /// Bad answers in a row after which it has failed.
    pub fall: u8,
}

/// What a service is asked for its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ProbeKind {
    /// Whether it takes a connection.
    Tcp,
    /// For a page, by an HTTP GET.
    Http {
        /// Path of the request.
        path: String,
        /// The only status that is right; otherwise all below 400 are.
        status: Option<u16>,
        /// What the page must hold.
        body: Option<String>,
    },
}

/// A virtual address.
#[derive(Clone, Debug, Serialize)]
pub struct Vip {
    /// Its name.
    pub name: String,
    /// The address, and its LAN's prefix.
    pub address: Cidr,
    /// Which LAN carries it: the n-th `lan` port of every node, from 0.
    pub lan: usize,
}

/// An ordered set of resources that runs on one node, or as a clone on several.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// It holds data: all of it is exclusive, not just its VIPs.
    pub guarded: bool,
    /// In start order.
    pub members: Vec<Member>,
    /// Positions of the nodes that it prefers, the best first; on others it never runs.
    pub prefer: Vec<usize>,
    /// What else is said of single nodes, in their order.
    pub locations: Vec<Location>,
    /// Of two groups that cannot both run, the one with the higher priority does.
    pub priority: i16,
    /// How much of a node's capacity it takes.
    pub weight: u16,
    /// On how many nodes it runs at once, if it is a clone.
    pub clones: Option<u8>,
    /// Position of the clone of which it promotes an instance; that is its first member.
    pub promotes: Option<usize>,
    /// How much better another node must be before it moves there by itself.
    pub stickiness: i32,
    /// What happens when a more preferred node returns.
    pub failback: Failback,
    /// Failures on one node after which the group leaves it.
    pub migration_threshold: u8,
    /// Time without a failure after which the count is forgotten.
    pub failure_timeout: Duration,
    /// Which nodes are too ill for it.
    pub health: HealthRule,
    /// A failed start bans the node at once; otherwise it is one failure more.
    pub start_failure_is_fatal: bool,
    /// What happens when a stop fails.
    pub on_stop_failure: OnStopFailure,
}

/// Which nodes are too ill for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HealthRule {
    /// None.
    None,
    /// Red ones.
    MigrateOnRed,
    /// Red and yellow ones.
    OnlyGreen,
}

/// What happens when something of a group cannot be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OnStopFailure {
    /// The node resets itself.
    Fence,
    /// The group stays where it is, untouched, until an operator has looked.
    Block,
}

/// A member of a group, by its position among its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Member {
    /// In [`Cluster::services`].
    Service(usize),
    /// In [`Cluster::vips`].
    Vip(usize),
}

/// When a group returns to a more preferred node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Failback {
    /// As soon as that node is healthy.
    Auto,
    /// Once that node has been healthy for so long.
    Delayed(Duration),
    /// When an operator moves it.
    Manual,
}

/// What is said of one node for one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Position of the node.
    pub node: usize,
    /// What it is worth.
    pub worth: Worth,
}

/// What a node is worth to a group, beside its rank in [`Group::prefer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Worth {
    /// The group never runs there.
    Never,
    /// So much more, or less.
    Score(i32),
}

/// Two groups on one node, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Colocation {
    /// Position of the group that follows.
    pub group: usize,
    /// Position of the group that it follows.
    pub with: usize,
    /// How strongly.
    pub bond: Bond,
}

/// How strongly one group wants another one on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Bond {
    /// It runs nowhere else.
    Must,
    /// Never on one node.
    Never,
    /// A common node is worth so much more, or less.
    Score(i32),
}

/// One group needs another one to run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Position of the group that starts first and stops last.
    pub first: usize,
    /// Position of the group that starts when that one runs.
    pub then: usize,
    /// It stops when `first` stops. Otherwise only starts that fall together are ordered.
    pub must: bool,
}

/// A heartbeat path: one cable, or one network.
#[derive(Clone, Debug, Serialize)]
pub struct Path {
    /// As the operator knows it: `crossover`, `lan2`, `serial`, `serial-node1-node3`.
    pub name: String,
    /// What it is.
    pub kind: PathKind,
    /// Which of its kind, from 0; of serial lines, which between its two nodes.
    pub index: usize,
    /// The nodes on it, in file order.
    pub ends: Vec<End>,
    /// Interval between heartbeats on it.
    pub keepalive: Duration,
    /// Largest heartbeat in bytes that it carries.
    pub budget: usize,
    /// Whether clients reach VIPs on it.
    pub public: bool,
}

/// One node's end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Position of the node.
    pub node: usize,
    /// Position among the node's ports, or among its serial lines.
    pub port: usize,
}

/// Bits on a serial line of a heartbeat of so many bytes: its framing, and start, eight
/// data bits and stop for each byte.
pub(crate) fn serial_bits(bytes: usize) -> u64 {
    u64::try_from(kodo_netstack::serial::wire_len(bytes)).map_or(u64::MAX, |bytes| bytes * 10)
}

/// What a heartbeat path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PathKind {
    /// A crossover cable, or a network that is nobody else's.
    Crossover,
    /// The public network.
    Lan,
    /// A null-modem cable.
    Serial,
}

/// Why a machine cannot tell which node it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// None of its hardware addresses is in the file.
    Unknown,
    /// They belong to different nodes of the file.
    Ambiguous {
        /// Two of those nodes.
        nodes: [String; 2],
    },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "none of this machine's hardware addresses is in the cluster file; \
                 correct `mac` there, or boot with kodo.node=NAME",
            ),
            Self::Ambiguous { nodes: [a, b] } => write!(
                f,
                "this machine has hardware addresses of both {a} and {b}; \
                 correct `mac` in the cluster file, or boot with kodo.node=NAME"
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

impl Group {
    /// Whether the file lets the node at a position run it.
    #[must_use]
    pub fn may_run(&self, node: usize) -> bool {
        let never = Location {
            node,
            worth: Worth::Never,
        };
        self.prefer.contains(&node) && !self.locations.contains(&never)
    }
}

impl Cluster {
    /// Position of the node of this name.
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Position of the node that owns one of these hardware addresses.
    ///
    /// # Errors
    /// When no node owns one, or two nodes do.
    pub fn node_by_mac(&self, macs: &[Mac]) -> Result<usize, IdentityError> {
        let owns = |node: &Node| {
            node.nics
                .iter()
                .any(|nic| matches!(nic.id, NicId::Mac(mac) if macs.contains(&mac)))
        };
        let mut found = self.nodes.iter().enumerate().filter(|(_, node)| owns(node));
        match (found.next(), found.next()) {
            (None, _) => Err(IdentityError::Unknown),
            (Some((position, _)), None) => Ok(position),
            (Some((_, a)), Some((_, b))) => Err(IdentityError::Ambiguous {
                nodes: [a.name.clone(), b.name.clone()],
            }),
        }
    }

    /// Ports of a node with this role, each with its position among all of the node's.
    pub fn ports(node: &Node, role: Role) -> impl Iterator<Item = (usize, &Nic)> {
        node.nics
            .iter()
            .enumerate()
            .filter(move |(_, nic)| nic.role == role)
    }

    /// The nodes that run groups.
    pub fn runners(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.voter)
    }

    /// All votes together.
    #[must_use]
    pub fn votes(&self) -> u32 {
        self.nodes.iter().map(|node| u32::from(node.votes)).sum()
    }

    /// Hash of everything that all nodes must agree on, secrets included: equal for two files
    /// that mean the same, whatever their comments, or where their secrets are written.
    #[must_use]
    pub fn file_hash(&self) -> u64 {
        // A key is 256 random bits, a token is known by its digest: 64 bits of a digest over
        // them tell nothing of either.
        let mut digest = Sha256::new()
            .chain_update(b"kodo cluster file 2\0")
            .chain_update(encoded(self));
        let witness = self.witness.iter().map(|witness| &witness.key);
        for key in self.keys.iter().chain(witness) {
            digest.update(b"key");
            digest.update(key.0);
        }
        for token in self.admin.iter().flat_map(|admin| &admin.tokens) {
            digest.update(b"token");
            digest.update(token.name.as_bytes());
            digest.update(token.sha256);
        }
        let digest = digest.finalize();
        u64::from_be_bytes(first(&digest))
    }

    /// Hash of the cluster's name: heartbeats of another cluster are not ours.
    #[must_use]
    pub fn cluster_id(&self) -> u32 {
        Cluster::id_of(&self.name)
    }

    /// The same of any cluster of this name: how a witness finds the key of a question.
    #[must_use]
    pub fn id_of(name: &str) -> u32 {
        let digest = Sha256::new()
            .chain_update(b"kodo cluster\0")
            .chain_update(name)
            .finalize();
        u32::from_be_bytes(first(&digest))
    }
}

impl Service {
    /// A hash of what only a restart of it changes.
    pub(crate) fn make(&self) -> u32 {
        let files = self.files.as_ref().map(Spanned::get_ref);
        make(&(&self.kind, self.port, files, self.promotable))
    }
}

impl Vip {
    /// A hash of what it is, apart from its name.
    pub(crate) fn make(&self) -> u32 {
        make(&(&self.address, self.lan))
    }
}

fn make(of: &impl Serialize) -> u32 {
    u32::from_be_bytes(first(&Sha256::digest(encoded(of))))
}

fn encoded(of: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(of).unwrap_or_else(|error| unreachable!("plain data encodes: {error}"))
}

/// The first bytes of a digest.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    core::array::from_fn(|i| digest[i])
}
