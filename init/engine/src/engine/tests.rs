//! What only the inside can show: a stage that does nothing starves the watchdog.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::*;
use crate::progress::tests::ALL;
use crate::testing;

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
