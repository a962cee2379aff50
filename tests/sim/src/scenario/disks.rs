//! What operators wished, through a loss of power of all machines; and disks that hang.
//!
//! A node's word that its disk holds all wishes is held against it: after the power cut it
//! must know them again, and act by them.

use core::time::Duration;

use super::draft::{Draft, ms, secs};
use super::{Judged, Scenario, expect};
use crate::clock::At;
use crate::facts::{Facts, Kept};
use crate::plan::{Fault, Plan, Wish};

/// A disk has done by then what it was asked before, however slow it is.
const WRITTEN: Duration = secs(10);

/// When each loss of all power began.
fn cuts(plan: &Plan) -> Vec<At> {
    let mut cuts: Vec<At> = plan
        .episodes
        .iter()
        .filter(|episode| matches!(episode.fault, Fault::PowerCut(0)))
        .map(|episode| episode.from)
        .collect();
    cuts.sort_unstable();
    cuts
}

/// When operators asked for something that is kept, and what.
fn wishes(plan: &Plan) -> impl Iterator<Item = (At, Wish)> {
    plan.episodes
        .iter()
        .filter_map(|episode| match episode.fault {
            Fault::Operator(_, wish) => Some((episode.from, wish)),
            _ => None,
        })
}

/// What all disks held by their nodes' words, the last of this time, if they held the same.
fn held(plan: &Plan, facts: &Facts, after: At, before: At) -> Option<Kept> {
    let within = |kept: &&Kept| kept.at > after && kept.at < before;
    let last = |machine: usize| {
        let mut words = facts.kept.iter().rev();
        words.find(|kept| kept.machine == machine && kept.at < before)
    };
    let last = |machine: usize| last(machine).filter(within);
    let first = last(0)?;
    let all =
        (0..plan.cluster.nodes).all(|machine| last(machine).is_some_and(|kept| same(kept, first)));
    all.then(|| first.clone())
}

/// They are words for the same.
fn same(one: &Kept, other: &Kept) -> bool {
    (&one.standby, one.maintenance) == (&other.standby, other.maintenance)
}

/// With one more wish.
fn with(mut kept: Kept, wish: Wish) -> Kept {
    match wish {
        Wish::Standby(who) => kept.standby.push(who),
        Wish::Online(who) => kept.standby.retain(|other| *other != who),
        Wish::Maintenance(on) => kept.maintenance = on,
        _ => {}
    }
    kept.standby.sort_unstable();
    kept.standby.dedup();
    kept
}

/// What may be known after a loss of power: what all disks held for certain before it, and
/// as many of the wishes after that, in their order, as came to a disk.
fn possible(plan: &Plan, facts: &Facts, cut: At) -> Vec<Kept> {
    let before: Vec<_> = wishes(plan).filter(|(at, _)| *at < cut).collect();
    for certain in (0..=before.len()).rev() {
        let after = certain
            .checked_sub(1)
            .map_or(Duration::ZERO, |n| before[n].0);
        let until = before.get(certain).map_or(cut, |(at, _)| *at);
        if let Some(kept) = held(plan, facts, after, until) {
            let mut all = vec![kept];
            for (_, wish) in &before[certain..] {
                let newest = all[all.len() - 1].clone();
                all.push(with(newest, *wish));
            }
            return all;
        }
    }
    Vec::new()
}

/// Every machine loses power at once, for a while of its own.
fn blackout(draft: &mut Draft, at: At) {
    for machine in 0..draft.plan.cluster.nodes {
        let dark = draft.rng.time(ms(500), secs(3));
        draft.fault(at, dark, Fault::PowerCut(machine));
    }
}

