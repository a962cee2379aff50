//! Heartbeat paths: the ends that belong together on networks and cables.

use core::ops::Range;

use kodo_engine::{limits, operator};

use super::nodes::{Node, Nodes};
use super::{lines, timing};
use crate::cluster::{End, Path, PathKind, Role};
use crate::diagnostic::{Diagnostic, Sink};
use crate::words::and;

/// Finds the ends of every path; `None` when something about them could not be read.
pub(super) fn derive(
    sink: &mut Sink<'_>,
    nodes: &Nodes,
    timing: Option<&timing::Checked>,
    groups: usize,
) -> Option<Vec<Path>> {
    let timing = timing?;
    if !nodes.complete {
        return None;
    }
    let list = &nodes.list;
    let mut paths = Vec::new();
    let mut whole = true;
    for (role, kind) in [
        (Role::Crossover, PathKind::Crossover),
        (Role::Lan, PathKind::Lan),
    ] {
        let networks = networks(sink, list, role, &mut whole);
        for (index, ends) in networks.into_iter().enumerate() {
            let name = numbered(role.word(), index);
            paths.push(Path {
                name,
                kind,
                index,
                ends,
                keepalive: timing.value.keepalive,
                budget: limits::FRAME,
                public: false,
            });
        }
    }
    paths.extend(lines::derive(sink, list, timing, groups, &mut whole));
    if !whole {
        return None;
    }
    distinguishable(sink, &paths, list);
    enough(sink, &paths, list);
    Some(paths)
}

/// Marks the paths on which clients reach the VIPs.
pub(super) fn publish(mut paths: Vec<Path>, lan: usize) -> Vec<Path> {
    for path in &mut paths {
        path.public = path.kind == PathKind::Lan && path.index == lan;
    }
    paths
}

/// `lan`, `lan2`, `lan3`, ….
pub(super) fn numbered(word: &str, index: usize) -> String {
    match index {
        0 => word.to_owned(),
        _ => format!("{word}{}", index + 1),
    }
}

/// The networks of one role: the first ports of all nodes, the second ports, and so on.
/// Every node is on every LAN; a crossover has two ends or more.
fn networks(sink: &mut Sink<'_>, nodes: &[Node], role: Role, whole: &mut bool) -> Vec<Vec<End>> {
    let mut networks = Vec::new();
    for index in 0.. {
        let ends: Vec<(End, Range<usize>)> = nodes
            .iter()
            .enumerate()
            .filter_map(|(node, table)| {
                let ports = table.nics.iter().enumerate();
                let mut ports = ports.filter(|(_, nic)| *nic.role.get_ref() == role);
                let (port, nic) = ports.nth(index)?;
                Some((End { node, port }, nic.span.clone()))
            })
            .collect();
        let Some((end, place)) = ends.first() else {
            break;
        };
        let short = match role {
            Role::Lan => ends.len() < nodes.len(),
            Role::Crossover => ends.len() < 2,
        };
        if short {
            // Any node of many could be the other end of a crossover.
            let named = role == Role::Lan || nodes.len() == 2;
            let lacking = |at: &usize| named && ends.iter().all(|(end, _)| end.node != *at);
            let without: Vec<_> = (0..nodes.len())
                .filter(lacking)
                .map(|at| &nodes[at])
                .collect();
            let noun = format!("{} port", role.word());
            let why = format!(
                "the first {noun} of every node is one path, the second ones another, and so on"
            );
            no_other_end(
                sink,
                (place, &nodes[end.node]),
                &without,
                (&noun, &why),
                index,
            );
            *whole = false;
            // One word for each kind: the ports after this one have shifted with it.
            break;
        }
        networks.push(ends.into_iter().map(|(end, _)| end).collect());
    }
    networks
}

