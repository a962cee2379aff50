//! From the whole cluster to one node's configuration, in its parts' own terms.
//!
//! Owns the numbering: nodes, paths, ports, lines, VIPs and services keep their position
//! in the file; resources are the services, then the VIPs, then the roles that groups
//! promote to, by group. Every bound of a part was
//! checked with the file, so nothing here can overflow.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use heapless::{String, Vec};
use kodo_engine::config as engine;
use kodo_engine::timing::wait_bound;
use kodo_engine::{GroupId, NodeId, NodeSet, ResourceId, limits};
use kodo_netstack::config as netstack;
use kodo_netstack::{IfIndex, Prefix};
use kodo_node::Seats;
use kodo_node::config::{Target, Wire};
use kodo_node::io::{Line, Port, ServiceId};
use kodo_supervisor::{ProbeConfig, ServiceConfig};

use crate::cluster::{
    Bond, Cidr, Cluster, EvenSplit, Failback, Group, HealthRule, Member, Node, OnStopFailure, Path,
    PathKind, Role, Service, SplitBrain, Worth, guard,
};
use crate::words;

/// The shortest time after which a privileged helper is overdue. Binding an address
/// takes microseconds; a driver that resets a port holds the kernel's lock for tenths of
/// a second.
const ACT_TIMEOUT: Duration = Duration::from_secs(1);

/// A name that is no node of the cluster file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownNode {
    /// The name asked for.
    pub name: std::string::String,
    /// The names there are.
    pub known: std::vec::Vec<std::string::String>,
}

impl fmt::Display for UnknownNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the cluster file has no node `{}`; it has {}",
            self.name,
            words::and(&self.known)
        )
    }
}

impl std::error::Error for UnknownNode {}

impl Cluster {
    /// The configuration of the node called `name`.
    ///
    /// # Errors
    /// When the file has no such node.
    pub fn node(&self, name: &str) -> Result<kodo_node::Config, UnknownNode> {
        let position = self.node_by_name(name).ok_or_else(|| UnknownNode {
            name: name.into(),
            known: self.nodes.iter().map(|node| node.name.clone()).collect(),
        })?;
        let node = &self.nodes[position];
        let public = self.public_lan();
        Ok(kodo_node::Config {
            cluster: word(&self.name),
            engine: self.engine(position),
            supervisor: self.supervisor(),
            netstack: self.netstack(node),
            paths: all(self.paths.iter().map(|path| wire(position, path))),
            resources: all(self
                .service_targets()
                .chain(
                    self.vips
                        .iter()
                        .enumerate()
                        .map(|(index, vip)| Target::Vip {
                            index: id(index),
                            port: port(node, vip.lan),
                            address: vip.address.address,
                        }),
                )
                .chain(
                    self.roles()
                        .map(|(_, service)| Target::Role(ServiceId(id(service)))),
                )),
            public: port(node, public),
            act_timeout: self.act_timeout(),
            drills: self.drills,
        })
    }

    /// The same of a node that runs another file and goes over to this one: every service and
    /// VIP keeps its number. Also which numbers this file's services have there, in its order.
    ///
    /// # Errors
    /// When the file has no such node, or a number is wanted that is not there.
    pub fn node_after(
        &self,
        name: &str,
        running: &kodo_node::Config,
    ) -> Result<(kodo_node::Config, Seats), std::string::String> {
        let mut config = self.node(name).map_err(|error| error.to_string())?;
        let seats = config.seat(running).map_err(|unfit| unfit.to_string())?;
        Ok((config, seats))
    }

    /// Which LAN carries the VIPs.
    fn public_lan(&self) -> usize {
        let public = self.paths.iter().find(|path| path.public);
        public.map_or(0, |path| path.index)
    }

    /// The worst release of a guarded group.
    #[must_use]
    pub fn guard(&self) -> Duration {
        guard(&self.timing, &self.watchdog)
    }

