//! The privileged helpers of a machine, and the life of its service's process.
//!
//! Owns what happens between a request and its answer: one queue for addresses, one for
//! processes, each in order, each with its own troubles.

use core::time::Duration;

use kodo_engine::surface::Reason;
use kodo_node::io::{ActError, Action, Exit, Token};

use crate::kernel::Process;
use crate::queue::Happening;
use crate::world::World;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub(crate) fn act(&mut self, id: usize, token: Token, action: Action) {
        let now = self.now();
        self.story.machine(now, id, format_args!("{action}"));
        if matches!(action, Action::Spawn(_, reason) if reason != Reason::Recover) {
            self.checks.starts(now, id, &self.machines);
        }
        let machine = &mut self.machines[id];
        match action {
            Action::AddAddress(..) | Action::DelAddress(..) => {
                machine.kernel.net.push_back((token, action));
                if machine.kernel.net.len() == 1 {
                    self.net_soon(id);
                }
            }
            Action::Spawn(..) | Action::Terminate(_) | Action::Kill(_) => {
                // One after the other: a request never overtakes another.
                let taken = machine.helper_free.max(now) + machine.rng.time(us(200), ms(3));
                machine.helper_free = taken;
                self.later(id, taken - now, Happening::SvcActs(token, action));
            }
        }
    }

    fn net_soon(&mut self, id: usize) {
        let machine = &mut self.machines[id];
        let wait = machine.rng.time(us(80), us(900)) + machine.ills.slow_net;
        self.later(id, wait, Happening::NetActs);
    }

    /// The net helper performs its oldest request.
    pub(crate) fn net_acts(&mut self, id: usize) {
        let now = self.now();
        let machine = &mut self.machines[id];
        if machine.ills.dead_net {
            return;
        }
        let Some((token, action)) = machine.kernel.net.pop_front() else {
            return;
        };
        let bind = matches!(action, Action::AddAddress(..));
        let refused = bind && machine.ills.refused_net;
        let result = if refused {
            Err(ActError::Errno(99))
        } else {
            Ok(())
        };
        if !refused && machine.kernel.bound != bind {
            machine.kernel.bound = bind;
            let word = if bind { "VIP bound" } else { "VIP removed" };
            self.story.machine(now, id, format_args!("{word}"));
            if bind {
                self.checks.bound(now, id, &self.machines);
                self.facts.bound(now, id);
            } else {
                self.checks.removed(id);
                self.facts.removed(now, id);
            }
        }
        let machine = &mut self.machines[id];
        let wait = machine.rng.time(us(10), us(150));
        let more = !machine.kernel.net.is_empty();
        self.later(id, wait, Happening::Done(token, result));
        if more {
            self.net_soon(id);
        }
    }

    /// The service helper performs.
    pub(crate) fn svc_acts(&mut self, id: usize, token: Token, action: &Action) {
        let now = self.now();
        let machine = &mut self.machines[id];
        let generation = machine.kernel.process.map(|process| process.generation);
        let wait = machine.rng.time(us(10), us(200));
        match (action, generation) {
            (Action::Spawn(..), Some(_)) => {
                self.checks
                    .broken("1", now, "the service is run twice on one machine");
            }
            (Action::Spawn(..), None) if machine.ills.no_exec => {
                self.later(id, wait, Happening::Done(token, Err(ActError::Errno(2))));
            }
            (Action::Spawn(..), None) => {
                machine.kernel.generation += 1;
                machine.kernel.process = Some(Process {
                    generation: machine.kernel.generation,
                    ready: now + machine.plan.startup,
                });
                self.later(id, wait, Happening::Done(token, Ok(())));
            }
            (Action::Terminate(_), None) => {
                self.later(id, wait, Happening::Done(token, Err(ActError::Absent)));
            }
            (Action::Terminate(_), Some(generation)) => {
                let deaf = machine.ills.ignores_term || machine.ills.unkillable;
                let ends = machine.rng.time(ms(2), ms(60));
                self.later(id, wait, Happening::Done(token, Ok(())));
                if !deaf {
                    self.later(id, ends, Happening::Exits(generation, Exit::Code(0)));
                }
            }
            (Action::Kill(_), Some(_)) if machine.ills.unkillable => {
                machine.kernel.kills.push(token);
            }
            (Action::Kill(_), generation) => {
                if let Some(generation) = generation {
                    self.later(id, wait, Happening::Exits(generation, Exit::Signal(9)));
                }
                self.later(id, wait + us(50), Happening::Done(token, Ok(())));
            }
            (Action::AddAddress(..) | Action::DelAddress(..), _) => {
                unreachable!("the net helper's")
            }
        }
    }

    pub(crate) fn exits(&mut self, id: usize, generation: u32, exit: Exit) {
        let machine = &mut self.machines[id];
        if machine
            .kernel
            .process
            .is_some_and(|process| process.generation == generation)
        {
            machine.kernel.process = None;
            let now = self.now();
            self.story.machine(now, id, format_args!("service {exit}"));
            self.wake_up(id, Happening::Exited(exit));
        }
    }

    /// What could not be killed can die now.
    pub(crate) fn mercy(&mut self, id: usize) {
        let kernel = &mut self.machines[id].kernel;
        let kills = core::mem::take(&mut kernel.kills);
        let generation = kernel.process.map(|process| process.generation);
        if let (Some(generation), false) = (generation, kills.is_empty()) {
            self.later(id, ms(1), Happening::Exits(generation, Exit::Signal(9)));
        }
        for token in kills {
            self.later(id, ms(2), Happening::Done(token, Ok(())));
        }
    }

    /// The main process of the service dies by itself.
    pub(crate) fn crash_service(&mut self, id: usize) {
        if let Some(process) = self.machines[id].kernel.process {
            self.later(
                id,
                us(100),
                Happening::Exits(process.generation, Exit::Signal(11)),
            );
        }
    }

    /// The kernel panics: nothing answers until it resets.
    pub(crate) fn panic(&mut self, id: usize, wait: Duration) {
        if self.machines[id].node.is_some() {
            self.machines[id].dying = true;
            self.later(id, wait, Happening::Reset);
            let now = self.now();
            self.story.machine(now, id, format_args!("kernel panic"));
        }
    }
}
