//! Requests to the privileged helpers that have not been answered yet.
//!
//! Owns tokens and deadlines. A late answer is a failure of that action, and the
//! real answer that comes after it finds no token and is dropped.

use heapless::{Deque, Vec};
use kodo_engine::Now;

use crate::io::{Action, Token};
use crate::limits;

/// Requests under way: each VIP and service has at most two (an attempt and its undoing),
/// and a service a hook.
const OUTSTANDING: usize = 2 * limits::VIPS + 3 * limits::SERVICES;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    next: u32,
    waiting: Vec<Waiting, OUTSTANDING>,
    ready: Deque<(Token, Action), OUTSTANDING>,
}

#[derive(Debug)]
struct Waiting {
    token: Token,
    action: Action,
    until: Now,
}

impl Acts {
    /// Asks for an action; its answer is due by `until`.
    ///
    /// # Panics
    /// When more are under way than the parts can have: a bug.
    pub(crate) fn ask(&mut self, action: Action, until: Now) -> Token {
        let token = self.token();
        let waiting = Waiting {
            token,
            action: action.clone(),
            until,
        };
        assert!(
            self.waiting.push(waiting).is_ok(),
            "more actions than resources can have"
        );
        assert!(
            self.ready.push_back((token, action)).is_ok(),
            "ready is as large as waiting"
        );
        token
    }

    /// A token for something that is not an action.
    pub(crate) fn token(&mut self) -> Token {
        self.next = self.next.wrapping_add(1);
        Token(self.next)
    }

    /// The next request to hand out.
    pub(crate) fn poll(&mut self) -> Option<(Token, Action)> {
        self.ready.pop_front()
    }

    /// Takes the request that this answer belongs to; `None` when it was given up.
    pub(crate) fn done(&mut self, token: Token) -> Option<Action> {
        let at = self
            .waiting
            .iter()
            .position(|waiting| waiting.token == token)?;
        Some(self.waiting.swap_remove(at).action)
    }

    /// Takes one request whose answer is overdue.
    pub(crate) fn overdue(&mut self, now: Now) -> Option<Action> {
        let overdue = |waiting: &Waiting| waiting.until <= now;
        let at = self.waiting.iter().position(overdue)?;
        Some(self.waiting.swap_remove(at).action)
    }

    /// When the next answer becomes overdue.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }
}
