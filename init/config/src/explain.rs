//! `kodo explain timing`: every bound of a cluster file, where it comes from, and what
//! clients wait for each kind of failure.
//!
//! Owns the text for a tired administrator; the arithmetic is `kodo_engine::timing`'s.
//! Times are bounds of the protocol: what a machine adds (emulation, a slow disk behind a
//! service) is measured by the bench, not known here.

use core::time::Duration;

use kodo_engine::limits::MISSED;
use kodo_engine::timing::{RHO_PERCENT, wait_bound};
use kodo_netstack::limits::PROBE_TIME;

use crate::cluster::{Cluster, Failback, PathKind, Profile, Service, SplitBrain, serial_bits};
use crate::time::Show;
use crate::wrap;

/// Width of the page.
const WIDTH: usize = 88;
/// Columns before the explanations.
const MARGIN: usize = 26;

/// The whole page for a cluster.
#[must_use]
pub fn timing(cluster: &Cluster) -> String {
    let mut page = Page::default();
    page.title(&format!(
        "Timing of cluster {}, profile \"{}\"",
        cluster.name,
        cluster.timing.profile.word()
    ));
    settings(&mut page, cluster);
    bounds(&mut page, cluster);
    paths(&mut page, cluster);
    failures(&mut page, cluster);
    split(&mut page, cluster);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn title(&mut self, text: &str) {
        self.line(&format!("{text}\n{}", "=".repeat(text.chars().count())));
    }

    fn heading(&mut self, text: &str) {
        self.line(&format!("\n{text}\n{}", "-".repeat(text.chars().count())));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        for line in wrap::lines(text, WIDTH) {
            self.line(&line);
        }
    }

    /// A name, its value, and what it means.
    fn row(&mut self, name: &str, value: &str, meaning: &str) {
        let mut head = format!("  {name:<14}{value:>8}  ");
        let mut lines = wrap::lines(meaning, WIDTH - MARGIN).into_iter();
        if head.chars().count() > MARGIN {
            self.line(&head);
            head = " ".repeat(MARGIN);
        }
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{head}{first}"));
        for line in lines {
            self.line(&format!("{:MARGIN$}{line}", ""));
        }
    }

    /// Something that fails, what clients wait, and why so long.
    fn case(&mut self, what: &str, wait: &str, why: &str) {
        self.line(&format!("\n  {what}"));
        let mut head = format!("    {wait}");
        for line in wrap::lines(why, WIDTH - MARGIN) {
            if head.chars().count() >= MARGIN {
                self.line(&head);
                head.clear();
            }
            self.line(&format!("{head:<MARGIN$}{line}"));
            head.clear();
        }
    }
}

/// Rounded up to what the eye can use.
fn ms(value: Duration) -> Show {
    let up = value + Duration::from_nanos(999_999);
    Show(Duration::new(up.as_secs(), up.subsec_millis() * 1_000_000))
}

fn settings(page: &mut Page, cluster: &Cluster) {
    let timing = &cluster.timing;
    let written = timing.written;
    let origin = |written: bool, otherwise: &str| match written {
        true => "Written in the file.".to_owned(),
        false => otherwise.to_owned(),
    };
    let profile = format!("From profile \"{}\".", timing.profile.word());
    page.heading("What the file says");
    page.row(
        "keepalive",
        &Show(timing.keepalive).to_string(),
        &format!(
            "Every node sends a heartbeat on every path this often. {}",
            origin(written.keepalive, &profile)
        ),
    );
    page.row("warntime", &Show(timing.warntime).to_string(), &format!(
        "Silence after which a node is called late; the search for strangers on the VIPs begins. {}",
        origin(written.warntime, "Half of deadtime.")));
    page.row(
        "deadtime",
        &Show(timing.deadtime).to_string(),
        &format!(
            "Silence on every path after which a node is called dead. {}",
            origin(written.deadtime, &profile)
        ),
    );
    page.row("initdead", &Show(timing.initdead).to_string(), &format!(
        "After its boot a node waits this long for the other one before it decides alone. It counts from the \
         moment at which every path had carrier for deadtime, at the latest after linkwait. {}",
        origin(written.initdead, "Twice deadtime, at least 10s.")));
    page.row(
        "linkwait",
        &Show(timing.linkwait).to_string(),
        &format!(
            "How long a missing carrier can delay that. {}",
            origin(
                written.linkwait,
                "10s outlast gigabit negotiation and spanning tree."
            )
        ),
    );
    page.row(
        "release",
        &Show(timing.release).to_string(),
        &format!(
            "R: the longest that taking a VIP off the network may last. {}",
            origin(written.release, &profile)
        ),
    );
    page.row(
        "watchdog",
        &Show(cluster.watchdog.timeout).to_string(),
        "Asked of the watchdog; what the hardware \
         granted is in the node's status. It resets a node whose decision loop makes no progress.",
    );
}

