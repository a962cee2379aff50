//! The environment: what it may do before a tick.
//!
//! Owns the list of moves and what each costs. Moves of one tick come in the order of the
//! list, so that no two orders of one set are searched.

use std::fmt;

use crate::judge::CALM;
use crate::setting::{NODES, Policy, Setting, Start, TICK};
use crate::state::{State, Witness};

/// Shorter than this a change of whom the ping group answers shows as no gap: the
/// engine documents two and a half beats.
const DWELL: u64 = 3 * TICK;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing more: one keepalive passes.
    Tick,
    /// A shape of links works again.
    Mend(usize),
    /// A machine is switched on.
    Boot(usize),
    /// A machine that stood still goes on.
    Resume(usize),
    /// From now on the arbiter answers these nodes.
    Answer(u8),
    /// A shape of links fails until it is mended.
    Cut(usize),
    /// A machine loses power and all that it knew.
    Crash(usize),
    /// A machine stands still, its clock too.
    Pause(usize),
    /// The loop of a machine stands still; its clock and its kernel go on.
    Stall(usize),
    /// The witness's program is restarted.
    Restart,
}

impl Setting {
    /// Links that do not work while these shapes are in force.
    pub(crate) fn cut(&self, shapes: u32) -> u16 {
        let cut = |n: &usize| shapes & (1 << n) != 0;
        (0..self.shapes.len())
            .filter(cut)
            .fold(0, |links, n| links | self.shapes[n].links)
    }

    /// Whether nothing is wrong in the world.
    pub(crate) fn is_mended(&self, state: &State) -> bool {
        state.environment.cut == 0
            && state.environment.reach == self.all()
            && state.nodes.iter().all(|node| node.on() && !node.stands())
    }

    pub(crate) fn all(&self) -> u8 {
        (1 << self.nodes) - 1
    }

    /// What may happen next: nothing after a broken promise.
    pub(crate) fn moves(&self, state: &State, moves: &mut Vec<Move>) {
        if state.judge.broken.is_some() {
            return;
        }
        let next = usize::from(state.environment.next);
        let allowed =
            |(n, step): (usize, Move)| (n >= next && self.allows(state, step)).then_some(step);
        moves.extend(self.list().enumerate().filter_map(allowed));
        // All is well, and more of it shows nothing new; or it has been ill for long enough.
        let settled = state.judge.calm >= CALM;
        let tired = state.environment.idle >= self.patience && !self.is_mended(state);
        let mends = moves.iter().any(|step| step.mends());
        if !(settled || (tired && mends)) {
            moves.push(Move::Tick);
        }
    }

