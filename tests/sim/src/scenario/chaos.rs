//! The general random run: any cluster, any machines, any faults at once.

use core::time::Duration;

use super::Scenario;
use super::draft::{Draft, SETTLED, ms, secs};
use crate::plan::{Fault, File, GroupPlan, On, Part, Policy, Quality, Tape, Way, Wire, Wish};

pub(super) const RANDOM: Scenario = Scenario {
    name: "random",
    make: |draft| {
        size(draft);
        vary(draft);
        let window = draft.rng.time(secs(5), secs(40));
        let start = if draft.rng.chance(200) {
            ms(500)
        } else {
            SETTLED
        };
        for _ in 0..draft.rng.range(1, 8) {
            let from = start + draft.rng.time(ms(0), window);
            let lasts = length(draft);
            let fault = any(draft);
            draft.fault(from, lasts, fault);
        }
        if draft.rng.chance(200) {
            let file = draft
                .rng
                .pick(&[File::Changed, File::Remade, File::Remade, File::BothKeys]);
            let by = draft.rng.index(draft.plan.cluster.nodes);
            let at = start + draft.rng.time(ms(0), window);
            super::reload::reload(draft, at, file, by);
        }
        draft.plan.healed = start;
        draft.plan.patience = Some(ms(500));
    },
    judge: |plan, facts, _| super::policy::rules_held(plan, facts),
};

/// Most often a pair, as often as not three or more.
fn size(draft: &mut Draft) {
    let nodes = match draft.rng.below(100) {
        0..35 => return,
        35..45 => 2,
        45..80 => 3,
        80..87 => 4,
        87..97 => 5,
        97..99 => 16,
        _ => 32,
    };
    if nodes == 2 {
        draft.cluster(2, Policy::Witness);
        let rng = &mut draft.rng;
        draft.plan.cluster.witness_ppm = i64::try_from(rng.range(0, 18_000)).unwrap_or(0) - 9_000;
        return;
    }
    let policy = draft.rng.pick(&[
        Policy::Quorum,
        Policy::Quorum,
        Policy::QuorumFirst,
        Policy::Accept,
    ]);
    draft.cluster(nodes, policy);
    let file = &mut draft.plan.cluster;
    if draft.rng.chance(200) {
        file.voters = 1;
    }
    let groups = draft.rng.pick(&[1, 1, 2, 3]);
    if groups > 1 {
        // Each prefers another node, and the others in turn.
        let runners = file.runners();
        let prefer = |first| (0..runners).map(|n| (first + n) % runners).collect();
        let group = |first| GroupPlan {
            prefer: prefer(first),
            guarded: false,
            ..GroupPlan::default()
        };
        file.groups = (0..groups).map(group).collect();
        // One of them holds data.
        file.groups[0].guarded = policy != Policy::Accept && draft.rng.chance(300);
        if draft.rng.chance(400) {
            draft.plan.cluster.rules = super::policy::any(&mut draft.rng, runners);
        }
    }
}

fn vary(draft: &mut Draft) {
    let profile = draft
        .rng
        .pick(&["default", "default", "default", "lab", "fast"]);
    draft.profile(profile);
    let rng = &mut draft.rng;
    if rng.chance(200) {
        draft.plan.cluster.baud = None;
    }
    draft.plan.cluster.failure_timeout = rng.time(ms(2100), secs(20));
    draft.plan.cluster.watchdog = secs(rng.range(2, 5));
    for machine in &mut draft.plan.machines {
        if rng.chance(300) {
            machine.ppm = i64::try_from(rng.range(0, 19_000)).unwrap_or(0) - 9_500;
        }
        if rng.chance(200) {
            machine.boot = rng.time(ms(60), ms(500));
        }
        if rng.chance(100) {
            machine.power_on = Some(rng.time(secs(0), secs(20)));
        }
        if rng.chance(100) {
            machine.negotiation = rng.time(ms(500), secs(6));
        }
    }
    if rng.chance(300) {
        // A short deadtime is for quiet networks.
        let quality = rough(rng, if profile == "fast" { 20 } else { 150 });
        for wire in draft.every_wire() {
            draft.plan.wires.push((wire, quality));
        }
    }
}

fn rough(rng: &mut crate::rng::Rng, worst: u64) -> Quality {
    let mut part = |most: u64| u32::try_from(rng.below(most)).unwrap_or(0);
    Quality {
        loss: part(worst),
        duplicate: part(100),
        corrupt: part(50),
        reorder: part(100),
        delay: Duration::from_micros(part(4_000).into()),
        jitter: Duration::from_micros(part(15_000).into()),
    }
}

