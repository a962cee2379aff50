//! Child process policy: when to start, probe, restart, stop and kill the services.
//!
//! Owns one small state machine per service ([`service`]), its role ([`role`]), the schedule
//! of its probes ([`probe`]) and the waits between its restarts ([`backoff`]). Never spawns, signals,
//! reads a clock or allocates: it asks for an [`Action`], is told what became of it, and
//! says what the service is worth as an [`Event`].
//!
//! One rule carries the safety: **a service is dead only when a [`Action::Kill`] of its
//! whole cgroup was confirmed.** An exited main process may leave children behind, and a
//! spawn that failed late may have happened; so every life, however it ended, is closed
//! by a kill, and no second spawn is asked for before that kill was confirmed.
//!
//! # The call contract
//!
//! - `now` never goes back. After every call of `start`, `stop` or `handle_*`, drain
//!   [`Supervisor::poll_action`] and [`Supervisor::poll_event`]; call
//!   [`Supervisor::handle_timer`] at [`Supervisor::poll_deadline`].
//! - Actions on one service are performed in the order given, and a kill ends a hook that
//!   runs. All but probes are answered by [`Supervisor::handle_acted`]; an overdue answer is given as `Err`
//!   once, and dropped when it comes late.
//! - The exit of a main process is given before the confirmation of the kill that
//!   closed that life.
//! - [`Supervisor::handle_probed`] is called only for the newest probe of a service.
//!
//! The last command wins: it is always answered by exactly one of its outcomes, which
//! are `Started`, `StartFailed`, `StopFailed` for a start, and `Stopped`, `StopFailed`
//! for a stop; a command overtaken by another gets no answer of its own. The same holds
//! for the role: `Promoted`, `PromoteFailed` for a promotion, and `Demoted` for a demotion;
//! where the life cannot be killed, `StopFailed` of the service comes instead.
#![no_std]

mod backoff;
mod config;
pub mod limits;
mod probe;
mod role;
mod service;

use heapless::{Deque, Vec};

pub use config::{Config, Name, ProbeConfig, ServiceConfig};
pub use service::State;

use service::Service;

/// Monotonic time since boot.
pub type Now = core::time::Duration;

/// A service, by its position in [`Config::services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceIndex(pub u8);

/// What the supervisor wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the service in its own cgroup; done when the exec succeeded.
    Spawn(ServiceIndex, Cause),
    /// TERM to its main process.
    Terminate(ServiceIndex),
    /// KILL to its whole cgroup; done when it is empty, also when it always was.
    Kill(ServiceIndex),
    /// Ask it whether it is well.
    Probe(ServiceIndex),
    /// Tell the running instance that it is the promoted one, with this code of why; done
    /// when it confirmed.
    Promote(ServiceIndex, u8),
    /// Tell it that it no longer is; done when it confirmed.
    Demote(ServiceIndex),
}

/// Why a service is spawned; it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// [`Supervisor::start`] was called with this code.
    Commanded(u8),
    /// It failed, and is restarted in place.
    Recover,
}

/// Which [`Action`] an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// [`Action::Spawn`].
    Spawn,
    /// [`Action::Terminate`].
    Terminate,
    /// [`Action::Kill`].
    Kill,
    /// [`Action::Promote`].
    Promote,
    /// [`Action::Demote`].
    Demote,
}

/// What became of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The start succeeded: it is ready.
    Started(ServiceIndex),
    /// It is down for certain.
    Stopped(ServiceIndex),
    /// The start did not succeed; it is down for certain.
    StartFailed(ServiceIndex, FailedWhy),
    /// Killing it was not confirmed in [`limits::KILL_TIMEOUT`]: it may still act. The
    /// kill is repeated; should it ever be confirmed, `Stopped` follows.
    StopFailed(ServiceIndex),
    /// It was ready and failed, or its restart failed; it is restarted in place.
    Failed(ServiceIndex, FailedWhy),
    /// It is ready again after `Failed`.
    Recovered(ServiceIndex),
    /// The instance is the promoted one.
    Promoted(ServiceIndex),
    /// The promotion did not succeed, or there was no instance; what runs is not promoted.
    PromoteFailed(ServiceIndex),
    /// It is not the promoted one, for certain.
    Demoted(ServiceIndex),
    /// The promoted instance is dead, and what is restarted is not promoted.
    RoleLost(ServiceIndex),
}

/// What was wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedWhy {
    /// The exec did not succeed, or nobody knows whether it did.
    Spawn,
    /// Its main process ended.
    Exited,
    /// It was not ready within its start timeout.
    NotReady,
    /// As many probes in a row as its `fall` failed.
    Probe,
    /// It could not be told its role in time, or at all.
    Role,
}

