//! The heartbeat's layout on the wire: bytes in, a narrow valid type out.
//!
//! Owns the layout, the MAC and every check that needs no memory. Total: any bytes
//! give a [`Beat`] or a typed reject. Never judges freshness; that needs memory.
//!
//! ```text
//! version 4 | cluster id 4, LE | body (postcard) | MAC 16
//! body = Core | count of hears, hears ... | registers until the end
//! ```
//!
//! The MAC is HMAC-SHA-256 over everything before it, truncated to 16 bytes
//! (RFC 2104 section 5), and is verified before the body is looked at. The parts
//! after the core are filled as far as the path's budget goes: on a narrow line
//! only the echo of its peer fits.

use heapless::Vec;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::claims::Claim;
use crate::config::Config;
use crate::limits;
use crate::operator::Register;
use crate::surface::{Cause, Frame, Health, Phase, Reject, Role, View};
use crate::table::Disk;
use crate::types::{BootId, Key, NodeId, NodeSet, Now};

/// Of the layout; another one is malformed.
pub const VERSION: u8 = 4;
/// Bytes of the truncated MAC.
pub const MAC: usize = 16;
/// Epochs and sequences stay below this: six varint bytes, a thousand beats a
/// second for a century. More is malformed, so arithmetic on them cannot overflow.
pub const COUNT_LIMIT: u64 = 1 << 42;

const HEADER: usize = 5;
/// Worst-case encoded sizes, proven by test.
const CORE: usize = 136;
const GROUP: usize = 32;
const HEARS: usize = 23;
pub(crate) const REGISTER: usize = 23;

/// Bytes of the smallest budget that carries a heartbeat with this many groups and
/// echoes of this many peers, whatever the values. `kodo-config` refuses a path
/// below `floor(groups, 2)`: the echo of its peer, and of a candidate.
pub const fn floor(groups: usize, echoes: usize) -> usize {
    HEADER + CORE + groups * GROUP + 1 + echoes * HEARS + MAC
}

const _: () = assert!(
    floor(limits::GROUPS, limits::NODES - 1) + REGISTER <= limits::FRAME,
    "the widest path echoes everybody and gossips"
);

/// One node's whole word, without what depends on the path's budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Who says it.
    pub sender: NodeId,
    /// On which path: [`crate::operator::tag`] of its name.
    #[serde(with = "postcard::fixint::le")]
    pub path: u32,
    /// In which life.
    #[serde(with = "postcard::fixint::le")]
    pub boot: u64,
    /// How long that life lasts, in milliseconds, rounded down.
    pub uptime: u64,
    /// The beat's number, the same on all paths.
    pub seq: u64,
    /// Which cluster file it runs.
    #[serde(with = "postcard::fixint::le")]
    pub file_hash: u64,
    /// Which one is staged there to be run next, by its [`crate::operator::mark`]; 0 for none.
    pub next: u32,
    /// All that the staged file changes is down there, and stays down until the switch.
    pub ready: bool,
    /// Where it stands.
    pub standing: Standing,
    /// Whether it reaches the clients' network.
    pub reachable: bool,
    /// How well it is.
    pub health: Health,
    /// The nodes that it hears both ways.
    pub mesh: NodeSet,
    /// The nodes that operators there vouched for as dead.
    pub vouched: NodeSet,
    /// Nodes outside its view to which it granted a lease less than W ago, by its own
    /// clock: of a light group, and of a guarded one.
    pub owes: NodeSet,
    /// See `owes`.
    pub owes_guarded: NodeSet,
    /// It holds a lease: members enough to decide, or the arbiter, granted it.
    pub leased: bool,
    /// It has waited for the others long enough to decide without them.
    pub alone: bool,
    /// The largest W of its file, in milliseconds, rounded up.
    pub bound: u32,
    /// What nodes must have in common to agree with each other: a hash of the file's
    /// nodes, votes and policy.
    #[serde(with = "postcard::fixint::le")]
    pub terms: u32,
    /// The view installed there.
    pub view: Option<View>,
    /// The view it proposes, or agrees to.
    pub ballot: Option<View>,
    /// The newest epoch it knows of.
    pub epoch: u64,
    /// Version of the plan that it makes (coordinator) or follows, under its view.
    pub plan: u32,
    /// What its disk holds of operators' wishes.
    pub disk: Disk,
    /// Its word on each group of its file.
    pub groups: Vec<GroupLine, { limits::GROUPS }>,
}

/// Where a sender stands, as others must treat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// Fresh from boot and held back: not to be made a member yet.
    Held,
    /// An observer that may become a member.
    Ready,
    /// A member of the view it names.
    Member,
    /// Gives everything up, then leaves.
    Leaving,
    /// Gave way to another machine with its identity.
    Refused,
}

