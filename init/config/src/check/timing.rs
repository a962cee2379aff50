//! `[timing]`: profiles, defaults, and the relations that the protocol rests on.

use core::ops::Range;
use core::time::Duration;

use kodo_engine::limits::BEATS_PER_DEADTIME;
use kodo_engine::timing::{RHO_PERCENT, largest_lease, wait_bound};
use toml::Spanned;

use super::take;
use crate::cluster::{Profile, Timing, Written};
use crate::diagnostic::{Diagnostic, Sink};
use crate::raw;
use crate::read::Entry;
use crate::time::Show;

/// Shortest keepalive: below it the scheduling of a loaded machine is the measure, not the peer.
const KEEPALIVE_MIN: Duration = Duration::from_millis(10);
/// Longest deadtime: beyond it nobody would call it failover.
const DEADTIME_MAX: Duration = Duration::from_secs(600);
/// Negotiation of a gigabit link and spanning tree outlast a fast boot.
const LINKWAIT: Duration = Duration::from_secs(10);
/// A peer that was powered on together with this node may take this much longer to boot.
const INITDEAD_MIN: Duration = Duration::from_secs(10);

/// A profile's own values; the others follow from these.
struct Preset {
    keepalive: Duration,
    deadtime: Duration,
    release: Duration,
}

impl Profile {
    fn preset(self) -> Preset {
        let (keepalive, deadtime, release) = match self {
            Self::Default => (100, 500, 50),
            // An emulated machine on a busy host removes an address that much later.
            Self::Lab => (250, 2_000, 250),
            Self::Fast => (40, 200, 50),
        };
        Preset {
            keepalive: Duration::from_millis(keepalive),
            deadtime: Duration::from_millis(deadtime),
            release: Duration::from_millis(release),
        }
    }

    /// As the file writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lab => "lab",
            Self::Fast => "fast",
        }
    }
}

/// The timings, and where each was written; values that were not point to their table.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) value: Timing,
    pub(super) keepalive: Range<usize>,
    pub(super) deadtime: Range<usize>,
}

/// Reads the table; `None` when a value in it did not read.
pub(super) fn read(
    sink: &mut Sink<'_>,
    table: Option<Entry<raw::Timing>>,
    profile: Option<&Spanned<Profile>>,
    head: &Range<usize>,
) -> Option<Checked> {
    let home = match (&table, profile) {
        (Some(table), _) => table.span.clone(),
        (None, Some(profile)) => profile.span(),
        (None, None) => head.clone(),
    };
    let profile = profile.map_or(Profile::Default, |profile| *profile.get_ref());
    let preset = profile.preset();
    let raw = table.map(|table| table.value).unwrap_or_default();
    let mut flawed = false;
    let mut get = |text: Option<_>| {
        let written = text.is_some();
        let value: Option<Spanned<Duration>> = text.and_then(|text| take(sink, text));
        flawed |= written && value.is_none();
        value
    };
    let keepalive = get(raw.keepalive);
    let warntime = get(raw.warntime);
    let deadtime = get(raw.deadtime);
    let initdead = get(raw.initdead);
    let linkwait = get(raw.linkwait);
    let lease = get(raw.lease);
    let release = get(raw.release);
    if flawed {
        return None;
    }
    let written = Written {
        keepalive: keepalive.is_some(),
        warntime: warntime.is_some(),
        deadtime: deadtime.is_some(),
        initdead: initdead.is_some(),
        linkwait: linkwait.is_some(),
        lease: lease.is_some(),
        release: release.is_some(),
    };
    let or = |value: &Option<Spanned<Duration>>, default| {
        value.as_ref().map_or(default, |value| *value.get_ref())
    };
    let place =
        |value: &Option<Spanned<Duration>>| value.as_ref().map_or(home.clone(), Spanned::span);
    let dead = or(&deadtime, preset.deadtime);
    let release_value = or(&release, preset.release);
    let value = Timing {
        profile,
        keepalive: or(&keepalive, preset.keepalive),
        warntime: or(&warntime, dead / 2),
        deadtime: dead,
        initdead: or(&initdead, INITDEAD_MIN.max(dead * 2)),
        linkwait: or(&linkwait, LINKWAIT),
        lease: or(
            &lease,
            largest_lease(dead, release_value).unwrap_or_default(),
        ),
        release: release_value,
        written,
    };
    let places = Places {
        keepalive: place(&keepalive),
        warntime: place(&warntime),
        deadtime: place(&deadtime),
        initdead: place(&initdead),
        lease: place(&lease),
        release: place(&release),
    };
    relations(sink, &value, &places);
    Some(Checked {
        value,
        keepalive: places.keepalive,
        deadtime: places.deadtime,
    })
}

struct Places {
    keepalive: Range<usize>,
    warntime: Range<usize>,
    deadtime: Range<usize>,
    initdead: Range<usize>,
    lease: Range<usize>,
    release: Range<usize>,
}

