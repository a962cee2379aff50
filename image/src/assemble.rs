//! Puts the image together: one initramfs for all nodes of the cluster, made of several
//! archives. The first holds what depends on the kernel's version only (modules and
//! firmware), the second what depends on the cluster and the program, and each of the others
//! the root of one service. The packed form of the first is found in the cache by content, so
//! a rebuild packs only what changed; the others may hold secrets.

use crate::apt::{self, Packages};
use crate::archive::Tree;
use crate::artefact::{self, Boot, BootForm, BootNode, name};
use crate::cache::{Cache, make_directory, read, write};
use crate::error::{Error, Result};
use crate::kernel::{self, Kernel, hex};
use crate::manifest::Contents;
use crate::modules::{Library, MANIFEST, Manifest};
use crate::plan::{self, Plan};
use crate::progress::Progress;
use crate::report::Line;
use crate::{firmware, program, root, sbom};
use kodo_config::Diagnostic;
use kodo_config::start::DIRECTORY;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Packing effort. The modules are packed once per kernel version, so they get the
/// best; the node's part is packed at every rebuild.
const MODULES_LEVEL: i32 = 19;
const NODE_LEVEL: i32 = 12;
/// What the image may weigh besides kernel modules, in bytes.
const NODE_BUDGET: u64 = 8_000_000;

/// What the kernel and PID 1 take for themselves, in bytes.
const KERNEL_MEMORY: u64 = 64_000_000;

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// Root of the workspace whose `init` is built.
    pub workspace: PathBuf,
    /// An `init` at hand instead of building one.
    pub program: Option<PathBuf>,
    /// Where the kernel comes from.
    pub kernel: kernel::Source,
    /// Where the results go.
    pub out: PathBuf,
    /// What the nodes are and carry.
    pub plan: Plan,
}

