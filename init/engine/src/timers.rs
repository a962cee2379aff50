//! The one table of deadlines. Owns instants, never what happens at them.
//!
//! Every stage of the decision writes its next instant here each time it runs, so
//! that no timer can outlive its cause. An instant that has already come is not
//! written: the stage has just looked at it.

use crate::types::Now;

/// What waits for an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// An extra beat that the rate limit holds back.
    Extra,
    /// A path or a peer gets old: path down, late, dead.
    Detect,
    /// Hold-back, waiting for the others, an unanswered proposal, a back-off.
    Agree,
    /// The lease ends.
    Lease,
    /// A settling or damping time of placement ends.
    Place,
    /// A bound W, a start, a stop, a release, a fail count ends.
    Run,
    /// A disk that should have answered by then; or to be tried again.
    Keep,
}

const TIMERS: usize = Timer::Keep as usize + 1;

/// One instant per [`Timer`].
#[derive(Clone, Debug, Hash)]
pub(crate) struct Timers {
    now: Now,
    at: [Option<Now>; TIMERS],
}

impl Timers {
    /// An empty table.
    pub(crate) fn new() -> Timers {
        Timers {
            now: Now::ZERO,
            at: [None; TIMERS],
        }
    }

    /// Forgets everything before the stages run at `now`.
    pub(crate) fn begin(&mut self, now: Now) {
        *self = Timers {
            now,
            ..Timers::new()
        };
    }

    /// Forgets one stage's instant before it runs again.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    /// Wants to run at `at`, if that is still to come.
    pub(crate) fn set(&mut self, timer: Timer, at: Now) {
        let slot = &mut self.at[timer as usize];
        if at > self.now && slot.is_none_or(|old| at < old) {
            *slot = Some(at);
        }
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<Now> {
        self.at.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_instant_still_to_come_wins() {
        let ms = Now::from_millis;
        let mut timers = Timers::new();
        timers.begin(ms(10));
        timers.set(Timer::Run, ms(10));
        assert_eq!(timers.next(), None, "already looked at");
        timers.set(Timer::Run, ms(30));
        timers.set(Timer::Run, ms(20));
        timers.set(Timer::Run, ms(25));
        timers.set(Timer::Lease, ms(40));
        assert_eq!(timers.next(), Some(ms(20)));
        timers.clear(Timer::Run);
        assert_eq!(timers.next(), Some(ms(40)));
        timers.begin(ms(50));
        assert_eq!(timers.next(), None);
    }
}
