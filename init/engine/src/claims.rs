//! Tenures: who holds a group since when, and who gives way when two holders meet.
//!
//! Owns the rule as a pure function. A tenure is (epoch, node); a claim is what a
//! node says about its newest tenure of a group, and which tenure that one took over
//! from. Never decides where a group should run.

use crate::types::NodeId;
use serde::{Deserialize, Serialize};

/// What a node says about its newest tenure of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// How far it is.
    pub hold: Hold,
    /// The tenure's epoch; 0 when it never held the group in this life.
    pub tenure: u64,
    /// The tenure it superseded: epoch and node.
    pub over: Option<(u64, NodeId)>,
}

/// The life of a tenure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hold {
    /// Never held in this life.
    #[default]
    Never,
    /// It may act: from the decision to start until the decision to stop.
    Holding,
    /// It is giving the group up; its exclusive resources may still act.
    Releasing,
    /// Its exclusive resources are down for certain.
    Released,
}

impl Claim {
    /// True while its exclusive resources may act.
    pub fn may_act(&self) -> bool {
        matches!(self.hold, Hold::Holding | Hold::Releasing)
    }
}

/// What follows for us from a peer's claim on a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: at most one of us holds it.
    Peace,
    /// Its tenure names ours as superseded: give way at once.
    Superseded,
    /// Our tenure names its as superseded: keep, and announce again.
    Kept,
    /// Neither knows of the other: both give way.
    Unrelated,
}

/// Judges `ours` on node `me` against `theirs` on node `peer`.
pub fn judge(ours: &Claim, me: NodeId, theirs: &Claim, peer: NodeId) -> Verdict {
    if ours.hold != Hold::Holding || theirs.tenure == 0 {
        return Verdict::Peace;
    }
    if theirs.tenure > ours.tenure && theirs.over == Some((ours.tenure, me)) {
        // even when it has released since: an old owner that wakes up gives way first
        return Verdict::Superseded;
    }
    if !theirs.may_act() {
        return Verdict::Peace;
    }
    if ours.over == Some((theirs.tenure, peer)) && ours.tenure > theirs.tenure {
        return Verdict::Kept;
    }
    if theirs.hold == Hold::Releasing {
        // it gives way already; what it named is behind it
        return Verdict::Peace;
    }
    Verdict::Unrelated
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    fn claim(hold: Hold, tenure: u64, over: Option<(u64, NodeId)>) -> Claim {
        Claim { hold, tenure, over }
    }

    #[track_caller]
    fn check(a: Claim, b: Claim, expect_a: Verdict, expect_b: Verdict) {
        assert_eq!(judge(&a, A, &b, B), expect_a, "as A sees it");
        assert_eq!(judge(&b, B, &a, A), expect_b, "as B sees it");
    }

    #[test]
    fn the_one_that_knows_of_the_other_keeps() {
        check(
            claim(Hold::Holding, 3, None),
            claim(Hold::Holding, 5, Some((3, A))),
            Verdict::Superseded,
            Verdict::Kept,
        );
    }

    #[test]
    fn strangers_both_give_way() {
        check(
            claim(Hold::Holding, 3, None),
            claim(Hold::Holding, 3, None),
            Verdict::Unrelated,
            Verdict::Unrelated,
        );
        check(
            claim(Hold::Holding, 4, Some((2, B))),
            claim(Hold::Holding, 5, Some((3, A))),
            Verdict::Unrelated,
            Verdict::Unrelated,
        );
    }

    #[test]
    fn a_superseded_owner_wakes_up_after_its_successor_released() {
        check(
            claim(Hold::Holding, 3, None),
            claim(Hold::Released, 5, Some((3, A))),
            Verdict::Superseded,
            Verdict::Peace,
        );
    }

    #[test]
    fn a_holder_and_a_former_one_live_in_peace() {
        check(
            claim(Hold::Released, 3, None),
            claim(Hold::Holding, 5, Some((3, A))),
            Verdict::Peace,
            Verdict::Peace,
        );
        check(
            claim(Hold::Never, 0, None),
            claim(Hold::Holding, 5, None),
            Verdict::Peace,
            Verdict::Peace,
        );
        check(
            claim(Hold::Holding, 7, Some((5, B))),
            claim(Hold::Released, 5, None),
            Verdict::Peace,
            Verdict::Peace,
        );
    }

    #[test]
    fn there_is_never_a_pair_of_claims_that_both_keep() {
        let holds = [Hold::Never, Hold::Holding, Hold::Releasing, Hold::Released];
        let overs = |node| [None, Some((1, node)), Some((2, node)), Some((3, node))];
        for hold_a in holds {
            for hold_b in holds {
                for (tenure_a, tenure_b) in [(1, 1), (1, 2), (2, 1), (3, 2), (2, 3)] {
                    for over_a in overs(B) {
                        for over_b in overs(A) {
                            let (a, b) = (
                                claim(hold_a, tenure_a, over_a),
                                claim(hold_b, tenure_b, over_b),
                            );
                            let (for_a, for_b) = (judge(&a, A, &b, B), judge(&b, B, &a, A));
                            let keeps = |v| matches!(v, Verdict::Kept | Verdict::Peace);
                            if hold_a == Hold::Holding && hold_b == Hold::Holding {
                                assert!(
                                    !(keeps(for_a) && keeps(for_b)),
                                    "{a:?} and {b:?} both stay"
                                );
                                assert!(
                                    !(for_a == Verdict::Superseded && for_b == Verdict::Superseded),
                                    "a tenure cannot be older than the one it names"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
