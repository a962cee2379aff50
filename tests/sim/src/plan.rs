//! One run, written down: the cluster, its machines, the wires, and the schedule of faults.
//!
//! Owns shapes only. A plan and nothing else decides a run, bit for bit; scenarios make
//! plans from seeds, the shrinker takes faults out of them, the corpus keeps them as JSON.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::At;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Which scenario made it; its judge has the last word.
    pub scenario: String,
    /// Seeds every stream of luck.
    pub seed: u64,
    /// What the cluster file says.
    pub cluster: ClusterPlan,
    /// The nodes of the file in its order; then twins, which have a LAN cable only.
    pub machines: Vec<MachinePlan>,
    /// How wires are when nothing is wrong with them; the rest are clean.
    pub wires: Vec<(Wire, Quality)>,
    /// What goes wrong.
    pub episodes: Vec<Episode>,
    /// From here on nothing goes wrong any more, and the cluster must converge.
    pub healed: At,
    /// How long the run goes on after it converged; it must stay so.
    pub calm: Duration,
    /// How long the client asks one hardware address in vain before it asks for another;
    /// `None`: for ever, so that only announcements can move it.
    pub patience: Option<Duration>,
}

/// What the cluster file says, as far as scenarios vary it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterPlan {
    /// Named timings of the cluster file.
    pub profile: String,
    /// Nodes of the file.
    #[serde(default = "pair")]
    pub nodes: usize,
    /// Of these, so many at the end only vote.
    #[serde(default)]
    pub voters: usize,
    /// Votes of the nodes; those beyond its end have one.
    #[serde(default)]
    pub votes: Vec<u8>,
    /// What decides when nodes do not hear each other.
    #[serde(alias = "ping_decides", deserialize_with = "policy")]
    pub policy: Policy,
    /// Whether a ping group is configured.
    pub pings: bool,
    /// The groups; none stands for one that may run on every node.
    #[serde(default)]
    pub groups: Vec<GroupPlan>,
    /// One more group at the end, of a service alone, that runs on so many nodes at once; 0
    /// leaves it out.
    #[serde(default)]
    pub agents: u8,
    /// What they have to do with each other.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What each node can carry; none stands for everything.
    #[serde(default)]
    pub capacity: Option<u16>,
    /// At so many deaths, each at most so long after the one before, a node runs nothing more.
    #[serde(default)]
    pub quarantine: Option<(u8, Duration)>,
    /// `auto` or `manual`.
    pub auto_failback: bool,
    /// Failures after which a group leaves a node.
    pub migration_threshold: u8,
    /// After which they are forgotten.
    pub failure_timeout: Duration,
    /// Of the hardware watchdog.
    pub watchdog: Duration,
    /// Whether there is a network of the nodes' own: a cable for a pair, else a switch.
    #[serde(default = "yes")]
    pub private: bool,
    /// Of the serial lines; `None` leaves them out.
    pub baud: Option<u32>,
    /// Serial lines: each joins a node with the next one, the last with the first.
    #[serde(default = "one")]
    pub lines: usize,
    /// How long the witness grants nothing after its start.
    #[serde(default = "three_seconds")]
    pub hold_off: Duration,
    /// Every node has a state partition.
    #[serde(default)]
    pub disks: bool,
    /// How many millionths the witness's clock runs too fast.
    #[serde(default)]
    pub witness_ppm: i64,
}

/// What decides when nodes do not hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Nothing: every part serves.
    Accept,
    /// A ping group breaks the tie of a pair.
    Ping,
    /// A majority of votes.
    Quorum,
    /// And of two halves the one with the first node.
    QuorumFirst,
    /// And of two halves the one that the witness speaks for.
    Witness,
}

impl Policy {
    /// Whether it gives the means to decide who may serve, so that never two do.
    #[must_use]
    pub fn excludes(self) -> bool {
        matches!(self, Policy::Quorum | Policy::QuorumFirst | Policy::Witness)
    }
}

