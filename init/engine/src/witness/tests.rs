//! The layout, frozen; each rule as a story; and random schedules in which no two sides
//! may ever act by one witness's word.

use super::*;
use crate::surface::Reject;
use crate::timing;
use crate::types::{BootId, Key, NodeId, NodeSet, Now};
use proptest::prelude::*;

const CLUSTER: u32 = 0x6b6f_646f;
const LIFE: u64 = 0x1122_3344_5566_7788;
const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const NOBODY: NodeSet = NodeSet::EMPTY;

fn key() -> Key {
    Key([7; 32])
}

fn codec() -> Codec {
    Codec::new(CLUSTER, &key())
}

fn ms(ms: u64) -> Now {
    Now::from_millis(ms)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

mod layout {
    use super::*;

    fn question() -> Question {
        Question {
            node: B,
            boot: 0x0123_4567_89ab_cdef,
            seq: 1_000,
            wait: 1_515,
            side: NodeSet::only(B),
            heard: Some(challenge()),
        }
    }

    fn challenge() -> Challenge {
        Challenge {
            life: LIFE,
            at: 300_000_000,
        }
    }

    fn answer() -> Answer {
        Answer {
            node: B,
            boot: 0x0123_4567_89ab_cdef,
            seq: 1_000,
            side: NodeSet::only(B),
            challenge: challenge(),
            word: Word::HoldingOff(300),
            holder: Some(Holder { node: A, left: 999 }),
        }
    }

    // layout version 1; the MACs were computed apart, with Python's hmac
    #[test]
    fn known_question() {
        let expect = concat!(
            "01",               // version
            "01",               // question
            "6f646f6b",         // cluster id
            "01",               // node
            "efcdab8967452301", // boot id
            "e807",             // sequence
            "eb0b",             // W in milliseconds
            "02",               // side: node 1
            "01",               // a challenge was heard
            "8877665544332211", // life of the witness
            "80c6868f01",       // its clock
            "b8b63bdc9d8f9bc72d2ee59d56bcf0ce",
        );
        assert_eq!(hex(&codec().ask(&question())), expect);
    }

    #[test]
    fn known_answer() {
        let expect = concat!(
            "01",               // version
            "02",               // answer
            "6f646f6b",         // cluster id
            "01",               // node
            "efcdab8967452301", // boot id
            "e807",             // sequence
            "02",               // side: node 1
            "8877665544332211", // life of the witness
            "80c6868f01",       // its clock
            "04ac02",           // holding off, 300 ms more
            "0100e707",         // it speaks for node 0, 999 ms more
            "30e63a8f4cbb63e16c8c39b509ce7687",
        );
        assert_eq!(hex(&codec().answer(&answer())), expect);
    }

    #[test]
    fn round_trip() {
        assert_eq!(codec().question(&codec().ask(&question())), Ok(question()));
        assert_eq!(codec().heard(&codec().answer(&answer())), Ok(answer()));
    }

    #[test]
    fn the_longest_messages_fit() {
        let most = Challenge {
            life: u64::MAX,
            at: u64::MAX,
        };
        let question = Question {
            node: NodeId(31),
            boot: u64::MAX,
            seq: u64::MAX,
            wait: u32::MAX,
            side: NodeSet(u32::MAX),
            heard: Some(most),
        };
        let answer = Answer {
            node: NodeId(31),
            boot: u64::MAX,
            seq: u64::MAX,
            side: NodeSet(u32::MAX),
            challenge: most,
            word: Word::HoldingOff(u32::MAX),
            holder: Some(Holder {
                node: NodeId(31),
                left: u32::MAX,
            }),
        };
        assert!(codec().ask(&question).len() <= limits::WITNESS);
        assert!(codec().answer(&answer).len() <= limits::WITNESS);
    }

    #[test]
    fn values_out_of_range_are_malformed() {
        let questions = [
            Question {
                node: NodeId(32),
                ..question()
            },
            Question {
                seq: 0,
                ..question()
            },
            Question {
                seq: crate::codec::COUNT_LIMIT,
                ..question()
            },
            Question {
                wait: 0,
                ..question()
            },
            Question {
                side: NodeSet::only(A),
                ..question()
            },
        ];
        for question in questions {
            let bytes = codec().ask(&question);
            assert_eq!(
                codec().question(&bytes),
                Err(Reject::Malformed),
                "{question:?}"
            );
        }
        let stranger = Some(Holder {
            node: NodeId(32),
            left: 1,
        });
        let answers = [
            Answer {
                node: NodeId(32),
                ..answer()
            },
            Answer { seq: 0, ..answer() },
            Answer {
                holder: stranger,
                ..answer()
            },
            Answer {
                word: Word::Granted,
                side: NOBODY,
                ..answer()
            },
        ];
        for answer in answers {
            let bytes = codec().answer(&answer);
            assert_eq!(codec().heard(&bytes), Err(Reject::Malformed), "{answer:?}");
        }
    }

    #[test]
    fn each_kind_each_cluster_and_each_key_is_told_apart() {
        let (asked, said) = (codec().ask(&question()), codec().answer(&answer()));
        assert_eq!(codec().heard(&asked), Err(Reject::Malformed));
        assert_eq!(codec().question(&said), Err(Reject::Malformed));
        let elsewhere = Codec::new(1, &key());
        assert_eq!(elsewhere.question(&asked), Err(Reject::OtherCluster));
        let forger = Codec::new(CLUSTER, &Key([8; 32]));
        assert_eq!(forger.question(&asked), Err(Reject::Forged));
        assert_eq!(forger.heard(&said), Err(Reject::Forged));
        assert_eq!(codec::cluster_of(&asked), Some(CLUSTER));
        assert_eq!(codec::cluster_of(&[1, 1, 2, 3, 4]), None);
        assert_eq!(codec::cluster_of(&[0; 40]), None);
    }

    #[test]
    fn a_heartbeat_key_makes_no_witness_message() {
        // the same key and the same bytes, without the label
        use hmac::Mac;
        let mut bytes = codec().ask(&question());
        let end = bytes.len() - crate::codec::MAC;
        let mac = crate::codec::keyed(&key()).chain_update(&bytes[..end]);
        bytes[end..].copy_from_slice(&mac.finalize().into_bytes()[..crate::codec::MAC]);
        assert_eq!(codec().question(&bytes), Err(Reject::Forged));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = codec().question(&bytes);
            let _ = codec().heard(&bytes);
            let _ = codec::cluster_of(&bytes);
        }

        #[test]
        fn any_authentic_body_gives_an_answer(kind in 1u8..3, body in proptest::collection::vec(any::<u8>(), 0..74)) {
            use hmac::Mac;
            let mut bytes = vec![codec::VERSION, kind];
            bytes.extend(CLUSTER.to_le_bytes());
            bytes.extend(body);
            let mac = crate::codec::keyed(&key())
                .chain_update(b"kodo witness 1\0\0")
                .chain_update(&bytes);
            bytes.extend(&mac.finalize().into_bytes()[..crate::codec::MAC]);
            if let Ok(question) = codec().question(&bytes) {
                prop_assert_eq!(codec().question(&codec().ask(&question)), Ok(question));
            }
            if let Ok(answer) = codec().heard(&bytes) {
                prop_assert_eq!(codec().heard(&codec().answer(&answer)), Ok(answer));
            }
        }

        #[test]
        fn one_bit_is_enough_to_be_refused(at in 0usize..57, bit in 0u8..8) {
            let mut bytes = codec().ask(&question());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(codec().question(&bytes).is_err());
        }
    }
}

