//! Random operations against a model that keeps the books: whatever is done to the
//! supervisor, in whatever order, its promises hold.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use kodo_supervisor::{
    Action, ActionKind, Config, Event, Now, ProbeConfig, ServiceConfig, ServiceIndex, State,
    Supervisor, limits,
};
use proptest::prelude::*;

const WEB: ServiceIndex = ServiceIndex(0);

/// One thing that befalls a supervisor.
#[derive(Clone, Copy, Debug)]
enum Op {
    Start,
    Stop,
    Promote,
    /// In order, or at once.
    Demote(bool),
    /// An answer nobody may have asked for.
    Acted(ActionKind, bool),
    /// The oldest unanswered action is answered.
    Answer(bool),
    Exit,
    Probed(bool),
    /// Time passes; every deadline in between is kept exactly.
    Wait(u16),
    /// Time passes, and the timer runs late.
    Oversleep(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        Just(ActionKind::Spawn),
        Just(ActionKind::Terminate),
        Just(ActionKind::Kill),
        Just(ActionKind::Promote),
        Just(ActionKind::Demote)
    ];
    prop_oneof![
        2 => Just(Op::Start),
        2 => Just(Op::Stop),
        3 => Just(Op::Promote),
        2 => any::<bool>().prop_map(Op::Demote),
        1 => (kind, any::<bool>()).prop_map(|(kind, ok)| Op::Acted(kind, ok)),
        8 => prop::bool::weighted(0.8).prop_map(Op::Answer),
        2 => Just(Op::Exit),
        4 => any::<bool>().prop_map(Op::Probed),
        8 => (0_u16..4_000).prop_map(Op::Wait),
        1 => (0_u16..10_000).prop_map(Op::Oversleep),
    ]
}

fn config(probe: bool) -> ServiceConfig {
    ServiceConfig {
        name: "web".try_into().unwrap(),
        start_timeout: Now::from_millis(1_500),
        stop_timeout: Now::from_millis(700),
        probe: probe.then_some(ProbeConfig {
            interval: Now::from_millis(300),
            timeout: Now::from_millis(200),
            rise: 1,
            fall: 2,
        }),
        backoff_min: Now::from_millis(100),
        backoff_max: Now::from_millis(3_000),
    }
}

/// What the outside knows.
struct World {
    supervisor: Supervisor,
    now: Now,
    /// A spawn was asked for and no kill was confirmed since.
    alive: bool,
    /// Actions without an answer, oldest first.
    open: Vec<ActionKind>,
    /// When a stop that is not overtaken must be answered.
    stop_by: Option<Now>,
    /// A probe is in flight.
    probing: bool,
    /// A promotion was asked for, and neither a demotion nor a kill was confirmed since.
    promoted: bool,
    /// The last command to its role has no answer yet, and that is what it was.
    role: Option<bool>,
    /// When a demotion that is not overtaken must be answered.
    demoted_by: Option<Now>,
}

