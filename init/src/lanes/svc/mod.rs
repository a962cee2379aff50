//! The svc lane: parent of every unprivileged process.
//!
//! Owns starting services and this node's own children in cgroups, signalling and reaping
//! them (ends of those started here come through their pidfds, ends of orphans adopted
//! from below through SIGCHLD), running the hooks that tell an instance its role, asking the
//! processes that run OCF agents, and what services write. It decides nothing: restarts, timeouts and their
//! order are the node's business, and so are overdue answers. PID 1 itself never forks
//! after boot, because a fork may have to wait for memory.

mod cgroup;
mod output;
mod service;
mod talk;

use std::os::fd::OwnedFd;

use kodo_node::io::{ActError, Exit, ProbeError, ServiceId, Token};
use kodo_sys::poll::{Interest, Poller, Ready};
use kodo_sys::process::{self, Ended};
use kodo_sys::signal::{Signal, SignalFd};
use kodo_sys::{AsFd, Result};

use self::cgroup::Tree;
use self::service::{OwnChild, Service};
use self::talk::Closed;
use super::{Link, PRIORITY};
use crate::wire::{Child, FromSvc, ServiceSetup, ToSvc};

const KEY_PID1: u64 = 0;
/// Something below this process ended.
const KEY_ENDED: u64 = 1;
/// Plus the service's position: its cgroup changed.
const KEY_GROUP: u64 = 0x100;
/// Plus the service's position: it wrote something.
const KEY_OUTPUT: u64 = 0x200;
/// Plus the service's position: what runs its agent said something.
const KEY_TALK: u64 = 0x300;

/// Runs until PID 1 is gone.
pub(crate) fn run() -> Result<()> {
    let mut lane = Lane::new(Link::inherit("kodo-svc")?, Tree::standard())?;
    // Its children are ordinary again.
    kodo_sys::schedule::real_time(PRIORITY)?;
    process::adopt_orphans()?;
    lane.serve()
}

struct Lane {
    pid1: Link,
    poller: Poller,
    signals: SignalFd,
    tree: Tree,
    services: Vec<Service>,
    children: [OwnChild; Child::ALL.len()],
}

impl Lane {
    fn new(pid1: Link, tree: Tree) -> Result<Lane> {
        let poller = Poller::new()?;
        let signals = SignalFd::new(&[Signal::Child])?;
        poller.add(&pid1, KEY_PID1, Interest::Read)?;
        poller.add(&signals, KEY_ENDED, Interest::Read)?;
        Ok(Lane {
            pid1,
            poller,
            signals,
            tree,
            services: Vec::new(),
            children: Child::ALL.map(OwnChild::new),
        })
    }

    fn serve(&mut self) -> Result<()> {
        let mut ready = Ready::new();
        loop {
            self.poller.wait(&mut ready, None)?;
            for wake in ready.iter() {
                match wake.key {
                    KEY_PID1 => {
                        let Some((request, descriptor)) = self.pid1.receive::<ToSvc>()? else {
                            return Ok(());
                        };
                        self.request(request, descriptor)?;
                    }
                    KEY_ENDED => {
                        self.signals.take();
                        self.reap()?;
                    }
                    key if key >= KEY_TALK => self.talk(index(key - KEY_TALK))?,
                    key if key >= KEY_OUTPUT => self.output(index(key - KEY_OUTPUT))?,
                    key => self.emptied(index(key - KEY_GROUP))?,
                }
            }
        }
    }

