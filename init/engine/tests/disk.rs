//! Operators' wishes through a loss of power of all nodes, and disks that fail.

mod world;

use kodo_engine::config::Config;
use kodo_engine::surface::{Command, DiskTrouble, Event};
use kodo_engine::{Key, NodeId, limits};

use world::{A, B, WWW, World, ms};

const NODE1: NodeId = NodeId(0);
const NODE2: NodeId = NodeId(1);

fn with_disks(config: &mut Config) {
    config.keeps_state = true;
}

fn running() -> World {
    World::running(with_disks)
}

/// All power is gone at once, and back.
fn blackout(world: &mut World) {
    for n in [A, B] {
        world.power_off(n);
    }
    world.run(ms(3000));
    for n in [A, B] {
        world.power_on(n);
    }
    world.until("both are members", ms(6000), |w| w.members() == [true; 2]);
    world.run(ms(2000));
}

/// Every node knows, and both disks hold it.
fn kept(world: &World) -> bool {
    let engine = |n: usize| world.machines[n].engine.as_ref();
    [A, B].iter().all(|n| {
        engine(*n).is_some_and(|engine| {
            [NODE1, NODE2]
                .iter()
                .all(|of| engine.keeps(*of) == Some(true))
        })
    })
}

fn troubles(world: &World, n: usize) -> Vec<DiskTrouble> {
    let of = world.log.iter().filter(|(_, who, ..)| *who == n);
    of.filter_map(|(_, _, event, _)| match event {
        Event::Disk { trouble } => Some(*trouble),
        _ => None,
    })
    .collect()
}

fn works_again(world: &World, n: usize) -> usize {
    let of = world.log.iter().filter(|(_, who, ..)| *who == n);
    of.filter(|(_, _, event, _)| *event == Event::DiskWorks)
        .count()
}

fn commands(world: &mut World, n: usize, commands: &[Command]) {
    for command in commands {
        world.command(n, *command).expect("taken");
    }
}

#[test]
fn wishes_outlive_a_loss_of_all_power_and_new_ones_win_against_them() {
    let mut world = running();
    world.run(ms(500));
    commands(
        &mut world,
        A,
        &[
            Command::Move(WWW, NODE2, false),
            Command::Standby(NODE1, true),
            Command::Maintenance(true),
        ],
    );
    assert!(!kept(&world), "not before a write was confirmed");
    world.until("both disks hold it", ms(1000), kept);
    blackout(&mut world);
    for n in [A, B] {
        let engine = world.engine(n);
        assert!(engine.standby(NODE1) && engine.maintenance());
        assert_eq!(
            world
                .said(n, "operator wishes of before are known again")
                .len(),
            1
        );
    }
    // a wish of this life, made under a small epoch
    commands(
        &mut world,
        B,
        &[Command::Standby(NODE1, false), Command::Maintenance(false)],
    );
    world.until("the new wish is everywhere", ms(1000), |w| {
        [A, B]
            .iter()
            .all(|n| !w.engine(*n).standby(NODE1) && !w.engine(*n).maintenance())
    });
    world.until("and on disk", ms(1000), kept);
    world.until("node2 is preferred still", ms(3000), |w| w.serves(B));
    blackout(&mut world);
    for n in [A, B] {
        assert!(!world.engine(n).standby(NODE1) && !world.engine(n).maintenance());
    }
    assert!(world.serves(B), "the move is remembered");
}

#[test]
fn without_a_partition_a_loss_of_all_power_forgets() {
    let mut world = World::running(|_| {});
    commands(&mut world, A, &[Command::Standby(NODE2, true)]);
    world.run(ms(1000));
    assert_eq!(world.engine(A).keeps(NODE1), None);
    blackout(&mut world);
    assert!(!world.engine(A).standby(NODE2));
}