/// All services of one node.
#[derive(Clone, Debug)]
pub struct Supervisor {
    services: Vec<Service, { limits::SERVICES }>,
    events: Deque<Event, { limits::EVENTS }>,
}

impl Supervisor {
    /// All services stopped. The seed spreads the waits between restarts.
    ///
    /// # Panics
    /// When a duration or threshold of the configuration is zero, or the largest backoff
    /// is smaller than the smallest: `kodo-config` refuses such a file.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Supervisor {
        let mut services = Vec::new();
        for (index, config) in (0_u8..).zip(config.services) {
            config.assert_sane();
            let fits = services.push(Service::new(ServiceIndex(index), config, seed));
            assert!(fits.is_ok(), "as many slots as the configuration has");
        }
        Supervisor {
            services,
            events: Deque::new(),
        }
    }

    /// Another configuration from now on: services keep their index and go on as they are,
    /// new ones come after them, stopped.
    ///
    /// # Panics
    /// When it has fewer services than there are, or a [`Config::fault`].
    pub fn adopt(&mut self, now: Now, config: &Config, seed: u64) {
        let known = self.services.len();
        assert!(config.services.len() >= known, "services keep their index");
        for (index, config) in (0_u8..).zip(&config.services) {
            config.assert_sane();
            let service = ServiceIndex(index);
            if usize::from(index) < known {
                self.with(service, |service| service.adopt(now, config.clone()));
            } else {
                let fits = self
                    .services
                    .push(Service::new(service, config.clone(), seed));
                assert!(fits.is_ok(), "as many slots as the configuration has");
            }
        }
    }

    /// Bring a service up. `reason_code` is handed through to [`Cause::Commanded`].
    pub fn start(&mut self, now: Now, service: ServiceIndex, reason_code: u8) {
        self.with(service, |service| service.start(now, reason_code));
    }

    /// Bring a service down: TERM, KILL after its stop timeout. Works at once in every
    /// state, and is answered within [`ServiceConfig::stop_bound`].
    pub fn stop(&mut self, now: Now, service: ServiceIndex) {
        self.with(service, |service| service.stop(now));
    }

    /// Make the running instance the promoted one. `reason_code` as for a start. Answered
    /// within [`ServiceConfig::start_bound`].
    pub fn promote(&mut self, now: Now, service: ServiceIndex, reason_code: u8) {
        self.with(service, |service| service.promote(now, reason_code));
    }

    /// Make it an ordinary one: in order, or `at_once` by the end of its life. Answered
    /// within [`ServiceConfig::stop_bound`].
    pub fn demote(&mut self, now: Now, service: ServiceIndex, at_once: bool) {
        self.with(service, |service| service.demote(now, at_once));
    }

    /// An action came back.
    pub fn handle_acted(
        &mut self,
        now: Now,
        service: ServiceIndex,
        action: ActionKind,
        result: Result<(), ()>,
    ) {
        self.with(service, |service| service.acted(now, action, result));
    }

    /// The main process of a service ended, whatever the reason.
    pub fn handle_exited(&mut self, now: Now, service: ServiceIndex) {
        self.with(service, |service| service.exited(now));
    }

    /// The newest probe of a service was answered.
    pub fn handle_probed(&mut self, now: Now, service: ServiceIndex, ok: bool) {
        self.with(service, |service| service.probed(now, ok));
    }

    /// Time passed. Early and repeated calls do nothing.
    pub fn handle_timer(&mut self, now: Now) {
        for service in &mut self.services {
            service.timer(now);
            collect(&mut self.events, service);
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.services.iter_mut().find_map(Service::take_action)
    }

    /// The next thing to know, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Supervisor::handle_timer`] wants to run next; always later than its last run.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Now> {
        self.services.iter().filter_map(Service::deadline).min()
    }

    /// Where a service stands.
    #[must_use]
    pub fn state(&self, service: ServiceIndex) -> State {
        self.services[usize::from(service.0)].state()
    }

    /// Every service, in the order of the configuration.
    pub fn services(&self) -> impl Iterator<Item = (ServiceIndex, &ServiceConfig, State)> {
        (0_u8..)
            .zip(&self.services)
            .map(|(i, s)| (ServiceIndex(i), s.config(), s.state()))
    }

    fn with(&mut self, service: ServiceIndex, run: impl FnOnce(&mut Service)) {
        let service = &mut self.services[usize::from(service.0)];
        run(service);
        collect(&mut self.events, service);
    }
}

/// A service says at most one thing of its role and one of itself per call; the caller
/// drained the earlier ones.
fn collect(events: &mut Deque<Event, { limits::EVENTS }>, service: &mut Service) {
    while let Some(event) = service.take_event() {
        let fits = events.push_back(event);
        assert!(fits.is_ok(), "events are drained after every call");
    }
}
