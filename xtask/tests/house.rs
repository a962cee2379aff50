//! The house's own rules, read from the tree: who may import whom, what stands at the
//! top, where `unsafe` may live, what names no commit may carry. See ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// For each crate, the crates of the house that it may import; dev-dependencies apart.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("kodo-engine", &[]),
    ("kodo-supervisor", &[]),
    ("kodo-netstack", &[]),
    (
        "kodo-node",
        &["kodo-engine", "kodo-supervisor", "kodo-netstack"],
    ),
    (
        "kodo-config",
        &[
            "kodo-engine",
            "kodo-supervisor",
            "kodo-netstack",
            "kodo-node",
        ],
    ),
    ("kodo-sys", &[]),
    ("kodo-admin", &["kodo-engine", "kodo-node", "kodo-sys"]),
    (
        "kodo-init",
        &[
            "kodo-engine",
            "kodo-node",
            "kodo-config",
            "kodo-sys",
            "kodo-admin",
        ],
    ),
    (
        "kodo-ctl",
        &[
            "kodo-engine",
            "kodo-config",
            "kodo-import",
            "kodo-admin",
            "kodo-sys",
        ],
    ),
    (
        "kodo-import",
        &["kodo-engine", "kodo-netstack", "kodo-node", "kodo-config"],
    ),
    ("kodo-image", &["kodo-config"]),
    ("kodo-qemu", &[]),
];

/// Crates that decide: no std, no clock, no I/O, no allocation.
const NO_STD: &[&str] = &["init/engine", "init/supervisor", "init/node", "netstack"];

/// What the owner's card allows at the top, besides dot files and documents.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "init",
    "netstack",
    "xtask",
    "image",
    "qemu",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies below the root")
        .to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .expect(program);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn tracked(pattern: &str) -> Vec<PathBuf> {
    output("git", &["ls-files", "--", pattern])
        .lines()
        .map(PathBuf::from)
        .collect()
}

#[test]
fn crates_import_only_what_the_house_allows() {
    let json = output(
        "cargo",
        &["metadata", "--format-version=1", "--no-deps", "--offline"],
    );
    let metadata: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rules: BTreeMap<_, BTreeSet<_>> = MAY_IMPORT
        .iter()
        .map(|(name, allowed)| (*name, allowed.iter().copied().collect()))
        .collect();
    let mut checked = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        let Some(allowed) = rules.get(name) else {
            continue;
        };
        checked += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().expect("name");
            let of_the_house = dependency["path"].is_string();
            if of_the_house && dependency["kind"].is_null() {
                assert!(
                    allowed.contains(on),
                    "{name} must not import {on}: see MAY_IMPORT and ARCHITECTURE.md"
                );
            }
        }
    }
    assert_eq!(checked, rules.len(), "every crate with a rule exists");
}

#[test]
fn deciding_crates_are_no_std_and_read_no_clock() {
    for krate in NO_STD {
        let lib = std::fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("lib.rs");
        assert!(
            lib.contains("#![no_std]") || lib.contains("#![cfg_attr(not(test), no_std)]"),
            "{krate} must be no_std"
        );
        for file in tracked(&format!("{krate}/src/*.rs")) {
            let text = std::fs::read_to_string(root().join(&file)).expect("source");
            let shipped = text.split("#[cfg(test)]").next().expect("a first part");
            for word in [
                "extern crate std",
                "extern crate alloc",
                "Instant::now",
                "cfg(feature",
            ] {
                assert!(
                    !shipped.contains(word),
                    "{}: {word} outside tests",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn unsafe_lives_in_sys_only() {
    // A test may need a counting allocator; it says so and ships nowhere.
    let allowed = |file: &Path| {
        file.starts_with("init/sys") || file.components().any(|part| part.as_os_str() == "tests")
    };
    for file in tracked("*.rs").into_iter().filter(|file| !allowed(file)) {
        let text = std::fs::read_to_string(root().join(&file)).expect("source");
        for (at, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(
                !code.contains("unsafe {")
                    && !code.contains("unsafe fn")
                    && !code.contains("allow(unsafe_code)"),
                "{}:{}: unsafe outside init/sys",
                file.display(),
                at + 1
            );
        }
    }
}

#[test]
fn every_version_stands_in_the_workspace_manifest() {
    for manifest in tracked("*/Cargo.toml") {
        let text = std::fs::read_to_string(root().join(&manifest)).expect("manifest");
        let table: toml::Table = text.parse().expect("TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in table
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
            {
                let inherits = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(
                    inherits,
                    "{}: {name} must say `workspace = true`",
                    manifest.display()
                );
            }
        }
    }
}

#[test]
fn nothing_else_stands_at_the_top() {
    let tops: BTreeSet<String> = tracked(".")
        .iter()
        .filter_map(|file| file.components().next())
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    for top in tops {
        let document = Path::new(&top)
            .extension()
            .is_some_and(|extension| extension == "md");
        assert!(
            TOP.contains(&top.as_str()) || document || top.starts_with('.'),
            "{top} stands at the top"
        );
    }
}

#[test]
fn every_file_with_code_says_what_it_owns() {
    for file in tracked("*.rs") {
        let text = std::fs::read_to_string(root().join(&file)).expect("source");
        assert!(
            text.starts_with("//!"),
            "{}: begins without a module doc",
            file.display()
        );
    }
}
