//! The hardware address of one next hop, found without the kernel's neighbour table.
//!
//! Owns when to ask and what to believe. An address once learnt is used until another
//! one replaces it: while asking again, the old one is still the best guess. Never sends
//! by itself: it says that a question is due.

use crate::limits;
use crate::types::{Mac, Now};

/// One next hop.
#[derive(Debug, Default)]
pub(crate) struct Neighbour {
    mac: Option<Mac>,
    /// When it was last known to work: resolved, or answered through.
    confirmed: Option<Now>,
    asked: Option<Now>,
}

impl Neighbour {
    pub(crate) fn mac(&self) -> Option<Mac> {
        self.mac
    }

    /// The port is another one, or came back: ask at once.
    pub(crate) fn forget(&mut self) {
        *self = Neighbour::default();
    }

    /// It said where it is.
    pub(crate) fn learn(&mut self, now: Now, mac: Mac, replaces: bool) {
        if replaces || self.mac.is_none_or(|known| known == mac) {
            self.mac = Some(mac);
            self.confirmed = Some(now);
        }
    }

    /// Something that went through it came back.
    pub(crate) fn works(&mut self, now: Now) {
        self.confirmed = Some(now);
    }

    /// True when the question should be put now; then it counts as put.
    pub(crate) fn ask(&mut self, now: Now) -> bool {
        let old =
            |at: Option<Now>| at.is_none_or(|at| now.saturating_sub(at) >= limits::ASK_INTERVAL);
        let due = (self.mac.is_none() || old(self.confirmed)) && old(self.asked);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn at(ms: u64) -> Now {
        Now::from_millis(ms)
    }

    #[test]
    fn asks_once_a_second_until_it_knows() {
        let mut hop = Neighbour::default();
        let asked = (0..3000).step_by(100).filter(|ms| hop.ask(at(*ms))).count();
        assert_eq!(asked, 3);
        hop.learn(at(3000), A, false);
        assert!(!hop.ask(at(3500)));
    }

    #[test]
    fn asks_again_when_nothing_comes_back_but_keeps_what_it_knew() {
        let mut hop = Neighbour::default();
        hop.learn(at(0), A, true);
        hop.works(at(5000));
        assert!(!hop.ask(at(5999)));
        assert!(hop.ask(at(6000)));
        assert_eq!(hop.mac(), Some(A));
    }

    #[test]
    fn an_advertisement_without_override_replaces_nothing() {
        let mut hop = Neighbour::default();
        hop.learn(at(0), A, true);
        hop.learn(at(1), B, false);
        assert_eq!(hop.mac(), Some(A));
        hop.learn(at(2), B, true);
        assert_eq!(hop.mac(), Some(B));
    }
}
