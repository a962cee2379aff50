//! Between the supervisor and the world: spawns, kills, probes, exits.
//!
//! Owns the translation of the supervisor's words into the node's, and of its events
//! into the engine's reports. The restart policy itself is the supervisor's.

use kodo_engine::surface::{Level, Reason, Report};
use kodo_supervisor::{Action as Wanted, ActionKind, Cause, Event, FailedWhy, ServiceIndex, State};

use crate::config::Target;
use crate::io::{Action, Exit, Output, ProbeError, ServiceId, Token};
use crate::node::Node;

/// A reason on its way through the supervisor, which only hands it on.
const REASONS: [Reason; 7] = [
    Reason::Start,
    Reason::Failover,
    Reason::Failback,
    Reason::Move,
    Reason::Recover,
    Reason::Yield,
    Reason::Shutdown,
];

/// The code of a reason; [`reason`] is its inverse.
pub(crate) fn code(reason: Reason) -> u8 {
    reason as u8
}

fn reason(cause: Cause) -> Reason {
    match cause {
        Cause::Recover => Reason::Recover,
        Cause::Commanded(code) => decoded(code),
    }
}

fn decoded(code: u8) -> Reason {
    REASONS[usize::from(code)]
}

/// The supervisor's word for an action on a service.
pub(crate) fn kind(action: &Action) -> ActionKind {
    match action {
        Action::Spawn(..) => ActionKind::Spawn,
        Action::Terminate(_) => ActionKind::Terminate,
        Action::Kill(_) => ActionKind::Kill,
        Action::Promote(..) => ActionKind::Promote,
        Action::Demote(_) => ActionKind::Demote,
        Action::AddAddress(..) | Action::DelAddress(..) => unreachable!("an address is no service"),
    }
}

impl Node {
    /// The main process of a service ended.
    pub(crate) fn exited(&mut self, service: ServiceId, exit: Exit) {
        let index = ServiceIndex(service.0);
        let level = match self.supervisor.state(index) {
            State::Running => Level::Warn,
            _ => Level::Info,
        };
        let name = self.service_name(index);
        self.log
            .write(self.now, level, format_args!("service {name} {exit}"));
        self.supervisor.handle_exited(self.now, index);
    }

    /// A probe was answered; only the newest of its service counts.
    pub(crate) fn probed(&mut self, token: Token, result: Result<i16, ProbeError>) {
        let Some(at) = self.probes.iter().position(|probe| *probe == Some(token)) else {
            return;
        };
        self.probes[at] = None;
        let Ok(index) = u8::try_from(at).map(ServiceIndex) else {
            return;
        };
        if let Err(error) = result
            && self.supervisor.state(index) == State::Running
        {
            let name = self.service_name(index);
            self.log.write(
                self.now,
                Level::Warn,
                format_args!("service {name}: probe failed: {error}"),
            );
        }
        self.supervisor
            .handle_probed(self.now, index, result.is_ok());
        if let Ok(promotion) = result {
            let resource = self.service_resource(ServiceId(index.0));
            self.engine.handle_promotion(self.now, resource, promotion);
        }
    }

    /// Something became of a service: the engine must know, and people too.
    pub(crate) fn child(&mut self, event: Event) {
        let service = |index: ServiceIndex| Target::Service(ServiceId(index.0));
        let role = |index: ServiceIndex| Target::Role(ServiceId(index.0));
        let (target, report) = match event {
            Event::Started(index) => (service(index), Report::Started),
            Event::Stopped(index) => (service(index), Report::Stopped),
            Event::StartFailed(index, why) => {
                self.log_failure(index, "did not start", why);
                (service(index), Report::StartFailed)
            }
            Event::StopFailed(index) => (service(index), Report::StopFailed),
            Event::Failed(index, why) => {
                self.log_failure(index, "failed, is restarted in place", why);
                (service(index), Report::Failed)
            }
            Event::Recovered(index) => (service(index), Report::Recovered),
            Event::Promoted(index) => (role(index), Report::Started),
            Event::PromoteFailed(index) => (role(index), Report::StartFailed),
            Event::Demoted(index) | Event::RoleLost(index) => (role(index), Report::Stopped),
        };
        if let Some(resource) = self.resource_of(target) {
            self.engine.handle_report(self.now, resource, report);
        }
    }

    /// Carries out one wish of the supervisor, or hands it out.
    pub(crate) fn child_action(&mut self, action: Wanted) -> Option<Output> {
        let (action, patience) = match action {
            Wanted::Spawn(index, cause) => (
                Action::Spawn(ServiceId(index.0), reason(cause)),
                // A program may be slow to load; the supervisor's own bound decides.
                self.service(index).start_timeout,
            ),
            Wanted::Terminate(index) => (
                Action::Terminate(ServiceId(index.0)),
                self.config.act_timeout,
            ),
            Wanted::Kill(index) => (Action::Kill(ServiceId(index.0)), self.config.act_timeout),
            // The supervisor's own bounds decide, as for a spawn.
            Wanted::Promote(index, code) => (
                Action::Promote(ServiceId(index.0), decoded(code)),
                self.service(index).start_timeout,
            ),
            Wanted::Demote(index) => (
                Action::Demote(ServiceId(index.0)),
                self.service(index).stop_timeout,
            ),
            Wanted::Probe(index) => {
                let token = self.acts.token();
                self.probes[usize::from(index.0)] = Some(token);
                return Some(Output::Probe(token, ServiceId(index.0)));
            }
        };
        self.acts.ask(action, self.now + patience);
        None
    }

    fn log_failure(&mut self, index: ServiceIndex, what: &str, why: FailedWhy) {
        let why = match why {
            FailedWhy::Spawn => "it could not be run",
            FailedWhy::Exited => "its main process ended",
            FailedWhy::NotReady => "not ready within its start timeout",
            FailedWhy::Probe => "its probe failed too often in a row",
            FailedWhy::Role => "it did not take its role in time",
        };
        let name = self.service_name(index);
        self.log.write(
            self.now,
            Level::Warn,
            format_args!("service {name} {what}: {why}"),
        );
    }

    fn service_name(&self, index: ServiceIndex) -> kodo_supervisor::Name {
        self.service(index).name.clone()
    }

    fn service(&self, index: ServiceIndex) -> &kodo_supervisor::ServiceConfig {
        &self.config.supervisor.services[usize::from(index.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_supervisor() {
        for expected in REASONS {
            assert_eq!(reason(Cause::Commanded(code(expected))), expected);
        }
    }
}
