//! The heartbeat's layout.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use kodo_config::Cluster;
use kodo_engine::codec::{self, Codec};
use kodo_engine::surface::Reject;
use kodo_engine::{Config, limits};
use sha2::Sha256;

use super::Target;
use super::config::example;

/// Heartbeats: as they come, and signed again after whatever happened to them.
pub const FRAME: Target = Target {
    name: "engine-frame",
    run: run_frame,
    examples: frames,
    words: &[
        &[codec::VERSION],
        &[0x80],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0],
        &[1],
    ],
    longest: limits::FRAME + 64,
    inputs: 30_000,
};

/// The example cluster.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let load = |_, _: &str| Err("the example names no files".into());
        Cluster::parse("web.toml", example(), &load).expect("the example is right")
    })
}

/// The deciding part of its first node.
pub(crate) fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| cluster().node("node1").expect("the example has it").engine)
}

fn run_frame(bytes: &[u8]) {
    let config = config();
    let codec = Codec::new(config);
    assert_ne!(
        codec.open(bytes).map(|_| ()),
        Ok(()),
        "nobody guesses a MAC"
    );
    let signed = signed(config, bytes);
    match codec.open(&signed) {
        Ok(beat) => {
            // Whatever is accepted is in range, and means the same when said again.
            assert!(beat.core.sender.index() < config.nodes.len());
            let again = codec.seal(
                &beat.core,
                beat.hears.iter().copied(),
                beat.registers.iter().copied(),
                limits::FRAME,
            );
            assert_eq!(codec.open(&again), Ok(beat));
        }
        Err(reject) => assert_ne!(reject, Reject::Forged, "we hold the key"),
    }
}

/// The bytes as a frame of this cluster with a MAC that fits.
pub(crate) fn signed(config: &Config, bytes: &[u8]) -> Vec<u8> {
    let room = limits::FRAME - codec::MAC;
    let mut frame = bytes[..bytes.len().min(room)].to_vec();
    let id = config.cluster_id.to_le_bytes();
    for (at, byte) in [codec::VERSION].into_iter().chain(id).enumerate() {
        match frame.get_mut(at) {
            Some(place) => *place = byte,
            None => frame.push(byte),
        }
    }
    let mac = Hmac::<Sha256>::new_from_slice(&config.keys[0].0).expect("any length does");
    let tag = mac.chain_update(&frame).finalize().into_bytes();
    frame.extend(&tag[..codec::MAC]);
    frame
}

/// What a node of the example says in its first seconds, without the MAC.
fn frames() -> Vec<Vec<u8>> {
    let beats = super::node::beats();
    let unsigned = beats
        .iter()
        .map(|beat| beat[..beat.len() - codec::MAC].to_vec());
    unsigned.step_by(7).collect()
}
