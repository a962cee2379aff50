//! Who leads, who may decide, who fits together: the arithmetic of views as pure functions.
//!
//! Owns the rules; the state is the engine's. Members are (node, life): a view names
//! nodes, and a node takes a view for its own only when the coordinator's echo
//! confirms its present life.
//!
//! Any two sets of nodes that an [`Electorate`] lets decide have a node in common, or an
//! arbiter's word each. Everything that excludes a second owner rests on that.

use crate::config::{Config, SplitBrain, Tie};
use crate::surface::View;
use crate::types::{NodeId, NodeSet};

/// What a node that takes part says of itself: no view while it is an observer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    pub(crate) node: NodeId,
    pub(crate) view: Option<View>,
    /// It holds a lease: a view that is merely newer has forgotten, or was cut off.
    pub(crate) leased: bool,
    /// An observer that may decide without those who are missing.
    pub(crate) alone: bool,
}

/// The coordinator among those who take part: a node with a lease before one without,
/// then the members of the newest view, then observers that need not wait; of several
/// the lowest id.
pub(crate) fn coordinator(voices: impl Iterator<Item = Voice>) -> Option<NodeId> {
    let rank = |voice: &Voice| {
        (
            voice.leased,
            voice.view.map_or(0, |view| view.epoch),
            voice.alone,
            core::cmp::Reverse(voice.node),
        )
    };
    voices.max_by_key(rank).map(|voice| voice.node)
}

/// Of two proposals the newer one counts, or the one of the lower id.
pub(crate) fn outranks(a: &View, b: &View) -> bool {
    (a.epoch, core::cmp::Reverse(a.coordinator)) > (b.epoch, core::cmp::Reverse(b.coordinator))
}

/// Whether a set of nodes may decide for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// It may.
    Own,
    /// Exactly half of the votes: it may with an arbiter's word.
    Asks,
    /// It may not.
    None,
}

/// All votes, and how they decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Electorate<'a> {
    pub(crate) rule: SplitBrain,
    /// By node.
    pub(crate) votes: &'a [u8],
    /// Nodes that operators vouched for as dead: their votes do not count.
    pub(crate) written_off: NodeSet,
}

impl Electorate<'_> {
    /// Whether `set` may decide.
    pub(crate) fn authority(&self, set: NodeSet) -> Authority {
        let SplitBrain::Votes(tie) = self.rule else {
            return Authority::Own;
        };
        match (2 * self.weight(set)).cmp(&self.total()) {
            core::cmp::Ordering::Greater => Authority::Own,
            core::cmp::Ordering::Less => Authority::None,
            core::cmp::Ordering::Equal => match tie {
                Tie::First if set.contains(NodeId(0)) => Authority::Own,
                Tie::Nobody | Tie::First => Authority::None,
                Tie::Arbiter { .. } => Authority::Asks,
            },
        }
    }

    /// The votes of `set`.
    pub(crate) fn weight(&self, set: NodeSet) -> u32 {
        let all = self.votes.iter().zip((0..).map(NodeId));
        all.filter(|(_, node)| set.contains(*node) && !self.written_off.contains(*node))
            .map(|(votes, _)| u32::from(*votes))
            .sum()
    }

    /// All of them.
    pub(crate) fn total(&self) -> u32 {
        self.weight(NodeSet::first(self.votes.len()))
    }
}

impl Config {
    /// Whether `members` may decide for the cluster when nobody hears the other nodes; with an
    /// arbiter, when it speaks for them.
    pub fn decides(&self, members: NodeSet, written_off: NodeSet) -> bool {
        let cluster = Electorate {
            rule: self.split_brain,
            votes: &self.votes,
            written_off,
        };
        cluster.authority(members) != Authority::None
    }
}

