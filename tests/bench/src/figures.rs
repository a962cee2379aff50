//! Figures and how they read: a table for people, JSON for programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// What the client saw, in milliseconds, one entry a repetition.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outages(Vec<u64>);

impl Outages {
    /// One more repetition.
    pub fn push(&mut self, outage: Duration) {
        self.0
            .push(u64::try_from(outage.as_millis()).unwrap_or(u64::MAX));
        self.0.sort_unstable();
    }

    /// The one in the middle; zero without any.
    #[must_use]
    pub fn median(&self) -> u64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    fn worst(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }
}

/// One profile's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The profile's name in the cluster file.
    pub profile: &'static str,
    /// Its deadtime in milliseconds.
    pub deadtime: u64,
    /// From power-on of both machines to the first page through the VIP, milliseconds.
    pub cold_boot: u64,
    /// The active machine loses power.
    pub power_loss: Outages,
    /// The service's main process is killed; it is restarted in place.
    pub service_crash: Outages,
    /// An operator moves the group.
    pub graceful_move: Outages,
    /// Requests that failed during all graceful moves.
    pub failed_in_moves: usize,
    /// Warnings and alerts logged while nothing happened.
    pub false_alarms: usize,
    /// How long nothing happened, seconds.
    pub idle: u64,
    /// Resident memory of PID 1 on each node, kB.
    pub pid1_kb: Vec<u64>,
}

/// All figures of one run of the bench.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Repetitions of each fault.
    pub times: usize,
    /// Memory of each machine, MB.
    pub machine_mb: u32,
    /// Packed initramfs, bytes; see the image's size report for its parts.
    pub initramfs: u64,
    /// By profile.
    pub runs: Vec<Run>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        writeln!(
            f,
            "client-visible outage, median (worst) of {} in ms; machines of {} MB",
            self.times, self.machine_mb
        )?;
        writeln!(
            f,
            "{:<10}{:>10}{:>18}{:>12}{:>18}{:>18}{:>12}{:>14}",
            "profile",
            "deadtime",
            "power-loss",
            "/deadtime",
            "service-crash",
            "graceful-move",
            "cold boot",
            "false alarms"
        )?;
        for run in &self.runs {
            let pair = |outages: &Outages| format!("{} ({})", outages.median(), outages.worst());
            writeln!(
                f,
                "{:<10}{:>10}{:>18}{:>12.2}{:>18}{:>18}{:>12}{:>8} /{:>3} s",
                run.profile,
                run.deadtime,
                pair(&run.power_loss),
                ratio(run.power_loss.median(), run.deadtime),
                pair(&run.service_crash),
                pair(&run.graceful_move),
                run.cold_boot,
                run.false_alarms,
                run.idle,
            )?;
        }
        for run in &self.runs {
            writeln!(
                f,
                "{}: {} requests failed in {} graceful moves; PID 1 resident {:?} kB",
                run.profile, run.failed_in_moves, self.times, run.pid1_kb
            )?;
        }
        write!(
            f,
            "initramfs, packed: {:.1} MB",
            ratio(self.initramfs, 1_000_000)
        )
    }
}
