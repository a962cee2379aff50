//! `cargo run -p kodo-tests-fuzz -- TARGET --seconds N`: one target for as long as one likes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use kodo_tests_fuzz::{Budget, TARGETS, Target, run, runner};

/// Feeds the product's decoders with random and mutated bytes until one panics.
#[derive(Parser)]
struct Arguments {
    /// Which target; all of them, one after the other, when none is named.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(
        TARGETS.iter().map(|target| target.name)
    ))]
    target: Option<String>,
    /// How long to go on with each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Start of the random numbers; drawn from the clock when absent, and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Gives the target this one file instead, and lets it panic for real.
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |target: &&Target| {
        arguments
            .target
            .as_ref()
            .is_none_or(|name| name == target.name)
    };
    let seed = arguments.seed.unwrap_or_else(clock);
    for target in TARGETS.iter().filter(wanted) {
        if let Some(file) = &arguments.input {
            match std::fs::read(file) {
                Ok(bytes) => (target.run)(&bytes),
                Err(error) => {
                    eprintln!("cannot read {}: {error}", file.display());
                    return ExitCode::FAILURE;
                }
            }
            println!("{}: no panic", target.name);
            continue;
        }
        let inputs = runner::corpus(target).len();
        println!(
            "{}: seed {seed}, {inputs} inputs to begin with",
            target.name
        );
        match run(
            target,
            seed,
            Budget::Time(Duration::from_secs(arguments.seconds)),
        ) {
            Ok(done) => println!(
                "{}: {} inputs in {:.1} s, no panic",
                target.name,
                done.inputs,
                done.time.as_secs_f64()
            ),
            Err(crash) => {
                eprintln!("{crash}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn clock() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time| {
        u64::from(time.subsec_nanos()) ^ time.as_secs() << 30
    })
}
