//! How well this machine is, as far as its memory shows it: the kernel's pressure stall
//! information, which says how much of the time work waited for memory.
//!
//! Owns the thresholds, and how often to look. What a reading must last before it counts is
//! the engine's. A kernel without that file has no opinion, and the node counts as well.

use std::fs;
use std::time::Duration;

use kodo_engine::surface::Health;

/// The share of time, of all work and of some of it; see Documentation/accounting/psi.rst.
const FILE: &str = "/proc/pressure/memory";
/// Several times within the time that a reading counts.
const EVERY: Duration = Duration::from_secs(5);
/// Percent of ten seconds in which nothing at all went on for want of memory: a machine that
/// spends a third of its time so is about to answer nobody.
const RED: f32 = 30.0;
/// Percent in which something waited.
const YELLOW: f32 = 20.0;

/// When to look, and what was told last.
#[derive(Debug)]
pub(super) struct Pressure {
    next: Duration,
    told: Health,
}

impl Pressure {
    pub(super) fn new(now: Duration) -> Pressure {
        Pressure {
            next: now + EVERY,
            told: Health::Green,
        }
    }

    pub(super) fn wake_in(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// Looks, if it is time: what is to be told, which is nothing while all is well.
    pub(super) fn look(&mut self, now: Duration) -> Option<Health> {
        if now < self.next {
            return None;
        }
        self.next = now + EVERY;
        let health = fs::read_to_string(FILE).map_or(Health::Green, |text| judge(&text));
        let news = health != Health::Green || self.told != Health::Green;
        self.told = health;
        news.then_some(health)
    }
}

fn judge(text: &str) -> Health {
    let share = |of: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(of))?;
        let mut words = line.split_whitespace();
        words.find_map(|word| word.strip_prefix("avg10=")?.parse::<f32>().ok())
    };
    match (share("full"), share("some")) {
        (Some(full), _) if full >= RED => Health::Red,
        (_, Some(some)) if some >= YELLOW => Health::Yellow,
        _ => Health::Green,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(some: &str, full: &str) -> String {
        format!(
            "some avg10={some} avg60=0.10 avg300=0.00 total=12345\n\
             full avg10={full} avg60=0.00 avg300=0.00 total=2345\n"
        )
    }

    #[test]
    fn what_the_kernel_says_becomes_a_colour() {
        for (some, full, health) in [
            ("0.00", "0.00", Health::Green),
            ("19.99", "8.00", Health::Green),
            ("20.00", "12.00", Health::Yellow),
            ("95.10", "29.99", Health::Yellow),
            ("95.10", "30.00", Health::Red),
        ] {
            assert_eq!(judge(&text(some, full)), health, "{some} {full}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_illness() {
        for text in ["", "full\n", "full avg10=much\n", "some avg60=99.0\n"] {
            assert_eq!(judge(text), Health::Green, "{text}");
        }
    }

    #[test]
    fn a_well_machine_says_nothing() {
        let mut pressure = Pressure::new(Duration::ZERO);
        assert_eq!(pressure.look(Duration::from_secs(1)), None);
        assert_eq!(
            pressure.wake_in(Duration::from_secs(1)),
            Duration::from_secs(4)
        );
    }
}
