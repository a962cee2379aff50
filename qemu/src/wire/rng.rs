//! The lab's dice: small, fast, and the same for the same seed.

/// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Dice that fall the same way for the same seed.
    #[cfg(test)]
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for one of several independent uses of a seed.
    pub(crate) fn fork(seed: u64, use_of_it: &str) -> Self {
        let mut rng = Self(seed);
        for byte in use_of_it.bytes() {
            rng.0 = rng.next() ^ u64::from(byte);
        }
        rng
    }

    /// 64 even bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from `0..below`; 0 when `below` is 0.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        // The bias of a plain remainder is under 2^-40 for anything a cable needs.
        if below == 0 { 0 } else { self.next() % below }
    }

    /// Evenly from `0..below` as an index; 0 when `below` is 0.
    pub(crate) fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.below(below as u64)).unwrap_or(0)
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits fill the mantissa exactly.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
        let roll = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        roll < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_uses_differ() {
        let rolls = |mut rng: Rng| (0..8).map(|_| rng.next()).collect::<Vec<_>>();
        assert_eq!(rolls(Rng::fork(7, "lan")), rolls(Rng::fork(7, "lan")));
        assert_ne!(rolls(Rng::fork(7, "lan")), rolls(Rng::fork(7, "crossover")));
    }

    #[test]
    fn chances_come_out() {
        let mut rng = Rng::new(1);
        let hits = (0..10_000).filter(|_| rng.chance(0.3)).count();
        assert!((2800..3200).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|_| rng.chance(0.0)) && (0..1000).all(|_| rng.chance(1.0)));
    }
}
