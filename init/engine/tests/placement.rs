//! Placement against a slow oracle: in thousands of small clusters every arrangement is
//! weighed in the order of arguments that `placement` documents, and the one that it took
//! must be the best.
//!
//! Owns a second reading of that documentation; shares nothing with the search but the
//! types. Clones are read first, by themselves, as documented.

use std::fmt::Write as _;

use kodo_engine::config::{Colocation, Failback, Group, Score, Together};
use kodo_engine::placement::{Nodes, Placed, Scene, State, Step, Verdict, place, verdict};
use kodo_engine::surface::Cause;
use kodo_engine::types::{GroupId, NodeId, NodeSet};

/// Clusters that are drawn.
const CLUSTERS: u64 = 10_000;

/// SplitMix64: the same clusters in every run.
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    fn small<T: TryFrom<u64>>(&mut self, end: u64) -> T {
        T::try_from(self.below(end)).unwrap_or_else(|_| unreachable!("small numbers fit"))
    }

    /// Once in `n`.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Of these, each once in `n`.
    fn some(&mut self, of: NodeSet, n: u64) -> NodeSet {
        of.iter().filter(|_| self.once_in(n)).collect()
    }

    fn one(&mut self, of: NodeSet) -> Option<NodeId> {
        let nodes: Vec<NodeId> = of.iter().collect();
        (!nodes.is_empty()).then(|| nodes[self.small::<usize>(nodes.len() as u64)])
    }
}

/// Everything that a scene borrows.
#[derive(Clone, Debug)]
struct World {
    groups: Vec<Group>,
    pairs: Vec<Colocation>,
    capacity: Vec<u16>,
    nodes: Nodes,
    states: Vec<State>,
}

