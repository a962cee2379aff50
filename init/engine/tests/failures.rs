//! What fails, and what follows: the order within a group, failed starts, failed stops.

mod world;

use kodo_engine::config::{Colocation, Config, OnStopFailure, ResourceKind, Together};
use kodo_engine::surface::{Command, Fatal, Reason, Refusal, Report, RunState};
use kodo_engine::{GroupId, NodeId, ResourceId};

use world::{A, B, BASE, C, DB, VIP, WEB, WWW, World, ms, settled, three};

/// A pair whose group has a second service between web and VIP.
fn chain(edit: impl Fn(&mut Config)) -> World {
    World::running(|config| {
        let mut base = config.resources[WEB.index()].clone();
        base.name = world::name("base");
        let _ = config.resources.push(base);
        config.groups[0].members = [WEB, BASE, VIP].into_iter().collect();
        assert!(config.resources[VIP.index()].kind == ResourceKind::Vip);
        edit(config);
    })
}

fn acts(world: &World, n: usize, resource: ResourceId) -> bool {
    world.machines[n].acts[resource.index()]
}

fn starts(world: &World, n: usize, resource: ResourceId) -> usize {
    world.machines[n].starts[resource.index()].len()
}

#[test]
fn what_comes_after_a_failed_member_is_stopped_and_started_after_it() {
    let mut world = chain(|_| ());
    world.machines[A].acts[WEB.index()] = false;
    world.report(A, WEB, Report::Failed);
    world.until("base is stopped", ms(200), |w| !acts(w, A, BASE));
    assert_eq!(world.machines[A].stops[BASE.index()], [Reason::Recover]);
    world.run(ms(2000));
    assert_eq!(starts(&world, A, BASE), 1, "not before web runs again");
    world.machines[A].acts[WEB.index()] = true;
    world.report(A, WEB, Report::Recovered);
    world.until("base runs", ms(200), |w| acts(w, A, BASE));
    assert_eq!(
        world.machines[A].starts[BASE.index()].last(),
        Some(&Reason::Recover)
    );
    assert_eq!(starts(&world, A, WEB), 1, "its supervisor restarts it");
    assert!(world.machines[A].stops[VIP.index()].is_empty() && world.serves(A));
    assert_eq!(starts(&world, B, WEB), 0, "nothing moved");
    world.one_owner();
}

#[test]
fn what_comes_before_a_failed_member_goes_on() {
    let mut world = chain(|_| ());
    world.report(A, BASE, Report::Failed);
    world.report(A, BASE, Report::Recovered);
    world.run(ms(500));
    let stops = &world.machines[A].stops;
    assert!(stops.iter().all(Vec::is_empty), "{stops:?}");
}

#[test]
fn two_failures_at_once_are_put_right_from_the_first_one_on() {
    let mut world = chain(|_| ());
    world.report(A, BASE, Report::Failed);
    world.report(A, WEB, Report::Failed);
    world.report(A, WEB, Report::Recovered);
    world.until("base is stopped", ms(300), |w| {
        w.machines[A].stops[BASE.index()].len() == 1
    });
    world.until("and started again", ms(300), |w| starts(w, A, BASE) == 2);
    world.run(ms(200));
    assert!(world.serves(A) && acts(&world, A, BASE));
}

#[test]
fn an_unmanaged_group_is_not_put_in_order() {
    let mut world = chain(|_| ());
    world
        .command(A, Command::Manage(WWW, false))
        .expect("taken");
    world.report(A, WEB, Report::Failed);
    world.report(A, WEB, Report::Recovered);
    world.run(ms(500));
    assert!(world.machines[A].stops[BASE.index()].is_empty());
}

#[test]
fn a_failure_that_moves_the_group_restarts_nothing_here() {
    let mut world = chain(|config| config.groups[0].migration_threshold = 1);
    world.report(A, WEB, Report::Failed);
    world.until("moved", ms(2000), |w| w.serves(B));
    world.run(ms(500));
    assert_eq!(starts(&world, A, BASE), 1);
    world.one_owner();
}

