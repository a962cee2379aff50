//! What a heartbeat costs: per call, per second of cluster life, and on the wire, by number
//! of nodes.
//!
//! Owns measuring. A figure is never a test, and everything is compared within one run, by
//! medians, so that a busy host shows in the last digit at most; only an allocation in an
//! engine's call fails the run. A program of its own, because it counts allocations and is
//! built as what ships. Type `cargo xtask bench engine`.

mod figures;
mod plot;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use figures::{Beat, Calls, Report, Row, Second};
use kodo_engine::surface::Reject;
use kodo_sys::counting::Counting;
use world::{Call, World};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

const NODES: [usize; 5] = [2, 4, 8, 16, 32];
const KEEPALIVES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(10)];
/// Rejects of each kind.
const REJECTS: usize = 20_000;
/// Beats of each node that are measured.
const BEATS: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let file = file.ok_or("say into which file the figures go")?;
    let start = Instant::now();
    let rows = KEEPALIVES
        .iter()
        .flat_map(|keepalive| NODES.map(|nodes| measure(nodes, *keepalive)));
    let report = Report {
        rows: rows.collect(),
        took: start.elapsed(),
    };
    println!("{report}\n\n{}", plot::plot(&report.rows));
    std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    println!("the same in {}", file.display());
    match report.rows.iter().any(|row| row.allocations > 0) {
        false => Ok(()),
        true => Err("an engine's call allocated".into()),
    }
}

fn measure(nodes: usize, keepalive: Duration) -> Row {
    let mut world = World::new(nodes, keepalive);
    world.settle();
    let time = keepalive * BEATS;
    world.run(time);
    let took = |call: Call| &world.took[call as usize];
    let middle = |call: Call| median(took(call));
    let per_second = |call: Call| took(call).len() as f64 / nodes as f64 / time.as_secs_f64();
    let cost = |call: Call| per_second(call) * middle(call);
    let largest = |path: usize| world.sizes[path].iter().copied().max().unwrap_or(0);
    let every = |path: usize| world.intervals[path];
    let second = Second {
        heard: per_second(Call::News) + per_second(Call::Copy),
        cost: [Call::News, Call::Copy, Call::Tick].map(cost).iter().sum(),
    };
    let (ethernet, serial) = (
        Beat::on_ethernet(largest(0), every(0), nodes),
        Beat::on_serial(largest(world::SERIAL), every(world::SERIAL)),
    );
    let [news, copy, tick] = [Call::News, Call::Copy, Call::Tick].map(middle);
    Row {
        nodes,
        keepalive,
        calls: Calls {
            news,
            copy,
            tick,
            forged: median(&world.rejects(Reject::Forged, REJECTS)),
            replayed: median(&world.rejects(Reject::Replayed, REJECTS)),
        },
        second,
        ethernet,
        serial,
        allocations: world.allocated,
    }
}

/// The one in the middle, in microseconds; zero without any.
fn median(took: &[u32]) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let nanos = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    f64::from(nanos) / 1000.0
}