    fn request(&mut self, request: ToSvc, descriptor: Option<OwnedFd>) -> Result<()> {
        match request {
            ToSvc::Setup(services) => {
                if let Err(error) = self.tree.prepare() {
                    self.trouble(&format!("cgroups: {error}; services share everything"))?;
                }
                for (number, setup) in services.into_iter().enumerate() {
                    match (self.services.get_mut(number), setup) {
                        (Some(service), Some(setup)) => {
                            if let Err(error) = service.renew(setup) {
                                self.trouble(&format!("bounds of service {number}: {error}"))?;
                            }
                        }
                        // Nobody asks for it any more.
                        (Some(_), None) => {}
                        (None, Some(setup)) => self.add(setup)?,
                        (None, None) => {
                            self.trouble("a service is gone that was never there")?;
                            break;
                        }
                    }
                }
                Ok(())
            }
            ToSvc::Spawn(token, id, reason) => {
                let Some(service) = self.services.get_mut(usize::from(id.0)) else {
                    return self.done(token, Err(ActError::Absent));
                };
                let result = service.spawn(reason);
                if let Ok(true) = result {
                    let id = u64::from(id.0);
                    for (descriptor, key) in [
                        (service.written(), KEY_OUTPUT + id),
                        (service.ended(), KEY_ENDED),
                        (
                            service.talk.as_ref().map(|talk| talk.as_fd()),
                            KEY_TALK + id,
                        ),
                    ] {
                        if let Some(descriptor) = descriptor {
                            self.poller.add(descriptor, key, Interest::Read)?;
                        }
                    }
                }
                self.done(
                    token,
                    result
                        .map(|_| ())
                        .map_err(|e| ActError::Errno(kodo_sys::errno(&e))),
                )
            }
            ToSvc::Terminate(token, id) => {
                let result = match self.services.get_mut(usize::from(id.0)) {
                    Some(service) => service
                        .terminate()
                        .map_err(|e| ActError::Errno(kodo_sys::errno(&e))),
                    None => Err(ActError::Absent),
                };
                self.done(token, result)
            }
            ToSvc::Kill(token, id) => {
                let Some(service) = self.services.get_mut(usize::from(id.0)) else {
                    return self.done(token, Err(ActError::Absent));
                };
                match service.kill(token) {
                    Ok(()) => self.emptied(usize::from(id.0)),
                    Err(error) => self.done(token, Err(ActError::Errno(kodo_sys::errno(&error)))),
                }
            }
            ToSvc::Probe(token, id) => {
                let service = self.services.get_mut(usize::from(id.0));
                let talk = service.and_then(|service| service.talk.as_mut());
                match talk.map_or(Err(ProbeError::Refused), |talk| talk.probe(token)) {
                    Ok(()) => Ok(()),
                    Err(error) => self.pid1.send(&FromSvc::Probed(token, Err(error)), None),
                }
            }
            ToSvc::Role(token, id, turn) => {
                let Some(service) = self.services.get_mut(usize::from(id.0)) else {
                    return self.done(token, Err(ActError::Absent));
                };
                if let Some(talk) = &mut service.talk {
                    return match talk.tell_role(token, turn) {
                        Ok(()) => Ok(()),
                        Err(error) => self.done(token, Err(error)),
                    };
                }
                match service.tell_role(token, turn) {
                    Ok(ended) => self.poller.add(ended, KEY_ENDED, Interest::Read),
                    Err(error) => self.done(token, Err(error)),
                }
            }
            ToSvc::Drill => {
                for service in &self.services {
                    service.kill_main();
                }
                Ok(())
            }
            ToSvc::Child(child) => self.start_child(child, descriptor),
            ToSvc::KillChild(child) => {
                self.children[child as usize].kill();
                Ok(())
            }
        }
    }

    fn add(&mut self, setup: ServiceSetup) -> Result<()> {
        let number = self.services.len() as u64;
        let service = Service::new(setup, &self.tree)?;
        self.poller
            .add(service.events(), KEY_GROUP + number, Interest::Priority)?;
        self.services.push(service);
        Ok(())
    }

    fn start_child(&mut self, child: Child, channel: Option<OwnedFd>) -> Result<()> {
        let started = match channel {
            Some(channel) => self.children[child as usize].start(&self.tree, &channel),
            None => Err(std::io::ErrorKind::InvalidInput.into()),
        };
        match started {
            Ok(()) => match self.children[child as usize].descriptor() {
                Some(descriptor) => self.poller.add(descriptor, KEY_ENDED, Interest::Read),
                None => Ok(()),
            },
            Err(error) => self.pid1.send(
                &FromSvc::ChildEnded(child, format!("not started: {error}")),
                None,
            ),
        }
    }

