//! Hosts on a small LAN: the client, and servers that share one address.

use std::net::Ipv6Addr;

use super::census::Census;
use super::probe::{Outcome, ProbeOptions, Prober};
use super::*;
use crate::journal::Event;
use crate::wire::fabric::{self, Fabric};
use crate::wire::flow::Medium;

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 33));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x33));
const MS: Duration = Duration::from_millis(1);

/// An address in the VIP's network.
fn beside(vip: IpAddr, last: u8) -> Cidr {
    match vip {
        IpAddr::V4(_) => Cidr {
            addr: [192, 168, 0, last].into(),
            prefix: 24,
        },
        IpAddr::V6(_) => Cidr {
            addr: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)).into(),
            prefix: 64,
        },
    }
}

/// A web server behind the VIP that names itself.
struct Server {
    host: Host,
    name: &'static str,
    listening: Vec<SocketHandle>,
}

impl Server {
    fn new(host: Host, name: &'static str) -> Self {
        let mut server = Self {
            host,
            name,
            listening: Vec::new(),
        };
        for _ in 0..16 {
            let buffer = || tcp::SocketBuffer::new(vec![0; 2048]);
            let handle = server
                .host
                .sockets
                .add(tcp::Socket::new(buffer(), buffer()));
            server.listening.push(handle);
        }
        server
    }

    fn serve(&mut self) {
        for handle in self.listening.clone() {
            let socket = self.host.socket(handle);
            if !socket.is_open() {
                socket.listen(80).unwrap();
            }
            if socket.can_recv() {
                let _ = socket.recv(|bytes| (bytes.len(), ()));
                let page = format!(
                    "HTTP/1.1 200 OK\r\nX-Kodo-Node: {}\r\nContent-Length: 2\r\n\r\nhi",
                    self.name
                );
                socket.send_slice(page.as_bytes()).unwrap();
                socket.close();
            }
            if socket.state() == tcp::State::CloseWait {
                socket.close();
            }
        }
    }
}

/// A LAN in virtual time.
struct Lan {
    vip: IpAddr,
    fabric: Fabric,
    client: Host,
    servers: Vec<Server>,
    prober: Prober,
    now: LabTime,
    events: Vec<(LabTime, Event)>,
}

impl Lan {
    fn new(servers: &[&'static str]) -> Self {
        Self::of(VIP, servers)
    }

    fn of(vip: IpAddr, servers: &[&'static str]) -> Self {
        let mut fabric = Fabric::new(crate::time::Clock::start(), 1, [vip]);
        let switch = fabric.add_switch("lan");
        let mut host = |name: &'static str, n: u8, addresses: &[Cidr]| {
            let ends = [
                (name, fabric::Socket::Outside),
                ("switch", fabric::Socket::Switch(switch)),
            ];
            let plugs = fabric
                .add_cable(&format!("lan-{name}"), Medium::Ethernet, ends, None)
                .unwrap();
            let plug = plugs[0].unwrap();
            fabric.set_powered(plug, true);
            Host::new(
                name,
                Mac([2, 0, 0, 0, 0, n]),
                plug,
                addresses,
                1,
                LabTime::ZERO,
            )
        };
        let client = host("client", 100, &[beside(vip, 100)]);
        let servers = servers.iter().zip(1..).map(|(name, n)| {
            Server::new(
                host(
                    name,
                    n,
                    &[Cidr {
                        addr: vip,
                        ..beside(vip, 0)
                    }],
                ),
                name,
            )
        });
        let servers = servers.collect();
        let options = ProbeOptions {
            timeout: 200 * MS,
            grace: 100 * MS,
            ..ProbeOptions::default()
        };
        let prober = Prober::new((vip, 80).into(), options);
        Self {
            vip,
            fabric,
            client,
            servers,
            prober,
            now: LabTime::ZERO,
            events: Vec::new(),
        }
    }

    /// Lets time pass in steps of a millisecond.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += MS;
            self.fabric.poll(self.now);
            for server in &mut self.servers {
                server.serve();
            }
            self.events
                .extend(self.prober.poll(self.now, &mut self.client));
            // Far more rounds than an exchange needs.
            for _ in 0..8 {
                let hosts = self.servers.iter_mut().map(|server| &mut server.host);
                for host in hosts.chain([&mut self.client]) {
                    host.poll(self.now);
                    while let Some(frame) = host.transmit() {
                        self.fabric.send(self.now, host.plug, frame);
                    }
                }
                while let Some((plug, frame)) = self.fabric.take() {
                    let hosts = self.servers.iter_mut().map(|server| &mut server.host);
                    let mut hosts = hosts.chain([&mut self.client]);
                    if let Some(host) = hosts.find(|host| host.plug == plug) {
                        host.receive(frame);
                    }
                }
            }
        }
    }

    fn announce(&mut self, server: usize) {
        let host = &mut self.servers[server].host;
        let frame = match self.vip {
            IpAddr::V4(vip) => frames::arp_announcement(host.mac, vip),
            IpAddr::V6(vip) => frames::advertisement(host.mac, vip, None),
        };
        host.send_raw(frame);
    }

    fn answering(&self) -> Option<&str> {
        self.prober.answering().map(|node| &**node)
    }
}

