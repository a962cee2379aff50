//! The unprivileged children: when they start again, and what goes to and fro.
//!
//! A child parses what comes from outside and may be taken over: what it says is decoded
//! into bounded types, and it may speak only so often. The svc lane starts and buries it;
//! this process never forks.

use core::fmt::Write;
use std::time::Duration;

use kodo_admin::relay::{self, ToProbe};
use kodo_node::io::{Input, LogLine, Token};
use kodo_sys::poll::Interest;
use kodo_sys::seqpacket::{self, Channel};
use kodo_sys::{AsFd, Result, clock};

use super::key::Key;
use super::lane::{self, Heard};
use super::{Level, OWN_TOKEN, Pid1};
use crate::wire::{Child, FromReader, ToConsole, ToSvc};

/// Before a child's first restart.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Before the restart of one that keeps ending.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A child that lived this long is healthy; its next restart is quick again.
const HEALTHY: Duration = Duration::from_secs(30);
/// After each message a child is not heard for this long.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a child may live on after it closed its channel.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// All children.
#[derive(Debug)]
pub(super) struct Children {
    children: [ChildIo; Child::ALL.len()],
    /// Log lines that the console child did not take.
    lost_lines: u32,
}

#[derive(Debug)]
struct ChildIo {
    channel: Option<Channel>,
    started: Duration,
    backoff: Duration,
    /// When to start it again.
    start: Option<Duration>,
    /// When to listen to it again.
    listen: Option<Duration>,
    /// When to kill it: its channel is closed, or it takes too long, so it is of no use.
    kill: Option<Duration>,
    /// It was killed to begin anew at once.
    renew: bool,
}

impl Children {
    pub(super) fn new() -> Children {
        let child = |_| ChildIo {
            channel: None,
            started: Duration::ZERO,
            backoff: BACKOFF_MIN,
            start: None,
            listen: None,
            kill: None,
            renew: false,
        };
        Children {
            children: Child::ALL.map(child),
            lost_lines: 0,
        }
    }

    /// When something is to be done next.
    pub(super) fn deadline(&self) -> Duration {
        let due = self
            .children
            .iter()
            .flat_map(|child| [child.start, child.listen, child.kill])
            .flatten();
        due.min().unwrap_or(Duration::MAX)
    }

    /// A child was started that is killed after so long.
    pub(super) fn began(&mut self, child: Child, channel: Channel, patience: Duration) {
        let io = &mut self.children[child as usize];
        io.channel = Some(channel);
        io.started = clock::boottime();
        io.kill = Some(io.started + patience);
    }

    /// Sends a message to a child. False when it is not there or does not keep up.
    pub(super) fn send<T: serde::Serialize>(&self, child: Child, message: &T) -> bool {
        let channel = self.children[child as usize].channel.as_ref();
        channel.is_some_and(|channel| lane::send(channel, message, None).is_ok())
    }

    /// Sends a line of the log to the console child, and before it how many were lost.
    pub(super) fn log(&mut self, line: LogLine) {
        if self.lost_lines > 0 {
            let mut text = heapless::String::new();
            // It fits.
            let _ = write!(
                text,
                "{} log lines are not shown: the console is too slow",
                self.lost_lines
            );
            let level = Level::Warn;
            let lost = LogLine {
                text,
                level,
                ..line
            };
            if self.send(Child::Console, &ToConsole::Log(lost)) {
                self.lost_lines = 0;
            }
        }
        if !self.send(Child::Console, &ToConsole::Log(line)) {
            self.lost_lines = self.lost_lines.saturating_add(1);
        }
    }
}

impl Pid1 {
    /// Starts all children for the first time, the console first.
    pub(super) fn start_children(&mut self) {
        for child in [Child::Console, Child::Probe, Child::Admin] {
            self.start_child(child);
        }
    }

    /// Does what is due: starts and listens again.
    pub(super) fn start_due_children(&mut self, now: Duration) {
        for child in Child::ALL {
            let io = &mut self.children.children[child as usize];
            if io.listen.is_some_and(|at| now >= at) {
                io.listen = None;
                if let Some(channel) = &io.channel {
                    // It is in the set since it was made.
                    let _ = self
                        .poller
                        .modify(channel, Key::Child(child).number(), Interest::Read);
                }
            }
            if io.kill.is_some_and(|at| now >= at) {
                io.kill = None;
                // When the svc lane does not listen, greater things are wrong and noticed.
                let _ = self.svc.send(&ToSvc::KillChild(child), None);
            }
            if io.start.is_some_and(|at| now >= at) {
                self.start_child(child);
            }
        }
    }

    fn start_child(&mut self, child: Child) {
        let now = clock::boottime();
        self.children.children[child as usize].start = None;
        if child == Child::Admin && self.plan.duties.admin.is_none() {
            return;
        }
        match self.try_start_child(child) {
            Ok(channel) => {
                let io = &mut self.children.children[child as usize];
                io.channel = Some(channel);
                io.started = now;
            }
            Err(error) => self.child_ended(child, &format!("not started: {error}")),
        }
    }

