//! A new cluster file on this node: seated, staged, adopted.
//!
//! Owns what the parts need so that nothing that runs is disturbed: services, VIPs and
//! resources keep their ids, which are positions. [`Config::seat`] arranges a new file's
//! tables after the running one's; [`Node`] checks that and keeps the file beside the
//! engine, which decides when it runs. Never decides anything itself.

use core::fmt;

use heapless::Vec;
use kodo_engine::ResourceId;
use kodo_engine::config::{Resource, ResourceKind};
use kodo_engine::limits as engine;
use kodo_engine::reload;
use kodo_engine::surface::Level;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Target};
use crate::io::{Output, ServiceId, Token};
use crate::limits;
use crate::node::Node;

/// Where a new file's services sit, in that file's order.
pub type Seats = Vec<ServiceId, { limits::SERVICES }>;

/// Why a cluster file cannot be staged on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unfit {
    /// The engine says no.
    Engine(reload::Unfit),
    /// Ports, lines, static addresses or ping targets differ: that needs a new image.
    Ports,
    /// The tables do not fit each other, or what runs.
    Tables,
    /// What was removed since boot and what is new do not fit beside each other.
    Full,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Engine(unfit) => unfit.fmt(f),
            Unfit::Ports => f.write_str(
                "it changes ports, addresses of a node, or ping targets: that needs new images",
            ),
            Unfit::Tables => f.write_str("its tables do not fit what runs: build it anew"),
            Unfit::Full => f.write_str(
                "too many services or VIPs came and went since boot: \
                 restart the nodes one by one with a new image",
            ),
        }
    }
}

impl Config {
    /// Arranges the tables of a file that was lowered in its own order so that each service
    /// and VIP has the id that it has in `running`. A VIP that was renamed keeps its place by
    /// its address. What is gone leaves its entry, in no group; what is new comes last.
    ///
    /// # Errors
    /// [`Unfit::Full`], or [`Unfit::Tables`] when the tables do not fit each other.
    pub fn seat(&mut self, running: &Config) -> Result<Seats, Unfit> {
        if !self.is_whole() {
            return Err(Unfit::Tables);
        }
        let mut seated = Tables::of(running);
        let mut slots: Vec<usize, { engine::RESOURCES }> = Vec::new();
        let mut seats = Seats::new();
        for (n, resource) in self.engine.resources.iter().enumerate() {
            let mut resource = resource.clone();
            if let ResourceKind::Role(of) = &mut resource.kind {
                let service = slots.get(of.index()).ok_or(Unfit::Tables)?;
                *of = ResourceId::from_index(*service);
            }
            let slot = running.slot_of(&resource, self.resources[n], &slots);
            let slot = seated.put(slot, resource, self, n)?;
            if let Target::Service(service) = seated.targets[slot] {
                seats.push(service).map_err(|_| Unfit::Full)?;
            }
            slots.push(slot).map_err(|_| Unfit::Full)?;
        }
        for group in &mut self.engine.groups {
            for member in &mut group.members {
                *member = ResourceId::from_index(slots[member.index()]);
            }
        }
        self.engine.resources = seated.resources;
        self.resources = seated.targets;
        self.supervisor.services = seated.services;
        self.netstack.vips = seated.vips;
        Ok(seats)
    }

    /// The slot of a resource of another file, if it has one here that is not taken yet.
    fn slot_of(&self, wanted: &Resource, target: Target, taken: &[usize]) -> Option<usize> {
        let free = |n: &usize| !taken.contains(n);
        let all = || (0..self.engine.resources.len()).filter(free);
        let same = |n: &usize| {
            let known = &self.engine.resources[*n];
            (&known.name, known.kind) == (&wanted.name, wanted.kind)
        };
        let Target::Vip { address, .. } = target else {
            return all().find(same);
        };
        let there = |n: &usize| matches!(self.resources[*n], Target::Vip { address: it, .. } if it == address);
        all().find(same).or_else(|| all().find(there))
    }

    /// Every resource has what stands behind it, and groups know their members.
    fn is_whole(&self) -> bool {
        let (engine, targets) = (&self.engine, &self.resources);
        let fits = |(resource, target): (&Resource, &Target)| match *target {
            Target::Vip { index, address, .. } => {
                let vip = self.netstack.vips.get(usize::from(index));
                let known = vip.is_some_and(|vip| vip.address == address);
                let port =
                    vip.is_some_and(|vip| usize::from(vip.port.0) < self.netstack.ports.len());
                resource.kind == ResourceKind::Vip && known && port
            }
            Target::Service(id) => {
                let known = usize::from(id.0) < self.supervisor.services.len();
                resource.kind == ResourceKind::Service && known
            }
            Target::Role(id) => match resource.kind {
                ResourceKind::Role(of) => targets.get(of.index()) == Some(&Target::Service(id)),
                ResourceKind::Vip | ResourceKind::Service => false,
            },
        };
        let twice = |n: usize| {
            targets
                .iter()
                .skip(n + 1)
                .any(|other| is_one(targets[n], *other))
        };
        let mut members = engine.groups.iter().flat_map(|group| &group.members);
        engine.resources.len() == targets.len()
            && engine.resources.iter().zip(targets).all(fits)
            && !(0..targets.len()).any(twice)
            && members.all(|member| member.index() < targets.len())
            && self.supervisor.fault().is_none()
    }