#[test]
fn the_client_finds_who_serves() {
    let mut lan = Lan::new(&["node1"]);
    assert_eq!(lan.answering(), None);
    lan.pass(100 * MS);
    assert_eq!(lan.answering(), Some("node1"));
    lan.pass(900 * MS);
    let samples = lan.prober.samples(LabTime::ZERO);
    let good = samples
        .iter()
        .filter(|sample| sample.outcome.is_good())
        .count();
    assert!(
        good >= 40 && good == samples.len(),
        "{good} of {}",
        samples.len()
    );
    let Event::ClientAnswered { node, before, .. } = &lan.events[0].1 else {
        panic!("{:?}", lan.events)
    };
    assert_eq!((node.as_deref(), before.as_deref()), (Some("node1"), None));
}

#[test]
fn an_outage_is_measured_and_ends_with_an_announcement() {
    for vip in [VIP, VIP6] {
        outage_until_announced(Lan::of(vip, &["node1", "node2"]));
    }
}

fn outage_until_announced(mut lan: Lan) {
    lan.fabric.set_cut("lan-node2", true);
    lan.pass(500 * MS);
    lan.fabric.set_cut("lan-node1", true);
    lan.pass(1000 * MS);
    assert_eq!(lan.answering(), None);
    // The other node is there, but the client still knows the first one's address.
    lan.fabric.set_cut("lan-node2", false);
    lan.pass(1000 * MS);
    assert_eq!(lan.answering(), None, "a real host waits for its cache too");
    lan.announce(1);
    lan.pass(50 * MS);
    assert_eq!(lan.answering(), Some("node2"));
    let outages = lan.prober.outages(300 * MS);
    assert_eq!(outages.len(), 1);
    let outage = &outages[0];
    assert_eq!(
        (outage.before.as_deref(), outage.after.as_deref()),
        (Some("node1"), Some("node2"))
    );
    let ms = outage.duration(lan.now).as_millis();
    assert!((2000..2060).contains(&ms), "{ms}");
    let failed = lan.prober.samples(600 * MS);
    assert!(failed.iter().any(|s| s.outcome == Outcome::Timeout));
}

#[test]
fn a_neighbour_that_never_answers_is_asked_for_again() {
    let mut lan = Lan::new(&["node1", "node2"]);
    lan.fabric.set_cut("lan-node2", true);
    lan.pass(200 * MS);
    lan.fabric.set_cut("lan-node1", true);
    lan.fabric.set_cut("lan-node2", false);
    // Nobody announces: a real host gives its entry up after some eight seconds.
    lan.pass(7500 * MS);
    assert_eq!(lan.answering(), None);
    lan.pass(1500 * MS);
    assert_eq!(lan.answering(), Some("node2"));
}

