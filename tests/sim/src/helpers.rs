//! The privileged helpers of a machine, and the life of its service's process.
//!
//! Owns what happens between a request and its answer: one queue for addresses, one for
//! processes, each in order, each with its own troubles.

use core::net::IpAddr;
use core::time::Duration;

use kodo_engine::surface::Reason;
use kodo_node::io::{ActError, Action, Exit, ServiceId, Token};

use crate::cluster;
use crate::kernel::Process;
use crate::queue::Happening;
use crate::story::{Number, Vip};
use crate::world::World;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Each group has one service, in the same order; the agent comes last.
pub(crate) fn group_of(service: ServiceId) -> usize {
    usize::from(service.0)
}

impl World {
    pub(crate) fn act(&mut self, id: usize, token: Token, action: Action) {
        let now = self.now();
        self.story.machine(now, id, format_args!("{action}"));
        if let Action::Spawn(service, reason) | Action::Promote(service, reason) = action
            && reason != Reason::Recover
            && group_of(service) < self.plan.cluster.group_count()
        {
            let group = group_of(service);
            let promotion = matches!(action, Action::Promote(..));
            if promotion == self.plan.cluster.promotable(group) {
                self.checks.starts(now, id, group, &self.machines);
            }
        }
        let machine = &mut self.machines[id];
        match action {
            Action::AddAddress(..) | Action::DelAddress(..) => {
                machine.kernel.net.push_back((token, action));
                if machine.kernel.net.len() == 1 {
                    self.net_soon(id);
                }
            }
            Action::Spawn(..)
            | Action::Terminate(_)
            | Action::Kill(_)
            | Action::Promote(..)
            | Action::Demote(_) => {
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
        let (bind, address) = match action {
            Action::AddAddress(_, address) => (true, address),
            Action::DelAddress(_, address) => (false, address),
            _ => unreachable!("the service helper's"),
        };
        let IpAddr::V4(address) = address else {
            unreachable!("the file names no IPv6 address");
        };
        let group = cluster::group_of(address).expect("the file names no other address");
        let refused = bind && machine.ills.refused_net;
        let result = if refused {
            Err(ActError::Errno(99))
        } else {
            Ok(())
        };
        if !refused && machine.kernel.bound[group] != bind {
            machine.kernel.bound[group] = bind;
            let word = if bind { "bound" } else { "removed" };
            let vip = Vip(group);
            self.story.machine(now, id, format_args!("{vip} {word}"));
            if bind {
                self.checks.bound(now, id, group, &self.machines);
                self.facts.bound(now, id, group);
            } else {
                self.checks.removed(id, group);
                self.facts.removed(now, id, group);
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
        let group = match action {
            Action::Spawn(service, _)
            | Action::Terminate(service)
            | Action::Kill(service)
            | Action::Promote(service, _)
            | Action::Demote(service) => group_of(*service),
            Action::AddAddress(..) | Action::DelAddress(..) => {
                unreachable!("the net helper's")
            }
        };
        let promotable = self.plan.cluster.promotable(group);
        let machine = &mut self.machines[id];
        let service = &mut machine.kernel.services[group];
        let generation = service.process.map(|process| process.generation);
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
                service.generation += 1;
                service.process = Some(Process {
                    generation: service.generation,
                    ready: now + machine.plan.startup,
                    promoted: !promotable,
                });
                if group >= self.plan.cluster.group_count() {
                    self.facts.bound(now, id, group);
                }
                self.later(id, wait, Happening::Done(token, Ok(())));
            }
            (Action::Terminate(_) | Action::Promote(..) | Action::Demote(_), None) => {
                self.later(id, wait, Happening::Done(token, Err(ActError::Absent)));
            }
            (Action::Terminate(_), Some(generation)) => {
                let deaf = machine.ills.ignores_term || machine.ills.unkillable;
                let ends = machine.rng.time(ms(2), ms(60));
                self.later(id, wait, Happening::Done(token, Ok(())));
                if !deaf {
                    self.later(id, ends, Happening::Exits(group, generation, Exit::Code(0)));
                }
            }
            (Action::Kill(_), Some(_)) if machine.ills.unkillable => {
                service.kills.push(token);
            }
            (Action::Promote(..) | Action::Demote(_), Some(_)) if service.hook.is_some() => {
                self.checks
                    .broken("1", now, "two hooks run at once on one machine");
            }
            (Action::Promote(..) | Action::Demote(_), Some(_)) => {
                // At the worst time: promoted as soon as it is told, demoted when that ends.
                let promoted = matches!(action, Action::Promote(..));
                let hangs = machine.ills.hook_hangs;
                let ends = machine.rng.time(ms(1), ms(40));
                service.hook = Some(token);
                if let Some(process) = &mut service.process {
                    process.promoted |= promoted;
                }
                if !hangs {
                    self.later(id, ends, Happening::HookEnds(group, token, promoted));
                }
            }
            (Action::Kill(_), generation) => {
                if let Some(hook) = service.hook.take() {
                    let killed = Err(ActError::Ended(Exit::Signal(9)));
                    self.later(id, wait, Happening::Done(hook, killed));
                }
                if let Some(generation) = generation {
                    self.later(
                        id,
                        wait,
                        Happening::Exits(group, generation, Exit::Signal(9)),
                    );
                }
                self.later(id, wait + us(50), Happening::Done(token, Ok(())));
            }
            (Action::AddAddress(..) | Action::DelAddress(..), _) => {}
        }
    }

    /// A hook has done what it was for, unless it was killed meanwhile.
    pub(crate) fn hook_ends(&mut self, id: usize, group: usize, token: Token, promoted: bool) {
        let now = self.now();
        let service = &mut self.machines[id].kernel.services[group];
        if service.hook != Some(token) {
            return;
        }
        service.hook = None;
        let result = match &mut service.process {
            Some(process) => {
                process.promoted = promoted;
                Ok(())
            }
            None => Err(ActError::Ended(Exit::Code(1))),
        };
        let word = if promoted { "promoted" } else { "demoted" };
        let number = Number(group);
        self.story
            .machine(now, id, format_args!("service{number} {word}"));
        self.wake_up(id, Happening::Done(token, result));
    }

    pub(crate) fn exits(&mut self, id: usize, group: usize, generation: u32, exit: Exit) {
        let service = &mut self.machines[id].kernel.services[group];
        if service
            .process
            .is_some_and(|process| process.generation == generation)
        {
            service.process = None;
            let now = self.now();
            if group >= self.plan.cluster.group_count() {
                self.facts.removed(now, id, group);
            }
            let number = Number(group);
            self.story
                .machine(now, id, format_args!("service{number} {exit}"));
            self.wake_up(id, Happening::Exited(group, exit));
        }
    }

    /// What could not be killed can die now.
    pub(crate) fn mercy(&mut self, id: usize) {
        for group in 0..self.machines[id].kernel.services.len() {
            let service = &mut self.machines[id].kernel.services[group];
            let kills = core::mem::take(&mut service.kills);
            let generation = service.process.map(|process| process.generation);
            if let (Some(generation), false) = (generation, kills.is_empty()) {
                let exits = Happening::Exits(group, generation, Exit::Signal(9));
                self.later(id, ms(1), exits);
            }
            for token in kills {
                self.later(id, ms(2), Happening::Done(token, Ok(())));
            }
        }
    }

    /// The main process of each service dies by itself.
    pub(crate) fn crash_services(&mut self, id: usize) {
        for group in 0..self.machines[id].kernel.services.len() {
            if let Some(process) = self.machines[id].kernel.services[group].process {
                let exits = Happening::Exits(group, process.generation, Exit::Signal(11));
                self.later(id, us(100), exits);
            }
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
