//! What everybody may know: plain getters. Changes nothing.

use super::Engine;
use crate::claims::Claim;
use crate::config::Config;
use crate::counters::Counters;
use crate::surface::{GroupStatus, PathState, Phase, Role, RunState, View};
use crate::types::{BootId, GroupId, NodeId, NodeSet, Now, PathId, ResourceId};

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

    /// Whether a node died too often and runs nothing until an operator calls it online.
    pub fn in_quarantine(&self, node: NodeId) -> bool {
        self.registers.quarantined(node)
    }

    /// Whether operators want nothing touched at all.
    pub fn maintenance(&self) -> bool {
        self.registers.maintenance()
    }

    /// Whether a group is acted on, maintenance aside; if not, it is watched only.
    pub fn managed(&self, group: GroupId) -> bool {
        !self.registers.unmanaged(group)
    }

    /// A node on which a group's stop failed, and where it stays until an operator has looked.
    pub fn stuck_on(&self, group: GroupId) -> Option<NodeId> {
        let mut nodes = NodeSet::first(self.config.nodes.len()).iter();
        nodes.find(|node| self.phase_on(*node, group) == Phase::Blocked)
    }

    /// Whether an operator's wish for a group ends when something moves the group on.
    pub fn wished_once(&self, group: GroupId) -> bool {
        let wish = self.registers.prefer(group);
        wish.is_some_and(|wish| !wish.lasting)
    }

    /// Nodes on which all of a group runs, as far as heard: several of a clone.
    pub fn runs_on(&self, group: GroupId) -> NodeSet {
        let nodes = NodeSet::first(self.config.nodes.len());
        let runs = |node: &NodeId| self.phase_on(*node, group) == Phase::Running;
        nodes.iter().filter(runs).collect()
    }

    /// Whether anything of any group is up on a node, on its way up or down included, as
    /// far as heard.
    pub fn carries(&self, node: NodeId) -> bool {
        let mut groups = (0..self.config.groups.len()).map(GroupId::from_index);
        groups.any(|group| self.phase_on(node, group) != Phase::Idle)
    }

    /// What a group waits for that the plan wants here and that is not up.
    pub fn waits_for(&self, id: GroupId) -> Option<GroupId> {
        let group = self.groups.get(id.index())?;
        let wanted =
            self.plan.lines[id.index()].is_some_and(|line| line.nodes.contains(self.config.me));
        let up = matches!(group.phase, Phase::Starting | Phase::Running);
        let waits = wanted && !up && !self.is_pinned(id);
        group.awaits.filter(|_| waits)
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
        // who lets go may be heard later than who took it
        let there = self.others().filter_map(|node| {
            let claim = self.peers[node.index()].alive()?.said.claim(id);
            claim.may_act().then_some((claim.tenure, node))
        });
        let there = there.max().map(|(_, node)| node);
        let banned = self.is_barred(id);
        let state = match group.phase {
            Phase::Blocked => RunState::Blocked,
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
