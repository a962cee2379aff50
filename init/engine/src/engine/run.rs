//! Stage five: groups and resources. What runs here, and what must not.
//!
//! Owns every start and stop. A start needs the plan's word, a lease, and the
//! certainty that no other node may still act as a holder. A stop needs nothing: a
//! lost lease or a newer tenure stops the exclusive resources first, all at once.

use super::wish::Wish;
use super::{Engine, Small};
use crate::claims::{self, Claim, Hold, Verdict};
use crate::codec::Standing;
use crate::config::{SplitBrain, Tie};
use crate::group::{self, Member};
use crate::limits;
use crate::membership::Authority;
use crate::surface::{Cause, Event, Fatal, Gone, Phase, Reason, Role, View};
use crate::timers::Timer;
use crate::types::{GroupId, NodeId, Now, ResourceId};

impl Engine {
    pub(super) fn run(&mut self, now: Now) {
        self.timers.clear(Timer::Run);
        for n in 0..self.config.groups.len() {
            let group = GroupId::from_index(n);
            self.forgive(now, group);
            self.weigh(group);
            self.meet(now, group);
            match (self.wish(now, group), self.groups[n].phase) {
                (Wish::Run(cause), Phase::Idle) if self.may_take(now, group) => {
                    self.begin(now, group, cause);
                }
                (Wish::Rest(reason), Phase::Starting | Phase::Running) => {
                    if self.is_parting(group) {
                        self.log(Event::Parts { group });
                    }
                    self.end(now, group, reason);
                }
                (
                    Wish::Yield,
                    Phase::Starting | Phase::Running | Phase::Stopping | Phase::Blocked,
                ) => {
                    self.give_way(now, group);
                }
                _ => {}
            }
            self.advance(now, group);
            self.watch_release(now, group);
        }
        self.watch_members(now);
        self.leave(now);
    }

    /// Fail counts and bans end with time, or by an operator.
    fn forgive(&mut self, now: Now, id: GroupId) {
        let unguarded = self.role == Role::Member && self.is_unguarded(id);
        if unguarded != self.groups[id.index()].unguarded {
            self.groups[id.index()].unguarded = unguarded;
            if unguarded {
                let granted = self.watchdog;
                self.log(Event::Unguarded { group: id, granted });
            }
            self.changed();
        }
        let file = &self.config.groups[id.index()];
        let cleanup = self.registers.cleanup(id);
        let group = &mut self.groups[id.index()];
        let cleaned = cleanup > group.cleaned;
        group.cleaned = cleanup.max(group.cleaned);
        let forgotten = group.failures > 0 && now >= group.failed_at + file.failure_timeout;
        if cleaned || forgotten {
            group.failures = 0;
        } else if group.failures > 0 {
            self.timers
                .set(Timer::Run, group.failed_at + file.failure_timeout);
        }
        let until = group.banned_until;
        if cleaned {
            self.unblock(now, id);
        }
        let Some(until) = until else {
            return;
        };
        let group = &mut self.groups[id.index()];
        if cleaned || now >= until {
            group.banned_until = None;
            self.log(Event::Banned {
                group: id,
                until: None,
            });
            self.changed();
        } else {
            self.timers.set(Timer::Run, until);
        }
    }

