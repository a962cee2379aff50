//! `kodo explain timing`: every bound of a cluster file, where it comes from, and what
//! clients wait for each kind of failure.
//!
//! Owns the text for a tired administrator; the arithmetic is `kodo_engine::timing`'s.
//! Times are bounds of the protocol: what a machine adds (emulation, a slow disk behind a
//! service) is measured by the bench, not known here.

mod bounds;
mod page;
mod waits;

use kodo_engine::limits::MISSED;

use crate::cluster::{Cluster, PathKind, Profile, serial_bits};
use crate::time::Show;
use bounds::Bounds;
use page::Page;

/// The whole page for a cluster.
#[must_use]
pub fn timing(cluster: &Cluster) -> String {
    let mut page = Page::default();
    page.title(&format!(
        "Timing of cluster {}, profile \"{}\"",
        cluster.name,
        cluster.timing.profile.word()
    ));
    let bounds = Bounds::new(cluster);
    settings(&mut page, cluster);
    bounds.tell(&mut page, cluster);
    paths(&mut page, cluster);
    waits::failures(&mut page, cluster, &bounds);
    waits::split(&mut page, cluster, &bounds);
    if cluster.timing.profile == Profile::Fast {
        waits::fast(&mut page);
    }
    page.text
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
    page.row(
        "initdead",
        &Show(timing.initdead).to_string(),
        &format!(
            "After its boot a node waits this long for {}. It counts from the \
         moment at which every path had carrier for deadtime, at the latest after linkwait. {}",
            match cluster.nodes.len() {
                2 => "the other one before it decides alone",
                _ => "the others before it decides without them",
            },
            origin(written.initdead, "Twice deadtime, at least 10s.")
        ),
    );
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
            (PathKind::Crossover, _) if path.ends.len() == 2 => {
                "A cable between the nodes: a heartbeat so often.".to_owned()
            }
            (PathKind::Crossover, _) => format!(
                "A switch between {} nodes and nobody else: a heartbeat so often.",
                path.ends.len()
            ),
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
