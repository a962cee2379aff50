//! One ping target: echo requests at its interval, matched with their answers.
//!
//! An answer proves that the request's *send* time was reachable, never the time it came
//! in, so it is reported as that. It counts only when it comes from the target, to the
//! address that asked, with our mark and a sequence number that is still waiting. Never
//! judges reachability.

use core::net::IpAddr;

use crate::config::{PortConfig, TargetConfig};
use crate::jitter::Jitter;
use crate::limits;
use crate::neighbour::Neighbour;
use crate::packet::{self, ECHO_DATA, EchoReply, Frame};
use crate::route::Route;
use crate::types::{IfIndex, Mac, Now};

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    address: IpAddr,
    port: IfIndex,
    interval: Now,
    route: Option<Route>,
    hop: Neighbour,
    /// Drawn at boot: tells our echoes from those of the kernel and of another life.
    ident: u16,
    mark: [u8; ECHO_DATA],
    seq: u16,
    /// By the low bits of the sequence number.
    waiting: [Option<(u16, Now)>; limits::ECHOES],
    due: Option<Now>,
    link: bool,
    ask: bool,
    echo: Option<u16>,
    answered: Option<Now>,
}

impl Target {
    pub(crate) fn new(config: &TargetConfig, port: &PortConfig, jitter: &mut Jitter) -> Target {
        let mark = jitter.bits().to_be_bytes();
        let [high, low, ..] = jitter.bits().to_be_bytes();
        Target {
            address: config.address,
            port: config.port,
            interval: config.interval,
            route: Route::to(config.address, port),
            hop: Neighbour::default(),
            ident: u16::from_be_bytes([high, low]),
            mark,
            seq: 0,
            waiting: [None; limits::ECHOES],
            due: None,
            link: false,
            ask: false,
            echo: None,
            answered: None,
        }
    }

    pub(crate) fn port(&self) -> IfIndex {
        self.port
    }

    pub(crate) fn due(&self) -> Option<Now> {
        self.due
    }

    /// The port became usable, or ceased to be; `anew` when it is another device.
    pub(crate) fn link(&mut self, now: Now, up: bool, anew: bool) {
        let came = up && (anew || !self.link);
        self.link = up;
        if !up {
            (self.due, self.ask, self.echo) = (None, false, None);
        } else if came && self.route.is_some() {
            self.hop.forget();
            self.due = Some(now);
            self.timer(now);
        }
    }

    /// Somebody says where `address` is. True when that is our next hop.
    pub(crate) fn learn(&mut self, now: Now, address: IpAddr, mac: Mac, replaces: bool) -> bool {
        if self.route.is_none_or(|route| route.hop != address) {
            return false;
        }
        let waited = self.hop.mac().is_none();
        self.hop.learn(now, mac, replaces);
        if waited && self.link {
            self.send(now);
        }
        true
    }

    /// Time passed.
    pub(crate) fn timer(&mut self, now: Now) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = Some(now.saturating_add(self.interval));
        self.ask |= self.hop.ask(now);
        if self.hop.mac().is_some() {
            self.send(now);
        }
    }

    /// An echo came back on this target's port. True when it is the answer to one of ours.
    pub(crate) fn answer(&mut self, now: Now, echo: &EchoReply<'_>) -> bool {
        let ours = self
            .route
            .is_some_and(|route| route.own == echo.destination)
            && echo.source == self.address
            && echo.ident == self.ident
            && echo.data == self.mark;
        let slot = &mut self.waiting[slot(echo.seq)];
        let Some((_, sent)) = slot.filter(|(seq, _)| ours && *seq == echo.seq) else {
            return false;
        };
        *slot = None;
        self.hop.works(now);
        // Answers may overtake each other; the newest request counts.
        self.answered = self.answered.max(Some(sent));
        true
    }

    /// The next frame to send, if any.
    pub(crate) fn transmit(&mut self, mac: Mac) -> Option<Frame> {
        let Route { own, hop } = self.route?;
        if core::mem::take(&mut self.ask) {
            return packet::ask(mac, own, hop);
        }
        let seq = self.echo.take()?;
        let macs = (mac, self.hop.mac()?);
        packet::echo_request(macs, (own, self.address), self.ident, seq, &self.mark)
    }

    /// The send time of the newest request answered since the last call.
    pub(crate) fn poll_answered(&mut self) -> Option<Now> {
        self.answered.take()
    }

    fn send(&mut self, now: Now) {
        self.seq = self.seq.wrapping_add(1);
        self.waiting[slot(self.seq)] = Some((self.seq, now));
        self.echo = Some(self.seq);
    }
}

fn slot(seq: u16) -> usize {
    usize::from(seq) % limits::ECHOES
}
