//! One VIP's stories: what it says on its wire, and when.

use super::*;
use crate::packet::{Packet, parse};
use std::vec::Vec;

const OWN: Mac = Mac([0x52, 0x54, 0, 0, 1, 1]);
const PEER: Claimant = Claimant::Member(Mac([0x52, 0x54, 0, 0, 2, 1]));
const STRANGER: Mac = Mac([0x52, 0x54, 0, 0, 9, 9]);
const OTHER: Mac = Mac([0x52, 0x54, 0, 0, 9, 8]);

/// What a frame is to the people on the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It is at our hardware address.
    Here,
    /// Is it free?
    Free,
    /// Where is it? (asked in our own name)
    Where,
}

/// One VIP with a usable link, and everything it said and told, in milliseconds.
struct Story {
    vip: Vip,
    jitter: Jitter,
    now: u64,
    said: Vec<(u64, Said)>,
    told: Vec<(u64, Verdict)>,
    conflicts: Vec<u64>,
}

impl Story {
    fn new(address: &str, seed: u64) -> Story {
        let mut story = Story {
            vip: Vip::new(address.parse().unwrap()),
            jitter: Jitter::new(seed),
            now: 0,
            said: Vec::new(),
            told: Vec::new(),
            conflicts: Vec::new(),
        };
        story.link(true);
        story
    }

    fn at(&self) -> Now {
        Now::from_millis(self.now)
    }

    fn drain(&mut self) {
        while let Some(frame) = self.vip.transmit(OWN, "fd00::18".parse().ok()) {
            let said = match parse(&frame).expect("we send nothing malformed").packet {
                Packet::Claim {
                    address,
                    mac: OWN,
                    replaces: true,
                } => {
                    assert_eq!(address, self.vip.address());
                    Said::Here
                }
                Packet::Query { address, mac: OWN } => {
                    assert_eq!(address, self.vip.address());
                    Said::Free
                }
                Packet::Other => Said::Where,
                packet => panic!("{packet:?}"),
            };
            self.said.push((self.now, said));
        }
        let verdict = self.vip.poll_verdict();
        self.told.extend(verdict.map(|verdict| (self.now, verdict)));
        let conflict = self.vip.poll_conflict();
        self.conflicts.extend(conflict.map(|_| self.now));
    }

    fn run(&mut self, until: u64) {
        while let Some(due) = self.vip.due().filter(|due| *due <= Now::from_millis(until)) {
            // Like a timer with millisecond resolution: never early.
            self.now = u64::try_from(due.as_micros().div_ceil(1000))
                .unwrap()
                .max(self.now);
            self.vip.timer(self.at(), &mut self.jitter);
            self.drain();
        }
        self.now = until;
    }

    fn probe(&mut self) {
        self.vip.probe(self.at(), &mut self.jitter);
        self.drain();
    }

    fn announce(&mut self) {
        self.vip.announce(self.at(), &mut self.jitter);
        self.drain();
    }

    fn link(&mut self, up: bool) {
        self.vip
            .link(Now::from_millis(self.now), up, false, &mut self.jitter);
        self.drain();
    }

    fn claimed(&mut self, by: Claimant) {
        self.vip
            .claimed(Now::from_millis(self.now), by, &mut self.jitter);
        self.drain();
    }

    fn wanted(&mut self, by: Claimant) {
        self.vip
            .wanted(Now::from_millis(self.now), by, &mut self.jitter);
        self.drain();
    }

    fn count(&self, said: Said) -> usize {
        self.said.iter().filter(|(_, what)| *what == said).count()
    }

    /// When announcements were made; both forms of one count once.
    fn announced(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self
            .said
            .iter()
            .filter(|(_, what)| *what == Said::Here)
            .map(|(at, _)| *at)
            .collect();
        times.dedup();
        times
    }
}

const FAMILIES: [&str; 2] = ["192.168.0.33", "fd00::33"];

#[test]
fn a_search_asks_three_times_and_ends_within_its_bound() {
    for address in FAMILIES {
        for seed in 0..50 {
            let mut story = Story::new(address, seed);
            story.probe();
            story.run(1000);
            assert_eq!(story.count(Said::Free), 3);
            assert_eq!(story.said.len(), 3, "nothing else is said");
            assert_eq!(story.said[0].0, 0, "the first at once");
            let [(at, Verdict::Free)] = story.told[..] else {
                panic!("{:?}", story.told)
            };
            assert!(at <= 100);
            assert!(
                at - story.said[2].0 >= 25,
                "the last leaves time for an answer"
            );
        }
    }
}

