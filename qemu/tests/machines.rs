//! Machines with real QEMU processes and a guest of two hundred bytes: power, resets,
//! consoles, the null-modem line, carriers, and that no machine outlives the lab.

#![allow(clippy::unwrap_used, reason = "a test says what failed by failing")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kodo_qemu::{Accel, Event, Lab, Options, Power};
use support::{TempDir, guest};

const SOON: Duration = Duration::from_secs(30);

fn lab() -> (TempDir, Lab) {
    let dir = TempDir::new();
    let boot = guest::write(dir.path());
    let options = Options {
        accel: Some(Accel::Tcg),
        memory_mb: 16,
        ..Options::default()
    };
    let lab = Lab::start(&boot, options).unwrap();
    (dir, lab)
}

fn carrier(lab: &Lab, cable: &str) -> [bool; 2] {
    lab.wire()
        .cables()
        .into_iter()
        .find(|state| *state.name == *cable)
        .unwrap()
        .carrier
}

#[test]
fn the_power_switch_and_the_carriers() {
    let (_dir, lab) = lab();
    let start = lab.mark();
    lab.power_on("node1").unwrap();
    lab.wait_line("node1", "kodo[    0.000100] info hello", start, SOON)
        .unwrap();
    assert_eq!(
        carrier(&lab, "crossover"),
        [false, false],
        "the peer is off"
    );
    assert_eq!(carrier(&lab, "lan-node1"), [true, true]);
    lab.power_on("node2").unwrap();
    assert_eq!(carrier(&lab, "crossover"), [true, true]);

    let down = lab.mark();
    lab.power_off("node1").unwrap();
    assert_eq!(lab.machine("node1").unwrap().power(), Power::Off);
    let fell = |event: &Event| matches!(event, Event::Carrier { cable, end, up: false } if **cable == *"crossover" && **end == *"node2");
    lab.wait_event("the peer's carrier", down, SOON, |entry| {
        fell(&entry.event).then_some(())
    })
    .unwrap();

    let again = lab.mark();
    lab.power_on("node1").unwrap();
    lab.wait_line("node1", "hello", again, SOON).unwrap();
    assert_eq!(lab.machine("node1").unwrap().boots, 2);
    assert!(
        lab.power_on("node3")
            .unwrap_err()
            .to_string()
            .contains("node1 and node2")
    );
}

#[test]
fn resets_and_endings_are_noticed() {
    let (_dir, lab) = lab();
    let start = lab.mark();
    lab.power_on("node1").unwrap();
    lab.wait_line("node1", "hello", start, SOON).unwrap();

    let mark = lab.mark();
    lab.type_in("node1", b"r").unwrap();
    let reset = |event: &Event| matches!(event, Event::Reset { why, .. } if why == "guest-reset");
    lab.wait_event("a reset by the guest", mark, SOON, |entry| {
        reset(&entry.event).then_some(())
    })
    .unwrap();
    lab.wait_line("node1", "hello", mark, SOON).unwrap();

    let mark = lab.mark();
    lab.reset("node1").unwrap();
    lab.wait_line("node1", "hello", mark, SOON).unwrap();
    assert_eq!(lab.machine("node1").unwrap().boots, 3);

    let mark = lab.mark();
    lab.type_in("node1", b"q").unwrap();
    let off = |event: &Event| matches!(event, Event::PowerOff { why, .. } if why == "it powered itself off");
    lab.wait_event("a power-off by the guest", mark, SOON, |entry| {
        off(&entry.event).then_some(())
    })
    .unwrap();
    assert_eq!(lab.machine("node1").unwrap().power(), Power::Off);
    assert_eq!(carrier(&lab, "lan-node1"), [false, false]);
}

#[test]
fn the_null_modem_line_carries_loses_and_heals() {
    let (_dir, lab) = lab();
    let start = lab.mark();
    lab.power_on_all().unwrap();
    for node in ["node1", "node2"] {
        lab.wait_line(node, "hello", start, SOON).unwrap();
    }
    let mark = lab.mark();
    lab.type_in("node1", b"b").unwrap();
    lab.wait_line("node2", "beat", mark, SOON).unwrap();

    lab.cut("serial").unwrap();
    let mark = lab.mark();
    lab.type_in("node1", b"b").unwrap();
    lab.wait_for("bytes that fell off the cut line", SOON, |lab| {
        lab.wire()
            .cables()
            .iter()
            .any(|cable| cable.flows[0].counters.cut >= 1)
            .then_some(())
    })
    .unwrap();
    lab.heal("serial").unwrap();
    lab.inject("serial", "node1", b"forged\n").unwrap();
    lab.wait_line("node2", "forged", mark, SOON).unwrap();
    assert!(
        lab.console("node2", mark)
            .iter()
            .all(|(_, line)| !line.contains("beat"))
    );
}

