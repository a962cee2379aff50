//! What follows when a stop fails: the node resets itself, or the group is blocked.
//!
//! Owns the blocked group: it stays as it is, and nobody touches it until an operator has
//! looked (`cleanup` tries the stop again) or what was stuck turns out to be down. Its claim
//! stands meanwhile, so no other node takes over what may still act here. Promise 1 does not
//! rest on this node's good will: when its lease ends it lets go within the bound that the
//! others count on, or resets itself after all. So does a node that is told to leave.

use super::Engine;
use crate::config::OnStopFailure;
use crate::group::Member;
use crate::surface::{Event, Fatal, Phase, Role};
use crate::types::{GroupId, NodeId, Now, ResourceId};

impl Engine {
    /// A stop did not succeed, or took too long.
    pub(super) fn stop_failed(&mut self, now: Now, resource: ResourceId) {
        let blocks =
            |id: &GroupId| self.config.groups[id.index()].on_stop_failure == OnStopFailure::Block;
        let id = self.group_of(resource).filter(blocks);
        let Some(id) = id.filter(|_| self.role == Role::Member) else {
            return self.reset(Fatal::StopFailed, Some(resource));
        };
        self.resources[resource.index()] = Member::Stuck;
        self.block(now, id);
        self.log(Event::StopBlocked {
            group: id,
            resource,
        });
    }

    /// Nothing of the group is touched any more.
    pub(super) fn block(&mut self, now: Now, id: GroupId) {
        let group = &mut self.groups[id.index()];
        (group.phase, group.since) = (Phase::Blocked, now);
        group.redo = None;
        self.changed();
    }

    /// An operator asks to try again: what was stuck counts as up until its stop is confirmed.
    pub(super) fn unblock(&mut self, now: Now, id: GroupId) {
        if self.groups[id.index()].phase != Phase::Blocked {
            return;
        }
        for m in 0..self.config.groups[id.index()].members.len() {
            let resource = self.config.groups[id.index()].members[m];
            if self.resources[resource.index()] == Member::Stuck {
                self.resources[resource.index()] = Member::Failed;
            }
        }
        let reason = self.groups[id.index()].reason;
        self.end(now, id, reason);
    }

    /// What was stuck is down after all: the stop goes on.
    pub(super) fn stuck_no_more(&mut self, now: Now, resource: ResourceId) {
        self.resources[resource.index()] = Member::Idle;
        if let Some(id) = self.group_of(resource)
            && self.groups[id.index()].phase == Phase::Blocked
            && !self.has_stuck(id)
        {
            self.unblock(now, id);
        }
    }

    pub(super) fn has_stuck(&self, id: GroupId) -> bool {
        let members = &self.config.groups[id.index()].members;
        let mut members = members.iter();
        members.any(|member| self.resources[member.index()] == Member::Stuck)
    }

    /// What nobody waits for is not kept: the machine is about to go down.
    pub(super) fn leaves_stuck(&mut self) {
        let members = self.resources.iter();
        let stuck = members
            .enumerate()
            .find(|(_, member)| **member == Member::Stuck);
        if let Some((n, _)) = stuck.filter(|_| self.role == Role::Leaving) {
            self.reset(Fatal::StopFailed, Some(ResourceId::from_index(n)));
        }
    }

    /// A member of the view on which a group is blocked while it may still act there: its place,
    /// whatever the plan was.
    pub(super) fn blocked_on(&self, id: GroupId) -> Option<NodeId> {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let acts = |node: &NodeId| {
            let claim = match *node == self.config.me {
                true => Some(self.groups[id.index()].claim),
                false => self.peers[node.index()]
                    .alive()
                    .map(|life| life.said.claim(id)),
            };
            claim.is_some_and(|claim| claim.may_act())
        };
        let blocked = |node: &NodeId| self.phase_on(*node, id) == Phase::Blocked;
        members.iter().filter(blocked).find(acts)
    }
}
