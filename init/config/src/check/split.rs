//! Whether the chosen `split_brain` can decide at all: votes, halves, and the clocks of
//! whoever breaks a tie.

use core::time::Duration;

use kodo_engine::timing::wait_bound;
use toml::Spanned;

use super::groups::Groups;
use super::nodes::{Node, Nodes};
use super::policy::{General, WatchdogChecked, WitnessChecked};
use super::timing;
use crate::cluster::{EvenSplit, SplitBrain, guard};
use crate::diagnostic::{Diagnostic, Sink};
use crate::time::Show;

/// How long a witness that was restarted grants nothing, unless told otherwise: an
/// earlier life of it may have granted for as long.
const HOLD_OFF: Duration = Duration::from_secs(60);

/// Timings and watchdog, when both could be read.
pub(super) type Clocks<'a> = Option<(&'a timing::Checked, &'a WatchdogChecked)>;

/// All votes together.
pub(super) fn total(nodes: &Nodes) -> u32 {
    nodes.list.iter().map(weight).sum()
}

fn weight(node: &Node) -> u32 {
    u32::from(*node.votes.get_ref())
}

/// Judges votes and the rule for halves.
pub(super) fn judge(sink: &mut Sink<'_>, general: &General, nodes: &Nodes) {
    let Some(policy) = &general.split_brain else {
        return;
    };
    if let Some(even) = &general.even_split
        && *policy.get_ref() != SplitBrain::Quorum
    {
        sink.push(
            Diagnostic::error(
                even.span(),
                "`even_split` belongs to `split_brain = \"quorum\"`",
            )
            .see(policy.span(), "this decides about halves too")
            .help("remove the line"),
        );
    }
    if !nodes.complete {
        return;
    }
    match policy.get_ref() {
        SplitBrain::Accept => idle_votes(sink, policy, nodes),
        SplitBrain::Ping => ping(sink, policy, nodes),
        SplitBrain::Quorum => quorum(sink, policy, general, nodes),
        SplitBrain::Witness => witness(sink, policy, nodes),
    }
}

/// With "accept" nobody counts.
fn idle_votes(sink: &mut Sink<'_>, policy: &Spanned<SplitBrain>, nodes: &Nodes) {
    let voter = nodes.list.iter().find_map(|node| node.voter.clone());
    let votes = nodes
        .list
        .iter()
        .find(|node| node.votes.span() != node.span)
        .map(|node| node.votes.span());
    let (place, what, help) = match (voter, votes) {
        (Some(voter), _) => (voter, "this voter decides nothing", "remove the node"),
        (None, Some(votes)) => (votes, "these votes decide nothing", "remove the line"),
        (None, None) => return,
    };
    sink.push(
        Diagnostic::warning(place, what)
            .see(policy.span(), "nobody counts votes here")
            .help(format!("write `split_brain = \"quorum\"`, or {help}")),
    );
}

fn ping(sink: &mut Sink<'_>, policy: &Spanned<SplitBrain>, nodes: &Nodes) {
    let runners = nodes.list.iter().filter(|node| node.runs()).count();
    if (nodes.list.len(), runners) != (2, 2) {
        let item = Diagnostic::error(
            policy.span(),
            "`split_brain = \"ping\"` is for two nodes that both run groups",
        )
        .because(
            "a ping group answers everybody who reaches it: it tells which of two nodes is cut off, \
             and says nothing about several parts that all reach it",
        );
        sink.push(match total(nodes) {
            0..3 => item.help("write `split_brain = \"accept\"`: nobody can disagree"),
            _ => item.help("write `split_brain = \"quorum\"`; the `ping` targets may stay, they still move groups away from a node that is off the LAN"),
        });
        return;
    }
    if let Some(odd) = nodes.list.iter().find(|node| weight(node) != 1) {
        sink.push(
            Diagnostic::error(odd.votes.span(), "with \"ping\" each of the two nodes has one vote")
                .because("the node with more votes would decide alone, and the ping group would never be asked")
                .help("remove the line"),
        );
    }
}

fn quorum(sink: &mut Sink<'_>, policy: &Spanned<SplitBrain>, general: &General, nodes: &Nodes) {
    let total = total(nodes);
    if total < 2 {
        return too_few(sink, policy, nodes);
    }
    if total == 2 {
        sink.push(
            Diagnostic::error(policy.span(), "`split_brain = \"quorum\"` with 2 votes in the file")
                .because("more than half of two votes is both: the loss of either node would stop the other one")
                .help(
                    "add a third node, if only a small one with `voter = true` that runs nothing; or for two nodes write \
                     \"witness\" or \"ping\"",
                ),
        );
        return;
    }
    let even = total.is_multiple_of(2);
    if let Some(rule) = &general.even_split
        && !even
    {
        sink.push(
            Diagnostic::error(rule.span(), format!("{total} votes have no half"))
                .because("in every split one part has more than the other")
                .help("remove the line"),
        );
        return;
    }
    let first = general.even_split.as_ref();
    let first = first.is_some_and(|rule| *rule.get_ref() == EvenSplit::First);
    for (at, node) in nodes.list.iter().enumerate() {
        let tie = weight(node) * 2 == total && !(first && at > 0);
        if weight(node) * 2 > total || tie {
            indispensable(sink, node, total);
        }
    }
}

