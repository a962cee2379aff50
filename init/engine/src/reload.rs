//! What a new cluster file changes, seen from the one that runs: a pure comparison.
//!
//! Owns two questions: whether a cluster may go from one file to the other while it runs,
//! and which groups must be down at that moment. Groups are matched by
//! [`tag`]; resources keep their slot: who lowers the new file sees to that
//! (`kodo_node::Config::seat`), and what is in a slot is another thing when its name or make
//! differs. Never decides when.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Fault, Group, Path};
use crate::limits;
use crate::operator::tag;
use crate::types::{GroupId, ResourceId};

/// Why a cluster file cannot be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// No node could run it.
    Fault(Fault),
    /// It changes what only a reboot changes.
    Fixed(Fixed),
    /// The slot of a resource of the running file is gone, or of another kind.
    Slot(ResourceId),
    /// The running file does not accept the key that this one signs with: nodes that have
    /// switched would not be heard.
    NewKey,
    /// This one does not accept the key that the running file signs with: nodes that have not
    /// switched would not be heard.
    OldKey,
    /// It has the running file's hash, and other keys.
    Keys,
    /// This node has agreed to switch to the file staged here, at this very moment.
    Busy,
}

/// What only a reboot changes: it needs new images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is spelled out by its Display")]
pub enum Fixed {
    Cluster,
    Me,
    Nodes,
    Votes,
    Timing,
    SplitBrain,
    Witness,
    Ping,
    Paths,
    State,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fixed::Cluster => "the cluster's name",
            Fixed::Me => "which node this is",
            Fixed::Nodes => "the nodes",
            Fixed::Votes => "the votes",
            Fixed::Timing => "the timing, or the watchdog",
            Fixed::SplitBrain => "split_brain",
            Fixed::Witness => "the witness",
            Fixed::Ping => "whether there are ping targets",
            Fixed::Paths => "the heartbeat paths",
            Fixed::State => "the state partition",
        })
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Fault(fault) => write!(f, "no node can run it: {fault}"),
            Unfit::Fixed(fixed) => write!(f, "it changes {fixed}: that needs new images"),
            Unfit::Slot(resource) => write!(f, "the place of resource {} is gone", resource.0),
            Unfit::NewKey => f.write_str(
                "the running file does not accept the key that the new one signs with: \
                 add it as the second key first, adopt that file, then swap the two",
            ),
            Unfit::OldKey => f.write_str(
                "the new file does not accept the key that the running one signs with: \
                 keep it as the second key until the file with the new key first is adopted",
            ),
            Unfit::Keys => f.write_str("it has the running file's hash, and other keys"),
            Unfit::Busy => f.write_str("the switch to the staged file is under way: try again"),
        }
    }
}

/// Groups of one file, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct GroupSet(u64);

impl GroupSet {
    pub(crate) fn contains(self, group: GroupId) -> bool {
        self.0 & 1 << group.0 != 0
    }

    fn add(&mut self, group: GroupId) {
        self.0 |= 1 << group.0;
    }
}

/// By group of the new file: which one of the old file it was.
pub(crate) type From = [Option<GroupId>; limits::GROUPS];

/// The groups of `old` that stop when a cluster goes on with `new`; both are seated alike.
///
/// # Errors
/// Why it cannot.
pub fn parting(old: &Config, new: &Config) -> Result<impl Iterator<Item = GroupId>, Unfit> {
    let parts = compare(old, new)?;
    let groups = (0..old.groups.len()).map(GroupId::from_index);
    Ok(groups.filter(move |group| parts.contains(*group)))
}

/// Matches the groups of two files by their names' tags.
pub(crate) fn matched(old: &Config, new: &Config) -> From {
    let mut from = [None; limits::GROUPS];
    for (slot, group) in from.iter_mut().zip(&new.groups) {
        *slot = twin(old, group).map(|(id, _)| id);
    }
    from
}

/// Whether a cluster that runs `old` may switch to `new`, and which groups of `old` must be
/// down then: those that go away or become something else, and those that must not run
/// without them.
pub(crate) fn compare(old: &Config, new: &Config) -> Result<GroupSet, Unfit> {
    if let Some(fixed) = fixed(old, new) {
        return Err(Unfit::Fixed(fixed));
    }
    if let Some(fault) = new.fault() {
        return Err(Unfit::Fault(fault));
    }
    if !old.keys.contains(&new.keys[0]) {
        return Err(Unfit::NewKey);
    }
    if !new.keys.contains(&old.keys[0]) {
        return Err(Unfit::OldKey);
    }
    for (n, was) in old.resources.iter().enumerate() {
        let is = new.resources.get(n);
        if is.is_none_or(|is| is.kind != was.kind) {
            return Err(Unfit::Slot(ResourceId::from_index(n)));
        }
    }
    let mut parts = GroupSet::default();
    for (n, group) in old.groups.iter().enumerate() {
        let same = twin(new, group).is_some_and(|(_, twin)| is_same(old, group, new, twin));
        if !same {
            parts.add(GroupId::from_index(n));
        }
    }
    // Each round takes in one more group, or ends it.
    for _ in 0..old.groups.len() {
        for order in old.orders.iter().filter(|order| order.must) {
            if parts.contains(order.first) {
                parts.add(order.then);
            }
        }
    }
    Ok(parts)
}

fn twin<'a>(config: &'a Config, group: &Group) -> Option<(GroupId, &'a Group)> {
    let wanted = tag(&group.name);
    let mut groups = config.groups.iter().enumerate();
    let (n, found) = groups.find(|(_, other)| tag(&other.name) == wanted)?;
    Some((GroupId::from_index(n), found))
}

/// It may go on running across the switch: only words about its place differ.
fn is_same(old: &Config, was: &Group, new: &Config, is: &Group) -> bool {
    let nature = |group: &Group| (group.guarded, group.clones.is_some());
    let resource = |id: &ResourceId| {
        let (was, is) = (&old.resources[id.index()], &new.resources[id.index()]);
        (&was.name, was.make) == (&is.name, is.make)
    };
    nature(was) == nature(is) && was.members == is.members && was.members.iter().all(resource)
}

fn fixed(old: &Config, new: &Config) -> Option<Fixed> {
    // A serial line's pace and room follow from the number of groups.
    let wires = |config: &Config| -> Vec<_, { limits::PATHS }> {
        let wire = |path: &Path| (path.name.clone(), path.public, path.ends);
        config.paths.iter().map(wire).collect()
    };
    let same = [
        (old.cluster_id == new.cluster_id, Fixed::Cluster),
        (old.me == new.me, Fixed::Me),
        (old.nodes == new.nodes, Fixed::Nodes),
        (old.votes == new.votes, Fixed::Votes),
        (old.timing == new.timing, Fixed::Timing),
        (old.split_brain == new.split_brain, Fixed::SplitBrain),
        (old.witness_key == new.witness_key, Fixed::Witness),
        (old.pings == new.pings, Fixed::Ping),
        (wires(old) == wires(new), Fixed::Paths),
        (old.keeps_state == new.keeps_state, Fixed::State),
    ];
    let mut differing = same.into_iter().filter(|(same, _)| !same);
    differing.next().map(|(_, fixed)| fixed)
}
