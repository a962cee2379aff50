//! All that the wire thread moves: cables, ports, hosts, doors.
//!
//! Owns one step of it: what came in goes through the cables until nothing moves any
//! more. Reports what it saw to the journal.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::PollFlags;

use super::{Interest, Port, Token};
use crate::console::{Lines, log_line};
use crate::host::Host;
use crate::host::census::Census;
use crate::host::forward::Forward;
use crate::host::probe::Prober;
use crate::host::relay::Relay;
use crate::journal::{Event, Journal};
use crate::time::{Clock, LabTime};
use crate::wire::fabric::{Fabric, Plug};

/// A port of a machine, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PortId(pub(crate) usize);

/// What stands behind a plug.
#[derive(Clone, Copy, Debug)]
enum Behind {
    Port(PortId),
    Host(usize),
}

/// What a port's bytes belong to.
enum Use {
    Wire(Plug),
    Console {
        node: Arc<str>,
        lines: Lines,
        file: File,
    },
}

/// Everything the wire thread works on.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) fabric: Fabric,
    journal: Arc<Journal>,
    ports: Vec<(Port, Use)>,
    hosts: Vec<Host>,
    behind: HashMap<Plug, Behind>,
    /// The host that asks, forwards and measures; and the one that only looks.
    client: Option<usize>,
    observer: Option<(usize, Census)>,
    /// One for each VIP that is asked.
    pub(crate) probers: Vec<Prober>,
    forwards: Vec<Forward>,
    /// Each with its host.
    relays: Vec<(usize, Relay)>,
}

impl World {
    pub(crate) fn new(clock: Clock, fabric: Fabric, journal: Arc<Journal>) -> Self {
        Self {
            clock,
            fabric,
            journal,
            ports: Vec::new(),
            hosts: Vec::new(),
            behind: HashMap::new(),
            client: None,
            observer: None,
            probers: Vec::new(),
            forwards: Vec::new(),
            relays: Vec::new(),
        }
    }

    /// Adds a machine's end of a cable.
    pub(crate) fn add_wire(&mut self, port: Port, plug: Plug) -> PortId {
        let id = PortId(self.ports.len());
        self.ports.push((port, Use::Wire(plug)));
        self.behind.insert(plug, Behind::Port(id));
        id
    }

    /// Adds a machine's console; everything it prints goes to `file` too.
    pub(crate) fn add_console(&mut self, port: Port, node: Arc<str>, file: File) -> PortId {
        let id = PortId(self.ports.len());
        self.ports.push((
            port,
            Use::Console {
                node,
                lines: Lines::default(),
                file,
            },
        ));
        id
    }

    /// Adds a host; it is on at once.
    pub(crate) fn add_host(&mut self, host: Host) -> usize {
        let id = self.hosts.len();
        self.behind.insert(host.plug, Behind::Host(id));
        self.fabric.set_powered(host.plug, true);
        self.hosts.push(host);
        id
    }

    /// Makes a host the client, which forwards and measures.
    pub(crate) fn set_client(&mut self, host: usize, probers: Vec<Prober>) {
        self.client = Some(host);
        self.probers = probers;
    }

    /// Makes a host the observer.
    pub(crate) fn set_observer(&mut self, host: usize, census: Census) {
        self.observer = Some((host, census));
    }

    /// Lets client and observer ask no more for any VIP, or go on.
    pub(crate) fn hold_questions(&mut self, held: bool) {
        for prober in &mut self.probers {
            prober.hold(held);
        }
        if let Some((_, census)) = &mut self.observer {
            census.hold(held);
        }
    }

    /// Opens a door.
    pub(crate) fn add_forward(&mut self, forward: Forward) {
        self.forwards.push(forward);
    }

    /// Carries datagrams at a host's port to a program outside; false when the host has that
    /// port already.
    pub(crate) fn add_relay(&mut self, host: usize, port: u16, to: SocketAddr) -> bool {
        let relay = Relay::open(&mut self.hosts[host], port, to);
        let made = relay.is_some();
        self.relays.extend(relay.map(|relay| (host, relay)));
        made
    }

    /// Whether a QEMU is connected to every one of these ports.
    pub(crate) fn all_connected(&self, ports: &[PortId]) -> bool {
        ports
            .iter()
            .all(|port| self.ports[port.0].0.stream.is_some())
    }

    /// Types something on a machine's console.
    pub(crate) fn type_in(&mut self, console: PortId, bytes: &[u8]) -> bool {
        self.ports[console.0].0.write(bytes)
    }

    /// Puts a host's own frame on the LAN.
    pub(crate) fn send_as_host(&mut self, name: &str, frame: Vec<u8>) -> bool {
        let found = self.hosts.iter_mut().find(|host| &*host.name == name);
        found.map(|host| host.send_raw(frame)).is_some()
    }

