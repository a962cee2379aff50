//! A tiny deterministic world for stories: machines with their own clocks, wires
//! between them, a gateway that answers pings, a witness behind it, services and VIPs that start and stop.
//!
//! Owns virtual time and judges from outside who acts as the owner of the VIP. It
//! knows the engine by its public doors only.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::time::Duration;

use kodo_engine::config::{
    Config, Failback, Group, Name, Path, Resource, ResourceKind, SplitBrain, Timing, ranked,
};
use kodo_engine::reload::Unfit;
use kodo_engine::surface::{
    Ack, Command, Effect, Event, Fatal, Health, Level, Reason, Refusal, Reject, Report, Role,
};
use kodo_engine::witness::{Codec, Granter};
use kodo_engine::{
    BootId, Engine, GroupId, Key, NodeId, NodeSet, PathId, ResourceId, limits, timing,
};

pub(crate) const LAN: PathId = PathId(0);
pub(crate) const CROSSOVER: PathId = PathId(1);
pub(crate) const SERIAL: PathId = PathId(2);
pub(crate) const ALL: [PathId; 3] = [LAN, CROSSOVER, SERIAL];
pub(crate) const WWW: GroupId = GroupId(0);
pub(crate) const WEB: ResourceId = ResourceId(0);
pub(crate) const VIP: ResourceId = ResourceId(1);
/// A second group of one service, in clusters of three.
pub(crate) const DB: GroupId = GroupId(1);
pub(crate) const BASE: ResourceId = ResourceId(2);
/// Resources of a file, at most.
pub(crate) const RESOURCES: usize = 4;
/// The first two machines; more are twins and strangers.
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn name(text: &str) -> Name {
    text.try_into().expect("short")
}

/// The pair of the stories: `default` profile, lan + crossover + serial, group www
/// of a service and a VIP, node1 preferred, failback auto.
pub(crate) fn pair(me: u8) -> Config {
    let path = |what: &str, budget, public| Path {
        name: name(what),
        keepalive: ms(100),
        budget,
        public,
        ends: NodeSet::first(2),
    };
    let resource = |what: &str, kind| Resource {
        name: name(what),
        kind,
        make: 0,
        start_timeout: ms(5000),
        stop_timeout: ms(5000),
    };
    let release = ms(100);
    Config {
        cluster_id: 77,
        file_hash: 1,
        keys: [Key([7; 32])].into_iter().collect(),
        me: NodeId(me),
        nodes: ["node1", "node2"].map(name).into_iter().collect(),
        votes: [1, 1].into_iter().collect(),
        timing: Timing {
            keepalive: ms(100),
            warntime: ms(250),
            deadtime: ms(500),
            initdead: ms(2000),
            linkwait: ms(1000),
            lease: timing::largest_lease(ms(500), release).expect("fits"),
            release,
            guard: ms(2500),
        },
        split_brain: SplitBrain::Accept,
        witness_key: None,
        pings: false,
        paths: [
            path("lan", limits::FRAME, true),
            path("crossover", limits::FRAME, false),
            path("serial", 240, false),
        ]
        .into_iter()
        .collect(),
        resources: [
            resource("web", ResourceKind::Service),
            resource("vip", ResourceKind::Vip),
        ]
        .into_iter()
        .collect(),
        groups: [Group {
            failback: Failback::Auto,
            failure_timeout: ms(60_000),
            ..Group::new(
                name("www"),
                [WEB, VIP].into_iter().collect(),
                ranked(2, &[NodeId(0), NodeId(1)]),
            )
        }]
        .into_iter()
        .collect(),
        capacity: (0..2).map(|_| 0).collect(),
        colocations: Default::default(),
        orders: Default::default(),
        quarantine: None,
        keeps_state: false,
    }
}

/// How one resource behaves on one machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
    /// What a start ends with.
    pub(crate) outcome: Report,
    /// A stop never ends.
    pub(crate) stuck: bool,
}

