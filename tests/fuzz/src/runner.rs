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
    /// Seed and number of the input; `None` for one of the corpus, which is named in `file`.
    pub origin: Option<(u64, u64)>,
    /// The smallest input found that still crashes it.
    pub input: Vec<u8>,
    /// Where that input was saved.
    pub file: PathBuf,
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
        writeln!(f, "{target} panicked: {message}")?;
        if let Some((seed, n)) = origin {
            writeln!(f, "  found with --seed {seed} at input {n}")?;
        }
        writeln!(
            f,
            "  input ({} bytes after shrinking): {}",
            input.len(),
            file.display()
        )?;
        write!(
            f,
            "  again: cargo run -p kodo-tests-fuzz -- {target} --input {}\n  \
             once fixed, keep it: move that file to tests/fuzz/corpus/{target}/",
            file.display()
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
    for (path, bytes) in &corpus {
        if let Err(message) = attempt(target, bytes) {
            return Err(Box::new(Crash {
                target: target.name,
                message,
                origin: None,
                input: bytes.clone(),
                file: path.clone(),
            }));
        }
    }
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    let input = |n| {
        mutate::input(
            &corpus,
            target.words,
            target.longest,
            &mut Rng::new(seed, n),
        )
    };
    let guard = Guard::new(target, seed);
    let mut n = 0;
    while match budget {
        Budget::Inputs(inputs) => n < inputs,
        Budget::Time(time) => start.elapsed() < time,
    } {
        let bytes = input(n);
        guard.begin(n, &bytes);
        if let Err(message) = attempt(target, &bytes) {
            guard.rest();
            let input = mutate::shrink(bytes, |bytes| attempt(target, bytes).is_err());
            let file = save(target.name, &input);
            let origin = Some((seed, n));
            return Err(Box::new(Crash {
                target: target.name,
                message,
                origin,
                input,
                file,
            }));
        }
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

/// Ends the process when one input takes too long, after saying which.
struct Guard(Arc<Mutex<Option<Attempt>>>);

struct Attempt {
    n: u64,
    since: Instant,
    input: Vec<u8>,
}

impl Guard {
    fn new(target: &Target, seed: u64) -> Guard {
        let guard = Guard(Arc::default());
        let shared = Arc::downgrade(&guard.0);
        let name = target.name;
        std::thread::spawn(move || {
            while let Some(shared) = shared.upgrade() {
                if let Some(Attempt { n, since, input }) = &*lock(&shared)
                    && since.elapsed() > PATIENCE
                {
                    let file = save(name, input);
                    eprintln!(
                        "{name} hangs with --seed {seed} at input {n}: {}",
                        file.display()
                    );
                    std::process::abort();
                }
                drop(shared);
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        guard
    }

    fn begin(&self, n: u64, input: &[u8]) {
        *lock(&self.0) = Some(Attempt {
            n,
            since: Instant::now(),
            input: input.to_vec(),
        });
    }

    fn rest(&self) {
        *lock(&self.0) = None;
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
        let (seed, n) = crash.origin.unwrap();
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