#[test]
fn a_search_from_warntime_makes_takeover_immediate_until_it_lapses() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.run(3000);
    story.probe();
    assert_eq!(story.told.last(), Some(&(3000, Verdict::Free)));
    assert_eq!(story.said.len(), 3, "not asked again");
    story.run(6000);
    story.probe();
    assert_eq!(story.said.len(), 4, "lapsed: asked again");
    story.run(7000);
    assert_eq!(story.told.len(), 3);
}

#[test]
fn a_call_during_a_search_waits_for_its_verdict() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.run(40);
    story.probe();
    story.run(1000);
    assert_eq!((story.said.len(), story.told.len()), (3, 1));
}

#[test]
fn a_stranger_blocks_until_it_has_gone() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.run(1);
    story.claimed(Claimant::Stranger(STRANGER));
    assert_eq!(story.told, [(1, Verdict::Taken(STRANGER))]);
    // It answers the next search too; that is no news.
    story.run(3000);
    assert_eq!(story.said.len(), 1, "quiet between searches");
    story.run(3101);
    assert!(
        story.said.len() > 1,
        "asked again after about three seconds"
    );
    story.claimed(Claimant::Stranger(STRANGER));
    assert_eq!(story.told.len(), 1);
    // Gone at the one after.
    story.run(7000);
    let (at, verdict) = story.told[1];
    assert_eq!(verdict, Verdict::Free);
    assert!((6000..6400).contains(&at), "{at}");
    assert_eq!(story.told.len(), 2);
}

#[test]
fn the_standing_verdict_is_repeated_when_asked_for() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.claimed(Claimant::Stranger(STRANGER));
    story.run(500);
    story.probe();
    assert_eq!(
        story.told,
        [
            (0, Verdict::Taken(STRANGER)),
            (500, Verdict::Taken(STRANGER))
        ]
    );
    assert_eq!(story.said.len(), 1, "without asking the LAN");
}

#[test]
fn another_stranger_is_news() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.claimed(Claimant::Stranger(STRANGER));
    story.run(3101);
    story.claimed(Claimant::Stranger(OTHER));
    assert_eq!(story.told.last(), Some(&(3101, Verdict::Taken(OTHER))));
}

#[test]
fn a_stranger_that_wants_it_counts_as_one_that_has_it() {
    let mut story = Story::new(FAMILIES[1], 1);
    story.probe();
    story.wanted(Claimant::Stranger(STRANGER));
    assert_eq!(story.told, [(0, Verdict::Taken(STRANGER))]);
}

#[test]
fn a_stranger_that_comes_after_the_search_revokes_it() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.run(1000);
    story.claimed(Claimant::Stranger(STRANGER));
    assert_eq!(story.told.last(), Some(&(1000, Verdict::Taken(STRANGER))));
    story.run(2000);
    story.probe();
    assert_eq!(story.told.last(), Some(&(2000, Verdict::Taken(STRANGER))));
}

#[test]
fn a_member_never_blocks() {
    let mut story = Story::new(FAMILIES[0], 1);
    story.probe();
    story.claimed(PEER);
    story.wanted(PEER);
    story.run(1000);
    assert_eq!(story.told.len(), 1);
    assert_eq!(story.told[0].1, Verdict::Free);
}

#[test]
fn an_announcement_is_a_burst_another_and_a_slow_refresh() {
    for (address, forms) in FAMILIES.into_iter().zip([2, 1]) {
        let mut story = Story::new(address, 3);
        story.announce();
        story.run(100_000);
        let times = story.announced();
        assert_eq!(times[..6], [0, 40, 80, 5080, 5120, 5160]);
        for pair in times[5..].windows(2) {
            let gap = pair[1] - pair[0];
            assert!((27_000..=30_001).contains(&gap), "{gap}");
        }
        assert_eq!(story.count(Said::Here), times.len() * forms);
        assert_eq!(story.told, []);
    }
}

#[test]
fn a_bound_address_is_asked_for_with_each_burst_and_refresh() {
    for (address, question) in FAMILIES.into_iter().zip([Said::Free, Said::Where]) {
        let mut story = Story::new(address, 3);
        story.announce();
        story.run(70_000);
        // Two bursts and two refreshes; for IPv6 never from nowhere, that would be
        // answered to everybody.
        assert_eq!(story.count(question), 4, "{:?}", story.said);
        assert_eq!(story.said.len() - story.count(Said::Here), 4);
    }
}

