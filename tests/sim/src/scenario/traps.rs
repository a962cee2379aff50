//! Schedules on which agreement protocols stumble: each was thought of on paper as a way to
//! two owners, to none for ever, or to a needless move.

use super::draft::{Draft, SETTLED, ms, secs, timing};
use super::{Scenario, expect, many_bound, promises_suffice};
use crate::plan::{Fault, File, GroupPlan, On, Part, Plan, Policy, Way, Wire, Wish};

/// Any pairs of nodes lose each other for a minute, and perhaps the owner dies: there is
/// one when some of the living all hear each other and have votes enough, and then nothing
/// moves.
pub(super) const TORN_MESH: Scenario = Scenario {
    name: "torn-mesh",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 4, 4, 5, 5, 6, 7]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        // Who leads and who serves need not be the same.
        let prefer = draft.some(nodes, nodes);
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer,
            guarded: false,
            ..GroupPlan::default()
        }];
        let at = draft.moment();
        let torn = draft.rng.pick(&[150, 300, 500]);
        for a in 0..nodes {
            for b in a + 1..nodes {
                if draft.rng.chance(torn) {
                    let late = draft.rng.time(ms(0), ms(500));
                    let fault = apart(Part::only(a), Part::only(b));
                    draft.fault(at + late, secs(60) - late, fault);
                }
            }
        }
        if draft.rng.chance(500) {
            let owner = draft.plan.cluster.groups[0].prefer[0];
            draft.fault(at + secs(20), secs(40), Fault::PowerCut(owner));
        }
        draft.plan.healed = at + secs(60);
    },
    judge: |plan, facts, _| {
        let cliques = quorate_cliques(plan);
        let late = plan.healed - ms(20);
        let holders: Vec<_> = facts.holders(0, late).collect();
        // Without such a set nobody may begin, but who is heard by a majority goes on.
        let right = holders.len() == 1 || (holders.is_empty() && cliques == 0);
        expect(right, || {
            format!("{holders:?} hold the VIP; {cliques} sets that suffice all hear each other")
        })?;
        let steady = plan.healed - secs(25);
        let begun = facts.begun(0, steady, late).count();
        expect(begun == 0, || {
            format!("{begun} tenures began under lasting cuts")
        })?;
        let views = facts.views.iter();
        let changes = views
            .filter(|view| (steady..late).contains(&view.at))
            .count();
        expect(changes == 0, || {
            format!("{changes} views were installed under lasting cuts")
        })
    },
};

fn apart(these: Part, those: Part) -> Fault {
    Fault::Apart {
        these,
        those,
        way: Way::Both,
        on: On::Heartbeats,
    }
}

/// Sets of nodes that live, are a majority and all hear each other under the lasting cuts.
fn quorate_cliques(plan: &Plan) -> usize {
    let nodes = plan.cluster.nodes;
    let mut torn = Vec::new();
    for episode in &plan.episodes {
        match episode.fault {
            Fault::Apart { these, those, .. } => torn.push((these, those)),
            Fault::PowerCut(dead) => torn.push((Part::only(dead), Part::only(dead))),
            _ => {}
        }
    }
    let whole = |set: Part| {
        let cut = |(these, those): &(Part, Part)| {
            these.iter().any(|a| set.has(a)) && those.iter().any(|b| set.has(b))
        };
        !torn.iter().any(cut)
    };
    let sets = (1..1_u64 << nodes).map(Part);
    sets.filter(|set| super::quorate(&plan.cluster, *set) && whole(*set))
        .count()
}

/// The first node has but its serial lines left: it must not keep the others waiting.
pub(super) const SERIAL_ONLY: Scenario = Scenario {
    name: "serial-only",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 4, 4, 5]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        draft.plan.cluster.private = draft.rng.chance(700);
        draft.plan.cluster.baud = Some(115_200);
        draft.plan.cluster.lines = draft.rng.pick(&[1, nodes]);
        let at = draft.moment();
        draft.fault(at, secs(20), Fault::Cut(Wire::Lan(0)));
        let wire = Wire::Private(0);
        let fault = draft
            .rng
            .pick(&[Fault::Cut(wire), Fault::Mute(wire, Way::Both)]);
        draft.fault(at, secs(20), fault);
    },
    judge: |plan, facts, _| {
        let late = plan.healed - ms(20);
        let holders: Vec<_> = facts.holders(0, late).collect();
        expect(holders.len() == 1 && holders[0] != 0, || {
            format!("{holders:?} hold the VIP, one of those with a LAN should")
        })
    },
};