/// A machine: a clock, an engine, resources.
pub(crate) struct Machine {
    pub(crate) config: Config,
    pub(crate) engine: Option<Engine>,
    /// World time of its last boot, what its clock showed then, and time in which it
    /// stood still since.
    booted: Duration,
    uptime: Duration,
    stopped: Duration,
    /// Its clock runs this much fast, in parts per thousand.
    pub(crate) drift: i64,
    /// Since when its clock stands (paused), or its loop does (stalled).
    paused: Option<Duration>,
    stalled: bool,
    inbox: VecDeque<(PathId, Vec<u8>)>,
    pub(crate) manners: [Manners; RESOURCES],
    /// Acts as the owner of this resource; a VIP is seen outside only through its gate.
    pub(crate) acts: [bool; RESOURCES],
    /// Until when the VIP's gate is open, on its own clock; `None` before the first word.
    pub(crate) gate: Option<Duration>,
    pub(crate) starts: [Vec<Reason>; RESOURCES],
    pub(crate) stops: [Vec<Reason>; RESOURCES],
    pub(crate) announced: u32,
    pub(crate) probed: u32,
    pub(crate) fed: u32,
    pub(crate) reset: Option<Fatal>,
    /// It no longer reaches the gateway, or never answers.
    pub(crate) gateway: bool,
    next_ping: Duration,
    pub(crate) disk: Disk,
}

/// A state partition; it outlives the machine's power.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) slots: [Vec<u8>; 2],
    /// It takes so long to be found and read after boot.
    pub(crate) late: Duration,
    /// It answers nothing.
    pub(crate) hangs: bool,
    /// What it was asked meanwhile.
    stuck: Vec<(u64, Vec<u8>)>,
    /// What the kernel says to writes, which are torn.
    pub(crate) errno: Option<i32>,
    pub(crate) writes: u32,
}

/// Something on its way.
struct Flight {
    at: Duration,
    seq: u64,
    to: usize,
    what: Cargo,
}

enum Cargo {
    Frame(PathId, Vec<u8>),
    Report(ResourceId, Report, BootId),
    Ping(Duration, BootId),
    /// The disk was found; or it has written a table.
    Found(BootId),
    Write(u64, Vec<u8>, BootId),
    /// A machine's question to the witness, and what comes back.
    Question(Vec<u8>, BootId),
    Answer(Vec<u8>, BootId),
}

/// A frame as recorded on a wire.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) at: Duration,
    pub(crate) from: usize,
    pub(crate) path: PathId,
    pub(crate) bytes: Vec<u8>,
}

/// How a wire treats one frame: delays of the copies that arrive.
type Wire = Box<dyn FnMut(&Passage) -> Vec<Duration>>;

/// A frame about to pass a wire.
pub(crate) struct Passage {
    pub(crate) now: Duration,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) path: PathId,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) machines: Vec<Machine>,
    flights: Vec<Flight>,
    counter: u64,
    wire: Wire,
    /// Cut paths: nothing passes. Carrier is told apart.
    cut: [bool; 3],
    /// Beyond the gateway, on world time.
    pub(crate) witness: Option<Granter>,
    pub(crate) tape: Vec<Recording>,
    pub(crate) log: Vec<(Duration, usize, Event, String)>,
    /// Time in which two machines acted as owner of the VIP.
    pub(crate) doubled: Duration,
    pub(crate) held_by: Vec<(Duration, Option<usize>)>,
    boots: u64,
    quiet: bool,
    /// Counts allocations of this thread; no engine call may move it.
    pub(crate) gauge: fn() -> u64,
}

impl World {
    /// Two machines, powered off, on perfect wires of 1 ms.
    pub(crate) fn new(edit: impl Fn(&mut Config)) -> World {
        let mut world = World {
            now: ms(1_000_000),
            machines: Vec::new(),
            flights: Vec::new(),
            counter: 0,
            wire: Box::new(|_| vec![ms(1)]),
            cut: [false; 3],
            witness: None,
            tape: Vec::new(),
            log: Vec::new(),
            doubled: Duration::ZERO,
            held_by: Vec::new(),
            boots: 0,
            quiet: false,
            gauge: || 0,
        };
        for me in 0..2 {
            let mut config = pair(me);
            edit(&mut config);
            world.add(config);
        }
        world
    }

