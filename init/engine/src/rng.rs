//! A tiny seeded generator that spreads retries in time. Never used for identity or
//! secrets.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug, Hash)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration between half of `full` and `full`.
    pub(crate) fn jitter(&mut self, full: crate::types::Now) -> crate::types::Now {
        let part = u32::try_from(self.next() % 1024).unwrap_or(0);
        full / 2 + full / 2 * part / 1024
    }
}
