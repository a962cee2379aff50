//! How a machine is told to QEMU.
//!
//! Owns the command line; its parts are the ones that `boot.json` names, so that a QEMU
//! started by hand from that file is the same machine.

use std::path::{Path, PathBuf};

use super::accel::Accel;
use crate::boot::BootNode;
use crate::wire::mac::Mac;

/// The model of the network cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NicModel {
    /// Paravirtual.
    #[default]
    VirtioNet,
    /// A gigabit card of 2002.
    E1000,
    /// Its PCI Express successor.
    E1000e,
}

impl NicModel {
    fn device(self) -> &'static str {
        match self {
            Self::VirtioNet => "virtio-net-pci",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
        }
    }
}

impl std::str::FromStr for NicModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "virtio" | "virtio-net" => Ok(Self::VirtioNet),
            "e1000" => Ok(Self::E1000),
            "e1000e" => Ok(Self::E1000e),
            other => Err(format!(
                "`{other}` is no network card: say virtio, e1000 or e1000e"
            )),
        }
    }
}

/// The machine's shape beyond `boot.json`.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) qemu: PathBuf,
    pub(crate) machine: String,
    pub(crate) accel: Accel,
    pub(crate) memory_mb: u32,
    pub(crate) nic_model: NicModel,
    /// Boots the unpacked kernel where there is one.
    pub(crate) pvh: bool,
    /// Further arguments, last.
    pub(crate) extra: Vec<String>,
}

/// Where the machine's ends are.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    pub(crate) qmp: PathBuf,
    /// By network port.
    pub(crate) nics: Vec<(Mac, PathBuf)>,
    /// By serial port; `None` where nothing is plugged in.
    pub(crate) serial: Vec<Option<PathBuf>>,
    /// The disk's file, where the machine has one.
    pub(crate) disk: Option<PathBuf>,
}

/// The name of the disk, for throttling.
pub(crate) const DISK: &str = "disk";

/// The name of the n-th network card, for `set_link`.
pub(crate) fn nic_id(n: usize) -> String {
    format!("nic{n}")
}

/// QEMU's arguments. It starts stopped (`-S`), so that cables can be set before the guest
/// sees them.
pub(crate) fn arguments(
    name: &str,
    node: &BootNode,
    shape: &Shape,
    sockets: &Sockets,
) -> Vec<String> {
    let cpu = match shape.accel {
        Accel::Kvm => "host",
        // Has RDRAND, without which a kernel waits for randomness.
        Accel::Tcg => "max",
    };
    let mut args: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| {
        args.push(option.to_owned());
        args.push(value);
    };
    add("-name", name.to_owned());
    add(
        "-machine",
        format!("{},accel={}", shape.machine, shape.accel),
    );
    add("-cpu", cpu.to_owned());
    add("-smp", "1".to_owned());
    add("-m", shape.memory_mb.to_string());
    add("-display", "none".to_owned());
    add("-rtc", "base=utc".to_owned());
    add(
        "-action",
        "reboot=reset,shutdown=poweroff,watchdog=reset".to_owned(),
    );
    add("-chardev", socket("qmp", &sockets.qmp));
    add("-mon", "chardev=qmp,mode=control".to_owned());
    let (kernel, initrd) = match &node.pvh {
        Some(form) if shape.pvh => (&form.kernel, &form.initrd),
        _ => (&node.kernel, &node.initrd),
    };
    add("-kernel", kernel.display().to_string());
    add("-initrd", initrd.display().to_string());
    add("-append", node.append.clone());
    for (n, (mac, path)) in sockets.nics.iter().enumerate() {
        add(
            "-netdev",
            format!(
                "stream,id=net{n},server=off,addr.type=unix,addr.path={}",
                escape(path)
            ),
        );
        let mut device = format!(
            "{},id={},netdev=net{n},mac={mac},romfile=",
            shape.nic_model.device(),
            nic_id(n)
        );
        if let Some(slot) = node.nics.get(n).and_then(|nic| nic.pci.as_deref()) {
            // `0000:00:05.0` is slot 5, function 0.
            device += &format!(",addr={}", slot.rsplit(':').next().unwrap_or(slot));
        }
        add("-device", device);
    }
    for (n, path) in sockets.serial.iter().enumerate() {
        match path {
            Some(path) => {
                add("-chardev", socket(&format!("ser{n}"), path));
                add("-serial", format!("chardev:ser{n}"));
            }
            None => add("-serial", "null".to_owned()),
        }
    }
    if let Some(path) = &sockets.disk {
        let file = escape(path);
        add(
            "-drive",
            format!("if=none,id={DISK},format=raw,file={file}"),
        );
        add("-device", format!("virtio-blk-pci,drive={DISK}"));
    }
    if node.watchdog {
        add("-device", "i6300esb".to_owned());
    }
    args.extend(["-nodefaults", "-no-user-config", "-S"].map(str::to_owned));
    args.extend(shape.extra.iter().cloned());
    args
}

fn socket(id: &str, path: &Path) -> String {
    format!("socket,id={id},path={},server=off", escape(path))
}

/// Commas are doubled in QEMU's option lists.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_becomes_arguments() {
        let node: BootNode = serde_json::from_str(
            r#"{"kernel": "/k", "initrd": "/i", "append": "console=ttyS0", "pvh": {"kernel": "/v", "initrd": "/j"},
               "nics": [{"role": "lan", "mac": "52:54:00:00:01:01"}, {"role": "crossover", "pci": "0000:00:05.0"}],
               "serial": [{"role": "console"}, {"role": "unused"}], "watchdog": true}"#,
        )
        .unwrap();
        let mut shape = Shape {
            qemu: "qemu".into(),
            machine: "q35".into(),
            accel: Accel::Tcg,
            memory_mb: 128,
            nic_model: NicModel::E1000,
            pvh: true,
            extra: vec!["-foo".into()],
        };
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let sockets = Sockets {
            qmp: "/s/q".into(),
            nics: vec![(mac, "/s/a,b".into()), (mac, "/s/c".into())],
            serial: vec![Some("/s/0".into()), None],
            disk: Some("/s/d,isk".into()),
        };
        let line = arguments("node1", &node, &shape, &sockets).join(" ");
        for part in [
            "-machine q35,accel=tcg",
            "-m 128",
            "-kernel /v -initrd /j -append console=ttyS0",
            "-netdev stream,id=net0,server=off,addr.type=unix,addr.path=/s/a,,b",
            "-device e1000,id=nic1,netdev=net1,mac=02:00:00:00:00:01,romfile=,addr=05.0",
            "-serial chardev:ser0 -serial null",
            "-drive if=none,id=disk,format=raw,file=/s/d,,isk -device virtio-blk-pci,drive=disk",
            "-device i6300esb",
            "watchdog=reset",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(line.ends_with("-S -foo"));
        shape.pvh = false;
        assert!(
            arguments("node1", &node, &shape, &sockets)
                .join(" ")
                .contains("-kernel /k -initrd /i")
        );
    }
}
