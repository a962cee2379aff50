//! The layout, frozen: known answers, sizes, round trips, and bodies that are
//! authentic and wrong.

use super::*;
use crate::claims::Hold;
use crate::operator::{Key as Wish, Stamp, tag};
use crate::testing;
use crate::types::GroupId;
use proptest::prelude::*;

fn codec() -> Codec {
    Codec::new(&testing::config(0))
}

fn core() -> Core {
    let view = View {
        epoch: 7,
        members: NodeSet(3),
        coordinator: NodeId(0),
        written_off: NodeSet::EMPTY,
        file: 0x0102,
    };
    let claim = Claim {
        hold: Hold::Holding,
        tenure: 300,
        over: Some((5, NodeId(1))),
    };
    let assigned = Some(Assigned {
        nodes: NodeSet::only(NodeId(0)),
        cause: Cause::Failover,
    });
    let group = GroupLine {
        tag: tag("www"),
        claim,
        banned: false,
        phase: Phase::Running,
        fit: Some(5),
        assigned,
    };
    Core {
        sender: NodeId(0),
        path: tag("lan"),
        boot: 0x0123_4567_89ab_cdef,
        uptime: 123_456,
        seq: 1_000,
        file_hash: 0x1122_3344_5566_7788,
        next: 3,
        ready: true,
        standing: Standing::Member,
        reachable: true,
        health: Health::Yellow,
        mesh: NodeSet(0b10),
        vouched: NodeSet::EMPTY,
        owes: NodeSet::EMPTY,
        owes_guarded: NodeSet::EMPTY,
        leased: true,
        alone: false,
        bound: 1516,
        terms: 0x1234_5678,
        view: Some(view),
        ballot: None,
        epoch: 300,
        plan: 2,
        disk: Disk::Holds(0x0a0b_0c0d),
        groups: [group].into_iter().collect(),
    }
}

fn hears() -> Hears {
    Hears {
        node: NodeId(1),
        boot: 0xfedc_ba98_7654_3210,
        heard: 998,
        granted: 997,
        paths: 0b101,
        bond: Bond::Confirmed,
    }
}

