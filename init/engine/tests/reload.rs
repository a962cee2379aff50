//! A new cluster file on a running cluster: what stops, what goes on, and who says no.
//! Judged from outside: starts and stops of services, frames on the wire.

mod world;

use std::time::Duration;

use kodo_engine::codec::Codec;
use kodo_engine::config::{
    Config, Fault, Group, OnStopFailure, Order, Resource, ResourceKind, SplitBrain, ranked,
};
use kodo_engine::reload::{Fixed, Unfit};
use kodo_engine::surface::{Command, Refusal, Reject, RunState};
use kodo_engine::{GroupId, Key, NodeId, ResourceId};

use world::{A, B, Passage, VIP, WEB, World, majority_of_three, ms, name};

const BASE: ResourceId = ResourceId(2);
const EXTRA: ResourceId = ResourceId(3);
const C: usize = 2;
const ALL: [usize; 3] = [A, B, C];

/// Three machines with a majority to decide: www (web, vip) at home on node1, db (base) on
/// node2.
fn three() -> World {
    let edit = |config: &mut Config| {
        majority_of_three(config);
        let _ = config.resources.push(service("base"));
        config.groups[0].location = ranked(3, &[NodeId(0), NodeId(1), NodeId(2)]);
        let _ = config.groups.push(group("db", BASE, [1, 0, 2]));
    };
    let mut world = World::new(edit);
    let mut third = world::pair(2);
    edit(&mut third);
    world.add(third);
    for n in ALL {
        world.power_on(n);
    }
    world.until("all at home", ms(6000), |w| w.serves(A) && runs(w, B, BASE));
    world.run(ms(2000));
    world
}

fn service(what: &str) -> Resource {
    Resource {
        name: name(what),
        kind: ResourceKind::Service,
        make: 0,
        start_timeout: ms(5000),
        stop_timeout: ms(5000),
    }
}

fn group(what: &str, member: ResourceId, prefer: [u8; 3]) -> Group {
    let members = [member].into_iter().collect();
    Group::new(name(what), members, ranked(3, &prefer.map(NodeId)))
}

fn runs(world: &World, n: usize, resource: ResourceId) -> bool {
    world.machines[n].acts[resource.index()]
}

/// File `hash` with a change, staged on all machines that have power.
fn stage_all(world: &mut World, hash: u64, edit: impl Fn(&mut Config)) {
    for n in 0..world.machines.len() {
        if world.machines[n].engine.is_some() {
            let staged = world.stage(n, |config| {
                config.file_hash = hash;
                edit(config);
            });
            assert_eq!(staged, Ok(()), "machine {n}");
        }
    }
    world.run(ms(200));
}

fn all_run(world: &World, machines: &[usize], hash: u64) -> bool {
    let file = |n: &usize| world.engine(*n).config().file_hash;
    machines.iter().all(|n| file(n) == hash)
}

/// Starts and stops of all resources of all machines so far.
fn turns(world: &World) -> usize {
    let machines = world.machines.iter();
    let lists = machines.flat_map(|m| m.starts.iter().chain(&m.stops));
    lists.map(Vec::len).sum()
}

/// What must be so after every switch: no beat was missed, nobody was wronged.
#[track_caller]
fn unharmed(world: &World) {
    world.one_owner();
    for n in 0..world.machines.len() {
        for text in ["is late", "is dead", "another cluster file", "lease ended"] {
            assert_eq!(world.said(n, text), [""; 0], "machine {n}");
        }
    }
}

#[test]
fn words_about_places_stop_nothing() {
    let mut world = three();
    let before = turns(&world);
    stage_all(&mut world, 2, |config| {
        config.groups[0].location = ranked(3, &[NodeId(0), NodeId(2)]);
        config.groups[1].priority = 7;
        config.groups.swap(0, 1);
    });
    assert!(all_run(&world, &ALL, 1), "staged only");
    assert_eq!(world.command(C, Command::Adopt(2)), Ok(3));
    world.until("adopted", ms(1000), |w| all_run(w, &ALL, 2));
    world.run(ms(5000));
    assert_eq!(turns(&world), before, "nothing was touched");
    assert!(world.serves(A) && runs(&world, B, BASE));
    unharmed(&world);
    // The new words count: node1 dies, and node2 may not run www any more.
    world.power_off(A);
    world.until("node3 takes over", ms(3000), |w| w.serves(C));
    world.one_owner();
}

