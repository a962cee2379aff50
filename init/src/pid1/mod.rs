//! The decision loop: gathers one input, gives it to the node, performs what comes out.
//!
//! Owns the order of the loop and nothing it decides. Nothing here waits: descriptors are
//! never read or written beyond what is there now, and what may wait is asked of a lane.
//! The watchdog is fed only when the node says so, which it does after its own progress.
//!
//! One source gives one input per turn, so that a flood on one wire cannot starve the
//! others; a turn handles at most [`kodo_sys::poll::EVENTS`] of them before time itself
//! is looked at.

mod children;
mod disk;
mod events;
mod gate;
mod key;
mod lane;
mod lines;
mod perform;
mod ports;
mod reload;

use std::os::fd::OwnedFd;
use std::time::Duration;

use kodo_engine::surface::Level;
use kodo_node::Node;
use kodo_node::io::{Halt, Input, Request, Token};
use kodo_sys::netlink::Events;
use kodo_sys::poll::{Interest, Poller, Ready};
use kodo_sys::signal::{Signal, SignalFd};
use kodo_sys::{Result, clock};

use self::children::Children;
use self::gate::Gate;
use self::key::Key;
pub(crate) use self::lane::Lane;
use self::lines::Lines;
use self::perform::Feeder;
use self::ports::Ports;
use self::reload::Reload;
use crate::plan::Plan;
use crate::wire::MESSAGE;

/// The token of this process's own questions. The admin child uses smaller ones.
const OWN_TOKEN: Token = Token(u32::MAX);
/// How often the console's panel is renewed.
const PANEL: Duration = Duration::from_secs(1);

/// Everything that boot made ready for the loop.
pub(crate) struct Parts {
    /// When the first instruction of this process ran.
    pub(crate) start: Duration,
    /// What this machine is to be.
    pub(crate) plan: Plan,
    /// The deciding part.
    pub(crate) node: Box<Node>,
    /// Signals, blocked since before the first child.
    pub(crate) signals: SignalFd,
    /// Helpers.
    pub(crate) net: Lane,
    /// Helpers.
    pub(crate) svc: Lane,
    /// Helpers.
    pub(crate) dev: Lane,
    /// Where the file asks for one.
    pub(crate) disk: Option<Lane>,
    /// What to log first.
    pub(crate) notes: Vec<(Level, String)>,
    /// The running file's hash.
    pub(crate) file: u64,
    /// The running file, for the reader of the next one; or why none can follow.
    pub(crate) running: core::result::Result<OwnedFd, String>,
    /// Services whose files are in the image.
    pub(crate) files: Vec<String>,
}

/// The loop's state.
pub(crate) struct Pid1 {
    start: Duration,
    plan: Plan,
    node: Box<Node>,
    poller: Poller,
    timer: clock::Timer,
    signals: SignalFd,
    links: Events,
    ports: Ports,
    lines: Lines,
    gate: Gate,
    net: Lane,
    svc: Lane,
    dev: Lane,
    disk: Option<Lane>,
    children: Children,
    reload: Reload,
    watchdog: Option<Feeder>,
    panel_due: Duration,
    /// The boot's last milestone is still to come.
    booting: bool,
    buffer: Box<[u8; MESSAGE]>,
}

