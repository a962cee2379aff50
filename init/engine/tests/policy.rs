//! What the file and operators ask for, where time matters: orders, clones, delays,
//! maintenance. Where a group goes is placement's own test.

mod world;

use std::time::Duration;

use kodo_engine::config::{Colocation, Config, Failback, Order, Quarantine, Together};
use kodo_engine::surface::{Command, Reason, Refusal, Report, Role};
use kodo_engine::{NodeId, ResourceId};

use world::{A, B, BASE, C, DB, WEB, WWW, World, ms, settled, three};

fn order(config: &mut Config, must: bool) {
    let _ = config.orders.push(Order {
        first: DB,
        then: WWW,
        must,
    });
}

fn runs(world: &World, n: usize, resource: ResourceId) -> bool {
    world.machines[n].acts[resource.index()]
}

/// Runs for a while; `broken` must not hold at any millisecond of it.
#[track_caller]
fn never(world: &mut World, time: Duration, broken: impl Fn(&World) -> bool) {
    let end = world.now + time;
    while world.now < end {
        assert!(!broken(world), "at {:?}", world.now);
        world.run(ms(1));
    }
}

#[test]
fn what_comes_after_waits_for_what_comes_first() {
    let mut world = three(|config| order(config, true));
    assert!(world.serves(A) && runs(&world, B, BASE), "each at home");
    // db dies with node2: www stops, db comes back elsewhere, www starts again where it was
    world.power_off(B);
    let early = |w: &World| {
        let db = (A..=C).any(|n| w.machines[n].engine.is_some() && runs(w, n, BASE));
        // the death is not known yet, or the stop is on its way
        let news = settled(w, &[A, C]);
        let stopped =
            w.machines[A].stops[WEB.index()].len() == w.machines[A].starts[WEB.index()].len();
        news && stopped && w.serves(A) && !db
    };
    never(&mut world, ms(3000), early);
    assert!(runs(&world, A, BASE) || runs(&world, C, BASE), "db is back");
    assert!(world.serves(A), "www is back");
    assert_eq!(
        world.machines[A].starts[WEB.index()].len(),
        2,
        "www was restarted"
    );
    assert!(!world.said(A, "waits until this runs: db").is_empty());
    world.one_owner();
}

#[test]
fn what_others_need_is_stopped_after_them() {
    let mut world = three(|config| order(config, true));
    world
        .command(A, Command::Move(DB, NodeId(2), false))
        .expect("taken");
    let early = |w: &World| {
        let stopping = !runs(w, B, BASE) && !runs(w, C, BASE);
        stopping && (A..=C).any(|n| runs(w, n, WEB))
    };
    never(&mut world, ms(2000), early);
    assert!(runs(&world, C, BASE) && world.serves(A));
    world.one_owner();
}

#[test]
fn an_order_that_only_should_hold_stops_nothing() {
    let mut world = three(|config| order(config, false));
    world.power_off(B);
    never(&mut world, ms(3000), |w| !w.serves(A));
    assert!(runs(&world, A, BASE), "db moved on");
    assert_eq!(world.machines[A].starts[WEB.index()].len(), 1);
}

#[test]
fn clones_run_everywhere_and_need_no_lease() {
    let mut world = three(|config| config.groups[1].clones = Some(u8::MAX));
    let everywhere = |w: &World| (A..=C).all(|n| runs(w, n, BASE));
    assert!(everywhere(&world));
    // the minority lets go of the address, and keeps what nobody else is hurt by
    for path in world::ALL {
        world.cut(path);
    }
    world.run(ms(3000));
    assert!(world.owners().is_empty(), "no part has a majority");
    assert!(everywhere(&world), "the clone stays up");
    for path in world::ALL {
        world.join(path);
    }
    world.until("healed", ms(5000), |w| w.serves(A));
    assert_eq!(world.machines[A].starts[BASE.index()].len(), 1);
    // standby stops the instance of that node only
    world
        .command(A, Command::Standby(NodeId(2), true))
        .expect("taken");
    world.until("node3 is empty", ms(1000), |w| !runs(w, C, BASE));
    assert!(runs(&world, A, BASE) && runs(&world, B, BASE));
    world.one_owner();
}

