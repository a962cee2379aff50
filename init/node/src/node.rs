//! The pump: one input in, every consequence out, always in the same order.
//!
//! [`Node::handle`] gives an input to the part that it concerns. [`Node::poll`] then
//! carries consequences from part to part, one at a time: first the log, then wires,
//! then processes, then helpers, and only when all of these are drained the engine's next
//! effect. So when the engine's last effect of a tick, feeding the watchdog, comes out,
//! everything that it decided before has left the node.

use kodo_engine::surface::{Command, Effect, Fatal, Level, Reason, Report};
use kodo_engine::{BootId, Engine, Now, PathId, ResourceId};
use kodo_netstack::{IfIndex, Ingress, LineIndex, Mac, Stack, Transmit, VipIndex};
use kodo_supervisor::{ServiceIndex, Supervisor};

use crate::acts::Acts;
use crate::config::{Config, Target, Wire};
use crate::io::{ActError, Action, Drill, Halt, Input, Line, Output, Port, ServiceId, Token};
use crate::log::Log;
use crate::operator::Answer;
use crate::switch::Unfit;
use crate::vip::{Cue, Step, Vip};
use crate::{children, limits, status};

/// One node. Calls: [`Node::handle`], then [`Node::poll`] until `None`, then sleep until
/// [`Node::poll_deadline`] or the next input. `now` never goes back. Allocates nothing.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    /// The file that the engine has staged.
    pub(crate) staged: Option<Config>,
    /// The answer to the newest staging, until it is given.
    pub(crate) verdict: Option<(Token, Result<u64, Unfit>)>,
    pub(crate) engine: Engine,
    pub(crate) supervisor: Supervisor,
    pub(crate) netstack: Stack,
    pub(crate) log: Log,
    pub(crate) acts: Acts,
    pub(crate) now: Now,
    pub(crate) watchdog: Option<(status::Name, Now)>,
    /// The kernel has a gate.
    pub(crate) gate: bool,
    vips: [Vip; limits::VIPS],
    ports: [PortState; limits::PORTS],
    /// The newest probe of each service, until answered.
    pub(crate) probes: [Option<Token>; limits::SERVICES],
    /// A request taken but not answered yet.
    pub(crate) answer: Option<(Token, Answer)>,
    /// Broken on purpose from then on.
    pub(crate) drill: Option<(Now, Drill)>,
    pub(crate) halt: Option<Halt>,
    fatal: Option<Fatal>,
}

/// What is known of a port.
#[derive(Clone, Copy, Debug, Default)]
struct PortState {
    ready: bool,
    carrier: bool,
}

impl Node {
    /// A node fresh from boot. `boot` is random and never reused; `seed` spreads timers.
    #[must_use]
    pub fn new(config: Config, boot: u64, seed: u64, now: Now) -> Node {
        Node {
            engine: Engine::new(config.engine.clone(), BootId(boot), seed, now),
            supervisor: Supervisor::new(config.supervisor.clone(), seed),
            netstack: Stack::new(config.netstack.clone(), seed),
            config,
            staged: None,
            verdict: None,
            log: Log::default(),
            acts: Acts::default(),
            now,
            watchdog: None,
            gate: false,
            vips: [Vip::default(); limits::VIPS],
            ports: [PortState::default(); limits::PORTS],
            probes: [None; limits::SERVICES],
            answer: None,
            drill: None,
            halt: None,
            fatal: None,
        }
    }

