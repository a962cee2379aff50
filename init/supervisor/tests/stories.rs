//! The lives of one service, told step by step: what is done to the supervisor on the
//! left, and everything it answers on the right.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use kodo_supervisor::Action::{Kill, Probe, Spawn, Terminate};
use kodo_supervisor::ActionKind as Did;
use kodo_supervisor::Event::{
    Demoted, Failed, PromoteFailed, Promoted, Recovered, RoleLost, StartFailed, Started,
    StopFailed, Stopped,
};
use kodo_supervisor::{
    Action, Cause, Config, Event, FailedWhy, Now, ProbeConfig, ServiceConfig, ServiceIndex, State,
    Supervisor, limits,
};

const WEB: ServiceIndex = ServiceIndex(0);
/// An opaque reason code, as the node hands them through.
const FAILOVER: u8 = 2;

fn ms(ms: u64) -> Now {
    Now::from_millis(ms)
}

fn web(probe: Option<ProbeConfig>) -> ServiceConfig {
    ServiceConfig {
        name: "web".try_into().unwrap(),
        start_timeout: ms(5_000),
        stop_timeout: ms(1_000),
        probe,
        backoff_min: ms(200),
        backoff_max: ms(10_000),
    }
}

const PROBE: ProbeConfig = ProbeConfig {
    interval: Now::from_millis(1_000),
    timeout: Now::from_millis(400),
    rise: 1,
    fall: 3,
};

/// A supervisor with one service, and the narrow door to it.
struct Story {
    supervisor: Supervisor,
}

/// Everything that a call brought forth.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    actions: Vec<Action>,
    events: Vec<Event>,
}

fn seen(actions: &[Action], events: &[Event]) -> Seen {
    Seen {
        actions: actions.to_vec(),
        events: events.to_vec(),
    }
}

impl Story {
    fn new(config: ServiceConfig) -> Story {
        let mut all = Config::default();
        all.services.push(config).unwrap();
        Story {
            supervisor: Supervisor::new(all, 1),
        }
    }

    fn probed() -> Story {
        Story::new(web(Some(PROBE)))
    }

    /// A service that became ready at 10 ms.
    fn running() -> Story {
        let mut story = Story::probed();
        story.start(0);
        story.did(0, Did::Spawn, Ok(()));
        assert_eq!(story.probe(10, true), seen(&[], &[Started(WEB)]));
        story
    }

    fn promote(&mut self, at: u64) -> Seen {
        self.supervisor.promote(ms(at), WEB, FAILOVER);
        self.drain()
    }

    fn demote(&mut self, at: u64, at_once: bool) -> Seen {
        self.supervisor.demote(ms(at), WEB, at_once);
        self.drain()
    }

    fn drain(&mut self) -> Seen {
        Seen {
            actions: std::iter::from_fn(|| self.supervisor.poll_action()).collect(),
            events: std::iter::from_fn(|| self.supervisor.poll_event()).collect(),
        }
    }

    fn start(&mut self, at: u64) -> Seen {
        self.supervisor.start(ms(at), WEB, FAILOVER);
        self.drain()
    }

    fn stop(&mut self, at: u64) -> Seen {
        self.supervisor.stop(ms(at), WEB);
        self.drain()
    }

    fn did(&mut self, at: u64, action: Did, result: Result<(), ()>) -> Seen {
        self.supervisor.handle_acted(ms(at), WEB, action, result);
        self.drain()
    }

    fn exit(&mut self, at: u64) -> Seen {
        self.supervisor.handle_exited(ms(at), WEB);
        self.drain()
    }

    fn probe(&mut self, at: u64, ok: bool) -> Seen {
        self.supervisor.handle_probed(ms(at), WEB, ok);
        self.drain()
    }

    /// Time passes up to and including the next deadline, which must be exactly `at`.
    fn timer(&mut self, at: u64) -> Seen {
        assert_eq!(
            self.supervisor.poll_deadline(),
            Some(ms(at)),
            "the next deadline"
        );
        self.supervisor.handle_timer(ms(at) - Now::from_nanos(1));
        assert_eq!(
            self.drain(),
            seen(&[], &[]),
            "a nanosecond early nothing happens"
        );
        self.supervisor.handle_timer(ms(at));
        self.drain()
    }

