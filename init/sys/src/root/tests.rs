//! A shell in a root of its own, asked what it can see and do. The root holds the shell,
//! its libraries and nothing else, so everything is asked with what the shell has built in.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Home, Root};
use crate::confine::{Confinement, Files};
use crate::process::{Child, Give, Spawn, is_root};

/// The shell and what its loader needs, as Debian lays them out.
const SHELL: [&str; 3] = [
    "/bin/sh",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
];

/// A directory with a shell in it.
fn shell() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let inside = |path: &str| directory.path().join(path.trim_start_matches('/'));
    for file in SHELL {
        std::fs::create_dir_all(inside(file).parent().unwrap()).unwrap();
        std::fs::copy(file, inside(file)).unwrap();
    }
    for made in ["dev", "proc", "run/own", "data"] {
        std::fs::create_dir_all(inside(made)).unwrap();
    }
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), readable).unwrap();
    directory
}

fn root_of(directory: &Path, writable: &[&str]) -> Root {
    Root {
        directory: directory.to_path_buf(),
        writable: writable.iter().map(PathBuf::from).collect(),
        room: 64 << 10,
        own_program: None,
    }
}

/// A shell that runs a script, and what it will write.
fn start(script: &str, home: Home<'_>, input: Option<&OwnedFd>) -> crate::Result<(Child, File)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let arguments = ["sh".into(), "-c".into(), script.to_owned()];
    let mut give = vec![];
    for number in [1, 2] {
        let descriptor = writer.as_fd();
        give.push(Give { number, descriptor });
    }
    if let Some(input) = input {
        let descriptor = input.as_fd();
        give.push(Give {
            number: 0,
            descriptor,
        });
    }
    let child = Spawn {
        program: Path::new("/bin/sh"),
        arguments: &arguments,
        environment: &[],
        directory: match home {
            Home::Ours => Path::new("/"),
            Home::Own(_) | Home::With(_) => Path::new("/data"),
        },
        home,
        give: &give,
        cgroup: None,
        confinement: Some(Confinement {
            id: 4711,
            low_ports: false,
            reach: Files::All,
            network: true,
            files: 64,
            processes: 16,
        }),
        oom_score: 0,
        die_with_parent: true,
    }
    .start()?;
    Ok((child, File::from(reader)))
}

/// What a shell in a root of its own says to a script, if it could be started.
fn ask(script: &str, writable: &[&str]) -> crate::Result<String> {
    let directory = shell();
    let root = root_of(directory.path(), writable);
    let (_, mut reader) = start(script, Home::Own(&root), None)?;
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_child_sees_its_root_and_nothing_else() {
    if !is_root() {
        return;
    }
    let text = ask("pwd; echo /*; echo /data/* /../*; echo /dev/*", &[]).unwrap();
    assert_eq!(
        text,
        "/data\n/bin /data /dev /lib /lib64 /proc /run\n\
         /data/* /../bin /../data /../dev /../lib /../lib64 /../proc /../run\n\
         /dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero\n"
    );
}

#[test]
fn it_writes_where_it_may_and_no_more_than_it_may() {
    if !is_root() {
        return;
    }
    let script = "echo kept > /run/own/file; read line < /run/own/file; echo $line
        for place in /file /data/file /dev/file /bin/sh /proc/sys/kernel/hostname; do
            echo x > $place && echo wrote $place
        done 2>/dev/null
        n=0; while [ $n -lt 99 ] && echo 0123456789012345678901234567890123456789012345678901234567890123 \
            >> /run/own/file; do n=$((n + 1)); done 2>/dev/null
        while echo $n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n$n >> /run/own/file; do :; done 2>/dev/null
        echo full > /dev/null; echo done";
    assert_eq!(ask(script, &["/run/own"]).unwrap(), "kept\ndone\n");
}

#[test]
fn this_program_is_put_where_it_is_wanted() {
    if !is_root() {
        return;
    }
    let directory = shell();
    std::fs::write(directory.path().join("data/own"), "").unwrap();
    let root = Root {
        own_program: Some("/data/own".into()),
        ..root_of(directory.path(), &[])
    };
    let script = "[ -s /data/own ] && echo there; echo x 2>/dev/null >> /data/own || echo kept";
    let (_, mut reader) = start(script, Home::Own(&root), None).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("there\n") && text.ends_with("kept\n"),
        "{text}"
    );
    let outside = std::fs::metadata(directory.path().join("data/own")).unwrap();
    assert_eq!(outside.len(), 0, "not copied");
}

#[test]
fn it_sees_its_own_processes_only() {
    if !is_root() {
        return;
    }
    let script = "echo $$; for n in /proc/[0-9]*; do echo $n; done; echo x > /proc/1/oom_score_adj";
    let text = ask(script, &[]).unwrap();
    assert!(text.starts_with("1\n/proc/1\n"), "{text}");
    assert_eq!(text.matches("/proc/").count(), 1, "{text}");
}

#[test]
fn a_writable_place_outside_is_refused_before_anything_is_started() {
    for path in ["run/own", "/run/../../etc", "/"] {
        let refused = ask("echo started", &[path]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{path}");
    }
}

#[test]
fn a_second_process_joins_the_first_one() {
    if !is_root() {
        return;
    }
    let directory = shell();
    let root = root_of(directory.path(), &["/run/own"]);
    let (input, release) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let script = "echo secret > /run/own/file; echo ready; read line";
    let (first, reader) = start(script, Home::Own(&root), Some(&input)).unwrap();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    let script =
        "read line < /run/own/file; echo $line; [ $$ -gt 1 ] && kill -0 1 && echo beside it; pwd";
    let (_, mut second) = start(script, Home::With(first.pidfd.as_fd()), None).unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert_eq!(text, "secret\nbeside it\n/data\n");

    // And this process's own children are numbered as before.
    let (third, mut reader) = start("echo $$", Home::Ours, None).unwrap();
    text.clear();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), third.pid.to_string());
    drop(release);
}
