//! The lane with real processes in real cgroups. It reaps whatever ends below it, so one
//! lane at a time runs in this process, on a thread of its own.

use std::io::ErrorKind::BrokenPipe;
use std::path::{Path, PathBuf};

use kodo_config::cluster::{Bounds, StopSignal};
use kodo_engine::surface::Reason;
use kodo_node::io::{ActError, Exit, ProbeError, ServiceId, Token};
use kodo_sys::seqpacket;

use super::Lane;
use super::cgroup::Tree;
use crate::lanes::{Link, REAPING};
use crate::wire::{FromSvc, Hooks, ServiceSetup, ToSvc, Turn};

const WEB: ServiceId = ServiceId(0);
const REASON: Reason = Reason::Failover;

/// Where this machine has cgroup v2, which is not always the standard place.
fn hierarchy() -> PathBuf {
    let places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let found = places
        .iter()
        .map(Path::new)
        .find(|place| place.join("cgroup.controllers").exists());
    found.expect("cgroup v2 is mounted").to_path_buf()
}

fn hook(script: &str) -> Vec<String> {
    let script = format!("PATH=/usr/bin:/bin; {script}");
    vec!["sh".into(), "-c".into(), script]
}

/// PID 1's side of a lane that runs one shell script as its service.
struct Bench {
    link: Link,
    tree: PathBuf,
}

fn bench(script: &str, test: impl FnOnce(&mut Bench)) {
    bench_of(script, false, test);
}

fn bench_of(script: &str, agent: bool, test: impl FnOnce(&mut Bench)) {
    if !kodo_sys::process::is_root() {
        return;
    }
    let _one = REAPING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let tree = hierarchy().join(format!("kodo-test-{}", std::process::id()));
    let (ours, theirs) = seqpacket::pair().unwrap();
    let at = tree.clone();
    let lane =
        std::thread::spawn(move || Lane::new(Link::new(theirs), Tree::at(at)).unwrap().serve());
    let mut bench = Bench {
        link: Link::new(ours),
        tree,
    };
    let setup = ServiceSetup {
        name: "web".into(),
        program: "/bin/sh".into(),
        arguments: vec![
            "sh".into(),
            "-c".into(),
            format!("PATH=/usr/bin:/bin; {script}"),
        ],
        // The shell and its libraries.
        reads: Some("/".into()),
        hooks: Some(Hooks {
            program: "/bin/sh".into(),
            promote: hook("echo $KODO_EVENT $KODO_REASON as $(id -u) of $KODO_SERVICE"),
            demote: hook("case $KODO_NODE in node1) sleep 1000;; esac"),
        }),
        agent,
        root: None,
        id: 4711,
        low_port: false,
        node: "node1".into(),
        bounds: Bounds {
            memory: Some(32 << 20),
            pids: 64,
            cpu: Some(50),
        },
        stop_signal: StopSignal::Usr1,
    };
    bench.tell(&ToSvc::Setup(vec![Some(setup)]));
    test(&mut bench);
    bench.tell(&ToSvc::Kill(Token(999), WEB));
    bench.until(|heard| matches!(heard, FromSvc::Done(Token(999), Ok(()))));
    let Bench { link, tree } = bench;
    drop(link);
    // It may still have had an end to tell.
    let ended = lane.join().unwrap();
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == BrokenPipe));
    for directory in ["services/web", "services", "children", ""] {
        std::fs::remove_dir(tree.join(directory)).unwrap();
    }
}

impl Bench {
    fn tell(&mut self, request: &ToSvc) {
        self.link.send(request, None).unwrap();
    }

    fn hear(&mut self) -> FromSvc {
        loop {
            let (heard, _) = self.link.receive::<FromSvc>().unwrap().unwrap();
            // A test machine need not hand its controllers to cgroup v2.
            if !matches!(heard, FromSvc::Trouble(_)) {
                return heard;
            }
        }
    }

    fn until(&mut self, mut wanted: impl FnMut(&FromSvc) -> bool) -> Vec<FromSvc> {
        let mut before = Vec::new();
        loop {
            let heard = self.hear();
            if wanted(&heard) {
                return before;
            }
            before.push(heard);
        }
    }

