//! A whole node under random inputs, with a second one to talk to.
//!
//! The bytes are a program, as in the netstack's operations. The second node is there so
//! that the first meets authentic frames of every kind; on the way they are lost,
//! doubled, damaged, or damaged and signed again, as a mad member of the cluster could.
//! Checked is what must hold for any input: no panic, an end to every drain, bounded
//! output, deadlines in the future, a status that fits its datagram.

use core::time::Duration;
use std::collections::VecDeque;

use kodo_admin::relay::{self, FromNode};
use kodo_engine::surface::{Command, Level};
use kodo_engine::{GroupId, NodeId};
use kodo_netstack::ethernet;
use kodo_node::Node;
use kodo_node::io::{
    ActError, Action, Drill, Exit, Halt, Input, Line, Output, Port, ProbeError, Reply, Request,
    ServiceId, Token,
};
use kodo_node::status::Status;

use super::{Program, Target};

/// A program of inputs.
pub const OPERATIONS: Target = Target {
    name: "node-operations",
    run: |bytes| World::new().play(bytes),
    examples: programs,
    words: &[&[0, 250], &[1, 30], &[2, 0, 2, 0, 2, 0], &[10, 0], &[3, 0]],
    longest: 400,
    inputs: 500,
};

/// More outputs than one input can have.
const ENOUGH: usize = 500;
/// Starts of the one service at one instant: in place of another start, at most.
const STARTS: usize = 3;
/// Frames under way to one node; a real wire loses them too.
const UNDER_WAY: usize = 64;

/// One node and what is around it.
struct Side {
    node: Box<Node>,
    /// Packets and serial bytes on their way to it.
    arriving: VecDeque<Message>,
    asked: VecDeque<(Token, Option<Action>)>,
    /// When it last had a service started, and how often at that instant.
    spawned: (Duration, usize),
    /// The newest table that it wanted to be written, with its serial number.
    table: (u64, Vec<u8>),
    /// It was reset, or powered off.
    gone: bool,
}

#[derive(Clone, Debug)]
enum Message {
    Packet(Port, Vec<u8>),
    Serial(Line, Vec<u8>),
}

struct World {
    now: Duration,
    sides: [Side; 2],
    /// Every heartbeat that the first node put on the crossover.
    beats: Vec<Vec<u8>>,
}

impl Side {
    fn new(name: &str, boot: u64, now: Duration) -> Side {
        let mut config = super::engine::cluster()
            .node(name)
            .expect("the example has it");
        config.engine.keeps_state = true;
        Side {
            node: Box::new(Node::new(config, boot, boot, now)),
            arriving: VecDeque::new(),
            asked: VecDeque::new(),
            spawned: (Duration::ZERO, 0),
            table: (0, Vec::new()),
            gone: false,
        }
    }
}

impl World {
    fn new() -> World {
        let now = Duration::from_secs(2);
        let mut world = World {
            now,
            sides: [Side::new("node1", 11, now), Side::new("node2", 22, now)],
            beats: Vec::new(),
        };
        for at in 0..2 {
            let last = u8::try_from(at).expect("two") + 1;
            for port in 0..2 {
                world.input(
                    at,
                    Input::PortReady(Port(port), [0x52, 0x54, 0, 0, last, port + 1]),
                );
                world.input(at, Input::Carrier(Port(port), true));
            }
            world.input(at, Input::LineReady(Line(0), true));
            let watchdog = Input::Watchdog {
                granted: Duration::from_secs(5),
                name: "i6300esb",
            };
            world.input(at, watchdog);
        }
        world
    }

    fn play(mut self, program: &[u8]) {
        let mut program = Program(program);
        while !program.0.is_empty() && !self.sides[0].gone {
            self.step(&mut program);
        }
        self.check_status();
    }

