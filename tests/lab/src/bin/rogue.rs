//! A web service that misbehaves on request, for scenarios that need one.
//!
//! Owns what a service that was taken over would try, and tells over HTTP what of it it
//! could reach (`/reach`: one line an attempt, `refused WHAT: WHY` or `REACHED WHAT`; the
//! argument `reach` prints the same and ends). Also crashes (`/crash`), hangs (`/hang`: takes
//! connections and never answers again), hangs while it forks without end (`/bomb`), and eats
//! all memory (`/eat`). With the argument `stubborn` it ignores TERM, which ends it
//! otherwise. Harms nothing when it succeeds: what it reaches it only opens.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketType};

/// Bytes that the glutton takes at a time.
const MOUTHFUL: usize = 1 << 20;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is = |word: &str| words.iter().any(|given| given == word);
    if is("glutton") {
        glutton();
    }
    if is("bomb") {
        bomb();
    }
    if is("reach") {
        print!("{}", reach());
        return ExitCode::SUCCESS;
    }
    // The first of its processes must listen for what is to end it.
    let ends = Arc::new(AtomicBool::new(!is("stubborn")));
    let term = signal_hook::consts::SIGTERM;
    if let Err(error) = signal_hook::flag::register_conditional_shutdown(term, 0, ends) {
        eprintln!("rogue: TERM cannot be listened for: {error}");
        return ExitCode::FAILURE;
    }
    let port = words.iter().find_map(|word| word.strip_prefix("port="));
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(80);
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rogue: port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let hung = AtomicBool::new(false);
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        let stream = stream?;
        if hung.load(Ordering::Relaxed) {
            kept.push(stream);
            continue;
        }
        // A client that goes away is none of our business.
        let _ = answer(stream, &hung);
    }
    Ok(())
}

fn answer(mut stream: TcpStream, hung: &AtomicBool) -> io::Result<()> {
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request)?;
    let path = request.split_ascii_whitespace().nth(1).unwrap_or("/");
    let text = match path {
        "/reach" => reach(),
        "/crash" => std::process::exit(1),
        "/hang" => {
            hung.store(true, Ordering::Relaxed);
            return Ok(());
        }
        "/bomb" => {
            hung.store(true, Ordering::Relaxed);
            Command::new("/proc/self/exe").arg("bomb").spawn()?;
            return Ok(());
        }
        "/eat" => {
            Command::new("/proc/self/exe").arg("glutton").spawn()?;
            "eating\n".to_owned()
        }
        _ => "served\n".to_owned(),
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nX-Kodo-Node: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        std::env::var("KODO_NODE").unwrap_or_default(),
        text.len()
    )
}

/// Forks for as long as it can, and then again.
fn bomb() -> ! {
    loop {
        let _ = Command::new("/proc/self/exe").arg("bomb").spawn();
    }
}

/// Takes memory and forks for as long as it can, and then again.
fn glutton() -> ! {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Touched, so that it is really there.
        eaten.push(vec![0x5a; MOUTHFUL]);
        let _ = Command::new("/proc/self/exe").arg("glutton").spawn();
    }
}

/// Tries everything and tells what came of it.
fn reach() -> String {
    let mut report = String::new();
    for (what, outcome) in attempts() {
        report.push_str(&match outcome {
            Ok(()) => format!("REACHED {what}\n"),
            Err(why) => format!("refused {what}: {why}\n"),
        });
    }
    report
}

type Attempt = (String, io::Result<()>);

fn attempts() -> Vec<Attempt> {
    let mut all = Vec::new();
    all.extend(files());
    all.extend(devices());
    all.extend(processes());
    all.extend(sockets());
    all.extend(capabilities());
    all.extend(privileges());
    all
}

/// What the kernel would allow it: nothing but ports below 1024 (`CAP_NET_BIND_SERVICE`),
/// and no program that gives more.
fn capabilities() -> Vec<Attempt> {
    const BIND: u64 = 1 << 10;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let word = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim_start_matches(':').trim()
    };
    let outcome = |kept: bool, why: String| match kept {
        true => Err(io::Error::new(io::ErrorKind::PermissionDenied, why)),
        false => Ok(()),
    };
    let mut all: Vec<Attempt> = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|set| {
            let bits = u64::from_str_radix(word(set), 16).unwrap_or(u64::MAX);
            let what = format!("capabilities in {set}");
            (what, outcome(bits & !BIND == 0, format!("{bits:x}")))
        })
        .into();
    let kept = word("NoNewPrivs") == "1";
    all.push((
        "privileges of other programs".to_owned(),
        outcome(kept, "no_new_privs".to_owned()),
    ));
    all
}

fn reads(path: &str) -> Attempt {
    let outcome = fs::read(path).or_else(|_| fs::read_dir(path).map(|_| Vec::new()));
    (format!("reading {path}"), outcome.map(|_| ()))
}

