//! Frames that nobody sent: replays, forgeries, junk, noise; and cables that flap.
//!
//! Owns the recordings and the test of promise 6 in its strictest form: around every such
//! frame a node is asked for its status, and but for counters it must be the same.

use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;

use kodo_node::Node;
use kodo_node::io::{Input, Line, Output, Port};
use kodo_node::status::{Counters, Status};

use crate::clock::At;
use crate::cluster::{self, CROSSOVER_PORT, LAN_PORT};
use crate::machine::Machine;
use crate::origin::{Frame, Origin};
use crate::packet::{self, Packet};
use crate::plan::{Fault, Machine as Name, Tape};
use crate::queue::{Event, Happening};
use crate::rng::Rng;
use crate::world::World;

/// Port of the serial line, where ports and line share a number.
const LINE: u8 = u8::MAX;
/// Nodes that a forger plays.
const FORGERS: usize = 4;
/// Frames kept of every machine's present, and of its earlier lives.
const KEPT: usize = 96;

/// A fault that acts again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Injector {
    /// A cable whose carrier goes and comes.
    Flap { down: bool },
    /// A source of frames.
    Frames,
}

/// What was recorded of the wires.
#[derive(Debug)]
pub(crate) struct Tapes {
    recorded: VecDeque<Recorded>,
    earlier: VecDeque<Recorded>,
    forged: Vec<Vec<u8>>,
    rng: Rng,
}

/// A heartbeat as it left a port.
#[derive(Clone, Debug)]
struct Recorded {
    port: u8,
    frame: Rc<Frame>,
}

impl Recorded {
    fn origin(&self) -> &Origin {
        let origin = self.frame.origin.as_ref();
        origin.expect("only heartbeats are recorded")
    }
}

impl Tapes {
    pub(crate) fn new(seed: u64) -> Tapes {
        Tapes {
            recorded: VecDeque::new(),
            earlier: VecDeque::new(),
            forged: Vec::new(),
            rng: Rng::stream(seed, "inject", 0),
        }
    }

    /// A node's own heartbeat went out on a port.
    pub(crate) fn record(&mut self, port: u8, frame: &Rc<Frame>) {
        if self.recorded.len() == KEPT {
            // Thinned out rather than cut off, so that old and young ones are there.
            let at = self.rng.index(KEPT);
            self.recorded.swap_remove_back(at);
        }
        self.recorded.push_back(Recorded {
            port,
            frame: Rc::clone(frame),
        });
    }

    /// A machine's life ended: what is on tape of it, or was said to it, is of an earlier one.
    pub(crate) fn life_ends(&mut self) {
        self.earlier.extend(self.recorded.drain(..));
        while self.earlier.len() > KEPT {
            let at = self.rng.index(self.earlier.len());
            self.earlier.swap_remove_back(at);
        }
    }

    /// A recording of this kind that can prove nothing to `id`, by the laws of the wires.
    fn choose(
        &mut self,
        id: usize,
        what: Tape,
        port: u8,
        machine: &Machine,
        now: At,
    ) -> Option<Vec<u8>> {
        let of = match what {
            Tape::EarlierLife => &self.earlier,
            Tape::Peers | Tape::Own => &self.recorded,
        };
        let fits = |tape: &&Recorded| {
            let theirs = match what {
                Tape::Peers => tape.origin().machine != id,
                Tape::Own => tape.origin().machine == id,
                Tape::EarlierLife => true,
            };
            theirs && tape.port == port && proves_nothing(tape.origin(), id, machine, now)
        };
        let count = of.iter().filter(fits).count();
        let at = self.rng.index(count.max(1));
        of.iter()
            .filter(fits)
            .nth(at)
            .map(|tape| tape.frame.bytes.clone())
    }
}

/// Whether a heartbeat is old news at a machine: it heard a newer one of that life, or it
/// echoes nothing that this life sent within a generous deadtime.
fn proves_nothing(origin: &Origin, id: usize, machine: &Machine, now: At) -> bool {
    if origin.machine == id {
        return true;
    }
    let newer = machine.heard[origin.machine]
        .is_some_and(|heard| heard.life == origin.life && heard.sent >= origin.sent);
    let echo = origin.heard.get(id).copied().flatten();
    let recent = echo.is_some_and(|echo| {
        let age = machine.clock.local(now).saturating_sub(echo.sent_local);
        echo.life == machine.life && age <= machine.config.engine.timing.deadtime * 2
    });
    newer || !recent
}