    fn done(&mut self, token: Token, result: std::result::Result<(), ActError>) -> Result<()> {
        self.pid1.send(&FromSvc::Done(token, result), None)
    }

    fn trouble(&mut self, text: &str) -> Result<()> {
        self.pid1.send(&FromSvc::Trouble(text.into()), None)
    }

    /// The cgroup of a service may be empty now: a kill that waited for it is done.
    fn emptied(&mut self, position: usize) -> Result<()> {
        // The end of the main process is told before the kill that closed its life.
        self.reap()?;
        let Some(service) = self.services.get_mut(position) else {
            return Ok(());
        };
        if service.is_empty()
            && let Some(token) = service.killed.take()
        {
            return self.done(token, Ok(()));
        }
        Ok(())
    }

    fn reap(&mut self) -> Result<()> {
        while let Some((pid, ended)) = process::reap_any() {
            if let Some(position) = self
                .services
                .iter()
                .position(|service| service.is_main(pid))
            {
                self.hang_up_talk(position)?;
                self.services[position].main_ended();
                let exit = exit(ended);
                let id = ServiceId(u8::try_from(position).unwrap_or(u8::MAX));
                // What it said last comes before its end.
                self.output(position)?;
                self.pid1.send(&FromSvc::Exited(id, exit), None)?;
            } else if let Some(token) = self.hook_ended(pid) {
                let result = match exit(ended) {
                    Exit::Code(0) => Ok(()),
                    exit => Err(ActError::Ended(exit)),
                };
                self.done(token, result)?;
            } else if let Some(child) = self.children.iter_mut().find(|child| child.is_main(pid)) {
                let which = child.ended();
                let why = match ended {
                    Ended::Code(code) => format!("exit status {code}"),
                    Ended::Signal(signal) => format!("signal {signal}"),
                };
                self.pid1.send(&FromSvc::ChildEnded(which, why), None)?;
            }
        }
        Ok(())
    }

    /// What runs a service's agent said something, or closed its channel.
    fn talk(&mut self, position: usize) -> Result<()> {
        let service = self.services.get_mut(position);
        let Some(talk) = service.and_then(|service| service.talk.as_mut()) else {
            return Ok(());
        };
        match talk.hear() {
            Ok(Some(heard)) => self.pid1.send(&heard, None),
            Ok(None) => Ok(()),
            Err(Closed) => self.hang_up_talk(position),
        }
    }

    /// Nothing more is asked or heard of what runs a service's agent.
    fn hang_up_talk(&mut self, position: usize) -> Result<()> {
        let Some(mut talk) = self.services[position].talk.take() else {
            return Ok(());
        };
        self.poller.remove(&talk)?;
        match talk.waiting() {
            Some(token) => self.done(token, Err(ActError::Absent)),
            None => Ok(()),
        }
    }

    fn hook_ended(&mut self, pid: i32) -> Option<Token> {
        let mut services = self.services.iter_mut();
        services.find_map(|service| service.hook_ended(pid))
    }

    fn output(&mut self, position: usize) -> Result<()> {
        let Some(service) = self.services.get_mut(position) else {
            return Ok(());
        };
        let id = ServiceId(u8::try_from(position).unwrap_or(u8::MAX));
        let pid1 = &mut self.pid1;
        let open = service.output(kodo_sys::clock::boottime(), |line, dropped| {
            pid1.offer(&FromSvc::Said {
                service: id,
                line: line.into(),
                dropped,
            })
        });
        if !open && let Some(output) = service.hang_up() {
            self.poller.remove(&output)?;
        }
        Ok(())
    }
}

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}

fn index(key: u64) -> usize {
    usize::try_from(key).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
