//! The best arrangement of the groups that one node at a time holds.
//!
//! Owns the search: groups are given places one after the other, the most important first,
//! each its best place first; a branch that cannot become better than the best arrangement
//! known is left (branch and bound). Where nothing contends, the first descent is the
//! answer. After [`limits::TRIES`] the best one known is taken. Never weighs by anything
//! but [`Value`].

use heapless::Vec;

use super::{Placed, Room, Scene, Step};
use crate::config::{Colocation, Together};
use crate::limits;
use crate::surface::Cause;
use crate::types::{GroupId, NodeId, NodeSet};

/// How good an arrangement is: the first field that differs decides. Sets have one bit for
/// each group, higher for a more important one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    /// Groups that run.
    placed: u64,
    /// Of these, on a node that may run them.
    well: u64,
    /// Of these, where clients come.
    served: u64,
    /// How many stay, or go where they were asked to.
    kept: u32,
    /// Which ones.
    which: u64,
    /// Of all places together.
    score: i64,
}

impl Value {
    /// Of two disjoint parts of an arrangement together. Order is kept: what is better in
    /// each part is better in sum.
    fn and(self, other: Value) -> Value {
        Value {
            placed: self.placed | other.placed,
            well: self.well | other.well,
            served: self.served | other.served,
            kept: self.kept + other.kept,
            which: self.which | other.which,
            score: self.score + other.score,
        }
    }
}

/// A group that wants a place.
struct Row {
    group: usize,
    weight: u16,
    /// Places and what each is worth by itself, the best first.
    choices: Vec<(NodeId, Value), { limits::NODES + 1 }>,
    /// Pairs with rows before this one.
    ties: Vec<Tie, { 2 * limits::PLACED }>,
}

/// A colocation with a row before.
#[derive(Clone, Copy, Debug)]
struct Tie {
    row: u8,
    /// Whether the later one is the one that follows.
    follows: bool,
    bond: Together,
}

struct Search {
    rows: Vec<Row, { limits::PLACED }>,
    /// What the rows from here on can add at best.
    hope: [Value; limits::PLACED + 1],
    room: Room,
    at: [Option<NodeId>; limits::PLACED],
    best: Option<(Value, [Option<NodeId>; limits::PLACED])>,
    tries: usize,
}

/// Places all groups that are not settled yet; `order` by importance.
pub(super) fn arrange(scene: &Scene<'_>, order: &[usize], room: Room, placed: &mut [Placed]) {
    let mut search = Search {
        rows: Vec::new(),
        hope: [Value::default(); limits::PLACED + 1],
        room,
        at: [None; limits::PLACED],
        best: None,
        tries: 0,
    };
    let free = |group: &usize| !scene.settled(*group);
    for group in order.iter().copied().filter(free) {
        let row = row(scene, group, placed, &search.rows);
        let pushed = search.rows.push(row);
        debug_assert!(pushed.is_ok(), "each group comes once");
    }
    search.look_ahead();
    search.descend(0, Value::default());
    let Some((_, at)) = search.best else {
        return;
    };
    for (row, node) in search.rows.iter().zip(at) {
        placed[row.group] = Placed {
            nodes: node.map_or(NodeSet::EMPTY, NodeSet::only),
            step: step(scene, row.group, node, placed),
        };
    }
}