impl Pid1 {
    /// Wires everything to the poller.
    ///
    /// # Errors
    /// What the kernel says; none of it happens on a healthy machine.
    pub(crate) fn new(parts: Parts) -> Result<Pid1> {
        let poller = Poller::new()?;
        let timer = clock::Timer::new()?;
        let links = Events::links()?;
        poller.add(&timer, Key::Timer.number(), Interest::Read)?;
        poller.add(&parts.signals, Key::Signals.number(), Interest::Read)?;
        poller.add(&links, Key::Links.number(), Interest::Read)?;
        for (key, lane) in [
            (Key::Net, &parts.net),
            (Key::Svc, &parts.svc),
            (Key::Dev, &parts.dev),
        ] {
            poller.add(lane, key.number(), Interest::Read)?;
        }
        if let Some(disk) = &parts.disk {
            poller.add(disk, Key::Disk.number(), Interest::Read)?;
        }
        let mut pid1 = Pid1 {
            start: parts.start,
            ports: Ports::new(&parts.plan),
            lines: Lines::new(&parts.plan),
            gate: Gate::new(&parts.plan),
            plan: parts.plan,
            node: parts.node,
            poller,
            timer,
            signals: parts.signals,
            links,
            net: parts.net,
            svc: parts.svc,
            dev: parts.dev,
            disk: parts.disk,
            children: Children::new(),
            reload: Reload::new(parts.file, parts.running, parts.files),
            watchdog: None,
            panel_due: Duration::ZERO,
            booting: true,
            buffer: Box::new([0; MESSAGE]),
        };
        pid1.start_children();
        for (level, text) in &parts.notes {
            pid1.give(Input::Note(*level, text));
        }
        Ok(pid1)
    }

    /// Runs for as long as the machine does.
    pub(crate) fn run(&mut self) -> ! {
        let mut ready = Ready::new();
        loop {
            if let Err(error) = self.turn(&mut ready) {
                // Only epoll and timerfd can fail here: this process is broken.
                panic!("the decision loop cannot wait: {error}");
            }
        }
    }

    fn turn(&mut self, ready: &mut Ready) -> Result<()> {
        let due = self
            .node
            .poll_deadline()
            .min(self.children.deadline())
            .min(self.panel_due);
        self.timer.arm(due)?;
        self.poller.wait(ready, None)?;
        for wake in ready.iter() {
            match Key::from_number(wake.key) {
                Some(Key::Timer) => self.timer.acknowledge(),
                Some(Key::Signals) => self.signal(),
                Some(Key::Links) => self.link_changes(),
                Some(Key::Net) => self.net_event(),
                Some(Key::Svc) => self.svc_event(),
                Some(Key::Dev) => self.dev_event(),
                Some(Key::Disk) => self.disk_event(),
                Some(Key::Child(child)) => self.child_event(child),
                Some(Key::Port(port)) => self.packet(port),
                Some(Key::Line(line)) => self.serial(line, wake.read || wake.gone, wake.write),
                None => {}
            }
        }
        let now = clock::boottime();
        if now >= self.node.poll_deadline() {
            self.give(Input::Timer);
        }
        self.start_due_children(now);
        if now >= self.panel_due {
            self.panel_due = now + PANEL;
            self.give(Input::Operator(OWN_TOKEN, Request::Status));
        }
        Ok(())
    }

    /// Gives the node one input and performs everything that follows from it.
    fn give(&mut self, input: Input<'_>) {
        self.node.handle(clock::boottime(), input);
        self.drain();
    }

    fn note(&mut self, level: Level, text: &str) {
        self.give(Input::Note(level, text));
    }

    fn signal(&mut self) {
        match self.signals.take() {
            Some(Signal::Child) => self.reap(),
            Some(Signal::Terminate | Signal::Power) => self.give(Input::PowerButton),
            Some(Signal::Interrupt) => {
                let operator = heapless::String::try_from("ctrl-alt-del").unwrap_or_default();
                self.give(Input::Operator(
                    OWN_TOKEN,
                    Request::Halt {
                        halt: Halt::Reboot,
                        operator,
                    },
                ));
            }
            None => {}
        }
    }

    /// Reaps everything that ended: helpers, and orphans that nobody else adopted.
    fn reap(&mut self) {
        while let Some((pid, _)) = kodo_sys::process::reap_any() {
            if self.disk.as_ref().is_some_and(|disk| disk.is(pid)) {
                self.disk_lost();
                continue;
            }
            let lanes = [&self.net, &self.svc, &self.dev];
            if let Some(name) = lanes
                .iter()
                .find(|lane| lane.is(pid))
                .map(|lane| lane.name())
            {
                self.helper_lost(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
