//! What the lanes say, as inputs of the node.

use std::os::fd::OwnedFd;
use std::time::Duration;

use kodo_node::io::Input;
use kodo_sys::clock;
use kodo_sys::link::LinkChange;
use kodo_sys::packet::PacketSocket;
use kodo_sys::seqpacket::Channel;
use kodo_sys::watchdog::Watchdog;

use super::lane::Heard;
use super::perform::Feeder;
use super::{Level, Pid1};
use crate::wire::{FromDev, FromNet, FromSvc};

/// How the kernel's software watchdog calls itself.
const SOFTDOG: &str = "Software Watchdog";

fn milliseconds(time: Duration) -> u128 {
    time.as_millis()
}

impl Pid1 {
    /// Since the first instruction of this process.
    fn since_start(&self) -> Duration {
        clock::boottime().saturating_sub(self.start)
    }

    pub(super) fn net_event(&mut self) {
        match self.net.receive(&mut self.buffer[..]) {
            Heard::Message(FromNet::Gate, deadlines) => self.gate_ready(deadlines),
            Heard::Message(FromNet::NoGate(why), _) => self.no_gate(&why),
            Heard::Message(FromNet::Done(token, result), _) => {
                self.give(Input::Done(token, result));
                if result.is_ok() {
                    self.first_address();
                }
            }
            Heard::Message(
                FromNet::Ready {
                    port,
                    index,
                    mac,
                    carrier,
                    detail,
                },
                Some(socket),
            ) => {
                let role = self
                    .plan
                    .ports
                    .get(usize::from(port.0))
                    .map_or("", |plan| plan.role);
                let text = format!(
                    "boot: {role} port ready {} ms after PID 1 began, carrier {}",
                    milliseconds(self.since_start()),
                    if carrier { "on" } else { "off" },
                );
                self.note(Level::Info, &text);
                if let Some(detail) = detail {
                    self.note(Level::Alert, &format!("{role} port: {detail}"));
                }
                self.port_ready(port, index, PacketSocket::from_fd(socket), mac, carrier);
            }
            Heard::Message(FromNet::Ready { .. }, None) | Heard::Nonsense => {
                self.note(Level::Alert, "the net helper spoke nonsense");
            }
            Heard::Message(FromNet::Unusable { why, .. }, _) => {
                self.note(Level::Alert, &format!("NIC {why}: it cannot be used"));
            }
            Heard::Message(FromNet::Carrier(_, index, carrier), _) => {
                self.link_change(LinkChange { index, carrier });
            }
            Heard::Nothing => {}
            Heard::Gone => self.helper_lost(self.net.name()),
        }
    }

    /// A lane is gone. Its channel may close before its end is reaped, and waiting for that
    /// would be busy: the node resets the machine.
    pub(super) fn helper_lost(&mut self, name: &'static str) {
        self.give(Input::HelperLost(name));
    }

    /// The first VIP of this boot is bound: the last milestone.
    fn first_address(&mut self) {
        if self.booting {
            self.booting = false;
            let resident = kodo_sys::memory::resident().unwrap_or(0) / 1024;
            let text = format!(
                "boot: first VIP bound {} ms after PID 1 began, PID 1 has {resident} kB resident",
                milliseconds(self.since_start())
            );
            self.note(Level::Info, &text);
        }
    }

    pub(super) fn svc_event(&mut self) {
        match self.svc.receive(&mut self.buffer[..]) {
            Heard::Message(FromSvc::Done(token, result), _) => {
                self.give(Input::Done(token, result));
            }
            Heard::Message(FromSvc::Probed(token, result), _) => {
                self.give(Input::Probed(token, result));
            }
            Heard::Message(FromSvc::Exited(service, exit), _) => {
                self.give(Input::Exited(service, exit));
            }
            Heard::Message(FromSvc::ChildEnded(child, why), _) => self.child_ended(child, &why),
            Heard::Message(
                FromSvc::Said {
                    service,
                    line,
                    dropped,
                },
                _,
            ) => {
                let name = self
                    .plan
                    .duties
                    .services
                    .get(usize::from(service.0))
                    .and_then(Option::as_ref)
                    .map_or("?", |setup| setup.name.as_str());
                let text = match dropped {
                    0 => format!("{name} says: {line}"),
                    _ => format!("{name} says ({dropped} lines before this were too many): {line}"),
                };
                self.note(Level::Info, &text);
            }
            Heard::Message(FromSvc::Trouble(text), _) => self.note(Level::Alert, &text),
            Heard::Nonsense => self.note(Level::Alert, "the svc helper spoke nonsense"),
            Heard::Nothing => {}
            Heard::Gone => self.helper_lost(self.svc.name()),
        }
    }

    pub(super) fn dev_event(&mut self) {
        match self.dev.receive(&mut self.buffer[..]) {
            Heard::Message(event, descriptor) => self.device(event, descriptor),
            Heard::Nonsense => self.note(Level::Alert, "the dev helper spoke nonsense"),
            Heard::Nothing => {}
            Heard::Gone => self.helper_lost(self.dev.name()),
        }
    }

    /// Something about devices; also for what came before the loop.
    pub(crate) fn device(&mut self, event: FromDev, descriptor: Option<OwnedFd>) {
        match (event, descriptor) {
            (FromDev::Nic(nic), _) => self.nic(nic),
            (FromDev::Line(line), Some(tty)) => self.line_ready(line, tty),
            (FromDev::LineGone(line), _) => self.line_gone(line),
            (
                FromDev::Watchdog {
                    name,
                    granted,
                    caused_last_reset,
                    through_helper,
                },
                Some(device),
            ) => {
                if caused_last_reset {
                    self.note(
                        Level::Alert,
                        &format!("the watchdog {name} caused the last reset"),
                    );
                }
                if name == SOFTDOG {
                    let text =
                        "the watchdog is the kernel's own timer: it cannot reset a dead kernel";
                    self.note(Level::Warn, text);
                }
                self.watchdog = Some(if through_helper {
                    Feeder::Helper(Channel::from_fd(device))
                } else {
                    Feeder::Direct(Watchdog::from_fd(device))
                });
                self.give(Input::Watchdog {
                    granted,
                    name: &name,
                });
            }
            (FromDev::NoWatchdog(why), _) => {
                self.note(
                    Level::Alert,
                    &format!("no watchdog: {why}; a hung PID 1 will not be reset"),
                );
            }
            (FromDev::Settled { modules, took }, _) => {
                let text = format!(
                    "boot: {modules} modules loaded in {} ms, {} ms after PID 1 began",
                    milliseconds(took),
                    milliseconds(self.since_start())
                );
                self.note(Level::Info, &text);
                self.missing_ports();
                self.find_state();
            }
            (FromDev::LastWords(text), _) => {
                self.note(Level::Warn, &format!("before the last reset: {text}"));
            }
            (FromDev::Health(health), _) => self.give(Input::Health(health)),
            (FromDev::PowerButton, _) => self.give(Input::PowerButton),
            (FromDev::Trouble(text), _) => self.note(Level::Warn, &text),
            (FromDev::Line(_) | FromDev::Watchdog { .. }, None) => {
                self.note(
                    Level::Alert,
                    "the dev helper sent a device without its descriptor",
                );
            }
        }
    }
}