fn witness(sink: &mut Sink<'_>, policy: &Spanned<SplitBrain>, nodes: &Nodes) {
    let total = total(nodes);
    if total < 2 {
        return too_few(sink, policy, nodes);
    }
    if !total.is_multiple_of(2) {
        sink.push(
            Diagnostic::error(
                policy.span(),
                format!("with {total} votes nobody ever asks the witness"),
            )
            .because("it decides between two halves, and only an even number of votes has halves")
            .help("write `split_brain = \"quorum\"` without a `[witness]`, or change `votes`"),
        );
        return;
    }
    for node in nodes.list.iter().filter(|node| weight(node) * 2 > total) {
        indispensable(sink, node, total);
    }
}

/// Nobody to count.
fn too_few(sink: &mut Sink<'_>, policy: &Spanned<SplitBrain>, nodes: &Nodes) {
    let total = total(nodes);
    let item = Diagnostic::error(
        policy.span(),
        match total {
            0 => "no node has a vote".to_owned(),
            _ => "there is one vote only".to_owned(),
        },
    )
    .because("this policy counts the votes of the nodes that hear each other");
    sink.push(match nodes.list.len() {
        1 => item.help("write `split_brain = \"accept\"`: nobody can disagree"),
        _ => item.help("give the nodes one vote each: leave `votes` out"),
    });
}

/// A node without which the others never decide.
fn indispensable(sink: &mut Sink<'_>, node: &Node, total: u32) {
    sink.push(
        Diagnostic::warning(
            node.votes.span(),
            format!(
                "without {} nobody serves: it has {} of {total} votes",
                node.title(),
                weight(node)
            ),
        )
        .because("the others together have no majority, so when it fails nobody takes over")
        .help("give it fewer votes, or the others more"),
    );
}

/// What a witness and guarded groups ask of the clocks.
pub(super) fn clocks(
    sink: &mut Sink<'_>,
    general: &General,
    witness: Option<&WitnessChecked>,
    groups: &Groups,
    clocks: Clocks<'_>,
) {
    let Some((timing, watchdog)) = clocks else {
        return;
    };
    let (lease, deadtime) = (timing.value.lease, timing.value.deadtime);
    let guarded = wait_bound(lease, guard(&timing.value, &watchdog.value));
    if witness.is_some() && deadtime > HOLD_OFF {
        sink.push(
            Diagnostic::error(
                timing.deadtime.clone(),
                format!(
                    "`deadtime` {} is longer than a witness's hold-off of {}",
                    Show(deadtime),
                    Show(HOLD_OFF)
                ),
            )
            .because(
                "a witness that was restarted has forgotten what it granted, and grants nothing until that is over",
            )
            .help(format!("write a deadtime of {} or less", Show(HOLD_OFF))),
        );
    } else if let Some(place) = &groups.guarded
        && witness.is_some()
        && guarded > HOLD_OFF
    {
        sink.push(
            Diagnostic::error(
                place.clone(),
                format!(
                    "a guarded group is safe to take after {}, longer than a witness's hold-off of {}",
                    Show(timing::ceil_ms(guarded)),
                    Show(HOLD_OFF)
                ),
            )
            .see(timing.deadtime.clone(), "the lease follows from here")
            .because(
                "a witness that was restarted has forgotten what it granted, and grants nothing until that is over",
            )
            .help("write a shorter watchdog `timeout`, or a shorter `deadtime`"),
        );
    }
    if let Some(place) = &groups.guarded {
        self::guarded(sink, general, watchdog, place);
    }
}

/// Data has one owner, or the file must not say that it has.
fn guarded(
    sink: &mut Sink<'_>,
    general: &General,
    watchdog: &WatchdogChecked,
    place: &core::ops::Range<usize>,
) {
    if let Some(softdog) = &watchdog.softdog {
        sink.push(
            Diagnostic::error(place.clone(), "a guarded group needs a watchdog of hardware")
                .see(softdog.clone(), "here the kernel's own timer may stand in for it")
                .because(
                    "another node takes the group over when the watchdog must have reset this one; the kernel's timer \
                     stands still when the kernel does",
                )
                .help("remove `softdog`, or `guarded`"),
        );
    }
    let Some(policy) = &general.split_brain else {
        return;
    };
    match policy.get_ref() {
        SplitBrain::Accept => sink.push(
            Diagnostic::error(place.clone(), "nobody guards this group")
                .see(policy.span(), "in a split every part runs it")
                .because("`guarded` promises one owner of its data, and \"accept\" gives that up")
                .help("write `split_brain = \"quorum\"` or \"witness\", or remove `guarded`"),
        ),
        SplitBrain::Ping => sink.push(
            Diagnostic::warning(place.clone(), "this guarded group can have two owners")
                .see(policy.span(), "when both nodes reach the ping group")
                .because("a ping group proves isolation, not exclusivity: both nodes own the data when every heartbeat path is cut and both still reach it")
                .help("write \"witness\", or add a third vote and write \"quorum\""),
        ),
        SplitBrain::Quorum | SplitBrain::Witness => {}
    }
}
