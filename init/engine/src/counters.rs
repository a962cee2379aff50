//! Counts of frames that changed nothing, by reason. Owns numbers, decides nothing.

use crate::surface::Reject;

/// Rejected frames since boot, by reason. Saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// See [`Reject::Malformed`].
    pub malformed: u32,
    /// See [`Reject::OtherCluster`].
    pub other_cluster: u32,
    /// See [`Reject::Forged`].
    pub forged: u32,
    /// See [`Reject::WrongPath`].
    pub wrong_path: u32,
    /// See [`Reject::Own`].
    pub own: u32,
    /// See [`Reject::Replayed`].
    pub replayed: u32,
    /// See [`Reject::Stale`].
    pub stale: u32,
    /// See [`Reject::Twin`].
    pub twin: u32,
    /// Frames that were accepted.
    pub accepted: u32,
    /// Log lines dropped because the effect queue was full.
    pub dropped: u32,
}

impl Counters {
    /// Counts one more.
    pub(crate) fn count(&mut self, reject: Reject) {
        let slot = self.slot(reject);
        *slot = slot.saturating_add(1);
    }

    /// How many of that reason.
    pub fn of(mut self, reject: Reject) -> u32 {
        *self.slot(reject)
    }

    fn slot(&mut self, reject: Reject) -> &mut u32 {
        match reject {
            Reject::Malformed => &mut self.malformed,
            Reject::OtherCluster => &mut self.other_cluster,
            Reject::Forged => &mut self.forged,
            Reject::WrongPath => &mut self.wrong_path,
            Reject::Own => &mut self.own,
            Reject::Replayed => &mut self.replayed,
            Reject::Stale => &mut self.stale,
            Reject::Twin => &mut self.twin,
        }
    }

    /// All rejected frames together.
    pub fn rejected(&self) -> u64 {
        [
            self.malformed,
            self.other_cluster,
            self.forged,
            self.wrong_path,
            self.own,
            self.replayed,
            self.stale,
            self.twin,
        ]
        .iter()
        .map(|count| u64::from(*count))
        .sum()
    }
}
