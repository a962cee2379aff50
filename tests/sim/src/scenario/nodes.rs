//! Scenarios in which a machine dies, stands still, or is told to give up.

use core::time::Duration;

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, expect, first_from, promises_suffice, taken_over, takeover_bound};
use crate::facts::{Facts, NOTICED};
use crate::plan::{Fault, Plan, Wish};
use crate::story::Story;

pub(super) const POWER_LOSS: Scenario = Scenario {
    name: "power-loss",
    make: |draft| {
        let at = draft.moment();
        draft.fault(at, secs(8), Fault::PowerCut(0));
    },
    judge: |plan, facts, _| {
        let bound = takeover_bound(plan);
        taken_over(plan, facts, bound)?;
        let outage = facts.longest_outage(0, first_from(plan), plan.healed);
        expect(outage <= bound + NOTICED, || {
            format!("the client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

pub(super) const KERNEL_PANIC: Scenario = Scenario {
    name: "kernel-panic",
    make: |draft| {
        let at = draft.moment();
        draft.fault(at, ms(0), Fault::Crash(0, secs(1)));
        draft.plan.healed = at + secs(4);
    },
    judge: |plan, facts, _| taken_over(plan, facts, takeover_bound(plan)),
};

pub(super) const PID1_STUCK: Scenario = Scenario {
    name: "pid1-stuck",
    make: |draft| {
        let at = draft.moment();
        draft.fault(at, secs(6), Fault::Stuck(0));
    },
    judge: |plan, facts, _| {
        let begun = facts.begun(0, first_from(plan), plan.healed).next();
        expect(begun.is_some_and(|tenure| tenure.machine == 1), || {
            format!("node2 should have had the VIP: {begun:?}")
        })?;
        let reset = facts.ends.iter().any(|end| end.machine == 0);
        expect(reset, || "node1's watchdog should have fired".into())
    },
};

pub(super) const GRACEFUL_MOVE: Scenario = Scenario {
    name: "graceful-move",
    make: |draft| {
        let at = draft.moment();
        let by = draft.rng.index(2);
        let wish = draft.rng.pick(&[Wish::Move(1), Wish::Standby(0)]);
        draft.ask(at, by, wish);
        draft.plan.healed = at + secs(5);
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let agreed = facts.requests.first().and_then(|asked| asked.agreed);
        expect(agreed == Some(true), || format!("the wish: {agreed:?}"))?;
        taken_over(plan, facts, secs(2))?;
        // Stop of the service, start of the other, three keepalives for the words between.
        let bound = ms(60 + 3 * 100 + 250) + plan.machines[1].startup + NOTICED;
        let outage = facts.longest_outage(0, from, plan.healed);
        expect(outage <= bound, || {
            format!("the client waited {outage:?}, the bound is {bound:?}")
        })
    },
};

/// The old holder's helper takes its time: the new one must wait for it.
pub(super) const SLOW_RELEASE: Scenario = Scenario {
    name: "slow-release",
    make: |draft| {
        let at = draft.moment();
        let late = draft.rng.time(ms(100), ms(900));
        draft.fault(at, secs(6), Fault::SlowNet(0, late));
        let by = draft.rng.index(2);
        let wish = draft
            .rng
            .pick(&[Wish::Move(1), Wish::Standby(0), Wish::Reboot]);
        let by = if wish == Wish::Reboot { 0 } else { by };
        draft.ask(at + ms(10), by, wish);
    },
    judge: |plan, facts, _| {
        let begun = facts.begun(0, first_from(plan), plan.healed).next();
        expect(begun.is_some_and(|tenure| tenure.machine == 1), || {
            format!("node2 should have had the VIP: {begun:?}")
        })
    },
};

/// A pause of any length around deadtime, or much longer.
fn while_still(draft: &mut Draft, fault: Fault) {
    let at = draft.moment();
    let long = draft.rng.chance(600);
    let lasts = if long {
        draft.rng.time(ms(900), ms(6000))
    } else {
        draft.rng.time(ms(50), ms(900))
    };
    draft.fault(at, lasts, fault);
}

/// A machine that stood still for longer than a takeover takes was taken over.
fn judge_still(plan: &Plan, facts: &Facts, _: &Story) -> Judged {
    let episode = &plan.episodes[0];
    let bound = takeover_bound(plan);
    if episode.until - episode.from > bound {
        taken_over(plan, facts, bound)?;
    }
    Ok(())
}

pub(super) const PAUSE: Scenario = Scenario {
    name: "pause",
    make: |draft| while_still(draft, Fault::Pause(0)),
    judge: judge_still,
};

/// Its helper is slow too: it is the gate that silences it, not the address's removal.
pub(super) const PAUSE_SLOW_NET: Scenario = Scenario {
    name: "pause-slow-net",
    make: |draft| {
        while_still(draft, Fault::Pause(0));
        let until = draft.plan.episodes[0].until;
        let late = draft.rng.time(ms(60), ms(400));
        draft.fault(until - ms(10), ms(1500), Fault::SlowNet(0, late));
        // Where a release may last longer than it takes to give way, nothing else would.
        if draft.rng.chance(500) {
            draft.profile("lab");
        }
    },
    judge: judge_still,
};

pub(super) const STALL: Scenario = Scenario {
    name: "stall",
    make: |draft| while_still(draft, Fault::Stall(0)),
    judge: judge_still,
};

pub(super) const FAST_REBOOT: Scenario = Scenario {
    name: "fast-reboot",
    make: |draft| {
        let at = draft.moment();
        let who = draft.rng.index(2);
        draft.plan.machines[who].boot = draft.rng.time(ms(80), ms(400));
        draft.fault(at, ms(0), Fault::Crash(who, ms(5)));
        draft.plan.healed = at + secs(3);
    },
    judge: |plan, facts, _| match plan.episodes[0].fault {
        Fault::Crash(0, _) => {
            // Not silence: the new life is heard, or deadtime passes, whichever is first.
            taken_over(plan, facts, takeover_bound(plan))
        }
        _ => expect(facts.moves(0) == 0, || "nothing was to move".into()),
    },
};

/// The preferred node dies and returns.
fn returns(draft: &mut Draft, auto: bool) {
    draft.plan.cluster.auto_failback = auto;
    let at = draft.moment();
    let gone = draft.rng.time(ms(3000), ms(9000));
    draft.fault(at, gone, Fault::PowerCut(0));
    draft.plan.calm = secs(12);
}

pub(super) const FAILBACK_AUTO: Scenario = Scenario {
    name: "failback-auto",
    make: |draft| returns(draft, true),
    judge: |_, facts, _| {
        let holders: Vec<_> = facts.tenures.iter().map(|tenure| tenure.machine).collect();
        expect(holders == [0, 1, 0], || {
            format!("the VIP was at {holders:?}")
        })
    },
};

pub(super) const FAILBACK_MANUAL: Scenario = Scenario {
    name: "failback-manual",
    make: |draft| returns(draft, false),
    judge: |_, facts, _| {
        let holders: Vec<_> = facts.tenures.iter().map(|tenure| tenure.machine).collect();
        expect(holders == [0, 1], || format!("the VIP was at {holders:?}"))
    },
};

pub(super) const CLOCK_SKEW: Scenario = Scenario {
    name: "clock-skew",
    make: |draft| {
        let slow_first = draft.rng.chance(500);
        let [a, b] = if slow_first {
            [-9_900, 9_900]
        } else {
            [9_900, -9_900]
        };
        draft.plan.machines[0].ppm = a;
        draft.plan.machines[1].ppm = b;
        let at = draft.moment();
        let lasts = draft.rng.time(ms(300), ms(5000));
        let fault = draft.rng.pick(&[
            Fault::PowerCut(0),
            Fault::Pause(0),
            Fault::Stall(0),
            Fault::Mute(crate::plan::Wire::Lan(0), crate::plan::Way::Both),
        ]);
        for wire in draft.private() {
            if draft.rng.chance(700) {
                draft.fault(at, lasts, Fault::Cut(wire));
            }
        }
        draft.fault(at + Duration::from_millis(1), lasts, fault);
    },
    judge: promises_suffice,
};
