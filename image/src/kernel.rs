//! The kernel: which package, from where, and its unpacked form in the cache.
//!
//! The pick is Debian's 6.12: signed, maintained by the security team, wide driver
//! coverage, a long-term kernel, PVH entry and EFI stub, zstd instead of 6.1's xz (the
//! boot-time decompressor is several times faster), TCX for programs on the NIC.
//! In Debian 12 it comes from the security archive, in Debian 13 it is the default.

use crate::apt::{self, Packages};
use crate::bzimage;
use crate::cache::{Cache, make_directory, read, write};
use crate::deb;
use crate::error::{Error, Result};
use crate::progress::Progress;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Metapackages that lead to the picked kernel, in order of preference.
pub const METAPACKAGES: [&str; 2] = ["linux-image-6.12-amd64", "linux-image-amd64"];
/// The oldest release that will do, by its first two numbers. An older one means package
/// lists from before the pick was there: it lacks programs on the NIC.
const OLDEST: (u32, u32) = (6, 12);
/// Raised when what [`fetch`] leaves in the cache changes shape.
const SHAPE: &str = "1";

/// Where the kernel package comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The host's package client.
    Apt,
    /// A package file at hand, for hosts without such a client.
    Deb(PathBuf),
}

/// What the cache remembers of a kernel's origin.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Origin {
    /// Binary package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// SHA-256 of the .deb.
    pub sha256: String,
}

/// An unpacked kernel package in the cache.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it is called: names cache items made from it.
    pub tag: String,
    /// Package it came from.
    pub origin: Origin,
    /// `uname -r` of this kernel.
    pub release: String,
    root: PathBuf,
}

impl Kernel {
    /// The bzImage as packaged: boots from any loader.
    pub fn bzimage(&self) -> PathBuf {
        self.root.join("vmlinuz")
    }

    /// The unpacked kernel with a PVH entry, when the package's kernel has one.
    pub fn elf(&self) -> Option<PathBuf> {
        Some(self.root.join("vmlinux")).filter(|path| path.exists())
    }

    /// The directory that is `/lib/modules/<release>` on an installed system.
    pub fn modules(&self) -> PathBuf {
        self.root.join("modules")
    }
}

/// Brings the kernel into the cache, unless that version is there already. `offers` are
/// the client's candidates for [`METAPACKAGES`].
///
/// # Errors
/// When no package can be had or it is damaged.
pub fn fetch(
    source: &Source,
    offers: &Packages,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Kernel> {
    match source {
        Source::Apt => {
            let (name, version) = resolve(offers)?;
            let tag = apt::tag(&name, &version);
            if let Some(root) = cache.get(&key(&tag)) {
                return open(tag, root);
            }
            let package = apt::candidates(&[&name])?
                .remove(&name)
                .filter(|package| package.version == version)
                .ok_or_else(|| {
                    no_kernel(&format!("{name} {version} is promised but not offered"))
                })?;
            let scratch = cache.scratch()?;
            progress.begin(&format!("download {name} {version}"), Some(package.size));
            let deb = apt::download(&package, scratch.path(), progress)?;
            progress.end(&crate::report::size(package.size));
            let origin = Origin {
                package: package.name,
                version: package.version,
                sha256: package.sha256,
            };
            unpack(&deb, tag, &origin, scratch.path(), cache, progress)
        }
        Source::Deb(deb) => {
            let sha256 = hex(&Sha256::digest(read(deb)?));
            let name = deb
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let tag = format!("{name}_{}", &sha256[..12]);
            if let Some(root) = cache.get(&key(&tag)) {
                return open(tag, root);
            }
            let mut parts = name.split('_').map(str::to_owned);
            let origin = Origin {
                package: parts.next().unwrap_or_default(),
                version: parts.next().unwrap_or_default(),
                sha256,
            };
            let scratch = cache.scratch()?;
            unpack(deb, tag, &origin, scratch.path(), cache, progress)
        }
    }
}

fn key(tag: &str) -> String {
    format!("kernel-{SHAPE}/{tag}")
}

/// Follows the metapackage to name and version of the package that holds the kernel.
fn resolve(offers: &Packages) -> Result<(String, String)> {
    let meta = METAPACKAGES
        .iter()
        .filter_map(|name| offers.get(*name))
        .find(|meta| release(&meta.version) >= Some(OLDEST))
        .ok_or_else(|| {
            no_kernel(&format!(
                "the package client knows none of {} as {}.{} or later",
                METAPACKAGES.join(", "),
                OLDEST.0,
                OLDEST.1
            ))
        })?;
    let kernel = meta
        .depends
        .iter()
        .find(|need| need.name.starts_with("linux-image-"));
    let kernel = kernel.ok_or_else(|| no_kernel(&format!("{} leads to no kernel", meta.name)))?;
    let version = kernel.version.as_ref().unwrap_or(&meta.version);
    Ok((kernel.name.clone(), version.clone()))
}

/// The first two numbers of a version.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-', '+', '~']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn no_kernel(why: &str) -> Error {
    Error::new("cannot find the kernel package")
        .because(why)
        .for_want_of_lists()
        .next(
            "run `apt-get update` as root (Debian 12 needs its security archive enabled), \
         or give a package with --kernel-deb FILE",
        )
}

