//! Roles: one instance of a clone is the promoted one.
//!
//! Owns what a group that promotes must know beside what every group knows: whether the
//! instance here can be promoted, how fit each one says it is, and what follows when a role
//! is lost. The role itself is a resource like any other, started by promoting and stopped
//! by demoting; who may have it, the lease and the plan decide as for everything exclusive.

use super::{Engine, Small};
use crate::config::ResourceKind;
use crate::group::Member;
use crate::limits;
use crate::surface::{Phase, Reason};
use crate::types::{GroupId, NodeId, NodeSet, Now, ResourceId};

impl Engine {
    /// How fit the instance of a service here says it is to be promoted; below zero it must
    /// not be. Ids that the file does not know, and services without a role, are ignored.
    pub fn handle_promotion(&mut self, now: Now, service: ResourceId, score: i16) {
        self.enter(now);
        let mut all = (0..self.config.groups.len()).map(GroupId::from_index);
        let of = |group: &GroupId| {
            let promoted = self.config.promoted(*group);
            promoted.is_some_and(|(_, of)| of == service)
        };
        let Some(group) = all.find(of) else { return };
        let known = &mut self.groups[group.index()].promotion;
        if *known != score {
            *known = score;
            self.decide(now);
        }
    }

    /// Others hear at once when the instance here can be promoted, no longer can, or is as
    /// fit as it was not.
    pub(super) fn weigh(&mut self, id: GroupId) {
        let fit = self.own_fitness(id);
        if core::mem::replace(&mut self.groups[id.index()].fit, fit) != fit {
            self.changed();
        }
    }

    /// How fit the instance here is to be promoted by a group, if it can be.
    pub(super) fn own_fitness(&self, id: GroupId) -> Option<i16> {
        let (clone, service) = self.config.promoted(id)?;
        let well = self.resources[service.index()] == Member::Running
            && self.groups[clone.index()].phase == Phase::Running;
        let score = self.groups[id.index()].promotion;
        (well && score >= 0).then_some(score)
    }

    /// Whether a group promotes instances of this clone.
    pub(super) fn promotes(&self, id: GroupId, clone: GroupId) -> bool {
        let promoted = self.config.promoted(id);
        promoted.is_some_and(|(of, _)| of == clone)
    }

    /// The instance here can be promoted, and if it is, nothing took that from it.
    pub(super) fn may_have_role(&self, id: GroupId) -> bool {
        let lost = |member: &ResourceId| {
            self.is_role(*member) && self.resources[member.index()] == Member::Failed
        };
        let mut members = self.config.groups[id.index()].members.iter();
        self.own_fitness(id).is_some() && !members.any(lost)
    }

    pub(super) fn is_role(&self, resource: ResourceId) -> bool {
        matches!(
            self.config.resources[resource.index()].kind,
            ResourceKind::Role(_)
        )
    }

    /// Members without an instance that a group can promote, and what the others say.
    pub(super) fn promotions(
        &self,
        id: GroupId,
        members: NodeSet,
    ) -> (NodeSet, [i16; limits::NODES]) {
        let mut scores = [0; limits::NODES];
        if self.config.promoted(id).is_none() {
            return (NodeSet::EMPTY, scores);
        }
        if self.is_settling(id) {
            return (members, scores);
        }
        let mut unfit = NodeSet::EMPTY;
        for node in members.iter() {
            match self.fitness(node, id) {
                Some(score) => scores[node.index()] = score,
                None => unfit = unfit.with(node),
            }
        }
        (unfit, scores)
    }

    /// How fit a node's instance is to be promoted by a group, if it can be, as far as heard.
    pub(super) fn fitness(&self, node: NodeId, id: GroupId) -> Option<i16> {
        if node == self.config.me {
            return self.own_fitness(id);
        }
        let life = self.peers.get(node.index())?.alive()?;
        (*life.said.groups.get(id.index())?)?.fit
    }

    /// Nothing was ever promoted, and instances are still on their way up: the best of all
    /// is not known yet. A start that takes too long fails, so this ends.
    pub(super) fn is_settling(&self, id: GroupId) -> bool {
        let Some((clone, _)) = self.config.promoted(id) else {
            return false;
        };
        let group = &self.groups[id.index()];
        if group.claim.tenure > 0 || group.known.iter().any(|tenure| *tenure > 0) {
            return false;
        }
        let planned = self.plan.lines[clone.index()].map_or(NodeSet::EMPTY, |line| line.nodes);
        let begins = |node: NodeId| match self.phase_on(node, clone) {
            Phase::Starting => true,
            // it has not read the plan that says so, or waits for what may never come
            Phase::Idle => !self.follows(node),
            Phase::Running | Phase::Stopping | Phase::Blocked => false,
        };
        planned.is_empty() || planned.iter().any(begins)
    }

    /// A member is known to follow the plan that we follow.
    fn follows(&self, node: NodeId) -> bool {
        let life = self.peers[node.index()].alive();
        node == self.config.me || life.is_some_and(|life| life.said.plan == self.plan.version)
    }

    /// A demotion under way may take its time; now it may not.
    pub(super) fn hurry(&mut self, resource: ResourceId) {
        let stopping = matches!(self.resources[resource.index()], Member::Stopping { .. });
        if stopping && self.is_role(resource) {
            self.act(Small::Stop(resource, Reason::Yield));
        }
    }

    /// An instance failed. If it has the role, or is just getting it, that is lost.
    pub(super) fn fail_role(&mut self, now: Now, service: ResourceId) {
        let of = |n: &usize| self.config.resources[*n].kind == ResourceKind::Role(service);
        let role = (0..self.config.resources.len()).find(of);
        let up = |n: &usize| !matches!(self.resources[*n], Member::Idle | Member::Failed);
        if let Some(role) = role.filter(up) {
            self.lose_role(now, ResourceId::from_index(role));
        }
    }

    /// The promoted instance failed, or did not become it, and is restarted as an ordinary
    /// one. Its group leaves; whether for another node, placement says by the instances that
    /// are left.
    pub(super) fn lose_role(&mut self, now: Now, role: ResourceId) {
        let Some(id) = self.group_of(role) else {
            return;
        };
        let active = matches!(
            self.groups[id.index()].phase,
            Phase::Starting | Phase::Running
        );
        if active {
            self.count_failure(now, id, role);
        }
        if active && !self.is_pinned(id) {
            self.end(now, id, Reason::Failover);
            self.advance(now, id);
        }
    }
}
