//! The netstack as one state machine: every wire of a node behind three verbs.
//!
//! Owns the tables (ports, lines, VIPs, targets, members) and hands each input to those
//! whom it concerns. What is to be sent is a set of flags in these, and a short queue of
//! heartbeats only; what is to be told is at most one verdict, one conflict and one
//! answer each. So nothing here can overflow, and nothing stale is ever sent.

use core::net::{IpAddr, Ipv6Addr};

use heapless::{Deque, Vec};

use crate::announce::{Claimant, Heard, Verdict, Vip};
use crate::config::{Config, PortConfig};
use crate::jitter::Jitter;
use crate::packet::{self, Packet};
use crate::ping::Target;
use crate::serial::{self, Decoder};
use crate::surface::{Counters, Event, Ingress, Transmit, Unsent};
use crate::types::{IfIndex, LineIndex, Mac, Now, TargetIndex, VipIndex};
use crate::witness::Witness;
use crate::{ethernet, limits};

/// Every wire of one node.
///
/// Inputs: the `handle_*`, `send_*` and VIP calls, with a `now` that never goes back.
/// Outputs: after each input, drain [`Stack::poll_transmit`] and [`Stack::poll_event`],
/// then call [`Stack::handle_timer`] no later than [`Stack::poll_deadline`]. Packets that
/// arrived before a timer go in before it: they may be the answer that it waits for.
/// Allocates nothing. An index outside the configuration is a bug of the caller and panics.
#[derive(Debug)]
pub struct Stack {
    ports: Vec<Port, { limits::PORTS }>,
    lines: Vec<Decoder, { limits::LINES }>,
    vips: Vec<(IfIndex, Vip), { limits::VIPS }>,
    targets: Vec<Target, { limits::TARGETS }>,
    witness: Option<Witness>,
    /// Oldest first.
    members: Deque<Mac, { limits::MEMBERS }>,
    heartbeats: Deque<Heartbeat, { limits::HEARTBEATS }>,
    jitter: Jitter,
    counters: Counters,
}

#[derive(Debug)]
struct Port {
    config: PortConfig,
    mac: Option<Mac>,
    carrier: bool,
}

#[derive(Debug)]
struct Heartbeat {
    wire: Wire,
    payload: Vec<u8, { limits::FRAME }>,
}

#[derive(Clone, Copy, Debug)]
enum Wire {
    Port(IfIndex),
    Line(LineIndex),
}

impl Stack {
    /// A netstack whose ports are all absent. `seed` spreads its timers.
    ///
    /// # Panics
    /// When the configuration names a port that it does not have, too many lines, or a
    /// target without an interval.
    pub fn new(config: Config, seed: u64) -> Stack {
        let mut jitter = Jitter::new(seed);
        let Config {
            ports,
            lines,
            vips,
            targets,
            witness,
        } = config;
        assert!(
            usize::from(lines) <= limits::LINES,
            "more serial lines than the limit"
        );
        let timed = targets.iter().all(|target| !target.interval.is_zero());
        assert!(timed, "a ping target without an interval");
        let at = |port: IfIndex| {
            ports
                .get(usize::from(port.0))
                .expect("a VIP, target or witness names a port of the node")
        };
        let targets = targets
            .iter()
            .map(|target| Target::new(target, at(target.port), &mut jitter))
            .collect();
        let witness = witness.map(|witness| Witness::new(&witness, at(witness.port)));
        let vips = vips
            .iter()
            .map(|vip| {
                at(vip.port);
                (vip.port, Vip::new(vip.address))
            })
            .collect();
        let ports = ports
            .into_iter()
            .map(|config| Port {
                config,
                mac: None,
                carrier: false,
            })
            .collect();
        Stack {
            ports,
            lines: (0..lines).map(|_| Decoder::default()).collect(),
            vips,
            targets,
            witness,
            members: Deque::new(),
            heartbeats: Deque::new(),
            jitter,
            counters: Counters::default(),
        }
    }

    /// Other VIPs from now on: one that is the same in its place goes on as it is, another one
    /// begins anew, and so does what comes after them. Nothing else may differ.
    ///
    /// # Panics
    /// When the configuration has fewer VIPs than there are, or one on a port that there is
    /// not.
    pub fn adopt(&mut self, now: Now, config: &Config) {
        assert!(
            config.vips.len() >= self.vips.len(),
            "VIPs keep their index"
        );
        for (n, vip) in config.vips.iter().enumerate() {
            let known = self.vips.get(n);
            if known
                .is_some_and(|(port, known)| (*port, known.address()) == (vip.port, vip.address))
            {
                continue;
            }
            let up = self.ports[usize::from(vip.port.0)].usable().is_some();
            let mut fresh = Vip::new(vip.address);
            fresh.link(now, up, true, &mut self.jitter);
            match self.vips.get_mut(n) {
                Some(slot) => *slot = (vip.port, fresh),
                None => {
                    let fits = self.vips.push((vip.port, fresh));
                    assert!(fits.is_ok(), "as many slots as the configuration has");
                }
            }
        }
    }

