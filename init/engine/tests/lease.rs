//! Stories about the lease: with an arbiter, a holder lets go before another takes.

mod world;

use kodo_engine::config::{Config, SplitBrain};
use kodo_engine::surface::{Command, Fatal, Reason};
use kodo_engine::timing;
use world::{A, ALL, B, LAN, Passage, VIP, WEB, World, ms};

fn ping(config: &mut Config) {
    config.split_brain = SplitBrain::PING;
    config.pings = true;
}

/// Cuts one machine off from everything, at one instant.
fn isolate(world: &mut World, n: usize) {
    world.machines[n].gateway = false;
    world.set_wire(move |p: &Passage| {
        if p.from == n || p.to == n {
            vec![]
        } else {
            vec![ms(1)]
        }
    });
}

#[test]
fn the_isolated_holder_lets_go_before_the_other_takes() {
    for drift in [(0, 0), (-10, 10), (10, -10)] {
        for phase in 0..30 {
            let mut world = World::new(ping);
            (world.machines[A].drift, world.machines[B].drift) = drift;
            world.power_on(A);
            world.power_on(B);
            world.until("node1 serves", ms(5000), |w| {
                w.serves(A) && w.members() == [true, true]
            });
            world.run(ms(500 + phase * 7));
            isolate(&mut world, A);
            world.until("node2 serves", ms(2000), |w| w.serves(B));
            assert!(!world.machines[A].acts[VIP.index()]);
            assert_eq!(world.machines[A].stops[1], [Reason::Yield]);
            assert!(!world.said(A, "the lease ended").is_empty());
            world.one_owner();
        }
    }
}

#[test]
fn a_slow_release_within_its_bound_is_still_in_time() {
    // the release takes all of R, the taker's start takes nothing
    for phase in 0..50 {
        let mut world = World::running(ping);
        world.machines[A].manners[VIP.index()].stop = ms(99);
        world.machines[B].manners[WEB.index()].start = ms(0);
        world.machines[B].manners[VIP.index()].start = ms(0);
        world.run(ms(phase * 7));
        isolate(&mut world, A);
        world.until("node2 serves", ms(2000), |w| w.serves(B));
        world.one_owner();
    }
}

#[test]
fn frames_that_waited_in_a_buffer_renew_from_when_we_sent() {
    let mut world = World::running(ping);
    world.set_wire(|p| vec![ms(if p.from == B { 350 } else { 1 })]);
    world.run(ms(2000));
    world.machines[A].gateway = false;
    // nothing more gets through, but what was sent before still arrives
    world.set_wire(|_| vec![]);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_release_that_is_not_confirmed_resets_the_machine() {
    let mut world = World::running(ping);
    world.machines[A].manners[VIP.index()].stuck = true;
    isolate(&mut world, A);
    world.until("node1 resets itself", ms(1000), |w| {
        w.machines[A].reset == Some(Fatal::ReleaseOverdue)
    });
    world.until("node2 serves", ms(1000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn the_isolated_standby_takes_nothing() {
    let mut world = World::running(ping);
    let since = world.now;
    isolate(&mut world, B);
    world.run(ms(10_000));
    assert!(world.serves(A), "pings carry its lease");
    assert_eq!(world.changes_since(since), 0);
    assert_eq!(
        world
            .said(B, "nothing proves that this node is not the one cut off")
            .len(),
        1
    );
    world.machines[B].gateway = true;
    world.set_wire(|_| vec![ms(1)]);
    world.until("both members again", ms(1000), |w| {
        w.members() == [true, true]
    });
    world.run(ms(2000));
    assert_eq!(world.changes_since(since), 0);
    world.one_owner();
}

#[test]
fn both_cut_off_is_nobody_and_heals() {
    let mut world = World::running(ping);
    world.machines[A].gateway = false;
    world.machines[B].gateway = false;
    ALL.iter().for_each(|path| world.cut(*path));
    world.until("node1 lets go", ms(1000), |w| w.owners().is_empty());
    world.run(ms(5000));
    assert!(world.owners().is_empty());
    world.machines[A].gateway = true;
    world.machines[B].gateway = true;
    ALL.iter().for_each(|path| world.join(*path));
    world.until("node1 serves", ms(2000), |w| {
        w.serves(A) && w.members() == [true, true]
    });
    world.one_owner();
}

#[test]
fn only_the_arbiter_disappears() {
    let mut world = World::running(ping);
    let since = world.now;
    world.machines[A].gateway = false;
    world.machines[B].gateway = false;
    world.run(ms(30_000));
    assert_eq!(world.changes_since(since), 0);
    assert!(world.serves(A));
}

#[test]
fn the_isolated_holder_comes_back_in_order() {
    let mut world = World::running(ping);
    isolate(&mut world, A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.run(ms(5000));
    world.machines[A].gateway = true;
    world.set_wire(|_| vec![ms(1)]);
    world.until("failback", ms(8000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn a_short_cut_costs_a_restart_at_most() {
    // longer than the lease, shorter than deadtime
    for length in (380..500).step_by(10) {
        let mut world = World::running(ping);
        world.machines[A].gateway = false;
        world.machines[B].gateway = false;
        world.set_wire(|_| vec![]);
        world.run(ms(length));
        world.machines[A].gateway = true;
        world.machines[B].gateway = true;
        world.set_wire(|_| vec![ms(1)]);
        world.until("node1 serves", ms(1500), |w| {
            w.serves(A) && w.members() == [true, true]
        });
        world.run(ms(1000));
        assert!(world.serves(A));
        world.one_owner();
    }
}

#[test]
fn late_frames_renew_nothing() {
    let mut world = World::running(ping);
    // everything that node1 hears or sends is a second late, and its pings are lost
    world.machines[A].gateway = false;
    world.set_wire(|_| vec![ms(1000)]);
    world.until("node1 lets go", ms(600), |w| {
        !w.machines[A].acts[VIP.index()]
    });
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.run(ms(5000));
    world.one_owner();
}

#[test]
fn an_operator_may_stand_in_for_the_arbiter() {
    let mut world = World::running(ping);
    world.machines[B].gateway = false;
    world.power_off(A);
    world.run(ms(3000));
    assert!(world.owners().is_empty());
    world.command(B, Command::TakeoverAnyway).expect("taken");
    world.until("node2 serves", ms(500), |w| w.serves(B));
    assert!(
        !world
            .said(B, "an operator vouches that it is dead")
            .is_empty()
    );
    world.one_owner();
}

#[test]
fn losing_the_lan_and_the_peer_one_after_the_other() {
    // first the LAN (its ping too), then the rest: the other one must take over once
    let mut world = World::running(ping);
    world.machines[A].gateway = false;
    world.carrier(A, LAN, false);
    world.set_wire(|p| if p.path == LAN { vec![] } else { vec![ms(1)] });
    world.run(ms(100));
    isolate(&mut world, A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn the_file_cannot_say_less_than_the_arithmetic() {
    let config = world::pair(0);
    let wait = timing::wait_bound(config.timing.lease, config.timing.release);
    assert!(wait <= config.timing.deadtime);
    let mut broken = config;
    broken.timing.lease = broken.timing.deadtime;
    let new = || kodo_engine::Engine::new(broken, kodo_engine::BootId(1), 1, ms(0));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(new)).is_err());
}
