//! The door for what became of resources.
//!
//! Owns failure counting. Reports that no longer fit (a start that came up while its
//! stop is under way) change nothing: the answer to the newer request follows.

use super::Engine;
use crate::group::Member;
use crate::surface::{Event, Phase, Report};
use crate::types::{GroupId, Now, ResourceId};

impl Engine {
    /// What became of a resource. Ids that the file does not know are ignored.
    pub fn handle_report(&mut self, now: Now, resource: ResourceId, report: Report) {
        self.enter(now);
        if resource.index() < self.config.resources.len() {
            self.take_report(now, resource, report);
        }
        self.decide(now);
    }

    fn take_report(&mut self, now: Now, resource: ResourceId, report: Report) {
        let n = resource.index();
        match (self.resources[n], report) {
            (_, Report::StopFailed) => self.stop_failed(now, resource),
            (Member::Stuck, Report::Stopped) => self.stuck_no_more(now, resource),
            (Member::Stopping { .. }, Report::Stopped) => self.resources[n] = Member::Idle,
            (Member::Starting { .. }, Report::AddressTaken) => {
                self.resources[n] = Member::Blocked;
                self.log(Event::AddressTaken { resource });
                if let Some(group) = self.group_of(resource) {
                    self.ban(now, group);
                }
            }
            (_, Report::AddressTaken) => self.log(Event::AddressTaken { resource }),
            (Member::Starting { .. }, Report::Started) => self.resources[n] = Member::Running,
            (Member::Blocked, Report::Started) => {
                self.resources[n] = Member::Running;
                if let Some(group) = self.group_of(resource) {
                    self.unban(group);
                }
            }
            (Member::Failed, Report::Started | Report::Recovered) => {
                self.resources[n] = Member::Running;
                self.log(Event::Recovered { resource });
            }
            // the answer to an older request, or news of what runs anyway
            (Member::Idle | Member::Stopping { .. } | Member::Stuck, _)
            | (_, Report::Started | Report::Recovered) => {}
            (_, Report::StartFailed | Report::Stopped) if self.is_role(resource) => {
                let pinned = self.group_of(resource).is_some_and(|id| self.is_pinned(id));
                // left alone, it goes on without the role until that is over
                self.resources[n] = if pinned { Member::Failed } else { Member::Idle };
                self.lose_role(now, resource);
            }
            // down for certain without having been asked, and nobody restarts it
            (_, Report::StartFailed | Report::Stopped) => self.start_failed(now, resource, false),
            (_, Report::Failed) => {
                self.resources[n] = Member::Failed;
                if let Some(group) = self.group_of(resource) {
                    self.count_failure(now, group, resource);
                    self.member_failed(now, group, resource);
                }
                self.fail_role(now, resource);
            }
        }
    }

    pub(super) fn count_failure(&mut self, now: Now, id: GroupId, resource: ResourceId) {
        let threshold = self.config.groups[id.index()].migration_threshold;
        let judged = !self.is_pinned(id);
        let group = &mut self.groups[id.index()];
        if judged {
            group.failures = group.failures.saturating_add(1);
            group.failed_at = now;
        }
        let failures = group.failures;
        let active = matches!(group.phase, Phase::Starting | Phase::Running);
        self.log(Event::Failed {
            resource,
            failures,
            threshold,
        });
        if judged && threshold > 0 && failures >= threshold && active {
            self.ban(now, id);
        }
    }

    fn unban(&mut self, id: GroupId) {
        if self.groups[id.index()].banned_until.take().is_some() {
            self.log(Event::Banned {
                group: id,
                until: None,
            });
            self.changed();
        }
    }
}