#[test]
fn a_wish_made_before_the_disk_was_read_is_newer_than_what_it_brings() {
    let mut world = running();
    commands(
        &mut world,
        A,
        &[
            Command::Standby(NODE2, true),
            Command::Move(WWW, NODE1, false),
        ],
    );
    world.until("both disks hold it", ms(1000), kept);
    for n in [A, B] {
        world.power_off(n);
        world.machines[n].disk.late = ms(5000);
    }
    for n in [A, B] {
        world.power_on(n);
    }
    world.until("both are members", ms(4500), |w| w.members() == [true; 2]);
    assert!(!world.engine(A).standby(NODE2), "not read yet");
    commands(&mut world, A, &[Command::Standby(NODE2, false)]);
    world.run(ms(200));
    world.until("both disks hold all", ms(8000), kept);
    for n in [A, B] {
        assert!(!world.engine(n).standby(NODE2), "the newer wish won");
    }
}

#[test]
fn a_lonely_node_s_new_wish_wins_against_what_its_own_disk_brings() {
    let mut world = running();
    commands(&mut world, A, &[Command::Standby(NODE1, true)]);
    world.until("both disks hold it", ms(1000), kept);
    for n in [A, B] {
        world.power_off(n);
    }
    world.power_on(A);
    world.until("it decides alone", ms(6000), |w| {
        w.engine(A).view().is_some()
    });
    assert!(world.engine(A).standby(NODE1));
    commands(&mut world, A, &[Command::Standby(NODE1, false)]);
    world.until("it serves alone", ms(2000), |w| w.serves(A));
    world.power_on(B);
    world.until("both disks hold it", ms(6000), kept);
    assert!(!world.engine(A).standby(NODE1) && !world.engine(B).standby(NODE1));
}

#[test]
fn nothing_is_placed_before_the_disks_were_read() {
    let mut world = running();
    commands(&mut world, A, &[Command::Standby(NODE1, true)]);
    world.until("both disks hold it", ms(2000), kept);
    for n in [A, B] {
        world.power_off(n);
        world.machines[n].disk.late = ms(900);
    }
    let starts = world.machines[A].starts[0].len();
    for n in [A, B] {
        world.power_on(n);
    }
    world.until("node2 serves", ms(6000), |w| w.serves(B));
    assert_eq!(
        world.machines[A].starts[0].len(),
        starts,
        "node1 never began"
    );
}

#[test]
fn a_move_for_once_is_not_made_again() {
    let mut world = running();
    commands(&mut world, A, &[Command::Move(WWW, NODE2, true)]);
    world.until("it moved", ms(3000), |w| w.serves(B));
    world.until("both disks hold it", ms(1000), kept);
    blackout(&mut world);
    world.run(ms(3000));
    assert!(world.serves(A), "node1 is the file's choice");
    assert_eq!(world.engine(A).keeps(NODE1), Some(true));
}

#[test]
fn a_disk_that_hangs_is_an_alert_and_nothing_else() {
    let mut world = running();
    world.machines[A].disk.hangs = true;
    let beats = world.tape.len();
    let begin = world.now;
    commands(&mut world, A, &[Command::Maintenance(true)]);
    world.run(ms(9000));
    let rate = |count: usize, time: std::time::Duration| count as u128 * 1000 / time.as_millis();
    let busy = rate(world.tape.len() - beats, world.now - begin);
    assert!(
        (50..=70).contains(&busy),
        "{busy} beats a second, on all paths of both"
    );
    assert!(
        world.serves(A) && world.changes_since(begin) == 0,
        "no failover"
    );
    let told = troubles(&world, A);
    assert!(matches!(told[..], [DiskTrouble::Overdue(_)]), "{told:?}");
    let of = |w: &World, who| w.engine(B).keeps(who);
    assert_eq!(
        (of(&world, NODE1), of(&world, NODE2)),
        (Some(false), Some(true))
    );
    // meanwhile there is another wish: the newest table is written when it recovers
    commands(&mut world, A, &[Command::Maintenance(false)]);
    world.disk_recovers(A);
    world.until("it works again", ms(1000), kept);
    assert_eq!((works_again(&world, A), troubles(&world, A).len()), (1, 1));
    blackout(&mut world);
    assert!(!world.engine(A).maintenance());
}

