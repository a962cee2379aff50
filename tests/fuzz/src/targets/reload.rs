//! A changed cluster file for a node that runs: sealed, opened, and what a reader's answer may
//! hold when the reader was taken over.

use core::time::Duration;

use kodo_config::{Bundle, Cluster};
use kodo_node::io::{Input, Token};
use kodo_node::{Config, Node};

use super::Target;
use super::config::example;

/// Sealed files, and what was in them: opening is total, and what it opens is compared with
/// the running file whatever it says.
pub const BUNDLE: Target = Target {
    name: "reload-bundle",
    run: run_bundle,
    examples: bundles,
    words: &[
        b"kodo file 1\0",
        b"[[service]]\nname = \"api\"\nport = 81\n",
        b"[[vip]]\nname = \"vip2\"\naddress = \"192.168.0.34/24\"\n",
        b"[[group]]\nname = \"api\"\nmembers = [\"api\"]\n",
        b"\xff\xff\xff\xff\x7f",
        b"\0",
    ],
    longest: 16 * 1024,
    inputs: 400,
};

/// Configurations as bytes: whatever is read of them, a running node stages or refuses it.
pub const CONFIG: Target = Target {
    name: "reload-config",
    run: run_config,
    examples: || {
        let bytes = |name: &str| postcard::to_allocvec(&lowered(name)).expect("plain data");
        vec![bytes("node1"), bytes("node2")]
    },
    words: &[
        &[0],
        &[1],
        &[0xff],
        &[0x80, 1],
        b"web",
        b"vip",
        b"\xff\xff\xff\xff\x0f",
    ],
    longest: 8 * 1024,
    inputs: 4_000,
};

fn running() -> Cluster {
    let load = |_, _: &str| Err("there is none".to_owned());
    Cluster::parse("running.toml", example(), &load).expect("it ships")
}

fn lowered(name: &str) -> Config {
    running().node(name).expect("it is in the file")
}

fn bundles() -> Vec<Vec<u8>> {
    let load = |_, _: &str| Err("there is none".to_owned());
    let (bundle, cluster) = Bundle::gather("new.toml", example(), &load).expect("it ships");
    let plain = bundle.to_bytes();
    let sealed = bundle.seal(&cluster.keys[0], &[cluster.file_hash()], [7; 12]);
    vec![plain, sealed.expect("it is small")]
}

fn run_bundle(bytes: &[u8]) {
    let old = running();
    let opened = Bundle::open(bytes, &old.keys, old.file_hash()).ok();
    for bundle in opened.into_iter().chain(Bundle::from_bytes(bytes)) {
        assert_eq!(
            Bundle::from_bytes(&bundle.to_bytes()).as_ref(),
            Some(&bundle)
        );
        let Ok(new) = bundle.cluster("new.toml") else {
            continue;
        };
        let changes = new.changes(&old);
        let same = new.file_hash() == old.file_hash();
        assert_eq!(
            changes.is_empty(),
            same,
            "what the hash tells apart is told"
        );
        if new.unfit(&old, &changes).is_ok() {
            // No room for what is new is a reason too.
            if let Ok((config, _)) = new.node_after("node1", &lowered("node1")) {
                stage(&config, true);
            }
        }
    }
}

fn run_config(bytes: &[u8]) {
    if let Ok(config) = postcard::from_bytes::<Config>(bytes) {
        let mut seated = config.clone();
        if seated.seat(&lowered("node1")).is_ok() {
            stage(&seated, false);
        }
        stage(&config, false);
    }
}

/// A node that runs the example is asked to stage a file.
fn stage(config: &Config, fits: bool) {
    let mut node = Node::new(lowered("node1"), 1, 1, Duration::ZERO);
    node.handle(Duration::from_secs(1), Input::Stage(Token(1), config));
    let verdict = core::iter::from_fn(|| node.poll()).find_map(|output| match output {
        kodo_node::io::Output::Staged(_, verdict) => Some(verdict),
        _ => None,
    });
    let verdict = verdict.expect("asked, answered");
    assert!(!fits || verdict.is_ok(), "{verdict:?}");
}