/// A witness and the lives that ask it, all on one clock, nothing lost.
struct Room {
    granter: Granter,
    now: Now,
}

const HOLD_OFF: Now = Now::from_secs(60);
const WAIT: Now = Now::from_millis(1_000);

impl Room {
    /// Past the hold-off.
    fn new() -> Room {
        let mut room = Room::fresh();
        room.now = HOLD_OFF;
        room
    }

    fn fresh() -> Room {
        Room {
            granter: Granter::new(LIFE, HOLD_OFF, Now::ZERO),
            now: Now::ZERO,
        }
    }

    fn node(&self, node: NodeId, boot: u64) -> Client {
        Client::new(CLUSTER, &key(), node, BootId(boot), WAIT)
    }

    /// A node that has heard the witness already.
    fn acquainted(&mut self, node: NodeId, boot: u64) -> Client {
        let mut client = self.node(node, boot);
        assert_eq!(self.ask(&mut client, NOBODY), Word::Unproven);
        client
    }

    fn wait(&mut self, millis: u64) {
        self.now += ms(millis);
    }

    fn judge(&mut self, bytes: &[u8]) -> Result<WitnessFrame, Reject> {
        let question = codec().question(bytes)?;
        self.granter
            .judge(self.now, &question)
            .map(|answer| codec().answer(&answer))
    }

