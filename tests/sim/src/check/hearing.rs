//! Who hears whom, known from the wires: the last fresh heartbeat of each machine at each
//! other one.
//!
//! Owns the laws of freshness as the world knows them: a heartbeat is fresh when its sender
//! had heard something that this life of the hearer sent within deadtime.

use core::time::Duration;

use crate::check::bounds::Bounds;
use crate::clock::At;
use crate::machine::Machine;
use crate::origin::Origin;

/// The last fresh heartbeat of one machine at another.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    at: At,
    /// On the hearer's clock.
    local: Duration,
    life: u32,
    sent: At,
    /// Since when there was no gap of deadtime.
    since: At,
}

#[derive(Debug)]
pub(crate) struct Hearing {
    /// By hearer.
    deadtime: Vec<Duration>,
    /// By hearer and sender.
    fresh: Vec<Vec<Option<Fresh>>>,
    /// By sender and hearer: the newest of its heartbeats, by its own clock, of which it
    /// heard that the hearer had heard it.
    support: Vec<Vec<Option<Duration>>>,
}

impl Hearing {
    pub(crate) fn new(bounds: &[Bounds]) -> Hearing {
        let machines = bounds.len();
        Hearing {
            deadtime: bounds.iter().map(|bounds| bounds.deadtime).collect(),
            fresh: vec![vec![None; machines]; machines],
            support: vec![vec![None; machines]; machines],
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.fresh[id].fill(None);
        self.support[id].fill(None);
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
        if echo.life != me.life {
            return false;
        }
        let local = me.clock.local(now);
        let support = &mut self.support[id][origin.machine];
        *support = (*support).max(Some(echo.sent_local));
        let age = local.saturating_sub(echo.sent_local);
        // Close to the edge the node may judge either way.
        let recent = age <= self.deadtime[id] * 95 / 100;
        let old = self.fresh[id][origin.machine].filter(|old| old.life == origin.life);
        if !recent || old.is_some_and(|old| old.sent >= origin.sent) {
            return false;
        }
        let since = match old {
            Some(old) if now - old.at <= self.apart(id) => old.since,
            _ => now,
        };
        self.fresh[id][origin.machine] = Some(Fresh {
            at: now,
            local,
            life: origin.life,
            sent: origin.sent,
            since,
        });
        true
    }

    /// A node that has not heard another one for so long may count it dead.
    fn apart(&self, by: usize) -> Duration {
        self.deadtime[by] * 98 / 100
    }

    /// The life, and the hearer's own time, of the last fresh heartbeat from a machine.
    pub(crate) fn last(&self, by: usize, of: usize) -> Option<(u32, Duration)> {
        self.fresh[by][of].map(|fresh| (fresh.life, fresh.local))
    }

    /// Of what a machine sent, the newest, by its own clock, that is known to it to have
    /// reached another one.
    pub(crate) fn support(&self, of: usize, by: usize) -> Option<Duration> {
        self.support[of][by]
    }

    /// Since when both hear each other; `None` when they do not.
    pub(crate) fn together(&self, now: At, a: usize, b: usize, machines: &[Machine]) -> Option<At> {
        let hears = |by: usize, of: usize| {
            let fresh = self.fresh[by][of].filter(|fresh| fresh.life == machines[of].life)?;
            (now - fresh.at <= self.apart(by)).then_some(fresh.since)
        };
        Some(hears(a, b)?.max(hears(b, a)?))
    }

    /// Whether two were apart within this time: what each did then the other does not know.
    pub(crate) fn parted(
        &self,
        now: At,
        a: usize,
        b: usize,
        within: Duration,
        machines: &[Machine],
    ) -> bool {
        let since = self.together(now, a, b, machines);
        a != b && since.is_none_or(|since| now - since <= within)
    }
}