/// Some are dead; pairs of the others lose each other for about deadtime, and no longer:
/// nobody is forgotten by a view that stays as it was.
pub(super) const TORN_AND_HEALED: Scenario = Scenario {
    name: "torn-and-healed",
    make: |draft| {
        let nodes = draft.rng.pick(&[3, 5, 5]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let dead = draft.rng.index(nodes.div_ceil(2));
        for who in draft.some(nodes, dead) {
            draft.fault(at, secs(20), Fault::PowerCut(who));
        }
        let deadtime = timing(&draft.plan).deadtime;
        let mut from = at + secs(4);
        for _ in 0..draft.rng.range(1, 5) {
            let pair = draft.some(nodes, 2);
            let lasts = deadtime - ms(120) + draft.rng.time(ms(0), ms(500));
            let fault = apart(Part::only(pair[0]), Part::only(pair[1]));
            draft.fault(from, lasts, fault);
            from += draft.rng.time(ms(0), ms(900));
        }
        draft.plan.healed = at + secs(20);
    },
    judge: |plan, facts, _| {
        let late = plan.healed - ms(20);
        let holders: Vec<_> = facts.holders(0, late).collect();
        expect(holders.len() == 1, || {
            format!("{holders:?} hold the VIP, and a majority hears each other")
        })
    },
};

/// The first owner sleeps through two takeovers: when it wakes up it gives way, and the
/// third owner is not disturbed.
pub(super) const SLEEPER: Scenario = Scenario {
    name: "sleeper",
    make: |draft| {
        let nodes = draft.rng.pick(&[5, 5, 7]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.cluster.auto_failback = false;
        draft.plan.patience = Some(ms(500));
        let at = draft.moment();
        let sleeps = secs(8) + draft.rng.time(ms(0), secs(4));
        let fault = draft.rng.pick(&[Fault::Pause(0), Fault::Stall(0)]);
        draft.fault(at, sleeps, fault);
        let second = secs(3) + draft.rng.time(ms(0), secs(1));
        draft.fault(at + second, secs(16), Fault::PowerCut(1));
    },
    judge: |plan, facts, _| {
        let wakes = plan.episodes[0].until;
        if facts.holder(0, plan.episodes[1].from - ms(1)) != Some(0)
            && !facts
                .holders(0, plan.episodes[1].from - ms(1))
                .any(|holder| holder == 1)
        {
            return Ok(());
        }
        let begun: Vec<_> = facts.begun(0, wakes, plan.healed).collect();
        expect(begun.is_empty(), || {
            format!("the sleeper woke up and {begun:?} began")
        })
    },
};

/// A majority is dead, an operator says so, the survivors part, and the dead come back on
/// one side: nothing that the operator said was false.
pub(super) const VOUCHED_RETURN: Scenario = Scenario {
    name: "vouched-return",
    make: |draft| {
        let nodes = draft.rng.pick(&[5, 5, 7, 7, 6]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        for machine in &mut draft.plan.machines {
            machine.boot = draft.rng.time(ms(100), ms(900));
        }
        let at = draft.moment();
        let order = draft.some(nodes, nodes);
        let (dead, alive) = order.split_at(nodes / 2 + 1);
        let gone = secs(7);
        for who in dead {
            let back = draft.rng.time(ms(0), secs(4));
            draft.fault(at, gone + back, Fault::PowerCut(*who));
        }
        draft.ask(at + secs(3), alive[0], Wish::TakeoverAnyway);
        // The survivors part, and each of the others is on one side or the other.
        let parted = at + secs(5) + draft.rng.time(ms(0), secs(3));
        let mut sides = [Part::default(), Part::default()];
        let one = 1 + draft.rng.index(alive.len());
        for (n, who) in alive.iter().enumerate() {
            let side = usize::from(n >= one.min(alive.len() - 1));
            sides[side] = Part(sides[side].0 | Part::only(*who).0);
        }
        for who in dead {
            let side = draft.rng.index(2);
            sides[side] = Part(sides[side].0 | Part::only(*who).0);
        }
        let lasts = draft.rng.time(secs(3), secs(9));
        draft.fault(parted, lasts, apart(sides[0], sides[1]));
    },
    judge: promises_suffice,
};

/// Some are dead, an operator says so, and the owner is left out: one of the others does not
/// hear it. Then it is cut off from all of them, and the dead come back on its side. With it
/// they are a majority of the file, but the others went on by the votes that were left.
pub(super) const WRITTEN_OFF_RETURN: Scenario = Scenario {
    name: "written-off-return",
    make: |draft| {
        draft.cluster(7, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        for machine in &mut draft.plan.machines {
            machine.boot = draft.rng.time(ms(100), ms(900));
        }
        // Of two that do not hear each other the later one is left out.
        let owner = 6;
        let order = draft.some(owner, owner);
        let (dead, alive) = order.split_at(3);
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer: [owner].into_iter().chain(order.iter().copied()).collect(),
            guarded: false,
            ..GroupPlan::default()
        }];
        let at = draft.moment();
        let torn = at + secs(3) + draft.rng.time(ms(0), secs(1));
        let parted = torn + secs(3) + draft.rng.time(ms(0), secs(1));
        for who in dead {
            let back = draft.rng.time(ms(0), secs(2));
            draft.fault(at, parted + back - at, Fault::PowerCut(*who));
        }
        draft.ask(at + secs(2), alive[0], Wish::TakeoverAnyway);
        let healed = parted + secs(16) + draft.rng.time(ms(0), secs(4));
        // Not the one that leads without the owner.
        let deaf = alive[0].max(alive[1]);
        let gap = apart(Part::only(owner), Part::only(deaf));
        draft.fault(torn, healed - torn, gap);
        let near: Part = dead.iter().copied().chain([owner]).collect();
        let far: Part = alive.iter().copied().collect();
        draft.fault(parted, healed - parted, apart(near, far));
    },
    judge: promises_suffice,
};

/// Half of the nodes come up while the owner dies: they do not hold up the takeover.
pub(super) const BOOT_STORM: Scenario = Scenario {
    name: "boot-storm",
    make: |draft| {
        let nodes = draft.rng.pick(&[4, 5, 5, 8, 16]);
        draft.cluster(nodes, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        let early = nodes / 2 + 2;
        // The first of them are up alone after initdead.
        let at = SETTLED + secs(6) + draft.rng.time(ms(0), secs(2));
        for machine in &mut draft.plan.machines[early.min(nodes)..] {
            let before = machine.boot + draft.rng.time(ms(0), secs(1));
            machine.power_on = Some(at - before);
        }
        draft.fault(at, secs(9), Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        let from = plan.episodes[0].from;
        if facts.holder(0, from - ms(1)) != Some(0) {
            return Ok(());
        }
        let bound = many_bound(plan);
        let first = facts.begun(0, from, from + bound).next();
        expect(first.is_some_and(|tenure| tenure.machine != 0), || {
            format!("another node should have had the VIP within {bound:?}: {first:?}")
        })
    },
};

/// Two machines carry one identity, and each is in another part: they vote once.
pub(super) const TWINS_AND_PARTS: Scenario = Scenario {
    name: "twins-and-parts",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        draft.plan.cluster.private = false;
        draft.plan.cluster.baud = None;
        let order = draft.some(3, 3);
        let (twin_of, others) = (order[0], [order[1], order[2]]);
        let mut twin = draft.plan.machines[twin_of].clone();
        twin.power_on = Some(draft.moment());
        twin.boot = draft.rng.time(ms(500), ms(3000));
        draft.plan.machines.push(twin);
        let at = draft.moment() + secs(5);
        let lasts = draft.rng.time(secs(3), secs(12));
        let these = [twin_of, others[0]].into_iter().collect();
        let those = [3, others[1]].into_iter().collect();
        draft.fault(at, lasts, apart(these, those));
    },
    judge: promises_suffice,
};

/// One of three pairs is cut, then another: whoever held goes out of a view, comes back
/// into the next one, and somebody else may count on what was granted in between.
pub(super) const REVOLVING_CUT: Scenario = Scenario {
    name: "revolving-cut",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        any_order(draft);
        let deadtime = timing(&draft.plan).deadtime;
        let from = draft.moment();
        let mut at = from;
        for _ in 0..draft.rng.range(3, 9) {
            let step = draft.rng.time(deadtime / 10, deadtime * 8 / 5);
            let pair = draft.some(3, 2);
            let late = draft.rng.time(ms(0), deadtime / 8);
            let (a, b) = (Part::only(pair[0]), Part::only(pair[1]));
            draft.fault(at + late, step, apart(a, b));
            if draft.rng.chance(200) {
                let third = 3 - pair[0] - pair[1];
                draft.fault(at, step, apart(a, Part::only(third)));
            }
            at += step;
        }
    },
    judge: promises_suffice,
};

/// The only one that hears both of the others restarts, and has forgotten to whom it
/// granted a lease; when it is back it hears but the other one.
pub(super) const AMNESIAC_GRANTOR: Scenario = Scenario {
    name: "amnesiac-grantor",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        any_order(draft);
        for machine in &mut draft.plan.machines {
            machine.boot = draft.rng.time(ms(30), ms(300));
            machine.negotiation = draft.rng.time(ms(1), ms(20));
            machine.startup = draft.rng.time(ms(5), ms(60));
        }
        let at = draft.moment();
        let order = draft.some(3, 3);
        let [one, grantor, other] = [order[0], order[1], order[2]].map(Part::only);
        let before = secs(1) + draft.rng.time(ms(0), secs(4));
        draft.fault(at, before + secs(3), apart(one, other));
        let early = draft.rng.time(ms(0), ms(60));
        draft.fault(at + before - early, secs(3), apart(one, grantor));
        let dead = draft.rng.time(ms(1), ms(30));
        draft.fault(at + before, ms(0), Fault::Crash(order[1], dead));
    },
    judge: promises_suffice,
};

/// Some nodes were given a file with a longer deadtime: what they hold lasts longer than
/// the others' own W.
pub(super) const MIXED_TIMING: Scenario = Scenario {
    name: "mixed-timing",
    make: |draft| {
        if draft.rng.chance(600) {
            draft.cluster(3, Policy::Quorum);
            any_order(draft);
        } else {
            draft.ping_decides(true);
        }
        draft.plan.patience = Some(ms(500));
        let nodes = draft.plan.cluster.nodes;
        for who in draft.some(nodes, 1 + nodes / 3) {
            draft.plan.machines[who].file = File::Slower;
        }
        let mut at = draft.moment();
        for _ in 0..draft.rng.range(1, 4) {
            let lasts = draft.rng.time(ms(300), secs(9));
            let pair = draft.some(nodes, 2);
            let way = draft.rng.pick(&[Way::Both, Way::Both, Way::Out]);
            let fault = match draft.rng.below(4) {
                0 => Fault::PowerCut(pair[0]),
                1 => Fault::Mute(Wire::Lan(pair[0]), way),
                _ => Fault::Apart {
                    these: Part::only(pair[0]),
                    those: (0..nodes).filter(|node| *node != pair[0]).collect(),
                    way,
                    on: On::Heartbeats,
                },
            };
            draft.fault(at, lasts, fault);
            at += draft.rng.time(ms(0), lasts);
        }
    },
    judge: promises_suffice,
};

/// A group with data: nothing of it runs twice, however its node dies, hangs or is cut off.
pub(super) const GUARDED: Scenario = Scenario {
    name: "guarded",
    make: |draft| {
        draft.cluster(3, Policy::Quorum);
        draft.plan.patience = Some(ms(500));
        let prefer = draft.some(3, 3);
        let owner = prefer[0];
        let guarded = true;
        draft.plan.cluster.groups = vec![GroupPlan {
            prefer,
            guarded,
            ..GroupPlan::default()
        }];
        draft.plan.cluster.watchdog = secs(draft.rng.range(2, 4));
        let at = draft.moment();
        let lasts = draft.rng.time(ms(200), secs(9));
        let others = (0..3).filter(|node| *node != owner).collect();
        let cut = apart(Part::only(owner), others);
        let fault = draft.rng.pick(&[
            cut,
            cut,
            Fault::PowerCut(owner),
            Fault::Stuck(owner),
            Fault::Stall(owner),
            Fault::Crash(owner, ms(40)),
            Fault::Unkillable(owner),
            Fault::DeadNet(owner),
        ]);
        draft.fault(at, lasts, fault);
        if draft.rng.chance(500) {
            let late = draft.rng.time(ms(0), secs(3));
            let fault = draft
                .rng
                .pick(&[cut, Fault::Unkillable(owner), Fault::IgnoreTerm(owner)]);
            draft.fault(at + late, lasts, fault);
        }
    },
    judge: promises_suffice,
};

/// Any of three may be the preferred one, and leases are long as often as not.
fn any_order(draft: &mut Draft) {
    if draft.rng.chance(600) {
        draft.profile("lab");
    }
    let prefer = draft.some(3, 3);
    draft.plan.cluster.groups = vec![GroupPlan {
        prefer,
        guarded: false,
        ..GroupPlan::default()
    }];
}
