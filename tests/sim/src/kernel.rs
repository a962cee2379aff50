//! What runs on a machine below and beside PID 1: the address table, the answers of the
//! kernel's IP stack, the helpers' queues and the service's process.
//!
//! Owns their state in one life of a machine. Never looks at the node: a stuck PID 1
//! does not silence it.

use std::collections::VecDeque;

use core::net::Ipv4Addr;

use kodo_node::io::{Action, Token};

use crate::clock::At;
use crate::cluster;
use crate::packet::{self, Arp, Mac, Packet};
use crate::plan::ClusterPlan;

/// One life's kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Of the LAN port.
    mac: Mac,
    own: Ipv4Addr,
    /// By group: whether its VIP is in the address table.
    pub(crate) bound: Vec<bool>,
    /// Requests to the net helper, oldest first.
    pub(crate) net: VecDeque<(Token, Action)>,
    /// By group: its service.
    pub(crate) services: Vec<Service>,
}

/// What runs of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) process: Option<Process>,
    /// Kills that wait for a process that cannot die.
    pub(crate) kills: Vec<Token>,
    pub(crate) generation: u32,
}

/// The service's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Which one: exits of an earlier one do not concern it.
    pub(crate) generation: u32,
    /// Answers from then on.
    pub(crate) ready: At,
}

impl Kernel {
    pub(crate) fn new(mac: Mac, own: Ipv4Addr, plan: &ClusterPlan) -> Kernel {
        let groups = plan.group_count();
        Kernel {
            mac,
            own,
            bound: vec![false; groups],
            net: VecDeque::new(),
            services: vec![Service::default(); groups],
        }
    }

    /// A new life begins.
    pub(crate) fn forget(&mut self) {
        self.bound.fill(false);
        self.net.clear();
        self.services.fill(Service::default());
    }

    /// The group whose VIP this is, if it is bound.
    fn group(&self, address: Ipv4Addr) -> Option<usize> {
        cluster::group_of(address).filter(|group| self.bound.get(*group) == Some(&true))
    }

    /// What the kernel, or the service through it, says to a frame on the LAN port.
    pub(crate) fn answer(&self, frame: &[u8], serving: impl Fn(usize) -> bool) -> Option<Vec<u8>> {
        let to = packet::source(frame);
        let mine = |address| address == self.own || self.group(address).is_some();
        match packet::parse(frame) {
            Packet::Arp(question) if question.request && mine(question.target) => {
                // A gratuitous request asks about the asker's own address: no answer.
                (question.sender != question.target).then(|| {
                    let answer = Arp {
                        request: false,
                        mac: self.mac,
                        sender: question.target,
                        target: question.sender,
                    };
                    packet::arp(to, answer, question.mac)
                })
            }
            Packet::EchoRequest(ip) if mine(ip.destination) => {
                Some(packet::echo_reply(to, self.mac, &ip))
            }
            Packet::Client(ip, false, number) => {
                let group = self.group(ip.destination)?;
                let macs = (to, self.mac);
                serving(group)
                    .then(|| packet::client(macs, ip.destination, ip.source, true, number))
            }
            _ => None,
        }
    }

    /// Whether PID 1's packet socket lets a frame through.
    pub(crate) fn passes_up(frame: &[u8]) -> bool {
        matches!(
            packet::parse(frame),
            Packet::Heartbeat | Packet::Arp(_) | Packet::EchoReply(_) | Packet::Udp(..)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 2];
    const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 18);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);

    fn question(target: Ipv4Addr) -> Vec<u8> {
        let arp = Arp {
            request: true,
            mac: OTHER,
            sender: CLIENT,
            target,
        };
        packet::arp(packet::BROADCAST, arp, [0; 6])
    }

    #[test]
    fn it_answers_for_what_it_has_and_serves_what_runs() {
        let vip = cluster::vip(0);
        let mut kernel = Kernel::new(MAC, OWN, &crate::scenario::calm(1).cluster);
        assert!(kernel.answer(&question(OWN), |_| false).is_some());
        assert!(kernel.answer(&question(vip), |_| false).is_none());
        let request = packet::client((MAC, OTHER), CLIENT, vip, false, 1);
        assert!(kernel.answer(&request, |_| true).is_none(), "not bound");
        kernel.bound[0] = true;
        assert!(kernel.answer(&question(vip), |_| false).is_some());
        assert!(
            kernel.answer(&request, |_| false).is_none(),
            "nothing listens"
        );
        assert!(kernel.answer(&request, |_| true).is_some());
    }
}
