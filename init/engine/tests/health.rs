//! A node that is ill: its groups leave it if the file says so, once, and not for a burst.

mod world;

use kodo_engine::NodeId;
use kodo_engine::config::HealthRule;
use kodo_engine::surface::Health;

use world::{A, B, C, World, ms, three};

/// Reads a machine's health every few seconds for so many of them.
fn reads(world: &mut World, n: usize, health: Health, seconds: u64) {
    for _ in 0..seconds / 2 {
        world.health(n, health);
        world.run(ms(2000));
    }
}

fn choosy() -> World {
    three(|config| config.groups[0].health = HealthRule::MigrateOnRed)
}

#[test]
fn a_group_leaves_an_ill_node_once_and_stays_away() {
    let mut world = choosy();
    reads(&mut world, A, Health::Red, 16);
    assert!(world.serves(B) || world.serves(C), "it left");
    assert_eq!(world.engine(C).health(NodeId(0)), Health::Red);
    assert!(!world.said(A, "this node is ill").is_empty());
    // well again, but its readings flap: nothing comes back, nothing is told twice
    for _ in 0..4 {
        reads(&mut world, A, Health::Green, 30);
        reads(&mut world, A, Health::Red, 4);
    }
    assert!(!world.serves(A));
    assert_eq!(world.said(A, "this node is").len(), 1);
    world.one_owner();
}

#[test]
fn a_burst_moves_nothing_and_yellow_does_not_either() {
    let mut world = choosy();
    reads(&mut world, A, Health::Red, 8);
    reads(&mut world, A, Health::Green, 20);
    reads(&mut world, A, Health::Yellow, 30);
    assert!(world.serves(A));
    assert_eq!(world.engine(B).health(NodeId(0)), Health::Yellow);
}

#[test]
fn where_all_are_ill_the_group_stays() {
    let mut world = choosy();
    for n in 0..20 {
        world.health(B, Health::Red);
        world.health(C, Health::Red);
        if n > 5 {
            world.health(A, Health::Red);
        }
        world.run(ms(2000));
    }
    assert_eq!(world.engine(C).health(NodeId(0)), Health::Red);
    assert!(world.serves(A));
    assert_eq!(world.machines[A].starts[world::WEB.index()].len(), 1);
    world.one_owner();
}

#[test]
fn readings_that_stop_end_the_illness() {
    let mut world = choosy();
    reads(&mut world, A, Health::Red, 16);
    assert_eq!(world.engine(B).health(NodeId(0)), Health::Red);
    world.run(ms(155_000));
    assert_eq!(world.engine(B).health(NodeId(0)), Health::Green);
}
