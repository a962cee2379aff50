//! Stories about who is who: twins, recordings of this life and of earlier ones,
//! frames signed with a wrong key, frames of another cluster.

mod world;

use kodo_engine::surface::{Event, Reject, Role};
use kodo_engine::{Engine, Key, NodeId};
use world::{A, B, CROSSOVER, LAN, Recording, VIP, World, ms, pair, role};

/// What must not change by frames that are rejected.
fn facts(engine: &Engine) -> impl PartialEq + std::fmt::Debug + use<> {
    let peers: Vec<_> = engine
        .peers()
        .map(|peer| {
            (
                engine.boot_of(peer),
                engine.role_of(peer),
                engine.same_file(peer),
            )
        })
        .collect();
    let standby: Vec<_> = (0..2).map(|n| engine.standby(NodeId(n))).collect();
    (
        engine.view(),
        engine.role(),
        engine.group(world::WWW),
        engine.claim(world::WWW),
        peers,
        standby,
    )
}

/// Plays recordings to both machines while they go on, one every few milliseconds.
#[track_caller]
fn replay(world: &mut World, tape: &[Recording], listeners: &[usize]) {
    let since = world.now;
    let before: Vec<_> = listeners.iter().map(|n| facts(world.engine(*n))).collect();
    let rejected: u64 = listeners
        .iter()
        .map(|n| world.engine(*n).counters().rejected())
        .sum();
    let mut accepted = 0;
    for recording in tape {
        world.run(ms(3));
        for n in listeners {
            accepted += u32::from(world.inject(*n, recording.path, &recording.bytes).is_ok());
        }
    }
    assert_eq!(accepted, 0, "no recording is believed");
    let after: Vec<_> = listeners.iter().map(|n| facts(world.engine(*n))).collect();
    assert_eq!(before, after);
    assert_eq!(world.changes_since(since), 0);
    let counted: u64 = listeners
        .iter()
        .map(|n| world.engine(*n).counters().rejected())
        .sum();
    assert!(
        counted >= rejected + (tape.len() * listeners.len()) as u64,
        "each one is counted"
    );
    world.run(ms(2000));
    assert_eq!(world.changes_since(since), 0);
    assert_eq!(world.members(), [true, true]);
}

#[test]
fn replayed_this_life() {
    let mut world = World::running(|_| {});
    world.run(ms(3000));
    let tape = world.tape.clone();
    replay(&mut world, &tape, &[A, B]);
    // backwards, so that each one is older than the last
    let tape: Vec<_> = tape.into_iter().rev().collect();
    replay(&mut world, &tape, &[A, B]);
    world.one_owner();
}

#[test]
fn replayed_an_earlier_life_of_either_node() {
    for reboot in [A, B] {
        let mut world = World::running(|_| {});
        world.run(ms(2000));
        let tape = world.tape.clone();
        world.power_off(reboot);
        world.run(ms(3000));
        world.power_on(reboot);
        world.until("both are members again", ms(5000), |w| {
            w.members() == [true, true]
        });
        world.run(ms(2000));
        replay(&mut world, &tape, &[A, B]);
        world.one_owner();
    }
}

#[test]
fn replayed_an_earlier_life_of_both_nodes() {
    let mut world = World::running(|_| {});
    world.run(ms(10_000));
    let tape = world.tape.clone();
    world.power_off(A);
    world.power_off(B);
    world.run(ms(3000));
    world.power_on(A);
    world.power_on(B);
    world.until("both are members again", ms(5000), |w| {
        w.members() == [true, true]
    });
    world.run(ms(2000));
    replay(&mut world, &tape, &[A, B]);
    assert!(!world.said(B, "frame rejected").is_empty(), "and reported");
    world.one_owner();
}

#[test]
fn replayed_to_a_lonely_survivor() {
    // the dead peer's recordings neither keep it alive nor bring it back
    let mut world = World::running(|_| {});
    world.run(ms(1000));
    let tape: Vec<_> = world.tape.iter().filter(|r| r.from == A).cloned().collect();
    world.power_off(A);
    let cut = world.now;
    let mut n = 0;
    while !world.serves(B) {
        assert!(world.now - cut < ms(1000), "takeover is not put off");
        world.run(ms(5));
        let recording = &tape[n % tape.len()];
        assert!(world.inject(B, recording.path, &recording.bytes).is_err());
        n += 1;
    }
    for recording in &tape {
        world.run(ms(3));
        assert!(world.inject(B, recording.path, &recording.bytes).is_err());
    }
    assert_eq!(world.owners(), [B]);
    assert_eq!(
        world.engine(B).view().map(|view| view.members.len()),
        Some(1)
    );
}

