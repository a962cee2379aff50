//! Promise 8, and that the watchdog is earned: a node that runs beats in time whatever is
//! asked of it, one whose PID 1 is stuck is reset in time, and no other one is.

use core::time::Duration;

use kodo_engine::surface::Fatal;

use crate::check::Found;
use crate::check::bounds::Bounds;
use crate::clock::At;
use crate::machine::{Ills, Machine};
use crate::origin::MACHINES;
use crate::plan::Machine as Name;

/// Of wake-ups and of a reset.
const SLACK: Duration = Duration::from_millis(30);
/// What a helper or service did wrong may take so long to show.
const AFTERMATH: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Vigil {
    bounds: Bounds,
    /// By port: the last heartbeat, while nothing excuses a missing one.
    beat: [[Option<At>; 3]; MACHINES],
    /// Since when PID 1 is stuck.
    stuck: [Option<At>; MACHINES],
    /// Since when it is paused, if it is.
    paused: [At; MACHINES],
    /// A machine stood still, or was stuck, at this time last.
    halted: [Option<At>; MACHINES],
    /// A helper or service misbehaved at this time last.
    troubled: [Option<At>; MACHINES],
    /// And does so at present.
    trouble: [bool; MACHINES],
}

impl Vigil {
    pub(crate) fn new(bounds: Bounds) -> Vigil {
        Vigil {
            bounds,
            beat: Default::default(),
            stuck: [None; MACHINES],
            paused: [Duration::ZERO; MACHINES],
            halted: [None; MACHINES],
            troubled: [None; MACHINES],
            trouble: [false; MACHINES],
        }
    }

    pub(crate) fn life_begins(&mut self, now: At, id: usize) {
        self.beat[id] = [None; 3];
        self.stuck[id] = self.stuck[id].map(|_| now);
    }

    pub(crate) fn life_ends(&mut self, now: At, id: usize) {
        self.life_begins(now, id);
    }

    pub(crate) fn ails(&mut self, now: At, id: usize, old: Ills, new: Ills) {
        let halts = |ills: Ills| ills.still() || ills.stuck;
        if halts(old) || halts(new) || !new.sluggish.is_zero() {
            self.halted[id] = Some(now);
            self.beat[id] = [None; 3];
        }
        self.stuck[id] = new.stuck.then(|| self.stuck[id].unwrap_or(now));
        // A paused machine's watchdog is paused with it.
        if new.paused && !old.paused {
            self.paused[id] = now;
        } else if old.paused && !new.paused {
            let paused = now - self.paused[id];
            self.stuck[id] = self.stuck[id].map(|since| since + paused);
        }
        let trouble = |ills: Ills| {
            ills.unkillable || ills.dead_net || !ills.slow_net.is_zero() || !ills.sluggish.is_zero()
        };
        if trouble(old) || trouble(new) {
            self.troubled[id] = Some(now);
        }
        self.trouble[id] = trouble(new);
    }

    /// A heartbeat leaves a port, or the line.
    pub(crate) fn beats(&mut self, now: At, id: usize, port: u8, machine: &Machine) -> Found {
        let slot = usize::from(port).min(2);
        let last = self.beat[id][slot].replace(now);
        self.late(last?, now, id, port, machine)
    }

    fn late(&self, last: At, now: At, id: usize, port: u8, machine: &Machine) -> Found {
        if !machine.ills.sluggish.is_zero() {
            return None;
        }
        let keepalive = match port {
            u8::MAX => machine
                .config
                .engine
                .paths
                .iter()
                .map(|path| path.keepalive)
                .max()
                .unwrap_or_default(),
            _ => self.bounds.keepalive,
        };
        let gap = now - last;
        let text = || {
            let name = Name(id);
            format!("{name} is silent for {gap:?} on port {port}, keepalive is {keepalive:?}")
        };
        (gap > keepalive * 3 / 2 + SLACK).then(|| ("8", text()))
    }

    pub(crate) fn look(&mut self, now: At, machines: &[Machine]) -> Found {
        for (id, machine) in machines.iter().enumerate() {
            if let Some(since) = self.stuck[id]
                && machine.watchdog.is_some()
                && !machine.ills.still()
                && self.halted[id].is_none_or(|at| now > at + SLACK)
                && now > since + self.bounds.granted + SLACK
            {
                let name = Name(id);
                let text = format!(
                    "{name} is stuck for {:?} and was not reset; its watchdog was granted {:?}",
                    now - since,
                    self.bounds.granted
                );
                return Some(("8", text));
            }
            for port in 0..2_u8 {
                let slot = usize::from(port);
                if !machine.decides() || !machine.ports[slot].carrier {
                    self.beat[id][slot] = None;
                } else if let Some(last) = self.beat[id][slot]
                    && let Some(found) = self.late(last, now, id, port, machine)
                {
                    return Some(found);
                }
            }
            if !machine.decides() {
                self.beat[id][2] = None;
            }
        }
        None
    }

    pub(crate) fn watchdog_fires(&mut self, now: At, id: usize) -> Found {
        let excused = self.stuck[id].is_some()
            || self.halted[id].is_some_and(|at| now - at <= self.bounds.granted + SLACK);
        (!excused).then(|| {
            let text = format!("the watchdog of {} fired although it runs", Name(id));
            ("8", text)
        })
    }

    pub(crate) fn resets_itself(&mut self, now: At, id: usize, fatal: Fatal) -> Found {
        let excused = self.trouble[id]
            || self.troubled[id].is_some_and(|at| now - at <= AFTERMATH)
            || self.halted[id].is_some_and(|at| now - at <= AFTERMATH);
        (!excused).then(|| {
            let text = format!("{} resets itself ({fatal:?}) for no reason", Name(id));
            ("reset", text)
        })
    }
}
