//! The lab itself: a cluster of machines on virtual wires.
//!
//! Owns the whole set-up and its end. Acts from outside only: power buttons, cables,
//! consoles, frames, and the nodes' own admin API.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin::Admin;
use crate::boot::{Boot, Cidr};
use crate::client::Client;
use crate::core::{Core, Wiring};
use crate::error::{Error, Result};
use crate::journal::{Event, Journal};
use crate::machine::argv::Shape;
use crate::machine::{Launch, Machine, MachineState, accel, blueprint};
use crate::options::Options;
use crate::place::Place;
use crate::pump::{Pump, World};
use crate::time::{Clock, LabTime};
use crate::timeline::Timeline;
use crate::wire::fabric::{Direction, Fabric, SwitchId};
use crate::wire::flow::Faults;
use crate::wire::mac::Mac;
use crate::wires::Wire;
use crate::wiring::{Doors, Installer};
use crate::{lan, wiring};

/// A status that comes from a machine is asked for again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
            let wiring::MachineEnds {
                node,
                boot,
                sockets,
                nics,
                serial,
                ports,
                console,
            } = ends;
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

    // ---- power ----

    /// What a machine is up to.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn machine(&self, node: &str) -> Result<MachineState> {
        Ok(self.machine_named(node)?.state())
    }

    /// Switches a machine on; on already is fine.
    ///
    /// # Errors
    /// When there is no such node or QEMU does not start.
    pub fn power_on(&self, node: &str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("power on {node}"));
        machine.power_on()
    }

    /// Switches all machines on at once.
    ///
    /// # Errors
    /// The first machine's that does not start.
    pub fn power_on_all(&self) -> Result<()> {
        self.act("power on all".to_owned());
        std::thread::scope(|scope| {
            let starts: Vec<_> = self
                .machines
                .iter()
                .map(|machine| scope.spawn(|| machine.power_on()))
                .collect();
            starts.into_iter().try_for_each(|start| match start.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Takes a machine's current away; off already is fine.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn power_off(&self, node: &str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("power off {node}"));
        machine.power_off("no current".to_owned())
    }

    /// Presses a machine's reset button.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn reset(&self, node: &str) -> Result<()> {
        self.tell(node, "reset", "system_reset")
    }

    /// Presses a machine's power button, which its system may answer by shutting down.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn button(&self, node: &str) -> Result<()> {
        self.tell(node, "button", "system_powerdown")
    }

    /// Sends a machine a non-maskable interrupt.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn nmi(&self, node: &str) -> Result<()> {
        self.tell(node, "nmi", "inject-nmi")
    }

    /// Stops a machine together with its clocks, as a hypervisor does.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn pause(&self, node: &str) -> Result<()> {
        self.tell(node, "pause", "stop")
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn resume(&self, node: &str) -> Result<()> {
        self.tell(node, "resume", "cont")
    }

    /// Stops a machine's whole emulator while time goes on for it.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn stall(&self, node: &str) -> Result<()> {
        self.signal(node, true)
    }

    /// Lets a stalled machine go on.
    ///
    /// # Errors
    /// When there is no such node or it is off.
    pub fn unstall(&self, node: &str) -> Result<()> {
        self.signal(node, false)
    }

    /// Tells a machine's QEMU anything.
    ///
    /// # Errors
    /// When there is no such node, it is off, or QEMU refuses.
    pub fn qmp(&self, node: &str, command: &'static str, arguments: Value) -> Result<Value> {
        self.machine_named(node)?.command(command, arguments)
    }

    // ---- cables ----

    /// Pulls a cable: carrier falls at both ends, and nothing passes.
    ///
    /// # Errors
    /// When there is no such cable.
    pub fn cut(&self, cable: &str) -> Result<()> {
        self.act(format!("cut {cable}"));
        let done = self.core.change(|fabric| fabric.set_cut(cable, true));
        self.cable_found(cable, done)
    }

    /// Puts a cable back and ends all faults on it.
    ///
    /// # Errors
    /// When there is no such cable.
    pub fn heal(&self, cable: &str) -> Result<()> {
        self.act(format!("heal {cable}"));
        let done = self.core.change(|fabric| {
            fabric.set_faults(cable, &Direction::Both, |faults| {
                *faults = Faults {
                    hold: faults.hold,
                    ..Faults::default()
                };
            });
            fabric.set_cut(cable, false)
        });
        self.cable_found(cable, done)
    }

    /// Changes what a cable does to what passes.
    ///
    /// # Errors
    /// When there is no such cable or end.
    pub fn fault(
        &self,
        cable: &str,
        direction: &Direction,
        change: impl Fn(&mut Faults),
    ) -> Result<()> {
        let ends = self.core.pump.with(|world| world.fabric.ends(cable));
        if let (Some(ends), Direction::From(end) | Direction::To(end)) = (&ends, direction)
            && !ends.iter().any(|name| **name == **end)
        {
            let known = ends.iter().map(ToString::to_string).collect();
            return Err(Error::Unknown {
                kind: "end of this cable",
                name: end.clone(),
                known,
            });
        }
        let done = self
            .core
            .change(|fabric| fabric.set_faults(cable, direction, change));
        self.cable_found(cable, done)?;
        let words = self
            .wire()
            .cables()
            .into_iter()
            .find(|state| *state.name == *cable);
        let words: Vec<String> = words
            .iter()
            .flat_map(|state| &state.flows)
            .map(faults_of_flow)
            .collect();
        self.act(format!("fault {cable}: {}", words.join("; ")));
        Ok(())
    }

    /// Puts a frame, or bytes of a serial line, on a cable as if its end `from` had sent it.
    ///
    /// # Errors
    /// When there is no such cable or end, or no carrier.
    pub fn inject(&self, cable: &str, from: &str, data: &[u8]) -> Result<()> {
        let now = self.now();
        if self
            .core
            .change(|fabric| fabric.inject(now, cable, from, data.to_vec()))
        {
            return Ok(());
        }
        let ends = self.core.pump.with(|world| world.fabric.ends(cable));
        self.cable_found(cable, ends.is_some())?;
        Err(Error::Command(format!(
            "`{cable}` has no carrier, or no end named `{from}`"
        )))
    }

    /// Puts another host on the LAN, a stranger; its cable is `lan-NAME`.
    ///
    /// # Errors
    /// When the cluster has no LAN or the host's capture cannot be written.
    pub fn add_host(&self, name: &str, mac: Mac, addresses: &[Cidr]) -> Result<()> {
        let lan = self
            .lan
            .ok_or_else(|| Error::Command("this cluster has no LAN".to_owned()))?;
        self.act(format!("host {name} joins the LAN"));
        self.core.pump.with(|world| {
            let (dir, sockets) = (self.place.dir(), self.place.sockets());
            let mut installer = Installer {
                boot: &self.boot,
                options: &self.options,
                dir,
                sockets,
                world,
            };
            installer.host(name, mac, addresses, lan)
        })?;
        Ok(())
    }

    /// A free hardware address for the n-th stranger.
    #[must_use]
    pub fn stranger_mac(n: u8) -> Mac {
        lan::mac(0x80 | n)
    }

    /// Sends a frame as one of the lab's hosts (`gateway`, `client`, a stranger).
    ///
    /// # Errors
    /// When there is no such host.
    pub fn send_as(&self, host: &str, frame: &[u8]) -> Result<()> {
        if self
            .core
            .pump
            .with(|world| world.send_as_host(host, frame.to_vec()))
        {
            return Ok(());
        }
        Err(Error::Unknown {
            kind: "host",
            name: host.to_owned(),
            known: Vec::new(),
        })
    }

    // ---- consoles ----

    /// Types on a machine's console.
    ///
    /// # Errors
    /// When there is no such node, it has no console, or it takes nothing now.
    pub fn type_in(&self, node: &str, bytes: &[u8]) -> Result<()> {
        let console = self.wiring(node)?.console;
        let console = console.ok_or_else(|| Error::Command(format!("{node} has no console")))?;
        if self.core.pump.with(|world| world.type_in(console, bytes)) {
            return Ok(());
        }
        Err(Error::Machine {
            node: node.to_owned(),
            what: "its console takes nothing now".to_owned(),
        })
    }

    /// What a machine printed since a mark, line by line, with the time of arrival.
    #[must_use]
    pub fn console(&self, node: &str, since: Mark) -> Vec<(LabTime, String)> {
        let line = |entry: crate::journal::Entry| {
            let text = entry.event.console_line(node)?;
            Some((entry.at, text))
        };
        self.core
            .journal
            .from(since.events)
            .into_iter()
            .filter_map(line)
            .collect()
    }

    // ---- waiting ----

    /// Waits until `look` finds what it wants. It is asked again whenever something happens,
    /// and now and then besides, so it may look at anything, a node's status too.
    ///
    /// # Errors
    /// [`Error::Timeout`] naming `what`, when nothing was found in time.
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        let deadline = begun + within;
        loop {
            let seen = self.core.journal.len();
            if let Some(found) = look(self) {
                return Ok(found);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    waited: begun.elapsed(),
                });
            }
            self.core.journal.wait(seen, deadline.min(now + LOOK_AGAIN));
        }
    }

    /// Waits for an event after a mark.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time.
    pub fn wait_event<T>(
        &self,
        what: &str,
        since: Mark,
        within: Duration,
        mut look: impl FnMut(&crate::journal::Entry) -> Option<T>,
    ) -> Result<T> {
        let mut index = since.events;
        self.wait_for(what, within, |lab| {
            let from = index;
            index = lab.core.journal.len();
            lab.core.journal.find(from, &mut look)
        })
    }

    /// Waits for a line on a node's console that contains `text`, after a mark.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time.
    pub fn wait_line(
        &self,
        node: &str,
        text: &str,
        since: Mark,
        within: Duration,
    ) -> Result<(LabTime, String)> {
        self.wait_event(
            &format!("`{text}` on the console of {node}"),
            since,
            within,
            |entry| {
                let line = entry.event.console_line(node)?;
                line.contains(text).then_some((entry.at, line))
            },
        )
    }

    /// Waits until a node's status is as wanted; a node that does not answer is asked again.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the last status, or [`Error::Unknown`].
    pub fn wait_status<T>(
        &self,
        node: &str,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let admin = self.admin(node)?;
        let mut last = String::new();
        let found = self.wait_for(what, within, |_| match admin.status() {
            Ok(status) => {
                let found = look(&status);
                last = status.to_string();
                found
            }
            Err(error) => {
                last = error.to_string();
                None
            }
        });
        found.map_err(|error| match error {
            Error::Timeout { what, waited } => Error::Timeout {
                what: format!("{what} at {node}; its last status: {last}"),
                waited,
            },
            other => other,
        })
    }

    /// Adds a remark to the timeline.
    pub fn note(&self, text: &str) {
        self.act(text.to_owned());
    }

    pub(crate) fn act(&self, text: String) {
        self.core.note(Event::Action { text });
    }

    fn tell(&self, node: &str, word: &str, command: &'static str) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!("{word} {node}"));
        machine.command(command, Value::Null).map(drop)
    }

    fn signal(&self, node: &str, stall: bool) -> Result<()> {
        let machine = self.machine_named(node)?;
        self.act(format!(
            "{} {node}",
            if stall { "stall" } else { "unstall" }
        ));
        machine.signal(stall)?;
        self.core.note(Event::Running {
            node: Arc::clone(&machine.node),
            running: !stall,
            how: "stall",
        });
        Ok(())
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

    fn cable_found(&self, cable: &str, found: bool) -> Result<()> {
        if found {
            return Ok(());
        }
        let known = self.core.pump.with(|world| {
            world
                .fabric
                .cable_names()
                .map(ToString::to_string)
                .collect()
        });
        Err(Error::Unknown {
            kind: "cable",
            name: cable.to_owned(),
            known,
        })
    }
}

fn faults_of_flow(flow: &crate::wire::fabric::FlowState) -> String {
    let faults = if flow.faults.is_empty() {
        "clear"
    } else {
        &flow.faults
    };
    format!("{faults} from {}", flow.from)
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
