//! Cables are pulled, cut one way, or machines stop for a while.

use std::time::Duration;

use kodo_qemu::Event;
use kodo_tests_lab::{GROUP, Story, Variant, Way};

const SOON: Duration = Duration::from_secs(15);

/// Fails if the client was without an answer, or another node answered, since a moment.
fn undisturbed(story: &Story, active: &str, since: kodo_qemu::Mark) {
    assert_eq!(story.serving(SOON), active, "no failover");
    let failures = story.lab.client().failures(since.at);
    assert!(failures.is_empty(), "requests failed: {failures:?}");
}

#[test]
fn crossover_cut() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let before = story.now();

    // Carrier falls at both ends.
    story.lab.cut("crossover").expect("a cable");
    for node in story.nodes() {
        story.path(&node, "crossover", "down", SOON);
        story.path(&node, "lan", "up", SOON);
    }
    story.lab.heal("crossover").expect("a cable");
    story.settled();

    // Carrier stays, nothing passes.
    story
        .lab
        .fault(
            "crossover",
            &kodo_qemu::wire::fabric::Direction::Both,
            |faults| faults.drop = true,
        )
        .expect("a cable");
    for node in story.nodes() {
        story.path(&node, "crossover", "down", SOON);
    }
    story.lab.heal("crossover").expect("a cable");
    story.settled();
    undisturbed(&story, &active, before);
    story.end();
}

#[test]
fn serial_cut() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let before = story.now();
    story.lab.cut("serial").expect("a cable");
    for node in story.nodes() {
        story.path(&node, "serial", "down", SOON);
    }
    story.lab.heal("serial").expect("a cable");
    story.settled();
    undisturbed(&story, &active, before);
    story.end();
}

#[test]
fn lan_cut_active() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--lose-clients {active}"));
    story.lab.cut(&format!("lan-{active}")).expect("a cable");
    story.served_by(&standby, SOON);
    println!("lan-cut-active: outage {:?}", story.outage(before));
    story.foretell(&format!("--regain-clients {active}"));
    story.lab.heal(&format!("lan-{active}")).expect("a cable");
    story.settled();
    assert_eq!(story.serving(SOON), standby, "failback is manual: it stays");
    story.end();
}

/// Cuts every path between the nodes; with `ping`, only the active one's LAN cable of
/// the two, so that just the other side reaches the ping group.
#[test]
fn all_paths_cut_and_heal() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell_cut_off(&active);
    for cable in ["crossover", "serial", &format!("lan-{active}")] {
        story.lab.cut(cable).expect("a cable");
    }
    story.served_by(&standby, SOON);
    println!("all-paths-cut: outage {:?}", story.outage(before));

    let healed = story.now();
    story.foretell(&format!("--join {active}"));
    for cable in ["crossover", "serial", &format!("lan-{active}")] {
        story.lab.heal(cable).expect("a cable");
    }
    story.settled();
    assert_eq!(
        story.serving(SOON),
        standby,
        "the loser does not fight back"
    );
    let after = story.outage(healed);
    println!("heal: longest gap {after:?}");
    assert!(
        after <= Duration::from_secs(1),
        "a client reaches the VIP within a second of the heal"
    );
    story.end();
}