    /// Both powered on together and settled, the first one holding.
    pub(crate) fn running(edit: impl Fn(&mut Config)) -> World {
        let mut world = World::new(edit);
        world.power_on(A);
        world.power_on(B);
        world.until("node1 serves and both are members", ms(5000), |w| {
            w.serves(A) && w.members() == [true, true]
        });
        world.run(ms(1000));
        world
    }

    /// One more machine, powered off.
    pub(crate) fn add(&mut self, config: Config) -> usize {
        let manners = |start, stop| Manners {
            start: ms(start),
            stop: ms(stop),
            outcome: Report::Started,
            stuck: false,
        };
        self.machines.push(Machine {
            config,
            engine: None,
            booted: self.now,
            uptime: Duration::ZERO,
            stopped: Duration::ZERO,
            drift: 0,
            paused: None,
            stalled: false,
            inbox: VecDeque::new(),
            manners: [
                manners(40, 60),
                manners(15, 3),
                manners(70, 50),
                manners(30, 20),
            ],
            acts: [false; RESOURCES],
            gate: None,
            starts: Default::default(),
            stops: Default::default(),
            announced: 0,
            probed: 0,
            fed: 0,
            reset: None,
            gateway: true,
            next_ping: Duration::ZERO,
            disk: Disk::default(),
        });
        self.machines.len() - 1
    }

    /// Replaces how wires treat frames that are not cut.
    pub(crate) fn set_wire(&mut self, wire: impl FnMut(&Passage) -> Vec<Duration> + 'static) {
        self.wire = Box::new(wire);
    }

    /// Boots a machine: a new life whose clock starts now.
    pub(crate) fn power_on(&mut self, n: usize) {
        self.power_on_up_since(n, Duration::ZERO);
    }

