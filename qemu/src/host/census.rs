//! The observer: asks the LAN for every VIP all the time, so that whoever owns one shows
//! itself on the wire.
//!
//! Owns the rhythm of asking. The observer is a host of its own, so that the answers
//! teach the client nothing.

use std::net::IpAddr;
use std::time::Duration;

use super::Host;
use crate::time::LabTime;
use crate::wire::frames;

/// Asks for all VIPs at a steady pace.
#[derive(Debug)]
pub(crate) struct Census {
    vips: Vec<IpAddr>,
    every: Duration,
    held: bool,
    next: LabTime,
}

impl Census {
    pub(crate) fn new(vips: Vec<IpAddr>, every: Duration) -> Self {
        Self {
            vips,
            every,
            held: false,
            next: LabTime::ZERO,
        }
    }

    /// Asks no more, or goes on.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    fn asks(&self) -> bool {
        !self.held && !self.every.is_zero()
    }

    /// Asks, if it is time.
    pub(crate) fn poll(&mut self, now: LabTime, observer: &mut Host) {
        if !self.asks() || now < self.next {
            return;
        }
        self.next = now + self.every;
        for &vip in &self.vips {
            let frame = match (vip, observer.address_like(vip)) {
                (IpAddr::V4(vip), Some(IpAddr::V4(own))) => {
                    frames::arp_request(observer.mac, own, vip)
                }
                (IpAddr::V6(vip), Some(IpAddr::V6(own))) => {
                    frames::solicitation(observer.mac, own, vip)
                }
                _ => continue,
            };
            observer.send_raw(frame);
        }
    }

    pub(crate) fn deadline(&self) -> Option<LabTime> {
        self.asks().then_some(self.next)
    }
}
