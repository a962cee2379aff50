//! A bare sweep over seeds, for builds of changed trees: `sweep SCENARIO FIRST SEEDS JOBS`.
//! The last line begins with `killed` if a promise broke. People type `cargo xtask sim`.

use kodo_tests_sim::{Fleet, scenario};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(1);
    let name = args.first().map_or("random", String::as_str);
    let chosen: Vec<_> = scenario::all()
        .iter()
        .filter(|scenario| name == "all" || scenario.name == name)
        .collect();
    let fleet = Fleet {
        scenarios: &chosen,
        first: number(1),
        seeds: number(2),
        jobs: usize::try_from(number(3)).unwrap_or(1),
        enough: 1,
        limit: None,
    };
    std::panic::set_hook(Box::new(|_| {}));
    let tally = fleet.run(&|_| {});
    match tally.failures.first() {
        None => println!("{} runs of {name}", tally.runs),
        Some(failure) => println!(
            "killed promise {} in {} at seed {}, {} runs",
            failure.violation.promise, failure.plan.scenario, failure.plan.seed, tally.runs
        ),
    }
}
