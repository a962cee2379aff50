//! A cable in a network of the test's own: at one end a node's port with its addresses, at
//! the other a plug from which the test speaks and listens.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use super::frames::{CLIENT4, STATIC4, STATIC6, VIP4, VIP6, arp, speaks_for};
use crate::netlink::Route;
use crate::packet::{PacketSocket, option};
use crate::{Result, link};

const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const CREATE: u16 = 0x400;
const PORT: &core::ffi::CStr = c"port";
const PLUG: &core::ffi::CStr = c"plug";
/// For an answer that must come.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one that may have been overtaken.
const STRAGGLERS: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(super) struct Wire {
    plug: OwnedFd,
    nic: u32,
}

/// A netlink attribute.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
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
    let named = |name: &core::ffi::CStr| {
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
    let mut request = vec![u8::try_from(family).unwrap(), prefix, NO_DAD, 0];
    request.extend(nic.to_ne_bytes());
    request.extend(attribute(IFA_LOCAL, &octets));
    request.extend(attribute(IFA_ADDRESS, &octets));
    route.request(RTM_NEWADDR, CREATE, &request)
}

fn index(name: &core::ffi::CStr) -> u32 {
    // SAFETY: a string with its end, which the call only reads.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// A packet socket that sees and sends everything.
fn open(nic: u32) -> OwnedFd {
    // Protocol 0: nothing arrives before it is bound.
    // SAFETY: plain integers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0);
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_ll is plain data; all zero is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
    address.sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
    address.sll_ifindex = i32::try_from(nic).unwrap();
    let len = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
    // SAFETY: `address` is a sockaddr_ll of `len` bytes that the call only reads.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
    assert_eq!(bound, 0);
    // What the plug itself sends is not what it sees.
    option(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32).unwrap();
    fd
}

impl Wire {
    /// Both ends up, in the calling thread's network; `None` where the kernel has no veth.
    pub(super) fn new() -> Option<Wire> {
        let mut route = Route::open(PATIENCE).unwrap();
        if let Err(error) = add_pair(&mut route) {
            eprintln!("not tested: this kernel makes no pair of virtual NICs: {error}");
            return None;
        }
        // The plug is a cable's end and not a host.
        std::fs::write("/proc/sys/net/ipv6/conf/plug/disable_ipv6", "1").unwrap();
        let (nic, plug) = (index(PORT), index(PLUG));
        for end in [plug, nic] {
            route.request(link::SET, 0, &link::up(end)).unwrap();
        }
        let addresses: [(IpAddr, u8); 4] = [
            (STATIC4.into(), 24),
            (VIP4.into(), 32),
            (STATIC6.into(), 64),
            (VIP6.into(), 128),
        ];
        for (address, prefix) in addresses {
            add_address(&mut route, nic, address, prefix).unwrap();
        }
        let plug = open(plug);
        let wire = Wire { plug, nic };
        // The kernel notices the carrier in its own time; until then it sends nothing.
        let end = Instant::now() + PATIENCE;
        while wire.listen(STRAGGLERS, |_| true).is_empty() {
            assert!(Instant::now() < end, "the port's kernel does not answer");
            wire.send(&arp(true, CLIENT4, STATIC4));
        }
        Some(wire)
    }

    /// The node's port.
    pub(super) fn nic(&self) -> u32 {
        self.nic
    }

    pub(super) fn mac(&self) -> [u8; 6] {
        self.pid1().hardware_address().unwrap()
    }

    /// The node's packet socket.
    pub(super) fn pid1(&self) -> PacketSocket {
        PacketSocket::open(self.nic, 0x88b5, 0, [0x03, 0x6b, 0x6f, 0x64, 0x6f, 0x00]).unwrap()
    }

    /// The port goes away for good.
    pub(super) fn unplug(&self) {
        let mut route = Route::open(PATIENCE).unwrap();
        route.request(RTM_DELLINK, 0, &link::of(self.nic)).unwrap();
    }

    /// A frame from the plug to the port.
    pub(super) fn send(&self, frame: &[u8]) {
        rustix::net::send(&self.plug, frame, SendFlags::empty()).unwrap();
    }

    /// What has left the port: everything until it answers one more question, about its
    /// static address, and what may have been overtaken by that.
    pub(super) fn all(&self) -> Vec<Vec<u8>> {
        self.collect(|_| false)
    }

    /// Whether such a frame has left the port.
    pub(super) fn sees(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.collect(&wanted).iter().any(|frame| wanted(frame))
    }

    fn collect(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.send(&arp(true, CLIENT4, STATIC4));
        let answer =
            |frame: &[u8]| frame[12..14] == [0x08, 0x06] && speaks_for(frame, STATIC4.into());
        let mut seen = self.listen(PATIENCE, answer);
        assert!(
            seen.last().is_some_and(|frame| answer(frame)),
            "the static address answers whatever the gate does"
        );
        if !seen.iter().any(|frame| enough(frame)) {
            seen.extend(self.listen(STRAGGLERS, enough));
        }
        seen
    }

    /// What leaves the port until this frame does, at most for so long.
    fn listen(&self, patience: Duration, last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let end = Instant::now() + patience;
        let mut seen = Vec::new();
        let mut buffer = [0; 2048];
        while Instant::now() < end && !seen.last().is_some_and(|frame: &Vec<u8>| last(frame)) {
            match rustix::net::recv(&self.plug, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((len, _)) => seen.push(buffer[..len].to_vec()),
                Err(_) => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        seen
    }
}
