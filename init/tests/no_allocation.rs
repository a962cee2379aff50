//! The decision path allocates nothing: two nodes live through boot, service, an
//! operator's wishes that go to disk, noise, the death of one and its return, and not one call of
//! `handle`, `poll` or `poll_deadline` asks for memory.

use std::collections::VecDeque;
use std::time::Duration;

use kodo_config::Cluster;
use kodo_engine::surface::{Command, Level};
use kodo_engine::{GroupId, NodeId};
use kodo_node::Node;
use kodo_node::io::{Action, Exit, Input, Line, LogLine, Output, Port, Request, ServiceId, Token};
use kodo_node::status::Role;
use kodo_sys::counting::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

const CLUSTER: &str = r#"
schema = 1
[cluster]
name = "web"
key = "6578616d706c6521206e6576657220757365206f7574736964652061206c6162"
profile = "lab"
split_brain = "accept"
[[node]]
name = "node1"
state_partition = "kodo-state"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:01:01"
address = ["192.168.0.18/24", "fd00::18/64"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:01:02"
[[node.serial]]
device = "ttyS1"
baud = 115200
[[node]]
name = "node2"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:02:01"
address = ["192.168.0.19/24", "fd00::19/64"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:02:02"
[[node.serial]]
device = "ttyS1"
baud = 115200
[[service]]
name = "web"
kind = "builtin"
port = 80
[[vip]]
name = "vip"
address = "192.168.0.33/24"
[[group]]
name = "www"
members = ["web", "vip"]
prefer = ["node1", "node2"]
failback = "auto"
"#;

/// Something on its way to a node.
enum Message {
    Packet(Port, Vec<u8>),
    Serial(Vec<u8>),
    Done(Token),
    Probed(Token),
    Exited(ServiceId),
    Written(u64),
}

/// Two nodes and what lies between them.
struct World {
    nodes: [Option<Box<Node>>; 2],
    boots: u64,
    now: Duration,
    on_the_way: VecDeque<(Duration, usize, Message)>,
    calls: u64,
    lines: u64,
    operator: u32,
    /// What the first node's disk holds, and how often it was written.
    disk: Vec<u8>,
    writes: u32,
}

/// Runs `f`, which must not allocate.
fn frugal<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let before = Counting::allocations();
    let result = f();
    assert_eq!(Counting::allocations(), before, "{what} allocated");
    result
}

/// The name of an input, which must not itself be formatted while memory is counted.
fn name(input: &Input<'_>) -> &'static str {
    match input {
        Input::Packet(..) => "a packet",
        Input::Serial(..) => "serial bytes",
        Input::Operator(..) => "an operator's wish",
        Input::Timer => "a timer",
        _ => "another input",
    }
}

impl World {
    fn new() -> World {
        World {
            nodes: [None, None],
            boots: 0,
            now: Duration::from_secs(3),
            on_the_way: VecDeque::new(),
            calls: 0,
            lines: 0,
            operator: 0,
            disk: Vec::new(),
            writes: 0,
        }
    }

    fn boot(&mut self, n: usize) {
        let load = |_, _: &str| Err("there is none".to_owned());
        let cluster = Cluster::parse("test", CLUSTER, &load).expect("a good file");
        let config = cluster
            .node(["node1", "node2"][n])
            .expect("one of its nodes");
        self.boots += 1;
        self.nodes[n] = Some(Box::new(Node::new(
            config, self.boots, self.boots, self.now,
        )));
        for port in 0..2u8 {
            let mac = [
                0x52,
                0x54,
                0,
                0,
                u8::try_from(n).expect("small") + 1,
                port + 1,
            ];
            self.give(n, Input::PortReady(Port(port), mac));
            self.give(n, Input::Carrier(Port(port), true));
        }
        self.give(n, Input::LineReady(Line(0), true));
        let granted = Duration::from_secs(5);
        self.give(
            n,
            Input::Watchdog {
                granted,
                name: "made-up timer",
            },
        );
        self.give(n, Input::Note(Level::Info, "boot: a note of PID 1"));
        let disk = self.disk.clone();
        self.give(n, Input::StateFound([&disk, &[]]));
    }

    /// One input, everything that follows, and the next deadline.
    fn give(&mut self, n: usize, input: Input<'_>) {
        let Some(mut node) = self.nodes[n].take() else {
            return;
        };
        let now = self.now;
        let what = name(&input);
        frugal(what, || node.handle(now, input));
        while let Some(output) = frugal("poll", || node.poll()) {
            self.perform(n, output);
        }
        frugal("poll_deadline", || node.poll_deadline());
        self.nodes[n] = Some(node);
        self.calls += 1;
    }

    fn perform(&mut self, n: usize, output: Output) {
        let soon = self.now + Duration::from_millis(1);
        let mut send = |to, message| self.on_the_way.push_back((soon, to, message));
        match output {
            Output::Packet(port, frame) => send(1 - n, Message::Packet(port, frame.to_vec())),
            Output::Serial(_, bytes) => send(1 - n, Message::Serial(bytes.to_vec())),
            Output::Act(token, action) => {
                send(n, Message::Done(token));
                if let Action::Terminate(service) | Action::Kill(service) = action {
                    send(n, Message::Exited(service));
                }
            }
            Output::Probe(token, _) => send(n, Message::Probed(token)),
            Output::Persist(serial, table) => {
                send(n, Message::Written(serial));
                self.disk = table.to_vec();
                self.writes += 1;
            }
            Output::Log(LogLine { .. }) => self.lines += 1,
            Output::Reset(fatal) => panic!("node {n} resets itself: {fatal:?}"),
            _ => {}
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            while self
                .on_the_way
                .front()
                .is_some_and(|(at, ..)| *at <= self.now)
            {
                let (_, to, message) = self.on_the_way.pop_front().expect("just seen");
                match message {
                    Message::Packet(port, frame) => self.give(to, Input::Packet(port, &frame)),
                    Message::Serial(bytes) => self.give(to, Input::Serial(Line(0), &bytes)),
                    Message::Done(token) => self.give(to, Input::Done(token, Ok(()))),
                    Message::Written(serial) => {
                        self.give(to, Input::StateWritten(serial, Ok(())));
                    }
                    Message::Probed(token) => self.give(to, Input::Probed(token, Ok(0))),
                    Message::Exited(service) => {
                        self.give(to, Input::Exited(service, Exit::Signal(15)));
                    }
                }
            }
            for n in 0..2 {
                if self.nodes[n]
                    .as_ref()
                    .is_some_and(|node| node.poll_deadline() <= self.now)
                {
                    self.give(n, Input::Timer);
                }
            }
            self.now += Duration::from_millis(1);
        }
    }

    fn ask(&mut self, n: usize, request: Request) {
        self.operator += 1;
        self.give(n, Input::Operator(Token(self.operator), request));
    }

    fn command(&mut self, n: usize, command: Command) {
        let operator = heapless::String::try_from("ada").expect("short");
        self.ask(n, Request::Command { command, operator });
    }

    fn role(&self, n: usize) -> Role {
        self.nodes[n]
            .as_ref()
            .map_or(Role::Dead, |node| node.status().role)
    }
}

#[test]
fn a_whole_life_without_an_allocation() {
    let mut world = World::new();
    world.boot(0);
    world.boot(1);
    world.run(Duration::from_secs(30));
    assert_eq!(
        (world.role(0), world.role(1)),
        (Role::Active, Role::Standby)
    );

    let file = CLUSTER.replace("port = 80", "port = 81");
    assert_ne!(file, CLUSTER);
    let load = |_, _: &str| Err("there is none".to_owned());
    let next = Cluster::parse("test", &file, &load).expect("a good file");
    for (n, name) in ["node1", "node2"].into_iter().enumerate() {
        let config = next.node(name).expect("one of its nodes");
        world.give(n, Input::Stage(Token(7), &config));
    }
    world.run(Duration::from_secs(1));
    world.command(1, Command::Adopt(next.file_hash()));
    world.run(Duration::from_secs(9));
    for node in world.nodes.iter().flatten() {
        assert_eq!(node.status().file, next.file_hash());
    }
    assert_eq!(world.role(0), Role::Active, "it starts again where it ran");

    world.ask(0, Request::Status);
    world.ask(1, Request::Log { from: 0 });
    world.command(0, Command::Move(GroupId(0), NodeId(1), false));
    world.run(Duration::from_secs(5));
    assert_eq!(world.role(1), Role::Active);
    world.command(1, Command::Standby(NodeId(1), true));
    world.run(Duration::from_secs(5));
    world.command(0, Command::Standby(NodeId(1), false));
    world.run(Duration::from_secs(5));

    for length in 0..200u8 {
        let noise: Vec<u8> = (0..length).map(|i: u8| i.wrapping_mul(7) ^ 13).collect();
        world.give(0, Input::Serial(Line(0), &noise));
        world.give(0, Input::Packet(Port(0), &noise));
    }
    world.run(Duration::from_secs(5));

    let active = usize::from(world.role(1) == Role::Active);
    world.nodes[active] = None;
    world.run(Duration::from_secs(20));
    assert_eq!(
        world.role(1 - active),
        Role::Active,
        "the survivor takes over"
    );
    world.boot(active);
    world.run(Duration::from_secs(30));
    world.give(active, Input::PowerButton);
    world.run(Duration::from_secs(10));

    assert!(world.writes > 3, "{} writes", world.writes);
    assert!(
        world.calls > 2_000 && world.lines > 20,
        "{} calls, {} lines",
        world.calls,
        world.lines
    );
}
