//! Debian's package client, asked for packages and candidates. Owns the commands
//! `apt-cache show`, `apt-get download` and a simulated `apt-get install`; never edits sources, never updates lists,
//! never installs. The client verifies what it downloads against the signed lists.

use crate::error::{Error, Result};
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A package as the client would fetch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Candidate version.
    pub version: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// SHA-256 of the .deb from the signed list, in hex.
    pub sha256: String,
    /// What it depends on, first alternative of each.
    pub depends: Vec<Dependency>,
    /// Names of everything it depends on, all alternatives.
    pub needs: Vec<String>,
    /// Names that it also answers to.
    pub provides: Vec<String>,
}

/// A package that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Its version, where exactly one will do.
    pub version: Option<String>,
}

/// Packages by name.
pub type Packages = BTreeMap<String, Package>;

impl Package {
    /// `name_version`, safe as a file name.
    pub fn tag(&self) -> String {
        tag(&self.name, &self.version)
    }
}

/// See [`Package::tag`].
pub fn tag(name: &str, version: &str) -> String {
    format!("{name}_{}", version.replace(':', "%3a"))
}

/// The candidates of these names. A name that no enabled component carries is left out.
/// One call for many names: the client needs half a second to read its lists.
///
/// # Errors
/// When there is no package client on this host.
pub fn candidates(names: &[&str]) -> Result<Packages> {
    let output = client("apt-cache")
        .args(["show", "--no-all-versions"])
        .args(names)
        .output()
        .map_err(|error| no_client("apt-cache", &error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let stanzas = text.split("\n\n").filter_map(parse);
    Ok(stanzas
        .map(|package| (package.name.clone(), package))
        .collect())
}

/// These packages and all that they depend on, without what is only recommended, as the
/// client would install them on an empty machine.
///
/// # Errors
/// When the client does not know one, or cannot put them together.
pub fn with_dependencies(names: &[String]) -> Result<Packages> {
    let output = client("apt-get")
        .args(["-qq", "install", "--print-uris", "--yes"])
        .arg("--no-install-recommends")
        // What this host has installed is none of the image's business.
        .args(["-o", "Dir::State::status=/dev/null"])
        .args(names)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| no_client("apt-get", &error))?;
    let refuse = |why: &str| {
        Error::new(format!("cannot find the packages {}", names.join(", ")))
            .because(why)
            .for_want_of_lists()
            .next("correct `debian` in the cluster file or its recipe, or refresh the package lists (as root: apt-get update)")
    };
    if !output.status.success() {
        return Err(refuse(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let wanted: BTreeMap<String, String> = text.lines().filter_map(chosen).collect();
    let known: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let mut packages = candidates(&known)?;
    packages.retain(|name, package| wanted.get(name) == Some(&package.version));
    match wanted.keys().find(|name| !packages.contains_key(*name)) {
        Some(lost) => Err(refuse(&format!("{lost} is chosen but not offered"))),
        None => Ok(packages),
    }
}

/// Name and version from a line `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH`.
fn chosen(line: &str) -> Option<(String, String)> {
    let file = line.split_whitespace().nth(1)?.strip_suffix(".deb")?;
    let (name, rest) = file.split_once('_')?;
    let (version, _) = rest.rsplit_once('_')?;
    Some((name.to_owned(), version.replace("%3a", ":")))
}

/// Downloads exactly `package` into `dir` and returns the file's path.
///
/// # Errors
/// When the client fails, with its own last words.
pub fn download(package: &Package, dir: &Path, progress: &mut dyn Progress) -> Result<PathBuf> {
    let mut command = client("apt-get");
    if runs_as_root() {
        // As root the client wants to drop to its own user, who cannot write here; it
        // would do the same as this option says, after a warning that alarms people.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    let mut child = command
        .args(["-qq", "download"])
        .arg(format!("{}={}", package.name, package.version))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| no_client("apt-get", &error))?;
    loop {
        let ended = child
            .try_wait()
            .map_err(|error| Error::new("cannot wait for apt-get download").because(error))?;
        if ended.is_some() {
            break;
        }
        progress.advance(deb_in(dir).map_or(0, |(_, size)| size));
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child
        .wait_with_output()
        .map_err(|error| Error::new("cannot wait for apt-get download").because(error))?;
    match deb_in(dir) {
        Some((path, _)) if output.status.success() => Ok(path),
        _ => Err(Error::new(format!(
            "apt-get download {}={} failed",
            package.name, package.version
        ))
        .because(String::from_utf8_lossy(&output.stderr))
        .for_want_of_lists()
        .next("check the network and the package lists (as root: apt-get update), then run the same command again")),
    }
}

/// One client command with a locale whose output can be parsed.
fn client(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    command
}

fn no_client(program: &str, error: &std::io::Error) -> Error {
    Error::new(format!("cannot run {program}"))
        .because(error)
        .next("build on Debian or a derivative, or give the kernel package yourself with --kernel-deb FILE")
}

/// Whether this process runs as root, told by the owner of its own /proc entry.
fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The .deb in `dir`, finished or growing.
fn deb_in(dir: &Path) -> Option<(PathBuf, u64)> {
    std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        let deb = path.extension().is_some_and(|ext| ext == "deb");
        deb.then(|| (path, entry.metadata().map_or(0, |meta| meta.len())))
    })
}

/// Reads one stanza of `apt-cache show`.
fn parse(stanza: &str) -> Option<Package> {
    let field = |key: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    };
    let depends = field("Depends").unwrap_or_default();
    let all = [depends, field("Pre-Depends").unwrap_or_default()];
    let needs = all.iter().flat_map(|clauses| names(clauses));
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        size: field("Size")?.parse().ok()?,
        sha256: field("SHA256")?.to_owned(),
        depends: depends.split(',').filter_map(dependency).collect(),
        needs: needs.collect(),
        provides: names(field("Provides").unwrap_or_default()).collect(),
    })
}

