//! All cables and the switch: takes a frame at one plug and gives it out at others.
//!
//! Owns who is connected to whom, carriers, and the records of what passed. Sans-I/O: the
//! wire thread moves bytes between plugs and sockets, the tests between plugs and
//! vectors. Never knows what stands behind a plug.

mod state;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

pub use state::{CableState, CarrierChange, Direction, FlowState, Part};

use super::flow::{Fate, Faults, Flow, Medium};
use super::pcap::Pcap;
use super::record::{Ownership, Recorded, Tape, VipRecord};
use super::rng::Rng;
use super::sighting::{Sighting, speaks_for};
use super::switch::{Forward, Switch};
use crate::error::Result;
use crate::time::{Clock, LabTime};

/// A socket in the wall: where something outside is plugged into a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plug(pub usize);

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchId(usize);

/// What a cable's end is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// A machine or host: gets the next free [`Plug`].
    Outside,
    /// The next free port of a switch.
    Switch(SwitchId),
}

#[derive(Clone, Copy, Debug)]
enum Far {
    Plug(Plug),
    Port(SwitchId, usize),
}

#[derive(Debug)]
struct End {
    name: Arc<str>,
    far: Far,
    powered: bool,
    /// What [`Fabric::carrier_changes`] said last.
    told: bool,
}

#[derive(Debug)]
struct Cable {
    name: Arc<str>,
    medium: Medium,
    ends: [End; 2],
    cut: bool,
    /// By the end that sends.
    flows: [Flow; 2],
    tape: Tape,
    pcap: Option<Pcap>,
    /// The end whose frames are searched for VIPs.
    watched: Option<usize>,
}

/// A switch with the cables around it.
#[derive(Debug)]
struct Center {
    name: Arc<str>,
    table: Switch,
    /// By port: cable and end.
    ports: Vec<(usize, usize)>,
}

/// Every cable and switch of the lab.
#[derive(Debug)]
pub struct Fabric {
    clock: Clock,
    seed: u64,
    cables: Vec<Cable>,
    /// By plug: cable and end.
    plugs: Vec<(usize, usize)>,
    switches: Vec<Center>,
    parts: Vec<Part>,
    vips: Vec<VipRecord>,
    arrived: VecDeque<(Plug, Vec<u8>)>,
    ownership: Vec<Ownership>,
}