impl World {
    fn new(probe: bool, seed: u64) -> World {
        let mut all = Config::default();
        all.services.push(config(probe)).unwrap();
        World {
            supervisor: Supervisor::new(all, seed),
            now: Now::ZERO,
            alive: false,
            open: Vec::new(),
            stop_by: None,
            probing: false,
            promoted: false,
            role: None,
            demoted_by: None,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                Action::Spawn(..) => {
                    assert!(!self.alive, "a second spawn without a confirmed death");
                    assert!(self.stop_by.is_none(), "a spawn after a stop");
                    self.alive = true;
                    self.open.push(ActionKind::Spawn);
                }
                Action::Terminate(_) => self.open.push(ActionKind::Terminate),
                Action::Kill(_) => {
                    assert!(!self.open.contains(&ActionKind::Kill), "two kills at once");
                    self.open.push(ActionKind::Kill);
                }
                Action::Promote(..) => {
                    assert!(self.alive && !self.promoted, "promoted twice");
                    assert!(self.role == Some(true), "promoted without a command");
                    self.promoted = true;
                    self.open.push(ActionKind::Promote);
                }
                Action::Demote(_) => {
                    assert!(self.alive && self.promoted, "nothing to demote");
                    self.open.push(ActionKind::Demote);
                }
                Action::Probe(_) => {
                    assert!(self.alive, "probing the dead");
                    self.probing = true;
                }
            }
        }
        while let Some(event) = self.supervisor.poll_event() {
            match event {
                Event::Stopped(_) | Event::StartFailed(..) => {
                    assert!(!self.alive, "{event:?} while it may live");
                    self.stop_by = None;
                }
                Event::StopFailed(_) => {
                    self.stop_by = None;
                    // it was said that it may still act
                    self.demoted_by = None;
                }
                Event::Promoted(_) => {
                    assert!(self.promoted && self.role == Some(true), "{event:?}");
                    self.role = None;
                }
                Event::Demoted(_) => {
                    assert!(!self.promoted && self.role == Some(false), "{event:?}");
                    (self.role, self.demoted_by) = (None, None);
                }
                Event::PromoteFailed(_) => {
                    assert!(!self.promoted && self.role == Some(true), "{event:?}");
                    self.role = None;
                }
                Event::RoleLost(_) => {
                    assert!(!self.promoted && self.role.is_none(), "{event:?}");
                }
                Event::Started(_) | Event::Recovered(_) => {
                    assert!(self.stop_by.is_none(), "{event:?} after a stop");
                    assert!(self.alive, "{event:?} without a process");
                }
                Event::Failed(..) => {}
            }
        }
        if let Some(by) = self.stop_by {
            assert!(self.now < by, "a stop outlived its bound");
        }
        if let Some(by) = self.demoted_by {
            assert!(self.now < by, "a demotion outlived its bound");
        }
        if self.supervisor.state(WEB) == State::Stopped {
            assert_eq!(self.role, None, "the dead answered");
            assert!(!self.alive, "called stopped while it may live");
            assert_eq!(
                self.supervisor.poll_deadline(),
                None,
                "the stopped want nothing"
            );
        }
    }

    fn acted(&mut self, kind: ActionKind, ok: bool) {
        // The contract: an answer counts only for something asked for.
        if kind == ActionKind::Kill && ok {
            self.alive = false;
            self.promoted = false;
            // what the kill ended
            self.open.retain(|kind| !is_hook(*kind));
        }
        if kind == ActionKind::Demote && ok {
            self.promoted = false;
        }
        let result = if ok { Ok(()) } else { Err(()) };
        self.supervisor.handle_acted(self.now, WEB, kind, result);
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Start => {
                self.stop_by = None;
                self.supervisor.start(self.now, WEB, 0);
            }
            Op::Stop => {
                let by = self.now + config(false).stop_bound();
                self.stop_by = Some(self.stop_by.map_or(by, |old| old.min(by)));
                self.supervisor.stop(self.now, WEB);
            }
            Op::Promote => {
                (self.role, self.demoted_by) = (Some(true), None);
                self.supervisor.promote(self.now, WEB, 0);
            }
            Op::Demote(at_once) => {
                let by = self.now + config(false).stop_bound();
                self.demoted_by = Some(self.demoted_by.map_or(by, |old| old.min(by)));
                self.role = Some(false);
                self.supervisor.demote(self.now, WEB, at_once);
            }
            // Only nonsense that no caller could mean: nothing of the kind is open.
            Op::Acted(kind, ok) => {
                let known = self.open.contains(&kind);
                if !known {
                    let before = (self.supervisor.state(WEB), self.supervisor.poll_deadline());
                    let result = if ok { Ok(()) } else { Err(()) };
                    self.supervisor.handle_acted(self.now, WEB, kind, result);
                    let after = (self.supervisor.state(WEB), self.supervisor.poll_deadline());
                    assert_eq!(before, after, "an answer to no question changed something");
                }
            }
            Op::Answer(ok) => {
                if !self.open.is_empty() {
                    let kind = self.open.remove(0);
                    self.acted(kind, ok);
                }
            }
            Op::Exit => self.supervisor.handle_exited(self.now, WEB),
            Op::Probed(ok) => {
                if self.probing {
                    self.probing = false;
                    self.supervisor.handle_probed(self.now, WEB, ok);
                }
            }
            Op::Wait(ms) => {
                let end = self.now + Now::from_millis(ms.into());
                while let Some(at) = self.supervisor.poll_deadline().filter(|at| *at <= end) {
                    assert!(at >= self.now, "a deadline in the past");
                    // A nanosecond early nothing may happen.
                    if at > self.now + Now::from_nanos(1) {
                        self.supervisor.handle_timer(at - Now::from_nanos(1));
                        assert_eq!(self.supervisor.poll_action(), None);
                        assert_eq!(self.supervisor.poll_event(), None);
                        assert_eq!(self.supervisor.poll_deadline(), Some(at));
                    }
                    self.now = at;
                    self.tick();
                }
                self.now = end;
            }
            Op::Oversleep(ms) => {
                let slept = Now::from_millis(ms.into());
                self.now += slept;
                // A bound is kept by a caller that keeps the deadlines.
                self.stop_by = self
                    .stop_by
                    .map(|by| by + slept + config(false).stop_bound());
                self.demoted_by = self
                    .demoted_by
                    .map(|by| by + slept + config(false).stop_bound());
                self.tick();
            }
        }
        self.drain();
    }

    fn tick(&mut self) {
        self.supervisor.handle_timer(self.now);
        if let Some(next) = self.supervisor.poll_deadline() {
            assert!(next > self.now, "time does not move");
        }
        self.drain();
    }
}

fn is_hook(kind: ActionKind) -> bool {
    matches!(kind, ActionKind::Promote | ActionKind::Demote)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold(
        ops in prop::collection::vec(op(), 1..200),
        probe in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut world = World::new(probe, seed);
        for op in ops {
            world.run(op);
        }
        // Whatever happened: a stop from here ends, and within its bound.
        world.run(Op::Stop);
        let bound = config(false).stop_bound();
        let end = u16::try_from(bound.as_millis()).unwrap();
        world.run(Op::Wait(end));
        let state = world.supervisor.state(WEB);
        prop_assert!(matches!(state, State::Stopped | State::StopFailed), "{state:?}");
        // And once kills work again, it is dead for certain, and starts anew.
        while !world.open.is_empty() {
            world.run(Op::Answer(true));
        }
        world.run(Op::Wait(u16::try_from(limits::KILL_RETRY.as_millis()).unwrap()));
        while !world.open.is_empty() {
            world.run(Op::Answer(true));
        }
        prop_assert_eq!(world.supervisor.state(WEB), State::Stopped);
        world.run(Op::Start);
        prop_assert_eq!(world.supervisor.state(WEB), State::Starting);
    }
}