impl Standing {
    /// As people are told.
    pub fn role(self) -> Role {
        match self {
            Standing::Held | Standing::Ready => Role::Observer,
            Standing::Member => Role::Member,
            Standing::Leaving => Role::Leaving,
            Standing::Refused => Role::Refused,
        }
    }
}

/// A sender's word on one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLine {
    /// [`crate::operator::tag`] of the group's name.
    #[serde(with = "postcard::fixint::le")]
    pub tag: u32,
    /// Its newest tenure.
    pub claim: Claim,
    /// True while the group may not run there: fail count, stranger on the VIP.
    pub banned: bool,
    /// How far it is there: other groups may wait for it.
    pub phase: Phase,
    /// How fit its instance is to be promoted by this group, if it can be.
    pub fit: Option<i16>,
    /// Where the plan wants it; `None` when it is not planned yet.
    pub assigned: Option<Assigned>,
}

/// A plan's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Assigned {
    /// On this node, or nowhere; a clone on several.
    pub nodes: NodeSet,
    /// Why.
    pub cause: Cause,
}

/// The echo: what a sender last heard of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hears {
    /// Of whom.
    pub node: NodeId,
    /// Of which life.
    #[serde(with = "postcard::fixint::le")]
    pub boot: u64,
    /// The newest authentic beat.
    pub heard: u64,
    /// The newest fresh beat of a member: its lease runs from when it sent that one.
    /// 0 when nothing was granted.
    pub granted: u64,
    /// Paths on which it was heard lately, one bit each.
    pub paths: u8,
    /// What the sender thinks of that life.
    pub bond: Bond,
}

/// What a sender thinks of a life that it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bond {
    /// It has not proven itself yet.
    Candidate,
    /// It has.
    Confirmed,
    /// It is the newcomer of two with one identity.
    Refused,
}

/// A decoded heartbeat: authentic, of this cluster, every value in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The sender's word.
    pub core: Core,
    /// Its echoes.
    pub hears: Vec<Hears, { 2 * limits::NODES }>,
    /// Some of the operator registers it knows.
    pub registers: Vec<Register, { limits::REGISTERS }>,
}

impl Beat {
    /// The sender's life.
    pub fn boot(&self) -> BootId {
        BootId(self.core.boot)
    }

    /// The sender's uptime, rounded down to a millisecond.
    pub fn uptime(&self) -> Now {
        Now::from_millis(self.core.uptime)
    }

    /// What it heard of one life of a node.
    pub fn echo(&self, node: NodeId, boot: BootId) -> Option<&Hears> {
        self.hears
            .iter()
            .find(|hears| hears.node == node && hears.boot == boot.0)
    }
}

/// Seals and opens heartbeats of one cluster.
#[derive(Clone)]
pub struct Codec {
    cluster_id: u32,
    nodes: usize,
    keys: Vec<Hmac<Sha256>, 2>,
}