/// What a group may choose from.
fn row(scene: &Scene<'_>, group: usize, placed: &[Placed], before: &[Row]) -> Row {
    let (rule, state) = (&scene.groups[group], &scene.states[group]);
    let bit = 1 << (limits::PLACED - 1 - before.len());
    let here = scene.here(group).lowest();
    let beside = scene.beside(group, placed);
    let open = scene.eligible(group).both(beside);
    let home = here.filter(|node| open.contains(*node));
    let wish = wish(scene, group, placed);
    let drawn = drawn(scene, group, placed);
    let serves = |node: NodeId| match home {
        Some(home) if home == node => state.damped || !scene.nodes.lost.contains(home),
        Some(_) => scene.nodes.found.contains(node),
        None => scene.nodes.reachable.contains(node),
    };
    let mut choices: Vec<(NodeId, Value), { limits::NODES + 1 }> = Vec::new();
    let stuck =
        here.filter(|node| home.is_none() && beside.contains(*node) && scene.last(group, *node));
    for node in open.iter() {
        let stays = home == Some(node);
        let asked = wish == Some(node);
        let kept = stays || asked || drawn.contains(node);
        let sticky = if stays { i64::from(rule.stickiness) } else { 0 };
        let value = Value {
            placed: bit,
            well: bit,
            served: if serves(node) { bit } else { 0 },
            kept: u32::from(kept),
            which: if asked || (kept && wish.is_none()) {
                bit
            } else {
                0
            },
            score: scene.worth(group, node) + scene.company(group, node, placed) + sticky,
        };
        let _ = choices.push((node, value));
    }
    if let Some(node) = stuck {
        let value = Value {
            placed: bit,
            kept: 1,
            which: bit,
            ..Value::default()
        };
        let _ = choices.push((node, value));
    }
    choices.sort_unstable_by_key(|(node, value)| (core::cmp::Reverse(*value), *node));
    Row {
        group,
        weight: rule.weight,
        choices,
        ties: ties(scene, group, before),
    }
}

/// Where a group is, if it may be there.
fn home(scene: &Scene<'_>, group: usize, placed: &[Placed]) -> Option<NodeId> {
    let open = open(scene, group, placed);
    let here = scene.here(group).lowest();
    here.filter(|node| open.contains(*node))
}

/// Nodes that may run it, beside what is settled.
fn open(scene: &Scene<'_>, group: usize, placed: &[Placed]) -> NodeSet {
    scene.eligible(group).both(scene.beside(group, placed))
}

/// Where an operator's wish points that is open, and can be fulfilled.
fn wish(scene: &Scene<'_>, group: usize, placed: &[Placed]) -> Option<NodeId> {
    let (node, pending) = scene.states[group].prefer?;
    let can = open(scene, group, placed).contains(node);
    let open = pending && !scene.nodes.frozen && can;
    (open && home(scene, group, placed) != Some(node)).then_some(node)
}

/// Where a group is drawn: by `failback`, with a group that it must be with, and by the wish
/// for one that must be with it.
fn drawn(scene: &Scene<'_>, group: usize, placed: &[Placed]) -> NodeSet {
    let better = |group: usize| match home(scene, group, placed) {
        Some(home) => scene.better(group, home, open(scene, group, placed)),
        None => NodeSet::EMPTY,
    };
    let wish = |group: usize| wish(scene, group, placed).map_or(NodeSet::EMPTY, NodeSet::only);
    let free = |other: &usize| !scene.settled(*other);
    let leads = chain(scene, group, |pair| (pair.group, pair.with));
    let leads = leads
        .filter(free)
        .map(|lead| better(lead).union(wish(lead)));
    let follows = chain(scene, group, |pair| (pair.with, pair.group));
    let follows = follows.filter(free).map(wish);
    leads.chain(follows).fold(better(group), NodeSet::union)
}

/// The groups that must be with a group, or that it must be with, one after the other.
fn chain(
    scene: &Scene<'_>,
    group: usize,
    ends: impl Fn(&Colocation) -> (GroupId, GroupId),
) -> impl Iterator<Item = usize> {
    let mut found = 1u64 << group;
    loop {
        let musts = scene.colocations.iter();
        let musts = musts.filter(|pair| pair.bond == Together::Must).map(&ends);
        let more = musts.fold(found, |found, (from, to)| {
            found | (found >> from.index() & 1) << to.index()
        });
        if more == found {
            break;
        }
        found = more;
    }
    (0..scene.groups.len()).filter(move |other| *other != group && found >> other & 1 == 1)
}

/// Colocations with groups that get their place before this one.
fn ties(scene: &Scene<'_>, group: usize, before: &[Row]) -> Vec<Tie, { 2 * limits::PLACED }> {
    let find = |of: usize| before.iter().position(|row| row.group == of);
    let mut ties = Vec::new();
    for pair in scene.colocations {
        let (one, other) = (pair.group.index(), pair.with.index());
        let tie = if one == group {
            find(other).map(|row| (row, true))
        } else if other == group {
            find(one).map(|row| (row, false))
        } else {
            None
        };
        let Some((row, follows)) = tie else { continue };
        let pushed = ties.push(Tie {
            row: u8::try_from(row).unwrap_or(u8::MAX),
            follows,
            bond: pair.bond,
        });
        assert!(pushed.is_ok(), "two groups are joined once each way");
    }
    ties
}

