//! A counterexample as people read it: shrunk, then told tick by tick.
//!
//! Owns replaying. A shorter history is one with fewer moves of the environment that breaks
//! the same promise; what a move no longer fits is left out.

use crate::judge::Broken;
use crate::moves::Move;
use crate::search::{Searched, Violation};
use crate::setting::Setting;
use crate::state::State;
use crate::world;

/// Ticks that a replay may take beyond the moves it was given.
const PATIENCE: usize = 100;

/// The shortest history found that still breaks this promise.
#[must_use]
pub fn shrink(setting: &Setting, violation: &Violation) -> Violation {
    let model = Searched::new(setting);
    let start = &model.begins()[violation.begin];
    let breaks = |history: &[Move]| {
        let end = replay(setting, start, history, &mut None);
        end.judge
            .broken
            .is_some_and(|broken| name(broken) == violation.promise)
    };
    let mut best = violation.history.clone();
    'again: loop {
        for span in [4, 3, 2, 1] {
            for at in 0..best.len() {
                let fewer = without(&best, at, span);
                if fewer.len() < best.len() && breaks(&fewer) {
                    best = fewer;
                    continue 'again;
                }
            }
        }
        return Violation {
            history: best,
            ..*violation
        };
    }
}

/// Without so many moves of one kind from a place on: ticks, or what the environment does.
fn without(history: &[Move], at: usize, span: usize) -> Vec<Move> {
    let tick = history[at] == Move::Tick;
    let mut left = span;
    let mut keep = |(n, step): (usize, &Move)| {
        let goes = n >= at && left > 0 && (*step == Move::Tick) == tick;
        left -= usize::from(goes);
        !goes
    };
    let kept = history.iter().enumerate().filter(|pair| keep(*pair));
    kept.map(|(_, step)| *step).collect()
}

/// Everything that happens, a line each.
#[must_use]
pub fn tell(setting: &Setting, violation: &Violation) -> Vec<String> {
    let model = Searched::new(setting);
    let mut lines = Some(Vec::new());
    let end = replay(
        setting,
        &model.begins()[violation.begin],
        &violation.history,
        &mut lines,
    );
    let mut lines = lines.unwrap_or_default();
    if let Some(broken) = end.judge.broken {
        lines.push(format!("BROKEN: {} ({broken:?})", name(broken)));
    }
    lines
}

/// Plays a history as far as it fits, then lets time pass until a promise breaks.
fn replay(
    setting: &Setting,
    start: &State,
    history: &[Move],
    lines: &mut Option<Vec<String>>,
) -> State {
    let mut state = start.clone();
    let mut ticks = 0;
    let mut moves = Vec::new();
    let after = std::iter::repeat_n(&Move::Tick, PATIENCE);
    for step in history.iter().chain(after) {
        if state.judge.broken.is_some() {
            break;
        }
        moves.clear();
        setting.moves(&state, &mut moves);
        if !moves.contains(step) {
            continue;
        }
        state = if *step == Move::Tick {
            ticks += 1;
            let next = world::tick(setting, &state, lines.as_mut());
            if let Some(lines) = lines {
                let acts = (0..setting.nodes).filter(|n| next.nodes[*n].acts);
                let names: Vec<String> = acts.map(|n| format!("node{}", n + 1)).collect();
                let who = if names.is_empty() {
                    "nobody".into()
                } else {
                    names.join(" and ")
                };
                lines.push(format!("-- tick {ticks}: {who} acts"));
            }
            next
        } else {
            if let Some(lines) = lines {
                lines.push(format!("** {}", setting.tell(*step)));
            }
            setting.play(&state, *step)
        };
    }
    state
}

fn name(broken: Broken) -> &'static str {
    let entry = Broken::ALL.iter().find(|(other, _)| *other == broken);
    entry.map_or("", |(_, name)| name)
}
