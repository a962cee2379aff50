//! The search: every history that the budget allows, by stateright.
//!
//! Owns the bridge to the checker. Depth first: a state holds an engine for each node, and
//! only those on the way are kept; of all others a fingerprint of 64 bits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::judge::{Broken, CALM, Judge, Mark};
use crate::moves::Move;
use crate::setting::{Cast, NODES, Policy, Setting, TICK};
use crate::state::{Environment, Node, State, Witness};
use crate::world;

/// A setting as the checker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Searched {
    pub(crate) setting: Arc<Setting>,
    begins: Vec<State>,
    counts: Arc<Counts>,
}

/// What a search has done so far.
#[derive(Debug, Default)]
struct Counts {
    ticks: AtomicU64,
    longest: AtomicU64,
    slowest: AtomicU64,
}

impl Searched {
    pub(crate) fn new(setting: &Setting) -> Searched {
        Searched {
            begins: setting
                .casts
                .iter()
                .map(|cast| begin(setting, cast))
                .collect(),
            setting: Arc::new(setting.clone()),
            counts: Arc::default(),
        }
    }

    pub(crate) fn begins(&self) -> &[State] {
        &self.begins
    }
}

/// The state in which a search begins.
fn begin(setting: &Setting, cast: &Cast) -> State {
    let nodes = (0..setting.nodes).map(|n| Node::off(cast.drift[n], cast.phase[n]));
    let mut state = State {
        now: 0,
        nodes: nodes.collect(),
        witness: (setting.policy == Policy::Witness).then(|| Witness::start(1, cast.witness, 0)),
        flights: Vec::new(),
        environment: Environment {
            cut: 0,
            reach: setting.all(),
            lost_at: [0; NODES],
            left: setting.budget,
            next: 0,
            idle: 0,
        },
        judge: Judge::new(),
    };
    if setting.is_settled() {
        for n in 0..setting.nodes {
            state = setting.play(&state, Move::Boot(n));
        }
        while state.judge.calm < CALM {
            assert!(
                state.judge.broken.is_none(),
                "a boot in peace: {:?}",
                state.judge.broken
            );
            state = world::tick(setting, &state, None);
        }
    }
    state
}

impl Model for Searched {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        self.begins.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        self.setting.moves(state, actions);
    }

    fn next_state(&self, state: &State, step: Move) -> Option<State> {
        if step != Move::Tick {
            return Some(self.setting.play(state, step));
        }
        let next = world::tick(&self.setting, state, None);
        self.counts.ticks.fetch_add(1, Ordering::Relaxed);
        self.counts
            .longest
            .fetch_max(next.now / TICK, Ordering::Relaxed);
        if let (Some(since), CALM) = (next.judge.mended_since, next.judge.calm) {
            self.counts
                .slowest
                .fetch_max((next.now - since) / TICK, Ordering::Relaxed);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Searched>> {
        vec![
            always::<0>(),
            always::<1>(),
            always::<2>(),
            always::<3>(),
            always::<4>(),
            always::<5>(),
            always::<6>(),
            sometimes::<0>(),
            sometimes::<1>(),
            sometimes::<2>(),
            sometimes::<3>(),
            sometimes::<4>(),
            sometimes::<5>(),
        ]
    }
}

fn always<const N: usize>() -> Property<Searched> {
    Property::always(Broken::ALL[N].1, |_, state: &State| {
        state.judge.broken != Some(Broken::ALL[N].0)
    })
}

fn sometimes<const N: usize>() -> Property<Searched> {
    Property::sometimes(Mark::ALL[N].1, |_, state: &State| {
        state.judge.marks & Mark::ALL[N].0 as u16 != 0
    })
}

/// A history that breaks a promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What should have held.
    pub promise: &'static str,
    /// From which of the setting's beginnings, and by what.
    pub(crate) begin: usize,
    pub(crate) history: Vec<Move>,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// States reached, repeated ones too.
    pub states: usize,
    /// Different ones.
    pub unique: usize,
    /// Ticks simulated.
    pub ticks: u64,
    /// The longest history, in ticks.
    pub longest: u64,
    /// The longest that a mended cluster took to be as it should be for [`CALM`] ticks.
    pub slowest: u64,
    /// How long the search took.
    pub took: Duration,
    /// Every state that the budget allows was reached.
    pub finished: bool,
    /// What broke first, if anything did.
    pub violation: Option<Violation>,
    reached: Vec<Mark>,
}

impl Outcome {
    /// What this setting must reach and this search did not.
    #[must_use]
    pub fn missing(&self, setting: &Setting) -> Vec<&'static str> {
        let wanted = setting.must_reach();
        let missing = |mark: &Mark| wanted.contains(mark) && !self.reached.contains(mark);
        let marks = Mark::ALL.iter().filter(|(mark, _)| missing(mark));
        marks.map(|(_, name)| *name).collect()
    }
}

/// Searches all that a setting allows, or until `limit`. `tell` hears now and then of
/// different states so far.
pub fn search(
    setting: &Setting,
    threads: usize,
    limit: Option<Duration>,
    mut tell: impl FnMut(usize),
) -> Outcome {
    let model = Searched::new(setting);
    let counts = Arc::clone(&model.counts);
    let begins = model.begins.clone();
    let promises: std::collections::BTreeSet<&'static str> =
        Broken::ALL.iter().map(|(_, name)| *name).collect();
    let start = Instant::now();
    let mut builder = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyOf(promises));
    if let Some(limit) = limit {
        builder = builder.timeout(limit);
    }
    let mut checker = builder.spawn_dfs();
    for handle in checker.handles() {
        while !handle.is_finished() {
            tell(checker.unique_state_count());
            std::thread::park_timeout(Duration::from_millis(200));
        }
        handle.join().expect("the checker itself does not panic");
    }
    let took = start.elapsed();
    let found = checker.discoveries();
    let violation = Broken::ALL.iter().find_map(|(_, name)| {
        let path = found.get(name)?.clone();
        let first = path.clone().into_states();
        let begin = begins
            .iter()
            .position(|begin| Some(begin) == first.first())?;
        Some(Violation {
            promise: name,
            begin,
            history: path.into_actions(),
        })
    });
    Outcome {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        ticks: counts.ticks.load(Ordering::Relaxed),
        longest: counts.longest.load(Ordering::Relaxed),
        slowest: counts.slowest.load(Ordering::Relaxed),
        took,
        finished: violation.is_none() && checker.is_done(),
        violation,
        reached: Mark::ALL
            .iter()
            .filter(|(_, name)| found.contains_key(name))
            .map(|(mark, _)| *mark)
            .collect(),
    }
}
