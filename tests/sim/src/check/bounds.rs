//! The durations that promises name, worked out here a second time.
//!
//! Written from the protocol's description, not from the engine's code: a mistake there
//! must not excuse itself.

use core::time::Duration;

use kodo_engine::config::Timing;

use crate::plan::Plan;

/// An old owner is silent so long after the first fresh frame that names a newer one.
pub(crate) const YIELD: Duration = Duration::from_millis(50);

/// Of one cluster file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) keepalive: Duration,
    pub(crate) deadtime: Duration,
    /// R.
    pub(crate) release: Duration,
    /// W = (1 + rho) * (L / (1 - rho) + R), rho one percent.
    pub(crate) wait: Duration,
    /// Two thirds of a percent more than a lease by the slowest clock.
    pub(crate) lease: Duration,
    pub(crate) granted: Duration,
}

impl Bounds {
    pub(crate) fn new(plan: &Plan, timing: &Timing) -> Bounds {
        let lease = timing.lease.as_secs_f64() / 0.99;
        let wait = 1.01 * (lease + timing.release.as_secs_f64());
        Bounds {
            keepalive: timing.keepalive,
            deadtime: timing.deadtime,
            release: timing.release,
            wait: Duration::from_secs_f64(wait),
            lease: Duration::from_secs_f64(lease),
            granted: plan.cluster.watchdog,
        }
    }
}
