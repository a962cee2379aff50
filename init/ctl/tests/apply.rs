//! `kodo apply` and `kodo diff` as an operator runs them, against nodes that keep a file.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use kodo_config::{Bundle, Cluster, secrets};

/// A node that compares, stages and adopts as a real one does, and nothing else.
#[derive(Clone)]
struct Node {
    address: String,
    state: Arc<Mutex<State>>,
}

struct State {
    name: &'static str,
    running: Cluster,
    staged: Option<Cluster>,
    /// It refuses every file, for this reason.
    refuses: Option<&'static str>,
    asked: Vec<String>,
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
    std::fs::read_to_string(path).unwrap()
}

fn cluster(text: &str) -> Cluster {
    Cluster::parse("old.toml", text, &|_, _| Err("none".to_owned())).unwrap()
}

impl Node {
    fn new(name: &'static str) -> Node {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            name,
            running: cluster(&example()),
            staged: None,
            refuses: None,
            asked: Vec::new(),
        }));
        let node = Node { address, state };
        let served = node.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mut served.state.lock().unwrap());
            }
        });
        node
    }

    fn asked(&self) -> Vec<String> {
        core::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn file(&self) -> u64 {
        self.state.lock().unwrap().running.file_hash()
    }
}

fn serve(mut stream: TcpStream, state: &mut State) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let (path, body) = loop {
        let read = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..read]);
        let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
        if request.len() >= end + 4 + length {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            break (path, request[end + 4..].to_vec());
        }
    };
    state.asked.push(path.clone());
    let (status, answer) = match path.as_str() {
        "/v1/status" => (200, told(state)),
        "/v1/file" | "/v1/file/diff" => file(state, &body, path == "/v1/file"),
        "/v1/file/adopt" => {
            // The nodes agree among themselves: each of these is alone.
            state.running = state.staged.take().unwrap();
            (200, r#"{"nodes":2,"of":2,"forgotten_by":""}"#.to_owned())
        }
        other => panic!("{other}"),
    };
    let length = answer.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
    );
}

fn told(state: &State) -> String {
    let node = |name: &str| {
        format!(
            r#"{{"name":"{name}","role":"standby","standby":false,"boot":null,"silent_ms":null,
            "same_file":true,"paths":[],"placement":{{"leaving":false,"foreign":false,"reachable":true,
            "lost":false,"found":true,"unsteady":false}}}}"#
        )
    };
    let nodes = [node("node1"), node("node2")].join(",");
    let staged = state
        .staged
        .as_ref()
        .map(|staged| format!("\"{:016x}\"", staged.file_hash()));
    format!(
        r#"{{"schema":1,"cluster":"web","node":"{}","uptime_ms":5000,"role":"active","health":"healthy",
        "concerns":[],"notes":[],"file":"{:016x}","staged":{},"view":{{"epoch":2,
        "members":["node1","node2"]}},"reachable":true,"watchdog":null,"nodes":[{nodes}],
        "groups":[{{"name":"www","holder":"node1","epoch":2,"state":"started","failures":0,"members":[],
        "placement":{{"planned":["node1"],"holders":["node1"],"banned":[],"waiting":[],"damped":false,
        "first":false,"prefer":null}}}}],"counters":{{}},"last_event":""}}"#,
        state.name,
        state.running.file_hash(),
        staged.as_deref().unwrap_or("null"),
    )
}

