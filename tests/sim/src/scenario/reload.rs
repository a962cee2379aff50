//! A new cluster file on a running cluster, well and badly, and keys that rotate.
//!
//! Judged from the tenures and the client: what the change does not name is not touched.

use core::time::Duration;

use crate::clock::At;
use crate::cluster;
use crate::facts::{Facts, NOTICED};
use crate::plan::{Fault, File, GroupPlan, Plan, Policy, Quality, Wire, Wish};
use crate::story::Story;

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, expect, first_from, many_bound, settled_by};
use kodo_engine::surface::Level;

/// A cluster of any size, with one group or more, each at home on another node.
fn any_cluster(draft: &mut Draft) {
    let nodes = draft.rng.pick(&[2, 2, 3, 3, 4, 5]);
    if nodes > 2 {
        let policy = draft.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        draft.cluster(nodes, policy);
    }
    let groups = draft.rng.pick(&[1, 2, 3]);
    let prefer = |first| (0..nodes).map(|n| (first + n) % nodes).collect();
    let group = |first: usize| GroupPlan {
        prefer: prefer(first),
        ..GroupPlan::default()
    };
    draft.plan.cluster.groups = (0..groups).map(group).collect();
}

/// A few frames get lost, as they do; the client's are not, so that it can judge.
fn lossy(draft: &mut Draft) {
    let loss = u32::try_from(draft.rng.below(60)).unwrap_or(0);
    let lan = |wire: &Wire| matches!(wire, Wire::Lan(_));
    for wire in draft.every_wire().into_iter().filter(|wire| !lan(wire)) {
        let quality = Quality {
            loss,
            jitter: ms(3),
            ..Quality::default()
        };
        draft.plan.wires.push((wire, quality));
    }
}

/// The file reaches every node, and an operator adopts it at one of them.
pub(super) fn reload(draft: &mut Draft, at: At, file: File, by: usize) -> At {
    for node in 0..draft.plan.cluster.nodes {
        let late = draft.rng.time(ms(0), ms(400));
        draft.ask(at + late, node, Wish::Stage(file));
    }
    let at = at + ms(1000) + draft.rng.time(ms(0), ms(300));
    draft.ask(at, by, Wish::Adopt(file));
    at
}

/// When each node took a file over: all of these did, once.
fn adopted(plan: &Plan, facts: &Facts, file: File, within: Duration) -> Judged {
    let asked = plan
        .episodes
        .iter()
        .find_map(|episode| match episode.fault {
            Fault::Operator(_, Wish::Adopt(of)) if of == file => Some(episode.from),
            _ => None,
        });
    let asked = asked.unwrap_or(plan.healed);
    let hash = cluster::cluster(&plan.cluster, file).file_hash();
    for machine in 0..plan.cluster.nodes {
        let all = facts.adopted.iter();
        let mut times = all.filter(|it| (it.machine, it.hash) == (machine, hash));
        let first = times.next();
        expect(first.is_some_and(|it| it.at <= asked + within), || {
            format!("node{} should run {file:?}: {first:?}", machine + 1)
        })?;
        let again = times.next();
        expect(again.is_none(), || {
            format!("it was taken over twice: {again:?}")
        })?;
    }
    Ok(())
}

/// No group but these was disturbed, and nobody was called to look.
fn untouched(plan: &Plan, facts: &Facts, story: &Story, but: &[usize]) -> Judged {
    let from = first_from(plan);
    for group in (0..plan.cluster.group_count()).filter(|group| !but.contains(group)) {
        let begun = facts.begun(group, from, Duration::MAX).count();
        expect(begun == 0, || format!("group {} moved", group + 1))?;
        let outage = facts.longest_outage(group, from, Duration::MAX);
        expect(outage.is_zero(), || {
            format!("the client of group {} waited {outage:?}", group + 1)
        })?;
    }
    let mut alerts = story.alerts().iter();
    let alert = alerts.find(|alert| alert.at >= from && alert.level == Level::Alert);
    expect(alert.is_none(), || {
        format!("an alarm for nothing: {alert:?}")
    })
}

