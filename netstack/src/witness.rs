//! The way to the witness: questions out, answers in, over UDP.
//!
//! Owns the next hop and the newest question. A question waits until the next hop is
//! known, and a newer one takes its place: it says when it was made, so it may leave late.
//! Never looks into a question or an answer; both are authenticated by their owner.
//!
//! The kernel sees the answers too. A socket of PID 1 that is bound to
//! [`limits::WITNESS_PORT`] and reads nothing keeps it from complaining to the witness
//! that the port is unreachable.

use core::net::IpAddr;

use heapless::Vec;

use crate::config::{PortConfig, WitnessConfig};
use crate::limits;
use crate::neighbour::Neighbour;
use crate::packet::{self, Datagram, Frame};
use crate::route::Route;
use crate::surface::Unsent;
use crate::types::{IfIndex, Mac, Now};

/// The witness, as seen from its port.
#[derive(Debug)]
pub(crate) struct Witness {
    address: IpAddr,
    udp: u16,
    port: IfIndex,
    route: Option<Route>,
    hop: Neighbour,
    link: bool,
    ask: bool,
    question: Option<Vec<u8, { limits::DATAGRAM }>>,
}

impl Witness {
    pub(crate) fn new(config: &WitnessConfig, port: &PortConfig) -> Witness {
        Witness {
            address: config.address,
            udp: config.udp,
            port: config.port,
            route: Route::to(config.address, port),
            hop: Neighbour::default(),
            link: false,
            ask: false,
            question: None,
        }
    }

    pub(crate) fn port(&self) -> IfIndex {
        self.port
    }

    /// The port became usable, or ceased to be; `anew` when it is another device.
    pub(crate) fn link(&mut self, up: bool, anew: bool) {
        if !up || anew || !self.link {
            self.hop.forget();
            (self.ask, self.question) = (false, None);
        }
        self.link = up;
    }

    /// Takes a question. True when it takes the place of one that never left.
    pub(crate) fn send(&mut self, now: Now, question: &[u8]) -> Result<bool, Unsent> {
        if self.route.is_none() {
            return Err(Unsent::NoRoute);
        }
        if !self.link {
            return Err(Unsent::NoLink);
        }
        let question = Vec::from_slice(question).ok();
        let question = question.filter(|question| !question.is_empty());
        let question = question.ok_or(Unsent::Length)?;
        self.ask |= self.hop.ask(now);
        Ok(self.question.replace(question).is_some())
    }

    /// Somebody says where `address` is. True when that is our next hop.
    pub(crate) fn learn(&mut self, now: Now, address: IpAddr, mac: Mac, replaces: bool) -> bool {
        let ours = self.route.is_some_and(|route| route.hop == address);
        if ours {
            self.hop.learn(now, mac, replaces);
        }
        ours
    }

    /// A datagram came in on this port. True when it may be an answer.
    pub(crate) fn answer(&mut self, now: Now, datagram: &Datagram<'_>) -> bool {
        let ours = self
            .route
            .is_some_and(|route| route.own == datagram.destination)
            && datagram.source == self.address
            && datagram.ports == (self.udp, limits::WITNESS_PORT);
        if ours {
            self.hop.works(now);
        }
        ours
    }

    /// The next frame to send, if any.
    pub(crate) fn transmit(&mut self, mac: Mac) -> Option<Frame> {
        let Route { own, hop } = self.route?;
        if core::mem::take(&mut self.ask) {
            return packet::ask(mac, own, hop);
        }
        let macs = (mac, self.hop.mac()?);
        let ports = (limits::WITNESS_PORT, self.udp);
        packet::datagram(macs, (own, self.address), ports, &self.question.take()?)
    }
}
