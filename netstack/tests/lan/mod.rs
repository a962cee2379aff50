//! A hub with netstacks and ordinary hosts on it, in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use heapless::Vec as Bounded;
use kodo_netstack::config::{Config, PortConfig, TargetConfig, VipConfig, WitnessConfig};
use kodo_netstack::{Event, IfIndex, Ingress, Mac, Prefix, Stack, Transmit};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

pub const LAN: IfIndex = IfIndex(0);

pub fn mac(last: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, last])
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A node with one LAN port at these addresses, these VIPs and these targets.
pub fn config(addresses: &[&str], gateways: &[&str], vips: &[&str], targets: &[&str]) -> Config {
    let prefix = |text: &&str| {
        let (address, len) = text.split_once('/').unwrap();
        Prefix {
            address: address.parse().unwrap(),
            len: len.parse().unwrap(),
        }
    };
    let mut config = Config {
        lines: 1,
        ..Config::default()
    };
    let port = PortConfig {
        addresses: addresses.iter().map(prefix).collect(),
        gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
    };
    config.ports = Bounded::from_iter([port]);
    let vip = |text: &&str| VipConfig {
        address: text.parse().unwrap(),
        port: LAN,
    };
    config.vips = vips.iter().map(vip).collect();
    let target = |text: &&str| TargetConfig {
        address: text.parse().unwrap(),
        port: LAN,
        interval: ms(100),
    };
    config.targets = targets.iter().map(target).collect();
    config
}

/// The port on which the hosts' UDP echo service listens.
pub const ECHO: u16 = 7007;

/// A node with one LAN port whose witness is the echo service of this host.
pub fn with_witness(addresses: &[&str], gateways: &[&str], witness: &str) -> Config {
    let mut config = config(addresses, gateways, &[], &[]);
    config.witness = Some(WitnessConfig {
        address: witness.parse().unwrap(),
        udp: ECHO,
        port: LAN,
    });
    config
}

/// Something on the hub.
pub enum Station {
    Node(Box<Stack>),
    Host(Box<Host>),
}

/// A host of another make.
pub struct Host {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    echo: SocketHandle,
}

#[derive(Default)]
struct Wire {
    heard: VecDeque<Vec<u8>>,
    said: VecDeque<Vec<u8>>,
}

/// The hub: whatever one station says, all others hear at once.
pub struct Lan {
    pub now: Duration,
    pub stations: Vec<Station>,
    /// Every frame, with its time and its station.
    pub frames: Vec<(Duration, usize, Vec<u8>)>,
    /// Every event, with its time and its station.
    pub events: Vec<(Duration, usize, Event)>,
    /// Every heartbeat that a node heard.
    pub beats: Vec<(usize, Mac, Vec<u8>)>,
    /// Every answer of a witness that a node heard.
    pub said_back: Vec<(usize, Vec<u8>)>,
    /// Stations that are unplugged.
    pub unplugged: Vec<usize>,
}

impl Lan {
    pub fn new() -> Lan {
        Lan {
            now: ms(10_000),
            stations: Vec::new(),
            frames: Vec::new(),
            events: Vec::new(),
            beats: Vec::new(),
            said_back: Vec::new(),
            unplugged: Vec::new(),
        }
    }

    /// Adds a node whose port is up.
    pub fn node(&mut self, last: u8, config: Config) -> usize {
        let mut stack = Box::new(Stack::new(config, last.into()));
        stack.handle_port(self.now, LAN, Some(mac(last)));
        stack.handle_carrier(self.now, LAN, true);
        self.stations.push(Station::Node(stack));
        self.stations.len() - 1
    }

