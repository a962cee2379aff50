//! Stage two: views. Who proposes, who agrees.
//!
//! Owns membership. A view is proposed by the coordinator, agreed to by each member
//! it names, installed by the coordinator when all agreed and by the others when
//! they see it installed there. Never says who is fit to be in one: that is
//! [`super::fit`]'s.

use super::fit::{confirmed, has_left};
use super::{Absent, Backoff, Engine};
use crate::limits;
use crate::membership::{self, Authority};
use crate::surface::{Event, Gone, Role, View};
use crate::timers::Timer;
use crate::types::{NodeId, NodeSet, Now};

impl Engine {
    pub(super) fn agree(&mut self, now: Now) {
        self.timers.clear(Timer::Agree);
        self.wait_for_others(now);
        self.notice_left_out(now);
        self.follow(now);
        self.lead(now);
        self.switch(now);
    }

    /// Those that we hear have gone on without us, and not just for the moment that it
    /// takes to merge: what we have is no view any more.
    fn notice_left_out(&mut self, now: Now) {
        let Some(view) = self.view.filter(|_| self.role == Role::Member) else {
            self.left_out = None;
            return;
        };
        let me = self.config.me;
        let gone_on = self.fellows().iter().any(|node| {
            let theirs = self.peers[node.index()]
                .alive()
                .and_then(|life| life.said.view);
            theirs.is_some_and(|theirs| theirs.epoch > view.epoch && !theirs.members.contains(me))
        });
        if !gone_on {
            self.left_out = None;
            return;
        }
        // A merge takes a few beats; the lease is over before another node may take.
        let until = *self.left_out.get_or_insert(now) + self.config.timing.lease;
        self.timers.set(Timer::Agree, until);
        if now >= until {
            self.left_out = None;
            self.role = Role::Observer;
            self.view = None;
            self.ballot = None;
            // it has waited for the others before
            self.lonely.over = true;
            self.log(Event::LeftOut { epoch: view.epoch });
            self.changed();
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
            if installed && self.votes(now) {
                self.install(now, ballot);
            } else if !stands {
                self.ballot = None;
                self.changed();
            }
        }
        self.redeem();
        if !self.votes(now) {
            return;
        }
        for peer in self.others() {
            let Some(life) = self.peers[peer.index()].alive() else {
                continue;
            };
            let Some(ballot) = life.said.ballot.filter(|ballot| ballot.coordinator == peer) else {
                continue;
            };
            let mine = ballot.members.contains(me)
                && confirmed(life)
                && !self.declines_file(&life.said, &ballot);
            let better = self
                .ballot
                .is_none_or(|old| membership::outranks(&ballot, &old));
            if mine && better && ballot.epoch > self.agreed && self.inherits(&ballot) {
                self.pledge(ballot);
                self.agreed = ballot.epoch;
                self.epoch = self.epoch.max(ballot.epoch);
                self.ballot = Some(ballot);
                self.ballot_since = now;
                self.changed();
            }
        }
    }

    /// Who comes back by a view counts from the vote on: it may be installed by others.
    fn pledge(&mut self, ballot: View) {
        if let Some(before) = self.pledged
            && before.coordinator != ballot.coordinator
        {
            // two authors: whichever view is installed, it was voted for
            self.written_off = self.written_off.both(before.written_off);
        }
        self.pledged = Some(ballot);
    }

    /// A pledge ends when its author is heard with neither that ballot nor a view as new:
    /// then nobody has installed it.
    fn redeem(&mut self) {
        let Some(pledged) = self.pledged else {
            return;
        };
        let author = self.peers[pledged.coordinator.index()].alive();
        let void = author.is_some_and(|life| {
            let installed = life
                .said
                .view
                .is_some_and(|view| view.epoch >= pledged.epoch);
            !installed && life.said.ballot != Some(pledged)
        });
        if void {
            self.pledged = None;
        }
    }

    /// A view has votes enough by its own count, and by that of the view before it: nodes
    /// that were written off come back only with the consent of those who went on without
    /// them, and only an operator's present word, or a newer view, writes more of them off.
    fn inherits(&self, next: &View) -> bool {
        let by = |off: NodeSet| self.electorate_without(off).authority(next.members);
        let before = self.not_counted();
        let union = next.written_off.union(before);
        let enough = match union == next.written_off {
            true => by(union) != Authority::None,
            false => by(next.written_off) != Authority::None && by(union) == Authority::Own,
        };
        let author = self.peers[next.coordinator.index()].alive();
        let newer = author
            .and_then(|life| life.said.view)
            .is_some_and(|theirs| {
                next.written_off.is_subset(theirs.written_off)
                    && self.view.is_none_or(|view| theirs.epoch > view.epoch)
            });
        let grown = next.written_off.minus(before);
        enough && (newer || grown.is_subset(self.told_dead()))
    }

    /// Proposes, if this node is the coordinator and the view is not as it should be.
    fn lead(&mut self, now: Now) {
        let me = self.config.me;
        let mine = self.ballot.filter(|ballot| ballot.coordinator == me);
        if !self.takes_part(now) || self.coordinator(now) != Some(me) {
            self.torn_since = None;
            if mine.is_some() {
                self.ballot = None;
                self.changed();
            }
            return;
        }
        if self.ballot.is_some() && mine.is_none() {
            return;
        }
        let members = self.desired(now);
        let desired = View {
            epoch: self.epoch + 1,
            members,
            coordinator: me,
            written_off: self.to_write_off().minus(members),
            file: self.file_of(members),
        };
        let outdated = self.view.is_none_or(|view| {
            (view.members, view.written_off, view.file)
                != (members, desired.written_off, desired.file)
        }) || self.needs_renewal(now);
        if !outdated || !self.may_form(now, &desired) {
            self.ballot = None;
            return;
        }
        if members == NodeSet::only(me) {
            if self.view.is_none()
                && let Some(peer) = self.others().next()
            {
                let gone = if self.is_vouched_alone() {
                    Gone::Vouched
                } else {
                    Gone::Silent
                };
                let evidence = self.evidence(now, peer, gone);
                self.log(Event::Alone { evidence });
            }
            self.install(now, desired);
            return;
        }
        let same = |ballot: &View| {
            (ballot.members, ballot.written_off, ballot.file)
                == (members, desired.written_off, desired.file)
        };
        match mine.filter(same) {
            Some(ballot) => self.count_votes(now, ballot),
            None => self.propose(now, desired),
        }
    }

