//! Who runs where when there is more than one group: a spare machine, machines that stand by
//! for each other, and a restart of all of them. A client asks at every VIP.

use std::time::Duration;

use kodo_tests_lab::{GROUP, MUTUAL, N_PLUS_ONE, Story};

/// A change of views and what follows from it, at the lab profile under emulation.
const SOON: Duration = Duration::from_secs(20);
/// A machine boots under emulation and joins.
const BOOT: Duration = Duration::from_secs(90);

/// Two of four machines fail in turn: the spare takes the first service, and the second one
/// too as far as it has room. Nothing else is touched, and nothing returns by itself so soon.
#[test]
fn n_plus_one() {
    let story = Story::of(N_PLUS_ONE);
    story.all_served_by(&["node1", "node2", "node3"], SOON);
    for (failed, served) in [
        ("node2", ["node1", "node4", "node3"]),
        ("node3", ["node1", "node4", "node4"]),
    ] {
        let before = story.now();
        story.foretell(&format!("--fail {failed}"));
        story.lab.power_off(failed).expect("power off");
        story.all_served_by(&served, SOON);
        let failures = story.lab.client().failures(before.at);
        assert!(failures.is_empty(), "the shop was disturbed: {failures:?}");
    }
    for back in ["node2", "node3"] {
        story.foretell(&format!("--join {back}"));
        story.lab.power_on(back).expect("power on");
        story.status("node1", "it back", BOOT, |status| {
            let members = status["view"]["members"].as_array()?;
            members.iter().any(|name| name == back).then_some(())
        });
    }
    story.settled();
    story.all_served_by(&["node1", "node4", "node4"], SOON);
    story.end();
}

/// Each node in turn fails: the other one runs both services, and each returns home.
#[test]
fn mutual_standby() {
    let story = Story::of(MUTUAL.with(&[("failback_delay = \"5min\"", "failback_delay = \"5s\"")]));
    let home = ["node1", "node2"];
    story.all_served_by(&home, SOON);
    for (failed, survivor) in [("node1", "node2"), ("node2", "node1")] {
        story.foretell(&format!("--fail {failed}"));
        story.lab.power_off(failed).expect("power off");
        story.all_served_by(&[survivor, survivor], SOON);
        story.foretell(&format!("--join {failed} --wait"));
        story.lab.power_on(failed).expect("power on");
        story.all_served_by(&home, BOOT);
        story.settled();
    }
    story.end();
}

/// All machines are restarted one after the other: each is emptied first, and a client
/// notices two moves and nothing else.
#[test]
fn rolling_restart() {
    let story = Story::begin(&[]);
    let before = story.now();
    for node in story.nodes() {
        let other = story.other(&node);
        story.foretell(&format!("--standby {node}"));
        story.admin(&other).standby(&node, true).expect("agreed");
        story.holds(&other, GROUP, Some(&other), SOON);
        story.served_by(&other, SOON);
        story.foretell(&format!("--leave {node} --fail {node} --join {node}"));
        let left = story.now();
        story.admin(&node).halt("reboot").expect("agreed");
        story.sees("its reset", left, SOON, |event| match event {
            kodo_qemu::Event::Reset { node: reset, .. } => (**reset == *node).then_some(()),
            _ => None,
        });
        story.status(&other, "it back", BOOT, |status| {
            (status["view"]["members"].as_array()?.len() == 2).then_some(())
        });
        story.foretell(&format!("--online {node}"));
        story.admin(&other).standby(&node, false).expect("agreed");
        story.settled();
    }
    println!("rolling restart: longest gap {:?}", story.outage(before));
    assert_eq!(story.takeovers(before).len(), 2, "one move for each node");
    story.end();
}
