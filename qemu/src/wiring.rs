//! From `boot.json` to cables: who is connected to whom.
//!
//! Owns the names of cables and how a cluster is wired: the n-th LAN port of every node
//! goes to the n-th switch, the n-th crossover port of two nodes to each other (of another
//! number of nodes to a switch of its own), the n-th heartbeat line between two nodes to
//! each other.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::boot::{Boot, BootNode, Cidr, Nic, NicRole, Serial, SerialRole};
use crate::error::{Context, Result};
use crate::host::Host;
use crate::host::census::Census;
use crate::host::forward::Forward;
use crate::host::probe::Prober;
use crate::lan;
use crate::machine::argv::Sockets;
use crate::options::Options;
use crate::pump::{Port, PortId, PortKind, World};
use crate::wire::fabric::{Plug, Socket, SwitchId};
use crate::wire::flow::Medium;
use crate::wire::mac::Mac;

/// One machine's ends, ready for its QEMU.
pub(crate) struct MachineEnds {
    pub(crate) node: Arc<str>,
    pub(crate) boot: BootNode,
    pub(crate) sockets: Sockets,
    /// By network card.
    pub(crate) nics: Vec<Option<Plug>>,
    /// By heartbeat line.
    pub(crate) serial: Vec<Plug>,
    pub(crate) ports: Vec<PortId>,
    pub(crate) console: Option<PortId>,
}

/// Lays cables into a world.
pub(crate) struct Installer<'a> {
    pub(crate) boot: &'a Boot,
    pub(crate) options: &'a Options,
    /// Captures and console logs go here.
    pub(crate) dir: &'a Path,
    /// Sockets are made here; its path is short, as sockets' paths must be.
    pub(crate) sockets: &'a Path,
    pub(crate) world: &'a mut World,
}

/// A port of a machine: which machine, which of its ports.
type Spot = (usize, usize);

