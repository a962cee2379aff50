//! One machine: its power, its clock, what runs on it and what ails it.
//!
//! Owns state only; [`crate::world::World`] moves it.

use core::time::Duration;

use kodo_node::Node;

use crate::clock::{At, Clock};
use crate::cluster;
use crate::disk::Disk;
use crate::kernel::Kernel;
use crate::origin::Heard;
use crate::plan::{ClusterPlan, Fault, MachinePlan, Plan};
use crate::queue::Happening;
use crate::rng::Rng;

/// Ports of a machine: LAN and crossover.
pub(crate) const PORTS: usize = 2;
/// Frames that a network port, or a socket, keeps for a machine that does not run.
const BACKLOG: usize = 256;

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) plan: MachinePlan,
    /// What its image carries.
    pub(crate) config: kodo_node::Config,
    /// What it runs since, if that is another file; what it keeps to be run next, and what
    /// it is being given.
    pub(crate) adopted: Option<Box<kodo_node::Config>>,
    pub(crate) offered: Option<Box<kodo_node::Config>>,
    pub(crate) staged: Option<Box<kodo_node::Config>>,
    pub(crate) power: bool,
    /// Changes with every change of power: what was to come is stale then.
    pub(crate) power_turn: u32,
    /// Counts lives: from one reset or power-off to the next.
    pub(crate) life: u32,
    pub(crate) clock: Clock,
    /// Between PID 1's start and the end of the life.
    pub(crate) node: Option<Box<Node>>,
    pub(crate) kernel: Kernel,
    pub(crate) ports: [Port; PORTS],
    /// The serial lines are open.
    pub(crate) line: bool,
    /// The serial lines that end here, in the order of its ports.
    pub(crate) lines: Vec<LineEnd>,
    /// By machine: its newest heartbeat heard in this life.
    pub(crate) heard: Vec<Option<Heard>>,
    pub(crate) watchdog: Option<Watchdog>,
    /// Outlives every life.
    pub(crate) disk: Disk,
    pub(crate) ills: Ills,
    /// The kernel panicked, or a reset is on its way: nothing runs any more.
    pub(crate) dying: bool,
    /// PID 1 will never run again in this life.
    pub(crate) hung: bool,
    /// PID 1 is being woken up late.
    pub(crate) napping: bool,
    /// What waits for the machine to go on.
    pub(crate) deferred: Vec<Happening>,
    /// What waits for PID 1 to go on.
    pub(crate) inbox: Vec<Happening>,
    /// Version and local time of the timer that is set.
    pub(crate) timer: (u64, Option<Duration>),
    /// When the service helper has taken what it was asked.
    pub(crate) helper_free: At,
    /// When each serial line has sent what it was given.
    pub(crate) serial_free: Vec<At>,
    pub(crate) rng: Rng,
}

/// A network port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Port {
    /// The driver is ready.
    pub(crate) ready: bool,
    /// The port sends light, also while the machine resets.
    pub(crate) lit: bool,
    /// The cable and the other end allow carrier.
    pub(crate) wanted: bool,
    /// Carrier as PID 1 was told.
    pub(crate) carrier: bool,
}

/// One end of a serial line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineEnd {
    /// Which line.
    pub(crate) line: usize,
    /// Whether this is its first end.
    pub(crate) out: bool,
    /// The machine at the other end.
    pub(crate) peer: usize,
    /// Which of its lines it is there.
    pub(crate) peer_port: u8,
}

/// The hardware watchdog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watchdog {
    pub(crate) granted: Duration,
    pub(crate) fed: At,
    pub(crate) due: At,
    /// Since when its clock stands still.
    pub(crate) stopped: Option<At>,
}

/// What ails a machine at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ills {
    pub(crate) dark: bool,
    pub(crate) paused: bool,
    pub(crate) stalled: bool,
    pub(crate) stuck: bool,
    pub(crate) sluggish: Duration,
    pub(crate) hangs: bool,
    pub(crate) ignores_term: bool,
    pub(crate) unkillable: bool,
    pub(crate) no_exec: bool,
    pub(crate) hook_hangs: bool,
    pub(crate) slow_net: Duration,
    pub(crate) dead_net: bool,
    pub(crate) refused_net: bool,
    pub(crate) hung_disk: bool,
}

impl Ills {
    /// Of machine `me`, from the faults that are active.
    pub(crate) fn of<'a>(me: usize, active: impl Iterator<Item = &'a Fault>) -> Ills {
        let mut ills = Ills::default();
        for fault in active {
            match fault {
                Fault::PowerCut(m) if *m == me => ills.dark = true,
                Fault::Pause(m) if *m == me => ills.paused = true,
                Fault::Stall(m) if *m == me => ills.stalled = true,
                Fault::Stuck(m) if *m == me => ills.stuck = true,
                Fault::Sluggish(m, late) if *m == me => ills.sluggish = ills.sluggish.max(*late),
                Fault::ServiceHang(m) if *m == me => ills.hangs = true,
                Fault::IgnoreTerm(m) if *m == me => ills.ignores_term = true,
                Fault::Unkillable(m) if *m == me => ills.unkillable = true,
                Fault::NoExec(m) if *m == me => ills.no_exec = true,
                Fault::HookHang(m) if *m == me => ills.hook_hangs = true,
                Fault::SlowNet(m, late) if *m == me => ills.slow_net = ills.slow_net.max(*late),
                Fault::DeadNet(m) if *m == me => ills.dead_net = true,
                Fault::RefusedNet(m) if *m == me => ills.refused_net = true,
                Fault::HungDisk(m) if *m == me => ills.hung_disk = true,
                _ => {}
            }
        }
        ills
    }

    /// The whole machine stands still.
    pub(crate) fn still(&self) -> bool {
        self.paused || self.stalled
    }
}

