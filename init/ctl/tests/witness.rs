//! `kodo witness` as its administrator runs it: the real program on loopback, asked by
//! nodes' own code, restarted, and sent rubbish.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use kodo_config::Cluster;
use kodo_engine::witness::{Client, Word};
use kodo_engine::{BootId, Key, NodeId, NodeSet};

/// Longer than any step takes; it only bounds a broken test.
const PATIENCE: Duration = Duration::from_secs(20);
/// W of the nodes, and the hold-off that just allows it.
const WAIT: Duration = Duration::from_millis(1_200);
const WEB: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SHOP: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn key(hex: &str) -> Key {
    let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
    Key(std::array::from_fn(byte))
}

/// A running witness of the clusters web and shop.
struct Witness {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    list: PathBuf,
}

impl Witness {
    fn start(test: &str, listen: &str, hold_off: &str) -> Witness {
        let list = std::env::temp_dir().join(format!("kodo-witness-{test}-{}", std::process::id()));
        let entry = |name: &str, key: &str| {
            format!("[[cluster]]\nname = \"{name}\"\nkey = \"{key}\"\nnodes = [\"a\", \"b\"]\n")
        };
        std::fs::write(&list, entry("web", WEB) + &entry("shop", SHOP)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_kodo"))
            .args(["witness", "--listen", listen, "--hold-off", hold_off])
            .arg("--cluster")
            .arg(&list)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (says, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                let _ = says.send(line.unwrap());
            }
        });
        let mut witness = Witness {
            child,
            address: SocketAddr::from(([0; 4], 0)),
            lines,
            list,
        };
        let first = witness.read("listens on ");
        let place = first.split("listens on ").nth(1).unwrap();
        witness.address = place.split(' ').next().unwrap().parse().unwrap();
        witness
    }

    /// The next line with this in it.
    fn read(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("it never said {part:?}, but {seen:#?}"),
            }
        }
    }

    fn again(mut self, test: &str, hold_off: &str) -> Witness {
        let listen = self.address.to_string();
        self.stop();
        Witness::start(test, &listen, hold_off)
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(&self.list);
    }
}

/// A node that asks over a socket of its own.
struct Node {
    client: Client,
    socket: UdpSocket,
    start: Instant,
}

impl Node {
    fn new(cluster: &str, secret: &str, n: u8) -> Node {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let id = Cluster::id_of(cluster);
        let client = Client::new(id, &key(secret), NodeId(n), BootId(u64::from(n) + 40), WAIT);
        Node {
            client,
            socket,
            start: Instant::now(),
        }
    }

