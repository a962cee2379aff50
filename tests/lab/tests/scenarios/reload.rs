//! A changed cluster file for nodes that run: applied by an operator with `kodo apply`, taken
//! over without a missed beat, or refused without a trace.

use std::path::Path;
use std::time::Duration;

use kodo_qemu::Mark;
use kodo_tests_lab::{Desk, GROUP, PAIR, Story, Told};

use crate::hostile::{HEARTBEAT, counted, counter, heartbeats};

const SOON: Duration = Duration::from_secs(15);
const BOOT: Duration = Duration::from_secs(90);
/// The lab profile's: a node that is silent for so long is called late.
pub(crate) const WARNTIME: Duration = Duration::from_secs(1);

/// Enough of them to see that none is missing.
const BEATS: Duration = Duration::from_secs(3);

const NEW_KEY: &str = "5eb63bbbe01eeed093cb22bb8f5acdc3a1b2c3d4e5f60718293a4b5c6d7e8f90";
/// The example's own.
const OLD_KEY: &str = "6578616d706c6521206e6576657220757365206f7574736964652061206c6162";

/// A second group, which is none of the first one's business.
const API: &str = "\n[[service]]\nname = \"api\"\nport = 81\n\n[[vip]]\nname = \"vip2\"\n\
                   address = \"192.168.0.34/24\"\n\n[[group]]\nname = \"api\"\n\
                   members = [\"api\", \"vip2\"]\n";

fn apply(story: &Story, file: &Path) -> Told {
    Desk::kodo(story, &["apply", "--yes"], file)
}

/// Applies a file that the nodes take over, and do what was foretold of it.
fn taken_over(story: &Story, file: &Path) -> Told {
    story.foretell(&format!("--apply {}", file.display()));
    let told = apply(story, file);
    assert_eq!(told.code, 0, "{}", told.text);
    story.goes_on_with(file);
    told
}

/// The hash of the file that a node runs, and of the one that is staged there.
fn files(story: &Story, node: &str) -> (String, Option<String>) {
    story.status(node, "its files", SOON, |status| {
        let staged = status["staged"].as_str().map(str::to_owned);
        Some((status["file"].as_str()?.to_owned(), staged))
    })
}

/// The one file that all nodes run.
fn running(story: &Story) -> String {
    let mut all: Vec<String> = story
        .nodes()
        .iter()
        .map(|node| files(story, node).0)
        .collect();
    all.dedup();
    assert_eq!(all.len(), 1, "one file everywhere: {all:?}");
    all.remove(0)
}

/// Nothing that clients or operators could have noticed since a moment.
fn undisturbed(story: &Story, since: Mark, active: &str) {
    let failed = story.lab.client().failures(since.at);
    assert!(
        failed.is_empty(),
        "{} requests failed: {:?}",
        failed.len(),
        failed[0]
    );
    assert_eq!(story.takeovers(since), [""; 0]);
    assert_eq!(story.serving(SOON), active);
    for node in story.nodes() {
        assert!(
            !story.said(&node, "is late", since),
            "a beat of somebody was late at {node}"
        );
    }
}

/// The longest silence of any node on its own cables since a moment, as recorded there.
pub(crate) fn longest_silence(story: &Story, since: Mark) -> Duration {
    let now = story.now().at;
    let mut longest = Duration::ZERO;
    for node in story.nodes() {
        for cable in ["crossover".to_owned(), format!("lan-{node}")] {
            let frames = story.lab.wire().frames(&cable, since.at);
            let beats = frames.iter().filter(|frame| {
                !frame.injected
                    && *frame.from == *node
                    && kodo_qemu::wire::mac::EtherType::of(&frame.data) == Some(HEARTBEAT)
            });
            let mut last = since.at;
            let mut count = 0;
            for at in beats.map(|beat| beat.at).chain([now]) {
                longest = longest.max(at.saturating_sub(last));
                last = at;
                count += 1;
            }
            assert!(count > 4, "{node} beats on {cable}");
        }
    }
    longest
}

/// Words about places, timeouts and thresholds: nothing stops, nothing moves.
#[test]
fn reload() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let (desk, before) = (Desk::new("reload", PAIR), running(&story));
    let file = desk.file(
        &[
            ("failback = \"manual\"", "failback = \"auto\""),
            ("migration_threshold = 3", "migration_threshold = 5"),
            ("fall = 2", "fall = 3"),
        ],
        "",
    );
    let looked = Desk::kodo(&story, &["diff"], &file);
    assert_eq!(looked.code, 0, "{}", looked.text);
    assert!(
        looked.text.contains("group www: failback: manual -> auto"),
        "{}",
        looked.text
    );
    assert_eq!(running(&story), before, "to look changes nothing");

    let since = story.now();
    let told = taken_over(&story, &file);
    assert!(
        told.text.contains("Placement: nothing is moved."),
        "{}",
        told.text
    );
    assert_ne!(running(&story), before);
    story.settled();
    undisturbed(&story, since, &active);
    story.watch(BEATS);
    let silence = longest_silence(&story, since);
    println!("reload: longest silence of a node on a cable {silence:?}");
    assert!(silence < WARNTIME, "a beat was missed: {silence:?}");

    // The new words count: what died comes back by itself.
    let other = story.other(&active);
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&other, SOON);
    story.end();
}

