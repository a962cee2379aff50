//! Random faults on the tiny world: the promises hold, and it converges afterwards.
//! A failing seed prints itself and its timeline.

mod world;

use kodo_engine::NodeId;
use kodo_engine::config::{Config, Failback, SplitBrain};
use kodo_engine::surface::{Command, Report};
use std::time::Duration;
use world::{A, ALL, B, LAN, VIP, WEB, WWW, World, ms};

/// A linear congruential generator (Knuth's MMIX constants): enough to spread faults.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// In parts per thousand: a clock may be one percent off either way.
    fn drift(&mut self) -> i64 {
        i64::try_from(self.roll(21)).expect("small") - 10
    }

    fn node(&mut self) -> NodeId {
        NodeId(u8::from(self.roll(2) == 1))
    }
}

fn edit(dice: &Dice, arbiter: SplitBrain) -> impl Fn(&mut Config) + use<> {
    let mut dice = dice.clone();
    let manual = dice.roll(2) == 0;
    move |config: &mut Config| {
        config.split_brain = arbiter;
        config.pings = true;
        config.groups[0].failback = if manual {
            Failback::Manual
        } else {
            Failback::Auto
        };
        config.groups[0].failure_timeout = ms(3000);
    }
}

/// Wires that lose, delay and duplicate; `dead` ones pass nothing.
fn rough(world: &mut World, mut dice: Dice, loss: u64, isolated: Option<usize>, dead: [bool; 3]) {
    world.set_wire(move |p| {
        if isolated.is_some_and(|n| p.from == n || p.to == n)
            || dead[p.path.index()]
            || dice.roll(100) < loss
        {
            return vec![];
        }
        let late = if dice.roll(4) == 0 { dice.roll(60) } else { 0 };
        let copies = 1 + usize::from(dice.roll(20) == 0);
        (0..copies)
            .map(|n| ms(1 + late + n as u64 * dice.roll(30)))
            .collect()
    });
}

fn one_fault(world: &mut World, dice: &mut Dice, isolations: bool) {
    let n = if dice.roll(2) == 0 { A } else { B };
    let powered = world.machines[n].engine.is_some();
    match dice.roll(12) {
        0 if powered => world.power_off(n),
        0..=2 if !powered => world.power_on_up_since(n, ms(dice.roll(2) * dice.roll(3000))),
        1 if powered => {
            world.power_off(n);
            world.run(ms(dice.roll(400)));
            world.power_on(n);
        }
        2 if isolations => {
            world.machines[n].gateway = false;
            world.machines[1 - n].gateway = true;
            rough(
                world,
                dice.clone(),
                dice.clone().roll(20),
                Some(n),
                [false; 3],
            );
            // the arbiter changes sides no faster than a run of pings can tell
            world.run(ms(251));
        }
        3 => {
            let dead = [dice.roll(2) == 0, dice.roll(2) == 0, false];
            world.machines[A].gateway = true;
            world.machines[B].gateway = true;
            // both reach the arbiter: what is left must carry beats, or two owners are documented
            let loss = if dead == [false; 3] {
                dice.roll(30)
            } else {
                dice.roll(4)
            };
            rough(world, dice.clone(), loss, None, dead);
        }
        4 if powered => drop(world.command(n, Command::Move(WWW, dice.node(), false))),
        5 if powered => drop(world.command(n, Command::Standby(dice.node(), dice.roll(3) == 0))),
        6 if powered && world.machines[n].acts[WEB.index()] => world.report(n, WEB, Report::Failed),
        7 if powered => {
            let up = dice.roll(2) == 0;
            world.carrier(n, LAN, up);
        }
        8 => world.machines[n].manners[VIP.index()].stop = ms(1 + dice.roll(90)),
        9 => {
            let outcome = if dice.roll(3) == 0 {
                Report::StartFailed
            } else {
                Report::Started
            };
            world.machines[n].manners[WEB.index()].outcome = outcome;
        }
        10 => world.machines[n].manners[WEB.index()].stop = ms(1 + dice.roll(2000)),
        _ => {
            world.machines[A].gateway = true;
            world.machines[B].gateway = true;
            rough(world, dice.clone(), 10, None, [false; 3]);
        }
    }
}

