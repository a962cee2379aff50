//! The words that every module of the engine shares: who, where, what, when.
//!
//! Owns identifiers and nothing else. An id is an index into the tables of
//! [`crate::Config`], in cluster-file order, so that every node that runs the
//! same file means the same thing by it.

use serde::{Deserialize, Serialize};

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
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(secret)")
    }
}
