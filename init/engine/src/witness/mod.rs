//! A witness: a program outside the cluster that speaks for one part of it at a time.
//!
//! Owns the whole protocol between a node and a witness, without I/O: the messages
//! ([`codec`]), the witness's decision ([`Granter`]) and the node's half ([`Client`]).
//! The program `kodo witness`, the simulator and the engine run this code, each with
//! its own clock; time and randomness are arguments. Never judges what a word is worth
//! in votes: that is the lease's business.
//!
//! # The protocol
//!
//! ```text
//! node                                              witness
//!  | -- question: life, sequence, W, side, challenge --> |
//!  | <-- answer: the same sequence, word, challenge ---- |
//! ```
//!
//! A node asks once per keepalive, for a *side*: the voting members whose grants,
//! together with the witness's word, would carry its lease. The empty side asks for
//! nothing, keeps the challenge young and shows that the witness is there. In a pair a
//! node asks for itself alone.
//!
//! # Why no two sides may act by its word
//!
//! - *A word is a lease.* The witness, granting at its receipt, speaks for nobody else
//!   for W by its own clock. The node counts L from when it *sent* the question, which
//!   is earlier; W = (1 + rho)(L / (1 - rho) + R) covers both clocks and the release
//!   ([`crate::timing`]). W is the asker's own, so two cluster files may differ in it.
//!   Answers may come late, twice or in any order: they mean the send time of their own
//!   question, and that does not change.
//! - *Sides exclude each other when nobody is in both.* Half of the votes can decide with
//!   the witness; two such halves either share a voting member, whose own grants then
//!   exclude them, or nobody, and the witness does. So the word is given while every
//!   other unexpired word is for a side with a member in common. A node's word is for
//!   one side until it expires.
//! - *Lives exclude each other.* The word belongs to one life of a node. A restarted node
//!   has forgotten it and waits like everybody else until it expires; so does a twin.
//! - *A restarted witness has forgotten.* It grants nothing for its hold-off, and never
//!   to a question whose W is longer than that: a forgotten word is over by then.
//! - *Old questions change nothing.* A question is fresh when it echoes a challenge of
//!   this witness life that is at most W old, and its sequence is the newest of its node's
//!   life. The challenge is the witness's own clock, so it needs no memory; only lives
//!   with a fresh question are remembered, for as long as their questions could be fresh.
//! - *A challenge from the future* proves that the witness's machine was set back to an
//!   earlier state (a snapshot). It holds off anew. That is a safety net, not a promise:
//!   a witness must not be restored from a snapshot without being restarted, and there
//!   must be one of it only.
//!
//! What stops the witness's machine lengthens its words, which is safe.

mod client;
pub mod codec;
mod granter;
#[cfg(test)]
mod tests;

pub use client::{Client, Heard, Reach};
pub use codec::{Answer, Challenge, Codec, Holder, Question, Word};
pub use granter::Granter;

use crate::limits;
use heapless::Vec;

/// One message between a node and a witness, encoded and authenticated.
pub type WitnessFrame = Vec<u8, { limits::WITNESS }>;
