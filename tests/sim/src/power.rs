//! Power, boot, reset, standing still and going on: the life of a machine.

use core::time::Duration;

use kodo_node::Node;

use crate::clock::Clock;
use crate::cluster::{CROSSOVER_PORT, LAN_PORT};
use crate::machine::Ills;
use crate::plan::{Machine as Name, Wire};
use crate::queue::{Event, Happening};
use crate::world::World;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    /// Power comes on, unless it is cut or on already.
    pub(crate) fn power_on(&mut self, id: usize) {
        let now = self.now();
        let machine = &mut self.machines[id];
        if machine.power || machine.ills.dark {
            return;
        }
        machine.power = true;
        machine.power_turn += 1;
        let boot = machine.plan.boot;
        if id < self.plan.cluster.nodes {
            self.story
                .world(now, format_args!("{} is powered on", Name(id)));
        } else {
            let (name, of) = (Name(id), Name(machine.plan.node));
            self.story
                .world(now, format_args!("{name} is powered on, a twin of {of}"));
        }
        self.later(id, boot, Happening::Boot);
    }

    /// Power is gone.
    pub(crate) fn power_off(&mut self, id: usize, why: &str) {
        let now = self.now();
        if !self.machines[id].power {
            return;
        }
        self.story
            .world(now, format_args!("{} loses its power: {why}", Name(id)));
        self.end_life(id, why, false);
        let machine = &mut self.machines[id];
        machine.power = false;
        machine.power_turn += 1;
        if self.healed && id < self.plan.cluster.nodes {
            // An operator's wish from before; somebody presses the button.
            let turn = machine.power_turn;
            self.queue.after(ms(500), Event::PowerOn(id, turn));
        }
        self.links();
    }

    /// The machine starts over.
    pub(crate) fn reset(&mut self, id: usize, why: &str) {
        let now = self.now();
        self.story
            .world(now, format_args!("{} resets: {why}", Name(id)));
        let lit = !self.machines[id].plan.drops_link_on_reset;
        self.end_life(id, why, lit);
        let boot = self.machines[id].plan.boot;
        self.later(id, boot, Happening::Boot);
        self.links();
    }

    fn end_life(&mut self, id: usize, why: &str, lit: bool) {
        let now = self.now();
        self.checks.life_ends(now, id, &self.machines);
        self.facts.life_ends(now, id, why);
        self.tape.life_ends();
        self.machines[id].forget(lit);
    }

    /// PID 1 starts.
    pub(crate) fn boot(&mut self, id: usize) {
        let now = self.now();
        let machine = &mut self.machines[id];
        let rng = &mut machine.rng;
        let (boot, seed) = (rng.bits(), rng.bits());
        let mut soon = |low, high| rng.time(ms(low), ms(high));
        let waits = [soon(5, 300), soon(5, 300), soon(2, 60), soon(5, 80)];
        machine.clock = Clock::new(machine.plan.ppm, machine.plan.uptime, now);
        let config = machine.config.clone();
        machine.node = Some(Box::new(Node::new(config, boot, seed, machine.plan.uptime)));
        self.story.world(
            now,
            format_args!("PID 1 starts on {} (boot {boot:016x})", Name(id)),
        );
        self.checks.life_begins(now, id);
        self.later(id, waits[0], Happening::PortReady(LAN_PORT));
        if self.plan.cluster.private {
            self.later(id, waits[1], Happening::PortReady(CROSSOVER_PORT));
        }
        if !self.machines[id].lines.is_empty() {
            self.later(id, waits[2], Happening::LineReady);
        }
        self.later(id, waits[3], Happening::Watchdog);
        self.start_disk(id);
        self.settle(id);
    }

    /// What ails a machine has changed.
    pub(crate) fn ail(&mut self, id: usize, old: Ills, new: Ills) {
        let now = self.now();
        self.checks.ails(now, id, old, new);
        let machine = &mut self.machines[id];
        if !old.paused && new.paused {
            machine.clock.stop(now);
            if let Some(watchdog) = &mut machine.watchdog {
                watchdog.stopped = Some(now);
            }
        }
        if old.paused && !new.paused {
            machine.clock.start(now);
            if let Some(watchdog) = &mut machine.watchdog {
                let stopped = watchdog.stopped.take().unwrap_or(now);
                watchdog.due += now.saturating_sub(stopped);
            }
        }
        machine.ills = new;
        if new.dark && !old.dark {
            self.power_off(id, "power cut");
        }
        if old.dark && !new.dark {
            self.power_on(id);
        }
        let machine = &mut self.machines[id];
        if machine.node.is_none() {
            if !new.still() {
                self.go_on(id);
            }
            return;
        }
        if old.still() && !new.still() {
            self.go_on(id);
        } else if old.stuck && !new.stuck {
            self.catch_up(id);
        }
        if old.dead_net && !new.dead_net && !self.machines[id].kernel.net.is_empty() {
            self.later(id, ms(1), Happening::NetActs);
        }
        if old.hung_disk && !new.hung_disk {
            self.later(id, ms(1), Happening::DiskActs);
        }
        if old.unkillable && !new.unkillable {
            self.mercy(id);
        }
    }

    /// The machine runs again: what waited for it happens now, hardware first.
    fn go_on(&mut self, id: usize) {
        let life = self.machines[id].life;
        let mut kept = core::mem::take(&mut self.machines[id].deferred);
        let now = self.now();
        let watchdog = self.machines[id].watchdog;
        let fires = watchdog.is_some_and(|watchdog| watchdog.due <= now);
        if fires {
            kept.insert(0, Happening::WatchdogDue);
        }
        let timer_first = self.machines[id].rng.chance(500);
        if timer_first && !fires && self.machines[id].decides() {
            self.timer(id);
        }
        if !self.machines[id].inbox.is_empty() {
            kept.insert(0, Happening::Awake);
        }
        // The guest's own timers: nobody else would wake it.
        kept.push(Happening::Awake);
        for happening in kept {
            self.queue
                .after(Duration::ZERO, Event::Machine(id, life, happening));
        }
    }

    /// PID 1 runs again: what waited for it is handled now, the timer first or last.
    pub(crate) fn catch_up(&mut self, id: usize) {
        if !self.machines[id].decides() {
            return;
        }
        let life = self.machines[id].life;
        if self.machines[id].rng.chance(500) {
            self.timer(id);
        }
        for happening in core::mem::take(&mut self.machines[id].inbox) {
            if self.machines[id].life == life && self.machines[id].decides() {
                self.tell(id, happening);
            }
        }
        if self.machines[id].life == life && self.machines[id].decides() {
            self.timer(id);
        }
    }

    /// Carrier follows cables and the light of the other end.
    pub(crate) fn links(&mut self) {
        for id in 0..self.machines.len() {
            for port in [LAN_PORT, CROSSOVER_PORT] {
                let wanted = self.linked(id, port);
                let entry = &mut self.machines[id].ports[usize::from(port)];
                if entry.wanted == wanted {
                    continue;
                }
                entry.wanted = wanted;
                let machine = &mut self.machines[id];
                let wait = if wanted {
                    machine.plan.negotiation + machine.rng.time(Duration::ZERO, ms(20))
                } else {
                    machine.rng.time(Duration::ZERO, ms(3))
                };
                self.later(id, wait, Happening::Carrier(port, wanted));
            }
        }
    }

    fn linked(&self, id: usize, port: u8) -> bool {
        let ready = |id: usize| self.machines[id].ports[usize::from(port)].ready;
        let lit = |id: usize| self.machines[id].ports[usize::from(port)].lit;
        let nodes = self.plan.cluster.nodes;
        let (wire, other_end) = match port {
            LAN_PORT => (Wire::Lan(id), true),
            _ if id >= nodes => return false,
            _ if nodes == 2 => (Wire::Crossover, lit(1 - id)),
            _ => (Wire::Private(id), true),
        };
        ready(id) && other_end && self.wires.condition(wire, true).plugged
    }
}
