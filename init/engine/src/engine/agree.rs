//! Stage two: views. Who is in, who proposes, who agrees.
//!
//! Owns membership. A view is proposed by the coordinator, agreed to by each member
//! it names, installed by the coordinator when all agreed and by the others when
//! they see it installed there. A silent member is left out, with the arbiter's
//! evidence where that is needed; a fresh node is let in after its hold-back.

use super::{Absent, Engine};
use crate::codec::{Bond, Standing};
use crate::limits;
use crate::membership::{self, Voice};
use crate::peer::Life;
use crate::surface::{Event, Gone, Role, View};
use crate::timers::Timer;
use crate::types::{NodeId, NodeSet, Now, PathId};

use super::Plan;

impl Engine {
    pub(super) fn agree(&mut self, now: Now) {
        self.timers.clear(Timer::Agree);
        self.wait_for_others(now);
        self.follow(now);
        self.lead(now);
    }

    /// An observer that may become a member: held back for W after boot, so that
    /// grants which an earlier life of ours gave and forgot have ended; and until it
    /// reaches the clients or has tried for `linkwait`, so that the first placement
    /// does not pass over a node whose network card is only slower than the other's.
    pub(super) fn is_ready(&self, now: Now) -> bool {
        self.role == Role::Observer
            && !self.twin.unresolved()
            && (self.lease.vouched
                || now >= self.config.timing.linkwait.max(self.wait_bound)
                || (now >= self.wait_bound && self.reaches_clients(now)))
    }

    /// Whether this node votes on views.
    fn takes_part(&self, now: Now) -> bool {
        self.role == Role::Member || self.is_ready(now)
    }

    /// A fresh node waits `initdead` for the others. The wait begins when each path
    /// has had carrier for deadtime, or after `linkwait`; and never before clients
    /// could be reached at all, where a path for them is configured.
    fn wait_for_others(&mut self, now: Now) {
        if self.role != Role::Observer {
            return;
        }
        for at in [self.wait_bound, self.config.timing.linkwait] {
            self.timers.set(Timer::Agree, at);
        }
        let Links {
            every,
            served,
            steady,
        } = self.links();
        match self.lonely.until {
            None => {
                let linkwait = served.map(|at| at.max(self.config.timing.linkwait));
                let begin = every.into_iter().chain(linkwait).min();
                if let Some(at) = begin {
                    self.timers.set(Timer::Agree, at);
                }
                if begin.is_some_and(|at| now >= at) {
                    let until = now + self.config.timing.initdead;
                    self.lonely.until = Some(until);
                    self.timers.set(Timer::Agree, until);
                    self.log(Event::Waiting { until });
                }
            }
            Some(until) => {
                let over = served.map(|served| until.max(served).max(steady));
                self.lonely.over = over.is_some_and(|at| now >= at);
                if let Some(at) = over {
                    self.timers.set(Timer::Agree, at);
                }
            }
        }
    }

    /// When the paths have had carrier for deadtime.
    fn links(&self) -> Links {
        let settled = |path: PathId| {
            let carrier = self.carriers[path.index()];
            carrier
                .up
                .then_some(carrier.since + self.config.timing.deadtime)
        };
        let all = (0..self.config.paths.len()).map(PathId::from_index);
        Links {
            every: all
                .clone()
                .map(settled)
                .try_fold(Now::ZERO, |latest, at| Some(latest.max(at?))),
            served: match self.public().next() {
                None => Some(Now::ZERO),
                Some(_) => self.public().filter_map(settled).min(),
            },
            // a carrier that has just come may bring the others any moment
            steady: all.filter_map(settled).max().unwrap_or(Now::ZERO),
        }
    }

    /// Agrees to the best proposal of others, and installs it once its author did.
    fn follow(&mut self, now: Now) {
        let me = self.config.me;
        if let Some(ballot) = self.ballot.filter(|ballot| ballot.coordinator != me) {
            let author = self.peers[ballot.coordinator.index()]
                .alive()
                .map(|life| &life.said);
            let installed = author.is_some_and(|said| said.view == Some(ballot));
            let stands = author.is_some_and(|said| said.ballot == Some(ballot));
            if installed && self.takes_part(now) {
                self.install(now, ballot);
            } else if !stands {
                self.ballot = None;
                self.changed();
            }
        }
        if !self.takes_part(now) {
            return;
        }
        for peer in self.others() {
            let Some(life) = self.peers[peer.index()].alive() else {
                continue;
            };
            let Some(ballot) = life.said.ballot.filter(|ballot| ballot.coordinator == peer) else {
                continue;
            };
            let mine = ballot.members.contains(me) && confirmed(life);
            let better = self
                .ballot
                .is_none_or(|old| membership::outranks(&ballot, &old));
            if mine && better && ballot.epoch > self.agreed {
                self.agreed = ballot.epoch;
                self.epoch = self.epoch.max(ballot.epoch);
                self.ballot = Some(ballot);
                self.ballot_since = now;
                self.changed();
            }
        }
    }

