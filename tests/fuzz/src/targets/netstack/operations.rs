//! A whole stack under random calls in random order, with time that advances.
//!
//! The bytes are a program: each operation takes an opcode and its arguments from them.
//! What is checked is what the node relies on: bounded output, no word about a VIP that
//! is not announced, nothing on a port without a link, no timer that stays due, and no
//! packet from outside that makes us say more than a fixed amount.

use core::net::IpAddr;
use std::collections::BTreeMap;

use kodo_netstack::config::{Config, PortConfig, TargetConfig, VipConfig, WitnessConfig};
use kodo_netstack::packet::{self, Packet};
use kodo_netstack::{
    Event, IfIndex, LineIndex, Mac, Now, Prefix, Stack, Transmit, VipIndex, ethernet, limits,
};

use crate::targets::{Program, Target};

/// A program of calls.
pub const OPERATIONS: Target = Target {
    name: "netstack-operations",
    run: |bytes| World::new().play(bytes),
    examples: programs,
    words: &[
        &[0, 40],
        &[1, 200],
        &[5, 0],
        &[6, 0],
        &[7, 0],
        &[4, 0, 0],
        &[3, 0, 1],
    ],
    longest: 600,
    inputs: 10_000,
};

const VIPS: [&str; 4] = ["192.168.0.33", "fd00::33", "192.168.0.34", "10.0.0.33"];
const PORTS: u8 = 2;
const LINES: u8 = 2;
/// Frames that can wait at most: heartbeats, three for each VIP, two for each target and
/// for the witness.
const WAITING: usize = limits::HEARTBEATS + 3 * VIPS.len() + 2 * 4;
const WITNESS: &str = "192.168.0.5";

struct World {
    stack: Stack,
    now: Now,
    link: [(bool, bool); PORTS as usize],
    /// Nothing but packets came in since the last drain.
    outside: bool,
    /// When each VIP was announced because of a packet.
    defended: BTreeMap<u8, Now>,
    /// Newest ping or question sent on each port.
    ping: [Option<Vec<u8>>; PORTS as usize],
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

impl World {
    fn new() -> World {
        let lan = |addresses: &[(&str, u8)], gateways: &[&str]| PortConfig {
            addresses: addresses
                .iter()
                .map(|(address, len)| Prefix {
                    address: ip(address),
                    len: *len,
                })
                .collect(),
            gateways: gateways.iter().map(|address| ip(address)).collect(),
        };
        let target = |address: &str, port: u8, ms: u64| TargetConfig {
            address: ip(address),
            port: IfIndex(port),
            interval: Now::from_millis(ms),
        };
        let config = Config {
            ports: [
                lan(
                    &[("192.168.0.18", 24), ("fd00::18", 64)],
                    &["192.168.0.1", "fe80::1"],
                ),
                lan(&[("10.0.0.18", 8)], &[]),
            ]
            .into_iter()
            .collect(),
            lines: LINES,
            vips: VIPS
                .iter()
                .map(|address| VipConfig {
                    address: ip(address),
                    port: IfIndex(u8::from(address.starts_with("10."))),
                })
                .collect(),
            targets: [
                target("192.168.0.1", 0, 100),
                target("2001:db8::1", 0, 250),
                target("10.0.0.1", 1, 1000),
            ]
            .into_iter()
            .collect(),
            witness: Some(WitnessConfig {
                address: ip(WITNESS),
                udp: 7007,
                port: IfIndex(0),
            }),
        };
        World {
            stack: Stack::new(config, 7),
            now: Now::from_secs(1),
            link: [(false, false); PORTS as usize],
            outside: true,
            defended: BTreeMap::new(),
            ping: [None, None],
        }
    }

    fn play(mut self, program: &[u8]) {
        let mut program = Program(program);
        while let Some(next) = program.0.first() {
            // Now and then several calls come before anybody drains.
            let drains = *next < 0xf0;
            self.step(&mut program);
            if drains {
                self.drain();
            }
        }
        self.drain();
    }

