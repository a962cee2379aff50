//! What the chosen policies promise and what they cannot, in plain words.

use kodo_engine::timing::wait_bound;
use toml::Spanned;

use super::groups::Groups;
use super::nodes::Nodes;
use super::policy::General;
use super::split::{Clocks, total};
use super::timing;
use crate::cluster::{EvenSplit, SplitBrain, guard};
use crate::diagnostic::{Diagnostic, Sink};
use crate::time::Show;

const SPREAD: &str =
    "spread the nodes over switches and power feeds, so that the loss of one leaves a majority";

/// Tells what the file's author must know.
pub(super) fn tell(
    sink: &mut Sink<'_>,
    general: &General,
    nodes: &Nodes,
    groups: &Groups,
    clocks: Clocks<'_>,
) {
    let Some(policy) = &general.split_brain else {
        return;
    };
    if nodes.list.len() > 1 {
        sink.push(match policy.get_ref() {
            SplitBrain::Accept => accept(policy, general, nodes),
            SplitBrain::Ping => ping(policy, general),
            SplitBrain::Quorum => quorum(policy, general, nodes),
            SplitBrain::Witness => witness(policy),
        });
    }
    if let Some(drills) = &general.drills
        && *drills.get_ref()
    {
        sink.push(
            Diagnostic::note(drills.span(), "operators may break nodes on purpose")
                .because("`kodo drill` kills services, panics the kernel or hangs PID 1 of a node for whoever has a token")
                .help("leave `drills` out once the cluster has proved itself"),
        );
    }
    if let (Some((timing, watchdog)), Some(place)) = (clocks, &groups.bare) {
        let timeout = Show(watchdog.value.timeout);
        sink.push(
            Diagnostic::note(
                place.clone(),
                format!("where PID 1 hangs, this group may run for up to {timeout} beside its successor"),
            )
            .because(format!(
                "no gate on the NIC silences a group without a VIP: its processes go on until the watchdog ({timeout}) resets \
                 the machine, and another node takes over after {}",
                Show(timing.value.deadtime)
            ))
            .help("give it a VIP, or write `guarded = true` if it must never run twice"),
        );
    }
    if let (Some((timing, watchdog)), Some(place)) = (clocks, &groups.light_role) {
        let guard = guard(&timing.value, &watchdog.value);
        let timeout = Show(watchdog.value.timeout);
        sink.push(
            Diagnostic::note(
                place.clone(),
                format!("where PID 1 hangs, an instance may stay promoted for up to {timeout} beside its successor"),
            )
            .because(format!(
                "the gate on the NIC silences the VIP, so clients find one of them; but the process goes on until the watchdog \
                 ({timeout}) resets the machine, and another one is promoted after {}",
                Show(timing.value.deadtime)
            ))
            .help(format!(
                "write `guarded = true` if two must never be promoted at once: a successor then waits for {}",
                Show(timing::ceil_ms(wait_bound(timing.value.lease, guard)))
            )),
        );
    }
}

fn accept(policy: &Spanned<SplitBrain>, general: &General, nodes: &Nodes) -> Diagnostic {
    let (message, both, better) = if nodes.list.len() > 2 {
        (
            "in a split, every part will run the groups",
            "several parts of the cluster live, each answers",
            "quorum",
        )
    } else {
        (
            "in a split, both nodes will run the groups",
            "both nodes live, both answer",
            "ping",
        )
    };
    let evidence = match general.ping.is_empty() {
        true => "Without `ping` targets only a lost carrier shows that a node is off the LAN",
        false => "The `ping` targets still move groups away from a node that is off the LAN",
    };
    Diagnostic::note(policy.span(), message)
        .because(format!(
            "\"accept\" promises that a node that hears nobody always serves, whatever else failed. \
             It cannot promise one owner: when every heartbeat path is cut and {both} for \
             the VIPs until a path returns. Harmless for pages that are the same on both, never for data"
        ))
        .help(format!(
            "add independent heartbeat paths, or use \"{better}\". {evidence}"
        ))
}

fn ping(policy: &Spanned<SplitBrain>, general: &General) -> Diagnostic {
    let targets: Vec<_> = general
        .ping
        .iter()
        .map(|target| target.get_ref().to_string())
        .collect();
    Diagnostic::note(policy.span(), "in a split, the side that reaches the ping group serves")
        .because(format!(
            "\"ping\" promises that a node that does not reach {} gives its groups up before the other takes them. \
             It proves isolation, not exclusivity: when every heartbeat path is cut and both nodes still reach the \
             targets (a switch that drops our frames but passes IP), both serve; when neither does, neither serves",
            targets.join(", ")
        ))
        .help("keep a crossover or serial path beside the LAN, so that no single cut is a split")
}

fn quorum(policy: &Spanned<SplitBrain>, general: &General, nodes: &Nodes) -> Diagnostic {
    let total = total(nodes);
    let need = total / 2 + 1;
    let even = general.even_split.as_ref().map(|rule| *rule.get_ref());
    let first = nodes
        .list
        .first()
        .map_or("the first node", |node| node.title());
    let (who, help) = match even {
        Some(EvenSplit::First) => (
            format!("with neither {need} of {total} votes nor half of them and {first}"),
            SPREAD,
        ),
        None if total.is_multiple_of(2) => (
            format!("without {need} of {total} votes"),
            "two halves of the votes both stop: make their number odd, or write `even_split = \"first\"` for the half with the first node of the file",
        ),
        _ => (format!("without {need} of {total} votes"), SPREAD),
    };
    Diagnostic::note(
        policy.span(),
        format!("in a split, the part with more than half of the {total} votes serves"),
    )
    .because(format!(
        "\"quorum\" promises one owner: a part {who} gives its groups up before another part takes them. \
         It cannot promise service: where no part has so many, nobody serves"
    ))
    .help(help)
}

fn witness(policy: &Spanned<SplitBrain>) -> Diagnostic {
    Diagnostic::note(policy.span(), "in a split, the half that the witness speaks for serves")
        .because(
            "\"witness\" promises one owner: the witness speaks for at most one half at a time, and the other half gives \
             its groups up before that. It cannot promise service: a half that hears neither the other nor the \
             witness stops. The loss of the witness alone changes nothing",
        )
        .help("run `kodo witness` on a machine that shares neither power feed nor switch with the nodes")
}
