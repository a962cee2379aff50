//! The lab itself: a cluster of machines on virtual wires.
//!
//! Owns the whole set-up and its end. Acts from outside only: power buttons, cables,
//! consoles, frames, and the nodes' own admin API.

mod cables;
mod disks;
mod parting;
mod power;
mod waiting;
mod witness;

pub use parting::Parting;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::admin::Admin;
use crate::boot::Boot;
use crate::client::Client;
use crate::core::{Core, Wiring};
use crate::error::{Error, Result};
use crate::journal::{Event, Journal};
use crate::machine::argv::Shape;
use crate::machine::{Launch, Machine, MachineState, accel, blueprint, disk};
use crate::options::Options;
use crate::place::Place;
use crate::pump::{Pump, World};
use crate::time::{Clock, LabTime};
use crate::timeline::Timeline;
use crate::wire::fabric::{Fabric, SwitchId};
use crate::wires::Wire;
use crate::wiring::{Doors, Installer, MachineEnds};

pub use witness::WitnessProgram;

/// A running lab. Dropping it ends all of its machines; when the thread is panicking, as
/// in a failed test, the timeline is printed first and its directory kept.
pub struct Lab {
    // The machines end before the wires do.
    machines: Vec<Machine>,
    core: Arc<Core>,
    boot: Boot,
    options: Options,
    doors: Doors,
    lan: Option<SwitchId>,
    witness: Mutex<Option<witness::Attendant>>,
    place: Place,
}

/// A moment in the lab, to look at what came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: LabTime,
    /// How many events there were.
    pub events: usize,
}

impl Lab {
    /// Sets up the cluster of a `boot.json`; every machine is off.
    ///
    /// # Errors
    /// When the file or the host cannot give what the lab needs.
    pub fn start(boot_json: &Path, options: Options) -> Result<Self> {
        Self::with(Boot::read(boot_json)?, options)
    }

    /// Sets up a cluster that may have been changed after it was read: with another image
    /// for one node, or with a machine that poses as another.
    ///
    /// # Errors
    /// When the host cannot give what the lab needs.
    pub fn with(boot: Boot, mut options: Options) -> Result<Self> {
        let accel = match options.accel {
            Some(accel) => accel,
            None => accel::choose().map_err(Error::Command)?,
        };
        options.accel = Some(accel);
        let place = Place::make(options.dir.as_deref())?;
        let clock = Clock::start();
        let journal = Arc::new(Journal::default());
        let fabric = Fabric::new(clock, options.seed, boot.vips.iter().map(|vip| vip.addr));
        let mut world = World::new(clock, fabric, Arc::clone(&journal));
        let mut installer = Installer {
            boot: &boot,
            options: &options,
            dir: place.dir(),
            sockets: place.sockets(),
            world: &mut world,
        };
        let (ends, lan) = installer.machines()?;
        let doors = lan
            .map(|lan| installer.hosts(lan))
            .transpose()?
            .unwrap_or_default();
        let shape = Shape {
            qemu: options.qemu.clone(),
            machine: options.machine.clone(),
            accel,
            memory_mb: options.memory_mb,
            nic_model: options.nic_model,
            pvh: options.pvh,
            extra: options.qemu_args.clone(),
        };
        let mut plans = Vec::new();
        let mut wirings = Vec::new();
        for (index, ends) in ends.into_iter().enumerate() {
            let MachineEnds {
                node,
                boot,
                sockets,
                nics,
                serial,
                ports,
                console,
            } = ends;
            let mut sockets = sockets;
            if let Some(name) = &boot.state_partition {
                let path = place.dir().join(format!("{node}.disk"));
                disk::make(&path, name)?;
                sockets.disk = Some(path);
            }
            let log = place.dir().join(format!("{node}.qemu.log"));
            let launch = Launch::prepare(Arc::clone(&node), boot, shape.clone(), sockets, log)?;
            let plan = blueprint(Arc::clone(&node), index, launch);
            let nics = nics.into_iter().flatten().collect();
            wirings.push(Wiring {
                node,
                nics,
                serial,
                ports,
                console,
                inbox: plan.inbox.clone(),
            });
            plans.push(plan);
        }
        let core = Arc::new(Core {
            clock,
            journal,
            pump: Pump::start(world)?,
            wiring: OnceLock::new(),
        });
        let _ = core.wiring.set(wirings);
        // The hosts' carriers are nobody's news.
        core.pump.with(|world| world.fabric.carrier_changes());
        let machines: Result<Vec<Machine>> = plans
            .into_iter()
            .map(|plan| Machine::start(plan, Arc::clone(&core)))
            .collect();
        Ok(Self {
            machines: machines?,
            core,
            boot,
            options,
            doors,
            lan,
            witness: Mutex::default(),
            place,
        })
    }

