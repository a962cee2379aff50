//! What runs on a machine below and beside PID 1: the address table, the gates, the answers
//! of the kernel's IP stack, the helpers' queues and the service's process.
//!
//! Owns their state in one life of a machine. Never looks at the node: what silences a
//! stuck PID 1 are the deadlines that its gates were given last.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::VecDeque;

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
    /// By group: until when its VIP passes, on the machine's own clock.
    gates: Vec<Duration>,
    /// Requests to the net helper, oldest first.
    pub(crate) net: VecDeque<(Token, Action)>,
    /// By group: its service; then the agent.
    pub(crate) services: Vec<Service>,
}

/// What runs of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub(crate) process: Option<Process>,
    /// Kills that wait for a process that cannot die.
    pub(crate) kills: Vec<Token>,
    pub(crate) generation: u32,
    /// A hook that runs; whose request that is.
    pub(crate) hook: Option<Token>,
}

/// The service's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Which one: exits of an earlier one do not concern it.
    pub(crate) generation: u32,
    /// Answers from then on.
    pub(crate) ready: At,
    /// It may act as the owner: where there are roles, as the promoted instance.
    pub(crate) promoted: bool,
}

impl Kernel {
    pub(crate) fn new(mac: Mac, own: Ipv4Addr, plan: &ClusterPlan) -> Kernel {
        let groups = plan.group_count();
        Kernel {
            mac,
            own,
            bound: vec![false; groups],
            gates: vec![Duration::ZERO; groups],
            net: VecDeque::new(),
            services: vec![Service::default(); plan.services()],
        }
    }

    /// A new life begins.
    pub(crate) fn forget(&mut self) {
        self.bound.fill(false);
        self.gates.fill(Duration::ZERO);
        self.net.clear();
        self.services.fill(Service::default());
    }

    /// Until when a VIP passes.
    pub(crate) fn gate(&mut self, address: IpAddr, until: Duration) {
        if let IpAddr::V4(address) = address
            && let Some(gate) =
                cluster::group_of(address).and_then(|group| self.gates.get_mut(group))
        {
            *gate = until;
        }
    }

    /// Whether the VIP of a group passes at this time of the machine's own clock.
    pub(crate) fn passes(&self, group: usize, local: Duration) -> bool {
        self.gates.get(group).is_some_and(|until| local < *until)
    }

    /// What the kernel, or the service through it, says to a frame on the LAN port.
    pub(crate) fn answer(
        &self,
        local: Duration,
        frame: &[u8],
        serving: impl Fn(usize) -> bool,
    ) -> Option<Vec<u8>> {
        let to = packet::source(frame);
        let vip = |address| {
            let speaks = |group: &usize| self.bound[*group] && self.passes(*group, local);
            cluster::group_of(address).filter(speaks)
        };
        let mine = |address| address == self.own || vip(address).is_some();
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
                let group = vip(ip.destination)?;
                let macs = (to, self.mac);
                serving(group)
                    .then(|| packet::client(macs, ip.destination, ip.source, true, number))
            }
            _ => None,
        }
    }

    /// Whether the gate lets a frame of PID 1's out: it may ask about a VIP at any time.
    pub(crate) fn passes_out(&self, local: Duration, frame: &[u8]) -> bool {
        let Packet::Arp(arp) = packet::parse(frame) else {
            return true;
        };
        cluster::group_of(arp.sender).is_none_or(|group| self.passes(group, local))
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
        let (early, late) = (Duration::from_millis(9), Duration::from_millis(10));
        let vip = cluster::vip(0);
        let mut kernel = Kernel::new(MAC, OWN, &crate::scenario::calm(1).cluster);
        kernel.gate(vip.into(), late);
        let request = packet::client((MAC, OTHER), CLIENT, vip, false, 1);
        let answers = |kernel: &Kernel, at, frame: &[u8], serves: bool| {
            kernel.answer(at, frame, |_| serves).is_some()
        };
        assert!(answers(&kernel, early, &question(OWN), false));
        assert!(!answers(&kernel, early, &question(vip), false));
        assert!(!answers(&kernel, early, &request, true), "not bound");
        kernel.bound[0] = true;
        assert!(answers(&kernel, early, &question(vip), false));
        assert!(!answers(&kernel, early, &request, false), "nobody listens");
        assert!(answers(&kernel, early, &request, true));
        // The gate closes by itself, for the VIP only.
        assert!(!answers(&kernel, late, &request, true));
        assert!(!answers(&kernel, late, &question(vip), true));
        assert!(answers(&kernel, late, &question(OWN), true));
    }

    #[test]
    fn a_closed_gate_stops_claims_and_lets_questions_pass() {
        let vip = cluster::vip(0);
        let mut kernel = Kernel::new(MAC, OWN, &crate::scenario::calm(1).cluster);
        kernel.gate(vip.into(), Duration::from_millis(10));
        let (early, late) = (Duration::ZERO, Duration::from_millis(10));
        let says = |sender| {
            let arp = Arp {
                request: true,
                mac: MAC,
                sender,
                target: vip,
            };
            packet::arp(packet::BROADCAST, arp, [0; 6])
        };
        assert!(kernel.passes_out(early, &says(vip)));
        assert!(!kernel.passes_out(late, &says(vip)), "an announcement");
        assert!(kernel.passes_out(late, &says(Ipv4Addr::UNSPECIFIED)));
        assert!(kernel.passes_out(late, &says(OWN)));
    }
}
