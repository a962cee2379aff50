//! `cargo xtask bench`: the headline figures, as a table and as JSON.

use crate::host::{Host, Need};
use crate::progress::Steps;
use crate::{Result, image, workspace};
use kodo_image::progress::Progress;
use kodo_tests_bench::Plan;
use serde::Serialize;
use std::fmt::Display;
use std::time::Duration;

/// Measure on the booted image; figures, not tests
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
    }
}

/// The table for people, the same for programs.
fn show<T: Serialize + Display>(name: &str, report: &T) -> Result {
    println!("{report}");
    let file = workspace().join(format!("target/bench/{name}.json"));
    std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
    std::fs::write(&file, serde_json::to_vec_pretty(report)?)?;
    println!("the same in {}", file.display());
    Ok(())
}
