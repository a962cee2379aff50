//! What keeps a group from a node on which an operator wants it now.
//!
//! Asks placement itself, with everything that this node knows: the coordinator judges in the
//! same way. The wish stays open all the same; nothing is decided here, and the words are
//! [`crate::text`]'s.

use super::Engine;
use crate::placement::{self, Verdict};
use crate::types::{GroupId, NodeId, NodeSet};

/// Why a group does not go where it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// Which group.
    pub group: GroupId,
    /// Where it is wanted.
    pub node: NodeId,
    /// What speaks against that. When nothing does, another group would have to leave.
    pub why: Verdict,
    /// Where it runs meanwhile.
    pub runs: NodeSet,
}

impl Engine {
    /// What keeps a group from a node that an operator wants it on, as things are now; `None`
    /// when it goes there, or is there.
    pub fn hindrance(&mut self, group: GroupId, node: NodeId) -> Option<Hindrance> {
        let members = self.view?.members;
        let nodes = self.survey(self.now, members, &mut |_| {});
        let states = self.states(self.now, members, &mut |_| {});
        let scene = self.scene(nodes, &states);
        let placed = placement::place(&scene);
        let runs = placed.get(group.index())?.nodes;
        (!runs.contains(node)).then(|| Hindrance {
            group,
            node,
            why: placement::verdict(&scene, &placed, group.index(), node),
            runs,
        })
    }
}
