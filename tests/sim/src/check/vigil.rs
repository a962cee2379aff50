//! Promise 8, and that the watchdog is earned: a node that runs beats in time whatever is
//! asked of it, one whose PID 1 is stuck is reset in time, and no other one is.

use core::time::Duration;

use kodo_engine::surface::Fatal;

use crate::check::Found;
use crate::check::bounds::Bounds;
use crate::clock::At;
use crate::machine::{Ills, Machine, PORTS};
use crate::plan::{Machine as Name, Plan};

/// Ports and serial lines of a machine.
const SLOTS: usize = PORTS + 2;
/// Of wake-ups and of a reset.
const SLACK: Duration = Duration::from_millis(30);
/// What a helper or service did wrong may take so long to show.
const AFTERMATH: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Vigil {
    bounds: Vec<Bounds>,
    /// By machine.
    watched: Vec<Watched>,
}

/// One machine.
#[derive(Clone, Debug, Default)]
struct Watched {
    /// By port, and by serial line after these: the last heartbeat, while nothing excuses a
    /// missing one.
    beat: [Option<At>; SLOTS],
    /// Since when PID 1 is stuck.
    stuck: Option<At>,
    /// Since when it is paused, if it is.
    paused: At,
    /// It stood still, or was stuck, at this time last.
    halted: Option<At>,
    /// A helper or service misbehaved at this time last.
    troubled: Option<At>,
    /// And does so at present.
    trouble: bool,
}

impl Vigil {
    pub(crate) fn new(plan: &Plan, bounds: Vec<Bounds>) -> Vigil {
        Vigil {
            bounds,
            watched: vec![Watched::default(); plan.machines.len()],
        }
    }

    pub(crate) fn life_begins(&mut self, now: At, id: usize) {
        let watched = &mut self.watched[id];
        watched.beat = [None; SLOTS];
        watched.stuck = watched.stuck.map(|_| now);
    }

    pub(crate) fn life_ends(&mut self, now: At, id: usize) {
        self.life_begins(now, id);
    }

    pub(crate) fn ails(&mut self, now: At, id: usize, old: Ills, new: Ills) {
        let watched = &mut self.watched[id];
        let halts = |ills: Ills| ills.still() || ills.stuck;
        if halts(old) || halts(new) || !new.sluggish.is_zero() {
            watched.halted = Some(now);
            watched.beat = [None; SLOTS];
        }
        watched.stuck = new.stuck.then(|| watched.stuck.unwrap_or(now));
        // A paused machine's watchdog is paused with it.
        if new.paused && !old.paused {
            watched.paused = now;
        } else if old.paused && !new.paused {
            let paused = now - watched.paused;
            watched.stuck = watched.stuck.map(|since| since + paused);
        }
        let trouble = |ills: Ills| {
            ills.unkillable || ills.dead_net || !ills.slow_net.is_zero() || !ills.sluggish.is_zero()
        };
        if trouble(old) || trouble(new) {
            watched.troubled = Some(now);
        }
        watched.trouble = trouble(new);
    }

    /// A heartbeat leaves a port, or a line; these count on after the ports.
    pub(crate) fn beats(&mut self, now: At, id: usize, port: u8, machine: &Machine) -> Found {
        let slot = usize::from(port);
        let last = self.watched[id].beat[slot].replace(now);
        self.late(last?, now, id, slot, machine)
    }

    fn late(&self, last: At, now: At, id: usize, slot: usize, machine: &Machine) -> Found {
        if !machine.ills.sluggish.is_zero() {
            return None;
        }
        let keepalive = match slot {
            PORTS.. => machine
                .config
                .engine
                .paths
                .iter()
                .map(|path| path.keepalive)
                .max()
                .unwrap_or_default(),
            _ => self.bounds[id].keepalive,
        };
        let gap = now - last;
        let text = || {
            let name = Name(id);
            format!("{name} is silent for {gap:?} on port {slot}, keepalive is {keepalive:?}")
        };
        (gap > keepalive * 3 / 2 + SLACK).then(|| ("8", text()))
    }

    /// Looks at one machine.
    pub(crate) fn look(&mut self, now: At, id: usize, machine: &Machine) -> Found {
        let watched = &self.watched[id];
        if let Some(since) = watched.stuck
            && machine.watchdog.is_some()
            && !machine.ills.still()
            && watched.halted.is_none_or(|at| now > at + SLACK)
            && now > since + self.bounds[id].granted + SLACK
        {
            let name = Name(id);
            let text = format!(
                "{name} is stuck for {:?} and was not reset; its watchdog was granted {:?}",
                now - since,
                self.bounds[id].granted
            );
            return Some(("8", text));
        }
        let decides = machine.decides();
        for slot in 0..SLOTS {
            // A line has no carrier that could be missing.
            let lost = machine.ports.get(slot).is_some_and(|port| !port.carrier);
            if !decides || lost {
                self.watched[id].beat[slot] = None;
            } else if slot < PORTS
                && let Some(last) = self.watched[id].beat[slot]
                && let Some(found) = self.late(last, now, id, slot, machine)
            {
                return Some(found);
            }
        }
        None
    }

    pub(crate) fn watchdog_fires(&mut self, now: At, id: usize) -> Found {
        let watched = &self.watched[id];
        let excused = watched.stuck.is_some()
            || watched
                .halted
                .is_some_and(|at| now - at <= self.bounds[id].granted + SLACK);
        (!excused).then(|| {
            let text = format!("the watchdog of {} fired although it runs", Name(id));
            ("8", text)
        })
    }

    pub(crate) fn resets_itself(&mut self, now: At, id: usize, fatal: Fatal) -> Found {
        let watched = &self.watched[id];
        let excused = watched.trouble
            || watched.troubled.is_some_and(|at| now - at <= AFTERMATH)
            || watched.halted.is_some_and(|at| now - at <= AFTERMATH);
        (!excused).then(|| {
            let text = format!("{} resets itself ({fatal:?}) for no reason", Name(id));
            ("reset", text)
        })
    }
}