    /// The longest W of the file: a fresh node holds back for so long.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let guarded = self.groups.iter().any(|group| group.guarded);
        let release = if guarded {
            self.guard()
        } else {
            self.timing.release
        };
        wait_bound(self.timing.lease, release)
    }

    fn act_timeout(&self) -> Duration {
        ACT_TIMEOUT.max(self.timing.deadtime)
    }

    fn service_targets(&self) -> impl Iterator<Item = Target> {
        (0..self.services.len()).map(|index| Target::Service(ServiceId(id(index))))
    }

    /// Each group that promotes, and the service that gets the role.
    fn roles(&self) -> impl Iterator<Item = (usize, usize)> {
        let groups = self.groups.iter().enumerate();
        groups.filter_map(|(group, rule)| {
            let mut members = self.groups[rule.promotes?].members.iter();
            let service = members.find_map(|member| match member {
                Member::Service(at) if self.services[*at].promotable => Some(*at),
                Member::Service(_) | Member::Vip(_) => None,
            });
            Some((group, service?))
        })
    }

    /// A group's members, its role first.
    fn members(&self, group: usize) -> impl Iterator<Item = ResourceId> {
        let role = self.roles().position(|(of, _)| of == group);
        let role = role.map(|at| ResourceId(id(self.services.len() + self.vips.len() + at)));
        let members = self.groups[group].members.iter();
        role.into_iter()
            .chain(members.map(|member| self.resource(*member)))
    }

    /// A member's position among all resources.
    fn resource(&self, member: Member) -> ResourceId {
        ResourceId(id(match member {
            Member::Service(index) => index,
            Member::Vip(index) => self.services.len() + index,
        }))
    }

    /// What the engine of the node at a position gets.
    pub(crate) fn engine(&self, me: usize) -> kodo_engine::Config {
        let timing = &self.timing;
        let act = self.act_timeout();
        let services = self.supervisor().services;
        let made = self.services.iter().map(Service::make);
        let made: std::vec::Vec<u32> = made.collect();
        let roles = self.roles().map(|(_, of)| engine::Resource {
            name: role(&services[of].name),
            kind: engine::ResourceKind::Role(ResourceId(id(of))),
            make: made[of],
            // A hook takes as long as a start or stop may, and so does the doubt about it.
            start_timeout: services[of].start_bound() + act,
            stop_timeout: services[of].stop_bound() + act,
        });
        let processes = services
            .iter()
            .zip(&made)
            .map(|(service, make)| engine::Resource {
                name: service.name.clone(),
                kind: engine::ResourceKind::Service,
                make: *make,
                // The supervisor answers within its bound; the helper's last answer comes on top.
                start_timeout: service.start_bound() + act,
                stop_timeout: service.stop_bound() + act,
            });
        let vips = self.vips.iter().map(|vip| engine::Resource {
            name: word(&vip.name),
            kind: engine::ResourceKind::Vip,
            make: vip.make(),
            // Looking for a stranger, binding, and undoing an overdue binding.
            start_timeout: kodo_netstack::limits::PROBE_TIME + act * 3,
            stop_timeout: act * 2,
        });
        kodo_engine::Config {
            cluster_id: self.cluster_id(),
            file_hash: self.file_hash(),
            keys: all(self.keys.iter().cloned()),
            me: NodeId(id(me)),
            nodes: all(self.nodes.iter().map(|node| word(&node.name))),
            votes: all(self.nodes.iter().map(|node| node.votes)),
            timing: engine::Timing {
                keepalive: timing.keepalive,
                warntime: timing.warntime,
                deadtime: timing.deadtime,
                initdead: timing.initdead,
                linkwait: timing.linkwait,
                lease: timing.lease,
                release: timing.release,
                guard: self.guard(),
            },
            split_brain: match self.split_brain {
                SplitBrain::Accept => engine::SplitBrain::Accept,
                SplitBrain::Ping => engine::SplitBrain::PING,
                SplitBrain::Witness => engine::SplitBrain::WITNESS,
                SplitBrain::Quorum => engine::SplitBrain::Votes(match self.even_split {
                    EvenSplit::None => engine::Tie::Nobody,
                    EvenSplit::First => engine::Tie::First,
                }),
            },
            witness_key: self.witness.as_ref().map(|witness| witness.key.clone()),
            pings: !self.ping.is_empty(),
            paths: all(self.paths.iter().map(|path| engine::Path {
                name: word(&path.name),
                keepalive: path.keepalive,
                budget: path.budget,
                public: path.public,
                ends: ends(path),
            })),
            resources: all(processes.chain(vips).chain(roles)),
            groups: all(self
                .groups
                .iter()
                .enumerate()
                .map(|(at, group)| engine::Group {
                    guarded: group.guarded,
                    priority: group.priority,
                    weight: group.weight,
                    clones: group.clones,
                    stickiness: group.stickiness,
                    failback: match group.failback {
                        Failback::Auto => engine::Failback::Auto,
                        Failback::Delayed(delay) => engine::Failback::Delayed(delay),
                        Failback::Manual => engine::Failback::Manual,
                    },
                    migration_threshold: group.migration_threshold,
                    failure_timeout: group.failure_timeout,
                    health: match group.health {
                        HealthRule::None => engine::HealthRule::None,
                        HealthRule::MigrateOnRed => engine::HealthRule::MigrateOnRed,
                        HealthRule::OnlyGreen => engine::HealthRule::OnlyGreen,
                    },
                    start_failure_is_fatal: group.start_failure_is_fatal,
                    on_stop_failure: match group.on_stop_failure {
                        OnStopFailure::Fence => engine::OnStopFailure::Fence,
                        OnStopFailure::Block => engine::OnStopFailure::Block,
                    },
                    ..engine::Group::new(
                        word(&group.name),
                        all(self.members(at)),
                        self.location(group),
                    )
                })),
            capacity: all(self.nodes.iter().map(|node| node.capacity)),
            colocations: all(self.colocations.iter().map(|pair| engine::Colocation {
                group: GroupId(id(pair.group)),
                with: GroupId(id(pair.with)),
                bond: match pair.bond {
                    Bond::Must => engine::Together::Must,
                    Bond::Never => engine::Together::Never,
                    Bond::Score(score) => engine::Together::Score(score),
                },
            })),
            orders: all(self.orders.iter().map(|order| engine::Order {
                first: GroupId(id(order.first)),
                then: GroupId(id(order.then)),
                must: order.must,
            })),
            quarantine: self.quarantine.map(|rule| engine::Quarantine {
                exits: rule.exits,
                window: rule.window,
            }),
            keeps_state: self.nodes[me].state_partition.is_some(),
        }
    }

    /// What each node is worth to a group.
    fn location(&self, group: &Group) -> Vec<Option<engine::Score>, { limits::NODES }> {
        let prefer: std::vec::Vec<_> = group.prefer.iter().map(|node| NodeId(id(*node))).collect();
        let mut scores = engine::ranked(self.nodes.len(), &prefer);
        for location in &group.locations {
            let score = &mut scores[location.node];
            *score = match location.worth {
                Worth::Never => None,
                Worth::Score(more) => score.map(|rank| rank + more),
            };
        }
        scores
    }

    fn supervisor(&self) -> kodo_supervisor::Config {
        kodo_supervisor::Config {
            services: all(self.services.iter().map(|service| ServiceConfig {
                name: word(&service.name),
                start_timeout: service.start_timeout,
                stop_timeout: service.stop_timeout,
                probe: Some(ProbeConfig {
                    interval: service.probe.interval,
                    timeout: service.probe.timeout,
                    rise: service.probe.rise,
                    fall: service.probe.fall,
                }),
                backoff_min: service.backoff_min,
                backoff_max: service.backoff_max,
            })),
        }
    }

    fn netstack(&self, node: &Node) -> kodo_netstack::Config {
        netstack::Config {
            ports: all(node.nics.iter().map(|nic| netstack::PortConfig {
                addresses: all(nic.addresses.iter().map(prefix)),
                gateways: all(nic.gateways.iter().copied()),
            })),
            lines: id(node.serial.len()),
            vips: all(self.vips.iter().map(|vip| netstack::VipConfig {
                address: vip.address.address,
                port: IfIndex(port(node, vip.lan).0),
            })),
            targets: all(self.ping.iter().map(|address| netstack::TargetConfig {
                address: *address,
                port: IfIndex(self.towards(node, *address).0),
                // An answer renews the lease as a heartbeat does; two ways of a lossy LAN lose
                // twice as many.
                interval: self.timing.keepalive / 2,
            })),
            witness: self
                .witness
                .as_ref()
                .map(|witness| netstack::WitnessConfig {
                    address: witness.address,
                    udp: witness.port,
                    port: IfIndex(self.towards(node, witness.address).0),
                }),
        }
    }

    /// The lan port that reaches a ping target: on its network, or by its gateway; the
    /// clients' LAN first.
    fn towards(&self, node: &Node, target: IpAddr) -> Port {
        let public = port(node, self.public_lan());
        let lans = || {
            let public = node
                .nics
                .get(usize::from(public.0))
                .map(|nic| (usize::from(public.0), nic));
            public.into_iter().chain(Self::ports(node, Role::Lan))
        };
        let direct = lans().find(|(_, nic)| nic.addresses.iter().any(|own| own.contains(target)));
        let routed = || {
            lans().find(|(_, nic)| {
                nic.gateways
                    .iter()
                    .any(|gateway| gateway.is_ipv4() == target.is_ipv4())
            })
        };
        direct
            .or_else(routed)
            .map_or(public, |(position, _)| Port(id(position)))
    }
}

