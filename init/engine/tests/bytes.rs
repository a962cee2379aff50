//! Bytes from outside, random and mutated: never a panic, never a change.

mod world;

use std::sync::OnceLock;
use std::time::Duration;

use kodo_engine::surface::{Effect, Reject};
use kodo_engine::{Engine, NodeId, PathId};
use proptest::prelude::*;
use world::{A, B, WWW, World, ms};

/// node2 of a pair in full run, and what node1 has sent to it.
struct Running {
    engine: Engine,
    now: Duration,
    sent: Vec<(PathId, Vec<u8>)>,
}

fn running() -> &'static Running {
    static RUNNING: OnceLock<Running> = OnceLock::new();
    RUNNING.get_or_init(|| {
        let world = World::running(|_| {});
        let sent = world
            .tape
            .iter()
            .filter(|r| r.from == A)
            .map(|r| (r.path, r.bytes.clone()));
        Running {
            engine: world.engine(B).clone(),
            now: world.local(B),
            sent: sent.collect(),
        }
    })
}

/// Gives bytes to node2 and checks that nothing comes of it but a count.
#[track_caller]
fn nothing_comes_of(path: PathId, bytes: &[u8]) -> Reject {
    let running = running();
    let mut engine = Box::new(running.engine.clone());
    let facts = |engine: &Engine| {
        let node1 = NodeId(0);
        let known = (
            engine.boot_of(node1),
            engine.silent(running.now, node1),
            engine.path_state(node1, path),
        );
        (
            engine.view(),
            engine.role(),
            engine.group(WWW),
            engine.claim(WWW),
            known,
        )
    };
    let before = facts(&engine);
    let counted = engine.counters();
    let reject = engine
        .handle_frame(running.now, path, bytes)
        .expect_err("rejected");
    assert_eq!(before, facts(&engine));
    assert_eq!(engine.counters().of(reject), counted.of(reject) + 1);
    assert_eq!(engine.counters().rejected(), counted.rejected() + 1);
    while let Some(effect) = engine.poll_effect() {
        assert!(
            matches!(effect, Effect::Log(_) | Effect::Send(..)),
            "{effect:?}"
        );
    }
    reject
}

proptest! {
    #[test]
    fn random_bytes(path in 0u8..9, bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        nothing_comes_of(PathId(path), &bytes);
    }

    #[test]
    fn random_bytes_that_begin_well(body in prop::collection::vec(any::<u8>(), 0..1200)) {
        let (path, frame) = &running().sent[0];
        let bytes: Vec<u8> = frame[..5].iter().copied().chain(body).collect();
        nothing_comes_of(*path, &bytes);
    }

    #[test]
    fn one_flipped_bit(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (path, frame) = which.get(&running().sent);
        let mut bytes = frame.clone();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        let reject = nothing_comes_of(*path, &bytes);
        prop_assert!(matches!(reject, Reject::Malformed | Reject::OtherCluster | Reject::Forged));
    }

    #[test]
    fn cut_short_or_drawn_out(which in any::<prop::sample::Index>(), keep in 0usize..400, tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let (path, frame) = which.get(&running().sent);
        let mut bytes = frame.clone();
        bytes.truncate(keep);
        bytes.extend(tail);
        if bytes != *frame {
            nothing_comes_of(*path, &bytes);
        }
    }
}

#[test]
fn every_recording_is_old() {
    for (path, frame) in &running().sent {
        assert!(
            matches!(nothing_comes_of(*path, frame), Reject::Replayed),
            "all of it was heard before"
        );
    }
    assert!(running().now > ms(1000));
}