/// Node1 cannot start web.
fn unstartable(fatal: bool) -> World {
    let mut world = World::new(|config| {
        config.groups[0].start_failure_is_fatal = fatal;
        config.groups[0].migration_threshold = 3;
    });
    world.machines[A].manners[WEB.index()].outcome = Report::StartFailed;
    world.power_on(A);
    world.power_on(B);
    world
}

#[test]
fn a_failed_start_is_fatal_or_one_failure_more() {
    for (fatal, tries) in [(true, 1), (false, 3)] {
        let mut world = unstartable(fatal);
        world.until("node2 serves", ms(8000), |w| w.serves(B));
        world.run(ms(1000));
        assert_eq!(starts(&world, A, WEB), tries, "fatal: {fatal}");
        assert_eq!(starts(&world, A, VIP), 0);
        world.one_owner();
    }
}

#[test]
fn a_start_that_succeeds_at_the_second_try_stays() {
    let mut world = unstartable(false);
    world.until("it failed once", ms(8000), |w| starts(w, A, WEB) == 2);
    world.machines[A].manners[WEB.index()].outcome = Report::Started;
    world.until("node1 serves", ms(8000), |w| w.serves(A));
    world.run(ms(3000));
    assert_eq!(starts(&world, B, WEB), 0);
}

#[test]
fn an_overdue_start_is_stopped_before_it_is_tried_again() {
    let mut world = unstartable(false);
    world.machines[A].manners[WEB.index()].start = ms(60_000);
    world.until("tried again", ms(20_000), |w| starts(w, A, WEB) == 2);
    assert_eq!(world.machines[A].stops[WEB.index()], [Reason::Recover]);
    world.one_owner();
}

fn blocking(config: &mut Config) {
    for group in &mut config.groups {
        group.on_stop_failure = OnStopFailure::Block;
    }
}

/// What runs on a machine cannot be stopped when its group is told to move to another node.
fn block(
    world: &mut World,
    at: usize,
    resource: ResourceId,
    (group, name): (GroupId, &str),
    to: u8,
) {
    world.machines[at].manners[resource.index()].stuck = true;
    let away = Command::Move(group, NodeId(to), false);
    world.command(A, away).expect("taken");
    let told = format!("{name} is blocked");
    world.until("blocked", ms(8000), |w| !w.said(at, &told).is_empty());
}

#[test]
fn what_may_still_act_is_taken_over_by_nobody() {
    let mut world = three(blocking);
    world.machines[B].manners[BASE.index()].stuck = true;
    world
        .command(A, Command::Move(DB, NodeId(2), false))
        .expect("taken");
    world.until("blocked", ms(8000), |w| {
        !w.said(B, "db is blocked: base could not be stopped")
            .is_empty()
    });
    world.run(ms(5000));
    assert_eq!(world.machines[B].reset, None);
    assert_eq!(world.engine(B).resource(BASE), RunState::Blocked);
    assert_eq!(starts(&world, A, BASE) + starts(&world, C, BASE), 0);
    assert_eq!(world.engine(A).stuck_on(DB), Some(NodeId(1)));
    let again = Command::Move(DB, NodeId(0), false);
    assert_eq!(world.command(A, again), Err(Refusal::Blocked));
    // it is tried again when an operator says so, and then it goes where it was told
    world.machines[B].manners[BASE.index()].stuck = false;
    world.command(C, Command::Cleanup(DB)).expect("taken");
    world.until("moved", ms(2000), |w| acts(w, C, BASE));
    assert_eq!(world.engine(A).stuck_on(DB), None);
    assert!(!acts(&world, B, BASE));
}

#[test]
fn a_retry_that_fails_too_blocks_again() {
    let mut world = three(blocking);
    world.machines[B].manners[BASE.index()].stuck = true;
    let away = Command::Move(DB, NodeId(2), false);
    world.command(A, away).expect("taken");
    for times in 1..=2 {
        world.until("blocked", ms(8000), |w| {
            w.said(B, "db is blocked").len() == times
        });
        world.command(C, Command::Cleanup(DB)).expect("taken");
    }
    assert_eq!(world.machines[B].reset, None);
}

