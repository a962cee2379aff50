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
        let closed = |vip: &IpAddr| (*vip, Duration::ZERO);
        Gate {
            vips: plan.duties.vips.iter().map(closed).collect(),
            deadlines: None,
        }
    }

    /// The VIPs of another cluster file: one that keeps its place keeps its deadline, and every
    /// other one is closed. True when any is another one.
    fn renew(&mut self, vips: &[IpAddr]) -> bool {
        let mut differs = false;
        for (slot, vip) in vips.iter().enumerate() {
            if self.vips.get(slot).is_some_and(|(known, _)| known == vip) {
                continue;
            }
            differs = true;
            match self.vips.get_mut(slot) {
                Some(known) => *known = (*vip, Duration::ZERO),
                None => self.vips.push((*vip, Duration::ZERO)),
            }
            self.set(*vip, Duration::ZERO);
        }
        differs
    }

    /// A VIP passes until then.
    pub(super) fn set(&mut self, vip: IpAddr, until: Duration) {
        // After a change of the cluster file two places may have one address.
        for (slot, (address, known)) in self.vips.iter_mut().enumerate() {
            if *address == vip {
                *known = until;
                if let Some(deadlines) = &self.deadlines {
                    deadlines.set(slot, until);
                }
            }
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
    /// Another cluster file runs. The net lane hears of it before it binds any new address.
    pub(super) fn renew_gate(&mut self) {
        if self.gate.renew(&self.plan.duties.vips) && self.gate.deadlines.is_some() {
            // A lane that takes no requests is stuck, which its overdue answers show.
            let _ = self
                .net
                .send(&ToNet::Gate(self.plan.duties.vips.clone()), None);
        }
    }

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
