//! The privileged helper processes: what may have to wait, so that PID 1 never does.
//!
//! Owns the common part: each lane is this same binary, started by PID 1 with one end of
//! a channel as descriptor 3. A lane ends when PID 1's end is gone, and PID 1 resets the
//! machine when a lane ends: without it nothing can be stopped any more. Except for the
//! disk lane, on which nothing depends.

pub(crate) mod dev;
pub(crate) mod disk;
pub(crate) mod feeder;
mod index;
pub(crate) mod net;
pub(crate) mod svc;
mod uevent;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use kodo_sys::seqpacket::Channel;
use kodo_sys::{AsFd, BorrowedFd, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{self, MESSAGE};

/// The descriptor number at which every helper and child finds its channel.
pub(crate) const CHANNEL: i32 = 3;

/// Real-time priority of the lanes that a release waits for; below PID 1's.
pub(crate) const PRIORITY: u8 = 10;

/// Of those that reap whatever ends below this process, one at a time runs in a test.
#[cfg(test)]
pub(crate) static REAPING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// The entries of a directory; none when it is not there.
fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// A lane's end of its channel.
pub(crate) struct Link {
    channel: Channel,
    buffer: Vec<u8>,
}

impl Link {
    /// Takes over the inherited channel.
    pub(crate) fn inherit(name: &str) -> Result<Link> {
        kodo_sys::process::set_name(name);
        let name = name.to_owned();
        // Standard error is the kernel's log, where this shows on the console.
        std::panic::set_hook(Box::new(move |info| eprintln!("<3>kodo: {name}: {info}")));
        Ok(Link::new(Channel::from_fd(kodo_sys::process::inherited(
            CHANNEL,
        )?)))
    }

    /// Over any channel.
    pub(crate) fn new(channel: Channel) -> Link {
        Link {
            channel,
            buffer: vec![0; MESSAGE],
        }
    }

    /// The channel itself.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.channel.into()
    }

    /// The next message and its descriptor, waiting for it; `None` when PID 1 is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Option<OwnedFd>)>> {
        let received = self.channel.receive_waiting(&mut self.buffer)?;
        if received.len == 0 {
            return Ok(None);
        }
        Ok(Some((
            wire::decode(&self.buffer[..received.len])?,
            received.descriptor,
        )))
    }

    /// Sends a message, waiting for room.
    pub(crate) fn send<T: Serialize>(
        &mut self,
        message: &T,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        let bytes = wire::encode(message, &mut self.buffer)?;
        self.channel.send_waiting(bytes, descriptor)
    }

    /// Sends a message that may be lost when PID 1 does not keep up. True when it went out.
    pub(crate) fn offer<T: Serialize>(&mut self, message: &T) -> bool {
        wire::encode(message, &mut self.buffer)
            .is_ok_and(|bytes| self.channel.send(bytes, None).is_ok())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
