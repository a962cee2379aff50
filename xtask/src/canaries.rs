//! `cargo xtask sim --canaries`, `cargo xtask model --canaries`: a test that notices nothing
//! is worth nothing.
//!
//! Each patch in `tests/sim/canaries` takes one rule out of a copy of the tree; the named
//! scenario must notice within the named number of seeds, and the named model, if there is
//! one, at all. The tree itself is never touched.

use crate::host::cargo;
use crate::{Result, target, workspace};
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
    /// The model that must notice.
    model: Option<String>,
}

/// Who is to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hunter {
    /// The simulator, with each canary's scenario.
    Simulator,
    /// The model checker, with the models of those canaries that name one.
    Checker,
}

/// Sends the canaries of these names, or all that the hunter is to notice.
pub(crate) fn run(hunter: Hunter, names: &[String], jobs: usize) -> Result {
    let mut canaries = read(&workspace().join("tests/sim/canaries"))?;
    canaries.retain(|canary| hunter == Hunter::Simulator || canary.model.is_some());
    let known = |name: &&String| canaries.iter().any(|canary| canary.name == **name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("no canary is called `{name}`").into());
    }
    canaries.retain(|canary| names.is_empty() || names.contains(&canary.name));
    let home = target().join("canaries");
    let tree = home.join("tree");
    let mut survivors = Vec::new();
    for canary in &canaries {
        copy_tree(&tree)?;
        apply(&tree, &canary.patch)?;
        let verdict = hunt(&home, &tree, canary, hunter, jobs)?;
        let killed = verdict.strip_prefix("killed ");
        println!(
            "{:<18} {}; {}",
            canary.name,
            killed.map_or_else(
                || format!("SURVIVED: {verdict}"),
                |how| format!("died of {how}")
            ),
            canary.rule
        );
        if killed.is_none() {
            survivors.push(canary.name.as_str());
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
        let line = |name: &str| {
            let mut lines = text.lines().take_while(|line| !line.starts_with("--- "));
            let value = lines.find_map(|line| line.strip_prefix(name));
            value.map(|value| value.trim().to_owned())
        };
        let field = |name: &str| {
            line(name).ok_or_else(|| format!("{} lacks the line `{name}`", patch.display()))
        };
        canaries.push(Canary {
            name: patch
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            rule: field("Rule:")?,
            killer: field("Killed by:")?,
            model: line("Model:"),
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

/// Builds the copy and lets the hunter loose; the verdict is the last line.
fn hunt(home: &Path, tree: &Path, canary: &Canary, hunter: Hunter, jobs: usize) -> Result<String> {
    let jobs = jobs.to_string();
    let (package, example, profile, args) = match hunter {
        Hunter::Simulator => {
            let args = vec![
                canary.killer.clone(),
                "1".into(),
                canary.seeds.to_string(),
                jobs,
            ];
            ("kodo-tests-sim", "sweep", "dev", args)
        }
        Hunter::Checker => {
            let args = canary.model.clone().into_iter().chain([jobs]).collect();
            ("kodo-tests-model", "hunt", "release", args)
        }
    };
    let output = Command::new(cargo())
        .args(["run", "--quiet", "--package", package, "--example", example])
        .args(["--profile", profile, "--"])
        .args(args)
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