/// A group that is added runs, one that is changed restarts, and the other one goes on.
#[test]
fn reload_touches_only_what_it_names() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let desk = Desk::new("reload-groups", PAIR);
    let since = story.now();
    let more = |port: &str| API.replace("port = 81", port);
    let told = taken_over(&story, &desk.file(&[], &more("port = 81")));
    assert!(told.text.contains("group api: new"), "{}", told.text);
    story.settled();

    let told = taken_over(&story, &desk.file(&[], &more("port = 82")));
    let says = "port: 81 -> 82 (its group restarts)";
    assert!(told.text.contains(says), "{}", told.text);
    story.settled();

    taken_over(&story, &desk.file(&[], ""));
    story.settled();
    undisturbed(&story, since, &active);
    for node in story.nodes() {
        assert!(!story.said(&node, &format!("{GROUP}: stops"), since));
    }
    story.end();
}

/// Files that are wrong, that need new images, or whose services have no files in them.
#[test]
fn reload_refused() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let (desk, before) = (Desk::new("reload-refused", PAIR), running(&story));
    desk.write("site/index.html", "hello");
    let since = story.now();
    let site = API.replace("port = 81", "port = 81\nfiles = \"site\"");
    for (file, says) in [
        (desk.file(&[], "\n[[group]\n"), "error"),
        (
            desk.file(&[("profile = \"lab\"", "profile = \"default\"")], ""),
            "timing: keepalive: 250ms -> 100ms (needs new images)",
        ),
        (
            desk.file(&[], &site),
            "node2 refuses the file: service api: the image of this node has no files for it",
        ),
        (
            desk.file(&[(OLD_KEY, NEW_KEY)], ""),
            "signs with a key that the running one does not accept",
        ),
    ] {
        let told = apply(&story, &file);
        assert_eq!(told.code, 1, "{}", told.text);
        assert!(told.text.contains(says), "{says}: {}", told.text);
        for node in story.nodes() {
            assert_eq!(files(&story, &node), (before.clone(), None));
        }
    }
    undisturbed(&story, since, &active);
    story.end();
}

/// Add, switch, drop: judged by the cables, and by who still believes the old key.
#[test]
fn key_rotation() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let desk = Desk::new("key-rotation", PAIR);
    let since = story.now();
    let mut old_key = Vec::new();
    let keys = |keys: &[&str]| keys.join("\n") + "\n";
    for (step, words, name, keys) in [
        (
            "step 1 of 3",
            &[(KEY_LINE, "key_file = \"1.key\"")],
            "1.key",
            keys(&[OLD_KEY, NEW_KEY]),
        ),
        (
            "step 2 of 3",
            &[(KEY_LINE, "key_file = \"2.key\"")],
            "2.key",
            keys(&[NEW_KEY, OLD_KEY]),
        ),
        (
            "step 3 of 3",
            &[(KEY_LINE, "key_file = \"3.key\"")],
            "3.key",
            keys(&[NEW_KEY]),
        ),
    ] {
        if step == "step 2 of 3" {
            old_key = heartbeats(&story, "crossover", since);
        }
        desk.write(name, &keys);
        let told = taken_over(&story, &desk.file(words, ""));
        assert!(told.text.contains(step), "{}", told.text);
        running(&story);
    }
    story.settled();
    undisturbed(&story, since, &active);
    story.watch(BEATS);
    let silence = longest_silence(&story, since);
    println!("key rotation: longest silence of a node on a cable {silence:?}");
    assert!(silence < WARNTIME, "a beat was missed: {silence:?}");

    // What the old key signed is nobody's any more: not old, but forged.
    for node in story.nodes() {
        let before = counter(&story, &node, "forged");
        let theirs = old_key.iter().filter(|(from, _)| *from != node);
        let mut sent = 0;
        for (from, frame) in theirs.take(20) {
            story.lab.inject("crossover", from, frame).expect("a cable");
            sent += 1;
        }
        assert!(sent > 0);
        counted(&story, &node, &["forged"], before, sent);
    }
    story.settled();
    story.end();
}

const KEY_LINE: &str = "key = \"6578616d706c6521206e6576657220757365206f7574736964652061206c6162\"";

/// A node that boots has the file of its image: everybody says so, and gets it again.
#[test]
fn reboot_after_reload() {
    let story = Story::begin(&[]);
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let desk = Desk::new("reboot-after-reload", PAIR);
    let file = desk.file(
        &[("migration_threshold = 3", "migration_threshold = 5")],
        "",
    );
    taken_over(&story, &file);
    let new = running(&story);

    let since = story.now();
    story.lab.reset(&standby).expect("reset");
    story.says(&active, "another cluster file", since, BOOT);
    story.status(&standby, "a member with the old file", BOOT, |status| {
        let members = status["view"]["members"].as_array()?.len();
        (members == 2 && status["file"] != new).then_some(())
    });
    let told = apply(&story, &file);
    assert_eq!(told.code, 0, "{}", told.text);
    assert_eq!(running(&story), new);
    story.settled();
    undisturbed(&story, since, &active);
    story.end();
}