    fn state(&self) -> State {
        self.supervisor.state(WEB)
    }
}

#[test]
fn starts_when_the_first_probe_answers() {
    let mut story = Story::probed();
    assert_eq!(story.state(), State::Stopped);
    assert_eq!(
        story.supervisor.poll_deadline(),
        None,
        "a stopped service wants nothing"
    );
    assert_eq!(
        story.start(0),
        seen(&[Spawn(WEB, Cause::Commanded(FAILOVER))], &[])
    );
    assert_eq!(story.state(), State::Starting);
    assert_eq!(story.did(20, Did::Spawn, Ok(())), seen(&[Probe(WEB)], &[]));
    // Nobody listens yet; while starting it is asked again soon.
    assert_eq!(story.probe(21, false), seen(&[], &[]));
    assert_eq!(story.timer(70), seen(&[Probe(WEB)], &[]));
    assert_eq!(story.probe(75, true), seen(&[], &[Started(WEB)]));
    assert_eq!(story.state(), State::Running);
}

#[test]
fn without_a_probe_it_is_ready_when_it_runs() {
    let mut story = Story::new(web(None));
    story.start(0);
    assert_eq!(story.did(5, Did::Spawn, Ok(())), seen(&[], &[Started(WEB)]));
    assert_eq!(story.supervisor.poll_deadline(), None);
}

#[test]
fn rise_asks_for_successes_in_a_row() {
    let mut story = Story::new(web(Some(ProbeConfig { rise: 2, ..PROBE })));
    story.start(0);
    story.did(0, Did::Spawn, Ok(()));
    assert_eq!(story.probe(1, true), seen(&[], &[]));
    story.timer(50);
    assert_eq!(story.probe(51, false), seen(&[], &[]));
    story.timer(100);
    assert_eq!(story.probe(101, true), seen(&[], &[]));
    story.timer(150);
    assert_eq!(story.probe(151, true), seen(&[], &[Started(WEB)]));
}

#[test]
fn not_ready_in_time_is_killed_before_it_is_said() {
    let mut story = Story::probed();
    story.start(0);
    story.did(0, Did::Spawn, Ok(()));
    story.probe(1, false);
    let mut last = seen(&[], &[]);
    while last.actions != [Kill(WEB)] {
        let at = story.supervisor.poll_deadline().unwrap();
        assert!(at <= ms(5_000));
        story.supervisor.handle_timer(at);
        last = story.drain();
    }
    assert_eq!(last.events, [], "it may still run");
    let failed = seen(&[], &[StartFailed(WEB, FailedWhy::NotReady)]);
    assert_eq!(story.did(5_030, Did::Kill, Ok(())), failed);
    assert_eq!(story.state(), State::Stopped);
    assert_eq!(
        story.supervisor.poll_deadline(),
        None,
        "whoever commanded it decides"
    );
}

#[test]
fn a_failed_spawn_may_have_happened() {
    let mut story = Story::probed();
    story.start(0);
    assert_eq!(story.did(900, Did::Spawn, Err(())), seen(&[Kill(WEB)], &[]));
    // The answer comes after all, and is too late.
    assert_eq!(story.did(950, Did::Spawn, Ok(())), seen(&[], &[]));
    let failed = seen(&[], &[StartFailed(WEB, FailedWhy::Spawn)]);
    assert_eq!(story.did(960, Did::Kill, Ok(())), failed);
}

#[test]
fn dies_while_starting() {
    let mut story = Story::probed();
    story.start(0);
    story.did(0, Did::Spawn, Ok(()));
    assert_eq!(
        story.exit(30),
        seen(&[Kill(WEB)], &[]),
        "it may have left children"
    );
    let failed = seen(&[], &[StartFailed(WEB, FailedWhy::Exited)]);
    assert_eq!(story.did(31, Did::Kill, Ok(())), failed);
}