    /// One round: timers, hosts, cables, until nothing moves. Gives the time it took as now.
    pub(super) fn step(&mut self) -> LabTime {
        let now = self.clock.now();
        self.fabric.poll(now);
        if let Some((host, census)) = &mut self.observer {
            census.poll(now, &mut self.hosts[*host]);
        }
        self.settle(now);
        for (host, relay) in &mut self.relays {
            relay.poll(&mut self.hosts[*host]);
        }
        if let Some(client) = self.client {
            let client = &mut self.hosts[client];
            for forward in &mut self.forwards {
                forward.poll(now, client);
            }
            for (n, prober) in self.probers.iter_mut().enumerate() {
                for (at, event) in prober.poll(now, client) {
                    // an event does not say which VIP it is about
                    if n == 0 {
                        self.journal.add(at, event);
                    }
                }
            }
        }
        self.settle(now);
        for change in self.fabric.take_ownership() {
            self.journal.add(
                change.at,
                Event::Owners {
                    vip: change.vip,
                    owners: change.owners,
                },
            );
        }
        now
    }

    /// When [`World::step`] has something to do again.
    pub(super) fn deadline(&mut self, now: LabTime) -> Option<LabTime> {
        let hosts = self
            .hosts
            .iter_mut()
            .filter_map(|host| host.deadline(now))
            .min();
        let prober = self.probers.iter().filter_map(Prober::deadline).min();
        let census = self
            .observer
            .as_ref()
            .and_then(|(_, census)| census.deadline());
        [hosts, prober, census, self.fabric.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to wait for.
    pub(super) fn interests(&self) -> Vec<Interest> {
        let mut all = Vec::new();
        let mut add =
            |fd: Arc<dyn AsFd + Send + Sync>, flags, token| all.push(Interest { fd, flags, token });
        for (id, (port, _)) in self.ports.iter().enumerate() {
            let listener = Arc::clone(&port.listener);
            add(listener, PollFlags::IN, Token::Listener(PortId(id)));
            if let Some(stream) = &port.stream {
                let behind = if port.is_behind() {
                    PollFlags::OUT
                } else {
                    PollFlags::empty()
                };
                let stream = Arc::clone(stream);
                add(stream, PollFlags::IN | behind, Token::Port(PortId(id)));
            }
        }
        for lane in self.relays.iter().flat_map(|(_, relay)| &relay.lanes) {
            let local = Arc::clone(&lane.local);
            add(local, PollFlags::IN, Token::Carried);
        }
        for (id, forward) in self.forwards.iter().enumerate() {
            let listener = Arc::clone(&forward.listener);
            add(listener, PollFlags::IN, Token::Door(id));
            for conn in &forward.conns {
                let (read, write) = conn.wants;
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, read);
                flags.set(PollFlags::OUT, write);
                if !flags.is_empty() {
                    let local = Arc::clone(&conn.local);
                    add(local, flags, Token::Carried);
                }
            }
        }
        all
    }

    /// Something waited for has come.
    pub(super) fn ready(&mut self, token: Token, flags: PollFlags) {
        match token {
            Token::Listener(PortId(id)) => {
                self.ports[id].0.accept();
                self.journal.nudge();
            }
            Token::Port(id) => {
                if flags.contains(PollFlags::OUT) {
                    self.ports[id.0].0.flush();
                }
                self.read(id);
            }
            Token::Door(id) => {
                if let Some(client) = self.client {
                    self.forwards[id].accept(&mut self.hosts[client]);
                }
            }
            // The next step carries all that can be carried.
            Token::Carried => {}
        }
    }

    /// Hands everything kept back to the host.
    pub(super) fn flush(&mut self) {
        self.fabric.flush();
    }

    fn read(&mut self, id: PortId) {
        let now = self.clock.now();
        let mut got = Vec::new();
        let (port, use_) = &mut self.ports[id.0];
        port.read(&mut got);
        for data in got {
            match use_ {
                Use::Wire(plug) => self.fabric.send(now, *plug, data),
                Use::Console { node, lines, file } => {
                    // A full disk must not stop the wires; the file is then short.
                    let _ = file.write_all(&data);
                    for line in lines.take(&data) {
                        let node = Arc::clone(node);
                        let event = match log_line(&line) {
                            Some(log) => Event::Log {
                                node,
                                level: log.level,
                                uptime: log.uptime,
                                text: log.text.to_owned(),
                            },
                            None => Event::Console { node, text: line },
                        };
                        self.journal.add(now, event);
                    }
                }
            }
        }
        self.settle(now);
    }

    /// Moves frames between cables, ports and hosts until all have arrived.
    fn settle(&mut self, now: LabTime) {
        loop {
            for host in &mut self.hosts {
                host.poll(now);
                while let Some(frame) = host.transmit() {
                    self.fabric.send(now, host.plug, frame);
                }
            }
            let mut moved = false;
            while let Some((plug, data)) = self.fabric.take() {
                match self.behind.get(&plug) {
                    Some(Behind::Host(host)) => {
                        moved = true;
                        self.hosts[*host].receive(data);
                    }
                    Some(Behind::Port(port)) if !self.ports[port.0].0.write(&data) => {
                        self.fabric.overrun(plug);
                    }
                    Some(Behind::Port(_)) | None => {}
                }
            }
            if !moved {
                return;
            }
        }
    }
}