fn bounds(page: &mut Page, cluster: &Cluster) {
    let timing = &cluster.timing;
    let wait = wait_bound(timing.lease, timing.release);
    page.heading("What follows");
    let origin = match timing.written.lease {
        true => "Written in the file.".to_owned(),
        false => format!(
            "The largest that fits: (deadtime / 1.{RHO_PERCENT:02} - R) * 0.{:02}.",
            100 - RHO_PERCENT
        ),
    };
    page.row("lease L", &ms(timing.lease).to_string(), &format!(
        "A holder that nobody confirmed to hear for this long gives its VIPs up by itself, within R. It counts \
         from the moment it sent the last confirmed heartbeat. {origin}"));
    page.row("wait W", &ms(wait).to_string(), &format!(
        "1.{RHO_PERCENT:02} * (L / 0.{:02} + R), for clocks that run up to {RHO_PERCENT}% wrong. No node takes over from a \
         silent holder earlier. It fits into deadtime, so deadtime is what decides.",
        100 - RHO_PERCENT));
    let beats = timing.lease.as_nanos() / timing.keepalive.as_nanos().max(1);
    page.row(
        "spare beats",
        &beats.saturating_sub(2).to_string(),
        "So many heartbeats in a row may be lost on every \
         path at once before a healthy holder gives up; its own beat and the \
         echo each take up to one keepalive.",
    );
    let overlap = timing.deadtime.saturating_sub(timing.warntime);
    let extra = PROBE_TIME.saturating_sub(overlap);
    page.row("address probe", &Show(extra).to_string(), &format!(
        "What looking for a stranger on the VIP ({}) adds to a takeover: it starts at warntime, {} before deadtime.",
        Show(PROBE_TIME), Show(overlap)));
}

fn paths(page: &mut Page, cluster: &Cluster) {
    page.heading("Heartbeat paths");
    for path in &cluster.paths {
        let interval = Show(path.keepalive).to_string();
        let baud = match path.kind {
            PathKind::Serial => path
                .ends
                .iter()
                .filter_map(|end| cluster.nodes.get(end.node)?.serial.get(end.port))
                .map(|line| line.baud)
                .min(),
            PathKind::Lan | PathKind::Crossover => None,
        };
        let text = match (path.kind, baud) {
            (PathKind::Crossover, _) => {
                "A cable between the nodes: a heartbeat so often.".to_owned()
            }
            (PathKind::Lan, _) => "The public network: a heartbeat so often.".to_owned(),
            (PathKind::Serial, baud) => {
                let baud = baud.unwrap_or(1).max(1);
                let share = u128::from(serial_bits(path.budget)) * 100_000
                    / path.keepalive.as_millis().max(1)
                    / u128::from(baud);
                format!(
                    "{baud} baud; heartbeats of up to {} bytes use {share}% of it, 50% are allowed.",
                    path.budget
                )
            }
        };
        page.row(&path.name, &interval, &text);
    }
    page.paragraph("");
    page.paragraph(&format!(
        "A path counts as down after {MISSED} of its own intervals without a heartbeat, at once when its carrier is lost. \
         That raises an alert and moves nothing while another path is up."
    ));
}