    fn ask(&mut self, client: &mut Client, side: NodeSet) -> Word {
        let bytes = client.ask(self.now, side);
        let answer = self.judge(&bytes).expect("a new question");
        let heard = client.hear(self.now, &answer).expect("its answer");
        let word = client.newest().expect("just heard").0.word;
        assert_eq!(heard.granted.is_some(), word == Word::Granted);
        word
    }

    fn ask_for_itself(&mut self, client: &mut Client) -> Word {
        let side = NodeSet::only(client.me());
        self.ask(client, side)
    }
}

#[test]
fn the_first_question_proves_nothing_the_second_is_granted() {
    let mut room = Room::new();
    let mut a = room.node(A, 1);
    assert_eq!(room.ask_for_itself(&mut a), Word::Unproven);
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
}

#[test]
fn one_of_two_gets_the_word_until_it_has_expired() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    for _ in 0..9 {
        room.wait(100);
        assert_eq!(room.ask_for_itself(&mut b), Word::Taken);
    }
    let holder = b.newest().expect("heard").0.holder;
    assert_eq!(holder, Some(Holder { node: A, left: 100 }));
    room.wait(100);
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
    assert_eq!(room.ask_for_itself(&mut a), Word::Taken);
}

#[test]
fn who_goes_on_wanting_keeps_it() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    for _ in 0..50 {
        assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
        assert_eq!(room.ask_for_itself(&mut b), Word::Taken);
        room.wait(200);
    }
}

#[test]
fn a_word_no_longer_wanted_still_lasts() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    assert_eq!(room.ask(&mut a, NOBODY), Word::Idle);
    assert_eq!(room.ask_for_itself(&mut b), Word::Taken);
    assert_eq!(
        room.granter.words(room.now).collect::<std::vec::Vec<_>>(),
        [(A, NodeSet::only(A), room.now + WAIT)]
    );
}

#[test]
fn halves_with_a_member_in_common_may_both_have_it() {
    let mut room = Room::new();
    let [c, d] = [NodeId(2), NodeId(3)];
    let side = |nodes: &[NodeId]| nodes.iter().copied().collect::<NodeSet>();
    let [mut a, mut b, mut other] = [A, B, c].map(|node| room.acquainted(node, 1));
    assert_eq!(room.ask(&mut a, side(&[A, B])), Word::Granted);
    assert_eq!(room.ask(&mut b, side(&[A, B])), Word::Granted);
    assert_eq!(room.ask(&mut other, side(&[c, d])), Word::Taken);
    // it shares a member with both
    assert_eq!(room.ask(&mut other, side(&[B, c])), Word::Granted);
    // and now stands in the way of who shares none with it
    let mut late = room.acquainted(d, 1);
    assert_eq!(room.ask(&mut late, side(&[A, d])), Word::Taken);
}

