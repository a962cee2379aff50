//! The simulator's only randomness: small generators, each grown from the seed and a name.
//!
//! Every wire, machine and injector draws from a stream of its own, so that taking one
//! fault out of a schedule leaves the luck of all the others as it was. Never reads
//! entropy.

use core::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream for this seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(mix(seed ^ 0x6b6f_646f_2073_696d))
    }

    /// An independent stream for a name and a number.
    #[must_use]
    pub fn stream(seed: u64, name: &str, number: u64) -> Rng {
        let name = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng(mix(mix(seed ^ name).wrapping_add(number)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..bound`; 0 for no bound at all.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.below(1000) < u64::from(permille)
    }

    /// A time from `low` to `high`, to the microsecond.
    pub fn time(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.range(micros(low), micros(high)))
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// A position in a table of this length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// Random bytes, as many as asked for.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.bits().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_its_name() {
        let draw = |name, number| Rng::stream(7, name, number).bits();
        assert_eq!(draw("wire", 1), draw("wire", 1));
        assert_ne!(draw("wire", 1), draw("wire", 2));
        assert_ne!(draw("wire", 1), draw("node", 1));
    }

    #[test]
    fn ranges_hold() {
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            assert!((5..=9).contains(&rng.range(5, 9)));
            assert!(!rng.chance(0));
            assert!(rng.chance(1000));
        }
        assert_eq!(rng.bytes(13).len(), 13);
    }
}
