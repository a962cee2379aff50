//! The cluster as the image sees it: what to write for each node's loader and which files
//! to carry. Made from a checked cluster file; the file's rules are `kodo-config`'s.
//!
//! Files of the image that come from the cluster:
//!
//! ```text
//! /etc/kodo/cluster.toml   the file, byte for byte
//! /etc/kodo/key            what `key_file` of the cluster names, if it does
//! /etc/kodo/witness        what `key_file` of the witness names, if it does
//! /etc/kodo/tokens         what `tokens_file` names, if it does
//! /etc/kodo/recipe-*.toml  recipes that are not ready ones
//! /etc/kodo/start/SERVICE  what the image knows of how a service with a root is started
//! /srv/SERVICE/...         a service's root; of a built-in one, what `files` names
//! ```

use crate::artefact::{BootNic, BootSerial, BootWitness};
use crate::cache::read;
use crate::error::{Error, Result};
use crate::root;
use kodo_config::cluster::{Cluster, End, NicId, PathKind, ServiceKind};
use kodo_config::{Diagnostic, Secret, Severity, recipe};
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The cluster as the image sees it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Cluster's name.
    pub cluster: String,
    /// Virtual addresses with prefix length.
    pub vips: Vec<String>,
    /// Where the nodes ask a witness, when they do.
    pub witness: Option<BootWitness>,
    /// The nodes' machines in file order.
    pub nodes: Vec<Machine>,
    /// Files of the initramfs.
    pub files: Vec<File>,
    /// Services with a root of their own.
    pub roots: Vec<root::Wanted>,
}

/// One node's hardware as the cluster file tells it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Node's name.
    pub name: String,
    /// Its adapters.
    pub nics: Vec<BootNic>,
    /// Its serial ports.
    pub serial: Vec<BootSerial>,
    /// Whether it has a hardware watchdog.
    pub watchdog: bool,
    /// Name of the partition that keeps operators' wishes, if it has one.
    pub state_partition: Option<String>,
}

/// A file of the initramfs that comes from the cluster.
#[derive(Clone)]
pub struct File {
    /// Path without a leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Where it came from.
    pub origin: String,
}

impl std::fmt::Debug for File {
    /// Leaves the content out: it may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({:o}, {} bytes)",
            self.path,
            self.mode,
            self.content.len()
        )
    }
}

/// Reads and checks a cluster file and everything it names. Returns its warnings as well.
///
/// # Errors
/// Every mistake of the cluster file, or the one file that could not be read.
pub fn load(cluster_file: &Path) -> Result<(Plan, Vec<Diagnostic>)> {
    let text = String::from_utf8(read(cluster_file)?)
        .map_err(|error| Error::file("read", cluster_file, &error).next("save it as UTF-8"))?;
    let name = cluster_file.display().to_string();
    let secrets = RefCell::new(Vec::new());
    let beside = kodo_config::secrets::beside(cluster_file);
    let loader = |secret: Secret, path: &str| {
        let content = beside(secret, path)?;
        let carried = match secret {
            Secret::Key => "key".to_owned(),
            Secret::Witness => "witness".to_owned(),
            Secret::Tokens => "tokens".to_owned(),
            Secret::Recipe => recipe::carried(path),
        };
        secrets.borrow_mut().push(File {
            path: format!("etc/kodo/{carried}"),
            mode: 0o600,
            content: content.clone().into_bytes(),
            origin: path.to_owned(),
        });
        Ok(content)
    };
    let cluster =
        Cluster::parse(&name, &text, &loader).map_err(|mistakes| refused(&name, &mistakes))?;
    let mut files = secrets.into_inner();
    files.push(File {
        path: "etc/kodo/cluster.toml".to_owned(),
        mode: 0o600,
        content: text.into_bytes(),
        origin: name,
    });
    let base = cluster_file.parent().unwrap_or(Path::new(""));
    for service in &cluster.services {
        if let (ServiceKind::Builtin, Some(directory)) = (&service.kind, &service.files) {
            let directory = directory.get_ref();
            let target = format!("srv/{}", service.name);
            add_directory(&base.join(directory), directory, &target, &mut files)?;
        }
    }
    let plan = Plan {
        cluster: cluster.name.clone(),
        vips: cluster
            .vips
            .iter()
            .map(|vip| vip.address.to_string())
            .collect(),
        witness: cluster.witness.as_ref().map(|witness| BootWitness {
            address: witness.address.to_string(),
            port: witness.port,
        }),
        nodes: (0..cluster.nodes.len())
            .map(|position| machine(&cluster, position))
            .collect(),
        files,
        roots: root::wanted(&cluster, base),
    };
    Ok((plan, cluster.notes))
}