#[test]
fn crash_is_recovered_in_place() {
    let mut story = Story::running();
    let failed = seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Exited)]);
    assert_eq!(story.exit(500), failed);
    assert_eq!(story.state(), State::Recovering);
    assert_eq!(story.did(503, Did::Kill, Ok(())), seen(&[], &[]));
    assert_eq!(story.timer(703), seen(&[Spawn(WEB, Cause::Recover)], &[]));
    assert_eq!(story.did(705, Did::Spawn, Ok(())), seen(&[Probe(WEB)], &[]));
    assert_eq!(story.probe(710, true), seen(&[], &[Recovered(WEB)]));
}

#[test]
fn every_failed_restart_is_said_and_waits_longer() {
    let mut story = Story::running();
    story.exit(500);
    story.did(500, Did::Kill, Ok(()));
    story.timer(700);
    story.did(700, Did::Spawn, Ok(()));
    let again = seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Exited)]);
    assert_eq!(story.exit(710), again);
    story.did(710, Did::Kill, Ok(()));
    let wait = story.supervisor.poll_deadline().unwrap() - ms(710);
    assert!(wait >= ms(300) && wait <= ms(400), "{wait:?}");
}

#[test]
fn a_hung_service_is_noticed_within_its_bound() {
    let mut story = Story::running();
    // First probe of its ready life 50 ms after the first of all; none is ever answered.
    assert_eq!(story.timer(50), seen(&[Probe(WEB)], &[]));
    assert_eq!(story.timer(450), seen(&[], &[]));
    assert_eq!(story.timer(1_050), seen(&[Probe(WEB)], &[]));
    assert_eq!(story.timer(1_450), seen(&[], &[]));
    assert_eq!(story.timer(2_050), seen(&[Probe(WEB)], &[]));
    let failed = seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Probe)]);
    assert_eq!(story.timer(2_450), failed);
}

#[test]
fn one_good_answer_forgives() {
    let mut story = Story::running();
    for (at, ok) in [
        (50, false),
        (1_050, false),
        (2_050, true),
        (3_050, false),
        (4_050, false),
    ] {
        assert_eq!(story.timer(at), seen(&[Probe(WEB)], &[]));
        assert_eq!(story.probe(at + 1, ok), seen(&[], &[]));
    }
    assert_eq!(story.state(), State::Running);
}

#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let mut story = Story::running();
    story.timer(50);
    story.timer(450);
    for at in 451..460 {
        assert_eq!(story.probe(at, false), seen(&[], &[]));
    }
    assert_eq!(story.state(), State::Running);
}

#[test]
fn orderly_stop() {
    let mut story = Story::running();
    assert_eq!(story.stop(500), seen(&[Terminate(WEB)], &[]));
    assert_eq!(story.state(), State::Stopping);
    assert_eq!(story.did(501, Did::Terminate, Ok(())), seen(&[], &[]));
    assert_eq!(
        story.exit(520),
        seen(&[Kill(WEB)], &[]),
        "children go with it"
    );
    assert_eq!(
        story.did(521, Did::Kill, Ok(())),
        seen(&[], &[Stopped(WEB)])
    );
    assert_eq!(story.state(), State::Stopped);
}

#[test]
fn stop_ignores_term() {
    let mut story = Story::running();
    story.stop(500);
    story.did(500, Did::Terminate, Ok(()));
    assert_eq!(story.timer(1_500), seen(&[Kill(WEB)], &[]));
    assert_eq!(story.exit(1_501), seen(&[], &[]));
    assert_eq!(
        story.did(1_502, Did::Kill, Ok(())),
        seen(&[], &[Stopped(WEB)])
    );
}