    /// A port's device appeared with this hardware address, or went away.
    pub fn handle_port(&mut self, now: Now, port: IfIndex, mac: Option<Mac>) {
        let entry = &mut self.ports[usize::from(port.0)];
        let anew = entry.mac != mac;
        entry.mac = mac;
        entry.carrier &= mac.is_some();
        self.link(now, port, anew);
    }

    /// A port's carrier came or went. Without carrier nothing is sent on it.
    pub fn handle_carrier(&mut self, now: Now, port: IfIndex, up: bool) {
        self.ports[usize::from(port.0)].carrier = up;
        self.link(now, port, false);
    }

    /// A whole Ethernet frame arrived. Never panics, whatever its bytes.
    pub fn handle_packet<'a>(&mut self, now: Now, port: IfIndex, frame: &'a [u8]) -> Ingress<'a> {
        let Ok(received) = packet::parse(frame) else {
            add(&mut self.counters.malformed);
            return Ingress::Ignored;
        };
        match received.packet {
            Packet::Heartbeat(payload) => Ingress::Heartbeat {
                payload,
                source: received.source,
            },
            Packet::Claim {
                address,
                mac,
                replaces,
            } if !self.is_own(mac) => {
                let mut ours = self.rival(now, port, address, mac, Vip::claimed);
                for target in self
                    .targets
                    .iter_mut()
                    .filter(|target| target.port() == port)
                {
                    ours |= target.learn(now, address, mac, replaces);
                }
                if let Some(witness) = self.witness_on(port) {
                    ours |= witness.learn(now, address, mac, replaces);
                }
                handled(ours)
            }
            Packet::Query { address, mac } if !self.is_own(mac) => {
                handled(self.rival(now, port, address, mac, Vip::wanted))
            }
            Packet::EchoReply(echo) => {
                let mut here = self
                    .targets
                    .iter_mut()
                    .filter(|target| target.port() == port);
                let ours = here.any(|target| target.answer(now, &echo));
                self.counters.answers = self.counters.answers.saturating_add(ours.into());
                handled(ours)
            }
            Packet::Datagram(datagram) => {
                let witness = self.witness_on(port);
                if witness.is_some_and(|witness| witness.answer(now, &datagram)) {
                    let payload = datagram.data;
                    return Ingress::Answer { payload };
                }
                Ingress::Ignored
            }
            // What we said ourselves comes back from some switches and bridges.
            Packet::Claim { .. } | Packet::Query { .. } | Packet::Other => Ingress::Ignored,
        }
    }

    /// Bytes arrived on a serial line: takes them from the front of `bytes` up to the end
    /// of the next valid frame and gives its payload, not authenticated yet. Call it
    /// until it says `None`; then all bytes are taken.
    pub fn handle_serial(&mut self, line: LineIndex, bytes: &mut &[u8]) -> Option<&[u8]> {
        self.lines[usize::from(line.0)].next(bytes)
    }

    /// Queues a heartbeat for a port.
    ///
    /// # Errors
    /// [`Unsent`] when it cannot go out now; it is not kept for later.
    pub fn send_heartbeat(&mut self, port: IfIndex, payload: &[u8]) -> Result<(), Unsent> {
        if self.ports[usize::from(port.0)].usable().is_none() {
            add(&mut self.counters.unsent);
            return Err(Unsent::NoLink);
        }
        self.send(Wire::Port(port), payload)
    }

    /// Queues a heartbeat for a serial line.
    ///
    /// # Errors
    /// [`Unsent::Length`] when it is empty or too long.
    pub fn send_serial(&mut self, line: LineIndex, payload: &[u8]) -> Result<(), Unsent> {
        assert!(
            usize::from(line.0) < self.lines.len(),
            "the node has no such serial line"
        );
        self.send(Wire::Line(line), payload)
    }

    /// Queues a question to the witness. It leaves when the next hop is known; a newer one
    /// takes its place.
    ///
    /// # Errors
    /// [`Unsent`] when it can never go out, or not now.
    pub fn send_witness(&mut self, now: Now, question: &[u8]) -> Result<(), Unsent> {
        let witness = self.witness.as_mut().ok_or(Unsent::NoRoute);
        let result = witness.and_then(|witness| witness.send(now, question));
        if result != Ok(false) {
            add(&mut self.counters.unsent);
        }
        result.map(|_| ())
    }

    /// Looks for strangers on a VIP. A verdict follows as an [`Event`], within
    /// [`limits::PROBE_TIME`] or, when a search has ended less than
    /// [`limits::VERDICT_VALID`] ago, at once. Does nothing on an announced VIP.
    pub fn probe(&mut self, now: Now, vip: VipIndex) {
        self.vips[usize::from(vip.0)].1.probe(now, &mut self.jitter);
    }

    /// A VIP is bound here: tells the LAN in a burst, in another after
    /// [`limits::SECOND_BURST`], then every [`limits::REFRESH`], until withdrawn. Again
    /// from the burst when called again and whenever the port's link comes up.
    pub fn announce(&mut self, now: Now, vip: VipIndex) {
        self.vips[usize::from(vip.0)]
            .1
            .announce(now, &mut self.jitter);
    }

    /// Forgets everything about a VIP and is silent about it at once. Defence is
    /// forbidden again.
    pub fn withdraw(&mut self, _now: Now, vip: VipIndex) {
        self.vips[usize::from(vip.0)].1.withdraw();
    }

    /// Whether a claim on an announced VIP is answered with an announcement, at most
    /// once in [`limits::DEFEND_INTERVAL`]. Allow it only while the lease is valid.
    pub fn defend(&mut self, vip: VipIndex, allowed: bool) {
        self.vips[usize::from(vip.0)].1.defend(allowed);
    }

    /// An authentic heartbeat came from this hardware address, or the cluster file gives
    /// it to a member. The oldest is forgotten when there are too many.
    pub fn learn_member(&mut self, mac: Mac) {
        if self.is_member(mac) {
            return;
        }
        if self.members.is_full() {
            self.members.pop_front();
        }
        let kept = self.members.push_back(mac);
        debug_assert!(kept.is_ok(), "there is room after a pop");
    }

    /// True for the hardware address of another node of the cluster.
    pub fn is_member(&self, mac: Mac) -> bool {
        self.members.iter().any(|member| *member == mac)
    }

    /// True from [`Stack::announce`] to [`Stack::withdraw`].
    pub fn is_announced(&self, vip: VipIndex) -> bool {
        self.vips[usize::from(vip.0)].1.bound()
    }

    /// Time passed.
    pub fn handle_timer(&mut self, now: Now) {
        for (_, vip) in &mut self.vips {
            vip.timer(now, &mut self.jitter);
        }
        for target in &mut self.targets {
            target.timer(now);
        }
    }

    /// When [`Stack::handle_timer`] wants to run; `None` when only an input can matter.
    pub fn poll_deadline(&self) -> Option<Now> {
        let vips = self.vips.iter().filter_map(|(_, vip)| vip.due());
        vips.chain(self.targets.iter().filter_map(Target::due))
            .min()
    }

    /// The next thing to send: heartbeats first, then addresses, then questions and pings.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        while let Some(Heartbeat { wire, payload }) = self.heartbeats.pop_front() {
            let framed = match wire {
                Wire::Port(port) => self.ports[usize::from(port.0)]
                    .usable()
                    .and_then(|mac| ethernet::heartbeat(mac, &payload))
                    .map(|frame| Transmit::Port(port, frame)),
                Wire::Line(line) => {
                    serial::encode(&payload).map(|bytes| Transmit::Line(line, bytes))
                }
            };
            match framed {
                Some(transmit) => return Some(transmit),
                // The link went between queueing and now.
                None => add(&mut self.counters.unsent),
            }
        }
        for (port, vip) in &mut self.vips {
            let entry = &self.ports[usize::from(port.0)];
            let frame = entry
                .usable()
                .and_then(|mac| vip.transmit(mac, entry.own_ipv6()));
            if let Some(frame) = frame {
                return Some(Transmit::Port(*port, frame));
            }
        }
        if let Some(witness) = &mut self.witness {
            let port = witness.port();
            let mac = self.ports[usize::from(port.0)].usable();
            if let Some(frame) = mac.and_then(|mac| witness.transmit(mac)) {
                return Some(Transmit::Port(port, frame));
            }
        }
        for target in &mut self.targets {
            let port = target.port();
            let mac = self.ports[usize::from(port.0)].usable();
            if let Some(frame) = mac.and_then(|mac| target.transmit(mac)) {
                return Some(Transmit::Port(port, frame));
            }
        }
        None
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        for (index, (_, vip)) in (0..).map(VipIndex).zip(&mut self.vips) {
            if let Some(mac) = vip.poll_conflict() {
                return Some(Event::Conflict(index, mac));
            }
            match vip.poll_verdict() {
                Some(Verdict::Free) => return Some(Event::AddressFree(index)),
                Some(Verdict::Taken(mac)) => return Some(Event::AddressTaken(index, mac)),
                None => {}
            }
        }
        for (target, entry) in (0..).map(TargetIndex).zip(&mut self.targets) {
            if let Some(sent) = entry.poll_answered() {
                return Some(Event::Answered { target, sent });
            }
        }
        None
    }

    /// What was rejected, lost or noticed.
    pub fn counters(&self) -> Counters {
        let total = |count: fn(&Decoder) -> u32| {
            self.lines
                .iter()
                .fold(0, |sum: u32, line| sum.saturating_add(count(line)))
        };
        let (noise, broken) = (total(Decoder::noise), total(Decoder::broken));
        Counters {
            noise,
            broken,
            ..self.counters
        }
    }

    /// Bytes on one line that belong to no valid frame.
    pub fn line_noise(&self, line: LineIndex) -> u32 {
        self.lines[usize::from(line.0)].noise()
    }

    fn send(&mut self, wire: Wire, payload: &[u8]) -> Result<(), Unsent> {
        let payload = match Vec::from_slice(payload) {
            Ok(payload) if !payload.is_empty() => payload,
            _ => {
                add(&mut self.counters.unsent);
                return Err(Unsent::Length);
            }
        };
        if self.heartbeats.is_full() {
            // The newest heartbeat says all that the oldest does.
            self.heartbeats.pop_front();
            add(&mut self.counters.unsent);
        }
        let kept = self.heartbeats.push_back(Heartbeat { wire, payload });
        debug_assert!(kept.is_ok(), "there is room after a pop");
        Ok(())
    }

    fn link(&mut self, now: Now, port: IfIndex, anew: bool) {
        let up = self.ports[usize::from(port.0)].usable().is_some();
        for (_, vip) in self.vips.iter_mut().filter(|(at, _)| *at == port) {
            vip.link(now, up, anew, &mut self.jitter);
        }
        for target in self
            .targets
            .iter_mut()
            .filter(|target| target.port() == port)
        {
            target.link(now, up, anew);
        }
        if let Some(witness) = self.witness_on(port) {
            witness.link(up, anew);
        }
    }

    fn witness_on(&mut self, port: IfIndex) -> Option<&mut Witness> {
        self.witness
            .as_mut()
            .filter(|witness| witness.port() == port)
    }

    fn is_own(&self, mac: Mac) -> bool {
        self.ports.iter().any(|port| port.mac == Some(mac))
    }

    /// Somebody claims or wants an address: tells the VIP that has it on this port. True
    /// when there is one.
    fn rival(
        &mut self,
        now: Now,
        port: IfIndex,
        address: IpAddr,
        mac: Mac,
        tell: impl Fn(&mut Vip, Now, Claimant, &mut Jitter) -> Heard,
    ) -> bool {
        let by = if self.is_member(mac) {
            Claimant::Member(mac)
        } else {
            Claimant::Stranger(mac)
        };
        let mut vips = self.vips.iter();
        let is_it = |(at, vip): &(IfIndex, Vip)| *at == port && vip.address() == address;
        // An address that a new cluster file calls otherwise is there twice, once idle.
        let active = vips.position(|vip| is_it(vip) && !vip.1.idle());
        let found = active.or_else(|| self.vips.iter().position(is_it));
        let Some((_, vip)) = found.and_then(|n| self.vips.get_mut(n)) else {
            return false;
        };
        match tell(vip, now, by, &mut self.jitter) {
            Heard::Nothing => {}
            Heard::Stranger => add(&mut self.counters.strangers),
            Heard::Conflict => add(&mut self.counters.conflicts),
        }
        true
    }
}

impl Port {
    /// Its hardware address, when something can be sent.
    fn usable(&self) -> Option<Mac> {
        self.mac.filter(|_| self.carrier)
    }

    fn own_ipv6(&self) -> Option<Ipv6Addr> {
        self.config
            .addresses
            .iter()
            .find_map(|prefix| match prefix.address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            })
    }
}

fn handled<'a>(ours: bool) -> Ingress<'a> {
    if ours {
        Ingress::Handled
    } else {
        Ingress::Ignored
    }
}

fn add(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
