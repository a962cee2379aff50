//! What clients wait, by what fails.

use super::bounds::{Bounds, kinds};
use super::page::{Page, ms};
use crate::cluster::{Cluster, Failback, Group, Member, Service, SplitBrain};
use crate::time::Show;

/// Every kind of failure of one machine or one cable.
pub(super) fn failures(page: &mut Page, cluster: &Cluster, bounds: &Bounds) {
    let place = match cluster.runners().count() {
        1 => "again".to_owned(),
        _ => format!("on {}", other(cluster)),
    };
    page.heading("What clients wait, by what fails");
    page.paragraph(&format!(
        "S is the time that the members of the group need to start {place}, one after the other: \
         for the built-in server tens of milliseconds on real machines, tenths of a second under emulation. \
         Connections that were open are lost; new ones succeed after the time given here."
    ));
    if cluster.runners().count() < 2 {
        page.case(
            "The only node that runs groups fails",
            "until it is back",
            "Nothing takes over: no other node may run them.",
        );
    } else {
        silent(page, cluster, bounds);
        moved(page, cluster, bounds);
    }
    for service in &cluster.services {
        crash(page, cluster, service);
    }
    lonely(page, cluster, bounds);
    if cluster
        .groups
        .iter()
        .any(|group| group.failback == Failback::Auto)
    {
        page.case(
            "The preferred node returns (failback = \"auto\")",
            "stop + S",
            "One move, once it is a healthy member.",
        );
    }
    let delayed = |group: &Group| matches!(group.failback, Failback::Delayed(_));
    if cluster.groups.iter().any(delayed) {
        page.case(
            "The preferred node returns (failback = \"delayed\")",
            "delay + stop + S",
            "One move, once it has been a healthy member for the group's failback_delay.",
        );
    }
}

/// Groups that go in good order.
fn moved(page: &mut Page, cluster: &Cluster, bounds: &Bounds) {
    let other = other(cluster);
    page.case(
        "kodo move, kodo standby, orderly shutdown",
        "stop + S",
        &format!(
            "The members stop in order, the VIP first when it comes last; one heartbeat, sent at once, tells {other}. \
             A service that does not stop on TERM is killed after its stop_timeout."
        ),
    );
    let lan = match cluster.ping.is_empty() {
        true => "The lost carrier is seen at once; the groups move as with kodo move. A LAN that fails behind the \
                 switch is not noticed: the file has no `ping` targets.".to_owned(),
        false => format!(
            "The lost carrier is seen at once; the groups move as with kodo move. When the LAN fails behind the switch \
             the carrier stays, and the missing answers of the ping group are the evidence: up to {} more.",
            Show(kodo_engine::limits::PING_SILENCE * bounds.deadtime + cluster.timing.warntime)
        ),
    };
    page.case(
        "The active node's LAN cable is pulled, another path is up",
        "stop + S",
        &lan,
    );
}

/// The node that takes over, in words.
fn other(cluster: &Cluster) -> &'static str {
    match cluster.runners().count() {
        2 => "the other node",
        _ => "another node",
    }
}

/// A holder that falls silent.
fn silent(page: &mut Page, cluster: &Cluster, bounds: &Bounds) {
    let kinds = kinds(cluster);
    let heard = match cluster.nodes.len() {
        2 => "The other node hears",
        _ => "The others hear",
    };
    for (guarded, whose) in &kinds {
        let wait = match guarded {
            false => "deadtime",
            true => "nothing tells them that its data is not being written, so the guarded wait",
        };
        page.case(
            &format!("Power loss or kernel panic of the active node{whose}"),
            &bounds.range(*guarded),
            &format!(
                "{heard} nothing more: {wait}, counted from the last heartbeat, which came up to one keepalive before the \
                 failure."
            ),
        );
    }
    for (guarded, whose) in &kinds {
        let [_, latest] = bounds.takeover(*guarded);
        page.case(
            &format!("The active node restarts in less than that{whose}"),
            &format!("at most {} + S", ms(latest)),
            "The first heartbeat of its new life proves that the old one ended; nobody waits for the rest.",
        );
    }
    for (guarded, whose) in &kinds {
        let stuck = match guarded {
            false => format!(
                "As with power loss. Its kernel goes on, but the gate on its NIC closes for the VIPs {} after {}; the \
                 watchdog resets it within {}.",
                ms(bounds.lease),
                match cluster.split_brain {
                    SplitBrain::Accept => "the last turn of its loop",
                    _ => "the last heartbeat that was confirmed",
                },
                ms(cluster.watchdog.timeout + bounds.keepalive)
            ),
            true => format!(
                "As with power loss: the watchdog resets the node within {}, and the guarded wait includes that.",
                ms(cluster.watchdog.timeout + bounds.keepalive)
            ),
        };
        page.case(
            &format!("PID 1 of the active node hangs{whose}"),
            &bounds.range(*guarded),
            &stuck,
        );
    }
}

/// What a service's own failure costs.
fn crash(page: &mut Page, cluster: &Cluster, service: &Service) {
    let member = |group: &&crate::cluster::Group| {
        group
            .members
            .iter()
            .any(|member| matches!(member, Member::Service(at) if cluster.services[*at].name == service.name))
    };
    let threshold = match cluster.groups.iter().find(member) {
        Some(group) => format!(
            " After {} failures the group {}; {} without one clears the count.",
            group.migration_threshold,
            match cluster.runners().count() {
                1 => "stays down".to_owned(),
                _ => format!("moves to {}", other(cluster)),
            },
            Show(group.failure_timeout)
        ),
        None => String::new(),
    };
    page.case(
        &format!("Service {} crashes", service.name),
        &format!("{} + its start", Show(service.backoff_min)),
        &format!(
            "Seen at once, restarted in place after backoff_min; repeated crashes wait longer, up to {}.{threshold}",
            Show(service.backoff_max)
        ),
    );
    let probe = &service.probe;
    let fall = u32::from(probe.fall);
    let noticed = probe.interval.max(probe.timeout) * fall + probe.timeout;
    page.case(
        &format!("Service {} hangs", service.name),
        &format!("up to {} + its start", Show(noticed + service.backoff_min)),
        &format!(
            "{fall} unanswered probes in a row: one every {}, each given up after {}. Then it is killed and restarted.",
            Show(probe.interval),
            Show(probe.timeout)
        ),
    );
}

