//! Roles: who has one, how it is lost, and that two never have it.

mod world;

use kodo_engine::config::{
    Colocation, Config, Failback, Group, Order, Resource, ResourceKind, Together, ranked,
};
use kodo_engine::surface::{Command, Fatal, Reason, Refusal, Report};
use kodo_engine::{GroupId, NodeId, ResourceId};

use world::{A, B, VIP, WEB, WWW, World, majority_of_three, ms, name};

const C: usize = 2;
const DB: GroupId = GroupId(1);
const ROLE: ResourceId = ResourceId(2);

/// Three machines: `db` runs on each, `www` promotes one of them and has the address.
fn three(edit: impl Fn(&mut Config)) -> World {
    let edit = |config: &mut Config| {
        majority_of_three(config);
        let role = Resource {
            make: 0,
            name: name("web role"),
            kind: ResourceKind::Role(WEB),
            start_timeout: ms(5000),
            stop_timeout: ms(5000),
        };
        let _ = config.resources.push(role);
        let all = [NodeId(0), NodeId(1), NodeId(2)];
        config.groups[0].location = ranked(3, &all);
        config.groups[0].members = [ROLE, VIP].into_iter().collect();
        config.groups[0].failback = Failback::Manual;
        let mut db = Group::new(name("db"), [WEB].into_iter().collect(), ranked(3, &all));
        db.clones = Some(u8::MAX);
        let _ = config.groups.push(db);
        let _ = config.colocations.push(Colocation {
            group: WWW,
            with: DB,
            bond: Together::Must,
        });
        let _ = config.orders.push(Order {
            first: DB,
            then: WWW,
            must: true,
        });
        edit(config);
    };
    let mut world = World::new(edit);
    let mut third = world::pair(2);
    edit(&mut third);
    world.add(third);
    world
}

/// The same, up and with a promoted instance.
fn running(edit: impl Fn(&mut Config)) -> World {
    let mut world = three(edit);
    for n in [A, B, C] {
        world.power_on(n);
    }
    world.until("node1 is promoted", ms(6000), |w| w.serves(A));
    world.run(ms(1500));
    assert!(
        (A..=C).all(|n| acts(&world, n, WEB)),
        "all have an instance"
    );
    world
}

fn acts(world: &World, n: usize, resource: ResourceId) -> bool {
    world.machines[n].acts[resource.index()]
}

fn promoted(world: &World) -> Vec<usize> {
    let powered = |n: &usize| world.machines[*n].engine.is_some();
    let all = (A..=C).filter(powered);
    all.filter(|n| acts(world, *n, ROLE)).collect()
}

/// The instance of a machine dies, and what it was with it.
fn crash(world: &mut World, n: usize) {
    world.machines[n].acts[ROLE.index()] = false;
    world.report(n, WEB, Report::Failed);
    world.report(n, ROLE, Report::Stopped);
}

#[test]
fn the_first_promotion_waits_for_instances_that_are_on_their_way() {
    let mut world = three(|_| ());
    world.machines[A].manners[WEB.index()].start = ms(1500);
    for n in [A, B, C] {
        world.power_on(n);
    }
    let early = |w: &World| !promoted(w).is_empty() && !acts(w, A, WEB);
    let end = world.now + ms(6000);
    while world.now < end {
        assert!(!early(&world), "the preferred node is not ready yet");
        world.run(ms(5));
    }
    assert_eq!(promoted(&world), [A]);
    assert!(world.said(A, "no node may run it").is_empty());
}

#[test]
fn the_promoted_node_dies_and_the_next_best_instance_is_promoted() {
    let mut world = running(|_| ());
    world.promotion(B, WEB, 3);
    world.promotion(C, WEB, 9);
    world.run(ms(1000));
    assert_eq!(promoted(&world), [A], "a score moves nothing");
    world.power_off(A);
    world.until("node3 is promoted", ms(2000), |w| w.serves(C));
    assert_eq!(promoted(&world), [C]);
    world.one_owner();
}

#[test]
fn with_failback_a_better_score_moves_the_role() {
    let mut world = running(|config| {
        config.groups[0].failback = Failback::Auto;
        config.groups[0].stickiness = 10;
    });
    world.promotion(B, WEB, 11);
    world.run(ms(2000));
    assert_eq!(promoted(&world), [A], "not better by enough");
    world.promotion(B, WEB, 12);
    world.until("node2 is promoted", ms(3000), |w| w.serves(B));
    assert_eq!(promoted(&world), [B]);
    world.one_owner();
}

#[test]
fn a_failed_instance_loses_the_role_and_runs_on_without_it() {
    let mut world = running(|_| ());
    crash(&mut world, A);
    world.until("node2 is promoted", ms(1000), |w| w.serves(B));
    world.report(A, WEB, Report::Recovered);
    world.run(ms(2000));
    assert_eq!(promoted(&world), [B], "it does not come back by itself");
    assert!(
        !world.engine(A).group(WWW).banned,
        "one failure bans nobody"
    );
    world
        .command(B, Command::Move(WWW, NodeId(0), false))
        .expect("it may be promoted again");
    world.until("node1 again", ms(1000), |w| w.serves(A));
    world.one_owner();
}

