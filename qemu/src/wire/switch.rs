//! The LAN's switch: learns which station is behind which port.
//!
//! Owns the table of addresses. Sans-I/O; never looks behind the Ethernet header.

use std::collections::HashMap;
use std::time::Duration;

use super::mac::{self, Mac};
use crate::time::LabTime;

/// An address unheard for this long is forgotten (IEEE 802.1D's default).
const AGE: Duration = Duration::from_secs(300);

/// Where a frame goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Forward {
    /// To this port.
    To(usize),
    /// To every port but the one it came from.
    Flood,
    /// Nowhere: its station is behind the port it came from, or it is no frame.
    Nowhere,
}

/// A learning switch.
#[derive(Debug, Default)]
pub(super) struct Switch {
    table: HashMap<Mac, (usize, LabTime)>,
}

impl Switch {
    /// Learns from a frame that came in at a port and says where it goes.
    pub(super) fn forward(&mut self, now: LabTime, port: usize, frame: &[u8]) -> Forward {
        let (Some(from), Some(to)) = (mac::source(frame), mac::destination(frame)) else {
            return Forward::Nowhere;
        };
        if !from.is_group() {
            self.table.insert(from, (port, now));
        }
        if to.is_group() {
            return Forward::Flood;
        }
        match self.table.get(&to) {
            Some(&(there, _)) if there == port => Forward::Nowhere,
            Some(&(there, seen)) if now.saturating_sub(seen) < AGE => Forward::To(there),
            _ => Forward::Flood,
        }
    }

    /// Forgets what was behind a port whose carrier went.
    pub(super) fn forget(&mut self, port: usize) {
        self.table.retain(|_, (there, _)| *there != port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: u8, from: u8) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[5] = to;
        frame[11] = from;
        frame
    }

    #[test]
    fn it_learns_moves_ages_and_forgets() {
        let mut switch = Switch::default();
        let t = Duration::from_secs;
        assert_eq!(switch.forward(t(0), 0, &frame(2, 1)), Forward::Flood);
        assert_eq!(switch.forward(t(1), 1, &frame(1, 2)), Forward::To(0));
        assert_eq!(switch.forward(t(1), 0, &frame(1, 9)), Forward::Nowhere);
        // Station 1 moves to port 2.
        assert_eq!(switch.forward(t(2), 2, &frame(2, 1)), Forward::To(1));
        assert_eq!(switch.forward(t(2), 1, &frame(1, 2)), Forward::To(2));
        switch.forget(2);
        assert_eq!(switch.forward(t(3), 1, &frame(1, 2)), Forward::Flood);
        switch.forward(t(4), 0, &frame(2, 1));
        assert_eq!(switch.forward(t(400), 1, &frame(1, 2)), Forward::Flood);
    }

    #[test]
    fn groups_flood_and_scraps_vanish() {
        let mut switch = Switch::default();
        let mut group = frame(1, 2);
        group[0] = 3;
        assert_eq!(switch.forward(LabTime::ZERO, 0, &group), Forward::Flood);
        assert_eq!(switch.forward(LabTime::ZERO, 0, &[0; 5]), Forward::Nowhere);
    }
}