#[test]
fn paused_and_stalled_machines_do_not_hold_the_lab_up() {
    let (_dir, lab) = lab();
    let start = lab.mark();
    lab.power_on_all().unwrap();
    lab.wait_line("node2", "hello", start, SOON).unwrap();
    lab.pause("node2").unwrap();
    lab.wait_for("node2 paused", SOON, |lab| {
        (lab.machine("node2").unwrap().power() == Power::Paused).then_some(())
    })
    .unwrap();
    // A paused machine takes nothing: what is sent to it is lost and counted, at no cost.
    let begun = Instant::now();
    for _ in 0..3000 {
        lab.inject("serial", "node1", &[b'x'; 64]).unwrap();
        lab.inject("crossover", "node1", &[0xff; 600]).unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let overruns: u64 = lab
        .wire()
        .cables()
        .iter()
        .map(|cable| cable.flows[0].counters.overrun)
        .sum();
    assert!(overruns > 2000, "{overruns}");
    lab.resume("node2").unwrap();
    let mark = lab.mark();
    lab.wait_for("some of it on node2's console", SOON, |lab| {
        lab.inject("serial", "node1", b"\n").unwrap();
        lab.console("node2", start)
            .iter()
            .any(|(_, line)| line.contains("xxxxxxxx"))
            .then_some(())
    })
    .unwrap();

    lab.stall("node2").unwrap();
    assert_eq!(lab.machine("node2").unwrap().power(), Power::Stalled);
    lab.cut("crossover").unwrap();
    lab.unstall("node2").unwrap();
    lab.qmp("node2", "query-status", serde_json::Value::Null)
        .unwrap();
    assert!(
        lab.timeline()
            .since(mark.at)
            .to_string()
            .contains("crossover carrier down at node2")
    );
    lab.stall("node2").unwrap();
    lab.power_off("node2").unwrap();
    assert_eq!(lab.machine("node2").unwrap().power(), Power::Off);
}

#[test]
fn a_machine_that_cannot_start_says_why() {
    let dir = TempDir::new();
    let boot = guest::write(dir.path());
    let options = Options {
        accel: Some(Accel::Tcg),
        qemu_args: vec!["-device".into(), "no-such-thing".into()],
        ..Options::default()
    };
    let lab = Lab::start(&boot, options).unwrap();
    let message = lab.power_on("node1").unwrap_err().to_string();
    assert!(
        message.contains("node1") && message.contains("no-such-thing"),
        "{message}"
    );
    assert_eq!(lab.machine("node1").unwrap().power(), Power::Off);
}

/// Not a test: the lab that [`machines_die_with_a_lab_that_is_killed`] kills.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn a_lab_to_be_killed() {
    let (_dir, lab) = lab();
    lab.power_on_all().unwrap();
    lab.stall("node2").unwrap();
    for node in ["node1", "node2"] {
        println!("machine {}", lab.machine(node).unwrap().pid.unwrap());
    }
    println!("ready");
    lab.wait_for("the end", Duration::from_secs(600), |_| None::<()>)
        .unwrap_err();
}

#[test]
fn machines_die_with_a_lab_that_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "a_lab_to_be_killed", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut machines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if let Some(pid) = line.strip_prefix("machine ") {
            machines.push(format!("/proc/{pid}/exe"));
        }
        if line == "ready" {
            break;
        }
    }
    assert_eq!(machines.len(), 2);
    let runs = |exe: &String| {
        std::fs::read_link(exe).is_ok_and(|exe| exe.to_string_lossy().contains("qemu"))
    };
    assert!(machines.iter().all(runs));
    // SIGKILL: nothing of the lab's own can clean up.
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + SOON;
    while machines.iter().any(runs) {
        assert!(Instant::now() < deadline, "a machine outlived its lab");
        std::thread::yield_now();
    }
    assert!(
        machines
            .iter()
            .all(|exe| !Path::new(exe).exists() || !runs(exe))
    );
}