    /// Takes one input.
    ///
    /// # Panics
    /// When `now` goes back: a bug of the caller.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        assert!(
            now >= self.now,
            "time went back: {:?} after {:?}",
            now,
            self.now
        );
        self.now = now;
        match input {
            Input::Packet(port, frame) => self.packet(port, frame),
            Input::Serial(line, bytes) => self.serial(line, bytes),
            Input::PortReady(port, mac) => {
                self.netstack
                    .handle_port(now, IfIndex(port.0), Some(Mac(mac)));
                self.port(port, |state| state.ready = true);
            }
            Input::PortGone(port) => {
                self.netstack.handle_port(now, IfIndex(port.0), None);
                self.port(port, |state| *state = PortState::default());
            }
            Input::Carrier(port, up) => {
                self.netstack.handle_carrier(now, IfIndex(port.0), up);
                self.port(port, |state| state.carrier = up);
            }
            Input::LineReady(line, up) => {
                if let Some(path) = self.path_of(Wire::Line(line)) {
                    self.engine.handle_carrier(now, path, up);
                }
            }
            Input::Done(token, result) => {
                if let Some(action) = self.acts.done(token) {
                    self.acted(&action, result);
                }
            }
            Input::Exited(service, exit) => self.exited(service, exit),
            Input::Probed(token, result) => self.probed(token, result),
            Input::Operator(token, request) => self.request(token, request),
            Input::Stage(token, next) => self.stage(token, next),
            Input::Watchdog { granted, name } => {
                self.engine.handle_watchdog(now, granted);
                self.watchdog = Some((status::name(name), granted));
            }
            Input::Health(health) => self.engine.handle_health(now, health),
            Input::StateFound(slots) => self.engine.handle_state(now, slots),
            Input::StateWritten(serial, result) => {
                self.engine.handle_written(now, serial, result);
            }
            Input::StateGone => self.engine.handle_state_gone(now),
            Input::Gate(yes) => self.gate = yes,
            Input::HelperLost(lane) => {
                // Without it nothing can be stopped any more.
                self.log.write(
                    now,
                    Level::Alert,
                    format_args!("the {lane} helper died: this node resets itself"),
                );
                self.fatal = Some(Fatal::HelperLost);
            }
            Input::Note(level, text) => self.log.write(now, level, format_args!("{text}")),
            Input::Timer => self.timer(),
            Input::PowerButton => self.leave(Halt::PowerOff, "power button"),
        }
    }

    /// The next thing to do, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(line) = self.log.poll() {
                return Some(Output::Log(line));
            }
            if let Some(fatal) = self.fatal.take() {
                return Some(Output::Reset(fatal));
            }
            // Before the switch that may follow from it at once.
            if let Some((token, verdict)) = self.verdict.take() {
                return Some(Output::Staged(token, verdict));
            }
            if let Some(transmit) = self.netstack.poll_transmit() {
                return Some(match transmit {
                    Transmit::Port(port, frame) => Output::Packet(Port(port.0), frame),
                    Transmit::Line(line, bytes) => Output::Serial(Line(line.0), bytes),
                });
            }
            if let Some((token, action)) = self.acts.poll() {
                return Some(Output::Act(token, action));
            }
            if let Some(event) = self.netstack.poll_event() {
                self.heard(event);
            } else if let Some(event) = self.supervisor.poll_event() {
                self.child(event);
            } else if let Some(action) = self.supervisor.poll_action() {
                if let Some(output) = self.child_action(action) {
                    return Some(output);
                }
            } else if let Some(effect) = self.engine.poll_effect() {
                if let Some(output) = self.perform(effect) {
                    return Some(output);
                }
            } else {
                return self.poll_operator();
            }
        }
    }

    /// When [`Input::Timer`] is wanted next.
    #[must_use]
    pub fn poll_deadline(&self) -> Now {
        [
            self.netstack.poll_deadline(),
            self.supervisor.poll_deadline(),
            self.acts.deadline(),
            self.drill.map(|(at, _)| at),
        ]
        .into_iter()
        .flatten()
        .fold(self.engine.poll_deadline(), Now::min)
    }

    /// Time passed. The engine comes last, so that its tick judges by the newest reports.
    fn timer(&mut self) {
        self.netstack.handle_timer(self.now);
        self.supervisor.handle_timer(self.now);
        while let Some(action) = self.acts.overdue(self.now) {
            self.acted(&action, Err(ActError::Overdue));
        }
        self.engine.handle_timer(self.now);
        let leased = self.engine.holds_lease(self.now);
        for target in &self.config.resources {
            if let Target::Vip { index, .. } = target {
                self.netstack.defend(VipIndex(*index), leased);
            }
        }
    }

    fn packet(&mut self, port: Port, frame: &[u8]) {
        let ingress = self
            .netstack
            .handle_packet(self.now, IfIndex(port.0), frame);
        let (payload, source) = match ingress {
            Ingress::Heartbeat { payload, source } => (payload, source),
            Ingress::Answer { payload } => {
                // The engine counts what it rejects.
                let _ = self.engine.handle_witness(self.now, payload);
                return;
            }
            Ingress::Handled | Ingress::Ignored => return,
        };
        // Found before the engine is asked: the payload borrows only the frame.
        let path = self.path_of(Wire::Port(port));
        let member =
            path.is_some_and(|path| self.engine.handle_frame(self.now, path, payload).is_ok());
        if member {
            self.netstack.learn_member(source);
        }
    }

    fn serial(&mut self, line: Line, mut bytes: &[u8]) {
        let Some(path) = self.path_of(Wire::Line(line)) else {
            return;
        };
        while let Some(payload) = self.netstack.handle_serial(LineIndex(line.0), &mut bytes) {
            // The engine counts what it rejects; nobody here wants to know more.
            let _ = self.engine.handle_frame(self.now, path, payload);
        }
    }

    /// Changes what is known of a port and tells the engine whether its path is usable.
    fn port(&mut self, port: Port, change: impl FnOnce(&mut PortState)) {
        let state = &mut self.ports[usize::from(port.0)];
        change(state);
        let usable = state.ready && state.carrier;
        if let Some(path) = self.path_of(Wire::Port(port)) {
            self.engine.handle_carrier(self.now, path, usable);
        }
    }

    fn path_of(&self, wire: Wire) -> Option<PathId> {
        (0..)
            .map(PathId)
            .zip(&self.config.paths)
            .find_map(|(path, end)| (*end == Some(wire)).then_some(path))
    }

    /// Carries out one effect of the engine, or hands it out.
    fn perform(&mut self, effect: Effect) -> Option<Output> {
        match effect {
            Effect::Send(path, frame) => {
                // What cannot be sent is counted by the netstack; the next beat tries again.
                let _ = match self.config.paths[path.index()] {
                    Some(Wire::Port(port)) => self.netstack.send_heartbeat(IfIndex(port.0), &frame),
                    Some(Wire::Line(line)) => self.netstack.send_serial(LineIndex(line.0), &frame),
                    None => Ok(()),
                };
            }
            Effect::Ask(question) => {
                // What cannot be sent is counted; the next keepalive asks again.
                let _ = self.netstack.send_witness(self.now, &question);
            }
            Effect::Start(resource, reason) => match self.target(resource) {
                Target::Vip { index, .. } => self.cue(index, Cue::Start),
                Target::Service(service) => {
                    self.supervisor.start(
                        self.now,
                        ServiceIndex(service.0),
                        children::code(reason),
                    );
                }
                Target::Role(service) => {
                    let service = ServiceIndex(service.0);
                    self.supervisor
                        .promote(self.now, service, children::code(reason));
                }
            },
            Effect::Stop(resource, reason) => match self.target(resource) {
                Target::Vip { index, .. } => self.cue(index, Cue::Stop),
                Target::Service(service) => self.supervisor.stop(self.now, ServiceIndex(service.0)),
                Target::Role(service) => {
                    // Others may count on its end: the release of a light group is too
                    // short for an instance that has first to be asked.
                    let at_once = reason == Reason::Yield && !self.is_guarded(resource);
                    self.supervisor
                        .demote(self.now, ServiceIndex(service.0), at_once);
                }
            },
            Effect::Probe(resource) => {
                if let Target::Vip { index, .. } = self.target(resource) {
                    self.netstack.probe(self.now, VipIndex(index));
                }
            }
            Effect::Announce(resource) => {
                if let Target::Vip { index, .. } = self.target(resource)
                    && self.vips[usize::from(index)] == Vip::Up
                {
                    self.netstack.announce(self.now, VipIndex(index));
                }
            }
            Effect::Gate(resource, until) => {
                if let Target::Vip { address, .. } = self.target(resource) {
                    return Some(Output::Gate(address, until));
                }
            }
            Effect::Persist(serial, table) => return Some(Output::Persist(serial, table)),
            Effect::FeedWatchdog => return Some(Output::FeedWatchdog),
            Effect::ResetSelf(fatal) => return Some(Output::Reset(fatal)),
            Effect::Adopted(hash) => return self.adopt(hash),
            Effect::Log(event) => {
                let config = &self.config.engine;
                self.log
                    .write_with(self.now, event.level(), |out| event.text(config, out));
            }
        }
        None
    }

    /// The netstack noticed something.
    fn heard(&mut self, event: kodo_netstack::Event) {
        use kodo_netstack::Event;
        match event {
            Event::AddressFree(vip) => self.cue(vip.0, Cue::Free),
            Event::AddressTaken(vip, mac) => {
                self.log_stranger(vip, mac, "is not bound here until that machine is gone");
                self.cue(vip.0, Cue::Taken);
            }
            Event::Conflict(vip, mac) => self.log_stranger(vip, mac, "has two owners on the LAN"),
            Event::Answered { sent, .. } => self.engine.handle_ping(self.now, sent),
        }
    }

    fn log_stranger(&mut self, vip: VipIndex, mac: Mac, what: &str) {
        let address = self.vip_target(vip.0).1;
        self.log.write(
            self.now,
            Level::Alert,
            format_args!("VIP {address} {what}: {mac} answers for it"),
        );
    }

    /// Moves a VIP on, and follows with what the step asks for.
    fn cue(&mut self, index: u8, cue: Cue) {
        let Some(step) = self.vips[usize::from(index)].step(cue) else {
            return;
        };
        let (resource, address, port) = self.vip_target(index);
        let until = self.now + self.config.act_timeout;
        match step {
            Step::Probe => self.netstack.probe(self.now, VipIndex(index)),
            Step::Add => {
                self.acts.ask(Action::AddAddress(port, address), until);
            }
            Step::Announce => {
                self.netstack.announce(self.now, VipIndex(index));
                self.engine
                    .handle_report(self.now, resource, Report::Started);
            }
            Step::Remove => {
                self.netstack.withdraw(self.now, VipIndex(index));
                self.acts.ask(Action::DelAddress(port, address), until);
            }
            Step::Report(report) => self.engine.handle_report(self.now, resource, report),
        }
    }

    /// A helper answered, or did not in time.
    fn acted(&mut self, action: &Action, result: Result<(), ActError>) {
        if let Err(error) = result {
            self.log.write(
                self.now,
                Level::Warn,
                format_args!("{action} failed: {error}"),
            );
        }
        match action {
            Action::AddAddress(port, address) => {
                self.vip_cue(*port, *address, Cue::Added(result.is_ok()));
            }
            Action::DelAddress(port, address) => {
                self.vip_cue(*port, *address, Cue::Removed(result.is_ok()));
            }
            Action::Spawn(service, _)
            | Action::Terminate(service)
            | Action::Kill(service)
            | Action::Promote(service, _)
            | Action::Demote(service) => {
                let kind = children::kind(action);
                let service = ServiceIndex(service.0);
                self.supervisor
                    .handle_acted(self.now, service, kind, result.map_err(drop));
            }
        }
    }

    fn vip_cue(&mut self, port: Port, address: core::net::IpAddr, cue: Cue) {
        let here = |target: &Target| match target {
            Target::Vip {
                index,
                port: p,
                address: a,
            } if *p == port && *a == address => Some(*index),
            _ => None,
        };
        // An address that a new cluster file calls otherwise is there twice, once down.
        let mut all = self.config.resources.iter().filter_map(here);
        if let Some(index) = all.find(|index| self.vips[usize::from(*index)] != Vip::Down) {
            self.cue(index, cue);
        }
    }

    pub(crate) fn target(&self, resource: ResourceId) -> Target {
        self.config.resources[resource.index()]
    }

    fn vip_target(&self, wanted: u8) -> (ResourceId, core::net::IpAddr, Port) {
        (0..)
            .map(ResourceId)
            .zip(&self.config.resources)
            .find_map(|(resource, target)| match target {
                Target::Vip {
                    index,
                    port,
                    address,
                } if *index == wanted => Some((resource, *address, *port)),
                _ => None,
            })
            .expect("every VIP index comes from the resource table")
    }

    pub(crate) fn service_resource(&self, service: ServiceId) -> ResourceId {
        self.resource_of(Target::Service(service))
            .expect("every service has a resource")
    }

    /// The resource behind which this stands; a service may have no role.
    pub(crate) fn resource_of(&self, wanted: Target) -> Option<ResourceId> {
        (0..)
            .map(ResourceId)
            .zip(&self.config.resources)
            .find_map(|(resource, target)| (*target == wanted).then_some(resource))
    }

    fn is_guarded(&self, resource: ResourceId) -> bool {
        let mut groups = self.config.engine.groups.iter();
        groups.any(|group| group.guarded && group.members.contains(&resource))
    }

    /// Give up everything in order; then halt.
    pub(crate) fn leave(&mut self, halt: Halt, who: &str) {
        self.log.write(
            self.now,
            Level::Info,
            format_args!("{who}: leaving in order, then {halt}"),
        );
        self.halt = Some(halt);
        // Leaving is never refused: it only gives up.
        let _ = self.engine.handle_command(self.now, Command::Leave);
    }
}
