//! Stage two: views. Who is in, who proposes, who agrees.
//!
//! Owns membership. A view is proposed by the coordinator, agreed to by each member
//! it names, installed by the coordinator when all agreed and by the others when
//! they see it installed there. Its members are enough to decide (by votes, or with the
//! arbiter's word) and all hear each other. A silent member is left out, and so is one
//! that others do not hear; a fresh node is let in after its hold-back.

use super::{Absent, Backoff, Engine};
use crate::codec::{Bond, Standing};
use crate::limits;
use crate::membership::{self, Authority, Voice};
use crate::peer::Life;
use crate::surface::{Event, Gone, Role, View};
use crate::timers::Timer;
use crate::types::{NodeId, NodeSet, Now, PathId};
use heapless::Vec;

use super::Plan;

impl Engine {
    pub(super) fn agree(&mut self, now: Now) {
        self.timers.clear(Timer::Agree);
        self.wait_for_others(now);
        self.notice_left_out(now);
        self.follow(now);
        self.lead(now);
    }

    /// An observer that may become a member: held back for W after boot, so that
    /// grants which an earlier life of ours gave and forgot have ended; and until it
    /// reaches the clients or has tried for `linkwait`, so that the first placement
    /// does not pass over a node whose network card is only slower than the other's.
    pub(super) fn is_ready(&self, now: Now) -> bool {
        let hold_back = self.held_back();
        self.role == Role::Observer
            && !self.twin.unresolved()
            && (self.is_vouched_alone()
                || now >= self.config.timing.linkwait.max(hold_back)
                || (now >= hold_back && self.reaches_clients(now)))
    }

    /// The largest W of all files heard of.
    fn held_back(&self) -> Now {
        let bound = |node: NodeId| {
            let life = self.peers[node.index()].alive();
            life.map_or(Now::ZERO, |life| life.said.bound)
        };
        let foreign = self.other_file.iter().map(bound).max();
        self.hold_back.max(foreign.unwrap_or(Now::ZERO))
    }

    /// An operator vouched that all the others are dead.
    fn is_vouched_alone(&self) -> bool {
        let all = NodeSet::first(self.config.nodes.len());
        all.minus(self.vouched) == NodeSet::only(self.config.me)
    }

    /// Whether this node may lead.
    fn takes_part(&self, now: Now) -> bool {
        self.role == Role::Member || self.is_ready(now)
    }

