//! One direction of a cable: what is done to the frames or bytes that pass.
//!
//! Owns the fault model and the queue of what is under way. Sans-I/O: time comes as an
//! argument, chance from a seed. Never decides where a frame goes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::mac::EtherType;
use super::rng::Rng;
use crate::time::LabTime;

/// Bytes of noise are made this often, in milliseconds.
const NOISE_EVERY_MS: u64 = 20;

/// A line that is this far behind loses what comes next, as a UART does.
const LINE_BACKLOG: Duration = Duration::from_secs(1);

/// What a direction of a cable does to what passes. Probabilities are 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Nothing passes, though the carrier stays.
    pub drop: bool,
    /// Chance that a frame (on a serial line: a byte) is lost.
    pub loss: f64,
    /// Chance that a frame arrives twice.
    pub duplicate: f64,
    /// Chance that bits of a frame (on a serial line: of a byte) are flipped.
    pub corrupt: f64,
    /// Chance that a frame is held back by [`Faults::hold`] and overtaken.
    pub reorder: f64,
    /// How long an overtaken frame waits.
    pub hold: Duration,
    /// Added to every frame's way.
    pub delay: Duration,
    /// At most this much more, evenly; later frames do not overtake.
    pub jitter: Duration,
    /// EtherTypes that do not pass.
    pub filter: BTreeSet<EtherType>,
    /// Random bytes per second on a serial line.
    pub noise: u32,
}

impl Faults {
    /// Ends all faults.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            hold: self.hold,
            ..Self::default()
        };
    }

    /// Whether everything passes unharmed and at once.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        *self
            == Self {
                hold: self.hold,
                ..Self::default()
            }
    }
}

/// `loss 30 %, delay 5 ms`; empty when clear.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |what: &str, chance: f64| {
            (chance > 0.0).then(|| format!("{what} {} %", chance * 100.0))
        };
        let time = |what: &str, time: Duration| {
            (!time.is_zero()).then(|| format!("{what} {} ms", time.as_millis()))
        };
        let filter: Vec<String> = self.filter.iter().map(ToString::to_string).collect();
        let words = [
            self.drop.then(|| "drop".to_owned()),
            percent("loss", self.loss),
            percent("duplicate", self.duplicate),
            percent("corrupt", self.corrupt),
            percent("reorder", self.reorder),
            time("delay", self.delay),
            time("jitter", self.jitter),
            (!filter.is_empty()).then(|| format!("filter {}", filter.join(" "))),
            (self.noise > 0).then(|| format!("noise {} bytes/s", self.noise)),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// What became of what entered one direction of a cable, since the lab started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Frames or chunks that entered.
    pub sent: u64,
    /// Frames or chunks that came out, copies included.
    pub delivered: u64,
    /// Lost by chance or by a dropping cable.
    pub lost: u64,
    /// Held by a filter.
    pub filtered: u64,
    /// Kept from the receiver because the two stations are parted.
    pub parted: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Arrived with flipped bits.
    pub corrupted: u64,
    /// Held back to be overtaken.
    pub reordered: u64,
    /// Sent while there was no carrier.
    pub cut: u64,
    /// Lost because the receiver did not take them: its socket was full, or the line was behind.
    pub overrun: u64,
}

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It passed, or is under way.
    Passed,
    /// It was lost to a fault.
    Lost,
    /// A filter held it.
    Filtered,
    /// Sender and receiver are parted.
    Parted,
    /// There was no carrier.
    Cut,
    /// The line was too far behind.
    Overrun,
}

/// Whether a cable carries frames or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Whole Ethernet frames.
    Ethernet,
    /// Bytes at this many baud, ten bits each.
    Serial {
        /// Bits per second.
        baud: u32,
    },
}

/// One direction of a cable.
#[derive(Debug)]
pub struct Flow {
    faults: Faults,
    counters: Counters,
    medium: Medium,
    rng: Rng,
    /// By time of arrival, then by order of entry.
    under_way: BinaryHeap<Reverse<(LabTime, u64, Vec<u8>)>>,
    entered: u64,
    /// No later frame of unreordered traffic arrives before this.
    last: LabTime,
    next_noise: Option<LabTime>,
}

impl Flow {
    pub(super) fn new(medium: Medium, rng: Rng) -> Self {
        Self {
            faults: Faults {
                hold: Duration::from_millis(300),
                ..Faults::default()
            },
            counters: Counters::default(),
            medium,
            rng,
            under_way: BinaryHeap::new(),
            entered: 0,
            last: LabTime::ZERO,
            next_noise: None,
        }
    }