#[test]
fn held_back_and_delivered_later() {
    // frames that never arrived, so no sequence gives them away: only their echo does
    let mut world = World::running(|_| {});
    world.run(ms(1000));
    world.set_wire(|p| if p.from == A { vec![] } else { vec![ms(1)] });
    let cut = world.now;
    world.run(ms(300));
    world.power_off(A);
    world.until("node2 serves", ms(1000), |w| w.serves(B));
    world.run(ms(1000));
    let held: Vec<_> = world
        .tape
        .iter()
        .filter(|r| r.from == A && r.at > cut)
        .cloned()
        .collect();
    assert!(held.len() >= 6);
    let before = facts(world.engine(B));
    let since = world.now;
    for recording in &held {
        assert_eq!(
            world.inject(B, recording.path, &recording.bytes),
            Err(Reject::Stale)
        );
        world.run(ms(10));
    }
    world.run(ms(1000));
    assert_eq!(before, facts(world.engine(B)));
    assert_eq!(world.changes_since(since), 0);
}

#[test]
fn replayed_while_a_node_boots_alone() {
    let mut world = World::running(|_| {});
    world.run(ms(1000));
    let tape: Vec<_> = world.tape.iter().filter(|r| r.from == A).cloned().collect();
    world.power_off(A);
    world.power_off(B);
    world.run(ms(1000));
    world.power_on(B);
    let boot = world.now;
    let mut n = 0;
    while !world.serves(B) {
        assert!(
            world.now - boot < ms(3300),
            "recordings do not put off a lonely boot"
        );
        world.run(ms(5));
        let _ = world.inject(B, tape[n % tape.len()].path, &tape[n % tape.len()].bytes);
        n += 1;
    }
    assert!(world.now - boot >= ms(3000));
}

#[test]
fn recordings_do_not_keep_a_rebooted_node_out() {
    let mut world = World::running(|_| {});
    world.run(ms(2000));
    let tape: Vec<_> = world.tape.iter().filter(|r| r.from == A).cloned().collect();
    world.power_off(A);
    world.power_off(B);
    world.run(ms(1000));
    world.power_on(B);
    world.until("node2 serves", ms(5000), |w| w.serves(B));
    world.power_on(A);
    let boot = world.now;
    let mut n = 0;
    while world.members() != [true, true] {
        assert!(world.now - boot < ms(3000));
        world.run(ms(5));
        let _ = world.inject(B, tape[n % tape.len()].path, &tape[n % tape.len()].bytes);
        n += 1;
    }
}

#[test]
fn a_frame_of_one_path_is_not_believed_on_another() {
    let mut world = World::running(|_| {});
    world.set_wire(|p| {
        if p.path == CROSSOVER {
            vec![]
        } else {
            vec![ms(1)]
        }
    });
    world.run(ms(1000));
    let newest = world
        .tape
        .iter()
        .rev()
        .find(|r| r.from == A && r.path == CROSSOVER)
        .expect("beats")
        .clone();
    assert_eq!(world.inject(B, LAN, &newest.bytes), Err(Reject::WrongPath));
    assert_eq!(world.engine(B).counters().wrong_path, 1);
}

#[test]
fn our_own_frames_come_back() {
    let mut world = World::running(|_| {});
    let newest = world
        .tape
        .iter()
        .rev()
        .find(|r| r.from == A)
        .expect("beats")
        .clone();
    let before = facts(world.engine(A));
    assert_eq!(
        world.inject(A, newest.path, &newest.bytes),
        Err(Reject::Own)
    );
    assert!(before == facts(world.engine(A)));
}

#[test]
fn forged_and_foreign() {
    let mut world = World::running(|_| {});
    let mut wrong_key = pair(0);
    wrong_key.keys[0] = Key([8; 32]);
    let mut foreign = pair(0);
    foreign.cluster_id += 1;
    for (config, reject) in [(wrong_key, Reject::Forged), (foreign, Reject::OtherCluster)] {
        let stranger = world.add(config);
        world.power_on(stranger);
        let before = facts(world.engine(B));
        world.run(ms(10_000));
        assert!(before == facts(world.engine(B)));
        assert!(world.serves(A));
        assert!(world.engine(B).counters().of(reject) > 50);
        let said = world
            .log
            .iter()
            .filter(|(_, n, event, _)| *n == B && matches!(event, Event::Rejected { .. }))
            .count();
        assert!(
            (1..=2).contains(&said),
            "reported, but not every time: {said}"
        );
        world.power_off(stranger);
        world.log.clear();
    }
}

