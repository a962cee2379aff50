//! The layout of questions and answers: bytes in, narrow valid types out.
//!
//! Owns the layout, the MAC and every check that needs no memory. Total: any bytes give
//! a message or a typed reject. Never judges freshness.
//!
//! ```text
//! version 1 | kind 1 | cluster id 4, LE | body (postcard) | MAC 16
//! ```
//!
//! The MAC is HMAC-SHA-256 over a label and everything before it, truncated to 16 bytes
//! (RFC 2104 section 5), and is verified before the body is looked at. The label keeps
//! these messages and heartbeats apart even if somebody uses one key for both.

use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::WitnessFrame;
use crate::codec::{COUNT_LIMIT, MAC, keyed};
use crate::limits;
use crate::surface::Reject;
use crate::types::{BootId, Key, NodeId, NodeSet, Now};

/// Of the layout; another one is malformed.
pub const VERSION: u8 = 1;

const LABEL: &[u8; 16] = b"kodo witness 1\0\0";
const HEADER: usize = 6;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;

/// A node asks for the witness's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks.
    pub node: NodeId,
    /// In which life.
    #[serde(with = "postcard::fixint::le")]
    pub boot: u64,
    /// The question's number in that life.
    pub seq: u64,
    /// W of the asker in milliseconds, rounded up: how long a word lasts.
    pub wait: u32,
    /// For whom it wants the word: itself, and voting members; empty when it wants none.
    pub side: NodeSet,
    /// The newest challenge that it heard.
    pub heard: Option<Challenge>,
}

/// Proof of when a question was made: the witness's clock in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Challenge {
    /// Which life of the witness: random, drawn at its start.
    #[serde(with = "postcard::fixint::le")]
    pub life: u64,
    /// Its clock then, in microseconds, rounded down.
    pub at: u64,
}

/// What the witness says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Whose question.
    pub node: NodeId,
    /// Of which life.
    #[serde(with = "postcard::fixint::le")]
    pub boot: u64,
    /// Its number.
    pub seq: u64,
    /// The side that it asked for.
    pub side: NodeSet,
    /// To be echoed by the next question.
    pub challenge: Challenge,
    /// The verdict.
    pub word: Word,
    /// For whom it speaks now: the asker, or who stands in the way; else anybody.
    pub holder: Option<Holder>,
}

/// The witness's verdict on one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Word {
    /// It speaks for the asker's side.
    Granted,
    /// Nothing was asked for.
    Idle,
    /// The question does not prove its age: ask again with this challenge.
    Unproven,
    /// It speaks for somebody else.
    Taken,
    /// It has just started and may have forgotten a word: so many milliseconds more.
    HoldingOff(u32),
    /// The asker's W is longer than the witness's hold-off: never granted.
    WaitTooLong,
}

/// For whom the witness speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// That node.
    pub node: NodeId,
    /// For so many milliseconds more, rounded up.
    pub left: u32,
}

impl Question {
    /// The asker's life.
    pub fn boot(&self) -> BootId {
        BootId(self.boot)
    }

    /// W of the asker.
    pub fn wait(&self) -> Now {
        Now::from_millis(self.wait.into())
    }

    fn valid(&self) -> bool {
        self.node.index() < limits::NODES
            && counts(self.seq)
            && self.wait > 0
            && (self.side.is_empty() || self.side.contains(self.node))
    }
}

impl Answer {
    fn valid(&self) -> bool {
        self.node.index() < limits::NODES
            && counts(self.seq)
            && self
                .holder
                .is_none_or(|holder| holder.node.index() < limits::NODES)
            && (self.word != Word::Granted || !self.side.is_empty())
    }
}

fn counts(seq: u64) -> bool {
    (1..COUNT_LIMIT).contains(&seq)
}

/// Whole milliseconds, rounded up; a month and a half is as good as for ever.
pub(super) fn millis(time: Now) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// Seals and opens the messages of one cluster under one key.
#[derive(Clone)]
pub struct Codec {
    cluster_id: u32,
    mac: Hmac<Sha256>,
}

impl core::fmt::Debug for Codec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Codec")
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Codec {
    /// For the cluster with this id (a hash of its name) and the witness's key.
    pub fn new(cluster_id: u32, key: &Key) -> Codec {
        let mut mac = keyed(key);
        mac.update(LABEL);
        Codec { cluster_id, mac }
    }

    /// Lays out a question.
    pub fn ask(&self, question: &Question) -> WitnessFrame {
        self.seal(QUESTION, question)
    }

    /// Lays out an answer.
    pub fn answer(&self, answer: &Answer) -> WitnessFrame {
        self.seal(ANSWER, answer)
    }

    /// Checks the bytes of a question.
    ///
    /// # Errors
    /// [`Reject::Malformed`], [`Reject::OtherCluster`] or [`Reject::Forged`].
    pub fn question(&self, bytes: &[u8]) -> Result<Question, Reject> {
        let question: Question = self.open(QUESTION, bytes)?;
        question
            .valid()
            .then_some(question)
            .ok_or(Reject::Malformed)
    }

    /// Checks the bytes of an answer.
    ///
    /// # Errors
    /// [`Reject::Malformed`], [`Reject::OtherCluster`] or [`Reject::Forged`].
    pub fn heard(&self, bytes: &[u8]) -> Result<Answer, Reject> {
        let answer: Answer = self.open(ANSWER, bytes)?;
        answer.valid().then_some(answer).ok_or(Reject::Malformed)
    }

    fn seal<T: Serialize>(&self, kind: u8, body: &T) -> WitnessFrame {
        let mut bytes = [0; limits::WITNESS];
        bytes[0] = VERSION;
        bytes[1] = kind;
        bytes[2..HEADER].copy_from_slice(&self.cluster_id.to_le_bytes());
        let room = &mut bytes[HEADER..limits::WITNESS - MAC];
        let used = postcard::to_slice(body, room).map(|used| used.len());
        let end = HEADER + used.expect("the longest message fits its limit");
        let tag = self
            .mac
            .clone()
            .chain_update(&bytes[..end])
            .finalize()
            .into_bytes();
        bytes[end..end + MAC].copy_from_slice(&tag[..MAC]);
        WitnessFrame::from_slice(&bytes[..end + MAC]).unwrap_or_default()
    }

    fn open<T: DeserializeOwned>(&self, kind: u8, bytes: &[u8]) -> Result<T, Reject> {
        let fits = (HEADER + MAC..=limits::WITNESS).contains(&bytes.len());
        if !fits || bytes[..2] != [VERSION, kind] {
            return Err(Reject::Malformed);
        }
        if bytes[2..HEADER] != self.cluster_id.to_le_bytes() {
            return Err(Reject::OtherCluster);
        }
        let (signed, tag) = bytes.split_at(bytes.len() - MAC);
        let mac = self.mac.clone().chain_update(signed);
        if mac.verify_truncated_left(tag).is_err() {
            return Err(Reject::Forged);
        }
        match postcard::take_from_bytes(&signed[HEADER..]) {
            Ok((body, [])) => Ok(body),
            _ => Err(Reject::Malformed),
        }
    }
}

/// The cluster that a message says it is of; `None` when it is no message at all. Tells
/// a witness which keys to try, before anything is authentic.
pub fn cluster_of(bytes: &[u8]) -> Option<u32> {
    let id = bytes.get(2..HEADER)?.try_into().ok()?;
    (bytes[0] == VERSION).then(|| u32::from_le_bytes(id))
}
