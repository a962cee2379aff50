//! The models, each with the budget of its quick and of its deep search.
//!
//! Owns the choice. What a budget covers is a bound, never a proof: the table that
//! `cargo xtask model` prints says how far each search went.

use crate::judge::Mark;
use crate::setting::{Budget, Cast, Policy, Setting, Start, shapes, torn};

/// Under `cargo xtask test`: a minute and a half on two loaded processors.
#[must_use]
pub fn quick() -> Vec<Setting> {
    let settled = |name, policy, budget| Setting {
        budget,
        ..model(name, policy)
    };
    vec![
        Setting {
            start: Start::Cold,
            ..settled("pair-accept-boot", Policy::Accept, NOTHING)
        },
        settled("pair-accept", Policy::Accept, budget(2, [2, 1, 0, 0, 0])),
        settled("pair-ping", Policy::Ping, budget(2, [1, 0, 0, 0, 1])),
        settled("pair-ping-stand", Policy::Ping, budget(2, [0, 0, 1, 1, 0])),
        settled("pair-witness", Policy::Witness, budget(2, [1, 1, 0, 0, 0])),
        settled("three-quorum", Policy::Quorum, budget(1, [1, 1, 1, 1, 0])),
        Setting {
            shapes: torn(3),
            ..settled(
                "three-quorum-torn",
                Policy::Quorum,
                budget(2, [2, 0, 0, 0, 0]),
            )
        },
    ]
}

/// `cargo xtask model --deep`: half an hour.
#[must_use]
pub fn deep() -> Vec<Setting> {
    let casts = vec![Cast::EQUAL, Cast::SLOW_HOLDER, Cast::FAST_HOLDER];
    let settled = |name, policy, budget| Setting {
        casts: casts.clone(),
        budget,
        ..model(name, policy)
    };
    let cold = |name, policy| Setting {
        start: Start::Cold,
        budget: budget(1, [1; 5]),
        ..model(name, policy)
    };
    vec![
        settled("pair-accept", Policy::Accept, budget(2, [2; 5])),
        settled("pair-ping", Policy::Ping, budget(2, [2; 5])),
        settled("pair-witness", Policy::Witness, budget(2, [2; 5])),
        cold("pair-accept-boot", Policy::Accept),
        cold("pair-witness-boot", Policy::Witness),
        // What a third node multiplies is divided: all kinds of faults but only pairs that do
        // not hear each other; and all cuts but nothing else.
        Setting {
            shapes: torn(3),
            budget: budget(2, [2, 2, 2, 2, 0]),
            ..model("three-quorum", Policy::Quorum)
        },
        Setting {
            budget: budget(2, [2, 0, 0, 0, 0]),
            ..model("three-quorum-cuts", Policy::Quorum)
        },
    ]
}

/// The environment only switches machines on.
const NOTHING: Budget = budget(0, [0; 5]);

const fn budget(faults: u8, [cuts, crashes, pauses, stalls, arbiter]: [u8; 5]) -> Budget {
    Budget {
        faults,
        cuts,
        crashes,
        pauses,
        stalls,
        arbiter,
    }
}

/// Settled, with equal clocks, and nothing that fails.
fn model(name: &'static str, policy: Policy) -> Setting {
    let nodes = match policy {
        Policy::Quorum => 3,
        _ => 2,
    };
    Setting {
        name,
        nodes,
        policy,
        start: Start::Settled,
        casts: vec![Cast::EQUAL],
        shapes: shapes(nodes),
        budget: NOTHING,
        patience: 12,
    }
}

impl Setting {
    /// What a search of this must reach, or it proves nothing.
    #[must_use]
    pub fn must_reach(&self) -> Vec<Mark> {
        let budget = &self.budget;
        let mut marks = vec![Mark::Rejoined];
        if budget.faults == 0 {
            return marks;
        }
        marks.extend([Mark::Takeover, Mark::Handover]);
        if budget.crashes > 0 {
            marks.push(Mark::Rebooted);
        }
        if self.policy != Policy::Accept {
            marks.push(Mark::LeaseEnded);
        }
        if budget.pauses > 0 {
            marks.push(Mark::Superseded);
        }
        marks
    }
}
