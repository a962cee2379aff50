//! Message channels between PID 1 and its helper processes.
//!
//! Owns a connected pair of `SOCK_SEQPACKET` unix sockets: every message arrives
//! whole or not at all, in order, and may carry descriptors (`SCM_RIGHTS`). The end of
//! the other process shows as an empty message.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::{Error, Result};

/// Descriptors that one message may carry.
pub const DESCRIPTORS: usize = 1;

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// A message that arrived.
#[derive(Debug)]
pub struct Received {
    /// Its length; 0 when the other end is gone.
    pub len: usize,
    /// The descriptor that came along.
    pub descriptor: Option<OwnedFd>,
}

/// A connected pair, both ends blocking and close-on-exec.
///
/// # Errors
/// What `socketpair` says.
pub fn pair() -> Result<(Channel, Channel)> {
    let (a, b) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok((Channel { fd: a }, Channel { fd: b }))
}

impl Channel {
    /// Takes over an end that was inherited.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Channel {
        Channel { fd }
    }

    /// Sends one message without waiting, and without SIGPIPE.
    ///
    /// # Errors
    /// `WouldBlock` when the other end does not keep up; `EPIPE` when it is gone.
    pub fn send(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        self.send_with(
            message,
            descriptor,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )
    }

    /// Sends one message, waiting for room. For helper processes only.
    ///
    /// # Errors
    /// `EPIPE` when the other end is gone.
    pub fn send_waiting(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        self.send_with(message, descriptor, SendFlags::NOSIGNAL)
    }

    fn send_with(
        &self,
        message: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        flags: SendFlags,
    ) -> Result<()> {
        send_on(self.fd.as_fd(), message, descriptor, flags)
    }

    /// Receives one message without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `EMSGSIZE` when it is larger than `buffer`
    /// (it is then lost, and so is a descriptor that came along).
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_with(buffer, RecvFlags::DONTWAIT)
    }

    /// Receives one message, waiting for it. For helper processes only.
    ///
    /// # Errors
    /// As [`Channel::receive`], without `WouldBlock`.
    pub fn receive_waiting(&self, buffer: &mut [u8]) -> Result<Received> {
        self.receive_with(buffer, RecvFlags::empty())
    }

    fn receive_with(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = loop {
            match rustix::net::recvmsg(
                &self.fd,
                &mut [IoSliceMut::new(buffer)],
                &mut control,
                flags | RecvFlags::CMSG_CLOEXEC,
            ) {
                Ok(message) => break message,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let mut descriptor = None;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                descriptor = descriptors.last();
            }
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Err(Error::from_raw_os_error(libc::EMSGSIZE));
        }
        Ok(Received {
            len: message.bytes,
            descriptor,
        })
    }
}

/// Sends one message with a descriptor on any end of a pair, without waiting.
///
/// # Errors
/// As [`Channel::send`].
pub fn send(channel: BorrowedFd<'_>, message: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    send_on(channel, message, Some(descriptor), flags)
}

fn send_on(
    channel: BorrowedFd<'_>,
    message: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: [BorrowedFd<'_>; 1];
    if let Some(descriptor) = descriptor {
        descriptors = [descriptor];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Error::from(ErrorKind::InvalidInput));
        }
    }
    rustix::net::sendmsg(channel, &[IoSlice::new(message)], &mut control, flags)?;
    Ok(())
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_bounds_and_carry_descriptors() {
        let (a, b) = pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        a.send(b"one", Some(null.as_fd())).unwrap();
        a.send(b"two", None).unwrap();
        let mut buffer = [0; 8];
        let first = b.receive(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..first.len], first.descriptor.is_some()),
            (&b"one"[..], true)
        );
        let second = b.receive(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..second.len], second.descriptor.is_some()),
            (&b"two"[..], false)
        );
        assert!(crate::would_block(&b.receive(&mut buffer).unwrap_err()));
        drop(a);
        assert_eq!(b.receive(&mut buffer).unwrap().len, 0);
    }

    #[test]
    fn a_message_too_large_is_an_error_and_the_next_one_arrives() {
        let (a, b) = pair().unwrap();
        a.send(&[1; 16], None).unwrap();
        a.send(&[2; 4], None).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(
            b.receive(&mut buffer).unwrap_err().raw_os_error(),
            Some(libc::EMSGSIZE)
        );
        assert_eq!(b.receive(&mut buffer).unwrap().len, 4);
    }

    #[test]
    fn a_full_channel_refuses_instead_of_waiting() {
        let (a, _b) = pair().unwrap();
        let refused = (0..10_000)
            .find_map(|_| a.send(&[0; 1024], None).err())
            .unwrap();
        assert!(crate::would_block(&refused));
    }
}
