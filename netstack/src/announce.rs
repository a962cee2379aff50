//! One VIP on its wire: look for strangers, announce it, watch for a second holder.
//!
//! ```text
//!        probe             no answer                announce
//! Idle --------> Probing ------------> Free (5 s) ----------> Bound
//!   ^               |  ^                 |                      |
//!   |      a stranger  | every 3 s       | a stranger           | withdraw
//!   |               v  |                 v                      v
//!   +------------- Taken <---------------+                     Idle
//!        withdraw
//! ```
//!
//! A member's answer never counts while probing: members follow the lease, and what is
//! probed at warntime is usually still held by the one that fell silent. A bound VIP is
//! watched by listening, and by one question with each burst and refresh.
//!
//! Without a usable link nothing is sent. A search then still ends, "free": nobody on a
//! dead wire can hold the address against us, and a service that is wanted here must not
//! fail for it; the verdict lapses when the link comes, and a bound VIP is announced and
//! asked for then. But a stranger once seen is gone only when a search that was really
//! sent found nobody.
//!
//! Never decides whether this node should hold the VIP; never holds a frame back: what is
//! to be sent is a set of flags, so that `withdraw` takes back what has not left yet.

use core::net::{IpAddr, Ipv6Addr};

use crate::jitter::Jitter;
use crate::limits;
use crate::packet::{self, Frame};
use crate::types::{Mac, Now};

/// Who claims an address, or asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimant {
    /// Another node of the cluster.
    Member(Mac),
    /// Anybody else.
    Stranger(Mac),
}

/// What the search for strangers says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody answered.
    Free,
    /// This stranger did.
    Taken(Mac),
}

/// What became of somebody else's claim on a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing to do with us at present.
    Nothing,
    /// It answers a search.
    Stranger,
    /// It holds what we hold.
    Conflict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// `sent` probes so far; the verdict is due at `ends`. `holder` is the stranger that
    /// had it before this search.
    Probing {
        sent: u8,
        ends: Now,
        holder: Option<Mac>,
    },
    /// Until due, then the verdict lapses.
    Free,
    Taken(Mac),
    Bound(Phase),
}

/// Where a bound VIP is in its schedule; the number counts announcements left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    First(u8),
    Second(u8),
    Slow,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    request: bool,
    reply: bool,
    query: bool,
}

/// One VIP.
#[derive(Debug)]
pub(crate) struct Vip {
    address: IpAddr,
    state: State,
    /// The port is there and has carrier.
    link: bool,
    due: Option<Now>,
    pending: Pending,
    verdict: Option<Verdict>,
    conflict: Option<Mac>,
    may_defend: bool,
    announced: Option<Now>,
    conflicted: Option<Now>,
}

