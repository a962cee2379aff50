//! The boot, from the first instruction to the decision loop.
//!
//! Owns the order: a kernel that fails fast before anything can fail; drivers loading in
//! their own process while the cluster file is read; memory locked and real-time
//! priority before the first decision. It waits for nothing but, where the command line
//! does not name the node, the NICs that tell who this machine is.

use std::fs;
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::time::Duration;

use kodo_config::cluster::{Cluster, Mac, ServiceKind};
use kodo_config::start::{self, Start};
use kodo_config::{Bundle, Secret, Severity, recipe};
use kodo_engine::surface::Level;
use kodo_node::{Node, WITNESS_PORT};
use kodo_sys::clock;
use kodo_sys::signal::{Signal, SignalFd};

use crate::pid1::{Lane, Parts, Pid1};
use crate::plan::{self, Plan, Starts};
use crate::wire::{FromDev, MESSAGE, Running, ToDev, ToNet, ToSvc};
use crate::{kernel, last_words, reader};

const CLUSTER_FILE: &str = "/etc/kodo/cluster.toml";
const KEY_FILE: &str = "/etc/kodo/key";
const WITNESS_FILE: &str = "/etc/kodo/witness";
const TOKENS_FILE: &str = "/etc/kodo/tokens";
/// Where services have their files, by name.
const FILES: &str = "/srv";

/// Above the lanes, below the kernel's own threads of the highest class.
const PRIORITY: u8 = 20;
/// How long a machine may look for the NIC that tells who it is.
const IDENTITY: Duration = Duration::from_secs(30);

/// Boots and decides; never returns. `start` is when the first instruction ran.
pub(crate) fn run(start: Duration) -> ! {
    let mut notes = Vec::new();
    kodo_sys::memory::keep_heap();
    notes.extend(
        kernel::mount_all()
            .into_iter()
            .map(|text| (Level::Alert, text)),
    );
    last_words::prepare();
    notes.extend(kernel::settle().into_iter().map(|text| (Level::Warn, text)));
    kodo_sys::process::set_name("kodo");
    match boot(start, notes) {
        Ok((mut pid1, early)) => {
            for (event, descriptor) in early {
                pid1.device(event, descriptor);
            }
            pid1.run()
        }
        Err(why) => last_words::give_up(&why),
    }
}

/// What the dev lane told before the loop began.
type Early = Vec<(FromDev, Option<OwnedFd>)>;

fn boot(start: Duration, mut notes: Vec<(Level, String)>) -> Result<(Pid1, Early), String> {
    let signals = SignalFd::new(&[
        Signal::Child,
        Signal::Terminate,
        Signal::Interrupt,
        Signal::Power,
    ])
    .map_err(|error| format!("signalfd: {error}"))?;
    let lane = |name| {
        Lane::start(name).map_err(|error| format!("the {name} helper does not start: {error}"))
    };
    let (dev, net, svc) = (lane("dev")?, lane("net")?, lane("svc")?);
    let mounted = clock::boottime();

    let (bundle, cluster) = read_cluster()?;
    let mut early = Early::new();
    let position = identify(&cluster, &dev, &mut early)?;
    let name = &cluster.nodes[position].name;
    let config = cluster.node(name).map_err(|error| error.to_string())?;
    let starts = read_starts(&cluster)?;
    let plan = plan::plan(&cluster, position, &config, &starts)?;
    if let Err(error) = kodo_sys::machine::set_hostname(&plan.node) {
        notes.push((Level::Warn, format!("host name: {error}")));
    }
    let disk = match plan.state_partition {
        Some(_) => Some(lane("disk")?),
        None => None,
    };
    set_up_lanes(&plan, &dev, &net, &svc)
        .map_err(|error| format!("a helper takes no setup: {error}"))?;
    let running = Running {
        bundle,
        config: config.clone(),
        starts,
    };
    let running =
        reader::memory(&running).map_err(|error| format!("the running file is not kept: {error}"));
    let file = config.engine.file_hash;
    let configured = clock::boottime();

    notes.extend(harden());
    if cluster.witness.is_some() {
        notes.extend(hold_answers());
    }
    let boot_id = kodo_sys::machine::unique().map_err(|error| format!("no boot id: {error}"))?;
    let seed = kodo_sys::machine::unique().map_err(|error| format!("no seed: {error}"))?;
    let node = Box::new(Node::new(config, boot_id, seed, clock::boottime()));
    let ready = clock::boottime();
    let step = |from: Duration, to: Duration| to.saturating_sub(from).as_millis();
    notes.push((
        Level::Info,
        format!(
            "boot: {} of cluster {}; PID 1 began {} ms after the kernel; {} ms to decide (mounts and helpers {}, cluster file {}, memory {})",
            plan.node,
            cluster.name,
            start.as_millis(),
            step(start, ready),
            step(start, mounted),
            step(mounted, configured),
            step(configured, ready)
        ),
    ));
    let parts = Parts {
        start,
        plan,
        node,
        signals,
        net,
        svc,
        dev,
        disk,
        notes,
        file,
        running,
        files: services_with_files(),
    };
    let pid1 =
        Pid1::new(parts).map_err(|error| format!("the decision loop cannot begin: {error}"))?;
    Ok((pid1, early))
}