#[test]
fn stop_of_the_unkillable() {
    let mut story = Story::running();
    story.stop(500);
    story.did(500, Did::Terminate, Ok(()));
    story.timer(1_500);
    // A kill that says no is repeated, one that says nothing is not doubled.
    assert_eq!(story.did(1_600, Did::Kill, Err(())), seen(&[], &[]));
    assert_eq!(story.timer(1_700), seen(&[Kill(WEB)], &[]));
    assert_eq!(story.timer(4_500), seen(&[], &[StopFailed(WEB)]));
    assert_eq!(ms(4_500), ms(500) + web(None).stop_bound());
    assert_eq!(story.state(), State::StopFailed);
    // It is tried again, and the late truth is told.
    story.did(4_600, Did::Kill, Err(()));
    assert_eq!(story.timer(4_700), seen(&[Kill(WEB)], &[]));
    assert_eq!(
        story.did(9_000, Did::Kill, Ok(())),
        seen(&[], &[Stopped(WEB)])
    );
}

#[test]
fn a_command_to_the_unkillable_is_answered_again() {
    let mut story = Story::running();
    story.exit(100);
    let give_up = ms(100) + limits::KILL_TIMEOUT;
    story.supervisor.handle_timer(give_up);
    assert_eq!(story.drain(), seen(&[], &[StopFailed(WEB)]));
    assert_eq!(story.stop(5_000), seen(&[], &[]));
    assert_eq!(story.timer(8_000), seen(&[], &[StopFailed(WEB)]));
    assert_eq!(story.start(9_000), seen(&[], &[]));
    assert_eq!(story.timer(12_000), seen(&[], &[StopFailed(WEB)]));
    assert_eq!(
        story.did(12_500, Did::Kill, Ok(())),
        seen(&[], &[Stopped(WEB)])
    );
}

#[test]
fn stop_during_backoff_works_at_once() {
    let mut story = Story::running();
    story.exit(500);
    story.did(500, Did::Kill, Ok(()));
    assert_eq!(story.stop(510), seen(&[], &[Stopped(WEB)]));
    assert_eq!(story.supervisor.poll_deadline(), None);
}

#[test]
fn stop_while_the_spawn_is_on_its_way() {
    let mut story = Story::probed();
    story.start(0);
    assert_eq!(
        story.stop(1),
        seen(&[Kill(WEB)], &[]),
        "after the spawn, so it finds it"
    );
    assert_eq!(story.did(2, Did::Spawn, Ok(())), seen(&[], &[]));
    assert_eq!(story.did(3, Did::Kill, Ok(())), seen(&[], &[Stopped(WEB)]));
}

#[test]
fn stop_during_a_restarts_kill_waits_for_the_death() {
    let mut story = Story::running();
    story.exit(500);
    assert_eq!(story.stop(501), seen(&[], &[]));
    assert_eq!(
        story.did(502, Did::Kill, Ok(())),
        seen(&[], &[Stopped(WEB)])
    );
}

#[test]
fn start_overtakes_a_stop_and_still_waits_for_the_death() {
    let mut story = Story::running();
    story.stop(500);
    assert_eq!(story.start(510), seen(&[], &[]));
    assert_eq!(story.exit(520), seen(&[Kill(WEB)], &[]));
    let spawn = seen(&[Spawn(WEB, Cause::Commanded(FAILOVER))], &[]);
    assert_eq!(story.did(525, Did::Kill, Ok(())), spawn);
    story.did(526, Did::Spawn, Ok(()));
    assert_eq!(story.probe(530, true), seen(&[], &[Started(WEB)]));
}

#[test]
fn commands_repeat_their_answers() {
    let mut story = Story::probed();
    assert_eq!(story.stop(0), seen(&[], &[Stopped(WEB)]));
    let mut story = Story::running();
    assert_eq!(story.start(500), seen(&[], &[Started(WEB)]));
}

#[test]
fn a_failed_term_does_not_wait() {
    let mut story = Story::running();
    story.stop(500);
    assert_eq!(
        story.did(510, Did::Terminate, Err(())),
        seen(&[Kill(WEB)], &[])
    );
}

