//! The real engine under an explicit-state model checker.
//!
//! Small clusters, a tiny timing, and an environment that may cut links, crash, pause and
//! reboot machines and silence the arbiter, each a few times: every history that this
//! allows is searched, and the promises are judged from outside after every event.
//!
//! | module | owns |
//! |---|---|
//! | `setting` | the cluster file, the clocks, the budgets |
//! | `state` | one state of the search |
//! | `moves` | what the environment may do |
//! | `world` | one tick: frames, timers, answers, stops |
//! | `judge` | the promises |
//! | `search` | the bridge to the checker |
//! | `story` | a counterexample, shrunk and told |
//! | `suite` | the models, quick and deep |

mod judge;
mod moves;
mod search;
mod setting;
mod state;
mod story;
mod suite;
mod world;

pub use judge::{Broken, Mark};
pub use moves::Move;
pub use search::{Outcome, Violation, search};
pub use setting::{Budget, Cast, Policy, Setting, Shape, Start, shapes};
pub use state::State;
pub use story::{shrink, tell};
pub use suite::{deep, quick};
