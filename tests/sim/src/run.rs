//! One run: a plan in, its outcome out.
//!
//! Owns the last word on a run: the checkers', a panic of the node, then the scenario's
//! judge. The same plan always has the same outcome and the same hash.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::check::Violation;
use crate::clock::At;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::scenario;
use crate::story::Story;
use crate::world::World;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The first broken promise, or what the scenario's judge did not like.
    pub violation: Option<Violation>,
    /// The run as one number.
    pub hash: u64,
    /// How much time passed in the world.
    pub simulated: At,
    /// What it came to.
    pub facts: Facts,
    /// The run as a person reads it, when that was asked for.
    pub story: Vec<String>,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan, keep_story: bool) -> Outcome {
    let mut world = World::new(plan, keep_story);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let broken = world.run();
        broken.or_else(|| judge(plan, &world.facts, &world.story))
    }));
    let at = world.now();
    let violation = match ran {
        Ok(violation) => violation,
        Err(panic) => Some(Violation {
            promise: "panic",
            at,
            text: message(&*panic),
        }),
    };
    Outcome {
        hash: world.story.hash(),
        simulated: at,
        story: world.story.lines().to_vec(),
        facts: core::mem::take(&mut world.facts),
        violation,
    }
}

fn judge(plan: &Plan, facts: &Facts, story: &Story) -> Option<Violation> {
    let scenario = scenario::named(&plan.scenario)?;
    let text = (scenario.judge)(plan, facts, story).err()?;
    Some(Violation {
        promise: "scenario",
        at: plan.healed,
        text,
    })
}

fn message(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
