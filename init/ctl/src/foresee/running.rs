//! A running cluster's state, as one of its nodes tells it.
//!
//! Owns the translation of a status into a [`Future`]. What the status leaves open (an older
//! node, another file, no view) is refused: a guess would look like an answer.

use kodo_admin::api::{Group, GroupFacts, NodeHealth, Role, Status, View};
use kodo_engine::config::Config;
use kodo_engine::placement::{Nodes, Placed, State, Step};
use kodo_engine::surface::Health;
use kodo_engine::types::{NodeId, NodeSet};

use super::{Future, words};

/// What an older node does not tell.
const OLD: &str = "the node that answered is too old to tell its whole state: name a newer one \
                   with --node";

impl Future {
    /// The cluster as it is now; `config` is the file that the node that answered runs.
    ///
    /// # Errors
    /// When that node cannot know: it is no member of a view, does not hear all of it, runs
    /// another file, or is too old to say.
    pub(crate) fn running(config: Config, status: &Status) -> Result<Future, String> {
        view(status)?;
        if status.file.is_empty() {
            return Err(OLD.to_owned());
        }
        if status.file != format!("{:016x}", config.file_hash) {
            return Err(format!(
                "{} runs another cluster file than this one: give the file that it runs, and the \
                 new one after --apply",
                status.node
            ));
        }
        Future::told(config, status)
    }

    /// The cluster as it is now, once all its nodes have gone over to another file; without
    /// what stops and starts for the switch itself.
    ///
    /// # Errors
    /// When the node that answered cannot know, see [`Future::running`].
    pub(crate) fn under(config: Config, status: &Status) -> Result<Future, String> {
        let mut future = Future::told(config, status)?;
        future.other_file = NodeSet::EMPTY;
        Ok(future)
    }

    /// What a status tells of the nodes and groups that a file has.
    fn told(config: Config, status: &Status) -> Result<Future, String> {
        let view = view(status)?;
        let mut future = Future::new(config, NodeSet::EMPTY);
        future.nodes = Nodes {
            members: nodes(&future.config, &view.members)?,
            ..Nodes::default()
        };
        future.written_off = nodes(&future.config, &view.written_off)?;
        future.maintenance = status.maintenance;
        for node in &status.nodes {
            let id = words::node(&future.config, &node.name)?;
            let facts = node.placement.ok_or(OLD)?;
            future.health[id.index()] = match node.health {
                NodeHealth::Green => Health::Green,
                NodeHealth::Yellow => Health::Yellow,
                NodeHealth::Red => Health::Red,
                NodeHealth::Unknown => {
                    return Err(format!("{} is newer than this kodo", status.node));
                }
            };
            let member = future.nodes.members.contains(id);
            if member && node.role == Role::Dead {
                return Err(format!(
                    "{} does not hear {}, a member of its view: it is cut off, or the cluster is \
                     just changing. Ask again, or name another node with --node",
                    status.node, node.name
                ));
            }
            let own = &mut future.nodes;
            let marks = [
                (&mut own.leaving, facts.leaving),
                (&mut own.standby, node.standby),
                (&mut own.foreign, facts.foreign),
                (&mut own.reachable, facts.reachable),
                (&mut own.lost, facts.lost),
                (&mut own.found, facts.found),
                (&mut own.unsteady, facts.unsteady),
                (&mut future.quarantined, node.quarantined),
                (&mut future.other_file, member && !node.same_file),
            ];
            for (set, yes) in marks {
                if yes {
                    *set = set.with(id);
                }
            }
        }
        for group in &status.groups {
            let Ok(id) = words::group(&future.config, &group.name) else {
                continue;
            };
            let n = id.index();
            let facts = group.placement.as_ref().ok_or(OLD)?;
            let state = state(&future.config, facts)?;
            future.placed[n] = Placed {
                nodes: state.planned,
                step: Step::Stay,
            };
            future.states[n] = state;
            future.unmanaged[n] = !group.managed;
            let stuck = group.stuck_on.as_deref();
            let stuck = stuck.map(|node| words::node(&future.config, node));
            future.stuck[n] = stuck.transpose()?;
            future.once[n] = facts.prefer.as_ref().is_some_and(|wish| wish.once);
        }
        for group in status
            .groups
            .iter()
            .filter(|group| group.promotes.is_some())
        {
            future.promotion(group)?;
        }
        future.fresh = false;
        Ok(future)
    }

    /// How fit the instances are that a group could promote; one that runs and is not named
    /// said that it must not be.
    fn promotion(&mut self, group: &Group) -> Result<(), String> {
        let id = words::group(&self.config, &group.name).ok();
        let promoted = id.and_then(|id| Some((id, self.config.promoted(id)?.0)));
        let Some((id, clone)) = promoted else {
            return Ok(());
        };
        let mut unfit = self.states[clone.index()].holders;
        let state = &mut self.states[id.index()];
        for fit in &group.promotion {
            let node = words::node(&self.config, &fit.node)?;
            state.scores[node.index()] = fit.score;
            unfit = unfit.without(node);
        }
        state.unfit = unfit;
        Ok(())
    }
}

fn view(status: &Status) -> Result<&View, String> {
    status.view.as_ref().ok_or_else(|| {
        format!(
            "{} is no member of the cluster at present, so it does not know its state: name \
             another node with --node",
            status.node
        )
    })
}

fn state(config: &Config, facts: &GroupFacts) -> Result<State, String> {
    let prefer = facts.prefer.as_ref();
    let prefer =
        prefer.map(|wish| Ok::<_, String>((words::node(config, &wish.node)?, wish.pending)));
    Ok(State {
        holders: nodes(config, &facts.holders)?,
        planned: nodes(config, &facts.planned)?,
        banned: nodes(config, &facts.banned)?,
        waiting: nodes(config, &facts.waiting)?,
        prefer: prefer.transpose()?,
        damped: facts.damped,
        first: facts.first,
        ..State::default()
    })
}

fn nodes(config: &Config, names: &[String]) -> Result<NodeSet, String> {
    let ids: Result<Vec<NodeId>, String> =
        names.iter().map(|name| words::node(config, name)).collect();
    Ok(ids?.into_iter().collect())
}
