//! Consoles, and waiting for what shall come about: never for a time to pass.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Lab, Mark};
use crate::error::{Error, Result};
use crate::journal::Entry;
use crate::time::LabTime;

/// Something that is in no event is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A node is asked for its status at most this often: an emulated one works hard for it.
const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Lab {
    /// Types on a machine's console.
    ///
    /// # Errors
    /// When there is no such node, it has no console, or it takes nothing now.
    pub fn type_in(&self, node: &str, bytes: &[u8]) -> Result<()> {
        let console = self.wiring(node)?.console;
        let console = console.ok_or_else(|| Error::Command(format!("{node} has no console")))?;
        if self.core.pump.with(|world| world.type_in(console, bytes)) {
            return Ok(());
        }
        Err(Error::Machine {
            node: node.to_owned(),
            what: "its console takes nothing now".to_owned(),
        })
    }

    /// What a machine printed since a mark, line by line, with the time of arrival.
    #[must_use]
    pub fn console(&self, node: &str, since: Mark) -> Vec<(LabTime, String)> {
        let line = |entry: Entry| {
            let text = entry.event.console_line(node)?;
            Some((entry.at, text))
        };
        self.core
            .journal
            .from(since.events)
            .into_iter()
            .filter_map(line)
            .collect()
    }

    /// Waits until `look` finds what it wants. It is asked again whenever something happens,
    /// and now and then besides, so it may look at anything, a node's status too.
    ///
    /// # Errors
    /// [`Error::Timeout`] naming `what`, when nothing was found in time.
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        let deadline = begun + within;
        loop {
            let seen = self.core.journal.len();
            if let Some(found) = look(self) {
                return Ok(found);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    waited: begun.elapsed(),
                });
            }
            self.core.journal.wait(seen, deadline.min(now + LOOK_AGAIN));
        }
    }

    /// Waits for an event after a mark.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time.
    pub fn wait_event<T>(
        &self,
        what: &str,
        since: Mark,
        within: Duration,
        mut look: impl FnMut(&Entry) -> Option<T>,
    ) -> Result<T> {
        let mut index = since.events;
        self.wait_for(what, within, |lab| {
            let from = index;
            index = lab.core.journal.len();
            lab.core.journal.find(from, &mut look)
        })
    }

    /// Waits for a line on a node's console that contains `text`, after a mark.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time.
    pub fn wait_line(
        &self,
        node: &str,
        text: &str,
        since: Mark,
        within: Duration,
    ) -> Result<(LabTime, String)> {
        self.wait_event(
            &format!("`{text}` on the console of {node}"),
            since,
            within,
            |entry| {
                let line = entry.event.console_line(node)?;
                line.contains(text).then_some((entry.at, line))
            },
        )
    }

    /// Waits until a node's status is as wanted; a node that does not answer is asked again.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the last status, or [`Error::Unknown`].
    pub fn wait_status<T>(
        &self,
        node: &str,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let admin = self.admin(node)?;
        let mut last = String::new();
        let mut asked: Option<Instant> = None;
        let found = self.wait_for(what, within, |_| {
            if asked.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
                return None;
            }
            let status = admin.status();
            asked = Some(Instant::now());
            match status {
                Ok(status) => {
                    let found = look(&status);
                    last = status.to_string();
                    found
                }
                Err(error) => {
                    last = error.to_string();
                    None
                }
            }
        });
        found.map_err(|error| match error {
            Error::Timeout { what, waited } => Error::Timeout {
                what: format!("{what} at {node}; its last status: {last}"),
                waited,
            },
            other => other,
        })
    }
}
