//! Ids, hardware addresses and prefixes: the words that the modules share.

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Monotonic time since this node booted; the only clock here.
pub type Now = core::time::Duration;

/// A network port, by its position in [`crate::Config::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IfIndex(pub u8);

/// A serial line, by its position in the node's part of the cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineIndex(pub u8);

/// A VIP, by its position in [`crate::Config::vips`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipIndex(pub u8);

/// A ping target, by its position in [`crate::Config::targets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetIndex(pub u8);

/// An Ethernet hardware address. Shown as `52:54:00:00:01:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Every station.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// True when it can name one machine: neither a group address nor all zeros.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Mac(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address with the length of its network's prefix: `192.168.0.18/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// The address itself, host part included.
    pub address: IpAddr,
    /// Bits that all stations of the network share; at most 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// True when `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let host = 32u32.saturating_sub(self.len.into());
                u64::from(own.to_bits() ^ other.to_bits()) >> host == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let host = 128u32.saturating_sub(self.len.into());
                (own.to_bits() ^ other.to_bits())
                    .checked_shr(host)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn check(prefix: (&str, u8), address: &str, inside: bool) {
        let prefix = Prefix {
            address: prefix.0.parse().unwrap(),
            len: prefix.1,
        };
        assert_eq!(
            prefix.contains(address.parse().unwrap()),
            inside,
            "{prefix:?} {address}"
        );
    }

    #[test]
    fn prefixes() {
        check(("192.168.0.18", 24), "192.168.0.1", true);
        check(("192.168.0.18", 24), "192.168.1.1", false);
        check(("192.168.0.18", 32), "192.168.0.18", true);
        check(("192.168.0.18", 32), "192.168.0.19", false);
        check(("192.168.0.18", 0), "10.0.0.1", true);
        check(("fd00::18", 64), "fd00::1", true);
        check(("fd00::18", 64), "fd00:0:0:1::1", false);
        check(("fd00::18", 0), "2001:db8::1", true);
        check(("fd00::18", 64), "192.168.0.1", false);
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(
            Mac([0x52, 0x54, 0, 0, 1, 0xff]).to_string(),
            "52:54:00:00:01:ff"
        );
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_station());
        assert!(!Mac::BROADCAST.is_station());
        assert!(!Mac([0; 6]).is_station());
    }
}
