//! Stage three: the right to act as a holder, granted and received.
//!
//! Owns the lease. As a decider: grants are the newest fresh beat of a member, and
//! stand still once it is out of the view. As a holder: the lease runs from when *we
//! sent* the beats that were granted by members enough to decide with us, or the question
//! that the arbiter answered; so buffered and stale frames renew nothing. Stopping is the
//! run stage's work.
//!
//! A node that granted a lease to another one *owes* it W, by its own clock, and says so to
//! the members of its next view: a taker begins when none of them owes the old holder any
//! more. A holder that comes back into the view still holding is granted nothing as long as
//! the one who granted may owe somebody else.
//!
//! # A ping group
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
use crate::config::{SplitBrain, Tie};
use crate::limits;
use crate::membership::Authority;
use crate::surface::{Event, Role};
use crate::timers::Timer;
use crate::types::{GroupId, NodeId, NodeSet, Now};
use heapless::Vec;

use super::Granted;

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
        let lease = self.config.timing.lease;
        let member = self.is_member(peer);
        let cleared = self.is_cleared(now, peer);
        let Some(life) = &mut self.peers[peer.index()].life else {
            return;
        };
        if !member || !life.joined {
            return;
        }
        life.suspect &= !cleared;
        if !life.suspect && life.granted < beat.core.seq {
            life.granted = beat.core.seq;
            let foreign = self.other_file.contains(peer);
            self.granted[peer.index()] = Granted {
                at: Some(now),
                bound: if foreign { life.said.bound } else { Now::ZERO },
                eased: false,
            };
        }
        // Whatever view it has: what it grants to us it took into account in each.
        let me = self.config.me;
        let fellow = beat.core.view.is_some_and(|view| view.members.contains(me));
        let Some(echo) = beat
            .echo(self.config.me, self.boot)
            .filter(|echo| echo.bond == Bond::Confirmed)
        else {
            return;
        };
        if let Some(sent) = self.sends.time_of(echo.granted).filter(|_| fellow) {
            life.renewed = life.renewed.max(Some(sent));
            self.lease.carried = false;
            // one tick to hear ours, and half of one for the way
            if now - sent > self.interval(peer) * 3 / 2 {
                self.lost_beats(now);
            }
            if let Some(sent) = self.agreed_on() {
                self.lease.until = self.lease.until.max(sent + lease);
            }
        }
    }

    /// Nodes outside the view that may still count on a grant of ours, when W is `wait`.
    pub(super) fn owes(&self, now: Now, wait: Now) -> NodeSet {
        let owed = |node: &NodeId| self.owed_until(*node, wait).is_some_and(|at| now < at);
        self.others()
            .filter(|node| !self.is_member(*node))
            .filter(owed)
            .collect()
    }

    /// Until when a node may count on our newest grant, release included.
    pub(super) fn owed_until(&self, node: NodeId, wait: Now) -> Option<Now> {
        let granted = &self.granted[node.index()];
        Some(granted.at? + wait.max(granted.bound))
    }

    /// Whether a member that came into the view may be granted a lease now: it says under
    /// this view that it holds nothing, or nobody else who could count on a grant of ours
    /// under an earlier view may act for a group that it holds.
    fn is_cleared(&self, now: Now, peer: NodeId) -> bool {
        let Some(theirs) = self.peers[peer.index()].alive().map(|life| &life.said) else {
            return false;
        };
        if theirs.view == self.view && !theirs.holds_any() {
            return true;
        }
        let settled = |node: NodeId| {
            let mut groups = (0..self.config.groups.len()).map(GroupId::from_index);
            self.peers[node.index()].alive().is_some_and(|life| {
                let both = |group: GroupId| {
                    life.said.claim(group).may_act() && theirs.claim(group).may_act()
                };
                self.is_member(node) && life.said.view == self.view && !groups.any(both)
            })
        };
        let counts = |node: NodeId| {
            let owed = self.owed_until(node, self.hold_back);
            owed.is_some_and(|at| now < at) && !settled(node)
        };
        !self.others().any(|node| node != peer && counts(node))
    }

    /// Debts to nodes outside the view run out: whoever waits for that hears of it at once.
    pub(super) fn settle_debts(&mut self, now: Now) {
        for node in self.others() {
            if self.is_member(node) {
                continue;
            }
            let light = self.owed_until(node, self.wait_bound);
            let last = self.owed_until(node, self.hold_back);
            for at in [light, last].into_iter().flatten() {
                self.timers.set(Timer::Lease, at);
            }
            let debt = &mut self.granted[node.index()];
            if !debt.eased && light.is_some_and(|at| now >= at) {
                debt.eased = true;
                self.beats.urge();
            }
            if last.is_some_and(|at| now >= at) {
                self.granted[node.index()].at = None;
                self.beats.urge();
            }
        }
    }

    /// The newest send time of ours for which members enough to decide with us granted
    /// that beat, or a newer one.
    fn agreed_on(&self) -> Option<Now> {
        let (cluster, mut with) = (self.electorate(), NodeSet::only(self.config.me));
        self.renewals().into_iter().find_map(|(sent, node)| {
            with = with.with(node);
            (cluster.authority(with) == Authority::Own).then_some(sent)
        })
    }

    /// What fellow members granted us, the newest first.
    fn renewals(&self) -> Vec<(Now, NodeId), { limits::NODES }> {
        let renewed = |node: NodeId| Some((self.peers[node.index()].life.as_ref()?.renewed?, node));
        let mut all: Vec<_, { limits::NODES }> =
            self.fellows().iter().filter_map(renewed).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    pub(super) fn renew(&mut self, now: Now) {
        self.timers.clear(Timer::Lease);
        self.settle_debts(now);
        if self.suffices() && self.view.is_some() {
            // lasts while those whose votes come to count again are taken in
            self.lease.until = self.lease.until.max(now + self.config.timing.lease);
        }
        match self.config.split_brain {
            SplitBrain::Accept => return,
            SplitBrain::Votes(Tie::Arbiter { exclusive: false }) => self.renew_by_pings(now),
            SplitBrain::Votes(Tie::Arbiter { exclusive: true }) => self.renew_by_witness(),
            SplitBrain::Votes(Tie::Nobody | Tie::First) => {}
        }
        if self.holds_lease(now) {
            self.lease.lost = false;
            self.timers.set(Timer::Lease, self.lease.until);
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

    fn renew_by_pings(&mut self, now: Now) {
        let lasts = now < self.lease.until;
        self.lease.carried &= lasts;
        let goes_on = lasts && (self.lease.carried || self.answered_all_along());
        if (goes_on || self.is_steady(now))
            && let Some(until) = self.ping_lease()
        {
            self.lease.carried = true;
            self.lease.until = self.lease.until.max(until);
        }
    }

    /// The witness speaks for this node's half: its word and the grants of the rest of
    /// that half carry the lease.
    fn renew_by_witness(&mut self) {
        let Some((word, side)) = self.lease.word else {
            return;
        };
        let me = self.config.me;
        if !side.contains(me) || self.electorate().authority(side) != Authority::Asks {
            return;
        }
        let renewed = |node: NodeId| self.peers[node.index()].life.as_ref()?.renewed;
        let others = side.without(me);
        let oldest = others
            .iter()
            .try_fold(word, |oldest, node| Some(oldest.min(renewed(node)?)));
        if let Some(sent) = oldest {
            self.lease.until = self.lease.until.max(sent + self.config.timing.lease);
        }
    }

    /// Whether a member renewed our lease less than two beats before `at`.
    pub(super) fn renews(&self, at: Now, node: NodeId) -> bool {
        let patience = (2 * self.interval(node)).min(self.config.timing.warntime);
        let life = self.peers[node.index()].life.as_ref();
        life.is_some_and(|life| life.renewed.is_some() && at < life.fresh_at + patience)
    }

    /// Until when the newest answered ping carries a lease, if it counts.
    fn ping_lease(&self) -> Option<Now> {
        let sent = self.lease.ping?;
        let renews = |node: NodeId| self.renews(sent, node);
        (!self.fellows().iter().any(renews)).then_some(sent + self.config.timing.lease)
    }

    /// Whether this node may act as a holder at `now`: start, keep, defend a VIP.
    /// Where nobody else is asked (`split_brain = "accept"`, or enough votes of its own)
    /// silence never ends a lease.
    pub fn holds_lease(&self, now: Now) -> bool {
        let serves = matches!(self.role, Role::Member | Role::Leaving) && self.view.is_some();
        serves && (now < self.lease.until || self.suffices())
    }

    /// This node decides without asking anybody.
    pub(super) fn suffices(&self) -> bool {
        let me = NodeSet::only(self.config.me);
        self.electorate().authority(me) == Authority::Own
    }

    /// When the lease ends; `None` where silence never ends it.
    pub(super) fn lease_end(&self) -> Option<Now> {
        (!self.suffices()).then_some(self.lease.until)
    }

    /// The arbiter has answered without a gap since before the members fell silent.
    fn answered_all_along(&self) -> bool {
        let members = self.fellows();
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
            newest >= self.lease.ping_since + self.hold_back && now - newest <= self.ping_patience()
        })
    }

    /// Between two answers that follow each other without a gap: pings go out twice per
    /// keepalive, and a few may be lost.
    pub(super) fn ping_patience(&self) -> Now {
        self.config.timing.keepalive * 5 / 2
    }

    /// Whether this node may decide together with `set`: their votes are enough, or the
    /// arbiter speaks for them now.
    pub(super) fn may_decide(&self, now: Now, set: NodeSet) -> bool {
        match self.electorate().authority(set) {
            Authority::Own => true,
            Authority::Asks => self.is_spoken_for(now),
            Authority::None => false,
        }
    }

    fn is_spoken_for(&self, now: Now) -> bool {
        match self.config.split_brain {
            SplitBrain::Votes(Tie::Arbiter { exclusive: true }) => {
                let word = self.lease.word;
                word.is_some_and(|(sent, _)| now < sent + self.config.timing.lease)
            }
            _ => {
                let answered = self.ping_lease().is_some_and(|until| now < until);
                answered && self.is_steady(now)
            }
        }
    }
}