/// One group: a service and its VIP. Or the service runs on every node, and one instance is
/// promoted where the VIP is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// Nodes that may run it, most preferred first; none stands for all, in file order.
    pub prefer: Vec<usize>,
    /// It holds data.
    pub guarded: bool,
    /// Its service runs everywhere, and the group promotes an instance.
    #[serde(default)]
    pub promotable: bool,
    /// Of groups that cannot all run, the higher ones do.
    #[serde(default)]
    pub priority: i16,
    /// What it takes of a node's capacity.
    #[serde(default)]
    pub weight: u16,
    /// It returns home only so long after its home did.
    #[serde(default)]
    pub delay: Option<Duration>,
    /// What cannot be stopped stays where it is, instead of a reset of its node.
    #[serde(default)]
    pub block: bool,
}

/// Two groups that have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// The first runs only where the second does.
    Together(usize, usize),
    /// Never on one node.
    Apart(usize, usize),
    /// A common node is worth so much.
    Worth(usize, usize, i32),
    /// The second starts after the first.
    After {
        /// Comes first.
        first: usize,
        /// Comes after.
        then: usize,
        /// And does not outlast it.
        must: bool,
    },
}

impl Rule {
    /// The two groups.
    #[must_use]
    pub fn groups(&self) -> (usize, usize) {
        match *self {
            Rule::Together(one, other) | Rule::Apart(one, other) | Rule::Worth(one, other, _) => {
                (one, other)
            }
            Rule::After { first, then, .. } => (first, then),
        }
    }
}

impl ClusterPlan {
    /// Nodes that run groups.
    #[must_use]
    pub fn runners(&self) -> usize {
        self.nodes - self.voters
    }

    /// Services of the file: one for each group, and the agent.
    #[must_use]
    pub fn services(&self) -> usize {
        self.group_count() + usize::from(self.agents > 0)
    }

    /// Groups of the file that one node at a time holds.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len().max(1)
    }

    /// Nodes that may run a group, most preferred first.
    #[must_use]
    pub fn prefer(&self, group: usize) -> Vec<usize> {
        match self.groups.get(group) {
            Some(group) if !group.prefer.is_empty() => group.prefer.clone(),
            _ => (0..self.runners()).collect(),
        }
    }

    /// Whether a group holds data.
    #[must_use]
    pub fn guarded(&self, group: usize) -> bool {
        self.groups.get(group).is_some_and(|group| group.guarded)
    }

    /// Whether a group promotes an instance of its service.
    #[must_use]
    pub fn promotable(&self, group: usize) -> bool {
        self.groups.get(group).is_some_and(|group| group.promotable)
    }

    /// Votes of a node.
    #[must_use]
    pub fn votes(&self, node: usize) -> u32 {
        self.votes.get(node).map_or(1, |votes| u32::from(*votes))
    }

    /// Votes of all nodes.
    #[must_use]
    pub fn all_votes(&self) -> u32 {
        (0..self.nodes).map(|node| self.votes(node)).sum()
    }

    /// The serial lines, each by the two nodes that it joins.
    #[must_use]
    pub fn line_ends(&self) -> Vec<(usize, usize)> {
        let lines = match (self.baud, self.nodes) {
            (None, _) => 0,
            (_, 2) => self.lines.min(1),
            (_, nodes) => self.lines.min(nodes),
        };
        (0..lines).map(|n| (n, (n + 1) % self.nodes)).collect()
    }
}

fn pair() -> usize {
    2
}

fn one() -> usize {
    1
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

fn yes() -> bool {
    true
}

/// Plans of the time when there were only pairs said whether pings decide.
fn policy<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Policy, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Pings(bool),
        Policy(Policy),
    }
    Ok(match Said::deserialize(from)? {
        Said::Pings(true) => Policy::Ping,
        Said::Pings(false) => Policy::Accept,
        Said::Policy(policy) => policy,
    })
}

