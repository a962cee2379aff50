//! `quarantine_exits` and `quarantine_window` of `[cluster]`: how often a node may die.

use core::time::Duration;

use toml::Spanned;

use super::take;
use crate::cluster::Quarantine;
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Text;
use crate::time::Show;

/// As long as failures of a group are remembered, unless the file says otherwise.
const WINDOW: Duration = Duration::from_secs(600);
/// Real machines take minutes from power to their first heartbeat: of two deaths that are
/// less than this apart the second one is rarely seen at all.
const SHORTEST: Duration = Duration::from_secs(60);

/// Reads the two words; without the first one nothing is ever put into quarantine.
pub(super) fn read(
    sink: &mut Sink<'_>,
    exits: Option<Spanned<u8>>,
    window: Option<Text<Duration>>,
) -> Option<Quarantine> {
    let place = window.as_ref().map(Spanned::span);
    let time = match window {
        None => Some(WINDOW),
        Some(text) => take(sink, text).map(|time| bounded(sink, &time)),
    };
    let Some(exits) = exits else {
        if let Some(place) = place {
            sink.push(
                Diagnostic::error(place, "`quarantine_window` counts nothing here")
                    .because(
                        "no node is put into quarantine unless the file says after how many deaths",
                    )
                    .help("add a line such as `quarantine_exits = 3`, or remove this one"),
            );
        }
        return None;
    };
    if *exits.get_ref() == 0 {
        sink.push(
            Diagnostic::error(exits.span(), "0 deaths would put every node into quarantine")
                .because("a node that is in quarantine runs nothing until `kodo online`")
                .help("write 3 for the third death in a row, or leave it out: then a node may die as often as it likes")
                .fix("3"),
        );
    }
    Some(Quarantine {
        exits: exits.into_inner(),
        window: time?,
    })
}

fn bounded(sink: &mut Sink<'_>, time: &Spanned<Duration>) -> Duration {
    let value = *time.get_ref();
    if value < SHORTEST {
        sink.push(
            Diagnostic::error(
                time.span(),
                format!("deaths are forgotten after {}, before they can add up", Show(value)),
            )
            .because("each must come so soon after the one before; but a machine has to boot, and be noticed, before it can die again")
            .help(format!("write {} or more", Show(SHORTEST)))
            .fix(format!("\"{}\"", Show(SHORTEST))),
        );
    }
    value
}