    /// Another holder is heard: who gives way?
    fn meet(&mut self, now: Now, id: GroupId) {
        for peer in self.others() {
            let Some(theirs) = self.peers[peer.index()]
                .alive()
                .map(|life| life.said.claim(id))
            else {
                continue;
            };
            let ours = self.groups[id.index()].claim;
            match claims::judge(&ours, self.config.me, &theirs, peer) {
                Verdict::Peace => {}
                Verdict::Superseded => {
                    self.log(Event::Superseded {
                        group: id,
                        epoch: ours.tenure,
                        by: peer,
                        newer: theirs.tenure,
                    });
                    self.give_way(now, id);
                }
                // Where votes decide, the newer view knows what the older one missed.
                Verdict::Unrelated if self.counts_votes() && self.is_newer_than(now, peer) => {}
                Verdict::Unrelated => {
                    self.log(Event::Conflict {
                        group: id,
                        peer,
                        ours: ours.tenure,
                        theirs: theirs.tenure,
                    });
                    self.give_way(now, id);
                }
                Verdict::Kept => {
                    let against = Some((theirs.tenure, peer));
                    if self.groups[id.index()].kept != against {
                        self.groups[id.index()].kept = against;
                        self.log(Event::Kept {
                            group: id,
                            from: peer,
                        });
                        self.announce(id);
                        self.changed();
                    }
                }
            }
        }
    }

    /// We hold a lease under a newer view than a peer's.
    fn is_newer_than(&self, now: Now, peer: NodeId) -> bool {
        let theirs = self.peers[peer.index()]
            .alive()
            .and_then(|life| life.said.view);
        let epoch = |view: Option<View>| view.map_or(0, |view| view.epoch);
        self.holds_lease(now) && epoch(self.view) > epoch(theirs)
    }

    /// Whether no other node may still act as a holder.
    fn may_take(&mut self, now: Now, id: GroupId) -> bool {
        // What we said of ourselves when we agreed to a newer view must stay true.
        if self.is_clone(id) {
            return true;
        }
        let me = self.config.me;
        let mut may = self.ballot.is_none_or(|ballot| ballot.coordinator == me);
        let guarded = self.config.groups[id.index()].guarded;
        let window = limits::MISSED * self.config.timing.keepalive;
        for node in self.others() {
            // Somebody of that name asks to be let in: what it holds is known soon.
            may &= !self.peers[node.index()].knocks(now, window);
            may &= if self.is_member(node) {
                self.has_let_go(node, id)
            } else {
                self.is_clear(now, node, guarded) && !self.decides_apart(node, id)
            };
        }
        may
    }

    /// Whatever a node outside our view held, it no longer does: nobody in the view owes
    /// it any more, so its lease and release are over. By then it might have a lease of
    /// the arbiter's instead, unless we may decide or it is gone for certain.
    pub(super) fn is_clear(&mut self, now: Now, node: NodeId, guarded: bool) -> bool {
        let wait = if guarded {
            self.guard_bound
        } else {
            self.wait_bound
        };
        let owed = self.owed_until(node, wait).unwrap_or(Now::ZERO);
        self.timers.set(Timer::Run, owed);
        let owes = |fellow: NodeId| {
            let life = self.peers[fellow.index()].alive();
            life.is_none_or(|life| {
                let owes = if guarded {
                    life.said.owes_guarded
                } else {
                    life.said.owes
                };
                life.said.view != self.view || owes.contains(node)
            })
        };
        let members = self.view.map(|view| view.members).unwrap_or_default();
        now >= owed
            && !self.fellows().iter().any(owes)
            && (self.gone(now, node).is_some() || self.may_decide(now, members))
    }

    /// What proves that a node holds nothing, beyond silence. Seen once, it proves
    /// that for W only, of its file or ours: after its hold-back a new life may decide for
    /// itself.
    pub(super) fn gone(&self, now: Now, node: NodeId) -> Option<Gone> {
        let (gone, at) = self.absent[node.index()].gone?;
        let life = self.peers[node.index()].life.as_ref();
        let theirs = life.map_or(self.hold_back, |life| life.said.bound);
        (gone == Gone::Vouched || now < at + self.hold_back.min(theirs)).then_some(gone)
    }

    /// A node outside our view is heard, and it holds the group, or it has a view of its
    /// own by which it might take it: the views merge first. Where the votes of our view
    /// decide, it might not: what it calls its view decides nothing any more.
    fn decides_apart(&self, node: NodeId, id: GroupId) -> bool {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let voted = self.counts_votes() && self.electorate().authority(members) == Authority::Own;
        self.peers[node.index()].alive().is_some_and(|life| {
            let apart = life.said.view.is_some() && life.said.standing == Standing::Member;
            life.said.claim(id).may_act() || (apart && !voted)
        })
    }