#[test]
fn the_last_instance_is_promoted_again_until_it_failed_too_often() {
    // the clone forgives everything: its own count would stop the instance too
    let mut world = running(|config| config.groups[1].migration_threshold = 0);
    for n in [B, C] {
        let standby = Command::Standby(NodeId::from_index(n), true);
        world.command(A, standby).expect("taken");
    }
    world.until("the others have none", ms(1000), |w| {
        !acts(w, B, WEB) && !acts(w, C, WEB)
    });
    for _ in 0..2 {
        crash(&mut world, A);
        world.run(ms(300));
        assert!(promoted(&world).is_empty() && !world.serves(A));
        world.report(A, WEB, Report::Recovered);
        world.until("promoted again", ms(1000), |w| w.serves(A));
    }
    crash(&mut world, A);
    world.report(A, WEB, Report::Recovered);
    world.run(ms(2000));
    assert!(promoted(&world).is_empty(), "three failures are enough");
    assert!(acts(&world, A, WEB), "the instance itself runs on");
}

#[test]
fn a_promotion_that_fails_is_tried_elsewhere() {
    let mut world = three(|_| ());
    world.machines[A].manners[ROLE.index()].outcome = Report::StartFailed;
    for n in [A, B, C] {
        world.power_on(n);
    }
    world.until("node2 or node3 is promoted", ms(9000), |w| {
        w.serves(B) || w.serves(C)
    });
    world.one_owner();
}

#[test]
fn who_must_not_be_promoted_is_not() {
    let mut world = running(|_| ());
    world.promotion(B, WEB, -1);
    world.run(ms(500));
    let moved = world.command(A, Command::Move(WWW, NodeId(1), false));
    assert_eq!(moved, Err(Refusal::NotEligible));
    world.promotion(C, WEB, -1);
    world.power_off(A);
    world.run(ms(3000));
    assert!(promoted(&world).is_empty());
    world.promotion(C, WEB, 0);
    world.until("node3 is promoted", ms(1000), |w| w.serves(C));
}

#[test]
fn an_instance_is_demoted_before_it_is_stopped_and_others_need_not_wait() {
    let mut world = running(|_| ());
    let standby = |node| Command::Standby(NodeId(node), true);
    world.command(A, standby(2)).expect("taken");
    world.until("node3 is empty", ms(1000), |w| !acts(w, C, WEB));
    world.command(A, standby(0)).expect("taken");
    let end = world.now + ms(1500);
    while world.now < end {
        let bare = acts(&world, A, ROLE) && !acts(&world, A, WEB);
        assert!(!bare, "a role without an instance");
        world.run(ms(1));
    }
    assert!(!acts(&world, A, WEB) && world.serves(B));
    world.one_owner();
}

#[test]
fn a_lost_lease_takes_the_role_at_once_and_the_instance_stays() {
    let mut world = running(|_| ());
    for path in world::ALL {
        world.cut(path);
    }
    world.run(ms(3000));
    assert!(promoted(&world).is_empty(), "no part has a majority");
    assert!((A..=C).all(|n| acts(&world, n, WEB)), "all of them go on");
    assert_eq!(world.machines[A].stops[ROLE.index()], [Reason::Yield]);
    world.one_owner();
}

#[test]
fn a_demotion_under_way_is_hurried_when_the_lease_ends() {
    let mut world = running(|_| ());
    world.machines[A].manners[ROLE.index()].stuck = true;
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.run(ms(200));
    assert_eq!(world.machines[A].stops[ROLE.index()], [Reason::Move]);
    for path in world::ALL {
        world.cut(path);
    }
    world.until("node1 resets", ms(3000), |w| w.machines[A].reset.is_some());
    assert_eq!(
        world.machines[A].stops[ROLE.index()],
        [Reason::Move, Reason::Yield]
    );
    assert_eq!(world.machines[A].reset, Some(Fatal::ReleaseOverdue));
}

#[test]
fn a_demotion_that_is_not_confirmed_keeps_the_role_from_others() {
    let mut world = running(|_| ());
    world.machines[A].manners[ROLE.index()].stuck = true;
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    let end = world.now + ms(4500);
    while world.now < end {
        assert_eq!(promoted(&world), [A]);
        world.run(ms(5));
    }
    world.until("node1 resets", ms(1500), |w| w.machines[A].reset.is_some());
    assert_eq!(world.machines[A].reset, Some(Fatal::StopFailed));
    world.machines[A].acts[ROLE.index()] = false;
    world.until("node2 is promoted", ms(2000), |w| w.serves(B));
}

#[test]
fn in_maintenance_a_lost_role_stays_lost_until_it_is_over() {
    let mut world = running(|_| ());
    world.command(A, Command::Maintenance(true)).expect("taken");
    world.run(ms(300));
    crash(&mut world, A);
    world.report(A, WEB, Report::Recovered);
    world.run(ms(2000));
    assert!(promoted(&world).is_empty(), "nothing is touched");
    assert!(acts(&world, A, VIP), "not even the address");
    world
        .command(A, Command::Maintenance(false))
        .expect("taken");
    world.until("promoted again", ms(2000), |w| w.serves(A));
    assert_eq!(promoted(&world), [A]);
    world.one_owner();
}