#[test]
fn a_node_has_the_word_for_one_side_at_a_time() {
    let mut room = Room::new();
    let [c, d] = [NodeId(2), NodeId(3)];
    let side = |nodes: &[NodeId]| nodes.iter().copied().collect::<NodeSet>();
    let [mut a, mut other] = [A, d].map(|node| room.acquainted(node, 1));
    assert_eq!(room.ask(&mut a, side(&[A, B])), Word::Granted);
    // otherwise {C, D}, which shares C with this one, could act beside {A, B}
    assert_eq!(room.ask(&mut a, side(&[A, c])), Word::Taken);
    assert_eq!(room.ask(&mut other, side(&[c, d])), Word::Taken);
    room.wait(500);
    assert_eq!(room.ask(&mut a, NOBODY), Word::Idle);
    room.wait(500);
    assert_eq!(room.ask(&mut a, side(&[A, c])), Word::Granted);
}

#[test]
fn an_earlier_life_blocks_everybody_its_own_node_too() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    let mut again = room.acquainted(A, 3);
    room.wait(900);
    assert_eq!(room.ask_for_itself(&mut again), Word::Taken);
    assert_eq!(room.ask_for_itself(&mut b), Word::Taken);
    room.wait(100);
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
    assert_eq!(room.ask_for_itself(&mut again), Word::Taken);
}

#[test]
fn a_restarted_witness_holds_off_and_does_not_know_the_old_challenge() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    room.granter = Granter::new(LIFE + 1, HOLD_OFF, room.now);
    assert_eq!(room.ask_for_itself(&mut b), Word::Unproven);
    let left = u32::try_from(HOLD_OFF.as_millis()).expect("short");
    assert_eq!(room.ask_for_itself(&mut b), Word::HoldingOff(left));
    for _ in 0..600 {
        room.wait(100);
        let word = room.ask_for_itself(&mut b);
        let over = room.granter.holds_off(room.now).is_zero();
        assert_eq!(word == Word::Granted, over, "{word:?}");
    }
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
}

#[test]
fn a_wait_longer_than_the_hold_off_is_never_granted() {
    let mut room = Room::new();
    let mut a = Client::new(CLUSTER, &key(), A, BootId(1), HOLD_OFF + ms(1));
    room.ask(&mut a, NOBODY);
    assert_eq!(room.ask_for_itself(&mut a), Word::WaitTooLong);
    let idle = room.ask(&mut a, NOBODY);
    assert_eq!(idle, Word::WaitTooLong, "told before it is needed");
    let mut b = Client::new(CLUSTER, &key(), B, BootId(1), HOLD_OFF);
    room.ask(&mut b, NOBODY);
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
}

#[test]
fn a_word_lasts_as_long_as_its_own_asker_needs() {
    let mut room = Room::new();
    let mut a = Client::new(CLUSTER, &key(), A, BootId(1), ms(3_000));
    room.ask(&mut a, NOBODY);
    let mut b = room.acquainted(B, 2);
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    for _ in 0..29 {
        room.wait(100);
        assert_eq!(room.ask_for_itself(&mut b), Word::Taken);
    }
    room.wait(100);
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
}

#[test]
fn an_old_question_changes_nothing() {
    let mut room = Room::new();
    let (mut a, mut b) = (room.acquainted(A, 1), room.acquainted(B, 2));
    let recorded = a.ask(room.now, NodeSet::only(A));
    assert!(room.judge(&recorded).is_ok());
    room.wait(500);
    assert_eq!(room.judge(&recorded), Err(Reject::Replayed));
    assert_eq!(room.ask(&mut b, NOBODY), Word::Idle);
    room.wait(500);
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
    // now its life may be forgotten, but its challenge is too old as well
    room.wait(5_000);
    let answer = room.judge(&recorded).expect("not known as replayed");
    assert_eq!(codec().heard(&answer).expect("ours").word, Word::Unproven);
    assert_eq!(room.granter.words(room.now).count(), 0);
}

