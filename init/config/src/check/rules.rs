//! The rules of a file that can leave a group without a place, each where it is written.
//!
//! Owns what each rule is called and what the cluster is without it. Never judges.

use core::ops::Range;

use kodo_engine::NodeId;
use kodo_engine::config::{Config, Together};

use super::constraints::Constraints;
use super::groups::Groups;
use super::nodes::Nodes;
use crate::cluster::{Bond, Cluster, Location, Worth};
use crate::words;

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) what: What,
    /// Where it is written.
    pub(super) place: Range<usize>,
    /// What it says.
    pub(super) text: String,
}

/// What a rule is about; everything by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A node carries only so much.
    Capacity(usize),
    /// A group takes some of that.
    Weight(usize),
    /// A group runs on several nodes.
    Clones(usize),
    /// A group runs only on the nodes that it prefers.
    Prefer(usize),
    /// A group never runs on a node.
    Never(usize, usize),
    /// A colocation by "must" or "never".
    Bond(usize),
}

impl What {
    /// Rules of one kind explain each other: what can be told without a kind is.
    pub(super) fn kind(self) -> usize {
        match self {
            Self::Capacity(_) | Self::Weight(_) => 0,
            Self::Clones(_) => 1,
            Self::Prefer(_) | Self::Never(..) => 2,
            Self::Bond(_) => 3,
        }
    }

    /// How many kinds there are.
    pub(super) const KINDS: usize = 4;
}

/// All rules of a file, in its order.
pub(super) fn all(nodes: &Nodes, groups: &Groups, constraints: &Constraints) -> Vec<Rule> {
    let title = |node: usize| nodes.list[node].title();
    let mut rules = Vec::new();
    let mut add = |what, place: &Range<usize>, text: String| {
        let place = place.clone();
        rules.push(Rule { what, place, text });
    };
    for (at, node) in nodes.list.iter().enumerate() {
        if let Some(capacity) = &node.capacity {
            let text = format!("{} carries {}", title(at), capacity.get_ref());
            add(What::Capacity(at), &capacity.span(), text);
        }
    }
    for (at, (group, places)) in groups.list.iter().zip(&groups.places).enumerate() {
        let name = &group.name;
        if let Some(place) = &places.prefer {
            let preferred: Vec<_> = group.prefer.iter().map(|node| title(*node)).collect();
            let text = format!("`{name}` runs on {} only", words::and(&preferred));
            add(What::Prefer(at), place, text);
        }
        if let Some(place) = &places.weight {
            let text = format!("`{name}` weighs {}", group.weight);
            add(What::Weight(at), place, text);
        }
        if let Some((place, count)) = places.clones.as_ref().zip(group.clones) {
            let text = format!("`{name}` runs on {count} nodes at once");
            add(What::Clones(at), place, text);
        }
        for node in &places.never {
            let text = format!("`{name}` never runs on {}", title(*node.get_ref()));
            add(What::Never(at, *node.get_ref()), &node.span(), text);
        }
    }
    for (at, pair) in constraints.colocations.iter().enumerate() {
        let name = |group: usize| &groups.list[group].name;
        let (one, other) = (name(pair.get_ref().group), name(pair.get_ref().with));
        let text = match pair.get_ref().bond {
            Bond::Must => format!("`{one}` must be with `{other}`"),
            Bond::Never => format!("`{one}` is never with `{other}`"),
            Bond::Score(_) => continue,
        };
        add(What::Bond(at), &pair.span(), text);
    }
    rules.sort_by_key(|rule| rule.place.start);
    rules
}

/// What the nodes get when only some rules of the file count.
pub(super) fn without(cluster: &Cluster, whole: &Config, counts: impl Fn(What) -> bool) -> Config {
    let mut config = whole.clone();
    for (at, (rule, group)) in config.groups.iter_mut().zip(&cluster.groups).enumerate() {
        for (node, score) in rule.location.iter_mut().enumerate() {
            let worth = Worth::Never;
            let never = group.locations.contains(&Location { node, worth });
            let shut = cluster.nodes[node].voter
                || (never && counts(What::Never(at, node)))
                || (!group.prefer.contains(&node) && counts(What::Prefer(at)));
            *score = if shut { None } else { Some(score.unwrap_or(0)) };
        }
        if !counts(What::Weight(at)) {
            rule.weight = 0;
        }
        if !counts(What::Clones(at)) {
            rule.clones = None;
        }
    }
    for (node, capacity) in config.capacity.iter_mut().enumerate() {
        if !counts(What::Capacity(node)) {
            *capacity = u16::MAX;
        }
    }
    let mut at = 0;
    config.colocations.retain(|pair| {
        at += 1;
        matches!(pair.bond, Together::Score(_)) || counts(What::Bond(at - 1))
    });
    config
}

/// The nodes that may run anything.
pub(super) fn runners(cluster: &Cluster) -> impl Iterator<Item = NodeId> {
    let nodes = cluster.nodes.iter().enumerate();
    nodes
        .filter(|(_, node)| !node.voter)
        .map(|(at, _)| NodeId::from_index(at))
}
