//! The schedule of one life's probes, and what they add up to.
//!
//! At most one probe is in flight. One without an answer in time has failed; an answer
//! that nobody waits for is ignored.

use crate::{Now, ProbeConfig, limits};

/// What the probes so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not enough of them yet, or nothing new.
    Open,
    /// `rise` successes in a row.
    Well,
    /// `fall` failures in a row.
    Ill,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// The next one is due then.
    At(Now),
    /// Decided at that time, and not asked for yet.
    Due { since: Now },
    /// Asked for.
    InFlight { since: Now },
}

/// The probes of one life of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prober {
    config: ProbeConfig,
    next: Next,
    good: u8,
    bad: u8,
}

impl Prober {
    /// A service came to life: the first probe is due at once.
    pub(crate) fn new(config: ProbeConfig, now: Now) -> Prober {
        Prober {
            config,
            next: Next::Due { since: now },
            good: 0,
            bad: 0,
        }
    }

    /// Another schedule from the next probe on; what was counted so far counts.
    pub(crate) fn adopt(&mut self, config: ProbeConfig) {
        self.config = config;
    }

    /// Whether to ask now; says so once.
    pub(crate) fn take_due(&mut self) -> bool {
        match self.next {
            Next::Due { since } => {
                self.next = Next::InFlight { since };
                true
            }
            Next::At(_) | Next::InFlight { .. } => false,
        }
    }

    /// The probe in flight was answered.
    pub(crate) fn answered(&mut self, now: Now, ok: bool, starting: bool) -> Verdict {
        match self.next {
            Next::InFlight { since } => self.count(now, since, ok, starting),
            Next::At(_) | Next::Due { .. } => Verdict::Open,
        }
    }

    /// Time passed.
    pub(crate) fn timer(&mut self, now: Now, starting: bool) -> Verdict {
        match self.next {
            Next::At(at) if at <= now => {
                self.next = Next::Due { since: now };
                Verdict::Open
            }
            Next::Due { since } | Next::InFlight { since }
                if since.saturating_add(self.config.timeout) <= now =>
            {
                self.count(now, since, false, starting)
            }
            Next::At(_) | Next::Due { .. } | Next::InFlight { .. } => Verdict::Open,
        }
    }

    pub(crate) fn deadline(&self) -> Now {
        match self.next {
            Next::At(at) => at,
            Next::Due { since } | Next::InFlight { since } => {
                since.saturating_add(self.config.timeout)
            }
        }
    }

    fn count(&mut self, now: Now, since: Now, ok: bool, starting: bool) -> Verdict {
        if ok {
            self.good = self.good.saturating_add(1);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
            self.good = 0;
        }
        let interval = match starting {
            true => self.config.interval.min(limits::START_PROBE),
            false => self.config.interval,
        };
        let next = since.saturating_add(interval);
        self.next = if next <= now {
            Next::Due { since: now }
        } else {
            Next::At(next)
        };
        if self.good >= self.config.rise {
            Verdict::Well
        } else if self.bad >= self.config.fall {
            Verdict::Ill
        } else {
            Verdict::Open
        }
    }
}