/// Reads the cluster file and its secrets, which were checked when the image was built.
fn read_cluster() -> Result<(Bundle, Cluster), String> {
    let text =
        fs::read_to_string(CLUSTER_FILE).map_err(|error| format!("{CLUSTER_FILE}: {error}"))?;
    let load = |secret: Secret, path: &str| {
        let path = match secret {
            Secret::Key => KEY_FILE.to_owned(),
            Secret::Witness => WITNESS_FILE.to_owned(),
            Secret::Tokens => TOKENS_FILE.to_owned(),
            Secret::Recipe => format!("/etc/kodo/{}", recipe::carried(path)),
        };
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    };
    Bundle::gather(CLUSTER_FILE, &text, &load).map_err(|diagnostics| {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })
}

/// Services whose files are in the image.
fn services_with_files() -> Vec<String> {
    let names = fs::read_dir(FILES).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// What the image knows of how services with a root are started.
fn read_starts(cluster: &Cluster) -> Result<Starts, String> {
    let rooted = |kind: &ServiceKind| matches!(kind, ServiceKind::Root(_));
    let services = cluster
        .services
        .iter()
        .filter(|service| rooted(&service.kind));
    let read = |name: &str| {
        let path = format!("{}/{name}", start::DIRECTORY);
        let bytes = fs::read(&path).map_err(|error| error.to_string());
        let start = bytes.and_then(|bytes| Start::from_bytes(&bytes));
        start.map_err(|why| format!("{path}: {why}"))
    };
    services
        .map(|service| Ok((service.name.clone(), read(&service.name)?)))
        .collect()
}

/// Which node this machine is: by the command line, else by its hardware addresses.
fn identify(cluster: &Cluster, dev: &Lane, early: &mut Early) -> Result<usize, String> {
    if let Some(name) = kernel::parameter("kodo.node") {
        return cluster.node_by_name(&name).ok_or_else(|| {
            format!(
                "kodo.node={name} on the kernel's command line: the cluster file has no such node"
            )
        });
    }
    let deadline = clock::boottime() + IDENTITY;
    let mut buffer = vec![0; MESSAGE];
    let mut macs = Vec::new();
    let mut answer = cluster.node_by_mac(&macs);
    while answer.is_err() && clock::boottime() < deadline {
        let left = deadline.saturating_sub(clock::boottime());
        let Some((event, descriptor)) = dev.receive_within(&mut buffer, left) else {
            break;
        };
        if let FromDev::Nic(nic) = &event {
            macs.push(Mac(nic.mac));
            answer = cluster.node_by_mac(&macs);
        }
        early.push((event, descriptor));
    }
    answer.map_err(|error| error.to_string())
}

fn set_up_lanes(plan: &Plan, dev: &Lane, net: &Lane, svc: &Lane) -> kodo_sys::Result<()> {
    let setup = ToDev::Setup {
        lines: plan.lines.clone(),
        watchdog: plan.watchdog,
        softdog: plan.softdog,
    };
    dev.send(&setup, None)?;
    net.send(&ToNet::Gate(plan.duties.vips.clone()), None)?;
    svc.send(&ToSvc::Setup(plan.duties.services.clone()), None)
}

/// The witness's answers are heard past the kernel's IP stack, which must not tell the
/// witness that nobody listens: takes their port for as long as this process lives.
fn hold_answers() -> Option<(Level, String)> {
    match kodo_sys::deaf::hold(WITNESS_PORT) {
        Ok(held) => {
            let _ = held.into_raw_fd();
            None
        }
        Err(error) => Some((
            Level::Warn,
            format!("UDP port {WITNESS_PORT}, to which the witness answers, is not ours: {error}"),
        )),
    }
}

/// Nothing may take memory or processor from this process any more.
fn harden() -> Vec<(Level, String)> {
    let steps = [
        ("locking memory", kodo_sys::memory::lock_all()),
        (
            "real-time priority",
            kodo_sys::schedule::real_time(PRIORITY),
        ),
        (
            "protection from the out-of-memory killer",
            fs::write("/proc/self/oom_score_adj", "-1000"),
        ),
    ];
    let failed = steps
        .into_iter()
        .filter_map(|(what, result)| Some((what, result.err()?)));
    failed
        .map(|(what, error)| (Level::Alert, format!("{what}: {error}")))
        .collect()
}
