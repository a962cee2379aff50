//! The hard cases of a pair, told with two engines in a virtual world.

mod world;

use kodo_engine::config::{Failback, SplitBrain};
use kodo_engine::surface::{
    Command, Effect, Event, Fatal, PathState, Reason, Refusal, Report, Role,
};
use kodo_engine::{Engine, NodeId};
use std::time::Duration;
use world::{A, ALL, B, CROSSOVER, LAN, SERIAL, VIP, WEB, WWW, World, ms, role};

#[test]
fn simultaneous_boot() {
    for offset in [0, 1, 7, 50, 100, 333, 499, 500, 501, 1000] {
        for first in [A, B] {
            let mut world = World::new(|_| {});
            world.power_on(first);
            world.run(ms(offset));
            world.power_on(1 - first);
            let wait = world.machines[A].config.timing.deadtime - ms(10);
            let held = wait.saturating_sub(world.local(1 - first));
            world.run(held);
            let newcomer = world.engine(1 - first);
            assert!(newcomer.view().is_none(), "held back for W");
            world.until("one serves", ms(3000), |w| w.serves(A) || w.serves(B));
            world.run(ms(2000));
            assert_eq!(
                world.owners(),
                [A],
                "offset {offset}, machine {first} first"
            );
            assert_eq!(world.members(), [true, true]);
            world.one_owner();
            assert_eq!(world.machines[A].starts[1], [Reason::Start]);
        }
    }
}

#[test]
fn power_loss() {
    let mut world = World::running(|_| {});
    world.power_off(A);
    let took = world.until("node2 serves", ms(2000), |w| w.serves(B));
    // silent for deadtime since the last beat, then web 40 ms and VIP 15 ms
    assert!(took >= ms(400) && took <= ms(560), "{took:?}");
    assert_eq!(world.machines[B].starts[1], [Reason::Failover]);
    let line = world.said(B, "www: taking over from node1").join("");
    assert!(line.contains("silent 500 ms >= deadtime 500 ms"), "{line}");
    assert!(
        line.contains("lan silent, crossover no carrier, serial silent"),
        "{line}"
    );
    assert!(
        world.machines[B].probed >= 1,
        "looked for strangers at warntime"
    );
    world.one_owner();
}

#[test]
fn power_loss_of_the_standby_changes_nothing() {
    for arbiter in [SplitBrain::Accept, SplitBrain::PING] {
        let mut world = World::running(|config| {
            config.split_brain = arbiter;
            config.pings = true;
        });
        let since = world.now;
        world.power_off(B);
        world.run(ms(5000));
        assert!(world.serves(A));
        assert_eq!(world.changes_since(since), 0);
    }
}

#[test]
fn fast_reboot() {
    let mut world = World::running(|_| {});
    world.power_off(A);
    world.run(ms(150));
    world.power_on(A);
    let took = world.until("node2 serves", ms(2000), |w| w.serves(B));
    assert!(
        took < ms(350),
        "recovers on the new boot id, not on silence: {took:?}"
    );
    assert!(!world.said(B, "node1 restarted").is_empty());
    assert!(world.said(B, "is dead").is_empty());
    world.run(ms(3000));
    assert_eq!(world.owners(), [A], "failback");
    world.one_owner();
}

#[test]
fn fast_reboot_of_the_standby_disturbs_nothing() {
    let mut world = World::running(|_| {});
    let since = world.now;
    world.power_off(B);
    world.run(ms(200));
    world.power_on(B);
    world.until("both members again", ms(3000), |w| {
        w.members() == [true, true]
    });
    assert_eq!(world.changes_since(since), 0);
    assert!(world.serves(A));
}