#[test]
fn a_changed_group_stops_and_the_others_run_on() {
    let mut world = three();
    let web = world.machines[A].stops[WEB.index()].len();
    stage_all(&mut world, 2, |config| {
        config.resources[BASE.index()].make = 1;
    });
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(2000), |w| all_run(w, &ALL, 2));
    assert!(!runs(&world, B, BASE), "it was down at the switch");
    world.until("it runs where it ran", ms(2000), |w| runs(w, B, BASE));
    world.run(ms(2000));
    assert_eq!(
        world.machines[A].stops[WEB.index()].len(),
        web,
        "www ran on"
    );
    assert_eq!(world.machines[B].stops[BASE.index()].len(), 1);
    assert_eq!(
        world
            .said(B, "db: stops, the new cluster file changes it")
            .len(),
        1
    );
    unharmed(&world);
}

#[test]
fn a_changed_group_starts_again_where_it_was_not_at_home() {
    let mut world = three();
    let db = kodo_engine::GroupId(1);
    world
        .command(A, Command::Move(db, NodeId(2), true))
        .expect("taken");
    world.until("db on node3", ms(2000), |w| runs(w, C, BASE));
    world.run(ms(1000));
    stage_all(&mut world, 2, |config| {
        config.resources[BASE.index()].make = 1;
    });
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(2000), |w| all_run(w, &ALL, 2));
    world.until("it runs again", ms(2000), |w| {
        ALL.iter().any(|n| runs(w, *n, BASE))
    });
    assert!(runs(&world, C, BASE), "where it ran before");
    unharmed(&world);
}

#[test]
fn a_group_goes_and_another_comes() {
    let mut world = three();
    stage_all(&mut world, 2, |config| {
        config.groups.pop();
        let _ = config.resources.push(service("extra"));
        let _ = config.groups.insert(0, group("new", EXTRA, [2, 1, 0]));
    });
    world.command(B, Command::Adopt(2)).expect("taken");
    world.until("the new one runs", ms(3000), |w| runs(w, C, EXTRA));
    world.run(ms(1000));
    assert!(ALL.iter().all(|n| !runs(&world, *n, BASE)), "db is gone");
    assert!(world.serves(A));
    assert_eq!(world.machines[A].stops[WEB.index()].len(), 0, "www ran on");
    unharmed(&world);
    // And back: db comes again, and the slot of `extra` stays.
    stage_all(&mut world, 3, |config| {
        let _ = config.groups.remove(0);
        let _ = config.groups.push(group("db", BASE, [1, 0, 2]));
    });
    world.command(B, Command::Adopt(3)).expect("taken");
    world.until("db runs", ms(3000), |w| {
        runs(w, B, BASE) && !runs(w, C, EXTRA)
    });
    unharmed(&world);
}

#[test]
fn what_must_not_run_without_a_changed_group_stops_with_it() {
    let mut world = three();
    let after = |config: &mut Config| {
        let (first, then) = (kodo_engine::GroupId(1), kodo_engine::GroupId(0));
        let _ = config.orders.push(Order {
            first,
            then,
            must: true,
        });
    };
    stage_all(&mut world, 2, after);
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(1000), |w| all_run(w, &ALL, 2));
    world.run(ms(1000));
    assert_eq!(
        world.machines[A].stops[WEB.index()].len(),
        0,
        "both run: nothing waits"
    );
    stage_all(&mut world, 3, |config| {
        config.resources[BASE.index()].make = 1;
    });
    world.command(A, Command::Adopt(3)).expect("taken");
    world.until("adopted", ms(3000), |w| all_run(w, &ALL, 3));
    assert_eq!(world.machines[A].stops[WEB.index()].len(), 1);
    world.until("both run again", ms(3000), |w| {
        w.serves(A) && runs(w, B, BASE)
    });
    unharmed(&world);
}