    /// A member follows the plan that we follow, and says under it that it holds nothing.
    /// One that never runs the group need not follow.
    fn has_let_go(&self, node: NodeId, id: GroupId) -> bool {
        let runs = self.config.groups[id.index()].may_run(node) || self.other_file.contains(node);
        self.peers[node.index()].alive().is_some_and(|life| {
            let said = &life.said;
            let follows = said.plan == self.plan.version || !runs;
            said.view == self.view && follows && !said.claim(id).may_act()
        })
    }

    /// Whether a part of the cluster can be outvoted: not in a pair with an arbiter, where
    /// each half has as many votes as the other.
    pub(super) fn counts_votes(&self) -> bool {
        let arbiter = matches!(
            self.config.split_brain,
            SplitBrain::Votes(Tie::Arbiter { .. })
        );
        let pair = arbiter && self.config.nodes.len() == 2;
        self.config.split_brain != SplitBrain::Accept && !pair
    }

    /// Whether at most one part of the cluster may decide, whatever is cut.
    pub(super) fn is_exclusive(&self) -> bool {
        !matches!(
            self.config.split_brain,
            SplitBrain::Accept | SplitBrain::Votes(Tie::Arbiter { exclusive: false })
        )
    }

    /// A new tenure begins; an instance of a clone has none.
    fn begin(&mut self, now: Now, id: GroupId, cause: Cause) {
        let reason = cause.reason();
        let group = &mut self.groups[id.index()];
        (group.phase, group.since, group.reason) = (Phase::Starting, now, reason);
        self.changed();
        if self.is_clone(id) {
            return self.log(Event::Starting {
                group: id,
                epoch: 0,
                reason,
            });
        }
        self.epoch += 1;
        let (epoch, me) = (self.epoch, self.config.me);
        let over = self.groups[id.index()].newest_other(me);
        let group = &mut self.groups[id.index()];
        group.claim = Claim {
            hold: Hold::Holding,
            tenure: epoch,
            over,
        };
        (group.yielding, group.release_by, group.kept) = (false, None, None);
        let released = |node: NodeId| {
            let life = self.peers[node.index()].alive();
            self.is_member(node)
                && life.is_some_and(|life| life.said.claim(id).hold == Hold::Released)
        };
        match over {
            Some((_, from)) if !released(from) => {
                let gone = self.gone(now, from).unwrap_or(Gone::Silent);
                let removed = self.absent[from.index()].evidence;
                let mut evidence = removed.unwrap_or_else(|| self.evidence(now, from, gone));
                (evidence.gone, evidence.ping) = (gone, self.ping_age(now));
                if gone == Gone::Silent && self.peers[from.index()].alive().is_none() {
                    evidence.silent = self.silent(now, from);
                }
                self.log(Event::Takeover {
                    group: id,
                    from,
                    epoch,
                    evidence,
                });
            }
            _ => self.log(Event::Starting {
                group: id,
                epoch,
                reason,
            }),
        }
    }

    /// Stops a group in order.
    pub(super) fn end(&mut self, now: Now, id: GroupId, reason: Reason) {
        let exclusive = !self.is_clone(id);
        let group = &mut self.groups[id.index()];
        if exclusive && group.claim.may_act() {
            group.claim.hold = Hold::Releasing;
        }
        group.redo = None;
        (group.phase, group.since, group.reason) = (Phase::Stopping, now, reason);
        self.log(Event::Stopping { group: id, reason });
        self.changed();
    }

