//! The messages between PID 1 and its helper processes.
//!
//! Owns their shapes and their encoding: postcard, one message per datagram, at most
//! [`MESSAGE`] bytes. Bytes that do not decode are an error of the sender, never a panic.

use std::net::IpAddr;
use std::time::Duration;

use kodo_config::Bundle;
use kodo_config::cluster::{Bounds, StopSignal};
use kodo_engine::surface::{Health, Reason};
use kodo_node::io::{ActError, Exit, Line, LogLine, Port, ProbeError, ServiceId, Token};
use kodo_node::status::Status;
use serde::{Deserialize, Serialize};

use crate::plan::{Duties, Starts};

/// Bytes of the largest message.
pub(crate) const MESSAGE: usize = 32 * 1024;

/// To the net lane, which answers every one of them but `Ungate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToNet {
    /// Put a gate for these VIPs, by their numbers, on every public port from now on. Comes
    /// first; later it is for these VIPs instead, and not answered when all is well.
    Gate(Vec<IpAddr>),
    /// Take the gates off: nobody here can open them.
    Ungate,
    /// Make a NIC ready: kernel settings, link up, addresses, routes, packet socket.
    Port(PortSetup),
    /// Bind a VIP to the NIC of this index.
    AddAddress(Token, u32, IpAddr),
    /// Remove a VIP from the NIC of this index.
    DelAddress(Token, u32, IpAddr),
    /// Say whether the NIC of this index has carrier: notifications were lost.
    Carrier(Port, u32),
}

/// How a NIC is to be set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortSetup {
    /// Whose NIC it is.
    pub(crate) port: Port,
    /// The NIC's index.
    pub(crate) index: u32,
    /// The NIC's name.
    pub(crate) name: String,
    /// Clients are behind it: VIPs are bound there, and a gate is put there.
    pub(crate) public: bool,
    /// Addresses and the length of their prefixes.
    pub(crate) addresses: Vec<(IpAddr, u8)>,
    /// Default gateways.
    pub(crate) gateways: Vec<IpAddr>,
}

/// From the net lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromNet {
    /// To `Gate`: all its VIPs are closed; their deadlines come along.
    Gate,
    /// To `Gate` or to the first `Port` that cannot have one: there is no gate, and why.
    NoGate(String),
    /// To `Port`; the packet socket comes along. `detail` tells what did not work
    /// although the port is usable.
    Ready {
        port: Port,
        index: u32,
        mac: [u8; 6],
        carrier: bool,
        detail: Option<String>,
    },
    /// To `Port`: it cannot be used.
    Unusable { port: Port, index: u32, why: String },
    /// To the address requests.
    Done(Token, Result<(), ActError>),
    /// To `Carrier`; `None` when the NIC is gone.
    Carrier(Port, u32, Option<bool>),
}

/// To the dev lane. It begins to load drivers before it hears anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToDev {
    /// What the cluster file wants of devices.
    Setup {
        lines: Vec<LineSetup>,
        watchdog: Duration,
        softdog: bool,
    },
}

/// A serial line to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineSetup {
    /// Whose device it is.
    pub(crate) line: Line,
    /// Its name under `/dev`.
    pub(crate) device: String,
    /// Bits per second.
    pub(crate) baud: u32,
}

/// From the dev lane, whenever it happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromDev {
    /// An Ethernet NIC is there.
    Nic(Nic),
    /// A wanted serial line is there and open; it comes along.
    Line(Line),
    /// A wanted serial line went away.
    LineGone(Line),
    /// The watchdog is open, counting and set; it comes along, or a channel to the
    /// process that feeds it, when feeding may wait.
    Watchdog {
        name: String,
        granted: Duration,
        caused_last_reset: bool,
        through_helper: bool,
    },
    /// There is none, and why.
    NoWatchdog(String),
    /// Drivers for everything that was there at boot are loaded: how many modules, and
    /// how long it took.
    Settled { modules: usize, took: Duration },
    /// The kernel's last words before this boot, from pstore.
    LastWords(String),
    /// Somebody pressed the power button.
    PowerButton,
    /// How well the machine is; told again and again while it is not.
    Health(Health),
    /// Something did not work.
    Trouble(String),
}

