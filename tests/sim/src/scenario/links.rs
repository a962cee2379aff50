//! Scenarios in which cables break.

use core::time::Duration;

use super::draft::{Draft, SETTLED, ms, secs, timing};
use super::{Judged, Scenario, expect, first_from, promises_suffice, undisturbed};
use crate::facts::Facts;
use crate::plan::{Fault, Plan, Policy, Quality, Way, Wire};
use crate::story::Story;

pub(super) const CROSSOVER_CUT: Scenario = Scenario {
    name: "crossover-cut",
    make: |draft| {
        let at = draft.moment();
        let lasts = draft.rng.time(ms(100), ms(8000));
        let fault = draft.rng.pick(&[
            Fault::Cut(Wire::Crossover),
            Fault::Mute(Wire::Crossover, Way::Both),
            Fault::Mute(Wire::Crossover, Way::Out),
            Fault::Mute(Wire::Crossover, Way::In),
        ]);
        draft.fault(at, lasts, fault);
    },
    judge: undisturbed,
};

pub(super) const SERIAL_CUT: Scenario = Scenario {
    name: "serial-cut",
    make: |draft| {
        let at = draft.moment();
        let lasts = draft.rng.time(ms(100), ms(8000));
        let way = draft.rng.pick(&[Way::Both, Way::Out, Way::In]);
        draft.fault(at, lasts, Fault::Mute(Wire::Serial, way));
    },
    judge: undisturbed,
};

pub(super) const SERIAL_NOISE: Scenario = Scenario {
    name: "serial-noise",
    make: |draft| {
        let at = draft.moment();
        for to in 0..2 {
            let every = draft.rng.time(ms(3), ms(120));
            draft.fault(at, secs(8), Fault::Noise { to, every });
        }
        if draft.rng.chance(500) {
            // Alone on the noisy line for less than a lease.
            draft.fault(at + secs(2), ms(150), Fault::Cut(Wire::Crossover));
        }
    },
    judge: undisturbed,
};

pub(super) const LAN_CUT_ACTIVE: Scenario = Scenario {
    name: "lan-cut-active",
    make: |draft| {
        let at = draft.moment();
        let lasts = draft.rng.time(ms(8000), ms(14000));
        let mut faults = vec![Fault::Cut(Wire::Lan(0))];
        if draft.plan.cluster.pings {
            // Without carrier's word only a ping group can tell.
            faults.push(Fault::Mute(Wire::Lan(0), Way::Both));
        }
        let fault = draft.rng.pick(&faults);
        draft.fault(at, lasts, fault);
    },
    judge: |plan, facts, _| {
        let from = first_from(plan);
        let first = facts.begun(0, from, from + secs(4)).next();
        expect(first.is_some_and(|tenure| tenure.machine == 1), || {
            format!("the VIP should have moved to node2: {first:?}")
        })?;
        let begun = facts.begun(0, from, plan.healed).count();
        expect(begun == 1, || format!("{begun} tenures began, one was due"))
    },
};

pub(super) const ONE_WAY_LOSS: Scenario = Scenario {
    name: "one-way-loss",
    make: |draft| {
        let at = draft.moment();
        let lasts = if draft.rng.chance(50) {
            secs(600)
        } else {
            secs(40)
        };
        let way = draft.rng.pick(&[Way::Out, Way::In]);
        let mut wires = vec![Wire::Crossover, Wire::Serial, Wire::Lan(0), Wire::Lan(1)];
        while wires.len() > 1 && draft.rng.chance(600) {
            let out = draft.rng.index(wires.len());
            wires.remove(out);
        }
        for wire in wires {
            draft.fault(at, lasts, Fault::Mute(wire, way));
        }
    },
    judge: |plan, facts, _| {
        let begun = facts.begun(0, first_from(plan), plan.healed).count();
        let limit = if plan.cluster.policy == Policy::Ping {
            1
        } else {
            2
        };
        expect(begun <= limit, || {
            format!("{begun} tenures began under one lasting fault")
        })
    },
};

/// Everything between the nodes is cut but the LAN.
fn private_cut(draft: &mut Draft) -> (Duration, Duration) {
    let at = draft.moment();
    let lasts = draft.rng.time(ms(200), ms(9000));
    for wire in draft.private() {
        let fault = match wire {
            Wire::Serial => Fault::Mute(wire, Way::Both),
            _ if draft.rng.chance(500) => Fault::Cut(wire),
            _ => Fault::Mute(wire, Way::Both),
        };
        let early = draft.rng.time(ms(0), ms(700));
        draft.fault(at - early, lasts + early, fault);
    }
    (at, lasts)
}

pub(super) const SPLIT_ACCEPT: Scenario = Scenario {
    name: "split-accept",
    make: |draft| {
        draft.ping_decides(false);
        draft.plan.cluster.pings = draft.rng.chance(500);
        let (at, lasts) = private_cut(draft);
        let faults = [
            Fault::EatHeartbeats,
            Fault::Cut(Wire::Lan(0)),
            Fault::Cut(Wire::Lan(1)),
            Fault::Mute(Wire::Lan(0), Way::Both),
        ];
        let fault = draft.rng.pick(&faults);
        draft.fault(at, lasts, fault);
        draft.plan.patience = Some(ms(500));
    },
    judge: promises_suffice,
};