impl Request {
    /// The ordinary request: everything from the cluster file, kernel from the package
    /// client, program from the workspace. Returns the file's warnings and notes as well.
    ///
    /// # Errors
    /// When the cluster file is refused or names a file that cannot be read.
    pub fn of_cluster(
        workspace: &Path,
        cluster_file: &Path,
        out: &Path,
    ) -> Result<(Self, Vec<Diagnostic>)> {
        let (plan, remarks) = plan::load(cluster_file)?;
        let request = Self {
            workspace: workspace.to_owned(),
            program: None,
            kernel: kernel::Source::Apt,
            out: out.to_owned(),
            plan,
        };
        Ok((request, remarks))
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Path of `boot.json`.
    pub boot: PathBuf,
    /// The size report.
    pub report: Vec<Line>,
}

/// Builds the image into `request.out`.
///
/// # Errors
/// Says which step failed and what to do about it.
pub fn build(request: &Request, cache: &Cache, progress: &mut dyn Progress) -> Result<Built> {
    make_directory(&request.out)?;
    forget(&request.out)?;
    let mut manifest = Manifest::parse(MANIFEST)?;
    if request
        .plan
        .nodes
        .iter()
        .any(|node| node.state_partition.is_some())
    {
        let disks = std::mem::take(&mut manifest.disks);
        manifest.modules.extend(disks);
    }
    let offers = offers(&request.kernel, &manifest)?;
    let kernel = kernel::fetch(&request.kernel, &offers, cache, progress)?;
    let modules = modules_tree(&kernel, &manifest, &offers, cache, progress)?;
    let mut roots = Vec::new();
    for wanted in &request.plan.roots {
        roots.push(root::build(wanted, cache, progress)?);
    }
    let program = match &request.program {
        Some(path) => path.clone(),
        None => program::build(&request.workspace, &program::NODE, progress)?,
    };
    let program = read(&program)?;
    let program_size = program.len() as u64;
    let node = node_tree(&request.plan, &roots, program);
    let services: Vec<Tree> = roots.iter().map(service_tree).collect();
    let trees: Vec<&Tree> = [&modules, &node].into_iter().chain(&services).collect();

    progress.begin("pack the initramfs", None);
    let (mut plain, mut packed) = (Vec::new(), Vec::new());
    for (position, tree) in trees.iter().enumerate() {
        let archive = tree.to_cpio()?;
        packed.push(match position {
            0 => packed_in_cache(&archive, cache)?,
            _ => pack(&archive, NODE_LEVEL)?,
        });
        plain.push(archive);
    }
    let out = |name: &str| request.out.join(name);
    write_private(&out(name::INITRD), &packed.concat())?;
    write_private(&out(name::PVH_INITRD), &plain.concat())?;
    let size = packed.iter().map(|part| part.len() as u64).sum();
    progress.end(&crate::report::size(size));

    copy(&kernel.bzimage(), &out(name::KERNEL))?;
    let pvh = match kernel.elf() {
        Some(elf) => {
            copy(&elf, &out(name::PVH_KERNEL))?;
            Some(BootForm {
                kernel: name::PVH_KERNEL.into(),
                initrd: name::PVH_INITRD.into(),
            })
        }
        None => None,
    };
    let list = Contents::of(&kernel, &trees, &roots);
    write_json(&out(name::MANIFEST), &list)?;
    let bill = sbom::of(&request.plan.cluster, &kernel, &trees, &roots);
    write_json(&out(name::SBOM), &bill)?;
    // Last: whoever finds it finds the rest complete.
    write_loaders(&request.plan, pvh.as_ref(), &request.out)?;

    let line = |what: &str, size, budget| Line {
        what: what.to_owned(),
        size,
        budget,
    };
    let mut report = vec![
        line(
            "kernel",
            std::fs::metadata(kernel.bzimage()).map_or(0, |meta| meta.len()),
            None,
        ),
        line("modules and firmware, packed", packed[0].len() as u64, None),
        line("  unpacked, in the node's RAM", modules.size(), None),
        line(
            "everything else, packed",
            packed[1].len() as u64,
            Some(NODE_BUDGET),
        ),
        line("  unpacked, in the node's RAM", node.size(), None),
        line("  of that, the program", program_size, None),
    ];
    for ((root, tree), packed) in roots.iter().zip(&services).zip(&packed[2..]) {
        report.push(line(
            &format!("service {}, packed", root.name),
            packed.len() as u64,
            None,
        ));
        report.push(line("  unpacked, in the node's RAM", tree.size(), None));
    }
    let unpacked = trees.iter().map(|tree| tree.size()).sum();
    report.push(line(
        "a node's memory, at least",
        memory(size, unpacked),
        None,
    ));
    Ok(Built {
        boot: out(name::BOOT),
        report,
    })
}

/// Memory that a node needs to boot. The kernel gives the file system that it unpacks into
/// half of what there is, and keeps the packed form until it is done; with less, files at the
/// end are missing (`Initramfs unpacking failed: write error`).
fn memory(packed: u64, unpacked: u64) -> u64 {
    KERNEL_MEMORY + packed + 2 * unpacked
}

/// What the package client has for this build. A host that brings its own kernel package
/// may have no client; it then gets no firmware either, which is said later.
fn offers(source: &kernel::Source, manifest: &Manifest) -> Result<Packages> {
    let firmware = manifest.firmware.iter().map(|rule| rule.package.as_str());
    let names: Vec<&str> = kernel::METAPACKAGES.into_iter().chain(firmware).collect();
    match source {
        kernel::Source::Apt => apt::candidates(&names),
        kernel::Source::Deb(_) => Ok(apt::candidates(&names).unwrap_or_default()),
    }
}

/// The archive that depends on the kernel only.
fn modules_tree(
    kernel: &Kernel,
    manifest: &Manifest,
    offers: &Packages,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Tree> {
    progress.begin("gather kernel modules", None);
    let selection = Library::open(&kernel.modules())?.select(&manifest.modules)?;
    progress.end(&format!("{} modules", selection.modules.len()));
    if !selection.builtin.is_empty() {
        progress.note(&format!(
            "built into this kernel: {}",
            selection.builtin.join(", ")
        ));
    }
    let base = format!("lib/modules/{}", kernel.release);
    let origin = format!("{} {}", kernel.origin.package, kernel.origin.version);
    let mut tree = Tree::default();
    tree.file(
        &format!("{base}/modules.index"),
        0o644,
        selection.index().into_bytes(),
        "image/modules.manifest",
    );
    for file in firmware::gather(&selection, &manifest.firmware, offers, cache, progress)? {
        tree.file(
            &format!("lib/firmware/{}", file.name),
            0o644,
            file.content,
            &file.origin,
        );
    }
    for module in selection.modules.into_values() {
        tree.file(
            &format!("{base}/{}", module.path),
            0o644,
            module.elf,
            &origin,
        );
    }
    Ok(tree)
}

/// The archive that depends on cluster and program.
fn node_tree(plan: &Plan, roots: &[root::Built], program: Vec<u8>) -> Tree {
    let mut tree = Tree::default();
    for mount_point in ["dev", "etc", "proc", "run", "srv", "sys"] {
        tree.directory(mount_point, 0o755);
    }
    tree.directory("etc/kodo", 0o700);
    tree.directory("tmp", 0o1777);
    // The kernel opens it for PID 1 before anyone can mount devtmpfs.
    tree.char_device("dev/console", 0o600, 5, 1);
    tree.file("init", 0o755, program, "init");
    for file in &plan.files {
        tree.file(&file.path, file.mode, file.content.clone(), &file.origin);
    }
    for root in roots {
        let path = format!("{}/{}", DIRECTORY.trim_start_matches('/'), root.name);
        tree.file(&path, 0o600, root.start.to_bytes(), "the service's root");
    }
    tree
}

/// The archive of a service's root.
fn service_tree(root: &root::Built) -> Tree {
    let mut tree = Tree::default();
    tree.graft(&format!("srv/{}", root.name), root.tree.clone());
    tree
}

/// Removes what an earlier build left for loaders: parts that do not match shall not
/// look whole, and a node that is no longer in the cluster shall not boot from here.
fn forget(out: &Path) -> Result<()> {
    let path = out.join(name::BOOT);
    let Ok(text) = std::fs::read(&path) else {
        return Ok(());
    };
    if let Ok(old) = serde_json::from_slice::<Boot>(&text) {
        for node in old.nodes.keys() {
            for loader in loaders(node) {
                remove(&out.join(loader))?;
            }
        }
    }
    remove(&path)
}

/// Names of a node's loader files: iPXE, GRUB.
fn loaders(node: &str) -> [String; 2] {
    [format!("{node}.ipxe"), format!("{node}.grub")]
}

fn write_loaders(plan: &Plan, pvh: Option<&BootForm>, out: &Path) -> Result<()> {
    let mut boot = Boot {
        schema: 1,
        cluster: plan.cluster.clone(),
        vips: plan.vips.clone(),
        witness: plan.witness.clone(),
        nodes: std::collections::BTreeMap::new(),
    };
    for machine in &plan.nodes {
        let append = artefact::append(&machine.name);
        let [ipxe, grub] = loaders(&machine.name);
        let script = artefact::ipxe(&plan.cluster, &machine.name, &append);
        write(&out.join(ipxe), script.as_bytes())?;
        let snippet = artefact::grub(&plan.cluster, &machine.name, &append);
        write(&out.join(grub), snippet.as_bytes())?;
        let node = BootNode {
            kernel: name::KERNEL.into(),
            initrd: name::INITRD.into(),
            append,
            nics: machine.nics.clone(),
            serial: machine.serial.clone(),
            watchdog: machine.watchdog,
            state_partition: machine.state_partition.clone(),
            pvh: pvh.cloned(),
        };
        boot.nodes.insert(machine.name.clone(), node);
    }
    write_json(&out.join(name::BOOT), &boot)
}

/// The packed form of an archive without secrets, from the cache when it is there.
fn packed_in_cache(archive: &[u8], cache: &Cache) -> Result<Vec<u8>> {
    let key = format!(
        "packed/{}-{MODULES_LEVEL}.zst",
        hex(&Sha256::digest(archive))
    );
    if let Some(path) = cache.get(&key) {
        return read(&path);
    }
    let packed = pack(archive, MODULES_LEVEL)?;
    let scratch = cache.scratch()?;
    let file = scratch.path().join("packed");
    write(&file, &packed)?;
    cache.put(&key, &file)?;
    Ok(packed)
}

fn pack(archive: &[u8], level: i32) -> Result<Vec<u8>> {
    zstd::encode_all(archive, level)
        .map_err(|error| Error::new("cannot pack the initramfs").because(error))
}

/// Writes a file that holds secrets: for its owner only, from the first byte on.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let refuse = |error: std::io::Error| Error::file("write", path, &error);
    remove(path)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(refuse)?;
    file.write_all(content).map_err(refuse)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| Error::file("write", path, &error))?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Copies a kernel. Removes first, so that a machine that runs from the old one keeps it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|error| Error::file("write", to, &error))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("replace", path, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
