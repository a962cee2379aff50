//! Services' roots run outside of a node first: in a plain chroot, in a network of their own,
//! with what the node gives them (`/dev`, `/proc`, writable memory) and nothing else of the
//! host. What a reduction left out shows here, before any machine boots.
//!
//! Needs root, and Debian's package client; says so and passes where there is no root.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kodo_image::{report, root};
use kodo_tests_lab::brought;

/// A user of nobody.
const USER: u32 = 4242;
const PORT: u16 = 80;
const WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A service that ends with the test, however that ends, with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lays a root out in a directory and starts its command as a node does, as far as a shell can,
/// in a network of its own.
fn start(dir: &Path, wanted: &root::Wanted, built: &root::Built) -> Running {
    let at = dir.join("root");
    std::fs::create_dir(&at).expect("a directory");
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    brought::lay_out(&built.tree, &at);
    kodo_sys::process::new_network().expect("a network of its own");
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.expect("ip, of iproute2").success());
    // On a node the service has the capability instead.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").expect("a setting");
    let mut script = String::from("set -e\ncd \"$ROOT\"\nmount --bind -o ro . .\ncd \"$ROOT\"\n");
    script.push_str(
        "mount -t tmpfs dev dev\nmknod -m 666 dev/null c 1 3\nmknod -m 666 dev/urandom c 1 9\n",
    );
    script.push_str("mount -t proc proc proc\n");
    for place in &wanted.root.writable {
        script.push_str(&format!(
            "mount -t tmpfs -o uid={USER},gid={USER},mode=700 run .{place}\n"
        ));
    }
    // The shell stays the first process: it dies with `unshare`, and with it all others. What
    // changes its user is not told of the death.
    script.push_str("env -i KODO_NODE=node1 \"$@\" 2>&1 &\nwait $!\n");
    let launch = &built.launch;
    let mut unshare = Command::new("unshare");
    unshare
        .args([
            "--mount",
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            &script,
            "sh",
        ])
        .args(&launch.environment)
        .args(["chroot", &format!("--userspec={USER}:{USER}"), "--groups="])
        .arg(&at)
        .args(&launch.arguments)
        .env("ROOT", at)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Running(unshare.spawn().expect("unshare, of util-linux"))
}