#[test]
fn a_question_of_an_earlier_life_that_comes_late_changes_nothing_twice() {
    let mut room = Room::new();
    let mut a = room.acquainted(A, 1);
    let late = a.ask(room.now, NOBODY);
    let mut again = room.acquainted(A, 2);
    assert_eq!(room.ask_for_itself(&mut again), Word::Granted);
    room.wait(500);
    assert!(room.judge(&late).is_ok());
    assert_eq!(room.judge(&late), Err(Reject::Replayed));
    assert_eq!(room.ask_for_itself(&mut again), Word::Granted);
}

#[test]
fn a_challenge_from_the_future_means_that_the_witness_was_set_back() {
    let mut room = Room::new();
    let snapshot = room.granter.clone();
    let then = room.now;
    room.wait(5_000);
    let mut a = room.acquainted(A, 1);
    assert_eq!(room.ask_for_itself(&mut a), Word::Granted);
    let asked = a.ask(room.now, NodeSet::only(A));
    (room.granter, room.now) = (snapshot, then + ms(100));
    let answer = room.judge(&asked).expect("not known here");
    assert_eq!(codec().heard(&answer).expect("ours").word, Word::Unproven);
    let mut b = room.acquainted(B, 2);
    assert!(matches!(room.ask_for_itself(&mut b), Word::HoldingOff(_)));
    assert_eq!(room.granter.holds_off(room.now), HOLD_OFF);
}

#[test]
fn more_lives_than_it_can_remember_are_not_believed() {
    let mut room = Room::new();
    for boot in 0..limits::WITNESS_LIVES as u64 {
        let mut client = room.acquainted(A, boot);
        assert_eq!(room.ask(&mut client, NOBODY), Word::Idle);
    }
    let mut b = room.acquainted(B, 1);
    assert_eq!(room.ask_for_itself(&mut b), Word::Unproven);
    room.wait(1_001);
    assert_eq!(
        room.ask_for_itself(&mut b),
        Word::Unproven,
        "too old by now"
    );
    assert_eq!(room.ask_for_itself(&mut b), Word::Granted);
}

mod client {
    use super::*;

    #[track_caller]
    fn refuses(client: &mut Client, now: Now, bytes: &[u8], expect: Reject) {
        let before = client.newest();
        assert_eq!(client.hear(now, bytes), Err(expect));
        assert_eq!(client.newest(), before);
    }

    #[test]
    fn a_grant_is_worth_the_send_time_of_its_question_whenever_it_comes() {
        let mut room = Room::new();
        let mut a = room.acquainted(A, 1);
        let asked = a.ask(room.now, NodeSet::only(A));
        let sent = room.now;
        room.wait(300);
        let answer = room.judge(&asked).expect("new");
        room.wait(300);
        let heard = a.hear(room.now, &answer).expect("its answer");
        assert_eq!(
            heard,
            Heard {
                granted: Some(sent),
                side: NodeSet::only(A),
                restarted: false,
            }
        );
        refuses(&mut a, room.now, &answer, Reject::Replayed);
    }

    #[test]
    fn answers_count_in_the_order_of_their_questions() {
        let mut room = Room::new();
        let mut a = room.acquainted(A, 1);
        let asked = [1, 2].map(|_| a.ask(room.now, NodeSet::only(A)));
        let [first, second] = asked.map(|asked| room.judge(&asked).expect("new"));
        assert!(a.hear(room.now, &second).is_ok());
        refuses(&mut a, room.now, &first, Reject::Replayed);
    }

    #[test]
    fn an_answer_that_comes_after_w_is_stale() {
        let mut room = Room::new();
        let mut a = room.acquainted(A, 1);
        let asked = a.ask(room.now, NodeSet::only(A));
        let answer = room.judge(&asked).expect("new");
        room.wait(1_001);
        refuses(&mut a, room.now, &answer, Reject::Stale);
    }

    #[test]
    fn an_answer_to_nothing_that_was_asked_is_stale() {
        let mut room = Room::new();
        let (mut a, mut ahead) = (room.acquainted(A, 1), room.node(A, 1));
        for _ in 0..5 {
            ahead.ask(room.now, NOBODY);
        }
        let asked = ahead.ask(room.now, NodeSet::only(A));
        let answer = room.judge(&asked).expect("new");
        refuses(&mut a, room.now, &answer, Reject::Stale);
    }