    /// Stops the exclusive resources at once, then the rest.
    fn give_way(&mut self, now: Now, id: GroupId) {
        if self.groups[id.index()].yielding || !self.groups[id.index()].claim.may_act() {
            return;
        }
        if self.groups[id.index()].phase != Phase::Stopping {
            self.end(now, id, Reason::Yield);
        }
        let group = &mut self.groups[id.index()];
        group.yielding = true;
        group.reason = Reason::Yield;
        // A guarded group stops in order; what is late then the reset ends in time.
        let timing = &self.config.timing;
        group.release_by = Some(if self.config.groups[id.index()].guarded {
            now + timing.guard - timing.release
        } else {
            now + timing.release
        });
        for m in 0..self.config.groups[id.index()].members.len() {
            let resource = self.config.groups[id.index()].members[m];
            if self.config.resources[resource.index()].kind.is_exclusive() {
                self.hurry(resource);
                self.stop(now, resource, Reason::Yield);
            }
        }
    }

    /// Says once that a group waits for another one.
    pub(super) fn awaits(&mut self, id: GroupId, first: Option<GroupId>) {
        let known = core::mem::replace(&mut self.groups[id.index()].awaits, first);
        if let Some(first) = first.filter(|first| known != Some(*first)) {
            self.log(Event::Awaits { group: id, first });
        }
    }

    /// Asks for the stop of a resource that is not down and not yet stopping.
    pub(super) fn stop(&mut self, now: Now, resource: ResourceId, reason: Reason) {
        let member = &mut self.resources[resource.index()];
        if !matches!(
            member,
            Member::Idle | Member::Stopping { .. } | Member::Stuck
        ) {
            *member = Member::Stopping {
                by: now + self.config.resources[resource.index()].stop_timeout,
            };
            self.close_gate(now, resource);
            self.act(Small::Stop(resource, reason));
        }
    }

    /// The next step of a start or stop under way.
    pub(super) fn advance(&mut self, now: Now, id: GroupId) {
        match self.groups[id.index()].phase {
            Phase::Starting => self.advance_start(now, id),
            Phase::Stopping => self.advance_stop(now, id),
            Phase::Blocked => self.let_go(id),
            Phase::Idle | Phase::Running => {}
        }
    }

    fn advance_start(&mut self, now: Now, id: GroupId) {
        if self.redo(now, id) {
            return;
        }
        for m in 0..self.config.groups[id.index()].members.len() {
            let resource = self.config.groups[id.index()].members[m];
            match self.resources[resource.index()] {
                Member::Running => {}
                Member::Idle => {
                    let by = now + self.config.resources[resource.index()].start_timeout;
                    self.resources[resource.index()] = Member::Starting { by };
                    self.act(Small::Start(resource, self.groups[id.index()].reason));
                    return;
                }
                Member::Starting { .. }
                | Member::Failed
                | Member::Blocked
                | Member::Stopping { .. }
                | Member::Stuck => return,
            }
        }
        let took = now - self.groups[id.index()].since;
        self.groups[id.index()].phase = Phase::Running;
        self.groups[id.index()].since = now;
        self.log(Event::Started { group: id, took });
        self.changed();
    }

    fn advance_stop(&mut self, now: Now, id: GroupId) {
        let reason = self.groups[id.index()].reason;
        let file = &self.config.groups[id.index()];
        let down = |resource: &ResourceId| self.resources[resource.index()] == Member::Idle;
        let next = file
            .members
            .iter()
            .rev()
            .find(|resource| !down(resource))
            .copied();
        if let Some(resource) = next {
            self.stop(now, resource, reason);
        }
        self.let_go(id);
        if next.is_some_and(|next| self.resources[next.index()] == Member::Stuck) {
            self.block(now, id);
        }
        if next.is_none() {
            let group = &mut self.groups[id.index()];
            (group.phase, group.since, group.yielding) = (Phase::Idle, now, false);
            self.log(Event::Stopped { group: id });
            self.changed();
        }
    }

