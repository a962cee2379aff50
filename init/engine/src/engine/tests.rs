//! What only the inside can show: a stage that does nothing starves the watchdog.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::*;
use crate::operator::mark;
use crate::peer::Said;
use crate::progress::tests::ALL;
use crate::testing;
use crate::types::GroupId;

/// Feeds in a second of life in which a stage, if any, does nothing.
fn feeds(jammed: Option<Stage>) -> usize {
    let mut engine = Engine::new(testing::config(0), BootId(1), 1, Now::ZERO);
    engine.progress.jammed = jammed;
    let mut feeds = 0;
    while engine.poll_deadline() < Now::from_secs(1) {
        engine.handle_timer(engine.poll_deadline());
        while let Some(effect) = engine.poll_effect() {
            feeds += usize::from(effect == Effect::FeedWatchdog);
        }
    }
    feeds
}

#[test]
fn the_watchdog_starves_when_any_stage_does_nothing() {
    assert_eq!(feeds(None), 10, "once per keepalive");
    for stage in ALL {
        assert_eq!(feeds(Some(stage)), 0, "{stage:?}");
    }
}

#[test]
#[should_panic(expected = "time went back")]
fn time_never_goes_back() {
    let mut engine = Engine::new(testing::config(0), BootId(1), 1, Now::from_secs(5));
    engine.handle_timer(Now::from_secs(4));
}

#[test]
fn an_engine_fits_a_small_stack() {
    let size = size_of::<Engine>();
    assert!(size < 256 * 1024, "{size} bytes");
}

#[test]
fn a_node_outside_the_view_is_clear_when_nobody_owes_it() {
    let mut engine = Engine::new(testing::config(0), BootId(1), 1, Now::ZERO);
    let (peer, at) = (NodeId(1), Now::from_secs(3));
    engine.granted[1].at = Some(at);
    let clear_at = at + engine.wait_bound;
    assert!(!engine.is_clear(clear_at - Now::from_millis(1), peer, false));
    assert!(engine.is_clear(clear_at, peer, false));
    assert!(
        !engine.is_clear(clear_at, peer, true),
        "a guarded group waits for the watchdog"
    );
    // a restart, and a word of farewell, proves it at once
    engine.granted[1].at = None;
    assert!(engine.is_clear(Now::ZERO, peer, true));
}

#[test]
fn a_lease_without_an_end_is_carried_on_by_progress_only() {
    for jammed in ALL.map(Some).into_iter().chain([None]) {
        let mut engine = Engine::new(testing::config(0), BootId(1), 1, Now::ZERO);
        engine.progress.jammed = jammed;
        while engine.poll_deadline() < Now::from_secs(1) {
            engine.handle_timer(engine.poll_deadline());
            while engine.poll_effect().is_some() {}
        }
        let carried = engine.gates.earned > Now::from_secs(1);
        assert_eq!(carried, jammed.is_none(), "{jammed:?}");
    }
}

#[test]
fn engines_are_the_same_when_they_will_do_the_same() {
    let same = |engine: &Engine| BuildHasherDefault::<DefaultHasher>::default().hash_one(engine);
    let mut engine = Engine::new(testing::config(0), BootId(1), 1, Now::ZERO);
    engine.handle_timer(Now::ZERO);
    while engine.poll_effect().is_some() {}
    let mut other = engine.clone();
    assert_eq!(same(&engine), same(&other));
    // counted, told, and of no consequence
    assert!(engine.handle_frame(Now::ZERO, PathId(0), b"noise").is_err());
    while engine.poll_effect().is_some() {}
    assert_eq!(same(&engine), same(&other));
    other.handle_carrier(Now::ZERO, PathId(0), true);
    while other.poll_effect().is_some() {}
    assert_ne!(same(&engine), same(&other));
}

/// Node 1's engine, in a view with node 2, with a second group `db` whose service the staged
/// file 2 changes as `edit` says.
fn staged(edit: impl Fn(&mut Config)) -> Engine {
    let mut config = testing::config(0);
    config.paths[1].budget = 300;
    let db = crate::config::Resource {
        name: "db".try_into().expect("short"),
        kind: crate::config::ResourceKind::Service,
        ..config.resources[0].clone()
    };
    let _ = config.resources.push(db);
    let group = crate::config::Group {
        name: "db".try_into().expect("short"),
        members: [ResourceId(2)].into_iter().collect(),
        ..config.groups[0].clone()
    };
    let _ = config.groups.push(group);
    let mut engine = Engine::new(config.clone(), BootId(1), 1, Now::ZERO);
    config.file_hash = 2;
    edit(&mut config);
    engine.stage(Now::ZERO, &config).expect("fit");
    while engine.poll_effect().is_some() {}
    engine.role = Role::Member;
    engine.view = Some(View {
        epoch: 7,
        members: NodeSet(3),
        coordinator: NodeId(1),
        written_off: NodeSet::EMPTY,
        file: engine.file(),
    });
    engine
}