#[test]
fn only_the_answer_to_the_write_under_way_counts() {
    let mut world = running();
    world.machines[A].disk.hangs = true;
    commands(&mut world, A, &[Command::Maintenance(true)]);
    world.written(A, 99, Ok(()));
    assert_eq!(world.engine(A).keeps(NODE1), Some(false));
    world.disk_recovers(A);
    world.until("it is kept once it is", ms(1000), kept);
}

#[test]
fn every_boot_proves_that_the_disk_takes_writes() {
    let mut world = running();
    world.until("both disks hold it", ms(1000), kept);
    let writes = world.machines[A].disk.writes;
    blackout(&mut world);
    assert_eq!(world.machines[A].disk.writes, writes + 1);
}

#[test]
fn a_refused_write_is_told_and_tried_again_and_costs_no_older_table() {
    let mut world = running();
    commands(&mut world, A, &[Command::Maintenance(true)]);
    world.until("both disks hold it", ms(1000), kept);
    for n in [A, B] {
        world.machines[n].disk.errno = Some(5);
    }
    commands(&mut world, A, &[Command::Maintenance(false)]);
    world.run(limits::STATE_RETRY * 3);
    assert_eq!(troubles(&world, B), [DiskTrouble::Refused(5)]);
    assert!(world.machines[B].disk.writes >= 4, "three attempts");
    for n in [A, B] {
        world.machines[n].disk.errno = None;
        world.power_off(n);
    }
    for n in [A, B] {
        world.power_on(n);
    }
    world.until("both are members", ms(6000), |w| w.members() == [true; 2]);
    assert!(
        world.engine(A).maintenance(),
        "as it was before the disks failed"
    );
    world.until("both disks hold it", ms(1000), kept);
}

#[test]
fn a_partition_that_never_comes_is_told_once_and_the_node_serves() {
    let mut world = World::new(with_disks);
    world.machines[A].disk.hangs = true;
    world.power_on(A);
    world.power_on(B);
    world.until("node1 serves", ms(5000), |w| w.serves(A));
    world.run(ms(40_000));
    let told = troubles(&world, A);
    assert!(matches!(told[..], [DiskTrouble::Unread(_)]), "{told:?}");
    assert_eq!(
        world.machines[A].disk.writes, 0,
        "what was not read is not written over"
    );
    assert_eq!(world.changes_since(ms(1_006_000)), 0);
}

#[test]
fn what_is_not_kodo_s_is_never_written_over_and_a_damaged_table_is() {
    let mut world = World::new(with_disks);
    world.machines[A].disk.slots[0] = b"\xeb\x3c\x90mkfs.fat".to_vec();
    world.machines[B].disk.slots[1] = b"kodostat\x01and then noise".to_vec();
    world.power_on(A);
    world.power_on(B);
    world.until("node1 serves", ms(5000), |w| w.serves(A));
    commands(&mut world, A, &[Command::Maintenance(true)]);
    world.run(ms(1000));
    assert_eq!(troubles(&world, A), [DiskTrouble::Foreign]);
    assert_eq!(world.machines[A].disk.writes, 0);
    assert_eq!(troubles(&world, B), [DiskTrouble::Unreadable]);
    assert_eq!(world.engine(B).keeps(NODE2), Some(true));
}

#[test]
fn the_newer_slot_wins_and_a_torn_one_loses_nothing() {
    let mut world = running();
    commands(&mut world, A, &[Command::Standby(NODE2, true)]);
    world.until("both disks hold it", ms(1000), kept);
    commands(&mut world, A, &[Command::Standby(NODE2, false)]);
    world.until("both disks hold it", ms(1000), kept);
    let newest = |w: &World, n: usize| usize::from(w.machines[n].disk.writes % 2 == 1);
    for n in [A, B] {
        let slot = newest(&world, n);
        world.machines[n].disk.slots[slot].truncate(30);
    }
    blackout(&mut world);
    assert!(
        world.engine(A).standby(NODE2),
        "the last but one is there whole"
    );
    assert!(
        world.said(A, "does not open").is_empty(),
        "a torn write is nothing to alert"
    );
}