fn register() -> Register {
    let stamp = Stamp {
        epoch: 299,
        counter: 4,
        node: NodeId(1),
    };
    Register {
        key: Wish::Standby(NodeId(1)),
        value: 1,
        stamp,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn known_answer() {
    let frame = codec().seal(
        &core(),
        [hears()].into_iter(),
        [register()].into_iter(),
        limits::FRAME,
    );
    // layout version 4; the MAC was computed apart, with Python's hmac
    let expect = concat!(
        "04",               // version
        "6f646f6b",         // cluster id
        "00",               // sender
        "10806056",         // path: tag of "lan"
        "efcdab8967452301", // boot id
        "c0c407",           // uptime
        "e807",             // sequence
        "8877665544332211", // file hash
        "0301",             // file 3 is staged, and ready
        "020101",           // member, reachable, yellow
        "02000000",         // hears node 1 both ways, nobody vouched for, owes nobody
        "0100ec0b",         // leased, not alone, W of 1516 ms
        "78563412",         // terms
        "0107030000",       // view 7 of both, node 0 coordinates, nobody written off
        "8202",             // of file 0x102
        "00",               // no ballot
        "ac0202",           // newest epoch, plan
        "020d0c0b0a",       // the digest of what its disk holds
        "01aca1ac12",       // one group: tag of "www"
        "01ac02010501",     // holding, tenure 300 over (5, node 1)
        "0002010a01",       // not banned, running, fit to be promoted by 5, planned
        "0101",             // on node 0, failover
        "01",               // one echo
        "011032547698badcfee607e5070501",
        "000101ab020401", // standby of node 1, by node 1
        "788ca93856cf6368c11c2be4138ab054",
    );
    assert_eq!(hex(&frame), expect);
}

#[test]
fn round_trip() {
    let frame = codec().seal(
        &core(),
        [hears()].into_iter(),
        [register()].into_iter(),
        limits::FRAME,
    );
    let beat = codec().open(&frame).expect("our own");
    assert_eq!(beat.core, core());
    assert_eq!(beat.hears, [hears()]);
    assert_eq!(beat.registers, [register()]);
    assert_eq!(beat.echo(NodeId(1), BootId(hears().boot)), Some(&hears()));
    assert_eq!(beat.echo(NodeId(1), BootId(1)), None);
}

#[test]
fn either_key_opens_and_the_first_signs() {
    let (old, new) = (Key([7; 32]), Key([9; 32]));
    let with = |keys: &[Key]| {
        let mut config = testing::config(0);
        config.keys = keys.iter().cloned().collect();
        Codec::new(&config)
    };
    let [only_old, both, turned, only_new] = [
        &[old.clone()][..],
        &[old.clone(), new.clone()],
        &[new.clone(), old],
        &[new],
    ]
    .map(with);
    let seal = |codec: &Codec| codec.seal(&core(), [].into_iter(), [].into_iter(), limits::FRAME);
    assert!(both.open(&seal(&only_old)).is_ok() && only_old.open(&seal(&both)).is_ok());
    assert!(both.open(&seal(&turned)).is_ok() && turned.open(&seal(&both)).is_ok());
    assert!(turned.open(&seal(&only_new)).is_ok() && only_new.open(&seal(&turned)).is_ok());
    assert_eq!(only_new.open(&seal(&only_old)), Err(Reject::Forged));
}

#[test]
fn a_narrow_budget_carries_the_first_echo_and_no_more() {
    let budget = floor(1, 1);
    let frame = codec().seal(
        &core(),
        [hears(); 5].into_iter(),
        [register(); 5].into_iter(),
        budget,
    );
    assert!(frame.len() <= budget);
    let beat = codec().open(&frame).expect("our own");
    assert!(!beat.hears.is_empty());
}

#[test]
fn the_floor_holds_for_the_largest_values() {
    let most = COUNT_LIMIT - 1;
    let view = View {
        epoch: most,
        members: NodeSet(u32::MAX),
        coordinator: NodeId(31),
        written_off: NodeSet(u32::MAX),
        file: u32::MAX,
    };
    let claim = Claim {
        hold: Hold::Released,
        tenure: most,
        over: Some((most, NodeId(31))),
    };
    let assigned = Some(Assigned {
        nodes: NodeSet(u32::MAX),
        cause: Cause::Health,
    });
    let group = GroupLine {
        tag: u32::MAX,
        claim,
        banned: true,
        phase: Phase::Stopping,
        fit: Some(i16::MAX),
        assigned,
    };
    let core = Core {
        sender: NodeId(31),
        uptime: most,
        seq: most,
        next: u32::MAX,
        standing: Standing::Refused,
        mesh: NodeSet(u32::MAX),
        vouched: NodeSet(u32::MAX),
        owes: NodeSet(u32::MAX),
        owes_guarded: NodeSet(u32::MAX),
        bound: u32::MAX,
        view: Some(view),
        ballot: Some(view),
        epoch: most,
        plan: u32::MAX,
        disk: Disk::Holds(u32::MAX),
        groups: [group; limits::GROUPS].into_iter().collect(),
        ..core()
    };
    let echo = Hears {
        node: NodeId(31),
        heard: most,
        granted: most,
        paths: u8::MAX,
        bond: Bond::Refused,
        ..hears()
    };
    let wish = Register {
        key: Wish::Cleanup(u32::MAX),
        value: u32::MAX,
        stamp: Stamp {
            epoch: most,
            counter: u32::MAX,
            node: NodeId(31),
        },
    };
    let mut bytes = [0; limits::FRAME];
    let mut size = |value: &dyn Fn(&mut [u8]) -> usize| value(&mut bytes);
    assert_eq!(
        size(&|b| postcard::to_slice(&echo, b).expect("fits").len()),
        HEARS
    );
    assert_eq!(
        size(&|b| postcard::to_slice(&group, b).expect("fits").len()),
        GROUP
    );
    assert_eq!(
        size(&|b| postcard::to_slice(&wish, b).expect("fits").len()),
        REGISTER
    );
    assert_eq!(
        size(&|b| postcard::to_slice(&core, b).expect("fits").len()),
        CORE + limits::GROUPS * GROUP
    );
    // exactly that budget carries them all, and one byte less does not carry the last
    let all = floor(limits::GROUPS, 31);
    let seal = |budget| codec().seal(&core, [echo; 31].into_iter(), [].into_iter(), budget);
    assert_eq!(seal(all).len(), all);
    assert_eq!(seal(all - 1).len(), all - HEARS);
}

#[test]
fn authentic_bodies_out_of_range_are_malformed() {
    let view = |epoch, members, coordinator| {
        Some(View {
            epoch,
            members: NodeSet(members),
            coordinator: NodeId(coordinator),
            written_off: NodeSet::EMPTY,
            file: 1,
        })
    };
    let line = |change: &dyn Fn(&mut GroupLine)| {
        let mut core = core();
        change(&mut core.groups[0]);
        core
    };
    let wrong = [
        Core {
            sender: NodeId(2),
            ..core()
        },
        Core { seq: 0, ..core() },
        Core {
            seq: COUNT_LIMIT,
            ..core()
        },
        Core {
            uptime: COUNT_LIMIT,
            ..core()
        },
        Core {
            epoch: u64::MAX,
            ..core()
        },
        Core {
            view: view(0, 3, 0),
            ..core()
        },
        Core {
            view: view(1, 4, 2),
            ..core()
        },
        Core {
            view: view(1, 2, 1),
            ..core()
        },
        Core {
            view: view(1, 1, 1),
            ..core()
        },
        Core {
            view: None,
            ..core()
        },
        Core {
            standing: Standing::Ready,
            ..core()
        },
        Core {
            ballot: view(COUNT_LIMIT, 3, 0),
            ..core()
        },
        Core {
            mesh: NodeSet(0b100),
            ..core()
        },
        Core {
            vouched: NodeSet(0b001),
            ..core()
        },
        Core {
            owes: NodeSet(0b100),
            ..core()
        },
        Core {
            view: view(1, 3, 0).map(|view| View {
                written_off: NodeSet(0b010),
                ..view
            }),
            ..core()
        },
        line(&|line| line.claim.tenure = COUNT_LIMIT),
        line(&|line| line.fit = Some(-1)),
        line(&|line| line.claim.over = Some((1, NodeId(2)))),
        line(&|line| line.claim.over = Some((300, NodeId(1)))),
        line(&|line| {
            line.assigned = Some(Assigned {
                nodes: NodeSet::only(NodeId(9)),
                cause: Cause::Move,
            });
        }),
    ];
    for core in wrong {
        let frame = codec().seal(&core, [].into_iter(), [].into_iter(), limits::FRAME);
        assert_eq!(codec().open(&frame), Err(Reject::Malformed), "{core:?}");
    }
    let echoes = [
        Hears {
            node: NodeId(2),
            ..hears()
        },
        Hears {
            heard: COUNT_LIMIT,
            ..hears()
        },
        Hears {
            granted: 999,
            ..hears()
        },
    ];
    for echo in echoes {
        let frame = codec().seal(&core(), [echo].into_iter(), [].into_iter(), limits::FRAME);
        assert_eq!(codec().open(&frame), Err(Reject::Malformed), "{echo:?}");
    }
    let stamp = Stamp {
        node: NodeId(2),
        ..register().stamp
    };
    let frame = codec().seal(
        &core(),
        [].into_iter(),
        [Register {
            stamp,
            ..register()
        }]
        .into_iter(),
        limits::FRAME,
    );
    assert_eq!(codec().open(&frame), Err(Reject::Malformed));
}

#[test]
fn a_tag_is_stable() {
    // FNV-1a test vectors (Fowler, Noll, Vo)
    assert_eq!(tag(""), 0x811c_9dc5);
    assert_eq!(tag("a"), 0xe40c_292c);
    assert_eq!(tag("foobar"), 0xbf9c_f968);
    let config = testing::config(0);
    assert_eq!(
        crate::operator::Registers::new(&config).group(tag("www")),
        Some(GroupId(0))
    );
}

/// Signs any body, as only a holder of the key could.
fn sign(body: &[u8]) -> Frame {
    let config = testing::config(0);
    let mut bytes = vec![VERSION];
    bytes.extend(config.cluster_id.to_le_bytes());
    bytes.extend(body);
    let mac = keyed(&config.keys[0])
        .chain_update(&bytes)
        .finalize()
        .into_bytes();
    bytes.extend(&mac[..MAC]);
    Frame::from_slice(&bytes).expect("short")
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_beat(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        prop_assert!(codec().open(&bytes).is_err());
    }

    #[test]
    fn authentic_nonsense_is_an_error_or_a_valid_beat(body in prop::collection::vec(any::<u8>(), 0..900)) {
        if let Ok(beat) = codec().open(&sign(&body)) {
            prop_assert!(codec().valid(&beat));
        }
    }

    #[test]
    fn authentic_mutants_are_an_error_or_a_valid_beat(at in 0usize..100, byte in any::<u8>(), cut in 0usize..100) {
        let frame = codec().seal(&core(), [hears()].into_iter(), [register()].into_iter(), limits::FRAME);
        let mut body = frame[HEADER..frame.len() - MAC].to_vec();
        let at = at % body.len();
        body[at] = byte;
        body.truncate(cut.max(1));
        if let Ok(beat) = codec().open(&sign(&body)) {
            prop_assert!(codec().valid(&beat));
        }
    }

    #[test]
    fn what_is_sealed_is_opened(seq in 1..COUNT_LIMIT, boot in any::<u64>(), heard in 0..COUNT_LIMIT, echoes in 0usize..4, wishes in 0usize..4, budget in floor(1, 1)..limits::FRAME) {
        let core = Core { seq, boot, ..core() };
        let echo = Hears { heard, granted: heard / 2, boot, ..hears() };
        let frame = codec().seal(&core, core::iter::repeat_n(echo, echoes), core::iter::repeat_n(register(), wishes), budget);
        prop_assert!(frame.len() <= budget);
        let beat = codec().open(&frame).expect("our own");
        prop_assert_eq!(beat.core, core);
        prop_assert!(beat.hears.iter().all(|other| *other == echo) && beat.hears.len() <= echoes);
        prop_assert!(echoes == 0 || !beat.hears.is_empty());
    }
}
