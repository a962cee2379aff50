//! When a group leaves a node by itself, and when it returns: failback, stickiness, failures.
//!
//! Judges a group's words by themselves and against its members' timeouts; where it may go
//! is not looked at here.

use core::ops::Range;
use core::time::Duration;

use kodo_engine::config::{SCORES, Score};
use toml::Spanned;

use super::resources::{Resources, at_least};
use super::take;
use crate::cluster::{Failback, Member};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Text;
use crate::raw;
use crate::time::Show;

/// What a `[[group]]` says about moves, and where it says what matters for them.
pub(super) struct Words {
    pub(super) failback: Option<Text<raw::Failback>>,
    pub(super) delay: Option<Text<Duration>>,
    pub(super) stickiness: Option<Spanned<Score>>,
    pub(super) threshold: Option<Spanned<u8>>,
    pub(super) failure_timeout: Option<Text<Duration>>,
    pub(super) clones: Option<Range<usize>>,
    /// Where the group's name is.
    pub(super) name: Range<usize>,
}

/// What that means.
pub(super) struct Moves {
    pub(super) failback: Failback,
    pub(super) stickiness: Score,
    pub(super) threshold: u8,
    pub(super) failure_timeout: Duration,
}

/// Reads a group's words; `None` when one of them did not read.
pub(super) fn read(
    sink: &mut Sink<'_>,
    words: Words,
    members: &[Spanned<Member>],
    resources: &Resources,
) -> Option<Moves> {
    let threshold = threshold(sink, words.threshold);
    let place = words.failure_timeout.as_ref().map(Spanned::span);
    let failure_timeout = at_least(
        sink,
        words.failure_timeout,
        "failure_timeout",
        600_000,
        1_000,
    );
    if let Some(timeout) = failure_timeout {
        forgets(sink, timeout, place, words.name, members, resources);
    }
    let wanted = words.failback.is_some();
    let rule = words.failback.and_then(|text| take(sink, text));
    let known = wanted == rule.is_some();
    let place = rule.as_ref().map(Spanned::span);
    let rule = rule.map_or(raw::Failback::Manual, Spanned::into_inner);
    let stickiness = words
        .stickiness
        .as_ref()
        .map_or(0, |value| *value.get_ref());
    let returns = place.clone().filter(|_| rule != raw::Failback::Manual);
    let sticky = words.stickiness.as_ref().map(Spanned::span);
    match words.clones.zip(returns.or(sticky)) {
        Some((clones, place)) => sink.push(
            Diagnostic::error(place, "a clone has nowhere to return to")
                .see(clones, "it runs on several nodes at once")
                .because("where it runs and may run, it stays; a node that returns gets the next free instance")
                .help("remove `failback`, `failback_delay` and `stickiness`"),
        ),
        None if known => sticks(sink, words.stickiness, rule, place.as_ref()),
        None => {}
    }
    let failback = delay(sink, rule, place, words.delay, known);
    Some(Moves {
        failback: failback.filter(|_| known)?,
        stickiness,
        threshold,
        failure_timeout: failure_timeout?,
    })
}

fn threshold(sink: &mut Sink<'_>, value: Option<Spanned<u8>>) -> u8 {
    match value {
        Some(value) if *value.get_ref() == 0 => {
            sink.push(
                Diagnostic::error(
                    value.span(),
                    "a `migration_threshold` of 0 would ban every node at once",
                )
                .help("write 1 to leave a node at the first failure")
                .fix("1"),
            );
            1
        }
        value => value.map_or(3, Spanned::into_inner),
    }
}

/// A failure that is forgotten before the next one can be noticed never adds up.
/// `place` is where the timeout is written, if it is; `name` where the group is named.
pub(super) fn forgets(
    sink: &mut Sink<'_>,
    timeout: Duration,
    place: Option<Range<usize>>,
    name: Range<usize>,
    members: &[Spanned<Member>],
    resources: &Resources,
) {
    let default = place.is_none();
    let place = place.unwrap_or(name);
    let services = members.iter().filter_map(|member| match member.get_ref() {
        Member::Service(index) => Some((member.span(), &resources.services[*index])),
        Member::Vip(_) => None,
    });
    let times = services.flat_map(|(place, service)| {
        let start = (service.start_timeout, "start", place.clone());
        [start, (service.stop_timeout, "stop", place)]
    });
    let Some((longest, what, member)) = times.max_by_key(|(time, ..)| *time) else {
        return;
    };
    if timeout > longest {
        return;
    }
    let (longest, timeout) = (Show(longest), Show(timeout));
    let item = Diagnostic::error(
        place,
        format!("failures are forgotten after {timeout}, before they can add up"),
    );
    let item = match default {
        true => item.label(format!(
            "`failure_timeout` is {timeout} unless the file says otherwise"
        )),
        false => item,
    };
    sink.push(
        item.see(member, format!("a {what} of this one may take {longest}"))
            .because(format!(
                "a {what} that never ends fails every {longest}; each time the failure before it would be forgotten, and \
                 `migration_threshold` would never be reached"
            ))
            .help(format!("write a `failure_timeout` of several times {longest}, or shorten `{what}_timeout`")),
    );
}

/// Stickiness where the group would not move by itself anyway.
fn sticks(
    sink: &mut Sink<'_>,
    stickiness: Option<Spanned<Score>>,
    rule: raw::Failback,
    place: Option<&Range<usize>>,
) {
    let Some(value) = stickiness else { return };
    let score = *value.get_ref();
    if score < 0 || !SCORES.contains(&score) {
        sink.push(
            Diagnostic::error(
                value.span(),
                format!("the stickiness {score} is out of range"),
            )
            .because("it is how much better another node must be before the group moves there")
            .help(format!("write 0 to {}", SCORES.end())),
        );
    } else if rule == raw::Failback::Manual {
        let item = Diagnostic::error(value.span(), "`stickiness` has nothing to hold back");
        let item = match place {
            Some(place) => item.see(place.clone(), "it moves only when an operator moves it"),
            None => item.label("`failback` is \"manual\" unless the file says otherwise"),
        };
        sink.push(
            item.because("with `failback = \"manual\"` no better node ever draws the group away")
                .help("write `failback = \"auto\"` or \"delayed\", or remove `stickiness`"),
        );
    }
}

/// The rule with its delay.
fn delay(
    sink: &mut Sink<'_>,
    rule: raw::Failback,
    place: Option<Range<usize>>,
    delay: Option<Text<Duration>>,
    known: bool,
) -> Option<Failback> {
    let written = delay.as_ref().map(Spanned::span);
    let time = at_least(sink, delay, "failback_delay", 0, 1_000)?;
    match (rule, written) {
        (raw::Failback::Delayed, None) => sink.push(
            Diagnostic::error(
                place.unwrap_or(0..0),
                "`failback = \"delayed\"` has no `failback_delay`",
            )
            .because("the group returns once the better node has been healthy for so long")
            .help("add a line such as `failback_delay = \"5min\"`"),
        ),
        (raw::Failback::Auto | raw::Failback::Manual, Some(written)) if known => {
            let item = Diagnostic::error(written, "`failback_delay` delays nothing here");
            let item = match place {
                Some(place) => item.see(place, "only \"delayed\" waits"),
                None => item.label("`failback` is \"manual\" unless the file says otherwise"),
            };
            sink.push(item.help("write `failback = \"delayed\"`, or remove `failback_delay`"));
        }
        _ => {}
    }
    Some(match rule {
        raw::Failback::Auto => Failback::Auto,
        raw::Failback::Delayed => Failback::Delayed(time),
        raw::Failback::Manual => Failback::Manual,
    })
}
