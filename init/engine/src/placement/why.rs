//! Why a group is on a node, or is not: what people are told after the fact.
//!
//! Owns the order in which reasons are given. Judges one node at a time against what became
//! of all groups; never changes where anything goes.

use super::{Placed, Scene};
use crate::config::Together;
use crate::types::{GroupId, NodeId};

/// What speaks against a group on a node, or what the node is worth to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The node is not a member of the view.
    NotMember,
    /// Its file does not have the group.
    OtherFile,
    /// The file does not let it run there.
    Never,
    /// The node leaves, or was refused.
    Leaving,
    /// The node is on standby.
    Standby,
    /// It failed there, or a stranger has its address.
    Banned,
    /// A group that it must be with is elsewhere, or nowhere.
    Without(GroupId),
    /// A group that it must not be with is there.
    Apart(GroupId),
    /// The node has no room for it.
    Full {
        /// What it takes.
        weight: u16,
        /// What is left.
        free: u16,
    },
    /// It may run there.
    Open {
        /// What the place is worth by location, colocations and stickiness; an operator's
        /// preference not counted.
        score: i64,
        /// Whether clients come there.
        serves: bool,
    },
}

/// What speaks against `group` (an index) on `node`, given where all groups are `placed`.
pub fn verdict(scene: &Scene<'_>, placed: &[Placed], group: usize, node: NodeId) -> Verdict {
    let (rule, state, nodes) = (&scene.groups[group], &scene.states[group], &scene.nodes);
    if !nodes.members.contains(node) {
        return Verdict::NotMember;
    }
    if !state.known.contains(node) {
        return Verdict::OtherFile;
    }
    if !rule.may_run(node) {
        return Verdict::Never;
    }
    let sets = [
        (nodes.leaving, Verdict::Leaving),
        (nodes.standby, Verdict::Standby),
        (state.banned, Verdict::Banned),
    ];
    if let Some((_, verdict)) = sets.iter().find(|(set, _)| set.contains(node)) {
        return *verdict;
    }
    let mut score = scene.worth(group, node);
    if state.prefer.is_some_and(|(wish, _)| wish == node) {
        score -= super::PREFERRED;
    }
    for pair in scene.colocations {
        let (one, other) = (pair.group.index(), pair.with.index());
        let Some(company) = (one == group)
            .then_some(other)
            .or((other == group).then_some(one))
        else {
            continue;
        };
        let there = placed[company].nodes.contains(node);
        match pair.bond {
            Together::Must if one == group && !there => return Verdict::Without(pair.with),
            Together::Never if there => {
                let id = if one == group { pair.with } else { pair.group };
                return Verdict::Apart(id);
            }
            Together::Score(worth) if there => score += i64::from(worth),
            Together::Must | Together::Never | Together::Score(_) => {}
        }
    }
    let free = free(scene, placed, group, node);
    if free < rule.weight {
        return Verdict::Full {
            weight: rule.weight,
            free,
        };
    }
    if scene.here(group).contains(node) {
        score += i64::from(rule.stickiness);
    }
    Verdict::Open {
        score,
        serves: nodes.reachable.contains(node),
    }
}

/// What a node has left besides a group.
fn free(scene: &Scene<'_>, placed: &[Placed], group: usize, node: NodeId) -> u16 {
    let others = scene.groups.iter().zip(placed).enumerate();
    let used = others.filter(|(n, (_, placed))| *n != group && placed.nodes.contains(node));
    let used = used.map(|(_, (rule, _))| rule.weight);
    let capacity = scene.capacity.get(node.index()).copied().unwrap_or(0);
    used.fold(capacity, u16::saturating_sub)
}
