//! `cargo xtask sim --canaries`: a simulator that notices nothing is worth nothing.
//!
//! Each patch in `tests/sim/canaries` takes one rule out of a copy of the tree; the named
//! scenario must notice within the named number of seeds. The tree itself is never touched.

use crate::host::cargo;
use crate::{Result, workspace};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One broken rule.
struct Canary {
    name: String,
    patch: PathBuf,
    /// What is broken, in a line.
    rule: String,
    /// The scenario that must notice.
    killer: String,
    /// Within so many seeds.
    seeds: u64,
}

/// Sends the canaries of these names, or all.
pub(super) fn run(names: &[String], jobs: usize) -> Result {
    let mut canaries = read(&workspace().join("tests/sim/canaries"))?;
    let known = |name: &&String| canaries.iter().any(|canary| canary.name == **name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("no canary is called `{name}`").into());
    }
    canaries.retain(|canary| names.is_empty() || names.contains(&canary.name));
    let home = super::target().join("canaries");
    let tree = home.join("tree");
    let mut survivors = Vec::new();
    for canary in &canaries {
        copy_tree(&tree)?;
        apply(&tree, &canary.patch)?;
        let verdict = sweep(&home, &tree, canary, jobs)?;
        let words: Vec<&str> = verdict.split(' ').collect();
        match words[..] {
            ["killed", seed, runs, promise, ..] => println!(
                "{:<18} died of promise {promise} in {} at seed {seed}, {runs} runs; {}",
                canary.name, canary.killer, canary.rule
            ),
            _ => {
                println!(
                    "{:<18} SURVIVED {} seeds of {}; {}",
                    canary.name, canary.seeds, canary.killer, canary.rule
                );
                survivors.push(canary.name.as_str());
            }
        }
    }
    // What ran last was broken: nobody shall find it by accident.
    std::fs::remove_dir_all(&tree)?;
    match survivors[..] {
        [] => Ok(()),
        _ => Err(format!("nothing noticed: {}", survivors.join(", ")).into()),
    }
}

/// The patches, each with `Rule:`, `Killed by:` and `Within:` above its first hunk.
fn read(directory: &Path) -> Result<Vec<Canary>> {
    let mut canaries = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let patch = entry?.path();
        if patch
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let text = std::fs::read_to_string(&patch)?;
        let field = |name: &str| {
            let mut lines = text.lines().take_while(|line| !line.starts_with("--- "));
            let value = lines.find_map(|line| line.strip_prefix(name));
            value
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| format!("{} lacks the line `{name}`", patch.display()))
        };
        canaries.push(Canary {
            name: patch
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            rule: field("Rule:")?,
            killer: field("Killed by:")?,
            seeds: field("Within:")?
                .trim_end_matches(" seeds")
                .parse()
                .map_err(|error| format!("{}: {error}", patch.display()))?,
            patch,
        });
    }
    canaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(canaries)
}

/// Makes `tree` a copy of the tracked files, touching only those that differ, so that
/// little is built anew.
fn copy_tree(tree: &Path) -> Result {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(workspace())
        .output()?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let Ok(bytes) = std::fs::read(workspace().join(name)) else {
            continue;
        };
        let to = tree.join(name);
        if std::fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&to, bytes)?;
    }
    Ok(())
}

fn apply(tree: &Path, patch: &Path) -> Result {
    let status = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(patch)
        // The copy lies inside the checkout: keep git from finding that.
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree))
        .current_dir(tree)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} does not apply any more: make it anew", patch.display()).into()),
    }
}

/// Builds the copy and runs the killer; the verdict is the last line.
fn sweep(home: &Path, tree: &Path, canary: &Canary, jobs: usize) -> Result<String> {
    let output = Command::new(cargo())
        .args([
            "run",
            "--quiet",
            "--package",
            "kodo-tests-sim",
            "--example",
            "sweep",
            "--",
        ])
        .args([
            &canary.killer,
            "1",
            &canary.seeds.to_string(),
            &jobs.to_string(),
        ])
        .env("CARGO_TARGET_DIR", home.join("build"))
        .current_dir(tree)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the tree with {} does not build", canary.name).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().last().unwrap_or_default().to_owned())
}
