//! Proof that the engine allocates nothing: a counting allocator watches every call
//! of a long and eventful life.
#![allow(
    unsafe_code,
    reason = "a global allocator cannot be written without it"
)]

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kodo_engine::config::SplitBrain;
use kodo_engine::surface::{Command, Report};
use kodo_engine::{Key, NodeId};
use world::{A, ALL, B, CROSSOVER, LAN, VIP, WEB, WWW, World, ms, pair};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    COUNT.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is
// a thread-local without a destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_eventful_life_allocates_nothing() {
    let kept = COUNT.with(Cell::get);
    drop(Box::new(1));
    assert!(COUNT.with(Cell::get) > kept, "the counter works");

    let mut world = World::new(|config| {
        config.split_brain = SplitBrain::PING;
        config.pings = true;
        config.witness_key = Some(Key([9; 32]));
        config.keeps_state = true;
    });
    world.start_witness(ms(1000));
    world.gauge = || COUNT.with(Cell::get);
    world.power_on(A);
    world.power_on(B);
    world.until("node1 serves", ms(5000), |w| w.serves(A));
    for n in [A, B] {
        let staged = world.stage(n, |config| {
            config.file_hash = 2;
            config.resources[WEB.index()].make = 1;
        });
        assert_eq!(staged, Ok(()));
    }
    world.run(ms(300));
    world.command(B, Command::Adopt(2)).expect("taken");
    world.until("node1 serves by the new file", ms(3000), |w| {
        w.serves(A) && w.engine(A).config().file_hash == 2
    });
    let tape = world.tape.clone();
    let twin = world.add(pair(0));
    world.power_on(twin);
    world.run(ms(3000));
    world.power_off(twin);
    for path in ALL {
        world.cut(path);
        world.run(ms(400));
        world.join(path);
    }
    world
        .command(A, Command::Move(WWW, NodeId(1), false))
        .expect("taken");
    world.run(ms(1000));
    world
        .command(B, Command::Standby(NodeId(1), true))
        .expect("taken");
    world.run(ms(1000));
    world.report(A, WEB, Report::Failed);
    world.report(A, WEB, Report::Recovered);
    world.report(A, VIP, Report::AddressTaken);
    world
        .command(B, Command::Standby(NodeId(1), false))
        .expect("taken");
    world.run(ms(1000));
    let written = |n: usize| world.machines[n].disk.writes > 2;
    assert!(written(A) && written(B), "wishes went to disk");
    world.power_off(A);
    world.run(ms(2000));
    world.power_on(A);
    world.run(ms(4000));
    for recording in tape.iter().take(200) {
        let _ = world.inject(B, recording.path, &recording.bytes);
        let _ = world.inject(A, recording.path, &recording.bytes[1..]);
    }
    world.mute(CROSSOVER);
    world.mute(LAN);
    world.run(ms(2000));
    world.command(A, Command::Leave).expect("taken");
    world.run(ms(3000));
    assert!(world.serves(B) || world.serves(A) || world.owners().is_empty());
}