/// Wishes, all power is lost at any moment after them, and again after their opposites.
pub(super) const POWER_LOSS_OF_ALL: Scenario = Scenario {
    name: "power-loss-of-all",
    make: |draft| {
        draft.plan.cluster.disks = true;
        draft.plan.cluster.auto_failback = false;
        let mut at = draft.moment();
        for on in [true, false] {
            let by = draft.rng.index(2);
            let who = if on { draft.rng.index(2) } else { whom(draft) };
            let wish = if on {
                Wish::Standby(who)
            } else {
                Wish::Online(who)
            };
            draft.ask(at, by, wish);
            if draft.rng.chance(500) {
                let after = draft.rng.time(ms(0), secs(1));
                draft.ask(at + after, by, Wish::Maintenance(on));
            }
            let soon = draft.rng.time(ms(1), ms(1500));
            at += if draft.rng.chance(400) {
                soon
            } else {
                secs(1) + WRITTEN
            };
            blackout(draft, at);
            at += secs(20) + draft.rng.time(ms(0), secs(1));
        }
        draft.plan.healed = at;
    },
    judge: |plan, facts, _| {
        for cut in cuts(plan) {
            let last = wishes(plan)
                .map(|(at, _)| at)
                .take_while(|at| *at < cut)
                .last();
            let asked = last.unwrap_or_default();
            let possible = possible(plan, facts, cut);
            let certain = possible.len() == 1;
            expect(certain || cut < asked + WRITTEN, || {
                format!(
                    "the disks should hold what was asked at {asked:?}: {:?}",
                    facts.kept
                )
            })?;
            remembered(plan, facts, cut, &possible)?;
        }
        Ok(())
    },
};

/// The node that was sent to standby before.
fn whom(draft: &Draft) -> usize {
    let sent = wishes(&draft.plan).find_map(|(_, wish)| match wish {
        Wish::Standby(who) => Some(who),
        _ => None,
    });
    sent.unwrap_or(0)
}

/// After a loss of all power everything is as the disks held it, until somebody asks anew.
fn remembered(plan: &Plan, facts: &Facts, cut: At, possible: &[Kept]) -> Judged {
    for machine in 0..plan.cluster.nodes {
        let mut words = facts.kept.iter();
        let first = words.find(|word| word.machine == machine && word.at > cut);
        let known = first.is_some_and(|word| possible.iter().any(|kept| same(kept, word)));
        expect(known, || {
            format!("at the power loss at {cut:?} the disks held {possible:?}, and then {first:?}")
        })?;
    }
    let [kept] = possible else {
        return Ok(());
    };
    let next = wishes(plan).map(|(at, _)| at).find(|at| *at > cut);
    let until = next.unwrap_or(plan.healed);
    let wrong = |machine: &usize| kept.standby.contains(machine) || kept.maintenance;
    let begun = facts
        .begun(0, cut, until)
        .find(|tenure| wrong(&tenure.machine));
    expect(begun.is_none(), || {
        format!("after the power loss at {cut:?}, by {kept:?}, nobody may begin so: {begun:?}")
    })
}

/// The holder's disk hangs while it is asked for something.
pub(super) const DISK_HANGS: Scenario = Scenario {
    name: "disk-hangs",
    make: |draft| {
        draft.plan.cluster.disks = true;
        let at = draft.moment();
        let lasts = draft.rng.time(secs(1), secs(15));
        draft.fault(at, lasts, Fault::HungDisk(0));
        let wish = draft.rng.pick(&[Wish::Maintenance(true), Wish::Standby(1)]);
        let asked = at + draft.rng.time(ms(10), secs(1));
        draft.ask(asked, 0, wish);
        draft.plan.healed = at + lasts + WRITTEN;
    },
    judge: |plan, facts, _| {
        let hang = plan.episodes.iter();
        let hang = hang
            .clone()
            .find(|episode| matches!(episode.fault, Fault::HungDisk(_)));
        let Some(hang) = hang else {
            return Ok(());
        };
        let moved = facts.begun(0, hang.from, plan.healed).next();
        expect(moved.is_none() && facts.ends.is_empty(), || {
            format!("nothing should have happened: {moved:?}, {:?}", facts.ends)
        })?;
        let mut words = facts.kept.iter().filter(|kept| kept.machine == 0);
        let early = words
            .clone()
            .find(|kept| (hang.from + ms(5)..hang.until).contains(&kept.at));
        expect(early.is_none(), || {
            format!("a hanging disk keeps nothing: {early:?}")
        })?;
        let later = words.any(|kept| kept.at >= hang.until);
        expect(later, || {
            "the wish should be on disk once it works again".into()
        })
    },
};
