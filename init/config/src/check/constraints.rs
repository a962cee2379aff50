//! `[[colocation]]` and `[[order]]`: what groups want of each other.
//!
//! Judges each by itself, and in pairs and circles. Whether all of them together leave a
//! place for every group is found out in `clash`.

use core::ops::Range;

use kodo_engine::limits;
use toml::Spanned;

use super::circles::{self, Edge};
use super::groups::Groups;
use super::nodes::Nodes;
use super::promotes::{self, Promotes};
use super::{Unique, suggest, take, too_many};
use crate::cluster::{Bond, Colocation, Order};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Name, Text};
use crate::raw;
use crate::read::Entry;

/// All of them, each where it says how strong it is.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    pub(super) colocations: Vec<Spanned<Colocation>>,
    pub(super) orders: Vec<Spanned<Order>>,
}

/// Reads all colocations and orders; those that promoting implies come first.
pub(super) fn read(
    sink: &mut Sink<'_>,
    (colocations, orders): (Vec<Entry<raw::Colocation>>, Vec<Entry<raw::Order>>),
    nodes: &Nodes,
    groups: &Groups,
    promotes: &Promotes,
) -> Constraints {
    let (pairs, implied): (Vec<_>, Vec<_>) = promotes::rules(promotes).into_iter().unzip();
    let mut spans: Vec<_> = pairs.iter().map(Spanned::span).collect();
    spans.extend(colocations.iter().map(|entry| entry.span.clone()));
    too_many(sink, "colocations", &spans, limits::COLOCATIONS);
    let mut few = spans.len() <= limits::COLOCATIONS;
    let mut spans: Vec<_> = implied.iter().map(Spanned::span).collect();
    spans.extend(orders.iter().map(|entry| entry.span.clone()));
    too_many(sink, "orders", &spans, limits::ORDERS);
    few &= spans.len() <= limits::ORDERS;
    let mut read = Constraints {
        colocations: pairs,
        orders: implied,
    };
    for Entry { value: raw, .. } in colocations {
        let score = take(sink, raw.score);
        let pair = pair(sink, (raw.group, raw.with), "colocation", nodes, groups);
        if let (Some(score), Some((group, with))) = (score, pair) {
            follows(sink, groups, &group, &score);
            let (group, with, bond) = (group.into_inner(), with.into_inner(), *score.get_ref());
            let pair = Colocation { group, with, bond };
            read.colocations.push(Spanned::new(score.span(), pair));
        }
    }
    for Entry { value: raw, .. } in orders {
        let wanted = raw.kind.is_some();
        let kind = raw.kind.and_then(|text| take(sink, text));
        let known = wanted == kind.is_some();
        let must = kind.is_none_or(|kind| kind.into_inner() == raw::OrderKind::Must);
        let pair = pair(sink, (raw.first, raw.then), "order", nodes, groups);
        if let (Some((first, then)), true) = (pair, known) {
            let place = first.span();
            let (first, then) = (first.into_inner(), then.into_inner());
            let order = Order { first, then, must };
            read.orders.push(Spanned::new(place, order));
        }
    }
    if few {
        twice(sink, groups, &read);
        circles::judge(sink, groups, &edges(&read));
    }
    read
}

/// Position of the group that a name means, and where it was named.
pub(super) fn named(
    sink: &mut Sink<'_>,
    text: Text<Name>,
    nodes: &Nodes,
    groups: &Groups,
) -> Option<Spanned<usize>> {
    let name = take(sink, text)?;
    let (place, name) = (name.span(), name.into_inner().0);
    let found = groups.list.iter().position(|group| group.name == name);
    if found.is_none() && groups.complete {
        let known: Vec<&str> = groups
            .list
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        let item = Diagnostic::error(place.clone(), format!("there is no group `{name}`"));
        let node = nodes.list.iter().any(|node| node.title() == name);
        sink.push(match known[..] {
            _ if node => item.help(format!(
                "`{name}` is a node; what nodes are worth to a group is said in a `[[location]]`"
            )),
            [] => item.help("describe it in a `[[group]]` table"),
            _ => suggest(item, &name, &known),
        });
    }
    found.map(|group| Spanned::new(place, group))
}

/// Two groups that a constraint joins.
fn pair(
    sink: &mut Sink<'_>,
    (one, other): (Text<Name>, Text<Name>),
    what: &str,
    nodes: &Nodes,
    groups: &Groups,
) -> Option<(Spanned<usize>, Spanned<usize>)> {
    let one = named(sink, one, nodes, groups);
    let other = named(sink, other, nodes, groups);
    let (one, other) = (one?, other?);
    if one.get_ref() == other.get_ref() {
        let name = &groups.list[*one.get_ref()].name;
        sink.push(
            Diagnostic::error(other.span(), format!("this joins `{name}` with itself"))
                .see(one.span(), "the same group")
                .help(format!("name two groups, or remove the {what}")),
        );
        return None;
    }
    Some((one, other))
}

/// Tells a clone that is to follow another group.
fn follows(sink: &mut Sink<'_>, groups: &Groups, group: &Spanned<usize>, score: &Spanned<Bond>) {
    let Some(clones) = &groups.places[*group.get_ref()].clones else {
        return;
    };
    if *score.get_ref() == Bond::Never {
        return;
    }
    let name = &groups.list[*group.get_ref()].name;
    sink.push(
        Diagnostic::error(group.span(), format!("the clone `{name}` follows no other group"))
            .see(clones.clone(), "it runs on several nodes at once")
            .because("clones get their places first, each by itself, so what they would follow has none yet")
            .help("exchange `group` and `with`: then the other group goes where the clone runs; or write \"never\""),
    );
}

/// Pairs that are joined twice. A "must" and a "never" are left for `clash`, which tells
/// more of it.
fn twice(sink: &mut Sink<'_>, groups: &Groups, all: &Constraints) {
    let name = |group: usize| &groups.list[group].name;
    let mut seen = Unique::new();
    for colocation in &all.colocations {
        let Colocation { group, with, bond } = *colocation.get_ref();
        // it is the same whoever says it
        let (one, other) = match bond {
            Bond::Never => (group.min(with), group.max(with)),
            Bond::Must | Bond::Score(_) => (group, with),
        };
        let key = (one, other, bond == Bond::Never);
        if let Some(first) = seen.insert(key, colocation.span()) {
            again(
                sink,
                colocation.span(),
                first,
                format!("`{}` and `{}` are joined already", name(group), name(with)),
            );
        }
    }
    let mut seen = Unique::new();
    for order in &all.orders {
        let Order { first, then, .. } = *order.get_ref();
        if let Some(place) = seen.insert((first, then), order.span()) {
            again(
                sink,
                order.span(),
                place,
                format!("`{}` comes before `{}` already", name(first), name(then)),
            );
        }
    }
}

fn again(sink: &mut Sink<'_>, place: Range<usize>, first: Range<usize>, message: String) {
    sink.push(
        Diagnostic::error(place, message)
            .see(first, "here")
            .help("keep one of the two"),
    );
}

/// What must not go round in a circle: orders, then those who follow.
fn edges(all: &Constraints) -> [Vec<Edge>; 2] {
    let orders = all.orders.iter().map(|order| Edge {
        from: order.get_ref().first,
        to: order.get_ref().then,
        place: order.span(),
    });
    let must = |pair: &&Spanned<Colocation>| pair.get_ref().bond == Bond::Must;
    let follows = all.colocations.iter().filter(must).map(|pair| Edge {
        from: pair.get_ref().group,
        to: pair.get_ref().with,
        place: pair.span(),
    });
    [orders.collect(), follows.collect()]
}