    /// Whether this node could go over from `running` to this file, as far as the engine does
    /// not know.
    fn suits(&self, running: &Config) -> Result<(), Unfit> {
        let (new, old) = (&self.netstack, &running.netstack);
        let wires = (&new.ports, new.lines, &new.targets, &new.witness);
        let same = wires == (&old.ports, old.lines, &old.targets, &old.witness)
            && (&self.paths, self.public, self.act_timeout)
                == (&running.paths, running.public, running.act_timeout);
        if !same {
            return Err(Unfit::Ports);
        }
        let kept = running.resources.len() <= self.resources.len()
            && running.supervisor.services.len() <= self.supervisor.services.len()
            && old.vips.len() <= new.vips.len();
        let mut slots = running.resources.iter().zip(&self.resources);
        match kept && self.is_whole() && slots.all(|(was, is)| is_one(*was, *is)) {
            true => Ok(()),
            false => Err(Unfit::Tables),
        }
    }
}

/// Two targets have one id: the same service or the same VIP's place.
fn is_one(one: Target, other: Target) -> bool {
    match (one, other) {
        (Target::Service(one), Target::Service(other))
        | (Target::Role(one), Target::Role(other)) => one == other,
        (Target::Vip { index: one, .. }, Target::Vip { index: other, .. }) => one == other,
        _ => false,
    }
}

/// The tables in which a resource has its place.
struct Tables {
    resources: Vec<Resource, { engine::RESOURCES }>,
    targets: Vec<Target, { engine::RESOURCES }>,
    services: Vec<kodo_supervisor::ServiceConfig, { kodo_supervisor::limits::SERVICES }>,
    vips: Vec<kodo_netstack::config::VipConfig, { kodo_netstack::limits::VIPS }>,
}

impl Tables {
    fn of(config: &Config) -> Tables {
        Tables {
            resources: config.engine.resources.clone(),
            targets: config.resources.clone(),
            services: config.supervisor.services.clone(),
            vips: config.netstack.vips.clone(),
        }
    }

    /// Puts the n-th resource of a file, which speaks of slots already, into a slot or into a
    /// new one; gives the slot.
    fn put(
        &mut self,
        slot: Option<usize>,
        resource: Resource,
        file: &Config,
        n: usize,
    ) -> Result<usize, Unfit> {
        let known = slot.map(|slot| self.targets[slot]);
        let target = match (file.resources[n], known) {
            (Target::Service(from), known) => {
                let service = file.supervisor.services[usize::from(from.0)].clone();
                let id = match known {
                    Some(Target::Service(id)) => place(&mut self.services, Some(id.0), service)?,
                    _ => place(&mut self.services, None, service)?,
                };
                Target::Service(ServiceId(id))
            }
            (Target::Role(_), _) => match resource.kind {
                ResourceKind::Role(of) => match self.targets.get(of.index()) {
                    Some(Target::Service(id)) => Target::Role(*id),
                    _ => return Err(Unfit::Tables),
                },
                ResourceKind::Vip | ResourceKind::Service => return Err(Unfit::Tables),
            },
            (
                Target::Vip {
                    index: from,
                    port,
                    address,
                },
                known,
            ) => {
                let vip = file.netstack.vips[usize::from(from)];
                let index = match known {
                    Some(Target::Vip { index, .. }) => place(&mut self.vips, Some(index), vip)?,
                    _ => place(&mut self.vips, None, vip)?,
                };
                Target::Vip {
                    index,
                    port,
                    address,
                }
            }
        };
        match slot {
            Some(slot) => (self.resources[slot], self.targets[slot]) = (resource, target),
            None => {
                let pushed = self.resources.push(resource).is_ok();
                if !pushed || self.targets.push(target).is_err() {
                    return Err(Unfit::Full);
                }
            }
        }
        Ok(slot.unwrap_or(self.targets.len() - 1))
    }
}

/// Puts an item where it was, or behind the others; gives its position.
fn place<T, const N: usize>(table: &mut Vec<T, N>, at: Option<u8>, item: T) -> Result<u8, Unfit> {
    match at.and_then(|at| table.get_mut(usize::from(at))) {
        Some(slot) => *slot = item,
        None => table.push(item).map_err(|_| Unfit::Full)?,
    }
    let last = u8::try_from(table.len() - 1).map_err(|_| Unfit::Full)?;
    Ok(at.unwrap_or(last))
}

impl Node {
    /// Keeps a cluster file, seated by [`Config::seat`], to be run next.
    pub(crate) fn stage(&mut self, token: Token, next: &Config) {
        let staged = next.suits(&self.config).and_then(|()| {
            self.engine
                .stage(self.now, &next.engine)
                .map_err(Unfit::Engine)
        });
        let hash = next.engine.file_hash;
        match staged {
            // The engine may have adopted it already, and says so by its next effect.
            Ok(()) => self.staged = (hash != self.config.engine.file_hash).then(|| next.clone()),
            Err(unfit) => self.log.write(
                self.now,
                Level::Warn,
                format_args!(
                    "the new cluster file ({hash:016x}) is refused, nothing changed: {unfit}"
                ),
            ),
        }
        self.verdict = Some((token, staged.map(|()| hash)));
    }

    /// The engine runs the staged file: so do all parts from here on.
    pub(crate) fn adopt(&mut self, hash: u64) -> Option<Output> {
        let next = self.staged.take()?;
        assert!(
            next.engine.file_hash == hash,
            "the engine adopts what was staged with it"
        );
        self.supervisor.adopt(self.now, &next.supervisor, hash);
        self.netstack.adopt(self.now, &next.netstack);
        self.config = next;
        Some(Output::Adopted(hash))
    }
}
