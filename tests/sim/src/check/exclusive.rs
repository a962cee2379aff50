//! Promise 1: at most one machine answers for the VIP.
//!
//! Owns the list of exceptions, which is the documentation's list and no longer:
//! - the machines have not exchanged fresh heartbeats for deadtime, and the policy is
//!   `accept`, or it is `ping` and both reach the group at one time; a takeover that began
//!   then may be finished, and the old holder falls silent once it has heard a fresh
//!   heartbeat that names the new one;
//! - one of them was paused or stalled, and has just gone on;
//! - PID 1 of one of them is stuck, and its watchdog has not fired yet;
//! - an operator vouched that the other one is dead.

use core::time::Duration;

use crate::check::Found;
use crate::check::bounds::{Bounds, YIELD};
use crate::clock::At;
use crate::machine::{Ills, Machine};
use crate::origin::{MACHINES, Origin};
use crate::plan::{Machine as Name, Plan};

/// Of a wake-up, a look at a clock, a packet under way.
const SLACK: Duration = Duration::from_millis(5);

/// A takeover takes so long from its decision to a bound VIP: a service starts.
const UNDER_WAY: Duration = Duration::from_millis(600);

/// What two halves did apart shows in each other's status for so long.
const MEMORY: Duration = Duration::from_secs(3);

/// The last fresh heartbeat of one machine at another.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    at: At,
    life: u32,
    sent: At,
    /// Since when there was no gap of deadtime.
    since: At,
}

#[derive(Debug)]
pub(crate) struct Exclusive {
    bounds: Bounds,
    accept: bool,
    fresh: [[Option<Fresh>; MACHINES]; MACHINES],
    /// By machine: when the ping group answered last, and since when it has without a gap.
    pinged: [Option<(At, At)>; MACHINES],
    /// Since when the VIP is bound.
    holds: [Option<At>; MACHINES],
    /// By hearer and holder: when it first heard, fresh, that this one holds.
    named: [[Option<At>; MACHINES]; MACHINES],
    /// When the pair was last found apart.
    apart: At,
    /// Until when a machine that stood still may answer once more.
    grace: [At; MACHINES],
    vouched: bool,
}