fn failures(page: &mut Page, cluster: &Cluster) {
    let timing = &cluster.timing;
    let (keepalive, deadtime) = (timing.keepalive, timing.deadtime);
    let overlap = deadtime.saturating_sub(timing.warntime);
    let latest = deadtime + PROBE_TIME.saturating_sub(overlap);
    let earliest = deadtime.saturating_sub(keepalive);
    page.heading("What clients wait, by what fails");
    page.paragraph(
        "S is the time that the members of the group need to start on the other node, one after the other: \
         for the built-in server tens of milliseconds on real machines, tenths of a second under emulation. \
         Connections that were open are lost; new ones succeed after the time given here.",
    );
    page.case(
        "Power loss or kernel panic of the active node",
        &format!("{} .. {} + S", Show(earliest), Show(latest)),
        "The other node hears nothing more: deadtime, counted from the last heartbeat, which came up to one \
         keepalive before the failure.",
    );
    page.case(
        "The active node restarts in less than deadtime",
        &format!("at most {} + S", Show(latest)),
        "The first heartbeat of its new life proves that the old one ended; nobody waits for the rest of deadtime.",
    );
    page.case(
        "kodo move, kodo standby, orderly shutdown",
        "stop + S",
        "The members stop in order, the VIP first when it comes last; one heartbeat, sent at once, tells the other \
         node. A service that does not stop on TERM is killed after its stop_timeout.",
    );
    let lan = match cluster.ping.is_empty() {
        true => "The lost carrier is seen at once; the groups move as with kodo move. A LAN that fails behind the \
                 switch is not noticed: the file has no `ping` targets.".to_owned(),
        false => format!(
            "The lost carrier is seen at once; the groups move as with kodo move. When the LAN fails behind the switch \
             the carrier stays, and the missing answers of the ping group are the evidence: up to {} more.",
            Show(kodo_engine::limits::PING_SILENCE * deadtime + cluster.timing.warntime)
        ),
    };
    page.case(
        "The active node's LAN cable is pulled, another path is up",
        "stop + S",
        &lan,
    );
    for service in &cluster.services {
        crash(page, cluster, service);
    }
    page.case(
        "PID 1 of the active node hangs",
        &format!("{} .. {} + S", Show(earliest), Show(latest)),
        &format!(
            "As with power loss. But its kernel goes on answering for the VIPs until the watchdog resets it: for up to \
             {} two nodes answer, and a client may reach either.",
            Show(cluster.watchdog.timeout)
        ),
    );
    page.case(
        "One node boots alone, the other one is really dead",
        &format!("up to {} + S", Show(timing.linkwait + timing.initdead)),
        "linkwait and initdead, from the end of the kernel's boot. An operator who knows that the other one is dead \
         ends the wait with kodo takeover-anyway.",
    );
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
}

/// What a service's own failure costs.
fn crash(page: &mut Page, cluster: &Cluster, service: &Service) {
    let member = |group: &&crate::cluster::Group| {
        group.members.iter().any(|member| matches!(member, crate::cluster::Member::Service(at) if cluster.services[*at].name == service.name))
    };
    let threshold = match cluster.groups.iter().find(member) {
        Some(group) => format!(
            " After {} failures the group moves to the other node; {} without one clears the count.",
            group.migration_threshold,
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

fn split(page: &mut Page, cluster: &Cluster) {
    page.heading("When every path between two live nodes is cut");
    let lease = ms(cluster.timing.lease);
    match cluster.split_brain {
        SplitBrain::Accept => page.paragraph(
            "split_brain = \"accept\": the holder keeps its groups, and the other node takes them too after deadtime. \
             Two nodes answer for the VIPs until a path returns; then one gives way within one keepalive.",
        ),
        SplitBrain::Ping => page.paragraph(&format!(
            "split_brain = \"ping\": a holder that has no answer from the ping group for {lease} (L) gives its groups up, \
             and a node that has one takes over after deadtime. If both still reach the group, both serve until a path \
             returns; then one gives way within one keepalive. If neither does, neither serves."
        )),
        SplitBrain::Quorum => page.paragraph(&format!(
            "split_brain = \"quorum\": a part without a majority of the votes gives its groups up within {lease} (L) and R; \
             the part with one takes over after deadtime. Where no part has one, nobody serves."
        )),
        SplitBrain::Witness => page.paragraph(&format!(
            "split_brain = \"witness\": a half that the witness does not speak for gives its groups up within {lease} (L) \
             and R; the half that it speaks for takes over after deadtime. If neither reaches the witness, neither serves."
        )),
    }
    if cluster.timing.profile == Profile::Fast {
        page.paragraph("");
        page.paragraph(
            "Profile \"fast\" leaves little room for a busy machine. Prove it on yours, `cargo xtask bench takeover` \
             counts false alarms, before you trust it.",
        );
    }
}