impl core::fmt::Debug for Codec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Codec")
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Codec {
    /// For the cluster of this file.
    pub fn new(config: &Config) -> Codec {
        Codec {
            cluster_id: config.cluster_id,
            nodes: config.nodes.len(),
            keys: config.keys.iter().map(keyed).collect(),
        }
    }

    /// The keys of another file of this cluster.
    pub(crate) fn adopt(&mut self, config: &Config) {
        self.keys = config.keys.iter().map(keyed).collect();
    }

    /// Lays out a heartbeat in at most `budget` bytes, as much of `hears` and
    /// `registers` as fits, in their order.
    pub fn seal(
        &self,
        core: &Core,
        hears: impl Iterator<Item = Hears>,
        registers: impl Iterator<Item = Register>,
        budget: usize,
    ) -> Frame {
        let mut bytes = [0u8; limits::FRAME];
        let room = budget.min(limits::FRAME).saturating_sub(MAC);
        bytes[0] = VERSION;
        bytes[1..HEADER].copy_from_slice(&self.cluster_id.to_le_bytes());
        let mut end = HEADER;
        let fits = append(&mut bytes[..room], &mut end, core) && end < room;
        assert!(fits, "a path's budget is at least codec::floor");
        let count = end;
        end += 1;
        for echo in hears.take(2 * limits::NODES) {
            if !append(&mut bytes[..room], &mut end, &echo) {
                break;
            }
            bytes[count] += 1;
        }
        for register in registers {
            if !append(&mut bytes[..room], &mut end, &register) {
                break;
            }
        }
        let mac = self.sign(&bytes[..end]);
        bytes[end..end + MAC].copy_from_slice(&mac);
        Frame::from_slice(&bytes[..end + MAC]).unwrap_or_default()
    }

    /// Checks bytes from outside and gives their meaning.
    ///
    /// # Errors
    /// [`Reject::Malformed`], [`Reject::OtherCluster`] or [`Reject::Forged`].
    pub fn open(&self, bytes: &[u8]) -> Result<Beat, Reject> {
        if bytes.len() < HEADER + MAC || bytes.len() > limits::FRAME || bytes[0] != VERSION {
            return Err(Reject::Malformed);
        }
        if bytes[1..HEADER] != self.cluster_id.to_le_bytes() {
            return Err(Reject::OtherCluster);
        }
        let (signed, tag) = bytes.split_at(bytes.len() - MAC);
        if !self.is_authentic(signed, tag) {
            return Err(Reject::Forged);
        }
        let beat = decode(&signed[HEADER..]).ok_or(Reject::Malformed)?;
        if self.valid(&beat) {
            Ok(beat)
        } else {
            Err(Reject::Malformed)
        }
    }

    /// The cluster whose frames are ours.
    pub(crate) fn cluster_id(&self) -> u32 {
        self.cluster_id
    }

    /// The MAC of what is said by the first key.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; MAC] {
        let mac = self.keys[0].clone().chain_update(bytes).finalize();
        core::array::from_fn(|n| mac.as_bytes()[n])
    }

    /// Whether an accepted key made this MAC.
    pub(crate) fn is_authentic(&self, bytes: &[u8], mac: &[u8]) -> bool {
        self.keys.iter().any(|key| {
            key.clone()
                .chain_update(bytes)
                .verify_truncated_left(mac)
                .is_ok()
        })
    }

    /// Whether a register's stamp is one that a node of this cluster can have made.
    pub(crate) fn plausible(&self, register: &Register) -> bool {
        let stamp = &register.stamp;
        stamp.node.index() < self.nodes && stamp.epoch < COUNT_LIMIT
    }

    /// Every value in range: what comes after may index and count without fear.
    fn valid(&self, beat: &Beat) -> bool {
        let node = |node: NodeId| node.index() < self.nodes;
        let count = |count: u64| count < COUNT_LIMIT;
        let all = NodeSet::first(self.nodes);
        let view = |view: &View| {
            count(view.epoch)
                && view.epoch > 0
                && view.members.is_subset(all)
                && view.members.contains(view.coordinator)
                && view.written_off.is_subset(all.minus(view.members))
        };
        let core = &beat.core;
        let group = |line: &GroupLine| {
            let claim = &line.claim;
            count(claim.tenure)
                && claim
                    .over
                    .is_none_or(|(epoch, over)| count(epoch) && epoch < claim.tenure && node(over))
                && line.fit.is_none_or(|fit| fit >= 0)
                && line
                    .assigned
                    .is_none_or(|assigned| assigned.nodes.is_subset(all))
        };
        let hears =
            |hears: &Hears| node(hears.node) && count(hears.heard) && hears.granted <= hears.heard;
        node(core.sender)
            && count(core.uptime)
            && count(core.seq)
            && core.seq > 0
            && count(core.epoch)
            && core.mesh.is_subset(all)
            && core.vouched.is_subset(all)
            && !core.vouched.contains(core.sender)
            && core.owes.is_subset(all)
            && core.owes_guarded.is_subset(all)
            && core.view.as_ref().is_none_or(view)
            && core
                .view
                .is_none_or(|view| view.members.contains(core.sender))
            && match core.standing {
                Standing::Member => core.view.is_some(),
                Standing::Leaving => true,
                Standing::Held | Standing::Ready | Standing::Refused => core.view.is_none(),
            }
            && core.ballot.as_ref().is_none_or(view)
            && core.groups.iter().all(group)
            && beat.hears.iter().all(hears)
            && beat
                .registers
                .iter()
                .all(|register| self.plausible(register))
    }
}

/// The key padded with zeroes to a block, as RFC 2104 pads it.
pub(crate) fn keyed(key: &Key) -> Hmac<Sha256> {
    let mut block = [0u8; 64];
    block[..key.0.len()].copy_from_slice(&key.0);
    Hmac::new(&block.into())
}

/// Appends a value if it fits; `end` moves only then.
pub(crate) fn append<T: Serialize>(bytes: &mut [u8], end: &mut usize, value: &T) -> bool {
    match postcard::to_slice(value, &mut bytes[*end..]) {
        Ok(used) => {
            *end += used.len();
            true
        }
        Err(_) => false,
    }
}

fn decode(body: &[u8]) -> Option<Beat> {
    let (core, rest) = postcard::take_from_bytes::<Core>(body).ok()?;
    let mut beat = Beat {
        core,
        hears: Vec::new(),
        registers: Vec::new(),
    };
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        let (echo, after) = postcard::take_from_bytes(rest).ok()?;
        beat.hears.push(echo).ok()?;
        rest = after;
    }
    while !rest.is_empty() {
        let (register, after) = postcard::take_from_bytes(rest).ok()?;
        beat.registers.push(register).ok()?;
        rest = after;
    }
    Some(beat)
}

#[cfg(test)]
mod tests;
