//! The witness's host on the LAN: the shipped decision under a clock and a fate of its own.
//!
//! Owns what the host does with a frame: it answers for its address, judges questions, and
//! forgets everything when it restarts.

use core::time::Duration;
use std::rc::Rc;

use kodo_engine::witness::{Answer, Codec, Granter, Word};

use crate::clock::{At, Clock};
use crate::cluster::{WITNESS, WITNESS_PORT};
use crate::origin::Frame;
use crate::packet::{self, Arp, Mac, Packet, Udp};
use crate::plan::{Fault, Machine as Name, Plan, Policy, Wire};
use crate::rng::Rng;
use crate::world::World;

const MAC: Mac = [0x52, 0x54, 0, 0, 0, 0xcc];
/// Frames that its port keeps while it stands still.
const BACKLOG: usize = 256;

/// The witness's host.
#[derive(Debug)]
pub(crate) struct Witness {
    codec: Codec,
    ppm: i64,
    hold_off: Duration,
    clock: Clock,
    /// `None`: it has no power.
    granter: Option<Granter>,
    /// Its clock stands still.
    paused: bool,
    /// It stands still; what came meanwhile.
    still: bool,
    kept: Vec<Rc<Frame>>,
    rng: Rng,
}

impl Witness {
    /// The one of this cluster, if it has one. It has been running for long.
    pub(crate) fn new(plan: &Plan, config: &kodo_node::Config) -> Option<Witness> {
        let key = config.engine.witness_key.as_ref()?;
        let mut rng = Rng::stream(plan.seed, "witness", 0);
        let uptime = rng.time(Duration::from_secs(600), Duration::from_secs(6000));
        let hold_off = plan.cluster.hold_off;
        Some(Witness {
            codec: Codec::new(config.engine.cluster_id, key),
            ppm: plan.cluster.witness_ppm,
            hold_off,
            clock: Clock::new(plan.cluster.witness_ppm, uptime, Duration::ZERO),
            granter: Some(Granter::new(rng.bits(), hold_off, uptime - hold_off)),
            paused: false,
            still: false,
            kept: Vec::new(),
            rng,
        })
    }

    fn start(&mut self, now: At) {
        let uptime = self.rng.time(Duration::ZERO, Duration::from_secs(60));
        self.clock = Clock::new(self.ppm, uptime, now);
        self.granter = Some(Granter::new(self.rng.bits(), self.hold_off, uptime));
    }

    /// The answer to a question, if it is one.
    fn answer(&mut self, now: At, bytes: &[u8]) -> Option<Answer> {
        let question = self.codec.question(bytes).ok()?;
        let local = self.clock.local(now);
        self.granter.as_mut()?.judge(local, &question).ok()
    }
}

impl World {
    /// What is wrong with the witness has changed.
    pub(crate) fn witness_ails(&mut self, faults: &[Fault]) {
        let now = self.now();
        let Some(witness) = &mut self.witness else {
            return;
        };
        let dark = faults.contains(&Fault::WitnessDark);
        let paused = faults.contains(&Fault::WitnessPause);
        let still = paused || faults.contains(&Fault::WitnessStall);
        match (dark, witness.granter.is_some()) {
            (true, true) => witness.granter = None,
            (false, false) => witness.start(now),
            _ => {}
        }
        match (paused, witness.paused) {
            (true, false) => witness.clock.stop(now),
            (false, true) => witness.clock.start(now),
            _ => {}
        }
        witness.paused = paused;
        witness.still = still;
        if !still {
            for frame in core::mem::take(&mut witness.kept) {
                self.at_witness(&frame);
            }
        }
    }

    /// A frame reaches the witness's port.
    pub(crate) fn at_witness(&mut self, frame: &Rc<Frame>) {
        let now = self.now();
        let Some(witness) = &mut self.witness else {
            return;
        };
        let to = packet::destination(&frame.bytes);
        if witness.granter.is_none() || (to[0] & 1 == 0 && to != MAC) {
            return;
        }
        if witness.still {
            if witness.kept.len() < BACKLOG {
                witness.kept.push(Rc::clone(frame));
            }
            return;
        }
        let from = packet::source(&frame.bytes);
        match packet::parse(&frame.bytes) {
            Packet::Arp(question) if question.request && question.target == WITNESS => {
                let answer = Arp {
                    request: false,
                    mac: MAC,
                    sender: WITNESS,
                    target: question.sender,
                };
                self.witness_sends(packet::arp(from, answer, question.mac), None);
            }
            Packet::Udp(ip, udp) if ip.destination == WITNESS && udp.to == WITNESS_PORT => {
                let Some(answer) = witness.answer(now, udp.body) else {
                    return;
                };
                let bytes = witness.codec.answer(&answer);
                let back = Udp {
                    from: udp.to,
                    to: udp.from,
                    body: &bytes,
                };
                let (granted, asker) = (answer.word == Word::Granted, answer.node.index());
                let bytes = packet::udp((from, MAC), WITNESS, ip.source, back);
                if answer.word != Word::Idle {
                    let (name, word, holder) = (Name(asker), answer.word, answer.holder);
                    self.story
                        .world(now, format_args!("witness to {name}: {word:?}, {holder:?}"));
                }
                self.witness_sends(bytes, frame.asks.filter(|_| granted));
            }
            _ => {}
        }
    }

    fn witness_sends(&mut self, bytes: Vec<u8>, asks: Option<crate::origin::Asks>) {
        let frame = Frame {
            bytes,
            origin: None,
            asks,
        };
        self.enters_switch(Wire::Witness, &Rc::new(frame));
    }

    /// Whether this world has a witness.
    pub(crate) fn has_witness(&self) -> bool {
        self.plan.cluster.policy == Policy::Witness
    }
}
