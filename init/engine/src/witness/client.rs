//! The node's half: asks, and turns answers into send times.
//!
//! Owns the numbers and send times of its questions, the newest challenge, and what it
//! heard last. An answer counts once, only in the order of the questions, only in the
//! life that asked, and only while its question is younger than W. Never decides whether
//! a word is needed, nor what follows from it.

use core::hash::{Hash, Hasher};

use super::codec::millis;
use super::{Answer, Challenge, Codec, Question, WitnessFrame, Word};
use crate::limits;
use crate::sends::Sends;
use crate::surface::Reject;
use crate::types::{BootId, Key, NodeId, NodeSet, Now};

/// One node's questions to its witness.
#[derive(Clone, Debug)]
pub struct Client {
    codec: Codec,
    me: NodeId,
    boot: BootId,
    wait: Now,
    sends: Sends,
    /// The newest answer and when it came.
    newest: Option<(Answer, Now)>,
    /// The first of the unbroken run of answers that the newest belongs to.
    since: Now,
}

impl Hash for Client {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let Client {
            // its key goes into no other hash
            codec: _,
            me,
            boot,
            wait,
            sends,
            newest,
            since,
        } = self;
        (me, boot, wait, sends, newest, since).hash(to);
    }
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The witness speaks for `side`: a lease by its word runs from this time, when *we
    /// sent* the question.
    pub granted: Option<Now>,
    /// The side that the question was for.
    pub side: NodeSet,
    /// It is another life of the witness than the one heard before.
    pub restarted: bool,
}

/// Whether the witness answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It never did in this life of the node.
    Never,
    /// Without a long gap since then.
    Since(Now),
    /// Not since then.
    LostSince(Now),
}

impl Client {
    /// The largest bound W is another one from now on.
    pub(crate) fn set_wait(&mut self, wait: Now) {
        self.wait = wait;
    }

    /// For life `boot` of node `me`, whose largest bound W is `wait`.
    pub fn new(cluster_id: u32, key: &Key, me: NodeId, boot: BootId, wait: Now) -> Client {
        Client {
            codec: Codec::new(cluster_id, key),
            me,
            boot,
            wait,
            sends: Sends::new(),
            newest: None,
            since: Now::ZERO,
        }
    }

    /// The question to send now: once per keepalive. `side` is for whom the word is
    /// wanted: the voting members whose grants it would complete, this node among them
    /// if it votes; empty when it is not needed.
    pub fn ask(&mut self, now: Now, side: NodeSet) -> WitnessFrame {
        self.codec.ask(&Question {
            node: self.me,
            boot: self.boot.0,
            seq: self.sends.next(now),
            wait: millis(self.wait),
            side,
            heard: self.newest.map(|(answer, _)| answer.challenge),
        })
    }

    /// An answer's bytes arrived.
    ///
    /// # Errors
    /// Why it changed nothing: [`Reject::Malformed`], [`Reject::OtherCluster`],
    /// [`Reject::Forged`]; [`Reject::WrongPath`] when it is for another node;
    /// [`Reject::Replayed`] when it is for another life of this node, or not newer than
    /// what was heard; [`Reject::Stale`] when its question is older than W.
    pub fn hear(&mut self, now: Now, bytes: &[u8]) -> Result<Heard, Reject> {
        let answer = self.codec.heard(bytes)?;
        if answer.node != self.me {
            return Err(Reject::WrongPath);
        }
        let known = self.newest.map_or(0, |(newest, _)| newest.seq);
        if answer.boot != self.boot.0 || answer.seq <= known {
            return Err(Reject::Replayed);
        }
        let sent = self.sends.time_of(answer.seq);
        let sent = sent.filter(|sent| now.saturating_sub(*sent) <= self.wait);
        let sent = sent.ok_or(Reject::Stale)?;
        let before = self.newest.replace((answer, now));
        if before.is_none_or(|(_, at)| now.saturating_sub(at) > self.patience()) {
            self.since = now;
        }
        Ok(Heard {
            granted: (answer.word == Word::Granted).then_some(sent),
            side: answer.side,
            restarted: before
                .is_some_and(|(before, _)| before.challenge.life != answer.challenge.life),
        })
    }

    /// The node that asks.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Whether the witness answers.
    pub fn reach(&self, now: Now) -> Reach {
        match self.newest {
            None => Reach::Never,
            Some((_, at)) if now.saturating_sub(at) > self.patience() => Reach::LostSince(at),
            Some(_) => Reach::Since(self.since),
        }
    }

    /// The newest answer, and when it came.
    pub fn newest(&self) -> Option<(Answer, Now)> {
        self.newest
    }

    /// The life of the witness that was heard last.
    pub fn life(&self) -> Option<u64> {
        self.newest.map(|(answer, _)| {
            let Challenge { life, .. } = answer.challenge;
            life
        })
    }

    /// A witness that has not answered for so long is out of reach: at 30 % loss each
    /// way half of all questions go unanswered.
    pub fn patience(&self) -> Now {
        limits::PING_SILENCE * self.wait
    }
}