/// With `accept` a split has two owners, as the file says in so many words; the heal
/// leaves one, at once.
#[test]
fn all_paths_cut_accepted() {
    let story = Story::begin(&[("split_brain = \"ping\"", "split_brain = \"accept\"")]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    // to the other one it is dead; it lives, and keeps what it holds
    story.foretell(&format!("--fail {active}"));
    for cable in ["crossover", "serial"] {
        story.lab.cut(cable).expect("a cable");
    }
    // The LAN passes everything but heartbeats: both sides reach the clients.
    let lan = format!("lan-{active}");
    story
        .lab
        .fault(&lan, &kodo_qemu::wire::fabric::Direction::Both, |faults| {
            faults
                .filter
                .insert(kodo_qemu::wire::mac::EtherType(0x88b5));
        })
        .expect("a cable");
    story.says(&standby, "taking", before, SOON);
    story.says(&standby, "started", before, SOON);

    let healed = story.now();
    // who was superseded gives way
    let gives_way = format!("stop {GROUP} on {active}");
    story.foretell_one_of(&[Way::Documented(&[&gives_way])]);
    for cable in ["crossover", "serial", &lan] {
        story.lab.heal(cable).expect("a cable");
    }
    story.settled();
    let now = story.now();
    let late = story.lab.wire().overlaps(story.vip(), healed.at);
    let until = late
        .iter()
        .map(|overlap| overlap.until)
        .max()
        .unwrap_or(healed.at);
    println!(
        "heal with two owners: one owner after {:?}",
        until.saturating_sub(healed.at)
    );
    assert!(now.at > until, "one owner in the end");
    assert!(
        story.outage(healed) <= Duration::from_secs(1),
        "a client reaches the VIP within a second"
    );
    story.agree();
}

#[test]
fn pause() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    // it gives way when it wakes
    story.foretell_cut_off(&active);
    story.lab.pause(&active).expect("pause");
    story.served_by(&standby, SOON);
    let resumed = story.now();
    story.lab.resume(&active).expect("resume");
    story.says(&active, "giving way", resumed, SOON);
    story.settled();
    assert_eq!(story.serving(SOON), standby);
    let window = story.two_owners();
    println!(
        "pause: outage {:?}; the old owner spoke for {window:?} after it woke",
        story.outage(before)
    );
    // 50 ms after the first fresh frame, and the frame itself comes with the next beat.
    assert!(
        window <= Duration::from_millis(300),
        "the old owner spoke for {window:?}"
    );
    story.agree();
}

#[test]
fn stall() {
    stall_past_deadtime(&[]);
}

/// No lease ends here: the gate closes because nothing carries it on.
#[test]
fn stall_accepted() {
    stall_past_deadtime(&[("split_brain = \"ping\"", "split_brain = \"accept\"")]);
}

/// The host stops the machine, its clocks run on: when it goes on its gate is closed, or
/// its watchdog resets it.
fn stall_past_deadtime(variant: Variant) {
    let story = Story::begin(variant);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    // when it goes on it gives way, or its watchdog resets it first
    let dead = format!("--fail {active} --join {active}");
    story.foretell_one_of(&[Way::CutOff(&active), Way::Events(&dead)]);
    story.stall_between_answers(&active);
    story.served_by(&standby, SOON);
    let resumed = story.now();
    story.lab.unstall(&active).expect("unstall");
    story.settled();
    assert_eq!(story.serving(SOON), standby);
    println!(
        "stall: for {:?}, outage {:?}",
        resumed.at.saturating_sub(before.at),
        story.outage(before),
    );
    assert_eq!(
        story.spoke(&active, resumed),
        Duration::ZERO,
        "the old owner never answers again"
    );
    story.end();
}

#[test]
fn fast_reboot() {
    let story = Story::begin(&[(
        "# [timing]",
        "[timing]\nkeepalive = \"1s\"\nwarntime = \"30s\"\ndeadtime = \"60s\"\ninitdead = \"60s\"",
    )]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--fail {active} --join {active}"));
    story.lab.reset(&active).expect("reset");
    // Long before deadtime: the new life is the evidence.
    story.says(&standby, "restarted", before, Duration::from_secs(45));
    story.served_by(&standby, SOON);
    println!(
        "fast-reboot: outage {:?} with a deadtime of 60 s",
        story.outage(before)
    );
    story.settled();
    assert_eq!(
        story.serving(SOON),
        standby,
        "started once, on the node that was there"
    );
    story.end();
}

#[test]
fn flapping_nic() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let before = story.now();
    let cable = format!("lan-{active}");
    // each loss by itself may be too short to count
    let lost = format!("--lose-clients {active}");
    story.foretell_one_of(&[Way::Documented(&[]), Way::Events(&lost)]);
    for _ in 0..20 {
        let flap = story.now();
        story.lab.cut(&cable).expect("a cable");
        carrier(&story, &cable, false, flap);
        story.lab.heal(&cable).expect("a cable");
        carrier(&story, &cable, true, flap);
    }
    story.settled();
    let tenures = story.lab.wire().tenures(story.vip());
    let moves = tenures
        .iter()
        .filter(|tenure| tenure.from >= before.at)
        .count();
    assert!(
        moves <= 1,
        "at most one failover while the cable flaps: {tenures:?}"
    );
    story.end();
}

fn carrier(story: &Story, wanted: &str, state: bool, since: kodo_qemu::Mark) {
    story.sees("carrier", since, SOON, |event| match event {
        Event::Carrier { cable, up, .. } => (**cable == *wanted && *up == state).then_some(()),
        _ => None,
    });
}