pub(super) const SPLIT_PING: Scenario = Scenario {
    name: "split-ping",
    make: |draft| {
        draft.ping_decides(true);
        let (at, lasts) = private_cut(draft);
        let lost = draft.rng.index(2);
        let fault = draft.rng.pick(&[
            Fault::Cut(Wire::Lan(lost)),
            Fault::Mute(Wire::Lan(lost), Way::Both),
            Fault::Mute(Wire::Lan(lost), Way::Out),
            Fault::Mute(Wire::Lan(lost), Way::In),
        ]);
        draft.fault(at, lasts.max(secs(4)), fault);
        for episode in &mut draft.plan.episodes {
            episode.until = at + lasts.max(secs(4));
        }
    },
    judge: |plan, facts, _| {
        let lan = plan
            .episodes
            .iter()
            .find_map(|episode| match episode.fault {
                Fault::Cut(Wire::Lan(lost)) | Fault::Mute(Wire::Lan(lost), _) => Some(lost),
                _ => None,
            });
        let Some(lost) = lan else { return Ok(()) };
        let late = plan.healed - ms(200);
        let holder = facts.holder(0, late);
        expect(holder == Some(1 - lost), || {
            format!(
                "only machine {} reaches the group, the VIP is at {holder:?}",
                1 - lost
            )
        })
    },
};

pub(super) const ETHERTYPE_EATEN: Scenario = Scenario {
    name: "ethertype-eaten",
    make: |draft| {
        let (at, lasts) = private_cut(draft);
        draft.fault(at, lasts, Fault::EatHeartbeats);
        draft.plan.patience = Some(ms(500));
    },
    judge: promises_suffice,
};

/// Only one side reaches the group at any time, but which one changes.
pub(super) const ARBITER_SWINGS: Scenario = Scenario {
    name: "arbiter-swings",
    make: |draft| {
        draft.ping_decides(true);
        let at = draft.moment();
        let swings = draft.rng.range(2, 6);
        let mut from = at;
        let mut lost = draft.rng.index(2);
        for _ in 0..swings {
            let lasts = draft.rng.time(ms(100), ms(3000));
            let way = draft.rng.pick(&[Way::Both, Way::In, Way::Out]);
            // Never a moment at which both reach it.
            let overlap = draft.rng.time(ms(0), ms(30));
            draft.fault(from, lasts + overlap, Fault::Mute(Wire::Lan(lost), way));
            from += lasts;
            lost = 1 - lost;
        }
        for wire in draft.private() {
            draft.fault(at, from - at, Fault::Mute(wire, Way::Both));
        }
        draft.fault(at, from - at, Fault::EatHeartbeats);
        draft.plan.patience = Some(ms(500));
    },
    judge: promises_suffice,
};

pub(super) const ARBITER_LOST: Scenario = Scenario {
    name: "arbiter-lost",
    make: |draft| {
        draft.ping_decides(true);
        let at = draft.moment();
        let lasts = draft.rng.time(ms(100), ms(20_000));
        let fault = draft
            .rng
            .pick(&[Fault::Cut(Wire::Host), Fault::Mute(Wire::Host, Way::Both)]);
        draft.fault(at, lasts, fault);
    },
    judge: |plan, facts, _| {
        let begun = facts.begun(0, first_from(plan), Duration::MAX).count();
        expect(begun == 0, || {
            format!("{begun} tenures began, none was due")
        })
    },
};

pub(super) const FLAPPING_NIC: Scenario = Scenario {
    name: "flapping-nic",
    make: |draft| {
        let at = draft.moment();
        let period = draft.rng.time(ms(60), ms(1500));
        let wire = draft
            .rng
            .pick(&[Wire::Lan(0), Wire::Lan(0), Wire::Lan(1), Wire::Crossover]);
        draft.fault(at, period * 40, Fault::Flap(wire, period));
    },
    judge: |plan, facts, _| {
        let (from, window) = (first_from(plan), timing(plan).deadtime * 10);
        let starts: Vec<_> = facts
            .begun(0, from, plan.healed)
            .map(|tenure| tenure.from)
            .collect();
        for pair in starts.windows(2) {
            let gap = pair[1] - pair[0];
            expect(gap >= window, || {
                format!("two failovers {gap:?} apart, the damping window is {window:?}")
            })?;
        }
        Ok(())
    },
};

pub(super) const LOSSY: Scenario = Scenario {
    name: "lossy",
    make: |draft| lossy(draft, secs(240)),
    judge: judge_lossy,
};

/// The same for an hour; `cargo xtask sim` only.
pub(super) const LOSSY_HOUR: Scenario = Scenario {
    name: "lossy-hour",
    make: |draft| lossy(draft, secs(3600)),
    judge: judge_lossy,
};

pub(super) fn lossy(draft: &mut Draft, until: Duration) {
    // Two LAN cables in a row lose as much as one of the others.
    let rough = |loss| Quality {
        loss,
        duplicate: 50,
        corrupt: 20,
        reorder: 50,
        delay: ms(0),
        jitter: ms(10),
    };
    draft.plan.wires = draft
        .every_wire()
        .into_iter()
        .map(|wire| match wire {
            Wire::Lan(_) | Wire::Private(_) => (wire, rough(163)),
            _ => (wire, rough(300)),
        })
        .collect();
    draft.plan.patience = Some(ms(500));
    draft.fault(until, secs(14), Fault::PowerCut(0));
}

pub(super) fn judge_lossy(plan: &Plan, facts: &Facts, _: &Story) -> Judged {
    let cut = first_from(plan);
    // On such wires the gateway's first answer, and with it the first start, may come late.
    let first = facts.of(0).next().map_or(cut, |tenure| tenure.from);
    let settled = SETTLED.max(first + ms(1));
    let before = facts.begun(0, settled, cut).count();
    expect(before == 0, || {
        format!("{before} tenures began before the real failure, none was due")
    })?;
    if facts.holder(0, cut - ms(1)) != Some(0) {
        return Ok(());
    }
    // The arbiter must answer for W without a gap, which takes luck on such wires.
    let first = facts.begun(0, cut, cut + secs(10)).next();
    expect(first.is_some_and(|tenure| tenure.machine != 0), || {
        format!("the real failure was not answered: {first:?}")
    })
}