impl World {
    fn scene(&self) -> Scene<'_> {
        Scene {
            groups: &self.groups,
            colocations: &self.pairs,
            capacity: &self.capacity,
            nodes: self.nodes,
            states: &self.states,
        }
    }

    fn place(&self) -> Vec<Placed> {
        place(&self.scene()).to_vec()
    }

    fn draw(dice: &mut Dice) -> World {
        let count = 1 + dice.small::<usize>(4);
        let all = NodeSet::first(count);
        let groups = 1 + dice.small::<usize>(5);
        let crowded = dice.once_in(2);
        let capacity = |dice: &mut Dice| if crowded { dice.small(6) } else { 0 };
        let capacity = (0..count).map(|_| capacity(dice)).collect();
        let members = all.minus(dice.some(all, 5));
        // whoever reached the clients for long does so now, whoever lost them does not
        let reachable = members.minus(dice.some(all, 4));
        let nodes = Nodes {
            members,
            leaving: dice.some(members, 12),
            standby: dice.some(members, 6),
            foreign: NodeSet::EMPTY,
            reachable,
            lost: dice.some(members.minus(reachable), 2),
            found: reachable.minus(dice.some(all, 4)),
            unsteady: dice.some(all, 5),
            frozen: dice.once_in(6),
        };
        let foreign = dice.some(nodes.standby, 3);
        let mut clones = 0;
        let rule = |dice: &mut Dice| {
            let mut rule = Group::new(
                heapless::String::new(),
                heapless::Vec::new(),
                (0..count)
                    .map(|_| (!dice.once_in(6)).then(|| dice.small::<Score>(5) - 1))
                    .collect(),
            );
            rule.priority = dice.small(3);
            rule.weight = if crowded { dice.small(4) } else { 0 };
            rule.stickiness = dice.small(4);
            rule.failback = match dice.below(3) {
                0 => Failback::Auto,
                1 => Failback::Delayed(core::time::Duration::from_secs(60)),
                _ => Failback::Manual,
            };
            if clones < 2 && dice.once_in(5) {
                clones += 1;
                rule.clones = Some(1 + dice.small::<u8>(3));
            }
            rule
        };
        let mut rules = Vec::new();
        let mut draw_rule = rule;
        for _ in 0..groups {
            rules.push(draw_rule(dice));
        }
        let state = |dice: &mut Dice, rule: &Group| {
            let single = |dice: &mut Dice| match dice.one(all) {
                Some(node) if !dice.once_in(4) => NodeSet::only(node),
                _ => NodeSet::EMPTY,
            };
            let mut holders = single(dice);
            if rule.clones.is_some() || dice.once_in(20) {
                holders = holders.union(single(dice));
            }
            let planned = match dice.once_in(2) {
                true => holders,
                false => single(dice),
            };
            State {
                known: members.minus(dice.some(all, 15)),
                banned: dice.some(members, 6),
                unwell: dice.some(members, 8),
                holders,
                planned,
                prefer: dice.one(all).filter(|_| dice.once_in(3)).map(|node| {
                    (
                        node,
                        dice.once_in(2) && !planned.union(holders).contains(node),
                    )
                }),
                waiting: dice.some(all, 3),
                damped: dice.once_in(4),
                first: holders.is_empty() && dice.once_in(3),
                pinned: dice.once_in(12),
                ..State::default()
            }
        };
        let mut states: Vec<State> = rules.iter().map(|rule| state(dice, rule)).collect();
        let mut pairs: Vec<Colocation> = Vec::new();
        let clone = |group: usize| rules[group].clones.is_some();
        // each clone is promoted by at most one group
        let mut promoted = Vec::new();
        for one in (0..groups).filter(|one| !clone(*one)) {
            let free = |of: &usize| clone(*of) && !promoted.contains(of);
            let of = (0..groups).find(free).filter(|_| dice.once_in(3));
            let Some(of) = of else { continue };
            promoted.push(of);
            states[one].unfit = dice.some(all, 4);
            for score in &mut states[one].scores[..count] {
                *score = dice.small::<i16>(7);
            }
            pairs.push(Colocation {
                group: id(one),
                with: id(of),
                bond: Together::Must,
            });
        }
        for one in 0..groups {
            for other in (0..groups).filter(|other| *other != one) {
                let bond = match dice.below(24) {
                    0..=2 => Together::Must,
                    3 => Together::Never,
                    4 | 5 => Together::Score(dice.small::<Score>(9) - 4),
                    _ => continue,
                };
                // what the file may not say: a clone that must be with something else than
                // a clone, and circles
                let implied = |pair: &Colocation| (pair.group, pair.with) == (id(one), id(other));
                let circle = (clone(one) && !clone(other)) || one < other;
                if bond == Together::Must && (circle || pairs.iter().any(implied)) {
                    continue;
                }
                pairs.push(Colocation {
                    group: id(one),
                    with: id(other),
                    bond,
                });
            }
        }
        World {
            groups: rules,
            pairs,
            capacity,
            nodes: Nodes { foreign, ..nodes },
            states,
        }
    }

    /// The same after what was placed has been carried out.
    fn carried_out(&self, placed: &[Placed]) -> World {
        let mut after = self.clone();
        for (state, placed) in after.states.iter_mut().zip(placed) {
            state.holders = placed.nodes;
            state.planned = placed.nodes;
            state.first &= placed.nodes.is_empty();
            if let Some((node, pending)) = &mut state.prefer {
                *pending &= !placed.nodes.contains(*node);
            }
        }
        after
    }
}

fn id(group: usize) -> GroupId {
    GroupId(u8::try_from(group).unwrap_or_else(|_| unreachable!("few groups")))
}

/// The second reading of the documentation.
struct Oracle<'a> {
    world: &'a World,
    /// Groups, the most important first.
    order: Vec<usize>,
    /// Where each clone runs, and each group that is not to be touched.
    settled: Vec<Option<NodeSet>>,
    /// What is left of the capacities besides them.
    room: Vec<u16>,
    /// Colocations of groups that are not settled do not count.
    alone: bool,
}

/// What an arrangement is worth: line by line, and within a line by importance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    runs: Vec<bool>,
    allowed: Vec<bool>,
    served: Vec<bool>,
    stay: usize,
    stays: Vec<bool>,
    score: i64,
}

const WISH: i64 = 1 << 40;

