//! What the cluster file says about services. `kodo-config` makes it from a validated
//! file; nothing here is checked again, only asserted.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::{Now, limits};

/// A service's name from the cluster file.
pub type Name = String<{ limits::NAME }>;

/// All services of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// In cluster-file order: the position is the [`crate::ServiceIndex`].
    pub services: Vec<ServiceConfig, { limits::SERVICES }>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// From the file.
    pub name: Name,
    /// From the request to spawn until ready; longer has failed.
    pub start_timeout: Now,
    /// From TERM to KILL.
    pub stop_timeout: Now,
    /// How to know that it is well. Without one it is ready as soon as its exec succeeded.
    pub probe: Option<ProbeConfig>,
    /// Pause before the first restart in place.
    pub backoff_min: Now,
    /// Longest pause before a restart. A life that stayed ready this long starts the
    /// sequence anew.
    pub backoff_max: Now,
}

impl Config {
    /// What keeps a supervisor from running it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        self.services.iter().find_map(ServiceConfig::fault)
    }
}

impl ServiceConfig {
    /// The longest time from a stop to its answer.
    #[must_use]
    pub fn stop_bound(&self) -> Now {
        self.stop_timeout.saturating_add(limits::KILL_TIMEOUT)
    }

    /// The longest time from a start of a stopped service to its answer.
    #[must_use]
    pub fn start_bound(&self) -> Now {
        self.start_timeout.saturating_add(limits::KILL_TIMEOUT)
    }

    pub(crate) fn assert_sane(&self) {
        if let Some(fault) = self.fault() {
            panic!("{fault}");
        }
    }

    fn fault(&self) -> Option<&'static str> {
        let probe = self.probe.as_ref();
        let rules = [
            (!self.start_timeout.is_zero(), "a start takes time"),
            (!self.stop_timeout.is_zero(), "a stop takes time"),
            (
                !self.backoff_min.is_zero(),
                "restarting without a pause is a busy loop",
            ),
            (self.backoff_min <= self.backoff_max, "backoff grows"),
            (
                probe.is_none_or(|probe| !probe.interval.is_zero()),
                "probing without a pause is a busy loop",
            ),
            (
                probe.is_none_or(|probe| !probe.timeout.is_zero()),
                "an answer takes time",
            ),
            (
                probe.is_none_or(|probe| probe.rise > 0 && probe.fall > 0),
                "no answer means nothing",
            ),
        ];
        let mut broken = rules.into_iter().filter(|(holds, _)| !holds);
        broken.next().map(|(_, rule)| rule)
    }
}

/// How a service is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeConfig {
    /// From one probe to the next.
    pub interval: Now,
    /// A probe without an answer for so long has failed.
    pub timeout: Now,
    /// Successes in a row that make a starting service ready.
    pub rise: u8,
    /// Failures in a row that make a ready service failed.
    pub fall: u8,
}