impl World {
    /// An injector acts once more.
    pub(crate) fn inject(&mut self, at: usize) {
        if !self.active[at] {
            return;
        }
        let fault = self.plan.episodes[at].fault;
        let every = match fault {
            Fault::Flap(wire, period) => {
                if let Some(Injector::Flap { down }) = &mut self.injectors[at] {
                    *down = !*down;
                }
                self.switch.unplugged(wire);
                self.refresh();
                period
            }
            Fault::Replay { to, what, every } => {
                let port = self.some_port();
                let now = self.now();
                let machine = &self.machines[to];
                let chosen = self.tape.choose(to, what, port, machine, now);
                if let Some(bytes) = chosen {
                    self.facts.replayed += 1;
                    let frame = Rc::new(Frame::plain(bytes));
                    self.later(to, Duration::ZERO, Happening::Replayed(port, frame));
                }
                every
            }
            Fault::Forge { to, every } => {
                let bytes = self.forgery();
                let port = self.some_port();
                self.facts.forged += 1;
                self.foreign_arrives(to, port, bytes);
                every
            }
            Fault::Junk { to, every } => {
                let rng = &mut self.tape.rng;
                let len = rng.index(300);
                let mut bytes = kodo_netstack::GROUP_MAC.0.to_vec();
                bytes.extend([0x52, 0x54, 0, 0, 9, 9]);
                bytes.extend(kodo_netstack::ETHERTYPE.to_be_bytes());
                if rng.chance(500) {
                    bytes.extend([0x6b, 1]);
                }
                bytes.extend(rng.bytes(len));
                let port = self.some_port();
                self.facts.forged += 1;
                self.foreign_arrives(to, port, bytes);
                every
            }
            Fault::Noise { to, .. } if self.machines[to].lines.is_empty() => return,
            Fault::Noise { to, every } => {
                let rng = &mut self.tape.rng;
                let len = 1 + rng.index(120);
                let bytes = rng.bytes(len);
                self.foreign_arrives(to, LINE, bytes);
                every
            }
            _ => return,
        };
        self.queue.after(every, Event::Inject(at));
    }

    /// A port that heartbeats go through.
    fn some_port(&mut self) -> u8 {
        let port = self.tape.rng.pick(&[LAN_PORT, CROSSOVER_PORT]);
        if self.plan.cluster.private {
            port
        } else {
            LAN_PORT
        }
    }

    fn foreign_arrives(&mut self, to: usize, port: u8, bytes: Vec<u8>) {
        let frame = Rc::new(Frame::plain(bytes));
        self.later(to, Duration::ZERO, Happening::Foreign(port, frame));
    }

    /// Noise meets a burst on the serial line: some bytes too many in its middle.
    pub(crate) fn noise(&mut self, to: usize, bytes: &mut Vec<u8>) -> bool {
        let noisy = self
            .faults()
            .any(|fault| matches!(fault, Fault::Noise { to: at, .. } if *at == to));
        if !noisy || !self.tape.rng.chance(300) {
            return false;
        }
        let rng = &mut self.tape.rng;
        let (at, count) = (rng.index(bytes.len()), 1 + rng.index(8));
        let extra = rng.bytes(count);
        bytes.splice(at..at, extra);
        true
    }

    /// A frame of this cluster that its key did not sign.
    fn forgery(&mut self) -> Vec<u8> {
        if self.tape.forged.is_empty() {
            let cluster = cluster::forged(&self.plan.cluster);
            for node in 0..self.plan.cluster.nodes.min(FORGERS) {
                let config = cluster::node(&cluster, node);
                let private = self.plan.cluster.private;
                let beats = beats(config, node, private, self.plan.seed);
                self.tape.forged.extend(beats);
            }
        }
        let tape = &mut self.tape;
        if tape.rng.chance(500) && !tape.recorded.is_empty() {
            let at = tape.rng.index(tape.recorded.len());
            let mut bytes = tape.recorded[at].frame.bytes.clone();
            // Behind Ethernet's and the framing's headers everything is signed.
            let at = 18 + tape.rng.index(payload_len(&bytes));
            bytes[at] ^= 1 << tape.rng.below(8);
            return bytes;
        }
        let at = tape.rng.index(tape.forged.len());
        tape.forged[at].clone()
    }

