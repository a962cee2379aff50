//! A node's port with static addresses and VIPs at the end of a cable, and what a client at
//! the other end sees of it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::frames::{CLIENT4, STATIC4, STATIC6, VIP4, VIP6, arp, speaks_for};
use crate::packet::PacketSocket;
use crate::wire::Wire;

/// For an answer that must come.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one that may have been overtaken.
const STRAGGLERS: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(super) struct Cable(Wire);

impl Cable {
    /// Ready to be asked; `None` where the kernel makes no virtual NICs.
    pub(super) fn new() -> Option<Cable> {
        let addresses: [(IpAddr, u8); 4] = [
            (STATIC4.into(), 24),
            (VIP4.into(), 32),
            (STATIC6.into(), 64),
            (VIP6.into(), 128),
        ];
        let cable = match Wire::new(&addresses) {
            Ok(wire) => Cable(wire),
            Err(error) if crate::errno(&error) == libc::EOPNOTSUPP => {
                eprintln!("not tested: this kernel makes no pair of virtual NICs");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        // The kernel notices the carrier in its own time; until then it sends nothing.
        let end = Instant::now() + PATIENCE;
        while cable.0.listen(STRAGGLERS, |_| true).is_empty() {
            assert!(Instant::now() < end, "the port's kernel does not answer");
            cable.send(&arp(true, CLIENT4, STATIC4));
        }
        Some(cable)
    }

    /// The node's port.
    pub(super) fn nic(&self) -> u32 {
        self.0.nic()
    }

    pub(super) fn mac(&self) -> [u8; 6] {
        self.pid1().hardware_address().unwrap()
    }

    /// The node's packet socket.
    pub(super) fn pid1(&self) -> PacketSocket {
        let group = [0x03, 0x6b, 0x6f, 0x64, 0x6f, 0x00];
        PacketSocket::open(self.nic(), 0x88b5, 0, group).unwrap()
    }

    pub(super) fn unplug(&self) {
        self.0.unplug().unwrap();
    }

    /// A frame from the client.
    pub(super) fn send(&self, frame: &[u8]) {
        self.0.send(frame).unwrap();
    }

    /// What has left the port: everything until it answers one more question, about its
    /// static address, and what may have been overtaken by that.
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.collect(|_| false)
    }

    /// Whether such a frame has left the port.
    pub(super) fn sees(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.collect(&wanted).iter().any(|frame| wanted(frame))
    }

    fn collect(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.send(&arp(true, CLIENT4, STATIC4));
        let answer =
            |frame: &[u8]| frame[12..14] == [0x08, 0x06] && speaks_for(frame, STATIC4.into());
        let mut seen = self.0.listen(PATIENCE, answer);
        assert!(
            seen.last().is_some_and(|frame| answer(frame)),
            "the static address answers whatever the gate does"
        );
        if !seen.iter().any(|frame| enough(frame)) {
            seen.extend(self.0.listen(STRAGGLERS, enough));
        }
        seen
    }
}
