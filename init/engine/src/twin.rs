//! Another machine that carries our own identity, and which of the two gives way.
//!
//! Owns that judgement. The one with the shorter uptime refuses itself. Two that
//! booted within a network delay of each other may both think themselves older:
//! then, after two deadtimes in which neither gave way, the larger boot id does.
//! The refused one is no restart loop: it stays up, claims nothing, and comes back
//! when the other gave way, or, where silence may be trusted, has been silent for
//! deadtime.

use crate::peer::{Audition, Candidates};
use crate::types::{BootId, Now, PathId};

/// The other machine, once it has proven itself by an echo.
#[derive(Clone, Copy, Debug, Hash)]
struct Other {
    boot: BootId,
    /// It has been up for longer than we.
    elder: bool,
    since: Now,
    last: Now,
    /// Since when it says that it gave way.
    gave_way: Option<Now>,
}

/// What is known of machines with our identity.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Twin {
    pub(crate) candidates: Candidates,
    other: Option<Other>,
    refused: bool,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Give everything up.
    Refuse(BootId),
    /// Take part again.
    Recover(BootId),
}

impl Twin {
    /// An authentic frame that bears our id and another life.
    pub(crate) fn hear(&mut self, now: Now, path: PathId, boot: BootId, seq: u64) -> Audition {
        self.candidates.hear(now, path, boot, seq)
    }

    /// That frame echoes what we sent lately: another machine is really there.
    pub(crate) fn confirm(&mut self, now: Now, boot: BootId, uptime: Now, gave_way: bool) {
        let known = self.other.filter(|other| other.boot == boot);
        self.other = Some(Other {
            boot,
            elder: uptime > now,
            since: known.map_or(now, |other| other.since),
            last: now,
            gave_way: gave_way.then(|| known.and_then(|other| other.gave_way).unwrap_or(now)),
        });
    }

    /// True while this machine may not become a member because of another.
    pub(crate) fn unresolved(&self) -> bool {
        self.refused || self.other.is_some_and(|other| other.gave_way.is_none())
    }

    /// The other machine is heard.
    pub(crate) fn is_heard(&self) -> bool {
        self.other.is_some()
    }

    /// Takes a recovery back: silence alone is no proof that the other one is gone.
    pub(crate) fn stay_refused(&mut self) {
        self.refused = true;
    }

    /// Judges again; `refused_by_peer` when a peer says that we are the newcomer.
    pub(crate) fn judge(
        &mut self,
        now: Now,
        me: BootId,
        deadtime: Now,
        refused_by_peer: Option<BootId>,
    ) -> Option<Change> {
        if self.other.is_some_and(|other| now - other.last >= deadtime) {
            self.other = None;
        }
        let refuse = match (self.other, refused_by_peer) {
            (_, Some(kept)) => Some(kept),
            (Some(other), None) => self
                .gives_way_to(&other, now, me, deadtime)
                .then_some(other.boot),
            (None, None) => None,
        };
        match (self.refused, refuse) {
            (false, Some(other)) => {
                self.refused = true;
                Some(Change::Refuse(other))
            }
            (true, None) => {
                self.refused = false;
                Some(Change::Recover(self.other.map_or(me, |other| other.boot)))
            }
            _ => None,
        }
    }

    fn gives_way_to(&self, other: &Other, now: Now, me: BootId, deadtime: Now) -> bool {
        match other.gave_way {
            // both gave way: one comes back
            Some(since) if self.refused => now - since < deadtime || me > other.boot,
            Some(_) => false,
            None if other.elder => true,
            None => self.refused || (now - other.since >= 2 * deadtime && me > other.boot),
        }
    }

    /// When [`Twin::judge`] may change its mind.
    pub(crate) fn deadline(&self, deadtime: Now) -> Option<Now> {
        let other = self.other?;
        let decision = other
            .gave_way
            .map_or(other.since + 2 * deadtime, |since| since + deadtime);
        Some(decision.min(other.last + deadtime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Now = Now::from_millis(500);
    const ME: BootId = BootId(5);

    fn ms(n: u64) -> Now {
        Now::from_millis(n)
    }

    #[test]
    fn the_younger_gives_way_and_comes_back_when_the_elder_is_gone() {
        let mut twin = Twin::default();
        twin.confirm(ms(100), BootId(1), ms(9000), false);
        assert!(twin.unresolved());
        assert_eq!(
            twin.judge(ms(100), ME, DEAD, None),
            Some(Change::Refuse(BootId(1)))
        );
        assert_eq!(twin.judge(ms(599), ME, DEAD, None), None);
        assert_eq!(
            twin.judge(ms(600), ME, DEAD, None),
            Some(Change::Recover(ME))
        );
        assert!(!twin.unresolved());
    }

    #[test]
    fn the_elder_stays() {
        let mut twin = Twin::default();
        twin.confirm(ms(9000), BootId(9), ms(100), false);
        assert_eq!(twin.judge(ms(9000), ME, DEAD, None), None);
        twin.confirm(ms(9100), BootId(9), ms(200), true);
        assert_eq!(twin.judge(ms(9100), ME, DEAD, None), None);
        assert!(!twin.unresolved());
    }

    #[test]
    fn two_that_booted_together_do_not_both_stay() {
        let [mut small, mut large] = [Twin::default(), Twin::default()];
        for now in (1000..3000).step_by(100) {
            small.confirm(ms(now), BootId(9), ms(now - 1), large.refused);
            large.confirm(ms(now), BootId(5), ms(now - 1), small.refused);
            small.judge(ms(now), BootId(5), DEAD, None);
            large.judge(ms(now), BootId(9), DEAD, None);
        }
        assert!(!small.refused && large.refused);
    }

    #[test]
    fn two_that_both_gave_way_do_not_stay_so() {
        let [mut small, mut large] = [Twin::default(), Twin::default()];
        (small.refused, large.refused) = (true, true);
        for now in (1000..3000).step_by(100) {
            small.confirm(ms(now), BootId(9), ms(now + 1), large.refused);
            large.confirm(ms(now), BootId(5), ms(now + 1), small.refused);
            small.judge(ms(now), BootId(5), DEAD, None);
            large.judge(ms(now), BootId(9), DEAD, None);
        }
        assert!(!small.refused && large.refused);
    }

    #[test]
    fn a_peers_word_is_enough() {
        let mut twin = Twin::default();
        assert_eq!(
            twin.judge(ms(100), ME, DEAD, Some(BootId(1))),
            Some(Change::Refuse(BootId(1)))
        );
        assert_eq!(
            twin.judge(ms(200), ME, DEAD, None),
            Some(Change::Recover(ME))
        );
    }
}