    /// Boots a machine whose clock already shows `uptime` (firmware and kernel took it).
    pub(crate) fn power_on_up_since(&mut self, n: usize, uptime: Duration) {
        self.boots += 1;
        // ids without order: neither the older nor the newer life is the larger one
        let boot = BootId(self.boots.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let config = self.machines[n].config.clone();
        let machine = &mut self.machines[n];
        (machine.booted, machine.uptime) = (self.now, uptime);
        machine.stopped = Duration::ZERO;
        (machine.paused, machine.stalled, machine.reset) = (None, false, None);
        machine.inbox.clear();
        machine.acts = [false; RESOURCES];
        machine.gate = None;
        machine.next_ping = self.now;
        let before = (self.gauge)();
        let engine = Engine::new(config, boot, self.boots, uptime);
        assert_eq!((self.gauge)(), before, "a boot allocated");
        machine.engine = Some(engine);
        if machine.config.keeps_state && !machine.disk.hangs {
            let late = machine.disk.late;
            self.fly(n, ms(20) + late, Cargo::Found(boot));
        }
        self.update_carriers();
    }

    /// Cuts the power: it is gone at once, and so is the carrier of its crossover.
    pub(crate) fn power_off(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        machine.engine = None;
        machine.acts = [false; RESOURCES];
        machine.inbox.clear();
        machine.disk.stuck.clear();
        self.flights.retain(|flight| flight.to != n);
        self.judge();
        self.update_carriers();
    }

    /// Cuts a cable: carrier drops at both ends (a serial line has none to drop).
    pub(crate) fn cut(&mut self, path: PathId) {
        self.cut[path.index()] = true;
        self.update_carriers();
    }

    /// Nothing passes, but carrier stays.
    pub(crate) fn mute(&mut self, path: PathId) {
        self.cut[path.index()] = true;
    }

    pub(crate) fn join(&mut self, path: PathId) {
        self.cut[path.index()] = false;
        self.update_carriers();
    }

    /// Tells a machine about its carrier, apart from what cables do.
    pub(crate) fn carrier(&mut self, n: usize, path: PathId, up: bool) {
        self.input(n, |engine, now| engine.handle_carrier(now, path, up));
    }

    fn update_carriers(&mut self) {
        let powered = |w: &World, n: usize| w.machines[n].engine.is_some();
        for n in 0..self.machines.len() {
            if !powered(self, n) {
                continue;
            }
            let other = (0..self.machines.len()).any(|m| m != n && powered(self, m));
            for path in ALL {
                let up = match path {
                    CROSSOVER => !self.cut[path.index()] && other,
                    SERIAL => true,
                    _ => !self.cut[path.index()],
                };
                self.carrier(n, path, up);
            }
        }
    }

    /// The hypervisor stops a guest: its clock stops too.
    pub(crate) fn pause(&mut self, n: usize) {
        self.machines[n].paused = Some(self.now);
    }

    pub(crate) fn resume(&mut self, n: usize) {
        if let Some(since) = self.machines[n].paused.take() {
            self.machines[n].stopped += self.now - since;
        }
        self.wake(n);
    }

    /// The loop stands still, its clock runs on.
    pub(crate) fn stall(&mut self, n: usize) {
        self.machines[n].stalled = true;
    }

    /// It runs on: time first, then what has arrived. The worst order.
    pub(crate) fn unstall(&mut self, n: usize) {
        self.machines[n].stalled = false;
        self.input(n, Engine::handle_timer);
        self.wake(n);
    }

    fn wake(&mut self, n: usize) {
        while let Some((path, bytes)) = self.machines[n].inbox.pop_front() {
            let _ = self.deliver(n, path, &bytes);
        }
    }

    /// A machine's own time.
    pub(crate) fn local(&self, n: usize) -> Duration {
        let machine = &self.machines[n];
        let since = machine.paused.unwrap_or(self.now) - machine.booted - machine.stopped;
        let nanos = i128::try_from(since.as_nanos()).expect("short");
        let drifted = nanos + nanos * i128::from(machine.drift) / 1000;
        machine.uptime + Duration::from_nanos(u64::try_from(drifted).expect("positive"))
    }

    /// World time at which a machine's clock shows `local`, rounded up.
    fn world(&self, n: usize, local: Duration) -> Duration {
        let machine = &self.machines[n];
        let nanos = i128::try_from(local.saturating_sub(machine.uptime).as_nanos()).expect("short");
        let real = nanos * 1000 / (1000 + i128::from(machine.drift));
        machine.booted
            + machine.stopped
            + Duration::from_nanos(u64::try_from(real).expect("positive") + 2)
    }

    pub(crate) fn engine(&self, n: usize) -> &Engine {
        self.machines[n].engine.as_ref().expect("powered")
    }

    pub(crate) fn command(&mut self, n: usize, command: Command) -> Result<u8, Refusal> {
        let mut result = Err(Refusal::NotNow);
        self.ask(n, command, |said| result = said.map(|ack| ack.nodes));
        result
    }

    /// The whole answer to a command.
    pub(crate) fn ask(
        &mut self,
        n: usize,
        command: Command,
        take: impl FnOnce(Result<Ack, Refusal>),
    ) {
        self.input(n, |engine, now| take(engine.handle_command(now, command)));
    }

    /// Stages a changed copy of a machine's file there.
    pub(crate) fn stage(&mut self, n: usize, edit: impl Fn(&mut Config)) -> Result<(), Unfit> {
        let mut next = self.machines[n].config.clone();
        edit(&mut next);
        let mut result = Err(Unfit::Busy);
        self.input(n, |engine, now| result = engine.stage(now, &next));
        result
    }

    pub(crate) fn report(&mut self, n: usize, resource: ResourceId, report: Report) {
        self.input(n, |engine, now| engine.handle_report(now, resource, report));
    }

    pub(crate) fn health(&mut self, n: usize, health: Health) {
        self.input(n, |engine, now| engine.handle_health(now, health));
    }

    pub(crate) fn promotion(&mut self, n: usize, service: ResourceId, score: i16) {
        self.input(n, |engine, now| {
            engine.handle_promotion(now, service, score);
        });
    }

    /// Puts bytes on a machine's path, as a stranger on the wire could.
    pub(crate) fn inject(
        &mut self,
        n: usize,
        path: PathId,
        bytes: &[u8],
    ) -> Result<NodeId, Reject> {
        self.deliver(n, path, bytes)
    }

    fn deliver(&mut self, n: usize, path: PathId, bytes: &[u8]) -> Result<NodeId, Reject> {
        let mut result = Err(Reject::Malformed);
        self.input(n, |engine, now| {
            result = engine.handle_frame(now, path, bytes);
        });
        result
    }

    fn input(&mut self, n: usize, give: impl FnOnce(&mut Engine, Duration)) {
        let local = self.local(n);
        let Some(mut engine) = self.machines[n].engine.take() else {
            return;
        };
        let gauge = self.gauge;
        let before = gauge();
        give(&mut engine, local);
        assert_eq!(gauge(), before, "an input allocated");
        assert!(engine.poll_deadline() >= local, "a deadline lies ahead");
        let boot = engine.boot();
        loop {
            let before = gauge();
            let effect = engine.poll_effect();
            assert_eq!(gauge(), before, "an effect allocated");
            let Some(effect) = effect else { break };
            self.perform(n, &engine, boot, effect);
        }
        if self.machines[n].reset.is_none() {
            self.machines[n].engine = Some(engine);
        }
        self.judge();
    }

    fn perform(&mut self, n: usize, engine: &Engine, boot: BootId, effect: Effect) {
        match effect {
            Effect::Send(path, frame) => self.send(n, path, &frame),
            Effect::Ask(frame) => {
                if self.witness.is_some() && self.reaches_gateway(n) {
                    self.fly(n, ms(1), Cargo::Question(frame.to_vec(), boot));
                }
            }
            Effect::Start(resource, reason) => {
                self.machines[n].starts[resource.index()].push(reason);
                let manners = self.machines[n].manners[resource.index()];
                self.fly(
                    n,
                    manners.start,
                    Cargo::Report(resource, manners.outcome, boot),
                );
            }
            Effect::Stop(resource, reason) => {
                self.machines[n].stops[resource.index()].push(reason);
                // a start under way ends with its stop
                self.flights.retain(|flight| {
                    !matches!(flight.what, Cargo::Report(other, ..) if flight.to == n && other == resource)
                });
                let manners = self.machines[n].manners[resource.index()];
                if !manners.stuck {
                    self.fly(
                        n,
                        manners.stop,
                        Cargo::Report(resource, Report::Stopped, boot),
                    );
                }
            }
            Effect::Gate(resource, until) => {
                assert_eq!(resource, VIP, "only VIPs have gates");
                self.machines[n].gate = Some(until);
            }
            Effect::Probe(_) => self.machines[n].probed += 1,
            Effect::Announce(resource) => {
                assert!(
                    self.machines[n].acts[resource.index()],
                    "announces what it does not have"
                );
                self.machines[n].announced += 1;
            }
            Effect::Persist(serial, block) => {
                let disk = &mut self.machines[n].disk;
                assert!(disk.stuck.is_empty(), "one write at a time");
                match disk.hangs {
                    true => disk.stuck.push((serial, block.to_vec())),
                    false => self.fly(n, ms(15), Cargo::Write(serial, block.to_vec(), boot)),
                }
            }
            Effect::FeedWatchdog => self.machines[n].fed += 1,
            Effect::ResetSelf(fatal) => {
                self.machines[n].reset = Some(fatal);
                self.machines[n].acts = [false; RESOURCES];
            }
            Effect::Adopted(hash) => {
                assert_eq!(engine.config().file_hash, hash, "in that instant");
                self.machines[n].config = engine.config().clone();
            }
            Effect::Log(event) => {
                let mut text = String::new();
                let config = &self.machines[n].config;
                event.text(config, &mut text).expect("a string takes all");
                assert!(!text.is_empty() && text.len() < 400, "{text}");
                self.log.push((self.now, n, event, text));
            }
        }
    }

    fn send(&mut self, from: usize, path: PathId, bytes: &[u8]) {
        assert!(bytes.len() <= self.machines[from].config.paths[path.index()].budget);
        self.tape.push(Recording {
            at: self.now,
            from,
            path,
            bytes: bytes.to_vec(),
        });
        if self.cut[path.index()] {
            return;
        }
        for to in 0..self.machines.len() {
            if to == from || self.machines[to].engine.is_none() {
                continue;
            }
            let passage = Passage {
                now: self.now,
                from,
                to,
                path,
            };
            for delay in (self.wire)(&passage) {
                self.fly(to, delay, Cargo::Frame(path, bytes.to_vec()));
            }
        }
    }

    fn fly(&mut self, to: usize, delay: Duration, what: Cargo) {
        self.counter += 1;
        self.flights.push(Flight {
            at: self.now + delay,
            seq: self.counter,
            to,
            what,
        });
    }

    /// What a machine is told of a write.
    pub(crate) fn written(&mut self, n: usize, serial: u64, result: Result<(), i32>) {
        self.input(n, |engine, now| engine.handle_written(now, serial, result));
    }

    /// A machine's disk answers again, also what it was asked meanwhile.
    pub(crate) fn disk_recovers(&mut self, n: usize) {
        let disk = &mut self.machines[n].disk;
        disk.hangs = false;
        let stuck = std::mem::take(&mut disk.stuck);
        let boot = self.engine(n).boot();
        for (serial, bytes) in stuck {
            self.fly(n, ms(1), Cargo::Write(serial, bytes, boot));
        }
    }

    /// Who acts as the owner of the VIP right now, as seen from outside.
    pub(crate) fn owners(&self) -> Vec<usize> {
        (0..self.machines.len())
            .filter(|n| self.machines[*n].acts[VIP.index()] && self.open(*n))
            .collect()
    }

    /// Whether the VIP's gate is open.
    pub(crate) fn open(&self, n: usize) -> bool {
        self.machines[n]
            .gate
            .is_some_and(|until| self.local(n) < until)
    }

    fn judge(&mut self) {
        let owners = self.owners();
        let owner = owners.first().copied();
        if self.held_by.last().is_none_or(|(_, last)| *last != owner) {
            self.held_by.push((self.now, owner));
        }
    }

    pub(crate) fn serves(&self, n: usize) -> bool {
        self.machines[n].acts[..2] == [true; 2] && self.open(n)
    }

    pub(crate) fn members(&self) -> [bool; 2] {
        let view = |n: usize| self.machines[n].engine.as_ref().and_then(Engine::view);
        let both = |n: usize| {
            view(n)
                .is_some_and(|view| view.members.len() == 2 && Some(view) == view_of(self, 1 - n))
        };
        [both(A), both(B)]
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until something holds; fails the story after `limit`. Gives the time it took.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn(&World) -> bool,
    ) -> Duration {
        let begin = self.now;
        while !done(self) {
            assert!(self.step(begin + limit), "not within {limit:?}: {what}");
        }
        self.now - begin
    }

    /// The next thing that happens before `end`; false at `end`.
    fn step(&mut self, end: Duration) -> bool {
        let mut next = end;
        for n in 0..self.machines.len() {
            let machine = &self.machines[n];
            let running = machine.paused.is_none() && !machine.stalled;
            if let Some(engine) = machine.engine.as_ref().filter(|_| running) {
                next = next.min(self.world(n, engine.poll_deadline()));
                next = next.min(machine.next_ping.max(self.now));
            }
        }
        if let Some(flight) = self.flights.iter().map(|flight| flight.at).min() {
            next = next.min(flight);
        }
        // Gates close by themselves.
        for n in self.owners() {
            if let (Some(until), None) = (self.machines[n].gate, self.machines[n].paused) {
                next = next.min(self.world(n, until));
            }
        }
        let next = next.max(self.now);
        if self.owners().len() > 1 {
            self.doubled += next - self.now;
        }
        self.now = next;
        self.land();
        for n in 0..self.machines.len() {
            self.tick(n);
        }
        self.now < end
    }

    fn land(&mut self) {
        loop {
            let due = self
                .flights
                .iter()
                .enumerate()
                .filter(|(_, flight)| flight.at <= self.now);
            let Some(index) = due
                .min_by_key(|(_, flight)| (flight.at, flight.seq))
                .map(|(index, _)| index)
            else {
                return;
            };
            let flight = self.flights.swap_remove(index);
            let n = flight.to;
            let boot = self.machines[n].engine.as_ref().map(Engine::boot);
            let asleep = self.machines[n].paused.is_some() || self.machines[n].stalled;
            match flight.what {
                Cargo::Frame(path, bytes) if asleep => {
                    if self.machines[n].inbox.len() < 100 {
                        self.machines[n].inbox.push_back((path, bytes));
                    }
                }
                Cargo::Frame(path, bytes) => {
                    let _ = self.deliver(n, path, &bytes);
                }
                Cargo::Report(resource, report, life) if boot == Some(life) => {
                    if asleep {
                        self.fly(n, ms(1), Cargo::Report(resource, report, life));
                        continue;
                    }
                    self.machines[n].acts[resource.index()] = report == Report::Started;
                    self.report(n, resource, report);
                }
                Cargo::Ping(sent, life) if boot == Some(life) && !asleep => {
                    self.input(n, |engine, now| engine.handle_ping(now, sent));
                }
                Cargo::Found(life) if boot == Some(life) && !asleep => {
                    let slots = self.machines[n].disk.slots.clone();
                    self.input(n, |engine, now| {
                        engine.handle_state(now, [&slots[0], &slots[1]]);
                    });
                }
                Cargo::Write(serial, bytes, life) if boot == Some(life) && !asleep => {
                    let disk = &mut self.machines[n].disk;
                    disk.writes += 1;
                    let slot = &mut disk.slots[usize::from(serial % 2 == 1)];
                    let result = disk.errno.map_or(Ok(()), Err);
                    *slot = bytes;
                    if result.is_err() {
                        slot.truncate(20);
                    }
                    self.input(n, |engine, now| engine.handle_written(now, serial, result));
                }
                Cargo::Question(bytes, life) => self.question(n, &bytes, life),
                Cargo::Answer(bytes, life) if boot == Some(life) && !asleep => {
                    self.input(n, |engine, now| {
                        let _ = engine.handle_witness(now, &bytes);
                    });
                }
                Cargo::Report(..)
                | Cargo::Found(_)
                | Cargo::Write(..)
                | Cargo::Ping(..)
                | Cargo::Answer(..) => {}
            }
        }
    }

    fn reaches_gateway(&self, n: usize) -> bool {
        self.machines[n].gateway && !self.cut[LAN.index()]
    }

    /// Starts the witness, or starts it again: it has forgotten everything.
    pub(crate) fn start_witness(&mut self, hold_off: Duration) {
        self.boots += 1;
        self.witness = Some(Granter::new(self.boots, hold_off, self.now));
    }

    fn question(&mut self, n: usize, bytes: &[u8], life: BootId) {
        let config = &self.machines[n].config;
        let key = config.witness_key.as_ref().expect("who asks has a key");
        let codec = Codec::new(config.cluster_id, key);
        let now = self.now;
        let answer = self.witness.as_mut().and_then(|witness| {
            let question = codec.question(bytes).expect("as it was sent");
            witness.judge(now, &question).ok()
        });
        if let Some(answer) = answer.filter(|_| self.reaches_gateway(n)) {
            self.fly(
                n,
                ms(1),
                Cargo::Answer(codec.answer(&answer).to_vec(), life),
            );
        }
    }

    fn tick(&mut self, n: usize) {
        let machine = &self.machines[n];
        let asleep = machine.paused.is_some() || machine.stalled;
        let Some(engine) = machine.engine.as_ref().filter(|_| !asleep) else {
            return;
        };
        if machine.config.pings && self.now >= machine.next_ping {
            let (local, life) = (self.local(n), engine.boot());
            self.machines[n].next_ping = self.now + ms(50);
            if self.reaches_gateway(n) {
                self.fly(n, ms(1), Cargo::Ping(local, life));
            }
        } else if self.now >= machine.next_ping {
            self.machines[n].next_ping = self.now + Duration::from_secs(3600);
        }
        if self.engine(n).poll_deadline() <= self.local(n) {
            self.input(n, Engine::handle_timer);
            let asleep = self.machines[n].engine.is_none();
            assert!(
                asleep || self.engine(n).poll_deadline() > self.local(n),
                "the timer is done with this instant"
            );
        }
    }

    /// Log lines of a machine that contain `text`.
    pub(crate) fn said(&self, n: usize, text: &str) -> Vec<&str> {
        let lines = self
            .log
            .iter()
            .filter(|(_, from, _, line)| *from == n && line.contains(text));
        lines.map(|(_, _, _, line)| line.as_str()).collect()
    }

    /// What must hold at the end of every story that promises one owner.
    #[track_caller]
    pub(crate) fn one_owner(&self) {
        assert!(
            self.owners().len() <= 1,
            "two machines act as owner of the VIP"
        );
        assert_eq!(
            self.doubled,
            Duration::ZERO,
            "two machines acted as owner of the VIP"
        );
    }

    /// How often the VIP changed hands since `since`.
    pub(crate) fn changes_since(&self, since: Duration) -> usize {
        let owners: Vec<usize> = self
            .held_by
            .iter()
            .filter(|(at, _)| *at >= since)
            .filter_map(|(_, owner)| *owner)
            .collect();
        owners.len()
    }

    /// A story that fails on purpose should not print its timeline.
    pub(crate) fn quiet(&mut self) {
        self.quiet = true;
    }
}

/// A third machine on all paths, and a majority to decide.
pub(crate) fn majority_of_three(config: &mut Config) {
    let _ = config.nodes.push(name("node3"));
    let _ = config.votes.push(1);
    let _ = config.capacity.push(0);
    config.split_brain = SplitBrain::QUORUM;
    for path in &mut config.paths {
        path.ends = NodeSet::first(3);
        path.budget = path.budget.max(400);
    }
}

/// Three machines with a majority to decide: www as ever, and `db` of one service.
pub(crate) fn three(edit: impl Fn(&mut Config)) -> World {
    let edit = |config: &mut Config| {
        majority_of_three(config);
        let resource = Resource {
            name: name("base"),
            kind: ResourceKind::Service,
            make: 0,
            start_timeout: ms(5000),
            stop_timeout: ms(5000),
        };
        let _ = config.resources.push(resource);
        let all = [NodeId(0), NodeId(1), NodeId(2)];
        config.groups[0].location = ranked(3, &all);
        let db = Group::new(
            name("db"),
            [BASE].into_iter().collect(),
            ranked(3, &[NodeId(1), NodeId(0), NodeId(2)]),
        );
        let _ = config.groups.push(db);
        edit(config);
    };
    let mut world = World::new(edit);
    let mut third = pair(2);
    edit(&mut third);
    world.add(third);
    for n in [A, B, C] {
        world.power_on(n);
    }
    world.until("three members, www is served", ms(6000), |w| {
        settled(w, &[A, B, C]) && (A..=C).any(|n| w.serves(n))
    });
    world.run(ms(2000));
    world
}

/// All of these are members of one view of just them.
pub(crate) fn settled(world: &World, machines: &[usize]) -> bool {
    machines.iter().all(|n| {
        let view = world.machines[*n]
            .engine
            .as_ref()
            .and_then(kodo_engine::Engine::view);
        view.is_some_and(|view| view.members.len() == machines.len())
    })
}

fn view_of(world: &World, n: usize) -> Option<kodo_engine::surface::View> {
    world.machines[n].engine.as_ref().and_then(Engine::view)
}

/// Whether a machine is what it should be.
pub(crate) fn role(world: &World, n: usize) -> Role {
    world.engine(n).role()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.quiet {
            let tail = self.log.len().saturating_sub(80);
            for (at, n, event, line) in &self.log[tail..] {
                let at = at.as_secs_f64() - 1000.0;
                let level = match event.level() {
                    Level::Info => "info",
                    Level::Warn => "warn",
                    Level::Alert => "ALERT",
                };
                eprintln!("[{at:10.4}] machine {n} {level} {line}");
            }
            eprintln!("ended at {:10.4}", self.now.as_secs_f64() - 1000.0);
        }
    }
}
