//! Scenarios in which a cluster of more than two nodes falls into parts, of every shape.

use core::time::Duration;

use super::draft::{Draft, ms, secs};
use super::{
    Judged, Scenario, expect, first_from, many_bound, promises_suffice, quorate, settled_by,
};
use crate::facts::Facts;
use crate::plan::{Fault, On, Part, Plan, Policy, Way};
use crate::story::Story;

/// A part that is neither nobody nor everybody.
fn a_part(draft: &mut Draft, nodes: usize) -> Part {
    let count = 1 + draft.rng.index(nodes - 1);
    draft.some(nodes, count).into_iter().collect()
}

fn the_split(plan: &Plan) -> Option<(Part, Part)> {
    let mut faults = plan.episodes.iter().map(|episode| episode.fault);
    faults.find_map(|fault| match fault {
        Fault::Apart { these, those, .. } => Some((these, those)),
        _ => None,
    })
}

/// What each part does in the end, if the split lasted for long enough.
fn judge_split(plan: &Plan, facts: &Facts, _: &Story) -> Judged {
    let episode = &plan.episodes[0];
    let Some((these, those)) = the_split(plan) else {
        return Ok(());
    };
    if episode.until - episode.from < many_bound(plan) {
        return Ok(());
    }
    let late = episode.until - ms(20);
    for part in [these, those] {
        let holders: Vec<_> = facts
            .holders(0, late)
            .filter(|machine| part.has(*machine))
            .collect();
        let runs = plan.cluster.prefer(0).iter().any(|node| part.has(*node));
        let may = match plan.cluster.policy {
            Policy::Accept => true,
            _ => quorate(&plan.cluster, part),
        };
        let due = usize::from(runs && may);
        expect(holders.len() == due, || {
            format!("{due} should hold the VIP among {part}, but {holders:?} do")
        })?;
    }
    Ok(())
}

pub(super) const ALL_PATHS_CUT_MANY: Scenario = Scenario {
    name: "all-paths-cut-many",
    make: |draft| {
        let nodes = draft.many();
        if draft.rng.chance(250) {
            draft.plan.cluster.policy = Policy::Accept;
        }
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let lasts = draft.rng.time(ms(200), ms(9000));
        let part = a_part(draft, nodes);
        draft.split(at, lasts, part);
    },
    judge: judge_split,
};

pub(super) const EVEN_SPLIT: Scenario = Scenario {
    name: "even-split",
    make: |draft| {
        let nodes = draft.rng.pick(&[4, 4, 4, 6, 16]);
        let policy = draft.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        draft.cluster(nodes, policy);
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let lasts = draft.rng.time(secs(3), secs(9));
        let half = draft.some(nodes, nodes / 2).into_iter().collect();
        draft.split(at, lasts, half);
    },
    judge: |plan, facts, story| {
        judge_split(plan, facts, story)?;
        let late = plan.episodes[0].until - ms(20);
        let holders = facts.holders(0, late).count();
        let due = usize::from(plan.cluster.policy == Policy::QuorumFirst);
        expect(holders == due, || {
            format!("{holders} hold the VIP in an even split, {due} was due")
        })
    },
};

pub(super) const THREE_PARTS: Scenario = Scenario {
    name: "three-parts",
    make: |draft| {
        let nodes = draft.many();
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let lasts = draft.rng.time(ms(300), secs(6));
        let order = draft.some(nodes, nodes);
        let (first, rest) = order.split_at(1 + draft.rng.index(nodes - 2));
        let (second, _) = rest.split_at(1 + draft.rng.index(rest.len() - 1));
        for part in [first, second] {
            let early = draft.rng.time(ms(0), ms(700));
            draft.split(at + early, lasts, part.iter().copied().collect());
        }
    },
    judge: promises_suffice,
};

/// Two of three nodes do not hear each other, for ten minutes.
pub(super) const ASYMMETRIC_THREE: Scenario = Scenario {
    name: "asymmetric-three",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        let at = draft.moment();
        let pair = draft.some(3, 2);
        let way = draft.rng.pick(&[Way::Both, Way::Both, Way::Out]);
        let fault = Fault::Apart {
            these: Part::only(pair[0]),
            those: Part::only(pair[1]),
            way,
            on: draft.rng.pick(&[On::All, On::Heartbeats]),
        };
        draft.fault(at, secs(600), fault);
    },
    judge: |plan, facts, _| {
        let episode = &plan.episodes[0];
        let (from, until) = (episode.from, episode.until);
        let begun = facts.begun(0, from, until).count();
        expect(begun <= 1, || {
            format!("{begun} tenures began under one lasting cut")
        })?;
        let holders = facts.holders(0, until - ms(20)).count();
        expect(holders == 1, || {
            format!("{holders} hold the VIP in the end")
        })?;
        let steady = from + settled_by(plan);
        let changes: Vec<_> = facts
            .views
            .iter()
            .filter(|view| (steady..until).contains(&view.at))
            .collect();
        expect(changes.is_empty(), || {
            format!(
                "the view changed {} times more, first: {:?}",
                changes.len(),
                changes[0]
            )
        })
    },
};

