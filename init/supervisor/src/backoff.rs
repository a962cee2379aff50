//! The waits between restarts: doubling, bounded, slightly spread.
//!
//! The spread keeps two services that failed together from restarting together for
//! ever. It only shortens a wait, and never below the smallest: a recovery is never later
//! than the file says.

use crate::{Now, limits};

/// The waits of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    min: Now,
    max: Now,
    /// Restarts since the service was last well for long.
    attempt: u32,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Now, max: Now, seed: u64) -> Backoff {
        Backoff {
            min,
            max,
            attempt: 0,
            random: seed,
        }
    }

    /// Other bounds from now on.
    pub(crate) fn adopt(&mut self, min: Now, max: Now) {
        (self.min, self.max) = (min, max);
    }

    /// How long to wait before the next restart, in `min..=max`.
    pub(crate) fn next(&mut self) -> Now {
        let full = self.min.saturating_mul(1 << self.attempt).min(self.max);
        self.attempt = (self.attempt + 1).min(limits::DOUBLINGS);
        let share = (splitmix(&mut self.random) >> 56) as u32; // 0..=255
        let spread = (full / 4).saturating_mul(share) / 256;
        (full - spread).max(self.min)
    }

    /// A life ended that had been ready for so long.
    pub(crate) fn lived(&mut self, ready: Now) {
        if ready >= self.max {
            self.attempt = 0;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): one multiply-and-shift chain, any seed is good.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Now = Now::from_millis(200);
    const MAX: Now = Now::from_secs(10);

    #[test]
    fn doubles_up_to_the_largest_and_stays_in_bounds() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        assert_eq!(
            backoff.next(),
            MIN,
            "the first restart is never delayed further"
        );
        let mut full = MIN;
        for _ in 0..40 {
            full = (full * 2).min(MAX);
            let wait = backoff.next();
            assert!(wait <= full && wait >= full * 3 / 4, "{wait:?} of {full:?}");
        }
    }

    #[test]
    fn a_long_life_starts_anew() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        for _ in 0..5 {
            backoff.next();
        }
        backoff.lived(MAX - Now::from_nanos(1));
        assert!(backoff.next() > MIN);
        backoff.lived(MAX);
        assert_eq!(backoff.next(), MIN);
    }

    #[test]
    fn spreads_by_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            core::array::from_fn::<_, 6, _>(|_| backoff.next())
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
