//! Feeding a target, and telling what broke it so that it breaks again.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::mutate;
use crate::rng::Rng;
use crate::targets::Target;

/// An input that takes longer has hung its target, even in a slow build on a busy host.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// The corpus, and so many mutations.
    Inputs(u64),
    /// The corpus, and mutations for so long.
    Time(Duration),
}

/// A run without a crash.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Inputs that the target took, corpus included.
    pub inputs: u64,
    /// How long it took them.
    pub time: Duration,
}

/// A target that panicked.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Which target.
    pub target: &'static str,
    /// What it said.
    pub message: String,
    /// Where the input came from.
    pub origin: Origin,
    /// The smallest input found that still crashes it.
    pub input: Vec<u8>,
    /// Where that input was saved.
    pub file: PathBuf,
}

/// Where an input came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The corpus or the examples: its name there.
    Corpus(PathBuf),
    /// Input `n` of a seed.
    Mutation {
        /// The seed.
        seed: u64,
        /// Which one.
        n: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Corpus(path) => write!(f, "{}", path.display()),
            Origin::Mutation { seed, n } => write!(f, "--seed {seed}, input {n}"),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crash {
            target,
            message,
            origin,
            input,
            file,
        } = self;
        let file = file.display();
        write!(
            f,
            "{target} panicked: {message}\n  found with {origin}\n  \
             shrunk to {} bytes: {file}\n  \
             again: cargo run -p kodo-tests-fuzz -- {target} --input {file}\n  \
             once fixed, keep it: move that file to tests/fuzz/corpus/{target}/",
            input.len()
        )
    }
}

impl std::error::Error for Crash {}

/// Feeds a target with its corpus and mutations of it.
///
/// # Errors
/// The first crash, shrunk and saved.
pub fn run(target: &Target, seed: u64, budget: Budget) -> Result<Done, Box<Crash>> {
    let corpus = corpus(target);
    let start = Instant::now();
    let guard = Guard::new(target);
    for (path, bytes) in &corpus {
        guard.attempt(target, || Origin::Corpus(path.clone()), bytes)?;
    }
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    let mut n = 0;
    while match budget {
        Budget::Inputs(inputs) => n < inputs,
        Budget::Time(time) => start.elapsed() < time,
    } {
        let rng = &mut Rng::new(seed, n);
        let bytes = mutate::input(&corpus, target.words, target.longest, rng);
        guard.attempt(target, || Origin::Mutation { seed, n }, &bytes)?;
        n += 1;
    }
    let inputs = n + u64::try_from(corpus.len()).unwrap_or(u64::MAX);
    Ok(Done {
        inputs,
        time: start.elapsed(),
    })
}

/// Gives one input to a target.
///
/// # Errors
/// The panic's message and place.
pub fn attempt(target: &Target, bytes: &[u8]) -> Result<(), String> {
    // The hook is the whole process's: one attempt at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let one = lock(&ONE);
    let message = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&message);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| *lock(&kept) = info.to_string()));
    let result = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    panic::set_hook(before);
    drop(one);
    result.map_err(|_| lock(&message).clone())
}

/// The checked-in files of a target, in order of name, and its examples.
#[must_use]
pub fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut corpus = Vec::new();
    if let Ok(files) = std::fs::read_dir(&directory) {
        for path in files.flatten().map(|file| file.path()) {
            let bytes = std::fs::read(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            corpus.push((path, bytes));
        }
    }
    corpus.sort();
    let examples = (target.examples)().into_iter().enumerate();
    corpus.extend(examples.map(|(n, bytes)| (PathBuf::from(format!("example {n}")), bytes)));
    corpus
}

/// Keeps an input where it can be found again, in the host's directory for such files.
fn save(target: &str, input: &[u8]) -> PathBuf {
    let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let directory = std::env::temp_dir().join("kodo-fuzz");
    let file = directory.join(format!("{target}-{name:016x}"));
    let saved = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, input));
    if let Err(error) = saved {
        eprintln!(
            "cannot save {}: {error}; its bytes: {input:02x?}",
            file.display()
        );
    }
    file
}

/// Makes attempts, and ends the process when one takes too long, after saying which.
struct Guard(Arc<Mutex<Option<Attempt>>>);

struct Attempt {
    origin: Origin,
    since: Instant,
    input: Vec<u8>,
}

impl Guard {
    fn new(target: &Target) -> Guard {
        let guard = Guard(Arc::default());
        let shared = Arc::downgrade(&guard.0);
        let name = target.name;
        std::thread::spawn(move || {
            while let Some(shared) = shared.upgrade() {
                if let Some(Attempt {
                    origin,
                    since,
                    input,
                }) = &*lock(&shared)
                    && since.elapsed() > PATIENCE
                {
                    let file = save(name, input);
                    eprintln!("{name} hangs with {origin}: {}", file.display());
                    std::process::abort();
                }
                drop(shared);
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        guard
    }

    fn attempt(
        &self,
        target: &Target,
        origin: impl FnOnce() -> Origin + Clone,
        bytes: &[u8],
    ) -> Result<(), Box<Crash>> {
        let (since, input) = (Instant::now(), bytes.to_vec());
        *lock(&self.0) = Some(Attempt {
            origin: origin.clone()(),
            since,
            input,
        });
        let result = attempt(target, bytes);
        *lock(&self.0) = None;
        result.map_err(|message| {
            let input = mutate::shrink(bytes.to_vec(), |bytes| attempt(target, bytes).is_err());
            let file = save(target.name, &input);
            Box::new(Crash {
                target: target.name,
                message,
                origin: origin(),
                input,
                file,
            })
        })
    }
}

/// A panic while the lock is held leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(bytes: &[u8]) {
        assert!(
            !(bytes.first() == Some(&b'K') && bytes.contains(&0xee)),
            "planted"
        );
    }

    const PLANTED: Target = Target {
        name: "planted",
        run: planted,
        examples: || vec![b"Kodo".to_vec()],
        words: &[],
        longest: 64,
        inputs: 0,
    };

    #[test]
    fn a_planted_bug_is_found_shrunk_and_found_again() {
        let crash = run(&PLANTED, 1, Budget::Inputs(100_000)).unwrap_err();
        assert_eq!(crash.input, [b'K', 0xee]);
        assert!(crash.message.contains("planted"), "{}", crash.message);
        assert_eq!(std::fs::read(&crash.file).unwrap(), crash.input);
        std::fs::remove_file(&crash.file).unwrap();
        let Origin::Mutation { seed, n } = crash.origin else {
            panic!("{crash}")
        };
        let corpus = (PLANTED.examples)();
        let again = mutate::input(&corpus, &[], 64, &mut Rng::new(seed, n));
        assert!(attempt(&PLANTED, &again).is_err());
        let text = crash.to_string();
        assert!(
            text.contains("--seed 1") && text.contains("--input"),
            "{text}"
        );
    }

    #[test]
    fn a_quiet_target_uses_its_budget() {
        let quiet = Target {
            run: |_| (),
            ..PLANTED
        };
        assert_eq!(run(&quiet, 1, Budget::Inputs(50)).unwrap().inputs, 51);
        let time = Duration::from_millis(30);
        assert!(run(&quiet, 1, Budget::Time(time)).unwrap().time >= time);
    }
}