/// One machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MachinePlan {
    /// Which node of the file it is.
    pub node: usize,
    /// When its power comes on; `None`: only in the healed phase.
    pub power_on: Option<At>,
    /// From power or reset to PID 1.
    pub boot: Duration,
    /// What its boot clock shows when PID 1 starts.
    pub uptime: Duration,
    /// How many millionths its clock runs too fast.
    pub ppm: i64,
    /// Longest time between an event and PID 1 running.
    pub wake: Duration,
    /// From a plugged cable to carrier.
    pub negotiation: Duration,
    /// Whether its ports lose carrier while it resets.
    pub drops_link_on_reset: bool,
    /// Which cluster file it was given.
    pub file: File,
    /// From exec to a service that answers.
    pub startup: Duration,
}

/// Which cluster file a machine was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum File {
    /// The cluster's own.
    Same,
    /// One that differs in a detail.
    Changed,
    /// One with a longer deadtime, and so a longer lease.
    Slower,
    /// One in which the first group's service is another one.
    Remade,
    /// One that also accepts a new key.
    BothKeys,
    /// And signs with it.
    Turned,
    /// And accepts no other.
    NewKey,
}

/// A cable. Its ends are named from the machine: out is what the machine sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wire {
    /// Between the two nodes of a pair; out is from the first.
    Crossover,
    /// The null-modem cable of a pair; out is from the first.
    Serial,
    /// From a machine to the switch.
    Lan(usize),
    /// From the gateway and client to the switch.
    Host,
    /// From one of more than two nodes to the switch of their own.
    Private(usize),
    /// From one of more than two nodes to the next one's serial port.
    Line(usize),
    /// From the witness to the switch.
    Witness,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Away from the cable's first end.
    Out,
    /// Towards it.
    In,
    /// Both ways.
    Both,
}

/// On which networks something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// The LAN.
    Lan,
    /// The nodes' own network.
    Private,
    /// These, and serial lines.
    All,
    /// As all, but what is no heartbeat passes.
    Heartbeats,
}

/// Gateway and client, where machines are numbered.
pub(crate) const HOST: usize = 62;
/// The witness, where machines are numbered.
pub(crate) const WITNESS: usize = 63;

/// A set of machines, and of the other stations of the LAN, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part(pub u64);

impl Part {
    /// Gateway and client.
    pub const HOST: Part = Part(1 << HOST);
    /// The witness.
    pub const WITNESS: Part = Part(1 << WITNESS);

    /// Just this machine.
    #[must_use]
    pub fn only(machine: usize) -> Part {
        Part(1 << machine)
    }

    /// Whether a machine is in it.
    #[must_use]
    pub fn has(self, machine: usize) -> bool {
        self.0 & (1 << machine) != 0
    }

    /// Without this machine.
    #[must_use]
    pub fn without(self, machine: usize) -> Part {
        Part(self.0 & !(1 << machine))
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |machine| self.has(*machine))
    }
}

impl FromIterator<usize> for Part {
    fn from_iter<T: IntoIterator<Item = usize>>(machines: T) -> Part {
        Part(
            machines
                .into_iter()
                .fold(0, |set, machine| set | 1 << machine),
        )
    }
}

