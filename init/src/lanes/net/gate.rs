//! The kernel's gate on the public ports.
//!
//! Owns the programs and where they stand. A port that goes away takes its gate along; one
//! that comes back gets another before it has an address. What the kernel cannot do is said
//! once, and the ports work without.

use std::net::IpAddr;

use kodo_node::io::Port;
use kodo_sys::gate::{Attached, Gate};
use kodo_sys::{Result, errno};

use super::super::Link;
use crate::wire::{FromNet, PortSetup};

const ENODEV: i32 = 19;
const EEXIST: i32 = 17;

/// The gate, and the ports that it is on.
#[derive(Debug, Default)]
pub(super) struct Gates {
    gate: Option<Gate>,
    attached: Vec<(Port, Attached)>,
}

impl Gates {
    /// Loads the programs, and hands their deadlines to PID 1; where they are loaded already,
    /// they are for these VIPs from now on.
    pub(super) fn load(&mut self, vips: &[IpAddr], pid1: &mut Link) -> Result<()> {
        if let Some(gate) = &mut self.gate {
            return match gate.renew(vips) {
                Ok(()) => Ok(()),
                Err(error) => {
                    self.take_off();
                    pid1.send(&FromNet::NoGate(error.to_string()), None)
                }
            };
        }
        match Gate::load(vips) {
            Ok(gate) => {
                let gate = self.gate.insert(gate);
                pid1.send(&FromNet::Gate, Some(gate.deadlines()))
            }
            Err(error) => pid1.send(&FromNet::NoGate(error.to_string()), None),
        }
    }

    /// Puts the gate on a port, where there is one.
    pub(super) fn guard(&mut self, setup: &PortSetup, pid1: &mut Link) -> Result<()> {
        let Some(gate) = self.gate.as_ref().filter(|_| setup.public) else {
            return Ok(());
        };
        match gate.attach(setup.index) {
            Ok(attached) => {
                self.attached.retain(|(port, _)| *port != setup.port);
                self.attached.push((setup.port, attached));
                Ok(())
            }
            // Set up again while it stands there; or the port is gone, which shows by itself.
            Err(error) if matches!(errno(&error), EEXIST | ENODEV) => Ok(()),
            Err(error) => {
                self.take_off();
                pid1.send(&FromNet::NoGate(error.to_string()), None)
            }
        }
    }

    /// No port has a gate any more.
    pub(super) fn take_off(&mut self) {
        *self = Gates::default();
    }
}
