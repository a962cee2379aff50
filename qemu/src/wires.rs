//! A look at the wires: cables, recorded frames, and the judge's findings.

use std::net::IpAddr;

use crate::core::Core;
use crate::time::LabTime;
use crate::wire::fabric::{CableState, Part};
use crate::wire::judge::{Overlap, Tenure, overlaps, tenures};
use crate::wire::record::{Ownership, Recorded};
use crate::wire::sighting::Sighting;

/// The wires of a lab.
pub struct Wire<'a> {
    core: &'a Core,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        Self { core }
    }

    /// All cables with their faults and counters.
    #[must_use]
    pub fn cables(&self) -> Vec<CableState> {
        self.core.pump.with(|world| world.fabric.cables())
    }

    /// Who is kept from hearing whom.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.core.pump.with(|world| world.fabric.parts().to_vec())
    }

    /// What entered a cable from a time on, oldest first; empty when there is no such cable.
    /// Some thousand frames per cable are remembered, heartbeats longest.
    #[must_use]
    pub fn frames(&self, cable: &str, from: LabTime) -> Vec<Recorded> {
        self.core
            .pump
            .with(|world| world.fabric.recorded(cable, from))
            .unwrap_or_default()
    }

    /// The frames that spoke for a VIP and passed a node's LAN cable, oldest first. Of packets
    /// that one node sends in a row, some are left out.
    #[must_use]
    pub fn vip_answers(&self, vip: IpAddr) -> Vec<Sighting> {
        self.vip_answers_since(vip, LabTime::ZERO)
    }

    /// The same from a time on.
    #[must_use]
    pub fn vip_answers_since(&self, vip: IpAddr, from: LabTime) -> Vec<Sighting> {
        self.core
            .pump
            .with(|world| world.fabric.sightings(vip, from))
            .unwrap_or_default()
    }

    /// Who speaks for each VIP at this moment.
    #[must_use]
    pub fn owners(&self) -> Vec<Ownership> {
        let now = self.core.clock.now();
        self.core.pump.with(|world| world.fabric.owners(now))
    }

    /// Who held a VIP when, as the wire shows it.
    #[must_use]
    pub fn tenures(&self, vip: IpAddr) -> Vec<Tenure> {
        tenures(&self.vip_answers(vip))
    }

    /// Every window from a time on in which two nodes answered for a VIP at once.
    #[must_use]
    pub fn overlaps(&self, vip: IpAddr, from: LabTime) -> Vec<Overlap> {
        // The frames before are needed to know whose tenure it was.
        let mut found = overlaps(&self.vip_answers(vip));
        found.retain(|overlap| overlap.until >= from);
        found
    }
}
