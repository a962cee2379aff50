//! What operators said in both parts of a split, once it heals.

mod world;

use kodo_engine::NodeId;
use kodo_engine::surface::{Command, Event, Level};

use world::{A, B, C, World, ms, settled, three};

/// Nothing passes between node2 and the others.
fn cut_off(world: &mut World) {
    world.set_wire(|passage| match passage.from == B || passage.to == B {
        true => vec![],
        false => vec![ms(1)],
    });
    world.until("node1 and node3 go on", ms(3000), |w| {
        settled(w, &[A, C]) && w.serves(A)
    });
}

fn heal(world: &mut World) {
    world.set_wire(|_| vec![ms(1)]);
    world.until("healed", ms(8000), |w| settled(w, &[A, B, C]));
}

fn standby(world: &mut World, at: usize, node: u8) {
    let wish = Command::Standby(NodeId(node), true);
    world.command(at, wish).expect("taken");
}

#[test]
fn a_merge_that_leaves_no_node_keeps_the_holder_and_alerts() {
    let mut world = three(|_| ());
    cut_off(&mut world);
    // each part empties the other one's nodes: nobody meant to stop everything
    standby(&mut world, A, 1);
    standby(&mut world, B, 0);
    standby(&mut world, B, 2);
    heal(&mut world);
    world.run(ms(5000));
    for n in [A, B, C] {
        let all = (0..3).all(|node| world.engine(n).standby(NodeId(node)));
        assert!(all, "node{} knows of all three", n + 1);
    }
    assert!(world.serves(A), "the holder keeps it");
    assert_eq!(world.machines[A].starts[world::WEB.index()].len(), 1);
    let kept = |event: &Event| {
        matches!(
            event,
            Event::NoEligible {
                group: world::WWW,
                kept: Some(NodeId(0)),
                ..
            }
        )
    };
    let mut alerts = world.log.iter().filter(|(_, _, event, _)| kept(event));
    assert!(alerts.all(|(_, _, event, _)| event.level() == Level::Alert));
    assert!(
        world.log.iter().any(|(_, _, event, _)| kept(event)),
        "and says so"
    );
    // one word of an operator, and it goes where it may
    let online = Command::Standby(NodeId(1), false);
    world.command(C, online).expect("taken");
    world.until("node2 has it", ms(3000), |w| w.serves(B));
    world.one_owner();
}

#[test]
fn a_merge_that_leaves_a_node_is_obeyed() {
    let mut world = three(|_| ());
    cut_off(&mut world);
    standby(&mut world, B, 0);
    heal(&mut world);
    world.until("it has left node1", ms(3000), |w| {
        w.serves(B) || w.serves(C)
    });
    world.one_owner();
}

#[test]
fn the_newest_wish_of_both_parts_counts_everywhere() {
    let mut world = three(|_| ());
    cut_off(&mut world);
    standby(&mut world, B, 2);
    standby(&mut world, A, 2);
    // the view that the majority formed is newer than all that node2 knows
    let online = Command::Standby(NodeId(2), false);
    world.command(A, online).expect("taken");
    heal(&mut world);
    world.run(ms(1000));
    assert!((A..=C).all(|n| !world.engine(n).standby(NodeId(2))));
}
