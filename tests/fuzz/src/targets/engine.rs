//! The layouts of heartbeats, and of the messages between a node and its witness.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use kodo_config::Cluster;
use kodo_engine::codec::{self, Codec, MAC};
use kodo_engine::surface::Reject;
use kodo_engine::witness::{self, Client, Granter, Word};
use kodo_engine::{BootId, Config, Key, NodeId, NodeSet, Now, limits};
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

/// Questions and answers: as they come, and signed again after whatever happened to them.
pub const WITNESS: Target = Target {
    name: "engine-witness",
    run: run_witness,
    examples: messages,
    words: &[
        &[witness::codec::VERSION, 1],
        &[witness::codec::VERSION, 2],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0],
        &[1],
    ],
    longest: limits::WITNESS + 32,
    inputs: 50_000,
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

const WITNESS_KEY: Key = Key([9; 32]);
const CLUSTER: u32 = 7;
const LIFE: u64 = 5;

fn run_witness(bytes: &[u8]) {
    let codec = witness::Codec::new(CLUSTER, &WITNESS_KEY);
    assert!(codec.question(bytes).is_err() && codec.heard(bytes).is_err());
    let signed = signed_for_witness(bytes);
    assert_eq!(witness::codec::cluster_of(&signed), Some(CLUSTER));
    // Whatever is accepted means the same when said again, and is judged without panic.
    match codec.question(&signed) {
        Ok(question) => {
            assert_eq!(codec.question(&codec.ask(&question)), Ok(question));
            let now = Now::from_secs(1);
            let mut granter = Granter::new(LIFE, Now::from_secs(60), Now::ZERO);
            let answer = granter
                .judge(now, &question)
                .expect("the first of its life");
            assert_ne!(answer.word, Word::Granted, "it holds off");
            assert_eq!(codec.heard(&codec.answer(&answer)), Ok(answer));
        }
        Err(reject) => assert_ne!(reject, Reject::Forged, "we hold the key"),
    }
    match codec.heard(&signed) {
        Ok(answer) => {
            assert_eq!(codec.heard(&codec.answer(&answer)), Ok(answer));
            let (mut client, now) = (client(answer.node), Now::from_secs(1));
            client.ask(now, NodeSet::only(answer.node));
            if let Ok(heard) = client.hear(now, &signed) {
                assert!(answer.seq == 1 && answer.boot == BOOT.0);
                assert!(heard.granted.is_none_or(|sent| sent == now));
            }
        }
        Err(reject) => assert_ne!(reject, Reject::Forged, "we hold the key"),
    }
}

const BOOT: BootId = BootId(3);

fn client(node: NodeId) -> Client {
    Client::new(CLUSTER, &WITNESS_KEY, node, BOOT, Now::from_secs(2))
}

/// The bytes as a message of this cluster with a MAC that fits.
fn signed_for_witness(bytes: &[u8]) -> Vec<u8> {
    let mut message = bytes[..bytes.len().min(limits::WITNESS - MAC)].to_vec();
    message.resize(message.len().max(6), 0);
    message[0] = witness::codec::VERSION;
    message[2..6].copy_from_slice(&CLUSTER.to_le_bytes());
    let mac = Hmac::<Sha256>::new_from_slice(&WITNESS_KEY.0).expect("any length does");
    let mac = mac
        .chain_update(b"kodo witness 1\0\0")
        .chain_update(&message);
    message.extend(&mac.finalize().into_bytes()[..MAC]);
    message
}

/// What a pair and its witness say to each other, without the MAC.
fn messages() -> Vec<Vec<u8>> {
    let codec = witness::Codec::new(CLUSTER, &WITNESS_KEY);
    let mut granter = Granter::new(LIFE, Now::from_secs(60), Now::ZERO);
    let mut messages = Vec::new();
    let mut clients = [0, 1].map(|node| client(NodeId(node)));
    for second in [1, 2, 61, 62] {
        let now = Now::from_secs(second);
        for client in &mut clients {
            let asked = client.ask(now, NodeSet::only(client.me()));
            let question = codec.question(&asked).expect("our own");
            let answer = granter.judge(now, &question).expect("in order");
            let answered = codec.answer(&answer);
            client.hear(now, &answered).expect("at once");
            messages.extend([asked, answered]);
        }
    }
    messages
        .iter()
        .map(|message| message[..message.len() - MAC].to_vec())
        .collect()
}
