//! `[[group]]`: members, where it may run, what it weighs. When it moves is `moves`'s subject.

use core::ops::Range;

use kodo_engine::limits;
use kodo_engine::operator::tag;
use toml::Spanned;

use super::nodes::Nodes;
use super::resources::Resources;
use super::{Unique, clones, failures, moves, plain, suggest, take, too_many};
use crate::cluster::{Group, Member};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Name, Text};
use crate::raw;
use crate::read::Entry;

/// All groups, where the first guarded one says so, the members of the first other one that
/// has no VIP and is no clone, and where the first other one says what it promotes.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) list: Vec<Group>,
    /// Of each in `list`.
    pub(super) places: Vec<Places>,
    /// Whether all of them could be read.
    pub(super) complete: bool,
    pub(super) guarded: Option<Range<usize>>,
    pub(super) bare: Option<Range<usize>>,
    pub(super) light_role: Option<Range<usize>>,
}

/// Where a group's words are, those that it has.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) name: Range<usize>,
    pub(super) prefer: Option<Range<usize>>,
    pub(super) weight: Option<Range<usize>>,
    pub(super) clones: Option<Range<usize>>,
    pub(super) failure_timeout: Option<Range<usize>>,
    /// Nodes where it never runs.
    pub(super) never: Vec<Spanned<usize>>,
}

/// Reads all groups, and by position what they say they promote. References are judged when
/// everything they may name could be read.
pub(super) fn read(
    sink: &mut Sink<'_>,
    tables: Vec<Entry<raw::Group>>,
    nodes: &Nodes,
    resources: &Resources,
    readable: bool,
) -> (Groups, Vec<(usize, Text<Name>)>) {
    let mut promotes = Vec::new();
    let spans: Vec<_> = tables.iter().map(|table| table.span.clone()).collect();
    too_many(sink, "groups", &spans, limits::GROUPS);
    let empty = tables.is_empty();
    let mut names = Unique::new();
    let mut tags = Unique::new();
    let mut used: Unique<Member> = Unique::new();
    let mut complete = readable && resources.complete;
    let mut groups = Groups {
        complete: readable,
        ..Groups::default()
    };
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
        // a role alone is something to hold
        let may_lack = raw.promotes.is_some();
        let members = members(
            sink,
            raw.members,
            resources,
            &mut used,
            &mut complete,
            may_lack,
        );
        let prefer_place = raw.prefer.as_ref().map(Spanned::span);
        let prefer = prefer(sink, raw.prefer, nodes);
        let guarded = raw.guarded.filter(|guarded| *guarded.get_ref());
        if let Some(guarded) = &guarded {
            groups.guarded.get_or_insert(guarded.span());
        }
        let failure_timeout = raw.failure_timeout.as_ref().map(Spanned::span);
        let moves = moves::read(
            sink,
            moves::Words {
                failback: raw.failback,
                delay: raw.failback_delay,
                stickiness: raw.stickiness,
                threshold: raw.migration_threshold,
                failure_timeout: raw.failure_timeout,
                clones: raw.clones.as_ref().map(Spanned::span),
                name: name.as_ref().map_or(place.clone(), Spanned::span),
            },
            &members,
            resources,
        );
        let failures = failures::read(
            sink,
            raw.start_failure_is_fatal,
            raw.on_stop_failure,
            raw.health,
        );
        let wanted = raw.clones.is_some();
        let clones = raw.clones.and_then(|text| take(sink, text));
        if let Some(clones) = &clones {
            clones::members(sink, clones, &members, guarded.as_ref());
        }
        let vip = members
            .iter()
            .any(|member| matches!(member.get_ref(), Member::Vip(_)));
        let role = raw.promotes.as_ref().map(Spanned::span);
        match role {
            Some(role) if guarded.is_none() => {
                groups.light_role.get_or_insert(role);
            }
            None if guarded.is_none() && !vip && !wanted => {
                groups.bare.get_or_insert(place);
            }
            _ => {}
        }
        let known = wanted == clones.is_some();
        let (Some(name), Some(moves), Some(failures), true) = (name, moves, failures, known) else {
            groups.complete = false;
            continue;
        };
        groups.places.push(Places {
            name: name.span(),
            prefer: prefer_place,
            weight: raw.weight.as_ref().map(Spanned::span),
            clones: clones.as_ref().map(Spanned::span),
            failure_timeout,
            never: Vec::new(),
        });
        promotes.extend(raw.promotes.map(|text| (groups.list.len(), text)));
        groups.list.push(Group {
            name: name.into_inner().0,
            guarded: guarded.is_some(),
            members: plain(members),
            prefer,
            locations: Vec::new(),
            priority: raw.priority.map_or(0, Spanned::into_inner),
            weight: raw.weight.map_or(0, Spanned::into_inner),
            clones: clones.map(|clones| clones::wanted(clones.into_inner())),
            promotes: None,
            stickiness: moves.stickiness,
            failback: moves.failback,
            migration_threshold: moves.threshold,
            failure_timeout: moves.failure_timeout,
            health: failures.health,
            start_failure_is_fatal: failures.start_is_fatal,
            on_stop_failure: failures.on_stop,
        });
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
    (groups, promotes)
}

fn members(
    sink: &mut Sink<'_>,
    list: Spanned<Vec<Text<Name>>>,
    resources: &Resources,
    used: &mut Unique<Member>,
    complete: &mut bool,
    may_lack: bool,
) -> Vec<Spanned<Member>> {
    let span = list.span();
    if list.get_ref().is_empty() && may_lack {
        return Vec::new();
    }
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
    let mut members: Vec<Spanned<Member>> = Vec::new();
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
        members.push(Spanned::new(place, member));
    }
    // Clients would reach an address behind which nothing answers yet.
    let service = |member: &Spanned<Member>| matches!(member.get_ref(), Member::Service(_));
    let last = members.iter().rposition(service).unwrap_or(0);
    let early = members[..last].iter().find(|member| !service(member));
    if let Some(member) = early {
        sink.push(
            Diagnostic::note(member.span(), "this VIP is up before the service behind it")
                .because("members are started first to last and stopped last to first; until the service is ready, clients are refused")
                .help("name the VIP after its service"),
        );
    }
    members
}

fn unknown(sink: &mut Sink<'_>, place: Range<usize>, name: &str, resources: &Resources) {
    let known: Vec<&str> = resources
        .services
        .iter()
        .map(|service| service.name.as_str())
        .chain(resources.vips.iter().map(|vip| vip.name.as_str()))
        .collect();
    let item = Diagnostic::error(place, format!("there is no service or VIP `{name}`"));
    sink.push(match known[..] {
        [] => item.help("describe it in a `[[service]]` or `[[vip]]` table"),
        _ => suggest(item, name, &known),
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
    let mut seen = Unique::new();
    let mut order = Vec::new();
    let mut sound = true;
    for text in list.into_inner() {
        let wanted = "`prefer` names the nodes that may run the group";
        let Some(node) = nodes.named(sink, text, wanted) else {
            sound = false;
            continue;
        };
        let (place, position) = (node.span(), node.into_inner());
        if let Some(first) = seen.insert(position, place.clone()) {
            sink.push(
                Diagnostic::error(
                    place,
                    format!("`{}` is named twice", nodes.list[position].title()),
                )
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
