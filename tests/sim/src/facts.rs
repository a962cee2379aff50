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
    /// When the client was not served by a group, from its first service on.
    pub outages: Vec<Outage>,
    /// What operators asked, and the answers.
    pub requests: Vec<Asked>,
    /// Recordings sent again.
    pub replayed: u64,
    /// Forged and junk frames sent.
    pub forged: u64,
    /// Foreign frames that a node counted.
    pub counted: u64,
    /// Views that machines installed, as far as their status told.
    pub views: Vec<Installed>,
    /// Cluster files that machines took over while they ran.
    pub adopted: Vec<Adopted>,
    /// When the healed cluster was found converged.
    pub converged: Option<At>,
    /// What nodes said that their disks hold, each time a disk had done its work.
    pub kept: Vec<Kept>,
    /// The bound that was stated for this convergence.
    pub bound: Duration,
    /// By group: when the client was served last.
    last_served: Vec<Option<At>>,
    tidied: At,
}

/// A node said that its disk holds all wishes.
#[derive(Clone, Debug)]
pub struct Kept {
    /// When.
    pub at: At,
    /// Which.
    pub machine: usize,
    /// The nodes on standby.
    pub standby: Vec<usize>,
    /// Whether nothing was to be touched.
    pub maintenance: bool,
}

/// A view was installed.
#[derive(Clone, Copy, Debug)]
pub struct Installed {
    /// When it was seen.
    pub at: At,
    /// Where.
    pub machine: usize,
    /// Its epoch.
    pub epoch: u64,
}

/// A machine took a cluster file over.
#[derive(Clone, Copy, Debug)]
pub struct Adopted {
    /// When.
    pub at: At,
    /// Where.
    pub machine: usize,
    /// Its hash.
    pub hash: u64,
}

/// A time during which a group did not serve the client.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// Which.
    pub group: usize,
    /// From the last answer
    pub from: At,
    /// to the next.
    pub until: At,
}

/// A time during which a machine had a group's VIP bound; or ran the agent, which counts on
/// after the groups.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    /// Whose VIP.
    pub group: usize,
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
    pub(crate) fn bound(&mut self, now: At, machine: usize, group: usize) {
        self.tenures.push(Tenure {
            group,
            machine,
            from: now,
            until: None,
        });
    }

    pub(crate) fn removed(&mut self, now: At, machine: usize, group: usize) {
        self.close(now, machine, |of| of == group);
    }

    fn close(&mut self, now: At, machine: usize, which: impl Fn(usize) -> bool) {
        let tenures = self.tenures.iter_mut();
        for tenure in tenures.filter(|tenure| tenure.until.is_none()) {
            if tenure.machine == machine && which(tenure.group) {
                tenure.until = Some(now);
            }
        }
    }

    pub(crate) fn life_ends(&mut self, now: At, machine: usize, why: &str) {
        self.close(now, machine, |_| true);
        self.ends.push(End {
            at: now,
            machine,
            why: why.to_owned(),
        });
    }

    pub(crate) fn answered(&mut self, now: At, group: usize) {
        if self.last_served.len() <= group {
            self.last_served.resize(group + 1, None);
        }
        let last = self.last_served[group].replace(now);
        if let Some(from) = last.filter(|last| now - *last > NOTICED) {
            let until = now;
            self.outages.push(Outage { group, from, until });
        }
    }

    pub(crate) fn viewed(&mut self, at: At, machine: usize, epoch: u64) {
        let mut latest = self.views.iter().rev();
        let latest = latest.find(|view| view.machine == machine);
        if latest.is_none_or(|view| view.epoch != epoch) {
            self.views.push(Installed { at, machine, epoch });
        }
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
        self.settle(token, !matches!(reply, Reply::Refused(_)))
    }

    pub(crate) fn settle(&mut self, token: Token, agreed: bool) -> Option<Wish> {
        let at = usize::try_from(token.0).ok()?.checked_sub(1)?;
        let asked = self.requests.get_mut(at)?;
        if asked.agreed.is_some() {
            return None;
        }
        asked.agreed = Some(agreed);
        Some(asked.wish)
    }

    pub(crate) fn adopted(&mut self, at: At, machine: usize, hash: u64) {
        self.adopted.push(Adopted { at, machine, hash });
    }

    pub(crate) fn tidy_due(&mut self, now: At) -> bool {
        let due = now.saturating_sub(self.tidied) >= TIDY;
        if due {
            self.tidied = now;
        }
        due
    }

    /// A group's tenures in order of their begin.
    pub fn of(&self, group: usize) -> impl Iterator<Item = &Tenure> {
        let tenures = self.tenures.iter();
        tenures.filter(move |tenure| tenure.group == group)
    }

    /// How often a group's VIP moved to another machine than had it before.
    #[must_use]
    pub fn moves(&self, group: usize) -> usize {
        let tenures: Vec<_> = self.of(group).collect();
        let pairs = tenures.windows(2);
        pairs
            .filter(|pair| pair[0].machine != pair[1].machine)
            .count()
    }

    /// A group's tenures that began in this time.
    pub fn begun(&self, group: usize, from: At, until: At) -> impl Iterator<Item = &Tenure> {
        let tenures = self.of(group);
        tenures.filter(move |tenure| (from..until).contains(&tenure.from))
    }

    /// Who had a group's VIP at a time; of several the one that began first.
    #[must_use]
    pub fn holder(&self, group: usize, at: At) -> Option<usize> {
        self.holders(group, at).next()
    }

    /// All who had a group's VIP at a time.
    pub fn holders(&self, group: usize, at: At) -> impl Iterator<Item = usize> {
        let had = move |tenure: &&Tenure| {
            tenure.from <= at && tenure.until.is_none_or(|until| until > at)
        };
        self.of(group).filter(had).map(|tenure| tenure.machine)
    }

    /// The longest time without service that overlaps this time.
    #[must_use]
    pub fn longest_outage(&self, group: usize, from: At, until: At) -> Duration {
        let outages = self.outages.iter().filter(|outage| outage.group == group);
        let within = outages.filter(|outage| outage.until > from && outage.from < until);
        let lasted = within.map(|outage| outage.until - outage.from);
        lasted.max().unwrap_or_default()
    }
}