#[test]
fn services_do_not_share_their_fate() {
    let mut all = Config::default();
    all.services.push(web(Some(PROBE))).unwrap();
    all.services.push(web(None)).unwrap();
    let mut supervisor = Supervisor::new(all, 1);
    let db = ServiceIndex(1);
    supervisor.start(ms(0), WEB, 0);
    supervisor.start(ms(0), db, 0);
    assert_eq!(std::iter::from_fn(|| supervisor.poll_action()).count(), 2);
    supervisor.handle_acted(ms(1), db, Did::Spawn, Ok(()));
    supervisor.handle_acted(ms(1), WEB, Did::Spawn, Err(()));
    assert_eq!(supervisor.state(db), State::Running);
    assert_eq!(supervisor.state(WEB), State::Stopping);
    assert_eq!(supervisor.services().count(), 2);
}

#[test]
fn other_parameters_disturb_nothing_and_count_from_then_on() {
    let mut story = Story::running();
    let mut all = Config::default();
    let rare = ProbeConfig {
        interval: ms(7_000),
        fall: 1,
        ..PROBE
    };
    let quick = ServiceConfig {
        stop_timeout: ms(100),
        ..web(Some(rare))
    };
    all.services.push(quick).unwrap();
    all.services.push(web(None)).unwrap();
    story.supervisor.adopt(ms(500), &all, 1);
    assert_eq!(story.drain(), seen(&[], &[]));
    assert_eq!(story.supervisor.state(WEB), State::Running);
    // one bad answer is enough now
    story.supervisor.handle_timer(ms(1_010));
    assert_eq!(story.drain(), seen(&[Probe(WEB)], &[]));
    assert_eq!(
        story.probe(1_020, false),
        seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Probe)])
    );
    // and the new one can be started
    story.supervisor.start(ms(1_030), ServiceIndex(1), FAILOVER);
    let spawn = Spawn(ServiceIndex(1), Cause::Commanded(FAILOVER));
    assert_eq!(story.drain(), seen(&[spawn], &[]));
}

#[test]
fn a_service_that_is_no_longer_probed_is_well() {
    let mut story = Story::probed();
    story.start(0);
    story.did(0, Did::Spawn, Ok(()));
    let mut all = Config::default();
    all.services.push(web(None)).unwrap();
    story.supervisor.adopt(ms(5), &all, 1);
    assert_eq!(story.drain().events, [Started(WEB)]);
}

#[test]
fn a_stop_after_the_change_is_as_patient_as_the_new_file() {
    let mut story = Story::running();
    let mut all = Config::default();
    let quick = ServiceConfig {
        stop_timeout: ms(100),
        ..web(Some(PROBE))
    };
    all.services.push(quick).unwrap();
    story.supervisor.adopt(ms(500), &all, 1);
    story.stop(600);
    story.supervisor.handle_timer(ms(700));
    assert_eq!(story.drain().actions, [Kill(WEB)]);
}

/// A service without a probe that became ready at 10 ms.
fn ready() -> Story {
    let mut story = Story::new(web(None));
    story.start(0);
    assert_eq!(
        story.did(10, Did::Spawn, Ok(())),
        seen(&[], &[Started(WEB)])
    );
    story
}

/// The same, and it became the promoted one at 30 ms.
fn promoted() -> Story {
    let mut story = ready();
    assert_eq!(
        story.promote(20),
        seen(&[Action::Promote(WEB, FAILOVER)], &[])
    );
    assert_eq!(
        story.did(30, Did::Promote, Ok(())),
        seen(&[], &[Promoted(WEB)])
    );
    story
}

#[test]
fn promoted_and_demoted_while_it_runs() {
    let mut story = promoted();
    assert_eq!(
        story.promote(40),
        seen(&[], &[Promoted(WEB)]),
        "it is already"
    );
    assert_eq!(story.demote(50, false), seen(&[Action::Demote(WEB)], &[]));
    assert_eq!(
        story.did(60, Did::Demote, Ok(())),
        seen(&[], &[Demoted(WEB)])
    );
    assert_eq!(
        story.demote(70, true),
        seen(&[], &[Demoted(WEB)]),
        "it is not"
    );
    assert_eq!(story.supervisor.state(WEB), State::Running);
}

