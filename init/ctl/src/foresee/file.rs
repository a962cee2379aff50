//! Another cluster file for all nodes.
//!
//! Owns what it stops, by the engine's own comparison, and what is known after it of nodes and
//! groups that both files have. A file that nodes which run would refuse comes with new images:
//! its groups are judged by their names alone.

use kodo_config::Cluster;
use kodo_engine::config::{Config, Group};
use kodo_engine::limits;
use kodo_engine::placement::{Nodes, State};
use kodo_engine::types::{GroupId, NodeId, NodeSet};

use super::{Action, Future, words};

impl Future {
    /// All nodes go on with the file `new`; `old` is the one that they ran. What they are
    /// called says which nodes and groups are the same.
    ///
    /// What is stopped because it goes or becomes something else comes back as people read
    /// it; before it, why nodes that run would refuse the file.
    ///
    /// # Errors
    /// When something would have to stop that is left alone: the old file goes on.
    pub(crate) fn apply(&mut self, old: &Cluster, new: &Cluster) -> Result<Vec<String>, String> {
        let next = super::config(new)?;
        let (refused, parts) = match new.parting(old) {
            Ok(parts) => (None, parts),
            Err(why) => {
                let why = format!("refused while the nodes run: {why}; with these:");
                (Some(why), self.gone(&next))
            }
        };
        let runs = |id: &GroupId| !self.states[id.index()].holders.is_empty();
        let pinned = |id: &&GroupId| self.is_pinned(id.index()) && runs(id);
        if let (None, Some(id)) = (&refused, parts.iter().find(pinned)) {
            let name = &self.config.groups[id.index()].name;
            return Err(format!(
                "refused: {name} would have to stop, and is left alone"
            ));
        }
        let stops = parts.iter().rev().flat_map(|group| {
            let runs = self.states[group.index()].holders;
            runs.iter().map(|node| Action::Stop(*group, node))
        });
        let stops = stops.map(|stop| words::action(&self.config, stop));
        let told = refused.into_iter().chain(stops).collect();
        self.carry(&next, &parts);
        Ok(told)
    }

    /// Groups that a file does not have.
    fn gone(&self, new: &Config) -> Vec<GroupId> {
        let known = |id: &GroupId| {
            let name = &self.config.groups[id.index()].name;
            new.groups.iter().any(|group| &group.name == name)
        };
        let all = (0..self.config.groups.len()).map(GroupId::from_index);
        all.filter(|id| !known(id)).collect()
    }

    /// What is known of nodes and groups goes where their names are; `parts` run no more, and
    /// are to start again.
    fn carry(&mut self, config: &Config, parts: &[GroupId]) {
        let node = |old: NodeId| {
            let name = &self.config.nodes[old.index()];
            let new = config.nodes.iter().position(|known| known == name);
            new.map(NodeId::from_index)
        };
        let nodes = |old: NodeSet| -> NodeSet { old.iter().filter_map(node).collect() };
        let mut new = Future::new(config.clone(), NodeSet::EMPTY);
        let own = &self.nodes;
        let unknown = NodeSet::first(config.nodes.len())
            .minus(nodes(NodeSet::first(self.config.nodes.len())));
        new.nodes = Nodes {
            members: nodes(own.members).union(unknown),
            leaving: nodes(own.leaving),
            standby: nodes(own.standby),
            foreign: nodes(own.foreign),
            reachable: nodes(own.reachable).union(unknown),
            lost: nodes(own.lost),
            found: nodes(own.found).union(unknown),
            unsteady: nodes(own.unsteady),
            frozen: false,
        };
        new.quarantined = nodes(self.quarantined);
        new.written_off = nodes(self.written_off);
        new.decided = self.decided;
        new.maintenance = self.maintenance;
        for (old, health) in self.health.iter().enumerate() {
            if let Some(node) = node(NodeId::from_index(old)) {
                new.health[node.index()] = *health;
            }
        }
        for (n, group) in config.groups.iter().enumerate() {
            let same = |old: &Group| old.name == group.name;
            let Some(old) = self.config.groups.iter().position(same) else {
                continue;
            };
            let state = &self.states[old];
            let mut scores = [0; limits::NODES];
            for at in nodes(NodeSet::first(self.config.nodes.len())).iter() {
                let name = &config.nodes[at.index()];
                let before = self.config.nodes.iter().position(|known| known == name);
                scores[at.index()] = before.map_or(0, |before| state.scores[before]);
            }
            new.states[n] = State {
                unfit: nodes(state.unfit),
                scores,
                holders: nodes(state.holders),
                planned: nodes(state.planned),
                banned: nodes(state.banned),
                waiting: nodes(state.waiting),
                prefer: state
                    .prefer
                    .and_then(|(old, pending)| Some((node(old)?, pending))),
                ..*state
            };
            new.unmanaged[n] = self.unmanaged[old];
            new.stuck[n] = self.stuck[old].and_then(node);
            new.once[n] = self.once[old];
            if parts.contains(&GroupId::from_index(old)) {
                // what it failed at was something else
                (new.states[n].holders, new.states[n].banned) = (NodeSet::EMPTY, NodeSet::EMPTY);
                new.changed[n] = true;
            }
        }
        *self = new;
    }
}
