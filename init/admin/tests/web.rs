//! The built-in web service, run as the supervisor runs it: a process of its own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{eventually, pair};
use kodo_admin::web::role::{Role, tell};
use kodo_admin::web::{self, WebConfig};
use rustix::process::{Pid, Signal, kill_process};

const PORT: &str = "KODO_TEST_WEB_PORT";
const DIRECTORY: &str = "KODO_TEST_WEB_DIRECTORY";
/// Its standard input is the channel of its roles.
const ROLES: &str = "KODO_TEST_WEB_ROLES";

/// Not a test: the body of the process that the tests start from this very program.
#[test]
fn the_service() {
    let Ok(port) = std::env::var(PORT) else {
        return;
    };
    let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
    let config = WebConfig {
        port: port.parse().unwrap(),
        directory,
        node: "node1".to_owned(),
        cluster: "web".to_owned(),
        roles: std::env::var_os(ROLES)
            .map(|_| std::io::stdin().as_fd().try_clone_to_owned().unwrap()),
    };
    web::run(config).unwrap();
}

struct Service {
    process: Child,
    port: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Service {
    fn new(directory: Option<&Path>) -> Service {
        Service::start(directory, None)
    }

    fn start(directory: Option<&Path>, roles: Option<OwnedFd>) -> Service {
        let port = {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "the_service"])
            .env(PORT, port.to_string())
            .stdout(Stdio::null());
        if let Some(directory) = directory {
            command.env(DIRECTORY, directory);
        }
        if let Some(roles) = roles {
            command.env(ROLES, "").stdin(Stdio::from(roles));
        }
        let service = Service {
            process: command.spawn().unwrap(),
            port,
        };
        eventually("the service listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        service
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    /// `target` goes out as it is, unlike through any sane client.
    fn ask(&self, method: &str, target: &str) -> Answer {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head,
            body: answer[end + 4..].to_vec(),
        }
    }

    fn get(&self, target: &str) -> Answer {
        self.ask("GET", target)
    }

    fn term(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }
}

/// A directory of this test's own, removed afterwards.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let root = std::env::temp_dir().join(format!("kodo-web-{name}-{}", std::process::id()));
        let site = root.join("site");
        fs::create_dir_all(site.join("docs")).unwrap();
        fs::write(root.join("secret.txt"), "not content").unwrap();
        fs::write(site.join("style.css"), "body {}").unwrap();
        fs::write(site.join("docs/index.html"), "<p>docs").unwrap();
        fs::write(site.join("docs/grüße.txt"), "hallo").unwrap();
        Site(root)
    }

    fn path(&self) -> PathBuf {
        self.0.join("site")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_node_page_names_the_node() {
    let service = Service::new(None);
    for path in ["/", "/kodo"] {
        let answer = service.get(path);
        assert_eq!(answer.status, 200);
        let body = String::from_utf8(answer.body.clone()).unwrap();
        assert!(
            body.contains("<h1>node1</h1>") && body.contains("<b>web</b>"),
            "{body}"
        );
        assert_eq!(answer.header("x-kodo-node"), Some("node1"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    assert_eq!(service.get("/other").status, 404);
}

#[test]
fn every_answer_names_the_node() {
    let site = Site::new("names");
    let service = Service::new(Some(&site.path()));
    for (method, target, status) in [
        ("GET", "/", 200),
        ("GET", "/style.css", 200),
        ("HEAD", "/style.css", 200),
        ("GET", "/docs", 301),
        ("GET", "/nowhere", 404),
        ("POST", "/", 405),
        ("DELETE", "/style.css", 405),
    ] {
        let answer = service.ask(method, target);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(
            answer.header("x-kodo-node"),
            Some("node1"),
            "{method} {target}"
        );
    }
}

#[test]
fn files_and_indexes() {
    let site = Site::new("files");
    let service = Service::new(Some(&site.path()));
    let style = service.get("/style.css?v=1");
    assert_eq!(style.body, b"body {}");
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(style.header("content-length"), Some("7"));
    let head = service.ask("HEAD", "/style.css");
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        (Some("7"), 0)
    );
    assert_eq!(service.get("/docs/").body, b"<p>docs");
    assert_eq!(
        service.get("/docs?a=b").header("location"),
        Some("/docs/?a=b")
    );
    assert_eq!(service.get("/docs/gr%C3%BC%C3%9Fe.txt").body, b"hallo");
    // No index at the top: the node page. With one: the index.
    assert_eq!(service.get("/").header("cache-control"), Some("no-store"));
    fs::write(site.path().join("index.html"), "<p>top").unwrap();
    assert_eq!(service.get("/").body, b"<p>top");
    assert!(service.get("/kodo").body.starts_with(b"<!doctype html>"));
}

#[test]
fn large_files_arrive_whole() {
    let site = Site::new("large");
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_be_bytes()[2] ^ n.to_be_bytes()[3])
        .collect();
    fs::write(site.path().join("large.bin"), &large).unwrap();
    let service = Service::new(Some(&site.path()));
    let answer = service.get("/large.bin");
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(answer.body, large);
}

#[test]
fn no_path_leaves_the_directory() {
    let site = Site::new("escape");
    symlink("../secret.txt", site.path().join("out")).unwrap();
    symlink(site.0.join("secret.txt"), site.path().join("absolute")).unwrap();
    symlink("../..", site.path().join("up")).unwrap();
    symlink("style.css", site.path().join("inside")).unwrap();
    fs::write(site.path().join(".hidden"), "not content").unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        site.path().join("fifo"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    let service = Service::new(Some(&site.path()));
    for target in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2E%2Fsecret.txt",
        "/docs/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/docs//../../secret.txt",
        "/out",
        "/absolute",
        "/up/secret.txt",
        "/.hidden",
        "/style.css%00.html",
        "/style.css/",
        "/proc/self/environ",
        "/fifo",
        "/docs/%",
    ] {
        let answer = service.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("not content"),
            "{target}"
        );
    }
    assert_eq!(
        service.get("/inside").body,
        b"body {}",
        "links that stay inside are content"
    );
    assert_ne!(service.get("http://evil.example/../secret.txt").status, 200);
    assert_eq!(service.get("//evil.example").header("location"), None);
}

#[test]
fn one_connection_serves_many_requests() {
    let service = Service::new(None);
    let mut stream = service.connect();
    let mut length = None;
    for _ in 0..3 {
        stream
            .write_all(b"HEAD /kodo HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"));
        length = Some(head.len());
    }
    assert!(length.is_some());
}