/// One node hears, or is heard, less and less: whole rows and columns of the matrix.
pub(super) const ONE_WAY_MANY: Scenario = Scenario {
    name: "one-way-many",
    make: |draft| {
        let nodes = draft.many();
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let lasts = draft.rng.time(secs(4), secs(40));
        let lame = draft.rng.index(nodes);
        let others = (0..nodes).filter(|node| *node != lame);
        let mut others: Vec<_> = others.collect();
        while others.len() > 1 && draft.rng.chance(300) {
            let out = draft.rng.index(others.len());
            others.remove(out);
        }
        let fault = Fault::Apart {
            these: Part::only(lame),
            those: others.into_iter().collect(),
            way: draft.rng.pick(&[Way::Out, Way::In]),
            on: draft.rng.pick(&[On::All, On::Heartbeats]),
        };
        draft.fault(at, lasts, fault);
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let begun = facts.begun(0, from, plan.healed - ms(20)).count();
        expect(begun <= 1, || {
            format!("{begun} tenures began under one lasting fault")
        })?;
        let holders = facts.holders(0, plan.healed - ms(20)).count();
        expect(holders == 1, || {
            format!("{holders} hold the VIP in the end")
        })
    },
};

/// Pairs lose and find each other at any time, one way or both: parts that overlap, change
/// faster than a view, and last about as long as a lease.
pub(super) const SHIFTING_PARTS: Scenario = Scenario {
    name: "shifting-parts",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 3, 4, 5, 5]);
        let policy = draft.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        draft.cluster(nodes, policy);
        if draft.rng.chance(300) {
            draft.profile("lab");
        }
        shift(draft, nodes);
    },
    judge: promises_suffice,
};

/// The same, and nodes that restart at any moment and have forgotten what they granted.
pub(super) const SHIFTING_AMNESIA: Scenario = Scenario {
    name: "shifting-amnesia",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 3, 4, 5, 5]);
        let policy = draft.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        draft.cluster(nodes, policy);
        for machine in &mut draft.plan.machines {
            machine.boot = draft.rng.time(ms(60), ms(500));
            machine.negotiation = draft.rng.time(ms(1), ms(30));
        }
        let (from, until) = shift(draft, nodes);
        for _ in 0..draft.rng.range(1, 4) {
            let at = from + draft.rng.time(ms(0), until - from);
            let who = draft.rng.index(nodes);
            let dead = draft.rng.time(ms(1), ms(400));
            draft.fault(at, ms(0), Fault::Crash(who, dead));
        }
    },
    judge: promises_suffice,
};

fn shift(draft: &mut Draft, nodes: usize) -> (Duration, Duration) {
    draft.plan.patience = Some(ms(500));
    let from = draft.moment();
    let mut at = from;
    for _ in 0..draft.rng.range(2, 7) {
        // A step, and what it cuts.
        let step = draft.rng.time(ms(20), ms(900));
        let sparse = draft.rng.chance(500);
        for a in 0..nodes {
            for b in a + 1..nodes {
                if !draft.rng.chance(if sparse { 200 } else { 500 }) {
                    continue;
                }
                let way = draft.rng.pick(&[Way::Both, Way::Both, Way::Out, Way::In]);
                let late = draft.rng.time(ms(0), ms(60));
                let fault = Fault::Apart {
                    these: Part::only(a),
                    those: Part::only(b),
                    way,
                    on: On::Heartbeats,
                };
                draft.fault(at + late, step, fault);
            }
        }
        at += step;
    }
    (from, at)
}

/// A part is cut off and comes back again and again: nobody is thrown about.
pub(super) const SWINGING_PART: Scenario = Scenario {
    name: "swinging-part",
    make: |draft| {
        let nodes = draft.many();
        draft.plan.patience = Some(ms(500));
        let mut at = draft.moment();
        let part = a_part(draft, nodes);
        for _ in 0..draft.rng.range(2, 8) {
            let (gone, back) = (
                draft.rng.time(ms(30), ms(2500)),
                draft.rng.time(ms(30), ms(2500)),
            );
            draft.split(at, gone, part);
            at += gone + back;
        }
    },
    judge: promises_suffice,
};
