//! `cargo xtask lab`: boots the example cluster, or another, in QEMU and gives a prompt;
//! sends a command to a lab that runs; replays a script of faults.

use crate::host::{Host, Need};
use crate::progress::Steps;
use crate::{Result, image, workspace};
use kodo_image::{kernel, program};
use kodo_qemu::command::script::Script;
use kodo_qemu::front::{self, FrontOptions, control};
use kodo_qemu::{Accel, Lab, NicModel, Options, WitnessProgram};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The token that the example cluster file publishes.
const EXAMPLE_TOKEN: &str = "kodo-example-token";
/// A lab's nodes boot with their witness, so what it forgot is never more than a lab's W old.
const WITNESS_HOLD_OFF: &str = "10s";
/// The variable that holds an operator's token.
const TOKEN_VARIABLE: &str = "KODO_TOKEN";

/// Run a cluster in QEMU: no root, no bridges, virtual cables to pull
///
/// Without COMMAND it builds the image, boots every node and gives a prompt (`help` lists
/// what it knows). With one it sends COMMAND to the lab that runs in this checkout:
/// `cargo xtask lab status`. `cargo xtask lab run SCRIPT` replays a script from a cold
/// start, leaves its timeline and captures, and fails if one of its commands fails.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cluster file; the example by default
    #[arg(long, value_name = "FILE", conflicts_with = "boot")]
    cluster: Option<PathBuf>,
    /// A boot.json that was built before, instead of building one
    #[arg(long, value_name = "FILE")]
    boot: Option<PathBuf>,
    /// Loopback port that leads to the first VIP; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The lab's home: image, captures, consoles, timeline; .lab in this checkout by default
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Memory of each machine in MB
    #[arg(long, value_name = "MB", default_value_t = 128)]
    memory: u32,
    /// Network cards: virtio, e1000 or e1000e
    #[arg(long, value_name = "MODEL", default_value = "virtio")]
    nic: NicModel,
    /// QEMU's machine type
    #[arg(long, value_name = "TYPE", default_value = "q35")]
    machine: String,
    /// What runs the guests: kvm or tcg; by the processor unless said, or by KODO_ACCEL
    #[arg(long)]
    accel: Option<Accel>,
    /// Seed of all chance in the cables
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Operator's token for the nodes' API; by default KODO_TOKEN, or that of the example
    #[arg(long)]
    token: Option<String>,
    /// Go on after the end of the input, for a lab in the background
    #[arg(long)]
    stay: bool,
    /// Debian kernel package to use instead of the one that apt offers
    #[arg(long, value_name = "FILE")]
    kernel_deb: Option<PathBuf>,
    /// A command for the lab that runs, or `run SCRIPT`
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, host: &Host) -> Result {
    let home = args.dir.clone().unwrap_or_else(|| workspace().join(".lab"));
    match args.command.as_slice() {
        [] => {
            let lab = start(args, host, &home, &home.join("log"))?;
            let stay = args.stay;
            Ok(front::run(lab, &FrontOptions { home, stay })?)
        }
        [verb, script] if verb == "run" => {
            let path = Path::new(script);
            let script = Script::read(path)?;
            let name = path.file_stem().unwrap_or_default();
            let lab = start(args, host, &home, &home.join("runs").join(name))?;
            Ok(front::run_script(lab, &script, &home)?)
        }
        [verb, ..] if verb == "run" => Err("`run` needs one script: see qemu/scripts".into()),
        words => {
            let line = match words {
                // Quoted as a whole: `cargo xtask lab "wait outage <= 3s"`.
                [line] => line.clone(),
                words => words
                    .iter()
                    .map(|word| quoted(word))
                    .collect::<Vec<_>>()
                    .join(" "),
            };
            match control::send(&home, &line, &mut std::io::stdout())? {
                true => Ok(()),
                false => Err(format!("`{line}` was not done").into()),
            }
        }
    }
}

/// Builds what is to be booted and sets the lab up; its machines are off.
fn start(args: &Args, host: &Host, home: &Path, log: &Path) -> Result<Lab> {
    if control::is_running(home) {
        return Err(format!(
            "a lab is running in {} already\n  next: `cargo xtask lab quit` ends it, --dir chooses another home",
            home.display()
        )
        .into());
    }
    let boot = match &args.boot {
        Some(boot) => {
            host.require(&[Need::Qemu])?;
            boot.clone()
        }
        None => build(args, host, &home.join("image"))?,
    };
    let options = Options {
        dir: Some(log.to_owned()),
        port: args.port,
        seed: args.seed,
        memory_mb: args.memory,
        machine: args.machine.clone(),
        accel: args.accel,
        nic_model: args.nic,
        gateway: ping_group(args),
        token: Some(token(args)),
        ..Options::default()
    };
    let lab = Lab::start(&boot, options)?;
    if lab.boot().witness.is_some() {
        start_witness(args, host, &lab)?;
    }
    Ok(lab)
}

/// Runs the cluster's witness on this machine, as its cluster file says; its cable is
/// `lan-witness`.
fn start_witness(args: &Args, host: &Host, lab: &Lab) -> Result {
    if args.boot.is_some() {
        eprintln!("the nodes ask a witness that is not there: it needs --cluster FILE to run");
        return Ok(());
    }
    host.require(&[Need::StaticLinker])?;
    let program = program::build(&workspace(), &program::COMMAND, &mut Steps::new())?;
    let file = cluster(args).display().to_string();
    let words = [
        "witness",
        "--hold-off",
        WITNESS_HOLD_OFF,
        "--cluster",
        &file,
    ];
    Ok(lab.start_witness(&WitnessProgram {
        program,
        arguments: words.map(str::to_owned).to_vec(),
    })?)
}

fn build(args: &Args, host: &Host, out: &Path) -> Result<PathBuf> {
    host.require(&[Need::Qemu, Need::StaticLinker])?;
    let source = args
        .kernel_deb
        .clone()
        .map_or(kernel::Source::Apt, kernel::Source::Deb);
    Ok(image::build(&cluster(args), out, source, host)?.boot)
}

fn cluster(args: &Args) -> PathBuf {
    args.cluster
        .clone()
        .unwrap_or_else(|| workspace().join("image/examples/web.toml"))
}

/// What the nodes ping must be there to answer. A file that cannot be read was refused
/// by the build already, or was not asked for.
fn ping_group(args: &Args) -> Vec<IpAddr> {
    if args.boot.is_some() {
        return Vec::new();
    }
    let path = cluster(args);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let beside = kodo_config::secrets::beside(&path);
    let cluster = kodo_config::Cluster::parse(&path.display().to_string(), &text, &beside);
    cluster.map(|cluster| cluster.ping).unwrap_or_default()
}

fn token(args: &Args) -> String {
    let given = args
        .token
        .clone()
        .or_else(|| std::env::var(TOKEN_VARIABLE).ok());
    given.unwrap_or_else(|| EXAMPLE_TOKEN.to_owned())
}

/// A word of the second terminal's command line as the lab's language writes it.
fn quoted(word: &str) -> String {
    if word.contains([' ', '#']) && !word.contains('"') {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}
