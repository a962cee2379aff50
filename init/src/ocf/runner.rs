//! The process that runs a service's agent for as long as the service lives.
//!
//! One action at a time. A change of role does not wait for a monitor, and a stop waits for
//! nothing: what runs is killed for it, and a monitor that gave way runs again. Only monitors
//! have a time limit here: whatever else takes too long has this whole service killed from
//! outside.
//!
//! A start that fails is the end of this process. Everything else that goes wrong is an
//! answer, and a line in the log with the agent's code in words.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kodo_config::cluster;
use kodo_node::io::{AgentCode, Exit, ProbeError, Token};
use kodo_sys::Result;
use kodo_sys::clock;
use kodo_sys::poll::{Interest, Poller, Ready};
use kodo_sys::process::{self, Child, Ended};
use kodo_sys::seqpacket::Channel;
use kodo_sys::signal::{Signal, SignalFd};

use super::agent::{Action, Agent, Times};
use super::score;
use crate::lanes::{CHANNEL, Link};
use crate::wire::{FromAgent, ToAgent};

const KEY_LANE: u64 = 0;
/// Something below this process ended.
const KEY_ENDED: u64 = 1;

/// Runs `AGENT start=MS stop=MS monitor=MS interval=MS [clones=N]`.
pub(crate) fn run(arguments: &[String]) -> std::result::Result<ExitCode, String> {
    let value = |name: &str| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    };
    let time = |name: &str| {
        let millis = value(name).and_then(|text| text.parse().ok());
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| format!("{name}= is missing"))
    };
    let times = Times {
        start: time("start")?,
        stop: time("stop")?,
        monitor: time("monitor")?,
        interval: time("interval")?,
    };
    let name = arguments.first().map_or("", String::as_str);
    let clones = value("clones").and_then(|text| text.parse().ok());
    let state = Path::new(cluster::Agent::STATE);
    let agent = Agent::new(name, std::env::vars(), times, clones, state)?;
    let channel = process::inherited(CHANNEL).map_err(|error| format!("no channel: {error}"))?;
    let link = Link::new(Channel::from_fd(channel));
    let words = || std::io::stdout().as_fd().try_clone_to_owned();
    let words = words().map_err(|error| error.to_string())?;
    let mut runner = Runner::new(agent, link, words).map_err(|error| error.to_string())?;
    runner.live().map_err(|error| error.to_string())
}

/// What is known of the instance's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unpromoted,
    Promoted,
    /// A change of it failed, or was cut short.
    Unknown,
}

/// An action that runs.
#[derive(Debug)]
struct Running {
    action: Action,
    child: Child,
    /// Whom to answer.
    token: Option<Token>,
    /// When it has taken too long.
    until: Option<Duration>,
    cut: Cut,
}

/// Why an action was killed, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Not,
    /// It took too long.
    Late,
    /// Something else could not wait.
    GaveWay,
}

/// The life of one instance.
pub(super) struct Runner {
    agent: Agent,
    link: Link,
    /// Where agents' words go.
    words: OwnedFd,
    poller: Poller,
    signals: SignalFd,
    running: Option<Running>,
    started: bool,
    standing: Standing,
    stopping: bool,
    /// Asked, and not begun.
    probe: Option<Token>,
    turn: Option<(Token, Action)>,
}

impl Runner {
    pub(super) fn new(agent: Agent, link: Link, words: OwnedFd) -> Result<Runner> {
        let poller = Poller::new()?;
        let signals = SignalFd::new(&[Signal::Child])?;
        poller.add(&link, KEY_LANE, Interest::Read)?;
        poller.add(&signals, KEY_ENDED, Interest::Read)?;
        Ok(Runner {
            agent,
            link,
            words,
            poller,
            signals,
            running: None,
            started: false,
            standing: Standing::Unpromoted,
            stopping: false,
            probe: None,
            turn: None,
        })
    }

