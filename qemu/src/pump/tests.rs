//! The wire thread with fake machines: unix sockets and a stack where a QEMU would be.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use smoltcp::socket::tcp;

use super::*;
use crate::boot::{Boot, Cidr};
use crate::host::Host;
use crate::journal::Journal;
use crate::options::Options;
use crate::test::TempDir;
use crate::time::Clock;
use crate::wire::fabric::{Fabric, Plug};
use crate::wire::judge::overlaps;
use crate::wire::mac::Mac;
use crate::wiring::{Doors, Installer, MachineEnds};

const VIP: [u8; 4] = [192, 168, 0, 33];
const SOON: Duration = Duration::from_secs(20);
/// What the fake service answers with: far more than any buffer holds.
const PAGE: usize = 300_000;

/// A machine that answers for addresses on its LAN port, until it is unplugged.
struct FakeMachine {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeMachine {
    fn plug_in(path: &Path, mac: Mac, addresses: &[IpAddr]) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        let addresses: Vec<Cidr> = addresses
            .iter()
            .map(|addr| Cidr {
                addr: *addr,
                prefix: 24,
            })
            .collect();
        let host = Host::new("fake", mac, Plug(0), &addresses, 7, Duration::ZERO);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || live(stream, host, &stop)
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn live(mut stream: UnixStream, mut host: Host, stop: &AtomicBool) {
    let clock = Clock::start();
    let handle = host.listen(80);
    let mut left = 0;
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(_) => {}
        }
        while bytes.len() >= 4 {
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
            if bytes.len() < 4 + length {
                break;
            }
            let frame: Vec<u8> = bytes.drain(..4 + length).skip(4).collect();
            host.receive(frame);
        }
        let socket = host.socket(handle);
        if socket.can_recv() {
            let _ = socket.recv(|request| (request.len(), ()));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PAGE}\r\n\r\n");
            left = head.len() + PAGE;
            left -= socket.send_slice(head.as_bytes()).unwrap();
        }
        if left > 0 && socket.can_send() {
            left -= socket.send_slice(&vec![b'x'; left.min(8192)]).unwrap();
            if left == 0 {
                socket.close();
            }
        }
        if !socket.is_open() {
            socket.listen(80).unwrap();
        } else if socket.state() == tcp::State::CloseWait && left == 0 {
            socket.close();
        }
        host.poll(clock.now());
        while let Some(frame) = host.transmit() {
            let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
            if stream.write_all(&[&length[..], &frame].concat()).is_err() {
                return;
            }
        }
    }
}

struct Bench {
    pump: Pump,
    machines: Vec<MachineEnds>,
    doors: Doors,
    _dir: TempDir,
}

fn bench() -> Bench {
    let dir = TempDir::new();
    let node = |n: u8| {
        serde_json::json!({
            "kernel": "", "initrd": "", "append": "",
            "nics": [{"role": "lan", "mac": format!("02:00:00:00:00:{n:02}"), "address": format!("192.168.0.{n}/24")}]
        })
    };
    let boot = serde_json::json!({"schema": 1, "cluster": "fake", "vips": ["192.168.0.33/24"],
        "nodes": {"node1": node(18), "node2": node(19)}});
    let boot: Boot = serde_json::from_value(boot).unwrap();
    let clock = Clock::start();
    let fabric = Fabric::new(clock, 1, [VIP.into()]);
    let mut world = World::new(clock, fabric, Arc::new(Journal::default()));
    let mut options = Options {
        census: Duration::from_millis(20),
        ..Options::default()
    };
    // The fake service serves one client at a time.
    options.probe.every = Duration::ZERO;
    let mut installer = Installer {
        boot: &boot,
        options: &options,
        dir: dir.path(),
        sockets: dir.path(),
        world: &mut world,
    };
    let (machines, lan) = installer.machines().unwrap();
    let doors = installer.hosts(lan.unwrap()).unwrap();
    for machine in &machines {
        for plug in machine.nics.iter().flatten() {
            world.fabric.set_powered(*plug, true);
        }
    }
    let pump = Pump::start(world).unwrap();
    Bench {
        pump,
        machines,
        doors,
        _dir: dir,
    }
}

impl Bench {
    fn plug_in(&self, machine: usize, addresses: &[[u8; 4]]) -> FakeMachine {
        let (mac, path) = &self.machines[machine].sockets.nics[0];
        let addresses: Vec<IpAddr> = addresses.iter().map(|addr| (*addr).into()).collect();
        FakeMachine::plug_in(path, *mac, &addresses)
    }

    fn page(&self) -> std::io::Result<usize> {
        let door: SocketAddr = ([127, 0, 0, 1], self.doors.service.unwrap()).into();
        let mut stream = TcpStream::connect(door)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.len())
    }

    /// A page, once somebody is there to serve it: the door closes at once on who comes
    /// before the machine does, or while its one socket still ends the call before.
    fn served(&self) -> usize {
        let deadline = Instant::now() + SOON;
        loop {
            let page = self.page().unwrap_or(0);
            if page > 0 {
                return page;
            }
            assert!(Instant::now() < deadline, "no page within {SOON:?}");
        }
    }
}

#[test]
fn a_door_carries_a_page_however_large() {
    let bench = bench();
    let _machine = bench.plug_in(0, &[[192, 168, 0, 18], VIP]);
    for _ in 0..3 {
        let got = bench.served();
        assert!(got > PAGE, "{got}");
    }
    assert_eq!(bench.doors.admin.len(), 2);
}

#[test]
fn a_door_to_nobody_closes() {
    let bench = bench();
    let begun = Instant::now();
    assert_eq!(bench.page().unwrap_or(0), 0);
    assert!(begun.elapsed() < SOON);
}

#[test]
fn two_machines_with_one_address_are_caught_on_the_wire() {
    let bench = bench();
    let first = bench.plug_in(0, &[VIP]);
    let second = bench.plug_in(1, &[VIP]);
    let deadline = Instant::now() + SOON;
    let seen = loop {
        let seen = bench
            .pump
            .with(|world| world.fabric.sightings(VIP.into(), Duration::ZERO))
            .unwrap();
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for sighting in &seen {
            *by.entry(&sighting.node).or_default() += 1;
        }
        if by.len() == 2 && by.values().all(|count| *count > 5) {
            break seen;
        }
        assert!(Instant::now() < deadline, "{by:?}");
        std::thread::yield_now();
    };
    let found = overlaps(&seen);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].duration() >= Duration::from_millis(60),
        "{}",
        found[0]
    );
    drop((first, second));
}
