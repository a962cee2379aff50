//! `CLOCK_BOOTTIME` and a timer on it.
//!
//! Owns the only clock that decisions may see. It counts suspended time too and
//! never steps, so a wrong or jumping wall clock changes nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use crate::Result;

/// Time since the machine booted.
#[must_use]
pub fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    // The kernel's boot clock is never negative and its nanoseconds are below 10^9.
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Blocks for `time`. For helper processes only; PID 1's loop never sleeps.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// A timer that makes its descriptor readable at a point of [`boottime`].
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
    armed: Option<Duration>,
}

impl Timer {
    /// A disarmed timer.
    ///
    /// # Errors
    /// What `timerfd_create` says.
    pub fn new() -> Result<Timer> {
        let fd = rustix::time::timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        Ok(Timer { fd, armed: None })
    }

    /// Fires at `at`; at once when that has passed. Setting the same time again is free.
    ///
    /// # Errors
    /// What `timerfd_settime` says.
    pub fn arm(&mut self, at: Duration) -> Result<()> {
        if self.armed == Some(at) {
            return Ok(());
        }
        // Zero would disarm it.
        let at_least = at.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(at_least.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at_least.subsec_nanos()),
        };
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::time::timerfd_settime(
            &self.fd,
            TimerfdTimerFlags::ABSTIME,
            &Itimerspec {
                it_interval: zero,
                it_value: value,
            },
        )?;
        self.armed = Some(at);
        Ok(())
    }

    /// Takes note that it fired, so that the descriptor is quiet again.
    pub fn acknowledge(&mut self) {
        let mut count = [0u8; 8];
        // Only says how often it fired; a spurious wake-up says "would block".
        let _ = rustix::io::read(&self.fd, &mut count);
        self.armed = None;
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, Poller, Ready};

    #[test]
    fn boottime_goes_forward() {
        let first = boottime();
        assert!(boottime() >= first && first > Duration::ZERO);
    }

    #[test]
    fn a_timer_wakes_the_poller_once() {
        let poller = Poller::new().unwrap();
        let mut timer = Timer::new().unwrap();
        poller.add(&timer, 7, Interest::Read).unwrap();
        timer.arm(boottime() + Duration::from_millis(5)).unwrap();
        let mut ready = Ready::new();
        poller
            .wait(&mut ready, Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(ready.iter().map(|e| e.key).collect::<Vec<_>>(), [7]);
        timer.acknowledge();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready.iter().count(), 0);
    }
}