/// The nodes of `set` that all hear each other, `me` always among them: as long as some
/// do not, one goes: those outside `members` first, then the one with the most missing
/// neighbours, then the highest id. `neighbours` tells who hears a node and is heard by
/// it, and is asked about nodes other than `me` only.
pub(crate) fn clique(
    me: NodeId,
    set: NodeSet,
    members: NodeSet,
    neighbours: impl Fn(NodeId) -> NodeSet,
) -> NodeSet {
    let mut set = set.with(me);
    loop {
        let missing = |node: NodeId| {
            let others = set.without(me).without(node);
            others.minus(neighbours(node)).len()
        };
        let worst = set
            .without(me)
            .iter()
            .map(|node| (!members.contains(node), missing(node), node))
            .filter(|(_, gaps, _)| *gaps > 0)
            .max();
        match worst {
            Some((_, _, node)) => set = set.without(node),
            None => return set,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn voice(node: u8, epoch: u64) -> Voice {
        let node = NodeId(node);
        let view = View {
            epoch,
            members: NodeSet::only(node),
            coordinator: node,
            written_off: NodeSet::EMPTY,
            file: 1,
        };
        Voice {
            node,
            view: (epoch > 0).then_some(view),
            leased: false,
            alone: false,
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

    fn electorate(rule: SplitBrain, votes: &[u8]) -> Electorate<'_> {
        Electorate {
            rule,
            votes,
            written_off: NodeSet::EMPTY,
        }
    }

    #[test]
    fn a_lease_leads_before_a_newer_view_and_who_need_not_wait_before_who_must() {
        let stale = voice(0, 9);
        let holder = Voice {
            leased: true,
            ..voice(1, 1)
        };
        assert_eq!(coordinator([stale, holder].into_iter()), Some(NodeId(1)));
        let ready = Voice {
            alone: true,
            ..voice(1, 0)
        };
        assert_eq!(
            coordinator([voice(0, 0), ready].into_iter()),
            Some(NodeId(1))
        );
    }

    #[track_caller]
    fn may(rule: SplitBrain, votes: &[u8], set: u32, expect: Authority) {
        let found = electorate(rule, votes).authority(NodeSet(set));
        assert_eq!(found, expect, "{rule:?} {votes:?} {set:b}");
    }

    #[test]
    fn a_lonely_node_of_a_pair_asks_and_both_do_not() {
        for rule in [SplitBrain::PING, SplitBrain::WITNESS] {
            may(rule, &[1, 1], 0b01, Authority::Asks);
            may(rule, &[1, 1], 0b11, Authority::Own);
        }
        may(SplitBrain::Accept, &[1, 1], 0b10, Authority::Own);
    }

    #[test]
    fn more_than_half_decides_and_a_tie_goes_where_the_file_says() {
        let first = SplitBrain::Votes(Tie::First);
        may(SplitBrain::QUORUM, &[1, 1, 1], 0b110, Authority::Own);
        may(SplitBrain::QUORUM, &[1, 1, 1], 0b001, Authority::None);
        may(SplitBrain::QUORUM, &[1, 1, 1, 1], 0b0011, Authority::None);
        may(first, &[1, 1, 1, 1], 0b0011, Authority::Own);
        may(first, &[1, 1, 1, 1], 0b1100, Authority::None);
        may(SplitBrain::QUORUM, &[3, 1, 1], 0b001, Authority::Own);
        may(SplitBrain::QUORUM, &[1, 1, 0], 0b101, Authority::None);
    }

    #[test]
    fn the_votes_of_the_dead_leave_the_total() {
        let mut cluster = electorate(SplitBrain::QUORUM, &[1, 1, 1, 1, 1]);
        assert_eq!(cluster.authority(NodeSet(0b11)), Authority::None);
        cluster.written_off = NodeSet(0b11100);
        assert_eq!(cluster.authority(NodeSet(0b11)), Authority::Own);
    }

    proptest! {
        #[test]
        fn two_sets_that_decide_meet(
            votes in proptest::collection::vec(0u8..5, 1..12), a: u32, b: u32, first: bool,
        ) {
            let rule = if first { SplitBrain::Votes(Tie::First) } else { SplitBrain::QUORUM };
            let all = NodeSet::first(votes.len());
            let (a, b) = (NodeSet(a & all.0), NodeSet(b & all.0));
            let own = |set| electorate(rule, &votes).authority(set) == Authority::Own;
            if own(a) && own(b) {
                prop_assert!(a.0 & b.0 != 0, "{a:?} and {b:?} of {votes:?}");
            }
        }

        #[test]
        fn a_clique_hears_each_other(set: u32, members: u32, gaps in proptest::collection::vec((0u8..32, 0u8..32), 0..60)) {
            let (me, set) = (NodeId(3), NodeSet(set));
            let hear = |a: NodeId, b: NodeId| !gaps.iter().any(|(x, y)| {
                (NodeId(*x), NodeId(*y)) == (a, b) || (NodeId(*y), NodeId(*x)) == (a, b)
            });
            let near = |a: NodeId| NodeSet::first(32).iter().filter(|b| hear(a, *b)).collect();
            let found = clique(me, set, NodeSet(members), near);
            prop_assert!(found.contains(me) && found.is_subset(set.with(me)));
            for a in found.without(me).iter() {
                for b in found.without(me).without(a).iter() {
                    prop_assert!(hear(a, b));
                }
            }
        }
    }

    #[test]
    fn the_one_that_fewest_hear_is_left_out_and_members_stay() {
        // node 0 asks; 1 and 2 do not hear each other
        let near = |node: NodeId| NodeSet([0b111, 0b011, 0b101][node.index()]);
        let all = NodeSet(0b111);
        assert_eq!(clique(NodeId(0), all, all, near), NodeSet(0b011));
        assert_eq!(
            clique(NodeId(0), all, NodeSet(0b101), near),
            NodeSet(0b101),
            "a newcomer does not displace a member"
        );
    }
}
