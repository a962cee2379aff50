//! The other end of the LAN: gateway and ping target, client, and sometimes a stranger
//! who thinks that the VIP is its own.
//!
//! Owns the client's neighbour entry and what the client saw. It believes what ARP says,
//! as hosts do; when announcements fail it asks again only after its patience.

use core::time::Duration;

use crate::clock::At;
use crate::cluster::{CLIENT, GATEWAY, VIP};
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
    vip: Option<Mac>,
    asked: Option<At>,
    number: u64,
    /// Request that waits for its answer since.
    waiting: Option<At>,
    answered: Option<(At, Mac)>,
}

impl Host {
    pub(crate) fn new(patience: Option<Duration>) -> Host {
        Host {
            patience,
            vip: None,
            asked: None,
            number: 0,
            waiting: None,
            answered: None,
        }
    }

    /// Who answered the client just now, if anybody.
    pub(crate) fn served(&self, now: At) -> Option<Mac> {
        let (at, mac) = self.answered?;
        (now.saturating_sub(at) <= Duration::from_millis(250)).then_some(mac)
    }
}

impl World {
    /// The client asks the service for something.
    pub(crate) fn client(&mut self) {
        let now = self.now();
        let host = &mut self.host;
        let waited = host.waiting.map_or(Duration::ZERO, |since| now - since);
        if host.patience.is_some_and(|patience| waited > patience) {
            host.vip = None;
            host.waiting = None;
        }
        let frame = match host.vip {
            Some(mac) => {
                host.number += 1;
                host.waiting.get_or_insert(now);
                packet::client((mac, HOST), CLIENT, VIP, false, host.number)
            }
            None if host.asked.is_none_or(|at| now - at >= ASK) => {
                host.asked = Some(now);
                let question = Arp {
                    request: true,
                    mac: HOST,
                    sender: CLIENT,
                    target: VIP,
                };
                packet::arp(BROADCAST, question, [0; 6])
            }
            None => return,
        };
        self.host_sends(frame);
    }

    fn host_sends(&mut self, bytes: Vec<u8>) {
        let frame = Frame {
            bytes,
            origin: None,
        };
        self.enters_switch(Wire::Host, &frame);
    }

    /// A frame reaches the host's port.
    pub(crate) fn at_host(&mut self, frame: &Frame) {
        let now = self.now();
        let bytes = &frame.bytes;
        let from = packet::source(bytes);
        let stranger = self.faults().any(|fault| *fault == Fault::Stranger);
        match packet::parse(bytes) {
            Packet::Arp(arp) => {
                if arp.sender == VIP {
                    // Believed when known, asked for, or told to everybody (Linux: arp_accept).
                    self.host.vip = Some(arp.mac);
                    self.host.waiting = None;
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
                if arp.request && arp.target == VIP && stranger && !gratuitous {
                    self.host_sends(answer(STRANGER, VIP));
                }
            }
            Packet::EchoRequest(ip) if ip.destination == GATEWAY => {
                let reply = packet::echo_reply(from, HOST, &ip);
                self.host_sends(reply);
            }
            Packet::Client(_, true, number) if number + 2 >= self.host.number => {
                self.host.waiting = None;
                self.host.answered = Some((now, from));
                self.facts.answered(now);
            }
            _ => {}
        }
    }
}
