//! The lease arithmetic: how long a taker must wait for a holder that it cannot hear.
//!
//! Owns pure functions; `kodo-config` refuses files with them, the engine asserts
//! them again. Never reads a clock.
//!
//! A holder's lease runs for L on the holder's clock from the moment it *sent* the
//! beat that the decider saw last; then it releases within R. The decider counts on
//! its own clock from the moment it *received* that beat, which is later. Two clocks
//! may run apart by [`RHO_PERCENT`] each, so the decider waits
//! W = (1 + rho) * (L / (1 - rho) + R).

use crate::types::Now;

/// How far a clock's rate may be off, in percent. Quartz is a hundred times better;
/// a virtual machine whose host is busy is not.
pub const RHO_PERCENT: u128 = 1;

/// W: after this long without a fresh beat from a holder, its lease `lease` has
/// ended and its release within `release` is over, whatever the two clocks do.
/// Rounded up.
pub fn wait_bound(lease: Now, release: Now) -> Now {
    let lease = (lease.as_nanos() * 100).div_ceil(100 - RHO_PERCENT);
    let wait = ((lease + release.as_nanos()) * (100 + RHO_PERCENT)).div_ceil(100);
    from_nanos(wait)
}

/// The longest lease whose [`wait_bound`] does not exceed `deadtime`, rounded down
/// to a microsecond; `None` when the release alone already takes too long.
pub fn largest_lease(deadtime: Now, release: Now) -> Option<Now> {
    let budget = deadtime.as_nanos() * 100 / (100 + RHO_PERCENT);
    let lease = budget.checked_sub(release.as_nanos())? * (100 - RHO_PERCENT) / 100;
    let lease = from_nanos(lease / 1000 * 1000);
    (!lease.is_zero()).then_some(lease)
}

/// Saturating: half a millennium is as good as for ever.
fn from_nanos(nanos: u128) -> Now {
    Now::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_and_a_half_by_hand() {
        // 1.01 * (990 / 0.99 + 500) = 1.01 * 1500
        let wait = wait_bound(Now::from_millis(990), Now::from_millis(500));
        assert_eq!(wait, Now::from_millis(1515));
    }

    #[test]
    fn a_release_that_fills_deadtime_leaves_no_lease() {
        assert_eq!(
            largest_lease(Now::from_millis(500), Now::from_millis(500)),
            None
        );
    }

    proptest! {
        #[test]
        fn the_largest_lease_fits_and_a_longer_one_does_not(dead in 10u64..100_000, release in 0u64..100_000) {
            let (dead, release) = (Now::from_millis(dead), Now::from_millis(release));
            if let Some(lease) = largest_lease(dead, release) {
                prop_assert!(wait_bound(lease, release) <= dead);
                prop_assert!(wait_bound(lease + Now::from_micros(3), release) > dead);
            }
        }

        #[test]
        fn a_slow_holder_is_done_before_a_fast_taker(lease in 1u128..100_000, release in 0u128..100_000) {
            // worst case: the holder's clock runs 1 % slow, the taker's 1 % fast
            let real_hold = lease * 1000 * 100 / 99 + release * 1000;
            let ms = |n: u128| Now::from_micros(u64::try_from(n * 1000).expect("short"));
            let wait = wait_bound(ms(lease), ms(release)).as_micros();
            prop_assert!(wait * 100 / 101 + 1 >= real_hold);
        }
    }
}
