//! What a lab may be asked to be.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::probe::ProbeOptions;
use crate::machine::NicModel;
use crate::machine::accel::Accel;

/// How a lab is set up; the default suits tests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Captures, console logs and the timeline go here. Without it they go to a directory of
    /// their own, which is removed in the end unless a test failed.
    pub dir: Option<PathBuf>,
    /// Loopback port that leads to the first VIP; 0 for any free one.
    pub port: u16,
    /// Of all chance in the lab.
    pub seed: u64,
    /// Memory of each machine in MB.
    pub memory_mb: u32,
    /// QEMU's machine type.
    pub machine: String,
    /// What runs the guests; `None` to choose by the processor (see [`crate::accel`]).
    pub accel: Option<Accel>,
    /// Model of the network cards.
    pub nic_model: NicModel,
    /// Boots the unpacked kernel where `boot.json` has one, which is faster under emulation.
    pub pvh: bool,
    /// The QEMU to run.
    pub qemu: PathBuf,
    /// Further arguments for every QEMU.
    pub qemu_args: Vec<String>,
    /// Addresses at which the gateway answers pings. In a network without any of them it has
    /// the first address.
    pub gateway: Vec<IpAddr>,
    /// Port of the service behind each VIP, in the order of `boot.json`; the client does not ask
    /// VIPs beyond them. The timeline tells of the first one's client.
    pub service_ports: Vec<u16>,
    /// Port of the nodes' admin API.
    pub admin_port: u16,
    /// Operator's token for the admin API.
    pub token: Option<String>,
    /// How the client measures.
    pub probe: ProbeOptions,
    /// The LAN is asked for every VIP this often, so that owners show themselves to the
    /// judge; zero for never.
    pub census: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            port: 0,
            seed: 1,
            memory_mb: 128,
            machine: "q35".to_owned(),
            accel: None,
            nic_model: NicModel::default(),
            pvh: true,
            qemu: "qemu-system-x86_64".into(),
            qemu_args: Vec::new(),
            gateway: Vec::new(),
            service_ports: vec![80],
            admin_port: 5580,
            token: None,
            probe: ProbeOptions::default(),
            census: Duration::from_millis(100),
        }
    }
}
