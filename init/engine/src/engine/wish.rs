//! What this node should do with each group: the plan, read together with what it needs.
//!
//! Owns the order between groups. A group that must come after another one runs only while
//! that one runs where the plan wants it, and what others need is stopped only after them;
//! every node reads that from the same plan and from the others' beats, so nobody is asked.
//! Never starts or stops anything.

use super::Engine;
use crate::config::{Order, Together};
use crate::surface::{Cause, Phase, Reason, Role};
use crate::types::{GroupId, NodeId, NodeSet, Now};

/// What this node should do with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Run it.
    Run(Cause),
    /// Not run it.
    Rest(Reason),
    /// Not run it, and at once.
    Yield,
    /// Go on as it is: nobody has planned it yet, or it is not to be touched.
    AsIs,
}

/// Whether what a group needs is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// All of it.
    Met,
    /// Not yet: what runs may go on, what does not run waits.
    Soon(GroupId),
    /// No: it may not run.
    Missing(GroupId),
}

impl Engine {
    pub(super) fn wish(&mut self, now: Now, id: GroupId) -> Wish {
        if !self.is_clone(id) && !self.holds_lease(now) {
            return Wish::Yield;
        }
        let me = self.config.me;
        let wish = match self.plan.lines[id.index()] {
            _ if self.role == Role::Leaving => Wish::Rest(Reason::Shutdown),
            _ if self.is_pinned(id) => Wish::AsIs,
            _ if self.is_parting(id) => Wish::Rest(Reason::Move),
            None => Wish::AsIs,
            // this plan is older than the ban: the coordinator makes another
            Some(line) if line.nodes.contains(me) && self.is_barred(id) => Wish::AsIs,
            Some(line) if line.nodes.contains(me) => self.in_order(id, line.cause),
            Some(line) => Wish::Rest(line.cause.reason()),
        };
        match wish {
            Wish::Rest(_) if self.is_needed(id) => Wish::AsIs,
            wish => wish,
        }
    }

    /// A group that should run here does when what it needs runs.
    fn in_order(&mut self, id: GroupId, cause: Cause) -> Wish {
        let (wish, missing) = match self.needs(id) {
            Needs::Met if self.is_crowded(id) => (Wish::AsIs, None),
            Needs::Met => (Wish::Run(cause), None),
            Needs::Soon(first) => (Wish::AsIs, Some(first)),
            Needs::Missing(first) if self.promotes(id, first) => {
                (Wish::Rest(Reason::Failover), Some(first))
            }
            Needs::Missing(first) => (Wish::Rest(Reason::Move), Some(first)),
        };
        self.awaits(id, missing);
        wish
    }

    fn needs(&self, id: GroupId) -> Needs {
        if let Some((clone, _)) = self.config.promoted(id)
            && !self.may_have_role(id)
        {
            return Needs::Missing(clone);
        }
        let orders = self.config.orders.iter().filter(|order| order.then == id);
        let mut needs = Needs::Met;
        for order in orders {
            if self.runs_as_planned(order.first) {
                continue;
            }
            if order.must {
                return Needs::Missing(order.first);
            }
            let wanted = self.plan.lines[order.first.index()];
            if wanted.is_some_and(|line| !line.nodes.is_empty()) {
                needs = Needs::Soon(order.first);
            }
        }
        needs
    }

    /// What the plan takes off this node is still here, and the group must not be beside it
    /// or does not fit beside it.
    fn is_crowded(&self, id: GroupId) -> bool {
        let config = &self.config;
        let me = config.me;
        let all = || (0..config.groups.len()).map(GroupId::from_index);
        let here =
            |group: &GroupId| *group != id && self.groups[group.index()].phase != Phase::Idle;
        let leaves = |group: GroupId| {
            let line = self.plan.lines[group.index()];
            !line.is_some_and(|line| line.nodes.contains(me))
        };
        let never = |other: GroupId| {
            config.colocations.iter().any(|pair| {
                let both = (pair.group, pair.with);
                pair.bond == Together::Never && (both == (id, other) || both == (other, id))
            })
        };
        let weight = |group: GroupId| u32::from(config.groups[group.index()].weight);
        let carried: u32 = all().filter(here).map(weight).sum();
        let full = weight(id) > 0 && carried + weight(id) > u32::from(config.capacity[me.index()]);
        let mut leaving = all().filter(here).filter(|group| leaves(*group));
        leaving.any(|other| never(other) || (full && weight(other) > 0))
    }

    /// Groups that must not outlast this one still run, here or on another member. Whoever
    /// leaves does not wait for a stop that failed.
    fn is_needed(&self, id: GroupId) -> bool {
        let me = self.config.me;
        let leaving = self.role == Role::Leaving;
        let others = self.wanted_on(id).without(me);
        let replaced = self.is_clone(id) && self.runs_on_one_of(others, id);
        let follows = |order: &&Order| order.first == id && order.must;
        let runs = |order: &Order| {
            let members = match self.promotes(order.then, id) {
                // the other instances may go
                true => NodeSet::only(me),
                false if replaced => NodeSet::EMPTY,
                false => self.view.map(|view| view.members).unwrap_or_default(),
            };
            let up = |node: NodeId| match self.phase_on(node, order.then) {
                Phase::Idle => false,
                Phase::Blocked => !leaving,
                _ => true,
            };
            !self.is_pinned(order.then) && members.iter().any(up)
        };
        self.config.orders.iter().filter(follows).any(runs)
    }

    /// All of a group runs where the plan wants it; of a clone, one instance is enough.
    fn runs_as_planned(&self, id: GroupId) -> bool {
        self.runs_on_one_of(self.wanted_on(id), id)
    }

    fn wanted_on(&self, id: GroupId) -> NodeSet {
        self.plan.lines[id.index()].map_or(NodeSet::EMPTY, |line| line.nodes)
    }

    fn runs_on_one_of(&self, nodes: NodeSet, id: GroupId) -> bool {
        let mut nodes = nodes.iter();
        nodes.any(|node| self.phase_on(node, id) == Phase::Running)
    }

    /// How far a group is on a node, as far as heard.
    pub(super) fn phase_on(&self, node: NodeId, id: GroupId) -> Phase {
        if node == self.config.me {
            return self.groups[id.index()].phase;
        }
        let life = self.peers[node.index()].alive();
        let word = life.and_then(|life| life.said.groups[id.index()]);
        word.map_or(Phase::Idle, |word| word.phase)
    }

    /// It runs on several nodes at once: nothing of it is exclusive, and no lease is needed.
    pub(super) fn is_clone(&self, id: GroupId) -> bool {
        self.config.groups[id.index()].clones.is_some()
    }

    /// Operators want it left alone.
    pub(super) fn is_pinned(&self, id: GroupId) -> bool {
        self.registers.maintenance() || self.registers.unmanaged(id)
    }
}