impl Search {
    /// The best that the rows from each on could add if nothing contended.
    fn look_ahead(&mut self) {
        for n in (0..self.rows.len()).rev() {
            let row = &self.rows[n];
            let friends = row.ties.iter().map(|tie| match tie.bond {
                Together::Score(score) => i64::from(score.max(0)),
                Together::Must | Together::Never => 0,
            });
            let alone = row.choices.first().map_or(Value::default(), |best| best.1);
            let hope = Value {
                score: friends.sum(),
                ..Value::default()
            };
            self.hope[n] = self.hope[n + 1].and(alone).and(hope);
        }
    }

    /// Tries the places of row `n` and of those after it; `value` is of those before.
    fn descend(&mut self, n: usize, value: Value) {
        let known = self.best.as_ref().map(|(value, _)| *value);
        if known
            .is_some_and(|known| value.and(self.hope[n]) <= known || self.tries >= limits::TRIES)
        {
            return;
        }
        self.tries += 1;
        if n == self.rows.len() {
            if known.is_none_or(|known| value > known) {
                self.best = Some((value, self.at));
            }
            return;
        }
        for choice in 0..self.rows[n].choices.len() {
            let row = &self.rows[n];
            let (node, worth) = row.choices[choice];
            let Some(company) = self.beside(n, Some(node)) else {
                continue;
            };
            let weight = row.weight;
            if !self.room.fits(node, weight) {
                continue;
            }
            self.room.take(node, weight);
            self.at[n] = Some(node);
            let score = Value {
                score: company,
                ..Value::default()
            };
            self.descend(n + 1, value.and(worth).and(score));
            self.at[n] = None;
            self.room.give(node, weight);
        }
        if self.beside(n, None).is_some() {
            self.descend(n + 1, value);
        }
    }

    /// What the company of the rows before is worth at a place, unless it is forbidden.
    fn beside(&self, n: usize, node: Option<NodeId>) -> Option<i64> {
        let mut sum = 0;
        for tie in &self.rows[n].ties {
            let other = self.at[usize::from(tie.row)];
            let same = node.is_some() && other == node;
            let (follower, leader) = if tie.follows {
                (node, other)
            } else {
                (other, node)
            };
            match tie.bond {
                Together::Must if follower.is_some() && follower != leader => return None,
                Together::Never if same => return None,
                Together::Score(score) if same => sum += i64::from(score),
                Together::Must | Together::Never | Together::Score(_) => {}
            }
        }
        Some(sum)
    }
}

/// What a place means for a group.
fn step(scene: &Scene<'_>, group: usize, node: Option<NodeId>, placed: &[Placed]) -> Step {
    let state = &scene.states[group];
    let here = scene.here(group).lowest();
    let open = scene.eligible(group);
    let Some(node) = node else {
        return Step::Nowhere;
    };
    let Some(from) = here else {
        let cause = if state.first {
            Cause::Start
        } else {
            Cause::Failover
        };
        return Step::Go(cause);
    };
    if from == node {
        return match open.contains(node) {
            true => Step::Stay,
            false => Step::Keep,
        };
    }
    let lost = scene.nodes.lost.contains(from) && !state.damped;
    let told = scene.nodes.standby.union(scene.nodes.leaving);
    Step::Go(
        if (state.prefer == Some((node, true)) && !scene.nodes.frozen) || told.contains(from) {
            Cause::Move
        } else if !open.contains(from) {
            Cause::Failover
        } else if !scene.beside(group, placed).contains(from) {
            Cause::Displaced
        } else if lost && scene.nodes.found.contains(node) {
            Cause::Health
        } else if scene.better(group, from, open).contains(node) {
            Cause::Failback
        } else {
            Cause::Displaced
        },
    )
}
