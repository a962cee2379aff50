//! `kodo`, the operator's command.
//!
//! Owns the words on the command line, the conversation with a node's admin API and what
//! a person reads of it; [`offline`] and [`simulate`] are what needs no node, and [`witness`]
//! a service of its own. Decides nothing: a node that refuses says why, and this repeats it.
//! Needs no privilege and no cluster key, only an operator's token.

mod apply;
mod cli;
mod client;
mod drain;
mod foresee;
mod kept;
mod offline;
mod run;
mod show;
mod simulate;
mod witness;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not mistakes.
            let code = if error.use_stderr() {
                run::USAGE
            } else {
                run::DONE
            };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ExitCode::from(run::run(cli))
}