/// How a wire treats what is sent on it. Chances in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Vanishes.
    pub loss: u32,
    /// Arrives twice.
    pub duplicate: u32,
    /// Arrives with a few bits changed.
    pub corrupt: u32,
    /// Is overtaken by later ones.
    pub reorder: u32,
    /// Shortest time on the wire.
    pub delay: Duration,
    /// Longest is this much more.
    pub jitter: Duration,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Begins.
    pub from: At,
    /// Ends; what happens in one instant ignores it.
    pub until: At,
    /// What.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The cable is pulled: carrier drops at both ends.
    Cut(Wire),
    /// Carrier stays, but nothing passes this way.
    Mute(Wire, Way),
    /// The wire gets worse than it usually is.
    Rough(Wire, Quality),
    /// Carrier goes and comes with this period.
    Flap(Wire, Duration),
    /// The switch passes everything but heartbeats.
    EatHeartbeats,
    /// Nothing of these machines reaches those.
    Apart {
        /// These.
        these: Part,
        /// Those.
        those: Part,
        /// Out: nothing from these to those; in: nothing back.
        way: Way,
        /// Where.
        on: On,
    },
    /// The witness's host loses its power; it comes back at the end, with amnesia.
    WitnessDark,
    /// The witness's host stands still, and its clock.
    WitnessPause,
    /// The witness's host stands still, its clock does not.
    WitnessStall,
    /// Random bytes on a node's serial lines towards it, as long as it lasts.
    Noise {
        /// Towards which node.
        to: usize,
        /// Between two bursts.
        every: Duration,
    },
    /// Power is gone; it comes back at the end.
    PowerCut(usize),
    /// The kernel panics: reset after this long, during which nothing answers.
    Crash(usize, Duration),
    /// The hypervisor stops the machine and its clocks.
    Pause(usize),
    /// The machine stands still, its clocks do not.
    Stall(usize),
    /// PID 1 makes no progress; the kernel goes on.
    Stuck(usize),
    /// PID 1 is woken up to this much late.
    Sluggish(usize, Duration),
    /// Another host on the LAN answers for the VIP.
    Stranger,
    /// The service's main process dies, once.
    ServiceCrash(usize),
    /// The service accepts and never answers.
    ServiceHang(usize),
    /// The service ignores TERM.
    IgnoreTerm(usize),
    /// The service cannot be killed: it sleeps in the kernel.
    Unkillable(usize),
    /// The service cannot be executed.
    NoExec(usize),
    /// The hook that tells the service its role never ends.
    HookHang(usize),
    /// The helper that binds addresses takes this much longer.
    SlowNet(usize, Duration),
    /// It does not answer.
    DeadNet(usize),
    /// It refuses to bind: EADDRNOTAVAIL.
    RefusedNet(usize),
    /// Its disk answers nothing.
    HungDisk(usize),
    /// Recorded frames are sent again towards a node.
    Replay {
        /// Towards which machine.
        to: usize,
        /// Whose.
        what: Tape,
        /// Between two frames.
        every: Duration,
    },
    /// Frames of this cluster with a wrong key, towards a node.
    Forge {
        /// Towards which machine.
        to: usize,
        /// Between two frames.
        every: Duration,
    },
    /// Random bytes as Ethernet frames of our type, towards a node.
    Junk {
        /// Towards which machine.
        to: usize,
        /// Between two frames.
        every: Duration,
    },
    /// An operator asks something of a node, once.
    Operator(usize, Wish),
}

/// Which recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tape {
    /// The other nodes' of this life, already delivered.
    Peers,
    /// From before the receiver's, or the sender's, present life.
    EarlierLife,
    /// The receiver's own.
    Own,
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Move the first group to a node.
    Move(usize),
    /// Move any group, given first, to a node.
    MoveOf(usize, usize),
    /// Put a node on standby.
    Standby(usize),
    /// End a node's standby.
    Online(usize),
    /// The silent peer is dead.
    TakeoverAnyway,
    /// Forget the fail counts.
    Cleanup,
    /// Leave in order and power off.
    PowerOff,
    /// Leave in order and reboot.
    Reboot,
    /// Touch nothing, or that is over.
    Maintenance(bool),
    /// Look after a group, or only watch it.
    Manage(usize, bool),
    /// Status, many times over: questions must not hurt.
    Ask,
    /// Keep this cluster file, to be run next.
    Stage(File),
    /// Run this cluster file.
    Adopt(File),
}

impl Plan {
    /// The cluster files of this run.
    pub(crate) fn files(&self) -> impl Iterator<Item = File> + '_ {
        let machines = self.machines.iter().map(|machine| machine.file);
        let wished = self
            .episodes
            .iter()
            .filter_map(|episode| match episode.fault {
                Fault::Operator(_, Wish::Stage(file) | Wish::Adopt(file)) => Some(file),
                _ => None,
            });
        [File::Same].into_iter().chain(machines).chain(wished)
    }

    /// Whether operators ask for another cluster file.
    pub(crate) fn reloads(&self) -> bool {
        let wished =
            |episode: &Episode| matches!(episode.fault, Fault::Operator(_, Wish::Adopt(_)));
        self.episodes.iter().any(wished)
    }
}

