//! Stories about the kernel's gate: who no longer decides no longer speaks.

mod world;

use kodo_engine::NodeId;
use kodo_engine::config::{Config, SplitBrain};
use kodo_engine::surface::{Command, Effect, Reason};
use world::{A, B, VIP, World, ms};

fn accept(_: &mut Config) {}

fn ping(config: &mut Config) {
    config.split_brain = SplitBrain::PING;
    config.pings = true;
}

#[test]
fn a_stuck_holder_is_silent_before_the_other_one_speaks() {
    for policy in [accept, ping] {
        for phase in 0..30 {
            let mut world = World::running(policy);
            world.run(ms(phase * 7));
            world.stall(A);
            let lease = world.machines[A].config.timing.lease;
            world.run(lease);
            assert!(!world.open(A), "the lease is over");
            world.until("node2 serves", ms(2000), |w| w.serves(B));
            assert!(world.machines[A].acts[VIP.index()], "nobody removed it");
            world.run(ms(3000));
            world.one_owner();
        }
    }
}

#[test]
fn a_stalled_holder_that_goes_on_never_speaks_again() {
    for policy in [accept, ping] {
        for length in (100..2500).step_by(25) {
            let mut world = World::running(policy);
            world.stall(A);
            world.run(ms(length));
            world.unstall(A);
            world.run(ms(400));
            world.one_owner();
            world.until("one serves", ms(8000), |w| w.serves(A) || w.serves(B));
            world.run(ms(6000));
            world.one_owner();
            assert!(world.serves(A), "failback");
        }
    }
}

#[test]
fn alone_it_speaks_again_once_nobody_else_can_be_heard() {
    let mut world = World::running(accept);
    world.power_off(B);
    world.run(ms(3000));
    world.stall(A);
    world.run(ms(3000));
    world.unstall(A);
    assert!(!world.open(A));
    let shut = world.until("it serves again", ms(1000), |w| w.serves(A));
    assert!(shut >= world.machines[A].config.timing.deadtime, "{shut:?}");
}

#[test]
fn a_short_nap_shuts_nothing() {
    let mut world = World::running(accept);
    for _ in 0..20 {
        world.stall(A);
        world.run(ms(200));
        assert!(world.serves(A));
        world.unstall(A);
        world.run(ms(300));
        assert!(world.serves(A));
    }
}

#[test]
fn the_gate_is_never_open_for_longer_than_a_lease() {
    for policy in [accept, ping] {
        let mut world = World::running(policy);
        let lease = world.machines[A].config.timing.lease;
        for _ in 0..500 {
            world.run(ms(3));
            let left = world.machines[A].gate.unwrap() - world.local(A);
            assert!(left <= lease, "{left:?}");
        }
    }
}

#[test]
fn who_never_held_is_closed_from_the_first_word_on() {
    let world = World::running(accept);
    assert!(world.machines[B].gate.is_some() && !world.open(B));
}

#[test]
fn it_closes_before_the_address_goes() {
    let mut world = World::running(accept);
    let mut engine = world.engine(A).clone();
    let now = world.local(A);
    let standby = Command::Standby(NodeId(0), true);
    engine.handle_command(now, standby).expect("taken");
    let effects: Vec<Effect> = std::iter::from_fn(|| engine.poll_effect()).collect();
    let at = |wanted: &dyn Fn(&Effect) -> bool| effects.iter().position(wanted);
    let closed = at(&|effect| *effect == Effect::Gate(VIP, now));
    let stopped = at(&|effect| *effect == Effect::Stop(VIP, Reason::Move));
    assert!(closed.is_some() && closed < stopped, "{effects:?}");
    world.quiet();
}

#[test]
fn a_release_that_takes_long_is_not_seen_outside() {
    let mut world = World::running(accept);
    world.machines[A].manners[VIP.index()].stop = ms(900);
    let standby = Command::Standby(NodeId(0), true);
    world.command(B, standby).expect("taken");
    world.until("node1 is silent", ms(200), |w| w.owners().is_empty());
    assert!(world.machines[A].acts[VIP.index()]);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    assert!(!world.machines[A].acts[VIP.index()], "and it waited");
    world.one_owner();
}