#[test]
fn what_does_not_run_is_not_promoted() {
    let mut story = Story::probed();
    assert_eq!(story.promote(0), seen(&[], &[PromoteFailed(WEB)]));
    story.start(10);
    assert_eq!(story.promote(20), seen(&[], &[PromoteFailed(WEB)]));
}

#[test]
fn a_failed_instance_loses_its_role_when_it_is_dead_for_certain() {
    let mut story = promoted();
    assert_eq!(
        story.exit(100),
        seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Exited)])
    );
    assert_eq!(
        story.did(110, Did::Kill, Ok(())),
        seen(&[], &[RoleLost(WEB)])
    );
    // the next life is an ordinary one
    assert_eq!(
        story.timer(310),
        seen(&[Spawn(WEB, Cause::Recover)], &[]),
        "restarted in place"
    );
    assert_eq!(
        story.did(320, Did::Spawn, Ok(())),
        seen(&[], &[Recovered(WEB)])
    );
    assert_eq!(story.demote(340, false), seen(&[], &[Demoted(WEB)]));
}

#[test]
fn a_demotion_that_fails_or_hangs_is_finished_by_a_kill() {
    for hangs in [false, true] {
        let mut story = promoted();
        story.demote(100, false);
        let doubt = match hangs {
            true => story.timer(1_100),
            false => story.did(200, Did::Demote, Err(())),
        };
        assert_eq!(doubt, seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Role)]));
        // the hook that the kill ended has failed before it
        assert_eq!(story.did(1_110, Did::Demote, Err(())), seen(&[], &[]));
        assert_eq!(
            story.did(1_120, Did::Kill, Ok(())),
            seen(&[], &[Demoted(WEB)])
        );
        assert_eq!(story.supervisor.state(WEB), State::Recovering);
    }
}

#[test]
fn at_once_is_by_a_kill_also_when_it_is_being_asked() {
    for asked in [false, true] {
        let mut story = promoted();
        if asked {
            story.demote(90, false);
        }
        assert_eq!(
            story.demote(100, true),
            seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Role)])
        );
        assert_eq!(
            story.did(110, Did::Kill, Ok(())),
            seen(&[], &[Demoted(WEB)])
        );
    }
}

#[test]
fn a_promotion_that_hangs_leaves_no_doubt() {
    let mut story = ready();
    story.promote(20);
    assert_eq!(
        story.timer(5_020),
        seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Role)])
    );
    assert_eq!(
        story.did(5_030, Did::Kill, Ok(())),
        seen(&[], &[PromoteFailed(WEB)])
    );
}

#[test]
fn a_demotion_overtakes_a_promotion_that_may_have_happened() {
    let mut story = ready();
    story.promote(20);
    assert_eq!(
        story.demote(30, false),
        seen(&[Kill(WEB)], &[Failed(WEB, FailedWhy::Role)])
    );
    assert_eq!(story.did(40, Did::Promote, Ok(())), seen(&[], &[]));
    assert_eq!(story.did(50, Did::Kill, Ok(())), seen(&[], &[Demoted(WEB)]));
}

#[test]
fn a_promotion_waits_for_the_demotion_before_it() {
    let mut story = promoted();
    story.demote(100, false);
    assert_eq!(story.promote(110), seen(&[], &[]));
    assert_eq!(
        story.did(120, Did::Demote, Ok(())),
        seen(&[Action::Promote(WEB, FAILOVER)], &[])
    );
    assert_eq!(
        story.did(130, Did::Promote, Ok(())),
        seen(&[], &[Promoted(WEB)])
    );
}

#[test]
fn a_stop_takes_the_role_along() {
    let mut story = promoted();
    assert_eq!(story.stop(100), seen(&[Terminate(WEB)], &[]));
    assert_eq!(story.exit(120), seen(&[Kill(WEB)], &[]));
    assert_eq!(
        story.did(130, Did::Kill, Ok(())),
        seen(&[], &[RoleLost(WEB), Stopped(WEB)])
    );
}