impl Vip {
    pub(crate) fn new(address: IpAddr) -> Vip {
        Vip {
            address,
            state: State::Idle,
            link: false,
            due: None,
            pending: Pending::default(),
            verdict: None,
            conflict: None,
            may_defend: false,
            announced: None,
            conflicted: None,
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn due(&self) -> Option<Now> {
        self.due
    }

    /// True from `announce` to `withdraw`.
    pub(crate) fn bound(&self) -> bool {
        matches!(self.state, State::Bound(_))
    }

    /// Starts a search, or repeats the verdict of one that is still valid.
    pub(crate) fn probe(&mut self, now: Now, jitter: &mut Jitter) {
        match self.state {
            State::Bound(_) | State::Probing { holder: None, .. } => {}
            State::Free if self.due.is_some_and(|due| due > now) => {
                self.verdict = Some(Verdict::Free);
            }
            State::Taken(mac)
            | State::Probing {
                holder: Some(mac), ..
            } => {
                self.verdict = Some(Verdict::Taken(mac));
            }
            State::Idle | State::Free => self.search(now, None, jitter),
        }
    }

    /// It is bound here: tell the LAN, again from the start of the schedule.
    pub(crate) fn announce(&mut self, now: Now, jitter: &mut Jitter) {
        self.verdict = None;
        self.state = State::Bound(Phase::First(limits::BURST));
        self.pending = Pending::default();
        let spaced = self
            .announced
            .map_or(now, |at| at.saturating_add(limits::BURST_SPACING));
        self.due = self.link.then_some(spaced);
        if spaced <= now {
            self.timer(now, jitter);
        }
    }

    /// Falls silent at once.
    pub(crate) fn withdraw(&mut self) {
        *self = Vip {
            link: self.link,
            announced: self.announced,
            ..Vip::new(self.address)
        };
    }

    /// Whether a conflict may be answered; only with a valid lease.
    pub(crate) fn defend(&mut self, allowed: bool) {
        self.may_defend = allowed;
    }

    /// Nothing is searched for, announced or known.
    pub(crate) fn idle(&self) -> bool {
        self.state == State::Idle
    }

    /// The port became usable, or ceased to be; `anew` when it is another device.
    pub(crate) fn link(&mut self, now: Now, up: bool, anew: bool, jitter: &mut Jitter) {
        let came = up && (anew || !self.link);
        self.link = up;
        if !up {
            self.pending = Pending::default();
            match self.state {
                State::Probing {
                    holder: Some(mac), ..
                } => {
                    self.state = State::Taken(mac);
                    self.due = None;
                }
                State::Taken(_) | State::Bound(_) => self.due = None,
                State::Idle | State::Free | State::Probing { holder: None, .. } => {}
            }
        } else if came {
            match self.state {
                State::Idle => {}
                State::Free => (self.state, self.due) = (State::Idle, None),
                State::Probing { holder, .. } => self.search(now, holder, jitter),
                State::Taken(mac) => self.search(now, Some(mac), jitter),
                State::Bound(_) => self.announce(now, jitter),
            }
        }
    }

    /// Somebody says that it has this address.
    pub(crate) fn claimed(&mut self, now: Now, by: Claimant, jitter: &mut Jitter) -> Heard {
        let (Claimant::Member(mac) | Claimant::Stranger(mac)) = by;
        if !self.bound() {
            return self.wanted(now, by, jitter);
        }
        let quiet = self
            .conflicted
            .is_none_or(|at| now.saturating_sub(at) >= limits::DEFEND_INTERVAL);
        if quiet {
            self.conflicted = Some(now);
            self.conflict = Some(mac);
            if self.may_defend && self.link {
                self.tell(now);
            }
        }
        Heard::Conflict
    }

    /// Somebody asks whether this address is free, to take it. While bound that is the
    /// kernel's to answer.
    pub(crate) fn wanted(&mut self, now: Now, by: Claimant, jitter: &mut Jitter) -> Heard {
        let Claimant::Stranger(mac) = by else {
            return Heard::Nothing;
        };
        match self.state {
            State::Idle | State::Bound(_) => return Heard::Nothing,
            State::Taken(_) => self.state = State::Taken(mac),
            State::Probing { holder, .. } => {
                if holder != Some(mac) {
                    self.verdict = Some(Verdict::Taken(mac));
                }
                self.taken(now, mac, jitter);
            }
            State::Free => {
                self.verdict = Some(Verdict::Taken(mac));
                self.taken(now, mac, jitter);
            }
        }
        Heard::Stranger
    }

    /// Time passed.
    pub(crate) fn timer(&mut self, now: Now, jitter: &mut Jitter) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        match self.state {
            State::Idle | State::Free => (self.state, self.due) = (State::Idle, None),
            State::Probing { ends, .. } if ends <= now => {
                self.state = State::Free;
                self.verdict = Some(Verdict::Free);
                self.pending = Pending::default();
                self.due = Some(now.saturating_add(limits::VERDICT_VALID));
            }
            State::Probing { sent, ends, holder } => {
                self.pending.query = self.link;
                let sent = sent + 1;
                self.state = State::Probing { sent, ends, holder };
                self.due = Some(if sent < limits::PROBES {
                    let spacing = limits::PROBE_SPACING + jitter.up_to(limits::PROBE_JITTER);
                    now.saturating_add(spacing).min(ends)
                } else {
                    ends
                });
            }
            State::Taken(mac) => self.search(now, Some(mac), jitter),
            State::Bound(phase) => {
                let (next, wait) = match phase {
                    Phase::First(left @ 2..) => (Phase::First(left - 1), limits::BURST_SPACING),
                    Phase::First(_) => (Phase::Second(limits::BURST), limits::SECOND_BURST),
                    Phase::Second(left @ 2..) => (Phase::Second(left - 1), limits::BURST_SPACING),
                    Phase::Second(_) | Phase::Slow => {
                        let spread = jitter.up_to(limits::REFRESH_JITTER);
                        (Phase::Slow, limits::REFRESH - spread)
                    }
                };
                self.tell(now);
                let starts = [
                    Phase::First(limits::BURST),
                    Phase::Second(limits::BURST),
                    Phase::Slow,
                ];
                self.pending.query = starts.contains(&phase);
                self.state = State::Bound(next);
                self.due = Some(now.saturating_add(wait));
            }
        }
    }

    /// The next frame to send from the port's address, if any. `own` is a static IPv6
    /// address of the port.
    pub(crate) fn transmit(&mut self, mac: Mac, own: Option<Ipv6Addr>) -> Option<Frame> {
        let pending = &mut self.pending;
        match self.address {
            IpAddr::V4(address) => {
                if core::mem::take(&mut pending.request) {
                    return Some(packet::announce_request(mac, address));
                }
                if core::mem::take(&mut pending.reply) {
                    return Some(packet::announce_reply(mac, address));
                }
                let query = core::mem::take(&mut pending.query);
                query.then(|| packet::query(mac, self.address))
            }
            IpAddr::V6(address) => {
                pending.reply = false;
                if core::mem::take(&mut pending.request) {
                    return Some(packet::advertise(mac, address));
                }
                if !core::mem::take(&mut pending.query) {
                    return None;
                }
                if self.bound() {
                    // A solicitation from nowhere would be answered to all nodes and turn
                    // them to the second holder; one from a real address to us alone.
                    packet::ask(mac, own?.into(), self.address)
                } else {
                    Some(packet::query(mac, self.address))
                }
            }
        }
    }

    /// The newest verdict, once.
    pub(crate) fn poll_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// Who claimed it last while it was bound here, once.
    pub(crate) fn poll_conflict(&mut self) -> Option<Mac> {
        self.conflict.take()
    }

    fn search(&mut self, now: Now, holder: Option<Mac>, jitter: &mut Jitter) {
        let ends = now.saturating_add(limits::PROBE_TIME);
        self.state = State::Probing {
            sent: 0,
            ends,
            holder,
        };
        self.due = Some(now);
        self.timer(now, jitter);
    }

    fn taken(&mut self, now: Now, mac: Mac, jitter: &mut Jitter) {
        self.state = State::Taken(mac);
        self.pending = Pending::default();
        let wait = limits::REPROBE + jitter.up_to(limits::PROBE_TIME);
        self.due = self.link.then(|| now.saturating_add(wait));
    }

    /// One announcement.
    fn tell(&mut self, now: Now) {
        self.pending.request = true;
        self.pending.reply = true;
        self.announced = Some(now);
    }
}

#[cfg(test)]
mod tests;