    /// One operation.
    fn step(&mut self, program: &mut Program<'_>) {
        let opcode = program.byte() % 16;
        let argument = program.byte();
        let port = IfIndex(argument % PORTS);
        let at = usize::from(port.0);
        let vip = VipIndex(argument % u8::try_from(VIPS.len()).expect("a few VIPs"));
        self.outside &= matches!(opcode, 4 | 12 | 13);
        match opcode {
            0 => {
                self.now += Now::from_millis(argument.into());
                self.timer();
            }
            1 => {
                self.now += Now::from_millis(u64::from(argument) * 100);
                self.timer();
            }
            2 => {
                let device = Some(program.byte() % 4)
                    .filter(|device| *device > 0)
                    .map(mac);
                self.stack.handle_port(self.now, port, device);
                self.link[at].0 = device.is_some();
                self.link[at].1 &= device.is_some();
            }
            3 => {
                let up = !program.byte().is_multiple_of(4);
                self.stack.handle_carrier(self.now, port, up);
                self.link[at].1 = up;
            }
            4 => self.rival(port, program),
            5 => self.stack.probe(self.now, vip),
            6 => self.stack.announce(self.now, vip),
            7 => {
                self.stack.withdraw(self.now, vip);
                self.defended.remove(&vip.0);
            }
            8 => self.stack.defend(vip, program.byte().is_multiple_of(2)),
            9 => self.stack.learn_member(mac(program.byte())),
            10 => {
                let payload = program.take(usize::from(argument));
                let sent = self.stack.send_heartbeat(port, payload);
                assert_eq!(
                    sent.is_ok(),
                    self.link[at] == (true, true) && !payload.is_empty()
                );
            }
            11 => {
                let line = LineIndex(argument % LINES);
                let length = usize::from(program.byte());
                let mut bytes = program.take(length);
                while self.stack.handle_serial(line, &mut bytes).is_some() {}
                assert_eq!(self.stack.send_serial(line, &[argument; 9]), Ok(()));
            }
            12 => {
                // An answer to the newest ping or question, whole or damaged.
                let damage = usize::from(program.byte());
                if let Some(mut answer) = self.ping[at].clone() {
                    reverse(&mut answer);
                    if let Some(byte) = answer.get_mut(damage) {
                        *byte ^= 1;
                    }
                    self.stack
                        .handle_packet(self.now, port, &super::repaired(&answer));
                }
            }
            13 => {
                let length = usize::from(program.byte());
                let frame = program.take(length);
                self.stack.handle_packet(self.now, port, frame);
                self.stack
                    .handle_packet(self.now, port, &super::repaired(frame));
            }
            14 => {
                let question = program.take(usize::from(argument));
                let sent = self.stack.send_witness(self.now, question);
                let fits = (1..=limits::DATAGRAM).contains(&question.len());
                assert_eq!(sent.is_ok(), self.link[0] == (true, true) && fits);
            }
            // A timer that comes late.
            _ => self.now += Now::from_millis(argument.into()),
        }
    }

    fn timer(&mut self) {
        self.stack.handle_timer(self.now);
        let due = self.stack.poll_deadline();
        assert!(due.is_none_or(|due| due > self.now), "a timer stays due");
    }

    /// Somebody claims or wants an address that matters.
    fn rival(&mut self, port: IfIndex, program: &mut Program<'_>) {
        let who = mac(program.byte());
        let which = program.byte();
        let about = [
            VIPS.as_slice(),
            &["192.168.0.1", "fe80::1", "10.0.0.1", WITNESS],
        ]
        .concat();
        let address = ip(about[usize::from(which & 0x7f) % about.len()]);
        let frame = match (which & 0x80 == 0, address) {
            (true, _) => packet::query(who, address),
            (false, IpAddr::V4(address)) => packet::announce_request(who, address),
            (false, IpAddr::V6(address)) => packet::advertise(who, address),
        };
        self.stack.handle_packet(self.now, port, &frame);
    }