    /// Adds a host that answers for these addresses, and sends back what comes to [`ECHO`].
    pub fn host(&mut self, last: u8, addresses: &[&str]) -> usize {
        let hardware = EthernetAddress(mac(last).0);
        let mut wire = Wire::default();
        let config = smoltcp::iface::Config::new(hardware.into());
        let mut interface = Interface::new(config, &mut wire, self.instant());
        interface.update_ip_addrs(|own| {
            for text in addresses {
                let (address, len) = text.split_once('/').unwrap();
                let address: core::net::IpAddr = address.parse().unwrap();
                own.push(IpCidr::new(address.into(), len.parse().unwrap()))
                    .unwrap();
            }
        });
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 4096]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(ECHO).unwrap();
        let mut sockets = SocketSet::new(vec![]);
        let echo = sockets.add(socket);
        self.stations.push(Station::Host(Box::new(Host {
            interface,
            wire,
            sockets,
            echo,
        })));
        self.stations.len() - 1
    }

    pub fn stack(&mut self, node: usize) -> &mut Stack {
        match &mut self.stations[node] {
            Station::Node(stack) => stack,
            Station::Host(_) => panic!("station {node} is a host"),
        }
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.now.as_micros()).unwrap())
    }

    /// Delivers until nobody says anything more.
    pub fn settle(&mut self) {
        while let Some((from, frame)) = self.collect() {
            self.frames.push((self.now, from, frame.clone()));
            if self.unplugged.contains(&from) {
                continue;
            }
            for to in (0..self.stations.len()).filter(|to| *to != from) {
                self.deliver(to, &frame);
            }
        }
    }

    /// Gives a frame to one station.
    pub fn deliver(&mut self, to: usize, frame: &[u8]) {
        if self.unplugged.contains(&to) {
            return;
        }
        let instant = self.instant();
        match &mut self.stations[to] {
            Station::Node(stack) => match stack.handle_packet(self.now, LAN, frame) {
                Ingress::Heartbeat { payload, source } => {
                    self.beats.push((to, source, payload.to_vec()));
                }
                Ingress::Answer { payload } => self.said_back.push((to, payload.to_vec())),
                Ingress::Handled | Ingress::Ignored => {}
            },
            Station::Host(host) => {
                host.wire.heard.push_back(frame.to_vec());
                host.poll(instant);
            }
        }
    }

    fn collect(&mut self) -> Option<(usize, Vec<u8>)> {
        for (index, station) in self.stations.iter_mut().enumerate() {
            match station {
                Station::Node(stack) => {
                    while let Some(event) = stack.poll_event() {
                        self.events.push((self.now, index, event));
                    }
                    match stack.poll_transmit() {
                        Some(Transmit::Port(_, frame)) => return Some((index, frame.to_vec())),
                        Some(Transmit::Line(..)) => panic!("no serial lines here"),
                        None => {}
                    }
                }
                Station::Host(host) => {
                    if let Some(frame) = host.wire.said.pop_front() {
                        return Some((index, frame));
                    }
                }
            }
        }
        None
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        loop {
            let deadlines = self.stations.iter().filter_map(|station| match station {
                Station::Node(stack) => stack.poll_deadline(),
                Station::Host(_) => None,
            });
            let Some(next) = deadlines.min().filter(|next| *next <= until) else {
                break;
            };
            self.now = next.max(self.now);
            for station in &mut self.stations {
                if let Station::Node(stack) = station {
                    stack.handle_timer(self.now);
                }
            }
            self.settle();
        }
        self.now = until;
    }

    /// Frames that one station put on the hub.
    pub fn said(&self, station: usize) -> usize {
        self.frames
            .iter()
            .filter(|(_, from, _)| *from == station)
            .count()
    }

    /// What one node told, without times.
    pub fn told(&self, node: usize) -> Vec<Event> {
        let own = self.events.iter().filter(|(_, from, _)| *from == node);
        own.map(|(_, _, event)| *event).collect()
    }

    /// When the answers that one node got had been asked for.
    pub fn answers(&self, node: usize) -> Vec<Duration> {
        let answered = self.told(node).into_iter().filter_map(|event| match event {
            Event::Answered { sent, .. } => Some(sent),
            _ => None,
        });
        answered.collect()
    }
}

impl Host {
    fn poll(&mut self, instant: Instant) {
        let Host {
            interface,
            wire,
            sockets,
            echo,
        } = self;
        interface.poll(instant, wire, sockets);
        let socket = sockets.get_mut::<udp::Socket<'_>>(*echo);
        while let Ok((data, from)) = socket.recv().map(|(data, from)| (data.to_vec(), from)) {
            socket.send_slice(&data, from).unwrap();
        }
        interface.poll(instant, wire, sockets);
    }
}

impl Device for Wire {
    type RxToken<'a> = Heard;
    type TxToken<'a> = Say<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Heard, Say<'_>)> {
        let frame = self.heard.pop_front()?;
        Some((Heard(frame), Say(&mut self.said)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Say<'_>> {
        Some(Say(&mut self.said))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub struct Heard(Vec<u8>);

impl RxToken for Heard {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub struct Say<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Say<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}
