//! What follows when a member fails: in which order its group comes up again, and when a
//! failed start is the end of it.
//!
//! Owns the order within a group that goes on running where it is. The members after the one
//! that failed are stopped, the last one first, and started again once it runs: what comes
//! later was started on top of what comes earlier. The failed member itself is its supervisor's
//! to restart, after a back-off that starts with the failure, so both go on side by side. An
//! address stays bound meanwhile: nothing in it could be restarted, and to prove again that no
//! stranger has it would only keep clients away longer.

use super::Engine;
use crate::config::ResourceKind;
use crate::group::Member;
use crate::surface::{Event, Phase, Reason};
use crate::types::{GroupId, Now, ResourceId};

impl Engine {
    /// A member ran and failed: those after it are stopped, and started again after it.
    pub(super) fn member_failed(&mut self, now: Now, id: GroupId, resource: ResourceId) {
        if !self.is_pinned(id) {
            self.redo_from(now, id, self.place_in(id, resource) + 1);
        }
    }

    /// A start did not succeed; what was overdue may still come up, so it is stopped. Either
    /// the group may not run here for a while, or it is one failure more, and tried again.
    pub(super) fn start_failed(&mut self, now: Now, resource: ResourceId, overdue: bool) {
        self.log(Event::StartFailed { resource, overdue });
        // counts as up until its stop is confirmed
        self.resources[resource.index()] = match overdue {
            true => Member::Failed,
            false => Member::Idle,
        };
        let Some(id) = self.group_of(resource) else {
            return;
        };
        let fatal = self.config.groups[id.index()].start_failure_is_fatal || self.is_pinned(id);
        if fatal {
            self.ban(now, id);
        } else {
            self.count_failure(now, id, resource);
        }
        let active = matches!(
            self.groups[id.index()].phase,
            Phase::Starting | Phase::Running
        );
        if active && self.groups[id.index()].banned_until.is_some() {
            self.end(now, id, Reason::Failover);
            self.advance(now, id);
        } else if active {
            let group = &mut self.groups[id.index()];
            (group.phase, group.reason) = (Phase::Starting, Reason::Recover);
            self.redo_from(now, id, self.place_in(id, resource));
            self.advance(now, id);
        }
    }

    /// A member's place in its group.
    fn place_in(&self, id: GroupId, resource: ResourceId) -> usize {
        let mut members = self.config.groups[id.index()].members.iter();
        members.position(|member| *member == resource).unwrap_or(0)
    }

    /// From this member on everything is stopped, and then started again in order.
    fn redo_from(&mut self, now: Now, id: GroupId, at: usize) {
        let phase = self.groups[id.index()].phase;
        let nothing = self.last_to_stop(id, at).is_none();
        if nothing || !matches!(phase, Phase::Starting | Phase::Running) {
            return;
        }
        let group = &mut self.groups[id.index()];
        let earlier = group.redo.map_or(at, |redo| redo.min(at));
        group.redo = Some(earlier);
        (group.phase, group.since, group.reason) = (Phase::Starting, now, Reason::Recover);
        self.changed();
    }

    /// Goes on with the stops before a new start; false when there is nothing left to stop.
    pub(super) fn redo(&mut self, now: Now, id: GroupId) -> bool {
        let Some(at) = self.groups[id.index()].redo else {
            return false;
        };
        let next = self.last_to_stop(id, at);
        match next {
            Some(resource) => self.stop(now, resource, Reason::Recover),
            None => self.groups[id.index()].redo = None,
        }
        next.is_some()
    }

    /// The last member from `at` on that is up, and is not left alone on the way.
    fn last_to_stop(&self, id: GroupId, at: usize) -> Option<ResourceId> {
        let up = |resource: &&ResourceId| {
            let address = self.config.resources[resource.index()].kind == ResourceKind::Vip;
            match self.resources[resource.index()] {
                Member::Idle => false,
                Member::Starting { .. } | Member::Running | Member::Blocked => !address,
                Member::Failed | Member::Stopping { .. } | Member::Stuck => true,
            }
        };
        let members = &self.config.groups[id.index()].members;
        members[at.min(members.len())..]
            .iter()
            .rev()
            .find(up)
            .copied()
    }
}