/// The view says that the staged file is the one that runs.
fn switched(mut engine: Engine) -> Engine {
    let file = engine.next_file();
    if let Some(view) = &mut engine.view {
        view.file = file;
    }
    assert!(engine.may_adopt());
    engine.adopt(Now::ZERO, [None; limits::GROUPS]);
    engine
}

#[test]
fn who_is_not_ready_does_not_vote_for_the_switch() {
    let mut engine = staged(|config| config.resources[2].make = 1);
    let view = engine.view.expect("one");
    engine
        .registers
        .write(crate::operator::Key::File, engine.next_file(), 7, NodeId(1));
    let author = |view| Said {
        view: Some(view),
        next: mark(2),
        ready: true,
        ..testing::said()
    };
    let switch = View {
        epoch: 8,
        file: mark(2),
        ..view
    };
    engine.peers[1] = Peer::saying(author(view));
    assert!(!engine.declines_file(&author(view), &switch));
    engine.groups[1].phase = crate::surface::Phase::Running;
    assert!(engine.declines_file(&author(view), &switch), "db runs");
    // a view that only takes somebody out, or in, does not wait for that
    let other = View { epoch: 8, ..view };
    assert!(!engine.declines_file(&author(view), &other));
    let stranger = View { epoch: 3, ..view };
    assert!(!engine.declines_file(&author(stranger), &switch));
}

#[test]
fn what_is_owed_by_the_old_file_stays_owed() {
    let guarded = |yes: bool| move |config: &mut Config| config.groups[1].guarded = yes;
    // the first guarded group comes with the new file
    let mut engine = staged(guarded(true));
    let (light, guard) = (engine.wait_bound, engine.guard_bound);
    assert_eq!(engine.hold_back, light);
    engine = switched(engine);
    assert_eq!(
        engine.hold_back, guard,
        "it needs a longer wait from now on"
    );
    // and goes with the next one: a node that is not heard may still hold it
    let mut config = engine.config.clone();
    config.file_hash = 3;
    guarded(false)(&mut config);
    engine.granted[1].at = Some(Now::ZERO);
    engine.stage(Now::ZERO, &config).expect("fit");
    engine = switched(engine);
    assert_eq!(engine.hold_back, guard);
    assert_eq!(engine.owed_until(NodeId(1), light), Some(guard));
}

#[test]
fn what_is_known_of_a_group_goes_with_its_name() {
    let mut engine = staged(|config| {
        config.groups.swap(0, 1);
        config.resources[2].make = 1;
    });
    for (group, failures) in engine.groups.iter_mut().zip([1, 2]) {
        group.failures = failures;
        group.banned_until = Some(Now::from_secs(60));
        group.claim.tenure = u64::from(failures);
    }
    let claim = crate::claims::Claim {
        hold: Hold::Released,
        tenure: 9,
        over: None,
    };
    let mut said = testing::said();
    said.groups[0] = Some(crate::peer::Word {
        claim,
        banned: false,
        phase: crate::surface::Phase::Idle,
        fit: None,
        assigned: None,
    });
    engine.peers[1] = Peer::saying(said);
    engine = switched(engine);
    let known = |n: usize| (engine.groups[n].failures, engine.groups[n].claim.tenure);
    assert_eq!(known(1), (1, 1), "www, now the second");
    assert!(engine.groups[1].banned_until.is_some());
    assert_eq!(known(0), (0, 2), "another db has failed nowhere yet");
    assert!(engine.groups[0].banned_until.is_none());
    let life = engine.peers[1].life.as_ref().expect("heard");
    assert_eq!(life.said.claim(GroupId(1)), claim);
    assert_eq!(life.said.groups[0].map(|word| word.claim), None);
}

#[test]
fn a_gate_of_another_address_is_told_anew() {
    let mut engine = staged(|config| config.resources[1].make = 1);
    engine.gates.adopt(&engine.config.clone(), &{
        let mut next = engine.config.clone();
        next.resources[1].make = 1;
        next
    });
    engine.move_gates(Now::ZERO);
    let mut told = 0;
    while let Some(effect) = engine.poll_effect() {
        told += usize::from(matches!(effect, Effect::Gate(ResourceId(1), _)));
    }
    assert_eq!(
        told, 1,
        "it is closed before it is opened for the first time"
    );
}

#[test]
fn a_third_file_freezes_the_switch() {
    let mut engine = staged(|config| config.groups[0].priority = 1);
    let said = |file| Said {
        file,
        next: mark(2),
        ..testing::said()
    };
    let own = engine.config.file_hash;
    engine.peers[1] = Peer::saying(said(5));
    let wish = crate::surface::Command::Adopt(2);
    let frozen = engine.handle_command(Now::ZERO, wish);
    assert_eq!(frozen, Err(crate::surface::Refusal::Frozen));
    engine.peers[1] = Peer::saying(said(own));
    assert!(engine.handle_command(Now::ZERO, wish).is_ok());
}