#[test]
fn a_server_that_refuses_is_no_service() {
    let mut lan = Lan::new(&["node1"]);
    lan.pass(200 * MS);
    let server = &mut lan.servers[0];
    for handle in std::mem::take(&mut server.listening) {
        server.host.remove(handle);
    }
    lan.pass(500 * MS);
    assert_eq!(lan.answering(), None);
    let last = lan.prober.samples(400 * MS);
    assert!(
        last.iter().all(|sample| sample.outcome == Outcome::Reset),
        "{last:?}"
    );
    assert!(
        lan.events
            .iter()
            .any(|(_, event)| matches!(event, Event::ClientLost { node: Some(_) }))
    );
}

#[test]
fn connections_leave_nothing_behind() {
    let mut lan = Lan::new(&["node1"]);
    lan.pass(5000 * MS);
    let open = lan.client.sockets.iter().count();
    assert!(open < 10, "{open}");
}

#[test]
fn who_is_held_ends_what_is_under_way_and_asks_no_more() {
    let mut lan = Lan::new(&["node1"]);
    lan.pass(500 * MS);
    lan.prober.hold(true);
    lan.pass(100 * MS);
    assert!(lan.prober.is_idle());
    let held = lan.now;
    lan.pass(500 * MS);
    assert_eq!(lan.prober.samples(held), []);
    lan.prober.hold(false);
    lan.pass(500 * MS);
    assert!(lan.prober.samples(held).len() >= 20);

    let mut census = Census::new(vec![VIP], 100 * MS);
    let mut asks = |held, at| {
        census.hold(held);
        census.poll(at, &mut lan.client);
        lan.client.transmit().is_some()
    };
    assert!(asks(false, 100 * MS));
    assert!(!asks(true, 200 * MS));
    assert!(asks(false, 300 * MS));
}

#[test]
fn a_stranger_defends_its_address_against_probes() {
    for (vip, frame) in [
        (
            VIP,
            frames::arp_request(Mac([2; 6]), Ipv4Addr::UNSPECIFIED, [192, 168, 0, 33].into()),
        ),
        (
            VIP6,
            frames::solicitation(
                Mac([2; 6]),
                Ipv6Addr::UNSPECIFIED,
                "fd00::33".parse().unwrap(),
            ),
        ),
    ] {
        let mut lan = Lan::of(vip, &["stranger"]);
        let stranger = &mut lan.servers[0].host;
        stranger.receive(frame);
        let answer = stranger.transmit().and_then(|frame| speaks_for(&frame));
        assert_eq!(
            answer.map(|(ip, _, mac)| (ip, mac)),
            Some((vip, stranger.mac))
        );
    }
}

/// Corrupting cables reach the hosts too; nothing that comes may end the wire thread.
#[test]
fn broken_frames_break_no_host() {
    let mut rng = crate::wire::rng::Rng::new(0x6b6f_646f);
    for vip in [VIP, VIP6] {
        let mut lan = Lan::of(vip, &["node1"]);
        // Real traffic to break: questions, answers, a whole exchange with the server.
        lan.pass(60 * MS);
        let mut frames: Vec<Vec<u8>> = ["lan-node1", "lan-client"]
            .iter()
            .flat_map(|cable| lan.fabric.recorded(cable, LabTime::ZERO).unwrap())
            .map(|frame| frame.data.to_vec())
            .collect();
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        frames.push(frames::advertisement(
            mac,
            "fd00::33".parse().unwrap(),
            None,
        ));
        frames.push(frames::arp_announcement(mac, [192, 168, 0, 33].into()));
        assert!(frames.len() > 20);
        for round in 0..60_000u32 {
            let mut frame = frames[rng.index(frames.len())].clone();
            for _ in 0..=rng.below(4) {
                let at = rng.index(frame.len());
                frame[at] = rng.next().to_le_bytes()[0];
            }
            if rng.chance(0.2) {
                frame.truncate(rng.index(frame.len() + 1));
            }
            // Half of them for the host for sure, so that the parts within are read.
            if rng.chance(0.5) && frame.len() >= 6 {
                frame[..6].copy_from_slice(&lan.client.mac.0);
            }
            let _ = (speaks_for(&frame), probes_for(&frame));
            lan.client.receive(frame);
            lan.client.poll(lan.now + MS * (round / 100));
            while lan.client.transmit().is_some() {}
        }
    }
}