fn writes(path: &str) -> Attempt {
    let opened = OpenOptions::new().write(true).open(path);
    (format!("writing {path}"), opened.map(|_| ()))
}

/// The node's secrets, the other services' files, its own files for good.
fn files() -> Vec<Attempt> {
    let mut all: Vec<Attempt> = [
        "/etc/kodo",
        "/etc/kodo/cluster.toml",
        "/init",
        "/srv",
        "/lib/modules",
        "/sys",
        "/sys/fs/cgroup",
        "/proc/1/root/etc/kodo/cluster.toml",
        "/proc/self/root/etc/kodo/cluster.toml",
        "/../etc/kodo/cluster.toml",
    ]
    .map(reads)
    .into();
    let own = std::env::current_exe().unwrap_or_default();
    let kept = Path::new("/kept-for-good");
    all.push((
        "making a file in its root".to_owned(),
        fs::write(kept, "x").and_then(|()| fs::remove_file(kept)),
    ));
    all.push(writes(&own.display().to_string()));
    all
}

fn devices() -> Vec<Attempt> {
    let names = [
        "mem",
        "kmsg",
        "watchdog",
        "watchdog0",
        "ttyS0",
        "ttyS1",
        "console",
        "vda",
        "sda",
    ];
    let mut all: Vec<Attempt> = names.map(|name| writes(&format!("/dev/{name}"))).into();
    for path in [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/panic",
        "/proc/kcore",
    ] {
        all.push(writes(path));
    }
    // Memory of the machine, by making the device oneself.
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let device = "/tmp/rogue-mem";
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        device,
        rustix::fs::FileType::CharacterDevice,
        mode,
        rustix::fs::makedev(1, 1),
    );
    if made.is_ok() {
        // It was only to be seen whether that is possible.
        let _ = fs::remove_file(device);
    }
    all.push(("making a device".to_owned(), made.map_err(Into::into)));
    all
}

/// Every process that is not this one, its children or its threads.
fn processes() -> Vec<Attempt> {
    let strange = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            (!name.starts_with("rogue")).then_some((pid, name.trim().to_owned()))
        });
    let mut all: Vec<Attempt> = strange
        .flat_map(|(pid, name)| {
            let memory = OpenOptions::new()
                .read(true)
                .open(format!("/proc/{pid}/mem"));
            let seen = (format!("seeing process {pid} {name}"), Ok(()));
            [seen, (format!("the memory of {name}"), memory.map(|_| ()))]
        })
        .collect();
    // Without a process list of its own, process 1 is the node's.
    let first = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if !first.starts_with("rogue") {
        let pid = rustix::process::Pid::from_raw(1).unwrap_or_else(rustix::process::getpid);
        let signalled = rustix::process::test_kill_process(pid);
        all.push((
            "signalling process 1".to_owned(),
            signalled.map_err(Into::into),
        ));
    }
    all
}

fn sockets() -> Vec<Attempt> {
    let raw = [
        ("a packet socket", AddressFamily::PACKET, SocketType::RAW),
        ("a raw IP socket", AddressFamily::INET, SocketType::RAW),
        ("a raw IPv6 socket", AddressFamily::INET6, SocketType::RAW),
    ];
    let icmp = rustix::net::ipproto::ICMP;
    let mut all: Vec<Attempt> = raw
        .map(|(what, family, kind)| {
            let made = rustix::net::socket(family, kind, Some(icmp));
            (what.to_owned(), made.map(|_| ()).map_err(Into::into))
        })
        .into();
    let low = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5580));
    all.push(("the operators' port".to_owned(), low.map(|_| ())));
    all
}

fn privileges() -> Vec<Attempt> {
    let done = |what: &str, outcome: rustix::io::Result<()>| {
        (what.to_owned(), outcome.map_err(io::Error::from))
    };
    let root = rustix::process::Uid::ROOT;
    let flags = rustix::mount::MountFlags::empty();
    let proc = rustix::mount::mount("proc", "/proc", "proc", flags, None);
    vec![
        done("becoming root", rustix::thread::set_thread_uid(root)),
        done("mounting", proc),
        done("another root directory", rustix::process::chroot("/")),
        done(
            "the host name",
            rustix::system::sethostname(rustix::system::uname().nodename().to_bytes()),
        ),
        done(
            "the clock",
            rustix::time::clock_settime(
                rustix::time::ClockId::Realtime,
                rustix::time::clock_gettime(rustix::time::ClockId::Realtime),
            ),
        ),
        done("a higher priority", rustix::process::nice(-5).map(|_| ())),
        (
            "a network namespace".to_owned(),
            kodo_sys::process::new_network(),
        ),
        // Whoever gets one has no power outside of it any more: the last attempt.
        ("a user namespace".to_owned(), kodo_sys::process::new_user()),
    ]
}
