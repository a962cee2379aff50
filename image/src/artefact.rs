//! What boots a node besides kernel and initramfs: the kernel's command line, `boot.json`,
//! iPXE scripts and GRUB snippets. `boot.json` is a contract: any hypervisor or PXE
//! server may rely on its fields, which are only ever added to. No secret passes through
//! here: a command line is readable by every process of the node.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Names of the files in the output directory.
pub mod name {
    /// The kernel as packaged, for every loader.
    pub const KERNEL: &str = "vmlinuz";
    /// The initramfs, packed with zstd.
    pub const INITRD: &str = "initramfs.cpio.zst";
    /// The kernel unpacked, with a PVH entry.
    pub const PVH_KERNEL: &str = "vmlinux";
    /// The initramfs, not packed.
    pub const PVH_INITRD: &str = "initramfs.cpio";
    /// The contract.
    pub const BOOT: &str = "boot.json";
    /// The list of contents.
    pub const MANIFEST: &str = "manifest.json";
    /// The bill of materials.
    pub const SBOM: &str = "sbom.spdx.json";
}

/// `boot.json`. Paths are relative to the file itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Boot {
    /// Version of this contract: 1.
    pub schema: u32,
    /// Cluster's name.
    pub cluster: String,
    /// Virtual addresses with prefix length, in file order.
    pub vips: Vec<String>,
    /// Where the nodes ask a witness, when they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<BootWitness>,
    /// By node name.
    pub nodes: BTreeMap<String, BootNode>,
}

/// A host outside the cluster on which `kodo witness` must listen.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BootWitness {
    /// Its address.
    pub address: String,
    /// Its UDP port.
    pub port: u16,
}

/// How to boot one node.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BootNode {
    /// Kernel (bzImage).
    pub kernel: String,
    /// Initramfs.
    pub initrd: String,
    /// Kernel command line.
    pub append: String,
    /// Network adapters in file order.
    pub nics: Vec<BootNic>,
    /// Serial ports: the n-th is ttyS<n>.
    pub serial: Vec<BootSerial>,
    /// Whether the node expects a hardware watchdog (`-device i6300esb` under QEMU).
    pub watchdog: bool,
    /// Name in the GPT of the partition in which it keeps what operators wish; any disk
    /// that has it will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_partition: Option<String>,
    /// The same node in the form that starts fastest under emulation: an ELF kernel with
    /// a PVH entry, both files unpacked. QEMU's `-kernel` and `-initrd` take it as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvh: Option<BootForm>,
}

/// A kernel with its initramfs.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BootForm {
    /// Kernel.
    pub kernel: String,
    /// Initramfs.
    pub initrd: String,
}

/// One network adapter.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BootNic {
    /// `lan` or `crossover`.
    pub role: String,
    /// Its MAC, when the node finds it by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its PCI address, when the node finds it by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<String>,
    /// First static address with prefix length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Further static addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_addresses: Vec<String>,
}

/// One serial port.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BootSerial {
    /// `console`, `heartbeat` or `unused`.
    pub role: String,
    /// Bits per second, where it is not 115200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baud: Option<u32>,
    /// The node at the other end of a heartbeat line. Of several lines to one node the
    /// first goes to that node's first line to this one, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// The kernel's command line for a node.
///
/// Debian's kernel halts for ever on a panic unless told otherwise; a node that is not
/// sure of itself must instead restart. Both consoles: whoever stands before the machine
/// sees the screen, `/dev/console` is the last one, the serial port.
///
/// The kernel's crypto self-tests and the security modules that nothing here configures
/// cost half a second of an emulated boot and guard nothing that the node uses; huge
/// pages bring compaction stalls under a real-time loop.
pub fn append(node: &str) -> String {
    [
        "console=tty0 console=ttyS0,115200",
        &format!("kodo.node={node}"),
        "panic=1 oops=panic softlockup_panic=1 nmi_watchdog=panic",
        "loglevel=4 cryptomgr.notests lsm=lockdown,yama,landlock",
        "transparent_hugepage=never",
    ]
    .join(" ")
}

