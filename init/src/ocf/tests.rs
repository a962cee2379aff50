//! Agents of a few lines of shell, run as a node runs them. The runner reaps whatever ends
//! below it, so one at a time runs in this process, on a thread of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kodo_node::io::{AgentCode, Exit, ProbeError, Token};
use kodo_sys::seqpacket;

use super::agent::{Agent, Times};
use super::runner::Runner;
use crate::lanes::{Link, REAPING};
use crate::wire::{FromAgent, ToAgent};

/// Long enough for a loaded machine.
const LONG: Duration = Duration::from_secs(20);
const SCRIPT: &str = "#!/bin/sh\nPATH=/usr/bin:/bin\necho $1 >> $STATE/actions\n";

/// The lane's side of a runner.
struct Bench {
    link: Link,
    state: PathBuf,
}

/// Runs an agent of the cases `actions`; whether the runner said that it ended well.
fn bench(actions: &str, times: Times, test: impl FnOnce(&mut Bench)) -> bool {
    let _one = REAPING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("resource.d/test");
    std::fs::create_dir_all(&at).unwrap();
    let text = format!("{SCRIPT}case $1 in\n{actions}\nesac\n");
    std::fs::write(at.join("agent"), text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(at.join("agent"), executable).unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();

    let own = [
        ("OCF_ROOT", directory.path().to_str().unwrap()),
        ("STATE", state.to_str().unwrap()),
        ("KODO_SERVICE", "db"),
        ("KODO_NODE", "node1"),
        ("OCF_RESKEY_size", "3"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let agent = Agent::new("test:agent", own, times, Some(2), &state).unwrap();
    let (ours, theirs) = seqpacket::pair().unwrap();
    let words = std::fs::File::create(state.join("words")).unwrap();
    let life = std::thread::spawn(move || {
        let runner = Runner::new(agent, Link::new(theirs), words.into());
        runner.unwrap().live().unwrap()
    });
    let mut bench = Bench {
        link: Link::new(ours),
        state,
    };
    test(&mut bench);
    drop(bench.link);
    let ended = life.join().unwrap();
    format!("{ended:?}") == format!("{:?}", ExitCode::SUCCESS)
}

fn times() -> Times {
    Times {
        start: LONG,
        stop: LONG,
        monitor: LONG,
        interval: LONG,
    }
}

impl Bench {
    fn ask(&mut self, request: ToAgent) {
        self.link.send(&request, None).unwrap();
    }

    fn hear(&mut self) -> Option<FromAgent> {
        Some(self.link.receive().unwrap()?.0)
    }

    fn probe(&mut self, token: u32) -> Result<i16, ProbeError> {
        self.ask(ToAgent::Probe(Token(token)));
        match self.hear() {
            Some(FromAgent::Probed(Token(answered), result)) if answered == token => result,
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, request: fn(Token) -> ToAgent, token: u32) -> Result<(), Exit> {
        self.ask(request(Token(token)));
        match self.hear() {
            Some(FromAgent::Told(Token(answered), result)) if answered == token => result,
            other => panic!("{other:?}"),
        }
    }

    /// Asks it to stop, and waits until it ended.
    fn stop(&mut self) {
        self.ask(ToAgent::Stop);
        assert_eq!(self.hear(), None);
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.state.join(file)).unwrap_or_default()
    }

    fn actions(&self) -> Vec<String> {
        self.read("actions").lines().map(str::to_owned).collect()
    }

    /// Waits until an action has begun.
    fn until_begun(&self, action: &str) {
        let deadline = std::time::Instant::now() + LONG;
        while !self.actions().iter().any(|begun| begun == action) {
            assert!(std::time::Instant::now() < deadline, "no {action}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_agent_starts_is_asked_and_stops() {
    let well = bench("*) exit 0;;", times(), |bench| {
        assert_eq!(bench.probe(1), Ok(-1), "no score is set");
        bench.stop();
        assert_eq!(bench.actions(), ["start", "monitor", "stop"]);
    });
    assert!(well);
}

#[test]
fn an_agent_is_told_what_pacemaker_tells() {
    let tells = "monitor) env > $STATE/told;;";
    let times = Times {
        monitor: Duration::from_secs(7),
        ..times()
    };
    bench(tells, times, |bench| {
        assert_eq!(bench.probe(1), Ok(-1));
        let told = bench.read("told");
        for line in [
            "OCF_RA_VERSION_MAJOR=1",
            "OCF_RESOURCE_INSTANCE=db",
            "OCF_RESOURCE_PROVIDER=test",
            "OCF_RESOURCE_TYPE=agent",
            "OCF_RESKEY_size=3",
            "OCF_RESKEY_CRM_meta_timeout=7000",
            "OCF_RESKEY_CRM_meta_interval=20000",
            "OCF_RESKEY_CRM_meta_on_node=node1",
            "OCF_RESKEY_CRM_meta_clone_max=2",
            "OCF_RESKEY_CRM_meta_role=Unpromoted",
        ] {
            assert!(told.lines().any(|said| said == line), "{line}: {told}");
        }
        bench.stop();
    });
}

#[test]
fn a_start_that_fails_ends_the_runner() {
    let well = bench("start) exit 5;;", times(), |bench| {
        bench.ask(ToAgent::Probe(Token(1)));
        assert_eq!(bench.hear(), None);
        assert_eq!(bench.actions(), ["start"]);
    });
    assert!(!well);
}

#[test]
fn nobody_is_asked_before_the_start_is_over() {
    let waits = "start) while ! [ -e $STATE/go ]; do sleep 0.01; done;;\nmonitor) exit 0;;";
    bench(waits, times(), |bench| {
        bench.ask(ToAgent::Probe(Token(1)));
        bench.ask(ToAgent::Probe(Token(2)));
        bench.until_begun("start");
        std::fs::write(bench.state.join("go"), "").unwrap();
        let answered = bench.hear();
        assert_eq!(
            answered,
            Some(FromAgent::Probed(Token(2), Ok(-1))),
            "the newest"
        );
        bench.stop();
    });
}

#[test]
fn a_monitor_that_fails_is_told_with_its_code() {
    bench("monitor) exit 7;;", times(), |bench| {
        let said = bench.probe(1).unwrap_err();
        assert_eq!(said, ProbeError::Agent(AgentCode(7)));
        assert_eq!(said.to_string(), "its agent says: not running (code 7)");
        bench.stop();
    });
}

#[test]
fn a_monitor_that_hangs_is_killed_with_what_it_started() {
    let hangs = "monitor) sleep 1000 & echo $! > $STATE/sleeper; wait;;";
    let times = Times {
        monitor: Duration::from_millis(300),
        ..times()
    };
    bench(hangs, times, |bench| {
        assert_eq!(bench.probe(1), Err(ProbeError::Timeout));
        let sleeper = PathBuf::from("/proc").join(bench.read("sleeper").trim());
        let deadline = std::time::Instant::now() + LONG;
        // An orphan of this very process may wait for somebody to reap it.
        let lives = |process: &Path| {
            let state = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        while lives(&sleeper) {
            assert!(std::time::Instant::now() < deadline, "it lives on");
            std::thread::yield_now();
        }
        bench.stop();
        assert_eq!(bench.actions(), ["start", "monitor", "stop"]);
    });
}

#[test]
fn a_stop_waits_for_nothing() {
    for hangs in ["start", "monitor", "promote"] {
        let actions = format!("{hangs}) sleep 1000;;");
        let well = bench(&actions, times(), |bench| {
            match hangs {
                "monitor" => bench.ask(ToAgent::Probe(Token(1))),
                _ => bench.ask(ToAgent::Promote(Token(1))),
            }
            bench.until_begun(hangs);
            bench.ask(ToAgent::Stop);
            while bench.hear().is_some() {}
            assert_eq!(bench.actions().last().map(String::as_str), Some("stop"));
        });
        assert!(well, "{hangs}");
    }
}

#[test]
fn a_stop_that_fails_is_told_by_the_end() {
    assert!(!bench("stop) exit 1;;", times(), Bench::stop));
}

#[test]
fn a_stop_that_hangs_goes_on_until_all_is_killed() {
    let well = bench("stop) exec sleep 1000;;", times(), |bench| {
        bench.ask(ToAgent::Stop);
        bench.until_begun("stop");
        // Asked again, it neither ends nor begins anew; the lane's end stands for the kill.
        bench.ask(ToAgent::Stop);
        bench.ask(ToAgent::Probe(Token(1)));
    });
    assert!(!well);
}

#[test]
fn a_role_is_taken_and_monitors_must_agree_with_it() {
    // It is promoted while the file is there.
    let agent = "promote) touch $STATE/promoted; echo 7 > $KODO_PROMOTION_SCORE;;\n\
        demote) rm $STATE/promoted;;\n\
        monitor) [ -e $STATE/promoted ] && exit 8; exit 0;;";
    let well = bench(agent, times(), |bench| {
        assert_eq!(bench.probe(1), Ok(-1));
        assert_eq!(bench.tell(ToAgent::Promote, 2), Ok(()));
        assert_eq!(bench.probe(3), Ok(7), "promoted, and says how fit it is");
        std::fs::remove_file(bench.state.join("promoted")).unwrap();
        let lost = Err(ProbeError::Agent(AgentCode::SUCCESS));
        assert_eq!(bench.probe(4), lost, "it runs, but is not promoted");
        std::fs::write(bench.state.join("promoted"), "").unwrap();
        assert_eq!(bench.tell(ToAgent::Demote, 5), Ok(()));
        assert_eq!(bench.probe(6), Ok(7));
        std::fs::write(bench.state.join("promoted"), "").unwrap();
        let alone = Err(ProbeError::Agent(AgentCode::PROMOTED));
        assert_eq!(bench.probe(7), alone, "it promoted itself");
        bench.stop();
    });
    assert!(well);
}

#[test]
fn nothing_promoted_is_stopped() {
    bench("*) exit 0;;", times(), |bench| {
        assert_eq!(bench.tell(ToAgent::Promote, 1), Ok(()));
        bench.stop();
        assert_eq!(bench.actions(), ["start", "promote", "demote", "stop"]);
    });
}

#[test]
fn a_role_that_is_not_taken_is_told() {
    bench(
        "promote) exit 1;;\ndemote) kill -9 $$;;",
        times(),
        |bench| {
            assert_eq!(bench.tell(ToAgent::Promote, 1), Err(Exit::Code(1)));
            assert_eq!(bench.tell(ToAgent::Demote, 2), Err(Exit::Signal(9)));
            bench.stop();
        },
    );
}

#[test]
fn a_change_of_role_does_not_wait_for_a_monitor() {
    let slow = "monitor) [ -e $STATE/fast ] || sleep 1000; exit 8;;\npromote) touch $STATE/fast;;";
    bench(slow, times(), |bench| {
        bench.ask(ToAgent::Probe(Token(1)));
        bench.until_begun("monitor");
        bench.ask(ToAgent::Promote(Token(2)));
        assert_eq!(bench.hear(), Some(FromAgent::Told(Token(2), Ok(()))));
        let again = Some(FromAgent::Probed(Token(1), Ok(-1)));
        assert_eq!(bench.hear(), again, "the monitor ran again");
        bench.stop();
    });
}

#[test]
fn an_agent_that_is_not_there_cannot_start() {
    let _one = REAPING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let agent = Agent::new("test:none", [], times(), None, Path::new("/nowhere")).unwrap();
    let (_ours, theirs) = seqpacket::pair().unwrap();
    let words = std::fs::File::open("/dev/null").unwrap();
    let ended = Runner::new(agent, Link::new(theirs), words.into())
        .unwrap()
        .live();
    assert_eq!(
        format!("{:?}", ended.unwrap()),
        format!("{:?}", ExitCode::FAILURE)
    );
}

#[test]
fn this_program_knows_its_names_in_a_root() {
    use super::{Role, role};
    assert_eq!(role("/usr/lib/kodo/ocf"), Some(Role::Runner));
    assert_eq!(role("/usr/sbin/crm_master"), Some(Role::Score));
    assert_eq!(role("crm_attribute"), Some(Role::Score));
    for other in ["init", "/init", "", "ocf-x"] {
        assert_eq!(role(other), None, "{other}");
    }
}
