//! Heartbeat paths: the ends that belong together, and how often each may speak.

use core::ops::Range;
use core::time::Duration;

use kodo_engine::{codec, limits};
use toml::Spanned;

use super::nodes::{Node, Nodes, Serial};
use super::timing;
use crate::cluster::{Path, PathKind, Role, serial_bits};
use crate::diagnostic::{Diagnostic, Sink};
use crate::time::Show;

/// Peers that a heartbeat on a serial line echoes: the other end, and a life of it that
/// is not confirmed yet.
const ECHOES: usize = 2;
/// Bytes for the operators' registers, which go round one at a time.
const GOSSIP: usize = 24;
/// Heartbeats may use one part in so many of a line's rate.
const SHARE: u64 = 2;

/// Largest heartbeat on a serial line, for a file with this many groups.
fn serial_budget(groups: usize) -> usize {
    (codec::floor(groups.min(limits::GROUPS), ECHOES) + GOSSIP).min(limits::FRAME)
}

/// Shortest keepalive of a line, rounded up to a millisecond.
fn shortest(budget: usize, baud: u32) -> Duration {
    let bits = serial_bits(budget) * SHARE;
    Duration::from_millis((bits * 1_000).div_ceil(u64::from(baud.max(1))))
}

/// Pairs the ends of every path; `None` when something about them could not be read.
pub(super) fn derive(
    sink: &mut Sink<'_>,
    nodes: &Nodes,
    timing: Option<&timing::Checked>,
    groups: usize,
) -> Option<Vec<Path>> {
    let budget = serial_budget(groups);
    let timing = timing?;
    if !nodes.complete {
        return None;
    }
    let [a, b] = &nodes.list[..] else { return None };
    let mut paths = Vec::new();
    for (role, kind) in [
        (Role::Crossover, PathKind::Crossover),
        (Role::Lan, PathKind::Lan),
    ] {
        let ends = [spans(a, role), spans(b, role)];
        unpaired(sink, [a, b], role.word(), "port", &ends);
        for index in 0..ends[0].len().min(ends[1].len()) {
            paths.push(path(kind, index, timing.value.keepalive, limits::FRAME));
        }
    }
    let ends = [a, b].map(|node| {
        node.serial
            .iter()
            .map(|line| line.span.clone())
            .collect::<Vec<_>>()
    });
    unpaired(sink, [a, b], "serial", "line", &ends);
    for (index, (one, other)) in a.serial.iter().zip(&b.serial).enumerate() {
        let keepalive = serial(sink, [one, other], timing, budget);
        paths.push(path(PathKind::Serial, index, keepalive, budget));
    }
    enough(sink, &paths, a);
    Some(paths)
}

/// Marks the paths on which clients reach the VIPs.
pub(super) fn publish(mut paths: Vec<Path>, lan: usize) -> Vec<Path> {
    for path in &mut paths {
        path.public = path.kind == PathKind::Lan && path.index == lan;
    }
    paths
}

fn path(kind: PathKind, index: usize, keepalive: Duration, budget: usize) -> Path {
    let word = match kind {
        PathKind::Crossover => "crossover",
        PathKind::Lan => "lan",
        PathKind::Serial => "serial",
    };
    let name = if index == 0 {
        word.to_owned()
    } else {
        format!("{word}{}", index + 1)
    };
    Path {
        name,
        kind,
        index,
        keepalive,
        budget,
        public: false,
    }
}

fn spans(node: &Node, role: Role) -> Vec<Range<usize>> {
    node.ports(role).map(|nic| nic.span.clone()).collect()
}

/// A cable has two ends.
fn unpaired(
    sink: &mut Sink<'_>,
    nodes: [&Node; 2],
    what: &str,
    noun: &str,
    ends: &[Vec<Range<usize>>; 2],
) {
    let [a, b] = ends;
    let (more, fewer, extra) = match a.len().cmp(&b.len()) {
        core::cmp::Ordering::Equal => return,
        core::cmp::Ordering::Greater => (nodes[0], nodes[1], &a[b.len()]),
        core::cmp::Ordering::Less => (nodes[1], nodes[0], &b[a.len()]),
    };
    sink.push(
        Diagnostic::error(
            extra.clone(),
            format!(
                "{} has no {what} {noun} at the other end of this one",
                fewer.title()
            ),
        )
        .see(
            fewer.span.clone(),
            format!(
                "{} has {} of {}",
                fewer.title(),
                a.len().min(b.len()),
                a.len().max(b.len())
            ),
        )
        .because(format!(
            "the first {what} {noun} of every node is one path, the second ones another, and so on"
        ))
        .help(format!(
            "add the missing {noun} to {}, or remove this one from {}",
            fewer.title(),
            more.title()
        )),
    );
}