/// A boot at which somebody is missing.
fn lonely(page: &mut Page, cluster: &Cluster, bounds: &Bounds) {
    let timing = &cluster.timing;
    let longest = (timing.linkwait + timing.initdead).max(bounds.hold_back);
    let wait = format!("up to {} + S", ms(longest));
    let end =
        "An operator who knows that the others are dead ends the wait with kodo takeover-anyway.";
    let (what, why) = match (cluster.split_brain, cluster.nodes.len()) {
        (_, 1) => return,
        (SplitBrain::Quorum, _) => (
            "A majority boots, the other nodes are really dead",
            "linkwait and initdead, from the end of the kernel's boot. Fewer wait until a majority is there.",
        ),
        (SplitBrain::Witness, _) => (
            "One half boots, the other one is really dead",
            "linkwait and initdead, from the end of the kernel's boot, if the witness speaks for it.",
        ),
        (SplitBrain::Ping, _) => (
            "One node boots alone, the other one is really dead",
            "linkwait and initdead, from the end of the kernel's boot, if it reaches the ping group.",
        ),
        (SplitBrain::Accept, 2) => (
            "One node boots alone, the other one is really dead",
            "linkwait and initdead, from the end of the kernel's boot.",
        ),
        (SplitBrain::Accept, _) => (
            "Some nodes boot, the others are really dead",
            "linkwait and initdead, from the end of the kernel's boot.",
        ),
    };
    page.case(what, &wait, &format!("{why} {end}"));
}

/// What happens when live nodes do not hear each other.
pub(super) fn split(page: &mut Page, cluster: &Cluster, bounds: &Bounds) {
    if cluster.nodes.len() < 2 {
        return;
    }
    page.heading(match cluster.nodes.len() {
        2 => "When every path between two live nodes is cut",
        _ => "When every path between two parts of the cluster is cut",
    });
    match cluster.split_brain {
        SplitBrain::Accept => page.paragraph(
            "split_brain = \"accept\": the holder keeps its groups, and each part without it takes them too after deadtime. \
             Several nodes answer for the VIPs until a path returns; then all but one give way within one keepalive.",
        ),
        SplitBrain::Ping => decided(page, cluster, bounds, &Words {
            rule: "\"ping\": the node that reaches the ping group decides. When both do, both serve until a path returns; \
                   then one gives way within one keepalive.",
            keeps: "The holder reaches the ping group, the other node does not",
            loses: "The other node reaches the ping group, the holder does not",
            neither: "Neither reaches the ping group",
            lost: Some("The ping group alone is lost"),
        }),
        SplitBrain::Quorum => decided(page, cluster, bounds, &Words {
            rule: "\"quorum\": the part with more than half of the votes decides; of two halves, the one that `even_split` \
                   names, or neither.",
            keeps: "The holder is in the part that decides",
            loses: "The holder is in another part",
            neither: "No part decides",
            lost: None,
        }),
        SplitBrain::Witness => decided(page, cluster, bounds, &Words {
            rule: "\"witness\": the part with more than half of the votes decides; of two halves, the one that the witness \
                   speaks for. A holder asks it as soon as nobody else confirms to hear it, so where both halves reach \
                   the witness the holder's has its word.",
            keeps: "The holder's half reaches the witness",
            loses: "Only the other half reaches the witness",
            neither: "Neither half reaches the witness",
            lost: Some("The witness alone is lost"),
        }),
    }
}

/// A policy's cases, in words.
struct Words {
    rule: &'static str,
    keeps: &'static str,
    loses: &'static str,
    neither: &'static str,
    lost: Option<&'static str>,
}

fn decided(page: &mut Page, cluster: &Cluster, bounds: &Bounds, words: &Words) {
    page.paragraph(&format!("split_brain = {}", words.rule));
    page.case(words.keeps, "none", "Nothing moves.");
    for (guarded, whose) in kinds(cluster) {
        let stops = match guarded {
            false => format!(
                "its VIPs are silent {} (L and R) after the last heartbeat that was confirmed",
                ms(bounds.lease + bounds.release)
            ),
            true => format!(
                "its VIPs are silent {} (L and R), and all of it is stopped or its node reset {} (L and guard), after the \
                 last heartbeat that was confirmed",
                ms(bounds.lease + bounds.release),
                ms(bounds.lease + bounds.guard)
            ),
        };
        page.case(
            &format!("{}{whose}", words.loses),
            &bounds.range(guarded),
            &format!(
                "The holder gives up by itself: {stops}. The side that decides takes over as with power loss."
            ),
        );
    }
    page.case(
        words.neither,
        "until it ends",
        "The holder gives up by itself and nobody takes over, until a path returns or an operator who knows that the \
         others are dead says kodo takeover-anyway.",
    );
    if let Some(lost) = words.lost {
        page.case(
            lost,
            "none",
            "Nothing moves while the nodes hear each other.",
        );
    }
}

/// A profile that needs proof.
pub(super) fn fast(page: &mut Page) {
    page.paragraph("");
    page.paragraph(
        "Profile \"fast\" leaves little room for a busy machine. Prove it on yours, `cargo xtask bench takeover` \
         counts false alarms, before you trust it.",
    );
}