impl Fault {
    /// Whether it happens in one instant.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        matches!(
            self,
            Fault::Crash(..) | Fault::ServiceCrash(_) | Fault::Operator(..)
        )
    }
}

impl Fault {
    /// Whether it names a machine, other than as one of those that are apart.
    #[must_use]
    pub fn is_about(&self, machine: usize) -> bool {
        let ends = |wire: &Wire| match wire {
            Wire::Lan(at) | Wire::Private(at) | Wire::Line(at) => *at == machine,
            Wire::Crossover | Wire::Serial | Wire::Host | Wire::Witness => false,
        };
        match self {
            Fault::Cut(wire)
            | Fault::Mute(wire, _)
            | Fault::Rough(wire, _)
            | Fault::Flap(wire, _) => ends(wire),
            Fault::PowerCut(at)
            | Fault::Crash(at, _)
            | Fault::Pause(at)
            | Fault::Stall(at)
            | Fault::Stuck(at)
            | Fault::Sluggish(at, _)
            | Fault::ServiceCrash(at)
            | Fault::ServiceHang(at)
            | Fault::IgnoreTerm(at)
            | Fault::Unkillable(at)
            | Fault::NoExec(at)
            | Fault::HookHang(at)
            | Fault::SlowNet(at, _)
            | Fault::DeadNet(at)
            | Fault::RefusedNet(at)
            | Fault::HungDisk(at)
            | Fault::Noise { to: at, .. }
            | Fault::Replay { to: at, .. }
            | Fault::Forge { to: at, .. }
            | Fault::Junk { to: at, .. } => *at == machine,
            Fault::Operator(at, wish) => {
                let of = match wish {
                    Wish::Move(to) | Wish::MoveOf(_, to) | Wish::Standby(to) | Wish::Online(to) => {
                        Some(*to)
                    }
                    _ => None,
                };
                *at == machine || of == Some(machine)
            }
            Fault::EatHeartbeats
            | Fault::Apart { .. }
            | Fault::WitnessDark
            | Fault::WitnessPause
            | Fault::WitnessStall
            | Fault::Stranger => false,
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Crossover => f.write_str("crossover"),
            Wire::Serial => f.write_str("serial"),
            Wire::Lan(machine) => write!(f, "LAN cable of {}", Machine(*machine)),
            Wire::Host => f.write_str("LAN cable of client and gateway"),
            Wire::Private(machine) => write!(f, "private cable of {}", Machine(*machine)),
            Wire::Line(node) => write!(f, "serial line from {} to the next", Machine(*node)),
            Wire::Witness => f.write_str("LAN cable of the witness"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, machine) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", Machine(machine))?;
        }
        Ok(())
    }
}

