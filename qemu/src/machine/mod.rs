//! Machines: QEMU processes with a power switch.
//!
//! Owns each machine's process and its control channel (QMP), by one thread per machine
//! that lives as long as the lab. QEMU runs with that thread as its parent and asks the
//! kernel to be killed when the parent dies, so no machine outlives the lab however it
//! ends. Never touches a frame.

pub mod accel;
mod actor;
pub(crate) mod argv;
pub(crate) mod disk;
mod launch;
mod qmp;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub use argv::NicModel;

use crate::core::Core;
use crate::error::{Context, Error, Result};

/// Switching on takes this long at most on a busy host.
const ON_WITHIN: Duration = Duration::from_secs(30);
/// Everything else that QEMU is told.
const WITHIN: Duration = Duration::from_secs(10);

/// What a machine is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// No current.
    Off,
    /// Running.
    On,
    /// Stopped together with its clocks.
    Paused,
    /// Stopped while time goes on for it.
    Stalled,
}

impl std::fmt::Display for Power {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Paused => "paused",
            Self::Stalled => "stalled",
        })
    }
}

/// What is known about a machine from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// QEMU's process id, while it is on.
    pub pid: Option<u32>,
    /// Stopped together with its clocks.
    pub paused: bool,
    /// Stopped while time goes on for it.
    pub stalled: bool,
    /// How often it began to boot: switched on or reset.
    pub boots: u32,
}

impl MachineState {
    /// The state in one word.
    #[must_use]
    pub fn power(&self) -> Power {
        match self {
            Self { pid: None, .. } => Power::Off,
            Self { stalled: true, .. } => Power::Stalled,
            Self { paused: true, .. } => Power::Paused,
            _ => Power::On,
        }
    }
}

/// What the actor is asked to do.
pub(crate) enum Order {
    On(Sender<Result<()>>),
    Off {
        why: String,
        done: Sender<Result<()>>,
    },
    Link {
        nic: usize,
        up: bool,
    },
    Command {
        command: &'static str,
        arguments: Value,
        done: Sender<Result<Value>>,
    },
    Quit,
}

/// What reaches the actor.
pub(crate) enum Message {
    Order(Order),
    /// A line from the QEMU of this generation.
    Said(u64, Value),
    /// The QEMU of this generation closed its control channel.
    Gone(u64),
}

/// A machine's handle.
pub(crate) struct Machine {
    pub(crate) node: Arc<str>,
    pub(crate) state: Arc<Mutex<MachineState>>,
    inbox: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// What an actor is made of before its thread starts.
pub(crate) struct Blueprint {
    pub(crate) node: Arc<str>,
    pub(crate) index: usize,
    pub(crate) launch: launch::Launch,
    pub(crate) state: Arc<Mutex<MachineState>>,
    pub(crate) messages: Receiver<Message>,
    pub(crate) inbox: Sender<Message>,
}

pub(crate) use launch::Launch;

/// Makes a machine's parts; [`Machine::start`] brings it to life.
pub(crate) fn blueprint(node: Arc<str>, index: usize, launch: Launch) -> Blueprint {
    let (inbox, messages) = channel();
    Blueprint {
        node,
        index,
        launch,
        state: Arc::default(),
        messages,
        inbox,
    }
}

impl Machine {
    /// Starts the machine's thread; the machine is off.
    pub(crate) fn start(plan: Blueprint, core: Arc<Core>) -> Result<Self> {
        let (node, inbox, state) = (
            Arc::clone(&plan.node),
            plan.inbox.clone(),
            Arc::clone(&plan.state),
        );
        let thread = std::thread::Builder::new()
            .name(format!("machine-{node}"))
            .spawn(move || actor::run(plan, &core))
            .context(|| "cannot start a thread".to_owned())?;
        Ok(Self {
            node,
            state,
            inbox,
            thread: Some(thread),
        })
    }

    /// What it is up to.
    pub(crate) fn state(&self) -> MachineState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn power_on(&self) -> Result<()> {
        self.ask(ON_WITHIN, "be switched on", Order::On)?
    }

    pub(crate) fn power_off(&self, why: String) -> Result<()> {
        self.ask(WITHIN, "be switched off", |done| Order::Off { why, done })?
    }

    /// Tells QEMU something and waits for its answer.
    pub(crate) fn command(&self, command: &'static str, arguments: Value) -> Result<Value> {
        self.ask(WITHIN, command, |done| Order::Command {
            command,
            arguments,
            done,
        })?
    }

    /// Stops the whole process, or lets it go on; time runs on for the guest meanwhile.
    pub(crate) fn signal(&self, stall: bool) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = state
            .pid
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| self.fail("is off"))?;
        let signal = if stall { Signal::STOP } else { Signal::CONT };
        kill_process(pid, signal).context(|| format!("{}: cannot signal QEMU", self.node))?;
        state.stalled = stall;
        Ok(())
    }

    fn ask<T>(
        &self,
        within: Duration,
        what: &str,
        order: impl FnOnce(Sender<T>) -> Order,
    ) -> Result<T> {
        let (done, answer) = channel();
        let sent = self.inbox.send(Message::Order(order(done)));
        sent.map_err(|_| self.fail("its thread has ended"))?;
        answer.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                let hint = if self.state().stalled {
                    "; it is stalled, unstall it first"
                } else {
                    ""
                };
                self.fail(&format!(
                    "did not {what} within {} s{hint}",
                    within.as_secs()
                ))
            }
            RecvTimeoutError::Disconnected => self.fail("its thread has ended"),
        })
    }

    fn fail(&self, what: &str) -> Error {
        Error::Machine {
            node: self.node.to_string(),
            what: what.to_owned(),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::Order(Order::Quit));
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}