#[test]
fn announcing_again_starts_over_but_does_not_crowd() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.announce();
    story.run(10);
    story.announce();
    story.run(200);
    assert_eq!(story.announced(), [0, 40, 80, 120]);
    story.run(3000);
    story.announce();
    story.run(4000);
    assert_eq!(story.announced()[4..], [3000, 3040, 3080]);
}

#[test]
fn withdrawal_is_silence_at_once() {
    for address in FAMILIES {
        let mut story = Story::new(address, 3);
        story.vip.defend(true);
        story.vip.announce(story.at(), &mut story.jitter);
        story.vip.claimed(Now::ZERO, PEER, &mut story.jitter);
        story.vip.withdraw();
        story.drain();
        story.claimed(PEER);
        story.run(100_000);
        assert_eq!(story.said, [], "not even what was waiting");
        assert_eq!(story.conflicts, []);
    }
}

#[test]
fn a_conflict_is_told_and_defended_once_a_second_if_allowed() {
    for allowed in [false, true] {
        let mut story = Story::new(FAMILIES[0], 3);
        story.announce();
        story.run(10_000);
        let before = story.announced().len();
        story.vip.defend(allowed);
        for at in (10_000..15_000).step_by(10) {
            story.run(at);
            story.claimed(PEER);
        }
        assert_eq!(story.conflicts, [10_000, 11_000, 12_000, 13_000, 14_000]);
        let defences = if allowed { 5 } else { 0 };
        assert_eq!(story.announced().len() - before, defences);
    }
}

#[test]
fn leave_to_defend_ends_with_a_withdrawal() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.announce();
    story.vip.defend(true);
    story.vip.withdraw();
    story.announce();
    story.run(10_000);
    let before = story.said.len();
    story.claimed(Claimant::Stranger(STRANGER));
    assert_eq!(story.said.len(), before);
    assert_eq!(story.conflicts, [10_000]);
}

#[test]
fn a_question_about_a_bound_address_is_the_kernels_to_answer() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.announce();
    story.run(10_000);
    let before = story.said.len();
    story.wanted(Claimant::Stranger(STRANGER));
    assert_eq!((story.said.len(), story.conflicts.len()), (before, 0));
}

#[test]
fn on_a_dead_wire_a_search_says_nothing_and_ends_free() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.link(false);
    story.probe();
    story.run(1000);
    assert_eq!(story.said, []);
    assert_eq!(story.told, [(90, Verdict::Free)]);
    // The verdict was about a dead wire: it lapses when the wire lives.
    story.link(true);
    story.probe();
    story.run(2000);
    assert_eq!(story.said.len(), 3);
}

#[test]
fn carrier_that_comes_during_a_search_starts_it_over() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.link(false);
    story.probe();
    story.run(50);
    story.link(true);
    story.run(1000);
    assert_eq!(story.said.len(), 3);
    assert_eq!(story.told, [(140, Verdict::Free)]);
}

#[test]
fn a_stranger_does_not_go_away_with_the_carrier() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.probe();
    story.claimed(Claimant::Stranger(STRANGER));
    story.link(false);
    story.run(20_000);
    assert_eq!(story.told.len(), 1);
    story.link(true);
    story.run(20_010);
    // And not when it goes while being asked for either.
    story.link(false);
    story.run(40_000);
    assert_eq!(story.told.len(), 1);
    story.link(true);
    story.run(41_000);
    assert_eq!(story.told.last(), Some(&(40_090, Verdict::Free)));
}

#[test]
fn a_bound_address_is_announced_when_the_carrier_returns() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.announce();
    story.run(1000);
    story.link(false);
    assert_eq!(story.vip.due(), None);
    story.claimed(PEER);
    story.vip.defend(true);
    story.run(60_000);
    story.claimed(PEER);
    let before = story.announced().len();
    assert_eq!(before, 3, "silent without carrier");
    story.link(true);
    story.run(61_000);
    assert_eq!(story.announced()[before..], [60_000, 60_040, 60_080]);
}

#[test]
fn a_late_timer_does_not_catch_up() {
    let mut story = Story::new(FAMILIES[0], 3);
    story.announce();
    story.now = 600_000;
    story.vip.timer(story.at(), &mut story.jitter);
    story.drain();
    assert_eq!(story.announced(), [0, 600_000]);
}
