//! What machines, cables and the lab's owner share.
//!
//! Owns the way from a change of cables or power to the carriers that the guests see.

use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::journal::{Event, Journal};
use crate::machine::{Message, Order};
use crate::pump::{PortId, Pump};
use crate::time::Clock;
use crate::wire::fabric::{Fabric, Plug};

/// How a machine is connected.
pub(crate) struct Wiring {
    pub(crate) node: Arc<str>,
    /// By network card.
    pub(crate) nics: Vec<Plug>,
    /// By heartbeat line.
    pub(crate) serial: Vec<Plug>,
    /// All of its ends.
    pub(crate) ports: Vec<PortId>,
    pub(crate) console: Option<PortId>,
    pub(crate) inbox: Sender<Message>,
}

/// Shared by the lab and its machines' threads.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) journal: Arc<Journal>,
    pub(crate) pump: Pump,
    /// By machine; set once, before the first of them is switched on.
    pub(crate) wiring: OnceLock<Vec<Wiring>>,
}

impl Core {
    /// Adds an event that happened just now.
    pub(crate) fn note(&self, event: Event) {
        self.journal.add(self.clock.now(), event);
    }

    /// Changes something about the cables and tells the machines whose carriers changed.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Fabric) -> T) -> T {
        let (result, changes) = self.pump.with(|world| {
            let result = change(&mut world.fabric);
            (result, world.fabric.carrier_changes())
        });
        for change in changes {
            let Some((wiring, nic)) = change.plug.and_then(|plug| self.nic_behind(plug)) else {
                continue;
            };
            if !change.powered {
                continue;
            }
            // The machine's thread ends only with the lab.
            let _ = wiring
                .inbox
                .send(Message::Order(Order::Link { nic, up: change.up }));
            self.note(Event::Carrier {
                cable: change.cable,
                end: change.end,
                up: change.up,
            });
        }
        result
    }

    /// A machine was switched on or off.
    pub(crate) fn power(&self, machine: usize, on: bool) {
        let Some(wiring) = self.machine(machine) else {
            return;
        };
        self.change(|fabric| {
            for plug in wiring.nics.iter().chain(&wiring.serial) {
                fabric.set_powered(*plug, on);
            }
        });
    }

    /// A machine's carriers, by network card.
    pub(crate) fn carriers(&self, machine: usize) -> Vec<bool> {
        let Some(wiring) = self.machine(machine) else {
            return Vec::new();
        };
        self.pump.with(|world| {
            wiring
                .nics
                .iter()
                .map(|plug| world.fabric.carrier(*plug))
                .collect()
        })
    }

    /// Waits until a machine's QEMU is connected to all of its ends.
    pub(crate) fn wait_connected(&self, machine: usize, within: Duration) -> bool {
        let Some(wiring) = self.machine(machine) else {
            return false;
        };
        let deadline = Instant::now() + within;
        loop {
            if self.pump.with(|world| world.all_connected(&wiring.ports)) {
                return true;
            }
            let now = Instant::now();
            if now > deadline {
                return false;
            }
            // A connection nudges the journal; a nudge that came too early costs one turn.
            self.journal
                .wait(self.journal.len(), now + Duration::from_millis(20));
        }
    }

    fn machine(&self, machine: usize) -> Option<&Wiring> {
        self.wiring.get()?.get(machine)
    }

    fn nic_behind(&self, plug: Plug) -> Option<(&Wiring, usize)> {
        let all = self.wiring.get()?;
        all.iter()
            .find_map(|wiring| Some((wiring, wiring.nics.iter().position(|nic| *nic == plug)?)))
    }
}
