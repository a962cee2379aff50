//! Stage three: the right to act as a holder, granted and received.
//!
//! Owns the lease. As a decider: grants are the newest fresh beat of a member, and
//! freeze when that member is called dead. As a holder: the lease runs from when *we
//! sent* the beat that was granted, or the ping request that was answered; so
//! buffered and stale frames renew nothing. Stopping is the run stage's work.
//!
//! Pings count only while members do not renew: those heard less than two beats ago
//! do. Two halves that are cut off at one instant therefore both hold a lease of
//! grants only, and a ping that was in flight at that instant stretches neither.
//!
//! To begin to hold by pings, or to decide alone, a node must have reached the arbiter
//! for W without a gap: while the arbiter answered only the other side, that side held
//! a lease by it. When grants end, pings take over only if they had no gap since. To
//! go on holding by pings, the newest answer will do. So as long as at most one side
//! reaches the arbiter at a time, at most one holds a lease, whichever side that is
//! and however often it changes, if not faster than a gap shows (two and a half beats).

use super::{Engine, Lease};
use crate::codec::{Beat, Bond};
use crate::config::SplitBrain;
use crate::surface::{Event, Role};
use crate::timers::Timer;
use crate::types::{NodeId, Now};

impl Lease {
    /// A ping request sent at `sent` was answered, the newest so far. A longer gap
    /// than `patience` begins a new run.
    pub(super) fn answered(&mut self, sent: Now, patience: Now) {
        if self.ping.is_none_or(|before| sent - before > patience) {
            self.ping_since = sent;
        }
        self.ping = Some(sent);
    }
}

impl Engine {
    /// A fresh beat of `peer`: grant it, and take what it grants.
    pub(super) fn grant(&mut self, now: Now, peer: NodeId, beat: &Beat) {
        let member = self.is_member(peer);
        let lease = self.config.timing.lease;
        let Some(life) = &mut self.peers[peer.index()].life else {
            return;
        };
        if !member {
            return;
        }
        if !life.severed && life.granted < beat.core.seq {
            life.granted = beat.core.seq;
            life.granted_at = now;
        }
        let same_view = beat.core.view.is_some() && beat.core.view == self.view;
        let Some(echo) = beat
            .echo(self.config.me, self.boot)
            .filter(|echo| echo.bond == Bond::Confirmed)
        else {
            return;
        };
        if let Some(sent) = self.sends.time_of(echo.granted).filter(|_| same_view) {
            life.grants = true;
            self.lease.carried = false;
            self.lease.until = self.lease.until.max(sent + lease);
        }
    }

    pub(super) fn renew(&mut self, now: Now) {
        self.timers.clear(Timer::Lease);
        if self.config.split_brain == SplitBrain::Accept {
            return;
        }
        let lasts = now < self.lease.until;
        self.lease.carried &= lasts;
        let goes_on = lasts && (self.lease.carried || self.answered_all_along());
        if (goes_on || self.is_steady(now))
            && let Some(until) = self.ping_lease()
        {
            self.lease.carried = true;
            self.lease.until = self.lease.until.max(until);
        }
        let valid = self.holds_lease(now);
        if valid {
            self.lease.lost = false;
            if !self.lease.vouched {
                self.timers.set(Timer::Lease, self.lease.until);
            }
        } else if !self.lease.lost && self.holds_any() {
            self.lease.lost = true;
            let peer = self
                .others()
                .filter_map(|peer| self.silent(now, peer))
                .min();
            self.log(Event::LeaseEnded {
                peer,
                ping: self.ping_age(now),
            });
            self.changed();
        }
    }

    /// Until when the newest answered ping carries a lease, if it counts.
    fn ping_lease(&self) -> Option<Now> {
        let sent = self.lease.ping?;
        let members = self
            .view
            .map(|view| view.members.without(self.config.me))
            .unwrap_or_default();
        let renews = |node: NodeId| {
            let Some(life) = &self.peers[node.index()].life else {
                return false;
            };
            let patience = (2 * self.interval(node)).min(self.config.timing.warntime);
            life.grants && sent < life.fresh_at + patience
        };
        (!members.iter().any(renews)).then_some(sent + self.config.timing.lease)
    }

    /// Whether this node may act as a holder at `now`: start, keep, defend a VIP.
    /// With `split_brain = "accept"` silence never ends a lease.
    pub fn holds_lease(&self, now: Now) -> bool {
        let serves = matches!(self.role, Role::Member | Role::Leaving) && self.view.is_some();
        serves
            && match self.config.split_brain {
                SplitBrain::Accept => true,
                SplitBrain::Votes(_) => self.lease.vouched || now < self.lease.until,
            }
    }

    /// The arbiter has answered without a gap since before the members fell silent.
    fn answered_all_along(&self) -> bool {
        let members = self
            .view
            .map(|view| view.members.without(self.config.me))
            .unwrap_or_default();
        let spans = |node: NodeId| {
            let life = self.peers[node.index()].life.as_ref();
            life.is_some_and(|life| self.lease.ping_since <= life.fresh_at)
        };
        !members.is_empty() && members.iter().all(spans)
    }

    /// The arbiter answers now, and has for W without a gap: whoever held a lease by
    /// it in the meantime holds none any more.
    fn is_steady(&self, now: Now) -> bool {
        self.lease.ping.is_some_and(|newest| {
            newest >= self.lease.ping_since + self.wait_bound
                && now - newest <= self.ping_patience()
        })
    }

    /// Between two answers that follow each other without a gap: pings go out once per
    /// keepalive, and one may be lost.
    pub(super) fn ping_patience(&self) -> Now {
        self.config.timing.keepalive * 5 / 2
    }

    /// Whether this node may decide alone: nobody else to ask, or the arbiter's word.
    pub(super) fn may_decide_alone(&self, now: Now) -> bool {
        match self.config.split_brain {
            SplitBrain::Accept => true,
            SplitBrain::Votes(_) => {
                let answered = self.ping_lease().is_some_and(|until| now < until);
                self.lease.vouched || (answered && self.is_steady(now))
            }
        }
    }
}
