//! `cargo xtask image`: a cluster file becomes a directory of bootable files.

use crate::host::{Host, Need};
use crate::progress::Steps;
use crate::{Result, workspace};
use kodo_config::Severity;
use kodo_image::cache::Cache;
use kodo_image::progress::Progress;
use kodo_image::{Built, Request, kernel, report};
use std::path::{Path, PathBuf};

/// Build the boot image of a cluster
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cluster file
    #[arg(long, value_name = "FILE")]
    cluster: PathBuf,
    /// Directory for kernel, initramfs, boot.json and loader snippets
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Debian kernel package to use instead of the one that apt offers
    #[arg(long, value_name = "FILE")]
    kernel_deb: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, host: &Host) -> Result {
    host.require(&[Need::StaticLinker])?;
    let source = match &args.kernel_deb {
        Some(deb) => kernel::Source::Deb(deb.clone()),
        None => kernel::Source::Apt,
    };
    let built = build(&args.cluster, &args.out, source, host)?;
    print!("{}", report::table(&built.report));
    println!("boot any node from {}", built.boot.display());
    if let Some(line) = built.report.iter().find(|line| !line.holds()) {
        return Err(format!("{} is over its budget", line.what.trim()).into());
    }
    Ok(())
}

/// Builds the example's image, so that whoever builds a variant of it later finds the
/// package lists fresh and the kernel unpacked.
pub(crate) fn prepare(host: &Host) -> Result {
    let example = workspace().join("image/examples/web.toml");
    let out = workspace().join("target/lab/example");
    build(&example, &out, kernel::Source::Apt, host).map(drop)
}

/// Builds with progress on standard error; other commands need images too.
pub(crate) fn build(
    cluster: &Path,
    out: &Path,
    source: kernel::Source,
    host: &Host,
) -> Result<Built> {
    let mut steps = Steps::new();
    let (mut request, notes) = Request::of_cluster(&workspace(), cluster, out)?;
    request.kernel = source;
    let (warnings, notes): (Vec<_>, Vec<_>) = notes
        .iter()
        .partition(|message| message.severity == Severity::Warning);
    for warning in warnings {
        eprintln!("{warning}");
    }
    if !notes.is_empty() {
        let (count, file) = (notes.len(), cluster.display());
        steps.note(&format!(
            "{count} remarks on this file's policies: `kodo check {file}` explains"
        ));
    }
    let cache = Cache::user()?;
    match kodo_image::build(&request, &cache, &mut steps) {
        Err(error) if error.stale_lists() && host.update_lists()? => {
            Ok(kodo_image::build(&request, &cache, &mut steps)?)
        }
        done => Ok(done?),
    }
}
