//! Scenarios in which a witness decides, in a pair or between two halves.

use core::time::Duration;

use super::draft::{Draft, ms, secs, timing};
use super::{Scenario, expect, first_from, many_bound, promises_suffice, taken_over};
use crate::plan::{Fault, On, Part, Plan, Policy, Way, Wire};

/// A pair with a witness whose clock is not much better than theirs.
fn pair(draft: &mut Draft) {
    draft.cluster(2, Policy::Witness);
    draft.plan.patience = Some(ms(500));
    let rng = &mut draft.rng;
    draft.plan.cluster.witness_ppm = i64::try_from(rng.range(0, 18_000)).unwrap_or(0) - 9_000;
    draft.plan.cluster.hold_off = rng.time(ms(1000), secs(4));
}

/// No word passes between a machine and the witness.
fn unwitnessed(machine: usize, way: Way) -> Fault {
    Fault::Apart {
        these: Part::only(machine),
        those: Part::WITNESS,
        way,
        on: On::Lan,
    }
}

/// From a split to the other one's service, when the holder lost the witness too: its word
/// for the holder must run out before.
fn witness_bound(plan: &Plan) -> Duration {
    many_bound(plan) + timing(plan).deadtime
}

/// Power is cut, and the survivor has the witness's word.
pub(super) const WITNESS_POWER_LOSS: Scenario = Scenario {
    name: "witness-power-loss",
    make: |draft| {
        pair(draft);
        let at = draft.moment();
        draft.fault(at, secs(8), Fault::PowerCut(0));
    },
    judge: |plan, facts, _| taken_over(plan, facts, witness_bound(plan)),
};

/// Only the witness disappears: nothing happens.
pub(super) const WITNESS_LOST: Scenario = Scenario {
    name: "witness-lost",
    make: |draft| {
        pair(draft);
        let at = draft.moment();
        let lasts = draft.rng.time(ms(100), secs(20));
        let fault = draft.rng.pick(&[
            Fault::Cut(Wire::Witness),
            Fault::Mute(Wire::Witness, Way::Both),
            Fault::WitnessDark,
            Fault::WitnessPause,
            Fault::WitnessStall,
        ]);
        draft.fault(at, lasts, fault);
    },
    judge: super::undisturbed,
};

/// The nodes do not hear each other, and the witness forgets what it granted, at any
/// moment of the split, and more than once.
pub(super) const WITNESS_RESTARTS: Scenario = Scenario {
    name: "witness-restarts",
    make: |draft| {
        pair(draft);
        let at = draft.moment();
        let lasts = draft.rng.time(secs(3), secs(14));
        draft.split(at, lasts, Part::only(0));
        for _ in 0..draft.rng.range(1, 3) {
            let from = at - ms(500) + draft.rng.time(ms(0), lasts);
            let dark = draft.rng.time(ms(10), ms(1500));
            let fault = draft.rng.pick(&[
                Fault::WitnessDark,
                Fault::WitnessDark,
                Fault::WitnessPause,
                Fault::WitnessStall,
            ]);
            draft.fault(from, dark, fault);
        }
        if draft.rng.chance(500) {
            // And the holder loses it.
            let late = draft.rng.time(ms(0), lasts);
            draft.fault(at + late, lasts, unwitnessed(0, Way::Both));
        }
    },
    judge: promises_suffice,
};