#[test]
fn ipv6_is_served_too() {
    let service = Service::new(None);
    let Ok(mut stream) = TcpStream::connect(("::1", service.port)) else {
        // A kernel without IPv6 on loopback cannot show it.
        assert!(TcpListener::bind(("::1", 0)).is_err());
        return;
    };
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("node1"));
}

#[test]
fn term_finishes_what_is_in_flight() {
    let site = Site::new("term");
    let large = vec![7_u8; 8_000_000];
    fs::write(site.path().join("large.bin"), &large).unwrap();
    let mut service = Service::new(Some(&site.path()));
    let mut idle = service.connect();
    let mut busy = service.connect();
    write!(busy, "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = vec![0; 1000];
    busy.read_exact(&mut answer).unwrap();
    service.term();
    eventually("nobody listens any more", || {
        TcpStream::connect(("127.0.0.1", service.port))
            .is_err()
            .then_some(())
    });
    busy.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    assert!(answer[end + 4..] == large, "the answer in flight is whole");
    assert_eq!(
        idle.read(&mut [0]).unwrap(),
        0,
        "idle connections are closed"
    );
    assert!(service.process.wait().unwrap().success());
}

#[test]
fn term_does_not_wait_for_the_stalled() {
    let site = Site::new("stall");
    fs::write(site.path().join("large.bin"), vec![7_u8; 30_000_000]).unwrap();
    let mut service = Service::new(Some(&site.path()));
    let mut stalled = service.connect();
    write!(stalled, "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stalled.read_exact(&mut [0; 100]).unwrap();
    let begun = Instant::now();
    service.term();
    assert!(service.process.wait().unwrap().success());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let config = |port, directory: Option<&str>| WebConfig {
        port,
        directory: directory.map(PathBuf::from),
        node: "node1".to_owned(),
        cluster: "web".to_owned(),
        roles: None,
    };
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = web::run(config(port, None)).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("web: cannot listen on port {port}: ")),
        "{error}"
    );
    let error = web::run(config(0, Some("/nonexistent")))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("web: cannot open /nonexistent: "),
        "{error}"
    );
}

#[test]
fn a_promotable_one_shows_its_role_and_takes_another() {
    let (own, hooks) = pair();
    let service = Service::start(None, Some(own));
    let shown = |role: &str| {
        let answer = service.get("/kodo");
        assert_eq!(answer.header("x-kodo-role"), Some(role));
        assert_eq!(answer.header("kodo-promotion"), Some("5"));
        let page = String::from_utf8(answer.body).unwrap();
        assert!(page.contains(&format!("<b>{role}</b>")), "{page}");
    };
    shown("unpromoted");
    // A hook that ended well has been heard: nothing has to be waited for.
    for role in [Role::Promoted, Role::Promoted, Role::Unpromoted] {
        tell(hooks.try_clone().unwrap().into(), role).unwrap();
        shown(role.word());
    }
    drop(service);
    assert!(
        tell(hooks.into(), Role::Promoted).is_err(),
        "nobody is there"
    );
}

#[test]
fn another_one_has_no_role() {
    let answer = Service::new(None).get("/kodo");
    assert_eq!(answer.header("x-kodo-role"), None);
    assert_eq!(answer.header("kodo-promotion"), None);
}