impl Exclusive {
    pub(crate) fn new(plan: &Plan, bounds: Bounds) -> Exclusive {
        Exclusive {
            bounds,
            accept: !plan.cluster.ping_decides,
            fresh: Default::default(),
            pinged: [None; MACHINES],
            holds: [None; MACHINES],
            named: Default::default(),
            apart: Duration::ZERO,
            grace: [Duration::ZERO; MACHINES],
            vouched: false,
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.fresh[id] = [None; MACHINES];
        self.pinged[id] = None;
        self.holds[id] = None;
        self.named[id] = [None; MACHINES];
        self.grace[id] = Duration::ZERO;
    }

    pub(crate) fn bound(&mut self, now: At, id: usize) {
        self.holds[id] = Some(now);
        for named in &mut self.named {
            named[id] = None;
        }
    }

    pub(crate) fn removed(&mut self, id: usize) {
        self.holds[id] = None;
    }

    pub(crate) fn pinged(&mut self, now: At, id: usize) {
        let lease = self.bounds.lease;
        let run = self.pinged[id].filter(|(last, _)| now - *last <= lease);
        self.pinged[id] = Some((now, run.map_or(now, |(_, since)| since)));
    }

    pub(crate) fn vouched(&mut self) {
        self.vouched = true;
    }

    /// A machine that went on again has a short while to notice.
    pub(crate) fn ails(&mut self, now: At, id: usize, old: Ills, new: Ills, machine: &Machine) {
        let Bounds { lease, release, .. } = self.bounds;
        let runs = !new.still() && !new.stuck;
        if old.paused && !new.paused {
            // Its clocks did not run: it believes in its lease to the end.
            self.grace[id] = now + lease + release + YIELD;
        } else if (old.stalled || old.stuck) && runs && machine.node.is_some() {
            self.grace[id] = self.grace[id].max(now + release + YIELD);
        }
    }

    /// A heartbeat reached PID 1; true when it is fresh by the laws of the wires.
    pub(crate) fn heard(
        &mut self,
        now: At,
        id: usize,
        origin: &Origin,
        machines: &[Machine],
    ) -> bool {
        let Some(echo) = origin.heard[id] else {
            return false;
        };
        let me = &machines[id];
        let age = me.clock.local(now).saturating_sub(echo.sent_local);
        // Close to the edge the node may judge either way.
        let recent = echo.life == me.life && age <= self.bounds.deadtime * 95 / 100;
        let old = self.fresh[id][origin.machine].filter(|old| old.life == origin.life);
        if !recent || old.is_some_and(|old| old.sent >= origin.sent) {
            return false;
        }
        let since = match old {
            Some(old) if now - old.at <= self.apart() => old.since,
            _ => now,
        };
        self.fresh[id][origin.machine] = Some(Fresh {
            at: now,
            life: origin.life,
            sent: origin.sent,
            since,
        });
        if self.holds[origin.machine].is_some_and(|since| since <= origin.sent) {
            self.named[id][origin.machine].get_or_insert(now);
            // A helper that does not answer costs a reset after the release bound.
            let helped = !me.ills.dead_net && me.ills.slow_net.is_zero();
            let extra = if helped {
                Duration::ZERO
            } else {
                self.bounds.release
            };
            self.grace[id] = self.grace[id].min(now + YIELD + extra);
        }
        true
    }

    /// Two nodes that have not heard each other for so long may count each other dead.
    fn apart(&self) -> Duration {
        self.bounds.deadtime * 98 / 100
    }

    pub(crate) fn look(&mut self, now: At, machines: &[Machine]) -> Found {
        let mut holders = (0..machines.len()).filter(|id| machines[*id].holds());
        let (a, b) = (holders.next()?, holders.next()?);
        if self.vouched || self.excused(now, a, machines) || self.excused(now, b, machines) {
            return None;
        }
        let why = match self.together(now, a, b, machines) {
            None if self.accept => return None,
            None => {
                if self.both_reach(now, a, b) {
                    return None;
                }
                "they do not hear each other, and not both reach the ping group".to_owned()
            }
            Some(since) if now <= self.yields_by(since, a, b) => return None,
            Some(since) => format!("and hear each other for {} ms", (now - since).as_millis()),
        };
        let text = format!("{} and {} both answer for the VIP, {why}", Name(a), Name(b));
        Some(("1", text))
    }

    /// When one of two that hear each other since a while must have fallen silent: soon
    /// after it heard of the newer one, if that one's takeover began before.
    fn yields_by(&self, since: At, a: usize, b: usize) -> At {
        let (older, newer) = if self.holds[a] <= self.holds[b] {
            (a, b)
        } else {
            (b, a)
        };
        let yields = YIELD + self.bounds.release;
        let began_apart = self.holds[newer].is_some_and(|at| at <= since + UNDER_WAY);
        if !began_apart {
            return since + yields;
        }
        match self.named[older][newer] {
            Some(at) => at.max(since) + yields,
            None => since + UNDER_WAY + self.bounds.deadtime,
        }
    }

    /// Whether both reach the group, or did a lease ago: not one after the other.
    fn both_reach(&self, now: At, a: usize, b: usize) -> bool {
        let recent = |id: usize| {
            let window = self.bounds.wait + SLACK;
            self.pinged[id].filter(|(last, _)| now - *last <= window)
        };
        match (recent(a), recent(b)) {
            (Some((last_a, since_a)), Some((last_b, since_b))) => {
                since_a <= last_b && since_b <= last_a
            }
            _ => false,
        }
    }

    /// Whether a machine may answer too for a reason of its own.
    fn excused(&self, now: At, id: usize, machines: &[Machine]) -> bool {
        let machine = &machines[id];
        let stuck = machine.ills.stuck || machine.hung;
        let watched = machine
            .watchdog
            .is_some_and(|watchdog| now <= watchdog.due + SLACK);
        (stuck && watched) || now <= self.grace[id]
    }

    /// Whether the pair was apart a moment ago: what began then knew nothing of the other.
    pub(crate) fn parted(&mut self, now: At, machines: &[Machine]) -> bool {
        self.apart = match self.together(now, 0, 1, machines) {
            None => now,
            Some(since) => self.apart.max(since),
        };
        now - self.apart <= MEMORY
    }

    /// Since when both hear each other; `None` when they do not.
    fn together(&self, now: At, a: usize, b: usize, machines: &[Machine]) -> Option<At> {
        let hears = |by: usize, of: usize| {
            let fresh = self.fresh[by][of].filter(|fresh| fresh.life == machines[of].life)?;
            (now - fresh.at <= self.apart()).then_some(fresh.since)
        };
        Some(hears(a, b)?.max(hears(b, a)?))
    }
}
