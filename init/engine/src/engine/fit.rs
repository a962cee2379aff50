//! Who may be in a view, and who leads.
//!
//! Owns the wishes of stage two; views themselves are [`super::agree`]'s. The members of a
//! view are enough to decide (by votes, or with the arbiter's word) and all hear each
//! other. A silent member is left out, and so is one that others do not hear; a fresh node
//! is let in after its hold-back. Never proposes or installs anything.

use super::{Backoff, Engine};
use crate::codec::{Bond, Standing};
use crate::limits;
use crate::membership::{self, Authority, Voice};
use crate::peer::Life;
use crate::surface::{Event, Gone, Role};
use crate::timers::Timer;
use crate::types::{NodeId, NodeSet, Now, PathId};
use heapless::Vec;

impl Engine {
    /// An observer that may become a member: held back for W after boot, so that
    /// grants which an earlier life of ours gave and forgot have ended; and until it
    /// reaches the clients and has read its state partition, or has tried for `linkwait`,
    /// so that the first placement does not pass over a node whose network card is only
    /// slower than the other's, nor over what operators wished before a loss of power.
    pub(super) fn is_ready(&self, now: Now) -> bool {
        let hold_back = self.held_back();
        self.role == Role::Observer
            && !self.twin.unresolved()
            && (self.is_vouched_alone()
                || now >= self.config.timing.linkwait.max(hold_back)
                || (now >= hold_back && self.reaches_clients(now) && !self.keeper.is_unread()))
    }

    /// The largest W of all files heard of.
    fn held_back(&self) -> Now {
        let bound = |node: NodeId| {
            let life = self.peers[node.index()].alive();
            life.map_or(Now::ZERO, |life| life.said.bound)
        };
        let foreign = self.other_file.iter().map(bound).max();
        self.hold_back.max(foreign.unwrap_or(Now::ZERO))
    }

    /// An operator vouched that all the others are dead.
    pub(super) fn is_vouched_alone(&self) -> bool {
        let all = NodeSet::first(self.config.nodes.len());
        all.minus(self.vouched) == NodeSet::only(self.config.me)
    }

    /// Whether this node may lead.
    pub(super) fn takes_part(&self, now: Now) -> bool {
        self.role == Role::Member || self.is_ready(now)
    }

    /// Whether this node votes on views. One that leaves does so too as long as it is a
    /// member: its slow stop must not hold up the others' failover.
    pub(super) fn votes(&self, now: Now) -> bool {
        self.takes_part(now) || (self.role == Role::Leaving && self.view.is_some())
    }

    /// A fresh node waits `initdead` for the others. The wait begins when each path
    /// has had carrier for deadtime, or after `linkwait`; and never before clients
    /// could be reached at all, where a path for them is configured.
    pub(super) fn wait_for_others(&mut self, now: Now) {
        if self.role != Role::Observer {
            return;
        }
        for at in [self.held_back(), self.config.timing.linkwait] {
            self.timers.set(Timer::Agree, at);
        }
        let Links {
            every,
            served,
            steady,
        } = self.links();
        match self.lonely.until {
            None => {
                let linkwait = served.map(|at| at.max(self.config.timing.linkwait));
                let begin = every.into_iter().chain(linkwait).min();
                if let Some(at) = begin {
                    self.timers.set(Timer::Agree, at);
                }
                if begin.is_some_and(|at| now >= at) {
                    let until = now + self.config.timing.initdead;
                    self.lonely.until = Some(until);
                    self.timers.set(Timer::Agree, until);
                    self.log(Event::Waiting { until });
                }
            }
            Some(until) => {
                let over = served.map(|served| until.max(served).max(steady));
                self.lonely.over = over.is_some_and(|at| now >= at);
                if let Some(at) = over {
                    self.timers.set(Timer::Agree, at);
                }
            }
        }
    }