/// One request; the whole answer.
fn ask() -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: kodo\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// Runs a service until it answers; the answer.
fn serve(service: &str, prepare: impl FnOnce(&Path)) -> Option<String> {
    if !kodo_sys::process::is_root() {
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path());
    let (wanted, built) = brought::build(&brought::pair_with(dir.path(), service));
    println!(
        "{service:?}: {} in {} files",
        report::size(built.tree.size()),
        built.tree.entries().count()
    );
    assert!(
        built.tree.get("var/www/html/first.html").is_none(),
        "hidden by a whiteout"
    );
    for source in &built.sources {
        println!(
            "  {} {}",
            source.name,
            source.version.as_deref().unwrap_or("")
        );
    }
    let mut running = start(dir.path(), &wanted, &built);
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        let ended = running.0.try_wait().expect("a child");
        if ended.is_some() || Instant::now() > deadline {
            let _ = running.0.kill();
            let mut said = String::new();
            let output = running.0.stdout.as_mut().expect("its output");
            output.read_to_string(&mut said).expect("text");
            panic!("{service} does not serve ({ended:?}):\n{said}");
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// What a recipe serves before it has content, and the most that its root may weigh.
fn recipe(name: &str) {
    let Some(answer) = serve(&format!("recipe = \"{name}\"\n"), |_| {}) else {
        return;
    };
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("web runs") && answer.contains("recipe"),
        "{answer}"
    );
    assert!(answer.to_lowercase().contains("x-kodo-node: "), "{answer}");
}

#[test]
fn apache_serves() {
    recipe("apache");
}

#[test]
fn nginx_serves() {
    recipe("nginx");
}

#[test]
fn haproxy_serves() {
    recipe("haproxy");
}

/// Runs an OCF agent's actions one after the other, as the node's runner would; what they
/// say, and their codes.
fn agent(service: &str, actions: &str) -> Option<String> {
    if !kodo_sys::process::is_root() {
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (wanted, mut built) = brought::build(&brought::pair_with(dir.path(), service));
    println!("{service:?}: {}", report::size(built.tree.size()));
    let agent = wanted.root.agent.as_ref().expect("an agent");
    // The runner's part of the environment; crm_attribute is the node's program too.
    let told = [
        "OCF_ROOT=/usr/lib/ocf",
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_RESOURCE_INSTANCE=web",
        "OCF_RESKEY_CRM_meta_interval=10000",
        "HA_RSCTMP=/run/resource-agents",
        "HA_VARRUN=/run/resource-agents",
        "HA_LOGFACILITY=none",
    ];
    built.launch.environment.extend(told.map(str::to_owned));
    built
        .launch
        .environment
        .push(format!("OCF_RESOURCE_TYPE={}", agent.kind));
    let script = format!(
        "for action in {actions}; do {} $action; echo $action: $?; done",
        built.launch.command
    );
    built.launch.arguments = vec!["/bin/sh".into(), "-c".into(), script];
    let mut running = start(dir.path(), &wanted, &built);
    let mut said = String::new();
    let output = running.0.stdout.as_mut().expect("its output");
    output.read_to_string(&mut said).expect("text");
    assert!(!said.contains("not found"), "{said}");
    Some(said)
}

#[test]
fn the_dummy_agent_runs() {
    let actions = "monitor start monitor stop monitor validate-all";
    if let Some(said) = agent("recipe = \"ocf-dummy\"\n", actions) {
        let codes: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(": ") && !line.contains("reason"))
            .collect();
        assert_eq!(
            codes,
            [
                "monitor: 7",
                "start: 0",
                "monitor: 0",
                "stop: 0",
                "monitor: 7",
                "validate-all: 0"
            ],
            "{said}"
        );
    }
}

#[test]
fn the_apache_agent_runs() {
    let actions = "start monitor stop";
    if let Some(said) = agent("recipe = \"ocf-apache\"\n", actions) {
        for code in ["start: 0", "monitor: 0", "stop: 0"] {
            assert!(said.lines().any(|line| line == code), "{said}");
        }
    }
}

/// Not a test: what [`a_program_serves`] brings along and runs.
#[test]
#[ignore = "serves until it is killed"]
fn serves() {
    let listener = std::net::TcpListener::bind(("0.0.0.0", PORT)).expect("the port");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = [0; 1024];
        // Whoever hangs up is not answered.
        let _ = stream.read(&mut request);
        let page = std::fs::read_to_string("/site/index.html").unwrap_or_default();
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{page}").as_bytes());
    }
}

/// A dynamic program of this host, alone with its libraries and its files: this very test.
#[test]
fn a_program_serves() {
    let service = "program = \"bin/server\"\narguments = [\"--ignored\", \"--exact\", \"serves\"]\n\
                   files = \"site\"\nfiles_at = \"/site\"\n";
    let answer = serve(service, |dir| {
        for directory in ["bin", "site"] {
            std::fs::create_dir(dir.join(directory)).expect("a directory");
        }
        let own = std::env::current_exe().expect("this program");
        std::fs::copy(own, dir.join("bin/server")).expect("a copy");
        std::fs::write(dir.join("site/index.html"), "my page").expect("a page");
    });
    if let Some(answer) = answer {
        assert!(answer.ends_with("my page"), "{answer}");
    }
}

#[test]
fn a_container_image_serves() {
    if Command::new("umoci").arg("--version").output().is_err() {
        eprintln!("not tested: this needs umoci");
        return;
    }
    let service = "oci = \"image.tar\"\nwritable = [\"/run/nginx\"]\n";
    let Some(answer) = serve(service, brought::container) else {
        return;
    };
    assert!(answer.ends_with("from the second layer"), "{answer}");
}