impl Installer<'_> {
    /// Connects all machines. Gives them in the order of their names, and the first LAN's
    /// switch.
    pub(crate) fn machines(&mut self) -> Result<(Vec<MachineEnds>, Option<SwitchId>)> {
        let named = self.boot.nodes.iter().enumerate();
        let mut machines: Vec<MachineEnds> = named
            .map(|(n, (name, node))| self.bare(n, name, node))
            .collect();
        let mut first_lan = None;
        for n in 0.. {
            let members = nth_nics(&machines, NicRole::Lan, n);
            if members.is_empty() {
                break;
            }
            let name = numbered("lan", n);
            let switch = self.world.fabric.add_switch(&name);
            first_lan.get_or_insert(switch);
            for plug in self.star(&name, &members, switch, &mut machines)? {
                self.world.fabric.watch(plug);
            }
        }
        for n in 0.. {
            let members = nth_nics(&machines, NicRole::Crossover, n);
            let name = numbered("crossover", n);
            match members.as_slice() {
                [] => break,
                [one, other] => {
                    let plugs = self.pair(&name, Medium::Ethernet, [one.0, other.0], &machines)?;
                    for (spot, plug) in members.iter().zip(plugs) {
                        self.plug_nic(*spot, plug, &mut machines)?;
                    }
                }
                several => {
                    let switch = self.world.fabric.add_switch(&name);
                    self.star(&name, several, switch, &mut machines)?;
                }
            }
        }
        for (name, ends) in null_modems(self.boot) {
            let [(one, line), (other, _)] = ends;
            let medium = Medium::Serial {
                baud: machines[one].boot.serial[line].baud,
            };
            let plugs = self.pair(&name, medium, [one, other], &machines)?;
            for (spot, plug) in ends.into_iter().zip(plugs) {
                self.plug_line(spot, plug, &mut machines)?;
            }
        }
        for (n, machine) in machines.iter_mut().enumerate() {
            self.console(n, machine)?;
        }
        Ok((machines, first_lan))
    }

    /// Puts the lab's own hosts on the LAN and opens the doors: to the VIP, then to each
    /// node's admin API. Gives the ports of the doors by what they lead to.
    pub(crate) fn hosts(&mut self, lan: SwitchId) -> Result<Doors> {
        let plan = lan::plan(self.boot, &self.options.gateway);
        self.host("gateway", lan::mac(1), &plan.gateway, lan)?;
        let client = self.host("client", lan::mac(2), &plan.client, lan)?;
        let observer = self.host("observer", lan::mac(3), &plan.observer, lan)?;
        let vips = self.boot.vips.iter().map(|vip| vip.addr).collect();
        self.world
            .set_observer(observer, Census::new(vips, self.options.census));
        let vips = self.boot.vips.iter().zip(&self.options.service_ports);
        let services: Vec<SocketAddr> = vips.map(|(vip, port)| (vip.addr, *port).into()).collect();
        let prober = |at: &SocketAddr| Prober::new(*at, self.options.probe.clone());
        let probers = services.iter().map(prober).collect();
        self.world.set_client(client, probers);
        let mut doors = Doors::default();
        if let Some(service) = services.first() {
            doors.service = Some(self.door(self.options.port, *service)?);
        }
        for (name, node) in &self.boot.nodes {
            let lan = node.nics.iter().find(|nic| nic.role == NicRole::Lan);
            if let Some(address) = lan.and_then(|nic| nic.address) {
                let port = self.door(0, (address.addr, self.options.admin_port).into())?;
                doors.admin.insert(name.as_str().into(), port);
                let port = self.door(
                    0,
                    (
                        address.addr,
                        self.options.service_ports.first().copied().unwrap_or(80),
                    )
                        .into(),
                )?;
                doors.own.insert(name.as_str().into(), port);
            }
        }
        Ok(doors)
    }

    /// Puts one host on the LAN.
    pub(crate) fn host(
        &mut self,
        name: &str,
        mac: Mac,
        addresses: &[Cidr],
        lan: SwitchId,
    ) -> Result<usize> {
        let ends = [(name, Socket::Outside), ("switch", Socket::Switch(lan))];
        let plug = self.cable(&format!("lan-{name}"), Medium::Ethernet, ends)?[0];
        let seed = self.options.seed ^ u64::from(mac.0[5]);
        let host = Host::new(name, mac, plug, addresses, seed, self.world.clock.now());
        Ok(self.world.add_host(host))
    }

    fn door(&mut self, port: u16, to: SocketAddr) -> Result<u16> {
        let forward = Forward::open(port, to)?;
        let port = forward.port;
        self.world.add_forward(forward);
        Ok(port)
    }

    fn bare(&self, n: usize, name: &str, node: &BootNode) -> MachineEnds {
        // A card that the node finds by its slot still needs some address.
        let mac =
            |(nic, of): (usize, &Nic)| of.mac.unwrap_or(lan::mac(0x40 + low_byte(n * 8 + nic)));
        MachineEnds {
            node: name.into(),
            boot: node.clone(),
            sockets: Sockets {
                qmp: self.sockets.join(format!("{n}-qmp")),
                nics: node
                    .nics
                    .iter()
                    .enumerate()
                    .map(mac)
                    .map(|mac| (mac, PathBuf::new()))
                    .collect(),
                serial: vec![None; node.serial.len()],
                disk: None,
            },
            nics: vec![None; node.nics.len()],
            serial: Vec::new(),
            ports: Vec::new(),
            console: None,
        }
    }

    /// A cable from each member to a switch; gives the members' plugs.
    fn star(
        &mut self,
        name: &str,
        members: &[Spot],
        switch: SwitchId,
        all: &mut [MachineEnds],
    ) -> Result<Vec<Plug>> {
        let mut plugs = Vec::new();
        for &spot in members {
            let node = Arc::clone(&all[spot.0].node);
            let ends = [
                (&*node, Socket::Outside),
                ("switch", Socket::Switch(switch)),
            ];
            let plug = self.cable(&format!("{name}-{node}"), Medium::Ethernet, ends)?[0];
            self.plug_nic(spot, plug, all)?;
            plugs.push(plug);
        }
        Ok(plugs)
    }

    /// A cable between two machines.
    fn pair(
        &mut self,
        name: &str,
        medium: Medium,
        members: [usize; 2],
        all: &[MachineEnds],
    ) -> Result<Vec<Plug>> {
        let ends = members.map(|machine| (&*all[machine].node, Socket::Outside));
        self.cable(name, medium, ends)
    }

    /// A recorded cable; gives the plugs of its outside ends.
    fn cable(
        &mut self,
        name: &str,
        medium: Medium,
        ends: [(&str, Socket); 2],
    ) -> Result<Vec<Plug>> {
        let capture = self.dir.join(format!("{name}.pcap"));
        let plugs = self
            .world
            .fabric
            .add_cable(name, medium, ends, Some(&capture))?;
        Ok(plugs.into_iter().flatten().collect())
    }

    fn plug_nic(
        &mut self,
        (machine, nic): Spot,
        plug: Plug,
        all: &mut [MachineEnds],
    ) -> Result<()> {
        let path = self.sockets.join(format!("{machine}-nic{nic}"));
        let port = Port::listen(&path, PortKind::Frames)?;
        let machine = &mut all[machine];
        machine.ports.push(self.world.add_wire(port, plug));
        machine.sockets.nics[nic].1 = path;
        machine.nics[nic] = Some(plug);
        Ok(())
    }

    fn plug_line(
        &mut self,
        (machine, line): Spot,
        plug: Plug,
        all: &mut [MachineEnds],
    ) -> Result<()> {
        let path = self.sockets.join(format!("{machine}-tty{line}"));
        let port = Port::listen(&path, PortKind::Bytes)?;
        let machine = &mut all[machine];
        machine.ports.push(self.world.add_wire(port, plug));
        machine.sockets.serial[line] = Some(path);
        machine.serial.push(plug);
        Ok(())
    }

    fn console(&mut self, n: usize, machine: &mut MachineEnds) -> Result<()> {
        let Some(line) = machine
            .boot
            .serial
            .iter()
            .position(|serial| serial.role == SerialRole::Console)
        else {
            return Ok(());
        };
        let path = self.sockets.join(format!("{n}-tty{line}"));
        let port = Port::listen(&path, PortKind::Bytes)?;
        let log = self.dir.join(format!("{}.console.log", machine.node));
        let file = File::create(&log).context(|| format!("cannot create {}", log.display()))?;
        let id = self
            .world
            .add_console(port, Arc::clone(&machine.node), file);
        machine.sockets.serial[line] = Some(path);
        machine.ports.push(id);
        machine.console = Some(id);
        Ok(())
    }
}

