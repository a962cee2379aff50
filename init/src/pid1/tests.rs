//! The loop with a real node, real descriptors and a real network of its own; the test
//! plays the lanes and the children.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use kodo_admin::relay;
use kodo_config::{Bundle, Cluster};
use kodo_engine::surface::Level;
use kodo_node::Node;
use kodo_node::io::{Port, Reply, Request, Token};
use kodo_node::limits::SLOT;
use kodo_node::{ETHERTYPE, GROUP_MAC, WITNESS_PORT};
use kodo_sys::clock;
use kodo_sys::gate::Gate;
use kodo_sys::packet::PacketSocket;
use kodo_sys::poll::Ready;
use kodo_sys::seqpacket::{self, Channel};
use kodo_sys::signal::{Signal, SignalFd};
use kodo_sys::{AsFd, link, netlink};

use super::lane::{self, Heard};
use super::{Lane, OWN_TOKEN, Parts, Pid1};
use crate::wire::{
    Child, FromDev, FromDisk, FromNet, FromSvc, MESSAGE, Nic, PortSetup, Running, ToConsole,
    ToDisk, ToNet, ToSvc,
};

const CLUSTER: &str = r#"
schema = 1
[cluster]
name = "web"
key = "6578616d706c6521206e6576657220757365206f7574736964652061206c6162"
profile = "lab"
split_brain = "accept"
[[admin.token]]
name = "ada"
sha256 = "f1949bfbff34061457ffa7ce51d172d8a25882868e9ef2a472ff9bc525a098f3"
[[node]]
name = "node1"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:01:01"
address = ["192.168.0.18/24"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:01:02"
[[node]]
name = "node2"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:02:01"
address = ["192.168.0.19/24"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:02:02"
"#;

/// PID 1 and the other ends of everything.
struct Bench {
    pid1: Pid1,
    net: Channel,
    svc: Channel,
    dev: Channel,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(CLUSTER, None)
    }

    fn of(file: &str, disk: Option<Lane>) -> Bench {
        let load = |_, _: &str| Err("there is none".to_owned());
        let (bundle, cluster) = Bundle::gather("test", file, &load).unwrap();
        let config = cluster.node("node1").unwrap();
        let starts = crate::plan::Starts::new();
        let plan = crate::plan::plan(&cluster, 0, &config, &starts).unwrap();
        let node = Node::new(config.clone(), 1, 2, clock::boottime());
        let file = config.engine.file_hash;
        let running = crate::reader::memory(&Running {
            bundle,
            config,
            starts,
        });
        let pair = |name| {
            let (ours, theirs) = seqpacket::pair().unwrap();
            (Lane::over(name, ours), theirs)
        };
        let ((net, net_end), (svc, svc_end), (dev, dev_end)) =
            (pair("net"), pair("svc"), pair("dev"));
        let parts = Parts {
            start: clock::boottime(),
            plan,
            node: Box::new(node),
            // Not of children: other tests of this process have some.
            signals: SignalFd::new(&[Signal::Power]).unwrap(),
            net,
            svc,
            dev,
            disk,
            notes: vec![
                (Level::Info, "boot: first".into()),
                (Level::Warn, "boot: second".into()),
            ],
            file,
            running,
            files: Vec::new(),
        };
        let pid1 = Pid1::new(parts).unwrap();
        Bench {
            pid1,
            net: net_end,
            svc: svc_end,
            dev: dev_end,
        }
    }

    /// Turns the loop for a while, and until its next deadline.
    fn turn_for(&mut self, time: Duration) {
        let end = clock::boottime() + time;
        let mut ready = Ready::new();
        while clock::boottime() < end {
            self.pid1.turn(&mut ready).unwrap();
        }
    }

    fn turn(&mut self) {
        self.turn_for(Duration::from_millis(20));
    }

    /// What the svc lane was asked, with the channels of the children.
    fn started(&self) -> Vec<(Child, Channel)> {
        let mut started = Vec::new();
        while let Some((ToSvc::Child(child), Some(channel))) = next(&self.svc) {
            started.push((child, Channel::from_fd(channel)));
        }
        started
    }

    /// A NIC that the dev lane found.
    fn nic(&mut self, last: u8, index: u32) {
        let nic = Nic {
            name: format!("eth{index}"),
            index,
            mac: [0x52, 0x54, 0, 0, 1, last],
            pci: None,
        };
        lane::send(&self.dev, &FromDev::Nic(nic), None).unwrap();
        self.turn();
    }
}

fn next<T: serde::de::DeserializeOwned>(channel: &Channel) -> Option<(T, Option<OwnedFd>)> {
    match lane::receive(channel, &mut vec![0; MESSAGE]) {
        Heard::Message(message, descriptor) => Some((message, descriptor)),
        _ => None,
    }
}

fn child(started: Vec<(Child, Channel)>, wanted: Child) -> Channel {
    started
        .into_iter()
        .find(|(child, _)| *child == wanted)
        .unwrap()
        .1
}

/// The lines that the console was given.
fn lines(console: &Channel) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((message, _)) = next::<ToConsole>(console) {
        if let ToConsole::Log(line) = message {
            lines.push(line.text.as_str().to_owned());
        }
    }
    lines
}

