//! Every decoder of the product under random and mutated bytes, and operation sequences.
//!
//! A target is a plain function of bytes that panics when something is wrong. The runner
//! feeds it the checked-in corpus, examples made by the product's own encoders, and
//! mutations of both. Input `n` of a seed is a function of the corpus, the seed and `n`
//! alone, so a crash is found again by naming them; the input is also saved as a file.
//!
//! It runs on stable and is blind: no coverage feedback. Targets make up for that by
//! repairing what a mutation cannot guess (checksums, signatures). Where a nightly
//! compiler exists, the same functions serve cargo-fuzz.

pub mod mutate;
pub mod rng;
pub mod runner;
pub mod targets;

pub use runner::{Budget, Crash, Done, run};
pub use targets::{TARGETS, Target};
