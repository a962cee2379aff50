//! A healthy cluster in virtual time: engines, perfect wires, services that start at once.
//!
//! Owns the clock that engines see, and a stopwatch for each kind of call. Knows the engines
//! by their public doors only, and makes their files through the shipped reader. Never lets
//! anything fail.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

use kodo_config::Cluster;
use kodo_engine::surface::{Effect, Frame, Reject, Report, Role};
use kodo_engine::{BootId, Engine, GroupId, NodeId, PathId, ResourceId};
use kodo_sys::counting::Counting;

use crate::figures::BAUD;

/// The path on the line between the first two nodes, after those on Ethernet.
pub(crate) const SERIAL: usize = 2;

/// The first path is a little faster than the second: its copy is the news.
const DELAYS: [Duration; 3] = [
    Duration::from_micros(100),
    Duration::from_micros(150),
    Duration::from_micros(200),
];

/// Kinds of calls, each with its own stopwatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A beat that nothing was heard of yet.
    News,
    /// The same beat by another path.
    Copy,
    /// The timer, and what it sends.
    Tick,
}

/// One engine.
struct Node {
    engine: Engine,
    /// The paths that end here.
    paths: Vec<bool>,
}

/// Something on its way.
struct Flight {
    at: Duration,
    to: usize,
    what: Cargo,
}

enum Cargo {
    Frame(PathId, Box<Frame>),
    Report(ResourceId, Report),
}

/// The cluster.
pub(crate) struct World {
    now: Duration,
    nodes: Vec<Node>,
    /// In order of their instants, by delay.
    flights: Vec<VecDeque<Flight>>,
    /// Nanoseconds by kind of call, of every node.
    pub(crate) took: [Vec<u32>; 3],
    /// Allocations within calls.
    pub(crate) allocated: u64,
    /// Bytes of the frames sent by path.
    pub(crate) sizes: Vec<Vec<usize>>,
    /// How often each path is sent on.
    pub(crate) intervals: Vec<Duration>,
    /// A frame that was delivered long ago, and by which path.
    recorded: Option<(PathId, Frame)>,
}

