//! What this machine's processes need from the cluster file, beside the node's own
//! configuration.
//!
//! Owns the translation from [`Cluster`] to setups of ports, lines, services and
//! children, and which of them another file may change while the machine runs ([`Duties`]). Whatever the deciding code needs is `kodo-config`'s to translate.

use std::net::IpAddr;
use std::time::Duration;

use kodo_admin::probe::{ProbeConfig, Target};
use kodo_admin::web::role::Role;
use kodo_config::cluster::{self, Cluster, NicId, Node, Service, ServiceKind};
use kodo_node::Seats;
use kodo_node::io::{Line, Port, ServiceId};
use serde::{Deserialize, Serialize};

use crate::wire::{AdminSetup, Hooks, LineSetup, Nic, PortSetup, ServiceSetup};

/// This binary, which is every built-in service's program.
const SELF: &str = "/proc/self/exe";
/// User id of the first service; the children's are below.
const FIRST_SERVICE_ID: u32 = 200;

/// The plan of one node.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// This node's name.
    pub(crate) node: String,
    /// By [`Port`].
    pub(crate) ports: Vec<PortPlan>,
    /// By [`Line`].
    pub(crate) lines: Vec<LineSetup>,
    /// Asked of the watchdog's driver.
    pub(crate) watchdog: Duration,
    /// Whether the kernel's software watchdog will do.
    pub(crate) softdog: bool,
    /// The partition that keeps operators' wishes, if any.
    pub(crate) state_partition: Option<String>,
    /// What follows from the file that runs now.
    pub(crate) duties: Duties,
}

/// What changes with the cluster file while the machine runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Duties {
    /// VIPs by their numbers.
    pub(crate) vips: Vec<IpAddr>,
    /// By `ServiceId`; `None` for one that the file no longer has.
    pub(crate) services: Vec<Option<ServiceSetup>>,
    /// For the admin child; `None` where the file wants none.
    pub(crate) admin: Option<AdminSetup>,
    /// For the probe child.
    pub(crate) probe: ProbeConfig,
}

/// One network port.
#[derive(Clone, Debug)]
pub(crate) struct PortPlan {
    port: Port,
    /// As the file knows it, for people.
    pub(crate) role: &'static str,
    public: bool,
    /// How its NIC is found.
    pub(crate) id: NicId,
    addresses: Vec<(IpAddr, u8)>,
    gateways: Vec<IpAddr>,
}

impl PortPlan {
    /// Whether a NIC, the `nth` to appear (from 1), is this port's.
    pub(crate) fn is(&self, nic: &Nic, nth: usize) -> bool {
        match &self.id {
            NicId::Mac(mac) => mac.0 == nic.mac,
            NicId::Pci(address) => nic.pci.as_ref() == Some(&address.0),
            NicId::Order(n) => usize::from(*n) == nth,
        }
    }

    /// What the net lane must do for it.
    pub(crate) fn setup(&self, nic: Nic) -> PortSetup {
        PortSetup {
            port: self.port,
            index: nic.index,
            name: nic.name,
            public: self.public,
            addresses: self.addresses.clone(),
            gateways: self.gateways.clone(),
        }
    }
}

/// A position as the byte that an id is. The file's limits are far below 256.
fn id(position: usize) -> u8 {
    u8::try_from(position).unwrap_or(u8::MAX)
}

/// The plan of the node at `position` in the file, which boots it with this configuration.
pub(crate) fn plan(cluster: &Cluster, position: usize, config: &kodo_node::Config) -> Plan {
    let seats = (0..cluster.services.len()).map(|number| ServiceId(id(number)));
    let node = &cluster.nodes[position];
    Plan {
        node: node.name.clone(),
        ports: ports(node),
        lines: lines(node),
        watchdog: cluster.watchdog.timeout,
        softdog: cluster.watchdog.softdog,
        state_partition: node.state_partition.clone(),
        duties: duties(cluster, position, config, &seats.collect()),
    }
}

