//! The netstack's only randomness: a small generator that the caller seeds.
//!
//! It spreads timers and marks pings. Nothing secret depends on it.

use crate::types::Now;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, equidistributed.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A time from nothing up to `most`, in steps of a 65536th.
    pub(crate) fn up_to(&mut self, most: Now) -> Now {
        let share = u32::from((self.bits() >> 48) as u16);
        most / 65536 * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bound_and_follows_its_seed() {
        let mut a = Jitter::new(7);
        let mut b = Jitter::new(7);
        let most = Now::from_millis(5);
        let mut spread = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let time = a.up_to(most);
            assert!(time <= most);
            assert_eq!(time, b.up_to(most));
            spread.insert(time);
        }
        assert!(spread.len() > 900);
    }
}
