//! The node's status, gathered from its parts when somebody asks.
//!
//! Owns the translation into [`crate::status`]'s shapes. Keeps nothing.

use core::fmt::Write as _;

use heapless::String;
use kodo_engine::config::Group;
use kodo_engine::surface::{Role as Standing, RunState};
use kodo_engine::witness::{Reach, Word};
use kodo_engine::{GroupId, NodeId, Now, PathId};

use crate::node::Node;
use crate::status::{
    Counters, DiskStatus, GroupState, GroupStatus, MemberStatus, NextFile, NodeStatus, PathStatus,
    Role, Status, View, WitnessStatus, WitnessWord, name,
};

impl Node {
    /// Everything an operator asks for first.
    #[must_use]
    pub fn status(&self) -> Status {
        let config = &self.config.engine;
        let nodes = (0..config.nodes.len()).map(NodeId::from_index);
        let groups = (0..config.groups.len()).map(GroupId::from_index);
        Status {
            cluster: self.config.cluster.clone(),
            node: self.name_of(config.me),
            uptime: self.now,
            file: config.file_hash,
            role: self.role_of(config.me),
            view: self.engine.view().map(|view| View {
                epoch: view.epoch,
                members: view.members.iter().map(|node| self.name_of(node)).collect(),
                written_off: view.written_off,
            }),
            next: NextFile {
                staged: self.engine.staged(),
                waits_for: self.engine.switch_waits_for(),
            },
            maintenance: self.engine.maintenance(),
            sees: self.engine.sees_nodes(self.now),
            nodes: nodes.map(|node| self.node_status(node)).collect(),
            groups: groups.map(|group| self.group_status(group)).collect(),
            watchdog: self.watchdog.clone(),
            gate: self.gate,
            reachable: self.engine.reachable(self.now),
            witness: self.witness_status(),
            counters: self.counters(),
            last_event: name(self.log.newest()),
        }
    }

    fn witness_status(&self) -> Option<WitnessStatus> {
        let target = self.config.netstack.witness?;
        let client = self.engine.witness()?;
        let (reachable, since) = match client.reach(self.now) {
            Reach::Never => (false, None),
            Reach::Since(at) => (true, Some(self.now - at)),
            Reach::LostSince(at) => (false, Some(self.now - at)),
        };
        let mut address = String::new();
        // The longest address fits.
        let _ = write!(address, "{}", target.address);
        let newest = client.newest();
        let word = newest.map_or(WitnessWord::None, |(answer, _)| match answer.word {
            Word::Idle | Word::Unproven => WitnessWord::Idle,
            Word::Granted => WitnessWord::Granted,
            Word::Taken => WitnessWord::Taken,
            Word::HoldingOff(_) => WitnessWord::HoldingOff,
            Word::WaitTooLong => WitnessWord::WaitTooLong,
        });
        let holder = newest.and_then(|(answer, at)| {
            let holder = answer.holder?;
            let lasts = self.now < at + Now::from_millis(holder.left.into());
            let known = holder.node.index() < self.config.engine.nodes.len();
            (lasts && known).then(|| self.name_of(holder.node))
        });
        Some(WitnessStatus {
            address,
            reachable,
            since,
            life: client.life(),
            word,
            holder,
        })
    }

    fn node_status(&self, node: NodeId) -> NodeStatus {
        let config = &self.config.engine;
        let paths = (0..config.paths.len()).map(PathId::from_index);
        let joins = |path: &PathId| {
            let ends = config.paths[path.index()].ends;
            node != config.me && ends.contains(node) && ends.contains(config.me)
        };
        NodeStatus {
            name: self.name_of(node),
            role: self.role_of(node),
            standby: self.engine.standby(node),
            quarantined: self.engine.in_quarantine(node),
            health: self.engine.health(node),
            disk: self.disk_status(node),
            carries: self.engine.carries(node),
            boot: self.engine.boot_of(node).map(|boot| boot.0),
            silent: self.engine.silent(self.now, node),
            same_file: self.engine.same_file(node),
            paths: paths
                .filter(joins)
                .map(|path| PathStatus {
                    name: config.paths[path.index()].name.clone(),
                    state: self.engine.path_state(node, path),
                })
                .collect(),
        }
    }