    /// When the paths have had carrier for deadtime.
    fn links(&self) -> Links {
        let settled = |path: PathId| {
            let carrier = self.carriers[path.index()];
            carrier
                .up
                .then_some(carrier.since + self.config.timing.deadtime)
        };
        let all = self.own_paths();
        Links {
            every: all
                .clone()
                .map(settled)
                .try_fold(Now::ZERO, |latest, at| Some(latest.max(at?))),
            served: match self.public().next() {
                None => Some(Now::ZERO),
                Some(_) => self.public().filter_map(settled).min(),
            },
            // a carrier that has just come may bring the others any moment
            steady: all.filter_map(settled).max().unwrap_or(Now::ZERO),
        }
    }

    /// Who leads among those that take part and could have votes enough: nobody is led by
    /// a node that hears too few.
    pub(super) fn coordinator(&self, now: Now) -> Option<NodeId> {
        let me = self.takes_part(now).then_some(Voice {
            node: self.config.me,
            view: self.view,
            leased: self.holds_lease(now),
            alone: self.lonely.over,
        });
        let others = self.others().filter_map(|node| {
            let life = self.peers[node.index()].alive()?;
            let takes_part = matches!(life.said.standing, Standing::Ready | Standing::Member);
            (takes_part && confirmed(life) && life.said.terms == self.terms).then_some(Voice {
                node,
                view: life.said.view,
                leased: life.said.leased,
                alone: life.said.alone,
            })
        });
        let mut voices: Vec<Voice, { limits::NODES }> = me.into_iter().chain(others).collect();
        let mesh = self.neighbours();
        while let Some(first) = membership::coordinator(voices.iter().copied()) {
            if self.could_lead(first, &mesh) {
                return Some(first);
            }
            voices.retain(|voice| voice.node != first);
        }
        None
    }

    /// Whether a node and some of those that it hears, which all hear each other, may
    /// decide.
    fn could_lead(&self, node: NodeId, mesh: &Mesh) -> bool {
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let cluster = self.electorate_without(self.to_write_off());
        [members, NodeSet::EMPTY].into_iter().any(|members| {
            let near = |node: NodeId| mesh[node.index()];
            let clique = membership::clique(node, near(node), members, near);
            cluster.authority(clique) != Authority::None
        })
    }

    /// By node: those that hear it and that it hears, as far as they say.
    fn neighbours(&self) -> Mesh {
        let mut rows = [NodeSet::EMPTY; limits::NODES];
        rows[self.config.me.index()] = self.mesh();
        for node in self.others() {
            if let Some(life) = self.peers[node.index()].alive() {
                rows[node.index()] = life.said.mesh;
            }
        }
        let heard_by = |node: NodeId| {
            let hears = |by: &NodeId| rows[by.index()].contains(node);
            rows[node.index()].iter().filter(hears).collect()
        };
        core::array::from_fn(|n| heard_by(NodeId::from_index(n)))
    }

    /// Who should be in the view: all that are well, hear each other, and answer.
    pub(super) fn desired(&mut self, now: Now) -> NodeSet {
        let well = self.well(now);
        let meshed = self.meshed(now, well);
        let slow = |node: &NodeId| {
            let backoff = &self.backoff[node.index()];
            now < backoff.until
        };
        let prompt: NodeSet = meshed.iter().filter(|node| !slow(node)).collect();
        // A member that does not answer is left out where the others can do without it.
        if self.counts_votes() && self.electorate().authority(prompt) == Authority::Own {
            for node in meshed.minus(prompt).iter() {
                let until = self.backoff[node.index()].until;
                self.timers.set(Timer::Agree, until);
            }
            prompt
        } else {
            meshed
        }
    }

