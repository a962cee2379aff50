//! How bad each event is. Owns that one table.

use crate::surface::{Event, Evidence, Gone, Health, Level, PathState, Reject};
use crate::witness::Word;

impl Event {
    /// How bad it is.
    pub fn level(&self) -> Level {
        match self {
            Event::Heard { .. }
            | Event::Back { .. }
            | Event::View { .. }
            | Event::Waiting { .. }
            | Event::Plan { .. }
            | Event::Starting { .. }
            | Event::Awaits { .. }
            | Event::Started { .. }
            | Event::Stopping { .. }
            | Event::Released { .. }
            | Event::Stopped { .. }
            | Event::Recovered { .. }
            | Event::Kept { .. }
            | Event::Commanded { .. }
            | Event::Restored { .. }
            | Event::DiskWorks
            | Event::Staged { .. }
            | Event::Parts { .. }
            | Event::Adopted { .. }
            | Event::Left
            | Event::Takeover {
                evidence: Evidence {
                    gone: Gone::Left, ..
                },
                ..
            }
            | Event::Watchdog { .. }
            | Event::Path {
                state: PathState::Up,
                ..
            }
            | Event::Carrier { up: true, .. }
            | Event::Reachable { yes: true, .. }
            | Event::Health {
                health: Health::Green,
            }
            | Event::Witness { yes: true, .. }
            | Event::WitnessSaid {
                word: Word::Granted,
                ..
            }
            | Event::Refused { yes: false, .. }
            | Event::OtherFile { yes: false, .. }
            | Event::Banned { until: None, .. } => Level::Info,
            Event::Path { .. }
            | Event::Carrier { .. }
            | Event::Reachable { .. }
            | Event::Health { .. }
            | Event::Late { .. }
            | Event::Stalled { .. }
            | Event::Unanswered { .. }
            | Event::Failed { .. }
            | Event::Banned { .. }
            | Event::Dropped { .. }
            | Event::Witness { .. }
            | Event::WitnessRestarted
            | Event::WitnessSaid {
                word: Word::Idle | Word::Unproven | Word::Taken | Word::HoldingOff(_),
                ..
            }
            | Event::Rejected {
                reject: Reject::Malformed | Reject::OtherCluster | Reject::WrongPath | Reject::Own,
                ..
            } => Level::Warn,
            Event::Dead { .. }
            | Event::Restarted { .. }
            | Event::Twin { .. }
            | Event::Refused { .. }
            | Event::OtherFile { .. }
            | Event::Withdrawn { .. }
            | Event::Alone { .. }
            | Event::NoEvidence { .. }
            | Event::NoQuorum { .. }
            | Event::Unguarded { .. }
            | Event::LeftOut { .. }
            | Event::Takeover { .. }
            | Event::Superseded { .. }
            | Event::Conflict { .. }
            | Event::LeaseEnded { .. }
            | Event::StartFailed { .. }
            | Event::StopBlocked { .. }
            | Event::AddressTaken { .. }
            | Event::NoEligible { .. }
            | Event::Quarantined { .. }
            | Event::ImageFile
            | Event::Disk { .. }
            | Event::Rejected { .. }
            | Event::WitnessRejected { .. }
            | Event::WitnessSaid { .. }
            | Event::Reset { .. } => Level::Alert,
        }
    }
}
