//! What operators wished, kept on disk: through a loss of all power, and while a disk hangs
//! or is not there.

use std::time::Duration;

use kodo_tests_lab::{GROUP, Story, Variant, Way};
use serde_json::Value;

/// A wish spreads, a group moves, at the lab profile under emulation.
const SOON: Duration = Duration::from_secs(20);
/// A machine boots under emulation and joins.
const BOOT: Duration = Duration::from_secs(90);
/// As SOON, and as long as a write may take before it is an alert.
const OVERDUE: Duration = Duration::from_secs(30);

/// Both nodes of the pair have a state partition.
const DISKS: Variant = &[(
    "# state_partition = \"kodo-state\"",
    "state_partition = \"kodo-state\"",
)];

/// Whether a node's disk is in this state, as a status tells.
fn disk(status: &Value, node: &str, state: &str) -> Option<()> {
    let mut nodes = status["nodes"].as_array()?.iter();
    let found = nodes.find(|one| one["name"] == node)?;
    (found["disk"] == state).then_some(())
}

/// Waits until both nodes know that both disks hold all wishes.
fn kept(story: &Story) {
    for asked in story.nodes() {
        story.status(&asked, "all wishes on both disks", SOON, |status| {
            story
                .nodes()
                .iter()
                .try_for_each(|node| disk(status, node, "kept"))
        });
    }
}

/// Waits until both nodes say this of maintenance and of a node's standby.
fn know(story: &Story, maintenance: bool, node: &str, standby: bool) {
    for asked in story.nodes() {
        story.status(&asked, "what was wished", BOOT, |status| {
            let both = status["view"]["members"].as_array()?.len() == 2;
            let mut nodes = status["nodes"].as_array()?.iter();
            let found = nodes.find(|one| one["name"] == node)?;
            let known = status["maintenance"] == maintenance && found["standby"] == standby;
            (both && known).then_some(())
        });
    }
}

/// All power is lost at once, and is back.
fn blackout(story: &Story, starts: &[&str]) {
    kept(story);
    story.foretell_one_of(&[Way::Documented(starts)]);
    for node in story.nodes() {
        story.lab.power_off(&node).expect("power off");
    }
    story.lab.power_on_all().expect("power");
}

/// A move, a standby and maintenance outlive a loss of all power; what is wished after that
/// wins, and outlives the next one.
#[test]
fn all_power_lost() {
    let story = Story::begin(DISKS);
    let active = story.serving(SOON);
    let other = story.other(&active);
    story.foretell(&format!("--move {GROUP}={other}"));
    let admin = story.admin(&active);
    let answer = admin.move_group(GROUP, &other).expect("agreed");
    assert_eq!(answer["kept_on"], serde_json::json!(story.nodes()));
    assert_eq!(answer["forgotten_by"], "");
    story.served_by(&other, SOON);
    story.foretell(&format!("--standby {active}"));
    admin.standby(&active, true).expect("agreed");
    story.admin(&other).maintenance(true).expect("agreed");
    know(&story, true, &active, true);

    blackout(&story, &[]);
    know(&story, true, &active, true);
    story.nobody_serves(SOON);
    let start = format!("start {GROUP} on {other}");
    story.foretell_one_of(&[Way::Documented(&[&start])]);
    story.admin(&active).maintenance(false).expect("agreed");
    story.served_by(&other, SOON);
    story.foretell(&format!("--online {active}"));
    story
        .admin(&active)
        .standby(&active, false)
        .expect("agreed");
    know(&story, false, &active, false);

    blackout(&story, &[&start]);
    know(&story, false, &active, false);
    story.served_by(&other, BOOT);
    story.settled();
    story.end();
}

/// The active node's disk stops answering while an operator gives it a wish: an alert, and
/// nothing else; the wish is on disk once it answers again.
#[test]
fn disk_hangs() {
    let story = Story::begin(DISKS);
    kept(&story);
    let active = story.serving(SOON);
    let other = story.other(&active);
    let before = story.now();
    story.lab.disk_hangs(&active).expect("it has a disk");
    story.admin(&active).maintenance(true).expect("agreed");
    story.says(&active, "a write is not confirmed", before, OVERDUE);
    for asked in [&active, &other] {
        story.status(asked, "which disk holds it", SOON, |status| {
            disk(status, &active, "failing").and(disk(status, &other, "kept"))
        });
    }
    story.watch(Duration::from_secs(15));
    let recovers = story.now();
    story.lab.disk_recovers(&active).expect("it has a disk");
    story.says(&active, "works again", recovers, SOON);
    kept(&story);
    assert!(story.takeovers(before).is_empty(), "nobody took over");
    for (node, word) in [(&other, "late"), (&other, "is dead"), (&active, "late")] {
        assert!(!story.said(node, word, before), "{node} said {word}");
    }
    story.end();
}

/// One node's disk has no partition of that name: the node says so, and serves.
#[test]
fn partition_missing() {
    let story = Story::dark_with(DISKS, |boot| {
        let first = boot.nodes.values_mut().next().expect("nodes");
        first.state_partition = Some("scratch".to_owned());
    });
    story.lab.power_on_all().expect("power");
    let [poor, other] = story.nodes().try_into().expect("a pair");
    story.served_by(&poor, BOOT);
    story.says(&poor, "state partition: not found", story.began(), BOOT);
    story.status(&other, "which disk holds all", SOON, |status| {
        disk(status, &poor, "failing").and(disk(status, &other, "kept"))
    });
    let answer = story.admin(&poor).maintenance(false).expect("agreed");
    assert_eq!(answer["kept_on"], serde_json::json!([other]));
    story.end();
}
