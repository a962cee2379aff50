//! The lab's clock: monotonic, starting when the lab starts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the lab started.
pub type LabTime = Duration;

/// Tells the lab's time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// Wall time at the start, for capture files.
    wall: Duration,
}

impl Clock {
    /// Starts at zero.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start: Instant::now(),
            wall,
        }
    }

    /// Time since the lab started.
    #[must_use]
    pub fn now(&self) -> LabTime {
        self.start.elapsed()
    }

    /// The same moment as time since 1970, never stepping back.
    #[must_use]
    pub fn wall(&self, at: LabTime) -> Duration {
        self.wall + at
    }
}

/// `12.345`: seconds with milliseconds, as timelines show them.
pub(crate) fn seconds(at: Duration) -> String {
    format!("{}.{:03}", at.as_secs(), at.subsec_millis())
}
