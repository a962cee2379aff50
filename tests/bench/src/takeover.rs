//! Boots the pair at each profile and breaks it, a number of times each way.

use std::time::Duration;

use kodo_qemu::{Event, Level, Mark};
use kodo_tests_lab::{GROUP, PAIR, Story, Variant};

use crate::figures::{Outages, Report, Run};

const SOON: Duration = Duration::from_secs(30);

/// The profiles measured: name, deadtime, and the words of the cluster file that ask for
/// it. The service may crash as often as the bench likes.
const PROFILES: &[(&str, u64, Variant)] = &[
    (
        "default",
        500,
        &[
            ("profile = \"lab\"", "profile = \"default\""),
            THRESHOLD,
            BACKOFF,
        ],
    ),
    (
        "fast",
        200,
        &[
            ("profile = \"lab\"", "profile = \"fast\""),
            THRESHOLD,
            BACKOFF,
        ],
    ),
];
const THRESHOLD: (&str, &str) = ("migration_threshold = 3", "migration_threshold = 200");
const BACKOFF: (&str, &str) = ("backoff_max = \"30s\"", "backoff_max = \"200ms\"");

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Repetitions of each fault.
    pub times: usize,
    /// How long to watch a healthy pair for false alarms.
    pub idle: Duration,
    /// Memory of each machine, MB.
    pub machine_mb: u32,
}

/// Measures; `tell` hears what is being done.
///
/// # Panics
/// When the cluster does not come up, or does not survive a fault: there is no figure then.
pub fn run(plan: Plan, mut tell: impl FnMut(&str)) -> Report {
    let mut initramfs = 0;
    let runs = PROFILES
        .iter()
        .map(|(name, deadtime, variant)| {
            let story = Story::sized(PAIR.with(variant), plan.machine_mb);
            initramfs = story.lab.boot().nodes.values().next().map_or(0, |node| {
                std::fs::metadata(&node.initrd).map_or(0, |file| file.len())
            });
            profile(name, *deadtime, &story, plan, &mut tell)
        })
        .collect();
    Report {
        times: plan.times,
        machine_mb: plan.machine_mb,
        initramfs,
        runs,
    }
}

fn profile(
    name: &'static str,
    deadtime: u64,
    story: &Story,
    plan: Plan,
    tell: &mut impl FnMut(&str),
) -> Run {
    let mut run = Run {
        profile: name,
        deadtime,
        cold_boot: 0,
        power_loss: Outages::default(),
        service_crash: Outages::default(),
        graceful_move: Outages::default(),
        failed_in_moves: 0,
        false_alarms: 0,
        idle: plan.idle.as_secs(),
        pid1_kb: Vec::new(),
    };
    tell(&format!("{name}: cold boot"));
    let start = story.now();
    story.lab.power_on_all().expect("power");
    story.serving(SOON * 3);
    run.cold_boot = millis(story.now().at.saturating_sub(start.at));
    story.settled();

    tell(&format!("{name}: {} s of peace", plan.idle.as_secs()));
    let peace = story.now();
    story
        .lab
        .wait_for("the end of the idle time", plan.idle * 2, |lab| {
            (lab.now() >= peace.at + plan.idle).then_some(())
        })
        .expect("time goes on");
    run.false_alarms = alarms(story, peace);
    run.pid1_kb = story
        .nodes()
        .iter()
        .filter_map(|node| resident(story, node, start))
        .collect();

    for n in 1..=plan.times {
        tell(&format!("{name}: graceful-move {n} of {}", plan.times));
        let active = story.serving(SOON);
        let target = story.other(&active);
        let before = story.now();
        story
            .admin(&active)
            .move_group(GROUP, &target)
            .expect("agreed");
        story.served_by(&target, SOON);
        run.graceful_move.push(story.outage(before));
        story.settled();
        run.failed_in_moves += story.lab.client().failures(before.at).len();

        tell(&format!("{name}: service-crash {n} of {}", plan.times));
        let before = story.now();
        story
            .admin(&target)
            .drill("service-kill")
            .expect("drills are allowed");
        story.says(&target, "restarted in place", before, SOON);
        story.says(&target, "runs again", before, SOON);
        story.served_by(&target, SOON);
        run.service_crash.push(story.outage(before));
        story.settled();

        tell(&format!("{name}: power-loss {n} of {}", plan.times));
        let before = story.now();
        story.lab.power_off(&target).expect("power off");
        story.served_by(&active, SOON);
        run.power_loss.push(story.outage(before));
        story.lab.power_on(&target).expect("power on");
        story.settled();
    }
    run
}

/// Warnings and alerts of any node since a moment.
fn alarms(story: &Story, since: Mark) -> usize {
    let entries = story.lab.journal().from(since.events);
    let alarm = |event: &Event| {
        matches!(
            event,
            Event::Log {
                level: Level::Warn | Level::Alert,
                ..
            }
        )
    };
    entries.iter().filter(|entry| alarm(&entry.event)).count()
}

/// PID 1's own word on its resident memory, kB.
fn resident(story: &Story, node: &str, since: Mark) -> Option<u64> {
    let lines = story.lab.console(node, since);
    let (_, after) = lines
        .iter()
        .rev()
        .find_map(|(_, line)| line.split_once("PID 1 has "))?;
    after.split(' ').next()?.parse().ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
