//! The story of a lab: what was done, what the nodes said, what the client and the wire
//! saw, in one order.
//!
//! Owns the printed and the saved form. Leaves out console lines that are not the node's
//! log; those are in the console files.

use std::fmt;
use std::path::Path;

use crate::error::{Context, Result};
use crate::journal::Entry;
use crate::time::{LabTime, seconds};

/// Events in the order in which they happened.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    entries: Vec<Entry>,
}

impl Timeline {
    /// Orders events by their time; those of one time stay as they arrived.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.retain(|entry| entry.event.is_news());
        entries.sort_by_key(|entry| entry.at);
        Self { entries }
    }

    /// Only what happened from a time on.
    #[must_use]
    pub fn since(mut self, from: LabTime) -> Self {
        self.entries.retain(|entry| entry.at >= from);
        self
    }

    /// Only the last ones.
    #[must_use]
    pub fn last(mut self, count: usize) -> Self {
        self.entries
            .drain(..self.entries.len().saturating_sub(count));
        self
    }

    /// The events.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes `timeline.txt` for people and `timeline.json`, an array, for programs.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(&self.entries).map_err(std::io::Error::from);
        for (name, text) in [
            ("timeline.txt", Ok(self.to_string())),
            ("timeline.json", json),
        ] {
            let path = dir.join(name);
            let what = || format!("cannot write {}", path.display());
            std::fs::write(&path, text.context(what)?).context(what)?;
        }
        Ok(())
    }
}

/// Seconds since the lab's start, milliseconds since the line before, and the event; a node's
/// log line ends with the node's own time since its boot.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = None;
        for entry in &self.entries {
            let step = entry.at.saturating_sub(before.unwrap_or(entry.at));
            before = Some(entry.at);
            writeln!(
                f,
                "{:>10} {:>7}  {}",
                seconds(entry.at),
                format!("+{}", step.as_millis()),
                entry.event
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::console::Level;
    use crate::journal::Event;

    #[test]
    fn it_reads_well() {
        let at = Duration::from_millis;
        let node: std::sync::Arc<str> = "node1".into();
        let entry = |ms, event| Entry { at: at(ms), event };
        let timeline = Timeline::new(vec![
            entry(
                1000,
                Event::Action {
                    text: "power off node1".into(),
                },
            ),
            entry(
                1001,
                Event::PowerOff {
                    node: node.clone(),
                    why: "no current".into(),
                },
            ),
            entry(
                1002,
                Event::Console {
                    node: node.clone(),
                    text: "noise".into(),
                },
            ),
            entry(
                3100,
                Event::Log {
                    node: "node2".into(),
                    level: Level::Alert,
                    uptime: at(9500),
                    text: "www: taking over from node1".into(),
                },
            ),
            entry(995, Event::ClientLost { node: Some(node) }),
        ]);
        let text = timeline.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "     0.995      +0  client    no answer any more; node1's was the last",
                "     1.000      +5  lab       power off node1",
                "     1.001      +1  node1     off: no current",
                "     3.100   +2099  node2     ALERT www: taking over from node1 [9.500]",
            ]
        );
        let dir = crate::test::TempDir::new();
        timeline.save(dir.path()).unwrap();
        let json = std::fs::read_to_string(dir.path().join("timeline.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json[3]["event"], "log");
        assert_eq!(json[3]["ms"], 3100.0);
        assert_eq!(timeline.last(1).entries().len(), 1);
    }
}
