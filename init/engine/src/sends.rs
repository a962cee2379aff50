//! When each of our beats was sent: the memory behind freshness and leases.
//!
//! Owns sequence numbers. A sequence that left the ring was sent too long ago to
//! prove anything, so forgetting is safe.

use crate::limits;
use crate::types::Now;

/// Send times of the newest [`limits::SENT`] beats.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Sends {
    times: [Now; limits::SENT],
    last: u64,
}

impl Sends {
    /// Nothing was sent yet; the first beat is number 1.
    pub(crate) fn new() -> Sends {
        Sends {
            times: [Now::ZERO; limits::SENT],
            last: 0,
        }
    }

    /// Numbers the beat that is sent now.
    pub(crate) fn next(&mut self, now: Now) -> u64 {
        self.last += 1;
        self.times[slot(self.last)] = now;
        self.last
    }

    /// When beat `seq` was sent; `None` when it was never sent, or long ago.
    pub(crate) fn time_of(&self, seq: u64) -> Option<Now> {
        let age = self.last.checked_sub(seq)?;
        (seq > 0 && age < limits::SENT as u64).then(|| self.times[slot(seq)])
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the remainder is smaller than an array"
)]
fn slot(seq: u64) -> usize {
    (seq % limits::SENT as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_newest_and_nothing_else() {
        let mut sends = Sends::new();
        assert_eq!(sends.time_of(0), None);
        assert_eq!(sends.time_of(1), None, "never sent");
        for n in 1..=limits::SENT as u64 + 5 {
            assert_eq!(sends.next(Now::from_millis(n)), n);
        }
        assert_eq!(sends.time_of(5), None, "left the ring");
        assert_eq!(sends.time_of(6), Some(Now::from_millis(6)));
        assert_eq!(
            sends.time_of(limits::SENT as u64 + 5),
            Some(Now::from_millis(limits::SENT as u64 + 5))
        );
        assert_eq!(sends.time_of(u64::MAX), None, "not yet sent");
    }
}