    /// One operation; most are about the first node.
    fn step(&mut self, program: &mut Program<'_>) {
        let opcode = program.byte() % 19;
        let argument = program.byte();
        let at = usize::from(argument >> 7);
        let port = Port(argument % 2);
        match opcode {
            0 => self.wait(Duration::from_millis(argument.into())),
            1 => self.wait(Duration::from_millis(u64::from(argument) * 20)),
            2 => {
                // Everything under way arrives.
                for to in 0..2 {
                    for message in core::mem::take(&mut self.sides[to].arriving) {
                        self.deliver(to, &message);
                    }
                }
            }
            3 => {
                // The helpers and the probers of the second side, or of both, do their
                // work; or services cannot be started.
                for to in at..2 {
                    for _ in 0..ENOUGH {
                        let Some((token, action)) = self.sides[to].asked.pop_front() else {
                            break;
                        };
                        let spawn = matches!(action, Some(Action::Spawn(..)));
                        let well = !(spawn && argument & 0x40 != 0);
                        self.answer(to, token, action.as_ref(), well);
                    }
                }
            }
            4 => {
                if let Some((token, action)) = self.sides[at].asked.pop_front() {
                    self.answer(at, token, action.as_ref(), argument.is_multiple_of(2));
                }
            }
            5 => {
                let _ = self.sides[at].arriving.pop_front();
            }
            6 => {
                // Twice.
                if let Some(message) = self.sides[at].arriving.pop_front() {
                    self.deliver(at, &message);
                    self.deliver(at, &message);
                }
            }
            7 | 8 => {
                // Damaged; 8: and signed again.
                let Some(mut message) = self.sides[at].arriving.pop_front() else {
                    return;
                };
                let (place, by) = (usize::from(program.byte()), program.byte());
                let config = super::engine::config();
                match &mut message {
                    Message::Packet(_, frame) if opcode == 8 => {
                        resign(frame, config, place, by);
                    }
                    Message::Packet(_, bytes) | Message::Serial(_, bytes) => {
                        if let Some(byte) = bytes.get_mut(place) {
                            *byte ^= by;
                        }
                    }
                }
                self.deliver(at, &message);
            }
            9 => {
                let bytes = program.take(usize::from(argument));
                self.input(0, Input::Packet(port, bytes));
                self.input(0, Input::Serial(Line(0), bytes));
            }
            10 => self.operator(at, program),
            11 => self.input(at, Input::Carrier(port, program.byte().is_multiple_of(2))),
            12 => {
                let ready = !program.byte().is_multiple_of(4);
                let mac = [0x52, 0x54, 0, 0, argument, 1];
                self.input(
                    at,
                    if ready {
                        Input::PortReady(port, mac)
                    } else {
                        Input::PortGone(port)
                    },
                );
            }
            13 => self.input(
                at,
                Input::LineReady(Line(0), program.byte().is_multiple_of(2)),
            ),
            14 => self.input(at, Input::Exited(ServiceId(0), Exit::Signal(9))),
            15 => self.input(at, Input::Done(Token(argument.into()), Ok(()))),
            16 => self.restart(at),
            17 => self.disk(at, program),
            _ => self.rare(at, program),
        }
    }

    /// The disk is found, with what was written last in a slot, whole or damaged; or it
    /// answers, or goes away.
    fn disk(&mut self, at: usize, program: &mut Program<'_>) {
        let (what, byte) = (program.byte(), program.byte());
        let (serial, mut table) = self.sides[at].table.clone();
        match what % 5 {
            0 => self.input(at, Input::StateGone),
            1 => self.input(at, Input::StateWritten(serial, Ok(()))),
            2 => self.input(at, Input::StateWritten(serial, Err(i32::from(byte)))),
            3 => self.input(at, Input::StateFound([&table, &[]])),
            _ => {
                if let Some(place) = table.get_mut(usize::from(byte)) {
                    *place ^= what;
                }
                self.input(at, Input::StateFound([&[], &table]));
            }
        }
    }

    fn rare(&mut self, at: usize, program: &mut Program<'_>) {
        match program.byte() % 8 {
            0 => self.input(at, Input::PowerButton),
            1 => self.input(at, Input::HelperLost("svc")),
            2 => self.input(
                at,
                Input::Note(Level::Warn, "a driver had something to say"),
            ),
            3 => self.input(
                at,
                Input::Probed(Token(program.byte().into()), Err(ProbeError::Timeout)),
            ),
            4 => {
                let granted = Duration::from_millis(u64::from(program.byte()) * 100);
                self.input(
                    at,
                    Input::Watchdog {
                        granted,
                        name: "softdog",
                    },
                );
            }
            _ => {
                // A stranger, or the other node's hardware, claims the VIP.
                let mac = kodo_netstack::Mac([0x52, 0x54, 0, 0, program.byte() % 4, 1]);
                let vip = core::net::Ipv4Addr::new(192, 168, 0, 33);
                let claim = kodo_netstack::packet::announce_request(mac, vip);
                self.input(at, Input::Packet(Port(0), &claim));
            }
        }
    }

