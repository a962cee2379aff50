//! Rules between groups: room, company and order, while nodes fail.
//!
//! What the rules ask for is judged from the tenures, whatever the nodes say of them.

use crate::facts::Facts;
use crate::plan::{Fault, GroupPlan, Plan, Policy, Rule};
use crate::rng::Rng;

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, draft, expect, first_from, many_bound};

/// Rules between the first two groups of a random cluster of so many nodes that run groups.
pub(super) fn any(rng: &mut Rng, runners: usize) -> Vec<Rule> {
    let must = rng.chance(500);
    let after = Rule::After {
        first: 0,
        then: 1,
        must,
    };
    let company = [
        Rule::Together(1, 0),
        Rule::Worth(1, 0, 100),
        Rule::Worth(1, 0, -100),
        Rule::Apart(1, 0),
    ];
    // Apart needs two nodes, and one more while one is gone.
    let kinds = if runners > 2 { 4 } else { 3 };
    let company = company[rng.index(kinds)];
    match rng.below(3) {
        0 => vec![after],
        1 => vec![company],
        _ => vec![company, after],
    }
}

/// What the rules ask for was so at all times.
pub(super) fn rules_held(plan: &Plan, facts: &Facts) -> Judged {
    for rule in &plan.cluster.rules {
        match *rule {
            Rule::Apart(one, other) => apart(facts, one, other)?,
            Rule::After {
                first,
                then,
                must: true,
            } => in_order(plan, facts, first, then)?,
            Rule::Together(..) | Rule::Worth(..) | Rule::After { must: false, .. } => {}
        }
    }
    Ok(())
}

/// Two groups were never on one machine.
fn apart(facts: &Facts, one: usize, other: usize) -> Judged {
    for tenure in facts.of(one) {
        let met = facts.of(other).find(|met| {
            let begins_before_end = tenure.until.is_none_or(|until| met.from < until);
            let ends_after_begin = met.until.is_none_or(|until| tenure.from < until);
            met.machine == tenure.machine && begins_before_end && ends_after_begin
        });
        expect(met.is_none(), || {
            format!(
                "groups {} and {} were both on node{}",
                one + 1,
                other + 1,
                tenure.machine + 1
            )
        })?;
    }
    Ok(())
}

/// A group was taken only where the one that it needs ran, as far as could be known: its
/// holder may have gone within a deadtime, or behind a cut.
fn in_order(plan: &Plan, facts: &Facts, first: usize, then: usize) -> Judged {
    let patience = draft::timing(plan).deadtime * 2;
    for tenure in facts.of(then) {
        let ran = facts.of(first).any(|ran| {
            let begun = ran.from <= tenure.from;
            begun
                && ran
                    .until
                    .is_none_or(|until| tenure.from <= until + patience)
        });
        expect(ran, || {
            format!(
                "group {} began at {:?}, and group {} did not run",
                then + 1,
                tenure.from,
                first + 1
            )
        })?;
    }
    Ok(())
}

/// Three nodes serve a group each, the spare carries one. Two fail in turn: the more
/// important group has the spare, whichever failed first.
pub(super) const SPARE_HAS_ROOM: Scenario = Scenario {
    name: "spare-has-room",
    make: |draft| {
        draft.cluster(4, Policy::Quorum);
        draft.plan.cluster.votes = vec![1, 1, 1, 2];
        draft.plan.cluster.auto_failback = true;
        draft.plan.cluster.capacity = Some(1);
        let first = draft.rng.index(3);
        let priority = |node: usize| i16::try_from((node + first) % 3).unwrap_or(0);
        draft.plan.cluster.groups = (0..3)
            .map(|node| GroupPlan {
                prefer: vec![node, 3],
                priority: priority(node),
                weight: 1,
                ..GroupPlan::default()
            })
            .collect();
        draft.plan.calm = secs(8);
        let at = draft.moment() + secs(4);
        let fail = draft.some(3, 2);
        draft.fault(at, secs(12), Fault::PowerCut(fail[0]));
        draft.fault(at + secs(5), secs(7), Fault::PowerCut(fail[1]));
    },
    judge: |plan, facts, _| {
        let bound = many_bound(plan) + secs(1);
        let failed = |at: usize| match plan.episodes[at].fault {
            Fault::PowerCut(group) => group,
            _ => 0,
        };
        let (one, two) = (failed(0), failed(1));
        let at = |episode: usize| plan.episodes[episode].from + bound;
        let holder = facts.holder(one, at(0));
        expect(holder == Some(3), || {
            format!("the spare should have group {}: {holder:?}", one + 1)
        })?;
        let groups = &plan.cluster.groups;
        let (in_, out) = match groups[one].priority > groups[two].priority {
            true => (one, two),
            false => (two, one),
        };
        let holders = (facts.holder(in_, at(1)), facts.holder(out, at(1)));
        expect(holders == (Some(3), None), || {
            format!("the spare has room for group {} only: {holders:?}", in_ + 1)
        })?;
        let third = 3 - one - two;
        let begun = facts.begun(third, plan.episodes[0].from, plan.healed);
        let begun = begun.count();
        expect(begun == 0, || format!("group {} was disturbed", third + 1))
    },
};

