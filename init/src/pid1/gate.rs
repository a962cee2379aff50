//! PID 1's end of the kernel's gate: until when each VIP passes.
//!
//! Owns the deadlines that the node gave last, by the VIPs' places in the file. Moving one
//! is a store to a page that the kernel's programs read: no call, nothing to wait for,
//! nothing that can fail. Before the net lane has brought that page they are kept for it.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use kodo_node::io::Input;
use kodo_sys::gate::Deadlines;

use super::{Level, Pid1};
use crate::plan::Plan;
use crate::wire::ToNet;

/// The gate of this node.
#[derive(Debug)]
pub(super) struct Gate {
    vips: Vec<(IpAddr, Duration)>,
    deadlines: Option<Deadlines>,
}

impl Gate {
    pub(super) fn new(plan: &Plan) -> Gate {
        Gate {
            vips: plan.vips.iter().map(|vip| (*vip, Duration::ZERO)).collect(),
            deadlines: None,
        }
    }

    /// A VIP passes until then.
    pub(super) fn set(&mut self, vip: IpAddr, until: Duration) {
        let Some(slot) = self.vips.iter().position(|(address, _)| *address == vip) else {
            return;
        };
        self.vips[slot].1 = until;
        if let Some(deadlines) = &self.deadlines {
            deadlines.set(slot, until);
        }
    }

    /// This machine is about to stop: nothing of it speaks for a VIP while it does.
    pub(super) fn close(&mut self) {
        for slot in 0..self.vips.len() {
            let (vip, _) = self.vips[slot];
            self.set(vip, Duration::ZERO);
        }
    }

    fn open(&mut self, deadlines: Deadlines) {
        for (slot, (_, until)) in self.vips.iter().enumerate() {
            deadlines.set(slot, *until);
        }
        self.deadlines = Some(deadlines);
    }
}

impl Pid1 {
    /// The net lane has loaded the gate.
    pub(super) fn gate_ready(&mut self, deadlines: Option<OwnedFd>) {
        let Some(deadlines) = deadlines else {
            return self.no_gate("its deadlines did not come along");
        };
        match Deadlines::map(deadlines.as_fd()) {
            Ok(deadlines) => {
                self.gate.open(deadlines);
                self.give(Input::Gate(true));
            }
            Err(error) => self.no_gate(&format!("its deadlines cannot be mapped: {error}")),
        }
    }

    /// There is none, or none that could be opened.
    pub(super) fn no_gate(&mut self, why: &str) {
        self.gate.deadlines = None;
        // A lane that takes no requests is stuck, which its overdue answers show.
        let _ = self.net.send(&ToNet::Ungate, None);
        self.give(Input::Gate(false));
        self.note(
            Level::Alert,
            &format!("no kernel gate: {why}; stuck, this node answers for its addresses until its watchdog fires"),
        );
    }
}
