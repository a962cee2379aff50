//! One service's life and death.
//!
//! Two words describe it: the *phase* is what is known of its processes, the *goal* is
//! where it shall end and what is said on arrival. Commands change the goal; answers and
//! time change the phase. See the crate's documentation for the one rule: only a
//! confirmed kill leads from any living phase back to `Down` or `Backoff`.

use crate::backoff::Backoff;
use crate::probe::{Prober, Verdict};
use crate::role::{Follows, Role};
use crate::{
    Action, ActionKind, Cause, Event, FailedWhy, Now, ServiceConfig, ServiceIndex, limits,
};

/// Where a service stands, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it runs.
    Stopped,
    /// Commanded up, not ready yet.
    Starting,
    /// Ready.
    Running,
    /// It failed and is on its way up again: being killed, waiting, or not ready yet.
    Recovering,
    /// On its way down.
    Stopping,
    /// It could not be killed and may still act.
    StopFailed,
}

/// What is known of the processes.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// There are none.
    Down,
    /// There are none, and a restart waits.
    Backoff { until: Now },
    /// A spawn is wanted (`asked` false) or was asked for.
    Spawning { asked: bool, until: Now },
    /// They run and are not ready.
    Starting { until: Now, prober: Prober },
    /// They run and are ready.
    Ready { since: Now, prober: Option<Prober> },
    /// They were told to end, or are about to be; killed after `kill_at`.
    Terminating { term: Term, kill_at: Now },
    /// They must die; after `give_up` this is said to have failed, `None` when it was.
    Killing { ask: Ask, give_up: Option<Now> },
}

/// How far a TERM got.
#[derive(Clone, Copy, Debug)]
enum Term {
    /// Wanted.
    Want,
    /// Asked for.
    Asked,
    /// Delivered.
    Sent,
}

/// How far a kill got.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Wanted.
    Want,
    /// Asked for.
    Asked,
    /// It failed; wanted again then.
    Again(Now),
}

/// Where the service shall end, and what is said there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// Dead: `Stopped`.
    Stop,
    /// Dead, because its start failed: `StartFailed`.
    FailStart(FailedWhy),
    /// Ready: `Started`.
    Start(u8),
    /// Ready, after a pause once it is dead: `Recovered`.
    Recover,
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    index: ServiceIndex,
    config: ServiceConfig,
    phase: Phase,
    goal: Goal,
    /// Of the life that runs; an ordinary one where none is ready.
    role: Role,
    backoff: Backoff,
    event: Option<Event>,
    role_event: Option<Event>,
}

impl Service {
    pub(crate) fn new(index: ServiceIndex, config: ServiceConfig, seed: u64) -> Service {
        let seed = seed ^ (u64::from(index.0) << 56);
        let backoff = Backoff::new(config.backoff_min, config.backoff_max, seed);
        Service {
            index,
            config,
            phase: Phase::Down,
            goal: Goal::Stop,
            role: Role::default(),
            backoff,
            event: None,
            role_event: None,
        }
    }

    pub(crate) fn config(&self) -> &ServiceConfig {
        &self.config
    }

    /// Another configuration from now on, whatever its processes do: deadlines that run are
    /// kept, what is asked or waited for next goes by the new one.
    pub(crate) fn adopt(&mut self, now: Now, config: ServiceConfig) {
        self.backoff.adopt(config.backoff_min, config.backoff_max);
        let probe = config.probe;
        self.config = config;
        match (&mut self.phase, probe) {
            (Phase::Starting { prober, .. }, Some(probe))
            | (
                Phase::Ready {
                    prober: Some(prober),
                    ..
                },
                Some(probe),
            ) => prober.adopt(probe),
            (Phase::Ready { prober, .. }, probe) => {
                *prober = probe.map(|probe| Prober::new(probe, now));
            }
            // Its exec has succeeded, and nothing more is asked of it now.
            (Phase::Starting { .. }, None) => self.ready(now, None),
            _ => {}
        }
    }