    fn operator(&mut self, at: usize, program: &mut Program<'_>) {
        let operator = heapless::String::try_from("fuzz").expect("short");
        let (what, which) = (program.byte(), program.byte());
        let node = NodeId(which % 3);
        let group = GroupId(which / 3 % 2);
        let command = match what % 11 {
            0 => Command::Standby(node, which < 128),
            1 => Command::Move(group, node, which >= 128),
            2 => Command::TakeoverAnyway,
            3 => Command::Cleanup(group),
            4 => Command::Leave,
            9 => Command::Maintenance(which < 128),
            10 => Command::Manage(group, which < 128),
            5 => return self.input(at, Input::Operator(Token(1), Request::Status)),
            6 => {
                let request = Request::Log {
                    from: u64::from(which) * 1000,
                };
                return self.input(at, Input::Operator(Token(2), request));
            }
            7 => {
                let request = Request::Halt {
                    halt: Halt::Reboot,
                    operator,
                };
                return self.input(at, Input::Operator(Token(3), request));
            }
            _ => {
                let request = Request::Drill {
                    drill: Drill::ServiceKill,
                    operator,
                };
                return self.input(at, Input::Operator(Token(4), request));
            }
        };
        self.input(
            at,
            Input::Operator(Token(5), Request::Command { command, operator }),
        );
    }

    /// A machine comes back with a new life.
    fn restart(&mut self, at: usize) {
        if at == 1 {
            let boot = u64::try_from(self.now.as_micros()).expect("less than an age");
            self.sides[1] = Side::new("node2", boot, self.now);
            for port in 0..2 {
                self.input(
                    1,
                    Input::PortReady(Port(port), [0x52, 0x54, 0, 0, 2, port + 1]),
                );
                self.input(1, Input::Carrier(Port(port), true));
            }
        }
    }

    /// Time passes, and timers come when they are due.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = |side: &Side| (!side.gone).then(|| side.node.poll_deadline());
            let Some(next) = self
                .sides
                .iter()
                .filter_map(due)
                .min()
                .filter(|due| *due <= until)
            else {
                break;
            };
            self.now = next.max(self.now);
            for at in 0..2 {
                if self.sides[at].node.poll_deadline() <= self.now {
                    self.input(at, Input::Timer);
                    let side = &self.sides[at];
                    assert!(
                        side.gone || side.node.poll_deadline() > self.now,
                        "a timer stays due"
                    );
                }
            }
        }
        self.now = until;
    }

    fn deliver(&mut self, to: usize, message: &Message) {
        match message {
            Message::Packet(port, frame) => self.input(to, Input::Packet(*port, frame)),
            Message::Serial(line, bytes) => self.input(to, Input::Serial(*line, bytes)),
        }
    }

    fn answer(&mut self, at: usize, token: Token, action: Option<&Action>, well: bool) {
        match action {
            Some(action) => {
                // The helper tells of an exit before it calls the kill done.
                if well && matches!(action, Action::Terminate(_) | Action::Kill(_)) {
                    self.input(at, Input::Exited(ServiceId(0), Exit::Code(0)));
                }
                let result = if well {
                    Ok(())
                } else {
                    Err(ActError::Errno(5))
                };
                self.input(at, Input::Done(token, result));
            }
            None => {
                let result = if well {
                    Ok(7)
                } else {
                    Err(ProbeError::Refused)
                };
                self.input(at, Input::Probed(token, result));
            }
        }
    }

    /// One input to one node, and everything that comes of it.
    fn input(&mut self, at: usize, input: Input<'_>) {
        if self.sides[at].gone {
            return;
        }
        self.sides[at].node.handle(self.now, input);
        let mut outputs = 0;
        while let Some(output) = self.sides[at].node.poll() {
            outputs += 1;
            assert!(outputs < ENOUGH, "output without end");
            self.output(at, output);
        }
    }

    fn output(&mut self, at: usize, output: Output) {
        let message = match output {
            Output::Packet(port, frame) => {
                assert!(port.0 < 2 && frame.len() >= ethernet::SHORTEST);
                if at == 0 && port.0 == 1 {
                    self.beats.push(frame.to_vec());
                }
                Message::Packet(port, frame.to_vec())
            }
            Output::Serial(line, bytes) => Message::Serial(line, bytes.to_vec()),
            Output::Act(token, action) => {
                if matches!(action, Action::Spawn(..)) {
                    self.spawned(at);
                }
                return self.sides[at].asked.push_back((token, Some(action)));
            }
            Output::Probe(token, _) => return self.sides[at].asked.push_back((token, None)),
            Output::Reset(_) | Output::Halt(_) => {
                self.sides[at].gone = true;
                return;
            }
            Output::Reply(token, reply) => return fits(&FromNode::Reply { token, reply }),
            Output::Log(line) => {
                assert!(!line.text.is_empty() && !line.text.contains('\n'));
                return;
            }
            Output::Persist(serial, table) => {
                self.sides[at].table = (serial, table.to_vec());
                return;
            }
            Output::Gate(..)
            | Output::Staged(..)
            | Output::Adopted(_)
            | Output::FeedWatchdog
            | Output::Drill(_) => return,
        };
        let to = &mut self.sides[1 - at].arriving;
        if to.len() < UNDER_WAY {
            to.push_back(message);
        }
    }

    /// A service that fails at once must not be started again at once, for ever.
    fn spawned(&mut self, at: usize) {
        let (last, times) = &mut self.sides[at].spawned;
        if *last != self.now {
            (*last, *times) = (self.now, 0);
        }
        *times += 1;
        assert!(
            *times <= STARTS,
            "a service is started over and over, without any pause"
        );
    }

    fn check_status(&self) {
        let status = self.sides[0].node.status();
        let _ = kodo_admin::api::Status::from(&status);
        fits(&FromNode::Reply {
            token: Token(1),
            reply: Reply::Status(status),
        });
    }
}

