//! Serial lines: which node is at the other end of each, and how often each may speak.

use core::time::Duration;

use kodo_engine::{codec, limits};
use toml::Spanned;

use super::nodes::{Node, Serial};
use super::paths::{no_other_end, numbered};
use super::timing;
use crate::cluster::{End, Path, PathKind, serial_bits};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::nearest;
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

/// One end of a line: its node, its position there, and the node at the other end.
struct Line<'a> {
    end: End,
    peer: usize,
    table: &'a Serial,
}

/// Pairs the two ends of every line.
pub(super) fn derive(
    sink: &mut Sink<'_>,
    nodes: &[Node],
    timing: &timing::Checked,
    groups: usize,
    whole: &mut bool,
) -> Vec<Path> {
    let budget = serial_budget(groups);
    let (mut all, mut lost) = (Vec::new(), false);
    for (node, table) in nodes.iter().enumerate() {
        for (port, line) in table.serial.iter().enumerate() {
            match other_end(sink, nodes, node, line) {
                Some(peer) => all.push(Line {
                    end: End { node, port },
                    peer,
                    table: line,
                }),
                None => lost = true,
            }
        }
    }
    // A line whose other end could not be told would be missed there.
    if lost {
        *whole = false;
        return Vec::new();
    }
    let mut paths = Vec::new();
    for one in 0..nodes.len() {
        for other in one + 1..nodes.len() {
            let from = |node, peer| {
                let ends = all.iter();
                ends.filter(move |line: &&Line<'_>| line.end.node == node && line.peer == peer)
                    .collect::<Vec<_>>()
            };
            let (here, there) = (from(one, other), from(other, one));
            let paired = here.len().min(there.len());
            let odd = here.get(paired).map(|line| (line, one, other));
            let odd = odd.or_else(|| there.get(paired).map(|line| (line, other, one)));
            if let Some((line, has, lacks)) = odd {
                let place = (&line.table.span, &nodes[has]);
                let why = match nodes.len() {
                    2 => {
                        "the first serial line of every node is one path, the second ones another, and so on"
                    }
                    _ => {
                        "the first lines of two nodes to each other are one path, the second ones another, and so on"
                    }
                };
                no_other_end(sink, place, &[&nodes[lacks]], ("serial line", why), paired);
                *whole = false;
            }
            for (index, (a, b)) in here.iter().zip(&there).enumerate() {
                let keepalive = pace(sink, [a.table, b.table], timing, budget);
                let name = numbered("serial", index);
                paths.push(Path {
                    name: match nodes.len() {
                        2 => name,
                        _ => format!("{name}-{}-{}", nodes[one].title(), nodes[other].title()),
                    },
                    kind: PathKind::Serial,
                    index,
                    ends: vec![a.end, b.end],
                    keepalive,
                    budget,
                    public: false,
                });
            }
        }
    }
    paths
}

/// The node at the other end of a line.
fn other_end(sink: &mut Sink<'_>, nodes: &[Node], node: usize, line: &Serial) -> Option<usize> {
    let others: Vec<_> = (0..nodes.len()).filter(|other| *other != node).collect();
    let titles: Vec<_> = others.iter().map(|other| nodes[*other].title()).collect();
    let Some(peer) = &line.peer else {
        let item = match others[..] {
            [only] => return Some(only),
            [] => Diagnostic::error(
                line.span.clone(),
                "there is no node at the other end of this line",
            )
            .help("remove it, or write a `[[node]]` table for the other machine"),
            _ => Diagnostic::error(
                line.span.clone(),
                "this line does not say which node is at its other end",
            )
            .because("a null-modem cable joins two nodes, and the file has more")
            .help(format!(
                "add `peer = \"{}\"`, or another of {}",
                titles[0],
                titles.join(", ")
            )),
        };
        sink.push(item);
        return None;
    };
    let name = peer.get_ref().as_str();
    let found = others.iter().find(|other| nodes[**other].title() == name);
    if let Some(found) = found {
        return Some(*found);
    }
    let item = if nodes[node].title() == name {
        Diagnostic::error(peer.span(), format!("{name} is this node itself"))
            .because("`peer` names the node at the other end of the cable")
    } else {
        Diagnostic::error(peer.span(), format!("there is no node `{name}`"))
    };
    sink.push(match nearest(name, titles.iter().copied()) {
        Some(near) if nodes[node].title() != name => item
            .help(format!("did you mean `{near}`?"))
            .fix(format!("\"{near}\"")),
        _ => item.help(format!("the other nodes are: {}", titles.join(", "))),
    });
    None
}

/// The keepalive of one serial line: as written, or stretched to fit.
fn pace(
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
}
