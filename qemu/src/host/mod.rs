//! Hosts on the lab's LAN: the gateway, the client, the observer, and strangers.
//!
//! Owns one TCP/IP stack each (smoltcp). A host answers ARP, neighbour discovery and
//! pings by itself. It treats a neighbour's address as a real host does: an announcement
//! replaces what it knew at once, and an address that stopped answering is asked for
//! again. Sans-I/O; never sees a socket of the machine that the lab runs on.

pub(crate) mod census;
mod device;
pub(crate) mod forward;
pub(crate) mod probe;
pub(crate) mod relay;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{Socket, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

use crate::boot::Cidr;
use crate::time::LabTime;
use crate::wire::fabric::Plug;
use crate::wire::frames;
use crate::wire::mac::Mac;
use crate::wire::sighting::{Kind, probes_for, speaks_for};
use device::Queues;

/// An unknown neighbour is asked for this often.
const ASK: Duration = Duration::from_millis(250);
/// Datagrams that wait in each direction of a port.
const DATAGRAMS: usize = 32;
/// First local port used; they go round.
const FIRST_PORT: u16 = 20_000;

/// A host on the LAN.
pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) mac: Mac,
    pub(crate) plug: Plug,
    device: Queues,
    iface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
    /// What the LAN told about who is where, and when an unknown one is asked for next.
    known: HashMap<IpAddr, Mac>,
    asked: HashMap<IpAddr, LabTime>,
    /// Something changed since the last poll of the stack.
    stale: bool,
}

