//! Plans that once broke a promise, shrunk: they must not again.

use std::path::Path;

use kodo_tests_sim::plan::Plan;
use kodo_tests_sim::run;

/// A node is built on the stack before it moves to the heap.
const STACK: usize = 16 << 20;

#[test]
fn once_is_enough() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut plans: Vec<_> = std::fs::read_dir(corpus)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    plans.sort();
    let runs = || {
        for path in &plans {
            let text = std::fs::read_to_string(path).expect("a plan");
            let plan: Plan = serde_json::from_str(&text).expect("a plan");
            let outcome = run(&plan, false);
            if let Some(violation) = outcome.violation {
                let path = path.display();
                panic!("{violation}\nits story: cargo xtask sim --plan {path}");
            }
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, runs).expect("a thread");
        thread.join().expect("every plan passes");
    });
}