/// Other words, or another service in the first group: only that one stops, and starts
/// again where it ran.
pub(super) const RELOAD_GOOD: Scenario = Scenario {
    name: "reload-good",
    make: |draft| {
        any_cluster(draft);
        lossy(draft);
        draft.plan.cluster.auto_failback = draft.rng.chance(500);
        let file = draft.rng.pick(&[File::Changed, File::Remade]);
        let by = draft.rng.index(draft.plan.cluster.nodes);
        let at = draft.moment() + secs(3);
        let at = reload(draft, at, file, by);
        draft.plan.healed = at + secs(4);
    },
    judge: |plan, facts, story| {
        let remade = plan.files().any(|file| file == File::Remade);
        if !remade {
            adopted(plan, facts, File::Changed, ms(1500))?;
            return untouched(plan, facts, story, &[]);
        }
        adopted(plan, facts, File::Remade, ms(1500))?;
        untouched(plan, facts, story, &[0])?;
        let from = first_from(plan);
        let before = facts.holder(0, from);
        let switch = facts.adopted.iter().map(|it| it.at).min();
        let during = facts.holder(0, switch.unwrap_or_default());
        expect(during.is_none(), || {
            format!("group 1 was still on {during:?} when the switch began")
        })?;
        let begun: Vec<_> = facts.begun(0, from, Duration::MAX).collect();
        expect(begun.len() == 1 && Some(begun[0].machine) == before, || {
            format!("group 1 should start once, where it ran: {before:?}, then {begun:?}")
        })?;
        let startup = plan.machines.iter().map(|machine| machine.startup).max();
        let bound = ms(1200) + startup.unwrap_or_default() + NOTICED;
        let outage = facts.longest_outage(0, from, Duration::MAX);
        expect(outage <= bound, || {
            format!("its client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

/// A file that needs new images, one that would cut nodes off, and one that a node lacks:
/// refused, and nothing changed.
pub(super) const RELOAD_BAD: Scenario = Scenario {
    name: "reload-bad",
    make: |draft| {
        any_cluster(draft);
        let nodes = draft.plan.cluster.nodes;
        let bad = draft.rng.pick(&[File::Slower, File::Turned, File::Remade]);
        let lacks = draft.rng.index(nodes);
        let at = draft.moment();
        for node in 0..nodes {
            if bad != File::Remade || node != lacks {
                draft.ask(at, node, Wish::Stage(bad));
            }
        }
        let by = draft.rng.index(nodes);
        draft.ask(at + secs(1), by, Wish::Adopt(bad));
        draft.plan.healed = at + secs(6);
    },
    judge: |plan, facts, story| {
        let staged = |wish: Wish| matches!(wish, Wish::Stage(File::Remade));
        for asked in &facts.requests {
            let agreed = staged(asked.wish);
            expect(asked.agreed == Some(agreed), || {
                format!(
                    "{:?} at node{}: {:?}",
                    asked.wish,
                    asked.machine + 1,
                    asked.agreed
                )
            })?;
        }
        expect(facts.adopted.is_empty(), || "it was taken over".into())?;
        untouched(plan, facts, story, &[])
    },
};

/// Both keys, then the new one signs, then it is the only one; frames get lost meanwhile.
pub(super) const KEY_ROTATION: Scenario = Scenario {
    name: "key-rotation",
    make: |draft| {
        any_cluster(draft);
        lossy(draft);
        let mut at = draft.moment() + secs(3);
        for file in [File::BothKeys, File::Turned, File::NewKey] {
            let by = draft.rng.index(draft.plan.cluster.nodes);
            at = reload(draft, at, file, by) + secs(2);
        }
        draft.plan.healed = at + secs(2);
    },
    judge: |plan, facts, story| {
        for file in [File::BothKeys, File::Turned, File::NewKey] {
            adopted(plan, facts, file, ms(1500))?;
        }
        // A beat that some node did not accept would be an alarm.
        untouched(plan, facts, story, &[])
    },
};

/// The coordinator, or another one, dies in the middle of the switch; it returns with the
/// old file and is given the new one again.
pub(super) const RELOAD_COORDINATOR_DIES: Scenario = Scenario {
    name: "reload-coordinator-dies",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 4, 5]);
        draft.cluster(nodes, Policy::Quorum);
        let groups = draft.rng.pick(&[1, 2]);
        let prefer = |first| (0..nodes).map(|n| (first + n) % nodes).collect();
        draft.plan.cluster.groups = (0..groups)
            .map(|first| GroupPlan {
                prefer: prefer(first),
                ..GroupPlan::default()
            })
            .collect();
        draft.plan.patience = Some(ms(500));
        let who = match draft.rng.chance(700) {
            true => 0,
            false => draft.rng.index(nodes),
        };
        let by = (who + 1 + draft.rng.index(nodes - 1)) % nodes;
        let at = draft.moment();
        let at = reload(draft, at, File::Remade, by);
        let moment = draft.rng.time(ms(0), ms(350));
        let dead = draft.rng.time(ms(1), ms(1500));
        draft.fault(at + moment, ms(0), Fault::Crash(who, dead));
        let again = at + secs(14);
        draft.ask(again, who, Wish::Stage(File::Remade));
        draft.plan.healed = again + secs(1);
    },
    judge: |plan, facts, _| {
        let hash = cluster::cluster(&plan.cluster, File::Remade).file_hash();
        let crashed = plan
            .episodes
            .iter()
            .find_map(|episode| match episode.fault {
                Fault::Crash(who, _) => Some((who, episode.from)),
                _ => None,
            });
        let Some((who, at)) = crashed else {
            // the shrinker took it away
            return Ok(());
        };
        let within = settled_by(plan) + many_bound(plan) + ms(1500);
        for machine in 0..plan.cluster.nodes {
            let mut all = facts.adopted.iter();
            let found = all.rfind(|it| (it.machine, it.hash) == (machine, hash));
            let limit = if machine == who {
                plan.healed
            } else {
                at + within
            };
            expect(found.is_some_and(|it| it.at <= limit), || {
                format!("node{} should run the new file: {found:?}", machine + 1)
            })?;
        }
        Ok(())
    },
};