/// Stops all faults and waits for what placement says.
#[track_caller]
fn heal(world: &mut World) {
    world.set_wire(|_| vec![ms(1)]);
    for n in [A, B] {
        world.machines[n].gateway = true;
        world.machines[n].manners[WEB.index()].outcome = Report::Started;
        world.machines[n].manners[WEB.index()].stop = ms(60);
        if world.machines[n].engine.is_none() {
            world.power_on(n);
        }
        ALL.iter().for_each(|path| world.carrier(n, *path, true));
    }
    world.until("both are members", ms(8000), |w| {
        w.members() == [true, true]
    });
    // a loser may still be on its way down for as long as a stop takes
    world.run(ms(200));
    let doubled = world.doubled;
    for node in [NodeId(0), NodeId(1)] {
        world
            .command(A, Command::Standby(node, false))
            .expect("taken");
    }
    world.command(A, Command::Cleanup(WWW)).expect("taken");
    world.until("one serves", ms(8000), |w| {
        w.owners().len() == 1 && (w.serves(A) || w.serves(B))
    });
    // damping, bans and failbacks run out
    world.run(ms(12_000));
    let since = world.now;
    world.run(ms(5000));
    assert_eq!(world.changes_since(since), 0, "and stays");
    assert!(world.serves(A) || world.serves(B));
    assert_eq!(world.owners().len(), 1);
    assert_eq!(world.doubled, doubled, "one owner since it healed");
    assert_eq!(world.members(), [true, true]);
    assert_eq!(
        world.engine(A).group(WWW).holder,
        world.engine(B).group(WWW).holder
    );
}

/// Faults that no lease survives: halves that both reach the arbiter, machines that
/// stand still. Two owners are possible then; afterwards there is one.
fn wild_fault(world: &mut World, dice: &mut Dice) {
    let n = if dice.roll(2) == 0 { A } else { B };
    if world.machines[n].engine.is_none() {
        return one_fault(world, dice, true);
    }
    match dice.roll(6) {
        0 => {
            let powered = world.machines[n].engine.is_some();
            world.pause(n);
            world.run(ms(dice.roll(3000)));
            if powered {
                world.resume(n);
            }
        }
        1 => {
            world.stall(n);
            world.run(ms(dice.roll(3000)));
            world.unstall(n);
        }
        2 => {
            rough(world, dice.clone(), 0, None, [true; 3]);
            world.run(ms(dice.roll(4000)));
        }
        3 => {
            // one way only
            world.set_wire(move |p| if p.from == n { vec![] } else { vec![ms(1)] });
            world.run(ms(dice.roll(4000)));
        }
        _ => one_fault(world, dice, true),
    }
}

fn wild_story(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678);
    let arbiter = if dice.roll(2) == 0 {
        SplitBrain::PING
    } else {
        SplitBrain::Accept
    };
    let mut world = World::new(edit(&dice, arbiter));
    world.machines[A].drift = dice.drift();
    world.machines[B].drift = dice.drift();
    world.power_on(A);
    world.run(ms(dice.roll(1500)));
    world.power_on(B);
    for _ in 0..30 {
        world.run(ms(1 + dice.roll(1500)));
        wild_fault(&mut world, &mut dice);
    }
    heal(&mut world);
}

fn story(seed: u64, arbiter: SplitBrain) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
    let mut world = World::new(edit(&dice, arbiter));
    world.machines[A].drift = dice.drift();
    world.machines[B].drift = dice.drift();
    world.power_on(A);
    world.run(ms(dice.roll(1500)));
    world.power_on(B);
    let isolations = arbiter == SplitBrain::PING;
    for _ in 0..40 {
        world.run(ms(1 + dice.roll(if dice.clone().roll(3) == 0 {
            4000
        } else {
            300
        })));
        one_fault(&mut world, &mut dice, isolations);
        assert!(world.doubled == Duration::ZERO, "two owners");
    }
    heal(&mut world);
    assert!(world.doubled == Duration::ZERO, "two owners");
}

fn soak(what: &str, story: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let seeds: u64 = std::env::var("KODO_SOAK")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12);
    let first: u64 = std::env::var("KODO_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    for seed in first..first + seeds {
        let result = std::panic::catch_unwind(|| story(seed));
        assert!(
            result.is_ok(),
            "seed {seed} {what}: KODO_SEED={seed} KODO_SOAK=1"
        );
    }
}

#[test]
fn with_a_ping_group() {
    soak("with a ping group", |seed| story(seed, SplitBrain::PING));
}

#[test]
fn with_nobody_to_decide() {
    // without isolations there is always a path between live nodes: one owner here too
    soak("with nobody to decide", |seed| {
        story(seed, SplitBrain::Accept);
    });
}

#[test]
fn whatever_happened_it_heals() {
    soak("healed", wild_story);
}
