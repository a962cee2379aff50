//! `cargo xtask bench`: the headline figures, as a table and as JSON.

use crate::host::{Host, Need};
use crate::progress::Steps;
use crate::{Result, image, workspace};
use kodo_image::progress::Progress;
use kodo_tests_bench::Plan;
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
}

pub(crate) fn run(args: &Args, host: &Host) -> Result {
    host.require(&[Need::StaticLinker, Need::Qemu])?;
    image::prepare(host)?;
    let What::Takeover {
        times,
        idle,
        memory,
    } = args.what;
    let plan = Plan {
        times,
        idle: Duration::from_secs(idle),
        machine_mb: memory,
    };
    let mut steps = Steps::new();
    let report = kodo_tests_bench::run(plan, |what| steps.note(what));
    println!("{report}");
    let file = workspace().join("target/bench/takeover.json");
    std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
    std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    println!("the same in {}", file.display());
    Ok(())
}