fn fits(message: &FromNode) {
    let mut buffer = vec![0; relay::DATAGRAM];
    assert!(
        relay::encode(message, &mut buffer).is_ok(),
        "an answer that does not fit"
    );
}

/// Changes one byte of a heartbeat's body and makes its MAC fit again.
fn resign(frame: &mut Vec<u8>, config: &kodo_engine::Config, place: usize, by: u8) {
    let Ok(received) = kodo_netstack::packet::parse(frame) else {
        return;
    };
    let kodo_netstack::packet::Packet::Heartbeat(payload) = received.packet else {
        return;
    };
    let mut body = payload[..payload.len().saturating_sub(kodo_engine::codec::MAC)].to_vec();
    if let Some(byte) = body.get_mut(place) {
        *byte ^= by;
    }
    let payload = super::engine::signed(config, &body);
    if let Some(again) = ethernet::heartbeat(received.source, &payload) {
        *frame = again.to_vec();
    }
}

/// A boot, a takeover, a move and a few mishaps, for mutations to spoil.
fn programs() -> Vec<Vec<u8>> {
    // A quarter of a second each: time, everything arrives, helpers work.
    let live = |times: usize| [0, 250, 2, 0, 3, 0].repeat(times);
    let boot = live(60);
    let moved = [&live(60)[..], &[10, 0, 1, 1], &live(10)].concat();
    let silent = [live(60), [0, 250, 5, 128, 3, 0].repeat(16), live(8)].concat();
    let restarted = [&live(60)[..], &[16, 128], &live(20)].concat();
    let broken = [
        &live(8)[..],
        &[3, 0x40],
        &[0, 250, 2, 0, 3, 0x40].repeat(40),
    ]
    .concat();
    let mishaps = [
        &live(60)[..],
        &[
            14, 0, 3, 0, 17, 0, 5, 3, 11, 0, 1, 0, 200, 8, 0, 20, 1, 8, 0, 40, 2, 7, 0, 30, 1,
        ],
        &live(6),
    ]
    .concat();
    vec![boot, moved, silent, restarted, broken, mishaps]
}

/// What the first node says on its crossover in a short life with ups and downs.
pub(crate) fn beats() -> Vec<Vec<u8>> {
    let mut world = World::new();
    for program in programs() {
        let mut program = Program(&program);
        while !program.0.is_empty() && !world.sides[0].gone {
            world.step(&mut program);
        }
    }
    let payload = |frame: &Vec<u8>| match kodo_netstack::packet::parse(frame).map(|it| it.packet) {
        Ok(kodo_netstack::packet::Packet::Heartbeat(payload)) => Some(payload.to_vec()),
        _ => None,
    };
    world.beats.iter().filter_map(payload).collect()
}

/// The status of a node that has a peer and runs its group.
pub(crate) fn status() -> Status {
    let mut world = World::new();
    let program = &programs()[0];
    let mut program = Program(program);
    while !program.0.is_empty() {
        world.step(&mut program);
    }
    world.sides[0].node.status()
}
