//! Machines come up: together, alone, late, or by hand.

use std::time::Duration;

use kodo_tests_lab::Story;

const SOON: Duration = Duration::from_secs(15);
const BOOT: Duration = Duration::from_secs(90);

#[test]
fn simultaneous_boot() {
    let story = Story::begin(&[]);
    let first = story.serving(SOON);
    assert_eq!(
        first,
        story.nodes()[0],
        "both healthy: the preferred node serves"
    );
    let tenures = story.lab.wire().tenures(story.vip());
    assert_eq!(
        tenures.len(),
        1,
        "one owner from the beginning: {tenures:?}"
    );
    story.end();
}

#[test]
fn lonely_boot() {
    let story = Story::dark(&[]);
    let node = story.nodes()[1].clone();
    story.lab.power_on(&node).expect("power on");
    story.served_by(&node, BOOT);
    story.foretell(&format!("--join {}", story.nodes()[0]));
    story.lab.power_on(&story.nodes()[0]).expect("power on");
    story.settled();
    assert_eq!(story.serving(SOON), node, "failback is manual: it stays");
    story.end();
}

/// Carrier comes long after boot, as with spanning tree: nobody takes over alone.
#[test]
fn slow_link() {
    const LATE: Duration = Duration::from_secs(20);
    let story = Story::dark(&[]);
    let cables = ["lan-node1", "lan-node2", "crossover"];
    // The null-modem is not plugged in at all.
    for cable in cables.iter().chain(&["serial"]) {
        story.lab.cut(cable).expect("a cable");
    }
    let dark = story.now();
    story.lab.power_on_all().expect("power");
    for node in story.nodes() {
        story.says(&node, "boot: ", dark, BOOT);
    }
    let up = story.now().at;
    story
        .lab
        .wait_for("carrier to be late", 2 * LATE, |lab| {
            (lab.now() >= up + LATE).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    for cable in cables {
        story.lab.heal(cable).expect("a cable");
    }
    story.serving(BOOT);
    let tenures = story.lab.wire().tenures(story.vip());
    assert_eq!(tenures.len(), 1, "no lonely takeover: {tenures:?}");
    story.end();
}
