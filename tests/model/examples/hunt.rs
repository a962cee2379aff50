//! Searches one model of the quick suite and says on one line what it came to: `hunt MODEL
//! JOBS`. Run in a copy of the tree with a rule missing, by `cargo xtask model --canaries`.

use kodo_tests_model::{quick, search};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, jobs] = &args[..] else {
        panic!("hunt MODEL JOBS");
    };
    let found = quick().into_iter().find(|setting| setting.name == model);
    let setting = found.expect("a model of the quick suite");
    let jobs = jobs.parse().expect("a number of threads");
    // an assertion that fails is one way to notice
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = search(&setting, jobs, None, |_| {});
    let (states, name) = (outcome.unique, setting.name);
    match outcome.violation {
        Some(violation) => println!(
            "killed \"{}\" in {name}, {states} states",
            violation.promise
        ),
        None => println!("{states} states of {name}"),
    }
}
