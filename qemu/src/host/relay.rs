//! A door from the LAN to a program on the lab's own machine, for datagrams.
//!
//! Owns one UDP port of a host on the LAN and, for each sender there, a socket of its own
//! on this machine, so that the program's answers find their way back. Never blocks; what
//! nobody takes is lost, as datagrams are.

use std::io::Result as IoResult;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use smoltcp::iface::SocketHandle;
use smoltcp::wire::IpEndpoint;

use super::Host;

/// Senders that are remembered; one more displaces the one that was silent longest.
const SENDERS: usize = 64;
/// Larger datagrams are none that a witness sends or takes.
pub(super) const DATAGRAM: usize = 1500;

/// Datagrams of one port, carried to one program and back.
pub(crate) struct Relay {
    handle: SocketHandle,
    to: SocketAddr,
    /// Those heard last come last.
    pub(crate) lanes: Vec<Lane>,
}

/// One sender on the LAN.
pub(crate) struct Lane {
    from: IpEndpoint,
    pub(crate) local: Arc<UdpSocket>,
}

impl Relay {
    /// Opens a port of `host`; datagrams go on to the program at `to`. `None` when it has
    /// that port already.
    pub(crate) fn open(host: &mut Host, port: u16, to: SocketAddr) -> Option<Self> {
        Some(Self {
            handle: host.bind(port)?,
            to,
            lanes: Vec::new(),
        })
    }

    /// Carries what has come, both ways.
    pub(crate) fn poll(&mut self, host: &mut Host) {
        while let Some((from, data)) = host.datagram(self.handle) {
            // A lane that cannot be made, a program that is gone: the datagram is lost.
            if let Ok(lane) = self.lane(from) {
                let _ = lane.local.send(&data);
            }
        }
        let mut buffer = [0; DATAGRAM];
        for lane in &self.lanes {
            // A program that is gone answers with an error, once for each datagram it missed.
            for _ in 0..SENDERS {
                match lane.local.recv(&mut buffer) {
                    Ok(length) => host.answer(self.handle, lane.from, &buffer[..length]),
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn lane(&mut self, from: IpEndpoint) -> IoResult<&Lane> {
        let lane = match self.lanes.iter().position(|lane| lane.from == from) {
            Some(known) => self.lanes.remove(known),
            None => {
                let here: IpAddr = match self.to {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                let local = UdpSocket::bind((here, 0))?;
                local.set_nonblocking(true)?;
                local.connect(self.to)?;
                let local = Arc::new(local);
                Lane { from, local }
            }
        };
        if self.lanes.len() == SENDERS {
            self.lanes.remove(0);
        }
        Ok(self.lanes.push_mut(lane))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::boot::Cidr;
    use crate::wire::fabric::Plug;
    use crate::wire::mac::Mac;

    fn host(last: u8) -> Host {
        let at = Cidr {
            addr: [192, 168, 0, last].into(),
            prefix: 24,
        };
        let mac = Mac([2, 0, 0, 0, 0, last]);
        Host::new("host", mac, Plug(0), &[at], 1, Duration::ZERO)
    }

    #[test]
    fn questions_reach_the_program_and_answers_their_asker() {
        let program = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        program
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (mut witness, mut nodes) = (host(5), [host(18), host(19)]);
        let to = program.local_addr().unwrap();
        let mut relay = Relay::open(&mut witness, 5581, to).unwrap();
        assert!(Relay::open(&mut witness, 5581, to).is_none());
        let ports = [0, 1].map(|n| nodes[n].bind(5581).unwrap());
        let at = IpEndpoint::from(SocketAddr::from(([192, 168, 0, 5], 5581)));
        nodes[0].answer(ports[0], at, b"one");
        nodes[1].answer(ports[1], at, b"two");
        let mut now = Duration::ZERO;
        let mut pass = |witness: &mut Host, nodes: &mut [Host]| {
            for _ in 0..8 {
                now += Duration::from_millis(1);
                for node in nodes.iter_mut() {
                    node.poll(now);
                    while let Some(frame) = node.transmit() {
                        witness.receive(frame);
                    }
                }
                witness.poll(now);
                while let Some(frame) = witness.transmit() {
                    nodes
                        .iter_mut()
                        .for_each(|node| node.receive(frame.clone()));
                }
            }
        };
        pass(&mut witness, &mut nodes);
        relay.poll(&mut witness);
        for _ in 0..2 {
            let mut buffer = [0; 16];
            let (length, from) = program.recv_from(&mut buffer).unwrap();
            program.send_to(&buffer[..length].repeat(2), from).unwrap();
        }
        relay.poll(&mut witness);
        pass(&mut witness, &mut nodes);
        for (n, said) in [(0, b"oneone"), (1, b"twotwo")] {
            assert_eq!(nodes[n].datagram(ports[n]).unwrap().1, said);
            assert_eq!(nodes[n].datagram(ports[n]), None);
        }

        // The program is gone, then back: the lane is still good.
        drop(program);
        nodes[0].answer(ports[0], at, b"lost");
        pass(&mut witness, &mut nodes);
        relay.poll(&mut witness);
        let program = UdpSocket::bind(to).unwrap();
        nodes[0].answer(ports[0], at, b"heard");
        pass(&mut witness, &mut nodes);
        relay.poll(&mut witness);
        let mut buffer = [0; 16];
        let length = program.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"heard");
    }
}
