//! What everybody may know of groups that are left alone, wait, or run on several nodes.

mod world;

use kodo_engine::config::{Config, Group, Order, Resource, ResourceKind, ranked};
use kodo_engine::surface::{Command, Report};
use kodo_engine::{Engine, GroupId, NodeId, NodeSet, ResourceId};

use world::{A, B, WWW, World, ms, name};

const DB: GroupId = GroupId(1);
const DNS: GroupId = GroupId(2);
const BASE: ResourceId = ResourceId(2);
const NODE1: NodeId = NodeId(0);
const NODE2: NodeId = NodeId(1);

/// A pair: www after db, which node2 prefers, and dns on both.
fn world() -> World {
    let edit = |config: &mut Config| {
        for path in &mut config.paths {
            path.budget = path.budget.max(400);
        }
        for (what, group) in [("base", "db"), ("named", "dns")] {
            let id = ResourceId::from_index(config.resources.len());
            let _ = config.resources.push(Resource {
                name: name(what),
                kind: ResourceKind::Service,
                make: 0,
                start_timeout: ms(5000),
                stop_timeout: ms(5000),
            });
            let members = [id].into_iter().collect();
            let group = Group::new(name(group), members, ranked(2, &[NODE2, NODE1]));
            let _ = config.groups.push(group);
        }
        config.groups[DNS.index()].clones = Some(2);
        let _ = config.orders.push(Order {
            first: DB,
            then: WWW,
            must: true,
        });
    };
    let mut world = World::new(edit);
    world.power_on(A);
    world.power_on(B);
    world.until("all is up", ms(6000), |w| {
        w.serves(A) && engine(w, A).runs_on(DB) == NodeSet::only(NODE2)
    });
    world.run(ms(500));
    world
}

fn engine(world: &World, n: usize) -> &Engine {
    world.machines[n].engine.as_ref().expect("it is on")
}

#[test]
fn every_node_knows_where_groups_run() {
    let world = world();
    for n in [A, B] {
        let engine = engine(&world, n);
        assert_eq!(engine.runs_on(WWW), NodeSet::only(NODE1));
        assert_eq!(engine.runs_on(DB), NodeSet::only(NODE2));
        assert_eq!(engine.runs_on(DNS), NodeSet::first(2));
        assert_eq!(engine.group(DNS).holder, None, "nothing to hold");
        assert!(engine.carries(NODE1) && engine.carries(NODE2));
    }
}

#[test]
fn a_node_on_standby_carries_until_its_last_stop_is_done() {
    let mut world = world();
    world
        .command(A, Command::Standby(NODE2, true))
        .expect("taken");
    world.until("node2 carries nothing", ms(3000), |w| {
        let quiet = !engine(w, A).carries(NODE2);
        assert!(!quiet || !w.machines[B].acts[BASE.index()], "db is down");
        quiet
    });
    assert_eq!(engine(&world, A).runs_on(DNS), NodeSet::only(NODE1));
}

#[test]
fn the_node_that_waits_says_for_what() {
    let mut world = world();
    assert_eq!(engine(&world, A).waits_for(WWW), None);
    world.power_off(B);
    world.until("www waits for db", ms(3000), |w| {
        engine(w, A).waits_for(WWW) == Some(DB)
    });
    world.until("www is back", ms(3000), |w| w.serves(A));
    world.run(ms(500));
    assert_eq!(engine(&world, A).waits_for(WWW), None);
}

#[test]
fn what_is_left_alone_is_known_everywhere() {
    let mut world = world();
    let known = |world: &World| {
        [A, B].map(|n| {
            let engine = engine(world, n);
            (
                engine.maintenance(),
                engine.managed(DB),
                engine.managed(WWW),
            )
        })
    };
    assert_eq!(known(&world), [(false, true, true); 2]);
    world.command(A, Command::Maintenance(true)).expect("taken");
    world.command(B, Command::Manage(DB, false)).expect("taken");
    world.run(ms(500));
    assert_eq!(known(&world), [(true, false, true); 2]);
    // what fails meanwhile waits for nothing: nobody wants it to run
    world.report(B, BASE, Report::Failed);
    world.run(ms(500));
    assert_eq!(engine(&world, A).waits_for(WWW), None);
    world
        .command(B, Command::Maintenance(false))
        .expect("taken");
    world.command(A, Command::Manage(DB, true)).expect("taken");
    world.run(ms(500));
    assert_eq!(known(&world), [(false, true, true); 2]);
    assert!(!engine(&world, A).in_quarantine(NODE2));
}
