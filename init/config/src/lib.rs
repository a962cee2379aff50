//! The cluster file: from text to a checked, typed [`Cluster`], or to all of its mistakes.
//!
//! One TOML file describes the cluster; the image builder, PID 1 and the operator's
//! command read it with this code. Mistakes are [`Diagnostic`]s: all syntax errors; or
//! the first type error and every unknown key of each table, and every value and
//! relation that is wrong in the tables that could be read.
//!
//! Never opens a file, never reads a clock: secrets and recipes that live in files of their
//! own come through a [`Loader`].

pub mod bundle;
pub mod changes;
pub mod cluster;
pub mod diagnostic;
#[cfg(feature = "report")]
pub mod explain;
pub mod recipe;
#[cfg(feature = "report")]
pub mod report;
pub mod secrets;
pub mod start;
pub mod time;
pub mod words;

mod check;
mod hints;
mod leaf;
mod lower;
mod net;
mod partition;
mod place;
mod raw;
mod read;
mod size;
mod syntax;
#[cfg(feature = "report")]
mod wrap;

pub use bundle::Bundle;
pub use changes::Change;
pub use cluster::Cluster;
pub use diagnostic::{Diagnostic, Severity};
pub use lower::UnknownNode;
pub use secrets::{Loader, Secret};

/// Largest cluster file that is looked at: a thousand times the example.
const TEXT_MAX: usize = 4 << 20;

impl Cluster {
    /// Reads and checks a cluster file.
    ///
    /// `file` is its name for messages; `load` fetches what `key_file`, `tokens_file` and `recipe` name.
    ///
    /// # Errors
    /// Everything that is wrong with it, with at least one [`Severity::Error`], most
    /// serious first. For an accepted file the remaining messages are [`Cluster::notes`].
    pub fn parse(file: &str, text: &str, load: Loader<'_>) -> Result<Self, Vec<Diagnostic>> {
        let mut sink = diagnostic::Sink::new(file, text);
        let cluster = if text.len() > TEXT_MAX {
            sink.push(Diagnostic::error(
                0..0,
                "this is too large to be a cluster file",
            ));
            None
        } else {
            read::file(&mut sink).and_then(|tables| check::cluster(&mut sink, tables, load))
        };
        match cluster {
            Some(mut cluster) if !sink.failed() => {
                cluster.notes = sink.finish();
                Ok(cluster)
            }
            _ => {
                // Remarks on a file that will change anyway only hide its errors.
                let mut items = sink.finish();
                items.retain(|item| item.severity != Severity::Note);
                Err(items)
            }
        }
    }
}
