//! The other end of the LAN: gateway and ping target, client, and sometimes a stranger
//! who thinks that the VIP is its own.
//!
//! Owns the client's neighbour entries and what the client saw. It believes what ARP says,
//! as hosts do; when announcements fail it asks again only after its patience.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::rc::Rc;

use crate::clock::At;
use crate::cluster::{self, CLIENT, GATEWAY};
use crate::origin::Frame;
use crate::packet::{self, Arp, BROADCAST, Mac, Packet};
use crate::plan::{Fault, Wire};
use crate::world::World;

const HOST: Mac = [0x52, 0x54, 0, 0, 0, 0xaa];
const STRANGER: Mac = [0x52, 0x54, 0, 0, 0, 0xbb];
/// Without an entry the client asks this often (RFC 1122, 2.3.2.1).
const ASK: Duration = Duration::from_secs(1);

/// Gateway, client and stranger on one cable.
#[derive(Debug)]
pub(crate) struct Host {
    patience: Option<Duration>,
    /// By group: what the client knows and saw of its VIP.
    seen: Vec<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    vip: Option<Mac>,
    asked: Option<At>,
    number: u64,
    /// Request that waits for its answer since.
    waiting: Option<At>,
    answered: Option<(At, Mac)>,
}

impl Host {
    pub(crate) fn new(patience: Option<Duration>, groups: usize) -> Host {
        Host {
            patience,
            seen: vec![Seen::default(); groups],
        }
    }

    /// By group: who answered the client just now, if anybody.
    pub(crate) fn served(&self, now: At) -> Vec<Option<Mac>> {
        let by = |seen: &Seen| {
            let (at, mac) = seen.answered?;
            (now.saturating_sub(at) <= Duration::from_millis(250)).then_some(mac)
        };
        self.seen.iter().map(by).collect()
    }
}

impl World {
    /// The client asks each service for something.
    pub(crate) fn client(&mut self) {
        for group in 0..self.host.seen.len() {
            self.client_asks(group);
        }
    }

    fn client_asks(&mut self, group: usize) {
        let now = self.now();
        let vip = cluster::vip(group);
        let patience = self.host.patience;
        let seen = &mut self.host.seen[group];
        let waited = seen.waiting.map_or(Duration::ZERO, |since| now - since);
        if patience.is_some_and(|patience| waited > patience) {
            seen.vip = None;
            seen.waiting = None;
        }
        let frame = match seen.vip {
            Some(mac) => {
                seen.number += 1;
                seen.waiting.get_or_insert(now);
                packet::client((mac, HOST), CLIENT, vip, false, seen.number)
            }
            None if seen.asked.is_none_or(|at| now - at >= ASK) => {
                seen.asked = Some(now);
                let question = Arp {
                    request: true,
                    mac: HOST,
                    sender: CLIENT,
                    target: vip,
                };
                packet::arp(BROADCAST, question, [0; 6])
            }
            None => return,
        };
        self.host_sends(frame);
    }

    /// What the client knows of the VIP with this address.
    fn seen(&mut self, address: Ipv4Addr) -> Option<&mut Seen> {
        self.host.seen.get_mut(cluster::group_of(address)?)
    }

    fn host_sends(&mut self, bytes: Vec<u8>) {
        self.enters_switch(Wire::Host, &Rc::new(Frame::plain(bytes)));
    }

    /// A frame reaches the host's port.
    pub(crate) fn at_host(&mut self, frame: &Frame) {
        let now = self.now();
        let bytes = &frame.bytes;
        let from = packet::source(bytes);
        let stranger = self.faults().any(|fault| *fault == Fault::Stranger);
        match packet::parse(bytes) {
            Packet::Arp(arp) => {
                if let Some(seen) = self.seen(arp.sender) {
                    // Believed when known, asked for, or told to everybody (Linux: arp_accept).
                    seen.vip = Some(arp.mac);
                    seen.waiting = None;
                }
                let gratuitous = arp.sender == arp.target;
                let answer = |mac, address| {
                    let arp = Arp {
                        request: false,
                        mac,
                        sender: address,
                        target: arp.sender,
                    };
                    packet::arp(from, arp, from)
                };
                if arp.request && (arp.target == GATEWAY || arp.target == CLIENT) && !gratuitous {
                    self.host_sends(answer(HOST, arp.target));
                }
                let vip = cluster::vip(0);
                if arp.request && arp.target == vip && stranger && !gratuitous {
                    self.host_sends(answer(STRANGER, vip));
                }
            }
            Packet::EchoRequest(ip) if ip.destination == GATEWAY => {
                let reply = packet::echo_reply(from, HOST, &ip);
                self.host_sends(reply);
            }
            Packet::Client(ip, true, number) => {
                let Some(group) = cluster::group_of(ip.source) else {
                    return;
                };
                let seen = &mut self.host.seen[group];
                if number + 2 >= seen.number {
                    seen.waiting = None;
                    seen.answered = Some((now, from));
                    self.facts.answered(now, group);
                }
            }
            _ => {}
        }
    }
}
