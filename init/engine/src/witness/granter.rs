//! The witness's decision for one cluster: who gets its word.
//!
//! Owns the words given and the lives seen. The rules are those of the module above.
//! Never reads a clock, never draws a life id, never opens bytes.

use heapless::Vec;

use super::codec::millis;
use super::{Answer, Challenge, Holder, Question, Word};
use crate::limits;
use crate::surface::Reject;
use crate::types::{BootId, NodeId, NodeSet, Now};

/// One cluster's part of a witness.
///
/// # Contract
/// `now` is a clock that never goes back in this life and also runs while the machine
/// sleeps. `life` is random, drawn at every start of the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Granter {
    life: u64,
    hold_off: Now,
    /// Nothing is granted before.
    free_at: Now,
    lives: Vec<Life, { limits::WITNESS_LIVES }>,
}

/// One life of a node that asked a fresh question lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Life {
    node: NodeId,
    boot: BootId,
    /// Its newest question.
    seq: u64,
    /// Its older questions can no longer be fresh.
    until: Now,
    /// The word it has: for which side, until when.
    granted: Option<(NodeSet, Now)>,
}

impl Granter {
    /// A witness that has just started: it grants nothing for `hold_off`.
    pub fn new(life: u64, hold_off: Now, now: Now) -> Granter {
        Granter {
            life,
            hold_off,
            free_at: now + hold_off,
            lives: Vec::new(),
        }
    }

    /// Judges an authentic question that was received at `now`.
    ///
    /// # Errors
    /// [`Reject::Replayed`] when that life has asked this one or a newer one before.
    pub fn judge(&mut self, now: Now, question: &Question) -> Result<Answer, Reject> {
        self.forget(now);
        if self
            .known(question)
            .is_some_and(|life| question.seq <= life.seq)
        {
            return Err(Reject::Replayed);
        }
        let word = if self.remember(now, question) {
            self.decide(now, question)
        } else {
            Word::Unproven
        };
        Ok(Answer {
            node: question.node,
            boot: question.boot,
            seq: question.seq,
            side: question.side,
            challenge: Challenge {
                life: self.life,
                at: micros(now),
            },
            word,
            holder: self.holder(now, question),
        })
    }

    /// For whom it speaks: node, side, and until when.
    pub fn words(&self, now: Now) -> impl Iterator<Item = (NodeId, NodeSet, Now)> + '_ {
        self.lives
            .iter()
            .filter_map(move |life| life.word(now).map(|(side, until)| (life.node, side, until)))
    }

    /// How long it still grants nothing.
    pub fn holds_off(&self, now: Now) -> Now {
        self.free_at.saturating_sub(now)
    }

    /// Drops what can no longer matter.
    fn forget(&mut self, now: Now) {
        self.lives
            .retain(|life| now <= life.until || life.word(now).is_some());
    }

    fn known(&self, question: &Question) -> Option<&Life> {
        self.lives.iter().find(|life| life.asked(question))
    }

    /// Takes note of a fresh question. False when it is not fresh, or there is no room
    /// to remember it: then it must not change anything.
    fn remember(&mut self, now: Now, question: &Question) -> bool {
        let heard = question.heard.filter(|heard| heard.life == self.life);
        let Some(age) = heard.map(|heard| now.checked_sub(Now::from_micros(heard.at))) else {
            return false;
        };
        let Some(age) = age else {
            // we gave a challenge that we have not come to yet: our memory is an old one
            self.free_at = now + self.hold_off;
            return false;
        };
        if age > question.wait() {
            return false;
        }
        let until = now + question.wait();
        match self.lives.iter_mut().find(|life| life.asked(question)) {
            Some(life) => {
                life.seq = question.seq;
                life.until = life.until.max(until);
                true
            }
            None => self
                .lives
                .push(Life {
                    node: question.node,
                    boot: question.boot(),
                    seq: question.seq,
                    until,
                    granted: None,
                })
                .is_ok(),
        }
    }

    /// The verdict on a fresh question; gives the word where it may.
    fn decide(&mut self, now: Now, question: &Question) -> Word {
        // what keeps it from ever helping is told before it is needed
        if question.wait() > self.hold_off {
            return Word::WaitTooLong;
        }
        if now < self.free_at {
            return Word::HoldingOff(millis(self.free_at - now));
        }
        if question.side.is_empty() {
            return Word::Idle;
        }
        if self.in_the_way(now, question).is_some() {
            return Word::Taken;
        }
        let asker = self.lives.iter_mut().find(|life| life.asked(question));
        let Some(asker) = asker else {
            return Word::Unproven;
        };
        let until = now + question.wait();
        let before = asker.word(now).map_or(until, |(_, before)| before);
        asker.granted = Some((question.side, until.max(before)));
        Word::Granted
    }

    /// A word that excludes this question's side.
    fn in_the_way(&self, now: Now, question: &Question) -> Option<&Life> {
        self.lives.iter().find(|life| {
            life.word(now).is_some_and(|(side, _)| {
                if life.asked(question) {
                    // one side at a time: it may still act by the word for the other
                    side != question.side
                } else {
                    life.node == question.node || side.is_disjoint(question.side)
                }
            })
        })
    }

    /// For whom it speaks, as this asker should know.
    fn holder(&self, now: Now, question: &Question) -> Option<Holder> {
        let wants = !question.side.is_empty();
        let told = self
            .in_the_way(now, question)
            .filter(|_| wants)
            .or_else(|| self.known(question).filter(|life| life.word(now).is_some()))
            .or_else(|| self.lives.iter().find(|life| life.word(now).is_some()))?;
        told.word(now).map(|(_, until)| Holder {
            node: told.node,
            left: millis(until - now),
        })
    }
}

impl Life {
    fn asked(&self, question: &Question) -> bool {
        self.node == question.node && self.boot == question.boot()
    }

    /// The word that it has, unless that is over.
    fn word(&self, now: Now) -> Option<(NodeSet, Now)> {
        self.granted.filter(|(_, until)| now < *until)
    }
}

fn micros(now: Now) -> u64 {
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
