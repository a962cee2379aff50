//! Addresses for the lab's own hosts, chosen so that they are in nobody's way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::boot::{Boot, Cidr, Nic, NicRole};
use crate::wire::mac::Mac;

/// Host numbers tried for each host, the first free one wins.
const GATEWAY: [u16; 3] = [1, 254, 253];
const CLIENT: [u16; 4] = [100, 99, 98, 150];
const OBSERVER: [u16; 4] = [101, 102, 97, 151];

/// The addresses of the lab's own hosts on the first LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) gateway: Vec<Cidr>,
    pub(crate) client: Vec<Cidr>,
    pub(crate) observer: Vec<Cidr>,
}

/// The hardware address of the lab's n-th own host.
pub(crate) fn mac(n: u8) -> Mac {
    Mac([0x52, 0x54, 0x00, 0x6b, 0x00, n])
}

/// Chooses addresses in every network that the nodes have on their first LAN. The gateway
/// has the `wished` ones too, even those beyond the LAN.
pub(crate) fn plan(boot: &Boot, wished: &[IpAddr]) -> Plan {
    let first_lans = boot
        .nodes
        .values()
        .filter_map(|node| node.nics.iter().find(|nic| nic.role == NicRole::Lan));
    let nodes: Vec<Cidr> = first_lans
        .flat_map(|nic| nic.addresses().collect::<Vec<_>>())
        .collect();
    let mut networks: Vec<Cidr> = Vec::new();
    for &cidr in nodes.iter().chain(&boot.vips) {
        if cidr.prefix <= narrowest(cidr)
            && !networks.iter().any(|known| same_network(*known, cidr))
        {
            networks.push(cidr);
        }
    }
    let alone = |addr: IpAddr| Cidr {
        addr,
        prefix: if addr.is_ipv4() { 32 } else { 128 },
    };
    let at_home = |addr| {
        let here = |net: &Cidr| same_network(*net, Cidr { addr, ..*net });
        networks
            .iter()
            .find(|net| here(net))
            .map(|net| Cidr { addr, ..*net })
    };
    let mut gateway: Vec<Cidr> = wished
        .iter()
        .map(|addr| at_home(*addr).unwrap_or(alone(*addr)))
        .collect();
    let mut taken: Vec<IpAddr> = nodes
        .iter()
        .chain(&boot.vips)
        .chain(&gateway)
        .map(|cidr| cidr.addr)
        .chain(boot.witness.map(|witness| witness.address))
        .collect();
    let mut choose = |networks: &[Cidr], numbers: &[u16]| -> Vec<Cidr> {
        let free = |network: &Cidr| {
            numbers
                .iter()
                .map(|n| host(*network, *n))
                .find(|c| !taken.contains(&c.addr))
        };
        let chosen: Vec<Cidr> = networks.iter().filter_map(free).collect();
        taken.extend(chosen.iter().map(|cidr| cidr.addr));
        chosen
    };
    let has_none = |net: &Cidr| !gateway.iter().any(|own| same_network(*own, *net));
    let bare: Vec<Cidr> = networks.iter().copied().filter(has_none).collect();
    gateway.extend(choose(&bare, &GATEWAY));
    let (client, observer) = (choose(&networks, &CLIENT), choose(&networks, &OBSERVER));
    Plan {
        gateway,
        client,
        observer,
    }
}

/// An address with the prefix of the network on the nodes' first LANs that it lies in.
pub(crate) fn at_home(boot: &Boot, addr: IpAddr) -> Option<Cidr> {
    let lans = boot
        .nodes
        .values()
        .filter_map(|node| node.nics.iter().find(|nic| nic.role == NicRole::Lan));
    let here = |net: &Cidr| same_network(*net, Cidr { addr, ..*net });
    let net = lans.flat_map(Nic::addresses).find(here)?;
    Some(Cidr { addr, ..net })
}

/// The longest prefix that leaves room for the host numbers above.
fn narrowest(cidr: Cidr) -> u8 {
    if cidr.addr.is_ipv4() { 24 } else { 112 }
}

fn mask(cidr: Cidr) -> u128 {
    let bits = if cidr.addr.is_ipv4() { 32 } else { 128 };
    let number = match cidr.addr {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let free = bits - u32::from(cidr.prefix);
    if free >= 128 {
        0
    } else {
        number >> free << free
    }
}

fn same_network(a: Cidr, b: Cidr) -> bool {
    a.addr.is_ipv4() == b.addr.is_ipv4() && a.prefix == b.prefix && mask(a) == mask(b)
}

fn host(network: Cidr, number: u16) -> Cidr {
    let number = mask(network) | u128::from(number);
    let addr = match network.addr {
        // The upper bits of an IPv4 number are zero.
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or_default()).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    };
    Cidr {
        addr,
        prefix: network.prefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_in_the_way() {
        let boot: Boot = serde_json::from_str(
            r#"{"schema": 1, "cluster": "web", "vips": ["192.168.0.100/24", "192.168.0.33/32"],
            "nodes": {"node1": {"kernel": "k", "initrd": "i", "append": "", "nics": [
                {"role": "crossover", "mac": "52:54:00:00:01:02", "address": "10.0.0.1/24"},
                {"role": "lan", "mac": "52:54:00:00:01:01", "address": "192.168.0.18/24",
                 "more_addresses": ["fd00::18/64"]}]}}}"#,
        )
        .unwrap();
        let text = |list: &[Cidr]| {
            list.iter()
                .map(|c| format!("{}/{}", c.addr, c.prefix))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let plan_ = plan(&boot, &[]);
        assert_eq!(text(&plan_.gateway), "192.168.0.1/24 fd00::1/64");
        assert_eq!(text(&plan_.client), "192.168.0.99/24 fd00::64/64");
        assert_eq!(text(&plan_.observer), "192.168.0.101/24 fd00::65/64");
        let wished = ["192.168.0.254", "10.9.8.7"].map(|addr| addr.parse().unwrap());
        assert_eq!(
            text(&plan(&boot, &wished).gateway),
            "192.168.0.254/24 10.9.8.7/32 fd00::1/64"
        );
    }
}