#[test]
fn the_console_comes_first_and_hears_everything_since_boot() {
    let mut bench = Bench::new();
    bench.turn();
    let started = bench.started();
    let order: Vec<Child> = started.iter().map(|(child, _)| *child).collect();
    assert_eq!(order, [Child::Console, Child::Probe, Child::Admin]);
    let lines = lines(&child(started, Child::Console));
    assert_eq!(&lines[..2], ["boot: first", "boot: second"]);
}

#[test]
fn a_nic_of_the_file_becomes_a_port_that_beats_and_follows_its_carrier() {
    if !kodo_sys::process::is_root() {
        return;
    }
    // In a network of its own, where the loopback plays a NIC.
    let test = std::thread::spawn(|| {
        kodo_sys::process::new_network().unwrap();
        let mut route = netlink::Route::open(Duration::from_secs(5)).unwrap();
        route.request(link::SET, 0, &link::up(1)).unwrap();
        let wire = PacketSocket::open(1, ETHERTYPE, WITNESS_PORT, GROUP_MAC.0).unwrap();

        let mut bench = Bench::new();
        bench.nic(9, 7);
        assert!(
            next::<ToNet>(&bench.net).is_none(),
            "a stranger's NIC is left alone"
        );
        bench.nic(1, 1);
        let expected = PortSetup {
            port: Port(0),
            index: 1,
            name: "eth1".into(),
            public: true,
            addresses: vec![("192.168.0.18".parse().unwrap(), 24)],
            gateways: vec![],
        };
        match next::<ToNet>(&bench.net) {
            Some((ToNet::Port(setup), None)) => assert_eq!(setup, expected),
            other => panic!("{other:?}"),
        }

        let socket = PacketSocket::open(1, ETHERTYPE, WITNESS_PORT, GROUP_MAC.0).unwrap();
        let mac = [0x52, 0x54, 0, 0, 1, 1];
        let ready = FromNet::Ready {
            port: Port(0),
            index: 1,
            mac,
            carrier: true,
            detail: None,
        };
        lane::send(&bench.net, &ready, Some(socket.as_fd())).unwrap();
        bench.turn_for(Duration::from_millis(700));
        let mut frame = [0; 2048];
        let len = wire.receive(&mut frame).unwrap();
        assert_eq!(
            (&frame[..6], &frame[6..12], len > 60),
            (&GROUP_MAC.0[..], &mac[..], true)
        );

        // The cable is pulled: what the kernel says is believed, not what the lane said.
        let mut down = link::up(1);
        down[8..12].fill(0);
        route.request(link::SET, 0, &down).unwrap();
        bench.turn();
        let lines = lines(&child(bench.started(), Child::Console));
        let carrier: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("carrier"))
            .collect();
        assert!(
            carrier.last().unwrap().starts_with("lan: no carrier"),
            "{carrier:?}"
        );
    });
    test.join().unwrap();
}

#[test]
fn ports_without_a_nic_are_named_once_drivers_are_loaded() {
    let mut bench = Bench::new();
    let settled = FromDev::Settled {
        modules: 3,
        took: Duration::from_millis(5),
    };
    lane::send(&bench.dev, &settled, None).unwrap();
    bench.turn();
    let lines = lines(&child(bench.started(), Child::Console));
    for mac in ["52:54:00:00:01:01", "52:54:00:00:01:02"] {
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!("no NIC {mac}"))),
            "{lines:?}"
        );
    }
}