    /// A foreign frame reaches PID 1: nothing but counters may change.
    pub(crate) fn foreign(&mut self, id: usize, port: u8, bytes: &[u8]) {
        self.inert(id, port, bytes, plain);
    }

    /// An authentic frame comes again, or late: it may show that its path still carries
    /// something this way, as any frame on its way does, and no more.
    pub(crate) fn replayed(&mut self, id: usize, port: u8, bytes: &[u8]) {
        self.inert(id, port, bytes, without_paths);
    }

    fn inert(&mut self, id: usize, port: u8, bytes: &[u8], plain: fn(Status) -> Status) {
        // What is due anyway happens before.
        self.timer(id);
        let now = self.now();
        let machine = &mut self.machines[id];
        if !machine.decides() || (port != LINE && !machine.ports[usize::from(port)].carrier) {
            return;
        }
        let Some(mut node) = machine.node.take() else {
            return;
        };
        let local = machine.clock.local(now);
        let before = node.status();
        let input = match port {
            LINE => Input::Serial(Line(0), bytes),
            port => Input::Packet(Port(port), bytes),
        };
        node.handle(local, input);
        let mut acts = None;
        while let Some(output) = node.poll() {
            match output {
                Output::Log(line) => {
                    self.story.log(now, id, line.at, line.level, &line.text);
                }
                Output::Packet(Port(port), bytes) if packet::parse(&bytes) == Packet::Heartbeat => {
                    self.send(id, port, &bytes);
                }
                Output::Serial(line, bytes) => self.send_serial(id, line.0, &bytes),
                Output::FeedWatchdog => {}
                other => acts = Some(format!("{other:?}")),
            }
        }
        let after = node.status();
        let deadline = node.poll_deadline();
        self.machines[id].node = Some(node);
        self.set_timer(id, deadline);
        if let Some(output) = acts {
            let text = format!("{} acted on a foreign frame: {output}", Name(id));
            self.checks.broken("6", now, &text);
        }
        let counted = total(&after.counters) > total(&before.counters);
        if counted {
            self.facts.counted += 1;
        }
        let (before, after) = (plain(before), plain(after));
        if before != after {
            let (before, after) = (format!("{before:?}"), format!("{after:?}"));
            let same = before
                .bytes()
                .zip(after.bytes())
                .take_while(|(a, b)| a == b);
            let from = same.count().saturating_sub(60);
            let part = |text: &str| text.chars().skip(from).take(160).collect::<String>();
            let text = format!(
                "a foreign frame changed {}: before {:?}, after {:?}",
                Name(id),
                part(&before),
                part(&after)
            );
            self.checks.broken("6", now, &text);
        }
    }
}

/// The status without what may change: counters, and the last line that tells of them.
fn plain(mut status: Status) -> Status {
    status.counters = Counters::default();
    status.last_event.clear();
    status
}

/// And without the states of paths.
fn without_paths(status: Status) -> Status {
    let mut status = plain(status);
    for node in &mut status.nodes {
        node.paths.clear();
    }
    status
}

fn total(counters: &Counters) -> u64 {
    let Counters {
        forged,
        malformed,
        replayed,
        stale,
        twin,
        noise,
        unsent: _,
    } = *counters;
    [forged, malformed, replayed, stale, twin, noise]
        .into_iter()
        .map(u64::from)
        .sum()
}

fn payload_len(frame: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([frame[16], frame[17]]))
}

/// What a node with another key says in its first seconds.
fn beats(config: kodo_node::Config, id: usize, private: bool, seed: u64) -> Vec<Vec<u8>> {
    let mut node = Node::new(config, seed, seed, Duration::from_secs(3));
    let mut heard = Vec::new();
    let mut now = Duration::from_secs(3);
    let ports = [LAN_PORT, CROSSOVER_PORT].into_iter();
    for port in ports.take(1 + usize::from(private)) {
        node.handle(now, Input::PortReady(Port(port), cluster::mac(id, port)));
        node.handle(now, Input::Carrier(Port(port), true));
    }
    while now < Duration::from_secs(6) {
        node.handle(now, Input::Timer);
        while let Some(output) = node.poll() {
            if let Output::Packet(_, bytes) = output
                && packet::parse(&bytes) == Packet::Heartbeat
            {
                heard.push(bytes.to_vec());
            }
        }
        now = node.poll_deadline().max(now + Duration::from_millis(1));
    }
    heard
}