/// The iPXE script: files are fetched from where the script came from.
pub fn ipxe(cluster: &str, node: &str, append: &str) -> String {
    let (kernel, initrd) = (name::KERNEL, name::INITRD);
    format!(
        "#!ipxe\n\
         # kodo: node {node} of cluster {cluster}\n\
         # The initramfs carries the cluster key: serve it on a trusted network only.\n\
         kernel {kernel} initrd={initrd} {append}\n\
         initrd --name {initrd} {initrd}\n\
         boot\n"
    )
}

/// The GRUB snippet: `source` it, or paste it into grub.cfg.
pub fn grub(cluster: &str, node: &str, append: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# kodo: node {node} of cluster {cluster}");
    let _ = writeln!(
        text,
        "# Set kodo to the directory that holds the files; /kodo unless set."
    );
    let _ = writeln!(text, "if [ -z \"$kodo\" ]; then set kodo=/kodo; fi");
    let _ = writeln!(text, "menuentry 'kodo {cluster} {node}' {{");
    let _ = writeln!(text, "    linux $kodo/{} {append}", name::KERNEL);
    let _ = writeln!(text, "    initrd $kodo/{}", name::INITRD);
    let _ = writeln!(text, "}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(pvh: Option<BootForm>) -> Boot {
        let node = BootNode {
            kernel: name::KERNEL.into(),
            initrd: name::INITRD.into(),
            append: "console=ttyS0".into(),
            nics: vec![
                BootNic {
                    role: "lan".into(),
                    mac: Some("52:54:00:00:01:01".into()),
                    pci: None,
                    address: Some("192.168.0.18/24".into()),
                    more_addresses: Vec::new(),
                },
                BootNic {
                    role: "crossover".into(),
                    mac: Some("52:54:00:00:01:02".into()),
                    pci: None,
                    address: None,
                    more_addresses: Vec::new(),
                },
            ],
            serial: ["console", "heartbeat"]
                .map(|role| BootSerial {
                    role: role.into(),
                    baud: None,
                    peer: None,
                })
                .into(),
            watchdog: true,
            state_partition: None,
            pvh,
        };
        Boot {
            schema: 1,
            cluster: "web".into(),
            vips: vec!["192.168.0.33/24".into()],
            witness: None,
            nodes: [("node1".to_owned(), node)].into(),
        }
    }

    #[test]
    fn the_contract_holds_its_shape() {
        let want = serde_json::json!({
            "schema": 1, "cluster": "web", "vips": ["192.168.0.33/24"],
            "nodes": {"node1": {
                "kernel": "vmlinuz", "initrd": "initramfs.cpio.zst", "append": "console=ttyS0",
                "nics": [
                    {"role": "lan", "mac": "52:54:00:00:01:01", "address": "192.168.0.18/24"},
                    {"role": "crossover", "mac": "52:54:00:00:01:02"}
                ],
                "serial": [{"role": "console"}, {"role": "heartbeat"}],
                "watchdog": true
            }}
        });
        assert_eq!(serde_json::to_value(boot(None)).expect("serialises"), want);
    }

    #[test]
    fn additions_are_optional() {
        let form = BootForm {
            kernel: name::PVH_KERNEL.into(),
            initrd: name::PVH_INITRD.into(),
        };
        let text = serde_json::to_string(&boot(Some(form))).expect("serialises");
        let back: Boot = serde_json::from_str(&text).expect("reads");
        assert_eq!(
            back.nodes["node1"].pvh.as_ref().expect("pvh").kernel,
            "vmlinux"
        );
        let back: Boot =
            serde_json::from_str(&text.replace("\"pvh\"", "\"later\"")).expect("reads");
        assert_eq!(back.nodes["node1"].pvh, None);
    }

    #[test]
    fn a_witness_is_named() {
        let mut boot = boot(None);
        boot.witness = Some(BootWitness {
            address: "192.168.0.5".into(),
            port: 5581,
        });
        let value = serde_json::to_value(boot).expect("serialises");
        let want = serde_json::json!({"address": "192.168.0.5", "port": 5581});
        assert_eq!(value["witness"], want);
    }

    #[test]
    fn loaders_get_the_same_line() {
        let append = append("node2");
        assert!(append.contains("kodo.node=node2") && append.contains("panic=1"));
        let (ipxe, grub) = (ipxe("web", "node2", &append), grub("web", "node2", &append));
        assert!(ipxe.starts_with("#!ipxe\n") && ipxe.contains(&append));
        assert!(grub.contains(&format!("linux $kodo/vmlinuz {append}\n")));
    }
}