/// The nodes do not hear each other; who reaches the witness serves.
pub(super) const WITNESS_AND_SPLIT: Scenario = Scenario {
    name: "witness-and-split",
    make: |draft| {
        pair(draft);
        let at = draft.moment();
        let lasts = draft.rng.time(secs(5), secs(14));
        draft.split(at, lasts, Part::only(0));
        match draft.rng.below(4) {
            0 | 1 => {
                let way = draft.rng.pick(&[Way::Both, Way::Out, Way::In]);
                let who = draft.rng.index(2);
                draft.fault(at, lasts, unwitnessed(who, way));
            }
            2 => draft.fault(at, lasts, Fault::Cut(Wire::Witness)),
            _ => {}
        }
    },
    judge: |plan, facts, _| {
        let late = plan.episodes[0].until - ms(20);
        let holders: Vec<_> = facts.holders(0, late).collect();
        let fault = plan.episodes.get(1).map(|episode| episode.fault);
        let due: &[usize] = match fault {
            Some(Fault::Cut(_)) => &[],
            Some(Fault::Apart { these, .. }) if these.has(0) => &[1],
            // Who held it goes on.
            _ => &[0],
        };
        expect(holders == due, || {
            format!("{holders:?} hold the VIP in the end, {due:?} should")
        })?;
        let begun = facts.begun(0, first_from(plan), late).count();
        let moved = usize::from(due == [1]);
        expect(begun == moved, || {
            format!("{begun} tenures began, {moved} were due")
        })
    },
};

/// The nodes do not hear each other, and which of them reaches the witness changes faster
/// than a lease.
pub(super) const WITNESS_SWINGS: Scenario = Scenario {
    name: "witness-swings",
    make: |draft| {
        pair(draft);
        let at = draft.moment();
        let mut from = at;
        for _ in 0..draft.rng.range(2, 8) {
            let lasts = draft.rng.time(ms(50), ms(2500));
            for who in 0..2 {
                if draft.rng.chance(500) {
                    let way = draft.rng.pick(&[Way::Both, Way::In, Way::Out]);
                    draft.fault(from, lasts, unwitnessed(who, way));
                }
            }
            from += lasts;
        }
        if draft.rng.chance(300) {
            let dark = draft.rng.time(ms(10), ms(800));
            let late = draft.rng.time(ms(0), from - at);
            draft.fault(at + late, dark, Fault::WitnessDark);
        }
        if draft.rng.chance(300) {
            let late = draft.rng.time(ms(0), from - at);
            let who = draft.rng.index(2);
            let fault = draft.rng.pick(&[
                Fault::Crash(who, ms(20)),
                Fault::Pause(who),
                Fault::Stall(who),
            ]);
            let lasts = draft.rng.time(ms(50), ms(1500));
            draft.fault(at + late, lasts, fault);
        }
        let mut split = at;
        while split < from {
            let lasts = draft.rng.time(ms(200), secs(4));
            draft.split(split, lasts, Part::only(0));
            split += lasts + draft.rng.time(ms(0), ms(400));
        }
    },
    judge: promises_suffice,
};

/// Two halves of two, and a witness: it speaks for one of them.
pub(super) const WITNESS_EVEN_SPLIT: Scenario = Scenario {
    name: "witness-even-split",
    make: |draft| {
        draft.cluster(4, Policy::Witness);
        draft.plan.patience = Some(ms(500));
        draft.plan.cluster.hold_off = draft.rng.time(ms(1000), secs(4));
        let at = draft.moment();
        let lasts = draft.rng.time(secs(5), secs(12));
        let half: Part = draft.some(4, 2).into_iter().collect();
        draft.split(at, lasts, half);
        if draft.rng.chance(400) {
            // One half does not reach it.
            let fault = Fault::Apart {
                these: half,
                those: Part::WITNESS,
                way: Way::Both,
                on: On::Lan,
            };
            draft.fault(at, lasts, fault);
        }
    },
    judge: |plan, facts, _| {
        let late = plan.episodes[0].until - ms(20);
        let holders: Vec<_> = facts.holders(0, late).collect();
        let blind = plan.episodes.get(1).map(|episode| match episode.fault {
            Fault::Apart { these, .. } => these,
            _ => Part::default(),
        });
        let right = holders.len() == 1 && !blind.unwrap_or_default().has(holders[0]);
        expect(right, || {
            format!("{holders:?} hold the VIP in the end, {blind:?} do not reach the witness")
        })
    },
};