    /// Nobody listens any more to what has spoken so often.
    fn is_deaf_to(&mut self, spoken: usize) {
        let last = format!("said {spoken}");
        self.until(|heard| matches!(heard, FromSvc::Said { line, .. } if *line == last));
        // What it wrote and what it said come by different ways: asked until nobody is there.
        for token in (100..).step_by(2) {
            let (probe, done) = (Token(token), Token(token + 1));
            self.tell(&ToSvc::Probe(probe, WEB));
            self.tell(&ToSvc::Terminate(done, WEB));
            let heard = self.until(|heard| matches!(heard, FromSvc::Done(t, _) if *t == done));
            let refused = |heard: &FromSvc| matches!(heard, FromSvc::Probed(t, Err(ProbeError::Refused)) if *t == probe);
            if heard.iter().any(refused) {
                break;
            }
        }
        self.tell(&ToSvc::Role(Token(99), WEB, Turn::Demote));
        let mut answer = None;
        self.until(|heard| match heard {
            FromSvc::Done(Token(99), result) => {
                answer = Some(*result);
                true
            }
            _ => false,
        });
        assert_eq!(answer, Some(Err(ActError::Absent)), "it is still heard");
    }

    fn spawn(&mut self, token: u32) {
        self.tell(&ToSvc::Spawn(Token(token), WEB, REASON));
        self.until(|heard| matches!(heard, FromSvc::Done(t, Ok(())) if *t == Token(token)));
    }
}

fn said(heard: &[FromSvc]) -> Vec<&str> {
    let lines = heard.iter().filter_map(|heard| match heard {
        FromSvc::Said { line, .. } => Some(line.as_str()),
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_service_knows_why_it_runs_and_its_words_and_end_are_told() {
    bench(
        "echo $KODO_EVENT on $KODO_NODE as $(id -u) >&2; exit 3",
        |bench| {
            bench.spawn(1);
            let before = bench.until(|heard| matches!(heard, FromSvc::Exited(WEB, Exit::Code(3))));
            assert_eq!(said(&before), ["FAILOVER on node1 as 4711"]);
        },
    );
}

#[test]
fn a_service_is_asked_to_end_by_the_signal_that_it_knows() {
    bench(
        "trap 'exit 0' USR1; echo ready; while :; do sleep 0.01; done",
        |bench| {
            bench.spawn(1);
            bench.until(|heard| matches!(heard, FromSvc::Said { .. }));
            bench.tell(&ToSvc::Terminate(Token(2), WEB));
            let mut end = None;
            bench.until(|heard| {
                if let FromSvc::Exited(WEB, exit) = heard {
                    end = Some(*exit);
                }
                end.is_some()
            });
            assert_eq!(end, Some(Exit::Code(0)));
        },
    );
}

#[test]
fn kill_takes_a_whole_family_that_does_not_listen() {
    // Two generations that ignore TERM, one of them out of its parent's session.
    let script =
        "trap '' TERM; (trap '' TERM; setsid sleep 1000 & sleep 1000) & echo ready; sleep 1000";
    bench(script, |bench| {
        bench.spawn(1);
        bench.until(|heard| matches!(heard, FromSvc::Said { .. }));
        bench.tell(&ToSvc::Kill(Token(2), WEB));
        let before = bench.until(|heard| matches!(heard, FromSvc::Done(Token(2), Ok(()))));
        let text = std::fs::read_to_string(bench.tree.join("services/web/cgroup.procs")).unwrap();
        assert_eq!(text, "", "{before:?}");
        // And it can run again.
        if !before
            .iter()
            .any(|heard| matches!(heard, FromSvc::Exited(..)))
        {
            bench.until(|heard| matches!(heard, FromSvc::Exited(WEB, Exit::Signal(9))));
        }
        bench.spawn(3);
    });
}

#[test]
fn a_service_that_left_something_behind_does_not_start_beside_it() {
    bench("(sleep 1000 >&0 2>&0 &) ; exit 0", |bench| {
        bench.spawn(1);
        bench.until(|heard| matches!(heard, FromSvc::Exited(WEB, Exit::Code(0))));
        bench.tell(&ToSvc::Spawn(Token(2), WEB, REASON));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(2), Err(ActError::Errno(16)))));
    });
}

#[test]
fn every_action_may_be_asked_twice() {
    bench("exec sleep 1000", |bench| {
        bench.spawn(1);
        bench.spawn(2);
        for token in [3, 4] {
            bench.tell(&ToSvc::Kill(Token(token), WEB));
            bench.until(|heard| matches!(heard, FromSvc::Done(t, Ok(())) if *t == Token(token)));
        }
        bench.tell(&ToSvc::Terminate(Token(5), WEB));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(5), Ok(()))));
        bench.tell(&ToSvc::Kill(Token(6), ServiceId(7)));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(6), Err(ActError::Absent))));
    });
}

