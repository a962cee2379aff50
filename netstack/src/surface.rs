//! What goes in and out of a [`Stack`](crate::Stack), as plain closed sets.
//!
//! Owns shapes only.

use heapless::Vec;

use crate::limits;
use crate::types::{IfIndex, LineIndex, Mac, Now, TargetIndex, VipIndex};

/// What a received packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress<'a> {
    /// A heartbeat, not authenticated yet. It may be our own that a switch sent back, or
    /// come from a machine with our own hardware address: the boot id inside tells.
    Heartbeat {
        /// Its bytes, without framing and padding.
        payload: &'a [u8],
        /// Who put it on the wire.
        source: Mac,
    },
    /// Somebody at the witness's address answers, not authenticated yet.
    Answer {
        /// Its bytes, without any headers.
        payload: &'a [u8],
    },
    /// It was for the netstack.
    Handled,
    /// It was for nobody here, or malformed (counted).
    Ignored,
}

/// Something to put on a wire, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "no allocation; one lives at a time"
)]
pub enum Transmit {
    /// A whole Ethernet frame.
    Port(IfIndex, Vec<u8, { limits::PACKET }>),
    /// Bytes for a serial line.
    Line(LineIndex, Vec<u8, { limits::SERIAL }>),
}

/// Something that the node should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nobody else answers for this VIP. At most one of this and
    /// [`Event::AddressTaken`] is waiting for each VIP: the newer.
    AddressFree(VipIndex),
    /// This stranger answers for it. The search is repeated until the stranger has gone
    /// ([`Event::AddressFree`]) or the VIP is withdrawn.
    AddressTaken(VipIndex, Mac),
    /// A member ([`crate::Stack::is_member`]) or a stranger claims a VIP that is
    /// announced here. At most one in [`limits::DEFEND_INTERVAL`] for each VIP.
    Conflict(VipIndex, Mac),
    /// A ping target answered the request that was sent at that time.
    Answered {
        /// Which target.
        target: TargetIndex,
        /// When the request was sent.
        sent: Now,
    },
}

/// Why a heartbeat or question was not taken for sending. Counted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The port has no device, or no carrier.
    NoLink,
    /// Empty, or longer than [`limits::FRAME`] ([`limits::DATAGRAM`] for a question).
    Length,
    /// There is no witness, or no way to it from its port.
    NoRoute,
}

/// What was rejected, lost or noticed since boot. All saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of a kind that matters, and wrong.
    pub malformed: u32,
    /// Serial bytes that belong to no valid frame, over all lines.
    pub noise: u32,
    /// Runs of serial bytes that are no valid frame, over all lines.
    pub broken: u32,
    /// Heartbeats and questions that were refused, or displaced by newer ones before they
    /// left.
    pub unsent: u32,
    /// Packets from strangers that hold or want a VIP that is searched for here.
    pub strangers: u32,
    /// Packets that claim a VIP that is announced here.
    pub conflicts: u32,
    /// Echo replies that answered one of our pings.
    pub answers: u32,
}
