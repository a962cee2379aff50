//! A seed is a run: bit for bit, on any number of threads, with its story or without.

use kodo_tests_sim::{Fleet, run, scenario};

/// What takes long shows nothing more.
const LONG: [&str; 3] = ["lossy", "asymmetric", "big"];

fn hash(jobs: usize) -> u64 {
    let all: Vec<_> = scenario::all()
        .iter()
        .filter(|scenario| !LONG.iter().any(|long| scenario.name.starts_with(long)))
        .collect();
    let fleet = Fleet {
        scenarios: &all,
        first: 77,
        seeds: 2,
        jobs,
        enough: usize::MAX,
        limit: None,
    };
    fleet.run(&|_| {}).hash
}

#[test]
fn threads_change_nothing() {
    assert_eq!(hash(1), hash(3));
}

#[test]
fn a_story_changes_nothing_and_a_plan_survives_json() {
    let plan = scenario::named("random").expect("a scenario").plan(5);
    let json = serde_json::to_string(&plan).expect("JSON");
    let again = serde_json::from_str(&json).expect("a plan");
    let work = || {
        let (bare, told) = (run(&plan, false), run(&again, true));
        assert_eq!(bare.hash, told.hash);
        assert!(bare.story.is_empty() && !told.story.is_empty());
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let thread = thread.spawn_scoped(scope, work).expect("a thread");
        thread.join().expect("equal runs");
    });
}