#[test]
fn a_drill_kills_the_main_process_only() {
    bench(
        "(sleep 1000 >&0 2>&0 &); echo ready; exec sleep 1000",
        |bench| {
            bench.spawn(1);
            bench.until(|heard| matches!(heard, FromSvc::Said { .. }));
            bench.tell(&ToSvc::Drill);
            bench.until(|heard| matches!(heard, FromSvc::Exited(WEB, Exit::Signal(9))));
            let left =
                std::fs::read_to_string(bench.tree.join("services/web/cgroup.procs")).unwrap();
            assert_eq!(left.lines().count(), 1);
        },
    );
}

#[test]
fn a_hook_runs_as_the_service_and_its_end_is_the_answer() {
    let promote = |token| ToSvc::Role(Token(token), WEB, Turn::Promote(REASON));
    bench("echo ready; exec sleep 1000", |bench| {
        bench.tell(&promote(1));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(1), Err(ActError::Absent))));
        bench.spawn(2);
        bench.until(|heard| matches!(heard, FromSvc::Said { .. }));
        bench.tell(&promote(3));
        // its words and its end come by different ways
        let (mut words, mut ended) = (Vec::new(), false);
        while words.is_empty() || !ended {
            match bench.hear() {
                FromSvc::Said { line, .. } => words.push(line),
                FromSvc::Done(Token(3), Ok(())) => ended = true,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(words, ["PROMOTE FAILOVER as 4711 of web"]);
    });
}

#[test]
fn a_hook_that_hangs_dies_with_its_service_and_has_failed() {
    let demote = |token| ToSvc::Role(Token(token), WEB, Turn::Demote);
    bench("exec sleep 1000", |bench| {
        bench.spawn(1);
        bench.tell(&demote(2));
        bench.tell(&demote(3));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(3), Err(ActError::Errno(16)))));
        bench.tell(&ToSvc::Kill(Token(4), WEB));
        let before = bench.until(|heard| matches!(heard, FromSvc::Done(Token(4), Ok(()))));
        let killed = Err(ActError::Ended(Exit::Signal(9)));
        let told =
            |heard: &FromSvc| matches!(heard, FromSvc::Done(Token(2), result) if *result == killed);
        assert!(before.iter().any(told), "{before:?}");
    });
}

/// Takes one message from its channel; false when nobody is at the other end.
const HEARS: &str = "[ $(dd bs=64 count=1 <&3 2>&- | wc -c) -gt 0 ]";

/// Says these bytes on its channel for every message there, and writes how often it did.
fn speaker(bytes: &str) -> String {
    format!("while {HEARS}; do printf '{bytes}' >&3; n=$((n + 1)); echo said $n; done; sleep 1000")
}

#[test]
fn what_runs_an_agent_is_asked_on_its_channel() {
    // Probed(Token(2), Ok(5)), by its encoding.
    bench_of(&speaker("\\000\\002\\000\\012"), true, |bench| {
        bench.tell(&ToSvc::Probe(Token(1), WEB));
        let nobody = FromSvc::Probed(Token(1), Err(ProbeError::Refused));
        bench.until(|heard| format!("{heard:?}") == format!("{nobody:?}"));
        bench.spawn(9);
        bench.tell(&ToSvc::Probe(Token(2), WEB));
        bench.until(|heard| matches!(heard, FromSvc::Probed(Token(2), Ok(5))));
        bench.tell(&ToSvc::Terminate(Token(3), WEB));
        bench.until(|heard| matches!(heard, FromSvc::Done(Token(3), Ok(()))));
        // That it is to stop is said there too, and answered out of turn.
        bench.is_deaf_to(2);
    });
}

#[test]
fn what_speaks_out_of_turn_is_not_heard_any_more() {
    // An answer that nobody asked for, and one that cannot be read.
    for bytes in ["\\000\\143\\000\\012", "\\377", "\\001\\002\\000"] {
        bench_of(&speaker(bytes), true, |bench| {
            bench.spawn(1);
            bench.tell(&ToSvc::Probe(Token(2), WEB));
            bench.is_deaf_to(1);
        });
    }
}

#[test]
fn a_role_that_is_not_told_when_it_ends_has_failed() {
    bench_of(&format!("{HEARS}; {HEARS}; exit 0"), true, |bench| {
        bench.spawn(1);
        bench.tell(&ToSvc::Role(Token(2), WEB, Turn::Promote(REASON)));
        bench.tell(&ToSvc::Role(Token(3), WEB, Turn::Demote));
        let done = |token, error| move |heard: &FromSvc| matches!(heard, FromSvc::Done(t, Err(e)) if *t == Token(token) && *e == error);
        bench.until(done(3, ActError::Errno(16)));
        bench.tell(&ToSvc::Probe(Token(4), WEB));
        bench.until(done(2, ActError::Absent));
    });
}
