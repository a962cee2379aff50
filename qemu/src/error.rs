//! What can go wrong in the lab, in words a person can act on.
//!
//! Owns the one error type of the crate. Never holds engine vocabulary.

use std::path::PathBuf;
use std::time::Duration;

/// Why something in the lab did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `boot.json` cannot be used.
    #[error("{}: {why}", path.display())]
    Boot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A name that the cluster does not have.
    #[error("no {kind} is named `{name}`; there {}", listed(.known))]
    Unknown {
        /// What was looked for: `node`, `cable`, `VIP`, ….
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A machine did not do as told.
    #[error("{node}: {what}")]
    Machine {
        /// Its node's name.
        node: String,
        /// What failed and, where known, QEMU's own words.
        what: String,
    },
    /// QEMU refused a command.
    #[error("{node}: QEMU refused `{command}`: {reason}")]
    Qmp {
        /// The machine.
        node: String,
        /// The QMP command.
        command: String,
        /// QEMU's description.
        reason: String,
    },
    /// The host refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the host said.
        source: std::io::Error,
    },
    /// Something waited for did not come about.
    #[error("waited {} ms in vain for {what}", waited.as_millis())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A node's API did not answer, or answered no.
    #[error("{node}: {what}")]
    Api {
        /// The node asked.
        node: String,
        /// What it said, or why it said nothing.
        what: String,
    },
    /// A command that cannot be understood, or an expectation that did not hold.
    #[error("{0}")]
    Command(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// `are a, b and c`, for messages.
fn listed(names: &[String]) -> String {
    match names {
        [] => "are none".to_owned(),
        [one] => format!("is only `{one}`"),
        [init @ .., last] => format!("are {} and {last}", init.join(", ")),
    }
}

/// Adds what was being done to an I/O error.
pub(crate) trait Context<T> {
    /// Turns the error into [`Error::Io`].
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: what(),
            source: source.into(),
        })
    }
}
