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
    /// The pair first; then twins, which have a LAN cable only.
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
    /// `ping` or `accept`.
    pub ping_decides: bool,
    /// Whether a ping group is configured.
    pub pings: bool,
    /// `auto` or `manual`.
    pub auto_failback: bool,
    /// Failures after which a group leaves a node.
    pub migration_threshold: u8,
    /// After which they are forgotten.
    pub failure_timeout: Duration,
    /// Of the hardware watchdog.
    pub watchdog: Duration,
    /// Of the serial line; `None` leaves the line out.
    pub baud: Option<u32>,
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
}

/// A cable. Its ends are named from the machine: out is what the machine sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wire {
    /// Between the two nodes; out is from the first.
    Crossover,
    /// The null-modem cable; out is from the first.
    Serial,
    /// From a machine to the switch.
    Lan(usize),
    /// From the gateway and client to the switch.
    Host,
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
    /// Random bytes on the serial line towards a node, as long as it lasts.
    Noise {
        /// Towards which of the pair.
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
    /// The helper that binds addresses takes this much longer.
    SlowNet(usize, Duration),
    /// It does not answer.
    DeadNet(usize),
    /// It refuses to bind: EADDRNOTAVAIL.
    RefusedNet(usize),
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
    /// Move the group to a node.
    Move(usize),
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
    /// Status, many times over: questions must not hurt.
    Ask,
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

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Crossover => f.write_str("crossover"),
            Wire::Serial => f.write_str("serial"),
            Wire::Lan(machine) => write!(f, "LAN cable of {}", Machine(*machine)),
            Wire::Host => f.write_str("LAN cable of client and gateway"),
        }
    }
}

/// A machine as stories call it.
#[derive(Clone, Copy, Debug)]
pub struct Machine(pub usize);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            pair @ (0 | 1) => write!(f, "node{}", pair + 1),
            twin => write!(f, "twin{}", twin - 1),
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
            Fault::NoExec(machine) => write!(f, "service on {} cannot be run", m(machine)),
            Fault::SlowNet(machine, late) => {
                write!(f, "net helper of {} is {late:?} slower", m(machine))
            }
            Fault::DeadNet(machine) => write!(f, "net helper of {} does not answer", m(machine)),
            Fault::RefusedNet(machine) => write!(f, "{} refuses to bind", m(machine)),
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