fn refused(name: &str, mistakes: &[Diagnostic]) -> Error {
    let errors = mistakes
        .iter()
        .filter(|mistake| mistake.severity == Severity::Error);
    let text: Vec<String> = errors.map(ToString::to_string).collect();
    Error::new(format!("{name} is refused"))
        .because(format!("\n{}", text.join("\n")))
        .next("correct the file; no image was built")
}

fn machine(cluster: &Cluster, position: usize) -> Machine {
    let node = &cluster.nodes[position];
    let nics = node.nics.iter().map(|nic| {
        let mut addresses = nic.addresses.iter().map(ToString::to_string);
        BootNic {
            role: nic.role.word().to_owned(),
            mac: match &nic.id {
                NicId::Mac(mac) => Some(mac.to_string()),
                NicId::Pci(_) | NicId::Order(_) => None,
            },
            pci: match &nic.id {
                NicId::Pci(address) => Some(address.0.clone()),
                NicId::Mac(_) | NicId::Order(_) => None,
            },
            address: addresses.next(),
            more_addresses: addresses.collect(),
        }
    });
    let lines = node.serial.iter().enumerate().map(|(port, line)| Line {
        device: &line.device,
        baud: line.baud,
        peer: other_end(
            cluster,
            End {
                node: position,
                port,
            },
        ),
    });
    Machine {
        name: node.name.clone(),
        nics: nics.collect(),
        serial: serial_ports(&lines.collect::<Vec<_>>()),
        watchdog: true,
        state_partition: node.state_partition.clone(),
    }
}

/// A heartbeat line as its node sees it.
struct Line<'a> {
    device: &'a str,
    baud: u32,
    peer: Option<&'a str>,
}

/// The node at the other end of a serial line.
fn other_end(cluster: &Cluster, end: End) -> Option<&str> {
    let lines = cluster.paths.iter();
    let mut lines = lines.filter(|path| path.kind == PathKind::Serial);
    let line = lines.find(|path| path.ends.contains(&end))?;
    let other = line.ends.iter().find(|other| other.node != end.node)?;
    Some(&cluster.nodes[other.node].name)
}

