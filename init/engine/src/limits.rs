//! Every bound of the engine, related to the others. A queue, table or loop
//! without a name here is a bug.

use crate::types::Now;

/// Nodes of a cluster. The commercial peers stop at 32 too.
pub const NODES: usize = 32;
/// Heartbeat paths of a cluster: two LANs, two crossovers, a few serial lines.
pub const PATHS: usize = 8;
/// Groups of a cluster.
pub const GROUPS: usize = 8;
/// Colocations of a cluster: each group with each other one.
pub const COLOCATIONS: usize = GROUPS * (GROUPS - 1);
/// Orders of a cluster: each group after each earlier one.
pub const ORDERS: usize = GROUPS * (GROUPS - 1) / 2;
/// Groups that placement can weigh against each other; one bit each.
pub const PLACED: usize = 64;
/// Arrangements that placement tries before it takes the best one found: enough to be
/// exact for the clusters that people draw on paper, and less than a millisecond.
pub const TRIES: usize = 2_000;
/// Different reasons that one decision tells of the nodes it did not take: as many as a log
/// line has room for.
pub const REASONS: usize = 6;
/// Members of one group.
pub const MEMBERS: usize = 8;
/// Resources of a cluster.
pub const RESOURCES: usize = 32;
/// Bytes of one heartbeat on the widest path: leaves room for the Ethernet and
/// UDP headers of a 1500-byte MTU.
pub const FRAME: usize = 1280;
/// Bytes of a node, group, path or resource name.
pub const NAME: usize = 32;
/// Beats that one deadtime may span: the send-time ring holds twice as many.
pub const BEATS_PER_DEADTIME: usize = 64;

/// Beats that the send-time ring remembers: extra beats come at most four times as
/// often as ordinary ones, and a deadtime back must always be there.
pub const SENT: usize = BEATS_PER_DEADTIME * 8;
/// Extra beats (a state changed) come at most this many times per keepalive.
pub const EXTRA_BEATS: u32 = 4;
/// Unconfirmed lives of one node that are echoed at a time: enough for a restarted
/// node amid replays of its earlier lives.
pub const CANDIDATES: usize = 4;
/// Superseded lives of one node that are remembered. A forgotten one could still
/// not prove itself: it echoes nothing recent.
pub const SUPERSEDED: usize = 8;
/// Keepalives of a path without a frame after which it no longer counts as heard,
/// after which a newcomer's vote is no longer waited for, and after which a gap between
/// members counts.
pub const MISSED: u32 = 3;
/// Deadtimes without an answer from the ping group after which clients count as out of
/// reach while there is carrier: at 30 % loss each way half of all pings go
/// unanswered, and an hour of that must not look like a dead LAN.
pub const PING_SILENCE: u32 = 4;
/// Deadtimes between two moves of one group for reachability alone.
pub const DAMPING: u32 = 10;
/// How long a node must read as ill before others are told: a burst is no illness.
pub const ILL_AFTER: Now = Now::from_secs(10);
/// How long it must read as well before it is trusted again: of readings that flap, one group is
/// moved at most once in this time.
pub const WELL_AFTER: Now = Now::from_secs(120);
/// How long a reading counts: who reads nothing any more is not ill for ever.
pub const READING: Now = Now::from_secs(30);
/// Longest back-off, in deadtimes, of a node that does not answer proposals.
pub const BACKOFF: u32 = 16;
/// Effects waiting to be polled.
pub const EFFECTS: usize = 320;
/// Of these, kept free for actions: log lines are dropped (and counted) first. A resource
/// starts, stops, is announced, and its gate opens and closes; a tick sends on every path,
/// changes do so once more, one question goes to the witness and one table to the disk.
pub const ACTIONS: usize = 6 * RESOURCES + 2 * PATHS + 2;
/// Operator registers: standby and quarantine per node; preference, cleanup and whether it
/// is left alone per group; maintenance; the cluster file.
pub const REGISTERS: usize = 2 * NODES + 3 * GROUPS + 2;
/// Bytes of the table of all registers as it lies on disk; [`crate::table`] asserts that a
/// full one fits, and `kodo-node` that it fits a slot, which is written as one.
pub const STATE: usize = 2304;
/// From boot until a state partition that was not read is an alert: slow firmware on a
/// storage controller takes ten seconds.
pub const STATE_UNREAD: Now = Now::from_secs(20);
/// A write that is not confirmed for so long is an alert: a disk that spins up or a
/// controller that resets takes a few seconds, and every wish waits for it.
pub const STATE_OVERDUE: Now = Now::from_secs(5);
/// After a refused write, the next attempt.
pub const STATE_RETRY: Now = Now::from_secs(10);
/// Deadtimes for which a wish for another cluster file waits for votes, beyond the time that
/// stops may take, before it is withdrawn; and for which two files side by side are the
/// switch from one to the other, and no alarm.
pub const SWITCH: u32 = 10;
/// No time in a file is longer: sums with the uptime cannot overflow.
pub const LONGEST: Now = Now::from_secs(100 * 365 * 24 * 3600);
/// Bytes of the longest message between a node and a witness; proven by test.
pub const WITNESS: usize = 96;
/// Lives of nodes that a witness remembers in one cluster: each node's present one,
/// and as many again that ended, or are refused as twins, within one W.
pub const WITNESS_LIVES: usize = 2 * NODES;
/// Time between two log lines about rejected frames of one reason.
pub const REJECT_LOG: Now = Now::from_secs(10);

const _: () = assert!(
    SENT >= BEATS_PER_DEADTIME * EXTRA_BEATS as usize + BEATS_PER_DEADTIME,
    "deadtime fits the ring"
);
const _: () = assert!(EFFECTS > ACTIONS, "log lines have room too");
const _: () = assert!(
    ILL_AFTER.as_secs() < READING.as_secs() && READING.as_secs() < WELL_AFTER.as_secs(),
    "one reading makes nobody ill for long"
);
const _: () = assert!(PATHS <= 8, "path bitmaps are a u8");
const _: () = assert!(NODES <= 32, "NodeSet is a u32");
const _: () = assert!(GROUPS <= PLACED && PLACED <= 64, "sets of groups are a u64");
const _: () = assert!(MEMBERS <= RESOURCES, "a group's members are resources");