/// What follows from a file for the node at `position` in it, which runs it with this
/// configuration; `seats` are the numbers of the file's services there.
pub(crate) fn duties(
    cluster: &Cluster,
    position: usize,
    config: &kodo_node::Config,
    seats: &Seats,
) -> Duties {
    let node = &cluster.nodes[position];
    let numbered = |number: usize| {
        let seat = seats.iter().position(|seat| usize::from(seat.0) == number);
        cluster.services.get(seat?)
    };
    let services = (0..config.supervisor.services.len()).map(numbered);
    let ids = FIRST_SERVICE_ID..;
    let setups = ids
        .zip(services.clone())
        .map(|(id, known)| known.map(|known| service(cluster, node, known, id)));
    Duties {
        vips: config.netstack.vips.iter().map(|vip| vip.address).collect(),
        services: setups.collect(),
        admin: admin(cluster, node),
        probe: ProbeConfig {
            services: services.map(|known| known.map(target)).collect(),
        },
    }
}

fn ports(node: &Node) -> Vec<PortPlan> {
    let ports = node
        .nics
        .iter()
        .enumerate()
        .map(|(position, nic)| PortPlan {
            port: Port(id(position)),
            role: nic.role.word(),
            public: nic.role == cluster::Role::Lan,
            id: nic.id.clone(),
            addresses: nic
                .addresses
                .iter()
                .map(|cidr| (cidr.address, cidr.prefix))
                .collect(),
            gateways: nic.gateways.clone(),
        });
    ports.collect()
}

fn lines(node: &Node) -> Vec<LineSetup> {
    let lines = node
        .serial
        .iter()
        .enumerate()
        .map(|(position, serial)| LineSetup {
            line: Line(id(position)),
            device: serial.device.clone(),
            baud: serial.baud,
        });
    lines.collect()
}

fn service(cluster: &Cluster, node: &Node, service: &Service, id: u32) -> ServiceSetup {
    let reads = service
        .files
        .as_ref()
        .map(|_| format!("/srv/{}", service.name));
    let arguments = match service.kind {
        ServiceKind::Builtin => {
            let mut arguments = vec![
                "init".to_owned(),
                "web".to_owned(),
                format!("port={}", service.port),
                format!("node={}", node.name),
                format!("cluster={}", cluster.name),
            ];
            arguments.extend(reads.iter().map(|reads| format!("directory={reads}")));
            if service.promotable {
                arguments.push("roles".to_owned());
            }
            arguments
        }
    };
    let hooks = service.promotable.then(|| match service.kind {
        ServiceKind::Builtin => {
            let hook = |role: Role| ["init", "web-role", role.word()].map(str::to_owned);
            Hooks {
                program: SELF.to_owned(),
                promote: hook(Role::Promoted).to_vec(),
                demote: hook(Role::Unpromoted).to_vec(),
            }
        }
    });
    ServiceSetup {
        name: service.name.clone(),
        program: SELF.to_owned(),
        arguments,
        reads,
        hooks,
        id,
        low_port: service.port < 1024,
        node: node.name.clone(),
    }
}

fn admin(cluster: &Cluster, node: &Node) -> Option<AdminSetup> {
    let admin = cluster.admin.as_ref()?;
    let lan = Cluster::ports(node, cluster::Role::Lan).flat_map(|(_, nic)| &nic.addresses);
    Some(AdminSetup {
        port: admin.port,
        addresses: lan.map(|cidr| cidr.address).collect(),
        tokens: admin
            .tokens
            .iter()
            .map(|token| (token.name.clone(), token.sha256))
            .collect(),
        nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        groups: cluster
            .groups
            .iter()
            .map(|group| group.name.clone())
            .collect(),
    })
}

/// How a service is asked for its health.
fn target(service: &Service) -> Target {
    Target {
        port: service.port,
        path: service.probe.path.clone(),
        timeout: service.probe.timeout,
    }
}
