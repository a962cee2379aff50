//! Who leads, and who may decide: the arithmetic of views as pure functions.
//!
//! Owns the rules; the state is the engine's. Members are (node, life): a view names
//! nodes, and a node takes a view for its own only when the coordinator's echo
//! confirms its present life.
//!
//! The pair's arithmetic is [`needs_evidence`]; everything else holds for any number
//! of nodes.

use crate::surface::View;
use crate::types::{NodeId, NodeSet};

/// What a node that takes part says of itself: no view while it is an observer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    pub(crate) node: NodeId,
    pub(crate) view: Option<View>,
}

/// The coordinator among those who take part: the lowest id among the members of
/// the newest view; among observers alone, the lowest id.
pub(crate) fn coordinator(voices: impl Iterator<Item = Voice>) -> Option<NodeId> {
    let rank = |voice: &Voice| {
        (
            voice.view.map_or(0, |view| view.epoch),
            core::cmp::Reverse(voice.node),
        )
    };
    voices.max_by_key(rank).map(|voice| voice.node)
}

/// Of two proposals the newer one counts, or the one of the lower id.
pub(crate) fn outranks(a: &View, b: &View) -> bool {
    (a.epoch, core::cmp::Reverse(a.coordinator)) > (b.epoch, core::cmp::Reverse(b.coordinator))
}

/// Whether forming a view of `members` takes the arbiter's evidence, when `unsure`
/// are nodes of the cluster that may be alive and deciding for themselves.
///
/// For a pair: a node alone does, unless the other is gone for certain.
pub(crate) fn needs_evidence(members: NodeSet, unsure: NodeSet) -> bool {
    members.len() == 1 && !unsure.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(node: u8, epoch: u64) -> Voice {
        let node = NodeId(node);
        let view = View {
            epoch,
            members: NodeSet::only(node),
            coordinator: node,
        };
        Voice {
            node,
            view: (epoch > 0).then_some(view),
        }
    }

    #[track_caller]
    fn check(voices: &[(u8, u64)], expect: u8) {
        let voices = voices.iter().map(|(node, epoch)| voice(*node, *epoch));
        assert_eq!(coordinator(voices), Some(NodeId(expect)));
    }

    #[test]
    fn the_newest_view_leads_then_the_lowest_id() {
        check(&[(0, 0), (1, 0)], 0);
        check(&[(0, 0), (1, 3)], 1);
        check(&[(0, 3), (1, 3)], 0);
        check(&[(0, 6), (1, 7)], 1);
        check(&[(1, 7), (0, 6)], 1);
        check(&[(2, 7), (1, 7), (0, 6)], 1);
    }

    #[test]
    fn a_lonely_node_of_a_pair_needs_evidence() {
        assert!(needs_evidence(NodeSet(0b01), NodeSet(0b10)));
        assert!(!needs_evidence(NodeSet(0b01), NodeSet::EMPTY));
        assert!(!needs_evidence(NodeSet(0b11), NodeSet::EMPTY));
    }
}