/// ttyS0, ttyS1, … as far as the last one in use.
fn serial_ports(lines: &[Line<'_>]) -> Vec<BootSerial> {
    let number = |line: &Line<'_>| line.device.strip_prefix("ttyS")?.parse::<usize>().ok();
    let last = lines.iter().filter_map(number).max().unwrap_or(0);
    let port = |port: usize| {
        let line = lines.iter().find(|line| number(line) == Some(port));
        let role = match line {
            Some(_) => "heartbeat",
            None if port == 0 => "console",
            None => "unused",
        };
        BootSerial {
            role: role.to_owned(),
            baud: line.map(|line| line.baud).filter(|baud| *baud != 115_200),
            peer: line.and_then(|line| line.peer).map(str::to_owned),
        }
    };
    (0..=last).map(port).collect()
}

/// Adds a directory's files, links followed. `shown` is how the cluster file calls it.
pub(crate) fn add_directory(
    directory: &Path,
    shown: &str,
    target: &str,
    files: &mut Vec<File>,
) -> Result<()> {
    let refuse = |error: std::io::Error| {
        Error::file("list", directory, &error).next("correct `files` in the cluster file")
    };
    for entry in std::fs::read_dir(directory).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::file(
                "use",
                &entry.path(),
                &format!("{} is not UTF-8", name.display()),
            )
        })?;
        let (path, shown, target) = (
            entry.path(),
            format!("{}/{name}", shown.trim_end_matches('/')),
            format!("{target}/{name}"),
        );
        let meta = std::fs::metadata(&path).map_err(refuse)?;
        if meta.is_dir() {
            add_directory(&path, &shown, &target, files)?;
        } else {
            files.push(File {
                path: target,
                mode: 0o644 | (meta.permissions().mode() & 0o111),
                content: read(&path)?,
                origin: shown,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{make_directory, write};

    #[test]
    fn serial_ports_are_counted_from_the_console() {
        let roles = |lines: &[(&'static str, u32)]| -> Vec<String> {
            let lines = lines.iter().map(|&(device, baud)| Line {
                device,
                baud,
                peer: None,
            });
            let ports = serial_ports(&lines.collect::<Vec<_>>()).into_iter();
            ports
                .map(|port| format!("{}{}", port.role, port.baud.unwrap_or_default()))
                .collect()
        };
        assert_eq!(roles(&[]), ["console0"]);
        assert_eq!(roles(&[("ttyS1", 115_200)]), ["console0", "heartbeat0"]);
        assert_eq!(
            roles(&[("ttyS3", 19_200), ("ttyUSB0", 9600)]),
            ["console0", "unused0", "unused0", "heartbeat19200"]
        );
    }

    fn example(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(name)
    }

    #[test]
    fn the_examples_tell_where_each_line_leads() {
        let peers = |name: &str| -> Vec<Option<String>> {
            let (plan, _) = load(&example(name)).expect("accepted");
            let nodes = plan.nodes.into_iter();
            let peers = nodes.map(|node| node.serial.into_iter().find_map(|port| port.peer));
            peers.collect()
        };
        let (one, two) = (Some("node1".to_owned()), Some("node2".to_owned()));
        assert_eq!(peers("web.toml"), [two.clone(), one.clone()]);
        assert_eq!(peers("witness.toml"), [two.clone(), one.clone()]);
        assert_eq!(peers("voter.toml"), [two, one, None]);
        assert_eq!(peers("three.toml"), [None, None, None]);
    }

    #[test]
    fn secrets_are_carried_in_files_of_their_own() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let secret = "8f3a61d2c4b5907e1f2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a697887";
        let text = read(&example("witness.toml")).expect("example");
        let text = String::from_utf8(text).expect("UTF-8");
        let (before, inline) = text.rsplit_once("\nkey = ").expect("the witness's key");
        let (_, after) = inline.split_once('\n').expect("a line");
        let file = dir.path().join("cluster.toml");
        let text = format!("{before}\nkey_file = \"w.key\"\n{after}");
        write(&file, text.as_bytes()).expect("cluster file");
        write(&dir.path().join("w.key"), secret.as_bytes()).expect("key");
        let (plan, _) = load(&file).expect("accepted");
        let carried: Vec<_> = plan
            .files
            .iter()
            .filter(|file| String::from_utf8_lossy(&file.content).contains(secret))
            .collect();
        let [only] = carried[..] else {
            panic!("{carried:?}")
        };
        assert_eq!((only.path.as_str(), only.mode), ("etc/kodo/witness", 0o600));
        assert!(!format!("{plan:?}").contains(secret));
    }

    #[test]
    fn a_service_brings_its_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        make_directory(&dir.path().join("css")).expect("css");
        write(&dir.path().join("css/a.css"), b"a").expect("file");
        write(&dir.path().join("index.html"), b"<p>").expect("file");
        let mut files = Vec::new();
        add_directory(dir.path(), "site/", "srv/web", &mut files).expect("adds");
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let seen: Vec<_> = files
            .iter()
            .map(|file| (file.path.as_str(), file.origin.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("srv/web/css/a.css", "site/css/a.css"),
                ("srv/web/index.html", "site/index.html")
            ]
        );
        let missing = add_directory(&dir.path().join("no"), "no", "srv/web", &mut files);
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("next: correct `files`")
        );
    }
}
