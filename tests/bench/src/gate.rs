//! What the kernel's gate costs a packet: a cable in a network of its own, pinged with and
//! without the gate in turn, and the programs by themselves.
//!
//! A ping of the kernel is the smallest thing that a packet can be for: two virtual NICs,
//! one answer, no process in between. Whatever a service does beside that makes the gate's
//! share smaller.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use kodo_sys::gate::{Deadlines, Gate};
use kodo_sys::wire::Wire;
use kodo_sys::{clock, process};
use serde::Serialize;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);
const STATIC: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 18);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 33);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Pings of one round; the one in the middle counts, since the host has other things to do.
const PINGS: usize = 1_000;
/// Runs of a program by itself.
const RUNS: u32 = 200_000;
/// For an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// One program on one kind of frame.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// The frame.
    pub frame: &'static str,
    /// Nanoseconds of the program for frames that arrive.
    pub ingress: u64,
    /// And for those that leave.
    pub egress: u64,
}

/// Pings of one address, medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Pings {
    /// Whose.
    pub address: &'static str,
    /// Nanoseconds from question to answer without a gate.
    pub without: u64,
    /// And with it.
    pub with: u64,
    /// By round: with it over without it, measured one after the other; sorted.
    pub ratios: Vec<f64>,
}

/// All figures of one run of the bench.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    /// Rounds of pings.
    pub rounds: usize,
    /// By frame.
    pub programs: Vec<Program>,
    /// By address.
    pub pings: Vec<Pings>,
    /// Nanoseconds to move a deadline.
    pub deadline: f64,
}

/// Measures; `tell` hears what is being done.
///
/// # Errors
/// When this is not root, or the kernel has no such gate.
pub fn run(
    rounds: usize,
    mut tell: impl FnMut(&str) + Send + 'static,
) -> Result<GateReport, String> {
    // In a thread: it moves to a network of its own.
    let bench = std::thread::spawn(move || measure(rounds, &mut tell));
    let result = bench.join();
    let result = result.map_err(|_| "the bench panicked".to_owned())?;
    result.map_err(|error| format!("{error}; this needs root and Linux 6.6 or later"))
}

fn measure(rounds: usize, tell: &mut impl FnMut(&str)) -> kodo_sys::Result<GateReport> {
    process::new_network()?;
    let gate = Gate::load(&[VIP.into()])?;
    let deadlines = Deadlines::map(gate.deadlines())?;
    let addresses: [(IpAddr, u8); 2] = [(STATIC.into(), 24), (VIP.into(), 32)];
    let wire = Wire::new(&addresses)?;
    let open = || deadlines.set(0, clock::boottime() + Duration::from_secs(3600));
    open();

    tell("the programs by themselves");
    let nobody = [STATIC; 2];
    let programs = [
        ("heartbeat", frame(0x88b5, &[0; 300])),
        ("ARP, not of a VIP", arp(CLIENT, STATIC)),
        ("IPv4, not of a VIP", ping(nobody[0], nobody[1])),
        ("IPv4, VIP open", ping(VIP, VIP)),
        ("IPv6, not of a VIP", frame(0x86dd, &[0; 60])),
    ];
    let mut measured = Vec::new();
    for (name, frame) in programs {
        let nanos = |ingress| {
            gate.try_frame(ingress, &frame, RUNS)
                .map(|(_, time)| ns(time))
        };
        measured.push(Program {
            frame: name,
            ingress: nanos(true)?,
            egress: nanos(false)?,
        });
    }

    let mac = meet(&wire)?;
    let mut pings = [("static", STATIC), ("VIP", VIP)].map(|(address, to)| {
        let mut question = ping(CLIENT, to);
        question[..6].copy_from_slice(&mac);
        (address, question, Vec::new())
    });
    for round in 1..=rounds {
        tell(&format!("round {round} of {rounds}"));
        for (_, question, times) in &mut pings {
            let without = echo(&wire, question)?;
            let attached = gate.attach(wire.nic())?;
            open();
            times.push((without, echo(&wire, question)?));
            drop(attached);
        }
    }

    let until = clock::boottime() + Duration::from_secs(3600);
    let begin = Instant::now();
    (0..RUNS).for_each(|_| deadlines.set(0, std::hint::black_box(until)));
    let deadline = begin.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS);
    Ok(GateReport {
        rounds,
        programs: measured,
        pings: pings
            .into_iter()
            .map(|(address, _, times)| summary(address, &times))
            .collect(),
        deadline,
    })
}