/// A cable.
fn wire(draft: &mut Draft, nodes: usize) -> Wire {
    let lines = draft.plan.cluster.line_ends().len();
    let rng = &mut draft.rng;
    let machine = rng.index(nodes);
    match (nodes, rng.below(6)) {
        (2, 0 | 1) => Wire::Crossover,
        (2, 2) => Wire::Serial,
        (3.., 0 | 1) => Wire::Private(machine),
        (3.., 2) if lines > 0 => Wire::Line(machine.min(lines - 1)),
        (_, 2..5) => Wire::Lan(machine),
        _ => Wire::Host,
    }
}

/// Some nodes are kept from some others.
fn apart(draft: &mut Draft, nodes: usize) -> Fault {
    let these = 1 + draft.rng.index(nodes - 1);
    let order = draft.some(nodes, nodes);
    let (these, others) = order.split_at(these);
    let those = match draft.rng.chance(500) {
        true => others.len(),
        false => 1 + draft.rng.index(others.len()),
    };
    let rng = &mut draft.rng;
    Fault::Apart {
        these: these.iter().copied().collect(),
        those: others[..those].iter().copied().collect(),
        way: rng.pick(&[Way::Both, Way::Both, Way::Out, Way::In]),
        on: rng.pick(&[
            On::All,
            On::Heartbeats,
            On::Heartbeats,
            On::Lan,
            On::Private,
        ]),
    }
}

/// Something is wrong with the witness, or on the way to it.
fn witness(draft: &mut Draft, nodes: usize) -> Fault {
    let rng = &mut draft.rng;
    let apart = Fault::Apart {
        these: Part::only(rng.index(nodes)),
        those: Part::WITNESS,
        way: rng.pick(&[Way::Both, Way::Out, Way::In]),
        on: On::Lan,
    };
    rng.pick(&[
        apart,
        apart,
        apart,
        Fault::Cut(Wire::Witness),
        Fault::Mute(Wire::Witness, Way::Out),
        Fault::WitnessDark,
        Fault::WitnessDark,
        Fault::WitnessPause,
        Fault::WitnessStall,
    ])
}

/// Most are short, some outlast everything.
fn length(draft: &mut Draft) -> Duration {
    let rng = &mut draft.rng;
    match rng.below(10) {
        0..=2 => rng.time(ms(1), ms(600)),
        3..=7 => rng.time(ms(300), secs(4)),
        _ => rng.time(secs(3), secs(20)),
    }
}

pub(super) fn any(draft: &mut Draft) -> Fault {
    let nodes = draft.plan.cluster.nodes;
    if nodes > 2 && draft.rng.chance(300) {
        return apart(draft, nodes);
    }
    if draft.plan.cluster.policy == Policy::Witness && draft.rng.chance(250) {
        return witness(draft, nodes);
    }
    let wire = wire(draft, nodes);
    let groups = draft.plan.cluster.group_count();
    let rng = &mut draft.rng;
    let who = rng.index(nodes);
    let serial = matches!(wire, Wire::Serial | Wire::Line(_));
    let way = rng.pick(&[Way::Both, Way::Out, Way::In]);
    let every = rng.time(ms(4), ms(200));
    match rng.below(30) {
        0 | 1 if !serial => Fault::Cut(wire),
        0..=3 => Fault::Mute(wire, way),
        4 | 5 => Fault::Rough(wire, rough(rng, 700)),
        6 if !serial => Fault::Flap(wire, rng.time(ms(40), ms(1500))),
        6 | 7 => Fault::EatHeartbeats,
        8 => Fault::Noise { to: who, every },
        9 | 10 => Fault::PowerCut(who),
        11 | 12 => Fault::Crash(who, rng.time(ms(1), ms(1500))),
        13 => Fault::Pause(who),
        14 => Fault::Stall(who),
        15 => Fault::Stuck(who),
        16 => Fault::Sluggish(who, rng.time(ms(1), ms(12))),
        17 => Fault::ServiceCrash(who),
        18 => Fault::ServiceHang(who),
        19 => rng.pick(&[Fault::IgnoreTerm(who), Fault::Unkillable(who)]),
        20 => Fault::NoExec(who),
        21 => Fault::SlowNet(who, rng.time(ms(1), ms(300))),
        22 => rng.pick(&[Fault::DeadNet(who), Fault::RefusedNet(who)]),
        23 => Fault::Stranger,
        24 => {
            let what = rng.pick(&[Tape::Peers, Tape::EarlierLife, Tape::Own]);
            Fault::Replay {
                to: who,
                what,
                every,
            }
        }
        25 => Fault::Forge { to: who, every },
        26 => Fault::Junk { to: who, every },
        _ => {
            let to = rng.index(nodes);
            let group = rng.index(groups);
            Fault::Operator(
                who,
                rng.pick(&[
                    Wish::Move(to),
                    Wish::MoveOf(group, to),
                    Wish::Standby(to),
                    Wish::Online(to),
                    Wish::Cleanup,
                    Wish::PowerOff,
                    Wish::Reboot,
                    Wish::Ask,
                    Wish::TakeoverAnyway,
                ]),
            )
        }
    }
}