#[test]
fn graceful_move() {
    let mut world = World::running(|_| {});
    let since = world.now;
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(1), false)),
        Ok(2)
    );
    let took = world.until("node2 serves", ms(2000), |w| w.serves(B));
    assert!(took < ms(300), "no beat is waited for: {took:?}");
    assert_eq!(world.machines[A].stops[1], [Reason::Move]);
    assert_eq!(world.machines[B].starts[1], [Reason::Move]);
    world.run(ms(3000));
    assert_eq!(world.owners(), [B], "the wish is a preference too");
    assert_eq!(world.changes_since(since), 1);
    world.one_owner();
    // it returns after a failover: preferred from now on
    world.power_off(B);
    world.until("node1 serves", ms(2000), |w| w.serves(A));
    world.power_on(B);
    world.until("node2 serves again", ms(4000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_move_asked_on_the_other_node_is_the_same() {
    let mut world = World::running(|_| {});
    assert_eq!(
        world.command(B, Command::Move(WWW, NodeId(1), false)),
        Ok(2)
    );
    world.until("node2 serves", ms(500), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_start_waits_for_the_confirmed_stop() {
    let mut world = World::running(|_| {});
    world.machines[A].manners[VIP.index()].stop = ms(1500);
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.run(ms(1400));
    assert!(
        world.machines[B].starts[1].is_empty(),
        "the VIP is not down yet on node1"
    );
    world.until("node2 serves", ms(1000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_slow_service_does_not_hold_up_the_vip() {
    let mut world = World::running(|_| {});
    world.machines[A].manners[WEB.index()].stop = ms(3000);
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.until("node2 serves", ms(500), |w| w.serves(B));
    world.one_owner();
    world.until("and node1 ends", ms(4000), |w| !w.machines[A].acts[0]);
}

#[test]
fn refused_commands_change_nothing() {
    let mut world = World::running(|_| {});
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(7), false)),
        Err(Refusal::Unknown)
    );
    assert_eq!(
        world.command(A, Command::Move(kodo_engine::GroupId(3), NodeId(1), false)),
        Err(Refusal::Unknown)
    );
    assert_eq!(
        world.command(A, Command::Standby(NodeId(9), true)),
        Err(Refusal::Unknown)
    );
    assert_eq!(
        world.command(A, Command::TakeoverAnyway),
        Err(Refusal::PeerAlive)
    );
    world
        .command(A, Command::Standby(NodeId(1), true))
        .expect("taken");
    world.run(ms(500));
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(1), false)),
        Err(Refusal::NotEligible)
    );
    world.power_off(B);
    world.run(ms(1000));
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(1), false)),
        Err(Refusal::NotMember)
    );
    assert!(world.serves(A));
}