fn open(tag: String, root: PathBuf) -> Result<Kernel> {
    let path = root.join("origin.json");
    let origin = serde_json::from_slice(&read(&path)?).map_err(|error| {
        Error::file("understand", &path, &error).next("delete the directory it is in")
    })?;
    let release = String::from_utf8_lossy(&read(&root.join("release"))?).into_owned();
    Ok(Kernel {
        tag,
        origin,
        release,
        root,
    })
}

fn unpack(
    deb: &Path,
    tag: String,
    origin: &Origin,
    scratch: &Path,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Kernel> {
    let root = scratch.join("kernel");
    make_directory(&root)?;
    let total = std::fs::metadata(deb).map(|meta| meta.len()).ok();
    progress.begin("unpack the kernel package", total);
    let mut release = None;
    deb::for_each_file(deb, progress, |path, content| {
        let Some(target) = place(path, &mut release) else {
            return Ok(());
        };
        let target = root.join(target);
        if let Some(parent) = target.parent() {
            make_directory(parent)?;
        }
        let mut file = std::fs::File::create(&target)
            .map_err(|error| Error::file("write", &target, &error))?;
        std::io::copy(content, &mut file).map_err(|error| Error::file("write", &target, &error))?;
        Ok(())
    })?;
    let release = release.ok_or_else(|| {
        Error::file("use", deb, &"it holds no kernel and modules")
            .next("give a linux-image package")
    })?;
    progress.end(&release);
    progress.begin("unpack the kernel for direct boot", None);
    match bzimage::unpack(&read(&root.join("vmlinuz"))?) {
        Ok(elf) => {
            write(&root.join("vmlinux"), &elf)?;
            progress.end(&crate::report::size(elf.len() as u64));
        }
        Err(error) => {
            progress.end("left out");
            progress.note(&format!(
                "the lab boots the packed kernel, which is slower: {error}"
            ));
        }
    }
    write(&root.join("release"), release.as_bytes())?;
    let text = serde_json::to_vec_pretty(origin)
        .map_err(|error| Error::new("cannot write the kernel's origin").because(error))?;
    write(&root.join("origin.json"), &text)?;
    let root = cache.put(&key(&tag), &root)?;
    open(tag, root)
}

/// Where a packaged file goes in the cache; learns the release on the way.
fn place(path: &Path, release: &mut Option<String>) -> Option<PathBuf> {
    let text = path.to_str()?;
    let text = text.strip_prefix("usr/").unwrap_or(text);
    if text.starts_with("boot/vmlinuz-") {
        return Some("vmlinuz".into());
    }
    if text.starts_with("boot/config-") {
        return Some("config".into());
    }
    let (version, rest) = text.strip_prefix("lib/modules/")?.split_once('/')?;
    release.get_or_insert_with(|| version.to_owned());
    Some(Path::new("modules").join(rest))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_preferred_metapackage() {
        let meta = |name: &str, version: &str, kernel: &str| {
            let need = apt::Dependency {
                name: kernel.into(),
                version: Some("2".into()),
            };
            let package = apt::Package {
                name: name.into(),
                version: version.into(),
                size: 0,
                sha256: String::new(),
                depends: vec![need],
                needs: Vec::new(),
                provides: Vec::new(),
            };
            (name.to_owned(), package)
        };
        let mut offers = Packages::from([
            meta(
                "linux-image-6.12-amd64",
                "6.12.9-1~deb12u1",
                "linux-image-6.12.9-amd64",
            ),
            meta("linux-image-amd64", "6.1.172-1", "linux-image-6.1-amd64"),
        ]);
        let want = ("linux-image-6.12.9-amd64".to_owned(), "2".to_owned());
        assert_eq!(resolve(&offers).expect("resolves"), want);
        // Lists from before the pick was there offer only an older kernel.
        offers.remove("linux-image-6.12-amd64");
        let error = resolve(&offers).unwrap_err();
        assert!(error.stale_lists());
        assert!(error.to_string().contains("next: run `apt-get update`"));
    }

    #[test]
    fn places_what_is_needed_and_nothing_else() {
        let mut release = None;
        let mut at = |path: &str| {
            place(Path::new(path), &mut release).map(|path| path.display().to_string())
        };
        assert_eq!(at("boot/vmlinuz-6.12.1").as_deref(), Some("vmlinuz"));
        assert_eq!(at("usr/share/doc/x/copyright"), None);
        assert_eq!(
            at("usr/lib/modules/6.12.1/kernel/drivers/net/virtio_net.ko.xz").as_deref(),
            Some("modules/kernel/drivers/net/virtio_net.ko.xz")
        );
        assert_eq!(release.as_deref(), Some("6.12.1"));
    }
}
