//! How bytes travel: the crossover, the switch of the LAN, the serial line.
//!
//! Owns the switch's table and the walk of one frame over its cables. A frame's fate on
//! every leg is drawn when it is sent; what arrives goes into the queue.

use core::time::Duration;
use std::rc::Rc;

use crate::cluster::{CROSSOVER_PORT, LAN_PORT};
use crate::machine::PORTS;
use crate::origin::{Asks, Frame, Origin};
use crate::packet::{self, Mac, Packet};
use crate::plan::{self, Fault, Wire};
use crate::queue::{Event, Happening};
use crate::wires::{Copy, Net};
use crate::world::World;

/// Bits on a serial line for each byte: start, eight data bits, stop.
const BITS: u64 = 10;
/// What a line's driver keeps; more is lost.
const LINE_BUFFER: usize = 4096;

/// The LAN switch: which cable leads to which hardware address.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    table: Vec<(Mac, Wire)>,
}

impl Switch {
    fn learn(&mut self, mac: Mac, wire: Wire) {
        if mac[0] & 1 == 1 {
            return;
        }
        match self.table.iter_mut().find(|(known, _)| *known == mac) {
            Some(entry) => entry.1 = wire,
            None => self.table.push((mac, wire)),
        }
    }

    fn cable(&self, mac: Mac) -> Option<Wire> {
        let found = self.table.iter().find(|(known, _)| *known == mac);
        found.map(|(_, wire)| *wire)
    }

    /// A cable was pulled: what was learnt there is forgotten.
    pub(crate) fn unplugged(&mut self, wire: Wire) {
        self.table.retain(|(_, at)| *at != wire);
    }
}

/// Whose cable at the switch it is, where stations are numbered.
fn station(wire: Wire) -> usize {
    match wire {
        Wire::Lan(id) => id,
        Wire::Witness => plan::WITNESS,
        _ => plan::HOST,
    }
}

impl World {
    /// A machine sends a frame on a port.
    pub(crate) fn send(&mut self, id: usize, port: u8, bytes: &[u8]) {
        if !self.machines[id].ports[usize::from(port)].carrier {
            return;
        }
        let beat = packet::parse(bytes) == Packet::Heartbeat;
        let origin = beat.then(|| self.origin(id));
        let asks = matches!(packet::parse(bytes), Packet::Udp(..)).then(|| {
            let machine = &self.machines[id];
            Asks {
                machine: id,
                life: machine.life,
                sent_local: machine.clock.local(self.now()),
            }
        });
        let frame = Rc::new(Frame {
            bytes: bytes.to_vec(),
            origin,
            asks,
        });
        if beat {
            let now = self.now();
            self.checks.beats(now, id, port, &self.machines[id]);
            self.tape.record(port, &frame);
        }
        match port {
            LAN_PORT => self.enters_switch(Wire::Lan(id), &frame),
            CROSSOVER_PORT if self.plan.cluster.nodes == 2 => self.cross(id, &frame),
            CROSSOVER_PORT => self.enters_private(id, &frame),
            _ => unreachable!("machines have two ports"),
        }
    }

    fn cross(&mut self, id: usize, frame: &Rc<Frame>) {
        let (other, out) = (1 - id, id == 0);
        let beat = packet::parse(&frame.bytes) == Packet::Heartbeat;
        if !self.wires.joined(Net::Private, id, other, beat) {
            return;
        }
        for copy in self.wires.frame(Wire::Crossover, out).into_iter().flatten() {
            if let Some(frame) = self.arrives(Wire::Crossover, out, copy, frame) {
                self.later(other, copy.after, Happening::Frame(CROSSOVER_PORT, frame));
            }
        }
    }

    /// A frame enters the switch of the nodes' own network; only heartbeats go there, and
    /// they are for everybody.
    fn enters_private(&mut self, id: usize, frame: &Rc<Frame>) {
        let from = Wire::Private(id);
        for first in self.wires.frame(from, true).into_iter().flatten() {
            let Some(frame) = self.arrives(from, true, first, frame) else {
                continue;
            };
            for to in (0..self.plan.cluster.nodes).filter(|to| *to != id) {
                if !self.wires.joined(Net::Private, id, to, true) {
                    continue;
                }
                let wire = Wire::Private(to);
                for copy in self.wires.frame(wire, false).into_iter().flatten() {
                    if let Some(frame) = self.arrives(wire, false, copy, &frame) {
                        let after = first.after + copy.after;
                        self.later(to, after, Happening::Frame(CROSSOVER_PORT, frame));
                    }
                }
            }
        }
    }