    /// Takes everything that waits, and checks it.
    fn drain(&mut self) {
        let mut frames = 0;
        let mut claims: BTreeMap<u8, usize> = BTreeMap::new();
        while let Some(transmit) = self.stack.poll_transmit() {
            frames += 1;
            assert!(frames <= WAITING, "output without end");
            match transmit {
                Transmit::Port(port, frame) => {
                    if let Some(vip) = self.check(port, &frame) {
                        *claims.entry(vip).or_default() += 1;
                    }
                }
                Transmit::Line(line, bytes) => {
                    assert!(line.0 < LINES);
                    assert!((bytes.first(), bytes.last()) == (Some(&0), Some(&0)));
                }
            }
        }
        if core::mem::replace(&mut self.outside, true) {
            for (vip, count) in claims {
                assert!(count <= 2, "a packet from outside made us shout");
                let before = self.defended.insert(vip, self.now);
                let quiet = before.is_none_or(|at| self.now - at >= limits::DEFEND_INTERVAL);
                assert!(quiet, "defended twice in a second");
            }
        }
        let mut events = 0;
        while let Some(event) = self.stack.poll_event() {
            events += 1;
            assert!(events <= 2 * VIPS.len() + 3, "events without end");
            match event {
                Event::AddressFree(vip) | Event::AddressTaken(vip, _) => {
                    assert!(
                        !self.stack.is_announced(vip),
                        "a verdict about what is ours"
                    );
                }
                Event::Conflict(vip, mac) => {
                    assert!(
                        self.stack.is_announced(vip),
                        "a conflict about what is not ours"
                    );
                    assert!(mac.is_station());
                }
                Event::Answered { sent, .. } => assert!(sent <= self.now, "from the future"),
            }
        }
    }

    /// Checks one frame; the VIP that it announces, if any.
    fn check(&mut self, port: IfIndex, frame: &[u8]) -> Option<u8> {
        let at = usize::from(port.0);
        assert_eq!(self.link[at], (true, true), "said something on a dead port");
        assert!((ethernet::SHORTEST..=limits::PACKET).contains(&frame.len()));
        let received = packet::parse(frame).expect("we send nothing malformed");
        match received.packet {
            Packet::Claim {
                address,
                mac,
                replaces,
            } => {
                assert_eq!(mac, received.source, "claimed for another station");
                assert!(replaces);
                let vip = (0..).zip(VIPS).find(|(_, vip)| ip(vip) == address);
                // Asking for a next hop says where our static address is.
                let (vip, _) = vip?;
                assert!(
                    self.stack.is_announced(VipIndex(vip)),
                    "announced what is not ours"
                );
                Some(vip)
            }
            Packet::Other => {
                self.ping[at] = Some(frame.to_vec());
                None
            }
            Packet::Query { .. } | Packet::Heartbeat(_) => None,
            Packet::EchoReply(_) | Packet::Datagram(_) => panic!("we answer nobody"),
        }
    }
}

/// Turns a ping or question into its answer: sender and receiver change places.
fn reverse(frame: &mut [u8]) {
    let (addresses, protocol, body, reply) = match frame[12..14] {
        [0x08, 0x00] => (26..34, 23, 34, 0),
        _ => (22..54, 20, 54, 129),
    };
    frame[..12].rotate_left(6);
    let half = addresses.len() / 2;
    frame[addresses].rotate_left(half);
    if frame[protocol] == 17 {
        frame[body..body + 4].rotate_left(2);
    } else {
        frame[body] = reply;
    }
}

/// Lives that make sense, for mutations to spoil.
fn programs() -> Vec<Vec<u8>> {
    let up = [2, 0, 1, 3, 0, 1, 2, 1, 2, 3, 1, 1];
    let resolve = [4, 0, 9, 0x84, 4, 0, 9, 0x85, 4, 1, 9, 0x86];
    let takeover = [5, 0, 0, 30, 0, 30, 0, 40, 6, 0, 8, 0, 0, 1, 60, 1, 255];
    let rivals = [
        9, 0, 5, 4, 0, 5, 0x80, 4, 0, 7, 0x80, 5, 2, 4, 0, 7, 0x82, 1, 40, 1, 40,
    ];
    let pings = [0, 100, 12, 0, 0xff, 0, 100, 12, 0, 50, 12, 1, 0xff];
    let gone = [3, 0, 0, 1, 50, 3, 0, 1, 7, 0, 1, 100];
    let beats = [10, 4, 1, 2, 3, 4, 11, 0, 5, 0, 1, 1, 1, 0];
    let questions = [
        14, 3, 1, 2, 3, 4, 0, 9, 0x87, 14, 2, 1, 2, 0, 50, 3, 0, 0, 14, 1, 1,
    ];
    let parts: [&[u8]; 7] = [
        &resolve, &takeover, &rivals, &pings, &gone, &beats, &questions,
    ];
    let mut programs: Vec<Vec<u8>> = parts.map(|part| [&up, part].concat()).to_vec();
    programs.push([&up[..], &parts.concat()].concat());
    programs
}
