//! A cable in a network of the caller's own, for tests and benches: at one end a node's port
//! with its addresses, answered for by the kernel; at the other a plug, from which the caller
//! speaks and listens.
//!
//! Owns a pair of virtual NICs in the calling thread's network, which should be a new one
//! ([`crate::process::new_network`]). Needs CAP_NET_ADMIN and CAP_NET_RAW.

use std::ffi::CStr;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use crate::netlink::Route;
use crate::packet::option;
use crate::{Error, Result, check, link};

const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const CREATE: u16 = 0x400;
const PORT: &CStr = c"port";
const PLUG: &CStr = c"plug";
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(200);

/// The cable.
#[derive(Debug)]
pub struct Wire {
    plug: OwnedFd,
    nic: u32,
}

/// A netlink attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `ip link add port type veth peer name plug`
fn add_pair(route: &mut Route) -> Result<()> {
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const VETH_INFO_PEER: u16 = 1;
    let named = |name: &CStr| {
        let mut link = vec![0; 16];
        link.extend(attribute(IFLA_IFNAME, name.to_bytes_with_nul()));
        link
    };
    let peer = attribute(VETH_INFO_PEER, &named(PLUG));
    let mut info = attribute(IFLA_INFO_KIND, b"veth");
    info.extend(attribute(IFLA_INFO_DATA, &peer));
    let mut request = named(PORT);
    request.extend(attribute(IFLA_LINKINFO, &info));
    route.request(link::SET, CREATE, &request)
}

/// `ip address add … nodad`
fn add_address(route: &mut Route, nic: u32, address: IpAddr, prefix: u8) -> Result<()> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const NO_DAD: u8 = 2;
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let mut request = vec![u8::try_from(family).unwrap_or(0), prefix, NO_DAD, 0];
    request.extend(nic.to_ne_bytes());
    request.extend(attribute(IFA_LOCAL, &octets));
    request.extend(attribute(IFA_ADDRESS, &octets));
    route.request(RTM_NEWADDR, CREATE, &request)
}

fn index(name: &CStr) -> Result<u32> {
    // SAFETY: a string with its end, which the call only reads.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(Error::last_os_error()),
        index => Ok(index),
    }
}

/// A packet socket that sees and sends everything.
fn open(nic: u32) -> Result<OwnedFd> {
    // Protocol 0: nothing arrives before it is bound.
    // SAFETY: plain integers; the result is checked.
    let fd =
        check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_ll is plain data; all zero is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap_or(0);
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
    address.sll_ifindex = i32::try_from(nic).unwrap_or(0);
    let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
    // SAFETY: `address` is a sockaddr_ll of `len` bytes that the call only reads.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) })?;
    // What the plug itself sends is not what it sees.
    option(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
    Ok(fd)
}

impl Wire {
    /// Lays the cable, its port with these addresses and both ends up.
    ///
    /// # Errors
    /// What the calls say; `EOPNOTSUPP` of a kernel that makes no virtual NICs.
    pub fn new(addresses: &[(IpAddr, u8)]) -> Result<Wire> {
        let mut route = Route::open(PATIENCE)?;
        add_pair(&mut route)?;
        // The plug is a cable's end and not a host.
        std::fs::write("/proc/sys/net/ipv6/conf/plug/disable_ipv6", "1")?;
        let (nic, plug) = (index(PORT)?, index(PLUG)?);
        for end in [plug, nic] {
            route.request(link::SET, 0, &link::up(end))?;
        }
        for (address, prefix) in addresses {
            add_address(&mut route, nic, *address, *prefix)?;
        }
        let plug = open(plug)?;
        Ok(Wire { plug, nic })
    }

    /// The node's port.
    #[must_use]
    pub fn nic(&self) -> u32 {
        self.nic
    }

    /// The port goes away for good.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unplug(&self) -> Result<()> {
        Route::open(PATIENCE)?.request(RTM_DELLINK, 0, &link::of(self.nic))
    }

    /// A frame from the plug to the port.
    ///
    /// # Errors
    /// What the call says.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        rustix::net::send(&self.plug, frame, SendFlags::empty())?;
        Ok(())
    }

    /// The next frame that has left the port; `None` when there is none yet.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let (len, _) = rustix::net::recv(&self.plug, &mut *buffer, RecvFlags::DONTWAIT).ok()?;
        Some(&buffer[..len])
    }

    /// What leaves the port until this frame does, at most for so long.
    pub fn listen(&self, patience: Duration, last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let end = Instant::now() + patience;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut buffer = [0; 2048];
        while Instant::now() < end && !seen.last().is_some_and(|frame| last(frame)) {
            match self.receive(&mut buffer) {
                Some(frame) => seen.push(frame.to_vec()),
                None => std::thread::sleep(PAUSE),
            }
        }
        seen
    }
}