impl Machine {
    pub(crate) fn new(
        id: usize,
        plan: MachinePlan,
        config: kodo_node::Config,
        world: &Plan,
    ) -> Machine {
        let mac = cluster::mac(id, cluster::LAN_PORT);
        let lines = line_ends(&world.cluster, id);
        Machine {
            clock: Clock::new(plan.ppm, Duration::ZERO, Duration::ZERO),
            kernel: Kernel::new(mac, cluster::address(plan.node), &world.cluster),
            plan,
            config,
            adopted: None,
            offered: None,
            staged: None,
            power: false,
            power_turn: 0,
            life: 0,
            node: None,
            ports: [Port::default(); PORTS],
            line: false,
            serial_free: vec![Duration::ZERO; lines.len()],
            lines,
            heard: vec![None; world.machines.len()],
            watchdog: None,
            disk: Disk::default(),
            ills: Ills::default(),
            dying: false,
            hung: false,
            napping: false,
            deferred: Vec::new(),
            inbox: Vec::new(),
            timer: (0, None),
            helper_free: Duration::ZERO,
            rng: Rng::stream(world.seed, "machine", id as u64),
        }
    }

    /// Everything of this life is gone; the ports keep their light when `lit`.
    pub(crate) fn forget(&mut self, lit: bool) {
        self.life += 1;
        self.node = None;
        (self.adopted, self.offered, self.staged) = (None, None, None);
        self.kernel.forget();
        for port in &mut self.ports {
            *port = Port {
                lit: port.lit && lit,
                ..Port::default()
            };
        }
        self.line = false;
        self.heard.fill(None);
        self.watchdog = None;
        self.disk.loses_power(&mut self.rng);
        self.dying = false;
        self.hung = false;
        self.napping = false;
        self.deferred.clear();
        self.inbox.clear();
        self.timer = (self.timer.0, None);
    }

    /// Whether its kernel answers at present.
    pub(crate) fn answers(&self) -> bool {
        self.node.is_some() && !self.dying && !self.ills.still()
    }

    /// Whether it has a group's VIP.
    pub(crate) fn holds(&self, group: usize) -> bool {
        self.kernel.bound[group] && self.answers()
    }

    /// Whether it answers for a group's VIP: it has it, and its gate is open.
    pub(crate) fn speaks(&self, group: usize, now: At) -> bool {
        self.holds(group) && self.kernel.passes(group, self.clock.local(now))
    }

    /// Whether anything exclusive of a guarded group is here; not in the instant in which the
    /// watchdog fires. An instance that is not promoted is not.
    pub(crate) fn runs(&self, group: usize, now: At) -> bool {
        let fires = self.watchdog.is_some_and(|watchdog| watchdog.due <= now);
        let process = self.kernel.services[group].process;
        let service = process.is_some_and(|process| process.promoted) && self.answers();
        (self.holds(group) || service) && !fires
    }

    /// Whether an instance of a group is promoted here, and PID 1 could still demote it.
    pub(crate) fn has_role(&self, group: usize) -> bool {
        let process = self.kernel.services[group].process;
        process.is_some_and(|process| process.promoted) && self.decides()
    }

    /// Whether PID 1 runs when something happens.
    pub(crate) fn decides(&self) -> bool {
        self.answers() && !self.ills.stuck && !self.hung && !self.napping
    }

    /// Whether the service of a group answers at `now`.
    pub(crate) fn serves(&self, group: usize, now: At) -> bool {
        let ready = self.kernel.services[group]
            .process
            .is_some_and(|process| process.ready <= now);
        ready && !self.ills.hangs
    }

    /// Whether it answers a client of the group's VIP: as the promoted instance, if it has
    /// roles.
    pub(crate) fn serves_clients(&self, group: usize, now: At) -> bool {
        let process = self.kernel.services[group].process;
        self.serves(group, now) && process.is_some_and(|process| process.promoted)
    }

    /// Keeps what happens until the machine, or PID 1, goes on.
    pub(crate) fn keep(&mut self, happening: Happening) {
        let of = if self.ills.still() {
            &mut self.deferred
        } else {
            &mut self.inbox
        };
        let is_frame = |h: &Happening| {
            matches!(
                h,
                Happening::Frame(..)
                    | Happening::Serial(..)
                    | Happening::Foreign(..)
                    | Happening::Replayed(..)
            )
        };
        if !is_frame(&happening) || of.iter().filter(|h| is_frame(h)).count() < BACKLOG {
            of.push(happening);
        }
    }
}

/// The serial lines at a machine; twins have none.
fn line_ends(plan: &ClusterPlan, id: usize) -> Vec<LineEnd> {
    let at = |node| cluster::lines_of(plan, node);
    let ends = plan.line_ends();
    let own = at(id).into_iter().map(|(line, peer)| {
        let there = at(peer).iter().position(|(other, _)| *other == line);
        LineEnd {
            line,
            out: ends[line].0 == id,
            peer,
            peer_port: there.and_then(|port| u8::try_from(port).ok()).unwrap_or(0),
        }
    });
    own.collect()
}
