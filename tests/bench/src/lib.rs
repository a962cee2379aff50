//! The product's headline figures, measured from outside on the shipped image.
//!
//! Owns measuring and its tables. Judges nothing: a figure is never a test, because these
//! machines are emulated and their hosts are noisy. Comparisons come as ratios of figures
//! that were measured side by side in one run.

mod figures;
mod gate;
mod placement;
mod takeover;

pub use figures::{Outages, Report, Run};
pub use gate::{GateReport, run as run_gate};
pub use placement::{PlacementReport, run as run_placement};
pub use takeover::{Plan, run};
