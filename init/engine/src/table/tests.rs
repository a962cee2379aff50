//! The layout on disk, frozen: a known answer, sizes, and bytes that are wrong.

use super::*;
use crate::operator::{Key as Wish, Stamp, tag};
use crate::testing;
use crate::types::{Key, NodeId};
use proptest::prelude::*;

fn codec() -> Codec {
    Codec::new(&testing::config(0))
}

fn register() -> Register {
    Register {
        key: Wish::Prefer(tag("www")),
        value: 1,
        stamp: Stamp {
            epoch: 299,
            counter: 4,
            node: NodeId(1),
        },
    }
}

fn sealed() -> Block {
    codec().seal_table(7, [register(); 2].into_iter())
}

#[test]
fn known_answer() {
    let bytes: std::string::String = sealed().iter().map(|byte| format!("{byte:02x}")).collect();
    let expect = concat!(
        "6b6f646f73746174",       // "kodostat"
        "01",                     // layout
        "6f646f6b",               // cluster id
        "1700",                   // length of the body
        "07",                     // serial
        "01acc3b2950101ab020401", // prefer node 1 for "www", by node 1
        "01acc3b2950101ab020401", // once more
    );
    assert!(bytes.starts_with(expect), "{bytes}");
    // the MAC was computed apart, with Python's hmac
    assert_eq!(&bytes[expect.len()..], "f992f2099a371090afa7e636277955ca");
}

#[test]
fn what_is_sealed_is_opened_with_padding_and_by_either_key() {
    let table = Table {
        serial: 7,
        registers: [register(); 2].into_iter().collect(),
    };
    let mut slot = sealed().to_vec();
    slot.resize(4096, 0);
    assert_eq!(codec().open_table(&slot), Ok(table));
    let mut config = testing::config(0);
    config.keys = [Key([9; 32]), Key([7; 32])].into_iter().collect();
    assert!(Codec::new(&config).open_table(&slot).is_ok());
    config.keys.pop();
    assert_eq!(
        Codec::new(&config).open_table(&slot),
        Err(Unreadable::Torn),
        "no accepted key"
    );
    config = testing::config(0);
    config.cluster_id += 1;
    assert_eq!(
        Codec::new(&config).open_table(&slot),
        Err(Unreadable::NotOurs)
    );
}

#[test]
fn a_full_table_of_the_largest_values_fits() {
    let wish = Register {
        key: Wish::Cleanup(u32::MAX),
        value: u32::MAX,
        stamp: Stamp {
            epoch: COUNT_LIMIT - 1,
            counter: u32::MAX,
            node: NodeId(1),
        },
    };
    let all = core::iter::repeat_n(wish, limits::REGISTERS);
    let block = codec().seal_table(COUNT_LIMIT - 1, all);
    let worst = HEADER + SERIAL + limits::REGISTERS * REGISTER + MAC;
    assert_eq!(block.len(), worst);
    let table = codec().open_table(&block).expect("our own");
    assert_eq!(table.registers.len(), limits::REGISTERS);
}

#[test]
fn an_empty_disk_is_told_from_another_program_s() {
    assert_eq!(codec().open_table(&[0; 4096]), Err(Unreadable::Blank));
    assert_eq!(codec().open_table(&[]), Err(Unreadable::Blank));
    assert_eq!(codec().open_table(b"XFSB"), Err(Unreadable::Foreign));
}

#[test]
fn a_table_is_no_heartbeat_and_a_heartbeat_no_table() {
    assert!(codec().open(&sealed()).is_err());
    assert_ne!(sealed()[0], crate::codec::VERSION);
}

#[test]
fn authentic_values_out_of_range_are_refused() {
    let strange = Register {
        stamp: Stamp {
            node: NodeId(2),
            ..register().stamp
        },
        ..register()
    };
    let late = Register {
        stamp: Stamp {
            epoch: COUNT_LIMIT,
            ..register().stamp
        },
        ..register()
    };
    for wrong in [strange, late] {
        let block = codec().seal_table(7, [wrong].into_iter());
        assert_eq!(codec().open_table(&block), Err(Unreadable::NotOurs));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        prop_assert!(codec().open_table(&bytes).is_err());
    }

    #[test]
    fn damage_is_noticed(at in 0usize..54, byte in any::<u8>(), cut in 0usize..54) {
        let block = sealed();
        let mut bytes = block.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(block.len() - cut);
        bytes.resize(4096, 0);
        prop_assert!(bytes[..block.len()] == block[..] || codec().open_table(&bytes).is_err());
    }
}
