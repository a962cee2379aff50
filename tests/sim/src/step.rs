//! One step of a machine: an input into the node, its outputs into the world.

use core::time::Duration;

use kodo_node::io::{Drill, Halt, Input, Line, Output, Port, ProbeError, ServiceId};

use crate::helpers::group_of;
use crate::kernel::Kernel;
use crate::packet::{self, Packet};
use crate::queue::{Event, Happening};
use crate::world::World;

/// Outputs of one step: more is a loop that never ends.
const OUTPUTS: u32 = 2_000;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    /// Something happens to a machine: to its hardware, its kernel, or PID 1.
    pub(crate) fn happen(&mut self, id: usize, happening: Happening) {
        let machine = &mut self.machines[id];
        if machine.ills.still() {
            machine.keep(happening);
            return;
        }
        match happening {
            Happening::Boot => return self.boot(id),
            Happening::Reset => return self.reset(id, "as asked"),
            Happening::PowerOff => return self.power_off(id, "as asked"),
            Happening::WatchdogDue => return self.watchdog_due(id),
            _ if machine.dying || machine.node.is_none() => return,
            Happening::NetActs => return self.net_acts(id),
            Happening::DiskActs => return self.disk_acts(id),
            Happening::SvcActs(token, ref action) => return self.svc_acts(id, token, action),
            Happening::Exits(group, generation, exit) => {
                return self.exits(id, group, generation, exit);
            }
            Happening::HookEnds(group, token, promoted) => {
                return self.hook_ends(id, group, token, promoted);
            }
            Happening::Frame(port, ref frame) if !self.kernel_takes(id, port, &frame.bytes) => {
                return;
            }
            _ => {}
        }
        self.wake_up(id, happening);
    }

    /// Something for PID 1: now, or when it runs again.
    pub(crate) fn wake_up(&mut self, id: usize, happening: Happening) {
        let machine = &mut self.machines[id];
        if matches!(happening, Happening::Awake) {
            machine.napping = false;
            return self.catch_up(id);
        }
        if machine.decides() && !machine.ills.sluggish.is_zero() {
            let nap = machine.rng.time(Duration::ZERO, machine.ills.sluggish);
            machine.napping = true;
            self.later(id, nap, Happening::Awake);
        }
        let machine = &mut self.machines[id];
        if !machine.decides() {
            return machine.keep(happening);
        }
        self.tell(id, happening);
    }

    pub(crate) fn tell(&mut self, id: usize, happening: Happening) {
        let machine = &mut self.machines[id];
        match happening {
            Happening::PortReady(port) => {
                let entry = &mut machine.ports[usize::from(port)];
                (entry.ready, entry.lit) = (true, true);
                let mac = crate::cluster::mac(id, port);
                self.step(id, Input::PortReady(Port(port), mac));
                self.links();
            }
            Happening::Carrier(port, up) => {
                let entry = &mut machine.ports[usize::from(port)];
                // Stale when the cable changed again meanwhile.
                if entry.wanted == up && entry.carrier != up {
                    entry.carrier = up;
                    let word = if up { "carrier" } else { "no carrier" };
                    let now = self.now();
                    self.story
                        .machine(now, id, format_args!("{word} on port {port}"));
                    self.step(id, Input::Carrier(Port(port), up));
                }
            }
            Happening::LineReady => {
                machine.line = true;
                for line in 0..machine.lines.len() {
                    let line = Line(u8::try_from(line).unwrap_or(u8::MAX));
                    self.step(id, Input::LineReady(line, true));
                }
            }
            Happening::Watchdog => self.open_watchdog(id),
            Happening::Frame(port, frame) => {
                self.hear(id, &frame);
                if matches!(packet::parse(&frame.bytes), Packet::EchoReply(_)) {
                    let now = self.now();
                    self.checks.pinged(now, id);
                }
                if let Some(asks) = frame.asks
                    && (asks.machine, asks.life) == (id, self.machines[id].life)
                {
                    self.checks.witnessed(id, asks.sent_local);
                }
                self.step(id, Input::Packet(Port(port), &frame.bytes));
            }
            Happening::Serial(line, frame) => {
                self.hear(id, &frame);
                self.step(id, Input::Serial(Line(line), &frame.bytes));
            }
            Happening::Foreign(port, frame) => self.foreign(id, port, &frame.bytes),
            Happening::Replayed(port, frame) => self.replayed(id, port, &frame.bytes),
            Happening::Wake(version) => {
                if version == machine.timer.0 {
                    self.timer(id);
                }
            }
            Happening::Done(token, result) => self.step(id, Input::Done(token, result)),
            Happening::Exited(group, exit) => {
                let service = ServiceId(u8::try_from(group).unwrap_or(u8::MAX));
                self.step(id, Input::Exited(service, exit));
            }
            Happening::Probed(token, result) => self.step(id, Input::Probed(token, result)),
            Happening::Asked(token, request) => {
                self.step(id, Input::Operator(token, request));
            }
            Happening::DiskFound => self.disk_found(id),
            Happening::DiskWritten(serial) => self.disk_written(id, serial),
            Happening::Staged(token, file) => self.stage(id, token, file),
            Happening::Awake
            | Happening::Boot
            | Happening::Reset
            | Happening::PowerOff
            | Happening::WatchdogDue
            | Happening::NetActs
            | Happening::DiskActs
            | Happening::SvcActs(..)
            | Happening::HookEnds(..)
            | Happening::Exits(..) => unreachable!("handled below PID 1"),
        }
    }

    /// PID 1's timer.
    pub(crate) fn timer(&mut self, id: usize) {
        self.machines[id].timer.1 = None;
        self.step(id, Input::Timer);
    }

    /// One input, and everything that follows from it in this instant.
    pub(crate) fn step(&mut self, id: usize, input: Input<'_>) {
        let now = self.now();
        let machine = &mut self.machines[id];
        let local = machine.clock.local(now);
        if let Some(node) = &mut machine.node {
            node.handle(local, input);
        }
        self.settle(id);
    }

    /// Performs what the node wants done, and sets its timer.
    pub(crate) fn settle(&mut self, id: usize) {
        let now = self.now();
        let Some(mut node) = self.machines[id].node.take() else {
            return;
        };
        let mut count = 0;
        while let Some(output) = node.poll() {
            count += 1;
            if count > OUTPUTS {
                self.checks.broken("livelock", now, "a step never ends");
                break;
            }
            // A reset ends everything: PID 1 does not come back from the call.
            if self.machines[id].dying {
                break;
            }
            self.perform(id, output);
        }
        let deadline = node.poll_deadline();
        self.machines[id].node = Some(node);
        self.set_timer(id, deadline);
        self.watch(id);
    }

    pub(crate) fn set_timer(&mut self, id: usize, deadline: Duration) {
        let now = self.now();
        let machine = &mut self.machines[id];
        if machine.timer.1 == Some(deadline) {
            return;
        }
        machine.timer = (machine.timer.0 + 1, Some(deadline));
        let late = machine.rng.time(Duration::ZERO, machine.plan.wake);
        // The kernel's timer is never early, and never finer than a microsecond.
        let at = machine.clock.world(deadline).max(now + us(1)) + late;
        let (life, version) = (machine.life, machine.timer.0);
        self.queue
            .at(at, Event::Machine(id, life, Happening::Wake(version)));
    }

    fn perform(&mut self, id: usize, output: Output) {
        let now = self.now();
        match output {
            Output::Packet(port, bytes) => {
                self.story.digest(now, id, &bytes);
                let machine = &self.machines[id];
                if machine.kernel.passes_out(machine.clock.local(now), &bytes) {
                    self.send(id, port.0, &bytes);
                }
            }
            Output::Serial(line, bytes) => {
                self.story.digest(now, id, &bytes);
                self.send_serial(id, line.0, &bytes);
            }
            Output::Act(token, action) => self.act(id, token, action),
            Output::Probe(token, service) => {
                let group = group_of(service);
                let machine = &mut self.machines[id];
                let (wait, result) = match machine.kernel.services[group].process {
                    Some(_) if machine.ills.hangs => (ms(1000), Err(ProbeError::Timeout)),
                    Some(_) if machine.serves(group, now) => (ms(2), Ok(0)),
                    _ => (ms(1), Err(ProbeError::Refused)),
                };
                let wait = wait + machine.rng.time(us(0), ms(2));
                self.later(id, wait, Happening::Probed(token, result));
            }
            Output::Reply(token, reply) => self.replied(id, token, &reply),
            Output::Staged(token, verdict) => self.staged(id, token, verdict),
            Output::Adopted(hash) => self.adopted(id, hash),
            Output::Gate(address, until) => self.machines[id].kernel.gate(address, until),
            Output::Persist(serial, table) => self.persist(id, serial, &table),
            Output::FeedWatchdog => {
                if let Some(watchdog) = &mut self.machines[id].watchdog {
                    watchdog.fed = now;
                    watchdog.due = now + watchdog.granted;
                }
            }
            Output::Reset(fatal) => {
                self.story
                    .machine(now, id, format_args!("PID 1 resets the machine: {fatal:?}"));
                self.checks.resets_itself(now, id, fatal);
                let machine = &mut self.machines[id];
                machine.dying = true;
                let wait = machine.rng.time(us(50), us(800));
                self.later(id, wait, Happening::Reset);
            }
            Output::Halt(halt) => {
                let wait = self.machines[id].rng.time(ms(5), ms(50));
                let happening = match halt {
                    Halt::PowerOff => Happening::PowerOff,
                    Halt::Reboot => Happening::Reset,
                };
                self.story
                    .machine(now, id, format_args!("PID 1 ends: {halt}"));
                self.later(id, wait, happening);
            }
            Output::Log(line) => {
                self.story.log(now, id, line.at, line.level, &line.text);
            }
            Output::Drill(drill) => match drill {
                Drill::ServiceKill => self.crash_services(id),
                Drill::KernelPanic | Drill::Pid1Dies => self.panic(id, ms(1000)),
                Drill::Pid1Stuck => self.machines[id].hung = true,
            },
        }
    }

    fn open_watchdog(&mut self, id: usize) {
        let now = self.now();
        let granted = self.plan.cluster.watchdog;
        self.machines[id].watchdog = Some(crate::machine::Watchdog {
            granted,
            fed: now,
            due: now + granted,
            stopped: None,
        });
        self.later(id, granted, Happening::WatchdogDue);
        self.step(
            id,
            Input::Watchdog {
                granted,
                name: "simulated",
            },
        );
    }

    fn watchdog_due(&mut self, id: usize) {
        let now = self.now();
        let Some(watchdog) = self.machines[id].watchdog else {
            return;
        };
        if watchdog.due > now {
            self.later(id, watchdog.due - now, Happening::WatchdogDue);
            return;
        }
        self.checks.watchdog_fires(now, id);
        self.reset(id, "its watchdog was not fed");
    }

    /// The kernel's own part with a frame; true when PID 1 gets it too.
    fn kernel_takes(&mut self, id: usize, port: u8, frame: &[u8]) -> bool {
        let now = self.now();
        let machine = &self.machines[id];
        if !machine.ports[usize::from(port)].carrier {
            return false;
        }
        let to = packet::destination(frame);
        if to[0] & 1 == 0 && to != crate::cluster::mac(id, port) {
            return false;
        }
        if port == crate::cluster::LAN_PORT
            && let Some(answer) = machine
                .kernel
                .answer(machine.clock.local(now), frame, |group| {
                    machine.serves_clients(group, now)
                })
        {
            self.send(id, port, &answer);
        }
        Kernel::passes_up(frame)
    }

    /// A heartbeat reaches PID 1: what the checkers know of it.
    fn hear(&mut self, id: usize, frame: &crate::origin::Frame) {
        let Some(origin) = &frame.origin else {
            return;
        };
        let now = self.now();
        self.checks.heard(now, id, origin, &self.machines);
        let heard = &mut self.machines[id].heard[origin.machine];
        if heard.is_none_or(|old| old.life != origin.life || old.sent < origin.sent) {
            *heard = Some(origin.heard());
        }
    }

    /// The checkers look at a node after its step.
    fn watch(&mut self, id: usize) {
        let now = self.now();
        self.watch_disk(id);
        if self.checks.wants_status(now, id)
            && let Some(node) = &self.machines[id].node
        {
            let status = node.status();
            self.checks.status(now, id, &status, &self.machines);
            if let Some(view) = &status.view {
                self.facts.viewed(now, id, view.epoch);
            }
        }
    }
}