/// An Ethernet NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nic {
    /// The kernel's name.
    pub(crate) name: String,
    /// The kernel's number.
    pub(crate) index: u32,
    /// Hardware address.
    pub(crate) mac: [u8; 6],
    /// Place on the PCI bus.
    pub(crate) pci: Option<String>,
}

/// To the disk lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToDisk {
    /// Look for the partition of this name, now and whenever a disk appears. Comes first,
    /// once all other drivers are loaded.
    Find(String),
    /// Write a table; answered by `Written` when it is on the disk.
    Write {
        /// Names its slot.
        serial: u64,
        /// At most a slot.
        table: Vec<u8>,
    },
}

/// From the disk lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromDisk {
    /// The partition is there and open: what its slots hold.
    Found {
        /// The kernel's name.
        device: String,
        slots: [Vec<u8>; 2],
    },
    /// To `Write`: done, or the kernel's errno.
    Written {
        serial: u64,
        result: Result<(), i32>,
    },
    /// It went away.
    Gone,
    /// Something did not work.
    Trouble(String),
}

/// To the svc lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToSvc {
    /// All services by their numbers; again when the cluster file changes: what runs goes on,
    /// and the next start is by the new words. One that is gone is `None`.
    Setup(Vec<Option<ServiceSetup>>),
    /// Run a service; answered when its program runs.
    Spawn(Token, ServiceId, Reason),
    /// Ask its main process to end; answered at once.
    Terminate(Token, ServiceId),
    /// KILL to all of it; answered when nothing of it is left.
    Kill(Token, ServiceId),
    /// Ask a service with an agent how it is; answered by `Probed`, if ever.
    Probe(Token, ServiceId),
    /// Tell its running instance its role; answered when the hook that does so has ended, or
    /// its agent has.
    Role(Token, ServiceId, Turn),
    /// KILL to the main process of every service: an operator's drill. Not answered.
    Drill,
    /// Start this node's own unprivileged child; its channel comes along. Its end, or its
    /// failure to start, is told by `ChildEnded`.
    Child(Child),
    /// KILL all of a child.
    KillChild(Child),
}

/// What a hook tells an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Turn {
    /// It is the promoted one, and why.
    Promote(Reason),
    /// It no longer is.
    Demote,
}

/// How the instances of a service are told their roles. What runs is any program: it ends
/// well when the instance has taken the role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hooks {
    /// The program file of both.
    pub(crate) program: String,
    /// The arguments for a promotion, the zeroth included.
    pub(crate) promote: Vec<String>,
    /// For a demotion.
    pub(crate) demote: Vec<String>,
}

/// A service as the svc lane knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceSetup {
    /// From the cluster file; names its cgroup too.
    pub(crate) name: String,
    /// Its program file.
    pub(crate) program: String,
    /// The program's arguments, the zeroth included.
    pub(crate) arguments: Vec<String>,
    /// The only directory that it may read, if any.
    pub(crate) reads: Option<String>,
    /// Its own root, if it has one; then the program is in there.
    pub(crate) root: Option<RootSetup>,
    /// User and group id.
    pub(crate) id: u32,
    /// How it is told its role, if it has one and no agent.
    pub(crate) hooks: Option<Hooks>,
    /// Its main process runs an OCF agent, and takes [`ToAgent`] on its channel.
    pub(crate) agent: bool,
    /// Whether it binds a port below 1024.
    pub(crate) low_port: bool,
    /// This node's name, for the service's environment.
    pub(crate) node: String,
    /// What all its processes together may take.
    pub(crate) bounds: Bounds,
    /// What asks it to end, unless its agent does.
    pub(crate) stop_signal: StopSignal,
}

/// A service's own root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootSetup {
    /// Where it is.
    pub(crate) directory: String,
    /// Where in it the service may write.
    pub(crate) writable: Vec<String>,
    /// `NAME=value`, beside what every service is told.
    pub(crate) environment: Vec<String>,
    /// Working directory in it.
    pub(crate) work: String,
}

