//! What the kernel says about network links, read without allocating.
//!
//! Owns the decoding of `RTM_NEWLINK` and `RTM_DELLINK` as far as PID 1 needs it: which
//! link, and whether it has carrier; and bringing a link up, which is the same structure.
//! The rest of rtnetlink is the net lane's business.

use crate::netlink::Message;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const IFF_UP: u32 = 0x1;
const IFF_LOWER_UP: u32 = 0x1_0000;

/// The message type that changes a link: `RTM_NEWLINK`.
pub const SET: u16 = RTM_NEWLINK;

/// The message type that asks about a link: `RTM_GETLINK`.
pub const GET: u16 = 18;

/// The payload of a [`GET`] request.
#[must_use]
pub fn of(index: u32) -> [u8; 16] {
    let mut info = [0; 16];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    info
}

/// The payload of a [`SET`] request that brings a link up: a bare `struct ifinfomsg`.
#[must_use]
pub fn up(index: u32) -> [u8; 16] {
    let mut info = [0; 16];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    info[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
    info[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    info
}

/// A link changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// Which, by its index.
    pub index: u32,
    /// What is known of it now; `None` when it is gone.
    pub carrier: Option<bool>,
}

/// Whether a link with these flags (`ifi_flags`) can carry frames.
#[must_use]
pub fn has_carrier(flags: u32) -> bool {
    flags & IFF_UP != 0 && flags & IFF_LOWER_UP != 0
}

impl LinkChange {
    /// Reads a message of the link group; `None` for any other.
    #[must_use]
    pub fn parse(message: &Message<'_>) -> Option<LinkChange> {
        // struct ifinfomsg: family, pad, type u16, index i32, flags u32, change u32.
        let info = message.payload.first_chunk::<16>()?;
        let index = u32::from_ne_bytes([info[4], info[5], info[6], info[7]]);
        let flags = u32::from_ne_bytes([info[8], info[9], info[10], info[11]]);
        // Bridges speak about their ports in the same group with their own family.
        if info[0] != 0 {
            return None;
        }
        match message.kind {
            RTM_NEWLINK => Some(LinkChange {
                index,
                carrier: Some(has_carrier(flags)),
            }),
            RTM_DELLINK => Some(LinkChange {
                index,
                carrier: None,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(index: u32, flags: u32) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[4..8].copy_from_slice(&index.to_ne_bytes());
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn carrier_needs_the_link_up_and_the_cable_in() {
        for (flags, carrier) in [
            (0, false),
            (IFF_UP, false),
            (IFF_LOWER_UP, false),
            (IFF_UP | IFF_LOWER_UP, true),
        ] {
            let payload = info(3, flags);
            let message = Message {
                kind: RTM_NEWLINK,
                sequence: 0,
                payload: &payload,
            };
            assert_eq!(
                LinkChange::parse(&message),
                Some(LinkChange {
                    index: 3,
                    carrier: Some(carrier)
                })
            );
        }
    }

    #[test]
    fn a_deleted_link_is_gone_and_other_messages_are_nothing() {
        let payload = info(4, IFF_UP);
        let deleted = Message {
            kind: RTM_DELLINK,
            sequence: 0,
            payload: &payload,
        };
        assert_eq!(
            LinkChange::parse(&deleted),
            Some(LinkChange {
                index: 4,
                carrier: None
            })
        );
        assert_eq!(
            LinkChange::parse(&Message {
                kind: 20,
                ..deleted
            }),
            None
        );
        assert_eq!(
            LinkChange::parse(&Message {
                payload: &payload[..9],
                ..deleted
            }),
            None
        );
    }
}