    /// Those of `set` that hear each other, as far as they say. Word of a death goes round
    /// within a few beats, so a gap between members counts only when it has lasted.
    fn meshed(&mut self, now: Now, set: NodeSet) -> NodeSet {
        let me = self.config.me;
        let members = self.view.map(|view| view.members).unwrap_or_default();
        let mesh = self.neighbours();
        let near = |node: NodeId| mesh[node.index()];
        let inside = set.both(members);
        let kept = membership::clique(me, inside, members, near);
        let whole = kept == inside.with(me);
        let settle = limits::MISSED * self.config.timing.keepalive;
        let since = match whole {
            true => None,
            false => Some(self.torn_since.unwrap_or(now)),
        };
        let torn = since.is_some_and(|since| now >= since + settle);
        let stay = if torn { kept } else { inside.with(me) };
        let with_newcomers = stay.union(set.minus(inside));
        let mut found = membership::clique(me, with_newcomers, stay, |node| {
            if stay.contains(node) {
                near(node).union(stay)
            } else {
                near(node)
            }
        });
        let cluster = self.electorate();
        if cluster.authority(found) == Authority::None {
            // The members alone do not suffice: whoever fits together.
            found = membership::clique(me, set, NodeSet::EMPTY, near);
        }
        self.torn_since = since;
        if let Some(since) = since {
            self.timers.set(Timer::Agree, since + settle);
        }
        for node in inside.minus(found).iter() {
            if now >= self.backoff[node.index()].until {
                self.back_off(now, node);
            }
        }
        found
    }

    /// Who is fit to be in the view, as seen from here.
    fn well(&mut self, now: Now) -> NodeSet {
        let mut desired = NodeSet::only(self.config.me);
        for node in self.others() {
            let member = self.is_member(node);
            let Some(life) = self.peers[node.index()].alive() else {
                continue;
            };
            let well = matches!(life.said.standing, Standing::Ready | Standing::Member)
                && confirmed(life)
                && life.said.terms == self.terms;
            let until = self.backoff[node.index()].until;
            if !member && well && now < until {
                self.timers.set(Timer::Agree, until);
            } else if well || (member && life.said.holds_any() && self.gone(now, node).is_none()) {
                desired = desired.with(node);
            } else if member && has_left(life) && self.gone(now, node).is_none() {
                self.absent[node.index()].gone = Some((Gone::Left, now));
            }
        }
        desired
    }

    /// A node is at fault: it is not asked again for a while, and longer each time.
    pub(super) fn back_off(&mut self, now: Now, node: NodeId) {
        let step = self.backoff[node.index()].step;
        let full = self.config.timing.deadtime * (1 << step);
        self.backoff[node.index()] = Backoff {
            until: now + self.rng.jitter(full),
            step: (step + 1).min(limits::BACKOFF.ilog2()),
            at: now,
        };
    }

    /// Nodes that operators vouch for as dead, and that nobody hears.
    pub(super) fn told_dead(&self) -> NodeSet {
        let told = self.mesh().iter().filter_map(|node| {
            let life = self.peers[node.index()].alive()?;
            Some(life.said.vouched)
        });
        let all = told.fold(self.vouched, NodeSet::union);
        all.minus(self.mesh()).without(self.config.me)
    }

    /// Whose votes a view without them should not count.
    pub(super) fn to_write_off(&self) -> NodeSet {
        self.not_counted().union(self.told_dead())
    }
}

/// By node: a set of nodes.
type Mesh = [NodeSet; limits::NODES];

/// Instants from which the paths can be relied on.
struct Links {
    /// All of them.
    every: Option<Now>,
    /// One on which clients live.
    served: Option<Now>,
    /// The latest of those that have carrier.
    steady: Now,
}

/// It steps down in order, and holds nothing any more.
pub(super) fn has_left(life: &Life) -> bool {
    let down = matches!(life.said.standing, Standing::Leaving | Standing::Refused);
    down && !life.dead && !life.said.holds_any()
}

/// It knows this life of ours: a view that names us is meant for us.
pub(super) fn confirmed(life: &Life) -> bool {
    life.said.bond == Bond::Confirmed
}
