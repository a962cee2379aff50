//! PID 1's end of a lane.
//!
//! Owns its start and the channel. Requests wait in the channel, which the
//! kernel bounds; a lane works on them in order. One that does not keep up makes sending
//! fail at once, and the node hears that as a failed action.

use std::os::fd::OwnedFd;
use std::path::Path;

use kodo_sys::process::{Give, Spawn};
use kodo_sys::root::Home;
use kodo_sys::seqpacket::{self, Channel};
use kodo_sys::{AsFd, BorrowedFd, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lanes::CHANNEL;
use crate::wire::{self, MESSAGE};

/// A running lane.
#[derive(Debug)]
pub(crate) struct Lane {
    name: &'static str,
    channel: Channel,
    pid: i32,
}

/// What became of looking for a message.
pub(super) enum Heard<T> {
    /// One message.
    Message(T, Option<OwnedFd>),
    /// None there.
    Nothing,
    /// The other end is gone.
    Gone,
    /// It said something that is no message.
    Nonsense,
}

impl Lane {
    /// Starts this binary as the lane `name`.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn start(name: &'static str) -> Result<Lane> {
        let (ours, theirs) = seqpacket::pair()?;
        let mut give = vec![Give {
            number: CHANNEL,
            descriptor: theirs.as_fd(),
        }];
        let kernel_log = std::fs::OpenOptions::new().write(true).open("/dev/kmsg");
        if let Ok(kernel_log) = &kernel_log {
            // Its last words, should it panic.
            give.push(Give {
                number: 2,
                descriptor: kernel_log.as_fd(),
            });
        }
        let process = Spawn {
            program: Path::new("/proc/self/exe"),
            arguments: &["init".to_owned(), name.to_owned()],
            environment: &[],
            directory: Path::new("/"),
            home: Home::Ours,
            give: &give,
            cgroup: None,
            confinement: None,
            oom_score: -1000,
            die_with_parent: true,
        }
        .start()?;
        Ok(Lane {
            name,
            channel: ours,
            pid: process.pid,
        })
    }

    /// Over any channel, without a process.
    #[cfg(test)]
    pub(super) fn over(name: &'static str, channel: Channel) -> Lane {
        Lane {
            name,
            channel,
            pid: 0,
        }
    }

    /// As it is started.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this process is the lane.
    pub(super) fn is(&self, pid: i32) -> bool {
        self.pid == pid
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the lane does not keep up or is gone.
    pub(crate) fn send<T: Serialize>(
        &self,
        message: &T,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        send(&self.channel, message, descriptor)
    }

    /// The next message.
    pub(super) fn receive<T: DeserializeOwned>(&self, buffer: &mut [u8]) -> Heard<T> {
        receive(&self.channel, buffer)
    }

    /// The next message, waiting for it up to `limit`: for boot, before the loop.
    pub(crate) fn receive_within<T: DeserializeOwned>(
        &self,
        buffer: &mut [u8],
        limit: std::time::Duration,
    ) -> Option<(T, Option<OwnedFd>)> {
        let poller = kodo_sys::poll::Poller::new().ok()?;
        poller
            .add(&self.channel, 0, kodo_sys::poll::Interest::Read)
            .ok()?;
        poller
            .wait(&mut kodo_sys::poll::Ready::new(), Some(limit))
            .ok()?;
        match self.receive(buffer) {
            Heard::Message(message, descriptor) => Some((message, descriptor)),
            _ => None,
        }
    }
}

impl AsFd for Lane {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Sends a message without waiting.
pub(super) fn send<T: Serialize>(
    channel: &Channel,
    message: &T,
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut buffer = [0; MESSAGE];
    let bytes = wire::encode(message, &mut buffer)?;
    channel.send(bytes, descriptor)
}

/// Looks for a message without waiting.
pub(super) fn receive<T: DeserializeOwned>(channel: &Channel, buffer: &mut [u8]) -> Heard<T> {
    match channel.receive(buffer) {
        Ok(received) if received.len == 0 => Heard::Gone,
        Ok(received) => match wire::decode(&buffer[..received.len]) {
            Ok(message) => Heard::Message(message, received.descriptor),
            Err(_) => Heard::Nonsense,
        },
        Err(error) if kodo_sys::would_block(&error) => Heard::Nothing,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Heard::Gone,
        Err(_) => Heard::Nonsense,
    }
}
