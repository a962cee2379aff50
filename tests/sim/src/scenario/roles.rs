//! Promotable services: an instance on every node, and one of them is promoted.
//!
//! That two are never promoted at once is the exclusive check's business in every run.

use crate::facts::Facts;
use crate::plan::{Fault, GroupPlan, Plan, Policy, Wish};

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, draft, expect, first_from, many_bound, settled_by};

/// Three to five nodes, each with an instance; now and then it is data.
fn instances(draft: &mut Draft) {
    let nodes = draft.rng.pick(&[3, 3, 4, 5]);
    draft.cluster(nodes, Policy::Quorum);
    draft.plan.cluster.auto_failback = false;
    draft.plan.cluster.groups = vec![GroupPlan {
        promotable: true,
        guarded: draft.rng.chance(500),
        ..GroupPlan::default()
    }];
}

/// From a death to the promotion of another instance. It runs already, so no start is in
/// that; of data the watchdog's time is.
fn promoted_within(plan: &Plan) -> core::time::Duration {
    let timing = draft::timing(plan);
    let guard = match plan.cluster.guarded(0) {
        true => timing.guard + timing.lease,
        false => ms(0),
    };
    many_bound(plan) + guard
}

/// Some other node than the first one has the VIP, and its instance is promoted.
fn moved_on(plan: &Plan, facts: &Facts) -> Judged {
    let from = first_from(plan);
    let before = facts.holder(0, from.saturating_sub(ms(1)));
    expect(before.is_some(), || "nobody was promoted before".into())?;
    let within = promoted_within(plan);
    let taken = facts.begun(0, from, from + within).next();
    expect(
        taken.is_some_and(|tenure| Some(tenure.machine) != before),
        || format!("another one should be promoted within {within:?}: {taken:?}"),
    )
}

/// The promoted node loses its power, or its kernel dies.
pub(super) const PROMOTED_DIES: Scenario = Scenario {
    name: "promoted-dies",
    make: |draft| {
        instances(draft);
        let at = draft.moment();
        let lasts = draft.rng.time(secs(8), secs(14));
        draft.fault(at, lasts, Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        moved_on(plan, facts)?;
        let back = facts.holder(0, facts.converged.unwrap_or(plan.healed));
        expect(back != Some(0), || "the role returned by itself".into())
    },
};

/// The promoted instance crashes: it is restarted as an ordinary one, and another one is
/// promoted at once.
pub(super) const ROLE_LOST: Scenario = Scenario {
    name: "role-lost",
    make: |draft| {
        instances(draft);
        let at = draft.moment();
        draft.fault(at, ms(0), Fault::ServiceCrash(0));
        draft.plan.healed = at + secs(6);
    },
    judge: |plan, facts, _| {
        moved_on(plan, facts)?;
        let (from, until) = (first_from(plan), plan.healed);
        let begun = facts.begun(0, from, until).count();
        expect(begun == 1, || format!("{begun} tenures began, one was due"))
    },
};

/// The role is to move, and the instance does not let itself be demoted: it is killed, which
/// is as good; what cannot be killed either resets its node. Only then another is promoted.
pub(super) const DEMOTE_HANGS: Scenario = Scenario {
    name: "demote-hangs",
    make: |draft| {
        instances(draft);
        let at = draft.moment();
        draft.fault(at, secs(14), Fault::HookHang(0));
        if draft.rng.chance(400) {
            draft.fault(at, secs(14), Fault::Unkillable(0));
        }
        let guarded = draft.plan.cluster.guarded(0);
        match !guarded && draft.rng.chance(300) {
            // Without a lease there is no time to ask: it is killed at once.
            true => draft.split(at + ms(300), secs(10), [0].into_iter().collect()),
            false => {
                let wish = draft.rng.pick(&[Wish::Move(1), Wish::Standby(0)]);
                draft.ask(at + ms(300), 0, wish);
            }
        }
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let first = facts.begun(0, from, plan.healed).next();
        expect(first.is_some_and(|tenure| tenure.machine != 0), || {
            format!("another one should be promoted: {first:?}")
        })?;
        let reset = facts.ends.iter().any(|end| end.machine == 0);
        let faults = plan.episodes.iter();
        let unkillable = faults.filter(|e| e.fault == Fault::Unkillable(0)).count() > 0;
        expect(reset == unkillable, || {
            format!("node1 was reset: {reset}; its instance could not be killed: {unkillable}")
        })
    },
};

/// Nodes fail, instances crash and hooks hang, one after the other or together.
pub(super) const ROLES: Scenario = Scenario {
    name: "roles",
    make: |draft| {
        instances(draft);
        draft.plan.cluster.auto_failback = draft.rng.chance(300);
        let nodes = draft.plan.cluster.nodes;
        let guarded = draft.plan.cluster.guarded(0);
        let mut at = draft.moment();
        for _ in 0..draft.rng.range(2, 5) {
            let who = draft.rng.index(nodes);
            let lasts = draft.rng.time(ms(400), secs(6));
            let light = [
                Fault::PowerCut(who),
                Fault::ServiceCrash(who),
                Fault::HookHang(who),
                Fault::ServiceHang(who),
            ];
            // No gate demotes an instance: only data is waited for.
            let heavy = [Fault::Stall(who), Fault::Stuck(who), Fault::Unkillable(who)];
            let fault = match guarded && draft.rng.chance(500) {
                true => draft.rng.pick(&heavy),
                false => draft.rng.pick(&light),
            };
            match draft.rng.chance(300) {
                true => draft.split(at, lasts, [who].into_iter().collect()),
                false => draft.fault(at, lasts, fault),
            }
            let wish = Wish::Move(draft.rng.index(nodes));
            if draft.rng.chance(300) {
                let later = at + draft.rng.time(ms(0), secs(2));
                draft.ask(later, who, wish);
            }
            at += draft.rng.time(ms(0), secs(5));
        }
        draft.plan.patience = Some(secs(2));
    },
    judge: |plan, facts, _| {
        let late = plan.healed + settled_by(plan) * 4 + plan.cluster.failure_timeout;
        let end = facts.converged.unwrap_or(late);
        expect(facts.holder(0, end).is_some(), || {
            "nobody is promoted in the end".into()
        })
    },
};
