//! `boot.json`: what a hypervisor must know to start a cluster's machines.
//!
//! Owns the reader's side of that contract. Unknown fields are ignored, so that the
//! writer may add some; never looks inside the image.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::wire::mac::Mac;

/// An address with the length of its network prefix, `192.168.0.18/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (addr, prefix) = text
            .split_once('/')
            .ok_or_else(|| format!("`{text}` has no /prefix"))?;
        let addr: IpAddr = addr
            .parse()
            .map_err(|_| format!("`{addr}` is no IP address"))?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        match prefix.parse() {
            Ok(prefix) if prefix <= max => Ok(Self { addr, prefix }),
            _ => Err(format!("`/{prefix}` is no prefix length of {addr}")),
        }
    }
}

/// What a network port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NicRole {
    /// The public network, through a switch.
    Lan,
    /// A cable straight to the other node, or a switch of their own for several.
    Crossover,
}

/// One network port of a node.
#[derive(Clone, Debug, Deserialize)]
pub struct Nic {
    /// What it is for.
    pub role: NicRole,
    /// Its hardware address, when the node finds the port by that.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Its PCI address, `0000:00:05.0`, when the node finds the port by that.
    #[serde(default)]
    pub pci: Option<String>,
    /// The node's first own address there.
    #[serde(default)]
    pub address: Option<Cidr>,
    /// The node's further addresses there.
    #[serde(default)]
    pub more_addresses: Vec<Cidr>,
}

impl Nic {
    /// All of the node's own addresses there.
    pub fn addresses(&self) -> impl Iterator<Item = Cidr> {
        self.address
            .into_iter()
            .chain(self.more_addresses.iter().copied())
    }
}

/// What a serial port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SerialRole {
    /// The console of the node.
    Console,
    /// A null-modem line to another node.
    Heartbeat,
    /// Nothing is plugged in.
    Unused,
}

/// One serial port of a node, in the order ttyS0, ttyS1, ….
#[derive(Clone, Debug, Deserialize)]
pub struct Serial {
    /// What it is for.
    pub role: SerialRole,
    /// Its speed in baud.
    #[serde(default = "Serial::default_baud")]
    pub baud: u32,
    /// Of a heartbeat line, the node at its other end.
    #[serde(default)]
    pub peer: Option<String>,
}

impl Serial {
    fn default_baud() -> u32 {
        115_200
    }
}

/// A kernel that needs no unpacking (an ELF with a PVH entry), with its initramfs.
#[derive(Clone, Debug, Deserialize)]
pub struct BootForm {
    /// The kernel; absolute once read.
    pub kernel: PathBuf,
    /// The initramfs; absolute once read.
    pub initrd: PathBuf,
}

/// One machine.
#[derive(Clone, Debug, Deserialize)]
pub struct BootNode {
    /// The kernel; absolute once read.
    pub kernel: PathBuf,
    /// The initramfs; absolute once read.
    pub initrd: PathBuf,
    /// The same in the form that starts fastest under emulation.
    #[serde(default)]
    pub pvh: Option<BootForm>,
    /// The kernel's command line.
    pub append: String,
    /// Network ports in their order.
    pub nics: Vec<Nic>,
    /// Serial ports in their order.
    #[serde(default)]
    pub serial: Vec<Serial>,
    /// Whether the node expects a hardware watchdog.
    #[serde(default)]
    pub watchdog: bool,
    /// The name of the partition that it expects on one of its disks.
    #[serde(default)]
    pub state_partition: Option<String>,
}

/// A host outside the cluster that its nodes ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BootWitness {
    /// Its address.
    pub address: IpAddr,
    /// Its UDP port.
    pub port: u16,
}

/// A whole cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Boot {
    /// Version of this contract.
    pub schema: u32,
    /// The cluster's name.
    pub cluster: String,
    /// Its virtual addresses.
    #[serde(default)]
    pub vips: Vec<Cidr>,
    /// Where its nodes ask a witness.
    #[serde(default)]
    pub witness: Option<BootWitness>,
    /// Its machines by node name.
    pub nodes: BTreeMap<String, BootNode>,
}

impl Boot {
    /// The version this reader understands.
    pub const SCHEMA: u32 = 1;

    /// Reads `boot.json` and makes its paths absolute.
    ///
    /// # Errors
    /// [`Error::Boot`] when it cannot be read, is of another schema, or names a file
    /// that is not there.
    pub fn read(path: &Path) -> Result<Self> {
        let fail = |why: String| Error::Boot {
            path: path.to_owned(),
            why,
        };
        let text = std::fs::read_to_string(path).map_err(|e| {
            fail(format!(
                "cannot be read ({e}); `cargo xtask image` writes it"
            ))
        })?;
        let mut boot: Self =
            serde_json::from_str(&text).map_err(|e| fail(format!("is no boot.json: {e}")))?;
        if boot.schema != Self::SCHEMA {
            return Err(fail(format!(
                "has schema {}, this lab reads {}",
                boot.schema,
                Self::SCHEMA
            )));
        }
        if boot.nodes.is_empty() {
            return Err(fail("names no node".to_owned()));
        }
        let base = path.parent().unwrap_or(Path::new("."));
        let base = std::path::absolute(base).map_err(|e| fail(format!("its directory: {e}")))?;
        for (name, node) in &mut boot.nodes {
            let pvh = node
                .pvh
                .iter_mut()
                .flat_map(|form| [&mut form.kernel, &mut form.initrd]);
            for file in [&mut node.kernel, &mut node.initrd].into_iter().chain(pvh) {
                *file = base.join(&*file);
                if !file.is_file() {
                    let file = file.display();
                    return Err(fail(format!(
                        "{name}: {file} is missing; build the image again"
                    )));
                }
            }
        }
        Ok(boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{"schema": 1, "cluster": "web", "vips": ["192.168.0.33/24"], "new": true,
        "witness": {"address": "192.168.0.5", "port": 5581, "new": 1},
        "nodes": {"node1": {"kernel": "k", "initrd": "i", "append": "a",
        "nics": [{"role": "lan", "mac": "52:54:00:00:01:01", "address": "192.168.0.18/24"},
                 {"role": "crossover", "mac": "52:54:00:00:01:02"}],
        "serial": [{"role": "console"}, {"role": "heartbeat"}], "watchdog": true}}}"#;

    #[test]
    fn the_contract_reads() {
        let boot: Boot = serde_json::from_str(EXAMPLE).unwrap();
        let node = &boot.nodes["node1"];
        assert_eq!(
            node.nics[0].address,
            Some(Cidr {
                addr: "192.168.0.18".parse().unwrap(),
                prefix: 24
            })
        );
        let witness = boot.witness.unwrap();
        assert_eq!(
            (witness.address.to_string(), witness.port),
            ("192.168.0.5".to_owned(), 5581)
        );
        assert_eq!(node.nics[1].mac.unwrap().to_string(), "52:54:00:00:01:02");
        assert_eq!(node.serial[1].baud, 115_200);
    }

    #[test]
    fn a_missing_kernel_is_named() {
        let dir = crate::test::TempDir::new();
        let path = dir.path().join("boot.json");
        std::fs::write(&path, EXAMPLE).unwrap();
        let message = Boot::read(&path).unwrap_err().to_string();
        assert!(message.contains("/k is missing"), "{message}");
    }

    #[test]
    fn bad_addresses_are_refused() {
        for bad in ["192.168.0.1", "192.168.0.1/33", "x/24", "::1/129"] {
            assert!(Cidr::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