/// Two groups that may never meet, and any node fails, or loses its cables, again and again.
pub(super) const APART: Scenario = Scenario {
    name: "apart",
    make: |draft| {
        rules(draft, vec![Rule::Apart(1, 0)]);
        troubles(draft);
    },
    judge: |plan, facts, _| rules_held(plan, facts),
};

/// A group on the node of another one, after it, and any node fails.
pub(super) const TOGETHER_IN_ORDER: Scenario = Scenario {
    name: "together-in-order",
    make: |draft| {
        let after = Rule::After {
            first: 0,
            then: 1,
            must: true,
        };
        rules(draft, vec![Rule::Together(1, 0), after]);
        troubles(draft);
    },
    judge: |plan, facts, _| {
        rules_held(plan, facts)?;
        let end = facts.converged.unwrap_or(plan.healed);
        let holders = (facts.holder(0, end), facts.holder(1, end));
        expect(holders.0 == holders.1, || {
            format!("they should be together: {holders:?}")
        })
    },
};

/// The preferred node returns, and its group follows after the delay, once.
pub(super) const FAILBACK_DELAYED: Scenario = Scenario {
    name: "failback-delayed",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer: vec![0, 1, 2],
            delay: Some(secs(10)),
            ..GroupPlan::default()
        }];
        draft.plan.calm = secs(16);
        let at = draft.moment();
        let lasts = draft.rng.time(secs(2), secs(6));
        draft.fault(at, lasts, Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        let holders: Vec<_> = facts.tenures.iter().map(|tenure| tenure.machine).collect();
        expect(
            holders.len() == 3 && holders[0] == 0 && holders[2] == 0,
            || format!("the VIP was at {holders:?}"),
        )?;
        let back = plan.healed.max(first_from(plan));
        let waited = facts.tenures[2].from.saturating_sub(back);
        expect(waited >= secs(10), || {
            format!("it returned after {waited:?}")
        })
    },
};

/// Two groups on three to five nodes, with these rules.
fn rules(draft: &mut Draft, rules: Vec<Rule>) {
    let nodes = draft.rng.pick(&[3, 3, 4, 5]);
    draft.cluster(nodes, Policy::Quorum);
    let prefer = |first: usize| (0..nodes).map(|n| (first + n) % nodes).collect();
    draft.plan.cluster.groups = [0, draft.rng.index(nodes)]
        .map(|first| GroupPlan {
            prefer: prefer(first),
            ..GroupPlan::default()
        })
        .to_vec();
    draft.plan.cluster.rules = rules;
    draft.plan.patience = Some(ms(500));
}

/// Two to four faults of nodes and cables, one after the other or together.
fn troubles(draft: &mut Draft) {
    let nodes = draft.plan.cluster.nodes;
    let mut at = draft.moment();
    for _ in 0..draft.rng.range(2, 4) {
        let who = draft.rng.index(nodes);
        let lasts = draft.rng.time(ms(400), secs(6));
        let fault = draft
            .rng
            .pick(&[Fault::PowerCut(who), Fault::Pause(who), Fault::Stall(who)]);
        draft.fault(at, lasts, fault);
        at += draft.rng.time(ms(0), secs(5));
    }
}
