//! How well this node is: readings in, a word that others can rely on out.
//!
//! Owns the damping. A reading counts once it has been as bad for [`limits::ILL_AFTER`], or as
//! good for [`limits::WELL_AFTER`]; who reads nothing for [`limits::READING`] counts as well. So
//! a node whose readings flap is ill, and stays so until they are quiet. What a group makes of
//! an ill node is the file's to say, and placement's to follow. Never reads anything itself, and
//! has nothing to do with whether clients reach the node.

use super::Engine;
use crate::limits;
use crate::surface::{Event, Health};
use crate::timers::Timer;
use crate::types::{NodeId, Now};

/// This node's health.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Wellness {
    /// What was read last, and when.
    reading: Health,
    read_at: Option<Now>,
    /// What others are told.
    pub(super) said: Health,
    /// The mildest difference to that since it began.
    doubt: Option<(Health, Now)>,
}

impl Wellness {
    /// Takes a reading.
    fn read(&mut self, now: Now, health: Health) {
        (self.reading, self.read_at) = (health, Some(now));
    }

    /// Follows the readings; when to look again.
    fn settle(&mut self, now: Now) -> Option<Now> {
        let expires = self.read_at.map(|at| at + limits::READING);
        let fresh = expires.filter(|at| now < *at);
        let read = match fresh {
            Some(_) => self.reading,
            None => Health::Green,
        };
        if read == self.said {
            self.doubt = None;
            return fresh;
        }
        let worse = read > self.said;
        let (health, since) = match self.doubt {
            Some((health, since)) if worse && health > self.said => (health.min(read), since),
            Some((health, since)) if !worse && health < self.said => (health.max(read), since),
            _ => (read, now),
        };
        let wait = match worse {
            true => limits::ILL_AFTER,
            false => limits::WELL_AFTER,
        };
        if now >= since + wait {
            (self.said, self.doubt) = (health, None);
            // it may be worse, or better, still
            return Some(now);
        }
        self.doubt = Some((health, since));
        fresh.into_iter().chain([since + wait]).min()
    }
}

impl Engine {
    /// How well this node is, as somebody outside has read it; at least every third of
    /// [`limits::READING`], or it is forgotten.
    pub fn handle_health(&mut self, now: Now, health: Health) {
        self.enter(now);
        self.wellness.read(now, health);
        self.decide(now);
    }

    /// Follows this node's own health.
    pub(super) fn watch_health(&mut self, now: Now) {
        let before = self.wellness.said;
        if let Some(at) = self.wellness.settle(now) {
            self.timers.set(Timer::Detect, at);
        }
        let health = self.wellness.said;
        if health != before {
            self.log(Event::Health { health });
            self.changed();
        }
    }

    /// How well a node is, as far as heard.
    pub fn health(&self, node: NodeId) -> Health {
        if node == self.config.me {
            return self.wellness.said;
        }
        let life = self.peers.get(node.index()).and_then(|peer| peer.alive());
        life.map_or(Health::Green, |life| life.said.health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after these readings, each for so many seconds.
    fn said(readings: &[(u64, Health)]) -> Health {
        let mut wellness = Wellness::default();
        let mut now = Now::ZERO;
        for (seconds, health) in readings {
            for _ in 0..*seconds {
                wellness.read(now, *health);
                wellness.settle(now);
                wellness.settle(now);
                now += Now::from_secs(1);
            }
        }
        wellness.said
    }

    #[test]
    fn a_burst_is_no_illness() {
        let ill = limits::ILL_AFTER.as_secs();
        assert_eq!(said(&[(ill, Health::Red)]), Health::Green);
        assert_eq!(said(&[(ill + 1, Health::Red)]), Health::Red);
    }

    #[test]
    fn whoever_was_ill_is_well_again_after_a_while() {
        let well = limits::WELL_AFTER.as_secs();
        let red = (30, Health::Red);
        assert_eq!(said(&[red, (well, Health::Green)]), Health::Red);
        assert_eq!(said(&[red, (well + 1, Health::Green)]), Health::Green);
        assert_eq!(said(&[red, (well + 1, Health::Yellow)]), Health::Yellow);
    }

    #[test]
    fn whoever_flaps_is_ill() {
        let mut flaps = std::vec::Vec::new();
        for _ in 0..20 {
            flaps.extend([(15, Health::Red), (60, Health::Green)]);
        }
        assert_eq!(said(&flaps), Health::Red);
    }

    #[test]
    fn between_bad_and_worse_the_milder_counts_first() {
        let mix = [(6, Health::Red), (6, Health::Yellow)];
        assert_eq!(said(&mix), Health::Yellow);
    }

    #[test]
    fn readings_that_stop_are_forgotten() {
        let mut wellness = Wellness::default();
        for second in 0..20 {
            wellness.read(Now::from_secs(second), Health::Red);
            wellness.settle(Now::from_secs(second));
        }
        assert_eq!(wellness.said, Health::Red);
        let mut now = Now::from_secs(20);
        while let Some(at) = wellness.settle(now) {
            now = at.max(now + Now::from_millis(1));
            assert!(now < Now::from_secs(300), "it ends");
        }
        assert_eq!(wellness.said, Health::Green);
        assert!(now >= Now::from_secs(19) + limits::READING + limits::WELL_AFTER);
    }
}
