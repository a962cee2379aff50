//! One end of a `SOCK_SEQPACKET` socketpair, for tokio.
//!
//! Owns the descriptor and the message boundaries; knows nothing of what is inside.
//! tokio has no type of that name, but `send` and `recv` are the same calls on every
//! connected Unix socket that keeps boundaries, so its datagram socket carries it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use kodo_sys::seqpacket;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A connected, message-preserving socket.
#[derive(Debug)]
pub(crate) struct Channel(UnixDatagram);

impl Channel {
    /// Takes the descriptor over and makes it non-blocking. Needs a tokio runtime.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Channel> {
        let socket = std::os::unix::net::UnixDatagram::from(fd);
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket).map(Channel)
    }

    /// Waits for one datagram. `None`: the other end is gone. One that fills the buffer
    /// may have been cut and counts as empty, which decodes to nothing.
    pub(crate) async fn recv<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        loop {
            match self.0.recv(buffer).await {
                Ok(0) => return Ok(None),
                Ok(length) if length == buffer.len() => return Ok(Some(&[])),
                Ok(length) => return Ok(Some(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends one datagram, and a descriptor with it; waits while the other end is behind.
    pub(crate) async fn send_with(&self, datagram: &[u8], descriptor: &OwnedFd) -> io::Result<()> {
        self.0
            .async_io(Interest::WRITABLE, || {
                seqpacket::send(self.0.as_fd(), datagram, descriptor.as_fd())
            })
            .await
    }

    /// Sends one datagram; waits while the other end is behind.
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.0.send(datagram).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
