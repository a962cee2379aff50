//! What a node takes in and gives out: the whole of its contact with the world.
//!
//! Owns the vocabulary between the deciding code and whoever performs its effects
//! (PID 1 for real, the simulator in tests). Everything here is bounded and plain.

use heapless::{String, Vec};
use kodo_engine::surface::{Command, Fatal, Health, Level, Reason, Refusal};
use kodo_engine::table::Block;
use kodo_engine::{NodeSet, Now};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::limits;
use crate::status::Status;
use crate::switch::Unfit;

/// A network port of this node, by its position in the cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port(pub u8);

/// A serial heartbeat line of this node, by its position in the cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line(pub u8);

/// A service, by its position in the cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceId(pub u8);

/// Joins a request with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub u32);

/// One thing that happened. Given to `Node::handle` with the time it happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A whole Ethernet frame arrived on a port.
    Packet(Port, &'a [u8]),
    /// Bytes arrived on a serial line.
    Serial(Line, &'a [u8]),
    /// A port exists and can send; its hardware address.
    PortReady(Port, [u8; 6]),
    /// A port went away (driver unloaded, device reset).
    PortGone(Port),
    /// Carrier came or went.
    Carrier(Port, bool),
    /// A serial line is open, or was closed.
    LineReady(Line, bool),
    /// A privileged helper answered [`Output::Act`].
    Done(Token, Result<(), ActError>),
    /// The main process of a service ended, by itself or after a signal.
    Exited(ServiceId, Exit),
    /// A probe child answered [`Output::Probe`]: the service is well and so fit to be
    /// promoted (0 when it says nothing of that), or it is not well and why.
    Probed(Token, Result<i16, ProbeError>),
    /// The admin child relays an operator's wish. The node answers with [`Output::Reply`].
    Operator(Token, Request),
    /// A new cluster file, seated by [`Config::seat`] after the running one, to be kept until
    /// operators adopt it. The node answers with [`Output::Staged`].
    Stage(Token, &'a Config),
    /// The hardware watchdog is open; the timeout that the driver granted.
    Watchdog {
        /// How long after the last feeding it resets the machine.
        granted: Now,
        /// The driver's own name for it.
        name: &'a str,
    },
    /// How well this machine is, as somebody has just read it; to be told again in time.
    Health(Health),
    /// The state partition was found: what its two slots hold.
    StateFound([&'a [u8]; 2]),
    /// What became of [`Output::Persist`] with this serial number: it is on disk, or the
    /// kernel's errno.
    StateWritten(u64, Result<(), i32>),
    /// The state partition went away, or the helper that writes to it died.
    StateGone,
    /// Whether the kernel's gate is on every public port, where [`Output::Gate`] moves it.
    Gate(bool),
    /// A privileged helper died; its name.
    HelperLost(&'a str),
    /// Something for the log that PID 1 or a helper noticed: a driver, a boot milestone,
    /// the reason of the last reset. Changes nothing else.
    Note(Level, &'a str),
    /// Nothing happened but time.
    Timer,
    /// The machine was asked to stop (power button, signal): leave in order first.
    PowerButton,
}

/// One thing to do. Drained through `Node::poll` after every input.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "no allocation; one lives at a time"
)]
pub enum Output {
    /// Send a whole Ethernet frame.
    Packet(Port, Vec<u8, { limits::PACKET }>),
    /// Write bytes to a serial line.
    Serial(Line, Vec<u8, { limits::SERIAL }>),
    /// Ask a privileged helper; it must answer with [`Input::Done`].
    Act(Token, Action),
    /// Ask the probe child; it must answer with [`Input::Probed`].
    Probe(Token, ServiceId),
    /// Answer an operator.
    Reply(Token, Reply),
    /// To [`Input::Stage`]: the file is kept, by its hash, or why it is not.
    Staged(Token, Result<u64, Unfit>),
    /// From here on the staged cluster file of this hash is the one that runs: what is asked
    /// for next means its services and VIPs.
    Adopted(u64),
    /// Let the kernel's gate pass a VIP until then, and no longer.
    Gate(core::net::IpAddr, Now),
    /// Write this table to the state partition, into the slot that its serial number's
    /// lowest bit names, and answer with [`Input::StateWritten`] once it is on disk.
    Persist(u64, Block),
    /// Feed the hardware watchdog.
    FeedWatchdog,
    /// Stop everything at once and reset the machine.
    Reset(Fatal),
    /// Everything is down in order: power off or reboot.
    Halt(Halt),
    /// One line for the console and the ring.
    Log(LogLine),
    /// Break this node on purpose; only with `drills = true`.
    Drill(Drill),
}

/// What only a privileged helper may do. Each is idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Bind a VIP (prefix /32 or /128, no DAD) to a port.
    AddAddress(Port, core::net::IpAddr),
    /// Remove a VIP from a port; absent is success.
    DelAddress(Port, core::net::IpAddr),
    /// Run a service in its cgroup; done when the exec succeeded.
    Spawn(ServiceId, Reason),
    /// TERM to the main process of a service.
    Terminate(ServiceId),
    /// KILL to the whole cgroup of a service; done when it is empty. A hook that runs has
    /// failed then.
    Kill(ServiceId),
    /// Run the hook that tells a service that it is the promoted one; done when the hook
    /// ended well.
    Promote(ServiceId, Reason),
    /// Run the hook that tells it that it no longer is.
    Demote(ServiceId),
}

/// Why a privileged action failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActError {
    /// The kernel said no; its errno.
    Errno(i32),
    /// What was run for it did not end well.
    Ended(Exit),
    /// No answer in time.
    Overdue,
    /// The port or service is not there.
    Absent,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this exit status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Why a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeError {
    /// Nobody listens.
    Refused,
    /// It listens but did not answer in time.
    Timeout,
    /// It answered with this HTTP status.
    Status(u16),
    /// It answered with something that is not HTTP.
    Garbage,
    /// Its answer lacks a text that it should have.
    Text,
    /// Its OCF agent's monitor ended with this.
    Agent(AgentCode),
}

/// With what an action of an OCF agent ended (resource agent API 1.1, "Exit status").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCode(pub u8);

impl AgentCode {
    /// Done; of a monitor: it runs.
    pub const SUCCESS: AgentCode = AgentCode(0);
    /// Also what an action that was killed stands for.
    pub const GENERIC: AgentCode = AgentCode(1);
    /// Of a monitor: it runs, and is the promoted one.
    pub const PROMOTED: AgentCode = AgentCode(8);
    /// Of a monitor: it runs, but not as well as it should.
    pub const DEGRADED: AgentCode = AgentCode(190);
    /// Of a monitor: the same of the promoted one.
    pub const DEGRADED_PROMOTED: AgentCode = AgentCode(191);
}

/// What the admin child relays. Already authenticated, parsed and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Tell everything.
    Status,
    /// Log lines after this sequence number.
    Log {
        /// The first line wanted.
        from: u64,
    },
    /// Do something; who asked, for the log.
    Command {
        /// The wish.
        command: Command,
        /// The token's name.
        operator: String<{ limits::NAME }>,
    },
    /// Break this node on purpose.
    Drill {
        /// How.
        drill: Drill,
        /// The token's name.
        operator: String<{ limits::NAME }>,
    },
    /// Leave in order, then power off or reboot.
    Halt {
        /// Which.
        halt: Halt,
        /// The token's name.
        operator: String<{ limits::NAME }>,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "no allocation; one lives at a time"
)]
pub enum Reply {
    /// To `Status`.
    Status(Status),
    /// To `Log`: as many lines as fit, oldest first; ask again from `next`.
    Log {
        /// The lines.
        lines: Vec<LogLine, { limits::LOG_PAGE }>,
        /// Sequence number to continue from.
        next: u64,
    },
    /// Done, or agreed.
    Ok {
        /// Nodes that will hear of it, this one included.
        nodes: u8,
        /// Those of them that will keep it through a loss of power.
        disks: NodeSet,
    },
    /// Agreed, but it cannot be done now.
    Open {
        /// Nodes that will hear of it, this one included.
        nodes: u8,
        /// Those of them that will keep it through a loss of power.
        disks: NodeSet,
        /// What keeps it, and what happens instead.
        why: String<{ limits::WHY }>,
    },
    /// Not done, and why.
    Refused(Refused),
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// The engine said no.
    Engine(Refusal),
    /// `drills` is not true in the cluster file.
    DrillsForbidden,
}

/// Ways to break a node on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drill {
    /// KILL the main process of every service.
    ServiceKill,
    /// Panic the kernel.
    KernelPanic,
    /// Make the decision loop spin for ever.
    Pid1Stuck,
    /// Abort PID 1.
    Pid1Dies,
}

/// What follows an orderly leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Halt {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
}

/// One line of the node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts from 0 at boot; a gap means that lines were lost.
    pub seq: u64,
    /// Time since boot.
    pub at: Now,
    /// How bad it is.
    pub level: Level,
    /// What happened and why, in one line.
    pub text: String<{ limits::LOG_TEXT }>,
}
