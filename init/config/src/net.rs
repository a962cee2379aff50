//! Hardware addresses, PCI addresses, and addresses in their networks.
//!
//! Owns what they mean; `leaf` owns how the file spells them.

use core::fmt;
use core::net::IpAddr;

use serde::Serialize;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// `domain:bus:device.function`, as sysfs names the device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PciAddress(pub String);

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cidr {
    /// The address, host bits included.
    pub address: IpAddr,
    /// 1 to 32, or to 128.
    pub prefix: u8,
}

impl Cidr {
    /// Whether `address` lies in this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (bits(self.address), bits(address)) {
            ((own, width), (other, theirs)) if width == theirs => {
                let host = u32::from(width.saturating_sub(self.prefix));
                own.checked_shr(host).unwrap_or(0) == other.checked_shr(host).unwrap_or(0)
            }
            _ => false,
        }
    }

    /// Whether two networks share addresses.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// True for the IPv4 network address or broadcast address of the network, which no host may have.
    #[must_use]
    pub fn is_network_or_broadcast(&self) -> bool {
        let (own, width) = bits(self.address);
        let host = u32::from(width.saturating_sub(self.prefix));
        if width == 128 || host < 2 {
            return false;
        }
        let mask = (1_u128 << host) - 1;
        own & mask == 0 || own & mask == mask
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        let (address, prefix) = text.split_once('/').unwrap();
        Cidr {
            address: address.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }
    }

    #[test]
    fn networks() {
        let lan = cidr("192.168.0.18/24");
        assert!(lan.contains("192.168.0.255".parse().unwrap()));
        assert!(!lan.contains("192.168.1.0".parse().unwrap()));
        assert!(!lan.contains("fd00::1".parse().unwrap()));
        assert!(cidr("10.0.0.1/8").overlaps(&cidr("10.9.0.0/16")));
        assert!(cidr("fd00::1/128").contains("fd00::1".parse().unwrap()));
        for (text, odd) in [
            ("10.0.0.0/24", true),
            ("10.0.0.255/24", true),
            ("10.0.0.254/31", false),
            ("fd00::/64", false),
        ] {
            assert_eq!(cidr(text).is_network_or_broadcast(), odd, "{text}");
        }
    }
}