fn file(state: &mut State, sealed: &[u8], stage: bool) -> (u16, String) {
    let old = &state.running;
    let read = Bundle::open(sealed, &old.keys, old.file_hash()).map_err(|why| why.to_string());
    let read = read.and_then(|bundle| {
        let new = bundle
            .cluster("new")
            .map_err(|_| "it is wrong".to_owned())?;
        let changes = new.changes(old);
        new.unfit(old, &changes)?;
        Ok((new, changes))
    });
    let refused = state.refuses.map(|why| Err(why.to_owned()));
    match refused.unwrap_or(read) {
        Err(why) => {
            let why = serde_json::to_string(&why).unwrap();
            (422, format!(r#"{{"error":{why},"hint":"correct it"}}"#))
        }
        Ok((new, changes)) => {
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            let changes = serde_json::to_string(&changes).unwrap();
            let hash = new.file_hash();
            if stage {
                state.staged = Some(new);
            }
            (
                200,
                format!(r#"{{"hash":"{hash:016x}","changes":{changes},"staged":{stage}}}"#),
            )
        }
    }
}

/// Two nodes of which the second adopts as soon as the first does.
fn pair() -> [Node; 2] {
    [Node::new("node1"), Node::new("node2")]
}

fn written(name: &str, text: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("kodo-apply-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn kodo(nodes: &[&Node], words: &[&str], file: &Path) -> (i32, String) {
    let nodes: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_kodo"))
        .args(words)
        .arg(file)
        .env_clear()
        .env("KODO_NODE", nodes.join(","))
        .env("KODO_TOKEN", "a token")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [stdout, stderr].concat();
    (status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_good_file_is_shown_staged_everywhere_and_then_adopted() {
    let [one, two] = pair();
    let text = example().replace("failback = \"manual\"", "failback = \"auto\"");
    let (new, file) = (cluster(&text).file_hash(), written("good.toml", &text));
    // The second one follows when the first has heard the wish.
    let (watched, follower) = (one.clone(), two.clone());
    thread::spawn(move || {
        while watched.file() != new {
            thread::yield_now();
        }
        let mut state = follower.state.lock().unwrap();
        state.running = state.staged.take().unwrap();
    });
    let (code, text) = kodo(&[&two, &one], &["apply", "--yes"], &file);
    assert_eq!(code, 0, "{text}");
    for says in [
        "What changes on node1 and node2:\n  group www: failback: manual -> auto\n",
        "Placement: nothing is moved.\n",
        "node1: has it\nnode2: has it\n",
        "node1: runs it\n",
        "node2: runs it\n",
        "runs the file of its image again: put images",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert_eq!((one.file(), two.file()), (new, new));
    assert_eq!(
        one.asked()[..4],
        ["/v1/status", "/v1/file/diff", "/v1/file", "/v1/file/adopt"]
    );
    assert_eq!(
        two.asked()[..3],
        ["/v1/status", "/v1/file/diff", "/v1/file"]
    );

    let (code, text) = kodo(&[&one, &two], &["apply", "--yes"], &file);
    assert_eq!(
        (code, text.as_str()),
        (0, "Every node runs this file already: nothing to do.\n")
    );
}

#[test]
fn one_refusal_and_nothing_is_staged_anywhere() {
    let [one, two] = pair();
    two.state.lock().unwrap().refuses = Some("service api: the image of this node has no files");
    let text = example().replace("fall = 2", "fall = 3");
    let (code, text) = kodo(
        &[&one, &two],
        &["apply", "--yes"],
        &written("one.toml", &text),
    );
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("node2 refuses the file: service api: the image"),
        "{text}"
    );
    assert!(text.contains("Nothing was changed anywhere."), "{text}");
    for node in [one, two] {
        assert_eq!(node.asked(), ["/v1/status", "/v1/file/diff"]);
    }
}

#[test]
fn what_is_wrong_here_reaches_no_node() {
    let [one, two] = pair();
    for text in ["[[group", &example().replace("split_brain = \"ping\"", "")] {
        let (code, text) = kodo(
            &[&one, &two],
            &["apply", "--yes"],
            &written("bad.toml", text),
        );
        assert_eq!(code, 1);
        assert!(text.contains("is refused"), "{text}");
    }
    let file = written("ask.toml", &example());
    let (code, text) = kodo(&[&one, &two], &["apply"], &file);
    assert_eq!(code, 64);
    assert!(text.contains("--yes"), "{text}");
    assert!(one.asked().is_empty() && two.asked().is_empty());
}

#[test]
fn a_node_that_does_not_answer_stops_it_unless_it_is_left_out() {
    let [one, _two] = pair();
    let text = example().replace("fall = 2", "fall = 3");
    let (new, file) = (cluster(&text).file_hash(), written("alone.toml", &text));
    let (code, text) = kodo(&[&one], &["apply", "--yes"], &file);
    assert_eq!(code, 2);
    assert!(
        text.contains("node2 cannot be asked; nothing was changed"),
        "{text}"
    );
    assert!(text.contains("--without node2"), "{text}");
    assert_eq!(one.asked(), ["/v1/status"]);
    let (code, text) = kodo(&[&one], &["apply", "--yes", "--without", "node2"], &file);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("node2: comes back with the file of its image"),
        "{text}"
    );
    assert_eq!(one.file(), new);
}

#[test]
fn to_look_changes_nothing() {
    let [one, two] = pair();
    let text = example().replace("profile = \"lab\"", "profile = \"default\"");
    let file = written("look.toml", &text);
    let (code, text) = kodo(&[&one, &two], &["diff"], &file);
    assert_eq!(code, 1);
    assert!(
        text.contains("timing: keepalive: 250ms -> 100ms (needs new images)"),
        "{text}"
    );
    let old = written("old.toml", &example());
    let (code, text) = kodo(&[], &["diff", old.to_str().unwrap()], &file);
    assert_eq!(code, 1);
    assert!(
        text.starts_with("timing: keepalive: 250ms -> 100ms"),
        "{text}"
    );
    let (code, text) = kodo(&[], &["diff", old.to_str().unwrap()], &old);
    assert_eq!((code, text.as_str()), (0, "The two files mean the same.\n"));
    for node in [one, two] {
        assert_eq!(node.asked(), ["/v1/status", "/v1/file/diff"]);
    }
}

#[test]
fn what_would_move_is_told_before() {
    let [one, two] = pair();
    let text = example()
        .replace("failback = \"manual\"", "failback = \"auto\"")
        .replace(
            "prefer = [\"node1\", \"node2\"]",
            "prefer = [\"node2\", \"node1\"]",
        );
    let (code, text) = kodo(&[&one, &two], &["diff"], &written("moves.toml", &text));
    assert_eq!(code, 0, "{text}");
    let says =
        "Placement, beside what restarts:\n  stop www on node1\n  start www on node2 (failback)\n";
    assert!(text.contains(says), "{text}");
}

#[test]
fn keys_change_in_three_steps_that_are_told() {
    let [one, _] = pair();
    let old = "6578616d706c6521206e6576657220757365206f7574736964652061206c6162";
    let new = "5eb63bbbe01eeed093cb22bb8f5acdc3a1b2c3d4e5f60718293a4b5c6d7e8f90";
    let text = example().replace(&format!("key = \"{old}\""), "key_file = \"keys\"");
    let file = written("keyed.toml", &text);
    assert!(secrets::beside(&file)(kodo_config::Secret::Key, "keys").is_err());
    let apply = |keys: &str| {
        written("keys", keys);
        kodo(&[&one], &["apply", "--yes", "--without", "node2"], &file)
    };
    let (code, text) = apply(&format!("{new}\n"));
    assert_eq!(code, 1);
    assert!(text.contains("change keys in three steps"), "{text}");
    for (keys, says) in [
        (format!("{old}\n{new}\n"), "step 1 of 3 is done"),
        (format!("{new}\n{old}\n"), "step 2 of 3 is done"),
        (format!("{new}\n"), "step 3 of 3 is done"),
    ] {
        let (code, text) = apply(&keys);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(says), "{text}");
        assert!(
            !text.contains(&old[..16]) && !text.contains(&new[..16]),
            "{text}"
        );
    }
}