impl<'a> Oracle<'a> {
    fn new(world: &'a World) -> Oracle<'a> {
        let mut oracle = Oracle {
            world,
            order: Vec::new(),
            settled: vec![None; world.groups.len()],
            room: world.capacity.clone(),
            alone: false,
        };
        let mut ranked: Vec<usize> = (0..world.groups.len()).collect();
        ranked.sort_by_key(|group| -world.groups[*group].priority);
        for group in ranked {
            oracle.rank(group);
        }
        for group in 0..world.groups.len() {
            if world.states[group].pinned {
                let mut nodes = oracle.present(group);
                if world.groups[group].clones.is_none() {
                    nodes = nodes.lowest().into_iter().collect();
                }
                oracle.settle(group, nodes);
            }
        }
        for group in oracle.order.clone() {
            if let (Some(wanted), None) = (world.groups[group].clones, oracle.settled[group]) {
                let nodes = oracle.clone_nodes(group, usize::from(wanted));
                oracle.settle(group, nodes);
            }
        }
        oracle
    }

    /// What a group must be with is as important as the group.
    fn rank(&mut self, group: usize) {
        for pair in &self.world.pairs {
            if pair.bond == Together::Must && pair.group.index() == group {
                self.rank(pair.with.index());
            }
        }
        if !self.order.contains(&group) {
            self.order.push(group);
        }
    }

    fn settle(&mut self, group: usize, nodes: NodeSet) {
        for node in nodes.iter() {
            let room = &mut self.room[node.index()];
            *room = room.saturating_sub(self.world.groups[group].weight);
        }
        self.settled[group] = Some(nodes);
    }

    fn present(&self, group: usize) -> NodeSet {
        let state = &self.world.states[group];
        let members = self.world.nodes.members;
        let (planned, holders) = (state.planned.both(members), state.holders.both(members));
        if self.world.groups[group].clones.is_some() {
            planned.union(holders)
        } else if planned.is_empty() {
            holders
        } else {
            planned
        }
    }

    /// Where a single group is.
    fn home(&self, group: usize) -> Option<NodeId> {
        self.present(group).lowest()
    }

    /// May it run there: member of the same file, not told otherwise, and not failed there.
    fn may(&self, group: usize, node: NodeId) -> bool {
        let (nodes, state) = (&self.world.nodes, &self.world.states[group]);
        nodes.members.contains(node)
            && state.known.contains(node)
            && self.world.groups[group].location[node.index()].is_some()
            && !nodes.leaving.contains(node)
            && !nodes.standby.contains(node)
            && !state.banned.contains(node)
            && !state.unwell.contains(node)
            && !state.unfit.contains(node)
    }

    /// Do the settled groups let it be there?
    fn beside_settled(&self, group: usize, node: NodeId) -> bool {
        self.world.pairs.iter().all(|pair| {
            let (one, other) = (pair.group.index(), pair.with.index());
            let there = |of: usize| self.settled[of].map(|nodes| nodes.contains(node));
            match pair.bond {
                Together::Must if one == group => there(other) != Some(false),
                Together::Never if one == group => there(other) != Some(true),
                Together::Never if other == group => there(one) != Some(true),
                _ => true,
            }
        })
    }

    fn file_and_wish(&self, group: usize, node: NodeId) -> i64 {
        let wished = matches!(self.world.states[group].prefer, Some((to, _)) if to == node);
        let score = self.world.groups[group].location[node.index()].unwrap_or(0);
        let fit = self.world.states[group].scores[node.index()];
        i64::from(score) + i64::from(fit) + if wished { WISH } else { 0 }
    }

    fn settled_company(&self, group: usize, node: NodeId) -> i64 {
        let mut sum = 0;
        for pair in &self.world.pairs {
            let Together::Score(score) = pair.bond else {
                continue;
            };
            let (one, other) = (pair.group.index(), pair.with.index());
            let friend = match group {
                _ if one == group => other,
                _ if other == group => one,
                _ => continue,
            };
            if self.settled[friend].is_some_and(|nodes| nodes.contains(node)) {
                sum += i64::from(score);
            }
        }
        sum
    }

    fn clone_nodes(&self, group: usize, wanted: usize) -> NodeSet {
        let here = self.present(group);
        let weight = self.world.groups[group].weight;
        let mut open: Vec<NodeId> = NodeSet::first(self.world.capacity.len())
            .iter()
            .filter(|node| self.may(group, *node) && self.beside_settled(group, *node))
            .filter(|node| self.room[node.index()] >= weight)
            .collect();
        open.sort_by_key(|node| {
            let reaches = self.world.nodes.reachable.contains(*node);
            let score = self.file_and_wish(group, *node) + self.settled_company(group, *node);
            (!here.contains(*node), !reaches, -score)
        });
        open.into_iter().take(wanted).collect()
    }

    /// May a holder keep it, rather than nobody has it?
    fn may_keep(&self, group: usize, node: NodeId) -> bool {
        let (nodes, state) = (&self.world.nodes, &self.world.states[group]);
        let ordered = nodes.leaving.contains(node)
            || (nodes.standby.contains(node) && nodes.foreign.is_empty());
        self.home(group) == Some(node)
            && state.holders.contains(node)
            && self.world.groups[group].location[node.index()].is_some()
            && !state.unfit.contains(node)
            && !ordered
            && self.beside_settled(group, node)
    }

    /// Where a single group could be at all, by itself.
    fn places(&self, group: usize) -> Vec<NodeId> {
        let possible = |node: &NodeId| {
            let open = self.may(group, *node) && self.beside_settled(group, *node);
            open || self.may_keep(group, *node)
        };
        NodeSet::first(self.world.capacity.len())
            .iter()
            .filter(possible)
            .collect()
    }

    /// A group that is, and may be, somewhere.
    fn well_at(&self, group: usize) -> Option<NodeId> {
        self.home(group)
            .filter(|home| self.may(group, *home) && self.beside_settled(group, *home))
    }

    fn served(&self, group: usize, node: NodeId) -> bool {
        let nodes = &self.world.nodes;
        match self.well_at(group) {
            Some(home) if home == node => {
                !nodes.lost.contains(node) || self.world.states[group].damped
            }
            Some(_) => nodes.found.contains(node),
            None => nodes.reachable.contains(node),
        }
    }

    /// An operator's wish that is not fulfilled yet, and can be.
    fn wish(&self, group: usize) -> Option<NodeId> {
        let (to, pending) = self.world.states[group].prefer?;
        let can = self.may(group, to) && self.beside_settled(group, to);
        let open = pending && !self.world.nodes.frozen && can;
        (open && self.well_at(group) != Some(to)).then_some(to)
    }

    /// May it go there by itself, from where it is well?
    fn goes_back(&self, group: usize, to: NodeId) -> bool {
        let (nodes, state) = (&self.world.nodes, &self.world.states[group]);
        let Some(home) = self.well_at(group) else {
            return false;
        };
        let rule = &self.world.groups[group];
        let timely = match rule.failback {
            Failback::Auto => true,
            Failback::Delayed(_) => !state.waiting.contains(to),
            Failback::Manual => false,
        };
        let gain = self.file_and_wish(group, to) - self.file_and_wish(group, home);
        timely
            && self.may(group, to)
            && self.beside_settled(group, to)
            && !nodes.frozen
            && nodes.found.contains(to)
            && !nodes.unsteady.contains(to)
            && gain > i64::from(rule.stickiness)
    }

    /// Directly, or by one that it must be with.
    fn must_be_with(&self, group: usize, lead: usize) -> bool {
        self.world.pairs.iter().any(|pair| {
            let with = pair.with.index();
            pair.bond == Together::Must
                && pair.group.index() == group
                && (with == lead || self.must_be_with(with, lead))
        })
    }

    /// What the places of some groups are worth; `None` when they cannot be.
    fn worth(&self, at: &[Option<NodeId>]) -> Option<Worth> {
        let mut room = self.room.clone();
        for (group, node) in at.iter().enumerate() {
            let Some(node) = node else { continue };
            let room = &mut room[node.index()];
            *room = room.checked_sub(self.world.groups[group].weight)?;
        }
        let free = |group: usize| self.settled[group].is_none();
        let mut score = 0;
        for pair in &self.world.pairs {
            let (one, other) = (pair.group.index(), pair.with.index());
            if self.alone || !free(one) || !free(other) {
                continue;
            }
            let same = at[one].is_some() && at[one] == at[other];
            match pair.bond {
                Together::Must if at[one].is_some() && !same => return None,
                Together::Never if same => return None,
                Together::Score(worth) if same => score += i64::from(worth),
                _ => {}
            }
        }
        let singles = || self.order.iter().copied().filter(|group| free(*group));
        let each = |f: &dyn Fn(usize, NodeId) -> bool| -> Vec<bool> {
            singles()
                .map(|group| at[group].is_some_and(|node| f(group, node)))
                .collect()
        };
        let allowed = |group: usize, node: NodeId| self.may(group, node);
        let stays = |group: usize, node: NodeId| {
            self.home(group) == Some(node) && (allowed(group, node) || self.may_keep(group, node))
        };
        let asked = |group: usize, node: NodeId| self.wish(group) == Some(node);
        let content = |group: usize, node: NodeId| {
            let own = asked(group, node) || self.goes_back(group, node);
            let others = || (0..at.len()).filter(|other| *other != group && free(*other));
            let leads = |other: &usize| self.must_be_with(group, *other);
            let along = |lead: usize| asked(lead, node) || self.goes_back(lead, node);
            let follows = |other: &usize| self.must_be_with(*other, group);
            stays(group, node)
                || own
                || others().filter(leads).any(along)
                || others().filter(follows).any(|other| asked(other, node))
        };
        for (group, node) in at.iter().enumerate() {
            let Some(node) = *node else { continue };
            if !allowed(group, node) {
                continue;
            }
            score += self.file_and_wish(group, node) + self.settled_company(group, node);
            if self.well_at(group) == Some(node) {
                score += i64::from(self.world.groups[group].stickiness);
            }
        }
        Some(Worth {
            runs: each(&|_, _| true),
            allowed: each(&allowed),
            served: each(&|group, node| allowed(group, node) && self.served(group, node)),
            stay: each(&content).into_iter().filter(|yes| *yes).count(),
            // where a wish is open, staying is not what is asked for
            stays: each(&|group, node| match self.wish(group) {
                Some(_) if allowed(group, node) => asked(group, node),
                _ => content(group, node),
            }),
            score,
        })
    }

    /// Of equal arrangements the one in which the most important group has what is best for
    /// itself, then the next one; where that is equal too, the node that the file names first.
    fn taste(&self, group: usize) -> Vec<Option<NodeId>> {
        let plenty = Oracle {
            world: self.world,
            order: self.order.clone(),
            settled: self.settled.clone(),
            room: vec![u16::MAX; self.room.len()],
            alone: true,
        };
        let alone = |node: NodeId| {
            let mut at = vec![None; self.world.groups.len()];
            at[group] = Some(node);
            plenty.worth(&at)
        };
        let mut places = self.places(group);
        places.sort_by_key(|node| std::cmp::Reverse(alone(*node)));
        places.into_iter().map(Some).chain([None]).collect()
    }

    /// The best arrangement of all, by trying every one.
    fn best(&self) -> (Worth, Vec<Option<NodeId>>) {
        let free = |group: &usize| self.settled[*group].is_none();
        let singles: Vec<usize> = self.order.iter().copied().filter(free).collect();
        let places: Vec<Vec<Option<NodeId>>> =
            singles.iter().map(|group| self.taste(*group)).collect();
        let mut best: Option<(Worth, Vec<Option<NodeId>>)> = None;
        let mut odometer = vec![0; singles.len()];
        loop {
            let mut at = vec![None; self.world.groups.len()];
            for (row, group) in singles.iter().enumerate() {
                at[*group] = places[row][odometer[row]];
            }
            if let Some(worth) = self.worth(&at)
                && best.as_ref().is_none_or(|(known, _)| worth > *known)
            {
                best = Some((worth, at));
            }
            let Some(row) = (0..singles.len())
                .rev()
                .find(|row| odometer[*row] + 1 < places[*row].len())
            else {
                break;
            };
            odometer[row] += 1;
            odometer[row + 1..].fill(0);
        }
        best.unwrap_or_else(|| unreachable!("nothing anywhere is always possible"))
    }
}

/// A cluster as a person reads it.
fn draw(world: &World) -> String {
    let set = |set: NodeSet| -> String {
        let names = set.iter().map(|node| char::from(b'a' + node.0));
        let names: String = names.collect();
        if names.is_empty() { "-".into() } else { names }
    };
    let nodes = &world.nodes;
    let mut text = format!(
        "capacity {:?}; members {}, leaving {}, standby {} (foreign {}), reachable {}, lost {}, \
         found {}, unsteady {}, frozen {}\n",
        world.capacity,
        set(nodes.members),
        set(nodes.leaving),
        set(nodes.standby),
        set(nodes.foreign),
        set(nodes.reachable),
        set(nodes.lost),
        set(nodes.found),
        set(nodes.unsteady),
        nodes.frozen
    );
    for (n, (rule, state)) in world.groups.iter().zip(&world.states).enumerate() {
        let _ = writeln!(
            text,
            "group {n}: location {:?}, priority {}, weight {}, clones {:?}, stickiness {}, {:?}; \
             known {}, banned {}, unwell {}, unfit {}, fit {:?}, holders {}, planned {}, prefer {:?}, waiting {}{}{}{}",
            rule.location.as_slice(),
            rule.priority,
            rule.weight,
            rule.clones,
            rule.stickiness,
            rule.failback,
            set(state.known),
            set(state.banned),
            set(state.unwell),
            set(state.unfit),
            &state.scores[..world.capacity.len()],
            set(state.holders),
            set(state.planned),
            state.prefer,
            set(state.waiting),
            if state.damped { ", damped" } else { "" },
            if state.first { ", first" } else { "" },
            if state.pinned { ", pinned" } else { "" },
        );
    }
    for pair in &world.pairs {
        let (one, other) = (pair.group.0, pair.with.0);
        let _ = writeln!(text, "{one} with {other}: {:?}", pair.bond);
    }
    text
}

fn worlds() -> impl Iterator<Item = (u64, World)> {
    (0..CLUSTERS).map(|seed| (seed, World::draw(&mut Dice(seed))))
}

#[test]
fn the_best_of_all_arrangements_is_taken() {
    let mut contended = 0;
    for (seed, world) in worlds() {
        let oracle = Oracle::new(&world);
        let placed = world.place();
        for (group, nodes) in oracle.settled.iter().enumerate() {
            if let Some(nodes) = nodes {
                let what = "clones and pinned groups";
                assert_eq!(
                    placed[group].nodes,
                    *nodes,
                    "{what}, seed {seed}\n{}",
                    draw(&world)
                );
            }
        }
        let at: Vec<Option<NodeId>> = (0..placed.len())
            .map(|group| match oracle.settled[group] {
                Some(_) => None,
                None => placed[group].node(),
            })
            .collect();
        let got = oracle.worth(&at);
        let (best, expect) = oracle.best();
        contended += u64::from(best.runs.contains(&false));
        assert!(
            got.as_ref() == Some(&best) && at == expect,
            "seed {seed}\n{}took {at:?}\n{got:#?}\nbest {expect:?}\n{best:#?}",
            draw(&world)
        );
    }
    assert!(
        contended > CLUSTERS / 20,
        "only {contended} with a group down"
    );
}

#[test]
fn the_same_scene_gives_the_same_places() {
    for (seed, world) in worlds().take(1_000) {
        assert_eq!(world.place(), world.place(), "seed {seed}");
    }
}

#[test]
fn what_the_file_forbids_never_happens() {
    for (seed, world) in worlds() {
        let placed = world.place();
        let pinned = |group: usize| world.states[group].pinned;
        let told = |group: usize, node: NodeId| {
            let (nodes, state) = (&world.nodes, &world.states[group]);
            nodes.members.contains(node)
                && state.known.contains(node)
                && !nodes.leaving.contains(node)
                && !nodes.standby.contains(node)
                && !state.banned.contains(node)
                && !state.unwell.contains(node)
                && !state.unfit.contains(node)
        };
        let context = || format!("seed {seed}\n{}{placed:?}", draw(&world));
        for (group, place) in placed.iter().enumerate().filter(|(n, _)| !pinned(*n)) {
            let rule = &world.groups[group];
            let wanted = usize::from(rule.clones.unwrap_or(1));
            assert!(place.nodes.len() <= wanted, "{}", context());
            for node in place.nodes.iter() {
                assert!(rule.may_run(node), "{}", context());
                let kept = place.step == Step::Keep
                    && world.states[group].holders.contains(node)
                    && !world.nodes.leaving.contains(node);
                assert!(told(group, node) != kept, "{}", context());
            }
            assert_eq!(
                place.nodes.is_empty(),
                place.step == Step::Nowhere,
                "{}",
                context()
            );
        }
        for pair in &world.pairs {
            let (one, other) = (pair.group.index(), pair.with.index());
            let (one, other) = (placed[one].nodes, placed[other].nodes);
            let excused = |a: GroupId| pinned(a.index());
            let kept = match pair.bond {
                Together::Must => excused(pair.group) || one.is_subset(other),
                Together::Never => {
                    (excused(pair.group) && excused(pair.with)) || one.is_disjoint(other)
                }
                Together::Score(_) => true,
            };
            assert!(kept, "{}", context());
        }
        for (node, capacity) in world.capacity.iter().enumerate() {
            let node = NodeId::from_index(node);
            let weight = |only: &dyn Fn(usize) -> bool| -> u16 {
                let there = |n: &usize| only(*n) && placed[*n].nodes.contains(node);
                let weights = (0..placed.len()).filter(there);
                weights.map(|n| world.groups[n].weight).sum()
            };
            let untouched = weight(&pinned);
            let moved = weight(&|n| !pinned(n));
            assert!(moved <= capacity.saturating_sub(untouched), "{}", context());
        }
    }
}

/// Carried out until nothing changes: at once, unless several wishes are open that cannot all
/// be fulfilled; these come one after the other, each once.
fn settled(world: &World) -> (World, Vec<Placed>) {
    let open = |state: &&State| state.prefer.is_some_and(|(_, pending)| pending);
    let wishes = world.states.iter().filter(open).count();
    let mut world = world.clone();
    let mut placed = world.place();
    for _ in 0..wishes.max(1) {
        world = world.carried_out(&placed);
        placed = world.place();
        if placed.iter().all(|one| !matches!(one.step, Step::Go(_))) {
            break;
        }
    }
    (world, placed)
}

#[test]
fn what_was_carried_out_stays() {
    for (seed, world) in worlds() {
        let (after, again) = settled(&world);
        let runs = after.states.iter().map(|state| state.planned);
        let stays = again.iter().map(|placed| placed.nodes).eq(runs);
        let go = again
            .iter()
            .any(|placed| matches!(placed.step, Step::Go(_)));
        assert!(stays && !go, "seed {seed}\n{}{again:?}", draw(&after));
    }
}

#[test]
fn the_loss_of_a_node_that_runs_nothing_moves_nothing() {
    for (seed, world) in worlds() {
        let (world, placed) = settled(&world);
        let used = placed
            .iter()
            .fold(NodeSet::EMPTY, |used, placed| used.union(placed.nodes));
        for idle in world.nodes.members.minus(used).iter() {
            let mut less = world.clone();
            less.nodes.members = world.nodes.members.without(idle);
            let left: Vec<NodeSet> = less.place().iter().map(|placed| placed.nodes).collect();
            let before: Vec<NodeSet> = placed.iter().map(|placed| placed.nodes).collect();
            assert_eq!(left, before, "seed {seed}, {idle:?}\n{}", draw(&world));
        }
    }
}

#[test]
fn a_cause_is_a_true_one() {
    for (seed, world) in worlds() {
        let placed = world.place();
        for (group, place) in placed.iter().enumerate() {
            let (Step::Go(cause), Some(to), None) =
                (place.step, place.node(), world.groups[group].clones)
            else {
                continue;
            };
            let oracle = Oracle::new(&world);
            let from = oracle.home(group);
            let nodes = &world.nodes;
            let left = |from: NodeId| nodes.standby.union(nodes.leaving).contains(from);
            let yes = match cause {
                Cause::Start => from.is_none() && world.states[group].first,
                Cause::Failover => from.is_none_or(|from| !oracle.may(group, from)),
                Cause::Failback => oracle.goes_back(group, to),
                Cause::Move => oracle.wish(group) == Some(to) || from.is_some_and(left),
                Cause::Health => {
                    from.is_some_and(|from| nodes.lost.contains(from) && nodes.found.contains(to))
                }
                Cause::Displaced => from.is_some_and(|from| oracle.may(group, from)),
            };
            assert!(
                yes,
                "seed {seed}, group {group}: {cause:?}\n{}",
                draw(&world)
            );
        }
    }
}

#[test]
fn no_verdict_speaks_against_a_place_that_was_taken() {
    for (seed, world) in worlds() {
        let placed = world.place();
        for (group, place) in placed.iter().enumerate() {
            let gone = matches!(place.step, Step::Keep) || world.states[group].pinned;
            for node in place.nodes.iter().filter(|_| !gone) {
                let word = verdict(&world.scene(), &placed, group, node);
                let crowded = (0..placed.len())
                    .any(|n| world.states[n].pinned && placed[n].nodes.contains(node));
                let fine = matches!(word, Verdict::Open { .. })
                    || (crowded && matches!(word, Verdict::Full { .. }));
                assert!(fine, "seed {seed}: {word:?}\n{}{placed:?}", draw(&world));
            }
        }
    }
}
