//! Lives, candidates, recordings, restarts and second machines.

use super::*;
use crate::testing;

const LAN: PathId = PathId(0);
const SERIAL: PathId = PathId(1);

fn ms(n: u64) -> Now {
    Now::from_millis(n)
}

fn arrival(now: u64, path: PathId, boot: u64, uptime: u64, seq: u64, fresh: bool) -> Arrival {
    Arrival {
        now: ms(now),
        path,
        boot: BootId(boot),
        uptime: ms(uptime),
        seq,
        fresh,
        removed: false,
        patience: ms(1000),
        settle: ms(300),
        forget: ms(8000),
    }
}

/// A peer whose life 1 was heard fresh at 1000 ms with beat 10.
fn met() -> Peer {
    let mut peer = Peer::default();
    assert_eq!(
        peer.hear(&arrival(900, LAN, 1, 5000, 9, false)),
        Standpoint::Stale { doubtful: false }
    );
    assert!(peer.life.is_none(), "an unproven life is none");
    assert_eq!(
        peer.hear(&arrival(1000, LAN, 1, 5100, 10, true)),
        Standpoint::First
    );
    peer.believe(&arrival(1000, LAN, 1, 0, 10, true), testing::said());
    peer
}

#[test]
fn a_life_proves_itself_by_an_echo() {
    let peer = met();
    assert_eq!(peer.life.as_ref().map(|life| life.boot), Some(BootId(1)));
}

#[test]
fn sequences_grow_on_each_path() {
    let mut peer = met();
    assert_eq!(
        peer.hear(&arrival(1001, LAN, 1, 5100, 10, true)),
        Standpoint::Replayed { deep: false }
    );
    assert_eq!(
        peer.hear(&arrival(1001, LAN, 1, 5000, 9, true)),
        Standpoint::Replayed { deep: false }
    );
    assert_eq!(
        peer.hear(&arrival(1002, SERIAL, 1, 5100, 10, true)),
        Standpoint::Echo,
        "another path"
    );
    assert_eq!(
        peer.hear(&arrival(1100, LAN, 1, 5200, 11, true)),
        Standpoint::News
    );
    peer.believe(&arrival(1100, LAN, 1, 0, 11, true), testing::said());
    assert_eq!(
        peer.hear(&arrival(9000, LAN, 1, 5200, 500, true)),
        Standpoint::News
    );
    assert_eq!(
        peer.hear(&arrival(9000, LAN, 1, 5200, 10, true)),
        Standpoint::Replayed { deep: true }
    );
}

#[test]
fn a_recording_of_an_earlier_life_displaces_nothing() {
    let mut peer = met();
    for seq in 1..50 {
        let verdict = peer.hear(&arrival(1000 + seq * 100, LAN, 77, 1, seq, false));
        assert_eq!(verdict, Standpoint::Stale { doubtful: seq > 11 });
    }
    assert_eq!(peer.life.as_ref().map(|life| life.boot), Some(BootId(1)));
    assert_eq!(peer.life.as_ref().map(|life| life.fresh_at), Some(ms(1000)));
}

#[test]
fn many_recordings_do_not_keep_a_new_life_out() {
    let mut peer = Peer::default();
    for round in 0..10 {
        for replayed in 50..53 {
            peer.hear(&arrival(round * 100, LAN, replayed, 1, round + 1, false));
        }
        peer.hear(&arrival(round * 100, LAN, 2, 1, round + 1, false));
    }
    let echoed = |turn| {
        peer.candidates
            .in_turn(turn, ms(1000), ms(500))
            .map(|c| c.boot)
    };
    assert!(
        (0..4).any(|turn| echoed(turn) == Some(BootId(2))),
        "its turn to be echoed comes"
    );
}

#[test]
fn a_restart_is_younger_than_the_silence() {
    let mut peer = met();
    assert_eq!(
        peer.hear(&arrival(1300, LAN, 2, 200, 1, true)),
        Standpoint::Restarted {
            old: BootId(1),
            silent: ms(300)
        }
    );
    peer.believe(&arrival(1300, LAN, 2, 0, 1, true), testing::said());
    assert_eq!(
        peer.hear(&arrival(1400, LAN, 1, 5500, 99, true)),
        Standpoint::Replayed { deep: true }
    );
    assert_eq!(peer.life.as_ref().map(|life| life.boot), Some(BootId(2)));
}

#[test]
fn a_second_machine_is_older_than_the_silence() {
    let mut peer = met();
    assert_eq!(
        peer.hear(&arrival(1300, LAN, 2, 300, 1, true)),
        Standpoint::Twin { kept: BootId(1) }
    );
    assert_eq!(peer.life.as_ref().map(|life| life.boot), Some(BootId(1)));
    let dead = peer.life.as_mut().expect("met");
    dead.dead = true;
    assert_eq!(
        peer.hear(&arrival(9000, LAN, 2, 8000, 9, true)),
        Standpoint::Twin { kept: BootId(1) }
    );
    let after = Arrival {
        removed: true,
        ..arrival(9100, LAN, 2, 8100, 10, true)
    };
    assert_eq!(
        peer.hear(&after),
        Standpoint::Replaced {
            old: BootId(1),
            silent: ms(8100)
        }
    );
}

#[test]
fn our_own_standstill_makes_nobody_a_twin() {
    let mut peer = met();
    // we stood still for 700 of the 1790 ms; a restart 190 ms ago explains the rest
    peer.life.as_mut().expect("met").excused = ms(700);
    let newcomer = |now, seq| arrival(now, LAN, 2, 1600 + now - 2790, seq, true);
    assert_eq!(
        peer.hear(&newcomer(2790, 5)),
        Standpoint::Stale { doubtful: false },
        "the old life may have spoken meanwhile"
    );
    let mut waited = peer.clone();
    assert!(matches!(
        waited.hear(&newcomer(3090, 6)),
        Standpoint::Restarted { .. }
    ));
    let mut dead = peer.clone();
    dead.life.as_mut().expect("met").dead = true;
    assert!(matches!(
        dead.hear(&newcomer(2900, 6)),
        Standpoint::Replaced { .. }
    ));
    assert!(peer.knocks(ms(2800), ms(300)) && !peer.knocks(ms(3200), ms(300)));
    let old = arrival(2800, LAN, 1, 6900, 40, true);
    assert_eq!(peer.hear(&old), Standpoint::News);
    peer.believe(&old, testing::said());
    assert_eq!(
        peer.hear(&newcomer(2900, 6)),
        Standpoint::Twin { kept: BootId(1) }
    );
}

#[test]
fn a_successor_outlasts_a_dead_life_that_nobody_may_remove() {
    let mut peer = met();
    // a pause hid the silence: the newcomer seems older than it is
    let newcomer = |now, seq| arrival(now, LAN, 2, now - 900, seq, true);
    let twin = Standpoint::Twin { kept: BootId(1) };
    assert_eq!(peer.hear(&newcomer(1200, 1)), twin);
    peer.life.as_mut().expect("met").dead = true;
    assert_eq!(peer.hear(&newcomer(9100, 2)), twin);
    assert!(matches!(
        peer.hear(&newcomer(9200, 3)),
        Standpoint::Replaced { .. }
    ));
}
