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
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) keepalive: Duration,
    pub(crate) deadtime: Duration,
    /// R of a light group.
    release: Duration,
    /// R of a guarded one: the watchdog resets its node.
    guard: Duration,
    /// W = (1 + rho) * (L / (1 - rho) + R), rho one percent, of a light group.
    pub(crate) wait: Duration,
    /// L.
    pub(crate) lease_by_own_clock: Duration,
    /// Two thirds of a percent more than a lease by the slowest clock.
    pub(crate) lease: Duration,
    pub(crate) granted: Duration,
    /// By group.
    guarded: Vec<bool>,
}

impl Bounds {
    pub(crate) fn new(plan: &Plan, timing: &Timing) -> Bounds {
        let release = timing.release;
        let guard = release + plan.cluster.watchdog + timing.keepalive;
        let lease = timing.lease.div_f64(0.99);
        Bounds {
            keepalive: timing.keepalive,
            deadtime: timing.deadtime,
            release,
            guard,
            wait: wait(lease, release),
            lease_by_own_clock: timing.lease,
            lease,
            granted: plan.cluster.watchdog,
            guarded: (0..plan.cluster.group_count())
                .map(|group| plan.cluster.guarded(group))
                .collect(),
        }
    }

    /// Whether a group holds data.
    pub(crate) fn is_guarded(&self, group: usize) -> bool {
        self.guarded[group]
    }

    /// R of a group.
    pub(crate) fn release_of(&self, group: usize) -> Duration {
        if self.is_guarded(group) {
            self.guard
        } else {
            self.release
        }
    }

    /// W of a group.
    pub(crate) fn wait_of(&self, group: usize) -> Duration {
        wait(self.lease, self.release_of(group))
    }
}

fn wait(lease: Duration, release: Duration) -> Duration {
    (lease + release).mul_f64(1.01)
}
