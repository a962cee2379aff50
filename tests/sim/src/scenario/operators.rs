//! What operators and the file say about failures, while things fail: maintenance, groups that
//! are left alone, standby, quarantine, thresholds, stops that fail; and clones.
//!
//! Judged by who had the VIPs and which machines were reset, whatever the nodes say.

use core::time::Duration;

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, expect, many_bound, settled_by};
use crate::clock::At;
use crate::facts::Facts;
use crate::plan::{Fault, GroupPlan, Plan, Policy, Wish};

/// Three nodes, two groups: www at home on node1, www2 on node2.
fn two_groups(draft: &mut Draft) {
    draft.cluster(3, Policy::Quorum);
    draft.plan.cluster.groups = [vec![0, 1, 2], vec![1, 2, 0]]
        .map(|prefer| GroupPlan {
            prefer,
            ..GroupPlan::default()
        })
        .to_vec();
    draft.plan.cluster.auto_failback = false;
}

/// When an operator asked for this.
fn asked(plan: &Plan, wish: Wish) -> At {
    let mut episodes = plan.episodes.iter();
    let found =
        episodes.find(|episode| matches!(episode.fault, Fault::Operator(_, w) if w == wish));
    found.map_or(Duration::MAX, |episode| episode.from)
}

/// When power was cut, and where.
fn cut(plan: &Plan) -> (At, usize) {
    let cuts = plan
        .episodes
        .iter()
        .find_map(|episode| match episode.fault {
            Fault::PowerCut(who) => Some((episode.from, who)),
            _ => None,
        });
    cuts.unwrap_or_default()
}

/// All wishes were agreed to.
fn all_agreed(facts: &Facts) -> Judged {
    let refused = facts.requests.iter().find(|r| r.agreed == Some(false));
    expect(refused.is_none(), || format!("refused: {refused:?}"))
}

/// Nothing of a group began in this time.
fn nothing_begun(facts: &Facts, group: usize, from: At, until: At) -> Judged {
    let first = facts.begun(group, from, until).next();
    expect(first.is_none(), || {
        format!("group {} was started: {first:?}", group + 1)
    })
}

/// A group is on a node that was not dead, so long after this.
fn runs_by(facts: &Facts, group: usize, at: At, dead: usize) -> Judged {
    let holder = facts.holder(group, at);
    expect(holder.is_some_and(|holder| holder != dead), || {
        format!("group {} should run: {holder:?}", group + 1)
    })
}

/// Maintenance is on: a node dies with its group, the other group's service fails more often
/// than it may. Nothing is done about either until it is over.
pub(super) const MAINTENANCE: Scenario = Scenario {
    name: "maintenance",
    make: |draft| {
        two_groups(draft);
        draft.plan.cluster.migration_threshold = 1;
        let at = draft.moment();
        let dead = draft.rng.index(2);
        let alive = draft.rng.pick(&[1 - dead, 2]);
        let by = draft.rng.index(3);
        draft.ask(at, by, Wish::Maintenance(true));
        let cut = at + draft.rng.time(ms(600), secs(2));
        draft.fault(cut, secs(14), Fault::PowerCut(dead));
        let crash = at + draft.rng.time(ms(600), secs(4));
        draft.fault(crash, ms(0), Fault::ServiceCrash(1 - dead));
        let over = at + secs(7) + draft.rng.time(ms(0), secs(1));
        draft.ask(over, alive, Wish::Maintenance(false));
    },
    judge: |plan, facts, _| {
        all_agreed(facts)?;
        let (_, dead) = cut(plan);
        let on = asked(plan, Wish::Maintenance(true));
        let off = asked(plan, Wish::Maintenance(false));
        for group in 0..2 {
            nothing_begun(facts, group, on, off)?;
        }
        runs_by(facts, dead, off + many_bound(plan), dead)?;
        let begun = facts.begun(1 - dead, on, plan.healed).count();
        expect(begun == 0, || {
            format!("group {}, which was well again, moved", 2 - dead)
        })
    },
};

/// One group is left alone, both nodes that have a group die one after the other: nobody takes
/// over the one that is left alone, until it is looked after again.
pub(super) const UNMANAGED: Scenario = Scenario {
    name: "unmanaged",
    make: |draft| {
        two_groups(draft);
        let at = draft.moment();
        let group = draft.rng.index(2);
        let by = draft.rng.index(3);
        draft.ask(at, by, Wish::Manage(group, false));
        let cut = at + draft.rng.time(ms(600), secs(2));
        draft.fault(cut, secs(12), Fault::PowerCut(group));
        let over = cut + secs(6) + draft.rng.time(ms(0), secs(1));
        let by = draft.rng.pick(&[1 - group, 2]);
        draft.ask(over, by, Wish::Manage(group, true));
    },
    judge: |plan, facts, _| {
        all_agreed(facts)?;
        let (_, group) = cut(plan);
        let on = asked(plan, Wish::Manage(group, false));
        let off = asked(plan, Wish::Manage(group, true));
        nothing_begun(facts, group, on, off)?;
        runs_by(facts, group, off + many_bound(plan), group)?;
        nothing_begun(facts, 1 - group, on, plan.healed)
    },
};