    /// The cluster as it was set up.
    #[must_use]
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// The options in force; what was left open has been chosen.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Where captures and logs are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.place.dir()
    }

    /// Where sockets may be made.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.place.sockets()
    }

    /// The nodes' names, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(|machine| &*machine.node)
    }

    /// Time since the lab started.
    #[must_use]
    pub fn now(&self) -> LabTime {
        self.core.clock.now()
    }

    /// This moment.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.now(),
            events: self.core.journal.len(),
        }
    }

    /// Everything that happened.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// Everything that happened, to be read by people.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        Timeline::new(self.core.journal.from(0))
    }

    /// Writes `timeline.txt` and `timeline.json` to the lab's directory, or another.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn save(&self, dir: Option<&Path>) -> Result<()> {
        self.timeline().save(dir.unwrap_or(self.dir()))
    }

    /// What is on the cables and who is seen there.
    #[must_use]
    pub fn wire(&self) -> Wire<'_> {
        Wire::new(&self.core)
    }

    /// The client on the LAN.
    #[must_use]
    pub fn client(&self) -> Client<'_> {
        Client::new(&self.core, self.doors.service)
    }

    /// The loopback port that leads to the service on a node's own address, whoever has the
    /// VIP.
    ///
    /// # Errors
    /// When there is no such node, or it has no address on the LAN.
    pub fn own_port(&self, node: &str) -> Result<u16> {
        let name = &self.machine_named(node)?.node;
        let port = self.doors.own.get(name).copied();
        port.ok_or_else(|| Error::Api {
            node: node.to_owned(),
            what: "has no address on the LAN in boot.json".to_owned(),
        })
    }

    /// A node's admin API.
    ///
    /// # Errors
    /// When there is no such node, or it has no address on the LAN.
    pub fn admin(&self, node: &str) -> Result<Admin> {
        let name = Arc::clone(&self.machine_named(node)?.node);
        let port = self.doors.admin.get(&name).copied();
        let port = port.ok_or_else(|| Error::Api {
            node: node.to_owned(),
            what: "has no address on the LAN in boot.json".to_owned(),
        })?;
        Ok(Admin::new(name, port, self.options.token.clone()))
    }

    /// Adds a remark to the timeline.
    pub fn note(&self, text: &str) {
        self.act(text.to_owned());
    }

    pub(crate) fn act(&self, text: String) {
        self.core.note(Event::Action { text });
    }

    fn machine_named(&self, node: &str) -> Result<&Machine> {
        self.machines
            .iter()
            .find(|machine| *machine.node == *node)
            .ok_or_else(|| Error::Unknown {
                kind: "node",
                name: node.to_owned(),
                known: self.nodes().map(str::to_owned).collect(),
            })
    }

    /// A machine's state for a thread that outlasts a look at it.
    pub(crate) fn shared_state(&self, node: &str) -> Result<Arc<Mutex<MachineState>>> {
        Ok(Arc::clone(&self.machine_named(node)?.state))
    }

    fn wiring(&self, node: &str) -> Result<&Wiring> {
        self.machine_named(node)?;
        let all = self
            .core
            .wiring
            .get()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let found = all.iter().find(|wiring| *wiring.node == *node);
        found.ok_or_else(|| Error::Command(format!("{node} is not wired")))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.machines.clear();
        // The record of a lab whose directory is gone is no loss worth a second panic.
        let _ = self.save(None);
        if std::thread::panicking() {
            self.place.keep();
            eprintln!(
                "{}\ncaptures and consoles: {}",
                self.timeline(),
                self.dir().display()
            );
        }
    }
}
