//! Every cable of the world and what is wrong with it at present.
//!
//! Owns the base qualities and folds active faults over them. Never delivers: it says,
//! for one thing sent, which copies arrive after how long and with which harm.

use core::time::Duration;

use crate::plan::{Fault, On, Part, Quality, Way, Wire};
use crate::rng::Rng;

/// One direction of a wire as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    /// False: cut, no carrier at either end.
    pub(crate) plugged: bool,
    /// False: whatever is sent vanishes.
    pub(crate) passes: bool,
    /// Otherwise like this.
    pub(crate) quality: Quality,
}

/// What arrives of one thing sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    /// After so long.
    pub(crate) after: Duration,
    /// With bits changed.
    pub(crate) harmed: bool,
}

/// A network, where it matters on which one two stations are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    Lan,
    Private,
    Line,
}

/// All cables, and who is apart from whom.
#[derive(Debug)]
pub(crate) struct Wires {
    machines: usize,
    base: Vec<[Condition; 2]>,
    now: Vec<[Condition; 2]>,
    luck: Vec<[Rng; 2]>,
    /// From these to those nothing passes there.
    apart: Vec<(Part, Part, On)>,
}

/// A clean cable: the time of a small frame through a NIC, a driver and a wake-up.
const CLEAN: Quality = Quality {
    loss: 0,
    duplicate: 0,
    corrupt: 0,
    reorder: 0,
    delay: Duration::from_micros(40),
    jitter: Duration::from_micros(80),
};
/// How much longer something takes that others overtake.
const OVERTAKEN: Duration = Duration::from_millis(30);

fn index(machines: usize, wire: Wire) -> usize {
    match wire {
        Wire::Crossover => 0,
        Wire::Serial => 1,
        Wire::Host => 2,
        Wire::Lan(machine) => 3 + machine,
        Wire::Private(machine) => 3 + machines + machine,
        Wire::Line(node) => 3 + 2 * machines + node,
        Wire::Witness => 3 + 3 * machines,
    }
}

fn side(out: bool) -> usize {
    usize::from(!out)
}

impl Wires {
    /// For so many machines.
    #[must_use]
    pub(crate) fn new(seed: u64, machines: usize, base: &[(Wire, Quality)]) -> Wires {
        let clean = Condition {
            plugged: true,
            passes: true,
            quality: CLEAN,
        };
        let count = 4 + 3 * machines;
        let mut conditions = vec![[clean; 2]; count];
        for (wire, quality) in base {
            for condition in &mut conditions[index(machines, *wire)] {
                condition.quality = worse(CLEAN, *quality);
            }
        }
        let stream = |at: u64| Rng::stream(seed, "wire", at);
        Wires {
            machines,
            apart: Vec::new(),
            now: conditions.clone(),
            base: conditions,
            luck: (0..count as u64)
                .map(|at| [stream(2 * at), stream(2 * at + 1)])
                .collect(),
        }
    }

    /// Folds the faults that are active over the wires as they usually are.
    pub(crate) fn apply<'a>(&mut self, active: impl Iterator<Item = &'a Fault>) {
        self.now.clone_from(&self.base);
        self.apart.clear();
        let machines = self.machines;
        let index = |wire| index(machines, wire);
        for fault in active {
            match fault {
                Fault::Apart {
                    these,
                    those,
                    way,
                    on,
                } => {
                    if *way != Way::In {
                        self.apart.push((*these, *those, *on));
                    }
                    if *way != Way::Out {
                        self.apart.push((*those, *these, *on));
                    }
                }
                Fault::Cut(wire) => {
                    for condition in &mut self.now[index(*wire)] {
                        condition.plugged = false;
                    }
                }
                Fault::Mute(wire, way) => {
                    let [out, back] = &mut self.now[index(*wire)];
                    out.passes &= *way == Way::In;
                    back.passes &= *way == Way::Out;
                }
                Fault::Rough(wire, quality) => {
                    for condition in &mut self.now[index(*wire)] {
                        condition.quality = worse(condition.quality, *quality);
                    }
                }
                _ => {}
            }
        }
    }

    /// One direction of a wire; out is from its first end.
    #[must_use]
    pub(crate) fn condition(&self, wire: Wire, out: bool) -> Condition {
        self.now[self.at(wire)][side(out)]
    }

    /// Whether anything, or a heartbeat, comes from one station to another on a network.
    #[must_use]
    pub(crate) fn joined(&self, net: Net, from: usize, to: usize, beat: bool) -> bool {
        !self.apart.iter().any(|(these, those, on)| {
            let here = match on {
                On::Lan => net == Net::Lan,
                On::Private => net == Net::Private,
                On::All => true,
                On::Heartbeats => beat,
            };
            here && these.has(from) && those.has(to)
        })
    }

    fn at(&self, wire: Wire) -> usize {
        index(self.machines, wire)
    }

    /// What arrives of one frame.
    pub(crate) fn frame(&mut self, wire: Wire, out: bool) -> [Option<Copy>; 2] {
        let condition = self.condition(wire, out);
        if !condition.plugged || !condition.passes {
            return [None; 2];
        }
        let at = self.at(wire);
        let rng = &mut self.luck[at][side(out)];
        let quality = condition.quality;
        let mut copy = || {
            let late = if rng.chance(quality.reorder) {
                rng.time(Duration::ZERO, OVERTAKEN)
            } else {
                Duration::ZERO
            };
            let after = quality.delay + rng.time(Duration::ZERO, quality.jitter) + late;
            let harmed = rng.chance(quality.corrupt);
            (!rng.chance(quality.loss)).then_some(Copy { after, harmed })
        };
        let first = copy();
        let twice = copy();
        let again = self.luck[at][side(out)].chance(quality.duplicate);
        [first, twice.filter(|_| again)]
    }

    /// What arrives of one burst on a byte line: it cannot come twice or be overtaken.
    pub(crate) fn burst(&mut self, wire: Wire, out: bool) -> Option<Copy> {
        let [first, _] = self.frame(wire, out);
        let quality = self.condition(wire, out).quality;
        first.map(|copy| Copy {
            after: quality.delay,
            ..copy
        })
    }

    /// Changes one to four bits.
    pub(crate) fn harm(&mut self, wire: Wire, out: bool, bytes: &mut [u8]) {
        let at = self.at(wire);
        let rng = &mut self.luck[at][side(out)];
        for _ in 0..=rng.below(4) {
            let at = rng.index(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

fn worse(a: Quality, b: Quality) -> Quality {
    Quality {
        loss: a.loss.max(b.loss),
        duplicate: a.duplicate.max(b.duplicate),
        corrupt: a.corrupt.max(b.corrupt),
        reorder: a.reorder.max(b.reorder),
        delay: a.delay.max(b.delay),
        jitter: a.jitter.max(b.jitter),
    }
}