#[test]
fn an_answer_says_who_will_keep_it() {
    let mut world = World::new(|config| config.keeps_state = config.me == NODE2);
    world.power_on(A);
    world.power_on(B);
    world.until("both are members", ms(5000), |w| w.members() == [true; 2]);
    world.run(ms(500));
    let mut ack = None;
    world.ask(A, Command::Maintenance(true), |said| ack = said.ok());
    let ack = ack.expect("taken");
    assert_eq!(
        (ack.nodes, ack.disks),
        (2, kodo_engine::NodeSet::only(NODE2))
    );
}

/// File `hash` with these keys, on both machines and taken over.
fn adopted(world: &mut World, hash: u64, keys: &[Key]) {
    for n in [A, B] {
        let staged = world.stage(n, |config| {
            config.file_hash = hash;
            config.keys = keys.iter().cloned().collect();
        });
        assert_eq!(staged, Ok(()));
    }
    world.run(ms(200));
    commands(world, A, &[Command::Adopt(hash)]);
    world.until("adopted", ms(1000), |w| {
        [A, B]
            .iter()
            .all(|n| w.engine(*n).config().file_hash == hash)
    });
}

#[test]
fn wishes_outlive_the_keys_that_signed_them() {
    let (old, new) = (Key([7; 32]), Key([9; 32]));
    let mut world = running();
    commands(&mut world, A, &[Command::Standby(NODE1, true)]);
    adopted(&mut world, 2, &[old.clone(), new.clone()]);
    adopted(&mut world, 3, &[new.clone(), old]);
    adopted(&mut world, 4, std::slice::from_ref(&new));
    world.until("both disks hold it", ms(1000), kept);
    // images were flashed with the file that runs
    for n in [A, B] {
        let image = world.engine(n).config().clone();
        world.machines[n].config = image;
    }
    blackout(&mut world);
    assert!(world.engine(B).standby(NODE1));
    for n in [A, B] {
        assert_eq!(world.said(n, "this image"), [""; 0]);
    }
}

/// Images of the last step may be flashed instead of applied: nobody wishes for that file, so
/// nothing but the switch before it has the table written with the new key.
#[test]
fn a_switch_has_the_table_signed_anew() {
    let (old, new) = (Key([7; 32]), Key([9; 32]));
    let mut world = running();
    commands(&mut world, A, &[Command::Standby(NODE1, true)]);
    adopted(&mut world, 2, &[old.clone(), new.clone()]);
    // the write that is under way at the switch is signed by the old one
    world.machines[A].disk.hangs = true;
    adopted(&mut world, 3, &[new.clone(), old]);
    world.disk_recovers(A);
    world.run(ms(1000));
    world.until("both disks hold it", ms(1000), kept);
    for n in [A, B] {
        assert_eq!(troubles(&world, n), []);
        let keys = std::slice::from_ref(&new).iter().cloned().collect();
        let config = &mut world.machines[n].config;
        (config.file_hash, config.keys) = (4, keys);
    }
    blackout(&mut world);
    assert!(world.engine(B).standby(NODE1));
    for n in [A, B] {
        assert_eq!(
            troubles(&world, n),
            [],
            "every table is signed by the new key"
        );
    }
}

#[test]
fn a_file_that_the_image_does_not_carry_is_an_alert_after_a_loss_of_power() {
    let mut world = running();
    let images = [A, B].map(|n| world.machines[n].config.clone());
    let keys = images[0].keys.clone();
    adopted(&mut world, 2, &keys);
    world.until("both disks hold it", ms(1000), kept);
    for (n, image) in [A, B].into_iter().zip(images) {
        world.machines[n].config = image;
    }
    blackout(&mut world);
    for n in [A, B] {
        assert_eq!(world.said(n, "apply that file again").len(), 1);
        assert_eq!(world.engine(n).config().file_hash, 1);
    }
    world.run(ms(60_000));
    for n in [A, B] {
        assert_eq!(world.said(n, "given up"), [""; 0], "nobody waits for it");
    }
}
