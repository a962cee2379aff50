//! What a cluster would do: events one after the other, and after each of them placement.
//!
//! Owns the translation of events into what placement looks at, and of places into what is
//! stopped and started, in the file's order. Placement itself is the engine's: nothing is
//! judged here. Knows no time: every stop and start succeeds at once, and what time decides
//! (damping, settling, a delayed failback) lasts until an event says that it is over. Where
//! an arbiter settles ties it is there, and speaks for the nodes that are. Speaks to no node.

#[cfg(test)]
mod cases;
mod file;
mod running;
mod words;

use kodo_config::Cluster;
use kodo_engine::config::{Config, Failback, OnStopFailure, Order};
use kodo_engine::placement::{
    Nodes, Placed, Reasons, Scene, State, Step, Verdict, place, reasons, verdict,
};
use kodo_engine::surface::{Cause, Health};
use kodo_engine::types::{GroupId, NodeId, NodeSet};

pub(crate) use words::{Event, WORDS, Word, action, group, judged, node, pair};

/// A cluster at one moment, everything carried out.
#[derive(Clone, Debug)]
pub(crate) struct Future {
    config: Config,
    /// As placement sees them, quarantine and other files aside.
    nodes: Nodes,
    quarantined: NodeSet,
    health: Vec<Health>,
    /// Where a group's stop failed.
    stuck: Vec<Option<NodeId>>,
    /// Nodes that run another file than the rest.
    other_file: NodeSet,
    maintenance: bool,
    unmanaged: Vec<bool>,
    /// `pinned` and what the nodes decide together is filled in when it is placed.
    states: Vec<State>,
    placed: Vec<Placed>,
    /// Why it is placed like that, by group; empty before it was placed.
    reasons: Vec<Reasons>,
    /// Wishes that end when they are fulfilled.
    once: Vec<bool>,
    /// Groups that another file has stopped, and that it starts again.
    changed: Vec<bool>,
    /// An instance that has just failed, and is on its way up again.
    crashed: Option<(GroupId, NodeId)>,
    /// Nothing was placed yet: what has no place is news.
    fresh: bool,
    /// Their votes do not count: operators vouched for them as dead.
    written_off: NodeSet,
    /// The members have the votes to decide.
    decided: bool,
}

/// Something that a node does with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Stop(GroupId, NodeId),
    Start(GroupId, NodeId, Why),
    /// It stays where it may not run: there is no better place.
    Keep(GroupId, NodeId),
    /// It has no place any more.
    Down(GroupId),
    /// It has a place, and waits for the other group to run.
    Wait(GroupId, GroupId),
    /// Too few nodes are left to decide anything, or enough are back.
    Quorum(bool),
}

impl Action {
    /// The group that is started.
    pub(crate) fn starts(self) -> Option<GroupId> {
        match self {
            Action::Start(group, ..) => Some(group),
            _ => None,
        }
    }
}

/// Why a group is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Placement says so.
    Placed(Cause),
    /// The other group, which it needs, was started before.
    After(GroupId),
    /// It is another thing in the new file.
    Changed,
}

/// What the engine gets of a file; of its own node, the first one, nothing is asked.
///
/// # Errors
/// When the file has no node.
pub(crate) fn config(file: &Cluster) -> Result<Config, String> {
    let first = file.nodes.first().ok_or("the file has no node")?;
    let node = file.node(&first.name).map_err(|error| error.to_string())?;
    Ok(node.engine)
}