/// A machine as stories call it; a twin counts on after the nodes.
#[derive(Clone, Copy, Debug)]
pub struct Machine(pub usize);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            HOST => f.write_str("client and gateway"),
            WITNESS => f.write_str("witness"),
            machine => write!(f, "node{}", machine + 1),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = |machine: &usize| Machine(*machine);
        match self {
            Fault::Cut(wire) => write!(f, "{wire} pulled"),
            Fault::Mute(wire, Way::Both) => write!(f, "nothing passes on {wire}"),
            Fault::Mute(wire, way) => write!(f, "nothing passes {way:?} on {wire}"),
            Fault::Rough(wire, q) => write!(
                f,
                "{wire} is rough (loss {}, dup {}, corrupt {}, reorder {} of 1000; {:?} + {:?})",
                q.loss, q.duplicate, q.corrupt, q.reorder, q.delay, q.jitter
            ),
            Fault::Flap(wire, period) => write!(f, "carrier of {wire} flaps every {period:?}"),
            Fault::EatHeartbeats => f.write_str("the switch eats heartbeats"),
            Fault::Apart {
                these,
                those,
                way,
                on,
            } => {
                let arrow = match way {
                    Way::Out => "->",
                    Way::In => "<-",
                    Way::Both => "<->",
                };
                let (what, on) = match on {
                    On::Lan => ("nothing", " on the LAN"),
                    On::Private => ("nothing", " on the private network"),
                    On::All => ("nothing", ""),
                    On::Heartbeats => ("no heartbeat", ""),
                };
                write!(f, "{what} passes {these} {arrow} {those}{on}")
            }
            Fault::WitnessDark => f.write_str("power of the witness cut"),
            Fault::WitnessPause => f.write_str("the witness paused, its clock too"),
            Fault::WitnessStall => f.write_str("the witness stalled, its clock runs"),
            Fault::Noise { to, every } => {
                write!(f, "noise on serial towards {} every {every:?}", m(to))
            }
            Fault::PowerCut(machine) => write!(f, "power of {} cut", m(machine)),
            Fault::Crash(machine, wait) => {
                write!(f, "{} panics, resets after {wait:?}", m(machine))
            }
            Fault::Pause(machine) => write!(f, "{} paused, clocks too", m(machine)),
            Fault::Stall(machine) => write!(f, "{} stalled, clocks run", m(machine)),
            Fault::Stuck(machine) => write!(f, "PID 1 of {} stuck", m(machine)),
            Fault::Sluggish(machine, late) => {
                write!(f, "PID 1 of {} woken up to {late:?} late", m(machine))
            }
            Fault::Stranger => f.write_str("a stranger answers for the VIP"),
            Fault::ServiceCrash(machine) => write!(f, "service on {} crashes", m(machine)),
            Fault::ServiceHang(machine) => write!(f, "service on {} hangs", m(machine)),
            Fault::IgnoreTerm(machine) => write!(f, "service on {} ignores TERM", m(machine)),
            Fault::Unkillable(machine) => write!(f, "service on {} cannot be killed", m(machine)),
            Fault::HookHang(machine) => write!(f, "hooks on {} hang", m(machine)),
            Fault::NoExec(machine) => write!(f, "service on {} cannot be run", m(machine)),
            Fault::SlowNet(machine, late) => {
                write!(f, "net helper of {} is {late:?} slower", m(machine))
            }
            Fault::DeadNet(machine) => write!(f, "net helper of {} does not answer", m(machine)),
            Fault::RefusedNet(machine) => write!(f, "{} refuses to bind", m(machine)),
            Fault::HungDisk(machine) => write!(f, "the disk of {} hangs", m(machine)),
            Fault::Replay { to, what, every } => {
                write!(
                    f,
                    "replay of {what:?} frames towards {} every {every:?}",
                    m(to)
                )
            }
            Fault::Forge { to, every } => {
                write!(f, "forged frames towards {} every {every:?}", m(to))
            }
            Fault::Junk { to, every } => {
                write!(f, "junk frames towards {} every {every:?}", m(to))
            }
            Fault::Operator(machine, wish) => {
                write!(f, "operator at {}: {wish:?}", m(machine))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_the_time_of_pairs_still_loads() {
        let old = serde_json::json!({
            "profile": "default",
            "ping_decides": true,
            "pings": true,
            "auto_failback": false,
            "migration_threshold": 3,
            "failure_timeout": { "secs": 20, "nanos": 0 },
            "watchdog": { "secs": 2, "nanos": 0 },
            "baud": 115_200,
        });
        let plan: ClusterPlan = serde_json::from_value(old).expect("a plan");
        assert_eq!((plan.nodes, plan.policy), (2, Policy::Ping));
        assert_eq!(plan.line_ends(), [(0, 1)]);
        let again = serde_json::to_value(&plan).expect("JSON");
        let again: ClusterPlan = serde_json::from_value(again).expect("a plan");
        assert_eq!(again.policy, Policy::Ping);
    }

    #[test]
    fn parts_are_told_by_name() {
        let part: Part = [0, 2].into_iter().collect();
        assert_eq!(part.to_string(), "node1,node3");
        assert_eq!(Part::WITNESS.to_string(), "witness");
    }
}
