//! What a run came to: tenures, ends of lives, outages, answers. Judges read it.

use core::time::Duration;

use kodo_node::io::{Reply, Token};

use crate::clock::At;
use crate::plan::Wish;

/// How often operators look whether something is left to put right.
const TIDY: Duration = Duration::from_secs(1);
/// A client that was not answered for so long noticed.
pub const NOTICED: Duration = Duration::from_millis(350);

/// Everything worth judging.
#[derive(Debug, Default)]
pub struct Facts {
    /// In order of their begin.
    pub tenures: Vec<Tenure>,
    /// Lives that ended, and why.
    pub ends: Vec<End>,
    /// When the client was not served, from its first service on.
    pub outages: Vec<(At, At)>,
    /// When it was served first.
    pub first_served: Option<At>,
    /// What operators asked, and the answers.
    pub requests: Vec<Asked>,
    /// Recordings sent again.
    pub replayed: u64,
    /// Forged and junk frames sent.
    pub forged: u64,
    /// Foreign frames that a node counted.
    pub counted: u64,
    /// When, and by whom, the healed cluster was found converged.
    pub converged: Option<(At, usize)>,
    /// The bound that was stated for this convergence.
    pub bound: Duration,
    last_served: Option<At>,
    tidied: At,
}

/// A time during which a machine had the VIP bound.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    /// Where.
    pub machine: usize,
    /// Since.
    pub from: At,
    /// Until; `None` when it goes on.
    pub until: Option<At>,
}

/// The end of a life.
#[derive(Clone, Debug)]
pub struct End {
    /// When.
    pub at: At,
    /// Whose.
    pub machine: usize,
    /// Why.
    pub why: String,
}

/// A request to a node.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where.
    pub machine: usize,
    /// What.
    pub wish: Wish,
    /// `None` until answered; whether it was agreed.
    pub agreed: Option<bool>,
}

impl Facts {
    pub(crate) fn bound(&mut self, now: At, machine: usize) {
        self.tenures.push(Tenure {
            machine,
            from: now,
            until: None,
        });
    }

    pub(crate) fn removed(&mut self, now: At, machine: usize) {
        let open = |tenure: &&mut Tenure| tenure.machine == machine && tenure.until.is_none();
        if let Some(tenure) = self.tenures.iter_mut().find(open) {
            tenure.until = Some(now);
        }
    }

    pub(crate) fn life_ends(&mut self, now: At, machine: usize, why: &str) {
        self.removed(now, machine);
        self.ends.push(End {
            at: now,
            machine,
            why: why.to_owned(),
        });
    }

    pub(crate) fn answered(&mut self, now: At) {
        self.first_served.get_or_insert(now);
        if let Some(last) = self.last_served
            && now - last > NOTICED
        {
            self.outages.push((last, now));
        }
        self.last_served = Some(now);
    }

    pub(crate) fn asked(&mut self, machine: usize, wish: Wish) -> Token {
        self.requests.push(Asked {
            machine,
            wish,
            agreed: None,
        });
        Token(u32::try_from(self.requests.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn replied(&mut self, token: Token, reply: &Reply) -> Option<Wish> {
        let at = usize::try_from(token.0).ok()?.checked_sub(1)?;
        let asked = self.requests.get_mut(at)?;
        if asked.agreed.is_some() {
            return None;
        }
        asked.agreed = Some(!matches!(reply, Reply::Refused(_)));
        Some(asked.wish)
    }

    pub(crate) fn tidy_due(&mut self, now: At) -> bool {
        let due = now.saturating_sub(self.tidied) >= TIDY;
        if due {
            self.tidied = now;
        }
        due
    }

    /// How often the VIP moved to another machine than had it before.
    #[must_use]
    pub fn moves(&self) -> usize {
        let pairs = self.tenures.windows(2);
        pairs
            .filter(|pair| pair[0].machine != pair[1].machine)
            .count()
    }

    /// Tenures that began in this time.
    pub fn begun(&self, from: At, until: At) -> impl Iterator<Item = &Tenure> {
        let tenures = self.tenures.iter();
        tenures.filter(move |tenure| (from..until).contains(&tenure.from))
    }

    /// Who had the VIP at a time.
    #[must_use]
    pub fn holder(&self, at: At) -> Option<usize> {
        let mut tenures = self.tenures.iter();
        let found =
            tenures.find(|tenure| tenure.from <= at && tenure.until.is_none_or(|until| until > at));
        found.map(|tenure| tenure.machine)
    }

    /// The longest time without service that overlaps this time.
    #[must_use]
    pub fn longest_outage(&self, from: At, until: At) -> Duration {
        let outages = self.outages.iter();
        let within = outages.filter(|(begin, end)| *end > from && *begin < until);
        within
            .map(|(begin, end)| *end - *begin)
            .max()
            .unwrap_or_default()
    }
}
