//! What operators do, and what changes under them.

use std::time::Duration;

use kodo_tests_lab::{GROUP, Story};

const SOON: Duration = Duration::from_secs(15);
const BOOT: Duration = Duration::from_secs(90);

#[test]
fn graceful_move() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    for target in [&standby, &active] {
        let before = story.now();
        story.foretell(&format!("--move {GROUP}={target}"));
        // Asked of either node: the wish travels.
        story
            .admin(&active)
            .move_group(GROUP, target)
            .expect("agreed");
        story.served_by(target, SOON);
        story.settled();
        let failed = story.lab.client().failures(before.at).len();
        println!(
            "graceful-move to {target}: outage {:?}, {failed} requests failed",
            story.outage(before)
        );
    }
    story.end();
}

#[test]
fn standby_and_online() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    story.foretell(&format!("--standby {active}"));
    story.admin(&active).standby(&active, true).expect("agreed");
    story.served_by(&standby, SOON);
    story.foretell(&format!("--move {GROUP}={active}"));
    let refused = story.admin(&standby).move_group(GROUP, &active);
    assert!(refused.is_err(), "a node on standby takes nothing");
    story.foretell(&format!("--online {active}"));
    story
        .admin(&standby)
        .standby(&active, false)
        .expect("agreed");
    story.settled();
    assert_eq!(story.serving(SOON), standby, "failback is manual: it stays");
    story.end();
}

#[test]
fn failback() {
    let story = Story::begin(&[("failback = \"manual\"", "failback = \"auto\"")]);
    let preferred = story.nodes()[0].clone();
    story.served_by(&preferred, SOON);
    story.foretell(&format!("--fail {preferred}"));
    story.lab.power_off(&preferred).expect("power off");
    story.served_by(&story.other(&preferred), SOON);
    let back = story.now();
    story.foretell(&format!("--join {preferred}"));
    story.lab.power_on(&preferred).expect("power on");
    story.served_by(&preferred, BOOT);
    story.settled();
    let returns = story.lab.wire().tenures(story.vip());
    let returns = returns
        .iter()
        .filter(|tenure| tenure.from >= back.at && *tenure.node == *preferred);
    assert_eq!(returns.count(), 1, "it returns once");
    story.end();
}

#[test]
fn orderly_power_off() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--leave {active} --fail {active}"));
    story.admin(&active).halt("power-off").expect("agreed");
    story.served_by(&standby, SOON);
    story.sees("the machine off", before, SOON, |event| match event {
        kodo_qemu::Event::PowerOff { node, .. } => (**node == *active).then_some(()),
        _ => None,
    });
    println!("orderly power-off: outage {:?}", story.outage(before));
    story.end();
}

/// One node was reflashed with a changed file: heartbeats and takeover go on, voluntary
/// moves freeze, and the alert names the difference.
#[test]
fn mixed_files() {
    let story = Story::mixed(
        &[],
        &[("failure_timeout = \"10min\"", "failure_timeout = \"20min\"")],
    );
    for node in story.nodes() {
        story.status(&node, "two members with different files", BOOT, |status| {
            let members = status["view"]["members"].as_array()?.len();
            let differs = status["nodes"]
                .as_array()?
                .iter()
                .any(|node| node["same_file"] == false);
            (members == 2 && differs).then_some(())
        });
    }
    let active = story.serving(BOOT);
    let standby = story.other(&active);
    story.says(&active, "another cluster file", story.began(), SOON);
    story.foretell(&format!("--move {GROUP}={standby}"));
    let refused = story
        .admin(&active)
        .move_group(GROUP, &standby)
        .expect_err("moves are frozen");
    assert!(refused.to_string().contains("different"), "{refused}");
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&standby, SOON);
    story.end();
}