    /// Proposes, if this node is the coordinator and the view is not as it should be.
    fn lead(&mut self, now: Now) {
        let me = self.config.me;
        let mine = self.ballot.filter(|ballot| ballot.coordinator == me);
        if !self.takes_part(now) || self.coordinator(now) != Some(me) {
            if mine.is_some() {
                self.ballot = None;
                self.changed();
            }
            return;
        }
        if self.ballot.is_some() && mine.is_none() {
            return;
        }
        let desired = self.desired(now);
        let outdated =
            self.view.is_none_or(|view| view.members != desired) || self.needs_renewal(now);
        if !outdated || !self.may_form(now, desired) {
            self.ballot = None;
            return;
        }
        if desired == NodeSet::only(me) {
            let view = View {
                epoch: self.epoch + 1,
                members: desired,
                coordinator: me,
            };
            if self.view.is_none()
                && let Some(peer) = self.others().next()
            {
                let gone = if self.lease.vouched {
                    Gone::Vouched
                } else {
                    Gone::Silent
                };
                let evidence = self.evidence(now, peer, gone);
                self.log(Event::Alone { evidence });
            }
            self.install(now, view);
            return;
        }
        match mine.filter(|ballot| ballot.members == desired) {
            Some(ballot) => self.count_votes(now, ballot),
            None => self.propose(now, desired),
        }
    }

    fn propose(&mut self, now: Now, desired: NodeSet) {
        let backing_off = desired
            .iter()
            .map(|node| self.backoff[node.index()].until)
            .max()
            .unwrap_or(Now::ZERO);
        if now < backing_off {
            self.timers.set(Timer::Agree, backing_off);
            return;
        }
        self.epoch += 1;
        let ballot = View {
            epoch: self.epoch,
            members: desired,
            coordinator: self.config.me,
        };
        self.ballot = Some(ballot);
        self.ballot_since = now;
        self.changed();
        self.timers.set(Timer::Agree, self.vote_deadline(desired));
    }

    fn vote_deadline(&self, desired: NodeSet) -> Now {
        let slowest = desired
            .without(self.config.me)
            .iter()
            .map(|node| self.interval(node))
            .max();
        self.ballot_since + limits::MISSED * slowest.unwrap_or(self.config.timing.keepalive)
    }

    fn count_votes(&mut self, now: Now, ballot: View) {
        let agreed = |node: NodeId| {
            self.peers[node.index()]
                .alive()
                .is_some_and(|life| life.said.ballot == Some(ballot))
        };
        let missing: NodeSet = ballot
            .members
            .without(self.config.me)
            .iter()
            .filter(|node| !agreed(*node))
            .collect();
        let deadline = self.vote_deadline(ballot.members);
        if missing.is_empty() {
            self.install(now, ballot);
        } else if now < deadline {
            self.timers.set(Timer::Agree, deadline);
        } else {
            for peer in missing.iter() {
                let full = self.config.timing.deadtime * (1 << self.backoff[peer.index()].step);
                let step = (self.backoff[peer.index()].step + 1).min(limits::BACKOFF.ilog2());
                self.backoff[peer.index()].until = now + self.rng.jitter(full);
                self.backoff[peer.index()].step = step;
                self.log(Event::Unanswered {
                    peer,
                    epoch: ballot.epoch,
                });
            }
            self.ballot = None;
            self.changed();
        }
    }

    /// Who leads among those that take part.
    fn coordinator(&self, now: Now) -> Option<NodeId> {
        let me = self.takes_part(now).then_some(Voice {
            node: self.config.me,
            view: self.view,
        });
        let others = self.others().filter_map(|node| {
            let life = self.peers[node.index()].alive()?;
            let takes_part = matches!(life.said.standing, Standing::Ready | Standing::Member);
            (takes_part && confirmed(life)).then_some(Voice {
                node,
                view: life.said.view,
            })
        });
        membership::coordinator(me.into_iter().chain(others))
    }

    /// Who should be in the view.
    fn desired(&mut self, now: Now) -> NodeSet {
        let mut desired = NodeSet::only(self.config.me);
        for node in self.others() {
            let member = self.is_member(node);
            let Some(life) = self.peers[node.index()].alive() else {
                continue;
            };
            let well =
                matches!(life.said.standing, Standing::Ready | Standing::Member) && confirmed(life);
            let until = self.backoff[node.index()].until;
            if !member && well && now < until {
                self.timers.set(Timer::Agree, until);
            } else if well || (member && life.said.holds_any() && self.gone(now, node).is_none()) {
                desired = desired.with(node);
            } else if member && self.gone(now, node).is_none() {
                // it steps down, and holds nothing any more
                self.absent[node.index()].gone = Some((Gone::Left, now));
            }
        }
        desired
    }

