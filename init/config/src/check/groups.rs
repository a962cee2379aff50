//! `[[group]]`: members, where it may run, and when it moves.

use core::ops::Range;

use kodo_engine::limits;
use kodo_engine::operator::tag;
use toml::Spanned;

use super::nodes::Nodes;
use super::resources::{Resources, at_least};
use super::{Unique, take, too_many};
use crate::cluster::{Failback, Group, Member};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Name, Text, nearest};
use crate::raw;
use crate::read::Entry;

/// All groups, where the first guarded one says so, and the members of the first other one
/// that has no VIP.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) list: Vec<Group>,
    pub(super) guarded: Option<Range<usize>>,
    pub(super) bare: Option<Range<usize>>,
}

/// Reads all groups. References are judged when everything they may name could be read.
pub(super) fn read(
    sink: &mut Sink<'_>,
    tables: Vec<Entry<raw::Group>>,
    nodes: &Nodes,
    resources: &Resources,
    readable: bool,
) -> Groups {
    let spans: Vec<_> = tables.iter().map(|table| table.span.clone()).collect();
    too_many(sink, "groups", &spans, limits::GROUPS);
    let empty = tables.is_empty();
    let mut names = Unique::new();
    let mut tags = Unique::new();
    let mut used: Unique<Member> = Unique::new();
    let mut complete = readable && resources.complete;
    let mut groups = Groups::default();
    for Entry { value: raw, .. } in tables {
        let name = take(sink, raw.name);
        if let Some(name) = &name
            && let Some(first) = names.insert(name.get_ref().0.to_lowercase(), name.span())
        {
            sink.push(
                Diagnostic::error(
                    name.span(),
                    format!("two groups are called `{}`", name.get_ref().0),
                )
                .see(first, "the first one")
                .help("give every group its own name; capitals make no difference"),
            );
        }
        if let Some(name) = &name
            && let Some(first) = tags.insert(tag(&name.get_ref().0), name.span())
            && !sink
                .text(first.clone())
                .eq_ignore_ascii_case(sink.text(name.span()))
        {
            sink.push(
                Diagnostic::error(
                    name.span(),
                    format!("the name `{}` has a twin", name.get_ref().0),
                )
                .see(first, "this one")
                .because("heartbeats name a group by a short hash of its name, and the two have the same")
                .help("change one of the names in any letter"),
            );
        }
        let place = raw.members.span();
        let members = members(sink, raw.members, resources, &mut used, &mut complete);
        let prefer = prefer(sink, raw.prefer, nodes);
        let failback = match raw.failback {
            Some(text) => take(sink, text).map(Spanned::into_inner),
            None => Some(Failback::Manual),
        };
        let threshold = match raw.migration_threshold {
            Some(value) if *value.get_ref() == 0 => {
                sink.push(
                    Diagnostic::error(
                        value.span(),
                        "a `migration_threshold` of 0 would ban every node at once",
                    )
                    .help("write 1 to leave a node at the first failure")
                    .fix("1"),
                );
                1
            }
            value => value.map_or(3, Spanned::into_inner),
        };
        let guarded = raw.guarded.filter(|guarded| *guarded.get_ref());
        if let Some(guarded) = &guarded {
            groups.guarded.get_or_insert(guarded.span());
        }
        let guarded = guarded.is_some();
        let vip = members
            .iter()
            .any(|member| matches!(member, Member::Vip(_)));
        if !guarded && !vip {
            groups.bare.get_or_insert(place);
        }
        let failure_timeout =
            at_least(sink, raw.failure_timeout, "failure_timeout", 600_000, 1_000);
        if let (Some(name), Some(failback), Some(failure_timeout)) =
            (name, failback, failure_timeout)
        {
            groups.list.push(Group {
                name: name.into_inner().0,
                guarded,
                members,
                prefer,
                failback,
                migration_threshold: threshold,
                failure_timeout,
            });
        }
    }
    if complete {
        unused(sink, resources, &used);
    }
    if empty && readable {
        sink.push(
            Diagnostic::warning(0..0, "the file has no `[[group]]`")
                .because("groups are what the cluster keeps running; without one it only watches")
                .help("write a `[[group]]` with the services and VIPs that belong together as its `members`"),
        );
    }
    groups
}

