//! A UDP port that is taken and never read.
//!
//! Owns one kind of socket. PID 1 hears answers to its own datagrams on packet sockets,
//! past the kernel's IP stack; the kernel, which sees them too, would tell the sender
//! that nobody listens there. While such a socket lives it drops them without a word.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Ipv4Addr, Ipv6Addr, SocketAddr, SocketFlags, SocketType};
use rustix::net::{bind, socket_with, sockopt};

use crate::packet::attach;
use crate::{Result, filter};

/// Takes `port` on every address of both families for as long as the result lives.
///
/// # Errors
/// `EADDRINUSE` when somebody else has it; what the calls say.
pub fn hold(port: u16) -> Result<OwnedFd> {
    let family = |family, address: SocketAddr| -> Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(family, SocketType::DGRAM, flags, None)?;
        if family == AddressFamily::INET6 {
            sockopt::set_ipv6_v6only(&fd, false)?;
        }
        // In place before the first datagram can arrive, so nothing ever waits here.
        attach(&fd, &mut filter::nothing())?;
        bind(&fd, &address)?;
        Ok(fd)
    };
    let both = family(
        AddressFamily::INET6,
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    );
    match both.as_ref().map_err(std::io::Error::raw_os_error) {
        // A kernel without IPv6.
        Err(Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) => family(
            AddressFamily::INET,
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        ),
        _ => both,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// What a sender learns of its datagrams to `port`.
    fn complaint(host: &str, port: u16) -> ErrorKind {
        let sender = UdpSocket::bind((host, 0)).unwrap();
        sender.connect((host, port)).unwrap();
        sender
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        sender.send(b"answer").unwrap();
        sender.recv(&mut [0; 16]).unwrap_err().kind()
    }

    #[test]
    fn a_held_port_neither_answers_nor_complains() {
        let held = UdpSocket::from(hold(0).unwrap());
        let port = held.local_addr().unwrap().port();
        assert_eq!(complaint("127.0.0.1", port), ErrorKind::WouldBlock);
        held.set_nonblocking(true).unwrap();
        let read = held.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock, "nothing waits there");
        assert_eq!(
            hold(port).unwrap_err().kind(),
            ErrorKind::AddrInUse,
            "it is taken"
        );
        drop(held);
        assert_eq!(complaint("127.0.0.1", port), ErrorKind::ConnectionRefused);
    }
}
