//! The words that every module of the engine shares: who, where, what, when.
//!
//! Owns identifiers and nothing else. An id is an index into the tables of
//! [`crate::Config`], in cluster-file order, so that every node that runs the
//! same file means the same thing by it.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Monotonic time since this node booted (`CLOCK_BOOTTIME`): the engine's only clock.
/// It is therefore also the node's uptime.
pub type Now = core::time::Duration;

/// A node, by its position in the cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u8);

/// A heartbeat path (one cable or network that all its ends share), cluster-wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PathId(pub u8);

/// A group: an ordered set of resources that runs on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u8);

/// A resource: a VIP or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId(pub u8);

/// One life of a node: random, drawn at boot, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub u64);

/// A cluster key for the heartbeat MAC (HMAC-SHA-256). Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub [u8; 32]);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// A set of nodes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeSet(pub u32);

impl NodeSet {
    /// Nobody.
    pub const EMPTY: NodeSet = NodeSet(0);

    /// Just this node.
    pub const fn only(node: NodeId) -> NodeSet {
        NodeSet(1 << node.0)
    }

    /// The first `count` nodes of the cluster file.
    pub fn first(count: usize) -> NodeSet {
        (0..count).map(NodeId::from_index).collect()
    }

    /// Whether `node` is in it. False for ids that no set can hold.
    pub fn contains(self, node: NodeId) -> bool {
        node.index() < limits::NODES && self.0 & (1 << node.0) != 0
    }

    /// With `node` in it.
    #[must_use]
    pub fn with(self, node: NodeId) -> NodeSet {
        NodeSet(self.0 | 1 << node.0)
    }

    /// With `node` not in it.
    #[must_use]
    pub fn without(self, node: NodeId) -> NodeSet {
        NodeSet(self.0 & !(1 << node.0))
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn minus(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 & !other.0)
    }

    /// Only those that are also in `other`.
    #[must_use]
    pub const fn both(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 & other.0)
    }

    /// With those of `other`.
    #[must_use]
    pub const fn union(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 | other.0)
    }

    /// True when every node of it is also in `other`.
    pub fn is_subset(self, other: NodeSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// True when nobody is in both.
    pub fn is_disjoint(self, other: NodeSet) -> bool {
        self.0 & other.0 == 0
    }

    /// True when nobody is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many nodes are in it.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its nodes, lowest id first.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..limits::NODES)
            .map(NodeId::from_index)
            .filter(move |node| self.contains(*node))
    }

    /// Its lowest id.
    pub fn lowest(self) -> Option<NodeId> {
        self.iter().next()
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<T: IntoIterator<Item = NodeId>>(nodes: T) -> NodeSet {
        nodes.into_iter().fold(NodeSet::EMPTY, NodeSet::with)
    }
}

/// Ids are positions: both ways, with the tables' bounds asserted once, here.
macro_rules! position {
    ($id:ident, $limit:expr) => {
        impl $id {
            /// Its position in the cluster file's table.
            pub fn index(self) -> usize {
                usize::from(self.0)
            }

            /// The id at a position. Positions come from tables that [`limits`] bounds.
            pub fn from_index(index: usize) -> $id {
                debug_assert!(index < $limit, "tables are bounded");
                $id(u8::try_from(index).unwrap_or(u8::MAX))
            }
        }
    };
}

position!(NodeId, limits::NODES);
position!(PathId, limits::PATHS);
position!(GroupId, limits::GROUPS);
position!(ResourceId, limits::RESOURCES);
