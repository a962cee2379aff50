//! One entry for everything a person types: `cargo xtask COMMAND`. Owns the command line
//! and nothing else; each command is a file of its own.

mod bench;
mod canaries;
mod host;
mod image;
mod lab;
mod model;
mod progress;
mod sim;
mod test;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A failure as a person reads it; the exit code is 1.
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// kodo's workshop: build the image, run the lab, test, measure.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Never install what the host lacks; print the line to type instead
    #[arg(long, global = true)]
    no_install: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Image(image::Args),
    Lab(lab::Args),
    Bench(bench::Args),
    Sim(sim::Args),
    Model(model::Args),
    Test(test::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let host = host::Host::new(!cli.no_install);
    let done = match cli.command {
        Command::Image(args) => image::run(&args, &host),
        Command::Lab(args) => lab::run(&args, &host),
        Command::Bench(args) => bench::run(&args, &host),
        Command::Sim(args) => sim::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Test(args) => test::run(&args, &host),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout.
fn workspace() -> PathBuf {
    // Known at build time: a workshop tool is built where it is used.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Where what is built goes.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
