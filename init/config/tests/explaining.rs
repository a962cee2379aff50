//! The page of `kodo explain timing`, as its reader sees it. `KODO_BLESS=1` renews it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use kodo_config::{Cluster, explain};

fn check(file: &str, page: &str) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(home.join(file)).unwrap();
    let cluster = Cluster::parse(file, &text, &|_, _| Err("none".into())).unwrap();
    let explained = explain::timing(&cluster);
    assert!(
        explained.lines().all(|line| line.chars().count() <= 88),
        "{explained}"
    );
    let page = home.join("tests/explain").join(page);
    if std::env::var_os("KODO_BLESS").is_some() {
        fs::write(&page, &explained).unwrap();
    }
    assert_eq!(explained, fs::read_to_string(&page).unwrap_or_default());
}

#[test]
fn the_example() {
    check("../../image/examples/web.toml", "web.txt");
}

#[test]
fn the_other_examples() {
    for name in ["nplus1", "promotable", "three", "voter", "witness"] {
        let file = format!("../../image/examples/{name}.toml");
        check(&file, &format!("{name}.txt"));
    }
}

#[test]
fn groups_of_both_kinds_and_uneven_votes() {
    check("tests/good/mixed.toml", "mixed.txt");
}

#[test]
fn one_node_has_nobody_to_agree_with() {
    check("tests/good/alone.toml", "alone.txt");
}

#[test]
fn everything_written_or_unusual() {
    check("tests/good/written.toml", "written.txt");
}
