//! Stage four: the plan. The coordinator makes it, the members follow it.
//!
//! Owns the plan under the present view. Each plan has a version; members say in
//! every beat which one they follow, and a group is started only when all of them
//! follow the plan that says so: nobody can still be acting on an older one. Never
//! starts or stops anything.

use super::Engine;
use crate::claims::Hold;
use crate::codec::{Assigned, Standing};
use crate::config::Failback;
use crate::limits;
use crate::placement::{self, Nodes, Placed, Reasons, Scene, State, Step};
use crate::surface::{Cause, Event, Phase, Role};
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
        let mut timers = self.timers.clone();
        let wake = &mut |at| timers.set(Timer::Place, at);
        let nodes = self.survey(now, members, wake);
        let states = self.states(now, members, wake);
        self.timers = timers;
        let scene = self.scene(nodes, &states);
        let placed = placement::place(&scene);
        let mut lines = self.plan.lines;
        let mut news = [None; limits::GROUPS];
        for (n, (slot, placed_now)) in lines.iter_mut().zip(&placed).enumerate() {
            let line = assigned(*placed_now, *slot);
            if slot.replace(line) != Some(line) {
                news[n] = Some((*placed_now, line, placement::reasons(&scene, &placed, n)));
            }
        }
        for (n, news) in news.iter().enumerate() {
            if let Some((placed, line, reasons)) = news {
                self.tell(GroupId::from_index(n), *placed, *line, *reasons);
            }
        }
        if lines != self.plan.lines {
            self.follow_plan(now, self.plan.version + 1, lines);
        }
    }

    /// What placement must know of all groups.
    pub(super) fn states(
        &self,
        now: Now,
        members: NodeSet,
        wake: &mut impl FnMut(Now),
    ) -> [State; limits::GROUPS] {
        let mut states = [State::default(); limits::GROUPS];
        for (n, state) in states.iter_mut().take(self.config.groups.len()).enumerate() {
            *state = self.state(now, GroupId::from_index(n), members, wake);
        }
        states
    }

    /// Everything that placement looks at.
    pub(super) fn scene<'a>(&'a self, nodes: Nodes, states: &'a [State]) -> Scene<'a> {
        Scene {
            groups: &self.config.groups,
            colocations: &self.config.colocations,
            capacity: &self.config.capacity,
            nodes,
            states: &states[..self.config.groups.len()],
        }
    }

    /// Says where a group goes, and why not elsewhere, when that is news.
    fn tell(&mut self, group: GroupId, placed: Placed, line: Assigned, reasons: Reasons) {
        let before = self.plan.lines[group.index()];
        let moved = before.is_none_or(|before| before.nodes != line.nodes);
        if moved && matches!(placed.step, Step::Go(..)) {
            self.log(Event::Plan {
                group,
                to: line.nodes,
                cause: line.cause,
                reasons,
            });
        }
        let unplaced =
            matches!(placed.step, Step::Keep | Step::Nowhere) && !self.is_settling(group);
        let known = core::mem::replace(&mut self.groups[group.index()].unplaced, unplaced);
        if unplaced && !known {
            self.log(Event::NoEligible {
                group,
                kept: line.nodes.lowest(),
                reasons,
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
            let Some(wish) = wish else { continue };
            if self.blocked_on(GroupId::from_index(n)).is_some() {
                // it never left: the wish is open until it has been there
                self.groups[n].obeyed = 0;
            } else if line.is_some_and(|line| line.nodes.contains(wish.node)) {
                self.groups[n].obeyed = wish.epoch;
            } else if self.groups[n].obeyed == wish.epoch {
                self.groups[n].left = wish.epoch;
            }
        }
        self.plan = super::Plan { version, lines };
        self.changed();
    }

    /// What placement looks at of the nodes, as seen from here: the coordinator places by
    /// it, and any other member would.
    pub fn sees_nodes(&self, now: Now) -> Nodes {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        self.survey(now, members, &mut |_| {})
    }

    /// What placement looks at of a group, as seen from here.
    pub fn sees_group(&self, now: Now, group: GroupId) -> State {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        self.state(now, group, members, &mut |_| {})
    }

    /// What placement must know of the nodes, for all groups alike. `wake` hears when time
    /// alone will change it.
    pub(super) fn survey(&self, now: Now, members: NodeSet, wake: &mut impl FnMut(Now)) -> Nodes {
        let timing = self.config.timing;
        let mut survey = Nodes {
            members,
            frozen: self.is_frozen(),
            ..Nodes::default()
        };
        let quarantined = self.quarantined(members);
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
            [lost_at, found_at, steady_at]
                .into_iter()
                .flatten()
                .for_each(&mut *wake);
            let marks = [
                (&mut survey.leaving, leaves),
                (
                    &mut survey.standby,
                    self.registers.standby(node) || quarantined.contains(node),
                ),
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

    /// Members in quarantine, as long as others are left to run things.
    fn quarantined(&self, members: NodeSet) -> NodeSet {
        let quarantined = |node: &NodeId| self.registers.quarantined(*node);
        let standby = |node: &NodeId| self.registers.standby(*node);
        let out: NodeSet = members.iter().filter(quarantined).collect();
        let able = members.minus(out);
        let able = able
            .iter()
            .filter(|node| !standby(node) && self.runs_any(*node));
        match able.count() {
            0 => NodeSet::EMPTY,
            _ => out,
        }
    }

    /// Whether the file lets a node run anything: a voter does not.
    fn runs_any(&self, node: NodeId) -> bool {
        self.config.groups.iter().any(|group| group.may_run(node))
    }

    /// What placement must know of one group.
    fn state(
        &self,
        now: Now,
        group: GroupId,
        members: NodeSet,
        wake: &mut impl FnMut(Now),
    ) -> State {
        let n = group.index();
        let damped_until = self.groups[n]
            .moved_at
            .map(|at| at + limits::DAMPING * self.config.timing.deadtime);
        damped_until.into_iter().for_each(&mut *wake);
        let barred = self.is_barred(group);
        let waiting = self.waiting(now, group, members, wake);
        let clone = self.is_clone(group);
        let (unfit, scores) = self.promotions(group, members);
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
        let rule = self.config.groups[n].health;
        let unwell = |node: &NodeId| rule.bars(self.health(*node));
        let holds = |node: &NodeId| {
            if clone {
                let phase = self.phase_on(*node, group);
                return matches!(phase, Phase::Starting | Phase::Running);
            }
            let hold = match *node == me {
                true => own.claim.hold,
                false => word(*node).map_or(Hold::Never, |word| word.claim.hold),
            };
            hold == Hold::Holding
        };
        let tenure = own
            .claim
            .tenure
            .max(own.known.iter().copied().max().unwrap_or(0));
        let planned = self.plan.lines[n].map_or(NodeSet::EMPTY, |line| line.nodes);
        let prefer = self.registers.prefer(group).and_then(|wish| {
            let pending = tenure < wish.epoch && own.obeyed != wish.epoch;
            // A move once holds until something else moves the group on.
            let holds = planned.contains(wish.node) && own.left != wish.epoch;
            (pending || wish.lasting || holds).then_some((wish.node, pending))
        });
        // what cannot be stopped is where it is, whatever the plan was
        let stuck = match clone {
            true => None,
            false => self.blocked_on(group).map(NodeSet::only),
        };
        State {
            known: members.iter().filter(has).collect(),
            banned: members.iter().filter(banned).collect(),
            unwell: members.iter().filter(unwell).collect(),
            holders: stuck.unwrap_or_else(|| members.iter().filter(holds).collect()),
            planned: stuck.unwrap_or(planned),
            prefer,
            waiting,
            damped: damped_until.is_some_and(|until| now < until),
            first: clone || tenure == 0,
            pinned: self.is_pinned(group) || stuck.is_some(),
            unfit,
            scores,
        }
    }

    /// Members whose return is too recent for a delayed failback of a group.
    fn waiting(
        &self,
        now: Now,
        group: GroupId,
        members: NodeSet,
        wake: &mut impl FnMut(Now),
    ) -> NodeSet {
        let Failback::Delayed(delay) = self.config.groups[group.index()].failback else {
            return NodeSet::EMPTY;
        };
        let mut waiting = NodeSet::EMPTY;
        for node in members.iter() {
            let over = self.joined_at[node.index()] + delay;
            if now < over {
                wake(over);
                waiting = waiting.with(node);
            }
        }
        waiting
    }
}

/// A plan's line for what placement found; where it stays, the cause stays too.
fn assigned(placed: Placed, before: Option<Assigned>) -> Assigned {
    let cause = match placed.step {
        Step::Go(cause) => cause,
        Step::Stay | Step::Keep => before.map_or(Cause::Failover, |line| line.cause),
        Step::Nowhere => Cause::Move,
    };
    Assigned {
        nodes: placed.nodes,
        cause,
    }
}
