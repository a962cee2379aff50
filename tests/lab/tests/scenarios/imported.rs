//! Clusters that came from elsewhere: what `kodo import` makes of old files boots and serves.

use std::time::Duration;

use kodo_tests_lab::{Cluster, FROM_CIB, FROM_HEARTBEAT, Story};

/// Deadtime 6 s as the old file says, then agreement, start of the service under emulation,
/// and announcement.
const TAKEOVER: Duration = Duration::from_secs(20);

#[test]
fn heartbeat_pair() {
    takes_over(FROM_HEARTBEAT);
}

#[test]
fn heartbeat_2_cib() {
    takes_over(FROM_CIB);
}

fn takes_over(cluster: Cluster) {
    let story = Story::of(cluster);
    let active = story.serving(TAKEOVER);
    assert_eq!(active, story.nodes()[0], "the old files' first node");
    let standby = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&standby, TAKEOVER);
    println!("imported: outage {:?}", story.outage(cut));
    story.end();
}
