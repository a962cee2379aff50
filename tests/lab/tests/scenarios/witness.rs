//! A pair and its witness, a real `kodo witness` on a host of the LAN.

use std::time::Duration;

use kodo_qemu::wire::fabric::Direction;
use kodo_qemu::wire::mac::EtherType;
use kodo_tests_lab::{Story, WITNESS};

const SOON: Duration = Duration::from_secs(20);

/// Waits until a node hears this word of the witness.
fn hears(story: &Story, node: &str, word: &str) {
    let what = format!("the witness's word {word}");
    story.status(node, &what, SOON, |status| {
        (status["witness"]["word"] == word).then_some(())
    });
}

/// No heartbeat passes any more; everything else does.
fn silence_heartbeats(story: &Story) {
    for cable in ["crossover", "serial"] {
        story.lab.cut(cable).expect("a cable");
    }
    for node in story.nodes() {
        let cable = format!("lan-{node}");
        let eat = |faults: &mut kodo_qemu::wire::flow::Faults| {
            faults.filter.insert(EtherType::KODO);
        };
        story
            .lab
            .fault(&cable, &Direction::Both, eat)
            .expect("a cable");
    }
}

#[test]
fn witness_all_heartbeats_cut() {
    let story = Story::of(WITNESS);
    let holder = story.serving(SOON);
    let other = story.other(&holder);
    let since = story.now();
    silence_heartbeats(&story);
    hears(&story, &holder, "granted");
    hears(&story, &other, "taken");
    story.says("witness", &format!("speaks for {holder}"), since, SOON);
    assert_eq!(story.serving(SOON), holder);
    // its machine dies, and the word passes on; to it the other one was dead all the time
    story.foretell(&format!("--join {other} --fail {holder}"));
    story.lab.power_off(&holder).expect("power");
    story.served_by(&other, SOON);
    hears(&story, &other, "granted");
    story.end();
}

#[test]
fn witness_power_loss_and_heal() {
    let story = Story::of(WITNESS);
    let holder = story.serving(SOON);
    let other = story.other(&holder);
    story.foretell(&format!("--fail {holder}"));
    story.lab.power_off(&holder).expect("power");
    story.served_by(&other, SOON);
    hears(&story, &other, "granted");
    story.foretell(&format!("--join {holder}"));
    story.lab.power_on(&holder).expect("power");
    story.settled();
    hears(&story, &other, "idle");
    story.end();
}

#[test]
fn witness_restarts_and_is_lost() {
    let story = Story::of(WITNESS);
    let holder = story.serving(SOON);
    let since = story.now();
    story.lab.stop_witness();
    for node in story.nodes() {
        story.says(&node, "the witness does not answer", since, SOON);
    }
    assert_eq!(story.serving(SOON), holder);
    story.start_witness(WITNESS);
    for node in story.nodes() {
        story.says(&node, "the witness was restarted", since, SOON);
    }
    story.settled();
    // its cable, too, may go without anybody noticing but the log
    story.lab.cut("lan-witness").expect("a cable");
    for node in story.nodes() {
        story.status(&node, "no answer", SOON, |status| {
            (status["witness"]["reachable"] == false).then_some(())
        });
    }
    story.lab.heal("lan-witness").expect("a cable");
    story.settled();
    assert!(story.outage(since) < Duration::from_secs(2));
    story.end();
}