    fn try_start_child(&self, child: Child) -> Result<Channel> {
        let (ours, theirs) = seqpacket::pair()?;
        match child {
            Child::Admin => {
                if let Some(setup) = &self.plan.duties.admin {
                    lane::send(&ours, setup, None)?;
                }
            }
            Child::Probe => {
                lane::send(&ours, &ToProbe::Setup(self.plan.duties.probe.clone()), None)?;
            }
            Child::Console | Child::Reader => {}
        }
        self.watch_child(child, &ours)?;
        self.svc.send(&ToSvc::Child(child), Some(theirs.as_fd()))?;
        Ok(ours)
    }

    /// Listens to a child.
    pub(super) fn watch_child(&self, child: Child, channel: &Channel) -> Result<()> {
        self.poller
            .add(channel, Key::Child(child).number(), Interest::Read)
    }

    /// A child is to begin anew, with what its setup is now.
    pub(super) fn renew_child(&mut self, child: Child) {
        let io = &mut self.children.children[child as usize];
        if io.channel.take().is_none() {
            // It starts again anyway.
            return;
        }
        // Nothing of the old one is heard any more, and no pause before the new one.
        io.renew = true;
        let _ = self.svc.send(&ToSvc::KillChild(child), None);
    }

    /// A child is gone: it starts again after a pause that grows.
    pub(super) fn child_ended(&mut self, child: Child, why: &str) {
        if child == Child::Reader {
            let io = &mut self.children.children[child as usize];
            (io.channel, io.listen, io.kill) = (None, None, None);
            return self.reader_ended(why);
        }
        let now = clock::boottime();
        let io = &mut self.children.children[child as usize];
        io.channel = None;
        io.listen = None;
        io.kill = None;
        if core::mem::take(&mut io.renew) {
            io.backoff = BACKOFF_MIN;
            io.start = Some(now);
            return;
        }
        if now.saturating_sub(io.started) >= HEALTHY {
            io.backoff = BACKOFF_MIN;
        }
        let pause = io.backoff;
        io.start = Some(now + pause);
        io.backoff = (pause * 2).min(BACKOFF_MAX);
        if child == Child::Console && pause == BACKOFF_MIN {
            // Nobody else can show this.
            crate::last_words::say(format_args!("console child: {why}"));
        }
        let text = format!(
            "{} child: {why}; it starts again in {} ms",
            child.name(),
            pause.as_millis()
        );
        self.note(Level::Warn, &text);
    }

    /// A child said something.
    pub(super) fn child_event(&mut self, child: Child) {
        let Some(channel) = &self.children.children[child as usize].channel else {
            return;
        };
        let input = match child {
            Child::Admin => match lane::receive::<relay::ToNode>(channel, &mut self.buffer[..]) {
                Heard::Message(relay::ToNode::Ask { token, request }, _) if token < OWN_TOKEN => {
                    Some(Input::Operator(token, request))
                }
                Heard::Message(
                    relay::ToNode::File {
                        token,
                        operator,
                        stage,
                    },
                    sealed,
                ) => {
                    self.file(token, operator, stage, sealed);
                    None
                }
                Heard::Message(..) | Heard::Nonsense => None,
                Heard::Nothing => return,
                Heard::Gone => return self.hang_up(child),
            },
            Child::Probe => {
                match lane::receive::<relay::ProbeResult>(channel, &mut self.buffer[..]) {
                    Heard::Message(message, _) => {
                        Some(Input::Probed(message.token, message.result))
                    }
                    Heard::Nonsense => None,
                    Heard::Nothing => return,
                    Heard::Gone => return self.hang_up(child),
                }
            }
            Child::Reader => match lane::receive::<FromReader>(channel, &mut self.buffer[..]) {
                Heard::Message(answer, keeps) => {
                    self.file_read(answer, keeps);
                    None
                }
                Heard::Nonsense => None,
                Heard::Nothing => return,
                Heard::Gone => return self.hang_up(child),
            },
            // It has nothing to say; its end is told by the svc lane.
            Child::Console => match lane::receive::<()>(channel, &mut self.buffer[..]) {
                Heard::Message(..) | Heard::Nonsense => None,
                Heard::Nothing => return,
                Heard::Gone => return self.hang_up(child),
            },
        };
        // Neither operators nor a child that was taken over can keep the loop busy.
        let io = &mut self.children.children[child as usize];
        if let Some(channel) = &io.channel {
            let key = Key::Child(child).number();
            let _ = self.poller.modify(channel, key, Interest::Nothing);
            io.listen = Some(clock::boottime() + PAUSE);
        }
        if let Some(input) = input {
            self.give(input);
        }
    }

    /// The channel is closed at the other end. The child is probably just ending, and
    /// the svc lane will tell when it has.
    fn hang_up(&mut self, child: Child) {
        let io = &mut self.children.children[child as usize];
        io.channel = None;
        io.kill = Some(clock::boottime() + LAST_BREATH);
    }

    /// Whether a reply is for this process itself.
    pub(super) fn is_own(token: Token) -> bool {
        token == OWN_TOKEN
    }
}