    /// Its exclusive resources are down for certain: another node may take it.
    fn let_go(&mut self, id: GroupId) {
        let down = |resource: ResourceId| self.resources[resource.index()] == Member::Idle;
        let released = group::exclusive(&self.config, &self.config.groups[id.index()]).all(down);
        let group = &mut self.groups[id.index()];
        if released && group.claim.hold == Hold::Releasing {
            group.claim.hold = Hold::Released;
            group.release_by = None;
            let epoch = group.claim.tenure;
            self.log(Event::Released { group: id, epoch });
            self.changed();
        }
    }

    /// A release that is not confirmed in time is one that cannot be trusted.
    fn watch_release(&mut self, now: Now, id: GroupId) {
        if let Some(by) = self.groups[id.index()].release_by {
            self.timers.set(Timer::Run, by);
            if now >= by {
                self.reset(Fatal::ReleaseOverdue, None);
            }
        }
    }

    /// Starts and stops that take too long.
    fn watch_members(&mut self, now: Now) {
        for n in 0..self.config.resources.len() {
            let resource = ResourceId::from_index(n);
            match self.resources[n] {
                Member::Starting { by } if now >= by => self.start_failed(now, resource, true),
                Member::Stopping { by } if now >= by => {
                    self.stop_failed(now, resource);
                }
                Member::Starting { by } | Member::Stopping { by } => {
                    self.timers.set(Timer::Run, by);
                }
                Member::Idle
                | Member::Running
                | Member::Failed
                | Member::Blocked
                | Member::Stuck => {}
            }
        }
        self.leaves_stuck();
    }

    /// The group may not run here at present: it failed, or its stop did, or it is guarded and
    /// this node's watchdog does not keep the bound that others count on.
    pub(super) fn is_barred(&self, id: GroupId) -> bool {
        let group = &self.groups[id.index()];
        let blocked = group.phase == Phase::Blocked;
        self.is_unguarded(id) || group.banned_until.is_some() || blocked
    }

    fn is_unguarded(&self, id: GroupId) -> bool {
        let timing = &self.config.timing;
        let kept = self
            .watchdog
            .is_some_and(|granted| timing.release + granted + timing.keepalive <= timing.guard);
        self.config.groups[id.index()].guarded && !kept
    }

    /// The group may not run here until its failure timeout.
    pub(super) fn ban(&mut self, now: Now, id: GroupId) {
        let until = now + self.config.groups[id.index()].failure_timeout;
        let group = &mut self.groups[id.index()];
        let news = group.banned_until.is_none();
        group.banned_until = Some(until);
        if news {
            self.log(Event::Banned {
                group: id,
                until: Some(until),
            });
        }
        self.timers.set(Timer::Run, until);
        self.changed();
    }

    /// The group that a resource belongs to.
    pub(super) fn group_of(&self, resource: ResourceId) -> Option<GroupId> {
        self.config
            .groups
            .iter()
            .position(|group| group.members.contains(&resource))
            .map(GroupId::from_index)
    }

    /// Leaving ends when everything is down and nobody counts on this node any more.
    fn leave(&mut self, now: Now) {
        if self.role != Role::Leaving || self.groups.iter().any(|group| group.phase != Phase::Idle)
        {
            return;
        }
        let stopped_at = self
            .groups
            .iter()
            .map(|group| group.since)
            .max()
            .unwrap_or(now);
        let patience = stopped_at.max(self.leaving_since) + self.config.timing.deadtime;
        self.timers.set(Timer::Run, patience);
        let counted_on = self.fellows().iter().any(|node| {
            let said = self.peers[node.index()].alive().map(|life| &life.said);
            said.is_some_and(|said| {
                said.view
                    .is_some_and(|view| view.members.contains(self.config.me))
            })
        });
        if !counted_on || now >= patience {
            self.role = Role::Left;
            self.view = None;
            self.ballot = None;
            self.log(Event::Left);
            self.changed();
        }
    }
}