    /// From the agent's start to its stop, or to what went wrong.
    pub(super) fn live(&mut self) -> Result<ExitCode> {
        if !self.begin(Action::Start, None)? {
            return Ok(ExitCode::FAILURE);
        }
        let mut ready = Ready::new();
        loop {
            self.poller.wait(&mut ready, self.patience())?;
            for wake in ready.iter() {
                if wake.key == KEY_LANE {
                    match self.link.receive::<ToAgent>()? {
                        Some((request, _)) => self.request(request)?,
                        // The node is gone, and this service with it.
                        None => return Ok(ExitCode::FAILURE),
                    }
                    continue;
                }
                self.signals.take();
                while let Some((pid, ended)) = process::reap_any() {
                    let own = |running: &mut Running| running.child.pid == pid;
                    let Some(running) = self.running.take_if(own) else {
                        continue;
                    };
                    if let Some(end) = self.ended(&running, ended)? {
                        return Ok(end);
                    }
                }
            }
            self.overdue()?;
            if let Some(end) = self.next()? {
                return Ok(end);
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let until = self.running.as_ref()?.until?;
        Some(until.saturating_sub(clock::boottime()))
    }

    fn overdue(&mut self) -> Result<()> {
        let now = clock::boottime();
        let late = |running: &Running| {
            running.cut == Cut::Not && running.until.is_some_and(|until| until <= now)
        };
        match self.running.as_ref().is_some_and(late) {
            true => self.cut(Cut::Late),
            false => Ok(()),
        }
    }

    /// Kills what runs; its end is told as ever.
    fn cut(&mut self, why: Cut) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.cut = why;
        running.until = None;
        process::kill_session(&running.child)
    }

    fn request(&mut self, request: ToAgent) -> Result<()> {
        match request {
            // The newest one counts, also where its forerunner runs still.
            ToAgent::Probe(token) => match &mut self.running {
                Some(running) if running.action == Action::Monitor && running.cut == Cut::Not => {
                    running.token = Some(token);
                }
                _ => self.probe = Some(token),
            },
            ToAgent::Promote(token) => self.turn = Some((token, Action::Promote)),
            ToAgent::Demote(token) => self.turn = Some((token, Action::Demote)),
            ToAgent::Stop if self.stopping => return Ok(()),
            ToAgent::Stop => {
                self.stopping = true;
                return self.cut(Cut::GaveWay);
            }
        }
        let monitor = |running: &Running| running.action == Action::Monitor;
        match self.turn.is_some() && self.running.as_ref().is_some_and(monitor) {
            true => self.cut(Cut::GaveWay),
            false => Ok(()),
        }
    }

    /// Begins what is to be done next, if nothing runs. The end of this process, when it is
    /// known here.
    fn next(&mut self) -> Result<Option<ExitCode>> {
        if self.running.is_some() {
            return Ok(None);
        }
        let (action, token) = if self.stopping {
            // As Pacemaker does: nothing promoted is stopped.
            match self.standing {
                Standing::Unpromoted => (Action::Stop, None),
                Standing::Promoted | Standing::Unknown => (Action::Demote, None),
            }
        } else if let Some((token, action)) = self.turn.take_if(|_| self.started) {
            (action, Some(token))
        } else if let Some(token) = self.probe.take_if(|_| self.started) {
            (Action::Monitor, Some(token))
        } else {
            return Ok(None);
        };
        let begun = self.begin(action, token)?;
        match (begun, self.stopping) {
            // An agent that cannot be run cannot stop anything.
            (false, true) => Ok(Some(ExitCode::FAILURE)),
            _ => Ok(None),
        }
    }

    /// Runs an action; false when it could not be run, which is told.
    fn begin(&mut self, action: Action, token: Option<Token>) -> Result<bool> {
        let promoted = self.standing == Standing::Promoted;
        let words = [self.words.as_fd(); 2];
        let child = match self.agent.run(action, promoted, words) {
            Ok(child) => child,
            Err(error) => {
                println!("{} cannot be run: {error}", self.agent.name);
                self.answer(action, token, AgentCode::GENERIC, Exit::Code(1))?;
                return Ok(false);
            }
        };
        if matches!(action, Action::Promote | Action::Demote) {
            self.standing = Standing::Unknown;
        }
        self.poller.add(&child.pidfd, KEY_ENDED, Interest::Read)?;
        let limit = (action == Action::Monitor).then_some(self.agent.times.monitor);
        self.running = Some(Running {
            action,
            child,
            token,
            until: limit.map(|limit| clock::boottime() + limit),
            cut: Cut::Not,
        });
        Ok(true)
    }

    /// An action ended. The end of this process, when that follows.
    fn ended(&mut self, running: &Running, ended: Ended) -> Result<Option<ExitCode>> {
        let Running {
            action, token, cut, ..
        } = *running;
        if cut == Cut::GaveWay {
            if action == Action::Monitor {
                self.probe = self.probe.or(token);
            } else if let (Action::Promote | Action::Demote, Some(token)) = (action, token) {
                self.told(token, Err(exit(ended)))?;
            }
            return Ok(None);
        }
        let code = match ended {
            Ended::Code(code) => AgentCode(u8::try_from(code).unwrap_or(AgentCode::GENERIC.0)),
            Ended::Signal(_) => AgentCode::GENERIC,
        };
        let well = match action {
            Action::Monitor => self.is_well(code),
            _ => code == AgentCode::SUCCESS,
        };
        if !well {
            self.complain(action, cut, ended, code);
        }
        match action {
            Action::Start if !well => return Ok(Some(ExitCode::FAILURE)),
            Action::Start => self.started = true,
            Action::Promote if well => self.standing = Standing::Promoted,
            Action::Demote if well => self.standing = Standing::Unpromoted,
            // It did what it could; the stop comes all the same.
            Action::Demote if self.stopping => self.standing = Standing::Unpromoted,
            Action::Stop if well => return Ok(Some(ExitCode::SUCCESS)),
            Action::Stop => return Ok(Some(ExitCode::FAILURE)),
            Action::Promote | Action::Demote | Action::Monitor => {}
        }
        if action == Action::Monitor && cut == Cut::Late {
            self.probed(token, Err(ProbeError::Timeout))?;
        } else {
            self.answer(action, token, code, exit(ended))?;
        }
        Ok(None)
    }

    /// Whether a monitor's code is what the instance's role wants.
    fn is_well(&self, code: AgentCode) -> bool {
        let plain = [AgentCode::SUCCESS, AgentCode::DEGRADED].contains(&code);
        let promoted = [AgentCode::PROMOTED, AgentCode::DEGRADED_PROMOTED].contains(&code);
        match self.standing {
            Standing::Unpromoted => plain,
            Standing::Promoted => promoted,
            Standing::Unknown => plain || promoted,
        }
    }

    fn answer(
        &mut self,
        action: Action,
        token: Option<Token>,
        code: AgentCode,
        exit: Exit,
    ) -> Result<()> {
        match (action, token) {
            (Action::Monitor, _) if self.is_well(code) => {
                let score = self
                    .agent
                    .clones
                    .map_or(0, |_| score::read(&self.agent.score));
                self.probed(token, Ok(score))
            }
            (Action::Monitor, _) => self.probed(token, Err(ProbeError::Agent(code))),
            (_, Some(token)) if exit == Exit::Code(0) => self.told(token, Ok(())),
            (_, Some(token)) => self.told(token, Err(exit)),
            (_, None) => Ok(()),
        }
    }

    fn probed(
        &mut self,
        token: Option<Token>,
        result: std::result::Result<i16, ProbeError>,
    ) -> Result<()> {
        match token {
            Some(token) => self.link.send(&FromAgent::Probed(token, result), None),
            None => Ok(()),
        }
    }

    fn told(&mut self, token: Token, result: std::result::Result<(), Exit>) -> Result<()> {
        self.link.send(&FromAgent::Told(token, result), None)
    }

    /// Says what went wrong, in words.
    fn complain(&self, action: Action, cut: Cut, ended: Ended, code: AgentCode) {
        let (agent, action) = (&self.agent.name, action.word());
        match (cut, ended) {
            (Cut::Late, _) => println!(
                "{agent} {action}: no end after {} ms; killed",
                self.agent.times.monitor.as_millis()
            ),
            (_, Ended::Signal(signal)) => println!("{agent} {action}: ended by signal {signal}"),
            (_, Ended::Code(_)) => println!("{agent} {action}: {code}"),
        }
    }
}

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}
