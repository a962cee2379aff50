//! Groups that run on several nodes at once.
//!
//! Owns what such a group may be made of, and on how many nodes it can run. How it goes with
//! other groups is judged with the colocations.

use core::ops::Range;

use kodo_engine::limits;
use toml::Spanned;

use super::groups::Groups;
use super::nodes::Nodes;
use crate::cluster::Member;
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Clones;

/// Tells what is exclusive about a clone: nothing may be.
pub(super) fn members(
    sink: &mut Sink<'_>,
    clones: &Spanned<Clones>,
    members: &[Spanned<Member>],
    guarded: Option<&Spanned<bool>>,
) {
    let vip = |member: &&Spanned<Member>| matches!(member.get_ref(), Member::Vip(_));
    if let Some(vip) = members.iter().find(vip) {
        sink.push(
            Diagnostic::error(clones.span(), "a group with a VIP cannot be a clone")
                .see(vip.span(), "an address is on one node at a time")
                .because("a clone runs on several nodes at once, so nothing in it may be exclusive")
                .help("put the VIP into a group of its own, and a `[[colocation]]` with this one: `score = \"must\"`"),
        );
    }
    if let Some(guarded) = guarded {
        sink.push(
            Diagnostic::error(clones.span(), "a guarded group cannot be a clone")
                .see(guarded.span(), "it runs on one node at a time")
                .because("`guarded` promises one owner for data, `clones` several")
                .help("remove one of the two"),
        );
    }
}

/// On how many nodes a clone runs, before it is known which may run it.
pub(super) fn wanted(clones: Clones) -> u8 {
    match clones {
        Clones::All => u8::MAX,
        Clones::On(count) => count,
    }
}

/// Judges each clone against the nodes that may run it, and counts them for "all".
pub(super) fn count(sink: &mut Sink<'_>, nodes: &Nodes, groups: &mut Groups) {
    if !nodes.complete {
        return;
    }
    for (group, places) in groups.list.iter_mut().zip(&groups.places) {
        let Some((wanted, place)) = group.clones.zip(places.clones.clone()) else {
            continue;
        };
        let may = (0..nodes.list.len()).filter(|node| group.may_run(*node));
        let may = u8::try_from(may.count()).unwrap_or(u8::MAX);
        if usize::from(wanted) > limits::NODES {
            group.clones = Some(may);
        } else if wanted > may && may > 0 {
            sink.push(too_few(place, wanted, may, &group.name));
        }
    }
}

fn too_few(place: Range<usize>, wanted: u8, may: u8, group: &str) -> Diagnostic {
    let nodes = match may {
        1 => "one node".to_owned(),
        more => format!("{more} nodes"),
    };
    Diagnostic::error(place, format!("`{group}` cannot run on {wanted} nodes"))
        .because(format!("{nodes} may run it, and each runs it once"))
        .help(format!(
            "write {may} or less, or \"all\"; or let more nodes run it by `prefer` and `[[location]]`"
        ))
}
