//! Stories of a pair with a witness: who gets its word, and what happens without it.

mod world;

use kodo_engine::config::{Config, SplitBrain};
use kodo_engine::surface::{Event, Reject};
use kodo_engine::witness::{Reach, Word};
use kodo_engine::{Key, NodeId};
use std::time::Duration;
use world::{A, ALL, B, CROSSOVER, LAN, SERIAL, World, ms};

const HOLD_OFF: Duration = Duration::from_secs(10);

fn with_witness(config: &mut Config) {
    config.split_brain = SplitBrain::WITNESS;
    config.witness_key = Some(Key([9; 32]));
}

/// A pair in full run, and a witness past its hold-off.
fn running() -> World {
    let mut world = World::new(with_witness);
    world.start_witness(HOLD_OFF);
    world.run(HOLD_OFF);
    world.power_on(A);
    world.power_on(B);
    world.until("node1 serves", ms(5000), |w| w.serves(A));
    world.run(ms(1000));
    world
}

/// No heartbeat passes any more; both still reach the witness.
fn isolate(world: &mut World) {
    world.mute(CROSSOVER);
    world.mute(SERIAL);
    world.set_wire(|_| Vec::new());
}

fn granted(world: &World, n: usize) -> usize {
    let said = world.log.iter().filter(|(_, from, event, _)| {
        let granted = matches!(
            event,
            Event::WitnessSaid {
                word: Word::Granted,
                ..
            }
        );
        *from == n && granted
    });
    said.count()
}

#[test]
fn a_healthy_pair_asks_and_wants_nothing() {
    let world = running();
    for n in [A, B] {
        let client = world.engine(n).witness().expect("configured");
        assert!(matches!(client.reach(world.local(n)), Reach::Since(_)));
        assert_eq!(client.newest().expect("heard").0.word, Word::Idle);
        assert_eq!(world.said(n, "the witness answers").len(), 1);
        assert_eq!(granted(&world, n), 0);
    }
    world.one_owner();
}

#[test]
fn the_survivor_of_a_power_loss_takes_over_by_its_word() {
    let mut world = running();
    world.power_off(A);
    world.until("node2 serves", ms(3000), |w| w.serves(B));
    assert!(granted(&world, B) > 0);
    world.run(Duration::from_secs(20));
    assert!(world.serves(B));
    world.one_owner();
}

#[test]
fn of_two_that_do_not_hear_each_other_one_serves() {
    let mut world = running();
    isolate(&mut world);
    world.run(Duration::from_secs(20));
    assert_eq!(world.owners().len(), 1);
    let [held, refused] = if world.serves(A) { [A, B] } else { [B, A] };
    assert!(granted(&world, held) > 0);
    assert!(
        !world
            .said(refused, "the witness speaks for node")
            .is_empty()
    );
    world.one_owner();
}

#[test]
fn only_the_witness_is_lost() {
    let mut world = running();
    world.witness = None;
    let since = world.now;
    world.run(Duration::from_secs(10));
    assert_eq!(world.changes_since(since), 0);
    assert!(world.serves(A));
    for n in [A, B] {
        assert_eq!(world.said(n, "the witness does not answer").len(), 1);
    }
    world.start_witness(HOLD_OFF);
    world.run(Duration::from_secs(1));
    for n in [A, B] {
        assert_eq!(world.said(n, "the witness was restarted").len(), 1);
    }
    assert!(world.serves(A));
}

#[test]
fn a_witness_that_never_answers_is_told() {
    let mut world = World::new(with_witness);
    world.power_on(A);
    world.power_on(B);
    world.run(Duration::from_secs(10));
    assert!(world.serves(A));
    assert_eq!(world.said(A, "never has since boot").len(), 1);
}

#[test]
fn a_witness_that_restarts_in_a_split_lets_nobody_in_early() {
    let mut world = running();
    isolate(&mut world);
    world.run(Duration::from_secs(5));
    world.start_witness(HOLD_OFF);
    world.run(Duration::from_secs(60));
    world.one_owner();
    assert_eq!(world.owners().len(), 1);
}

#[test]
fn forged_and_foreign_answers_change_nothing_and_are_counted() {
    let mut world = running();
    let mut engine = world.engine(A).clone();
    let now = world.local(A);
    let before = engine
        .witness()
        .and_then(kodo_engine::witness::Client::newest);
    assert_eq!(engine.handle_witness(now, b"junk"), Err(Reject::Malformed));
    let forger = kodo_engine::witness::Codec::new(77, &Key([1; 32]));
    let (mut answer, _) = before.expect("heard");
    answer.seq += 1;
    let forged = forger.answer(&answer);
    assert_eq!(engine.handle_witness(now, &forged), Err(Reject::Forged));
    let genuine = kodo_engine::witness::Codec::new(77, &Key([9; 32]));
    answer.node = NodeId(1);
    let foreign = genuine.answer(&answer);
    assert_eq!(engine.handle_witness(now, &foreign), Err(Reject::WrongPath));
    let after = engine
        .witness()
        .and_then(kodo_engine::witness::Client::newest);
    assert_eq!(after, before);
    assert_eq!(engine.counters().forged, 1);
    world.run(ms(1));
}

#[test]
fn a_cluster_without_a_witness_does_not_ask() {
    let mut world = World::running(|_| {});
    for path in ALL {
        world.cut(path);
    }
    world.run(ms(2000));
    assert!(world.engine(A).witness().is_none());
    let mut engine = world.engine(A).clone();
    let now = world.local(A);
    assert!(engine.handle_witness(now, &[]).is_err());
    world.join(LAN);
}