impl Fabric {
    /// Nothing connected yet.
    #[must_use]
    pub fn new(clock: Clock, seed: u64, vips: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            clock,
            seed,
            cables: Vec::new(),
            plugs: Vec::new(),
            switches: Vec::new(),
            parts: Vec::new(),
            vips: vips.into_iter().map(VipRecord::new).collect(),
            arrived: VecDeque::new(),
            ownership: Vec::new(),
        }
    }

    /// Puts up a switch.
    pub fn add_switch(&mut self, name: &str) -> SwitchId {
        self.switches.push(Center {
            name: name.into(),
            table: Switch::default(),
            ports: Vec::new(),
        });
        SwitchId(self.switches.len() - 1)
    }

    /// Lays a cable between two named ends and records it in `capture`. Answers with the
    /// plugs at its ends; `None` at a switch.
    ///
    /// # Errors
    /// When the capture cannot be created.
    pub fn add_cable(
        &mut self,
        name: &str,
        medium: Medium,
        ends: [(&str, Socket); 2],
        capture: Option<&Path>,
    ) -> Result<[Option<Plug>; 2]> {
        let pcap = capture.map(|path| Pcap::create(path, medium)).transpose()?;
        let cable = self.cables.len();
        let mut plugs = [None; 2];
        let ends_ = [0, 1].map(|at| {
            let (end, into) = ends[at];
            let (far, powered) = match into {
                Socket::Outside => {
                    let plug = Plug(self.plugs.len());
                    self.plugs.push((cable, at));
                    plugs[at] = Some(plug);
                    (Far::Plug(plug), false)
                }
                Socket::Switch(switch) => {
                    let ports = &mut self.switches[switch.0].ports;
                    ports.push((cable, at));
                    (Far::Port(switch, ports.len() - 1), true)
                }
            };
            End {
                name: end.into(),
                far,
                powered,
                told: false,
            }
        });
        let flow = |end: &str| Flow::new(medium, Rng::fork(self.seed, &format!("{name}/{end}")));
        let flows = [flow(ends[0].0), flow(ends[1].0)];
        self.cables.push(Cable {
            name: name.into(),
            medium,
            ends: ends_,
            cut: false,
            flows,
            tape: Tape::default(),
            pcap,
            watched: None,
        });
        Ok(plugs)
    }

    /// Searches what this plug sends for VIPs.
    pub fn watch(&mut self, plug: Plug) {
        let (cable, end) = self.plugs[plug.0];
        self.cables[cable].watched = Some(end);
    }

    /// Switches what stands behind a plug on or off.
    pub fn set_powered(&mut self, plug: Plug, on: bool) {
        let (cable, end) = self.plugs[plug.0];
        self.cables[cable].ends[end].powered = on;
        self.lose_without_carrier(cable);
    }

    /// Pulls a cable or puts it back; false when there is none of that name.
    pub fn set_cut(&mut self, cable: &str, cut: bool) -> bool {
        let Some(at) = self.find(cable) else {
            return false;
        };
        self.cables[at].cut = cut;
        self.lose_without_carrier(at);
        true
    }

    /// Changes the faults of a cable; false when there is no such cable or end.
    pub fn set_faults(
        &mut self,
        cable: &str,
        direction: &Direction,
        change: impl Fn(&mut Faults),
    ) -> bool {
        let now = self.clock.now();
        let Some(at) = self.find(cable) else {
            return false;
        };
        let cable = &mut self.cables[at];
        let senders: Vec<usize> = match direction {
            Direction::Both => vec![0, 1],
            Direction::From(name) => cable.end(name).into_iter().collect(),
            Direction::To(name) => cable.end(name).map(|end| 1 - end).into_iter().collect(),
        };
        for &sender in &senders {
            let flow = &mut cable.flows[sender];
            let mut faults = flow.faults().clone();
            change(&mut faults);
            flow.set_faults(now, faults);
        }
        !senders.is_empty()
    }

    /// Lets nothing pass any more that one station sends to another, though all carriers
    /// stay. It replaces what was said before about the same way.
    pub fn part(&mut self, part: Part) {
        self.parts.retain(|known| !part.covers(known));
        self.parts.push(part);
    }

    /// Ends every part from one station to another.
    pub fn join(&mut self, from: &str, to: &str) {
        self.parts
            .retain(|part| !(*part.from == *from && *part.to == *to));
    }

    /// Puts all cables back and ends all faults and parts.
    pub fn heal_all(&mut self) {
        self.parts.clear();
        let names: Vec<Arc<str>> = self.cable_names().map(Arc::clone).collect();
        for name in names {
            self.set_faults(&name, &Direction::Both, Faults::clear);
            self.set_cut(&name, false);
        }
    }

    /// The parts in force.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The names of all that is plugged in at some cable.
    #[must_use]
    pub fn stations(&self) -> BTreeSet<Arc<str>> {
        let ends = self.cables.iter().flat_map(|cable| &cable.ends);
        ends.filter(|end| matches!(end.far, Far::Plug(_)))
            .map(|end| Arc::clone(&end.name))
            .collect()
    }

    /// What a part may be confined to: the switches, and the cables that lead to none.
    #[must_use]
    pub fn ways(&self) -> BTreeSet<Arc<str>> {
        let direct = self.cables.iter().filter(|cable| cable.is_direct());
        let switches = self.switches.iter().map(|switch| &switch.name);
        switches
            .chain(direct.map(|cable| &cable.name))
            .map(Arc::clone)
            .collect()
    }

    /// Takes a frame, or serial bytes, that something outside sends.
    pub fn send(&mut self, now: LabTime, plug: Plug, data: Vec<u8>) {
        let (cable, end) = self.plugs[plug.0];
        self.enter(now, cable, end, data);
    }

    /// Puts a frame or bytes on a cable as if the end `from` had sent them; they arrive at the
    /// other end whatever faults there are, but not without carrier. False when there is no
    /// such cable or end, or no carrier.
    pub fn inject(&mut self, now: LabTime, cable: &str, from: &str, data: Vec<u8>) -> bool {
        let Some(at) = self.find(cable) else {
            return false;
        };
        let Some(end) = self.cables[at].end(from) else {
            return false;
        };
        let up = self.cables[at].carrier();
        let fate = if up { Fate::Passed } else { Fate::Cut };
        self.cables[at].note(now, end, &data, fate, true);
        if up {
            self.arrive(now, at, 1 - end, data);
        }
        up
    }

    /// Lets time pass: what was delayed arrives, owners that fell silent are forgotten.
    pub fn poll(&mut self, now: LabTime) {
        for cable in 0..self.cables.len() {
            for end in 0..2 {
                self.drain(now, cable, end);
            }
        }
        self.ownership
            .extend(self.vips.iter_mut().filter_map(|vip| vip.expire(now)));
    }

    /// When [`Fabric::poll`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<LabTime> {
        let flows = self
            .cables
            .iter()
            .flat_map(|cable| &cable.flows)
            .filter_map(Flow::deadline);
        flows
            .chain(self.vips.iter().filter_map(VipRecord::deadline))
            .min()
    }

    /// The next frame that arrived somewhere outside.
    pub fn take(&mut self) -> Option<(Plug, Vec<u8>)> {
        self.arrived.pop_front()
    }

    /// The plug's receiver did not take what arrived.
    pub fn overrun(&mut self, plug: Plug) {
        let (cable, end) = self.plugs[plug.0];
        self.cables[cable].flows[1 - end].counters_mut().overrun += 1;
    }

    /// Carriers that changed since the last call.
    pub fn carrier_changes(&mut self) -> Vec<CarrierChange> {
        let mut changes = Vec::new();
        for cable in &mut self.cables {
            let up = cable.carrier();
            for end in &mut cable.ends {
                if end.told != up {
                    end.told = up;
                    let plug = match end.far {
                        Far::Plug(plug) => Some(plug),
                        Far::Port(..) => None,
                    };
                    let powered = end.powered;
                    let (cable, end) = (Arc::clone(&cable.name), Arc::clone(&end.name));
                    changes.push(CarrierChange {
                        cable,
                        end,
                        plug,
                        up,
                        powered,
                    });
                }
            }
        }
        changes
    }

    /// Changes of who speaks for a VIP since the last call.
    pub fn take_ownership(&mut self) -> Vec<Ownership> {
        std::mem::take(&mut self.ownership)
    }

    /// Whether a plug has carrier.
    #[must_use]
    pub fn carrier(&self, plug: Plug) -> bool {
        self.cables[self.plugs[plug.0].0].carrier()
    }

    /// The cable behind a plug.
    #[must_use]
    pub fn cable_of(&self, plug: Plug) -> &str {
        &self.cables[self.plugs[plug.0].0].name
    }

    /// The names of all cables.
    pub fn cable_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.cables.iter().map(|cable| &cable.name)
    }

    /// The names of a cable's two ends.
    #[must_use]
    pub fn ends(&self, cable: &str) -> Option<[Arc<str>; 2]> {
        let cable = &self.cables[self.find(cable)?];
        Some([
            Arc::clone(&cable.ends[0].name),
            Arc::clone(&cable.ends[1].name),
        ])
    }

    /// All cables, for people.
    #[must_use]
    pub fn cables(&self) -> Vec<CableState> {
        self.cables.iter().map(Cable::state).collect()
    }

    /// What entered a cable from a time on, oldest first, as far as remembered.
    #[must_use]
    pub fn recorded(&self, cable: &str, from: LabTime) -> Option<Vec<Recorded>> {
        Some(self.cables[self.find(cable)?].tape.since(from))
    }

    /// Who spoke for a VIP from a time on, oldest first.
    #[must_use]
    pub fn sightings(&self, vip: IpAddr, from: LabTime) -> Option<Vec<Sighting>> {
        Some(
            self.vips
                .iter()
                .find(|record| record.vip == vip)?
                .since(from),
        )
    }

    /// Who speaks for each VIP now.
    #[must_use]
    pub fn owners(&self, now: LabTime) -> Vec<Ownership> {
        self.vips.iter().map(|vip| vip.ownership(now)).collect()
    }

    /// Hands the captures to the host.
    pub fn flush(&mut self) {
        for pcap in self
            .cables
            .iter_mut()
            .filter_map(|cable| cable.pcap.as_mut())
        {
            pcap.flush();
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.cables.iter().position(|cable| &*cable.name == name)
    }

    fn lose_without_carrier(&mut self, at: usize) {
        let cable = &mut self.cables[at];
        if cable.carrier() {
            return;
        }
        cable.flows.iter_mut().for_each(Flow::clear);
        for end in &cable.ends {
            if let Far::Port(switch, port) = end.far {
                self.switches[switch.0].table.forget(port);
            }
        }
    }

    fn enter(&mut self, now: LabTime, at: usize, end: usize, data: Vec<u8>) {
        let cable = &mut self.cables[at];
        if !cable.carrier() {
            // A machine that is off sends nothing; what its dead socket still held is no frame.
            if cable.ends[end].powered {
                cable.flows[end].counters_mut().sent += 1;
                cable.flows[end].counters_mut().cut += 1;
                cable.note(now, end, &data, Fate::Cut, false);
            }
            return;
        }
        if cable.is_direct() {
            let [from, to] = [end, 1 - end].map(|end| &*cable.ends[end].name);
            if self.parts.iter().any(|p| p.stops(&cable.name, from, to)) {
                cable.swallow(now, end, &data);
                return;
            }
        }
        let kept: Arc<[u8]> = data.as_slice().into();
        let fate = cable.flows[end].enter(now, data);
        cable.note_shared(now, end, kept, fate, false);
        self.drain(now, at, end);
    }

    fn drain(&mut self, now: LabTime, at: usize, end: usize) {
        while let Some(data) = self.cables[at].flows[end].release(now) {
            self.arrive(now, at, 1 - end, data);
        }
    }

    fn arrive(&mut self, now: LabTime, at: usize, end: usize, data: Vec<u8>) {
        let wall = self.clock.wall(now);
        let cable = &mut self.cables[at];
        if let Some(pcap) = &mut cable.pcap {
            pcap.add(wall, 1 - end, &data);
        }
        if cable.watched == Some(1 - end)
            && let Some((vip, kind, mac)) = speaks_for(&data)
            && let Some(record) = self.vips.iter_mut().find(|record| record.vip == vip)
        {
            let node = Arc::clone(&cable.ends[1 - end].name);
            self.ownership.extend(record.add(Sighting {
                at: now,
                vip,
                node,
                kind,
                mac,
            }));
        }
        match cable.ends[end].far {
            Far::Plug(plug) => self.arrived.push_back((plug, data)),
            Far::Port(switch, port) => {
                let from = Arc::clone(&cable.ends[1 - end].name);
                let Center { name, table, ports } = &mut self.switches[switch.0];
                let targets: Vec<(usize, usize)> = match table.forward(now, port, &data) {
                    Forward::Nowhere => return,
                    Forward::To(there) => vec![ports[there]],
                    Forward::Flood => ports
                        .iter()
                        .enumerate()
                        .filter(|(there, _)| *there != port)
                        .map(|(_, far)| *far)
                        .collect(),
                };
                let name = Arc::clone(name);
                for (cable, end) in targets {
                    let to = &self.cables[cable].ends[1 - end].name;
                    if self.parts.iter().any(|p| p.stops(&name, &from, to)) {
                        self.cables[cable].swallow(now, end, &data);
                    } else {
                        self.enter(now, cable, end, data.clone());
                    }
                }
            }
        }
    }
}

