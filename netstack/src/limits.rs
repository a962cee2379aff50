//! Every bound and every interval of the netstack, related to the others. A queue,
//! table or timer without a name here is a bug.

use crate::types::Now;

/// Network ports of one node.
pub const PORTS: usize = 4;
/// Static addresses of one port: two of each family.
pub const ADDRESSES: usize = 4;
/// Gateways of one port: one of each family, and one to spare for each.
pub const GATEWAYS: usize = 4;
/// Serial lines of one node.
pub const LINES: usize = 4;
/// VIPs of a cluster.
pub const VIPS: usize = 8;
/// Ping targets of a node.
pub const TARGETS: usize = 8;
/// Hardware addresses of members: 32 nodes with two LAN ports each.
pub const MEMBERS: usize = 64;

/// Bytes of one heartbeat.
pub const FRAME: usize = 1280;
/// Bytes of a question to the witness, or of its answer.
pub const DATAGRAM: usize = 128;
/// The UDP port that questions come from and answers go to; also the one on which a
/// witness listens unless told otherwise.
pub const WITNESS_PORT: u16 = 5581;
/// Bytes of the largest Ethernet frame sent: a 1500-byte MTU and its header.
pub const PACKET: usize = 1514;
/// Bytes of the largest serial transmission: one framed heartbeat.
pub const SERIAL: usize = 1300;
/// Heartbeats waiting to be sent: one for each wire. More means that nobody drains.
pub const HEARTBEATS: usize = PORTS + LINES;
/// Echo requests of one target whose answers still count.
pub const ECHOES: usize = 8;

/// ARP or NDP probes of one search (RFC 5227, PROBE_NUM).
pub const PROBES: u8 = 3;
/// Time between two probes. RFC 5227 asks for a second or more, for networks with
/// unknown delays; a server LAN answers in well under a millisecond, and a takeover waits.
pub const PROBE_SPACING: Now = Now::from_millis(25);
/// Random part of that time, so that two nodes do not probe in step.
pub const PROBE_JITTER: Now = Now::from_millis(5);
/// Time from the first probe to the verdict. Design: probing adds at most 100 ms.
pub const PROBE_TIME: Now = Now::from_millis(90);
/// How long the verdict "free" holds: from warntime to a takeover, not for ever.
pub const VERDICT_VALID: Now = Now::from_secs(5);
/// Time between two searches while a stranger holds the address.
pub const REPROBE: Now = Now::from_secs(3);

/// Announcements of one burst (RFC 5227 says two; a lossy switch deserves one more).
pub const BURST: u8 = 3;
/// Time between two announcements of a burst.
pub const BURST_SPACING: Now = Now::from_millis(40);
/// From the first burst to the second, for switches that learn slowly after a change.
pub const SECOND_BURST: Now = Now::from_secs(5);
/// Between slow refreshes: shorter than the usual neighbour and switch table lifetimes.
pub const REFRESH: Now = Now::from_secs(30);
/// Random part of [`REFRESH`], so that VIPs do not refresh in step.
pub const REFRESH_JITTER: Now = Now::from_secs(3);
/// At most one defence, and one conflict event, for each VIP in this time.
pub const DEFEND_INTERVAL: Now = Now::from_secs(1);

/// At most one question for a next hop's hardware address in this time (RFC 1122,
/// 2.3.2.1), and how long pings may stay unanswered before it is asked again.
pub const ASK_INTERVAL: Now = Now::from_secs(1);

const _: () = assert!(
    PROBE_TIME.as_millis() <= 100,
    "probing adds at most 100 ms to a takeover"
);
const _: () = assert!(
    (PROBES as u128 - 1) * (PROBE_SPACING.as_millis() + PROBE_JITTER.as_millis()) + 25
        <= PROBE_TIME.as_millis(),
    "the last probe leaves time for an answer"
);
const _: () = assert!(
    PROBE_TIME.as_millis() < REPROBE.as_millis(),
    "one search ends before the next begins"
);
const _: () = assert!(
    (BURST as u128 - 1) * BURST_SPACING.as_millis() <= 100,
    "a burst is over within 100 ms"
);
const _: () = assert!(
    BURST as u128 * BURST_SPACING.as_millis() < SECOND_BURST.as_millis(),
    "bursts do not overlap"
);
const _: () = assert!(
    SECOND_BURST.as_millis() < REFRESH.as_millis() - REFRESH_JITTER.as_millis(),
    "the refresh is the slow one"
);
const _: () = assert!(
    crate::ethernet::wire_len(FRAME) <= PACKET,
    "a heartbeat fits in one Ethernet frame"
);
const _: () = assert!(
    crate::serial::wire_len(FRAME) <= SERIAL,
    "a framed heartbeat fits in one serial transmission"
);