#[test]
fn key_rotation() {
    let (old, new) = (Key([7; 32]), Key([9; 32]));
    let mut world = World::running(|_| {});
    // node by node: first accept both, then sign with the new one, then drop the old
    let steps = [[old.clone(), new.clone()], [new.clone(), old]];
    for keys in &steps {
        for n in [B, A] {
            world.machines[n].config.keys = keys.iter().cloned().collect();
            world.power_off(n);
            world.power_on(n);
            world.until("members", ms(5000), |w| w.members() == [true, true]);
        }
    }
    for n in [B, A] {
        world.machines[n].config.keys = [new.clone()].into_iter().collect();
        world.power_off(n);
        world.power_on(n);
        world.until("members", ms(5000), |w| w.members() == [true, true]);
        world.run(ms(500));
        assert_eq!(
            world.engine(A).counters().forged + world.engine(B).counters().forged,
            0
        );
    }
}

#[test]
fn twins() {
    // a second machine with node1's identity, powered on while node1 serves
    for uptime in [0, 30, 5000] {
        let mut world = World::running(|_| {});
        world.run(ms(20_000));
        let since = world.now;
        let twin = world.add(pair(0));
        world.power_on_up_since(twin, ms(uptime));
        world.run(ms(10_000));
        assert_eq!(world.owners(), [A], "uptime {uptime}");
        assert_eq!(world.changes_since(since), 0);
        assert_eq!(role(&world, twin), Role::Refused);
        assert_eq!(role(&world, A), Role::Member);
        assert!(world.machines[twin].reset.is_none(), "no restart loop");
        assert!(!world.said(A, "two machines are node1").is_empty());
        assert!(!world.said(B, "two machines are node1").is_empty());
        assert!(!world.said(twin, "another machine is node1").is_empty());
        world.one_owner();
        // the first one dies: node2 takes over, and the other may take its place
        world.power_off(A);
        world.until("node2 serves", ms(2000), |w| w.serves(B));
        world.until("the other one takes part", ms(5000), |w| {
            role(w, twin) == Role::Member
        });
        world.one_owner();
    }
}

#[test]
fn twins_of_the_standby() {
    let mut world = World::running(|_| {});
    world.run(ms(5000));
    let since = world.now;
    let twin = world.add(pair(1));
    world.power_on(twin);
    world.run(ms(10_000));
    assert_eq!(role(&world, twin), Role::Refused);
    assert_eq!(role(&world, B), Role::Member);
    assert_eq!(world.changes_since(since), 0);
    world.one_owner();
}

#[test]
fn twins_that_do_not_hear_each_other() {
    // node2 hears both and refuses the newcomer on their behalf
    let mut world = World::running(|_| {});
    world.run(ms(5000));
    let twin = world.add(pair(0));
    world.set_wire(move |p| {
        if [p.from, p.to] == [A, twin] || [p.from, p.to] == [twin, A] {
            vec![]
        } else {
            vec![ms(1)]
        }
    });
    world.power_on(twin);
    world.run(ms(10_000));
    assert_eq!(world.owners(), [A]);
    assert_eq!(role(&world, twin), Role::Refused);
    world.one_owner();
}

#[test]
fn twins_that_boot_together() {
    for skew in [0, 1, 2, 40] {
        let mut world = World::new(|_| {});
        let twin = world.add(pair(0));
        world.power_on(A);
        world.run(ms(skew));
        world.power_on(twin);
        world.power_on(B);
        world.run(ms(15_000));
        let roles = [role(&world, A), role(&world, twin)];
        assert!(
            roles.contains(&Role::Refused) && roles.contains(&Role::Member),
            "skew {skew}: {roles:?}"
        );
        assert_eq!(world.owners().len(), 1);
        world.one_owner();
    }
}

#[test]
fn a_frame_in_flight_does_not_make_a_reboot_a_twin_for_long() {
    let mut world = World::running(|_| {});
    // an old frame arrives after the new life's clock began
    world.set_wire(|p| if p.path == LAN { vec![ms(60)] } else { vec![] });
    world.run(ms(1000));
    world.power_off(A);
    world.power_on(A);
    world.until("node2 serves or node1 is back", ms(3000), |w| {
        w.members() == [true, true] || w.serves(B)
    });
    world.until("both are members", ms(5000), |w| {
        w.members() == [true, true]
    });
    world.run(ms(3000));
    assert_eq!(world.owners(), [A]);
    assert!(world.machines[A].acts[VIP.index()]);
    world.one_owner();
}

#[test]
fn a_reboot_after_a_long_silence_is_no_twin() {
    let mut world = World::running(|_| {});
    world.power_off(A);
    world.run(ms(60_000));
    world.power_on_up_since(A, ms(3000));
    world.until("failback", ms(5000), |w| w.serves(A));
    assert!(world.said(B, "two machines").is_empty());
    world.one_owner();
}
