//! A move that cannot be done now is agreed to, and says what keeps it and what happens instead.

mod world;

use std::time::Duration;

use kodo_engine::config::{Colocation, Config, Quarantine, Together};
use kodo_engine::surface::{Command, Report};
use kodo_engine::{GroupId, NodeId};

use world::{A, B, BASE, C, DB, WWW, World, ms, settled, three};

/// Asks node1 for a move; what it says is in the way.
fn hindered(world: &mut World, group: GroupId, node: u8) -> String {
    let wish = Command::Move(group, NodeId(node), false);
    world.command(A, wish).expect("agreed");
    let engine = world.machines[A].engine.as_mut().expect("powered");
    let mut text = String::new();
    if let Some(found) = engine.hindrance(group, NodeId(node)) {
        engine.hindrance_text(&found, &mut text).expect("fits");
    }
    text
}

/// Each node has room for one of the two groups.
fn full(config: &mut Config) {
    config.capacity = [3, 3, 3].into_iter().collect();
    (config.groups[0].weight, config.groups[1].weight) = (2, 2);
}

#[test]
fn nothing_is_in_the_way_of_an_ordinary_move() {
    let mut world = three(|_| ());
    assert_eq!(hindered(&mut world, WWW, 2), "");
    world.until("moved", ms(2000), |w| w.serves(C));
    assert_eq!(hindered(&mut world, WWW, 2), "", "it is there");
}

#[test]
fn a_full_node() {
    let mut world = three(full);
    assert_eq!(
        hindered(&mut world, WWW, 1),
        "node2 has no room for www: it takes 2 of 1; until that ends www stays on node1"
    );
    // nobody leaves for a wish, and it is kept
    world.power_off(B);
    world.until("db moved on", ms(3000), |w| settled(w, &[A, C]));
    world.power_on(B);
    world.until("the wish is fulfilled", ms(8000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_group_that_it_must_not_be_with() {
    let mut world = three(|config| {
        let _ = config.colocations.push(Colocation {
            group: WWW,
            with: DB,
            bond: Together::Never,
        });
    });
    assert_eq!(
        hindered(&mut world, WWW, 1),
        "www must not be with db, which is on node2; until that ends www stays on node1"
    );
}

#[test]
fn a_node_in_quarantine() {
    let mut world = three(|config| {
        config.quarantine = Some(Quarantine {
            exits: 1,
            window: Duration::from_secs(60),
        });
    });
    world.power_off(C);
    world.run(ms(1500));
    world.power_on(C);
    world.until("node3 is back", ms(5000), |w| settled(w, &[A, B, C]));
    world.run(ms(500));
    assert_eq!(
        hindered(&mut world, DB, 2),
        "node3 is in quarantine until it is called online; until that ends db stays on node2"
    );
    world
        .command(A, Command::Standby(NodeId(2), false))
        .expect("taken");
    world.until("the wish is fulfilled", ms(3000), |w| {
        w.machines[C].acts[BASE.index()]
    });
}

#[test]
fn a_node_without_clients() {
    let mut world = three(|_| ());
    world.carrier(C, world::LAN, false);
    world.run(ms(2000));
    assert_eq!(
        hindered(&mut world, WWW, 2),
        "node3 does not reach the clients; until that ends www stays on node1"
    );
}

#[test]
fn whoever_is_asked_says_the_same() {
    let mut world = three(full);
    world.report(A, world::WEB, Report::Failed);
    hindered(&mut world, WWW, 1);
    world.run(ms(500));
    for n in A..=C {
        let engine = world.machines[n].engine.as_mut().expect("powered");
        let found = engine.hindrance(WWW, NodeId(1)).expect("still full");
        assert_eq!(found.runs.lowest(), Some(NodeId(0)), "node{}", n + 1);
    }
}