    fn disk_status(&self, node: NodeId) -> DiskStatus {
        match self.engine.keeps(node) {
            None => DiskStatus::None,
            Some(true) => DiskStatus::Kept,
            Some(false) if self.engine.will_keep(node) => DiskStatus::Writing,
            Some(false) => DiskStatus::Failing,
        }
    }

    fn role_of(&self, node: NodeId) -> Role {
        let standing = if node == self.config.engine.me {
            Some(self.engine.role())
        } else {
            self.engine.role_of(node)
        };
        match standing {
            None | Some(Standing::Left) => Role::Dead,
            Some(Standing::Observer) => Role::Observer,
            Some(Standing::Refused) => Role::Refused,
            Some(Standing::Member | Standing::Leaving) if self.runs_any(node) => Role::Active,
            Some(Standing::Member | Standing::Leaving) => Role::Standby,
        }
    }

    /// It holds a group, or runs one of a group's clones.
    fn runs_any(&self, node: NodeId) -> bool {
        let groups = self.config.engine.groups.iter().enumerate();
        let mut clones = groups.filter(|(_, group)| group.clones.is_some());
        let runs = |n| self.engine.runs_on(GroupId::from_index(n)).contains(node);
        self.engine.is_active(node) || clones.any(|(n, _)| runs(n))
    }

    fn group_status(&self, id: GroupId) -> GroupStatus {
        let config = &self.config.engine;
        let group = &config.groups[id.index()];
        let seen = self.engine.group(id);
        let promoted = config.promoted(id).map(|(clone, _)| clone);
        GroupStatus {
            name: group.name.clone(),
            managed: self.engine.managed(id),
            clones: self.clones(group),
            holder: seen.holder.map(|node| self.name_of(node)),
            runs_on: self.engine.runs_on(id),
            promotes: promoted.map(|clone| self.group_name(clone)),
            waits_for: self
                .engine
                .waits_for(id)
                .map(|first| self.group_name(first)),
            stuck_on: self.engine.stuck_on(id).map(|node| self.name_of(node)),
            epoch: seen.epoch,
            state: state(seen.state),
            failures: seen.failures,
            sees: self.engine.sees_group(self.now, id),
            once: self.engine.wished_once(id),
            members: group
                .members
                .iter()
                .map(|member| MemberStatus {
                    name: config.resources[member.index()].name.clone(),
                    state: state(self.engine.resource(*member)),
                })
                .collect(),
        }
    }

    fn counters(&self) -> Counters {
        let engine = self.engine.counters();
        let wire = self.netstack.counters();
        Counters {
            forged: engine.forged,
            malformed: [
                engine.malformed,
                engine.other_cluster,
                engine.wrong_path,
                wire.malformed,
            ]
            .into_iter()
            .fold(0, u32::saturating_add),
            replayed: engine.replayed,
            stale: engine.stale,
            twin: engine.twin,
            noise: wire.noise,
            unsent: wire.unsent,
        }
    }

    /// On how many nodes a clone runs when all is well.
    fn clones(&self, group: &Group) -> Option<u8> {
        let nodes = (0..self.config.engine.nodes.len()).map(NodeId::from_index);
        let able = nodes.filter(|node| group.may_run(*node)).count();
        let able = u8::try_from(able).unwrap_or(u8::MAX);
        group.clones.map(|wanted| wanted.min(able))
    }

    fn group_name(&self, group: GroupId) -> crate::status::Name {
        self.config.engine.groups[group.index()].name.clone()
    }

    fn name_of(&self, node: NodeId) -> crate::status::Name {
        self.config.engine.nodes[node.index()].clone()
    }
}

fn state(state: RunState) -> GroupState {
    match state {
        RunState::Stopped => GroupState::Stopped,
        RunState::Starting => GroupState::Starting,
        RunState::Started => GroupState::Started,
        RunState::Stopping => GroupState::Stopping,
        RunState::Blocked => GroupState::Blocked,
    }
}