/// Every name of a list of clauses, without versions and architectures.
fn names(clauses: &str) -> impl Iterator<Item = String> {
    clauses.split([',', '|']).filter_map(|clause| {
        let name = clause.split_whitespace().next()?;
        Some(name.split(':').next().unwrap_or(name).to_owned())
    })
}

/// Reads `name`, `name (= version)` or `name (>= version) | other`.
fn dependency(clause: &str) -> Option<Dependency> {
    let first = clause.split('|').next()?.trim();
    let name = first.split_whitespace().next()?.to_owned();
    let version = first
        .split_once("(= ")
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    let version = version.map(str::to_owned);
    Some(Dependency { name, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stanza() {
        let text = "Package: linux-image-6.12-amd64\nVersion: 6.12.1-1\nInstalled-Size: 13\n\
                    Depends: linux-image-6.12.1+deb12-amd64 (= 6.12.1-1), kmod (>= 3) | x\n\
                    Size: 1324\nSHA256: ab\n";
        let package = parse(text).expect("parses");
        assert_eq!(package.version, "6.12.1-1");
        assert_eq!(package.size, 1324);
        assert_eq!(package.tag(), "linux-image-6.12-amd64_6.12.1-1");
        assert_eq!(
            package.needs,
            ["linux-image-6.12.1+deb12-amd64", "kmod", "x"]
        );
        let [kernel, kmod] = package.depends.as_slice() else {
            panic!("{:?}", package.depends);
        };
        assert_eq!(kernel.name, "linux-image-6.12.1+deb12-amd64");
        assert_eq!(kernel.version.as_deref(), Some("6.12.1-1"));
        assert_eq!(
            (kmod.name.as_str(), kmod.version.as_deref()),
            ("kmod", None)
        );
    }

    #[test]
    fn reads_what_the_client_chose() {
        let line = "'http://x/zlib1g_1%3a1.2.13_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1_amd64.deb 86684 SHA256:ab";
        let want = ("zlib1g".to_owned(), "1:1.2.13.dfsg-1".to_owned());
        assert_eq!(chosen(line), Some(want));
        assert_eq!(chosen("Reading package lists..."), None);
    }

    #[test]
    fn a_stanza_without_a_hash_is_nobodys_package() {
        assert_eq!(parse("Package: x\nVersion: 1\nSize: 3\n"), None);
    }
}