#[test]
fn a_clone_runs_on_as_many_nodes_as_it_wants() {
    let mut world = three(|config| config.groups[1].clones = Some(2));
    let count = |w: &World| (A..=C).filter(|n| runs(w, *n, BASE)).count();
    assert_eq!(count(&world), 2);
    world.power_off(B);
    world.until("the third takes over", ms(2000), |w| {
        runs(w, A, BASE) && runs(w, C, BASE)
    });
}

#[test]
fn a_delayed_failback_waits_and_an_empty_cluster_does_not() {
    let delay = |config: &mut Config| config.groups[0].failback = Failback::Delayed(ms(8000));
    let mut world = three(delay);
    assert!(world.serves(A), "nobody held it: no delay");
    world.power_off(A);
    world.until("node2 or node3 serves", ms(2000), |w| {
        w.serves(B) || w.serves(C)
    });
    world.power_on(A);
    world.until("node1 is back", ms(5000), |w| settled(w, &[A, B, C]));
    let waited = world.until("it returns", ms(12_000), |w| w.serves(A));
    assert!(waited >= ms(7500), "after {waited:?}");
    world.one_owner();
}

#[test]
fn maintenance_touches_nothing_and_judges_nothing() {
    let mut world = three(|config| order(config, true));
    world.command(B, Command::Maintenance(true)).expect("taken");
    world.run(ms(500));
    for _ in 0..5 {
        world.report(A, WEB, Report::Failed);
        world.report(A, WEB, Report::Recovered);
    }
    world.run(ms(2000));
    assert!(world.serves(A), "failures are not counted");
    assert_eq!(
        world.command(A, Command::Move(WWW, NodeId(1), false)),
        Err(Refusal::Untouched)
    );
    world.power_off(B);
    world.run(ms(3000));
    assert!(
        !runs(&world, A, BASE) && !runs(&world, C, BASE),
        "db is down"
    );
    assert!(world.serves(A), "what needs it is left alone too");
    world
        .command(C, Command::Maintenance(false))
        .expect("taken");
    world.until("db runs again", ms(2000), |w| {
        runs(w, A, BASE) || runs(w, C, BASE)
    });
    world.until("and what needs it", ms(2000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn maintenance_never_keeps_two_owners() {
    let mut world = three(|_| ());
    world.command(A, Command::Maintenance(true)).expect("taken");
    world.run(ms(500));
    for path in world::ALL {
        world.cut(path);
    }
    world.run(ms(3000));
    assert!(world.owners().is_empty(), "no lease, no address");
    world.one_owner();
}

#[test]
fn an_unmanaged_group_is_watched_only() {
    let mut world = three(|_| ());
    world.command(C, Command::Manage(DB, false)).expect("taken");
    world.run(ms(500));
    world.power_off(B);
    world.run(ms(3000));
    assert!(!runs(&world, A, BASE) && !runs(&world, C, BASE));
    assert!(world.serves(A), "the other group is managed as ever");
    world.command(A, Command::Manage(DB, true)).expect("taken");
    world.until("db runs", ms(2000), |w| {
        runs(w, A, BASE) || runs(w, C, BASE)
    });
}

#[test]
fn a_move_once_leaves_no_preference() {
    let auto = |config: &mut Config| config.groups[0].failback = Failback::Manual;
    for once in [true, false] {
        let mut world = three(auto);
        world
            .command(A, Command::Move(WWW, NodeId(2), once))
            .expect("taken");
        world.until("moved", ms(2000), |w| w.serves(C));
        world.power_off(C);
        world.until("taken over", ms(2500), |w| w.serves(A));
        world.run(ms(500));
        world.power_on(C);
        world.until("back", ms(5000), |w| settled(w, &[A, B, C]));
        world.power_off(A);
        let heir = if once { B } else { C };
        world.until("the heir serves", ms(3000), |w| w.serves(heir));
        world.one_owner();
    }
}

#[test]
fn a_move_once_stays_although_home_is_back() {
    let mut world = three(|config| config.groups[0].failback = Failback::Auto);
    let once = Command::Move(WWW, NodeId(2), true);
    world.command(A, once).expect("taken");
    world.until("moved", ms(2000), |w| w.serves(C));
    never(&mut world, ms(10_000), |w| !w.serves(C));
    // what moves it on ends the wish
    world.power_off(C);
    world.until("home", ms(2500), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn a_node_that_dies_again_and_again_is_given_nothing() {
    let rule = |config: &mut Config| {
        config.quarantine = Some(Quarantine {
            exits: 3,
            window: Duration::from_secs(60),
        });
        config.groups[0].failback = Failback::Auto;
    };
    let mut world = three(rule);
    for _ in 0..3 {
        world.power_off(A);
        world.run(ms(1500));
        world.power_on(A);
        world.until("node1 is back", ms(5000), |w| settled(w, &[A, B, C]));
        world.run(ms(300));
    }
    world.run(ms(9000));
    assert!(!world.serves(A), "it would come home by failback");
    assert_eq!(
        [B, C]
            .iter()
            .filter(|n| !world
                .said(**n, "restarted 3 times without leaving")
                .is_empty())
            .count(),
        1
    );
    world
        .command(B, Command::Standby(NodeId(0), false))
        .expect("taken");
    world.until("called online", ms(8000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn what_must_not_meet_does_not_meet_on_the_way_either() {
    let mut world = three(|config| {
        let _ = config.colocations.push(Colocation {
            group: WWW,
            with: DB,
            bond: Together::Never,
        });
        config.groups[0].failback = Failback::Manual;
        config.groups[0].priority = 1;
    });
    assert!(world.serves(A) && runs(&world, B, BASE));
    for (group, node) in [(WWW, NodeId(1)), (DB, NodeId(0))] {
        let moved = Command::Move(group, node, false);
        world.command(A, moved).expect("taken");
    }
    never(&mut world, ms(3000), |w| {
        (A..=C).any(|n| runs(w, n, WEB) && runs(w, n, BASE))
    });
    assert!(
        world.serves(B) && runs(&world, A, BASE),
        "they changed places"
    );
    assert_eq!(world.machines[B].stops[BASE.index()], [Reason::Move]);
}

/// Who is woken by a decision reads in its line why there, and why nowhere else.
#[test]
fn a_decision_says_why_there_and_why_nowhere_else() {
    let mut world = three(|_| {});
    let standby = |node| Command::Standby(NodeId(node), true);
    assert!(world.command(A, standby(2)).is_ok());
    world.run(ms(1000));
    world.power_off(A);
    world.until("node2 serves", ms(6000), |w| w.serves(B));
    assert_eq!(
        world.said(B, "www: goes to").last(),
        Some(&"www: goes to node2 (failover); node1: not a member; node3: on standby")
    );
    assert!(world.command(B, standby(1)).is_ok());
    world.run(ms(1000));
    assert_eq!(
        world.said(B, "www: no node may run it"),
        ["www: no node may run it; node1: not a member; node2, node3: on standby"]
    );
}

#[test]
fn of_a_clone_that_others_need_the_last_instance_stops_after_them() {
    let mut world = three(|config| {
        order(config, true);
        config.groups[1].clones = Some(u8::MAX);
    });
    assert!(world.serves(A) && runs(&world, A, BASE));
    for n in [B, C] {
        let node = NodeId(u8::try_from(n).expect("few"));
        world
            .command(A, Command::Standby(node, true))
            .expect("taken");
        world.until("another instance is enough", ms(1000), |w| {
            !runs(w, n, BASE)
        });
    }
    assert!(world.serves(A));
    world.command(A, Command::Leave).expect("taken");
    world.until("node1 has left", ms(3000), |w| {
        assert!(
            runs(w, A, BASE) || !runs(w, A, WEB),
            "www needs it to the last"
        );
        w.engine(A).role() == Role::Left
    });
    assert!(!runs(&world, A, BASE) && !runs(&world, A, WEB));
    world.one_owner();
}

#[test]
fn a_node_that_leaves_stops_what_others_need_after_them() {
    let mut world = three(|config| order(config, true));
    assert!(world.serves(A) && runs(&world, B, BASE));
    world.command(B, Command::Leave).expect("taken");
    world.until("node2 has left", ms(3000), |w| {
        let first = w.machines[A].starts[WEB.index()].len() == 1;
        assert!(
            runs(w, B, BASE) || !(first && runs(w, A, WEB)),
            "www stops before db, and starts again after it"
        );
        w.engine(B).role() == Role::Left
    });
    world.until("both run again", ms(3000), |w| {
        w.serves(A) && (runs(w, A, BASE) || runs(w, C, BASE))
    });
    world.one_owner();
}