#[test]
fn a_file_that_cannot_be_taken_over_changes_nothing() {
    type Edit = fn(&mut Config);
    let bad: [(Edit, Unfit); 16] = [
        (|c| c.cluster_id += 1, Unfit::Fixed(Fixed::Cluster)),
        (|c| c.me = NodeId(2), Unfit::Fixed(Fixed::Me)),
        (|c| c.nodes[2] = name("other"), Unfit::Fixed(Fixed::Nodes)),
        (|c| c.votes[2] = 2, Unfit::Fixed(Fixed::Votes)),
        (|c| c.timing.deadtime += ms(1), Unfit::Fixed(Fixed::Timing)),
        (
            |c| c.split_brain = SplitBrain::Accept,
            Unfit::Fixed(Fixed::SplitBrain),
        ),
        (
            |c| c.witness_key = Some(Key([1; 32])),
            Unfit::Fixed(Fixed::Witness),
        ),
        (|c| c.pings = true, Unfit::Fixed(Fixed::Ping)),
        (
            |c| c.paths[1].name = name("other"),
            Unfit::Fixed(Fixed::Paths),
        ),
        (
            |c| c.groups[0].members[0] = ResourceId(9),
            Unfit::Fault(Fault::Members),
        ),
        (
            |c| c.groups[1].members[0] = WEB,
            Unfit::Fault(Fault::Shared),
        ),
        (
            |c| c.groups[1].name = name("www"),
            Unfit::Fault(Fault::Tags),
        ),
        (|c| c.resources.swap(0, 1), Unfit::Slot(WEB)),
        (
            |c| c.resources[2].kind = ResourceKind::Vip,
            Unfit::Slot(BASE),
        ),
        (|c| c.keys[0] = Key([8; 32]), Unfit::NewKey),
        (
            |c| c.resources[0].stop_timeout = Duration::MAX,
            Unfit::Fault(Fault::Longest),
        ),
    ];
    let mut world = three();
    let before = turns(&world);
    for (edit, why) in bad {
        let staged = world.stage(A, |config| {
            config.file_hash = 2;
            edit(config);
        });
        assert_eq!(staged, Err(why));
    }
    let same = world.stage(A, |config| config.keys[0] = Key([8; 32]));
    assert_eq!(same, Err(Unfit::Keys));
    assert_eq!(world.engine(A).staged(), None);
    assert_eq!(
        world.command(A, Command::Adopt(2)),
        Err(Refusal::NotStaged(NodeId(0)))
    );
    world.run(ms(2000));
    assert_eq!(turns(&world), before);
    assert!(all_run(&world, &ALL, 1));
}

#[test]
fn a_member_without_the_file_stops_the_switch_before_it_begins() {
    let mut world = three();
    let before = turns(&world);
    for n in [A, B] {
        let staged = world.stage(n, |config| {
            config.file_hash = 2;
            config.resources[BASE.index()].make = 1;
        });
        staged.expect("fit");
    }
    world.run(ms(500));
    assert_eq!(
        world.command(A, Command::Adopt(2)),
        Err(Refusal::NotStaged(NodeId(2)))
    );
    // another file is not this one
    world.stage(C, |config| config.file_hash = 3).expect("fit");
    world.run(ms(500));
    assert_eq!(
        world.command(A, Command::Adopt(2)),
        Err(Refusal::NotStaged(NodeId(2)))
    );
    world.run(ms(2000));
    assert_eq!(turns(&world), before);
    assert!(all_run(&world, &ALL, 1));
}

#[test]
fn maintenance_forbids_what_would_stop_something() {
    let mut world = three();
    stage_all(&mut world, 2, |config| {
        config.resources[BASE.index()].make = 1;
    });
    world.command(A, Command::Maintenance(true)).expect("taken");
    world.run(ms(500));
    // wherever it is asked, db is at node2
    for n in ALL {
        let asked = world.command(n, Command::Adopt(2));
        assert_eq!(asked, Err(Refusal::Untouched), "machine {n}");
    }
    world
        .command(A, Command::Maintenance(false))
        .expect("taken");
    world.run(ms(500));
    world.command(B, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(2000), |w| all_run(w, &ALL, 2));
    unharmed(&world);
}

#[test]
fn what_cannot_be_stopped_forbids_what_would_stop_it() {
    let mut world = three();
    stage_all(&mut world, 2, |config| {
        config.groups[1].on_stop_failure = OnStopFailure::Block;
    });
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(2000), |w| all_run(w, &ALL, 2));
    world.run(ms(500));
    world.machines[B].manners[BASE.index()].stuck = true;
    let away = Command::Move(GroupId(1), NodeId(0), false);
    world.command(A, away).expect("taken");
    world.until("it is blocked", ms(9000), |w| {
        w.engine(B).resource(BASE) == RunState::Blocked
    });
    world.run(ms(500));
    stage_all(&mut world, 3, |config| {
        config.resources[BASE.index()].make = 1;
        config.resources[WEB.index()].make = 1;
    });
    for n in ALL {
        let asked = world.command(n, Command::Adopt(3));
        assert_eq!(asked, Err(Refusal::Blocked), "machine {n}");
    }
    assert!(world.serves(A), "www did not stop for nothing");
}

