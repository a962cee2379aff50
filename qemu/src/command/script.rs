//! Scripts: commands in a file, one a line, replayed from a lab that is switched off.
//!
//! Owns the way through a script and its report. It ends at the first command that fails.

use std::fmt::Write as _;
use std::path::Path;

use super::Command;
use super::{Outcome, Session};
use crate::error::{Context, Error, Result};
use crate::time::seconds;

/// A script that reads.
#[derive(Clone, Debug)]
pub struct Script {
    lines: Vec<(usize, String, Command)>,
    name: String,
}

impl Script {
    /// Reads a script; nothing runs yet.
    ///
    /// # Errors
    /// All mistakes in it, each with its line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .context(|| format!("cannot read the script {}", path.display()))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a script from a text.
    ///
    /// # Errors
    /// All mistakes in it, each with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        let mut mistakes = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            match Command::parse(line) {
                Ok(Some(command)) => lines.push((number, line.trim().to_owned(), command)),
                Ok(None) => {}
                Err(error) => {
                    let _ = write!(mistakes, "\n  {name}:{number}: {error}");
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(Error::Command(format!(
                "the script cannot be read:{mistakes}"
            )));
        }
        Ok(Self {
            lines,
            name: name.to_owned(),
        })
    }

    /// Runs it until it or the session ends; `tell` gets each line as it begins and what it
    /// said.
    ///
    /// # Errors
    /// The first command's that failed, with its line.
    pub fn run(&self, session: &Session, tell: &mut dyn FnMut(&str)) -> Result<()> {
        for (number, line, command) in &self.lines {
            if session.is_over() {
                return Err(Error::Command(format!(
                    "{}:{number}: ended from outside",
                    self.name
                )));
            }
            tell(&format!("{:>10}  > {line}\n", seconds(session.lab().now())));
            match session.execute(command) {
                Ok(Outcome::Said(said)) => tell(&said),
                Ok(Outcome::Watch(_)) => {}
                Ok(Outcome::Quit) => return Ok(()),
                Err(error) => {
                    return Err(Error::Command(format!(
                        "{}:{number}: `{line}`: {error}",
                        self.name
                    )));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_read() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut count = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            Script::read(&entry.unwrap().path()).unwrap();
            count += 1;
        }
        assert!(count >= 2);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let message = Script::parse("s.lab", "power on all\ncut\n# fine\nfrob\n")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("s.lab:2: `cut` needs a cable"),
            "{message}"
        );
        assert!(message.contains("s.lab:4: "), "{message}");
    }
}