    /// A frame enters the switch and leaves it towards whom it is for.
    pub(crate) fn enters_switch(&mut self, from: Wire, frame: &Rc<Frame>) {
        let beat = packet::parse(&frame.bytes) == Packet::Heartbeat;
        for first in self.wires.frame(from, true).into_iter().flatten() {
            let Some(frame) = self.arrives(from, true, first, frame) else {
                continue;
            };
            self.switch.learn(packet::source(&frame.bytes), from);
            if beat && self.faults().any(|fault| *fault == Fault::EatHeartbeats) {
                continue;
            }
            let to = packet::destination(&frame.bytes);
            let known = self.switch.cable(to).filter(|_| to[0] & 1 == 0);
            let machines = (0..self.machines.len()).map(Wire::Lan);
            let witness = self.has_witness().then_some(Wire::Witness);
            let stations = machines.chain([Wire::Host]).chain(witness);
            for wire in stations {
                let meant = wire != from && known.is_none_or(|known| known == wire);
                let (sender, hearer) = (station(from), station(wire));
                if meant && self.wires.joined(Net::Lan, sender, hearer, beat) {
                    self.leaves_switch(wire, first.after, &frame);
                }
            }
        }
    }

    fn leaves_switch(&mut self, wire: Wire, so_far: Duration, frame: &Rc<Frame>) {
        for copy in self.wires.frame(wire, false).into_iter().flatten() {
            let Some(frame) = self.arrives(wire, false, copy, frame) else {
                continue;
            };
            let after = so_far + copy.after;
            match wire {
                Wire::Lan(id) => self.later(id, after, Happening::Frame(LAN_PORT, frame)),
                Wire::Witness => self.queue.after(after, Event::Witness(frame)),
                _ => self.queue.after(after, Event::Host(frame)),
            }
        }
    }

    /// What one copy looks like at the other end. Ethernet's check sequence stops harmed
    /// frames; some heartbeats get through all the same, to be told by their MAC.
    fn arrives(
        &mut self,
        wire: Wire,
        out: bool,
        copy: Copy,
        frame: &Rc<Frame>,
    ) -> Option<Rc<Frame>> {
        if !copy.harmed {
            return Some(Rc::clone(frame));
        }
        (packet::parse(&frame.bytes) == Packet::Heartbeat).then(|| {
            let mut bytes = frame.bytes.clone();
            // Behind the addresses: there it is a heartbeat still.
            self.wires.harm(wire, out, &mut bytes[14..]);
            Rc::new(Frame::plain(bytes))
        })
    }

    /// A machine writes to one of its serial lines.
    pub(crate) fn send_serial(&mut self, id: usize, port: u8, bytes: &[u8]) {
        let baud = self.plan.cluster.baud.filter(|_| self.machines[id].line);
        let end = self.machines[id].lines.get(usize::from(port)).copied();
        let (Some(baud), Some(end)) = (baud, end) else {
            return;
        };
        let now = self.now();
        let origin = self.origin(id);
        let slot = u8::try_from(PORTS).unwrap_or(0) + port;
        self.checks.beats(now, id, slot, &self.machines[id]);
        let free = &mut self.machines[id].serial_free[usize::from(port)];
        let time = |bytes: usize| {
            Duration::from_nanos(bytes as u64 * BITS * 1_000_000_000 / u64::from(baud))
        };
        let start = (*free).max(now);
        if start - now > time(LINE_BUFFER) {
            return;
        }
        let done = start + time(bytes.len());
        *free = done;
        let (other, out) = (end.peer, end.out);
        let wire = match self.plan.cluster.nodes {
            2 => Wire::Serial,
            _ => Wire::Line(end.line),
        };
        if !self.wires.joined(Net::Line, id, other, true) {
            return;
        }
        let Some(copy) = self.wires.burst(wire, out) else {
            return;
        };
        let mut frame = Frame {
            origin: Some(origin),
            ..Frame::plain(bytes.to_vec())
        };
        if copy.harmed {
            self.wires.harm(wire, out, &mut frame.bytes);
            frame.origin = None;
        }
        if self.noise(other, &mut frame.bytes) {
            frame.origin = None;
        }
        self.later(
            other,
            done + copy.after - now,
            Happening::Serial(end.peer_port, Rc::new(frame)),
        );
    }

    fn origin(&self, id: usize) -> Origin {
        let machine = &self.machines[id];
        let now = self.now();
        Origin {
            machine: id,
            life: machine.life,
            sent: now,
            sent_local: machine.clock.local(now),
            heard: machine.heard.clone(),
        }
    }
}
