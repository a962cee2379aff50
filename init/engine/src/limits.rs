//! Every bound of the engine, related to the others. A queue, table or loop
//! without a name here is a bug.

/// Nodes of a cluster. The commercial peers stop at 32 too.
pub const NODES: usize = 32;
/// Heartbeat paths of a cluster: two LANs, two crossovers, a few serial lines.
pub const PATHS: usize = 8;
/// Groups of a cluster.
pub const GROUPS: usize = 8;
/// Members of one group.
pub const MEMBERS: usize = 8;
/// Resources of a cluster.
pub const RESOURCES: usize = 32;
/// Bytes of one heartbeat on the widest path: leaves room for the Ethernet and
/// UDP headers of a 1500-byte MTU.
pub const FRAME: usize = 1024;
/// Bytes of a node, group, path or resource name.
pub const NAME: usize = 32;
/// Beats that one deadtime may span: the send-time ring holds twice as many.
pub const BEATS_PER_DEADTIME: usize = 64;

const _: () = assert!(NODES <= 32, "NodeSet is a u32");
const _: () = assert!(MEMBERS <= RESOURCES, "a group's members are resources");