    #[test]
    fn answers_for_others_and_for_other_lives_are_refused() {
        let mut room = Room::new();
        let mut a = room.acquainted(A, 1);
        a.ask(room.now, NOBODY);
        let mut b = room.node(B, 1);
        let asked = b.ask(room.now, NOBODY);
        let to_b = room.judge(&asked).expect("new");
        refuses(&mut a, room.now, &to_b, Reject::WrongPath);
        let mut earlier = room.node(A, 9);
        let asked = [1, 2, 3].map(|_| earlier.ask(room.now, NOBODY));
        let to_earlier = room.judge(&asked[2]).expect("new");
        refuses(&mut a, room.now, &to_earlier, Reject::Replayed);
        refuses(&mut a, room.now, &asked[0], Reject::Malformed);
        let mut forged = room.judge(&asked[1]).expect("still unproven");
        *forged.last_mut().expect("bytes") ^= 1;
        refuses(&mut a, room.now, &forged, Reject::Forged);
    }

    #[test]
    fn a_new_life_of_the_witness_is_noticed() {
        let mut room = Room::new();
        let mut a = room.acquainted(A, 1);
        assert_eq!(a.life(), Some(LIFE));
        room.granter = Granter::new(LIFE + 1, HOLD_OFF, room.now);
        let asked = a.ask(room.now, NodeSet::only(A));
        let answer = room.judge(&asked).expect("new");
        let heard = a.hear(room.now, &answer).expect("its answer");
        assert!(heard.restarted && heard.granted.is_none());
        assert_eq!(a.life(), Some(LIFE + 1));
    }

    #[test]
    fn reach_follows_the_answers() {
        let mut room = Room::new();
        let mut a = room.node(A, 1);
        assert_eq!(a.reach(room.now), Reach::Never);
        let first = room.now;
        room.ask(&mut a, NOBODY);
        room.wait(900);
        room.ask(&mut a, NOBODY);
        let last = room.now;
        assert_eq!(a.reach(room.now), Reach::Since(first));
        room.wait(4_001);
        assert_eq!(a.reach(room.now), Reach::LostSince(last));
        room.ask(&mut a, NOBODY);
        assert_eq!(a.reach(room.now), Reach::Since(room.now));
    }
}

mod schedules {
    //! Skewed clocks, lost, late, repeated and reordered messages, restarts of everybody,
    //! twins, files with different bounds; judged by nobody's own word.

    use super::*;
    use std::vec::Vec;

    /// Microseconds of true time.
    type True = u64;

    /// A clock that began at some true time and runs a little fast or slow.
    #[derive(Clone, Copy, Debug)]
    struct Clock {
        began: True,
        permille: u64,
    }

    impl Clock {
        fn read(self, at: True) -> Now {
            Now::from_micros((at - self.began) * self.permille / 1000)
        }

        /// The first true time at which it shows `time` or more.
        fn when(self, time: Now) -> True {
            let micros = u64::try_from(time.as_micros()).expect("short");
            self.began + (micros * 1000).div_ceil(self.permille)
        }
    }