impl Cable {
    fn carrier(&self) -> bool {
        !self.cut && self.ends.iter().all(|end| end.powered)
    }

    fn end(&self, name: &str) -> Option<usize> {
        self.ends.iter().position(|end| &*end.name == name)
    }

    /// Whether it joins two stations without a switch between them.
    fn is_direct(&self) -> bool {
        let mut ends = self.ends.iter();
        ends.all(|end| matches!(end.far, Far::Plug(_)))
    }

    /// Takes what a part keeps from its receiver.
    fn swallow(&mut self, now: LabTime, from: usize, data: &[u8]) {
        let counters = self.flows[from].counters_mut();
        counters.sent += 1;
        counters.parted += 1;
        self.note(now, from, data, Fate::Parted, false);
    }

    fn note(&mut self, at: LabTime, from: usize, data: &[u8], fate: Fate, injected: bool) {
        self.note_shared(at, from, data.into(), fate, injected);
    }

    fn note_shared(
        &mut self,
        at: LabTime,
        from: usize,
        data: Arc<[u8]>,
        fate: Fate,
        injected: bool,
    ) {
        let from = Arc::clone(&self.ends[from].name);
        self.tape.add(
            self.medium == Medium::Ethernet,
            Recorded {
                at,
                from,
                data,
                fate,
                injected,
            },
        );
    }

    fn state(&self) -> CableState {
        let flow = |end: usize| FlowState {
            from: Arc::clone(&self.ends[end].name),
            counters: *self.flows[end].counters(),
            faults: self.flows[end].faults().to_string(),
        };
        let up = self.carrier();
        let carrier = [0, 1].map(|end| up && self.ends[end].powered);
        CableState {
            name: Arc::clone(&self.name),
            cut: self.cut,
            carrier,
            flows: [flow(0), flow(1)],
        }
    }
}

#[cfg(test)]
mod tests;
