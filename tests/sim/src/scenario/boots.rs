//! Scenarios of booting: together, alone, without a link, as a twin, with another file.

use core::time::Duration;

use super::draft::{calm, ms, secs, timing};
use super::{Scenario, expect, taken_over, takeover_bound};
use crate::plan::{Fault, File, Wish};

pub(super) const SIMULTANEOUS_BOOT: Scenario = Scenario {
    name: "simultaneous-boot",
    make: |draft| {
        let spread = draft
            .rng
            .pick(&[ms(0), ms(50), ms(1000), secs(5), secs(15), secs(40)]);
        for at in 0..2 {
            let on = draft.rng.time(ms(0), spread);
            draft.plan.machines[at].power_on = Some(on);
        }
        draft.plan.healed = spread + secs(4);
    },
    judge: |_, facts, _| {
        let moves = facts.moves(0);
        expect(moves <= 1, || format!("the VIP moved {moves} times"))
    },
};

pub(super) const LONELY_BOOT: Scenario = Scenario {
    name: "lonely-boot",
    make: |draft| {
        let alone = draft.rng.index(2);
        draft.plan.machines[1 - alone].power_on = None;
        draft.plan.healed = secs(40);
        if draft.rng.chance(400) {
            let at = draft.rng.time(secs(6), secs(9));
            draft.ask(at, alone, Wish::TakeoverAnyway);
        }
    },
    judge: |plan, facts, _| {
        let alone = usize::from(plan.machines[0].power_on.is_none());
        let machine = &plan.machines[alone];
        let timing = timing(plan);
        let vouched = facts.requests.first();
        let start = machine.power_on.unwrap_or_default() + machine.boot;
        // The crossover has no carrier, its other end is dark: linkwait passes.
        let held = start + timing.linkwait.saturating_sub(machine.uptime) + timing.initdead;
        let due = match vouched {
            Some(asked) if asked.agreed == Some(true) => plan.episodes[0].from,
            _ => held,
        };
        let due = due + timing.deadtime * 2 + machine.startup + secs(1);
        let first = facts.tenures.first();
        let from = first.map_or(Duration::MAX, |tenure| tenure.from);
        expect(first.is_some_and(|tenure| tenure.machine == alone), || {
            format!("the lonely node should have the VIP: {first:?}")
        })?;
        expect(from <= due, || {
            format!("it served at {from:?}, due was {due:?}")
        })?;
        let early = vouched.is_none() && from + ms(300) < start + timing.initdead;
        expect(!early, || {
            format!("it served at {from:?}, before initdead passed")
        })
    },
};

pub(super) const SLOW_LINK: Scenario = Scenario {
    name: "slow-link",
    make: |draft| {
        draft.plan.cluster.baud = draft.rng.chance(300).then_some(115_200);
        let both = draft.rng.chance(500);
        for at in 0..2 {
            if both || at == 1 {
                draft.plan.machines[at].negotiation = draft.rng.time(secs(12), secs(22));
            }
        }
        draft.plan.healed = secs(25);
        draft.plan.patience = Some(ms(500));
    },
    judge: |plan, facts, _| {
        // Over the serial line they agree early, follow the first LAN link then, and return
        // when the preferred node has one too.
        let early = usize::from(plan.cluster.baud.is_some());
        let limit = early + early * usize::from(plan.cluster.auto_failback);
        let moves = facts.moves(0);
        expect(moves <= limit, || format!("the VIP moved {moves} times"))
    },
};

pub(super) const TWINS: Scenario = Scenario {
    name: "twins",
    make: |draft| {
        let of = draft.rng.index(2);
        let mut twin = calm(0).machines[of].clone();
        twin.power_on = Some(draft.moment());
        twin.boot = draft.rng.time(ms(500), ms(3000));
        draft.plan.machines.push(twin);
        draft.plan.healed = secs(40);
    },
    judge: |_, facts, story| {
        let twin = facts.tenures.iter().any(|tenure| tenure.machine == 2);
        expect(!twin, || "the newcomer got the VIP".into())?;
        expect(facts.moves(0) == 0, || "the VIP moved".into())?;
        // One end is its unplugging; more would be a restart loop.
        let ends = facts.ends.len();
        expect(ends == 1, || {
            format!("{ends} lives ended: {:?}", facts.ends)
        })?;
        let mut alerts = story.alerts().iter();
        let named = alerts.any(|alert| alert.text.contains("two machines"));
        expect(named, || "nobody spoke of a second machine".into())
    },
};

pub(super) const MIXED_FILES: Scenario = Scenario {
    name: "mixed-files",
    make: |draft| {
        draft.plan.machines[1].file = File::Changed;
        draft.plan.cluster.auto_failback = false;
        let at = draft.moment();
        draft.fault(at + secs(4), secs(6), Fault::PowerCut(0));
        let by = draft.rng.index(2);
        draft.ask(at, by, Wish::Move(1));
    },
    judge: |plan, facts, story| {
        let asked = facts.requests.first().and_then(|asked| asked.agreed);
        expect(asked == Some(false), || {
            format!("a voluntary move should be refused: {asked:?}")
        })?;
        let mut after = plan.clone();
        after.episodes.remove(0);
        taken_over(&after, facts, takeover_bound(plan))?;
        let named = story
            .alerts()
            .iter()
            .any(|alert| alert.text.contains("file"));
        expect(named, || "nobody spoke of different files".into())
    },
};
