//! Rules that cannot all hold, found by trying: the engine's own placement is asked.
//!
//! With every node healthy each group must have a place. Where one has none, the rules are
//! dropped one after the other, and stay dropped while it still has none: what is left
//! clashes, and nothing in it can be spared. Owns that search and its words, and the
//! same question with one node less, which is only a warning.

use core::ops::Range;

use kodo_engine::config::Config;
use kodo_engine::placement::{Nodes, Scene, State, place};
use kodo_engine::{NodeId, NodeSet};

use super::rules::{Rule, What, runners, without};
use crate::cluster::Cluster;
use crate::diagnostic::{Diagnostic, Sink};
use crate::words;

/// Tells each set of rules that clash; without any, the first node that cannot be spared.
/// `names` is where each group is named.
pub(super) fn judge(
    sink: &mut Sink<'_>,
    cluster: &Cluster,
    rules: Vec<Rule>,
    names: &[Range<usize>],
) {
    let whole = cluster.engine(0);
    let all = NodeSet::first(cluster.nodes.len());
    let mut left = rules;
    let mut clean = true;
    while let Some((clash, homeless)) = clash(cluster, &whole, &left) {
        clean = false;
        sink.push(tell(cluster, &clash, &homeless));
        // another clash may have nothing to do with this one
        left.retain(|rule| clash.iter().all(|told| told.what != rule.what));
    }
    if clean {
        spare(sink, cluster, &whole, all, names);
    }
}

/// The smallest set of rules that leaves groups without a place, and these groups.
fn clash(cluster: &Cluster, whole: &Config, rules: &[Rule]) -> Option<(Vec<Rule>, Vec<usize>)> {
    let all = NodeSet::first(cluster.nodes.len());
    let homeless = |kept: &[Rule]| {
        let counts = |what| kept.iter().any(|rule| rule.what == what);
        homeless(&without(cluster, whole, counts), all, true)
    };
    let mut kept = rules.to_vec();
    if homeless(&kept).is_empty() {
        return None;
    }
    let mut drop = |spared: &dyn Fn(&Rule) -> bool| {
        let fewer: Vec<_> = kept.iter().filter(|rule| !spared(rule)).cloned().collect();
        if !homeless(&fewer).is_empty() {
            kept = fewer;
        }
    };
    for kind in 0..What::KINDS {
        drop(&|rule| rule.what.kind() == kind);
    }
    for rule in rules {
        drop(&|other| other.what == rule.what);
    }
    let groups = homeless(&kept);
    (!kept.is_empty()).then_some((kept, groups))
}

/// The groups without a place among some members, all healthy, nothing running before.
/// A clone needs all of its places, or just one.
fn homeless(config: &Config, members: NodeSet, whole: bool) -> Vec<usize> {
    let states: Vec<_> = config
        .groups
        .iter()
        .map(|_| State {
            known: members,
            first: true,
            ..State::default()
        })
        .collect();
    let placed = place(&Scene {
        groups: &config.groups,
        colocations: &config.colocations,
        capacity: &config.capacity,
        nodes: Nodes {
            members,
            reachable: members,
            found: members,
            ..Nodes::default()
        },
        states: &states,
    });
    let groups = config.groups.iter().zip(&placed).enumerate();
    groups
        .filter(|(_, (group, placed))| {
            let wanted = group.clones.filter(|_| whole).unwrap_or(1);
            placed.nodes.len() < usize::from(wanted.max(1))
        })
        .map(|(at, _)| at)
        .collect()
}

fn tell(cluster: &Cluster, clash: &[Rule], homeless: &[usize]) -> Diagnostic {
    let name = |group: &usize| format!("`{}`", cluster.groups[*group].name);
    let groups = words::and(&homeless.iter().map(name).collect::<Vec<_>>());
    let has = if homeless.len() == 1 { "has" } else { "have" };
    let (first, rest) = clash
        .split_first()
        .unwrap_or_else(|| unreachable!("a clash has rules"));
    let nodes = match runners(cluster).count() {
        1 => "the only node".to_owned(),
        2 => "both nodes".to_owned(),
        more => format!("all {more} nodes"),
    };
    let (message, rules, other) = match rest {
        [] => (
            format!("{groups} {has} no place"),
            "this rule",
            "without it there is one",
        ),
        _ => (
            format!("{groups} {has} no place: {} rules clash", clash.len()),
            "all of these rules",
            "without any one of them there is one",
        ),
    };
    let why = format!(
        "with {nodes} healthy the cluster finds no arrangement of the groups that follows {rules}; {other}"
    );
    let heavy = |rule: &Rule| matches!(rule.what, What::Capacity(_) | What::Weight(_));
    let help = match clash.iter().any(heavy) {
        true => "add a node, raise a `capacity` or lower a `weight`, or let a group run elsewhere",
        false if rest.is_empty() => "remove it, or write a number if it is only a wish",
        false => "change one of them; a \"must\" or \"never\" that is only a wish is a number",
    };
    let item = Diagnostic::error(first.place.clone(), message)
        .label(first.text.as_str())
        .because(why)
        .help(help);
    rest.iter().fold(item, |item, rule| {
        item.see(rule.place.clone(), rule.text.as_str())
    })
}

/// Tells the first node without which a group has no place.
fn spare(
    sink: &mut Sink<'_>,
    cluster: &Cluster,
    whole: &Config,
    all: NodeSet,
    names: &[Range<usize>],
) {
    if runners(cluster).count() < 2 {
        return;
    }
    let fails = |node: NodeId| {
        let others = all.without(node);
        // of a group that prefers one node only more was said there
        let several = |group: &usize| cluster.groups[*group].prefer.len() > 1;
        let lost = homeless(whole, others, false);
        let lost = lost.into_iter().find(several)?;
        let roomy = without(cluster, whole, |what| !matches!(what, What::Capacity(_)));
        let room = !homeless(&roomy, others, false).contains(&lost);
        Some((node, lost, room))
    };
    let Some((node, group, room)) = runners(cluster).find_map(fails) else {
        return;
    };
    let node = &cluster.nodes[node.index()].name;
    let (what, help) = match room {
        true => (
            "room",
            "give the other nodes more `capacity` or add one; `priority` decides who runs while there is too little",
        ),
        false => (
            "place",
            "let it run on another node, or turn a \"must\" or \"never\" into a number",
        ),
    };
    sink.push(
        Diagnostic::warning(
            names[group].clone(),
            format!(
                "n+1 does not hold: if {node} fails, `{}` has no {what}",
                cluster.groups[group].name
            ),
        )
        .because("with one node less the others cannot run all groups by these rules")
        .help(help),
    );
}