    /// All moves but [`Move::Tick`], in their order.
    fn list(&self) -> impl Iterator<Item = Move> + '_ {
        let nodes = 0..self.nodes;
        let mend = (0..self.shapes.len()).map(Move::Mend);
        let boot = nodes.clone().map(Move::Boot);
        let resume = nodes.clone().map(Move::Resume);
        let answer = (0..=self.all()).map(Move::Answer);
        let cut = (0..self.shapes.len()).map(Move::Cut);
        let crash = nodes.clone().map(Move::Crash);
        let pause = nodes.clone().map(Move::Pause);
        let stall = nodes.map(Move::Stall);
        mend.chain(boot)
            .chain(resume)
            .chain(answer)
            .chain(cut)
            .chain(crash)
            .chain(pause)
            .chain(stall)
            .chain([Move::Restart])
    }

    fn allows(&self, state: &State, step: Move) -> bool {
        let (environment, nodes) = (&state.environment, &state.nodes);
        let left = environment.left;
        let fault = left.faults > 0;
        match step {
            Move::Tick => true,
            Move::Mend(shape) => environment.cut & (1 << shape) != 0,
            Move::Boot(n) => !nodes[n].on(),
            Move::Resume(n) => nodes[n].stands(),
            Move::Answer(reach) => {
                let asked = matches!(self.policy, Policy::Ping | Policy::Witness);
                asked && self.may_answer(state, reach)
            }
            Move::Cut(shape) => {
                // the promise of a ping group: at most one part reaches it
                let one = self.policy != Policy::Ping || environment.reach.count_ones() <= 1;
                let news = self.shapes[shape].links & !self.cut(environment.cut) != 0;
                fault && left.cuts > 0 && one && news
            }
            Move::Crash(n) => fault && left.crashes > 0 && nodes[n].brain.is_some(),
            Move::Pause(n) => fault && left.pauses > 0 && nodes[n].runs(),
            Move::Stall(n) => fault && left.stalls > 0 && nodes[n].runs(),
            Move::Restart => fault && left.arbiter > 0 && state.witness.is_some(),
        }
    }

    fn may_answer(&self, state: &State, reach: u8) -> bool {
        let environment = &state.environment;
        let (gained, lost) = (reach & !environment.reach, environment.reach & !reach);
        let back = |n: usize| gained & (1 << n) == 0 || state.now >= environment.lost_at[n] + DWELL;
        let paid = lost == 0 || (environment.left.faults > 0 && environment.left.arbiter > 0);
        let one = reach.count_ones() <= 1 || environment.cut == 0;
        let fair = self.policy != Policy::Ping || (one && (0..NODES).all(back));
        (gained | lost) != 0 && paid && fair
    }

    /// The state after a move that takes no time.
    pub(crate) fn play(&self, state: &State, step: Move) -> State {
        let mut state = state.clone();
        let number = self
            .list()
            .position(|other| other == step)
            .map_or(0, |n| n + 1);
        state.environment.next = u8::try_from(number).unwrap_or(u8::MAX);
        (state.judge.calm, state.judge.mended_since) = (0, None);
        state.environment.idle = 0;
        let now = state.now;
        let left = &mut state.environment.left;
        match step {
            Move::Tick => {}
            Move::Mend(shape) => state.environment.cut &= !(1 << shape),
            Move::Boot(n) => state.nodes[n].boots_at = Some(now + state.nodes[n].phase),
            Move::Resume(n) => {
                let since = state.nodes[n].paused.take();
                let stood = now - since.unwrap_or(now);
                let node = &mut state.nodes[n];
                (node.stood, node.stalled) = (node.stood + stood, false);
                node.next_ping = (node.next_ping + stood).max(now);
                state.judge.resumes(n, since.is_some(), now, self);
            }
            Move::Answer(reach) => {
                let lost = state.environment.reach & !reach;
                if lost != 0 {
                    left.faults -= 1;
                    left.arbiter -= 1;
                }
                for n in (0..NODES).filter(|n| lost & (1 << n) != 0) {
                    state.environment.lost_at[n] = now;
                }
                state.environment.reach = reach;
            }
            Move::Cut(shape) => {
                left.faults -= 1;
                left.cuts -= 1;
                state.environment.cut |= 1 << shape;
                state.judge.parted(now);
            }
            Move::Crash(n) => {
                left.faults -= 1;
                left.crashes -= 1;
                state.switch_off(n);
            }
            Move::Restart => {
                left.faults -= 1;
                left.arbiter -= 1;
                let again = |old: &Witness| Witness::start(old.life + 1, old.drift, now);
                state.witness = state.witness.as_ref().map(again);
            }
            Move::Pause(n) => {
                left.faults -= 1;
                left.pauses -= 1;
                state.nodes[n].paused = Some(now);
            }
            Move::Stall(n) => {
                left.faults -= 1;
                left.stalls -= 1;
                state.nodes[n].stalled = true;
                state.judge.stalls(n);
            }
        }
        state
    }

    /// How a story tells a move.
    pub(crate) fn tell(&self, step: Move) -> String {
        match step {
            Move::Mend(shape) => format!("mended: {}", self.shapes[shape].name),
            Move::Cut(shape) => format!("cut: {}", self.shapes[shape].name),
            other => other.to_string(),
        }
    }

    /// Whether this beginning needs its machines switched on for it.
    pub(crate) fn is_settled(&self) -> bool {
        self.start == Start::Settled
    }
}

impl Move {
    /// Makes the world better, and costs nothing.
    fn mends(self) -> bool {
        matches!(
            self,
            Move::Mend(_) | Move::Boot(_) | Move::Resume(_) | Move::Answer(_)
        )
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::Tick => write!(f, "a tick"),
            Move::Mend(shape) => write!(f, "mended: {shape}"),
            Move::Boot(n) => write!(f, "node{} is switched on", n + 1),
            Move::Resume(n) => write!(f, "node{} goes on", n + 1),
            Move::Answer(0) => write!(f, "the arbiter answers nobody"),
            Move::Answer(reach) => {
                let named = (0..NODES).filter(|n| reach & (1 << n) != 0);
                let named: Vec<String> = named.map(|n| format!("node{}", n + 1)).collect();
                write!(f, "the arbiter answers {}", named.join(" and "))
            }
            Move::Cut(shape) => write!(f, "cut: {shape}"),
            Move::Crash(n) => write!(f, "node{} loses power", n + 1),
            Move::Pause(n) => write!(f, "node{} stands still, its clock too", n + 1),
            Move::Stall(n) => write!(f, "the loop of node{} stands still", n + 1),
            Move::Restart => write!(f, "the witness is restarted"),
        }
    }
}
