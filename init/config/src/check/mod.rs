//! From tables to a [`Cluster`]: every value and every relation between values.
//!
//! Each module reads the tables of its subject and tells their flaws; relations across
//! tables are judged only among values that could be read, so that one mistake is told
//! once. Nothing here stops at the first mistake.

mod arbiter;
mod bounds;
mod circles;
mod clash;
mod clones;
mod constraints;
mod disks;
mod failures;
mod groups;
mod lines;
mod locations;
mod moves;
mod nodes;
mod paths;
mod policy;
mod promotes;
mod quarantine;
mod remarks;
mod resources;
mod room;
mod roots;
mod rules;
mod split;
mod timing;
mod wires;

use core::ops::Range;

use toml::Spanned;

use crate::cluster::{Cluster, EvenSplit};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Leaf, Text, nearest};
use crate::read::File;
use crate::secrets::Loader;

/// Checks every table; `None` when the file is refused.
pub(crate) fn cluster(sink: &mut Sink<'_>, file: File, load: Loader<'_>) -> Option<Cluster> {
    let readable = !sink.failed();
    let head = file
        .general
        .as_ref()
        .map_or(0..0, |table| table.span.clone());
    let general = file.general.map(|table| policy::general(sink, table, load));
    let keys = general.as_ref().map_or(&[][..], |general| &general.keys);
    let witness = file
        .witness
        .map(|table| policy::witness(sink, table, keys, load));
    let profile = general.as_ref().and_then(|general| general.profile.clone());
    let timing = timing::read(sink, file.timing, profile.as_ref(), &head);
    let watchdog = policy::watchdog(sink, file.watchdog, timing.as_ref());
    let admin = file
        .admin
        .map(|(table, tokens)| policy::admin(sink, table, tokens, load));

    let nodes = nodes::read(sink, file.nodes, readable);
    let paths = paths::derive(sink, &nodes, timing.as_ref(), file.groups.len());
    let resources = resources::read(
        sink,
        file.services,
        file.vips,
        &nodes,
        admin.as_ref(),
        load,
        readable,
    );
    let (mut groups, promotes) = groups::read(sink, file.groups, &nodes, &resources, readable);
    let promotes = promotes::read(sink, promotes, &nodes, &resources, &mut groups);
    locations::read(sink, file.locations, &nodes, &mut groups);
    clones::count(sink, &nodes, &mut groups);
    let written = (file.colocations, file.orders);
    let constraints = constraints::read(sink, written, &nodes, &groups, &promotes);
    room::judge(sink, &nodes, &groups);
    let general = general?;
    arbiter::judge(
        sink,
        &general,
        witness.as_ref(),
        &nodes,
        &resources,
        readable,
    );
    split::judge(sink, &general, &nodes);
    let clocks = timing.as_ref().zip(watchdog.as_ref());
    split::clocks(sink, &general, witness.as_ref(), &groups, clocks);
    disks::judge(sink, &nodes);
    remarks::tell(sink, &general, &nodes, &groups, clocks);
    if sink.failed() {
        return None;
    }
    let rules = rules::all(&nodes, &groups, &constraints);
    let names: Vec<_> = groups.places.into_iter().map(|of| of.name).collect();
    let public = resources.vips.first().map_or(0, |vip| vip.lan);
    let cluster = Cluster {
        name: general.name?.into_inner(),
        keys: general.keys,
        timing: timing?.value,
        split_brain: general.split_brain?.into_inner(),
        even_split: general
            .even_split
            .map_or(EvenSplit::None, Spanned::into_inner),
        witness: witness.and_then(|witness| witness.value),
        quarantine: general.quarantine,
        ping: plain(general.ping),
        drills: general.drills.is_some_and(Spanned::into_inner),
        admin: admin.map(|admin| admin.value),
        watchdog: watchdog?.value,
        nodes: nodes
            .list
            .into_iter()
            .map(nodes::Node::finish)
            .collect::<Option<_>>()?,
        services: resources.services,
        vips: resources.vips,
        groups: groups.list,
        colocations: plain(constraints.colocations),
        orders: plain(constraints.orders),
        paths: paths::publish(paths?, public),
        notes: Vec::new(),
    };
    clash::judge(sink, &cluster, rules, &names);
    Some(cluster)
}

/// Takes a value out of its leaf; tells the flaw when it did not read.
fn take<T>(sink: &mut Sink<'_>, text: Text<T>) -> Option<Spanned<T>> {
    let span = text.span();
    let Leaf(read) = text.into_inner();
    match read {
        Ok(value) => Some(Spanned::new(span, value)),
        Err(flaw) => {
            let mut item = Diagnostic::error(span, flaw.message);
            if let Some(fix) = flaw.fix {
                item = item.fix(format!("\"{fix}\""));
            }
            if let Some(help) = flaw.help {
                item = item.help(help);
            }
            sink.push(item);
            None
        }
    }
}

/// Takes every value of a list, without those that did not read.
fn take_all<T>(sink: &mut Sink<'_>, texts: Option<Vec<Text<T>>>) -> Vec<Spanned<T>> {
    texts
        .into_iter()
        .flatten()
        .filter_map(|text| take(sink, text))
        .collect()
}

/// A name that nothing has, and those that there are.
fn suggest(item: Diagnostic, name: &str, known: &[&str]) -> Diagnostic {
    match nearest(name, known.iter().copied()) {
        Some(near) => item
            .help(format!("did you mean `{near}`?"))
            .fix(format!("\"{near}\"")),
        None => item.help(format!("the file has: {}", known.join(", "))),
    }
}

/// Without places.
fn plain<T>(list: Vec<Spanned<T>>) -> Vec<T> {
    list.into_iter().map(Spanned::into_inner).collect()
}

/// Things that must differ, and where each was seen first.
struct Unique<K> {
    seen: Vec<(K, Range<usize>)>,
}

impl<K: PartialEq> Unique<K> {
    fn new() -> Self {
        Self { seen: Vec::new() }
    }

    /// Remembers a thing; where it was before, when it was.
    fn insert(&mut self, key: K, span: Range<usize>) -> Option<Range<usize>> {
        let before = self
            .seen
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, span)| span.clone());
        if before.is_none() {
            self.seen.push((key, span));
        }
        before
    }
}

/// More things of a kind than the product has room for.
fn too_many(sink: &mut Sink<'_>, what: &str, spans: &[Range<usize>], limit: usize) {
    if let Some(span) = spans.get(limit) {
        sink.push(
            Diagnostic::error(span.clone(), format!("there are {} {what}", spans.len()))
                .because(format!(
                    "a node has room for {limit}; every table in it has a fixed size"
                ))
                .help(format!("remove {} of them", spans.len() - limit)),
        );
    }
}
