//! Every message as its reader sees it: `bad/NAME.toml` is refused with the text of
//! `bad/NAME.txt`, `good/NAME.toml` is accepted with the remarks of `good/NAME.txt`.
//!
//! After a change of wording run with `KODO_BLESS=1` and read the difference.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::{Path, PathBuf};

use kodo_config::report::{Style, render, summary};
use kodo_config::{Cluster, Secret};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn no_secrets(_: Secret, _: &str) -> Result<String, String> {
    Err("No such file or directory (os error 2)".into())
}

/// What the file's author sees, and whether the file was accepted.
fn drawn(path: &Path) -> (String, bool) {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let (items, accepted) = match Cluster::parse(name, &text, &no_secrets) {
        Ok(cluster) => (cluster.notes, true),
        Err(items) => (items, false),
    };
    let plain: Vec<_> = items.iter().map(ToString::to_string).collect();
    let drawn = render(&items, &text, Style::Plain);
    // PID 1 prints the plain form; it must say no less.
    for item in &items {
        assert!(drawn.contains(&item.message), "{item}");
    }
    let verdict = if accepted { "accepted" } else { "refused" };
    (
        format!(
            "{drawn}{verdict}: {}\n\nPlain:\n{}\n",
            summary(&items),
            plain.join("\n")
        ),
        accepted,
    )
}

fn compare(path: &Path, drawn: &str) -> Option<String> {
    let expected = path.with_extension("txt");
    if std::env::var_os("KODO_BLESS").is_some() {
        fs::write(&expected, drawn).unwrap();
        return None;
    }
    let known = fs::read_to_string(&expected).unwrap_or_default();
    (known != drawn).then(|| format!("--- {} expected\n{known}\n--- got\n{drawn}", path.display()))
}

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(home().join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

fn check(directory: &str, accept: bool) -> usize {
    let files = files(directory);
    let mut wrong = Vec::new();
    for path in &files {
        let (drawn, accepted) = drawn(path);
        assert_eq!(accepted, accept, "{}\n{drawn}", path.display());
        wrong.extend(compare(path, &drawn));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    files.len()
}

#[test]
fn bad_files_are_refused_with_every_mistake() {
    assert!(check("bad", false) >= 30);
}

#[test]
fn good_files_are_accepted_with_their_remarks() {
    assert!(check("good", true) > 0);
}

/// An example of the image is accepted with exactly these remarks.
fn example(name: &str, expected: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples");
    let text = fs::read_to_string(path.join(name)).unwrap();
    let cluster = Cluster::parse(name, &text, &no_secrets)
        .unwrap_or_else(|items| panic!("{}", render(&items, &text, Style::Plain)));
    let said: Vec<_> = cluster
        .notes
        .iter()
        .map(|note| (note.severity.to_string(), note.message.as_str()))
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(severity, message)| (severity.as_str(), *message))
        .collect();
    assert_eq!(said, expected, "{name}");
}

#[test]
fn the_examples_pass_with_exactly_their_remarks() {
    let key = ("warning", "this is the key of the published example");
    let token = ("warning", "this is the token of the published example");
    let drills = ("note", "operators may break nodes on purpose");
    let ping = (
        "note",
        "in a split, the side that reaches the ping group serves",
    );
    let quorum = (
        "note",
        "in a split, the part with more than half of the 3 votes serves",
    );
    let witness = (
        "note",
        "in a split, the half that the witness speaks for serves",
    );
    example("web.toml", &[key, token, ping, drills]);
    example("services.toml", &[key, token, ping, drills]);
    example("three.toml", &[key, token, quorum, drills]);
    example("promotable.toml", &[key, token, quorum, drills]);
    example("voter.toml", &[key, token, quorum, drills]);
    example("mutual.toml", &[key, token, ping, drills]);
    example("witness.toml", &[key, key, token, witness, drills]);
    let halves = (
        "note",
        "in a split, the part with more than half of the 4 votes serves",
    );
    example("nplus1.toml", &[key, token, halves, drills]);
}
