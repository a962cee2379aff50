//! What this machine's processes need from the cluster file, beside the node's own
//! configuration.
//!
//! Owns the translation from [`Cluster`] to setups of ports, lines, services and
//! children, and which of them another file may change while the machine runs ([`Duties`]). Whatever the deciding code needs is `kodo-config`'s to translate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kodo_admin::probe::{Ask, ProbeConfig, Target};
use kodo_admin::web::role::Role;
use kodo_config::cluster::{
    self, Agent, Cluster, NicId, Node, ProbeKind, Root, Service, ServiceKind,
};
use kodo_config::start::Start;
use kodo_node::Seats;
use kodo_node::io::{Line, Port, ServiceId};
use serde::{Deserialize, Serialize};

use crate::wire::{AdminSetup, Hooks, LineSetup, Nic, PortSetup, RootSetup, ServiceSetup};

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

/// What the image knows of how services with a root are started, by their names.
pub(crate) type Starts = BTreeMap<String, Start>;

/// The plan of the node at `position` in the file, which boots it with this configuration.
///
/// # Errors
/// When file and image together do not say how a service is started.
pub(crate) fn plan(
    cluster: &Cluster,
    position: usize,
    config: &kodo_node::Config,
    starts: &Starts,
) -> Result<Plan, String> {
    let seats = (0..cluster.services.len()).map(|number| ServiceId(id(number)));
    let node = &cluster.nodes[position];
    Ok(Plan {
        node: node.name.clone(),
        ports: ports(node),
        lines: lines(node),
        watchdog: cluster.watchdog.timeout,
        softdog: cluster.watchdog.softdog,
        state_partition: node.state_partition.clone(),
        duties: duties(cluster, position, config, &seats.collect(), starts)?,
    })
}