    /// The members are right, but one of them needs a new view: it was called dead
    /// and is back, or it missed this one.
    fn needs_renewal(&mut self, now: Now) -> bool {
        let Some(view) = self.view else {
            return true;
        };
        let mut renewal = false;
        for node in view.members.without(self.config.me).iter() {
            let Some(life) = self.peers[node.index()].alive() else {
                continue;
            };
            let missed = self.view_since + limits::MISSED * self.interval(node);
            renewal |= life.severed || life.said.bond == Bond::Severed;
            if life.said.view != self.view {
                self.timers.set(Timer::Agree, missed);
                renewal |= now >= missed;
            }
        }
        renewal
    }

    /// Whether the evidence at hand allows a view of `desired`.
    fn may_form(&mut self, now: Now, desired: NodeSet) -> bool {
        let all = NodeSet::first(self.config.nodes.len());
        if self.lease.vouched {
            return true;
        }
        if self.view.is_none() && desired != all && !self.lonely.over {
            return false;
        }
        // without a view we do not know what others may hold, whatever we saw of them
        let members = self.view.map(|view| view.members);
        let sure = |node: NodeId| members.is_some() && self.gone(now, node).is_some();
        let outside = members
            .unwrap_or(all)
            .iter()
            .filter(|node| !desired.contains(*node));
        let unsure: NodeSet = outside.filter(|node| !sure(*node)).collect();
        if !membership::needs_evidence(desired, unsure) || self.may_decide_alone(now) {
            return true;
        }
        for peer in unsure.iter() {
            if !core::mem::replace(&mut self.absent[peer.index()].doubted, true) {
                self.log(Event::NoEvidence {
                    peer,
                    ping: self.ping_age(now),
                });
            }
        }
        false
    }

    /// From now on this is the view.
    fn install(&mut self, now: Now, view: View) {
        let old = self.view.map(|view| view.members).unwrap_or_default();
        for node in self.others() {
            let n = node.index();
            if view.members.contains(node) {
                self.absent[n] = Absent {
                    clear_at: Now::MAX,
                    ..Absent::default()
                };
                self.backoff[n] = super::Backoff::default();
            } else if old.contains(node) || self.view.is_none() {
                let absent = self.absent[n];
                let gone = self.gone(now, node).unwrap_or(Gone::Silent);
                let granted_at = self.peers[n]
                    .life
                    .as_ref()
                    .map_or(Now::ZERO, |life| life.granted_at);
                // a silent node has had a lease for W after its last grant, and we may
                // have forgotten grants from before our own boot
                let clear_at = (granted_at + self.wait_bound).max(self.wait_bound);
                let evidence = Some(self.evidence(now, node, gone));
                self.absent[n] = Absent {
                    gone: absent.gone,
                    clear_at,
                    evidence,
                    doubted: false,
                };
            }
            if let Some(life) = &mut self.peers[n].life {
                life.severed = !view.members.contains(node);
                life.grants = false;
                if view.members.contains(node) {
                    life.granted_at = now;
                }
            }
        }
        self.view = Some(view);
        self.view_since = now;
        self.ballot = None;
        self.agreed = self.agreed.max(view.epoch);
        self.epoch = self.epoch.max(view.epoch);
        self.role = Role::Member;
        self.plan = Plan::default();
        self.log(Event::View {
            epoch: view.epoch,
            members: view.members,
        });
        self.changed();
    }

    /// How often a peer is to be heard: the keepalive of the fastest path on which it
    /// is heard lately, or the tick when it is on none.
    pub(super) fn interval(&self, peer: NodeId) -> Now {
        let heard = self.peers[peer.index()].paths(self.now, |path| self.window(path));
        let paths = self
            .config
            .paths
            .iter()
            .enumerate()
            .filter(|(n, _)| heard & (1 << n) != 0);
        paths
            .map(|(_, path)| path.keepalive)
            .min()
            .unwrap_or(self.config.timing.keepalive)
    }
}

/// Instants from which the paths can be relied on.
struct Links {
    /// All of them.
    every: Option<Now>,
    /// One on which clients live.
    served: Option<Now>,
    /// The latest of those that have carrier.
    steady: Now,
}

/// It knows this life of ours: a view that names us is meant for us.
fn confirmed(life: &Life) -> bool {
    matches!(life.said.bond, Bond::Confirmed | Bond::Severed)
}
