//! `[[location]]`: what single nodes are worth to a group, beside its `prefer`.

use toml::Spanned;

use super::constraints::named;
use super::groups::Groups;
use super::nodes::Nodes;
use super::{Unique, take};
use crate::cluster::{Location, Worth};
use crate::diagnostic::{Diagnostic, Sink};
use crate::raw;
use crate::read::Entry;

/// Reads all locations into their groups.
pub(super) fn read(
    sink: &mut Sink<'_>,
    tables: Vec<Entry<raw::Location>>,
    nodes: &Nodes,
    groups: &mut Groups,
) {
    let mut seen = Unique::new();
    for Entry { span, value: raw } in tables {
        let group = named(sink, raw.group, nodes, groups);
        let worth = take(sink, raw.score);
        let both = raw.node.as_ref().map(Spanned::span);
        let both = both.zip(raw.nodes.as_ref().map(Spanned::span));
        if let Some((one, several)) = both {
            sink.push(
                Diagnostic::error(several, "this location names nodes twice")
                    .see(one, "here already")
                    .help("write `node` for one, or `nodes` for several"),
            );
            continue;
        }
        let list = raw.nodes.map(Spanned::into_inner);
        let names: Vec<_> = raw
            .node
            .into_iter()
            .chain(list.into_iter().flatten())
            .collect();
        if names.is_empty() {
            sink.push(
                Diagnostic::error(span, "this location names no node")
                    .help("write `node = \"...\"` for one, or `nodes = [...]` for several"),
            );
            continue;
        }
        let wanted = "a location tells what a node is worth to a group that could run there";
        let found: Vec<_> = names
            .into_iter()
            .filter_map(|text| nodes.named(sink, text, wanted))
            .collect();
        let (Some(group), Some(worth)) = (group, worth) else {
            continue;
        };
        for node in found {
            let first = seen.insert((*group.get_ref(), *node.get_ref()), node.span());
            if let Some(first) = first {
                sink.push(
                    Diagnostic::error(
                        node.span(),
                        format!(
                            "`{}` has two locations for `{}`",
                            groups.list[*group.get_ref()].name,
                            nodes.list[*node.get_ref()].title()
                        ),
                    )
                    .see(first, "the first one")
                    .help("remove one of the two"),
                );
                continue;
            }
            enter(
                sink,
                groups,
                *group.get_ref(),
                &node,
                *worth.get_ref(),
                nodes,
            );
        }
    }
    for group in &mut groups.list {
        group.locations.sort_by_key(|location| location.node);
    }
}

/// Gives a group its location, unless the node is out of the question anyway.
fn enter(
    sink: &mut Sink<'_>,
    groups: &mut Groups,
    at: usize,
    node: &Spanned<usize>,
    worth: Worth,
    nodes: &Nodes,
) {
    let (group, places) = (&mut groups.list[at], &mut groups.places[at]);
    let title = nodes.list[*node.get_ref()].title();
    if !group.prefer.contains(node.get_ref())
        && let Some(prefer) = &places.prefer
    {
        sink.push(
            Diagnostic::error(node.span(), format!("`{}` never runs on `{title}`", group.name))
                .see(prefer.clone(), "not one of these")
                .because("`prefer` names the nodes that may run a group; a location only weighs these against each other, or takes one away")
                .help(format!("add `{title}` to its `prefer`, or remove the location")),
        );
        return;
    }
    if worth == Worth::Never {
        places.never.push(node.clone());
    }
    group.locations.push(Location {
        node: *node.get_ref(),
        worth,
    });
}