/// A node dies three times in a row, or restarts in order once in between. After the third
/// death its group does not come home to it, until an operator says so.
pub(super) const QUARANTINE: Scenario = Scenario {
    name: "quarantine",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        let who = draft.rng.index(3);
        let prefer = (0..3).map(|n| (who + n) % 3).collect();
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer,
            ..GroupPlan::default()
        }];
        draft.plan.cluster.auto_failback = true;
        draft.plan.cluster.quarantine = Some((3, secs(60)));
        let orderly = draft.rng.chance(300).then(|| draft.rng.index(3));
        let mut at = draft.moment() + secs(4);
        for n in 0..3 {
            let lasts = draft.rng.time(ms(700), secs(2));
            match orderly == Some(n) {
                true => draft.ask(at, who, Wish::Reboot),
                false => {
                    let fault = draft
                        .rng
                        .pick(&[Fault::PowerCut(who), Fault::Crash(who, ms(300))]);
                    draft.fault(at, lasts, fault);
                }
            }
            at += secs(12) + draft.rng.time(ms(0), secs(2));
        }
        let by = draft.rng.pick(&[(who + 1) % 3, (who + 2) % 3]);
        draft.ask(at + secs(3), by, Wish::Online(who));
        draft.plan.healed = at + secs(3) + ms(10);
        draft.plan.calm = secs(8);
    },
    judge: |plan, facts, _| {
        let who = plan.cluster.prefer(0)[0];
        let deaths = plan
            .episodes
            .iter()
            .filter(|episode| matches!(episode.fault, Fault::PowerCut(_) | Fault::Crash(..)));
        let deaths: Vec<At> = deaths.map(|episode| episode.from).collect();
        let online = asked(plan, Wish::Online(who));
        let last = deaths[deaths.len() - 1];
        let mut back = facts.begun(0, last + ms(1), online);
        let back = back.find(|tenure| tenure.machine == who);
        let due = deaths.len() < 3;
        expect(back.is_some() == due, || {
            format!("{} deaths, and the group came home: {back:?}", deaths.len())
        })?;
        let end = facts.converged.unwrap_or(plan.healed);
        let holder = facts.holder(0, end);
        expect(holder == Some(who), || {
            format!("called online, and the group is at {holder:?}")
        })
    },
};

/// A node is put on standby while others die or are cut off: its groups leave it once somebody
/// else can have them, and it takes nothing until it is called online.
pub(super) const STANDBY_AMID_FAULTS: Scenario = Scenario {
    name: "standby-amid-faults",
    make: |draft| {
        two_groups(draft);
        let at = draft.moment() + secs(1);
        let out = draft.rng.index(2);
        let other = draft.rng.pick(&[1 - out, 2]);
        let lasts = draft.rng.time(ms(300), secs(6));
        let fault = draft.rng.pick(&[
            Fault::PowerCut(other),
            Fault::Pause(other),
            Fault::Stall(other),
            Fault::Cut(crate::plan::Wire::Lan(other)),
        ]);
        let from = (at + draft.rng.time(ms(0), secs(2))).saturating_sub(secs(1));
        draft.fault(from, lasts, fault);
        let by = draft.rng.pick(&[out, 3 - out - other]);
        draft.ask(at, by, Wish::Standby(out));
        draft.ask(at + secs(14), by, Wish::Online(out));
    },
    judge: |plan, facts, _| {
        all_agreed(facts)?;
        let out = |episode: &crate::plan::Episode| match episode.fault {
            Fault::Operator(_, Wish::Standby(out)) => Some(out),
            _ => None,
        };
        let out = plan.episodes.iter().find_map(out).unwrap_or_default();
        let (from, until) = (
            asked(plan, Wish::Standby(out)),
            asked(plan, Wish::Online(out)),
        );
        for group in 0..2 {
            let mut begun = facts.begun(group, from + ms(500), until);
            let begun = begun.find(|tenure| tenure.machine == out);
            expect(begun.is_none(), || {
                format!("node{} took group {}: {begun:?}", out + 1, group + 1)
            })?;
            let holder = facts.holder(group, from + settled_by(plan) + many_bound(plan));
            expect(holder.is_some_and(|holder| holder != out), || {
                format!("group {} is at {holder:?}", group + 1)
            })?;
        }
        Ok(())
    },
};

