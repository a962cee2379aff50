//! What everybody may know: plain getters. Changes nothing.

use super::Engine;
use crate::claims::Claim;
use crate::config::Config;
use crate::counters::Counters;
use crate::group::Phase;
use crate::surface::{GroupStatus, PathState, Role, RunState, View};
use crate::types::{BootId, GroupId, NodeId, Now, PathId, ResourceId};

impl Engine {
    /// Where this node stands.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The view installed here.
    pub fn view(&self) -> Option<View> {
        self.view
    }

    /// This life.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// The file this engine runs.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The other nodes of the file.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        self.others()
    }

    /// Where a node stands as seen from here; `None` when it is dead or was never heard.
    pub fn role_of(&self, node: NodeId) -> Option<Role> {
        if node == self.config.me {
            return Some(self.role);
        }
        Some(self.peers.get(node.index())?.alive()?.said.standing.role())
    }

    /// A node's confirmed life.
    pub fn boot_of(&self, node: NodeId) -> Option<BootId> {
        if node == self.config.me {
            return Some(self.boot);
        }
        Some(self.peers.get(node.index())?.life.as_ref()?.boot)
    }

    /// Time since a peer's newest fresh beat; `None` when it was never heard.
    pub fn silent(&self, now: Now, peer: NodeId) -> Option<Now> {
        Some(now - self.peers.get(peer.index())?.life.as_ref()?.fresh_at)
    }

    /// A path towards a peer.
    pub fn path_state(&self, peer: NodeId, path: PathId) -> PathState {
        let known = self
            .shown
            .get(peer.index())
            .and_then(|paths| paths.get(path.index()));
        known.copied().unwrap_or(PathState::Down)
    }

    /// Whether a node is in the view installed here.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.view.is_some_and(|view| view.members.contains(node))
    }

    /// Whether a node runs the same cluster file, as far as heard.
    pub fn same_file(&self, node: NodeId) -> bool {
        !self.other_file.contains(node)
    }

    /// Whether an operator put a node on standby.
    pub fn standby(&self, node: NodeId) -> bool {
        self.registers.standby(node)
    }

    /// Whether a node holds at least one group, as far as heard.
    pub fn is_active(&self, node: NodeId) -> bool {
        if node == self.config.me {
            return self.holds_any();
        }
        let life = self.peers.get(node.index()).and_then(|peer| peer.alive());
        life.is_some_and(|life| life.said.holds_any())
    }

    /// This node's claim on a group, as others are told.
    pub fn claim(&self, group: GroupId) -> Claim {
        self.groups
            .get(group.index())
            .map(|group| group.claim)
            .unwrap_or_default()
    }

    /// A group as seen from here.
    pub fn group(&self, id: GroupId) -> GroupStatus {
        let Some(group) = self.groups.get(id.index()) else {
            return GroupStatus {
                holder: None,
                epoch: 0,
                state: RunState::Stopped,
                failures: 0,
                banned: false,
            };
        };
        let here = group.claim.may_act().then_some(self.config.me);
        let there = self.others().find(|node| {
            self.peers[node.index()]
                .alive()
                .is_some_and(|life| life.said.claim(id).may_act())
        });
        let banned = self.is_barred(id);
        let state = match group.phase {
            Phase::Starting | Phase::Idle if banned => RunState::Blocked,
            Phase::Idle => RunState::Stopped,
            Phase::Starting => RunState::Starting,
            Phase::Running => RunState::Started,
            Phase::Stopping => RunState::Stopping,
        };
        GroupStatus {
            holder: here.or(there),
            epoch: group
                .claim
                .tenure
                .max(group.known.iter().copied().max().unwrap_or(0)),
            state,
            failures: group.failures,
            banned,
        }
    }

    /// A resource on this node.
    pub fn resource(&self, resource: ResourceId) -> RunState {
        self.resources
            .get(resource.index())
            .map_or(RunState::Stopped, |member| member.shown())
    }

    /// Whether clients reach this node, as far as known.
    pub fn reachable(&self, now: Now) -> bool {
        self.reaches_clients(now)
    }

    /// The timeout that the hardware watchdog's driver granted.
    pub fn watchdog(&self) -> Option<Now> {
        self.watchdog
    }

    /// Frames that changed nothing, by reason.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
