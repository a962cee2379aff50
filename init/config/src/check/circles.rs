//! Orders and "must" colocations that go round in a circle.
//!
//! Each circle is told once, where its last rule closes it, with the shortest way round.

use core::ops::Range;

use super::groups::Groups;
use crate::diagnostic::{Diagnostic, Sink};
use crate::words;

/// One group before another one, or after it; and where the file says so.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) place: Range<usize>,
}

/// Tells circles of orders, and of groups that must be with each other.
pub(super) fn judge(sink: &mut Sink<'_>, groups: &Groups, [orders, follows]: &[Vec<Edge>; 2]) {
    for circle in closed(orders) {
        sink.push(
            tell(
                groups,
                &circle,
                "wait for each other in a circle",
                "starts before",
            )
            .because("each starts after the one before it: none of them could be first")
            .help("remove one of these orders"),
        );
    }
    for circle in closed(follows) {
        sink.push(
            tell(groups, &circle, "follow each other in a circle", "follows")
                .because(
                    "a group that must be with another one gets its place after it: none of them could be first. \
                     One direction is enough: the follower goes where the other one is",
                )
                .help("remove one of these; the more important group is the one named by `with`"),
        );
    }
}

/// Every edge that closes a circle with earlier ones, and these, in their order round it.
/// It is left out for those after it.
fn closed(edges: &[Edge]) -> Vec<Vec<&Edge>> {
    let mut known: Vec<&Edge> = Vec::new();
    let mut circles = Vec::new();
    for edge in edges {
        // told as a pair that is joined twice
        if known
            .iter()
            .any(|old| (old.from, old.to) == (edge.from, edge.to))
        {
            continue;
        }
        match way(&known, edge.to, edge.from) {
            Some(back) => circles.push([vec![edge], back].concat()),
            None => known.push(edge),
        }
    }
    circles
}

/// The shortest way from one group to another.
fn way<'a>(edges: &[&'a Edge], from: usize, to: usize) -> Option<Vec<&'a Edge>> {
    let mut ways: Vec<(usize, Vec<&Edge>)> = vec![(from, Vec::new())];
    let mut next = 0;
    while let Some((at, path)) = ways.get(next).cloned() {
        if at == to {
            return Some(path);
        }
        for edge in edges.iter().filter(|edge| edge.from == at) {
            if ways.iter().all(|(known, _)| *known != edge.to) {
                ways.push((edge.to, [&path[..], &[*edge]].concat()));
            }
        }
        next += 1;
    }
    None
}

fn tell(groups: &Groups, circle: &[&Edge], what: &str, verb: &str) -> Diagnostic {
    let name = |group: usize| &groups.list[group].name;
    let names: Vec<_> = circle
        .iter()
        .map(|edge| format!("`{}`", name(edge.from)))
        .collect();
    let step = |edge: &Edge| format!("`{}` {verb} `{}`", name(edge.from), name(edge.to));
    let item = Diagnostic::error(
        circle[0].place.clone(),
        format!("{} {what}", words::and(&names)),
    )
    .label(step(circle[0]));
    circle[1..]
        .iter()
        .fold(item, |item, edge| item.see(edge.place.clone(), step(edge)))
}