#[test]
fn the_disk_lane_may_die_and_only_the_disk_is_lost() {
    let file = CLUSTER.replace(
        "name = \"node1\"",
        "name = \"node1\"\nstate_partition = \"kept\"",
    );
    let (ours, disk) = seqpacket::pair().unwrap();
    let mut bench = Bench::of(&file, Some(Lane::over("disk", ours)));
    bench.turn();
    assert!(next::<ToDisk>(&disk).is_none(), "not before other drivers");
    let settled = FromDev::Settled {
        modules: 3,
        took: Duration::from_millis(5),
    };
    lane::send(&bench.dev, &settled, None).unwrap();
    bench.turn();
    match next::<ToDisk>(&disk) {
        Some((ToDisk::Find(name), None)) => assert_eq!(name, "kept"),
        other => panic!("{other:?}"),
    }
    let found = FromDisk::Found {
        device: "vda1".into(),
        slots: [vec![0; SLOT], vec![0; SLOT]],
    };
    lane::send(&disk, &found, None).unwrap();
    bench.turn();
    let Some((ToDisk::Write { serial: 1, table }, None)) = next::<ToDisk>(&disk) else {
        panic!("the first table is written at once");
    };
    assert!(table.starts_with(b"kodostat"));
    let written = FromDisk::Written {
        serial: 1,
        result: Ok(()),
    };
    lane::send(&disk, &written, None).unwrap();
    bench.turn();
    drop(disk);
    bench.turn();
    let console = child(bench.started(), Child::Console);
    let lines = lines(&console);
    let said = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(said("state partition kept: it is vda1"), 1, "{lines:?}");
    assert_eq!(said("the disk helper died"), 1, "{lines:?}");
    assert_eq!(said("resets itself"), 0, "{lines:?}");
}

#[test]
fn operators_are_answered_one_at_a_time() {
    let mut bench = Bench::new();
    let admin = child(bench.started(), Child::Admin);
    // The setup, which is not this test's business.
    admin.receive(&mut vec![0; MESSAGE]).unwrap();
    let ask = |token| {
        let request = relay::ToNode::Ask {
            token: Token(token),
            request: Request::Log { from: 0 },
        };
        lane::send(&admin, &request, None).unwrap();
    };
    // PID 1's own token is refused, and so is nonsense.
    ask(OWN_TOKEN.0);
    admin.send(b"\xff\xff\xff", None).unwrap();
    for token in 0..100 {
        ask(token);
    }
    let began = clock::boottime();
    bench.turn_for(Duration::from_millis(100));
    let mut answers = Vec::new();
    while let Some((answer, _)) = next::<relay::FromNode>(&admin) {
        let relay::FromNode::Reply { token, reply } = answer else {
            panic!("{answer:?}");
        };
        assert!(matches!(reply, Reply::Log { .. }));
        answers.push(token.0);
    }
    let count = u32::try_from(answers.len()).unwrap();
    assert_eq!(answers, (0..count).collect::<Vec<_>>());
    let most = (clock::boottime() - began).as_millis() / 5 + 1;
    assert!(
        (1..=most).contains(&u128::from(count)),
        "{count} answers, {most} at most"
    );
}

#[test]
fn a_child_that_ends_starts_again_after_a_pause() {
    let mut bench = Bench::new();
    let _others = bench.started();
    let began = clock::boottime();
    let ended = FromSvc::ChildEnded(Child::Probe, "exit status 1".into());
    lane::send(&bench.svc, &ended, None).unwrap();
    let mut again = Vec::new();
    while again.is_empty() {
        bench.turn_for(Duration::from_millis(1));
        again = bench.started();
    }
    assert_eq!((again.len(), again[0].0), (1, Child::Probe));
    let pause = clock::boottime() - began;
    assert!(pause >= super::children::BACKOFF_MIN, "{pause:?}");
}

