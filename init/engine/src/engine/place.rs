//! Stage four: the plan. The coordinator makes it, the members follow it.
//!
//! Owns the plan under the present view. Each plan has a version; members say in
//! every beat which one they follow, and a group is started only when all of them
//! follow the plan that says so: nobody can still be acting on an older one. Never
//! starts or stops anything.

use super::Engine;
use crate::claims::Hold;
use crate::codec::{Assigned, Standing};
use crate::limits;
use crate::placement::{self, Placed, Scene};
use crate::surface::{Cause, Event, Role};
use crate::timers::Timer;
use crate::types::{GroupId, NodeId, NodeSet, Now};

impl Engine {
    pub(super) fn place(&mut self, now: Now) {
        self.timers.clear(Timer::Place);
        let Some(view) = self.view else {
            return;
        };
        if view.coordinator == self.config.me {
            if self.all_report() {
                self.make_plan(now, view.members);
            }
        } else {
            self.adopt_plan(now, view.coordinator);
        }
    }

    /// Every other member is heard under this very view.
    fn all_report(&self) -> bool {
        self.fellows().iter().all(|node| {
            self.peers[node.index()]
                .alive()
                .is_some_and(|life| life.said.view == self.view)
        })
    }

    /// The members run different files.
    pub(super) fn is_frozen(&self) -> bool {
        self.view.is_some_and(|view| {
            view.members
                .iter()
                .any(|node| self.other_file.contains(node))
        })
    }

    fn make_plan(&mut self, now: Now, members: NodeSet) {
        let nodes = self.survey(now, members);
        let mut lines = self.plan.lines;
        for (n, slot) in lines.iter_mut().take(self.config.groups.len()).enumerate() {
            let group = GroupId::from_index(n);
            let placed = placement::place(&self.scene(now, group, &nodes));
            let line = assigned(placed, *slot);
            if slot.replace(line) != Some(line) {
                self.tell(group, placed, line);
            }
        }
        if lines != self.plan.lines {
            self.follow_plan(now, self.plan.version + 1, lines);
        }
    }

    /// Says where a group goes, when that is news.
    fn tell(&mut self, group: GroupId, placed: Placed, line: Assigned) {
        let before = self.plan.lines[group.index()];
        let moved = before.is_none_or(|before| before.node != line.node);
        if moved && matches!(placed, Placed::Go(..)) {
            self.log(Event::Plan {
                group,
                to: line.node,
                cause: line.cause,
            });
        }
        let unplaced = matches!(placed, Placed::Keep(_) | Placed::Nowhere);
        let known = core::mem::replace(&mut self.groups[group.index()].unplaced, unplaced);
        if unplaced && !known {
            self.log(Event::NoEligible {
                group,
                kept: line.node,
            });
        }
    }

    /// Takes the coordinator's plan, once it is of this view and newer than ours.
    fn adopt_plan(&mut self, now: Now, coordinator: NodeId) {
        let Some(life) = self.peers[coordinator.index()].alive() else {
            return;
        };
        if life.said.view != self.view || life.said.plan <= self.plan.version {
            return;
        }
        let version = life.said.plan;
        let lines = life
            .said
            .groups
            .map(|word| word.and_then(|word| word.assigned));
        self.follow_plan(now, version, lines);
    }

    fn follow_plan(&mut self, now: Now, version: u32, lines: [Option<Assigned>; limits::GROUPS]) {
        for (n, line) in lines.iter().enumerate() {
            let health = line.is_some_and(|line| line.cause == Cause::Health);
            if health && self.plan.lines[n] != *line {
                self.groups[n].moved_at = Some(now);
            }
            let wish = self.registers.prefer(GroupId::from_index(n));
            if let Some((node, epoch)) = wish
                && line.is_some_and(|line| line.node == Some(node))
            {
                self.groups[n].obeyed = epoch;
            }
        }
        self.plan = super::Plan { version, lines };
        self.changed();
    }

