//! epoll with a fixed number of events per wait.
//!
//! Owns readiness and nothing else; level-triggered, so that reading one message per
//! wake-up from each source is fair and loses nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::Result;

/// Events taken from the kernel per wait.
pub const EVENTS: usize = 16;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Read,
    /// Nothing but the other end's going.
    Nothing,
    /// Something to read, or room to write.
    ReadWrite,
    /// An exceptional condition: how cgroup files announce a change.
    Priority,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Nothing => EventFlags::empty(),
            Interest::ReadWrite => EventFlags::IN | EventFlags::OUT,
            Interest::Priority => EventFlags::PRI,
        }
    }
}

/// One source is ready.
#[derive(Clone, Copy, Debug)]
pub struct Wake {
    /// The number it was added with.
    pub key: u64,
    /// There is something to read (or an exceptional condition that was asked for).
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// The other end is gone, or the descriptor is in error.
    pub gone: bool,
}

/// Room for the events of one wait. Reused; never allocates.
pub struct Ready {
    events: [Event; EVENTS],
    len: usize,
}

impl Ready {
    /// Empty.
    #[must_use]
    pub fn new() -> Ready {
        Ready {
            events: [Event {
                flags: EventFlags::empty(),
                data: EventData::new_u64(0),
            }; EVENTS],
            len: 0,
        }
    }

    /// The sources found ready by the last wait.
    pub fn iter(&self) -> impl Iterator<Item = Wake> + '_ {
        self.events[..self.len].iter().map(|event| {
            // Copied out: the kernel's structure is packed.
            let (flags, data) = (event.flags, event.data);
            Wake {
                key: data.u64(),
                read: flags.intersects(EventFlags::IN | EventFlags::PRI),
                write: flags.contains(EventFlags::OUT),
                gone: flags.intersects(EventFlags::HUP | EventFlags::ERR),
            }
        })
    }

    /// The `index`-th source found ready by the last wait.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Wake> {
        self.iter().nth(index)
    }
}

impl Default for Ready {
    fn default() -> Self {
        Ready::new()
    }
}

impl core::fmt::Debug for Ready {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The set of sources.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
}

impl Poller {
    /// Empty.
    ///
    /// # Errors
    /// What `epoll_create1` says.
    pub fn new() -> Result<Poller> {
        Ok(Poller {
            fd: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches `source`; its wake-ups carry `key`.
    ///
    /// # Errors
    /// What `epoll_ctl` says.
    pub fn add(&self, source: impl AsFd, key: u64, interest: Interest) -> Result<()> {
        Ok(epoll::add(
            &self.fd,
            source,
            EventData::new_u64(key),
            interest.flags(),
        )?)
    }

    /// Changes what is waited for.
    ///
    /// # Errors
    /// What `epoll_ctl` says.
    pub fn modify(&self, source: impl AsFd, key: u64, interest: Interest) -> Result<()> {
        Ok(epoll::modify(
            &self.fd,
            source,
            EventData::new_u64(key),
            interest.flags(),
        )?)
    }

    /// Stops watching `source`. Closing a descriptor does so only when no copy of it is left.
    ///
    /// # Errors
    /// What `epoll_ctl` says.
    pub fn remove(&self, source: impl AsFd) -> Result<()> {
        Ok(epoll::delete(&self.fd, source)?)
    }

    /// Waits until a source is ready, or for `timeout` (`None`: for ever). An
    /// interrupting signal ends the wait with no event.
    ///
    /// # Errors
    /// What `epoll_wait` says.
    pub fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> Result<()> {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        ready.len = 0;
        match epoll::wait(&self.fd, &mut ready.events[..], timeout.as_ref()) {
            Ok(len) => ready.len = len,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