impl Host {
    /// Puts a host with these addresses (at most eight) behind a plug.
    pub(crate) fn new(
        name: &str,
        mac: Mac,
        plug: Plug,
        addresses: &[Cidr],
        seed: u64,
        now: LabTime,
    ) -> Self {
        let mut device = Queues::default();
        let mut config = Config::new(EthernetAddress(mac.0).into());
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut device, instant(now));
        iface.update_ip_addrs(|list| {
            for Cidr { addr, prefix } in addresses {
                // The caller keeps to eight; a ninth would not be answered for.
                let _ = list.push(IpCidr::new((*addr).into(), *prefix));
            }
        });
        Self {
            name: name.into(),
            mac,
            plug,
            device,
            iface,
            sockets: SocketSet::new(Vec::new()),
            next_port: FIRST_PORT,
            known: HashMap::new(),
            asked: HashMap::new(),
            stale: true,
        }
    }

    /// Its own address of the same family as another.
    pub(crate) fn address_like(&self, other: IpAddr) -> Option<IpAddr> {
        self.iface
            .ip_addrs()
            .iter()
            .map(|cidr| IpAddr::from(cidr.address()))
            .find(|own| own.is_ipv4() == other.is_ipv4())
    }

    /// Takes a frame from the LAN.
    pub(crate) fn receive(&mut self, frame: Vec<u8>) {
        self.stale = true;
        // smoltcp leaves a probe unanswered, as it names no sender; hosts defend their own.
        if let Some((ip, asker)) = probes_for(&frame) {
            if self.iface.has_ip_addr(ip) {
                self.send_raw(match ip {
                    IpAddr::V4(ip) => frames::arp_reply(self.mac, ip, asker, Ipv4Addr::UNSPECIFIED),
                    IpAddr::V6(ip) => frames::advertisement(self.mac, ip, None),
                });
            }
            return;
        }
        let Some((ip, kind, mac)) = speaks_for(&frame) else {
            self.device.incoming.push_back(frame);
            return;
        };
        if kind != Kind::Ip {
            self.known.insert(ip, mac);
        }
        if kind != Kind::Announcement {
            self.device.incoming.push_back(frame);
            return;
        }
        // smoltcp learns from answers to itself only; hosts learn from announcements too.
        let answer = match (ip, self.address_like(ip)) {
            (IpAddr::V4(ip), Some(IpAddr::V4(own))) => {
                Some(frames::arp_reply(mac, ip, self.mac, own))
            }
            (IpAddr::V6(ip), Some(IpAddr::V6(own))) => {
                Some(frames::advertisement(mac, ip, Some((self.mac, own))))
            }
            _ => None,
        };
        self.device.incoming.extend(answer);
    }

    /// Lets the stack work if it has anything to do.
    pub(crate) fn poll(&mut self, now: LabTime) {
        let due = self
            .iface
            .poll_at(instant(now), &self.sockets)
            .is_some_and(|at| at <= instant(now));
        if std::mem::take(&mut self.stale) || due {
            self.iface
                .poll(instant(now), &mut self.device, &mut self.sockets);
        }
    }

    /// The next frame for the LAN.
    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.device.outgoing.pop_front()
    }

    /// Sends a frame of the caller's making.
    pub(crate) fn send_raw(&mut self, frame: Vec<u8>) {
        self.device.outgoing.push_back(frame);
    }

    /// When [`Host::poll`] has something to do.
    pub(crate) fn deadline(&mut self, now: LabTime) -> Option<LabTime> {
        if self.stale {
            return Some(now);
        }
        let at = self.iface.poll_at(instant(now), &self.sockets)?;
        Some(Duration::from_micros(
            u64::try_from(at.total_micros()).unwrap_or(0),
        ))
    }

    /// Asks the LAN who has an address, at most every [`ASK`]. For a neighbour that is known
    /// only when `again`: it has not answered for as long as a real host would wait.
    pub(crate) fn resolve(&mut self, now: LabTime, ip: IpAddr, again: bool) {
        if self.known.contains_key(&ip) && !again {
            return;
        }
        if self
            .asked
            .get(&ip)
            .is_some_and(|last| now.saturating_sub(*last) < ASK)
        {
            return;
        }
        self.asked.insert(ip, now);
        let frame = match (ip, self.address_like(ip)) {
            (IpAddr::V4(ip), Some(IpAddr::V4(own))) => frames::arp_request(self.mac, own, ip),
            (IpAddr::V6(ip), Some(IpAddr::V6(own))) => frames::solicitation(self.mac, own, ip),
            _ => return,
        };
        self.send_raw(frame);
    }

    /// Opens a connection; `None` when the host has no address of that family.
    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        room: [usize; 2],
        timeout: Duration,
    ) -> Option<SocketHandle> {
        let buffer = |size| tcp::SocketBuffer::new(vec![0; size]);
        let mut socket = tcp::Socket::new(buffer(room[0]), buffer(room[1]));
        socket.set_timeout(Some(smoltcp::time::Duration::from_micros(
            u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX),
        )));
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        socket
            .connect(self.iface.context(), to, self.next_port)
            .ok()?;
        self.stale = true;
        Some(self.sockets.add(socket))
    }

    /// Serves one connection at a time at a port.
    #[cfg(test)]
    pub(crate) fn listen(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 16_384]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.listen(port).unwrap();
        self.sockets.add(socket)
    }

    /// Takes datagrams at a port; `None` when it has that port already.
    pub(crate) fn bind(&mut self, port: u16) -> Option<SocketHandle> {
        let taken = self.sockets.iter().any(
            |(_, socket)| matches!(socket, Socket::Udp(socket) if socket.endpoint().port == port),
        );
        let room = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; DATAGRAMS],
                vec![0; DATAGRAMS * relay::DATAGRAM],
            )
        };
        let mut socket = udp::Socket::new(room(), room());
        (!taken && socket.bind(port).is_ok()).then(|| self.sockets.add(socket))
    }

    /// The next datagram at a port, and who sent it.
    pub(crate) fn datagram(&mut self, port: SocketHandle) -> Option<(IpEndpoint, Vec<u8>)> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(port);
        let (data, about) = socket.recv().ok()?;
        Some((about.endpoint, data.to_vec()))
    }

    /// Sends a datagram from a port; a full buffer loses it.
    pub(crate) fn answer(&mut self, port: SocketHandle, to: IpEndpoint, data: &[u8]) {
        self.stale = true;
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(port);
        let _ = socket.send_slice(data, to);
    }

    /// A connection, to look at and to move bytes.
    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.stale = true;
        self.sockets.get_mut(handle)
    }

    /// Forgets a connection. Close or abort it and poll first, so that the peer is told.
    pub(crate) fn remove(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }
}

fn instant(at: LabTime) -> Instant {
    Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
