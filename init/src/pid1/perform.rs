//! What the node wants done.

use std::time::Duration;

use kodo_admin::relay;
use kodo_node::io::{ActError, Action, Drill, Halt, Input, Output, Reply, ServiceId, Token};
use kodo_sys::machine;
use kodo_sys::seqpacket::Channel;
use kodo_sys::watchdog::Watchdog;

use super::Pid1;
use crate::lanes::feeder;
use crate::last_words;
use crate::wire::{Child, ToConsole, ToNet, ToSvc, Turn};

/// For the last lines on a slow console, before the machine stops.
const FAREWELL: Duration = Duration::from_millis(300);

/// The way to the watchdog.
#[derive(Debug)]
pub(super) enum Feeder {
    /// A driver that never waits: one request.
    Direct(Watchdog),
    /// A process that does the waiting.
    Helper(Channel),
}

impl Feeder {
    fn feed(&self) {
        // A failure shows by itself, on time and in the safest way.
        let _ = match self {
            Feeder::Direct(watchdog) => watchdog.feed(),
            Feeder::Helper(channel) => channel.send(feeder::FEED, None),
        };
    }

    /// Stops the countdown, for a machine that is being switched off.
    fn disarm(self) {
        let _ = match self {
            Feeder::Direct(watchdog) => watchdog.disarm(),
            Feeder::Helper(channel) => channel.send(feeder::DISARM, None).is_ok(),
        };
    }
}

impl Pid1 {
    /// Performs everything that the node has decided.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.node.poll() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Packet(port, frame) => self.ports.send(port, &frame),
            Output::Serial(line, bytes) => self.transmit(line, &bytes),
            Output::Act(token, action) => {
                if let Err(error) = self.act(token, &action) {
                    self.node
                        .handle(kodo_sys::clock::boottime(), Input::Done(token, Err(error)));
                }
            }
            // One that the probe child does not take is never answered, which counts as
            // a failed probe.
            Output::Probe(token, service) if self.has_agent(service) => {
                // The same holds of the svc lane.
                let _ = self.svc.send(&ToSvc::Probe(token, service), None);
            }
            Output::Probe(token, service) => {
                let ask = relay::ToProbe::Ask(relay::ProbeRequest { token, service });
                self.children.send(Child::Probe, &ask);
            }
            Output::Reply(token, reply) => self.reply(token, reply),
            Output::Staged(token, verdict) => self.file_staged(token, verdict),
            Output::Adopted(hash) => self.adopted(hash),
            Output::Gate(vip, until) => self.gate.set(vip, until),
            Output::Persist(serial, table) => self.persist(serial, &table),
            Output::FeedWatchdog => {
                if let Some(watchdog) = &self.watchdog {
                    watchdog.feed();
                }
            }
            Output::Reset(fatal) => {
                self.gate.close();
                last_words::reset(fatal);
            }
            Output::Halt(halt) => self.halt(halt),
            Output::Log(line) => self.children.log(line),
            Output::Drill(drill) => self.drill(drill),
        }
    }

    fn has_agent(&self, service: ServiceId) -> bool {
        let services = &self.plan.duties.services;
        let setup = services
            .get(usize::from(service.0))
            .and_then(Option::as_ref);
        setup.is_some_and(|setup| setup.agent)
    }

    /// Asks a lane.
    fn act(&self, token: Token, action: &Action) -> Result<(), ActError> {
        let nic = |port| self.ports.nic(port).ok_or(ActError::Absent);
        let sent = match action {
            Action::AddAddress(port, address) => self
                .net
                .send(&ToNet::AddAddress(token, nic(*port)?, *address), None),
            // A port without a NIC carries no address.
            Action::DelAddress(port, address) => match nic(*port) {
                Ok(nic) => self
                    .net
                    .send(&ToNet::DelAddress(token, nic, *address), None),
                Err(_) => self.net.send(&ToNet::DelAddress(token, 0, *address), None),
            },
            Action::Spawn(service, reason) => {
                self.svc.send(&ToSvc::Spawn(token, *service, *reason), None)
            }
            Action::Terminate(service) => self.svc.send(&ToSvc::Terminate(token, *service), None),
            Action::Kill(service) => self.svc.send(&ToSvc::Kill(token, *service), None),
            Action::Promote(service, reason) => {
                let turn = Turn::Promote(*reason);
                self.svc.send(&ToSvc::Role(token, *service, turn), None)
            }
            Action::Demote(service) => self
                .svc
                .send(&ToSvc::Role(token, *service, Turn::Demote), None),
        };
        // A lane that takes no more requests is as good as one that does not answer.
        sent.map_err(|_| ActError::Overdue)
    }

    fn reply(&mut self, token: Token, reply: Reply) {
        match reply {
            Reply::Status(status) if Pid1::is_own(token) => {
                self.children
                    .send(Child::Console, &ToConsole::Status(status));
            }
            _ if Pid1::is_own(token) => {}
            reply => {
                self.children
                    .send(Child::Admin, &relay::FromNode::Reply { token, reply });
            }
        }
    }

    /// Everything of the cluster is down in order: nothing is left to be late for.
    fn halt(&mut self, halt: Halt) {
        kodo_sys::clock::sleep(FAREWELL);
        let result = match halt {
            Halt::PowerOff => {
                if let Some(watchdog) = self.watchdog.take() {
                    watchdog.disarm();
                }
                machine::power_off()
            }
            // The watchdog stays armed: it is the way out if the reboot hangs.
            Halt::Reboot => machine::reset(),
        };
        panic!("the machine does not stop: {result:?}");
    }

    fn drill(&mut self, drill: Drill) {
        match drill {
            Drill::ServiceKill => {
                let _ = self.svc.send(&ToSvc::Drill, None);
            }
            Drill::KernelPanic => {
                let _ = machine::panic_kernel();
            }
            Drill::Pid1Stuck => loop {
                core::hint::spin_loop();
            },
            Drill::Pid1Dies => std::process::abort(),
        }
    }
}