#[test]
fn the_coordinator_dies_at_every_moment_of_the_switch() {
    for delay in (0..260).step_by(4) {
        let mut world = three();
        stage_all(&mut world, 2, |config| {
            config.resources[BASE.index()].make = 1;
        });
        world.command(B, Command::Adopt(2)).expect("taken");
        world.run(ms(delay));
        world.power_off(A);
        world.until("the others switch, www moves", ms(8000), |w| {
            all_run(w, &[B, C], 2) && w.serves(B) && runs(w, B, BASE)
        });
        world.run(ms(1000));
        world.one_owner();
    }
}

#[test]
fn a_member_dies_at_every_moment_of_the_switch() {
    for delay in (0..260).step_by(4) {
        let mut world = three();
        stage_all(&mut world, 2, |config| {
            config.resources[BASE.index()].make = 1;
        });
        world.command(A, Command::Adopt(2)).expect("taken");
        world.run(ms(delay));
        world.power_off(B);
        world.until("the others switch, db moves", ms(8000), |w| {
            all_run(w, &[A, C], 2) && w.serves(A) && runs(w, A, BASE)
        });
        world.one_owner();
    }
}

#[test]
fn a_switch_that_a_member_missed_by_a_restart_is_withdrawn() {
    let mut world = three();
    stage_all(&mut world, 2, |config| {
        config.resources[BASE.index()].make = 1;
        config.resources[WEB.index()].make = 1;
    });
    // node1 takes its time to stop: time enough for node3 to restart, without the file
    world.machines[A].manners[WEB.index()].stop = ms(4000);
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("db stops", ms(1000), |w| !runs(w, B, BASE));
    world.power_off(C);
    world.power_on(C);
    world.until("node3 is back", ms(3500), |w| {
        w.engine(C)
            .view()
            .is_some_and(|view| view.members.len() == 3)
    });
    world.until("what stopped starts again", ms(9000), |w| {
        w.serves(A) && runs(w, B, BASE)
    });
    assert!(all_run(&world, &ALL, 1), "under the old file");
    world.until("it is given up", ms(25_000), |w| {
        !w.said(A, "is given up").is_empty()
    });
    assert!(world.said(A, "is given up")[0].contains("node3 did not get ready"));
    world.stage(C, |config| config.file_hash = 2).expect("fit");
    world.run(ms(3000));
    assert!(all_run(&world, &ALL, 1), "nobody wants it any more");
    world.one_owner();
}

#[test]
fn keys_rotate_in_three_steps_and_every_beat_is_heard() {
    let (old, new) = (Key([7; 32]), Key([9; 32]));
    let mut world = three();
    let keys = |keys: &[Key]| -> Vec<Key> { keys.to_vec() };
    let steps = [
        keys(&[old.clone(), new.clone()]),
        keys(&[new.clone(), old.clone()]),
        keys(std::slice::from_ref(&new)),
    ];
    let skipped = world.stage(A, |config| {
        config.file_hash = 9;
        config.keys = [new.clone(), old.clone()].into_iter().collect();
    });
    assert_eq!(skipped, Err(Unfit::NewKey), "nobody knows the new key yet");
    for (hash, keys) in (2..).zip(steps) {
        if hash == 3 {
            let too_fast = world.stage(A, |config| {
                config.file_hash = 9;
                config.keys = [new.clone()].into_iter().collect();
            });
            assert_eq!(too_fast, Err(Unfit::OldKey), "the old one still signs");
        }
        stage_all(&mut world, hash, |config| {
            config.keys = keys.iter().cloned().collect();
        });
        world.command(A, Command::Adopt(hash)).expect("taken");
        world.until("adopted", ms(1000), |w| all_run(w, &ALL, hash));
        world.run(ms(1500));
    }
    let cut_off = world.stage(A, |config| {
        config.file_hash = 9;
        config.keys = [old.clone()].into_iter().collect();
    });
    assert_eq!(cut_off, Err(Unfit::NewKey));
    for n in ALL {
        assert_eq!(
            world.engine(n).counters().of(Reject::Forged),
            0,
            "machine {n}"
        );
    }
    // what goes over the wire now is signed by the new key, and by no other
    let mut config = world.machines[A].config.clone();
    config.keys = [old].into_iter().collect();
    let newest = world.tape.last().expect("beats").bytes.clone();
    assert_eq!(Codec::new(&config).open(&newest), Err(Reject::Forged));
    assert_eq!(turns(&world), 3, "www and db started once");
    unharmed(&world);
}