    /// What placement must know of the nodes, for all groups alike.
    fn survey(&mut self, now: Now, members: NodeSet) -> Survey {
        let timing = self.config.timing;
        let mut survey = Survey::default();
        for node in members.iter() {
            let me = node == self.config.me;
            let leaves = if me {
                self.role != Role::Member
            } else {
                let standing = self.peers[node.index()]
                    .alive()
                    .map(|life| life.said.standing);
                standing != Some(Standing::Member)
            };
            let clients = self.clients[node.index()];
            let lost_at = clients.lost_since.map(|since| since + timing.warntime);
            let found_at = clients.found_since.map(|since| since + timing.warntime);
            let steady_at = clients
                .wavered
                .map(|at| at + limits::DAMPING * timing.deadtime);
            for at in [lost_at, found_at, steady_at].into_iter().flatten() {
                self.timers.set(Timer::Place, at);
            }
            let marks = [
                (&mut survey.members, true),
                (&mut survey.leaving, leaves),
                (&mut survey.standby, self.registers.standby(node)),
                (&mut survey.foreign, self.registers.standby_is_foreign(node)),
                (&mut survey.reachable, clients.reachable == Some(true)),
                (&mut survey.lost, lost_at.is_some_and(|at| now >= at)),
                (&mut survey.found, found_at.is_some_and(|at| now >= at)),
                (&mut survey.unsteady, steady_at.is_some_and(|at| now < at)),
            ];
            for (set, yes) in marks {
                if yes {
                    *set = set.with(node);
                }
            }
        }
        survey
    }

    fn scene(&mut self, now: Now, group: GroupId, nodes: &Survey) -> Scene<'_> {
        let n = group.index();
        let damped_until = self.groups[n]
            .moved_at
            .map(|at| at + limits::DAMPING * self.config.timing.deadtime);
        if let Some(at) = damped_until {
            self.timers.set(Timer::Place, at);
        }
        let barred = self.is_barred(group);
        let (me, own) = (self.config.me, &self.groups[n]);
        let word = |node: NodeId| {
            self.peers[node.index()]
                .alive()
                .and_then(|life| life.said.groups[n])
        };
        let has = |node: &NodeId| *node == me || word(*node).is_some();
        let banned = |node: &NodeId| match *node == me {
            true => barred,
            false => word(*node).is_some_and(|word| word.banned),
        };
        let hold = |node: NodeId| {
            if node == me {
                own.claim.hold
            } else {
                word(node).map_or(Hold::Never, |word| word.claim.hold)
            }
        };
        let tenure = own
            .claim
            .tenure
            .max(own.known.iter().copied().max().unwrap_or(0));
        Scene {
            order: &self.config.groups[n].prefer,
            failback: self.config.groups[n].failback,
            members: nodes.members.iter().filter(has).collect(),
            leaving: nodes.leaving,
            standby: nodes.standby,
            foreign: nodes.foreign,
            banned: nodes.members.iter().filter(banned).collect(),
            reachable: nodes.reachable,
            lost: nodes.lost,
            found: nodes.found,
            unsteady: nodes.unsteady,
            holder: nodes
                .members
                .iter()
                .find(|node| hold(*node) == Hold::Holding),
            planned: self.plan.lines[n].and_then(|line| line.node),
            prefer: self
                .registers
                .prefer(group)
                .map(|(node, epoch)| (node, tenure < epoch && own.obeyed != epoch)),
            frozen: self.is_frozen(),
            damped: damped_until.is_some_and(|until| now < until),
            first: tenure == 0,
        }
    }
}

/// A plan's line for what placement found; where it stays, the cause stays too.
fn assigned(placed: Placed, before: Option<Assigned>) -> Assigned {
    match placed {
        Placed::Go(node, cause) => Assigned {
            node: Some(node),
            cause,
        },
        Placed::Stay(node) | Placed::Keep(node) => {
            let cause = before.map_or(Cause::Failover, |line| line.cause);
            Assigned {
                node: Some(node),
                cause,
            }
        }
        Placed::Nowhere => Assigned {
            node: None,
            cause: Cause::Move,
        },
    }
}

/// Sets of members by what is known of them.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    members: NodeSet,
    leaving: NodeSet,
    standby: NodeSet,
    foreign: NodeSet,
    reachable: NodeSet,
    lost: NodeSet,
    found: NodeSet,
    unsteady: NodeSet,
}