fn summary(address: &'static str, times: &[(Duration, Duration)]) -> Pings {
    let median = |mut times: Vec<u64>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    let ratio = |(without, with): &(Duration, Duration)| with.as_secs_f64() / without.as_secs_f64();
    let mut ratios: Vec<f64> = times.iter().map(ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    Pings {
        address,
        without: median(times.iter().map(|(without, _)| ns(*without)).collect()),
        with: median(times.iter().map(|(_, with)| ns(*with)).collect()),
        ratios,
    }
}

/// Asks until the machine at the other end answers; its hardware address.
fn meet(wire: &Wire) -> kodo_sys::Result<[u8; 6]> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        wire.send(&arp(CLIENT, STATIC))?;
        let answer = |frame: &[u8]| frame.len() >= 42 && frame[12..14] == [0x08, 0x06];
        let seen = wire.listen(Duration::from_millis(50), answer);
        if let Some(frame) = seen.last().filter(|frame| answer(frame)) {
            let mut mac = [0; 6];
            mac.copy_from_slice(&frame[6..12]);
            return Ok(mac);
        }
    }
    Err(std::io::ErrorKind::TimedOut.into())
}

/// One ping after the other; the time of the one in the middle.
fn echo(wire: &Wire, question: &[u8]) -> kodo_sys::Result<Duration> {
    let mut buffer = [0; 2048];
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let begin = Instant::now();
        wire.send(question)?;
        // An answer to an echo request: ICMP type 0.
        while !wire
            .receive(&mut buffer)
            .is_some_and(|frame| frame.len() > 34 && (frame[23], frame[34]) == (1, 0))
        {
            if begin.elapsed() > PATIENCE {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times[PINGS / 2])
}

fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(MAC);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn arp(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(MAC);
    packet.extend(sender.octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    frame(0x0806, &packet)
}

/// An ICMP echo request.
fn ping(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    let mut message = [8, 0, 0, 0, 0, 7, 0, 1];
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    packet.extend(message);
    frame(0x0800, &packet)
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks_exact(2);
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = (!folded).to_be_bytes();
    [high, low]
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Pings {
    fn middle(&self) -> f64 {
        let middle = self.ratios.get(self.ratios.len() / 2);
        middle.copied().unwrap_or_default()
    }
}

impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>14}{:>14}",
            "program alone, ns", "arriving", "leaving"
        )?;
        for program in &self.programs {
            let Program {
                frame,
                ingress,
                egress,
            } = program;
            writeln!(f, "{frame:<22}{ingress:>14}{egress:>14}")?;
        }
        writeln!(
            f,
            "\n{:<22}{:>14}{:>14}{:>14}{:>20}",
            "one ping, ns", "no gate", "gate", "gate/none", "lowest, highest"
        )?;
        for pings in &self.pings {
            let edges = (pings.ratios.first(), pings.ratios.last());
            let (low, high) = (edges.0.unwrap_or(&0.0), edges.1.unwrap_or(&0.0));
            writeln!(
                f,
                "{:<22}{:>14}{:>14}{:>14.3}{:>20}",
                pings.address,
                pings.without,
                pings.with,
                pings.middle(),
                format!("{low:.3}, {high:.3}")
            )?;
        }
        write!(
            f,
            "\nmedians of {} rounds of {PINGS} pings, each with and without; a deadline is moved in {:.1} ns",
            self.rounds, self.deadline
        )
    }
}