/// What follows from a file for the node at `position` in it, which runs it with this
/// configuration; `seats` are the numbers of the file's services there.
///
/// # Errors
/// As [`plan`].
pub(crate) fn duties(
    cluster: &Cluster,
    position: usize,
    config: &kodo_node::Config,
    seats: &Seats,
    starts: &Starts,
) -> Result<Duties, String> {
    let node = &cluster.nodes[position];
    let numbered = |number: usize| {
        let seat = seats.iter().position(|seat| usize::from(seat.0) == number);
        cluster.services.get(seat?)
    };
    let services = (0..config.supervisor.services.len()).map(numbered);
    let ids = FIRST_SERVICE_ID..;
    let setups = ids.zip(services.clone()).map(|(id, known)| {
        known
            .map(|known| service(cluster, node, known, starts, id))
            .transpose()
    });
    Ok(Duties {
        vips: config.netstack.vips.iter().map(|vip| vip.address).collect(),
        services: setups.collect::<Result<_, _>>()?,
        admin: admin(cluster, node),
        probe: ProbeConfig {
            services: services.map(|known| known.map(target)).collect(),
        },
    })
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

fn service(
    cluster: &Cluster,
    node: &Node,
    service: &Service,
    starts: &Starts,
    id: u32,
) -> Result<ServiceSetup, String> {
    match &service.kind {
        ServiceKind::Builtin => Ok(builtin(cluster, node, service, id)),
        ServiceKind::Root(root) => rooted(cluster, node, service, root, starts, id)
            .map_err(|why| format!("service {}: {why}", service.name)),
    }
}

/// The web server of the image.
fn builtin(cluster: &Cluster, node: &Node, service: &Service, id: u32) -> ServiceSetup {
    let reads = service
        .files
        .as_ref()
        .map(|_| format!("/srv/{}", service.name));
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
    let hook = |role: Role| ["init", "web-role", role.word()].map(str::to_owned);
    let hooks = service.promotable.then(|| Hooks {
        program: SELF.to_owned(),
        promote: hook(Role::Promoted).to_vec(),
        demote: hook(Role::Unpromoted).to_vec(),
    });
    ServiceSetup {
        name: service.name.clone(),
        program: SELF.to_owned(),
        arguments,
        reads,
        root: None,
        hooks,
        agent: false,
        id,
        low_port: service.port < 1024,
        node: node.name.clone(),
        bounds: service.bounds,
        stop_signal: service.stop_signal,
    }
}

/// A program in a root of its own.
fn rooted(
    cluster: &Cluster,
    node: &Node,
    service: &Service,
    root: &Root,
    starts: &Starts,
    id: u32,
) -> Result<ServiceSetup, String> {
    let known = starts.get(&service.name);
    let known = known.ok_or("the image has no root for it; build the image anew")?;
    let launch = root.launch(known)?;
    let (program, arguments) = match &root.agent {
        Some(agent) => (Agent::RUNNER.to_owned(), runner(cluster, service, agent)),
        None => (launch.command, launch.arguments),
    };
    Ok(ServiceSetup {
        name: service.name.clone(),
        program,
        arguments,
        reads: None,
        root: Some(RootSetup {
            directory: format!("/srv/{}", service.name),
            writable: root.writable.clone(),
            environment: launch.environment,
            work: launch.directory,
        }),
        hooks: None,
        agent: root.agent.is_some(),
        id: launch.identity.map_or(id, |identity| identity.user),
        low_port: service.port < 1024,
        node: node.name.clone(),
        bounds: service.bounds,
        stop_signal: service.stop_signal,
    })
}

/// What runs an OCF agent is told of it, the zeroth argument included.
fn runner(cluster: &Cluster, service: &Service, agent: &Agent) -> Vec<String> {
    let time = |name: &str, time: Duration| format!("{name}={}", time.as_millis());
    let mut arguments = vec![
        Agent::RUNNER.to_owned(),
        format!("{}:{}", agent.provider, agent.kind),
        time("start", service.start_timeout),
        time("stop", service.stop_timeout),
        time("monitor", service.probe.timeout),
        time("interval", service.probe.interval),
    ];
    if service.promotable {
        arguments.push(format!("clones={}", cluster.runners().count()));
    }
    arguments
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
        ask: match &service.probe.kind {
            ProbeKind::Tcp => Ask::Tcp,
            ProbeKind::Http { path, status, body } => Ask::Http {
                path: path.clone(),
                status: *status,
                body: body.clone(),
            },
        },
        timeout: service.probe.timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kodo_config::start::Identity;

    fn planned(starts: &Starts) -> Result<Plan, String> {
        let text = include_str!("../../image/examples/services.toml");
        let cluster = Cluster::parse("services.toml", text, &|_, _| Err("none".into())).unwrap();
        let config = cluster.node("node1").unwrap();
        plan(&cluster, 0, &config, starts)
    }

    #[test]
    fn a_service_with_a_root_is_started_in_it() {
        let own = Start::default();
        let named = Start {
            identity: Some(Identity {
                user: 33,
                group: 33,
                groups: Vec::new(),
            }),
            ..Start::default()
        };
        let starts = Starts::from([("pages".to_owned(), named), ("balancer".to_owned(), own)]);
        let plan = planned(&starts).unwrap();
        let [Some(pages), Some(balancer)] = &plan.duties.services[..] else {
            panic!("two services")
        };
        assert_eq!(pages.program, "/usr/sbin/apache2");
        let root = pages.root.as_ref().unwrap();
        assert_eq!(root.directory, "/srv/pages");
        assert_eq!(root.writable, ["/run/apache2"]);
        assert_eq!((pages.id, pages.low_port), (33, true));
        assert_eq!(
            (balancer.id, balancer.low_port),
            (FIRST_SERVICE_ID + 1, false)
        );
    }

    #[test]
    fn a_root_that_the_image_lacks_is_told() {
        let error = planned(&Starts::new()).unwrap_err();
        assert!(
            error.contains("service pages") && error.contains("build the image anew"),
            "{error}"
        );
    }
}
