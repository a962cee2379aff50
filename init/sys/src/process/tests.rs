//! Children as they find themselves.

use super::*;
use crate::confine::Files;
use std::io::Read;

fn shell<'a>(arguments: &'a [String], give: &'a [Give<'a>]) -> Spawn<'a> {
    Spawn {
        program: Path::new("/bin/sh"),
        arguments,
        environment: &[],
        directory: Path::new("/"),
        home: Home::Ours,
        give,
        cgroup: None,
        confinement: None,
        oom_score: 0,
        die_with_parent: true,
    }
}

fn output(script: &str, confinement: Option<Confinement>) -> String {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let arguments = ["sh".into(), "-c".into(), script.into()];
    let give = [
        Give {
            number: 1,
            descriptor: writer.as_fd(),
        },
        Give {
            number: 2,
            descriptor: writer.as_fd(),
        },
    ];
    let child = Spawn {
        confinement,
        ..shell(&arguments, &give)
    }
    .start()
    .unwrap();
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(reader)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(reap(child.pid), Some((child.pid, Ended::Code(0))), "{text}");
    text
}

#[test]
fn a_child_starts_with_a_clean_slate() {
    let text = output(
        "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo $(ls /proc/self/fd); cat /proc/self/oom_score_adj",
        None,
    );
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("SigBlk:\t0000000000000000"));
    let ignored = lines
        .next()
        .and_then(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    // The C library keeps 32 and 33 to itself.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff, 0);
    // 3 is the directory that ls itself reads.
    assert_eq!(lines.collect::<Vec<_>>(), ["0 1 2 3", "0"]);
}

#[test]
fn a_confined_child_has_one_capability_at_most() {
    if !is_root() {
        return;
    }
    for (low_ports, expected) in [(false, "0000000000000000"), (true, "0000000000000400")] {
        let confinement = Confinement {
            id: 4711,
            low_ports,
            reach: Files::All,
            network: true,
            files: 64,
            processes: 16,
        };
        let text = output(
            "id -u; id -G; grep -E 'Cap|NoNewPrivs' /proc/self/status; ulimit -n",
            Some(confinement),
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(&lines[..2], ["4711", "4711"]);
        for (line, name) in lines[2..7]
            .iter()
            .zip(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        {
            assert_eq!(*line, format!("{name}:\t{expected}"));
        }
        assert_eq!(lines[7..], ["NoNewPrivs:\t1", "64"]);
    }
}

#[test]
fn a_child_without_a_network_sees_none() {
    if !is_root() {
        return;
    }
    let confinement = Confinement {
        id: 4711,
        low_ports: false,
        reach: Files::All,
        network: false,
        files: 64,
        processes: 16,
    };
    let text = output(
        "grep : /proc/net/dev; cat /proc/net/route",
        Some(confinement),
    );
    let ports: Vec<_> = text.lines().filter(|line| line.contains(':')).collect();
    assert_eq!(ports.len(), 1, "{text}");
    assert!(ports[0].trim_start().starts_with("lo:"), "{text}");
}

#[test]
fn a_sandboxed_child_sees_one_directory_at_most() {
    if !is_root() {
        return;
    }
    let confined = |reach| Confinement {
        id: 4711,
        low_ports: false,
        reach,
        network: true,
        files: 64,
        processes: 16,
    };
    // The shell's own libraries count as files, so it may read below the root here.
    let root = open_directory("/").unwrap();
    let text = output(
        "read line < /proc/self/status && echo $line; echo > /tmp/kodo-sandbox || echo no",
        Some(confined(Files::Below(root))),
    );
    assert!(text.starts_with("Name: sh\n"), "{text}");
    assert!(text.ends_with("no\n"), "{text}");

    // A program of one file begins; the shell's second one is the dynamic linker.
    let arguments = ["sh".into(), "-c".into(), "true".into()];
    let child = Spawn {
        confinement: Some(confined(Files::Nothing)),
        ..shell(&arguments, &[])
    };
    let refused = child.start().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
}

#[test]
fn a_program_that_is_not_there_is_an_error_here() {
    let arguments = ["nothing".into()];
    let spawn = Spawn {
        program: Path::new("/nowhere/nothing"),
        ..shell(&arguments, &[])
    };
    assert_eq!(
        spawn.start().unwrap_err().raw_os_error(),
        Some(libc::ENOENT)
    );
}

#[test]
fn a_signal_ends_the_process_behind_the_pidfd() {
    let arguments = ["sh".into(), "-c".into(), "exec sleep 60".into()];
    let child = shell(&arguments, &[]).start().unwrap();
    signal(&child.pidfd, Send::Kill).unwrap();
    assert_eq!(
        reap(child.pid),
        Some((child.pid, Ended::Signal(libc::SIGKILL)))
    );
    signal(&child.pidfd, Send::Kill).unwrap();
}
