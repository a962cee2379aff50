//! Whole Ethernet frames in and out of one NIC.
//!
//! Owns `AF_PACKET` sockets: opening one (for the net lane: joining a multicast group
//! takes the kernel's RTNL lock) and using one (for PID 1: takes no such lock).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};

use crate::{Result, check, filter};

/// A packet socket bound to one NIC.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

pub(crate) fn option<T>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: `value` is a plain C structure or integer of `len` bytes that the call only reads.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const *value).cast(), len)
    })?;
    Ok(())
}

/// Puts a filter before a socket: what it refuses was never there.
pub(crate) fn attach(fd: &OwnedFd, program: &mut [filter::Instruction]) -> Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

impl PacketSocket {
    /// Opens a socket for the heartbeats of `ethertype` and the answers to UDP port
    /// `answers` on NIC `index`, deaf to what is not for PID 1 (see [`crate::filter`]) and
    /// to what this machine sends; it also hears `group`. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// What the calls say; `ENODEV` when the NIC is gone.
    pub fn open(index: u32, ethertype: u16, answers: u16, group: [u8; 6]) -> Result<PacketSocket> {
        // Protocol 0: nothing arrives before the filter is in place.
        // SAFETY: plain integers; the result is checked.
        let fd = check(unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        })?;
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };

        attach(&fd, &mut filter::heartbeat(ethertype, answers))?;
        option(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        // Heartbeats leave in front of the service's bulk traffic.
        option(&fd, libc::SOL_SOCKET, libc::SO_PRIORITY, &7i32)?;

        // SAFETY: sockaddr_ll is plain data; all zero is a valid value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
        address.sll_ifindex = i32::try_from(index).unwrap_or(0);
        let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
        // SAFETY: `address` is a sockaddr_ll of `len` bytes that the call only reads.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) })?;

        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&group);
        let membership = libc::packet_mreq {
            mr_ifindex: address.sll_ifindex,
            mr_type: u16::try_from(libc::PACKET_MR_MULTICAST).unwrap_or(0),
            mr_alen: 6,
            mr_address: bytes,
        };
        option(
            &fd,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &membership,
        )?;
        Ok(PacketSocket { fd })
    }

    /// Takes over a socket that another process opened.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> PacketSocket {
        PacketSocket { fd }
    }

    /// The hardware address of the NIC that it is bound to.
    ///
    /// # Errors
    /// What `getsockname` says.
    pub fn hardware_address(&self) -> Result<[u8; 6]> {
        // SAFETY: sockaddr_ll is plain data; all zero is a valid value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut len = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
        // SAFETY: `address` has room for `len` bytes.
        check(unsafe {
            libc::getsockname(self.fd.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
        })?;
        let [a, b, c, d, e, f, ..] = address.sll_addr;
        Ok([a, b, c, d, e, f])
    }

    /// The next frame, cut to `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `ENETDOWN` once after the NIC went down.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        let (len, _) = rustix::net::recv(&self.fd, buffer, RecvFlags::DONTWAIT)?;
        Ok(len)
    }

    /// Sends a whole frame, or not at all.
    ///
    /// # Errors
    /// `WouldBlock` or `ENOBUFS` when the queue is full; `ENETDOWN` and `ENXIO` when
    /// the NIC is down or gone.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        rustix::net::send(&self.fd, frame, SendFlags::DONTWAIT)?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> OwnedFd {
        socket.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const TYPE: u16 = 0x88b5;
    const ANSWERS: u16 = 5581;
    const GROUP: [u8; 6] = [0x03, 0x6b, 0x6f, 0x64, 0x6f, 0x00];

    fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// What arrives of `frames` sent on the loopback of a network of our own, where each
    /// frame sent is also received.
    fn admitted(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let frames = frames.to_vec();
        // In a thread, so that the test's other threads keep their network.
        std::thread::spawn(move || {
            crate::process::new_network().unwrap();
            let mut route = crate::netlink::Route::open(std::time::Duration::from_secs(5)).unwrap();
            route
                .request(crate::link::SET, 0, &crate::link::up(1))
                .unwrap();
            let ours = PacketSocket::open(1, TYPE, ANSWERS, GROUP).unwrap();
            let sender = PacketSocket::open(1, TYPE, ANSWERS, GROUP).unwrap();
            for frame in frames {
                sender.send(&frame).unwrap();
            }
            let mut seen = Vec::new();
            let mut buffer = [0; 2048];
            while let Ok(len) = ours.receive(&mut buffer) {
                seen.push(buffer[..len].to_vec());
            }
            seen
        })
        .join()
        .unwrap()
    }

    #[test]
    fn only_what_is_for_pid_1_wakes_it() {
        if !crate::process::is_root() {
            return;
        }
        let ipv4 = |protocol: u8, fragment: u16, kind: u8| {
            let mut packet = [0; 40];
            packet[0] = 0x45;
            packet[6..8].copy_from_slice(&fragment.to_be_bytes());
            packet[9] = protocol;
            packet[20] = kind;
            frame(0x0800, &packet)
        };
        let ipv6 = |next: u8, kind: u8| {
            let mut packet = [0; 60];
            packet[0] = 0x60;
            packet[6] = next;
            packet[40] = kind;
            frame(0x86dd, &packet)
        };
        let udp4 = |to: u16, fragment: u16| {
            let mut packet = [0; 40];
            packet[0] = 0x46; // with an option
            packet[6..8].copy_from_slice(&fragment.to_be_bytes());
            packet[9] = 17;
            packet[26..28].copy_from_slice(&to.to_be_bytes());
            frame(0x0800, &packet)
        };
        let udp6 = |to: u16| {
            let mut packet = [0; 60];
            packet[0] = 0x60;
            packet[6] = 17;
            packet[42..44].copy_from_slice(&to.to_be_bytes());
            frame(0x86dd, &packet)
        };
        let wanted = [
            frame(TYPE, b"heartbeat"),
            frame(0x0806, &[0; 28]),
            ipv4(1, 0, 0),
            ipv6(58, 129),
            ipv6(58, 135),
            ipv6(58, 136),
            udp4(ANSWERS, 0),
            udp6(ANSWERS),
        ];
        let unwanted = [
            frame(0x88b6, b"somebody else"),
            ipv4(6, 0, 0),
            ipv4(1, 0, 8),
            ipv4(1, 4, 0),
            ipv6(6, 129),
            ipv6(58, 128),
            ipv6(58, 134),
            udp4(ANSWERS + 1, 0),
            udp4(ANSWERS, 4),
            udp6(ANSWERS + 1),
        ];
        let all: Vec<_> = unwanted
            .iter()
            .chain(&wanted)
            .chain(&unwanted)
            .cloned()
            .collect();
        assert_eq!(admitted(&all), wanted);
    }

    #[test]
    fn a_socket_is_bound_to_its_nic() {
        if !crate::process::is_root() {
            return;
        }
        assert_eq!(
            PacketSocket::open(u32::MAX >> 1, TYPE, ANSWERS, GROUP)
                .unwrap_err()
                .raw_os_error(),
            Some(libc::ENODEV)
        );
        // Not a packet socket: the option is refused, not ignored.
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(
            option(
                &OwnedFd::from(udp),
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                &1i32
            )
            .is_err()
        );
    }
}