    pub(crate) fn start(&mut self, now: Now, reason: u8) {
        self.backoff.reset();
        match self.phase {
            Phase::Down | Phase::Backoff { .. } => {
                self.goal = Goal::Start(reason);
                self.spawn(now);
            }
            Phase::Ready { .. } => self.say(Event::Started(self.index)),
            Phase::Killing { ask, give_up: None } => {
                self.goal = Goal::Start(reason);
                self.phase = Phase::Killing {
                    ask,
                    give_up: Some(after(now, limits::KILL_TIMEOUT)),
                };
            }
            Phase::Spawning { .. }
            | Phase::Starting { .. }
            | Phase::Terminating { .. }
            | Phase::Killing { .. } => self.goal = Goal::Start(reason),
        }
    }

    pub(crate) fn stop(&mut self, now: Now) {
        self.goal = Goal::Stop;
        match self.phase {
            Phase::Down | Phase::Backoff { .. } | Phase::Spawning { asked: false, .. } => {
                self.phase = Phase::Down;
                self.say(Event::Stopped(self.index));
            }
            // Nobody knows yet whether there is a process to send TERM to.
            Phase::Spawning { asked: true, .. } => self.kill(now),
            Phase::Starting { .. } | Phase::Ready { .. } => {
                let kill_at = after(now, self.config.stop_timeout);
                self.phase = Phase::Terminating {
                    term: Term::Want,
                    kill_at,
                };
            }
            Phase::Killing { ask, give_up: None } => {
                self.phase = Phase::Killing {
                    ask,
                    give_up: Some(after(now, limits::KILL_TIMEOUT)),
                };
            }
            Phase::Terminating { .. } | Phase::Killing { .. } => {}
        }
    }

    pub(crate) fn promote(&mut self, now: Now, reason: u8) {
        let until = after(now, self.config.start_timeout);
        let ready = matches!(self.phase, Phase::Ready { .. });
        let follows = self.role.promote(ready, until, reason);
        self.follow(now, follows);
    }

    pub(crate) fn demote(&mut self, now: Now, at_once: bool) {
        let until = after(now, self.config.stop_timeout);
        let follows = self.role.demote(until, at_once);
        self.follow(now, follows);
        if let Phase::Killing { give_up, .. } = &mut self.phase {
            // said before to have failed: this command gets its own answer
            give_up.get_or_insert(after(now, limits::KILL_TIMEOUT));
        }
    }

    /// What the role asks for. A life that ends anyway has no time for its TERM.
    fn follow(&mut self, now: Now, follows: Follows) {
        match (follows, self.phase) {
            (Follows::Say(word), _) => self.role_event = Some(word.of(self.index)),
            (Follows::Kill, Phase::Ready { .. }) => self.fail(now, FailedWhy::Role),
            (Follows::Kill, Phase::Terminating { .. }) => self.kill(now),
            (Follows::Kill | Follows::Nothing, _) => {}
        }
    }

    pub(crate) fn acted(&mut self, now: Now, action: ActionKind, result: Result<(), ()>) {
        match (self.phase, action, result) {
            (Phase::Spawning { asked: true, until }, ActionKind::Spawn, Ok(())) => {
                match self.config.probe {
                    Some(probe) => {
                        self.phase = Phase::Starting {
                            until,
                            prober: Prober::new(probe, now),
                        };
                    }
                    None => self.ready(now, None),
                }
            }
            (Phase::Spawning { asked: true, .. }, ActionKind::Spawn, Err(())) => {
                self.fail(now, FailedWhy::Spawn);
            }
            (
                Phase::Terminating {
                    term: Term::Asked,
                    kill_at,
                },
                ActionKind::Terminate,
                Ok(()),
            ) => {
                self.phase = Phase::Terminating {
                    term: Term::Sent,
                    kill_at,
                };
            }
            (
                Phase::Terminating {
                    term: Term::Asked, ..
                },
                ActionKind::Terminate,
                Err(()),
            ) => {
                self.kill(now);
            }
            (
                Phase::Killing {
                    ask: Ask::Asked, ..
                },
                ActionKind::Kill,
                Ok(()),
            ) => self.dead(now),
            (
                Phase::Killing {
                    ask: Ask::Asked,
                    give_up,
                },
                ActionKind::Kill,
                Err(()),
            ) => {
                let ask = Ask::Again(after(now, limits::KILL_RETRY));
                self.phase = Phase::Killing { ask, give_up };
            }
            (Phase::Ready { .. }, ActionKind::Promote | ActionKind::Demote, result) => {
                let promote_by = after(now, self.config.start_timeout);
                let follows = self.role.acted(action, result.is_ok(), promote_by);
                self.follow(now, follows);
            }
            _ => {}
        }
    }

