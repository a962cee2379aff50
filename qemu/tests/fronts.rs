//! Scripts and the second terminal, with real machines and a guest of two hundred bytes.

#![allow(clippy::unwrap_used, reason = "a test says what failed by failing")]

mod support;

use std::time::{Duration, Instant};

use kodo_qemu::command::script::Script;
use kodo_qemu::front::{control, run_script};
use kodo_qemu::{Accel, Lab, Options};
use support::{TempDir, guest};

const SOON: Duration = Duration::from_secs(30);

fn lab(dir: &TempDir) -> Lab {
    let boot = guest::write(dir.path());
    let options = Options {
        accel: Some(Accel::Tcg),
        memory_mb: 16,
        dir: Some(dir.path().join("log")),
        ..Options::default()
    };
    Lab::start(&boot, options).unwrap()
}

#[test]
fn a_script_and_a_second_terminal_work_on_one_lab() {
    let dir = TempDir::new();
    let home = dir.path().join("home");
    let script = "
        power on all
        wait log node1 hello and log node2 hello and crossover.carrier = up within 30s
        wait log node2 beat within 30s   # somebody else types it
        expect node1.boots = 1 and node1.power = on and client = none
        expect log any absent \"no such thing\"
        cut crossover
        expect crossover.carrier = down";
    let script = Script::parse("test", script).unwrap();
    let said = std::thread::scope(|scope| {
        let run = scope.spawn(|| run_script(lab(&dir), &script, &home).unwrap());
        let deadline = Instant::now() + SOON;
        let mut said = Vec::new();
        while !run.is_finished() {
            assert!(Instant::now() < deadline);
            if control::is_running(&home) {
                // Until the machine is on, and after the end, it says no.
                let _ = control::send(&home, "type node1 b", &mut Vec::new());
                let _ = control::send(&home, "status", &mut said);
            }
            std::thread::yield_now();
        }
        said
    });
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.contains("cluster tiny") && said.contains("VIP 192.168.0.33: nobody"),
        "{said}"
    );
    assert!(!control::is_running(&home));
    let timeline = std::fs::read_to_string(dir.path().join("log/timeline.txt")).unwrap();
    assert!(timeline.contains("cut crossover"), "{timeline}");
    for file in [
        "crossover.pcap",
        "lan-node1.pcap",
        "serial.pcap",
        "node1.console.log",
        "timeline.json",
    ] {
        assert!(dir.path().join("log").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_script_fails_where_its_expectation_does() {
    let dir = TempDir::new();
    let script = Script::parse(
        "test",
        "power on node1\nexpect node1.power = off\nnote never",
    )
    .unwrap();
    let message = run_script(lab(&dir), &script, dir.path())
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("test:2: "), "{message}");
    assert!(message.contains("node1.power is on"), "{message}");
    let timeline = std::fs::read_to_string(dir.path().join("log/timeline.txt")).unwrap();
    assert!(!timeline.contains("never"));
}

#[test]
fn a_home_holds_one_lab() {
    let dir = TempDir::new();
    let home = dir.path().join("home");
    let waits = Script::parse("test", "wait client = any within 20s").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| run_script(lab(&dir), &waits, &home).unwrap_err());
        let deadline = Instant::now() + SOON;
        while !control::is_running(&home) {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        let other = TempDir::new();
        let message = run_script(lab(&other), &waits, &home)
            .unwrap_err()
            .to_string();
        assert!(message.contains("already"), "{message}");
        // It is still the first lab's, and a wait ends with its lab.
        assert!(control::send(&home, "quit", &mut Vec::new()).unwrap());
    });
}