#[test]
fn standby_and_online() {
    let mut world = World::running(|_| {});
    world
        .command(B, Command::Standby(NodeId(0), true))
        .expect("taken");
    world.until("node2 serves", ms(500), |w| w.serves(B));
    assert_eq!(world.machines[A].stops[1], [Reason::Move]);
    assert!(world.engine(A).standby(NodeId(0)) && world.engine(B).standby(NodeId(0)));
    // the wish survives a reboot of the node that it is about
    world.power_off(A);
    world.run(ms(1000));
    world.power_on(A);
    world.until("members", ms(3000), |w| w.members() == [true, true]);
    world.run(ms(2000));
    assert_eq!(world.owners(), [B]);
    world
        .command(A, Command::Standby(NodeId(0), false))
        .expect("taken");
    world.until("failback", ms(1000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn standby_of_the_last_node_stops_the_group() {
    let mut world = World::running(|_| {});
    world
        .command(A, Command::Standby(NodeId(1), true))
        .expect("taken");
    world
        .command(A, Command::Standby(NodeId(0), true))
        .expect("taken");
    world.run(ms(1000));
    assert!(world.owners().is_empty());
    assert!(!world.said(A, "no node may run it").is_empty());
    world
        .command(B, Command::Standby(NodeId(1), false))
        .expect("taken");
    world.until("node2 serves", ms(1000), |w| w.serves(B));
}

#[test]
fn failback_once() {
    let mut world = World::running(|_| {});
    world.power_off(A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    let since = world.now;
    world.power_on(A);
    world.until("node1 serves", ms(4000), |w| w.serves(A));
    world.run(ms(10_000));
    assert_eq!(world.changes_since(since + ms(1)), 1);
    assert_eq!(world.machines[B].stops[1], [Reason::Failback]);
    world.one_owner();
}

#[test]
fn failback_manual_stays() {
    let mut world = World::running(|config| config.groups[0].failback = Failback::Manual);
    world.power_off(A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.power_on(A);
    world.run(ms(10_000));
    assert_eq!(world.owners(), [B]);
    assert_eq!(world.members(), [true, true]);
    world
        .command(A, Command::Move(WWW, NodeId(0), false))
        .expect("taken");
    world.until("node1 serves", ms(1000), |w| w.serves(A));
    world.power_off(A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.power_on(A);
    world.run(ms(5000));
    assert_eq!(
        world.owners(),
        [B],
        "a fulfilled wish does not move it again"
    );
    world.one_owner();
}

#[test]
fn leave_in_order() {
    let mut world = World::running(|_| {});
    world.command(A, Command::Leave).expect("taken");
    let took = world.until("node2 serves", ms(1000), |w| w.serves(B));
    assert!(took < ms(300), "{took:?}");
    world.until("node1 has left", ms(1000), |w| role(w, A) == Role::Left);
    assert_eq!(world.machines[A].stops[1], [Reason::Shutdown]);
    assert!(
        !world
            .said(B, "view")
            .last()
            .expect("a view")
            .contains("node1")
    );
    world.power_off(A);
    world.run(ms(2000));
    assert!(world.said(B, "node1 is dead").is_empty() || world.serves(B));
    world.one_owner();
}

#[test]
fn leave_alone() {
    let mut world = World::running(|_| {});
    world.power_off(B);
    world.run(ms(1000));
    world.command(A, Command::Leave).expect("taken");
    world.until("node1 has left", ms(1000), |w| role(w, A) == Role::Left);
    assert!(world.owners().is_empty());
}

#[test]
fn crossover_cut() {
    for silently in [false, true] {
        let mut world = World::running(|_| {});
        let since = world.now;
        if silently {
            world.mute(CROSSOVER);
        } else {
            world.cut(CROSSOVER);
        }
        world.run(ms(5000));
        assert_eq!(world.changes_since(since), 0);
        assert_eq!(world.members(), [true, true]);
        assert_eq!(
            world.engine(A).path_state(NodeId(1), CROSSOVER),
            PathState::Down
        );
        assert_eq!(world.engine(A).path_state(NodeId(1), LAN), PathState::Up);
        assert_eq!(world.engine(A).path_state(NodeId(1), SERIAL), PathState::Up);
        assert!(!world.said(A, "node2: path crossover is down").is_empty());
        assert!(world.said(A, "late").is_empty());
        world.join(CROSSOVER);
        world.run(ms(300));
        assert_eq!(
            world.engine(A).path_state(NodeId(1), CROSSOVER),
            PathState::Up
        );
    }
}

#[test]
fn one_way_loss_is_seen_as_such() {
    let mut world = World::running(|_| {});
    world.set_wire(|p| {
        if p.path == CROSSOVER && p.from == A {
            vec![]
        } else {
            vec![ms(1)]
        }
    });
    world.run(ms(2000));
    assert_eq!(
        world.engine(A).path_state(NodeId(1), CROSSOVER),
        PathState::OneWay
    );
    assert_eq!(
        world.engine(B).path_state(NodeId(0), CROSSOVER),
        PathState::OneWay
    );
    assert_eq!(world.engine(B).path_state(NodeId(0), LAN), PathState::Up);
    assert!(world.serves(A));
}

#[test]
fn lan_cut_of_the_active() {
    for pings in [false, true] {
        let mut world = World::running(|config| config.pings = pings);
        let since = world.now;
        world.machines[A].gateway = false;
        world.set_wire(|p| if p.path == LAN { vec![] } else { vec![ms(1)] });
        world.carrier(A, LAN, false);
        let took = world.until("node2 serves", ms(2000), |w| w.serves(B));
        assert!(took < ms(500), "warntime and the move: {took:?}");
        world.run(ms(20_000));
        assert_eq!(world.changes_since(since + ms(1)), 1);
        assert!(!world.said(B, "www").is_empty());
        world.one_owner();
        world.machines[A].gateway = true;
        world.set_wire(|_| vec![ms(1)]);
        world.carrier(A, LAN, true);
        world.until("failback", ms(6000), |w| w.serves(A));
        world.one_owner();
    }
}

#[test]
fn a_lost_gateway_moves_the_group_and_a_dead_one_does_not() {
    let mut world = World::running(|config| config.pings = true);
    world.machines[A].gateway = false;
    world.until("node2 serves", ms(4 * 500 + 250 + 500), |w| w.serves(B));
    world.one_owner();

    let mut world = World::running(|config| config.pings = true);
    let since = world.now;
    world.machines[A].gateway = false;
    world.run(ms(40));
    world.machines[B].gateway = false;
    world.run(ms(20_000));
    assert_eq!(
        world.changes_since(since),
        0,
        "only the arbiter disappeared"
    );
}

#[test]
fn flapping_nic() {
    let mut world = World::running(|_| {});
    let since = world.now;
    for _ in 0..20 {
        world.carrier(A, LAN, false);
        world.run(ms(400));
        world.carrier(A, LAN, true);
        world.run(ms(400));
    }
    // 16 s of flapping: windows of 5 s
    let changes = world.changes_since(since + ms(1));
    assert!(changes <= 2, "moved {changes} times");
    world.one_owner();
    world.until("settles where it belongs", ms(8000), |w| w.serves(A));
}

#[test]
fn two_flapping_nics() {
    let mut world = World::running(|_| {});
    let since = world.now;
    for round in 0..20 {
        world.carrier([A, B][round % 2], LAN, false);
        world.carrier([B, A][round % 2], LAN, true);
        world.run(ms(800));
    }
    // 16 s: one move per window of 5 s, and the first
    let changes = world.changes_since(since + ms(1));
    assert!(changes <= 4, "moved {changes} times");
    world.one_owner();
}

#[test]
fn a_changed_plan_waits_until_all_follow_it() {
    // the plan says node2, and changes to node1 while that word is still on its way
    for gap in (0..100).step_by(7) {
        let mut world = World::running(|_| {});
        for n in [A, B] {
            world.machines[n].manners[WEB.index()].start = ms(0);
            world.machines[n].manners[VIP.index()].start = ms(0);
            world
                .command(A, Command::Standby(NodeId(u8::from(n == B)), true))
                .expect("taken");
        }
        world.run(ms(1000));
        assert!(world.owners().is_empty());
        world.set_wire(|_| vec![ms(40)]);
        world.run(ms(500));
        world
            .command(A, Command::Standby(NodeId(1), false))
            .expect("taken");
        world.run(ms(gap));
        world
            .command(A, Command::Standby(NodeId(1), true))
            .expect("taken");
        world
            .command(A, Command::Standby(NodeId(0), false))
            .expect("taken");
        world.until("node1 serves", ms(1000), |w| w.serves(A));
        world.run(ms(500));
        assert_eq!(world.owners(), [A]);
        world.one_owner();
    }
}

#[test]
fn lonely_boot() {
    let mut world = World::new(|_| {});
    world.power_on(B);
    let took = world.until("node2 serves", ms(8000), |w| w.serves(B));
    // the crossover has no carrier: linkwait 1 s, then initdead 2 s
    assert!(took >= ms(3000) && took < ms(3200), "{took:?}");
    assert!(!world.said(B, "deciding alone: never heard").is_empty());
    world.power_on(A);
    world.until("failback", ms(3000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn lonely_boot_needs_the_arbiter_or_an_operator() {
    let mut world = World::new(|config| {
        config.split_brain = SplitBrain::PING;
        config.pings = true;
    });
    world.machines[B].gateway = false;
    world.power_on(B);
    world.run(ms(20_000));
    assert!(world.owners().is_empty());
    assert_eq!(world.said(B, "nothing proves").len(), 1);
    world.command(B, Command::TakeoverAnyway).expect("taken");
    world.until("node2 serves", ms(500), |w| w.serves(B));
    world.run(ms(5000));
    assert!(world.serves(B), "the operator vouched");
}

#[test]
fn takeover_anyway_skips_the_wait() {
    let mut world = World::new(|_| {});
    world.power_on(A);
    world.run(ms(100));
    world.command(A, Command::TakeoverAnyway).expect("taken");
    world.until("node1 serves", ms(200), |w| w.serves(A));
    world.power_on(B);
    world.until("members", ms(2000), |w| w.members() == [true, true]);
    world.run(ms(1000));
    assert_eq!(world.owners(), [A]);
    world.one_owner();
}

#[test]
fn slow_link() {
    let mut world = World::new(|_| {});
    world.power_on(A);
    world.power_on(B);
    for n in [A, B] {
        ALL.iter().for_each(|path| world.carrier(n, *path, false));
    }
    world.set_wire(|_| vec![]);
    world.run(ms(20_000));
    assert!(
        world.owners().is_empty(),
        "no lonely takeover without carrier"
    );
    for n in [A, B] {
        ALL.iter().for_each(|path| world.carrier(n, *path, true));
    }
    world.set_wire(|_| vec![ms(1)]);
    world.until("node1 serves", ms(1000), |w| w.serves(A));
    world.run(ms(3000));
    assert_eq!(world.owners(), [A]);
    world.one_owner();
}

#[test]
fn all_paths_cut_with_accept_is_two_owners_and_heals_to_one() {
    let mut world = World::running(|_| {});
    ALL.iter().for_each(|path| world.cut(*path));
    world.until("the documented split", ms(2000), |w| {
        w.serves(A) && w.serves(B)
    });
    world.run(ms(3000));
    let (before, announced) = (world.doubled, world.machines[B].announced);
    assert!(before > ms(2000));
    ALL.iter().for_each(|path| world.join(*path));
    let healed = world.now;
    world.until("one owner", ms(300), |w| w.owners() == [B]);
    assert!(
        world.now - healed < ms(250),
        "within an interval or two: {:?}",
        world.now - healed
    );
    assert!(
        world.machines[B].announced > announced,
        "the winner announces again"
    );
    assert!(!world.said(A, "giving way to node2").is_empty());
    assert!(!world.said(B, "kept, node1 gives way").is_empty());
    let doubled = world.doubled;
    world.run(ms(10_000));
    assert_eq!(world.doubled, doubled, "the loser does not fight back");
    assert_eq!(world.owners(), [A], "failback, in order");
}

#[test]
fn strangers_meet() {
    // both boot alone, so neither tenure knows of the other
    let mut world = World::new(|config| config.groups[0].failback = Failback::Manual);
    world.set_wire(|_| vec![]);
    world.power_on(A);
    world.power_on(B);
    world.until("both serve", ms(8000), |w| w.serves(A) && w.serves(B));
    world.set_wire(|_| vec![ms(1)]);
    world.until("one owner at most", ms(300), |w| w.owners().len() <= 1);
    let doubled = world.doubled;
    world.until("one serves", ms(2000), |w| w.owners().len() == 1);
    world.run(ms(3000));
    assert_eq!(world.owners().len(), 1);
    assert_eq!(world.doubled, doubled);
    assert_eq!(world.members(), [true, true]);
    assert!(
        !world.said(A, "neither from the other").is_empty()
            || !world.said(B, "neither from the other").is_empty()
    );
}

#[test]
fn pause() {
    let mut world = World::running(|_| {});
    world.pause(A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.run(ms(5000));
    world.resume(A);
    // its VIP is bound until it hears the first fresh frame
    let silent = world.until("node1 is silent", ms(200), |w| {
        !w.machines[A].acts[VIP.index()]
    });
    assert!(silent <= ms(110), "one beat and the stop: {silent:?}");
    assert_eq!(world.machines[A].stops[1], [Reason::Yield]);
    assert!(!world.said(A, "giving way to node2").is_empty());
    let doubled = world.doubled;
    world.run(ms(5000));
    assert_eq!(world.doubled, doubled);
    assert_eq!(world.members(), [true, true]);
}

#[test]
fn the_first_fresh_frame_silences_an_old_owner_at_once() {
    let mut world = World::running(|_| {});
    world.pause(A);
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.run(ms(3000));
    // the newest frame from node2 waits in the card when the machine resumes
    let newest = world
        .tape
        .iter()
        .rev()
        .find(|r| r.from == B && r.path == LAN)
        .expect("beats")
        .clone();
    world.resume(A);
    let told_at = world
        .log
        .iter()
        .find(|(_, n, event, _)| *n == A && matches!(event, Event::Superseded { .. }));
    match told_at {
        Some((at, ..)) => assert_eq!(*at, world.now, "with the very frame"),
        None => {
            let _ = world.inject(A, LAN, &newest.bytes);
        }
    }
    world.until("silent", ms(160), |w| !w.machines[A].acts[VIP.index()]);
}

#[test]
fn stall_of_the_standby_is_no_evidence() {
    let mut world = World::running(|_| {});
    let since = world.now;
    world.stall(B);
    world.run(ms(5000));
    world.unstall(B);
    world.run(ms(5000));
    assert_eq!(
        world.changes_since(since),
        0,
        "its own silence is not node1's death"
    );
    assert!(!world.said(B, "stood still").is_empty());
    world.one_owner();
}

#[test]
fn mixed_files() {
    let mut world = World::running(|_| {});
    world.power_off(B);
    world.run(ms(1000));
    world.machines[B].config.file_hash = 2;
    world.power_on(B);
    world.until("members", ms(3000), |w| w.members() == [true, true]);
    world.run(ms(500));
    assert!(!world.said(A, "node2 runs another cluster file").is_empty());
    assert!(!world.engine(A).same_file(NodeId(1)));
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(1), false)),
        Err(Refusal::Frozen)
    );
    assert_eq!(
        world.command(B, Command::Standby(NodeId(0), true)),
        Err(Refusal::Frozen)
    );
    world.power_off(A);
    world.until("takeover goes on", ms(2000), |w| w.serves(B));
    world.power_on(A);
    world.run(ms(5000));
    assert_eq!(world.owners(), [B], "failback is frozen");
    world.power_off(B);
    world.until("node1 serves", ms(2000), |w| w.serves(A));
    world.machines[B].config.file_hash = 1;
    world.power_on(B);
    world.until("the same file again", ms(4000), |w| {
        w.engine(A).same_file(NodeId(1)) && w.members() == [true, true]
    });
    world.one_owner();
}

#[test]
fn service_crash_restarts_in_place_then_moves() {
    let mut world = World::running(|_| {});
    for n in 1..=2 {
        world.report(A, WEB, Report::Failed);
        assert_eq!(world.engine(A).group(WWW).failures, n);
        world.report(A, WEB, Report::Recovered);
        world.run(ms(1000));
        assert!(world.serves(A));
    }
    world.report(A, WEB, Report::Failed);
    world.until("node2 serves", ms(1000), |w| w.serves(B));
    assert!(world.engine(A).group(WWW).banned);
    world.one_owner();
    world.run(ms(10_000));
    assert_eq!(world.owners(), [B], "no failback to a failing node");
    world.run(ms(60_000));
    assert_eq!(world.owners(), [A], "the failure timeout clears the count");
    world.one_owner();
}

#[test]
fn cleanup_forgets_failures() {
    let mut world = World::running(|_| {});
    for _ in 0..3 {
        world.report(A, WEB, Report::Failed);
    }
    world.until("node2 serves", ms(1000), |w| w.serves(B));
    world.command(B, Command::Cleanup(WWW)).expect("taken");
    world.until("node1 serves", ms(1000), |w| w.serves(A));
    assert_eq!(world.engine(A).group(WWW).failures, 0);
}

#[test]
fn a_failing_service_stays_where_nobody_else_may_run_it() {
    let mut world = World::running(|_| {});
    world.power_off(B);
    world.run(ms(1000));
    for _ in 0..5 {
        world.report(A, WEB, Report::Failed);
        world.report(A, WEB, Report::Recovered);
    }
    world.run(ms(5000));
    assert!(world.serves(A));
}

#[test]
fn a_failed_start_moves_the_group() {
    let mut world = World::new(|_| {});
    world.machines[A].manners[WEB.index()].outcome = Report::StartFailed;
    world.power_on(A);
    world.power_on(B);
    world.until("node2 serves", ms(4000), |w| w.serves(B));
    assert_eq!(world.machines[A].starts[0].len(), 1);
    world.run(ms(5000));
    assert_eq!(
        world.machines[A].starts[0].len(),
        1,
        "not tried again before the failure timeout"
    );
    world.one_owner();
}

#[test]
fn an_overdue_start_is_stopped_before_it_counts_as_down() {
    let mut world = World::new(|_| {});
    world.machines[A].manners[WEB.index()].start = ms(60_000);
    world.power_on(A);
    world.power_on(B);
    world.until("node2 serves", ms(8000), |w| w.serves(B));
    assert_eq!(world.machines[A].stops[0].len(), 1);
    world.one_owner();
}

#[test]
fn stuck_stop() {
    let mut world = World::running(|_| {});
    world.machines[A].manners[VIP.index()].stuck = true;
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.until("node1 resets itself", ms(6000), |w| {
        w.machines[A].reset == Some(Fatal::StopFailed)
    });
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn duplicate_address() {
    let mut world = World::new(|_| {});
    for n in [A, B] {
        world.machines[n].manners[VIP.index()].outcome = Report::AddressTaken;
    }
    world.power_on(A);
    world.power_on(B);
    world.run(ms(5000));
    assert!(world.owners().is_empty());
    let holder = [A, B]
        .into_iter()
        .find(|n| world.machines[*n].acts[0])
        .expect("one waits with its service up");
    assert!(
        !world
            .said(holder, "another host on the network answers")
            .is_empty()
    );
    // the stranger goes away: the VIP comes up by itself
    world.machines[holder].acts[VIP.index()] = true;
    world.report(holder, VIP, Report::Started);
    world.run(ms(1000));
    assert!(world.serves(holder));
    assert!(!world.engine(holder).group(WWW).banned);
}

#[test]
fn the_watchdog_is_fed_by_ticks_and_by_nothing_else() {
    let mut world = World::running(|_| {});
    let before = world.machines[A].fed;
    world.run(ms(10_000));
    let fed = world.machines[A].fed - before;
    assert!((95..=105).contains(&fed), "about once per keepalive: {fed}");
    // a loop that takes every input but the timer earns nothing
    let mut engine = world.engine(A).clone();
    let mut now = world.local(A);
    let mut feeds = 0;
    let drain = |engine: &mut Engine| {
        std::iter::from_fn(|| engine.poll_effect())
            .filter(|e| *e == Effect::FeedWatchdog)
            .count()
    };
    for n in 0..1000u64 {
        now += ms(10);
        match n % 5 {
            0 => drop(engine.handle_frame(now, LAN, &[1, 2, 3])),
            1 => engine.handle_carrier(now, LAN, n % 2 == 0),
            2 => engine.handle_report(now, WEB, Report::Recovered),
            3 => engine.handle_ping(now, now),
            _ => drop(engine.handle_command(now, Command::Cleanup(WWW))),
        }
        feeds += drain(&mut engine);
    }
    assert_eq!(feeds, 0);
    engine.handle_timer(now);
    assert_eq!(drain(&mut engine), 1);
}

#[test]
fn no_feed_after_a_reset_was_asked_for() {
    let mut world = World::running(|_| {});
    let mut engine = world.engine(A).clone();
    let mut now = world.local(A);
    engine.handle_report(now, VIP, Report::StopFailed);
    let mut reset = false;
    for _ in 0..100 {
        while let Some(effect) = engine.poll_effect() {
            reset |= matches!(effect, Effect::ResetSelf(Fatal::StopFailed));
            assert_ne!(
                effect,
                Effect::FeedWatchdog,
                "the hardware must bite if the reset fails"
            );
        }
        now = now.max(engine.poll_deadline());
        engine.handle_timer(now);
    }
    assert!(reset);
    world.quiet();
}

#[test]
fn serial_alone_carries_everything() {
    let mut world = World::running(|_| {});
    let since = world.now;
    world.mute(LAN);
    world.mute(CROSSOVER);
    world.run(ms(3000));
    assert_eq!(world.members(), [true, true]);
    assert_eq!(world.changes_since(since), 0);
    world
        .command(B, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn lossy() {
    let mut world = World::running(|_| {});
    let mut random = 12345u64;
    let mut roll = move |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    world.set_wire(move |_| match roll(100) {
        0..30 => vec![],
        30..40 => vec![ms(1 + roll(20)), ms(1 + roll(60))],
        40..60 => vec![ms(1 + roll(80))],
        _ => vec![ms(1)],
    });
    let since = world.now;
    world.run(Duration::from_secs(600));
    assert_eq!(world.changes_since(since), 0);
    assert!(world.said(A, "is dead").is_empty() && world.said(B, "is dead").is_empty());
    world.power_off(A);
    world.until("a real failover still works", ms(2000), |w| w.serves(B));
    world.one_owner();
}
