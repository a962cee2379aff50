//! `promotes`: a group that gives one instance of a clone a role.
//!
//! Owns who may promote what, and what follows for the two groups: the one that promotes
//! must be with the clone and comes after it. These rules are the file's like those that it
//! writes, so whatever judges rules sees them too.

use core::ops::Range;

use kodo_engine::limits;
use toml::Spanned;

use super::constraints::named;
use super::groups::Groups;
use super::nodes::Nodes;
use super::resources::Resources;
use super::{Unique, moves, too_many};
use crate::cluster::{Bond, Colocation, Member, Order};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Name, Text};

/// What a group promotes: by position, where it says so.
pub(super) type Promotes = Vec<(usize, Spanned<usize>)>;

/// Joins each group that promotes with its clone. `texts` are what groups say they promote.
pub(super) fn read(
    sink: &mut Sink<'_>,
    texts: Vec<(usize, Text<Name>)>,
    nodes: &Nodes,
    resources: &Resources,
    groups: &mut Groups,
) -> Promotes {
    let mut promotes: Promotes = Vec::new();
    let mut taken = Unique::new();
    let whole = groups.complete && resources.complete;
    for (group, text) in texts {
        let Some(clone) = named(sink, text, nodes, groups) else {
            groups.complete = false;
            continue;
        };
        let (place, of) = (clone.span(), *clone.get_ref());
        if let Some(first) = taken.insert(of, place.clone()) {
            sink.push(twice(groups, place, first, of));
        } else if let Some(service) = promotable(sink, groups, resources, group, &clone) {
            let member = Spanned::new(place, Member::Service(service));
            let (list, places) = (&groups.list[group], &groups.places[group]);
            moves::forgets(
                sink,
                list.failure_timeout,
                places.failure_timeout.clone(),
                places.name.clone(),
                &[member],
                resources,
            );
            groups.list[group].promotes = Some(of);
            promotes.push((group, clone));
        }
    }
    for (group, clone) in &promotes {
        let spans = vec![clone.span(); groups.list[*group].members.len() + 1];
        too_many(
            sink,
            "members with its role in this group",
            &spans,
            limits::MEMBERS,
        );
    }
    if whole {
        idle(sink, groups, resources);
    }
    promotes
}

/// The rules that a group has by promoting.
pub(super) fn rules(promotes: &Promotes) -> Vec<(Spanned<Colocation>, Spanned<Order>)> {
    let rules = promotes.iter().map(|(group, clone)| {
        let (group, with, place) = (*group, *clone.get_ref(), clone.span());
        let bond = Bond::Must;
        let colocation = Colocation { group, with, bond };
        let order = Order {
            first: with,
            then: group,
            must: true,
        };
        (
            Spanned::new(place.clone(), colocation),
            Spanned::new(place, order),
        )
    });
    rules.collect()
}

/// The service of a clone that a group may promote.
fn promotable(
    sink: &mut Sink<'_>,
    groups: &Groups,
    resources: &Resources,
    group: usize,
    clone: &Spanned<usize>,
) -> Option<usize> {
    let of = *clone.get_ref();
    let (name, own) = (&groups.list[of].name, &groups.list[group].name);
    if of == group {
        sink.push(
            Diagnostic::error(clone.span(), format!("`{own}` cannot promote itself"))
                .help("write two groups: a clone of the service, and one that promotes it and has the VIP"),
        );
        return None;
    }
    if let Some(clones) = &groups.places[group].clones {
        sink.push(
            Diagnostic::error(clone.span(), "a clone promotes nothing")
                .see(clones.clone(), "it runs on several nodes at once")
                .because("the promoted instance is one, as an address is on one node at a time")
                .help("remove `clones` here: the group that promotes is held by one node"),
        );
        return None;
    }
    if groups.places[of].clones.is_none() {
        sink.push(
            Diagnostic::error(clone.span(), format!("`{name}` is no clone"))
                .see(
                    groups.places[of].name.clone(),
                    "it runs on one node at a time",
                )
                .because("one of several running instances is promoted; the others stand by")
                .help(format!(
                    "write `clones = \"all\"` in `{name}`, or put its members into `{own}`"
                )),
        );
        return None;
    }
    let services = groups.list[of]
        .members
        .iter()
        .filter_map(|member| match member {
            Member::Service(at) if resources.services[*at].promotable => Some(*at),
            Member::Service(_) | Member::Vip(_) => None,
        });
    let services: Vec<usize> = services.collect();
    match services[..] {
        [service] => Some(service),
        [] => {
            sink.push(
                Diagnostic::error(clone.span(), format!("nothing in `{name}` can be promoted"))
                    .see(
                        groups.places[of].name.clone(),
                        "its members have one role each",
                    )
                    .help("write `promotable = true` in the `[[service]]` that has two roles"),
            );
            None
        }
        [one, other, ..] => {
            sink.push(
                Diagnostic::error(
                    clone.span(),
                    format!("`{name}` has two services that can be promoted"),
                )
                .see(resources.service_names[one].clone(), "this one")
                .see(resources.service_names[other].clone(), "and this one")
                .because("a group gives one role: the two might have it on different nodes")
                .help("give each a clone of its own, and a group that promotes it"),
            );
            None
        }
    }
}

fn twice(groups: &Groups, place: Range<usize>, first: Range<usize>, of: usize) -> Diagnostic {
    let name = &groups.list[of].name;
    Diagnostic::error(place, format!("`{name}` is promoted already"))
        .see(first, "here")
        .because("two groups could promote two instances of it at once")
        .help("keep one of the two; further VIPs can be its members")
}

/// Services that could be promoted, and that nobody promotes.
fn idle(sink: &mut Sink<'_>, groups: &Groups, resources: &Resources) {
    let services = resources.services.iter().zip(&resources.service_names);
    for (at, (service, place)) in services.enumerate().filter(|(_, (of, _))| of.promotable) {
        let home = |group: usize| groups.list[group].members.contains(&Member::Service(at));
        let promoted = groups
            .list
            .iter()
            .filter_map(|group| group.promotes)
            .any(home);
        if !promoted && !sink.failed() {
            sink.push(
                Diagnostic::warning(
                    place.clone(),
                    format!("`{}` is never promoted", service.name),
                )
                .because("it can be, but no group says so: every instance stays an ordinary one")
                .help("write a `[[group]]` that `promotes` its clone, or remove `promotable`"),
            );
        }
    }
}