#[test]
fn what_ends_by_itself_unblocks_the_group() {
    let mut world = three(blocking);
    block(&mut world, B, BASE, (DB, "db"), 2);
    world.machines[B].acts[BASE.index()] = false;
    world.report(B, BASE, Report::Stopped);
    world.until("moved", ms(2000), |w| acts(w, C, BASE));
}

#[test]
fn a_blocked_holder_that_is_cut_off_resets_itself() {
    let mut world = three(blocking);
    block(&mut world, B, BASE, (DB, "db"), 2);
    world.set_wire(|passage| match passage.from == B || passage.to == B {
        true => vec![],
        false => vec![ms(1)],
    });
    world.until("reset", ms(1000), |w| {
        w.machines[B].reset == Some(Fatal::ReleaseOverdue)
    });
    assert_eq!(starts(&world, A, BASE) + starts(&world, C, BASE), 0);
    world.until("taken over", ms(2000), |w| {
        acts(w, A, BASE) || acts(w, C, BASE)
    });
}

#[test]
fn an_address_that_is_gone_may_be_taken_although_its_service_is_stuck() {
    let mut world = three(blocking);
    world.machines[A].manners[WEB.index()].stuck = true;
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.until("node2 serves", ms(2000), |w| w.serves(B));
    world.until("blocked", ms(8000), |w| {
        !w.said(A, "www is blocked").is_empty()
    });
    // node1 may not run it again, whoever dies
    world.power_off(B);
    world.until("node3 serves", ms(4000), |w| w.serves(C));
    assert_eq!(world.machines[A].reset, None);
    world.one_owner();
}

#[test]
fn a_blocked_node_that_loses_its_lease_falls_silent_and_goes_on() {
    let mut world = three(blocking);
    block(&mut world, A, WEB, (WWW, "www"), 1);
    for path in world::ALL {
        world.cut(path);
    }
    world.run(ms(3000));
    assert_eq!(world.machines[A].reset, None, "nothing exclusive is left");
    world.one_owner();
}

#[test]
fn a_blocked_node_gives_its_address_up_when_it_is_cut_off() {
    let mut world = three(|config| {
        blocking(config);
        // the service is stopped first, and so the address is still up
        config.groups[0].members = [VIP, WEB].into_iter().collect();
    });
    block(&mut world, A, WEB, (WWW, "www"), 1);
    world.run(ms(2000));
    assert_eq!(world.owners(), [A], "the address stays with it");
    world.set_wire(|passage| match passage.from == A || passage.to == A {
        true => vec![],
        false => vec![ms(1)],
    });
    world.until("taken over", ms(2000), |w| w.serves(B) || w.serves(C));
    assert_eq!(world.machines[A].reset, None, "nothing exclusive is left");
    world.one_owner();
}

#[test]
fn what_must_be_with_a_blocked_group_stays_with_it() {
    let mut world = three(|config| {
        blocking(config);
        let _ = config.colocations.push(Colocation {
            group: WWW,
            with: DB,
            bond: Together::Must,
        });
    });
    let home = (A..=C).find(|n| acts(&world, *n, BASE)).expect("it runs");
    assert!(world.serves(home));
    block(&mut world, home, BASE, (DB, "db"), 2);
    world.until("together", ms(3000), |w| w.serves(home));
    world.one_owner();
}

#[test]
fn failures_far_apart_do_not_add_up() {
    let mut world = World::running(|config| config.groups[0].migration_threshold = 2);
    for _ in 0..3 {
        world.report(A, WEB, Report::Failed);
        world.report(A, WEB, Report::Recovered);
        world.run(ms(61_000));
    }
    assert!(world.serves(A), "each was forgotten before the next one");
    assert_eq!(starts(&world, B, WEB), 0);
}

#[test]
fn a_node_that_leaves_does_not_wait_for_what_is_stuck() {
    let mut world = three(blocking);
    block(&mut world, B, BASE, (DB, "db"), 2);
    world.command(B, Command::Leave).expect("taken");
    assert_eq!(world.machines[B].reset, Some(Fatal::StopFailed));
    world.until("taken over", ms(3000), |w| {
        settled(w, &[A, C]) && (acts(w, A, BASE) || acts(w, C, BASE))
    });
}