impl Future {
    /// A healthy cluster without the nodes that are `down`, nothing running yet.
    pub(crate) fn new(config: Config, down: NodeSet) -> Future {
        let members = NodeSet::first(config.nodes.len()).minus(down);
        let groups = config.groups.len();
        Future {
            nodes: Nodes {
                members,
                reachable: members,
                found: members,
                ..Nodes::default()
            },
            quarantined: NodeSet::EMPTY,
            health: vec![Health::Green; config.nodes.len()],
            stuck: vec![None; groups],
            other_file: NodeSet::EMPTY,
            maintenance: false,
            unmanaged: vec![false; groups],
            states: vec![
                State {
                    first: true,
                    ..State::default()
                };
                groups
            ],
            placed: vec![Placed::default(); groups],
            reasons: Vec::new(),
            once: vec![false; groups],
            changed: vec![false; groups],
            crashed: None,
            fresh: true,
            written_off: NodeSet::EMPTY,
            decided: true,
            config,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Where each group runs.
    pub(crate) fn runs(&self, group: GroupId) -> NodeSet {
        self.states[group.index()].holders
    }

    /// Groups run there already, however they came there.
    pub(crate) fn put(&mut self, runs: &[(GroupId, NodeId)]) {
        for (group, _) in runs {
            self.states[group.index()].holders = NodeSet::EMPTY;
        }
        for (group, node) in runs {
            let state = &mut self.states[group.index()];
            state.holders = state.holders.with(*node);
            state.planned = state.holders;
            state.first = false;
            self.placed[group.index()] = Placed {
                nodes: state.holders,
                step: Step::Stay,
            };
        }
    }

    /// What speaks for or against a group on each node, as things are now.
    pub(crate) fn why(&self, group: GroupId) -> Vec<(NodeId, Verdict)> {
        let (nodes, states) = self.seen();
        let scene = self.scene(nodes, &states);
        let all = NodeSet::first(self.config.nodes.len());
        all.iter()
            .map(|node| (node, verdict(&scene, &self.placed, group.index(), node)))
            .collect()
    }

    /// Why a group was placed where it is, and on no other node, in the words of the
    /// cluster's own log.
    pub(crate) fn because(&self, group: GroupId) -> Option<String> {
        let reasons = self.reasons.get(group.index())?;
        let mut text = String::new();
        // a String takes everything
        let _ = reasons.text(&self.config, &mut text);
        (!reasons.are_none()).then_some(text)
    }

    /// Something happens; what follows from it comes with [`Future::settle`].
    ///
    /// # Errors
    /// When the nodes would refuse it.
    pub(crate) fn happen(&mut self, event: Event) -> Result<(), String> {
        let nodes = &mut self.nodes;
        match event {
            Event::Fail(node) => self.fail(node),
            Event::Join(node) => self.join(node),
            Event::Standby(node) => {
                if !self.other_file.is_empty() {
                    return Err("refused: the nodes run different files".to_owned());
                }
                nodes.standby = nodes.standby.with(node);
            }
            Event::StandbyElsewhere(node) => {
                nodes.standby = nodes.standby.with(node);
                nodes.foreign = nodes.foreign.with(node);
            }
            Event::Online(node) => {
                nodes.standby = nodes.standby.without(node);
                nodes.foreign = nodes.foreign.without(node);
                self.quarantined = self.quarantined.without(node);
            }
            Event::Quarantine(node) => self.quarantined = self.quarantined.with(node),
            Event::Health(node, health) => self.health[node.index()] = health,
            Event::Stuck(group, node) => {
                let blocks =
                    self.config.groups[group.index()].on_stop_failure == OnStopFailure::Block;
                if !blocks {
                    return Err("the node resets itself: see `fail`".to_owned());
                }
                let holds = self.states[group.index()].holders.contains(node);
                self.stuck[group.index()] = holds.then_some(node);
            }
            Event::Leave(node) => nodes.leaving = nodes.leaving.with(node),
            Event::LoseClients(node) => {
                nodes.reachable = nodes.reachable.without(node);
                nodes.found = nodes.found.without(node);
                nodes.lost = nodes.lost.with(node);
                nodes.unsteady = nodes.unsteady.with(node);
            }
            Event::RegainClients(node) => {
                nodes.reachable = nodes.reachable.with(node);
                nodes.found = nodes.found.with(node);
                nodes.lost = nodes.lost.without(node);
            }
            Event::OtherFile(node) => self.other_file = self.other_file.with(node),
            Event::SameFile(node) => self.other_file = self.other_file.without(node),
            Event::Broken(group, node) => {
                let banned = &mut self.states[group.index()].banned;
                *banned = banned.with(node);
            }
            Event::Stop(group) => {
                let state = &mut self.states[group.index()];
                state.banned = state.banned.union(state.holders);
            }
            Event::Crash(group, node) => {
                let runs = self.states[group.index()].holders.contains(node);
                self.crashed = runs.then_some((group, node));
            }
            Event::Promotion(group, node, score) => {
                if self.config.promoted(group).is_none() {
                    return Err("refused: the group promotes nothing".to_owned());
                }
                let state = &mut self.states[group.index()];
                state.scores[node.index()] = score.max(0);
                state.unfit = match score < 0 {
                    true => state.unfit.with(node),
                    false => state.unfit.without(node),
                };
            }
            Event::Cleanup(group) => {
                self.states[group.index()].banned = NodeSet::EMPTY;
                self.stuck[group.index()] = None;
            }
            Event::Move(group, node, once) => {
                self.may_move(group, node)?;
                self.states[group.index()].prefer = Some((node, true));
                self.once[group.index()] = once;
            }
            Event::Maintenance(on) => self.maintenance = on,
            Event::Manage(group, yes) => self.unmanaged[group.index()] = !yes,
            Event::Wait => {
                nodes.unsteady = nodes.unsteady.minus(nodes.reachable);
                for state in &mut self.states {
                    state.waiting = NodeSet::EMPTY;
                    state.damped = false;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, node: NodeId) {
        let nodes = &mut self.nodes;
        for set in [
            &mut nodes.members,
            &mut nodes.leaving,
            &mut nodes.reachable,
            &mut nodes.found,
            &mut nodes.lost,
            &mut nodes.unsteady,
            &mut self.other_file,
        ] {
            *set = set.without(node);
        }
        self.health[node.index()] = Health::Green;
        for stuck in &mut self.stuck {
            *stuck = stuck.filter(|on| *on != node);
        }
        for state in &mut self.states {
            state.holders = state.holders.without(node);
            // its fail counts are gone with its memory
            state.banned = state.banned.without(node);
            // and so is what its instance said
            state.unfit = state.unfit.without(node);
            state.scores[node.index()] = 0;
        }
    }

    fn join(&mut self, node: NodeId) {
        if self.nodes.members.contains(node) {
            return;
        }
        let nodes = &mut self.nodes;
        for set in [&mut nodes.members, &mut nodes.reachable, &mut nodes.found] {
            *set = set.with(node);
        }
        for (state, group) in self.states.iter_mut().zip(&self.config.groups) {
            if matches!(group.failback, Failback::Delayed(_)) {
                state.waiting = state.waiting.with(node);
            }
        }
    }

    /// As the engine judges an operator's command.
    fn may_move(&self, group: GroupId, node: NodeId) -> Result<(), String> {
        let state = &self.states[group.index()];
        let why = if !self.config.groups[group.index()].may_run(node) {
            "the file does not let it run there"
        } else if !self.other_file.is_empty() {
            "the nodes run different files"
        } else if self.stuck[group.index()].is_some() {
            "it could not be stopped, and stays where it is until `cleanup`"
        } else if self.is_pinned(group.index()) {
            "it is left alone"
        } else if !self.nodes.members.contains(node) {
            "the node is not a member"
        } else if state.banned.contains(node) || self.nodes.standby.contains(node) {
            "the node is on standby, or the group failed there"
        } else if !self.has_instance(group, node) {
            "no instance runs there that it could promote"
        } else {
            return Ok(());
        };
        Err(format!("refused: {why}"))
    }

    /// Whether a group that promotes could do so on a node.
    fn has_instance(&self, group: GroupId, node: NodeId) -> bool {
        let Some((clone, _)) = self.config.promoted(group) else {
            return true;
        };
        let runs = self.states[clone.index()].holders.contains(node);
        runs && !self.states[group.index()].unfit.contains(node)
    }

    fn is_pinned(&self, group: usize) -> bool {
        self.maintenance || self.unmanaged[group] || self.stuck[group].is_some()
    }

    /// What placement looks at.
    fn seen(&self) -> (Nodes, Vec<State>) {
        let mut nodes = self.nodes;
        let out = self.quarantined.both(nodes.members);
        let groups = &self.config.groups;
        let able = nodes.members.minus(out).minus(nodes.standby);
        let able =
            |node: NodeId| groups.iter().any(|group| group.may_run(node)) && able.contains(node);
        // quarantine never leaves a cluster without a node to run things
        if nodes.members.iter().any(able) {
            nodes.standby = nodes.standby.union(out);
        }
        nodes.frozen = !self.other_file.is_empty();
        let unwell = |group: usize| {
            let rule = groups[group].health;
            let ill = |node: &NodeId| rule.bars(self.health[node.index()]);
            nodes.members.iter().filter(ill).collect()
        };
        // nodes without an instance; before the first promotion all are waited for
        let lacking = |n: usize| match self.config.promoted(GroupId::from_index(n)) {
            Some((clone, _)) if !self.states[n].first => {
                let run = self.states[clone.index()].holders;
                let crashed = self.crashed.filter(|(of, _)| *of == clone);
                nodes
                    .members
                    .minus(crashed.map_or(run, |(_, node)| run.without(node)))
            }
            _ => NodeSet::EMPTY,
        };
        let state = |(n, state): (usize, &State)| State {
            unfit: state.unfit.union(lacking(n)),
            known: nodes.members,
            unwell: unwell(n),
            first: state.first || self.config.groups[n].clones.is_some(),
            pinned: self.is_pinned(n),
            ..*state
        };
        let states = self.states.iter().enumerate().map(state).collect();
        (nodes, states)
    }

    fn scene<'a>(&'a self, nodes: Nodes, states: &'a [State]) -> Scene<'a> {
        Scene {
            groups: &self.config.groups,
            colocations: &self.config.colocations,
            capacity: &self.config.capacity,
            nodes,
            states,
        }
    }

    /// What is done about the present state, in its order; it is carried out at once.
    pub(crate) fn settle(&mut self) -> Vec<Action> {
        let staying = self.nodes.members.minus(self.nodes.leaving);
        let decides = self.config.decides(staying, self.written_off);
        let news = (decides != self.decided).then_some(Action::Quorum(decides));
        self.decided = decides;
        let done = match decides {
            true => self.arrange_all(),
            false => self.give_up(),
        };
        news.into_iter().chain(done).collect()
    }

    /// Nobody may decide: nothing new is placed, and what needs a lease stops.
    fn give_up(&mut self) -> Vec<Action> {
        let mut stops = Vec::new();
        for group in self.sequence().into_iter().rev() {
            if self.config.groups[group].clones.is_some() {
                continue;
            }
            let holders = core::mem::take(&mut self.states[group].holders);
            let stop = |node| Action::Stop(GroupId::from_index(group), node);
            stops.extend(holders.iter().map(stop));
        }
        stops
    }

    /// Only what runs can be promoted, so what is started now, or again, is looked at once
    /// more.
    fn arrange_all(&mut self) -> Vec<Action> {
        let mut done = self.arrange();
        let mut groups = (0..self.config.groups.len()).map(GroupId::from_index);
        if groups.any(|group| self.config.promoted(group).is_some()) {
            self.crashed = None;
            done.extend(self.arrange());
        }
        done
    }

    fn arrange(&mut self) -> Vec<Action> {
        let (nodes, states) = self.seen();
        let scene = self.scene(nodes, &states);
        let placed = place(&scene).to_vec();
        let why = (0..placed.len()).map(|group| reasons(&scene, &placed, group));
        self.reasons = why.collect();
        let sequence = self.sequence();
        let runs: Vec<NodeSet> = self.states.iter().map(|state| state.holders).collect();
        let mut stops = Vec::new();
        let mut starts = Vec::new();
        // groups whose run was interrupted, and those that do not run
        let mut halted = vec![false; placed.len()];
        for group in sequence.iter().copied() {
            let id = GroupId::from_index(group);
            let (before, after) = (runs[group], placed[group].nodes);
            let missing = self.musts(group).find(|order| {
                let first = order.first.index();
                !self.is_pinned(group) && self.states[first].holders.is_empty()
            });
            let again = self
                .musts(group)
                .find(|order| halted[order.first.index()] && !self.is_pinned(group));
            let goal = match missing {
                Some(_) => NodeSet::EMPTY,
                None if self.is_pinned(group) => before,
                None => after,
            };
            let kept = if again.is_some() {
                NodeSet::EMPTY
            } else {
                before.both(goal)
            };
            halted[group] = kept.is_empty();
            stops.push(
                before
                    .minus(kept)
                    .iter()
                    .map(move |node| Action::Stop(id, node)),
            );
            let why = match (placed[group].step, again) {
                (Step::Go(cause), _) => Why::Placed(cause),
                (_, Some(order)) => Why::After(order.first),
                _ if self.changed[group] => Why::Changed,
                // it had waited for the file's order, or for its node to be back
                (_, None) => Why::Placed(Cause::Start),
            };
            let new = goal.minus(kept).iter();
            starts.extend(new.map(|node| Action::Start(id, node, why)));
            starts.extend(self.unwell(group, before, placed[group], missing));
            self.states[group].holders = goal;
        }
        self.carry_out(&placed);
        let stops = stops.into_iter().rev().flatten();
        stops.chain(starts).collect()
    }

    /// What is to be said of a group that is not well placed, when that is news.
    fn unwell(
        &self,
        group: usize,
        before: NodeSet,
        placed: Placed,
        missing: Option<Order>,
    ) -> Option<Action> {
        let id = GroupId::from_index(group);
        let old = self.placed[group];
        let down = placed.step == Step::Nowhere;
        match (placed.step, missing) {
            (Step::Keep, _) if old != placed => placed.node().map(|node| Action::Keep(id, node)),
            _ if down && !(old.nodes.is_empty() && before.is_empty() && !self.fresh) => {
                Some(Action::Down(id))
            }
            _ if down => None,
            (_, Some(order)) if !before.is_empty() || old.nodes != placed.nodes => {
                Some(Action::Wait(id, order.first))
            }
            _ => None,
        }
    }

    fn carry_out(&mut self, placed: &[Placed]) {
        for (n, placed) in placed.iter().enumerate() {
            let state = &mut self.states[n];
            state.planned = placed.nodes;
            state.first &= state.holders.is_empty();
            state.damped |= placed.step == Step::Go(Cause::Health);
            match &mut state.prefer {
                Some((node, pending)) if placed.nodes.contains(*node) => *pending = false,
                // A move once holds until something else moves the group on.
                Some((_, false)) if self.once[n] => state.prefer = None,
                _ => {}
            }
        }
        self.placed = placed.to_vec();
        self.changed.fill(false);
        self.fresh = false;
    }

    /// Orders that a group must keep.
    fn musts(&self, group: usize) -> impl Iterator<Item = Order> {
        let orders = self.config.orders.iter().copied();
        orders.filter(move |order| order.must && order.then.index() == group)
    }

    /// Groups, each after those that start before it; otherwise as in the file.
    fn sequence(&self) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.config.groups.len()).collect();
        let mut sequence = Vec::new();
        while !left.is_empty() {
            let waits = |group: usize| {
                let orders = self.config.orders.iter();
                let mut firsts = orders.filter(|order| order.then.index() == group);
                firsts.any(|order| left.contains(&order.first.index()))
            };
            let next = left.iter().position(|group| !waits(*group));
            // the file's reader refuses circles
            sequence.push(left.remove(next.unwrap_or(0)));
        }
        sequence
    }
}
