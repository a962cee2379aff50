//! What placement costs: the largest cluster that it is meant for, quiet and in trouble.
//!
//! The coordinator places all groups whenever something changes, between two heartbeats. A
//! scene is placed many times and the median counts, since the host has other things to do.

use std::fmt;
use std::time::Instant;

use kodo_engine::config::{Colocation, Group, Together, ranked};
use kodo_engine::placement::{Nodes, Placed, Scene, State, Step, place};
use kodo_engine::types::{GroupId, NodeId, NodeSet};
use kodo_sys::counting::Counting;
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

const NODES: usize = 32;
const GROUPS: usize = 64;

/// One scene.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it shows.
    pub scene: &'static str,
    /// Median microseconds of one placement.
    pub micros: f64,
    /// Nine of ten take no longer.
    pub most: f64,
    /// Groups that move, or start.
    pub go: usize,
    /// Groups for which there is no place.
    pub nowhere: usize,
    /// Times that memory was asked for.
    pub allocations: u64,
}

/// All figures of one run of the bench.
#[derive(Clone, Debug, Serialize)]
pub struct PlacementReport {
    /// Placements of each scene.
    pub times: usize,
    /// By scene.
    pub lines: Vec<Line>,
}

/// Everything that a scene borrows.
struct World {
    groups: Vec<Group>,
    pairs: Vec<Colocation>,
    capacity: Vec<u16>,
    members: NodeSet,
    states: Vec<State>,
}

impl World {
    /// Two groups on each node, each of which all nodes may run; room for four.
    fn quiet() -> World {
        let all = NodeSet::first(NODES);
        let home = |group: usize| NodeId::from_index(group % NODES);
        let group = |n: usize| {
            let prefer: Vec<NodeId> = (n..n + NODES).map(home).collect();
            let location = ranked(NODES, &prefer);
            let mut group = Group::new(heapless::String::new(), heapless::Vec::new(), location);
            group.weight = 1;
            group.priority = i16::try_from(n % 4).unwrap_or(0);
            group
        };
        let state = |n: usize| State {
            known: all,
            holders: NodeSet::only(home(n)),
            planned: NodeSet::only(home(n)),
            ..State::default()
        };
        World {
            groups: (0..GROUPS).map(group).collect(),
            pairs: Vec::new(),
            capacity: vec![4; NODES],
            members: all,
            states: (0..GROUPS).map(state).collect(),
        }
    }

    fn dead(mut self, nodes: usize) -> World {
        for node in 0..nodes {
            self.members = self.members.without(NodeId::from_index(node));
        }
        self
    }

    /// Each node carries what it runs now, and so much more.
    fn spare(mut self, room: u16) -> World {
        self.capacity = vec![2 + room; NODES];
        self
    }

    /// Groups of weight 1 to 4.
    fn uneven(mut self) -> World {
        for (n, group) in self.groups.iter_mut().enumerate() {
            group.weight = 1 + u16::try_from(n * 7 % 4).unwrap_or(0);
        }
        self
    }

    /// Nobody runs anything yet.
    fn cold(mut self) -> World {
        for state in &mut self.states {
            *state = State {
                known: state.known,
                first: true,
                ..State::default()
            };
        }
        self
    }

    /// Each group with the next one, in turn never, as wished, and as wished not.
    fn company(mut self) -> World {
        let id = |n: usize| GroupId(u8::try_from(n % GROUPS).unwrap_or(0));
        for n in 0..GROUPS {
            for step in [1, 5, 11] {
                let bond = match (n + step) % 4 {
                    0 => Together::Never,
                    1 => Together::Score(10),
                    2 => Together::Score(-10),
                    _ if n + step < GROUPS => Together::Must,
                    _ => Together::Score(3),
                };
                self.pairs.push(Colocation {
                    group: id(n),
                    with: id(n + step),
                    bond,
                });
            }
        }
        self
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            groups: &self.groups,
            colocations: &self.pairs,
            capacity: &self.capacity,
            nodes: Nodes {
                members: self.members,
                reachable: self.members,
                found: self.members,
                ..Nodes::default()
            },
            states: &self.states,
        }
    }

    fn measure(&self, name: &'static str, times: usize) -> Line {
        let scene = self.scene();
        let before = Counting::allocations();
        let placed = place(&scene);
        let allocations = Counting::allocations() - before;
        let mut micros: Vec<f64> = (0..times)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(place(std::hint::black_box(&scene)));
                start.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        micros.sort_unstable_by(f64::total_cmp);
        let count = |which: fn(&Placed) -> bool| placed.iter().filter(|one| which(one)).count();
        Line {
            scene: name,
            micros: micros[times / 2],
            most: micros[times * 9 / 10],
            go: count(|placed| matches!(placed.step, Step::Go(_))),
            nowhere: count(|placed| placed.step == Step::Nowhere),
            allocations,
        }
    }
}

/// Measures; `tell` hears what is being done.
#[must_use]
pub fn run(times: usize, mut tell: impl FnMut(&str)) -> PlacementReport {
    let times = times.max(1);
    let quiet = World::quiet;
    let scenes = [
        ("quiet", quiet()),
        ("cold start", quiet().cold()),
        ("one node dead", quiet().dead(1)),
        ("half of the nodes dead, room for all", quiet().dead(16)),
        ("three quarters dead, half has no room", quiet().dead(24)),
        ("one dead, no room anywhere", quiet().spare(0).dead(1)),
        (
            "eight dead, uneven, little room",
            quiet().uneven().spare(4).dead(8),
        ),
        (
            "cold start, uneven, little room",
            quiet().uneven().spare(2).cold(),
        ),
        ("192 colocations, quiet", quiet().company()),
        ("192 colocations, cold start", quiet().company().cold()),
        ("192 colocations, eight dead", quiet().company().dead(8)),
        (
            "192 colocations, cold, uneven, little room",
            quiet().company().uneven().spare(2).cold(),
        ),
    ];
    let lines = scenes.iter().map(|(name, world)| {
        tell(name);
        world.measure(name, times)
    });
    PlacementReport {
        times,
        lines: lines.collect(),
    }
}

impl fmt::Display for PlacementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "placement of {GROUPS} groups on {NODES} nodes, {} times each; microseconds\n",
            self.times
        )?;
        writeln!(
            f,
            "{:<44}{:>8}{:>8}{:>6}{:>9}{:>13}",
            "scene", "median", "90 %", "go", "nowhere", "allocations"
        )?;
        for line in &self.lines {
            writeln!(
                f,
                "{:<44}{:>8.0}{:>8.0}{:>6}{:>9}{:>13}",
                line.scene, line.micros, line.most, line.go, line.nowhere, line.allocations
            )?;
        }
        Ok(())
    }
}
