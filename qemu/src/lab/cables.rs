//! Hands on the cables: pull, harm, forge, and put strangers on the LAN.

use std::net::SocketAddr;

use super::Lab;
use crate::boot::Cidr;
use crate::error::{Error, Result};
use crate::lan;
use crate::wire::fabric::{Direction, FlowState};
use crate::wire::flow::Faults;
use crate::wire::mac::Mac;
use crate::wiring::Installer;

/// The number of the relay's hardware address: after the lab's own hosts.
const RELAY: u8 = 4;

impl Lab {
    /// Pulls a cable: carrier falls at both ends, and nothing passes.
    ///
    /// # Errors
    /// When there is no such cable.
    pub fn cut(&self, cable: &str) -> Result<()> {
        self.act(format!("cut {cable}"));
        let done = self.core.change(|fabric| fabric.set_cut(cable, true));
        self.cable_found(cable, done)
    }

    /// Puts a cable back and ends all faults on it.
    ///
    /// # Errors
    /// When there is no such cable.
    pub fn heal(&self, cable: &str) -> Result<()> {
        self.act(format!("heal {cable}"));
        let done = self.core.change(|fabric| {
            fabric.set_faults(cable, &Direction::Both, Faults::clear);
            fabric.set_cut(cable, false)
        });
        self.cable_found(cable, done)
    }

    /// Changes what a cable does to what passes.
    ///
    /// # Errors
    /// When there is no such cable or end.
    pub fn fault(
        &self,
        cable: &str,
        direction: &Direction,
        change: impl Fn(&mut Faults),
    ) -> Result<()> {
        let ends = self.core.pump.with(|world| world.fabric.ends(cable));
        if let (Some(ends), Direction::From(end) | Direction::To(end)) = (&ends, direction)
            && !ends.iter().any(|name| **name == **end)
        {
            let known = ends.iter().map(ToString::to_string).collect();
            return Err(Error::Unknown {
                kind: "end of this cable",
                name: end.clone(),
                known,
            });
        }
        let done = self
            .core
            .change(|fabric| fabric.set_faults(cable, direction, change));
        self.cable_found(cable, done)?;
        let words = self
            .wire()
            .cables()
            .into_iter()
            .find(|state| *state.name == *cable);
        let words: Vec<String> = words
            .iter()
            .flat_map(|state| &state.flows)
            .map(faults_of_flow)
            .collect();
        self.act(format!("fault {cable}: {}", words.join("; ")));
        Ok(())
    }

    /// Puts a frame, or bytes of a serial line, on a cable as if its end `from` had sent it.
    ///
    /// # Errors
    /// When there is no such cable or end, or no carrier.
    pub fn inject(&self, cable: &str, from: &str, data: &[u8]) -> Result<()> {
        let now = self.now();
        if self
            .core
            .change(|fabric| fabric.inject(now, cable, from, data.to_vec()))
        {
            return Ok(());
        }
        let ends = self.core.pump.with(|world| world.fabric.ends(cable));
        self.cable_found(cable, ends.is_some())?;
        Err(Error::Command(format!(
            "`{cable}` has no carrier, or no end named `{from}`"
        )))
    }

    /// Puts another host on the LAN, a stranger; its cable is `lan-NAME`.
    ///
    /// # Errors
    /// When the cluster has no LAN or the host's capture cannot be written.
    pub fn add_host(&self, name: &str, mac: Mac, addresses: &[Cidr]) -> Result<()> {
        self.join_lan(name, mac, addresses).map(drop)
    }

    /// Puts a host on the LAN that carries datagrams at its port `port` to a program on this
    /// machine, and its answers back; its cable is `lan-NAME`.
    ///
    /// # Errors
    /// As [`Lab::add_host`].
    pub fn add_relay(&self, name: &str, at: Cidr, port: u16, to: SocketAddr) -> Result<()> {
        let host = self.join_lan(name, lan::mac(RELAY), &[at])?;
        let made = self.core.pump.with(|world| world.add_relay(host, port, to));
        debug_assert!(made, "a new host has no port in use");
        Ok(())
    }

    fn join_lan(&self, name: &str, mac: Mac, addresses: &[Cidr]) -> Result<usize> {
        let lan = self
            .lan
            .ok_or_else(|| Error::Command("this cluster has no LAN".to_owned()))?;
        let cable = format!("lan-{name}");
        if self
            .core
            .pump
            .with(|world| world.fabric.ends(&cable))
            .is_some()
        {
            return Err(Error::Command(format!(
                "there is a `{cable}` already; choose another name"
            )));
        }
        self.act(format!("host {name} joins the LAN"));
        self.core.pump.with(|world| {
            let (dir, sockets) = (self.place.dir(), self.place.sockets());
            let mut installer = Installer {
                boot: &self.boot,
                options: &self.options,
                dir,
                sockets,
                world,
            };
            installer.host(name, mac, addresses, lan)
        })
    }

    /// A free hardware address for the n-th stranger.
    #[must_use]
    pub fn stranger_mac(n: u8) -> Mac {
        lan::mac(0x80 | n)
    }

    /// Sends a frame as one of the lab's hosts (`gateway`, `client`, a stranger).
    ///
    /// # Errors
    /// When there is no such host.
    pub fn send_as(&self, host: &str, frame: &[u8]) -> Result<()> {
        if self
            .core
            .pump
            .with(|world| world.send_as_host(host, frame.to_vec()))
        {
            return Ok(());
        }
        Err(Error::Unknown {
            kind: "host",
            name: host.to_owned(),
            known: Vec::new(),
        })
    }

    /// Lets the lab's own hosts, the client and the observer, ask no more for any VIP, or go on.
    /// What is under way ends as it may.
    pub fn hold_questions(&self, held: bool) {
        self.core.pump.with(|world| world.hold_questions(held));
    }

    fn cable_found(&self, cable: &str, found: bool) -> Result<()> {
        if found {
            return Ok(());
        }
        let known = self.core.pump.with(|world| {
            world
                .fabric
                .cable_names()
                .map(ToString::to_string)
                .collect()
        });
        Err(Error::Unknown {
            kind: "cable",
            name: cable.to_owned(),
            known,
        })
    }
}

fn faults_of_flow(flow: &FlowState) -> String {
    let faults = if flow.faults.is_empty() {
        "clear"
    } else {
        &flow.faults
    };
    format!("{faults} from {}", flow.from)
}
