//! Bounds of the node's own buffers, related to those of its parts.

/// Bytes of why an operator's wish stays open: five of the longest names, and what joins them.
pub const WHY: usize = 320;
/// Bytes of the largest Ethernet frame sent or looked at: a 1500-byte MTU and its header.
pub const PACKET: usize = 1514;
/// Bytes of the largest serial transmission: one COBS-framed heartbeat.
pub const SERIAL: usize = 1300;
/// Network ports of one node.
pub const PORTS: usize = 4;
/// Serial lines of one node.
pub const LINES: usize = 4;
/// Services of a cluster.
pub const SERVICES: usize = 8;
/// VIPs of a cluster.
pub const VIPS: usize = 8;
/// Bytes of a name.
pub const NAME: usize = kodo_engine::limits::NAME;
/// Bytes of an IPv6 address as text, the longest form.
pub const ADDRESS: usize = 45;
/// Bytes of a slot of the state partition, of which there are two: a page, so that it is
/// written as one by every disk.
pub const SLOT: usize = 4096;
/// Bytes of one log line: a wide terminal.
pub const LOG_TEXT: usize = 200;
/// From the answer to a drill until the node breaks: the operator hears it first.
pub const DRILL_DELAY: kodo_engine::Now = kodo_engine::Now::from_millis(250);
/// Log lines kept in the ring.
pub const LOG_RING: usize = 256;
/// Log lines in one reply to the admin child.
pub const LOG_PAGE: usize = 16;

const _: () = assert!(
    SERIAL > kodo_engine::limits::FRAME + 12,
    "COBS and CRC need room"
);
const _: () = assert!(
    kodo_netstack::limits::DATAGRAM >= kodo_engine::limits::WITNESS,
    "a datagram carries a question to the witness"
);
const _: () = assert!(SLOT >= kodo_engine::limits::STATE, "a slot holds a table");
const _: () = assert!(LOG_PAGE <= LOG_RING, "a page comes from the ring");
