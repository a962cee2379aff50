//! A machine's boot clock against the world's: another rate, another origin, and it may
//! be stopped. Owns the arithmetic, rounding always so that a deadline is never missed.

use core::time::Duration;

/// World time: since the beginning of the run.
pub type At = Duration;

const MILLION: i128 = 1_000_000;

/// One machine's clock in one life.
#[derive(Clone, Debug)]
pub struct Clock {
    ppm: i64,
    local: Duration,
    since: At,
    running: bool,
}

impl Clock {
    /// Shows `local` at world time `now`; runs `ppm` millionths too fast.
    #[must_use]
    pub fn new(ppm: i64, local: Duration, now: At) -> Clock {
        Clock {
            ppm,
            local,
            since: now,
            running: true,
        }
    }

    /// What it shows.
    #[must_use]
    pub fn local(&self, now: At) -> Duration {
        if !self.running {
            return self.local;
        }
        let passed = nanos(now.saturating_sub(self.since));
        self.local + duration(passed * (MILLION + i128::from(self.ppm)) / MILLION)
    }

    /// The first world time at which it shows at least `local`, if it keeps running.
    #[must_use]
    pub fn world(&self, local: Duration) -> At {
        let wanted = nanos(local.saturating_sub(self.local));
        let rate = MILLION + i128::from(self.ppm);
        self.since + duration((wanted * MILLION + rate - 1) / rate)
    }

    /// A span of its own time in world time, rounded up.
    #[must_use]
    pub fn span(&self, local: Duration) -> Duration {
        let rate = MILLION + i128::from(self.ppm);
        duration((nanos(local) * MILLION + rate - 1) / rate)
    }

    /// The machine is paused: it shows the same from now on.
    pub fn stop(&mut self, now: At) {
        self.local = self.local(now);
        self.running = false;
    }

    /// It runs again.
    pub fn start(&mut self, now: At) {
        self.since = now;
        self.running = true;
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX / MILLION)
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_fast_clock_is_early_and_a_deadline_is_met() {
        for ppm in [-9_000, 0, 9_000, 137] {
            let clock = Clock::new(ppm, ms(3000), ms(1000));
            for deadline in [3001, 3500, 77_777] {
                let at = clock.world(ms(deadline));
                assert!(clock.local(at) >= ms(deadline));
                assert!(clock.local(at - Duration::from_nanos(2)) < ms(deadline));
            }
        }
        assert!(Clock::new(9_000, ms(0), ms(0)).local(ms(1000)) > ms(1008));
    }

    #[test]
    fn a_pause_is_not_felt() {
        let mut clock = Clock::new(0, ms(0), ms(0));
        clock.stop(ms(100));
        assert_eq!(clock.local(ms(900)), ms(100));
        clock.start(ms(900));
        assert_eq!(clock.local(ms(950)), ms(150));
    }
}
