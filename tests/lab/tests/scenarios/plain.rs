//! `boot.json` is a contract: a QEMU started by hand from its fields is that node. Nothing
//! of the lab is used here, only the fields, the portable kernel and initramfs, e1000
//! cards, and QEMU's own user network as the LAN's gateway.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const BOOT: Duration = Duration::from_secs(180);
/// A forwarded port tells nobody when its far end is ready: it is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const NODES: [&str; 2] = ["node1", "node2"];
const TOKEN: &str = "kodo-example-token";

/// A QEMU that ends with the test, however that ends.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A free port of the loopback.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// One node by its fields. Both ends of each cable are unix sockets in `dir`; the first
/// node's end listens. `lan` is what joins its LAN card to the other's.
fn start(boot: &Path, name: &str, dir: &Path, first: bool, lan: &[String]) -> Machine {
    let text = std::fs::read_to_string(boot).expect("boot.json");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let node = &json["nodes"][name];
    let field = |field: &str| node[field].as_str().expect(field).to_owned();
    let beside = |file: String| boot.with_file_name(file).display().to_string();
    let server = if first { "on" } else { "off" };
    let cable = |id: &str| {
        let path = dir.join(id).display().to_string();
        format!("stream,id={id},server={server},addr.type=unix,addr.path={path}")
    };
    let serial = dir.join("serial").display().to_string();
    let serial = match first {
        true => format!("socket,id=serial,path={serial},server=on,wait=off"),
        false => format!("socket,id=serial,path={serial},server=off"),
    };
    let console = dir.join(name).display().to_string();
    let mut qemu = Command::new("setpriv");
    qemu.args([
        "--pdeathsig",
        "KILL",
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-cpu",
        "max",
    ])
    .args(["-m", "96", "-nodefaults", "-display", "none"])
    .args([
        "-kernel",
        &beside(field("kernel")),
        "-initrd",
        &beside(field("initrd")),
    ])
    .args(["-append", &field("append")])
    .args(["-serial", &format!("file:{console}")])
    .args(["-chardev", &serial, "-serial", "chardev:serial"])
    .args(["-device", "i6300esb", "-action", "watchdog=reset"])
    .args(["-netdev", &cable("crossover"), "-netdev", &cable("cable")])
    .args(lan);
    for nic in node["nics"].as_array().expect("nics") {
        let (role, mac) = (
            nic["role"].as_str().expect("role"),
            nic["mac"].as_str().expect("mac"),
        );
        qemu.args(["-device", &format!("e1000,netdev={role},mac={mac}")]);
    }
    let child = qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    Machine(child.expect("setpriv and qemu-system-x86_64"))
}

/// One HTTP exchange over a forwarded port; `None` when there is no whole answer.
fn http(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Waits for something outside of this process that tells nobody when it is there.
fn until(what: &str, there: impl Fn() -> bool) {
    let deadline = Instant::now() + BOOT;
    while !there() {
        assert!(
            Instant::now() < deadline,
            "waited {BOOT:?} in vain for {what}"
        );
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Asks until a page of one of these nodes comes; gives whose it is.
fn page_of<'a>(port: u16, nodes: &[&'a str], pair: &mut [Machine], consoles: &Path) -> &'a str {
    let until = Instant::now() + BOOT;
    while Instant::now() < until {
        let page = http(
            port,
            "GET / HTTP/1.1\r\nHost: kodo\r\nConnection: close\r\n\r\n",
        );
        let page = page.unwrap_or_default().to_lowercase();
        let says = |node: &&&str| page.contains(&format!("x-kodo-node: {node}"));
        if let Some(node) = nodes.iter().find(says) {
            return node;
        }
        for machine in &mut *pair {
            let ended = machine.0.try_wait().expect("a child");
            assert!(ended.is_none(), "a QEMU ended: {ended:?}");
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    let console = |node: &&str| std::fs::read_to_string(consoles.join(node)).unwrap_or_default();
    let consoles: Vec<String> = NODES.iter().map(console).collect();
    panic!(
        "no page from {nodes:?} within {BOOT:?}; the consoles:\n{}",
        consoles.join("\n")
    );
}

#[test]
fn boot_json_in_a_plain_qemu() {
    let boot = kodo_tests_lab::boot_json(kodo_tests_lab::PAIR);
    let dir = boot.with_file_name("plain");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).expect("an old run's directory");
    }
    std::fs::create_dir_all(&dir).expect("a directory");
    let (www, admin) = (free_port(), free_port());
    let hub = |id: &str, peer: &str| {
        [
            "-netdev".to_owned(),
            format!("hubport,id={id},hubid=0{peer}"),
        ]
    };
    let gateway = format!(
        "user,id=gateway,net=192.168.0.0/24,host=192.168.0.1,restrict=on,\
         hostfwd=tcp:127.0.0.1:{www}-192.168.0.33:80,hostfwd=tcp:127.0.0.1:{admin}-192.168.0.18:5580"
    );
    let lan: Vec<String> = ["-netdev".to_owned(), gateway]
        .into_iter()
        .chain(hub("lan", ""))
        .chain(hub("h1", ",netdev=gateway"))
        .chain(hub("h2", ",netdev=cable"))
        .collect();
    let other: Vec<String> = hub("lan", "")
        .into_iter()
        .chain(hub("h1", ",netdev=cable"))
        .collect();

    let first = start(&boot, "node1", &dir, true, &lan);
    until("node1's sockets", || {
        dir.join("cable").exists() && dir.join("serial").exists()
    });
    let second = start(&boot, "node2", &dir, false, &other);
    // QEMU 7.2 crashes when its user network speaks to a cable that nobody has plugged in.
    let booting = || std::fs::metadata(dir.join("node2")).is_ok_and(|console| console.len() > 0);
    until("node2's first words", booting);
    let mut pair = [first, second];
    // Whichever reached the gateway first, on a busy host.
    let serves = page_of(www, &NODES, &mut pair, &dir);
    let other = NODES.iter().find(|node| **node != serves);
    let other = other.expect("a pair has another node");
    let body = format!(r#"{{"group": "www", "node": "{other}"}}"#);
    let ask = format!(
        "POST /v1/move HTTP/1.1\r\nHost: kodo\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Refused until both are members.
    until("the move to be agreed", || http(admin, &ask).is_some());
    page_of(www, &[other], &mut pair, &dir);
}
