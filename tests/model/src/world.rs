//! One tick of the world: what the nodes do between two moves of the environment.
//!
//! Owns virtual time. Everything that is due happens at its instant and in a fixed order,
//! so that a state and a move have exactly one successor.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kodo_engine::claims::Hold;
use kodo_engine::surface::{Effect, Event};
use kodo_engine::witness::{Codec, Word};
use kodo_engine::{Engine, NodeId, PathId, ResourceId};

use crate::judge::{Broken, Heard, Judge, Mark};
use crate::setting::{
    CLUSTER, GROUP, HELD, HOP, LINK, NODES, Policy, STOP, Setting, TICK, WITNESS_KEY, nanos,
};
use crate::state::{Brain, Cargo, Flight, Node, Outcome, State, boot_id};

/// Copies of one frame that is echoed at once, at most: an endless exchange within one
/// tick is a bug of the engine's rate limit, or of this world.
const EVENTS: u32 = 1000;

/// Where a story is written down, a line for each thing that happens.
pub(crate) type Tape<'a> = Option<&'a mut Vec<String>>;

/// A tick under way.
pub(crate) struct World<'a> {
    setting: &'a Setting,
    state: State,
    /// Engines that this tick has changed.
    engines: [Option<Box<Engine>>; NODES],
    tape: Tape<'a>,
}

/// The state one tick later.
pub(crate) fn tick(setting: &Setting, state: &State, tape: Tape<'_>) -> State {
    let mut world = World {
        setting,
        state: state.clone(),
        engines: [const { None }; NODES],
        tape,
    };
    world.state.environment.next = 0;
    world.state.environment.idle = world.state.environment.idle.saturating_add(1);
    world.state.judge.marks = 0;
    let end = world.state.now + TICK;
    world.wake();
    let mut events = 0;
    while world.state.judge.broken.is_none() && world.step(end) {
        events += 1;
        assert!(events < EVENTS, "the world spins at {}", world.state.now);
    }
    world.state.now = end;
    world.rest();
    world.state
}