/// Loopback ports that lead into the lab.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors {
    /// To the service behind the first VIP.
    pub(crate) service: Option<u16>,
    /// To each node's admin API.
    pub(crate) admin: HashMap<Arc<str>, u16>,
    /// To the service on each node's own address.
    pub(crate) own: HashMap<Arc<str>, u16>,
}

/// `lan`, `lan2`, `lan3`, ….
fn numbered(name: &str, n: usize) -> String {
    if n == 0 {
        name.to_owned()
    } else {
        format!("{name}{}", n + 1)
    }
}

fn nth_nics(all: &[MachineEnds], role: NicRole, n: usize) -> Vec<Spot> {
    nth(all, n, |machine| {
        machine
            .boot
            .nics
            .iter()
            .map(|nic| nic.role == role)
            .collect()
    })
}

/// The null-modem cables: which line of one machine leads to which of another. Of two
/// machines a line need not say where it leads; one without another end stays unplugged.
fn null_modems(boot: &Boot) -> Vec<(String, [Spot; 2])> {
    let nodes: Vec<(&String, &BootNode)> = boot.nodes.iter().collect();
    let lines = |machine: usize, other: usize| -> Vec<Spot> {
        let leads = |line: &Serial| match &line.peer {
            Some(peer) => peer == nodes[other].0,
            None => nodes.len() == 2,
        };
        let lines = nodes[machine].1.serial.iter().enumerate();
        lines
            .filter(|(_, line)| line.role == SerialRole::Heartbeat && leads(line))
            .map(|(port, _)| (machine, port))
            .collect()
    };
    let mut cables = Vec::new();
    for one in 0..nodes.len() {
        for other in one + 1..nodes.len() {
            let ends = lines(one, other).into_iter().zip(lines(other, one));
            for (n, (here, there)) in ends.enumerate() {
                let name = numbered("serial", n);
                let name = match nodes.len() {
                    2 => name,
                    _ => format!("{name}-{}-{}", nodes[one].0, nodes[other].0),
                };
                cables.push((name, [here, there]));
            }
        }
    }
    cables
}

/// The n-th fitting port of every machine that has one.
fn nth(all: &[MachineEnds], n: usize, fits: impl Fn(&MachineEnds) -> Vec<bool>) -> Vec<Spot> {
    let of = |(at, machine): (usize, &MachineEnds)| {
        let fitting = fits(machine)
            .into_iter()
            .enumerate()
            .filter(|(_, fits)| *fits);
        fitting.map(|(port, _)| (at, port)).nth(n)
    };
    all.iter().enumerate().filter_map(of).collect()
}

fn low_byte(n: usize) -> u8 {
    n.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster of nodes by the peers of their heartbeat lines, after a console each.
    fn lines(nodes: &[(&str, &[Option<&str>])]) -> Vec<(String, [Spot; 2])> {
        let node = |(name, peers): &(&str, &[Option<&str>])| {
            let line = |peer| serde_json::json!({"role": "heartbeat", "peer": peer});
            let console = serde_json::json!({"role": "console"});
            let serial: Vec<_> = [console]
                .into_iter()
                .chain(peers.iter().map(line))
                .collect();
            let node = serde_json::json!({
                "kernel": "k", "initrd": "i", "append": "", "nics": [], "serial": serial
            });
            ((*name).to_owned(), node)
        };
        let nodes: serde_json::Map<_, _> = nodes.iter().map(node).collect();
        let boot = serde_json::json!({"schema": 1, "cluster": "c", "nodes": nodes});
        null_modems(&serde_json::from_value(boot).unwrap())
    }

    fn cable(name: &str, ends: [Spot; 2]) -> (String, [Spot; 2]) {
        (name.to_owned(), ends)
    }

    #[test]
    fn lines_of_a_pair_need_no_names() {
        let cables = lines(&[("a", &[None, Some("b")]), ("b", &[None, None, None])]);
        let second = cable("serial2", [(0, 2), (1, 2)]);
        assert_eq!(cables, [cable("serial", [(0, 1), (1, 1)]), second]);
    }

    #[test]
    fn lines_of_several_lead_where_they_say() {
        let cables = lines(&[
            ("a", &[Some("c"), Some("b"), None]),
            ("b", &[Some("c"), Some("a")]),
            ("c", &[Some("b"), Some("a"), Some("a")]),
        ]);
        let expected = [
            cable("serial-a-b", [(0, 2), (1, 2)]),
            cable("serial-a-c", [(0, 1), (2, 2)]),
            cable("serial-b-c", [(1, 1), (2, 1)]),
        ];
        assert_eq!(cables, expected);
    }
}
