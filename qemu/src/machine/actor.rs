//! The thread behind one machine: takes orders, hears QEMU, notices its end.
//!
//! Owns the process. Never waits for QEMU but while switching on: a machine that is
//! stalled must not keep the others' cables from being pulled.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::argv::nic_id;
use super::qmp::{self, Said};
use super::{Blueprint, MachineState, Message, Order};
use crate::core::Core;
use crate::error::{Context, Error, Result};
use crate::journal::Event;

/// QEMU answers within this, while it is being switched on.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The firmware answers a reset by resetting once more itself; that is one reset.
const ONE_RESET: Duration = Duration::from_millis(500);

/// A QEMU that closed its control channel has ended after this.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// A QEMU that runs.
struct Running {
    child: Child,
    control: UnixStream,
    generation: u64,
    next_id: u64,
    /// Whoever waits for an answer, by its number.
    waiting: HashMap<u64, (&'static str, Sender<Result<Value>>)>,
    /// What QEMU was told about each link.
    links: Vec<Option<bool>>,
}

struct Actor<'a> {
    plan: Blueprint,
    core: &'a Core,
    running: Option<Running>,
    generations: u64,
    last_reset: Option<Instant>,
}

/// Serves one machine until it is told to quit.
pub(super) fn run(plan: Blueprint, core: &Core) {
    let mut actor = Actor {
        plan,
        core,
        running: None,
        generations: 0,
        last_reset: None,
    };
    while let Ok(message) = actor.plan.messages.recv() {
        match message {
            Message::Order(Order::Quit) => break,
            Message::Order(order) => actor.order(order),
            Message::Said(generation, value) => actor.heard(generation, &value),
            Message::Gone(generation) => actor.gone(generation),
        }
    }
    actor.off("the lab ends");
}