    pub(crate) fn exited(&mut self, now: Now) {
        match self.phase {
            // Its spawn was not confirmed yet, but missing a death is worse than one
            // restart too many.
            Phase::Spawning { asked: true, .. } | Phase::Starting { .. } | Phase::Ready { .. } => {
                self.fail(now, FailedWhy::Exited);
            }
            Phase::Terminating { .. } => self.kill(now),
            Phase::Down
            | Phase::Backoff { .. }
            | Phase::Spawning { asked: false, .. }
            | Phase::Killing { .. } => {}
        }
    }

    pub(crate) fn probed(&mut self, now: Now, ok: bool) {
        let verdict = match &mut self.phase {
            Phase::Starting { prober, .. } => prober.answered(now, ok, true),
            Phase::Ready {
                prober: Some(prober),
                ..
            } => prober.answered(now, ok, false),
            _ => return,
        };
        self.judge(now, verdict);
    }

    pub(crate) fn timer(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Backoff { until } if *until <= now => self.spawn(now),
            Phase::Spawning { until, asked } if *until <= now => match asked {
                true => self.fail(now, FailedWhy::NotReady),
                // The caller never polled; nothing happened.
                false => self.spawn(now),
            },
            Phase::Starting { until, .. } if *until <= now => self.fail(now, FailedWhy::NotReady),
            Phase::Ready { .. } if self.role.deadline().is_some_and(|until| until <= now) => {
                self.fail(now, FailedWhy::Role);
            }
            Phase::Starting { prober, .. } => {
                let verdict = prober.timer(now, true);
                self.judge(now, verdict);
            }
            Phase::Ready {
                prober: Some(prober),
                ..
            } => {
                let verdict = prober.timer(now, false);
                self.judge(now, verdict);
            }
            Phase::Terminating { kill_at, .. } if *kill_at <= now => self.kill(now),
            Phase::Killing { ask, give_up } => {
                if matches!(ask, Ask::Again(at) if *at <= now) {
                    *ask = Ask::Want;
                }
                if give_up.is_some_and(|at| at <= now) {
                    *give_up = None;
                    self.goal = Goal::Stop;
                    self.say(Event::StopFailed(self.index));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        let role = self.role.deadline();
        match &self.phase {
            Phase::Down => None,
            Phase::Ready { prober: None, .. } => role,
            Phase::Backoff { until } | Phase::Spawning { until, .. } => Some(*until),
            Phase::Starting { until, prober } => Some(prober.deadline().min(*until)),
            Phase::Ready {
                prober: Some(prober),
                ..
            } => role.into_iter().chain([prober.deadline()]).min(),
            Phase::Terminating { kill_at, .. } => Some(*kill_at),
            Phase::Killing {
                ask: Ask::Again(at),
                give_up,
            } => Some(give_up.map_or(*at, |give_up| give_up.min(*at))),
            Phase::Killing { give_up, .. } => *give_up,
        }
    }

    pub(crate) fn take_action(&mut self) -> Option<Action> {
        if matches!(self.phase, Phase::Ready { .. })
            && let Some(action) = self.role.take_action(self.index)
        {
            return Some(action);
        }
        match &mut self.phase {
            Phase::Spawning {
                asked: asked @ false,
                ..
            } => {
                *asked = true;
                let cause = match self.goal {
                    Goal::Start(reason) => Cause::Commanded(reason),
                    Goal::Recover | Goal::Stop | Goal::FailStart(_) => Cause::Recover,
                };
                Some(Action::Spawn(self.index, cause))
            }
            Phase::Terminating {
                term: term @ Term::Want,
                ..
            } => {
                *term = Term::Asked;
                Some(Action::Terminate(self.index))
            }
            Phase::Killing {
                ask: ask @ Ask::Want,
                ..
            } => {
                *ask = Ask::Asked;
                Some(Action::Kill(self.index))
            }
            Phase::Starting { prober, .. }
            | Phase::Ready {
                prober: Some(prober),
                ..
            } => prober.take_due().then_some(Action::Probe(self.index)),
            _ => None,
        }
    }

    pub(crate) fn take_event(&mut self) -> Option<Event> {
        self.role_event.take().or_else(|| self.event.take())
    }

    pub(crate) fn state(&self) -> State {
        match (&self.phase, self.goal) {
            (Phase::Down, _) => State::Stopped,
            (Phase::Ready { .. }, _) => State::Running,
            (Phase::Killing { give_up: None, .. }, _) => State::StopFailed,
            (_, Goal::Stop | Goal::FailStart(_)) => State::Stopping,
            (_, Goal::Start(_)) => State::Starting,
            (_, Goal::Recover) => State::Recovering,
        }
    }

    fn judge(&mut self, now: Now, verdict: Verdict) {
        match (self.phase, verdict) {
            (Phase::Starting { prober, .. }, Verdict::Well) => self.ready(now, Some(prober)),
            // A starting service has until its start timeout, however often it says no.
            (Phase::Ready { .. }, Verdict::Ill) => self.fail(now, FailedWhy::Probe),
            _ => {}
        }
    }

    fn spawn(&mut self, now: Now) {
        let until = after(now, self.config.start_timeout);
        self.phase = Phase::Spawning {
            asked: false,
            until,
        };
    }

    fn ready(&mut self, now: Now, prober: Option<Prober>) {
        self.phase = Phase::Ready { since: now, prober };
        self.say(match self.goal {
            Goal::Recover => Event::Recovered(self.index),
            Goal::Start(_) | Goal::Stop | Goal::FailStart(_) => Event::Started(self.index),
        });
    }

    /// It is not, or no longer, what it should be: close this life.
    fn fail(&mut self, now: Now, why: FailedWhy) {
        let ready = match self.phase {
            Phase::Ready { since, .. } => Some(now.saturating_sub(since)),
            _ => None,
        };
        if let Some(ready) = ready {
            self.backoff.lived(ready);
        }
        if ready.is_some() || self.goal == Goal::Recover {
            self.goal = Goal::Recover;
            self.say(Event::Failed(self.index, why));
        } else {
            self.goal = Goal::FailStart(why);
        }
        self.kill(now);
    }

    fn kill(&mut self, now: Now) {
        let give_up = Some(after(now, limits::KILL_TIMEOUT));
        self.phase = Phase::Killing {
            ask: Ask::Want,
            give_up,
        };
    }

    /// The kill was confirmed: nothing of it is left.
    fn dead(&mut self, now: Now) {
        if let Some(word) = self.role.dead() {
            self.role_event = Some(word.of(self.index));
        }
        match self.goal {
            Goal::Stop => {
                self.phase = Phase::Down;
                self.say(Event::Stopped(self.index));
            }
            Goal::FailStart(why) => {
                self.goal = Goal::Stop;
                self.phase = Phase::Down;
                self.say(Event::StartFailed(self.index, why));
            }
            Goal::Start(_) => self.spawn(now),
            Goal::Recover => {
                let until = after(now, self.backoff.next());
                self.phase = Phase::Backoff { until };
            }
        }
    }

    fn say(&mut self, event: Event) {
        self.event = Some(event);
    }
}

fn after(now: Now, wait: Now) -> Now {
    now.saturating_add(wait)
}
