//! `cargo xtask test`: every check there is, as named steps with their times. A failed
//! step does not hide the ones after it.

use crate::host::{Host, Need, cargo};
use crate::{Result, image, workspace};
use std::process::Command;
use std::time::{Duration, Instant};

/// Run all tests
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the lab scenarios, which boot machines
    #[arg(long)]
    fast: bool,
}

/// One step: its name and the cargo command that is it.
struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    boots_machines: bool,
}

/// In order of cost: what is wrong shows early.
const STEPS: &[Step] = &[
    Step {
        name: "format",
        cargo: &["fmt", "--all", "--check"],
        boots_machines: false,
    },
    Step {
        name: "lints",
        cargo: &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        boots_machines: false,
    },
    Step {
        name: "units, properties, decoders, house rules",
        cargo: &[
            "test",
            "--quiet",
            "--no-fail-fast",
            "--workspace",
            "--exclude",
            "kodo-tests-lab",
            "--exclude",
            "kodo-tests-sim",
            "--exclude",
            "kodo-tests-model",
        ],
        boots_machines: false,
    },
    // Optimised: a simulated hour is thousands of steps.
    Step {
        name: "simulation",
        cargo: &[
            "test",
            "--quiet",
            "--no-fail-fast",
            "--release",
            "--package",
            "kodo-tests-sim",
        ],
        boots_machines: false,
    },
    // Optimised: a million states.
    Step {
        name: "model",
        cargo: &[
            "test",
            "--quiet",
            "--no-fail-fast",
            "--release",
            "--package",
            "kodo-tests-model",
        ],
        boots_machines: false,
    },
    // One at a time: two pairs of emulated machines would starve each other's clocks.
    Step {
        name: "lab scenarios",
        cargo: &[
            "test",
            "--quiet",
            "--no-fail-fast",
            "--package",
            "kodo-tests-lab",
            "--",
            "--test-threads=1",
        ],
        boots_machines: true,
    },
];

pub(crate) fn run(args: &Args, host: &Host) -> Result {
    let mut needs = vec![Need::StaticLinker, Need::Git, Need::Rustfmt, Need::Clippy];
    if !args.fast {
        needs.extend([Need::Qemu, Need::Umoci]);
    }
    host.require(&needs)?;
    let mut done: Vec<(&str, Duration, bool)> = Vec::new();
    if !args.fast {
        println!("== image of the example");
        let start = Instant::now();
        image::prepare(host)?;
        done.push(("image of the example", start.elapsed(), true));
    }
    for step in STEPS
        .iter()
        .filter(|step| !(args.fast && step.boots_machines))
    {
        println!("== {}: cargo {}", step.name, step.cargo.join(" "));
        let start = Instant::now();
        let status = Command::new(cargo())
            .args(step.cargo)
            .current_dir(workspace())
            .status()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        done.push((step.name, start.elapsed(), status.success()));
    }
    println!("== steps");
    for (name, time, passed) in &done {
        println!(
            "{:>7.1} s  {}  {name}",
            time.as_secs_f32(),
            if *passed { "passed" } else { "FAILED" }
        );
    }
    let failed: Vec<&str> = done
        .iter()
        .filter(|(_, _, passed)| !passed)
        .map(|(name, _, _)| *name)
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}
