//! The table of operators' wishes as it lies on disk.

use hmac::{Hmac, KeyInit, Mac};
use kodo_engine::codec::{COUNT_LIMIT, Codec, MAC};
use kodo_engine::surface::Effect;
use kodo_engine::table::Unreadable;
use kodo_engine::{BootId, Config, Engine, Now, limits};
use sha2::Sha256;

use super::Target;

/// Tables: as they come, and signed again after whatever happened to their bodies.
pub const TABLE: Target = Target {
    name: "engine-table",
    run,
    examples: bodies,
    words: &[
        b"kodostat\x01",
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0],
        &[1],
    ],
    longest: limits::STATE + 64,
    inputs: 20_000,
};

fn config() -> Config {
    Config {
        keeps_state: true,
        ..super::engine::config().clone()
    }
}

fn run(bytes: &[u8]) {
    let config = config();
    let codec = Codec::new(&config);
    assert!(codec.open_table(bytes).is_err(), "nobody guesses a MAC");
    let signed = signed(&config, bytes);
    let table = codec.open_table(&signed);
    assert_ne!(table, Err(Unreadable::Torn), "we hold the key");
    if table
        .as_ref()
        .is_ok_and(|table| table.serial + 1 == COUNT_LIMIT)
    {
        // A write a millisecond for a century: no table comes after it.
        return;
    }
    // Whatever is on a disk, a node takes it, and writes a newer table beside it.
    let written = reads(&config, &signed);
    let again = codec.open_table(&written).expect("our own");
    if let Ok(table) = table {
        assert_eq!(again.serial, table.serial + 1);
        assert!(again.registers.len() <= table.registers.len());
    }
}

/// What a fresh node writes that found this in one of its slots.
fn reads(config: &Config, slot: &[u8]) -> Vec<u8> {
    let mut engine = Engine::new(config.clone(), BootId(1), 1, Now::ZERO);
    engine.handle_state(Now::ZERO, [slot, &[]]);
    let mut written = None;
    while let Some(effect) = engine.poll_effect() {
        if let Effect::Persist(_, block) = effect {
            written = Some(block.to_vec());
        }
    }
    written.expect("a partition of ours is written to")
}

/// The bytes as the body of a table of this cluster with a MAC that fits.
fn signed(config: &Config, bytes: &[u8]) -> Vec<u8> {
    let body = &bytes[..bytes.len().min(limits::STATE - 15 - MAC)];
    let mut table = b"kodostat\x01".to_vec();
    table.extend(config.cluster_id.to_le_bytes());
    table.extend(u16::try_from(body.len()).expect("short").to_le_bytes());
    table.extend(body);
    let mac = Hmac::<Sha256>::new_from_slice(&config.keys[0].0).expect("any length does");
    let mac = mac.chain_update(&table).finalize().into_bytes();
    table.extend(&mac[..MAC]);
    table
}

/// Bodies for mutations to spoil: a serial number, then registers of every kind.
fn bodies() -> Vec<Vec<u8>> {
    let stamp = [0xab, 0x02, 0x04, 0x01];
    let register = |key: &[u8], value: u8| [key, &[value], &stamp].concat();
    let tag = kodo_engine::operator::tag("www");
    let tag: Vec<u8> = (0..5)
        .map(|n| {
            let seven = u8::try_from(tag >> (7 * n) & 0x7f).expect("seven bits");
            if n < 4 { seven | 0x80 } else { seven }
        })
        .collect();
    let about = |kind: u8| [&[kind], &tag[..]].concat();
    let all = [
        register(&[0, 1], 1),
        register(&about(1), 1),
        register(&about(2), 0),
        register(&[3], 1),
        register(&about(4), 1),
        register(&[5, 0], 1),
    ];
    let whole = [&[7][..], &all.concat()].concat();
    vec![vec![0], whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_table_of_every_kind_of_wish() {
        let config = config();
        let bodies = bodies();
        let table = Codec::new(&config).open_table(&signed(&config, &bodies[1]));
        assert_eq!(table.expect("well made").registers.len(), 6);
    }
}