/// An unprivileged process of this node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Child {
    /// The operators' API.
    Admin,
    /// Asks services for their health.
    Probe,
    /// Shows log and status to people.
    Console,
    /// Reads one changed cluster file, then ends.
    Reader,
}

impl Child {
    /// All of them.
    pub(crate) const ALL: [Child; 4] = [Child::Admin, Child::Probe, Child::Console, Child::Reader];

    /// Its name: argument of this binary, cgroup, and for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Child::Admin => "admin",
            Child::Probe => "probe",
            Child::Console => "console",
            Child::Reader => "reader",
        }
    }
}

/// From the svc lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromSvc {
    /// To `Spawn`, `Terminate` and `Kill`.
    Done(Token, Result<(), ActError>),
    /// To `Probe`: it is well and so fit to be promoted, or not well and why.
    Probed(Token, Result<i16, ProbeError>),
    /// The main process of a service ended.
    Exited(ServiceId, Exit),
    /// A child ended, or could not be started.
    ChildEnded(Child, String),
    /// A service wrote a line; `dropped` lines before it were too many.
    Said {
        service: ServiceId,
        line: String,
        dropped: u32,
    },
    /// Something did not work.
    Trouble(String),
}

/// From the svc lane to the process that runs a service's OCF agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToAgent {
    /// Say how it is; the newest one is answered.
    Probe(Token),
    /// Make it the promoted instance.
    Promote(Token),
    /// Make it an ordinary one.
    Demote(Token),
    /// Stop it, and end.
    Stop,
}

/// The answers of the process that runs a service's OCF agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromAgent {
    /// To `Probe`.
    Probed(Token, Result<i16, ProbeError>),
    /// To `Promote` and `Demote`.
    Told(Token, Result<(), Exit>),
}

/// To the console child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one lives at a time")]
pub(crate) enum ToConsole {
    /// A line of the log.
    Log(LogLine),
    /// What the panel shows.
    Status(Status),
}

/// First message to the admin child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdminSetup {
    /// TCP port.
    pub(crate) port: u16,
    /// The node's static LAN addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Names and SHA-256 of the operators' tokens.
    pub(crate) tokens: Vec<(String, [u8; 32])>,
    /// All nodes, in file order.
    pub(crate) nodes: Vec<String>,
    /// All groups, in file order.
    pub(crate) groups: Vec<String>,
}

/// To the reader, one after the other, each with memory that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToReader {
    /// The file that this node runs, and what else it knows, as a [`Running`].
    Running {
        /// This node's name.
        node: String,
        /// Services whose files are in the image.
        files: Vec<String>,
    },
    /// The sealed file to read.
    Sealed,
}

/// What a node keeps of its file, for the reader of the next one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// The file and its secrets.
    pub(crate) bundle: Bundle,
    /// What the node runs, with the numbers that its services and VIPs have here.
    pub(crate) config: kodo_node::Config,
    /// What the image knows of its services' roots.
    pub(crate) starts: Starts,
}

/// From the reader: its only answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromReader {
    /// What is wrong with the file.
    Refused(String),
    /// This node can run it. What it keeps of it comes along, as [`Running`] in memory.
    Read(Box<Read>),
}

/// What is made of a file that this node can run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Read {
    /// What differs from the running one, a line each.
    pub(crate) changes: Vec<String>,
    /// For the node.
    pub(crate) config: kodo_node::Config,
    /// For everybody else.
    pub(crate) duties: Duties,
}

/// Encodes a message into `buffer`.
pub(crate) fn encode<'b, T: Serialize>(
    message: &T,
    buffer: &'b mut [u8],
) -> kodo_sys::Result<&'b [u8]> {
    match postcard::to_slice(message, buffer) {
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// Decodes a whole message.
pub(crate) fn decode<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> kodo_sys::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(std::io::ErrorKind::InvalidData.into()),
    }
}
