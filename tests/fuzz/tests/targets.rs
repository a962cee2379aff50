//! Every target with its corpus and a fixed number of mutations: the same on every host.

use kodo_tests_fuzz::{Budget, TARGETS, run};

const SEED: u64 = 1;

#[test]
fn no_target_panics() {
    let mut crashes = Vec::new();
    for target in TARGETS {
        match run(target, SEED, Budget::Inputs(target.inputs)) {
            Ok(done) => println!("{}: {} inputs in {:?}", target.name, done.inputs, done.time),
            Err(crash) => crashes.push(crash.to_string()),
        }
    }
    assert!(crashes.is_empty(), "{}", crashes.join("\n"));
}

#[test]
fn every_corpus_directory_belongs_to_a_target() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for directory in std::fs::read_dir(corpus).unwrap() {
        let name = directory.unwrap().file_name();
        assert!(
            TARGETS.iter().any(|target| name == target.name),
            "corpus of no target: {name:?}"
        );
    }
}