/// The service fails as often as it may on one node and then on the other: it stays on the
/// second one, and leaves it when the first one's failures are forgotten.
pub(super) const FAILURES_FORGOTTEN: Scenario = Scenario {
    name: "failures-forgotten",
    make: |draft| {
        draft.plan.cluster.auto_failback = false;
        draft.plan.cluster.migration_threshold = 2;
        draft.plan.cluster.failure_timeout = secs(16);
        let at = draft.moment();
        let mut late = || draft.rng.time(ms(0), ms(500));
        let times = [at, at + secs(2) + late()];
        let moved = times[1] + secs(2) + late();
        let again = [moved, moved + secs(2) + late()];
        for (machine, times) in [(0, times), (1, again)] {
            for at in times {
                draft.fault(at, ms(0), Fault::ServiceCrash(machine));
            }
        }
        draft.plan.healed = again[1] + secs(22);
    },
    judge: |plan, facts, _| {
        let at = |n: usize| plan.episodes[n].from;
        let order: Vec<_> = facts.of(0).map(|tenure| tenure.machine).collect();
        expect(order == [0, 1, 0], || format!("the VIP was at {order:?}"))?;
        let tenures: Vec<_> = facts.of(0).collect();
        let moved = (at(1), at(1) + many_bound(plan));
        let left = tenures[1].from;
        expect((moved.0..moved.1).contains(&left), || {
            format!("it moved at {left:?}, due from {moved:?}")
        })?;
        let due = at(1) + plan.cluster.failure_timeout;
        let back = tenures[2].from;
        expect(
            back + ms(200) >= due && back <= due + many_bound(plan),
            || format!("it came back at {back:?}, due at {due:?}"),
        )
    },
};

/// A service that cannot be killed, and a file that says to leave it alone then. What holds data
/// is taken over by nobody; of what does not, the VIP moves on without it. The node lives, unless
/// it is cut off: then the others count on its reset.
pub(super) const STOP_BLOCKED: Scenario = Scenario {
    name: "stop-blocked",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        let guarded = draft.rng.chance(600);
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer: vec![0, 1, 2],
            block: true,
            guarded,
            ..GroupPlan::default()
        }];
        draft.plan.cluster.auto_failback = false;
        let at = draft.moment();
        let wish = draft.rng.pick(&[Wish::Move(1), Wish::Standby(0)]);
        draft.fault(at, secs(30), Fault::Unkillable(0));
        let by = draft.rng.index(3);
        draft.ask(at + ms(300), by, wish);
        if draft.rng.chance(400) {
            let cut = at + secs(18) + draft.rng.time(ms(0), secs(2));
            draft.split(cut, secs(6), [0].into_iter().collect());
        }
    },
    judge: |plan, facts, _| {
        let guarded = plan.cluster.guarded(0);
        let stuck = &plan.episodes[0];
        let split = plan
            .episodes
            .iter()
            .find_map(|episode| match episode.fault {
                Fault::Apart { .. } => Some(episode.from),
                _ => None,
            });
        let reset = facts.ends.iter().find(|end| end.machine == 0);
        let due = split.filter(|_| guarded);
        expect(reset.is_some() == due.is_some(), || {
            format!("node1 was reset: {reset:?}; guarded: {guarded}, cut off: {split:?}")
        })?;
        let until = due.unwrap_or(stuck.until);
        let taken = facts.begun(0, stuck.from, until).next();
        expect(taken.is_some() != guarded, || {
            format!("guarded: {guarded}, taken over: {taken:?}")
        })
    },
};

/// An agent on every node, or on two of three. A node that is cut off keeps its own, although it
/// gives everything else up; the death of one is made good by the third node, and by nothing
/// else, and its return moves nothing.
pub(super) const CLONES: Scenario = Scenario {
    name: "clones",
    make: |draft| {
        two_groups(draft);
        let everywhere = draft.rng.chance(500);
        draft.plan.cluster.agents = if everywhere { 3 } else { 2 };
        let at = draft.moment();
        let who = draft.rng.index(3);
        match everywhere {
            true => draft.split(at, secs(6), [who].into_iter().collect()),
            false => draft.fault(at, secs(9), Fault::PowerCut(who)),
        }
    },
    judge: |plan, facts, _| {
        let agents = plan.cluster.group_count();
        let from = plan.episodes[0].from;
        let ran = |machine: usize| {
            let mut tenures = facts.of(agents);
            tenures.any(|t| t.machine == machine && t.from < from)
        };
        let ended = facts.of(agents).filter(|tenure| tenure.until.is_some());
        let ended: Vec<_> = ended.map(|tenure| tenure.machine).collect();
        let begun = facts.begun(agents, from, Duration::MAX);
        let begun: Vec<_> = begun.map(|tenure| (tenure.machine, tenure.from)).collect();
        let (_, who) = cut(plan);
        let died = plan.cluster.agents == 2 && ran(who);
        if !died {
            return expect(ended.is_empty() && begun.is_empty(), || {
                format!("no agent was concerned: ended on {ended:?}, begun {begun:?}")
            });
        }
        let third = (0..3).find(|node| !ran(*node));
        let by = from + many_bound(plan);
        let right = ended == [who] && begun.len() == 1;
        expect(
            right && Some(begun[0].0) == third && begun[0].1 < by,
            || format!("ended on {ended:?}, begun {begun:?}, due on {third:?} by {by:?}"),
        )
    },
};
