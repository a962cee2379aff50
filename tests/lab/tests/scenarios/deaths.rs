//! A machine, its kernel, PID 1 or its service dies.

use std::time::Duration;

use kodo_qemu::Event;
use kodo_tests_lab::{GROUP, Story};

/// Takeover at the lab profile: deadtime 2 s, then agreement, start of the service under
/// emulation, and announcement.
const TAKEOVER: Duration = Duration::from_secs(15);
/// A machine resets, boots under emulation and joins.
const REJOIN: Duration = Duration::from_secs(90);

#[test]
fn power_loss() {
    let story = Story::begin(&[]);
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&standby, TAKEOVER);
    let evidence = story.says(&standby, "taking", cut, TAKEOVER);
    println!("power-loss: outage {:?}; {evidence}", story.outage(cut));

    story.foretell(&format!("--join {active}"));
    story.lab.power_on(&active).expect("power on");
    story.settled();
    assert_eq!(
        story.serving(TAKEOVER),
        standby,
        "failback is manual: it stays"
    );
    story.end();
}

#[test]
fn kernel_panic() {
    let story = Story::begin(&[]);
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--fail {active} --join {active}"));
    story
        .admin(&active)
        .drill("kernel-panic")
        .expect("drills are allowed");
    story.says(&active, "Kernel panic", before, TAKEOVER);
    story.served_by(&standby, TAKEOVER);
    println!("kernel-panic: outage {:?}", story.outage(before));
    reset(&story, &active, before);
    story.status(&standby, "the other node back", REJOIN, |status| {
        (status["health"] == "healthy").then_some(())
    });
    story.end();
}

#[test]
fn pid1_stuck() {
    let story = Story::begin(&[]);
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);
    let granted = story.status(&active, "a watchdog", TAKEOVER, |status| {
        status["watchdog"]["timeout_ms"]
            .as_u64()
            .map(Duration::from_millis)
    });
    story.status(&active, "a gate", TAKEOVER, |status| {
        (status["gate"] == "kernel").then_some(())
    });
    let before = story.now();
    story.foretell(&format!("--fail {active} --join {active}"));
    story
        .admin(&active)
        .drill("pid1-stuck")
        .expect("drills are allowed");
    story.sees(
        "the hardware watchdog",
        before,
        granted + TAKEOVER,
        |event| match event {
            Event::Watchdog { node, .. } => (**node == *active).then_some(()),
            _ => None,
        },
    );
    story.served_by(&standby, TAKEOVER);
    // The kernel gate closed when the lease ended, long before the watchdog fired.
    let spoke = story.spoke(&active, before);
    println!(
        "pid1-stuck: the stuck node spoke for {spoke:?} after the drill was asked for, both for {:?}; watchdog granted {granted:?}, outage {:?}",
        story.two_owners(),
        story.outage(before)
    );
    assert!(
        spoke < granted,
        "silenced after {spoke:?}, by the watchdog of {granted:?} and not before"
    );
    story.status(&standby, "the other node back", REJOIN, |status| {
        (status["health"] == "healthy").then_some(())
    });
    story.end();
}

#[test]
fn pid1_dies() {
    let story = Story::begin(&[]);
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--fail {active} --join {active}"));
    story
        .admin(&active)
        .drill("pid1-dies")
        .expect("drills are allowed");
    story.says(&active, "Attempted to kill init", before, TAKEOVER);
    story.served_by(&standby, TAKEOVER);
    reset(&story, &active, before);
    story.end();
}

#[test]
fn service_crash() {
    let story = Story::begin(&[("migration_threshold = 3", "migration_threshold = 2")]);
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);

    let first = story.now();
    story
        .admin(&active)
        .drill("service-kill")
        .expect("drills are allowed");
    story.says(&active, "restarted in place", first, TAKEOVER);
    story.says(&active, "web: runs again", first, TAKEOVER);
    let failures = |wanted: u64| {
        move |status: &serde_json::Value| {
            let group = status["groups"]
                .as_array()?
                .iter()
                .find(|group| group["name"] == GROUP)?;
            (group["failures"] == wanted && group["state"] == "started").then_some(())
        }
    };
    story.status(
        &active,
        "one failure counted, running again",
        TAKEOVER,
        failures(1),
    );
    story.served_by(&active, TAKEOVER);
    println!("service-crash: outage in place {:?}", story.outage(first));

    let second = story.now();
    story.foretell("--stop web");
    story
        .admin(&active)
        .drill("service-kill")
        .expect("drills are allowed");
    story.served_by(&standby, TAKEOVER);
    println!("service-crash: outage with move {:?}", story.outage(second));
    story.end();
}

/// Waits until a machine has restarted by itself.
fn reset(story: &Story, machine: &str, since: kodo_qemu::Mark) {
    story.sees("a reset", since, REJOIN, |event| match event {
        Event::Reset { node, .. } => (**node == *machine).then_some(()),
        _ => None,
    });
}