#[test]
fn a_child_that_closes_its_channel_and_lives_on_is_killed() {
    let mut bench = Bench::new();
    drop(child(bench.started(), Child::Admin));
    bench.turn_for(Duration::from_millis(1200));
    let killed = next::<ToSvc>(&bench.svc);
    assert!(
        matches!(killed, Some((ToSvc::KillChild(Child::Admin), None))),
        "{killed:?}"
    );
}

#[test]
fn a_console_that_is_too_slow_loses_lines_and_says_so() {
    let mut bench = Bench::new();
    let console = child(bench.started(), Child::Console);
    for _ in 0..2000 {
        bench.pid1.note(Level::Info, "a flood of words");
    }
    let taken = lines(&console).len();
    assert!(taken < 2000, "it never blocks");
    bench.pid1.note(Level::Info, "calm again");
    let after = lines(&console);
    assert!(
        after[0].ends_with("log lines are not shown: the console is too slow"),
        "{after:?}"
    );
    assert_eq!(after[1], "calm again");
}

#[test]
fn the_gate_follows_the_node_and_closes_with_it() {
    if !kodo_sys::process::is_root() {
        return;
    }
    let vips = ["192.168.0.33", "fd00::33"].map(|vip| vip.parse::<IpAddr>().unwrap());
    let Ok(kernel) = Gate::load(&vips) else {
        eprintln!("not tested: this kernel has no gate");
        return;
    };
    let mut bench = Bench::new();
    bench.pid1.plan.duties.vips = vips.to_vec();
    bench.pid1.gate = super::Gate::new(&bench.pid1.plan);
    // Who has 192.168.0.33? (RFC 826)
    let mut question = [0; 42];
    question[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    question[38..].copy_from_slice(&[192, 168, 0, 33]);
    let open = || kernel.try_frame(true, &question, 1).unwrap().0;
    let until = clock::boottime() + Duration::from_secs(60);

    // What came before the kernel's page is not lost; what is no VIP is not there.
    bench.pid1.gate.set(vips[0], until);
    bench.pid1.gate.set("10.0.0.1".parse().unwrap(), until);
    assert!(!open());
    lane::send(&bench.net, &FromNet::Gate, Some(kernel.deadlines())).unwrap();
    bench.turn();
    assert!(open());
    bench.pid1.gate.set(vips[0], clock::boottime());
    assert!(!open());
    bench.pid1.gate.set(vips[0], until);
    bench.pid1.gate.close();
    assert!(!open());
}

#[test]
fn a_kernel_without_a_gate_is_said_loudly_and_the_node_goes_on() {
    let mut bench = Bench::new();
    lane::send(&bench.net, &FromNet::NoGate("ENOSYS".into()), None).unwrap();
    bench.turn();
    assert!(matches!(
        next::<ToNet>(&bench.net),
        Some((ToNet::Ungate, None))
    ));
    let lines = lines(&child(bench.started(), Child::Console));
    let said = lines
        .iter()
        .filter(|line| line.contains("no kernel gate: ENOSYS"));
    assert_eq!(said.count(), 1, "{lines:?}");
    bench
        .pid1
        .gate
        .set("192.168.0.33".parse().unwrap(), Duration::MAX);
}

/// A file that an operator sends, and what PID 1's reader makes of it.
struct Sent {
    admin: Channel,
    reader: Channel,
}

impl Bench {
    /// The admin child passes a file on.
    fn send(&mut self, admin: &Channel, token: u32, sealed: &[u8]) {
        let memory = kodo_sys::memory::anonymous(c"test").unwrap();
        std::io::Write::write_all(
            &mut std::fs::File::from(memory.try_clone().unwrap()),
            sealed,
        )
        .unwrap();
        let file = relay::ToNode::File {
            token: Token(token),
            operator: "ada".try_into().unwrap(),
            stage: true,
        };
        lane::send(admin, &file, Some(memory.as_fd())).unwrap();
        self.turn();
    }

    /// The same of a changed file, read by a reader.
    fn sent(&mut self, change: (&str, &str)) -> (Sent, u64) {
        let started = self.started();
        let admin = child(started, Child::Admin);
        admin.receive(&mut vec![0; MESSAGE]).unwrap();
        let load = |_, _: &str| Err("there is none".to_owned());
        let old = Cluster::parse("test", CLUSTER, &load).unwrap();
        let text = CLUSTER.replace(change.0, change.1);
        let (bundle, new) = Bundle::gather("test", &text, &load).unwrap();
        let sealed = bundle
            .seal(&new.keys[0], &[old.file_hash()], [1; 12])
            .unwrap();
        self.send(&admin, 7, &sealed);
        let reader = child(self.started(), Child::Reader);
        (Sent { admin, reader }, new.file_hash())
    }
}

/// What became of a file, for the operator.
fn verdict(admin: &Channel) -> Option<Result<relay::FileRead, relay::FileRefused>> {
    match next(admin) {
        Some((relay::FromNode::File { verdict, .. }, None)) => Some(verdict),
        _ => None,
    }
}

/// Does the reader's work.
fn read(reader: Channel) -> Channel {
    let mut link = crate::lanes::Link::new(reader);
    crate::reader::answer(&mut link).unwrap();
    Channel::from_fd(link.into_fd())
}

#[test]
fn a_file_passes_through_unread_and_everybody_goes_over_to_it_at_once() {
    let mut bench = Bench::new();
    let (sent, hash) = bench.sent(("name = \"ada\"", "name = \"bob\""));
    // One at a time.
    bench.send(&sent.admin, 8, b"anything");
    assert_eq!(verdict(&sent.admin), Some(Err(relay::FileRefused::Busy)));
    let _reader = read(sent.reader);
    bench.turn();
    let told = verdict(&sent.admin).unwrap().unwrap();
    assert_eq!((told.hash, told.staged), (hash, true));
    assert_eq!(
        told.changes,
        [
            "admin token ada: gone, was valid",
            "admin token bob: new, valid"
        ]
    );
    assert!(next::<ToSvc>(&bench.svc).is_none(), "nothing changed yet");

    bench.pid1.adopted(hash);
    assert!(matches!(next(&bench.svc), Some((ToSvc::Setup(list), None)) if list.is_empty()));
    // Whoever talks with a token that is gone talks no longer.
    assert!(matches!(
        next(&bench.svc),
        Some((ToSvc::KillChild(Child::Admin), None))
    ));
    let ended = FromSvc::ChildEnded(Child::Admin, "signal 9".into());
    lane::send(&bench.svc, &ended, None).unwrap();
    bench.turn();
    let admin = child(bench.started(), Child::Admin);
    let (setup, _) = next::<crate::wire::AdminSetup>(&admin).unwrap();
    assert_eq!(setup.tokens[0].0, "bob");
}

#[test]
fn what_no_token_depends_on_leaves_the_api_alone() {
    let mut bench = Bench::new();
    let (sent, hash) = bench.sent(("split_brain", "drills = true\nsplit_brain"));
    let _reader = read(sent.reader);
    bench.turn();
    assert!(verdict(&sent.admin).unwrap().unwrap().staged);
    bench.pid1.adopted(hash);
    assert!(matches!(next(&bench.svc), Some((ToSvc::Setup(_), None))));
    assert!(next::<ToSvc>(&bench.svc).is_none());
}

#[test]
fn a_reader_that_gives_no_answer_changes_nothing_and_the_next_file_is_read() {
    let mut bench = Bench::new();
    let (sent, _) = bench.sent(("split_brain", "drills = true\nsplit_brain"));
    // It hangs: killed in the end.
    bench.turn_for(super::reload::PATIENCE + Duration::from_millis(1200));
    let mut asked = core::iter::from_fn(|| next::<ToSvc>(&bench.svc));
    assert!(asked.any(|(asked, _)| matches!(asked, ToSvc::KillChild(Child::Reader))));
    let ended = FromSvc::ChildEnded(Child::Reader, "signal 9".into());
    lane::send(&bench.svc, &ended, None).unwrap();
    bench.turn();
    assert_eq!(verdict(&sent.admin), Some(Err(relay::FileRefused::Unread)));
    assert!(bench.started().is_empty(), "it does not start by itself");

    bench.send(&sent.admin, 9, b"no file at all");
    let _reader = read(child(bench.started(), Child::Reader));
    bench.turn();
    match verdict(&sent.admin) {
        Some(Err(relay::FileRefused::Wrong(why))) => assert!(why.contains("kodo apply"), "{why}"),
        other => panic!("{other:?}"),
    }
}