    /// Asks once; gives what the witness says, `None` when it says nothing.
    fn ask(&mut self, to: SocketAddr, wants: bool, within: Duration) -> Option<Word> {
        let side = if wants {
            NodeSet::only(self.client.me())
        } else {
            NodeSet::EMPTY
        };
        let question = self.client.ask(self.start.elapsed(), side);
        self.socket.send_to(&question, to).unwrap();
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 256];
        let (len, _) = self.socket.recv_from(&mut buffer).ok()?;
        // one that comes after its question was given up is refused as late
        let heard = self
            .client
            .hear(self.start.elapsed(), &buffer[..len])
            .ok()?;
        let word = self.client.newest().unwrap().0.word;
        assert_eq!(heard.granted.is_some(), word == Word::Granted);
        Some(word)
    }

    /// Asks, again where a question was lost, as a node does every keepalive.
    fn wants(&mut self, to: SocketAddr) -> Word {
        let begin = Instant::now();
        loop {
            if let Some(word) = self.ask(to, true, Duration::from_millis(300)) {
                return word;
            }
            assert!(begin.elapsed() < PATIENCE, "no answer");
        }
    }

    /// The same, once more where this test was so slow that its challenge is too old.
    fn wants_freshly(&mut self, to: SocketAddr) -> Word {
        let words = std::iter::repeat_with(|| self.wants(to));
        words
            .take(50)
            .find(|word| *word != Word::Unproven)
            .expect("a fresh question")
    }

    /// Asks until that is what the witness says. Gives the other words that came first.
    fn until(&mut self, to: SocketAddr, expect: Word) -> Vec<Word> {
        let begin = Instant::now();
        let mut seen = Vec::new();
        loop {
            let word = self.wants(to);
            if word == expect {
                return seen;
            }
            seen.push(word);
            assert!(begin.elapsed() < PATIENCE, "never {expect:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn it_speaks_for_one_of_two_and_then_for_the_other() {
    let witness = Witness::start("pair", "127.0.0.1:0", "1200ms");
    let to = witness.address;
    let (mut a, mut b) = (Node::new("web", WEB, 0), Node::new("web", WEB, 1));
    a.until(to, Word::Granted);
    assert!(
        witness
            .read("speaks for")
            .contains("web: speaks for a from now on")
    );
    assert_eq!(b.wants(to), Word::Unproven);
    let begin = Instant::now();
    while begin.elapsed() < 2 * WAIT {
        assert_eq!(a.wants_freshly(to), Word::Granted);
        assert_eq!(b.wants_freshly(to), Word::Taken);
    }
    witness.read("web: b is refused: a has the word");
    // a stops wanting, and b gets the word no earlier than W after a's last
    let before = Instant::now();
    assert_eq!(a.wants_freshly(to), Word::Granted);
    b.until(to, Word::Granted);
    assert!(before.elapsed() >= WAIT, "after {:?}", before.elapsed());
    assert_eq!(a.wants_freshly(to), Word::Taken);
    witness.read("web: speaks for b from now on");
    // whoever started it, it is nobody in particular by now
    let status = std::fs::read_to_string(format!("/proc/{}/status", witness.child.id())).unwrap();
    let user = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert!(!user.split_whitespace().any(|id| id == "0"), "{user}");
}

#[test]
fn its_own_restart_grants_nothing_twice() {
    let witness = Witness::start("restart", "127.0.0.1:0", "1200ms");
    let to = witness.address;
    let (mut a, mut b) = (Node::new("web", WEB, 0), Node::new("web", WEB, 1));
    b.wants(to);
    a.until(to, Word::Granted);
    let granted = Instant::now();
    let witness = witness.again("restart", "1200ms");
    assert_eq!(witness.address, to);
    let words = b.until(to, Word::Granted);
    assert!(granted.elapsed() >= WAIT, "after {:?}", granted.elapsed());
    assert_eq!(
        words[0],
        Word::Unproven,
        "it knows no challenge of the old life"
    );
    assert!(matches!(words[1], Word::HoldingOff(_)), "{words:?}");
    witness.read("b is refused for");
}

#[test]
fn clusters_are_strangers_to_each_other() {
    let witness = Witness::start("many", "127.0.0.1:0", "1200ms");
    let to = witness.address;
    let mut web = Node::new("web", WEB, 0);
    let mut shop = Node::new("shop", SHOP, 1);
    web.until(to, Word::Granted);
    shop.until(to, Word::Granted);
    assert_eq!(web.wants_freshly(to), Word::Granted);
    // the key of the one does not open the other, nor a cluster that is not served
    let short = Duration::from_millis(100);
    assert_eq!(Node::new("shop", WEB, 0).ask(to, true, short), None);
    assert_eq!(Node::new("else", WEB, 0).ask(to, true, short), None);
    witness.read("packets ignored since the start: 1 signed by no key");
}

#[test]
fn rubbish_and_recordings_are_counted_and_change_nothing() {
    let witness = Witness::start("rubbish", "127.0.0.1:0", "1200ms");
    let to = witness.address;
    let (mut a, mut b) = (Node::new("web", WEB, 0), Node::new("web", WEB, 1));
    b.wants(to);
    a.until(to, Word::Granted);
    let recorded = a.client.ask(a.start.elapsed(), NodeSet::only(NodeId(0)));
    let spoiler = UdpSocket::bind("127.0.0.1:0").unwrap();
    spoiler.set_read_timeout(Some(PATIENCE)).unwrap();
    spoiler.send_to(&recorded, to).unwrap();
    spoiler.recv_from(&mut [0; 256]).unwrap();
    let last = Instant::now();
    let mut seed = 1_u64;
    for n in 0..2_000_u16 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::from(n) % recorded.len();
        let mut bytes = recorded.to_vec();
        bytes[at] ^= 1 << (n % 8);
        spoiler.send_to(&bytes, to).unwrap();
        spoiler.send_to(&bytes[..at], to).unwrap();
        spoiler
            .send_to(&seed.to_le_bytes().repeat(usize::from(n) % 100), to)
            .unwrap();
        spoiler.send_to(&recorded, to).unwrap();
        if n % 100 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    let line = witness.read("packets ignored since the start");
    assert!(line.contains("the last came from 127.0.0.1:"), "{line}");
    b.until(to, Word::Granted);
    assert!(last.elapsed() >= WAIT);
    spoiler.set_nonblocking(true).unwrap();
    assert!(
        spoiler.recv_from(&mut [0; 256]).is_err(),
        "nobody was answered"
    );
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kodo"))
            .arg("witness")
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = run(&["--cluster", "/no/such/file"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("/no/such/file: No such file"), "{said}");
    let (code, said) = run(&["--hold-off", "60s"]);
    assert_eq!(code, Some(64));
    assert!(said.contains("--cluster"), "{said}");
    let (code, said) = run(&["--hold-off", "60", "--cluster", "x"]);
    assert_eq!(code, Some(64));
    assert!(said.contains("it has no unit"), "{said}");
    let witness = Witness::start("taken", "127.0.0.1:0", "1s");
    let taken = witness.address.to_string();
    let list = witness.list.display().to_string();
    let (code, said) = run(&["--listen", &taken, "--cluster", &list]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot listen on"), "{said}");
}
