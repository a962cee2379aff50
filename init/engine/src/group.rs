//! What this node does with its groups and their members.
//!
//! Owns the state; the engine's `run` stage moves it. A group's claim says to others
//! how far it is; its phase says to ourselves.

use crate::claims::Claim;
use crate::config;
use crate::limits;
use crate::operator::Stamp;
use crate::surface::{Phase, Reason, RunState};
use crate::types::{GroupId, NodeId, Now, ResourceId};

/// A resource on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Member {
    /// Down for certain.
    Idle,
    /// Start was asked for.
    Starting { by: Now },
    /// It runs.
    Running,
    /// It failed; the supervisor restarts it in place.
    Failed,
    /// A stranger has its address; it comes up by itself when that one goes away.
    Blocked,
    /// Stop was asked for.
    Stopping { by: Now },
    /// A stop did not succeed: it may still act, and is not touched any more.
    Stuck,
}

impl Member {
    pub(crate) fn shown(self) -> RunState {
        match self {
            Member::Idle => RunState::Stopped,
            Member::Starting { .. } => RunState::Starting,
            Member::Running | Member::Failed => RunState::Started,
            Member::Blocked | Member::Stuck => RunState::Blocked,
            Member::Stopping { .. } => RunState::Stopping,
        }
    }
}

/// A group on this node.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Group {
    pub(crate) phase: Phase,
    /// Since when.
    pub(crate) since: Now,
    /// Why, for the start or stop under way.
    pub(crate) reason: Reason,
    /// What others are told.
    pub(crate) claim: Claim,
    /// From this member on everything is stopped before the start goes on.
    pub(crate) redo: Option<usize>,
    /// Stopping with the exclusive resources first, all at once.
    pub(crate) yielding: bool,
    /// The exclusive resources must be down by then.
    pub(crate) release_by: Option<Now>,
    pub(crate) failures: u8,
    pub(crate) failed_at: Now,
    /// It may not run here until then.
    pub(crate) banned_until: Option<Now>,
    /// The newest cleanup that was followed.
    pub(crate) cleaned: Option<Stamp>,
    /// Newest tenure of each node, as far as heard.
    pub(crate) known: [u64; limits::NODES],
    /// The epoch of the operator's preference that was followed last.
    pub(crate) obeyed: u64,
    /// The epoch of the last one that was followed, and that the group has left since.
    pub(crate) left: u64,
    /// The last move for reachability.
    pub(crate) moved_at: Option<Now>,
    /// The peer's tenure against which it was kept, so that it is said once.
    pub(crate) kept: Option<(u64, NodeId)>,
    /// This node's watchdog does not keep the bound of a guarded group, and that was said.
    pub(crate) unguarded: bool,
    /// The coordinator found no node for it, and said so.
    pub(crate) unplaced: bool,
    /// It should run here and waits for that group, and that was said.
    pub(crate) awaits: Option<GroupId>,
    /// How fit the instance here says it is to be promoted by this group.
    pub(crate) promotion: i16,
    /// What others were told of that; `None` while it must not, or cannot, be promoted.
    pub(crate) fit: Option<i16>,
}

impl Group {
    pub(crate) fn new() -> Group {
        Group {
            phase: Phase::Idle,
            since: Now::ZERO,
            reason: Reason::Start,
            claim: Claim::default(),
            redo: None,
            yielding: false,
            release_by: None,
            failures: 0,
            failed_at: Now::ZERO,
            banned_until: None,
            cleaned: None,
            known: [0; limits::NODES],
            obeyed: 0,
            left: 0,
            moved_at: None,
            kept: None,
            unguarded: false,
            unplaced: false,
            awaits: None,
            promotion: 0,
            fit: None,
        }
    }

    /// The newest tenure of all nodes other than `me`.
    pub(crate) fn newest_other(&self, me: NodeId) -> Option<(u64, NodeId)> {
        let others = self
            .known
            .iter()
            .enumerate()
            .map(|(n, tenure)| (*tenure, NodeId::from_index(n)));
        others
            .filter(|(tenure, node)| *tenure > 0 && *node != me)
            .max()
    }
}

/// The resources that must never run on two nodes at once: the VIPs and the role of a
/// light group; of a guarded one, and of one without any, all of it.
pub(crate) fn exclusive<'a>(
    config: &'a config::Config,
    group: &'a config::Group,
) -> impl Iterator<Item = ResourceId> + 'a {
    let exclusive = |resource: &ResourceId| config.resources[resource.index()].kind.is_exclusive();
    let light = !group.guarded && group.members.iter().any(exclusive);
    group
        .members
        .iter()
        .copied()
        .filter(move |resource| !light || exclusive(resource))
}
