//! The network ports: which NIC is whose, its packet socket, its carrier.
//!
//! Carrier is followed here and not in the net lane: receiving the kernel's link events
//! takes no lock, and a lost carrier is evidence that must arrive exactly when a NIC's
//! driver holds the RTNL lock for seconds because it resets.

use kodo_node::io::{Input, Port};
use kodo_node::limits;
use kodo_sys::link::LinkChange;
use kodo_sys::netlink::Messages;
use kodo_sys::packet::PacketSocket;
use kodo_sys::poll::Interest;

use super::key::Key;
use super::{Level, Pid1};
use crate::plan::Plan;
use crate::wire::{Nic, ToNet};

/// NICs whose carrier is remembered, used or not.
const NICS: usize = 16;

/// All ports of this node.
#[derive(Debug)]
pub(super) struct Ports {
    ports: Vec<PortIo>,
    /// The last that was heard of each NIC, also before it was somebody's.
    carriers: heapless::Vec<(u32, bool), NICS>,
    /// Ethernet NICs seen so far.
    seen: usize,
    /// Frames that the kernel did not take.
    pub(super) unsent: u32,
}

#[derive(Debug, Default)]
struct PortIo {
    nic: Option<u32>,
    socket: Option<PacketSocket>,
    carrier: bool,
}

impl Ports {
    pub(super) fn new(plan: &Plan) -> Ports {
        Ports {
            ports: plan.ports.iter().map(|_| PortIo::default()).collect(),
            carriers: heapless::Vec::new(),
            seen: 0,
            unsent: 0,
        }
    }

    fn port_of(&self, nic: u32) -> Option<Port> {
        let position = self.ports.iter().position(|port| port.nic == Some(nic))?;
        u8::try_from(position).ok().map(Port)
    }

    /// The NIC behind a port.
    pub(super) fn nic(&self, port: Port) -> Option<u32> {
        self.ports.get(usize::from(port.0))?.nic
    }

    fn remember(&mut self, change: LinkChange) {
        self.carriers.retain(|(index, _)| *index != change.index);
        if let Some(carrier) = change.carrier {
            if self.carriers.is_full() {
                self.carriers.remove(0);
            }
            // A place was made.
            let _ = self.carriers.push((change.index, carrier));
        }
    }

    fn remembered(&self, nic: u32) -> Option<bool> {
        self.carriers
            .iter()
            .find(|(index, _)| *index == nic)
            .map(|(_, carrier)| *carrier)
    }

    /// Sends a frame; what cannot leave now is lost, as on any wire.
    pub(super) fn send(&mut self, port: Port, frame: &[u8]) {
        let sent = self
            .ports
            .get(usize::from(port.0))
            .and_then(|port| port.socket.as_ref())
            .is_some_and(|socket| socket.send(frame).is_ok());
        if !sent {
            self.unsent = self.unsent.saturating_add(1);
        }
    }
}

impl Pid1 {
    /// A NIC is there: if a port is meant, the net lane makes it ready.
    pub(super) fn nic(&mut self, nic: Nic) {
        self.ports.seen += 1;
        let nth = self.ports.seen;
        let Some(position) = self.plan.ports.iter().position(|port| port.is(&nic, nth)) else {
            let text = format!("NIC {} is not in the cluster file", nic.name);
            return self.note(Level::Info, &text);
        };
        self.ports.ports[position].nic = Some(nic.index);
        let setup = self.plan.ports[position].setup(nic);
        if let Err(error) = self.net.send(&ToNet::Port(setup), None) {
            self.note(
                Level::Alert,
                &format!("the net helper does not take requests: {error}"),
            );
        }
    }

    /// The net lane made a port ready.
    pub(super) fn port_ready(
        &mut self,
        port: Port,
        nic: u32,
        socket: PacketSocket,
        mac: [u8; 6],
        carrier: bool,
    ) {
        if self.ports.nic(port) != Some(nic) {
            return;
        }
        if let Err(error) = self
            .poller
            .add(&socket, Key::Port(port).number(), Interest::Read)
        {
            return self.note(Level::Alert, &format!("port {}: {error}", port.0));
        }
        let carrier = self.ports.remembered(nic).unwrap_or(carrier);
        let io = &mut self.ports.ports[usize::from(port.0)];
        io.socket = Some(socket);
        io.carrier = carrier;
        self.give(Input::PortReady(port, mac));
        self.give(Input::Carrier(port, carrier));
    }

    /// Tells of ports that no NIC was found for.
    pub(super) fn missing_ports(&mut self) {
        for position in 0..self.ports.ports.len() {
            if self.ports.ports[position].nic.is_none() {
                let plan = &self.plan.ports[position];
                let text = format!(
                    "{} port: there is no NIC {} on this machine",
                    plan.role, plan.id
                );
                self.note(Level::Alert, &text);
            }
        }
    }

    /// One frame.
    pub(super) fn packet(&mut self, port: Port) {
        let Some(socket) = self
            .ports
            .ports
            .get(usize::from(port.0))
            .and_then(|port| port.socket.as_ref())
        else {
            return;
        };
        let mut frame = [0; limits::PACKET];
        // Errors (nothing there after all, link down) tell nothing that link events do not.
        if let Ok(len) = socket.receive(&mut frame) {
            self.give(Input::Packet(port, &frame[..len]));
        }
    }

    /// One datagram of link events.
    pub(super) fn link_changes(&mut self) {
        let mut buffer = [0; 8192];
        let len = match self.links.receive(&mut buffer) {
            Ok(len) => len,
            Err(error) if kodo_sys::would_block(&error) => return,
            // Some were lost: the net lane looks.
            Err(_) => return self.ask_carriers(),
        };
        for change in
            Messages::new(&buffer[..len]).filter_map(|message| LinkChange::parse(&message))
        {
            self.link_change(change);
        }
    }

    fn ask_carriers(&mut self) {
        for position in 0..self.ports.ports.len() {
            if let (Some(nic), Ok(port)) = (self.ports.ports[position].nic, u8::try_from(position))
            {
                // When that fails too the lane is stuck, which its overdue answers show.
                let _ = self.net.send(&ToNet::Carrier(Port(port), nic), None);
            }
        }
    }

    /// A NIC's carrier, from the kernel or from the net lane.
    pub(super) fn link_change(&mut self, change: LinkChange) {
        self.ports.remember(change);
        let Some(port) = self.ports.port_of(change.index) else {
            return;
        };
        let io = &mut self.ports.ports[usize::from(port.0)];
        let Some(socket) = &io.socket else {
            if change.carrier.is_none() {
                io.nic = None;
            }
            return;
        };
        match change.carrier {
            Some(carrier) if carrier == io.carrier => {}
            Some(carrier) => {
                io.carrier = carrier;
                self.give(Input::Carrier(port, carrier));
            }
            None => {
                // Closing it would do the same.
                let _ = self.poller.remove(socket);
                *io = PortIo::default();
                self.give(Input::PortGone(port));
            }
        }
    }
}
