//! The one error of the image builder: what failed, on what, why, what to do next.

use std::fmt;
use std::path::Path;

/// Result of the image builder's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure as a person reads it.
#[derive(Debug)]
pub struct Error {
    what: String,
    why: Option<String>,
    next: Option<String>,
    stale_lists: bool,
}

impl Error {
    /// `what` names the step and the thing it was done to.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: None,
            next: None,
            stale_lists: false,
        }
    }

    /// An operation on a file that failed.
    pub fn file(verb: &str, path: &Path, why: &dyn fmt::Display) -> Self {
        Self::new(format!("cannot {verb} {}", path.display())).because(why)
    }

    /// Says of what it is a part.
    #[must_use]
    pub(crate) fn within(mut self, whole: &str) -> Self {
        self.what = format!("{whole}: {}", self.what);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Marks a failure that fresh package lists may cure.
    #[must_use]
    pub(crate) fn for_want_of_lists(mut self) -> Self {
        self.stale_lists = true;
        self
    }

    /// Whether it is worth trying again after `apt-get update`.
    pub fn stale_lists(&self) -> bool {
        self.stale_lists
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(why) = &self.why {
            write!(f, ": {}", why.trim_end())?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_what_why_next() {
        let error = Error::new("cannot open x")
            .because("no such file\n")
            .next("make it");
        assert_eq!(
            error.to_string(),
            "cannot open x: no such file\n  next: make it"
        );
    }
}
