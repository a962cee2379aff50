//! Scenarios in which the service misbehaves.

use super::draft::{ms, secs};
use super::{Scenario, expect, first_from};
use crate::plan::{Fault, GroupPlan, Policy, Wish};

pub(super) const SERVICE_CRASH: Scenario = Scenario {
    name: "service-crash",
    make: |draft| {
        let at = draft.moment();
        let crashes = draft.rng.range(1, 4);
        for n in 0..crashes {
            let wait = draft.rng.time(ms(0), ms(400));
            let from = at + secs(2) * u32::try_from(n).unwrap_or(0) + wait;
            draft.fault(from, ms(0), Fault::ServiceCrash(0));
        }
        draft.plan.cluster.failure_timeout = secs(12);
        draft.plan.cluster.migration_threshold = 3;
        draft.plan.healed = at + secs(12);
    },
    judge: |plan, facts, _| {
        let threshold = usize::from(plan.cluster.migration_threshold);
        let (from, crashes) = (first_from(plan), plan.episodes.len());
        let left = facts
            .begun(0, from, plan.healed)
            .any(|tenure| tenure.machine == 1);
        expect(left == (crashes >= threshold), || {
            format!("{crashes} crashes, threshold {threshold}; left node1: {left}")
        })
    },
};

pub(super) const SERVICE_HANGS: Scenario = Scenario {
    name: "service-hangs",
    make: |draft| {
        let at = draft.moment();
        let lasts = draft.rng.time(ms(1000), ms(15_000));
        draft.fault(at, lasts, Fault::ServiceHang(0));
    },
    judge: |plan, facts, _| {
        let episode = &plan.episodes[0];
        // Two failed probes of a second each, a kill, a restart that does not get ready
        // until its start timeout (10 s), and the node is banned.
        let outage = facts.longest_outage(0, episode.from, plan.healed);
        let bound = secs(20);
        expect(outage <= bound, || {
            format!("the client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

pub(super) const STUCK_STOP: Scenario = Scenario {
    name: "stuck-stop",
    make: |draft| {
        let at = draft.moment();
        let fault = draft
            .rng
            .pick(&[Fault::IgnoreTerm(0), Fault::Unkillable(0)]);
        draft.fault(at, secs(14), fault);
        let wish = draft.rng.pick(&[Wish::Move(1), Wish::Standby(0)]);
        draft.ask(at + ms(300), 0, wish);
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let first = facts
            .begun(0, from, plan.healed)
            .find(|tenure| tenure.machine == 1);
        expect(first.is_some(), || "node2 never got the VIP".into())?;
        let reset = facts.ends.iter().any(|end| end.machine == 0);
        let unkillable = plan
            .episodes
            .iter()
            .any(|e| e.fault == Fault::Unkillable(0));
        expect(reset == unkillable, || {
            format!("node1 was reset: {reset}; its service could not be killed: {unkillable}")
        })
    },
};

/// The holder of data is cut off and cannot let go: it resets itself before another node
/// takes the group, whatever its gate hides.
pub(super) const GUARDED_SPLIT: Scenario = Scenario {
    name: "guarded-split",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer: vec![0, 1],
            guarded: true,
            ..GroupPlan::default()
        }];
        let at = draft.moment();
        draft.split(at, secs(9), [0].into_iter().collect());
        let fault = draft.rng.pick(&[
            Fault::Unkillable(0),
            Fault::DeadNet(0),
            Fault::Stuck(0),
            Fault::IgnoreTerm(0),
        ]);
        draft.fault(at, secs(9), fault);
    },
    judge: |plan, facts, _| {
        let late = plan.episodes[0].until - ms(20);
        let holder = facts.holder(0, late);
        expect(holder == Some(1), || {
            format!("node2 should have the group: {holder:?}")
        })
    },
};
