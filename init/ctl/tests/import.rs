//! `kodo import` as a person runs it: what it prints, where, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn kodo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kodo"))
        .args(args)
        .env_clear()
        .output()
        .unwrap()
}

fn sample(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../import/samples");
    samples.join(name).display().to_string()
}

/// A fresh directory for what a test writes.
fn room(name: &str) -> PathBuf {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&room);
    std::fs::create_dir_all(&room).unwrap();
    room
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_says_how_to_begin() {
    let output = kodo(&["import", "--help"]);
    let (out, _) = said(&output);
    assert_eq!(output.status.code(), Some(0));
    for word in [
        "haresources",
        "cibadmin -Q",
        "--machine",
        "REPLACE",
        "kodo keygen",
    ] {
        assert!(out.contains(word), "{word} in\n{out}");
    }
}

#[test]
fn what_is_written_passes_the_check() {
    let room = room("import-written");
    let out = room.join("cluster.toml").display().to_string();
    let (cf, resources) = (
        sample("heartbeat-examples/ha.cf"),
        sample("heartbeat-examples/haresources"),
    );
    let output = kodo(&["import", &cf, &resources, "-o", &out]);
    let (told, left) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{left}");
    assert!(told.contains(&format!("kodo check {out}")), "{told}");
    assert!(
        left.contains("ha.cf:195: stonith_host: no fencing devices"),
        "{left}"
    );
    assert_eq!(kodo(&["check", &out]).status.code(), Some(0));

    // A file that is there is kept.
    let output = kodo(&["import", &cf, &resources, "-o", &out]);
    let (_, why) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(why.contains("name a file that does not exist yet"), "{why}");
}

#[test]
fn a_refusal_says_where_and_what_to_do() {
    let room = room("import-refused");
    let broken = room.join("keepalived.conf");
    std::fs::write(&broken, "! mine\nvrrp_instance V {\n").unwrap();
    let broken = broken.display().to_string();
    let cases = [
        (
            broken.as_str(),
            ":2: the block `vrrp_instance` is not closed; close it",
        ),
        ("nowhere/ha.cf", "name a file that can be read"),
    ];
    for (file, words) in cases {
        let output = kodo(&["import", file]);
        let (out, why) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{why}");
        assert!(out.is_empty(), "{out}");
        assert!(why.contains(words), "{words} in {why}");
    }
    assert_eq!(kodo(&["import"]).status.code(), Some(64));
}

#[test]
fn what_only_the_operator_knows_leaves_less_to_replace() {
    let resources = sample("heartbeat-examples/haresources");
    let output = kodo(&[
        "import",
        &resources,
        "--gateway",
        "10.0.0.1",
        "--machine",
        "ken3=10.0.0.18/24,52:54:00:00:01:01,52:54:00:00:01:02",
        "--machine",
        "kathy=10.0.0.19/24,52:54:00:00:02:01,52:54:00:00:02:02",
    ]);
    let (out, _) = said(&output);
    let left: Vec<&str> = out
        .lines()
        .filter(|line| line.contains("REPLACE:"))
        .collect();
    assert_eq!(left.len(), 2, "the key and what to ping: {left:#?}");
    let output = kodo(&["import", &resources, "--machine", "ken3"]);
    assert_eq!(output.status.code(), Some(64));
}