/// A node's end of a path, if it has one.
fn wire(node: usize, path: &Path) -> Option<Wire> {
    let end = path.ends.iter().find(|end| end.node == node)?;
    Some(match path.kind {
        PathKind::Crossover | PathKind::Lan => Wire::Port(Port(id(end.port))),
        PathKind::Serial => Wire::Line(Line(id(end.port))),
    })
}

/// The nodes that a path connects.
fn ends(path: &Path) -> NodeSet {
    path.ends.iter().map(|end| NodeId(id(end.node))).collect()
}

/// The port of a node's n-th LAN.
fn port(node: &Node, lan: usize) -> Port {
    let found = Cluster::ports(node, Role::Lan).nth(lan);
    Port(found.map_or(0, |(position, _)| id(position)))
}

fn prefix(cidr: &Cidr) -> Prefix {
    Prefix {
        address: cidr.address,
        len: cidr.prefix,
    }
}

/// A position as an id.
fn id(position: usize) -> u8 {
    u8::try_from(position).unwrap_or_else(|_| unreachable!("checked: tables are short"))
}

/// A name in a bounded string.
fn word<const N: usize>(text: &str) -> String<N> {
    String::try_from(text).unwrap_or_else(|_| unreachable!("checked: names are short"))
}

/// What a service's role is called: no name of the file has a space.
fn role<const N: usize>(service: &str) -> String<N> {
    const WORD: &str = " role";
    let name = &service[..service.len().min(N - WORD.len())];
    word(&format!("{name}{WORD}"))
}

/// Items in a bounded list.
fn all<T, const N: usize>(items: impl Iterator<Item = T>) -> Vec<T, N> {
    let mut list = Vec::new();
    for item in items {
        assert!(list.push(item).is_ok(), "checked: the list has room");
    }
    list
}
