//! Where each group should run: a pure function of what the coordinator knows.
//!
//! Owns the order of arguments for and against a place. Never starts or stops anything,
//! and never looks at a clock: what time decides (damping, settling, delays) comes in as
//! sets of nodes.
//!
//! An arrangement of all groups is judged as a whole, and the best one is taken. One is
//! better than another by the first of these that differs; within a line a more important
//! group counts before all less important ones together:
//!
//! 1. more important groups run at all;
//! 2. on nodes that may run them. A group whose only open node is the one that it failed on,
//!    or that another view put on standby, is kept there by its holder rather than down;
//! 3. where clients come. Its own node counts until it has been without clients for the
//!    settling time (within the damping window: always), another one once it has had them
//!    for that long. A group that is nowhere yet asks only whether they come now;
//! 4. fewer groups leave the place that they have; of as many, less important ones. A place
//!    that is asked for is as good as its own: where an operator's open wish points, or a
//!    better place by `failback`; of the group itself or of one that it must be with, and
//!    where the wish for one points that must be with it. Nobody else leaves for a wish; of
//!    as many that leave, a wish that stays open counts like one of them. Wishes that cannot
//!    all be fulfilled are, one after the other;
//! 5. the sum of scores is higher: locations, how fit an instance is to be promoted,
//!    stickiness at the own place, colocations, and an operator's last wish before all of them.
//!
//! What remains equal: the most important group gets the place that is best for itself, then
//! the next one; and of those the node that the file names first.
//!
//! More important is what has the higher priority, then what the file names first; what a
//! group must be with is as important as the group. `failback` looks at locations, the
//! instances' word, wishes and stickiness only: company alone moves nothing that runs.
//!
//! `Must` and `Never` colocations, capacities and locations hold in every arrangement. What
//! is not to be touched is excepted, and comes first: the others make do with where it is.
//! Then come clones, each by itself and the most important first: on nodes where they run
//! already, then where clients come, then by score. They leave room, or do not, for the
//! groups that one node holds, however important those are.
//!
//! The search is exact until it has tried [`limits::TRIES`] partial arrangements; from then
//! on the best one found counts, which is never worse than giving each group in turn the best
//! place that is left. `Must` colocations have no circles, and clones follow nothing:
//! `kodo-config` refuses both.

mod search;
#[cfg(test)]
mod tests;
mod why;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::config::{Colocation, Failback, Group, Together};
use crate::limits;
use crate::surface::Cause;
use crate::types::{NodeId, NodeSet};

pub use why::{Reasons, Verdict, reasons, verdict};

/// Everything that placement looks at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// From the file.
    pub groups: &'a [Group],
    /// From the file.
    pub colocations: &'a [Colocation],
    /// Of each node of the file.
    pub capacity: &'a [u16],
    /// What is known of the nodes.
    pub nodes: Nodes,
    /// What is known of each group, in the order of `groups`.
    pub states: &'a [State],
}

/// What is known of the nodes, for all groups alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// Members of the view.
    pub members: NodeSet,
    /// Nodes that leave, or were refused.
    pub leaving: NodeSet,
    /// Nodes that operators put on standby, or that failed too often.
    pub standby: NodeSet,
    /// Of those, learned from another view: a merge, not an order to this one.
    pub foreign: NodeSet,
    /// Nodes that reach the clients.
    pub reachable: NodeSet,
    /// Nodes that have not reached the clients for the settling time.
    pub lost: NodeSet,
    /// Nodes that have reached the clients for the settling time: when the LAN comes
    /// back, one node hears of it first, and that is no reason to move.
    pub found: NodeSet,
    /// Nodes that lost the clients within the damping window: no failback to them yet.
    pub unsteady: NodeSet,
    /// The nodes run different files: no voluntary moves.
    pub frozen: bool,
}

/// What is known of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Members whose file has the group.
    pub known: NodeSet,
    /// Nodes where it may not run at present: fail count, stranger on the VIP.
    pub banned: NodeSet,
    /// Nodes that are too ill for it.
    pub unwell: NodeSet,
    /// Who holds it; of a clone, where it runs.
    pub holders: NodeSet,
    /// Where the plan wants it so far.
    pub planned: NodeSet,
    /// An operator's preferred node, and whether that wish is still to be fulfilled.
    pub prefer: Option<(NodeId, bool)>,
    /// Nodes whose return is too recent for a delayed failback.
    pub waiting: NodeSet,
    /// No move for reachability within the damping window of the last one.
    pub damped: bool,
    /// Nobody held it before.
    pub first: bool,
    /// Not to be touched: it stays where it is, or down.
    pub pinned: bool,
    /// Nodes without an instance that it could promote; none of a group that promotes nothing.
    pub unfit: NodeSet,
    /// How fit each node's instance says it is to be promoted.
    pub scores: [i16; limits::NODES],
}

