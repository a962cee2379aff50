//! One VIP on this node: prove that it is free, bind it, announce it; and back.
//!
//! Owns the order of these steps. The address is bound only after the netstack found
//! nobody else answering for it, and it counts as stopped only after the kernel
//! confirmed that it is gone. Never decides whether the VIP should be here.

use kodo_engine::surface::Report;

/// Where one VIP stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Vip {
    /// Not bound here, and nothing under way.
    #[default]
    Down,
    /// Waiting for the netstack's word that nobody answers for it.
    Probing,
    /// The helper binds it.
    Adding,
    /// Bound and announced.
    Up,
    /// The helper removes it, and then this is reported.
    Removing(Report),
    /// The helper could not remove it.
    Kept,
}

/// What happened to a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cue {
    /// The engine wants it here.
    Start,
    /// The engine wants it gone.
    Stop,
    /// Nobody else answers for it.
    Free,
    /// A stranger answers for it.
    Taken,
    /// The helper bound it, or could not.
    Added(bool),
    /// The helper removed it, or could not.
    Removed(bool),
}

/// What a step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look for a stranger.
    Probe,
    /// Have it bound.
    Add,
    /// It is bound: tell the LAN.
    Announce,
    /// Fall silent, and have it removed.
    Remove,
    /// Tell the engine.
    Report(Report),
}

impl Vip {
    /// Takes one cue; says what to do about it. A cue that belongs to a step given up
    /// meanwhile does nothing.
    pub(crate) fn step(&mut self, cue: Cue) -> Option<Step> {
        let (next, step) = match (*self, cue) {
            (Vip::Down, Cue::Start) => (Vip::Probing, Step::Probe),
            (Vip::Up, Cue::Start) => (Vip::Up, Step::Report(Report::Started)),
            (Vip::Probing, Cue::Free) => (Vip::Adding, Step::Add),
            (Vip::Probing, Cue::Taken) => (Vip::Probing, Step::Report(Report::AddressTaken)),
            (Vip::Adding, Cue::Added(true)) => (Vip::Up, Step::Announce),
            // An add that failed or is overdue may still happen: it is undone first.
            (Vip::Adding, Cue::Added(false)) => (Vip::Removing(Report::StartFailed), Step::Remove),
            // Removed even when it was never bound: cheap, and certain.
            (Vip::Down | Vip::Probing | Vip::Adding | Vip::Up | Vip::Kept, Cue::Stop) => {
                (Vip::Removing(Report::Stopped), Step::Remove)
            }
            (Vip::Removing(_), Cue::Stop) => {
                *self = Vip::Removing(Report::Stopped);
                return None;
            }
            (Vip::Removing(report), Cue::Removed(true)) => (Vip::Down, Step::Report(report)),
            (Vip::Removing(_), Cue::Removed(false)) => {
                (Vip::Kept, Step::Report(Report::StopFailed))
            }
            // The answer was overdue, and came after all.
            (Vip::Kept, Cue::Removed(true)) => (Vip::Down, Step::Report(Report::Stopped)),
            _ => return None,
        };
        *self = next;
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays cues on a fresh VIP and tells what each asked for.
    fn play(cues: &[Cue]) -> Vec<Option<Step>> {
        let mut vip = Vip::default();
        cues.iter().map(|cue| vip.step(*cue)).collect()
    }

    extern crate std;
    use std::{vec, vec::Vec};

    #[test]
    fn it_is_bound_only_when_free_and_reported_only_when_announced() {
        let steps = play(&[Cue::Start, Cue::Free, Cue::Added(true)]);
        assert_eq!(
            steps,
            vec![Some(Step::Probe), Some(Step::Add), Some(Step::Announce)]
        );
    }

    #[test]
    fn a_stranger_keeps_it_unbound_until_it_has_gone() {
        let steps = play(&[Cue::Start, Cue::Taken, Cue::Free]);
        assert_eq!(
            steps,
            vec![
                Some(Step::Probe),
                Some(Step::Report(Report::AddressTaken)),
                Some(Step::Add)
            ]
        );
    }

    #[test]
    fn a_failed_add_is_undone_before_it_is_reported() {
        let steps = play(&[Cue::Start, Cue::Free, Cue::Added(false), Cue::Removed(true)]);
        assert_eq!(
            steps[2..],
            [Some(Step::Remove), Some(Step::Report(Report::StartFailed))]
        );
    }

    #[test]
    fn a_stop_while_binding_wins() {
        let steps = play(&[
            Cue::Start,
            Cue::Free,
            Cue::Stop,
            Cue::Added(true),
            Cue::Removed(true),
        ]);
        assert_eq!(
            steps[2..],
            [
                Some(Step::Remove),
                None,
                Some(Step::Report(Report::Stopped))
            ]
        );
    }

    #[test]
    fn a_remove_that_fails_is_never_called_stopped() {
        let steps = play(&[Cue::Stop, Cue::Removed(false)]);
        assert_eq!(steps[1], Some(Step::Report(Report::StopFailed)));
    }

    #[test]
    fn a_remove_that_failed_can_be_asked_for_again() {
        let steps = play(&[
            Cue::Stop,
            Cue::Removed(false),
            Cue::Stop,
            Cue::Removed(true),
        ]);
        assert_eq!(
            steps[2..],
            [Some(Step::Remove), Some(Step::Report(Report::Stopped))]
        );
    }

    #[test]
    fn answers_to_steps_given_up_do_nothing() {
        assert_eq!(
            play(&[Cue::Free, Cue::Added(true), Cue::Removed(true)]),
            vec![None; 3]
        );
    }
}