/// The keepalive of one serial line: as written, or stretched to fit.
fn serial(
    sink: &mut Sink<'_>,
    ends: [&Serial; 2],
    timing: &timing::Checked,
    budget: usize,
) -> Duration {
    let [a, b] = ends;
    if a.baud.get_ref() != b.baud.get_ref() {
        sink.push(
            Diagnostic::error(
                b.baud.span(),
                format!(
                    "{} baud here, {} at the other end",
                    b.baud.get_ref(),
                    a.baud.get_ref()
                ),
            )
            .see(a.baud.span(), "the other end")
            .because("the two ends of a line must speak at one rate")
            .help("write the same `baud` at both"),
        );
    }
    let written: Vec<&Spanned<Duration>> = ends
        .iter()
        .filter_map(|end| end.keepalive.as_ref())
        .collect();
    if let [one, other] = written[..]
        && one.get_ref() != other.get_ref()
    {
        sink.push(
            Diagnostic::error(
                other.span(),
                "the two ends of this line have different keepalives",
            )
            .see(one.span(), "the other end")
            .help("write it once, or the same at both"),
        );
    }
    let baud = (*a.baud.get_ref()).min(*b.baud.get_ref());
    let (fits, keepalive) = (shortest(budget, baud), timing.value.keepalive);
    let why = format!(
        "a heartbeat takes up to {} bits on the line, and heartbeats may use half of its rate, so that none waits behind the one before",
        serial_bits(budget)
    );
    let chosen = match written.first() {
        Some(written) if *written.get_ref() < keepalive => {
            sink.push(
                Diagnostic::error(
                    written.span(),
                    format!(
                        "this keepalive is shorter than the cluster's {}",
                        Show(keepalive)
                    ),
                )
                .see(timing.keepalive.clone(), "the cluster's")
                .help("leave it out, or write a longer one"),
            );
            return keepalive;
        }
        Some(written) if *written.get_ref() < fits => {
            sink.push(
                Diagnostic::error(
                    written.span(),
                    format!(
                        "{} needs more than half of the line's {baud} baud",
                        Show(*written.get_ref())
                    ),
                )
                .because(why)
                .help(format!(
                    "write {} or more, leave it out, or raise `baud`",
                    Show(fits)
                )),
            );
            return fits;
        }
        Some(written) => *written.get_ref(),
        None => keepalive.max(fits),
    };
    let sound = timing.value.deadtime > keepalive * 2;
    if sound && timing.value.deadtime <= chosen * 2 {
        sink.push(
            Diagnostic::error(
                a.baud.span(),
                format!(
                    "this line is too slow: a heartbeat every {}, and `deadtime` is {}",
                    Show(chosen),
                    Show(timing.value.deadtime)
                ),
            )
            .see(timing.deadtime.clone(), "deadtime follows from here")
            .because(format!(
                "deadtime must be more than two heartbeats of every path; {why}"
            ))
            .help("raise `baud` at both ends, write a longer `deadtime`, or remove the line"),
        );
    } else if chosen > keepalive && written.is_empty() {
        sink.push(
            Diagnostic::note(
                a.span.clone(),
                format!(
                    "heartbeats on this line go every {}, not every {}",
                    Show(chosen),
                    Show(keepalive)
                ),
            )
            .because(why)
            .help("raise `baud` at both ends for the shorter interval"),
        );
    }
    chosen
}

/// Few paths are worth a word.
fn enough(sink: &mut Sink<'_>, paths: &[Path], node: &Node) {
    let item = match paths {
        [only] => Diagnostic::warning(
            node.span.clone(),
            format!("`{}` is the only heartbeat path", only.name),
        )
        .because("when it fails, both nodes live and each thinks that the other is dead")
        .help("add a crossover cable or a serial line; cables are cheaper than split brains"),
        paths if paths.len() > limits::PATHS => Diagnostic::error(
            node.span.clone(),
            format!("there are {} heartbeat paths", paths.len()),
        )
        .because(format!(
            "a node has room for {}; every table in it has a fixed size",
            limits::PATHS
        ))
        .help("remove ports or lines from both nodes"),
        _ => return,
    };
    sink.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_line() {
        for (groups, baud) in [(1, 9_600), (8, 115_200)] {
            let budget = serial_budget(groups);
            let bits = serial_bits(budget) * 1_000 * SHARE;
            let keepalive = u64::try_from(shortest(budget, baud).as_millis()).unwrap();
            assert!(bits <= keepalive * u64::from(baud));
            assert!(bits > (keepalive - 1) * u64::from(baud));
        }
    }

    #[test]
    fn heartbeats_can_tell_all_paths_apart() {
        let kinds = [PathKind::Crossover, PathKind::Lan, PathKind::Serial];
        let mut tags = Vec::new();
        for (kind, index) in kinds
            .into_iter()
            .flat_map(|kind| (0..limits::PATHS).map(move |n| (kind, n)))
        {
            let tag = kodo_engine::operator::tag(&path(kind, index, Duration::ZERO, 0).name);
            assert!(!tags.contains(&tag));
            tags.push(tag);
        }
    }
}