impl Actor<'_> {
    fn order(&mut self, order: Order) {
        match order {
            Order::On(done) => {
                let result = if self.running.is_some() {
                    Ok(())
                } else {
                    self.on()
                };
                if result.is_err() {
                    self.off("could not be switched on");
                }
                let _ = done.send(result);
            }
            Order::Off { why, done } => {
                self.off(&why);
                let _ = done.send(Ok(()));
            }
            Order::Link { nic, up } => self.link(nic, up),
            Order::Command {
                command,
                arguments,
                done,
            } => self.command(command, &arguments, done),
            Order::Quit => {}
        }
    }

    fn on(&mut self) -> Result<()> {
        let (child, control) = self.plan.launch.start()?;
        let hear = control
            .try_clone()
            .context(|| "cannot use a control socket".to_owned())?;
        self.generations += 1;
        let generation = self.generations;
        let inbox = self.plan.inbox.clone();
        let pid = child.id();
        let links = vec![None; self.plan.launch.sockets.nics.len()];
        self.running = Some(Running {
            child,
            control,
            generation,
            next_id: 0,
            waiting: HashMap::new(),
            links,
        });
        std::thread::Builder::new()
            .name(format!("qmp-{}", self.plan.node))
            .spawn(move || {
                qmp::listen(hear, |value| {
                    let _ = inbox.send(Message::Said(generation, value));
                });
                let _ = inbox.send(Message::Gone(generation));
            })
            .context(|| "cannot start a thread".to_owned())?;
        self.call("qmp_capabilities", &Value::Null)?;
        if !self.core.wait_connected(self.plan.index, ANSWER_WITHIN) {
            return Err(self.fail("QEMU did not connect to all of its cables"));
        }
        let boots = self.state().boots + 1;
        *self.state() = MachineState {
            pid: Some(pid),
            boots,
            ..MachineState::default()
        };
        self.core.power(self.plan.index, true);
        // The guest must never see a carrier that is not there.
        for (nic, up) in self.core.carriers(self.plan.index).into_iter().enumerate() {
            self.call("set_link", &json!({"name": nic_id(nic), "up": up}))?;
            if let Some(running) = &mut self.running {
                running.links[nic] = Some(up);
            }
        }
        self.core.note(Event::PowerOn {
            node: self.plan.node.clone(),
        });
        self.call("cont", &Value::Null)
    }

    fn off(&mut self, why: &str) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        // Its frames end and its peer's carrier falls before anything else.
        self.core.power(self.plan.index, false);
        let _ = running.child.kill();
        let _ = running.child.wait();
        let boots = self.state().boots;
        *self.state() = MachineState {
            boots,
            ..MachineState::default()
        };
        for (command, waiting) in running.waiting.into_values() {
            let _ = waiting.send(Err(
                self.fail(&format!("{why}, before it answered `{command}`"))
            ));
        }
        self.core.note(Event::PowerOff {
            node: self.plan.node.clone(),
            why: why.to_owned(),
        });
    }

    /// QEMU closed its control channel: it ended, by itself or by somebody else's hand.
    fn gone(&mut self, generation: u64) {
        let Some(running) = self
            .running
            .as_mut()
            .filter(|running| running.generation == generation)
        else {
            return;
        };
        if !ended_within(&running.child, ENDS_WITHIN) {
            let _ = running.child.kill();
        }
        let why = match running.child.wait() {
            Ok(status) if status.success() => "it powered itself off".to_owned(),
            Ok(status) => format!("QEMU ended ({status}): {}", self.plan.launch.last_words()),
            Err(error) => format!("QEMU ended: {error}"),
        };
        self.off(&why);
    }

    fn link(&mut self, nic: usize, up: bool) {
        let told = self
            .running
            .as_mut()
            .and_then(|running| running.links.get_mut(nic));
        if let Some(told) = told.filter(|told| **told != Some(up)) {
            *told = Some(up);
            // Nobody waits: a stalled QEMU takes it when it goes on.
            let (done, _) = std::sync::mpsc::channel();
            self.command("set_link", &json!({"name": nic_id(nic), "up": up}), done);
        }
    }

    fn command(&mut self, command: &'static str, arguments: &Value, done: Sender<Result<Value>>) {
        let Some(running) = &mut self.running else {
            let _ = done.send(Err(self.fail("is off")));
            return;
        };
        running.next_id += 1;
        match qmp::send(
            &running.control,
            &qmp::request(running.next_id, command, arguments),
        ) {
            Ok(()) => {
                running.waiting.insert(running.next_id, (command, done));
            }
            Err(error) => {
                let _ = done.send(Err(
                    self.fail(&format!("cannot tell QEMU `{command}`: {error}"))
                ));
            }
        }
    }

    /// Tells QEMU something and waits for its answer, while it is being switched on.
    fn call(&mut self, command: &'static str, arguments: &Value) -> Result<()> {
        let (done, answer) = std::sync::mpsc::channel();
        self.command(command, arguments, done);
        let deadline = Instant::now() + ANSWER_WITHIN;
        let mut postponed = Vec::new();
        let result = loop {
            if let Ok(result) = answer.try_recv() {
                break result.map(drop);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.plan.messages.recv_timeout(left) {
                Ok(Message::Said(generation, value)) => self.heard(generation, &value),
                Ok(Message::Gone(generation)) => self.gone(generation),
                Ok(order @ Message::Order(_)) => postponed.push(order),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    break Err(self.fail(&format!("QEMU did not answer `{command}`")));
                }
            }
        };
        for order in postponed {
            let _ = self.plan.inbox.send(order);
        }
        result
    }

    fn heard(&mut self, generation: u64, value: &Value) {
        let Some(running) = self
            .running
            .as_mut()
            .filter(|running| running.generation == generation)
        else {
            return;
        };
        match qmp::read(value) {
            Said::Answer(id, result) => {
                if let Some((command, done)) = running.waiting.remove(&id) {
                    let _ = done.send(result.map_err(|reason| Error::Qmp {
                        node: self.plan.node.to_string(),
                        command: command.to_owned(),
                        reason,
                    }));
                }
            }
            Said::Event { name, data } => self.event(&name, &data),
            Said::Hello | Said::Other => {}
        }
    }

    fn event(&mut self, name: &str, data: &Value) {
        let node = self.plan.node.clone();
        match name {
            "RESET" => {
                let now = Instant::now();
                let before = self.last_reset.replace(now);
                let why = data["reason"].as_str().unwrap_or("unknown").to_owned();
                if why == "guest-reset" && before.is_some_and(|before| now - before < ONE_RESET) {
                    return;
                }
                self.state().boots += 1;
                self.core.note(Event::Reset { node, why });
            }
            "WATCHDOG" => {
                let action = data["action"].as_str().unwrap_or("unknown").to_owned();
                self.core.note(Event::Watchdog { node, action });
            }
            "STOP" | "RESUME" => {
                let running = name == "RESUME";
                let was = std::mem::replace(&mut self.state().paused, !running);
                // The first RESUME is the machine's start.
                if was || !running {
                    self.core.note(Event::Running {
                        node,
                        running,
                        how: "pause",
                    });
                }
            }
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, MachineState> {
        self.plan
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, what: &str) -> Error {
        Error::Machine {
            node: self.plan.node.to_string(),
            what: what.to_owned(),
        }
    }
}

/// Whether a process ends by itself in time.
fn ended_within(child: &Child, within: Duration) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    let within = Timespec::try_from(within).ok();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], within.as_ref()).is_ok_and(|ready| ready > 0)
}
