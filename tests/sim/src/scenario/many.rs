//! Scenarios of more than two nodes in which machines die, restart, stand still, or are
//! told to give up; and of more than one group.

use super::draft::{ms, secs};
use super::{Scenario, expect, first_from, many_bound, promises_suffice, quorate};
use crate::facts::NOTICED;
use crate::plan::{Fault, GroupPlan, Part, Policy, Tape, Wish};

pub(super) const POWER_LOSS_MANY: Scenario = Scenario {
    name: "power-loss-many",
    make: |draft| {
        draft.many();
        let at = draft.moment();
        draft.fault(at, secs(8), Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        let (from, bound) = (first_from(plan), many_bound(plan));
        expect(facts.holder(0, from - ms(1)) == Some(0), || {
            "node1 should have had the VIP when it happened".into()
        })?;
        let first = facts.begun(0, from, from + bound).next();
        expect(first.is_some_and(|tenure| tenure.machine != 0), || {
            format!("another node should have had the VIP within {bound:?}: {first:?}")
        })?;
        let outage = facts.longest_outage(0, from, plan.healed);
        expect(outage <= bound + NOTICED, || {
            format!("the client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

/// A bystander dies: nothing happens to the service.
pub(super) const MEMBER_LOSS: Scenario = Scenario {
    name: "member-loss",
    make: |draft| {
        let nodes = draft.many();
        let at = draft.moment();
        let who = 1 + draft.rng.index(nodes - 1);
        let lasts = draft.rng.time(ms(200), secs(6));
        let fault = draft.rng.pick(&[
            Fault::PowerCut(who),
            Fault::Pause(who),
            Fault::Stall(who),
            Fault::Crash(who, ms(300)),
        ]);
        draft.fault(at, lasts, fault);
    },
    judge: super::undisturbed,
};

/// The coordinator dies while a view changes because another one did.
pub(super) const COORDINATOR_LOSS: Scenario = Scenario {
    name: "coordinator-loss",
    make: |draft| {
        let nodes = draft.rng.pick(&[5, 5, 5, 5, 5, 5, 5, 5, 6, 7, 7, 16]);
        draft.cluster(nodes, Policy::Quorum);
        let at = draft.moment();
        let first = 1 + draft.rng.index(nodes - 1);
        draft.fault(at, secs(8), Fault::PowerCut(first));
        // From the moment at which the first is called dead, through a view change.
        let early = super::draft::timing(&draft.plan).deadtime;
        let late = early - ms(60) + draft.rng.time(ms(0), ms(400));
        draft.fault(at + late, secs(7), Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        let from = plan.episodes[1].from;
        let bound = many_bound(plan) + super::draft::timing(plan).deadtime;
        let dead = |machine: usize| {
            let mut faults = plan.episodes.iter().map(|episode| episode.fault);
            faults.any(|fault| fault == Fault::PowerCut(machine))
        };
        let holder = facts.holder(0, from + bound);
        expect(holder.is_some_and(|machine| !dead(machine)), || {
            format!("one of the living should have the VIP after {bound:?}: {holder:?}")
        })
    },
};

/// Every node is restarted in turn.
pub(super) const ROLLING_RESTART: Scenario = Scenario {
    name: "rolling-restart",
    make: |draft| {
        let nodes = draft.rng.pick(&[2, 3, 3, 3, 4, 5, 5]);
        if nodes > 2 {
            draft.cluster(nodes, Policy::Quorum);
        }
        let order = draft.some(nodes, nodes);
        let mut at = draft.moment();
        for who in order {
            draft.ask(at, who, Wish::Reboot);
            at += secs(9) + draft.rng.time(ms(0), secs(2));
        }
        draft.plan.healed = at;
    },
    judge: |plan, facts, _| {
        let nodes = plan.cluster.nodes;
        let moves = facts.moves(0);
        // Failback brings it home once.
        let limit = nodes + usize::from(plan.cluster.auto_failback) * nodes;
        expect(moves <= limit, || format!("the VIP moved {moves} times"))?;
        let startup = plan.machines.iter().map(|machine| machine.startup).max();
        let bound = ms(60 + 4 * 100 + 350) + startup.unwrap_or_default() + NOTICED;
        let outage = facts.longest_outage(0, first_from(plan), plan.healed);
        expect(outage <= bound, || {
            format!("the client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

/// A majority restarts and has forgotten everything while a minority lives on, in and
/// around a split.
pub(super) const AMNESIA: Scenario = Scenario {
    name: "amnesia",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 3, 5, 5, 4]);
        let policy = draft.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        draft.cluster(nodes, policy);
        draft.plan.patience = Some(ms(500));
        for machine in &mut draft.plan.machines {
            machine.boot = draft.rng.time(ms(50), ms(900));
            machine.negotiation = draft.rng.time(ms(1), ms(50));
        }
        let at = draft.moment();
        let minority = draft.some(nodes, (nodes - 1) / 2);
        let lasts = draft.rng.time(ms(100), secs(5));
        let before = draft.rng.time(ms(0), ms(1500));
        if draft.rng.chance(800) {
            let part = minority.iter().copied().collect();
            draft.split(at, lasts, part);
        }
        let at = (at + before).saturating_sub(ms(500));
        for who in (0..nodes).filter(|node| !minority.contains(node)) {
            let late = draft.rng.time(ms(0), ms(600));
            let dead = draft.rng.time(ms(1), ms(300));
            if draft.rng.chance(900) {
                draft.fault(at + late, ms(0), Fault::Crash(who, dead));
            }
        }
        draft.plan.healed = at + secs(2);
    },
    judge: promises_suffice,
};

/// Some are powered on, the others never: a majority serves, a minority does not, unless
/// an operator vouches.
pub(super) const LONELY_BOOT_MANY: Scenario = Scenario {
    name: "lonely-boot-many",
    make: |draft| {
        let nodes = draft.many();
        let count = draft.rng.index(nodes);
        for dark in draft.some(nodes, count) {
            draft.plan.machines[dark].power_on = None;
        }
        draft.plan.healed = secs(30);
        if draft.rng.chance(400) {
            let lit = |node: &usize| draft.plan.machines[*node].power_on.is_some();
            let lit: Vec<_> = (0..nodes).filter(lit).collect();
            let by = draft.rng.pick(&lit);
            let at = draft.rng.time(secs(8), secs(12));
            draft.ask(at, by, Wish::TakeoverAnyway);
        }
    },
    judge: |plan, facts, _| {
        let lit: Part = (0..plan.cluster.nodes)
            .filter(|node| plan.machines[*node].power_on.is_some())
            .collect();
        let runs = plan.cluster.prefer(0).iter().any(|node| lit.has(*node));
        let vouched = facts
            .requests
            .iter()
            .any(|asked| asked.agreed == Some(true));
        let due = runs && (quorate(&plan.cluster, lit) || vouched);
        let holders: Vec<_> = facts.holders(0, plan.healed - ms(20)).collect();
        expect(holders.len() == usize::from(due), || {
            format!("up are {lit}, vouched {vouched}: {holders:?} hold the VIP")
        })
    },
};

pub(super) const SIMULTANEOUS_BOOT_MANY: Scenario = Scenario {
    name: "simultaneous-boot-many",
    make: |draft| {
        let nodes = draft.many();
        let spread = draft
            .rng
            .pick(&[ms(0), ms(50), ms(1000), secs(5), secs(15), secs(40)]);
        for at in 0..nodes {
            let on = draft.rng.time(ms(0), spread);
            draft.plan.machines[at].power_on = Some(on);
        }
        draft.plan.healed = spread + secs(4);
    },
    judge: |plan, facts, _| {
        let moves = facts.moves(0);
        let limit = 1 + usize::from(plan.cluster.auto_failback);
        expect(moves <= limit, || format!("the VIP moved {moves} times"))
    },
};

/// Three nodes serve a group each, the fourth is spare for all; two fail in turn.
pub(super) const N_PLUS_ONE: Scenario = Scenario {
    name: "n-plus-one",
    make: |draft| {
        draft.cluster(4, Policy::Quorum);
        draft.plan.cluster.votes = vec![1, 1, 1, 2];
        draft.plan.cluster.auto_failback = true;
        draft.plan.cluster.groups = (0..3)
            .map(|node| GroupPlan {
                prefer: vec![node, 3],
                guarded: false,
                ..GroupPlan::default()
            })
            .collect();
        let at = draft.moment();
        let fail = draft.some(3, 2);
        draft.fault(at, secs(12), Fault::PowerCut(fail[0]));
        draft.fault(at + secs(5), secs(7), Fault::PowerCut(fail[1]));
    },
    judge: |plan, facts, _| {
        let bound = many_bound(plan);
        for (at, episode) in plan.episodes.iter().enumerate() {
            let Fault::PowerCut(group) = episode.fault else {
                continue;
            };
            let others = (0..3).filter(|other| *other != group);
            let holder = facts.holder(group, episode.from + bound);
            expect(holder == Some(3), || {
                format!("the spare should have group {}: {holder:?}", group + 1)
            })?;
            for other in others.filter(|_| at == 0) {
                let begun = facts.begun(other, episode.from, episode.from + bound);
                let begun = begun.count();
                expect(begun == 0, || format!("group {} was disturbed", other + 1))?;
            }
        }
        Ok(())
    },
};

/// Two nodes, or one more that only votes, serve a group each and stand by for the other.
pub(super) const MUTUAL_STANDBY: Scenario = Scenario {
    name: "mutual-standby",
    make: |draft| {
        let three = draft.rng.chance(500);
        if three {
            draft.cluster(3, Policy::Quorum);
            draft.plan.cluster.voters = 1;
        }
        draft.plan.cluster.groups = [vec![0, 1], vec![1, 0]]
            .map(|prefer| GroupPlan {
                prefer,
                guarded: false,
                ..GroupPlan::default()
            })
            .to_vec();
        draft.plan.cluster.auto_failback = true;
        draft.plan.calm = secs(8);
        let at = draft.moment() + secs(4);
        let who = draft.rng.index(2);
        draft.fault(at, secs(7), Fault::PowerCut(who));
    },
    judge: |plan, facts, _| {
        let episode = &plan.episodes[0];
        let Fault::PowerCut(who) = episode.fault else {
            return Ok(());
        };
        let bound = many_bound(plan);
        for group in 0..2 {
            let before = facts.holder(group, episode.from - ms(1));
            expect(before == Some(group), || {
                format!("group {} was at {before:?}", group + 1)
            })?;
            let after = facts.holder(group, episode.from + bound);
            expect(after == Some(1 - who), || {
                format!("the survivor should have group {}: {after:?}", group + 1)
            })?;
            let begun = facts.begun(group, episode.from, plan.healed + secs(60));
            let (begun, due) = (begun.count(), if group == who { 2 } else { 0 });
            expect(begun == due, || {
                format!("group {} moved {begun} times, {due} were due", group + 1)
            })?;
        }
        Ok(())
    },
};

/// A majority is dead, and an operator says so to one of the others.
pub(super) const TAKEOVER_ANYWAY: Scenario = Scenario {
    name: "takeover-anyway",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 3, 4, 5, 5, 16]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let dead = draft.some(nodes, nodes.div_ceil(2));
        let mut last = at;
        for who in &dead {
            let late = draft.rng.time(ms(0), ms(800));
            last = last.max(at + late);
            draft.fault(at + late, secs(14), Fault::PowerCut(*who));
        }
        let alive = (0..nodes).filter(|node| !dead.contains(node));
        let alive: Vec<_> = alive.collect();
        let by = draft.rng.pick(&alive);
        let asked = last + secs(1) + draft.rng.time(ms(0), secs(3));
        draft.ask(asked, by, Wish::TakeoverAnyway);
    },
    judge: |plan, facts, _| {
        let agreed = facts.requests.first().and_then(|asked| asked.agreed);
        expect(agreed == Some(true), || format!("the wish: {agreed:?}"))?;
        let asked = plan
            .episodes
            .iter()
            .find(|episode| matches!(episode.fault, Fault::Operator(..)));
        let asked = asked.map(|episode| episode.from).unwrap_or_default();
        let before = facts.holders(0, asked).count();
        expect(before == 0, || "served before it was vouched".into())?;
        let holders = facts.holders(0, asked + many_bound(plan)).count();
        expect(holders == 1, || format!("{holders} hold the VIP after it"))
    },
};

/// The holder stands still, for less than a lease or for long.
pub(super) const STANDSTILL_MANY: Scenario = Scenario {
    name: "standstill-many",
    make: |draft| {
        draft.many();
        let at = draft.moment();
        let fault = draft
            .rng
            .pick(&[Fault::Pause(0), Fault::Stall(0), Fault::Stuck(0)]);
        let lasts = if draft.rng.chance(600) {
            draft.rng.time(ms(900), ms(6000))
        } else {
            draft.rng.time(ms(50), ms(900))
        };
        draft.fault(at, lasts, fault);
    },
    judge: |plan, facts, _| {
        let (episode, bound) = (&plan.episodes[0], many_bound(plan));
        let first = facts.begun(0, episode.from, episode.from + bound).next();
        let due = episode.until - episode.from > bound;
        expect(
            !due || first.is_some_and(|tenure| tenure.machine != 0),
            || format!("another node should have had the VIP within {bound:?}: {first:?}"),
        )
    },
};

pub(super) const GRACEFUL_MOVE_MANY: Scenario = Scenario {
    name: "graceful-move-many",
    make: |draft| {
        let nodes = draft.many();
        let at = draft.moment();
        let by = draft.rng.index(nodes);
        let to = 1 + draft.rng.index(nodes - 1);
        let wish = draft.rng.pick(&[Wish::Move(to), Wish::Standby(0)]);
        draft.ask(at, by, wish);
        draft.plan.healed = at + secs(5);
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let agreed = facts.requests.first().and_then(|asked| asked.agreed);
        expect(agreed == Some(true), || format!("the wish: {agreed:?}"))?;
        let to = facts.begun(0, from, from + secs(2)).next();
        let right = to.is_some_and(|tenure| match facts.requests[0].wish {
            Wish::Move(to) => tenure.machine == to,
            _ => tenure.machine != 0,
        });
        expect(right, || format!("the VIP went to {to:?}"))
    },
};

/// Thirty-two nodes, and a few faults of every kind.
pub(super) const BIG_CLUSTER: Scenario = Scenario {
    name: "big-cluster",
    make: |draft| {
        draft.cluster(32, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        draft.plan.cluster.private = draft.rng.chance(150);
        let at = draft.moment();
        for _ in 0..draft.rng.range(1, 6) {
            let (from, lasts) = (
                at + draft.rng.time(ms(0), secs(5)),
                draft.rng.time(ms(100), secs(4)),
            );
            let fault = super::chaos::any(draft);
            draft.fault(from, lasts, fault);
        }
    },
    judge: promises_suffice,
};

pub(super) const FORGED_MANY: Scenario = Scenario {
    name: "forged-many",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 5, 16]);
        draft.cluster(nodes, Policy::Quorum);
        let at = draft.moment();
        for to in 0..nodes.min(5) {
            let every = draft.rng.time(ms(4), ms(90));
            draft.fault(at, secs(6), Fault::Forge { to, every });
            let every = draft.rng.time(ms(4), ms(90));
            draft.fault(at, secs(6), Fault::Junk { to, every });
        }
    },
    judge: super::hostile::judge_forged,
};

pub(super) const REPLAYED_MANY: Scenario = Scenario {
    name: "replayed-many",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 3, 5, 16]);
        draft.cluster(nodes, Policy::Quorum);
        super::hostile::reboots(draft);
        let at = draft.moment();
        for to in 0..nodes.min(5) {
            for what in [Tape::Peers, Tape::EarlierLife, Tape::Own] {
                let every = draft.rng.time(ms(8), ms(160));
                draft.fault(at, secs(9), Fault::Replay { to, what, every });
            }
        }
    },
    judge: super::hostile::judge_replayed,
};

pub(super) const LOSSY_MANY: Scenario = Scenario {
    name: "lossy-many",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        // As a pair has: two networks, and a serial line between any two.
        draft.plan.cluster.private = true;
        draft.plan.cluster.baud = Some(115_200);
        super::links::lossy(draft, secs(120));
    },
    judge: super::links::judge_lossy,
};
