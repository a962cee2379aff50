//! PID 1 of a node, and everything that PID 1 starts: one static binary under many names.
//!
//! As process 1 it boots the machine and runs the decision loop ([`pid1`]). Started again
//! with a name it is one of the privileged helpers ([`lanes`]), of the unprivileged
//! children ([`child`], [`console`]), the built-in web service and its hook, or what runs an OCF
//! agent ([`ocf`]). It decides nothing
//! about the cluster: `kodo-node` does, and never waits for what happens here.

mod boot;
mod child;
mod console;
mod kernel;
mod lanes;
mod last_words;
mod ocf;
mod pid1;
mod plan;
mod reader;
mod wire;

use std::process::ExitCode;

/// Runs an OCF agent, or serves one.
fn ocf(role: ocf::Role, program: &str, arguments: &[String]) -> ExitCode {
    let result = match role {
        ocf::Role::Runner => ocf::runner::run(arguments),
        ocf::Role::Score => ocf::score::run(program, arguments).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|why| {
        // This is the service's own output.
        eprintln!("{program}: {why}");
        ExitCode::FAILURE
    })
}

fn main() -> ExitCode {
    let start = kodo_sys::clock::boottime();
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    // In a service's root, where the first process is number 1 too.
    if let Some(role) = ocf::role(&program) {
        return ocf(role, &program, &arguments);
    }
    if kodo_sys::machine::pid() == 1 {
        boot::run(start);
    }
    let name = arguments.first().map_or("", String::as_str);
    let result = match name {
        "net" => lanes::net::run().map_err(|error| error.to_string()),
        "svc" => lanes::svc::run().map_err(|error| error.to_string()),
        "disk" => lanes::disk::run().map_err(|error| error.to_string()),
        "dev" => lanes::dev::run().map_err(|error| error.to_string()),
        lanes::feeder::NAME => lanes::feeder::run().map_err(|error| error.to_string()),
        "console" => console::run().map_err(|error| error.to_string()),
        "admin" | "probe" => child::run(name),
        "reader" => reader::run(),
        "web" => child::web(&arguments[1..]),
        "web-role" => child::web_role(&arguments[1..]),
        _ => {
            eprintln!(
                "this is PID 1 of a kodo node: the kernel starts it, not a person; see `kodo --help`"
            );
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Helpers and children have the kernel's log as their standard error, where this
            // is an error's level: it shows on the console.
            eprintln!("<3>kodo: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
