//! Hardware addresses and EtherTypes, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everybody.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it addresses several stations.
    #[must_use]
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| format!("`{text}` is no hardware address"))?;
        }
        if parts.next().is_some() {
            return Err(format!("`{text}` is no hardware address"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// IEEE 802 local experimental 1: the cluster's heartbeats.
    pub const KODO: Self = Self(0x88b5);

    /// That of a frame; `None` when it is too short to have one.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        Some(Self(u16::from_be_bytes(
            frame.get(12..14)?.try_into().ok()?,
        )))
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("ipv4"),
            Self::ARP => f.write_str("arp"),
            Self::IPV6 => f.write_str("ipv6"),
            Self::KODO => f.write_str("kodo"),
            Self(other) => write!(f, "0x{other:04x}"),
        }
    }
}

impl FromStr for EtherType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ipv4" | "ip" => Ok(Self::IPV4),
            "arp" => Ok(Self::ARP),
            "ipv6" => Ok(Self::IPV6),
            "kodo" => Ok(Self::KODO),
            hex => u16::from_str_radix(hex.trim_start_matches("0x"), 16)
                .map(Self)
                .map_err(|_| format!("`{text}` is no EtherType: say kodo, arp, ipv4, ipv6 or a number like 0x88b5")),
        }
    }
}

/// The source address of a frame; `None` when it is too short.
#[must_use]
pub fn source(frame: &[u8]) -> Option<Mac> {
    Some(Mac(frame.get(6..12)?.try_into().ok()?))
}

/// The destination address of a frame; `None` when it is too short.
#[must_use]
pub fn destination(frame: &[u8]) -> Option<Mac> {
    Some(Mac(frame.get(..6)?.try_into().ok()?))
}
