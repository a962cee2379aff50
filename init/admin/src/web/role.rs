//! The role of a promotable instance, and how it is told.
//!
//! The service's hook (`init web-role WORD`, run by the node as this service's user) and
//! the server share a socket pair that nobody else has: the hook sends the new role, the
//! server takes it and sends it back, and only then the hook ends well. A hook that finds
//! no server, or another answer, fails.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::channel::Channel;

/// Longer than any message.
const MESSAGE: usize = 32;

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The promoted one.
    Promoted,
    /// An ordinary one.
    Unpromoted,
}

impl Role {
    /// As it is told, and shown to clients.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Promoted => "promoted",
            Role::Unpromoted => "unpromoted",
        }
    }

    /// The role that a word means.
    #[must_use]
    pub fn of(word: &str) -> Option<Role> {
        let all = [Role::Promoted, Role::Unpromoted];
        all.into_iter().find(|role| role.word() == word)
    }
}

/// The role of this instance at present; an ordinary one until told otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Present(Arc<AtomicBool>);

impl Present {
    pub(super) fn get(&self) -> Role {
        match self.0.load(Ordering::Relaxed) {
            true => Role::Promoted,
            false => Role::Unpromoted,
        }
    }

    /// Takes what hooks say, until the node closes its end.
    pub(super) async fn listen(self, channel: Channel) {
        let mut buffer = [0; MESSAGE];
        while let Ok(Some(word)) = channel.recv(&mut buffer).await {
            let role = std::str::from_utf8(word).ok().and_then(Role::of);
            let Some(role) = role else { continue };
            self.0.store(role == Role::Promoted, Ordering::Relaxed);
            if channel.send(role.word().as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The hook: tells the server at the other end of `fd` its role and waits until it took it.
/// The node bounds that wait.
///
/// # Errors
/// When the server is gone or answers something else.
pub fn tell(fd: OwnedFd, role: Role) -> io::Result<()> {
    let socket = UnixDatagram::from(fd);
    socket.set_nonblocking(false)?;
    socket.send(role.word().as_bytes())?;
    let mut buffer = [0; MESSAGE];
    let length = socket.recv(&mut buffer)?;
    match buffer[..length] == *role.word().as_bytes() {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