#[test]
fn a_late_joiner_with_the_old_file_adopts_when_it_gets_the_new_one() {
    let mut world = three();
    world.power_off(C);
    world.until("two go on", ms(2000), |w| {
        w.engine(A)
            .view()
            .is_some_and(|view| view.members.len() == 2)
    });
    let change = |config: &mut Config| {
        config.file_hash = 2;
        config.resources[BASE.index()].make = 1;
    };
    stage_all(&mut world, 2, change);
    world.command(A, Command::Adopt(2)).expect("taken");
    world.until("adopted", ms(2000), |w| all_run(w, &[A, B], 2));
    world.run(ms(6000));
    world.power_on(C);
    world.until("three members", ms(4000), |w| {
        w.engine(C)
            .view()
            .is_some_and(|view| view.members.len() == 3)
    });
    world.run(ms(500));
    assert!(!world.said(A, "node3 runs another cluster file").is_empty());
    world.stage(C, change).expect("fit");
    world.until("it adopts at once", ms(500), |w| all_run(w, &ALL, 2));
    world.run(ms(500));
    assert!(world.engine(A).same_file(NodeId(2)) && world.engine(C).same_file(NodeId(0)));
    world.one_owner();
}

#[test]
fn a_member_that_is_slow_to_stop_is_waited_for() {
    let mut world = three();
    stage_all(&mut world, 2, |config| {
        config.resources[BASE.index()].make = 1;
    });
    world.machines[B].manners[BASE.index()].stop = ms(3000);
    world.command(A, Command::Adopt(2)).expect("taken");
    world.run(ms(2900));
    assert!(all_run(&world, &ALL, 1), "db still runs on node2");
    assert!(world.engine(A).switch_waits_for().contains(NodeId(1)));
    world.until("adopted", ms(1000), |w| all_run(w, &ALL, 2));
    unharmed(&world);
}

#[test]
fn an_address_that_changes_its_group_is_never_on_two_nodes() {
    for loss in 0..40u64 {
        let mut world = three();
        // node3 hears nothing of node1 for a while: the switch reaches it by others
        let since = world.now + ms(loss * 10);
        world.set_wire(move |pass: &Passage| {
            let torn = (pass.from, pass.to) == (A, C) || (pass.from, pass.to) == (B, C);
            match torn && pass.now > since && pass.now < since + ms(350) {
                true => vec![],
                false => vec![ms(1)],
            }
        });
        stage_all(&mut world, 2, |config| {
            config.groups[0].members = [WEB].into_iter().collect();
            config.groups[1].members = [BASE, VIP].into_iter().collect();
        });
        if world.command(B, Command::Adopt(2)).is_err() {
            continue;
        }
        world.until("the address went with its group", ms(6000), |w| {
            w.owners() == [B] && runs(w, B, BASE) && all_run(w, &ALL, 2)
        });
        world.one_owner();
    }
}

#[test]
fn random_files_one_after_the_other() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut dice = move |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    let mut world = three();
    for hash in 2..60 {
        let (make, which) = (u32::try_from(dice(3)).expect("small"), dice(5));
        let (priority, drop) = (i16::try_from(dice(9)).expect("small"), dice(3));
        let edit = |config: &mut Config| {
            config.groups[0].priority = priority;
            match which {
                0 => config.resources[BASE.index()].make = make,
                1 => config.resources[WEB.index()].make = make,
                2 => config.groups.reverse(),
                3 if config.groups.len() > 1 && drop > 0 => {
                    config.groups.retain(|group| group.name.as_str() == "www");
                }
                3 | 4 if config.groups.len() == 1 => {
                    let _ = config.groups.push(group("db", BASE, [1, 0, 2]));
                }
                _ => {}
            }
        };
        let before = world.machines[A].stops[WEB.index()].len();
        let was = world.machines[A].config.resources[WEB.index()].make;
        stage_all(&mut world, hash, edit);
        world.command(A, Command::Adopt(hash)).expect("taken");
        world.until("adopted", ms(5000), |w| all_run(w, &ALL, hash));
        world.until("www serves", ms(5000), |w| w.serves(A));
        let same = world.machines[A].config.resources[WEB.index()].make == was;
        let stopped = world.machines[A].stops[WEB.index()].len() - before;
        assert_eq!(stopped, usize::from(!same), "file {hash}");
        world.run(ms(300));
        unharmed(&world);
    }
}
