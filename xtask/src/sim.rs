//! `cargo xtask sim`: the simulator over many seeds, and the story of the one that fails.
//!
//! Owns the command line, the progress bar and what is printed; running, shrinking and
//! judging are the simulator's.

use crate::canaries::{self, Hunter};
use crate::{Result, target, workspace};
use indicatif::{ProgressBar, ProgressStyle};
use kodo_tests_sim::plan::Plan;
use kodo_tests_sim::scenario::{self, Scenario};
use kodo_tests_sim::{Failure, Fleet, Outcome, Tally};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Run the deterministic simulator
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seeds for each scenario [default: 100, or 1 with --seed]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// First seed; without --seeds just this one, with its story
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Scenario to run, again for another [default: all]
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Runs at a time [default: one for each processor]
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Begin no new run after so many minutes; without --seeds as many as fit
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Replay a plan that was saved, with its story
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "seed", "seeds"])]
    plan: Option<PathBuf>,
    /// List the scenarios
    #[arg(long)]
    list: bool,
    /// Break one rule after the other in a copy of the tree, all or those named: each must
    /// be noticed
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["scenario", "seed", "seeds", "plan"])]
    canaries: Option<Vec<String>>,
}

/// Failing seeds after which no new run begins.
const ENOUGH: usize = 20;
/// Of these, so many are shrunk and told.
const TOLD: usize = 2;
/// A node is built on the stack before it moves to the heap.
const STACK: usize = 16 << 20;

pub(crate) fn run(args: &Args) -> Result {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors);
    if let Some(names) = &args.canaries {
        return canaries::run(Hunter::Simulator, names, jobs);
    }
    if args.list {
        for scenario in scenario::all() {
            println!("{}", scenario.name);
        }
        return Ok(());
    }
    if let Some(path) = &args.plan {
        return replay(path);
    }
    let chosen = choose(&args.scenario)?;
    if let (Some(seed), None, [only]) = (args.seed, args.seeds.or(args.minutes), &chosen[..]) {
        return tell(&only.plan(seed), &format!("seed {seed}"));
    }
    // Panics of a node are caught and told as a story; their own words would garble the bar.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let unsaid = match (args.minutes, args.seed) {
        (Some(_), _) => u64::from(u32::MAX),
        (None, Some(_)) => 1,
        (None, None) => 100,
    };
    let fleet = Fleet {
        scenarios: &chosen,
        first: args.seed.unwrap_or(1),
        seeds: args.seeds.unwrap_or(unsaid),
        jobs,
        enough: ENOUGH,
        limit: args
            .minutes
            .map(|minutes| Duration::from_secs(60 * minutes)),
    };
    let (tally, took) = sweep(&fleet);
    report(&tally, took);
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for failure in &tally.failures {
        let kind = (failure.plan.scenario.as_str(), failure.violation.promise);
        if kinds.contains(&kind) {
            continue;
        }
        kinds.push(kind);
        if kinds.len() <= TOLD {
            shrink(failure)?;
        }
    }
    std::panic::set_hook(told);
    for failure in &tally.failures {
        let plan = &failure.plan;
        println!(
            "FAILED {} --seed {}: {}",
            plan.scenario, plan.seed, failure.violation
        );
    }
    match tally.failures.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {} runs broke a promise", tally.runs).into()),
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(scenario::all().iter().collect());
    }
    let named = |name: &String| {
        scenario::named(name).ok_or_else(|| {
            format!("no scenario is called `{name}`; see cargo xtask sim --list").into()
        })
    };
    names.iter().map(named).collect()
}

fn sweep(fleet: &Fleet<'_>) -> (Tally, Duration) {
    let bar = bar(fleet.seeds * fleet.scenarios.len() as u64);
    let simulated = AtomicU64::new(0);
    let start = Instant::now();
    let tally = fleet.run(&|passed| {
        let passed = u64::try_from(passed.as_millis()).unwrap_or(0);
        let total = simulated.fetch_add(passed, Ordering::Relaxed) + passed;
        let hours = total as f64 / 1000.0 / start.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!("{hours:.0} simulated hours an hour"));
        bar.inc(1);
    });
    bar.finish_and_clear();
    (tally, start.elapsed())
}

fn bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let template = "  [{bar:30}] {pos} of {len} runs, {per_sec}, {msg}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn report(tally: &Tally, took: Duration) {
    let seconds = took.as_secs_f64().max(0.001);
    println!(
        "{} runs in {seconds:.1} s: {:.1} seeds/s, {:.0} simulated hours per hour, hash {:016x}, commit {}",
        tally.runs,
        tally.runs as f64 / seconds,
        tally.simulated.as_secs_f64() / seconds,
        tally.hash,
        commit()
    );
    if let Some((took, bound, scenario, seed)) = &tally.slowest {
        println!(
            "slowest convergence after the last fault: {took:?} (bound {bound:?}) in {scenario} --seed {seed}"
        );
    }
}

/// Finds the shortest plan that fails in the same way, keeps it, and tells its story.
fn shrink(failure: &Failure) -> Result {
    let spinner = match std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    spinner.set_message(format!("shrinking {}", failure.violation));
    let plan = in_thread(|| kodo_tests_sim::shrink(&failure.plan, || spinner.tick()))?;
    spinner.finish_and_clear();
    let directory = target().join("sim");
    let path = directory.join(format!("{}-{}.json", plan.scenario, plan.seed));
    std::fs::create_dir_all(&directory)?;
    std::fs::write(&path, serde_json::to_string_pretty(&plan)?)?;
    // It is reported as failed with all the others.
    let _ = tell(
        &plan,
        &format!("shrunk from seed {}, kept as {}", plan.seed, path.display()),
    );
    Ok(())
}

fn replay(path: &Path) -> Result {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not a plan: {error}", path.display()))?;
    tell(&plan, &path.display().to_string())
}

/// Runs a plan and prints what happened.
fn tell(plan: &Plan, what: &str) -> Result {
    let outcome: Outcome = in_thread(|| kodo_tests_sim::run(plan, true))?;
    println!("== {}: {what}, commit {}", plan.scenario, commit());
    println!("   {:?}", plan.cluster);
    for (at, machine) in plan.machines.iter().enumerate() {
        println!("   machine {at}: {machine:?}");
    }
    for (wire, quality) in &plan.wires {
        println!("   {wire}: {quality:?}");
    }
    for line in &outcome.story {
        println!("{line}");
    }
    println!(
        "   simulated {:?}, hash {:016x}",
        outcome.simulated, outcome.hash
    );
    match outcome.violation {
        None => Ok(()),
        Some(violation) => Err(violation.to_string().into()),
    }
}

/// Runs on a stack that holds a node.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work)?;
        Ok(thread.join().map_err(|_| "the simulator itself panicked")?)
    })
}

/// The commit that runs, with a mark when the tree differs from it.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .args(args)
            .current_dir(workspace())
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "unknown".into();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    match changed.is_some_and(|changed| !changed.is_empty()) {
        true => format!("{commit} with changes"),
        false => commit,
    }
}