    /// What it does to what passes.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What became of what entered.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(super) fn set_faults(&mut self, now: LabTime, faults: Faults) {
        self.next_noise = (faults.noise > 0).then_some(now);
        self.faults = faults;
    }

    /// Loses all that is under way, as when the cable is pulled.
    pub(super) fn clear(&mut self) {
        self.counters.lost += self.under_way.len() as u64;
        self.under_way.clear();
        self.last = LabTime::ZERO;
    }

    /// Takes a frame or chunk. It comes out of [`Flow::release`], at once if nothing holds it.
    pub(super) fn enter(&mut self, now: LabTime, mut data: Vec<u8>) -> Fate {
        self.counters.sent += 1;
        let fate = self.harm(&mut data);
        if fate != Fate::Passed {
            return fate;
        }
        let mut due = now + self.faults.delay;
        due += Duration::from_nanos(self.rng.below(nanos(self.faults.jitter)));
        due = due.max(self.last);
        if let Medium::Serial { baud } = self.medium {
            due += byte_time(baud, data.len());
            if due > now + self.faults.delay + LINE_BACKLOG {
                self.counters.overrun += 1;
                return Fate::Overrun;
            }
        }
        self.last = due;
        if self.medium == Medium::Ethernet {
            if self.rng.chance(self.faults.duplicate) {
                self.counters.duplicated += 1;
                self.put(due, data.clone());
            }
            if self.rng.chance(self.faults.reorder) {
                self.counters.reordered += 1;
                due += self.faults.hold;
            }
        }
        self.put(due, data);
        Fate::Passed
    }

    /// The next frame or chunk that has arrived by now.
    pub(super) fn release(&mut self, now: LabTime) -> Option<Vec<u8>> {
        self.make_noise(now);
        if self.under_way.peek()?.0.0 > now {
            return None;
        }
        self.counters.delivered += 1;
        self.under_way.pop().map(|Reverse((_, _, data))| data)
    }

    /// When the next frame or chunk arrives.
    #[must_use]
    pub fn deadline(&self) -> Option<LabTime> {
        let due = self.under_way.peek().map(|Reverse((due, _, _))| *due);
        [due, self.next_noise].into_iter().flatten().min()
    }

    fn put(&mut self, due: LabTime, data: Vec<u8>) {
        self.entered += 1;
        self.under_way.push(Reverse((due, self.entered, data)));
    }

    fn harm(&mut self, data: &mut Vec<u8>) -> Fate {
        let faults = &self.faults;
        if faults.drop {
            self.counters.lost += 1;
            return Fate::Lost;
        }
        match self.medium {
            Medium::Ethernet => {
                if EtherType::of(data).is_some_and(|kind| faults.filter.contains(&kind)) {
                    self.counters.filtered += 1;
                    return Fate::Filtered;
                }
                if self.rng.chance(faults.loss) {
                    self.counters.lost += 1;
                    return Fate::Lost;
                }
                // The addresses stay whole: a frame for nobody tests nothing.
                if data.len() > 12 && self.rng.chance(faults.corrupt) {
                    self.counters.corrupted += 1;
                    for _ in 0..=self.rng.below(3) {
                        let at = 12 + self.rng.index(data.len() - 12);
                        data[at] ^= 1 << self.rng.below(8);
                    }
                }
            }
            Medium::Serial { .. } => {
                let before = data.len();
                data.retain(|_| !self.rng.chance(faults.loss));
                self.counters.lost += u64::from(data.len() != before);
                for byte in data.iter_mut() {
                    if self.rng.chance(faults.corrupt) {
                        self.counters.corrupted += 1;
                        *byte ^= 1 << self.rng.below(8);
                    }
                }
                if data.is_empty() {
                    return Fate::Lost;
                }
            }
        }
        Fate::Passed
    }

    fn make_noise(&mut self, now: LabTime) {
        while let Some(at) = self.next_noise.filter(|at| *at <= now) {
            let per_second = u64::from(self.faults.noise);
            // The fraction of a byte is made by chance, so that slow noise is noise too.
            let rest = per_second * NOISE_EVERY_MS % 1000;
            let count = per_second * NOISE_EVERY_MS / 1000 + u64::from(self.rng.below(1000) < rest);
            let bytes: Vec<u8> = (0..count)
                .map(|_| self.rng.next().to_le_bytes()[0])
                .collect();
            if !bytes.is_empty() {
                self.put(at, bytes);
            }
            // After a stall of the lab itself, noise starts anew instead of catching up.
            let from = if at + LINE_BACKLOG < now { now } else { at };
            self.next_noise = Some(from + Duration::from_millis(NOISE_EVERY_MS));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long a line needs for this many bytes: a start and a stop bit each.
fn byte_time(baud: u32, bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 * 10.0 / f64::from(baud.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn flow(faults: Faults) -> Flow {
        let mut flow = Flow::new(Medium::Ethernet, Rng::new(3));
        flow.set_faults(LabTime::ZERO, faults);
        flow
    }

    fn frame(n: u8) -> Vec<u8> {
        let mut frame = vec![n; 60];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        frame
    }

    fn all(flow: &mut Flow, now: LabTime) -> Vec<u8> {
        std::iter::from_fn(|| flow.release(now))
            .map(|frame| frame[0])
            .collect()
    }

    #[test]
    fn a_clear_cable_passes_in_order_at_once() {
        let mut flow = flow(Faults::default());
        for n in 0..5 {
            flow.enter(MS, frame(n));
        }
        assert_eq!(all(&mut flow, MS), [0, 1, 2, 3, 4]);
        assert_eq!(flow.counters().delivered, 5);
        assert!(flow.faults().is_clear());
    }

    #[test]
    fn jitter_delays_without_overtaking() {
        let mut flow = flow(Faults {
            delay: 10 * MS,
            jitter: 50 * MS,
            ..Faults::default()
        });
        for n in 0..50 {
            flow.enter(MS * u32::from(n), frame(n));
        }
        assert!(all(&mut flow, 9 * MS).is_empty());
        assert_eq!(all(&mut flow, 500 * MS), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn less_delay_does_not_overtake() {
        let mut flow = flow(Faults {
            delay: 100 * MS,
            ..Faults::default()
        });
        flow.enter(MS, frame(1));
        flow.set_faults(MS, Faults::default());
        flow.enter(2 * MS, frame(2));
        assert!(all(&mut flow, 50 * MS).is_empty());
        assert_eq!(all(&mut flow, 101 * MS), [1, 2]);
    }

    #[test]
    fn reordering_overtakes_and_duplication_doubles() {
        let mut flow = flow(Faults {
            reorder: 0.5,
            hold: 10 * MS,
            ..Faults::default()
        });
        for n in 0..40 {
            flow.enter(MS * u32::from(n), frame(n));
        }
        let mut got = all(&mut flow, 200 * MS);
        assert!(!got.is_sorted());
        got.sort_unstable();
        assert_eq!(got, (0..40).collect::<Vec<_>>());

        flow.set_faults(
            LabTime::ZERO,
            Faults {
                duplicate: 1.0,
                ..Faults::default()
            },
        );
        flow.enter(300 * MS, frame(7));
        assert_eq!(all(&mut flow, 300 * MS), [7, 7]);
    }

    #[test]
    fn loss_filter_and_drop_are_counted() {
        let mut flow = flow(Faults {
            loss: 0.3,
            ..Faults::default()
        });
        for _ in 0..1000 {
            flow.enter(MS, frame(1));
        }
        let passed = all(&mut flow, MS).len();
        assert!((640..760).contains(&passed), "{passed}");
        assert_eq!(flow.counters().lost, 1000 - passed as u64);
        flow.set_faults(
            MS,
            Faults {
                filter: [EtherType::KODO].into(),
                ..Faults::default()
            },
        );
        assert_eq!(flow.enter(MS, frame(1)), Fate::Filtered);
        flow.set_faults(
            MS,
            Faults {
                drop: true,
                ..Faults::default()
            },
        );
        assert_eq!(flow.enter(MS, frame(1)), Fate::Lost);
        assert_eq!(flow.counters().filtered, 1);
    }

    #[test]
    fn corruption_spares_the_addresses() {
        let mut flow = flow(Faults {
            corrupt: 1.0,
            ..Faults::default()
        });
        for _ in 0..100 {
            flow.enter(MS, frame(9));
            let got = flow.release(MS).unwrap();
            assert_eq!(got[..12], frame(9)[..12]);
            assert_ne!(got, frame(9));
        }
    }

    #[test]
    fn a_serial_line_keeps_its_rate_and_overruns() {
        let mut flow = Flow::new(Medium::Serial { baud: 1000 }, Rng::new(1));
        assert_eq!(flow.enter(LabTime::ZERO, vec![0; 10]), Fate::Passed);
        assert_eq!(flow.enter(LabTime::ZERO, vec![0; 10]), Fate::Passed);
        assert!(flow.release(99 * MS).is_none());
        assert!(flow.release(100 * MS).is_some() && flow.release(199 * MS).is_none());
        assert!(flow.release(200 * MS).is_some());
        assert_eq!(flow.enter(LabTime::ZERO, vec![0; 200]), Fate::Overrun);
    }

    #[test]
    fn noise_has_its_rate() {
        let mut flow = Flow::new(Medium::Serial { baud: 115_200 }, Rng::new(1));
        flow.set_faults(
            LabTime::ZERO,
            Faults {
                noise: 330,
                ..Faults::default()
            },
        );
        let mut bytes = 0;
        for ms in 0..1000 {
            while let Some(chunk) = flow.release(ms * MS) {
                bytes += chunk.len();
            }
        }
        assert!((300..=360).contains(&bytes), "{bytes}");
    }
}
