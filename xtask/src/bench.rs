//! `cargo xtask bench`: the headline figures, as a table and as JSON.

use crate::host::{Host, Need, cargo};
use crate::progress::Steps;
use crate::{Result, image, target, workspace};
use kodo_image::progress::Progress;
use kodo_tests_bench::Plan;
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Measure, on the booted image or beside it; figures, not tests
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Client-visible outage of power-loss, service-crash and graceful-move; boot, memory
    Takeover {
        /// Repetitions of each fault
        #[arg(long, default_value_t = 5)]
        times: usize,
        /// Seconds to watch a healthy pair for false alarms
        #[arg(long, default_value_t = 300)]
        idle: u64,
        /// Memory of each machine in MB
        #[arg(long, default_value_t = 96)]
        memory: u32,
    },
    /// What the kernel's gate costs a packet, beside the same without it; needs root
    Gate {
        /// Rounds of pings, each with the gate and without
        #[arg(long, default_value_t = 30)]
        rounds: usize,
    },
    /// What placing 64 groups on 32 nodes costs the coordinator, quiet and in trouble
    Placement {
        /// Placements of each scene
        #[arg(long, default_value_t = 1_000)]
        times: usize,
    },
    /// What a heartbeat costs the engine, the network and a serial line, by number of nodes
    Engine,
}

pub(crate) fn run(args: &Args, host: &Host) -> Result {
    match args.what {
        What::Takeover {
            times,
            idle,
            memory,
        } => {
            host.require(&[Need::StaticLinker, Need::Qemu])?;
            image::prepare(host)?;
            let plan = Plan {
                times,
                idle: Duration::from_secs(idle),
                machine_mb: memory,
            };
            let mut steps = Steps::new();
            let report = kodo_tests_bench::run(plan, |what| steps.note(what));
            show("takeover", &report)
        }
        What::Gate { rounds } => {
            let mut steps = Steps::new();
            let report = kodo_tests_bench::run_gate(rounds, move |what| steps.note(what))?;
            show("gate", &report)
        }
        What::Placement { times } => {
            let mut steps = Steps::new();
            let report = kodo_tests_bench::run_placement(times, |what| steps.note(what));
            show("placement", &report)
        }
        What::Engine => engine(),
    }
}

/// A program of its own: it counts its allocations, and is optimised as what ships.
fn engine() -> Result {
    let args = ["run", "--quiet", "--package", "kodo-tests-bench-engine"];
    let status = Command::new(cargo())
        .args(args)
        .args(["--profile", "image", "--"])
        .arg(place("engine")?)
        .current_dir(workspace())
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("the engine's bench failed".into()),
    }
}

/// Where the figures of one bench go.
fn place(name: &str) -> Result<PathBuf> {
    let directory = target().join("bench");
    std::fs::create_dir_all(&directory)?;
    Ok(directory.join(format!("{name}.json")))
}

/// The table for people, the same for programs.
fn show<T: Serialize + Display>(name: &str, report: &T) -> Result {
    println!("{report}");
    let file = place(name)?;
    std::fs::write(&file, serde_json::to_vec_pretty(report)?)?;
    println!("the same in {}", file.display());
    Ok(())
}