impl World {
    /// Everybody is switched on at once.
    pub(crate) fn new(nodes: usize, keepalive: Duration) -> World {
        let text = file(nodes, keepalive);
        let cluster = Cluster::parse("bench.toml", &text, &|_, _| Err("no other files".into()))
            .unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
        let mut intervals = Vec::new();
        let nodes = (0..nodes).map(|n| {
            let config = cluster
                .node(&format!("node{}", n + 1))
                .expect("in the file");
            let me = NodeId::from_index(n);
            let paths = config
                .engine
                .paths
                .iter()
                .map(|path| path.ends.contains(me));
            let paths: Vec<bool> = paths.collect();
            let keepalives = config.engine.paths.iter().map(|path| path.keepalive);
            intervals = keepalives.collect();
            let boot = BootId(n as u64 + 1);
            Node {
                paths,
                engine: Engine::new(config.engine, boot, boot.0, Duration::ZERO),
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let mut world = World {
            now: Duration::ZERO,
            flights: DELAYS.iter().map(|_| VecDeque::new()).collect(),
            took: [const { Vec::new() }; 3],
            allocated: 0,
            sizes: vec![Vec::new(); intervals.len()],
            intervals,
            recorded: None,
            nodes,
        };
        for n in 0..world.nodes.len() {
            for path in 0..world.nodes[n].paths.len() {
                if world.nodes[n].paths[path] {
                    let path = PathId::from_index(path);
                    world.input(n, None, |engine, now| {
                        engine.handle_carrier(now, path, true);
                    });
                }
            }
            world.input(n, None, |engine, now| {
                engine.handle_watchdog(now, Duration::from_secs(2));
            });
        }
        world
    }

    /// Runs until everybody is a member and the group is up somewhere.
    pub(crate) fn settle(&mut self) {
        let limit = self.now + Duration::from_secs(60);
        while !self.is_settled() {
            assert!(self.now < limit, "a healthy cluster forms a view");
            self.run(Duration::from_millis(100));
        }
        self.run(Duration::from_secs(5));
        self.took = [const { Vec::new() }; 3];
        self.sizes.iter_mut().for_each(Vec::clear);
    }

    fn is_settled(&self) -> bool {
        let all = |node: &Node| {
            let view = node.engine.view();
            node.engine.role() == Role::Member
                && view.is_some_and(|view| view.members.len() == self.nodes.len())
        };
        let holds = |node: &Node| node.engine.claim(GroupId(0)).may_act();
        self.nodes.iter().all(all) && self.nodes.iter().any(holds)
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timers = self.nodes.iter().map(|node| node.engine.poll_deadline());
            let flights = self.flights.iter().filter_map(|queue| queue.front());
            let next = timers.chain(flights.map(|flight| flight.at)).min();
            let next = next.unwrap_or(end).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            self.land();
            for n in 0..self.nodes.len() {
                if self.nodes[n].engine.poll_deadline() <= self.now {
                    self.input(n, Some(Call::Tick), Engine::handle_timer);
                }
            }
        }
    }

    fn land(&mut self) {
        for queue in 0..self.flights.len() {
            while self.flights[queue]
                .front()
                .is_some_and(|flight| flight.at <= self.now)
            {
                let Some(Flight { to, what, .. }) = self.flights[queue].pop_front() else {
                    break;
                };
                match what {
                    Cargo::Frame(path, frame) => {
                        let call = if path.0 == 0 { Call::News } else { Call::Copy };
                        self.input(to, Some(call), |engine, now| {
                            engine.handle_frame(now, path, &frame).map(drop)
                        });
                        self.recorded.get_or_insert((path, *frame));
                    }
                    Cargo::Report(resource, report) => self.input(to, None, |engine, now| {
                        engine.handle_report(now, resource, report);
                    }),
                }
            }
        }
    }

    /// One call, with what it sends, timed and watched.
    fn input<T>(
        &mut self,
        n: usize,
        call: Option<Call>,
        give: impl FnOnce(&mut Engine, Duration) -> T,
    ) {
        let before = Counting::allocations();
        let start = Instant::now();
        give(&mut self.nodes[n].engine, self.now);
        let mut spent = start.elapsed();
        self.allocated += Counting::allocations() - before;
        loop {
            let before = Counting::allocations();
            let start = Instant::now();
            let effect = self.nodes[n].engine.poll_effect();
            spent += start.elapsed();
            self.allocated += Counting::allocations() - before;
            let Some(effect) = effect else { break };
            self.perform(n, effect);
        }
        if let Some(call) = call {
            self.took[call as usize].push(u32::try_from(spent.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    fn perform(&mut self, n: usize, effect: Effect) {
        match effect {
            Effect::Send(path, frame) => {
                self.sizes[path.index()].push(frame.len());
                for to in (0..self.nodes.len()).filter(|to| *to != n) {
                    if self.nodes[to].paths[path.index()] {
                        self.fly(
                            path.index(),
                            to,
                            Cargo::Frame(path, Box::new(frame.clone())),
                        );
                    }
                }
            }
            Effect::Start(resource, _) => self.fly(0, n, Cargo::Report(resource, Report::Started)),
            Effect::Stop(resource, _) => self.fly(0, n, Cargo::Report(resource, Report::Stopped)),
            Effect::ResetSelf(fatal) => panic!("a healthy node resets itself: {fatal:?}"),
            _ => {}
        }
    }

    fn fly(&mut self, path: usize, to: usize, what: Cargo) {
        let queue = path.min(DELAYS.len() - 1);
        let at = self.now + DELAYS[queue];
        self.flights[queue].push_back(Flight { at, to, what });
    }

    /// Nanoseconds that the last node takes to reject each of so many frames.
    pub(crate) fn rejects(&mut self, wanted: Reject, count: usize) -> Vec<u32> {
        let (path, mut frame) = self.recorded.clone().expect("frames were delivered");
        let last = frame.len() - 1;
        if wanted == Reject::Forged {
            frame[last] ^= 1;
        }
        let to = self.nodes.len() - 1;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let engine = &mut self.nodes[to].engine;
            let before = Counting::allocations();
            let start = Instant::now();
            let result = engine.handle_frame(self.now, path, &frame);
            while engine.poll_effect().is_some() {}
            let spent = start.elapsed();
            self.allocated += Counting::allocations() - before;
            assert_eq!(result, Err(wanted), "it is rejected for that");
            took.push(u32::try_from(spent.as_nanos()).unwrap_or(u32::MAX));
        }
        took
    }
}

/// A cluster file of so many nodes, on two Ethernet paths, and a serial line between the
/// first two.
fn file(nodes: usize, keepalive: Duration) -> String {
    let mut text = String::new();
    let ms = keepalive.as_millis();
    let policy = if nodes > 2 { "quorum" } else { "accept" };
    let _ = writeln!(
        text,
        "schema = 1\n[cluster]\nname = \"bench\"\n\
         key = \"73696d756c6174656420636c757374657273206e656564206e6f207365637265\"\n\
         split_brain = \"{policy}\"\n[timing]\nkeepalive = \"{ms}ms\"\ndeadtime = \"{}ms\"",
        (ms * 8).max(200)
    );
    for n in 0..nodes {
        let _ = writeln!(
            text,
            "[[node]]\nname = \"node{}\"\n\
             [[node.nic]]\nrole = \"lan\"\nmac = \"52:54:00:00:{n:02x}:01\"\naddress = [\"192.168.0.{}/24\"]\n\
             [[node.nic]]\nrole = \"crossover\"\nmac = \"52:54:00:00:{n:02x}:02\"",
            n + 1,
            64 + n
        );
        if n < 2 {
            let _ = writeln!(
                text,
                "[[node.serial]]\ndevice = \"ttyS1\"\nbaud = {BAUD}\npeer = \"node{}\"",
                2 - n
            );
        }
    }
    let prefer: Vec<String> = (1..=nodes).map(|n| format!("\"node{n}\"")).collect();
    let _ = writeln!(
        text,
        "[[service]]\nname = \"web\"\nkind = \"builtin\"\nport = 80\n\
         [[vip]]\nname = \"vip\"\naddress = \"192.168.0.33/24\"\n\
         [[group]]\nname = \"www\"\nmembers = [\"web\", \"vip\"]\nprefer = [{}]",
        prefer.join(", ")
    );
    text
}
