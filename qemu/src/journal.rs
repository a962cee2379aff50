//! Everything that happened in the lab, in one list that can be waited on.
//!
//! Owns the events and their order of arrival; an event may carry an earlier time than
//! its neighbours, as an outage is known only after its beginning. Judges nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::console::Level;
use crate::time::{LabTime, seconds};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Somebody told the lab to do something.
    Action {
        /// What.
        text: String,
    },
    /// A machine was switched on.
    PowerOn {
        /// Which.
        node: Arc<str>,
    },
    /// A machine is off.
    PowerOff {
        /// Which.
        node: Arc<str>,
        /// By whom or why.
        why: String,
    },
    /// A machine restarted.
    Reset {
        /// Which.
        node: Arc<str>,
        /// QEMU's word for why: `guest-reset`, `host-qmp-system-reset`, `watchdog`, ….
        why: String,
    },
    /// A machine's hardware watchdog fired.
    Watchdog {
        /// Which.
        node: Arc<str>,
        /// What it does about it.
        action: String,
    },
    /// A machine's processor was stopped or let go on.
    Running {
        /// Which.
        node: Arc<str>,
        /// Whether it runs.
        running: bool,
        /// How: `pause` stops its clocks too, `stall` does not.
        how: &'static str,
    },
    /// Carrier came or went at an end of a cable.
    Carrier {
        /// The cable.
        cable: Arc<str>,
        /// The end.
        end: Arc<str>,
        /// Whether there is carrier.
        up: bool,
    },
    /// A node logged a line.
    Log {
        /// Which.
        node: Arc<str>,
        /// How bad.
        level: Level,
        /// Its own time since boot.
        uptime: Duration,
        /// What happened and why.
        text: String,
    },
    /// Any other line on a machine's console.
    Console {
        /// Which.
        node: Arc<str>,
        /// The line.
        text: String,
    },
    /// The client gets no answer any more; the time is that of the last one.
    ClientLost {
        /// Who answered last.
        node: Option<Arc<str>>,
    },
    /// The client gets answers again, or from another node.
    ClientAnswered {
        /// Who answers.
        node: Option<Arc<str>>,
        /// Who answered before.
        before: Option<Arc<str>>,
        /// Time since the last good answer.
        #[serde(rename = "silent_ms", serialize_with = "millis")]
        silent: Duration,
    },
    /// Other nodes than before speak for a VIP.
    Owners {
        /// The VIP.
        vip: std::net::IpAddr,
        /// Who does.
        owners: Vec<Arc<str>>,
    },
}

/// One event and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Time since the lab started, in milliseconds when serialised.
    #[serde(rename = "ms", serialize_with = "millis")]
    pub at: LabTime,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

fn millis<S: serde::Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((at.as_secs_f64() * 1e6).round() / 1e3)
}

impl Event {
    /// Whether timelines show it; other console lines have their own files.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !matches!(self, Self::Console { .. })
    }

    /// The line that this node printed, if that is what happened.
    #[must_use]
    pub fn console_line(&self, of: &str) -> Option<String> {
        match self {
            Self::Console { node, text } if **node == *of => Some(text.clone()),
            Self::Log {
                node,
                level,
                uptime,
                text,
            } if **node == *of => {
                let (seconds, micros) = (uptime.as_secs(), uptime.subsec_micros());
                Some(format!(
                    "kodo[{seconds:5}.{micros:06}] {} {text}",
                    level.to_string().trim_end()
                ))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who =
            |node: &Option<Arc<str>>| node.as_deref().unwrap_or("a nameless server").to_owned();
        match self {
            Self::Action { text } => write!(f, "lab       {text}"),
            Self::PowerOn { node } => write!(f, "{node:<9} powered on"),
            Self::PowerOff { node, why } => write!(f, "{node:<9} off: {why}"),
            Self::Reset { node, why } => write!(f, "{node:<9} reset ({why})"),
            Self::Watchdog { node, action } => {
                write!(f, "{node:<9} hardware watchdog fired: {action}")
            }
            Self::Running {
                node,
                running: true,
                how,
            } => write!(f, "{node:<9} runs on after {how}"),
            Self::Running {
                node,
                running: false,
                how,
            } => write!(f, "{node:<9} stopped ({how})"),
            Self::Carrier { cable, end, up } => {
                write!(
                    f,
                    "{cable:<9} carrier {} at {end}",
                    if *up { "up" } else { "down" }
                )
            }
            Self::Log {
                node,
                level,
                uptime,
                text,
            } => {
                write!(f, "{node:<9} {level} {text} [{}]", seconds(*uptime))
            }
            Self::Console { node, text } => write!(f, "{node:<9} | {text}"),
            Self::ClientLost { node: None } => write!(f, "client    no answer any more"),
            Self::ClientLost { node: Some(node) } => {
                write!(f, "client    no answer any more; {node}'s was the last")
            }
            Self::ClientAnswered {
                node,
                before,
                silent,
            } => {
                write!(
                    f,
                    "client    answered by {} after {} ms",
                    who(node),
                    silent.as_millis()
                )?;
                match before {
                    Some(before) if before != node.as_ref().unwrap_or(before) => {
                        write!(f, ", before by {before}")
                    }
                    _ => Ok(()),
                }
            }
            Self::Owners { vip, owners } => match owners.as_slice() {
                [] => write!(f, "wire      nobody speaks for {vip} any more"),
                [one] => write!(f, "wire      {one} speaks for {vip}"),
                several => write!(
                    f,
                    "wire      {} speak for {vip} AT ONCE",
                    several.join(" and ")
                ),
            },
        }
    }
}

/// The list.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Mutex<Vec<Entry>>,
    grown: Condvar,
}

impl Journal {
    /// Adds an event.
    pub fn add(&self, at: LabTime, event: Event) {
        self.lock().push(Entry { at, event });
        self.grown.notify_all();
    }

    /// Wakes whoever waits, to look again at something that is not in the list.
    pub fn nudge(&self) {
        self.grown.notify_all();
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events from the n-th on, in order of arrival.
    #[must_use]
    pub fn from(&self, index: usize) -> Vec<Entry> {
        self.lock().get(index..).unwrap_or_default().to_vec()
    }

    /// The first event from the n-th on that `look` makes something of. The list is locked
    /// meanwhile: `look` must not add to it, as most calls of a lab do.
    pub fn find<T>(&self, index: usize, look: impl FnMut(&Entry) -> Option<T>) -> Option<T> {
        self.lock()
            .get(index..)
            .unwrap_or_default()
            .iter()
            .find_map(look)
    }

    /// Waits until there are more than `seen` events, a nudge, or the deadline.
    pub fn wait(&self, seen: usize, deadline: Instant) {
        let entries = self.lock();
        if entries.len() > seen {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Whatever woke it, the caller looks for itself.
        drop(
            self.grown
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A panic elsewhere leaves the list whole: every push is one step.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
