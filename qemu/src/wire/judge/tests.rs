//! The judge on made-up sightings: tenures, handovers and overlaps.

use super::*;
use crate::wire::mac::Mac;

/// `"1000 a ann"`: milliseconds, node, kind; one per line.
fn record(text: &str) -> Vec<Sighting> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            let at = Duration::from_millis(words.next().unwrap().parse().unwrap());
            let node: Arc<str> = words.next().unwrap().into();
            let kind = match words.next().unwrap() {
                "ann" => Kind::Announcement,
                "arp" => Kind::ArpReply,
                "ip" => Kind::Ip,
                other => panic!("{other}"),
            };
            Sighting {
                at,
                vip: [192, 168, 0, 33].into(),
                node,
                kind,
                mac: Mac([0; 6]),
            }
        })
        .collect()
}

/// `(old, new, from ms, until ms)` of each overlap.
fn judge(text: &str) -> Vec<(String, String, u128, u128)> {
    overlaps(&record(text))
        .iter()
        .map(|o| {
            (
                o.old.to_string(),
                o.new.to_string(),
                o.from.as_millis(),
                o.until.as_millis(),
            )
        })
        .collect()
}

/// Frames of one node, one each step, as a census makes them.
fn run(node: &str, first: &str, from: u64, until: u64) -> String {
    let mut text = format!("{from} {node} {first}\n");
    for at in (from + 100..=until).step_by(100) {
        text += &format!("{at} {node} arp\n");
    }
    text
}

fn merged(runs: &[String]) -> String {
    let mut lines: Vec<String> = runs.concat().lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap());
    lines.join("\n")
}

#[test]
fn nothing_and_one_owner_are_fine() {
    assert!(judge("").is_empty());
    assert!(judge(&run("a", "ann", 0, 60_000)).is_empty());
}

#[test]
fn a_clean_takeover_is_fine() {
    assert!(
        judge(&merged(&[
            run("a", "ann", 0, 5000),
            run("b", "ann", 7000, 20_000)
        ]))
        .is_empty()
    );
}

#[test]
fn moving_there_and_back_is_fine() {
    let text = merged(&[
        run("a", "ann", 0, 5000),
        run("b", "ann", 5050, 8000),
        run("a", "ann", 8060, 9000),
    ]);
    assert!(judge(&text).is_empty());
    let tenures = tenures(&record(&text));
    let nodes: Vec<&str> = tenures.iter().map(|tenure| &*tenure.node).collect();
    assert_eq!(nodes, ["a", "b", "a"]);
}

#[test]
fn coming_back_may_answer_before_it_announces() {
    // The kernel answers as soon as the address is bound, the announcement follows.
    assert!(
        judge(&merged(&[
            run("a", "ann", 0, 5000),
            run("b", "ann", 5050, 8000),
            run("a", "arp", 8060, 9000)
        ]))
        .is_empty()
    );
}

#[test]
fn coming_back_soon_may_answer_before_it_announces_too() {
    // There and back in less than a second, and asked just when it has bound the address.
    let a = run("a", "ann", 0, 1800);
    let b = run("b", "ann", 1986, 2386);
    assert!(
        judge(&merged(&[
            a.clone(),
            b.clone(),
            "2546 a arp\n2547 a ann\n".into()
        ]))
        .is_empty()
    );
    let never = merged(&[a, b, "2546 a arp\n2700 a ann\n".into()]);
    assert_eq!(judge(&never).len(), 1, "it answered long before");
}

#[test]
fn a_stuck_owner_overlaps_until_its_reset() {
    // Its kernel answers on while the standby takes over: pid1-stuck without a gate.
    let text = merged(&[run("a", "ann", 0, 9000), run("b", "ann", 7050, 20_000)]);
    assert_eq!(judge(&text), [("a".into(), "b".into(), 7050, 9000)]);
    let overlap = &overlaps(&record(&text))[0];
    assert_eq!(overlap.duration().as_millis(), 1950);
    assert_eq!(
        overlap.evidence.first().unwrap().at.as_millis(),
        7000,
        "the last frame before it is evidence"
    );
    assert!(overlap.evidence.len() <= EVIDENCE);
}

#[test]
fn a_resumed_owner_is_measured_from_its_return() {
    let text = merged(&[
        run("a", "ann", 0, 1000),
        run("b", "ann", 3000, 20_000),
        "9000 a ip\n9040 a arp\n".into(),
    ]);
    assert_eq!(judge(&text), [("b".into(), "a".into(), 9000, 9040)]);
}

#[test]
fn a_resumed_owner_that_announces_is_caught_too() {
    let text = merged(&[
        run("a", "ann", 0, 1000),
        run("b", "ann", 3000, 20_000),
        "9000 a ann\n9040 a ip\n".into(),
    ]);
    assert_eq!(judge(&text), [("b".into(), "a".into(), 9000, 9040)]);
}

#[test]
fn one_late_frame_is_enough() {
    let text = merged(&[
        run("a", "ann", 0, 1000),
        run("b", "ann", 1100, 3000),
        "1150 a ip\n".into(),
    ]);
    assert_eq!(judge(&text), [("a".into(), "b".into(), 1100, 1150)]);
}

#[test]
fn one_stray_claim_is_enough() {
    let text = merged(&[run("a", "ann", 0, 10_000), "5050 b ann\n".into()]);
    assert_eq!(judge(&text), [("a".into(), "b".into(), 5050, 5050)]);
}

#[test]
fn a_split_brain_is_one_long_window() {
    let text = merged(&[run("a", "ann", 0, 30_000), run("b", "ann", 2050, 29_000)]);
    assert_eq!(judge(&text), [("a".into(), "b".into(), 2050, 28_950)]);
}

#[test]
fn announcements_that_alternate_are_two_owners() {
    assert!(!judge("0 a ann\n50 b ann\n200 a ann\n250 b ann\n").is_empty());
}

#[test]
fn two_separate_returns_are_two_windows() {
    let text = merged(&[
        run("a", "ann", 0, 1000),
        run("b", "ann", 3000, 30_000),
        "9000 a ip\n9040 a ip\n20000 a ip\n20010 a ip\n".into(),
    ]);
    assert_eq!(
        judge(&text),
        [
            ("b".into(), "a".into(), 9000, 9040),
            ("b".into(), "a".into(), 20_000, 20_010)
        ]
    );
}

#[test]
fn a_reboot_and_return_of_the_same_node_is_one_owner() {
    assert!(
        judge(&merged(&[
            run("a", "ann", 0, 1000),
            run("a", "ann", 15_000, 16_000)
        ]))
        .is_empty()
    );
}

#[test]
fn the_words_name_both_nodes_and_the_time() {
    let text = merged(&[run("a", "ann", 0, 9000), run("b", "ann", 7050, 8000)]);
    let words = overlaps(&record(&text))[0].to_string();
    assert!(
        words.starts_with("192.168.0.33: a and b both answered for 900 ms from 7.050"),
        "{words}"
    );
    assert!(words.contains("7.050 b announcement"), "{words}");
}
