//! Where a frame on a wire came from, known to the world and to no node.
//!
//! Owns what the checkers need to judge freshness without reading a heartbeat: who sent
//! it when, and what that sender had heard by then.

use core::time::Duration;

use crate::clock::At;

/// Bytes on a wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    /// Of a heartbeat; `None`: harmed on its way, or not from a node's hand.
    pub(crate) origin: Option<Origin>,
    /// Of a question to the witness, and of the answer that grants it.
    pub(crate) asks: Option<Asks>,
}

impl Frame {
    /// Bytes of which nothing more is known.
    pub(crate) fn plain(bytes: Vec<u8>) -> Frame {
        Frame {
            bytes,
            ..Frame::default()
        }
    }
}

/// A question to the witness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks {
    pub(crate) machine: usize,
    pub(crate) life: u32,
    /// On the asker's clock.
    pub(crate) sent_local: Duration,
}

/// A heartbeat as its sender made it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) machine: usize,
    pub(crate) life: u32,
    pub(crate) sent: At,
    /// On the sender's clock.
    pub(crate) sent_local: Duration,
    /// By machine: the newest of its heartbeats that the sender had heard.
    pub(crate) heard: Vec<Option<Heard>>,
}

/// A heartbeat that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) life: u32,
    pub(crate) sent: At,
    /// On its sender's clock.
    pub(crate) sent_local: Duration,
}

impl Origin {
    /// As its hearer remembers it.
    pub(crate) fn heard(&self) -> Heard {
        Heard {
            life: self.life,
            sent: self.sent,
            sent_local: self.sent_local,
        }
    }
}