impl World<'_> {
    /// The next thing before `end`, if there is one.
    fn step(&mut self, end: u64) -> bool {
        let due = (0..self.state.nodes.len()).filter_map(|n| self.due(n));
        let flights = self.state.flights.iter().map(|flight| flight.at);
        let Some(next) = due.chain(flights).min().filter(|next| *next < end) else {
            return false;
        };
        self.state.now = self.state.now.max(next);
        self.land();
        for n in 0..self.state.nodes.len() {
            self.turn(n);
        }
        self.state
            .judge
            .look(self.state.now, &self.state.nodes, self.setting);
        true
    }

    /// When a node wants to run next.
    fn due(&self, n: usize) -> Option<u64> {
        let node = &self.state.nodes[n];
        if let Some(at) = node.boots_at {
            return Some(at);
        }
        if !node.runs() {
            return None;
        }
        let timer = node.world(nanos(self.engine(n).poll_deadline()));
        Some(match self.setting.policy {
            Policy::Ping => timer.min(node.next_ping),
            _ => timer,
        })
    }

    fn engine(&self, n: usize) -> &Engine {
        let resting = || {
            self.state.nodes[n]
                .brain
                .as_ref()
                .map(|brain| &*brain.engine)
        };
        self.engines[n]
            .as_deref()
            .or_else(resting)
            .expect("switched on")
    }

    fn local(&self, n: usize) -> Duration {
        Duration::from_nanos(self.state.nodes[n].local(self.state.now))
    }

    /// A node's own turn: boot, timer, question.
    fn turn(&mut self, n: usize) {
        let now = self.state.now;
        if self.state.nodes[n].boots_at.is_some_and(|at| at <= now) {
            self.boot(n);
        }
        if !self.state.nodes[n].runs() {
            return;
        }
        if self.setting.policy == Policy::Ping && now >= self.state.nodes[n].next_ping {
            self.state.nodes[n].next_ping = now + TICK;
            if self.state.environment.reach & (1 << n) != 0 {
                let node = &self.state.nodes[n];
                let (asked, life) = (node.local(now), node.lives);
                self.fly(n, HOP, Cargo::Pong { asked, life });
            }
        }
        if self.is_due(n) {
            self.input(n, Engine::handle_timer);
        }
    }

    fn is_due(&self, n: usize) -> bool {
        self.engine(n).poll_deadline() <= self.local(n)
    }

    fn boot(&mut self, n: usize) {
        let now = self.state.now;
        let node = &mut self.state.nodes[n];
        node.boots_at = None;
        node.lives += 1;
        (node.booted, node.stood, node.next_ping) = (now, 0, now);
        let life = node.lives;
        self.say(n, || format!("boots, life {life}"));
        let config = self.setting.config(n);
        let boot = boot_id(n, life);
        self.state.judge.life_begins(n);
        let engine = Box::new(Engine::new(config, boot, boot.0, Duration::ZERO));
        self.state.nodes[n].brain = Some(Arc::new(Brain::new(engine)));
        self.input(n, |engine, now| engine.handle_carrier(now, LINK, true));
    }

    /// What has arrived.
    fn land(&mut self) {
        let now = self.state.now;
        while let Some(index) = self
            .state
            .flights
            .iter()
            .position(|flight| flight.at <= now)
        {
            let Flight { to, what, .. } = self.state.flights.remove(index);
            if let Cargo::Question { from, bytes } = what {
                self.ask(from, &bytes);
            } else if self.state.nodes[to].stands() {
                self.state.nodes[to].inbox.push(what);
            } else if self.state.nodes[to].brain.is_some() {
                self.receive(to, what);
            }
        }
    }

    /// Whether a node counts another one as a member of its view.
    fn is_fellow(&self, n: usize, other: usize) -> bool {
        self.engine(n).is_member(NodeId::from_index(other))
    }

    /// A question reaches the witness; its answer flies back.
    fn ask(&mut self, from: usize, bytes: &[u8]) {
        let now = self.state.now;
        let codec = Codec::new(CLUSTER, &WITNESS_KEY);
        let Some(witness) = &mut self.state.witness else {
            return;
        };
        let Ok(question) = codec.question(bytes) else {
            return;
        };
        let Ok(answer) = witness.granter.judge(witness.clock(now), &question) else {
            return;
        };
        if answer.word != Word::Idle {
            self.say(from, || format!("the witness says {:?}", answer.word));
        }
        let bytes = codec.answer(&answer)[..].into();
        self.fly(from, HOP, Cargo::Answer { bytes });
    }

    /// Machines that go on find what arrived in the meantime.
    fn wake(&mut self) {
        for n in 0..self.state.nodes.len() {
            if !self.state.nodes[n].runs() {
                continue;
            }
            if !self.state.nodes[n].inbox.is_empty() && self.is_due(n) {
                // the worst order: what it missed comes before what it should hear
                self.input(n, Engine::handle_timer);
            }
            for what in std::mem::take(&mut self.state.nodes[n].inbox) {
                if self.state.nodes[n].brain.is_some() {
                    self.receive(n, what);
                }
            }
        }
    }

    fn receive(&mut self, n: usize, what: Cargo) {
        let lives = self.state.nodes[n].lives;
        match what {
            Cargo::Frame {
                from,
                life,
                tenure,
                holds,
                bytes,
            } => {
                let before = self.is_fellow(n, from);
                let (result, effects) =
                    self.give(n, |engine, now| engine.handle_frame(now, LINK, &bytes));
                let fellow = before || self.is_fellow(n, from);
                match result {
                    Some(Ok(_)) => {
                        // before what follows from it
                        let State {
                            judge, nodes, now, ..
                        } = &mut self.state;
                        let at = nodes[n].local(*now);
                        let heard = Heard {
                            life,
                            tenure,
                            holds,
                            at,
                        };
                        judge.heard(n, from, heard, fellow, nodes[n].acts, *now);
                        self.say(n, || format!("hears node{}", from + 1));
                    }
                    Some(Err(reject)) => {
                        self.say(n, || format!("rejects node{}: {reject:?}", from + 1));
                    }
                    None => {}
                }
                self.perform(n, effects);
            }
            Cargo::Report { report, life } if life == lives => {
                if report == Outcome::Stopped {
                    self.state.nodes[n].acts = false;
                    self.state.judge.ends(n);
                    self.say(n, || "no longer acts".into());
                }
                self.input(n, |engine, now| {
                    engine.handle_report(now, HELD, report.report());
                });
            }
            Cargo::Pong { asked, life } if life == lives => {
                let asked = Duration::from_nanos(asked);
                self.input(n, |engine, now| engine.handle_ping(now, asked));
            }
            Cargo::Answer { bytes } => {
                let (result, effects) =
                    self.give(n, |engine, now| engine.handle_witness(now, &bytes));
                if let Some(Err(reject)) = result {
                    self.say(n, || format!("rejects the witness: {reject:?}"));
                }
                self.perform(n, effects);
            }
            Cargo::Report { .. } | Cargo::Pong { .. } | Cargo::Question { .. } => {}
        }
    }

    /// One input, and every effect that follows.
    fn input(&mut self, n: usize, give: impl FnOnce(&mut Engine, Duration)) {
        let (_, effects) = self.give(n, give);
        self.perform(n, effects);
    }

    /// One input; gives its result, unless it panicked, and what is to be performed.
    fn give<T>(
        &mut self,
        n: usize,
        give: impl FnOnce(&mut Engine, Duration) -> T,
    ) -> (Option<T>, Vec<Effect>) {
        let local = self.local(n);
        let taken = self.engines[n].take();
        let mut engine = taken.unwrap_or_else(|| Box::new(Engine::clone(self.engine(n))));
        let mut effects = Vec::new();
        let work = AssertUnwindSafe(|| {
            let result = give(&mut engine, local);
            effects.extend(std::iter::from_fn(|| engine.poll_effect()));
            result
        });
        let result = catch_unwind(work).ok();
        self.engines[n] = Some(engine);
        if result.is_none() {
            self.state.judge.breaks(Broken::Panicked);
            self.say(n, || "panics".into());
        }
        (result, effects)
    }

    fn perform(&mut self, n: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(path, frame) => self.send(n, path, &frame),
                Effect::Start(resource, reason) => {
                    self.say(n, || format!("acts from now on ({reason:?})"));
                    self.start(n, resource);
                }
                Effect::Stop(resource, reason) => {
                    self.say(n, || format!("stops ({reason:?})"));
                    self.stop(n, resource);
                }
                Effect::ResetSelf(fatal) => {
                    self.say(n, || format!("resets itself: {fatal:?}"));
                    self.state.judge.resets(n, self.state.now);
                    self.state.switch_off(n);
                    self.engines[n] = None;
                    return;
                }
                Effect::Log(event) => self.note(n, &event),
                Effect::Adopted(_) => unreachable!("no model stages a file"),
                Effect::Ask(question) => {
                    if self.state.environment.reach & (1 << n) != 0 {
                        let bytes = question[..].into();
                        self.fly(n, HOP, Cargo::Question { from: n, bytes });
                    }
                }
                Effect::Gate(resource, until) => {
                    assert_eq!(resource, HELD, "there is one resource");
                    self.state.nodes[n].gate = nanos(until);
                }
                Effect::Probe(_)
                | Effect::Announce(_)
                | Effect::Persist(..)
                | Effect::FeedWatchdog => {}
            }
        }
    }

    /// The earliest that it may act is now; the worst for whoever else does.
    fn start(&mut self, n: usize, resource: ResourceId) {
        assert_eq!(resource, HELD, "there is one resource");
        let (epoch, members) = {
            let engine = self.engine(n);
            let members: Vec<usize> = engine
                .view()
                .map(|view| view.members.iter().map(NodeId::index).collect())
                .unwrap_or_default();
            (engine.claim(GROUP).tenure, members)
        };
        self.state.nodes[n].acts = true;
        let State {
            judge, nodes, now, ..
        } = &mut self.state;
        judge.begins(n, nodes, *now, epoch, &members, self.setting);
        self.report(n, HOP, Outcome::Started);
    }

    /// A start under way ends with its stop; that takes as long as the file allows.
    fn stop(&mut self, n: usize, resource: ResourceId) {
        assert_eq!(resource, HELD, "there is one resource");
        let starts =
            |flight: &Flight| flight.to == n && matches!(flight.what, Cargo::Report { .. });
        self.state.flights.retain(|flight| !starts(flight));
        self.report(n, STOP, Outcome::Stopped);
    }

    fn report(&mut self, n: usize, after: u64, report: Outcome) {
        let life = self.state.nodes[n].lives;
        self.fly(n, after, Cargo::Report { report, life });
    }

    fn send(&mut self, from: usize, path: PathId, bytes: &[u8]) {
        assert_eq!(path, LINK, "there is one path");
        let bytes: Arc<[u8]> = bytes.into();
        let claim = self.engine(from).claim(GROUP);
        let (tenure, holds) = (claim.tenure, claim.hold == Hold::Holding);
        let life = self.state.nodes[from].lives;
        let cut = self.setting.cut(self.state.environment.cut);
        for to in (0..self.state.nodes.len()).filter(|to| *to != from) {
            if cut & (1 << (from * self.state.nodes.len() + to)) != 0 {
                continue;
            }
            let what = Cargo::Frame {
                from,
                life,
                tenure,
                holds,
                bytes: Arc::clone(&bytes),
            };
            self.fly(to, HOP, what);
        }
    }

    fn fly(&mut self, to: usize, after: u64, what: Cargo) {
        let at = self.state.now + after;
        // those of one instant in the order in which they were sent
        let place = self.state.flights.partition_point(|flight| flight.at <= at);
        self.state.flights.insert(place, Flight { at, to, what });
    }

    fn note(&mut self, n: usize, event: &Event) {
        let judge = &mut self.state.judge;
        match event {
            Event::Takeover { .. } => judge.mark(Mark::Takeover),
            Event::LeaseEnded { .. } => judge.mark(Mark::LeaseEnded),
            Event::Superseded { .. } => judge.mark(Mark::Superseded),
            Event::Starting { .. } if judge.known(n) > 0 => judge.mark(Mark::Handover),
            Event::View { members, .. } if members.len() == self.state.nodes.len() => {
                judge.mark(Mark::Rejoined);
            }
            _ => {}
        }
        if self.tape.is_some() {
            let mut text = String::new();
            let told = event.text(self.engine(n).config(), &mut text);
            self.say(n, || match told {
                Ok(()) => text,
                Err(error) => error.to_string(),
            });
        }
    }

    fn say(&mut self, n: usize, text: impl FnOnce() -> String) {
        if let Some(tape) = &mut self.tape {
            let at = Duration::from_nanos(self.state.now).as_secs_f64();
            tape.push(format!("{at:>8.3}  node{}  {}", n + 1, text()));
        }
    }

    /// Engines that changed are at rest again; and what the tick comes to.
    fn rest(&mut self) {
        for n in 0..self.state.nodes.len() {
            if let Some(engine) = self.engines[n].take() {
                self.state.nodes[n].brain = Some(Arc::new(Brain::new(engine)));
            }
        }
        let stands = self.state.nodes.iter().any(Node::stands);
        if self.state.environment.cut != 0 || stands {
            self.state.judge.parted(self.state.now);
        }
        let mended = self.setting.is_mended(&self.state);
        Judge::sum_up(&mut self.state, mended, self.setting.policy);
    }
}