/// Where a group should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// On one node, or none; a clone on several.
    pub nodes: NodeSet,
    /// What that means for it.
    pub step: Step,
}

impl Placed {
    /// The node of a group that is no clone.
    pub fn node(self) -> Option<NodeId> {
        self.nodes.lowest()
    }
}

/// What placement means for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// As planned so far, or where it is.
    Stay,
    /// There from now on.
    Go(Cause),
    /// A holder keeps it although no node may run it.
    Keep,
    /// No node may run it.
    #[default]
    Nowhere,
}

/// What an operator's lasting preference is worth: more than all that a file can say.
const PREFERRED: i64 = 1 << 40;

/// Places all groups.
///
/// # Panics
/// When there are more than [`limits::PLACED`] groups, or not one state for each.
pub fn place(scene: &Scene<'_>) -> Vec<Placed, { limits::PLACED }> {
    assert!(
        scene.groups.len() <= limits::PLACED && scene.groups.len() == scene.states.len(),
        "one state for each group"
    );
    let mut placed: Vec<Placed, { limits::PLACED }> =
        scene.groups.iter().map(|_| Placed::default()).collect();
    let mut room = Room::new(scene);
    let pinned = |group: usize| scene.states[group].pinned;
    for (group, slot) in placed.iter_mut().enumerate().filter(|(n, _)| pinned(*n)) {
        *slot = untouched(scene, group, &mut room);
    }
    let order = importance(scene);
    for group in order.iter().copied() {
        if scene.groups[group].clones.is_some() && !pinned(group) {
            placed[group] = clones(scene, group, &placed, &mut room);
        }
    }
    search::arrange(scene, &order, room, &mut placed);
    placed
}

/// Groups, the most important first; what a group must be with is as important as itself.
fn importance(scene: &Scene<'_>) -> Vec<usize, { limits::PLACED }> {
    let mut ranked: Vec<usize, { limits::PLACED }> = (0..scene.groups.len()).collect();
    ranked
        .sort_unstable_by_key(|group| (core::cmp::Reverse(scene.groups[*group].priority), *group));
    let mut order = Vec::new();
    let mut seen = 0u64;
    for group in ranked {
        visit(scene, group, &mut seen, &mut order);
    }
    order
}

/// Appends a group after those that it must be with. Each is entered once, so a circle ends.
fn visit(
    scene: &Scene<'_>,
    group: usize,
    seen: &mut u64,
    order: &mut Vec<usize, { limits::PLACED }>,
) {
    if *seen & (1 << group) != 0 {
        return;
    }
    *seen |= 1 << group;
    let needs = |pair: &&Colocation| pair.group.index() == group && pair.bond == Together::Must;
    for pair in scene.colocations.iter().filter(needs) {
        visit(scene, pair.with.index(), seen, order);
    }
    let pushed = order.push(group);
    debug_assert!(pushed.is_ok(), "each group comes once");
}

/// What the nodes can still carry.
#[derive(Clone, Copy, Debug)]
struct Room([u16; limits::NODES]);

impl Room {
    fn new(scene: &Scene<'_>) -> Room {
        let mut room = [0; limits::NODES];
        for (slot, capacity) in room.iter_mut().zip(scene.capacity) {
            *slot = *capacity;
        }
        Room(room)
    }

    fn fits(&self, node: NodeId, weight: u16) -> bool {
        self.0[node.index()] >= weight
    }

    /// What stays where it no longer fits leaves nothing.
    fn take(&mut self, node: NodeId, weight: u16) {
        let slot = &mut self.0[node.index()];
        *slot = slot.saturating_sub(weight);
    }

    fn give(&mut self, node: NodeId, weight: u16) {
        self.0[node.index()] += weight;
    }
}