    /// Whether this node votes on views. One that leaves does so too as long as it is a
    /// member: its slow stop must not hold up the others' failover.
    fn votes(&self, now: Now) -> bool {
        self.takes_part(now) || (self.role == Role::Leaving && self.view.is_some())
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

    /// A fresh node waits `initdead` for the others. The wait begins when each path
    /// has had carrier for deadtime, or after `linkwait`; and never before clients
    /// could be reached at all, where a path for them is configured.
    fn wait_for_others(&mut self, now: Now) {
        if self.role != Role::Observer {
            return;
        }
        for at in [self.held_back(), self.config.timing.linkwait] {
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
        let all = self.own_paths();
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
            let mine = ballot.members.contains(me) && confirmed(life);
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

    /// Nodes that operators vouch for as dead, and that nobody hears.
    fn told_dead(&self) -> NodeSet {
        let told = self.mesh().iter().filter_map(|node| {
            let life = self.peers[node.index()].alive()?;
            Some(life.said.vouched)
        });
        let all = told.fold(self.vouched, NodeSet::union);
        all.minus(self.mesh()).without(self.config.me)
    }

    /// Whose votes a view without them should not count.
    fn to_write_off(&self) -> NodeSet {
        self.not_counted().union(self.told_dead())
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
        };
        let outdated = self
            .view
            .is_none_or(|view| view.members != members || view.written_off != desired.written_off)
            || self.needs_renewal(now);
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
        let same =
            |ballot: &View| ballot.members == members && ballot.written_off == desired.written_off;
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

    /// A node is at fault: it is not asked again for a while, and longer each time.
    fn back_off(&mut self, now: Now, node: NodeId) {
        let step = self.backoff[node.index()].step;
        let full = self.config.timing.deadtime * (1 << step);
        self.backoff[node.index()] = Backoff {
            until: now + self.rng.jitter(full),
            step: (step + 1).min(limits::BACKOFF.ilog2()),
            at: now,
        };
    }

    /// Who leads among those that take part and could have votes enough: nobody is led by
    /// a node that hears too few.
    fn coordinator(&self, now: Now) -> Option<NodeId> {
        let me = self.takes_part(now).then_some(Voice {
            node: self.config.me,
            view: self.view,
            leased: self.holds_lease(now),
            alone: self.lonely.over,
        });
        let others = self.others().filter_map(|node| {
            let life = self.peers[node.index()].alive()?;
            let takes_part = matches!(life.said.standing, Standing::Ready | Standing::Member);
            (takes_part && confirmed(life) && life.said.terms == self.terms).then_some(Voice {
                node,
                view: life.said.view,
                leased: life.said.leased,
                alone: life.said.alone,
            })
        });
        let mut voices: Vec<Voice, { limits::NODES }> = me.into_iter().chain(others).collect();
        let mesh = self.neighbours();
        while let Some(first) = membership::coordinator(voices.iter().copied()) {
            if self.could_lead(first, &mesh) {
                return Some(first);
            }
            voices.retain(|voice| voice.node != first);
        }
        None
    }

    /// Whether a node and some of those that it hears, which all hear each other, may
    /// decide.
    fn could_lead(&self, node: NodeId, mesh: &Mesh) -> bool {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let cluster = self.electorate_without(self.to_write_off());
        [members, NodeSet::EMPTY].into_iter().any(|members| {
            let near = |node: NodeId| mesh[node.index()];
            let clique = membership::clique(node, near(node), members, near);
            cluster.authority(clique) != Authority::None
        })
    }

    /// By node: those that hear it and that it hears, as far as they say.
    fn neighbours(&self) -> Mesh {
        let mut rows = [NodeSet::EMPTY; limits::NODES];
        rows[self.config.me.index()] = self.mesh();
        for node in self.others() {
            if let Some(life) = self.peers[node.index()].alive() {
                rows[node.index()] = life.said.mesh;
            }
        }
        let heard_by = |node: NodeId| {
            let hears = |by: &NodeId| rows[by.index()].contains(node);
            rows[node.index()].iter().filter(hears).collect()
        };
        core::array::from_fn(|n| heard_by(NodeId::from_index(n)))
    }

    /// Who should be in the view: all that are well, hear each other, and answer.
    fn desired(&mut self, now: Now) -> NodeSet {
        let well = self.well(now);
        let meshed = self.meshed(now, well);
        let slow = |node: &NodeId| {
            let backoff = &self.backoff[node.index()];
            now < backoff.until
        };
        let prompt: NodeSet = meshed.iter().filter(|node| !slow(node)).collect();
        // A member that does not answer is left out where the others can do without it.
        if self.counts_votes() && self.electorate().authority(prompt) == Authority::Own {
            for node in meshed.minus(prompt).iter() {
                let until = self.backoff[node.index()].until;
                self.timers.set(Timer::Agree, until);
            }
            prompt
        } else {
            meshed
        }
    }

    /// Those of `set` that hear each other, as far as they say. Word of a death goes round
    /// within a few beats, so a gap between members counts only when it has lasted.
    fn meshed(&mut self, now: Now, set: NodeSet) -> NodeSet {
        let me = self.config.me;
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let mesh = self.neighbours();
        let near = |node: NodeId| mesh[node.index()];
        let inside = set.both(members);
        let kept = membership::clique(me, inside, members, near);
        let whole = kept == inside.with(me);
        let settle = limits::MISSED * self.config.timing.keepalive;
        let since = match whole {
            true => None,
            false => Some(self.torn_since.unwrap_or(now)),
        };
        let torn = since.is_some_and(|since| now >= since + settle);
        let stay = if torn { kept } else { inside.with(me) };
        let with_newcomers = stay.union(set.minus(inside));
        let mut found = membership::clique(me, with_newcomers, stay, |node| {
            if stay.contains(node) {
                near(node).union(stay)
            } else {
                near(node)
            }
        });
        let cluster = self.electorate();
        if cluster.authority(found) == Authority::None {
            // The members alone do not suffice: whoever fits together.
            found = membership::clique(me, set, NodeSet::EMPTY, near);
        }
        self.torn_since = since;
        if let Some(since) = since {
            self.timers.set(Timer::Agree, since + settle);
        }
        for node in inside.minus(found).iter() {
            if now >= self.backoff[node.index()].until {
                self.back_off(now, node);
            }
        }
        found
    }

    /// Who is fit to be in the view, as seen from here.
    fn well(&mut self, now: Now) -> NodeSet {
        let mut desired = NodeSet::only(self.config.me);
        for node in self.others() {
            let member = self.is_member(node);
            let Some(life) = self.peers[node.index()].alive() else {
                continue;
            };
            let well = matches!(life.said.standing, Standing::Ready | Standing::Member)
                && confirmed(life)
                && life.said.terms == self.terms;
            let until = self.backoff[node.index()].until;
            if !member && well && now < until {
                self.timers.set(Timer::Agree, until);
            } else if well || (member && life.said.holds_any() && self.gone(now, node).is_none()) {
                desired = desired.with(node);
            } else if member && has_left(life) && self.gone(now, node).is_none() {
                self.absent[node.index()].gone = Some((Gone::Left, now));
            }
        }
        desired
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

/// By node: a set of nodes.
type Mesh = [NodeSet; limits::NODES];

/// Instants from which the paths can be relied on.
struct Links {
    /// All of them.
    every: Option<Now>,
    /// One on which clients live.
    served: Option<Now>,
    /// The latest of those that have carrier.
    steady: Now,
}

/// It steps down in order, and holds nothing any more.
fn has_left(life: &Life) -> bool {
    let down = matches!(life.said.standing, Standing::Leaving | Standing::Refused);
    down && !life.dead && !life.said.holds_any()
}

/// It knows this life of ours: a view that names us is meant for us.
fn confirmed(life: &Life) -> bool {
    life.said.bond == Bond::Confirmed
}
