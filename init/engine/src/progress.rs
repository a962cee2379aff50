//! The proof that the decision loop works: earned stage by stage, spent once.
//!
//! The watchdog is fed by [`Progress::spend`] alone, and only a tick in which every
//! stage ran, in order, earns it. Never feeds by itself, never forgives a stage.

/// The stages of one decision, in their fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Who is heard, late, dead.
    Detect = 0,
    /// Views.
    Agree = 1,
    /// Leases.
    Lease = 2,
    /// Plans.
    Place = 3,
    /// Groups and resources.
    Run = 4,
    /// Beats.
    Beat = 5,
}

const STAGES: usize = Stage::Beat as usize + 1;

/// Counts what each stage has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    ticks: u64,
    done: [u64; STAGES],
    /// In unit tests: a stage whose work does not count, as if it had not run.
    #[cfg(test)]
    pub(crate) jammed: Option<Stage>,
}

impl Progress {
    /// A tick begins: every stage owes its work.
    pub(crate) fn begin(&mut self) {
        self.ticks += 1;
    }

    /// A stage has run. It counts only after the stage before it.
    pub(crate) fn mark(&mut self, stage: Stage) {
        #[cfg(test)]
        if self.jammed == Some(stage) {
            return;
        }
        let stage = stage as usize;
        let earlier = if stage == 0 {
            self.ticks
        } else {
            self.done[stage - 1]
        };
        if earlier == self.ticks {
            self.done[stage] = self.ticks;
        }
    }

    /// True once per tick in which every stage ran.
    pub(crate) fn spend(&mut self) -> bool {
        let earned = self.ticks > 0 && self.done.iter().all(|done| *done == self.ticks);
        self.done[0] = 0;
        earned
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [Stage; STAGES] = [
        Stage::Detect,
        Stage::Agree,
        Stage::Lease,
        Stage::Place,
        Stage::Run,
        Stage::Beat,
    ];

    #[test]
    fn a_full_tick_is_worth_one_feed() {
        let mut progress = Progress::default();
        assert!(!progress.spend(), "nothing was done");
        progress.begin();
        ALL.iter().for_each(|stage| progress.mark(*stage));
        assert!(progress.spend());
        assert!(!progress.spend(), "spent");
    }

    #[test]
    fn a_missing_or_misplaced_stage_earns_nothing() {
        for skipped in ALL {
            let mut progress = Progress::default();
            progress.begin();
            ALL.iter()
                .filter(|stage| **stage != skipped)
                .for_each(|stage| progress.mark(*stage));
            assert!(!progress.spend(), "{skipped:?} was skipped");
        }
        let mut progress = Progress::default();
        progress.begin();
        ALL.iter().rev().for_each(|stage| progress.mark(*stage));
        assert!(!progress.spend(), "wrong order");
    }

    #[test]
    fn yesterdays_work_does_not_count() {
        let mut progress = Progress::default();
        progress.begin();
        ALL.iter().for_each(|stage| progress.mark(*stage));
        progress.begin();
        assert!(!progress.spend());
    }
}