    /// One life of one node.
    struct Life {
        node: NodeId,
        client: Client,
        clock: Clock,
        lease: Now,
        release: Now,
        /// Until when, in true time, it may act for a side by the witness's word.
        acts: Vec<(NodeSet, True)>,
        gone: bool,
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Time passes, in milliseconds.
        Pass(u64),
        /// A life asks for a side, and everything arrives at once.
        Talk(usize, usize),
        /// A life asks; the question is only recorded.
        Ask(usize, usize),
        /// A recorded question, counted from the newest, reaches the witness; its answer
        /// is recorded.
        Question(usize),
        /// A recorded answer reaches a life.
        Answer(usize, usize),
        RestartWitness(u64),
        /// A node restarts: its newest life acts no more.
        Restart(usize),
        /// A second machine with a node's identity.
        Twin(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            16 => (0u64..400).prop_map(Step::Pass),
            24 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Talk(a, b)),
            4 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Ask(a, b)),
            6 => (0usize..12).prop_map(Step::Question),
            6 => (0usize..12, any::<usize>()).prop_map(|(a, b)| Step::Answer(a, b)),
            1 => (990u64..=1010).prop_map(Step::RestartWitness),
            1 => any::<usize>().prop_map(Step::Restart),
            1 => any::<usize>().prop_map(Step::Twin),
        ]
    }

    /// Each node runs its own file; the bounds differ.
    fn lease(node: usize) -> Now {
        ms(700 + 400 * (node as u64 % 3))
    }

    fn release(node: usize) -> Now {
        ms(200 + 50 * (node as u64 % 2))
    }

    struct World {
        now: True,
        nodes: usize,
        rates: Vec<u64>,
        sides: Vec<NodeSet>,
        granter: Granter,
        witness: Clock,
        witness_lives: u64,
        hold_off: Now,
        lives: Vec<Life>,
        questions: Vec<WitnessFrame>,
        answers: Vec<WitnessFrame>,
        granted: usize,
    }

    impl World {
        fn new(nodes: usize, sides: Vec<NodeSet>, rates: Vec<u64>) -> World {
            // not a millisecond more than the largest bound of the files
            let largest = (0..nodes)
                .map(|node| timing::wait_bound(lease(node), release(node)))
                .max();
            let hold_off = ms(codec::millis(largest.expect("a node")).into());
            let witness = Clock {
                began: 0,
                permille: rates[0],
            };
            let mut world = World {
                now: 0,
                nodes,
                rates,
                sides,
                granter: Granter::new(0, hold_off, Now::ZERO),
                witness,
                witness_lives: 0,
                hold_off,
                lives: Vec::new(),
                questions: Vec::new(),
                answers: Vec::new(),
                granted: 0,
            };
            for node in 0..nodes {
                world.boot(NodeId::from_index(node));
            }
            world.now = 2_500_000;
            world
        }

        fn boot(&mut self, node: NodeId) {
            let (lease, release) = (lease(node.index()), release(node.index()));
            let wait = timing::wait_bound(lease, release);
            let boot = self.lives.len() as u64;
            self.lives.push(Life {
                node,
                client: Client::new(CLUSTER, &key(), node, BootId(boot), wait),
                clock: Clock {
                    began: self.now,
                    permille: self.rates[(self.lives.len() + 1) % self.rates.len()],
                },
                lease,
                release,
                acts: Vec::new(),
                gone: false,
            });
        }

        fn apply(&mut self, step: &Step) {
            match *step {
                Step::Pass(millis) => self.now += millis * 1000,
                Step::Talk(life, side) => {
                    self.ask(life, side);
                    if self.question(0) {
                        self.answer(0, life);
                    }
                }
                Step::Ask(life, side) => self.ask(life, side),
                Step::Question(back) => {
                    self.question(back);
                }
                Step::Answer(back, life) => self.answer(back, life),
                Step::RestartWitness(permille) => {
                    self.witness_lives += 1;
                    self.witness = Clock {
                        began: self.now,
                        permille,
                    };
                    self.granter = Granter::new(self.witness_lives, self.hold_off, Now::ZERO);
                }
                Step::Restart(node) => {
                    let node = NodeId::from_index(node % self.nodes);
                    let mut lives = self.lives.iter_mut().rev();
                    if let Some(life) = lives.find(|life| life.node == node && !life.gone) {
                        life.gone = true;
                    }
                    self.boot(node);
                }
                Step::Twin(node) => self.boot(NodeId::from_index(node % self.nodes)),
            }
        }

        fn ask(&mut self, life: usize, side: usize) {
            let n = self.lives.len();
            let life = &mut self.lives[life % n];
            // in a pair each asks for itself; otherwise for a half
            let side = if self.sides.is_empty() {
                [NodeSet::only(life.node), NOBODY][usize::from(side.is_multiple_of(8))]
            } else {
                let mine = |side: &NodeSet| side.is_empty() || side.contains(life.node);
                let mine: Vec<NodeSet> = self.sides.iter().copied().filter(mine).collect();
                mine[side % mine.len()]
            };
            if !life.gone {
                let asked = life.client.ask(life.clock.read(self.now), side);
                self.questions.push(asked);
            }
        }

        fn question(&mut self, back: usize) -> bool {
            let Some(at) = self.questions.len().checked_sub(1 + back) else {
                return false;
            };
            let question = codec().question(&self.questions[at]).expect("authentic");
            let now = self.witness.read(self.now);
            let Ok(answer) = self.granter.judge(now, &question) else {
                return false;
            };
            self.answers.push(codec().answer(&answer));
            true
        }

        fn answer(&mut self, back: usize, life: usize) {
            let n = self.lives.len();
            let life = &mut self.lives[life % n];
            let Some(at) = self.answers.len().checked_sub(1 + back) else {
                return;
            };
            let now = life.clock.read(self.now);
            let heard = life.client.hear(now, &self.answers[at]);
            if let Ok(Heard {
                granted: Some(sent),
                side,
                ..
            }) = heard
                && !life.gone
            {
                let until = life.clock.when(sent + life.lease);
                let release = u64::try_from(life.release.as_micros()).expect("short");
                // within the lease it may act; then it releases, in the worst case late
                if self.now < until {
                    life.acts.push((side, until + release));
                    self.granted += 1;
                }
            }
        }

        /// What acts now, as (life, side).
        fn acting(&self) -> impl Iterator<Item = (usize, NodeId, NodeSet)> + '_ {
            let living = self.lives.iter().enumerate().filter(|(_, life)| !life.gone);
            living.flat_map(move |(n, life)| {
                let acts = life.acts.iter().filter(|(_, until)| self.now < *until);
                acts.map(move |(side, _)| (n, life.node, *side))
            })
        }

        fn check(&self) -> Result<(), TestCaseError> {
            for (one, node, side) in self.acting() {
                for (two, other_node, other) in self.acting().filter(|(two, ..)| *two != one) {
                    prop_assert!(
                        node != other_node && !side.is_disjoint(other),
                        "lives {} and {} both act, for {:?} and {:?}",
                        one,
                        two,
                        side,
                        other
                    );
                }
                for (_, _, other) in self.acting().filter(|(two, ..)| *two == one) {
                    prop_assert!(!side.is_disjoint(other));
                }
            }
            Ok(())
        }
    }

    fn run(mut world: World, steps: &[Step]) -> Result<usize, TestCaseError> {
        for step in steps {
            world.apply(step);
            world.check()?;
        }
        Ok(world.granted)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn of_a_pair_one_acts(
            steps in proptest::collection::vec(step(), 1..400),
            rates in proptest::collection::vec(990u64..=1010, 4),
        ) {
            run(World::new(2, Vec::new(), rates), &steps)?;
        }

        #[test]
        fn of_four_one_half_acts(
            steps in proptest::collection::vec(step(), 1..400),
            rates in proptest::collection::vec(990u64..=1010, 6),
        ) {
            // every half, and nothing
            let halves = (0..16).map(NodeSet).filter(|side| side.len() % 2 == 0 && side.len() < 4);
            run(World::new(4, halves.collect(), rates), &steps)?;
        }
    }

    #[test]
    fn the_schedules_grant_often_enough_to_prove_something() {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let strategy = proptest::collection::vec(step(), 400);
        let granted: usize = (0..20)
            .map(|_| {
                let steps = strategy.new_tree(&mut runner).expect("a value").current();
                run(World::new(2, Vec::new(), vec![1010, 990, 1000]), &steps).expect("safe")
            })
            .sum();
        assert!(granted > 200, "only {granted} words in 8000 steps");
    }
}
