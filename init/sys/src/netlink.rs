//! Netlink sockets: requests to rtnetlink, and the two streams of events that a node
//! follows (links and devices).
//!
//! Owns the sockets and the framing of `struct nlmsghdr`. What is inside a message is
//! its user's business.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::{Error, Result};

/// `NETLINK_ROUTE` is protocol 0, which is the default.
const ROUTE: Option<rustix::net::Protocol> = None;
const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP: u16 = 0x300;
/// Bytes of one datagram from the kernel: it fills at most this for a dump.
const DATAGRAM: usize = 32 * 1024;

fn open(
    protocol: Option<rustix::net::Protocol>,
    groups: u32,
    flags: SocketFlags,
) -> Result<OwnedFd> {
    let fd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags | SocketFlags::CLOEXEC,
        protocol,
    )?;
    rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
    Ok(fd)
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of one datagram; ends at the first that is cut or malformed.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Over a datagram from the kernel.
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Messages<'a> {
        Messages(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.0.first_chunk::<HEADER>()?;
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let payload = self.0.get(HEADER..len)?;
        let message = Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            payload,
        };
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    }
}

/// Requests to rtnetlink, one at a time. They take the kernel's RTNL lock and so may
/// wait for a NIC's driver: for helper processes only.
#[derive(Debug)]
pub struct Route {
    fd: OwnedFd,
    sequence: u32,
}

impl Route {
    /// Opens the socket; an answer that takes longer than `patience` is an error.
    ///
    /// # Errors
    /// What the calls say.
    pub fn open(patience: Duration) -> Result<Route> {
        let fd = open(ROUTE, 0, SocketFlags::empty())?;
        set_socket_timeout(&fd, Timeout::Recv, Some(patience))?;
        Ok(Route { fd, sequence: 0 })
    }

    /// Sends one request of type `kind` and waits for the kernel's acknowledgement.
    ///
    /// # Errors
    /// The kernel's errno for the request, or what the socket says.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<()> {
        self.exchange(kind, flags | NLM_F_ACK, payload)?;
        Ok(())
    }

    /// Asks for one thing and returns the kernel's answer.
    ///
    /// # Errors
    /// The kernel's errno for the request, or what the socket says.
    pub fn get(&mut self, kind: u16, payload: &[u8]) -> Result<Answer> {
        self.exchange(kind, 0, payload)?
            .ok_or_else(|| Error::from_raw_os_error(libc::EBADMSG))
    }

    /// Asks for all things of a kind and gives the payload of each to `each`.
    ///
    /// # Errors
    /// The kernel's errno for the request, or what the socket says.
    pub fn dump(&mut self, kind: u16, payload: &[u8], mut each: impl FnMut(&[u8])) -> Result<()> {
        self.send(kind, NLM_F_DUMP, payload)?;
        let mut datagram = vec![0; DATAGRAM];
        loop {
            for message in self.receive(&mut datagram)? {
                match message.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return verdict(&message),
                    _ => each(message.payload),
                }
            }
        }
    }

    fn exchange(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Option<Answer>> {
        self.send(kind, flags, payload)?;
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let Some(answer) = self.receive(&mut datagram)?.next() else {
                continue;
            };
            if answer.kind != NLMSG_ERROR {
                return Ok(Some(Answer {
                    kind: answer.kind,
                    payload: answer.payload.to_vec(),
                }));
            }
            return verdict(&answer).map(|()| None);
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let len = u32::try_from(HEADER + payload.len())
            .map_err(|_| Error::from_raw_os_error(libc::EMSGSIZE))?;
        let mut message = Vec::with_capacity(HEADER + payload.len());
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        message.extend_from_slice(payload);
        rustix::net::sendto(
            &self.fd,
            &message,
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )?;
        Ok(())
    }

    /// The next messages that answer the newest request. Others answer earlier requests
    /// that ran out of patience.
    fn receive<'a>(&self, datagram: &'a mut [u8]) -> Result<impl Iterator<Item = Message<'a>>> {
        let len = loop {
            match rustix::net::recv(&self.fd, &mut *datagram, RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?.0,
            }
        };
        let sequence = self.sequence;
        Ok(Messages::new(&datagram[..len]).filter(move |message| message.sequence == sequence))
    }
}

/// What an `NLMSG_ERROR` says: zero is the acknowledgement.
fn verdict(message: &Message<'_>) -> Result<()> {
    match message.payload.first_chunk::<4>() {
        Some(&[0, 0, 0, 0]) => Ok(()),
        Some(code) => Err(Error::from_raw_os_error(-i32::from_ne_bytes(*code))),
        None => Err(Error::from_raw_os_error(libc::EBADMSG)),
    }
}

/// What the kernel answered to [`Route::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    kind: u16,
    payload: Vec<u8>,
}

impl Answer {
    /// As a message.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        Message {
            kind: self.kind,
            sequence: 0,
            payload: &self.payload,
        }
    }
}

/// A stream of events from the kernel. Receiving takes no lock of anybody.
#[derive(Debug)]
pub struct Events {
    fd: OwnedFd,
}

impl Events {
    /// Changes of network links (`RTM_NEWLINK`, `RTM_DELLINK`).
    ///
    /// # Errors
    /// What the calls say.
    pub fn links() -> Result<Events> {
        const RTMGRP_LINK: u32 = 1;
        Ok(Events {
            fd: open(ROUTE, RTMGRP_LINK, SocketFlags::NONBLOCK)?,
        })
    }

    /// Devices that come and go (uevents). `buffer` bytes are kept for a reader that
    /// is busy; a coldplug makes hundreds of events at once.
    ///
    /// # Errors
    /// What the calls say.
    pub fn devices(buffer: usize) -> Result<Events> {
        const KERNEL_EVENTS: u32 = 1;
        let fd = open(
            Some(netlink::KOBJECT_UEVENT),
            KERNEL_EVENTS,
            SocketFlags::NONBLOCK,
        )?;
        set_socket_recv_buffer_size_force(&fd, buffer)?;
        Ok(Events { fd })
    }

    /// The next datagram.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `ENOBUFS` when events were lost: the reader
    /// must then look at the present state of things.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        let (len, _) = rustix::net::recv(&self.fd, buffer, RecvFlags::DONTWAIT)?;
        Ok(len)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_datagram_is_split_into_its_messages() {
        let mut datagram = message(16, b"abcde");
        datagram.extend(message(17, b""));
        let found: Vec<_> = Messages::new(&datagram)
            .map(|m| (m.kind, m.payload.to_vec()))
            .collect();
        assert_eq!(found, [(16, b"abcde".to_vec()), (17, Vec::new())]);
    }

    #[test]
    fn a_cut_or_lying_message_ends_the_datagram() {
        let whole = message(16, b"abcde");
        for end in 0..20 {
            assert_eq!(Messages::new(&whole[..end]).count(), 0, "cut at {end}");
        }
        assert_eq!(
            Messages::new(&[0; 64]).count(),
            0,
            "a length below the header's"
        );
    }

    #[test]
    fn the_kernel_refuses_an_unknown_link() {
        let mut route = Route::open(Duration::from_secs(5)).unwrap();
        let nowhere = u32::try_from(i32::MAX).unwrap();
        let error = route
            .get(crate::link::GET, &crate::link::of(nowhere))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
