//! `cargo xtask model`: the engine under the model checker, a table of how far it went, and
//! the story of what breaks.
//!
//! Owns the command line and the table; searching, shrinking and judging are the model's.

use crate::Result;
use crate::canaries::{self, Hunter};
use indicatif::ProgressBar;
use kodo_tests_model::{Outcome, Setting};
use std::io::IsTerminal;
use std::time::Duration;

/// Check the engine with an explicit-state model checker
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The large budgets: about an hour on two processors
    #[arg(long)]
    deep: bool,
    /// Model to search, again for another [default: all]
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "J")]
    jobs: Option<usize>,
    /// Stop each search after so many minutes, unfinished
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Break one rule after the other in a copy of the tree, all or those named: each must
    /// be noticed
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["deep", "model", "minutes"])]
    canaries: Option<Vec<String>>,
}

pub(crate) fn run(args: &Args) -> Result {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors);
    if let Some(names) = &args.canaries {
        return canaries::run(Hunter::Checker, names, jobs);
    }
    let limit = args
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let models = choose(args)?;
    // An assertion of the engine is told in its story; its own words would garble the table.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    println!(
        "{:<18} {:<44} {:>10} {:>10} {:>6} {:>8} {:>9}  result",
        "model", "budget", "states", "ticks", "depth", "settles", "time"
    );
    let mut failed = Vec::new();
    for setting in &models {
        let spinner = match std::io::stderr().is_terminal() {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        let outcome = kodo_tests_model::search(setting, jobs, limit, |states| {
            spinner.set_message(format!("{}: {states} states", setting.name));
            spinner.tick();
        });
        spinner.finish_and_clear();
        let verdict = verdict(setting, &outcome);
        println!(
            "{} {}",
            row(setting, &outcome),
            verdict.as_ref().map_or_else(String::as_str, |()| "holds")
        );
        if verdict.is_err() {
            failed.push(setting.name);
            tell(setting, &outcome);
        }
    }
    std::panic::set_hook(told);
    match failed[..] {
        [] => Ok(()),
        _ => Err(format!("broken or unfinished: {}", failed.join(", ")).into()),
    }
}

fn choose(args: &Args) -> Result<Vec<Setting>> {
    let all = match args.deep {
        true => kodo_tests_model::deep(),
        false => kodo_tests_model::quick(),
    };
    if let Some(name) = args
        .model
        .iter()
        .find(|name| all.iter().all(|setting| setting.name != **name))
    {
        let names: Vec<&str> = all.iter().map(|setting| setting.name).collect();
        return Err(format!(
            "no model is called `{name}`; there are {}",
            names.join(", ")
        )
        .into());
    }
    let chosen = |setting: &Setting| {
        args.model.is_empty() || args.model.iter().any(|name| name == setting.name)
    };
    Ok(all.into_iter().filter(chosen).collect())
}

fn row(setting: &Setting, outcome: &Outcome) -> String {
    format!(
        "{:<18} {:<44} {:>10} {:>10} {:>6} {:>8} {:>7.1} s ",
        setting.name,
        setting.budget.to_string(),
        outcome.unique,
        outcome.ticks,
        outcome.longest,
        outcome.slowest,
        outcome.took.as_secs_f64()
    )
}

fn verdict(setting: &Setting, outcome: &Outcome) -> Result<(), String> {
    if let Some(violation) = &outcome.violation {
        return Err(format!("BROKEN: {}", violation.promise));
    }
    if !outcome.finished {
        return Err("holds so far, UNFINISHED".into());
    }
    let missing = outcome.missing(setting);
    match missing[..] {
        [] => Ok(()),
        _ => Err(format!("EMPTY: never reached {}", missing.join(", "))),
    }
}

/// The shortest history that breaks the promise, as people read it.
fn tell(setting: &Setting, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else {
        return;
    };
    let shrunk = kodo_tests_model::shrink(setting, violation);
    for line in kodo_tests_model::tell(setting, &shrunk) {
        println!("    {line}");
    }
}