/// Tells every relation that does not hold.
fn relations(sink: &mut Sink<'_>, timing: &Timing, at: &Places) {
    let Timing {
        keepalive,
        warntime,
        deadtime,
        initdead,
        written,
        ..
    } = *timing;
    let profile = timing.profile.word();
    // Names a timing with its value, and its origin when the file does not show it.
    let named = |name: &str, value: Duration, written: bool| match written {
        true => format!("`{name}` {}", Show(value)),
        false => format!("`{name}` {} (from profile \"{profile}\")", Show(value)),
    };
    let keepalive_text = named("keepalive", keepalive, written.keepalive);
    let deadtime_text = named("deadtime", deadtime, written.deadtime);

    if keepalive < KEEPALIVE_MIN {
        sink.push(
            Diagnostic::error(
                at.keepalive.clone(),
                format!("{keepalive_text} is too short"),
            )
            .because(
                "below 10ms the scheduling of a busy machine decides, not the health of the peer",
            )
            .help("write 10ms or more"),
        );
        return;
    }
    if deadtime > DEADTIME_MAX {
        sink.push(
            Diagnostic::error(at.deadtime.clone(), format!("{deadtime_text} is too long"))
                .help(format!("write {} or less", Show(DEADTIME_MAX))),
        );
        return;
    }
    if deadtime <= keepalive * 2 {
        let place = if written.deadtime || !written.keepalive {
            &at.deadtime
        } else {
            &at.keepalive
        };
        sink.push(
            Diagnostic::error(
                place.clone(),
                format!("{deadtime_text} is not more than twice {keepalive_text}"),
            )
            .because("a single lost heartbeat would pass for a dead node")
            .help(format!(
                "write a deadtime of four keepalives or more ({}), or a shorter keepalive",
                Show(keepalive * 4)
            )),
        );
        return;
    }
    let beats = deadtime.as_nanos() / keepalive.as_nanos();
    if beats > BEATS_PER_DEADTIME as u128 {
        sink.push(
            Diagnostic::error(
                at.keepalive.clone(),
                format!("{deadtime_text} spans {beats} heartbeats at {keepalive_text}"),
            )
            .because(format!("a node remembers when it sent the last {BEATS_PER_DEADTIME}, to judge the echo of each"))
            .help(format!(
                "write a keepalive of {} or more",
                Show(ceil_ms(deadtime / u32::try_from(BEATS_PER_DEADTIME).unwrap_or(u32::MAX)))
            )),
        );
    }
    if warntime <= keepalive || warntime >= deadtime {
        sink.push(
            Diagnostic::error(
                at.warntime.clone(),
                format!("`warntime` {} is not between {keepalive_text} and {deadtime_text}", Show(warntime)),
            )
            .because("it is the silence that is worth a warning: longer than one heartbeat, shorter than death")
            .help(format!("leave it out for half of deadtime ({}), or write a value between them", Show(deadtime / 2))),
        );
    }
    if initdead < deadtime {
        sink.push(
            Diagnostic::error(
                at.initdead.clone(),
                format!(
                    "`initdead` {} is shorter than {deadtime_text}",
                    Show(initdead)
                ),
            )
            .because("a fresh node would take over from a peer that it had no time to hear")
            .help(format!(
                "write {} or more; {} suits most machines",
                Show(deadtime),
                Show(INITDEAD_MIN.max(deadtime * 2))
            )),
        );
    }
    lease(sink, timing, at, &deadtime_text);
}

/// The lease must end, and be given up, before the peer may take over.
fn lease(sink: &mut Sink<'_>, timing: &Timing, at: &Places, deadtime_text: &str) {
    let Timing {
        keepalive,
        deadtime,
        lease,
        release,
        written,
        ..
    } = *timing;
    let largest = largest_lease(deadtime, release).unwrap_or_default();
    let minimum = keepalive * 2;
    if written.lease {
        let wait = wait_bound(lease, release);
        if wait > deadtime {
            let item = Diagnostic::error(
                at.lease.clone(),
                format!("`lease` {} needs a wait of {}, longer than {deadtime_text}", Show(lease), Show(ceil_ms(wait))),
            )
            .because(format!(
                "the peer may take over only when the lease has run out by the slowest clock ({RHO_PERCENT}% off) and {} were spent on releasing",
                Show(release)
            ));
            let largest = floor_ms(largest);
            sink.push(if largest > minimum {
                item.help(format!(
                    "write {} or less, or leave it out for the largest that fits",
                    Show(largest)
                ))
            } else {
                item.help("write a longer deadtime, or a shorter release")
            });
        } else if lease <= minimum {
            sink.push(
                Diagnostic::error(
                    at.lease.clone(),
                    format!(
                        "`lease` {} is not more than two keepalives ({})",
                        Show(lease),
                        Show(minimum)
                    ),
                )
                .because("the echo of a heartbeat takes up to two keepalives: a healthy holder would give up its groups")
                .help("leave it out for the largest that fits deadtime"),
            );
        } else if lease < keepalive * 3 {
            sink.push(short_lease(&at.lease, lease, keepalive));
        }
    } else if largest <= minimum {
        let place = if written.release {
            &at.release
        } else {
            &at.deadtime
        };
        sink.push(
            Diagnostic::error(
                place.clone(),
                format!(
                    "{deadtime_text} leaves a lease of {} after a release of {}: not more than two keepalives",
                    Show(floor_ms(largest)),
                    Show(release)
                ),
            )
            .because("the echo of a heartbeat takes up to two keepalives: a healthy holder would give up its groups")
            .help(format!(
                "write a deadtime of {} or more, or a shorter keepalive",
                Show(ceil_ms(wait_bound(keepalive * 3, release)))
            )),
        );
    } else if largest < keepalive * 3 {
        sink.push(short_lease(&at.deadtime, floor_ms(largest), keepalive));
    }
}

fn short_lease(at: &Range<usize>, lease: Duration, keepalive: Duration) -> Diagnostic {
    Diagnostic::warning(
        at.clone(),
        format!(
            "the lease of {} is shorter than three keepalives of {}",
            Show(lease),
            Show(keepalive)
        ),
    )
    .because("a single heartbeat lost on every path makes a healthy holder give up its groups")
    .help("write a longer deadtime or a shorter keepalive")
}

pub(super) fn ceil_ms(value: Duration) -> Duration {
    let floor = floor_ms(value);
    if floor == value {
        value
    } else {
        floor + Duration::from_millis(1)
    }
}

fn floor_ms(value: Duration) -> Duration {
    Duration::new(value.as_secs(), value.subsec_millis() * 1_000_000)
}
