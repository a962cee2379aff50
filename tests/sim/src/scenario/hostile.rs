//! Scenarios with frames that nobody of the cluster sent, and a host with the VIP's address.

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, expect, first_from};
use crate::facts::Facts;
use crate::plan::{Fault, Plan, Tape};
use crate::story::Story;

/// Machines reboot, so that there are earlier lives to replay.
pub(super) fn reboots(draft: &mut Draft) {
    let at = draft.moment();
    for who in 0..2 {
        if draft.rng.chance(700) {
            let early = draft.rng.time(ms(0), secs(4));
            draft.fault(at + early, ms(0), Fault::Crash(who, ms(500)));
        }
    }
}

pub(super) const FORGED: Scenario = Scenario {
    name: "forged",
    make: |draft| {
        let at = draft.moment();
        for to in 0..2 {
            let every = draft.rng.time(ms(2), ms(60));
            draft.fault(at, secs(8), Fault::Forge { to, every });
            let every = draft.rng.time(ms(2), ms(60));
            draft.fault(at, secs(8), Fault::Junk { to, every });
        }
    },
    judge: judge_forged,
};

pub(super) fn judge_forged(plan: &Plan, facts: &Facts, _: &Story) -> Judged {
    let begun = facts.begun(0, first_from(plan), plan.healed).count();
    expect(begun == 0, || {
        format!("{begun} tenures began, none was due")
    })?;
    let (sent, counted) = (facts.forged, facts.counted);
    expect(counted * 10 >= sent * 9, || {
        format!("{sent} forged frames were sent, {counted} counted")
    })
}

pub(super) const REPLAYED: Scenario = Scenario {
    name: "replayed",
    make: |draft| {
        reboots(draft);
        let at = draft.moment();
        for to in 0..2 {
            for what in [Tape::Peers, Tape::EarlierLife, Tape::Own] {
                let every = draft.rng.time(ms(5), ms(120));
                draft.fault(at, secs(12), Fault::Replay { to, what, every });
            }
        }
    },
    judge: judge_replayed,
};

pub(super) fn judge_replayed(_: &Plan, facts: &Facts, _: &Story) -> Judged {
    expect(facts.replayed > 0, || "nothing was replayed".into())?;
    expect(facts.counted > 0, || "nothing was counted".into())
}

pub(super) const DUPLICATE_ADDRESS: Scenario = Scenario {
    name: "duplicate-address",
    make: |draft| {
        let before = draft.rng.chance(600);
        let at = if before { ms(0) } else { draft.moment() };
        let lasts = draft.rng.time(secs(9), secs(15));
        draft.fault(at, lasts, Fault::Stranger);
        draft.plan.patience = Some(ms(500));
    },
    judge: |plan, facts, story| {
        let episode = &plan.episodes[0];
        if !episode.from.is_zero() {
            return Ok(());
        }
        let begun = facts.begun(0, episode.from, episode.until).count();
        expect(begun == 0, || "bound although a stranger has it".into())?;
        let named = story
            .alerts()
            .iter()
            .any(|alert| alert.text.contains("VIP"));
        expect(named, || "nobody spoke of the stranger".into())
    },
};
