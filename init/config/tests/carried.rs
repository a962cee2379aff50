//! A node's configuration as bytes: what a process of the node makes of a new file, another
//! one takes over as it was, and bytes that are no configuration are refused.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::{Path, PathBuf};

use kodo_config::Cluster;

/// A node's configuration of the largest file fits in one message between processes, with
/// room for the plans that travel with it.
const LARGEST: usize = 16 * 1024;

fn good() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
    let files = fs::read_dir(directory).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension() == Some("toml".as_ref()))
        .collect();
    files.sort();
    assert!(files.len() > 10);
    files
}

fn configs() -> impl Iterator<Item = kodo_node::Config> {
    good().into_iter().flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let secret = |_, _: &str| Err("not found".to_owned());
        let cluster = Cluster::parse("cluster.toml", &text, &secret).unwrap();
        let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
        names
            .into_iter()
            .map(move |name| cluster.node(&name).unwrap())
    })
}

#[test]
fn every_configuration_survives_the_way() {
    for config in configs() {
        let bytes = postcard::to_allocvec(&config).unwrap();
        assert!(bytes.len() <= LARGEST, "{} bytes", bytes.len());
        assert_eq!(
            postcard::from_bytes::<kodo_node::Config>(&bytes).unwrap(),
            config
        );
    }
}

#[test]
fn what_is_cut_or_spoilt_is_refused_or_read_as_something_bounded() {
    let config = configs().next().unwrap();
    let bytes = postcard::to_allocvec(&config).unwrap();
    for len in 0..bytes.len() {
        assert!(postcard::from_bytes::<kodo_node::Config>(&bytes[..len]).is_err());
    }
    for position in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[position] ^= flip;
            // Never a panic; what is read has the bounds of its types.
            let _ = postcard::from_bytes::<kodo_node::Config>(&bytes);
        }
    }
}