fn members(
    sink: &mut Sink<'_>,
    list: Spanned<Vec<Text<Name>>>,
    resources: &Resources,
    used: &mut Unique<Member>,
    complete: &mut bool,
) -> Vec<Member> {
    let span = list.span();
    if list.get_ref().is_empty() {
        *complete = false;
        sink.push(
            Diagnostic::error(span, "the group has no members")
                .help("name its services and VIPs in the order in which they are started"),
        );
        return Vec::new();
    }
    let spans: Vec<_> = list.get_ref().iter().map(Spanned::span).collect();
    too_many(sink, "members in this group", &spans, limits::MEMBERS);
    let mut members: Vec<(Member, Range<usize>)> = Vec::new();
    for text in list.into_inner() {
        let Some(name) = take(sink, text) else {
            *complete = false;
            continue;
        };
        let (place, name) = (name.span(), name.into_inner().0);
        let service = resources
            .services
            .iter()
            .position(|service| service.name == name)
            .map(Member::Service);
        let member = service.or_else(|| {
            resources
                .vips
                .iter()
                .position(|vip| vip.name == name)
                .map(Member::Vip)
        });
        let Some(member) = member else {
            if resources.complete {
                unknown(sink, place, &name, resources);
            }
            *complete = false;
            continue;
        };
        if let Some(first) = used.insert(member, place.clone()) {
            sink.push(
                Diagnostic::error(place, format!("`{name}` is a member already"))
                    .see(first, "here")
                    .because("a resource belongs to one group, once: it could not follow two")
                    .help("remove one of the two"),
            );
            continue;
        }
        members.push((member, place));
    }
    // Clients would reach an address behind which nothing answers yet.
    let early = members
        .iter()
        .enumerate()
        .find_map(|(position, (member, place))| {
            let later = members[position + 1..]
                .iter()
                .any(|(other, _)| matches!(other, Member::Service(_)));
            (matches!(member, Member::Vip(_)) && later).then(|| place.clone())
        });
    if let Some(place) = early {
        sink.push(
            Diagnostic::note(place, "this VIP is up before the service behind it")
                .because("members are started first to last and stopped last to first; until the service is ready, clients are refused")
                .help("name the VIP after its service"),
        );
    }
    members.into_iter().map(|(member, _)| member).collect()
}

fn unknown(sink: &mut Sink<'_>, place: Range<usize>, name: &str, resources: &Resources) {
    let known: Vec<&str> = resources
        .services
        .iter()
        .map(|service| service.name.as_str())
        .chain(resources.vips.iter().map(|vip| vip.name.as_str()))
        .collect();
    let item = Diagnostic::error(place, format!("there is no service or VIP `{name}`"));
    sink.push(match nearest(name, known.iter().copied()) {
        Some(near) => item
            .help(format!("did you mean `{near}`?"))
            .fix(format!("\"{near}\"")),
        None if known.is_empty() => item.help("describe it in a `[[service]]` or `[[vip]]` table"),
        None => item.help(format!("the file has: {}", known.join(", "))),
    });
}

fn prefer(
    sink: &mut Sink<'_>,
    list: Option<Spanned<Vec<Text<Name>>>>,
    nodes: &Nodes,
) -> Vec<usize> {
    let Some(list) = list else {
        return (0..nodes.list.len())
            .filter(|node| nodes.list[*node].runs())
            .collect();
    };
    let span = list.span();
    let known: Vec<&str> = nodes
        .list
        .iter()
        .filter_map(|node| node.name.as_ref())
        .map(|name| name.get_ref().as_str())
        .collect();
    let mut seen = Unique::new();
    let mut order = Vec::new();
    let mut sound = true;
    for text in list.into_inner() {
        let Some(name) = take(sink, text) else {
            sound = false;
            continue;
        };
        let (place, name) = (name.span(), name.into_inner().0);
        let Some(position) = nodes
            .list
            .iter()
            .position(|node| node.title() == name && node.name.is_some())
        else {
            sound = false;
            if nodes.complete {
                let item = Diagnostic::error(place, format!("there is no node `{name}`"));
                sink.push(match nearest(&name, known.iter().copied()) {
                    Some(near) => item
                        .help(format!("did you mean `{near}`?"))
                        .fix(format!("\"{near}\"")),
                    None => item.help(format!("the file has: {}", known.join(", "))),
                });
            }
            continue;
        };
        if let Some(voter) = &nodes.list[position].voter {
            sink.push(
                Diagnostic::error(place, format!("`{name}` is a voter"))
                    .see(voter.clone(), "it runs nothing")
                    .because("`prefer` names the nodes that may run the group")
                    .help("remove it here, or remove its `voter`"),
            );
            sound = false;
            continue;
        }
        if let Some(first) = seen.insert(position, place.clone()) {
            sink.push(
                Diagnostic::error(place, format!("`{name}` is named twice"))
                    .see(first, "here")
                    .help("remove one of the two"),
            );
            sound = false;
            continue;
        }
        order.push(position);
    }
    let runners = nodes.list.iter().filter(|node| node.runs()).count();
    let all = match runners {
        2 => "name both nodes, the better one first",
        _ => "name several nodes, the best one first",
    };
    if sound && order.is_empty() {
        sink.push(
            Diagnostic::error(span, "`prefer` names no node")
                .because("only the nodes that it names may run the group")
                .help(format!("{all}, or leave the line out for the file's order")),
        );
    } else if sound && order.len() == 1 && runners > 1 {
        sink.push(
            Diagnostic::warning(span, "the group can run on one node only")
                .because("only the nodes that `prefer` names may run it: nothing takes over when that one fails")
                .help(all),
        );
    }
    order
}

/// Resources that no group starts.
fn unused(sink: &mut Sink<'_>, resources: &Resources, used: &Unique<Member>) {
    let services = resources
        .service_names
        .iter()
        .enumerate()
        .map(|(at, span)| (Member::Service(at), span));
    let vips = resources
        .vip_names
        .iter()
        .enumerate()
        .map(|(at, span)| (Member::Vip(at), span));
    for (member, span) in services.chain(vips) {
        if !used.seen.iter().any(|(known, _)| *known == member) {
            sink.push(
                Diagnostic::warning(span.clone(), "no group has this as a member")
                    .because("only groups are started")
                    .help("add it to the `members` of a group, or remove it"),
            );
        }
    }
}
