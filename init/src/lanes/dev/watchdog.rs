//! The search for a watchdog.
//!
//! Owns the order of preference: a hardware watchdog with a driver of its own; one on
//! the management controller (IPMI); and only when the cluster file allows it, and after
//! waiting for the others, the kernel's software timer, which cannot outlive a dead
//! kernel. One that is found is opened, set and read back.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kodo_sys::Result;
use kodo_sys::process::{Give, Spawn};
use kodo_sys::root::Home;
use kodo_sys::seqpacket;
use kodo_sys::watchdog::Watchdog;

use crate::lanes::CHANNEL;
use crate::lanes::feeder;
use crate::lanes::index::Index;

/// How often a search looks again while nothing is found.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a look found.
pub(super) enum Found {
    /// Not yet anything.
    Nothing,
    /// A watchdog, counting. Through a helper when feeding it may wait: `descriptor` is
    /// then a channel to that helper.
    Device {
        name: String,
        granted: Duration,
        caused_last_reset: bool,
        through_helper: bool,
        descriptor: OwnedFd,
    },
    /// There is none, and why.
    None(String),
}

/// A search that has not ended.
pub(super) struct Search {
    timeout: Duration,
    softdog: bool,
    next: Duration,
    /// What was wrong with those found.
    troubles: Vec<String>,
    refused: Vec<PathBuf>,
}

impl Search {
    pub(super) fn new(timeout: Duration, softdog: bool) -> Search {
        Search {
            timeout,
            softdog,
            next: Duration::ZERO,
            troubles: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// How long until it wants to look again.
    pub(super) fn wake_in(&self, now: Duration) -> Option<Duration> {
        Some(self.next.saturating_sub(now))
    }

    /// Looks at what is there. `settled`: all drivers are loaded; `late`: that was a while ago.
    pub(super) fn look(
        &mut self,
        now: Duration,
        settled: bool,
        late: bool,
        index: &mut Index,
    ) -> Found {
        self.next = now + LOOK_AGAIN;
        for path in devices() {
            if self.refused.contains(&path) {
                continue;
            }
            match self.open(&path) {
                Ok(found) => return found,
                Err(error) => {
                    self.troubles.push(format!("{}: {error}", path.display()));
                    self.refused.push(path);
                }
            }
        }
        if settled && Path::new("/sys/class/ipmi").exists() {
            // Nothing asks for it by alias; it makes /dev/watchdog when there is a controller.
            let _ = index.load_with_dependencies("ipmi_watchdog");
        }
        if !late {
            return Found::Nothing;
        }
        if self.softdog {
            match index.load_with_dependencies("softdog") {
                Ok(true) => return Found::Nothing,
                Ok(false) => {}
                Err(error) => self.troubles.push(format!("softdog: {error}")),
            }
        }
        Found::None(if self.troubles.is_empty() {
            "no device".into()
        } else {
            self.troubles.join("; ")
        })
    }

    fn open(&self, path: &Path) -> Result<Found> {
        let watchdog = Watchdog::open(path)?;
        let name = watchdog.identity().unwrap_or_else(|_| "unnamed".into());
        let granted = watchdog.set_timeout(self.timeout)?;
        watchdog.feed()?;
        let caused_last_reset = watchdog.caused_last_reset().unwrap_or(false);
        let through_helper = name.starts_with("IPMI");
        let descriptor = if through_helper {
            helper(watchdog)?
        } else {
            watchdog.into_fd()
        };
        Ok(Found::Device {
            name,
            granted,
            caused_last_reset,
            through_helper,
            descriptor,
        })
    }
}

/// The watchdogs of the kernel's own framework, then the device of a driver beside it.
fn devices() -> Vec<PathBuf> {
    let mut names: Vec<_> = super::children(Path::new("/sys/class/watchdog"))
        .iter()
        .filter_map(|path| Some(Path::new("/dev").join(path.file_name()?)))
        .collect();
    names.sort();
    let legacy = PathBuf::from("/dev/watchdog");
    if names.is_empty() && legacy.exists() {
        names.push(legacy);
    }
    names
}

/// Starts a process that feeds a slow watchdog each time PID 1 says so.
fn helper(watchdog: Watchdog) -> Result<OwnedFd> {
    let (ours, theirs) = seqpacket::pair()?;
    let device = watchdog.into_fd();
    let child = Spawn {
        program: Path::new("/proc/self/exe"),
        arguments: &["init".to_owned(), feeder::NAME.to_owned()],
        environment: &[],
        directory: Path::new("/"),
        home: Home::Ours,
        give: &[
            Give {
                number: CHANNEL,
                descriptor: theirs.as_fd(),
            },
            Give {
                number: feeder::DEVICE,
                descriptor: device.as_fd(),
            },
        ],
        cgroup: None,
        confinement: None,
        oom_score: -1000,
        die_with_parent: false,
    }
    .start()?;
    // It ends with PID 1; if it ends earlier, the watchdog is no longer fed.
    drop(child);
    Ok(ours.into())
}
