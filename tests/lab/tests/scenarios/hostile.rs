//! Frames that change nothing: forged, replayed, of a twin, or noise; and an address
//! that somebody else answers for.

use std::time::Duration;

use kodo_qemu::wire::fabric::Direction;
use kodo_qemu::wire::mac::EtherType;
use kodo_tests_lab::{Story, TWIN};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);
const BOOT: Duration = Duration::from_secs(90);
pub(crate) const HEARTBEAT: EtherType = EtherType(0x88b5);

/// A node's counter of this name.
pub(crate) fn counter(story: &Story, node: &str, name: &str) -> u64 {
    story.status(node, name, SOON, |status| status["counters"][name].as_u64())
}

/// Waits until the sum of these counters of a node has grown by at least `by`.
pub(crate) fn counted(story: &Story, node: &str, names: &[&str], before: u64, by: usize) {
    let by = u64::try_from(by).expect("a small number");
    story.status(
        node,
        &format!("{names:?} grown by {by} from {before}"),
        SOON,
        |status| (sum(status, names)? >= before + by).then_some(()),
    );
}

fn sum(status: &Value, names: &[&str]) -> Option<u64> {
    names
        .iter()
        .map(|name| status["counters"][name].as_u64())
        .sum()
}

/// What must not change: the view and the lives in it, the holder and its tenure.
fn state(story: &Story, node: &str) -> Value {
    story.status(node, "its state", SOON, |status| {
        let lives: Vec<_> = status["nodes"]
            .as_array()?
            .iter()
            .map(|node| node["boot"].clone())
            .collect();
        let groups: Vec<_> = status["groups"]
            .as_array()?
            .iter()
            .map(|group| [group["holder"].clone(), group["epoch"].clone()])
            .collect();
        Some(serde_json::json!([status["view"], lives, groups]))
    })
}

/// The heartbeats that passed a cable since a moment: sender and whole frame.
pub(crate) fn heartbeats(
    story: &Story,
    cable: &str,
    since: kodo_qemu::Mark,
) -> Vec<(String, Vec<u8>)> {
    let frames = story.lab.wire().frames(cable, since.at);
    frames
        .into_iter()
        .filter(|frame| EtherType::of(&frame.data) == Some(HEARTBEAT))
        .map(|frame| (frame.from.to_string(), frame.data.to_vec()))
        .collect()
}

#[test]
fn forged_and_random_frames() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let recorded = heartbeats(&story, "crossover", story.began());
    for node in story.nodes() {
        let sender = story.other(&node);
        let unchanged = state(&story, &node);
        let names = ["forged", "malformed", "replayed"];
        let before = names.iter().map(|name| counter(&story, &node, name)).sum();
        let mut sent = 0;
        for (at, (_, frame)) in recorded
            .iter()
            .filter(|(from, _)| *from == sender)
            .take(50)
            .enumerate()
        {
            let mut forged = frame.clone();
            // A bit of the payload, each time another: header, body or MAC.
            let bit = 16 + at % (frame.len() - 20);
            forged[bit] ^= 1 << (at % 8);
            story
                .lab
                .inject("crossover", &sender, &forged)
                .expect("a cable");
            let noise: Vec<u8> = frame[..14]
                .iter()
                .copied()
                .chain((0..200).map(|n| (n * 7 + at % 251).to_le_bytes()[0]))
                .collect();
            story
                .lab
                .inject("crossover", &sender, &noise)
                .expect("a cable");
            sent += 2;
        }
        counted(&story, &node, &names, before, sent);
        assert_eq!(state(&story, &node), unchanged);
    }
    assert_eq!(story.serving(SOON), active);
    story.settled();
    story.end();
}

#[test]
fn replayed_in_this_life_and_the_next() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let names = ["replayed", "stale", "twin"];
    let first_life = heartbeats(&story, "crossover", story.began());
    let first_life = &first_life[first_life.len().saturating_sub(200)..];

    let replay = |what: &str| {
        for node in story.nodes() {
            let unchanged = state(&story, &node);
            let before = names.iter().map(|name| counter(&story, &node, name)).sum();
            let mut sent = 0;
            for (from, frame) in first_life.iter().filter(|(from, _)| *from != node) {
                story.lab.inject("crossover", from, frame).expect("a cable");
                sent += 1;
            }
            counted(&story, &node, &names, before, sent);
            assert_eq!(state(&story, &node), unchanged, "{what} at {node}");
        }
    };
    replay("this life's recording");
    assert_eq!(story.serving(SOON), active);

    // Now each node in turn begins a new life; the recording is of an earlier one.
    for node in story.nodes() {
        let before = story.now();
        story.foretell(&format!("--fail {node} --join {node}"));
        story.lab.reset(&node).expect("reset");
        story.says(&story.other(&node), "restarted", before, BOOT);
        story.settled();
        let serving = story.serving(SOON);
        replay("an earlier life's recording");
        assert_eq!(story.serving(SOON), serving);
    }
    story.settled();
    story.end();
}

#[test]
fn serial_noise() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let before = story.now();
    for node in story.nodes() {
        let noise = counter(&story, &node, "noise");
        story
            .lab
            .fault("serial", &Direction::To(node.clone()), |faults| {
                faults.noise = 2000;
            })
            .expect("a line");
        counted(&story, &node, &["noise"], noise, 2000);
        story.lab.heal("serial").expect("a line");
        story.path(&node, "serial", "up", SOON);
    }
    story.settled();
    assert_eq!(story.serving(SOON), active);
    assert!(story.lab.client().failures(before.at).is_empty());
    story.end();
}

#[test]
fn twins() {
    let story = Story::with_twin();
    story.power_on_pair();
    let active = story.serving(SOON);
    let nodes = story.nodes();
    let before = story.now();
    let lives = state(&story, &nodes[1]);
    story.lab.power_on(TWIN).expect("power");
    // The newcomer says so itself, for whoever stands in front of it.
    story.says(TWIN, "was there first", before, BOOT);
    story.says(&nodes[1], "two machines are", before, BOOT);
    assert_eq!(
        state(&story, &nodes[1]),
        lives,
        "the newcomer displaces nothing"
    );
    assert_eq!(story.serving(SOON), active);
    let resets = story
        .lab
        .journal()
        .find(before.events, |entry| match &entry.event {
            kodo_qemu::Event::Reset { node, .. } => Some(node.to_string()),
            _ => None,
        });
    assert_eq!(resets, None, "no restart loop");
    story.end();
}

/// A stranger on the LAN already answers for the VIP: it is not bound, and is as soon as
/// the stranger has gone.
#[test]
fn duplicate_address() {
    let story = Story::dark(&[]);
    let vip = story.lab.boot().vips[0];
    let mac = kodo_qemu::Lab::stranger_mac(1);
    story
        .lab
        .add_host("squatter", mac, &[vip])
        .expect("a stranger");
    let before = story.now();
    story.lab.power_on_all().expect("power");
    let node = story.nodes()[0].clone();
    story.says(&node, "answers for it", before, BOOT);
    assert!(
        story
            .lab
            .wire()
            .vip_answers(vip.addr)
            .iter()
            .all(|seen| seen.mac == mac),
        "not bound"
    );
    story.lab.cut("lan-squatter").expect("a cable");
    // the cluster begins only now: there was no state from which to foretell
    story.serving(BOOT);
}