/// A cable has two ends, and a network reaches everybody.
pub(super) fn no_other_end(
    sink: &mut Sink<'_>,
    (place, here): (&Range<usize>, &Node),
    without: &[&Node],
    (noun, why): (&str, &str),
    index: usize,
) {
    let names: Vec<_> = without.iter().map(|node| node.title()).collect();
    let (who, verb, to) = match names.len() {
        0 => (
            "no other node".to_owned(),
            "has a",
            "another node".to_owned(),
        ),
        1 => (and(&names), "has no", and(&names)),
        _ => (and(&names), "have no", and(&names)),
    };
    let short = noun.split(' ').next_back().unwrap_or(noun);
    let item = Diagnostic::error(
        place.clone(),
        format!("{who} {verb} {noun} at the other end of this one"),
    )
    .because(why)
    .help(format!(
        "add the missing {short} to {to}, or remove this one from {}",
        here.title()
    ));
    sink.push(without.iter().fold(item, |item, node| {
        item.see(
            node.span.clone(),
            format!("{} has {index} of {}", node.title(), index + 1),
        )
    }));
}

/// Heartbeats name a path by a short hash of its name, in few bytes.
fn distinguishable(sink: &mut Sink<'_>, paths: &[Path], nodes: &[Node]) {
    for (at, path) in paths.iter().enumerate() {
        let twin = paths[..at]
            .iter()
            .find(|other| operator::tag(&other.name) == operator::tag(&path.name));
        let end = path.ends.last().and_then(|end| nodes.get(end.node));
        let place = end.map_or(0..0, |node| node.span.clone());
        if let Some(twin) = twin {
            let item = if twin.name == path.name {
                Diagnostic::error(place, format!("two paths are called `{}`", path.name))
                    .because("a serial line is called after its two nodes")
            } else {
                Diagnostic::error(
                    place,
                    format!("the path `{}` has a twin, `{}`", path.name, twin.name),
                )
                .because(
                    "heartbeats name a path by a short hash of its name, and the two have the same",
                )
            };
            sink.push(item.help("change the name of a node in any letter"));
        } else if path.name.len() > limits::NAME {
            sink.push(
                Diagnostic::error(
                    place,
                    format!(
                        "the path `{}` has a name of {} bytes",
                        path.name,
                        path.name.len()
                    ),
                )
                .because(format!(
                    "a serial line is called after its two nodes, and a name has room for {} bytes",
                    limits::NAME
                ))
                .help("give the nodes shorter names"),
            );
        }
    }
}

/// Few paths are worth a word.
fn enough(sink: &mut Sink<'_>, paths: &[Path], nodes: &[Node]) {
    let Some(first) = nodes.first() else { return };
    if paths.len() > limits::PATHS {
        sink.push(
            Diagnostic::error(
                first.span.clone(),
                format!("there are {} heartbeat paths", paths.len()),
            )
            .because(format!(
                "a node has room for {}; every table in it has a fixed size",
                limits::PATHS
            ))
            .help("remove ports or lines from the nodes"),
        );
        return;
    }
    let of = |node: usize| {
        paths
            .iter()
            .filter(move |path| path.ends.iter().any(|end| end.node == node))
    };
    // A voter on a single path may be lost as easily as a voter.
    let thin: Vec<usize> = (0..nodes.len())
        .filter(|node| nodes[*node].runs() && of(*node).count() == 1)
        .collect();
    let [at, ..] = thin[..] else { return };
    let Some(only) = of(at).next() else { return };
    let item = match nodes.len() {
        1 => return,
        2 => Diagnostic::warning(
            first.span.clone(),
            format!("`{}` is the only heartbeat path", only.name),
        )
        .because("when it fails, both nodes live and each thinks that the other is dead")
        .help("add a crossover cable or a serial line; cables are cheaper than split brains"),
        _ => {
            let names: Vec<_> = thin.iter().map(|node| nodes[*node].title()).collect();
            Diagnostic::warning(
                nodes[at].span.clone(),
                format!(
                    "`{}` is the only heartbeat path of {}",
                    only.name,
                    and(&names)
                ),
            )
            .because("when it fails, a node that is well is lost to the cluster")
            .help("add a `crossover` port on a switch of its own, or serial lines")
        }
    };
    sink.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_can_tell_all_paths_of_a_pair_apart() {
        let mut tags = Vec::new();
        for name in ["crossover", "lan", "serial"]
            .into_iter()
            .flat_map(|word| (0..limits::PATHS).map(move |n| numbered(word, n)))
        {
            let tag = operator::tag(&name);
            assert!(!tags.contains(&tag));
            tags.push(tag);
        }
    }
}
