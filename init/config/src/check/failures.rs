//! What a group does about a failed start, a failed stop, and a node that is ill.
//!
//! Owns those words. Failures that are counted are `moves`'s subject.

use toml::Spanned;

use super::take;
use crate::cluster::{HealthRule, OnStopFailure};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Text;

/// What the words mean.
pub(super) struct Failures {
    pub(super) start_is_fatal: bool,
    pub(super) on_stop: OnStopFailure,
    pub(super) health: HealthRule,
}

/// Reads a group's words; `None` when one of them did not read.
pub(super) fn read(
    sink: &mut Sink<'_>,
    start: Option<Spanned<bool>>,
    stop: Option<Text<OnStopFailure>>,
    health: Option<Text<HealthRule>>,
) -> Option<Failures> {
    let health = match health {
        None => Some(HealthRule::None),
        Some(text) => take(sink, text).map(Spanned::into_inner),
    };
    let on_stop = match stop {
        None => OnStopFailure::Fence,
        Some(text) => {
            let stop = take(sink, text)?;
            if *stop.get_ref() == OnStopFailure::Block {
                sink.push(blocks(&stop));
            }
            stop.into_inner()
        }
    };
    Some(Failures {
        start_is_fatal: start.is_none_or(Spanned::into_inner),
        on_stop,
        health: health?,
    })
}

fn blocks(stop: &Spanned<OnStopFailure>) -> Diagnostic {
    Diagnostic::note(stop.span(), "what cannot be stopped stays where it is, and nobody takes it over")
        .because(
            "with \"block\" a node goes on although a stop failed there. As long as an address, or anything of a guarded \
             group, may still act on it, no other node takes the group, until an operator says `kodo cleanup`. A node that is \
             cut off from the others, or told to leave, is reset all the same: the others count on it",
        )
        .help("\"fence\" resets the node at once, and another one serves; it is what is done without this line")
}