impl Scene<'_> {
    /// Where a group is, or is about to be.
    fn here(&self, group: usize) -> NodeSet {
        let state = &self.states[group];
        let planned = state.planned.both(self.nodes.members);
        match planned.is_empty() || self.groups[group].clones.is_some() {
            true => planned.union(state.holders.both(self.nodes.members)),
            false => planned,
        }
    }

    /// Nodes that may run a group, whatever the other groups do.
    fn eligible(&self, group: usize) -> NodeSet {
        let nodes = &self.nodes;
        let may = |node: &NodeId| self.groups[group].may_run(*node);
        let state = &self.states[group];
        let barred = nodes.leaving.union(nodes.standby);
        let barred = barred.union(state.banned).union(state.unwell);
        let barred = barred.union(state.unfit);
        let known = state.known.both(nodes.members).minus(barred);
        known.iter().filter(may).collect()
    }

    /// What a node is worth to a group by the file, its instance's word and operators.
    fn worth(&self, group: usize, node: NodeId) -> i64 {
        let wish = self.states[group].prefer.map(|(node, _)| node);
        let file = self.groups[group].score(node).map_or(0, i64::from);
        let fit = i64::from(self.states[group].scores[node.index()]);
        file + fit + if wish == Some(node) { PREFERRED } else { 0 }
    }

    /// Nodes to which a group that is `here` goes by itself.
    fn better(&self, group: usize, here: NodeId, eligible: NodeSet) -> NodeSet {
        let nodes = &self.nodes;
        let state = &self.states[group];
        let late = match self.groups[group].failback {
            Failback::Auto => NodeSet::EMPTY,
            Failback::Delayed(_) => state.waiting,
            Failback::Manual => return NodeSet::EMPTY,
        };
        if nodes.frozen {
            return NodeSet::EMPTY;
        }
        let steady = eligible.both(nodes.found).minus(nodes.unsteady).minus(late);
        let enough = self.worth(group, here) + i64::from(self.groups[group].stickiness);
        let worth = |node: &NodeId| self.worth(group, *node) > enough;
        steady.without(here).iter().filter(worth).collect()
    }

    /// The holder of a group keeps it rather than nobody has it.
    fn last(&self, group: usize, here: NodeId) -> bool {
        let nodes = &self.nodes;
        let told = nodes.leaving.contains(here)
            || (nodes.standby.contains(here) && nodes.foreign.is_empty());
        let holds = self.states[group].holders.contains(here);
        let can = self.groups[group].may_run(here) && !self.states[group].unfit.contains(here);
        holds && !told && can
    }

    /// Whether a group gets its place before the search: a clone, or not to be touched.
    fn settled(&self, group: usize) -> bool {
        self.groups[group].clones.is_some() || self.states[group].pinned
    }

    /// Nodes where what is settled lets a group be.
    fn beside(&self, group: usize, placed: &[Placed]) -> NodeSet {
        let all = NodeSet::first(self.capacity.len());
        self.colocations.iter().fold(all, |open, pair| {
            let (one, other) = (pair.group.index(), pair.with.index());
            match pair.bond {
                Together::Must if one == group && self.settled(other) => {
                    open.both(placed[other].nodes)
                }
                Together::Never if one == group && self.settled(other) => {
                    open.minus(placed[other].nodes)
                }
                Together::Never if other == group && self.settled(one) => {
                    open.minus(placed[one].nodes)
                }
                Together::Must | Together::Never | Together::Score(_) => open,
            }
        })
    }

    /// What being with what is settled is worth at a node.
    fn company(&self, group: usize, node: NodeId, placed: &[Placed]) -> i64 {
        let worth = |pair: &Colocation| {
            let (one, other) = (pair.group.index(), pair.with.index());
            let there = |of: usize| self.settled(of) && placed[of].nodes.contains(node);
            match pair.bond {
                Together::Score(score) if one == group && there(other) => Some(score),
                Together::Score(score) if other == group && there(one) => Some(score),
                Together::Must | Together::Never | Together::Score(_) => None,
            }
        };
        self.colocations
            .iter()
            .filter_map(worth)
            .map(i64::from)
            .sum()
    }
}

/// What is not to be touched stays where it is, whether it fits or not.
fn untouched(scene: &Scene<'_>, group: usize, room: &mut Room) -> Placed {
    let here = scene.here(group);
    let nodes = match scene.groups[group].clones {
        Some(_) => here,
        None => here.lowest().map_or(NodeSet::EMPTY, NodeSet::only),
    };
    for node in nodes.iter() {
        room.take(node, scene.groups[group].weight);
    }
    let step = match nodes.is_empty() {
        true => Step::Nowhere,
        false => Step::Stay,
    };
    Placed { nodes, step }
}

/// Places the instances of a clone: where they run already, then where clients come, then
/// by score.
fn clones(scene: &Scene<'_>, group: usize, placed: &[Placed], room: &mut Room) -> Placed {
    let rule = &scene.groups[group];
    let here = scene.here(group);
    let open = scene.eligible(group).both(scene.beside(group, placed));
    let mut best: Vec<NodeId, { limits::NODES }> = open.iter().collect();
    best.sort_unstable_by_key(|node| {
        let score = scene.worth(group, *node) + scene.company(group, *node, placed);
        let first = !here.contains(*node);
        let serves = !scene.nodes.reachable.contains(*node);
        (first, serves, core::cmp::Reverse(score), *node)
    });
    let wanted = usize::from(rule.clones.unwrap_or(u8::MAX));
    let fits = |node: &NodeId| room.fits(*node, rule.weight);
    let nodes: NodeSet = best.into_iter().filter(fits).take(wanted).collect();
    for node in nodes.iter() {
        room.take(node, rule.weight);
    }
    let step = match (nodes.is_empty(), nodes == here) {
        (true, _) => Step::Nowhere,
        (false, true) => Step::Stay,
        (false, false) if scene.states[group].first => Step::Go(Cause::Start),
        (false, false) => Step::Go(Cause::Failover),
    };
    Placed { nodes, step }
}
