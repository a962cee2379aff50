//! Why a group is on a node, or is not: what people are told after the fact.
//!
//! Owns the order in which reasons are given. Judges one node at a time against what became
//! of all groups; never changes where anything goes.

use super::{Placed, Scene};
use crate::config::Together;
use crate::limits;
use crate::types::{GroupId, NodeId, NodeSet};

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
    /// The node is too ill for it.
    Unwell,
    /// No instance that it could promote runs there.
    Unfit,
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
        score: i32,
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
        (state.unwell, Verdict::Unwell),
        (state.unfit, Verdict::Unfit),
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
        score: i32::try_from(score).unwrap_or(if score < 0 { i32::MIN } else { i32::MAX }),
        serves: nodes.reachable.contains(node),
    }
}

/// Why a group goes where it goes: what its place is worth, and what speaks against each
/// other node of the cluster. Of bounded size: it goes into the log with the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// What the place is worth, where another one is open.
    pub worth: Option<i32>,
    /// Nodes with the same verdict together, in the file's order; nodes on which the file
    /// never lets it run come last.
    pub others: [Option<(Verdict, NodeSet)>; limits::REASONS],
    /// Nodes for which there was no room.
    pub more: NodeSet,
}

impl Reasons {
    /// There was nothing to choose from.
    pub fn are_none(&self) -> bool {
        self.worth.is_none() && self.others[0].is_none()
    }

    fn add(&mut self, verdict: Verdict, node: NodeId) {
        for slot in &mut self.others {
            let (known, nodes) = slot.get_or_insert((verdict, NodeSet::EMPTY));
            if *known == verdict {
                *nodes = nodes.with(node);
                return;
            }
        }
        self.more = self.more.with(node);
    }
}

/// Why `group` (an index) is where it was `placed`, and on no other node.
pub fn reasons(scene: &Scene<'_>, placed: &[Placed], group: usize) -> Reasons {
    let mut reasons = Reasons::default();
    let taken = placed[group].nodes;
    let all = NodeSet::first(scene.capacity.len());
    let judge = |node| verdict(scene, placed, group, node);
    let never = |node: &NodeId| !scene.groups[group].may_run(*node);
    let others = all.minus(taken);
    let late: NodeSet = others.iter().filter(never).collect();
    let mut choice = false;
    for node in others.minus(late).iter().chain(late.iter()) {
        let verdict = judge(node);
        choice |= matches!(verdict, Verdict::Open { .. });
        reasons.add(verdict, node);
    }
    if let Some(Verdict::Open { score, .. }) = taken.lowest().map(judge).filter(|_| choice) {
        reasons.worth = Some(score);
    }
    reasons
}

/// What a node has left besides a group.
fn free(scene: &Scene<'_>, placed: &[Placed], group: usize, node: NodeId) -> u16 {
    let others = scene.groups.iter().zip(placed).enumerate();
    let used = others.filter(|(n, (_, placed))| *n != group && placed.nodes.contains(node));
    let used = used.map(|(_, (rule, _))| rule.weight);
    let capacity = scene.capacity.get(node.index()).copied().unwrap_or(0);
    used.fold(capacity, u16::saturating_sub)
}