    fn propose(&mut self, now: Now, ballot: View) {
        let backing_off = ballot
            .members
            .iter()
            .map(|node| self.backoff[node.index()].until)
            .max()
            .unwrap_or(Now::ZERO);
        if now < backing_off {
            self.timers.set(Timer::Agree, backing_off);
            return;
        }
        self.epoch = ballot.epoch;
        self.ballot = Some(ballot);
        self.ballot_since = now;
        self.changed();
        let deadline = self.vote_deadline(ballot.members);
        self.timers.set(Timer::Agree, deadline);
    }

    /// Until when votes are waited for: those of newcomers for a few beats, those of
    /// members for deadtime, since by then they are dead, or there is a reason.
    fn vote_deadline(&self, voters: NodeSet) -> Now {
        let patience = |node: NodeId| match self.is_member(node) {
            true => self.config.timing.deadtime,
            false => limits::MISSED * self.interval(node),
        };
        let others = voters.without(self.config.me);
        self.ballot_since + others.iter().map(patience).max().unwrap_or(Now::ZERO)
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
        let deadline = self.vote_deadline(missing);
        if missing.is_empty() {
            self.install(now, ballot);
        } else if now < deadline {
            self.timers.set(Timer::Agree, deadline);
        } else {
            for peer in missing.iter() {
                self.back_off(now, peer);
                self.log(Event::Unanswered {
                    peer,
                    epoch: ballot.epoch,
                });
            }
            self.ballot = None;
            self.changed();
        }
    }

    /// The members are right, but one of them needs a new view: it missed this one.
    fn needs_renewal(&mut self, now: Now) -> bool {
        let Some(view) = self.view else {
            return true;
        };
        let mut renewal = false;
        for node in view.members.without(self.config.me).iter() {
            let Some(life) = self.peers[node.index()].alive() else {
                continue;
            };
            let missed = self.view_since + self.config.timing.deadtime;
            if life.said.view != self.view {
                self.timers.set(Timer::Agree, missed);
                renewal |= now >= missed;
            }
        }
        renewal
    }

    /// Whether the evidence at hand allows a view of `desired`.
    fn may_form(&mut self, now: Now, next: &View) -> bool {
        let all = NodeSet::first(self.config.nodes.len());
        let desired = next.members;
        let known = desired.union(next.written_off);
        if self.view.is_none() && known != all && !self.lonely.over {
            return false;
        }
        let verdict = self.electorate_without(next.written_off).authority(desired);
        match verdict {
            Authority::Own | Authority::Asks if !self.inherits(next) => return false,
            Authority::Own => {
                self.short = false;
                return true;
            }
            Authority::Asks => {}
            Authority::None => {
                if !core::mem::replace(&mut self.short, true) {
                    let cluster = self.electorate_without(next.written_off);
                    let (votes, of) = (cluster.weight(desired), cluster.total());
                    self.log(Event::NoQuorum {
                        heard: desired,
                        votes,
                        of,
                    });
                }
                return false;
            }
        }
        // without a view we do not know what others may hold, whatever we saw of them
        let members = self.view.map(|view| view.members);
        let sure = |node: NodeId| members.is_some() && self.gone(now, node).is_some();
        let outside = members
            .unwrap_or(all)
            .iter()
            .filter(|node| !desired.contains(*node));
        let unsure: NodeSet = outside.filter(|node| !sure(*node)).collect();
        if unsure.is_empty() || self.may_decide(now, desired) {
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
                if !old.contains(node) {
                    self.joined_at[n] = now;
                }
                self.absent[n] = Absent::default();
                let good = limits::BACKOFF * self.config.timing.deadtime;
                let backoff = &mut self.backoff[n];
                backoff.until = Now::ZERO;
                if now >= backoff.at + good {
                    *backoff = Backoff::default();
                }
            } else if old.contains(node) || self.view.is_none() {
                let gone = self.gone(now, node).unwrap_or(Gone::Silent);
                self.absent[n].evidence = Some(self.evidence(now, node, gone));
                self.absent[n].doubted = false;
            }
            if let Some(life) = &mut self.peers[n].life {
                let inside = view.members.contains(node);
                life.joined = inside;
                life.suspect = inside && (life.suspect || !old.contains(node));
                if !inside {
                    life.renewed = None;
                    if has_left(life) {
                        self.granted[n].at = None;
                    }
                }
            }
        }
        self.view = Some(view);
        self.written_off = view.written_off;
        self.pledged = None;
        self.view_since = now;
        self.torn_since = None;
        self.short = false;
        self.ballot = None;
        self.agreed = self.agreed.max(view.epoch);
        self.epoch = self.epoch.max(view.epoch);
        if self.role != Role::Leaving {
            self.role = Role::Member;
        }
        let lines = core::mem::take(&mut self.plan).lines;
        self.log(Event::View {
            epoch: view.epoch,
            members: view.members,
        });
        self.changed();
        if self.may_adopt() {
            self.adopt(now, lines);
        }
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
