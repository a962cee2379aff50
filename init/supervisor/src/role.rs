//! One life's role: an instance is promoted and demoted while it runs.
//!
//! Owns what is known of the role, and when a hook that tells the instance is overdue. A
//! hook that fails leaves a doubt, and a doubt is closed as every other one: the life is
//! killed, and with it the role is gone for certain. A new life is never promoted.

use crate::{Action, ActionKind, Event, Now, ServiceIndex};

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// An ordinary instance.
    #[default]
    Plain,
    /// It is to be told, or was, and has not confirmed; for this reason.
    Promoting { asked: bool, until: Now, reason: u8 },
    /// It is the promoted one.
    Promoted,
    /// The same back; and whether it shall be promoted again after that.
    Demoting {
        asked: bool,
        until: Now,
        again: Option<u8>,
    },
}

/// What follows from a command or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Nothing.
    Nothing,
    /// This is said.
    Say(Word),
    /// The life must end: only that is certain.
    Kill,
}

/// What is said of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Promoted,
    PromoteFailed,
    Demoted,
    Lost,
}

impl Word {
    pub(crate) fn of(self, service: ServiceIndex) -> Event {
        match self {
            Word::Promoted => Event::Promoted(service),
            Word::PromoteFailed => Event::PromoteFailed(service),
            Word::Demoted => Event::Demoted(service),
            Word::Lost => Event::RoleLost(service),
        }
    }
}

impl Role {
    /// Told to promote, the instance being ready or not, until then.
    pub(crate) fn promote(&mut self, ready: bool, until: Now, reason: u8) -> Follows {
        match self {
            Role::Plain if !ready => return Follows::Say(Word::PromoteFailed),
            Role::Promoted if ready => return Follows::Say(Word::Promoted),
            Role::Demoting { again, .. } => *again = Some(reason),
            // a life that ends answers for it when it has
            Role::Plain | Role::Promoted => {
                *self = Role::Promoting {
                    asked: !ready,
                    until,
                    reason,
                };
            }
            Role::Promoting { .. } => {}
        }
        Follows::Nothing
    }

    /// Told to demote, in order until then, or at once.
    pub(crate) fn demote(&mut self, until: Now, at_once: bool) -> Follows {
        let (asked, doubt) = match *self {
            Role::Plain | Role::Promoting { asked: false, .. } => {
                *self = Role::Plain;
                return Follows::Say(Word::Demoted);
            }
            // nobody knows how far that came
            Role::Promoting { asked: true, .. } => (true, true),
            Role::Promoted => (false, false),
            Role::Demoting { asked, .. } => (asked, false),
        };
        let until = match *self {
            Role::Demoting { until, .. } => until,
            _ => until,
        };
        *self = Role::Demoting {
            asked,
            until,
            again: None,
        };
        match doubt || at_once {
            true => Follows::Kill,
            false => Follows::Nothing,
        }
    }

    /// A hook of a ready instance was answered; `promote_by` bounds one that follows.
    pub(crate) fn acted(&mut self, kind: ActionKind, ok: bool, promote_by: Now) -> Follows {
        let (next, word) = match (*self, kind) {
            (Role::Promoting { asked: true, .. }, ActionKind::Promote) => {
                (Role::Promoted, Some(Word::Promoted))
            }
            (
                Role::Demoting {
                    asked: true, again, ..
                },
                ActionKind::Demote,
            ) => match again {
                None => (Role::Plain, Some(Word::Demoted)),
                Some(reason) => {
                    let until = promote_by;
                    let asked = false;
                    (
                        Role::Promoting {
                            asked,
                            until,
                            reason,
                        },
                        None,
                    )
                }
            },
            _ => return Follows::Nothing,
        };
        if !ok {
            return Follows::Kill;
        }
        *self = next;
        word.map_or(Follows::Nothing, Follows::Say)
    }

    /// The life ended for certain.
    pub(crate) fn dead(&mut self) -> Option<Word> {
        match core::mem::take(self) {
            Role::Plain => None,
            Role::Promoted => Some(Word::Lost),
            Role::Promoting { .. } | Role::Demoting { again: Some(_), .. } => {
                Some(Word::PromoteFailed)
            }
            Role::Demoting { again: None, .. } => Some(Word::Demoted),
        }
    }

    /// Until when a hook must have been answered.
    pub(crate) fn deadline(&self) -> Option<Now> {
        match self {
            Role::Promoting { until, .. } | Role::Demoting { until, .. } => Some(*until),
            Role::Plain | Role::Promoted => None,
        }
    }

    /// The hook to run next.
    pub(crate) fn take_action(&mut self, service: ServiceIndex) -> Option<Action> {
        match self {
            Role::Promoting {
                asked: asked @ false,
                reason,
                ..
            } => {
                *asked = true;
                Some(Action::Promote(service, *reason))
            }
            Role::Demoting {
                asked: asked @ false,
                ..
            } => {
                *asked = true;
                Some(Action::Demote(service))
            }
            _ => None,
        }
    }
}
