//! The bounds that follow from the file, each with where it comes from.

use core::time::Duration;

use kodo_engine::limits::EXTRA_BEATS;
use kodo_engine::timing::{RHO_PERCENT, wait_bound};
use kodo_netstack::limits::{PROBE_TIME, VERDICT_VALID};

use super::page::{Page, ms};
use crate::cluster::{Cluster, SplitBrain};
use crate::time::Show;

/// Every bound of a file.
pub(super) struct Bounds {
    pub(super) keepalive: Duration,
    pub(super) deadtime: Duration,
    pub(super) lease: Duration,
    pub(super) release: Duration,
    /// R of a guarded group.
    pub(super) guard: Duration,
    /// W.
    pub(super) wait: Duration,
    /// W of a guarded group, when the file has one.
    pub(super) guarded: Option<Duration>,
    /// A fresh node does not count for so long.
    pub(super) hold_back: Duration,
    /// What agreeing on a view costs the survivors; nothing when there is one.
    agreement: Duration,
    /// What asking the witness costs when one node is lost.
    question: Duration,
    /// What looking for strangers adds after a wait.
    warned: Duration,
}

impl Bounds {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let timing = &cluster.timing;
        let guard = cluster.guard();
        let guarded = cluster.groups.iter().any(|group| group.guarded);
        let total = cluster.votes();
        let halved = cluster
            .nodes
            .iter()
            .any(|node| u32::from(node.votes) * 2 == total);
        let when = |holds: bool, time: Duration| if holds { time } else { Duration::ZERO };
        Self {
            keepalive: timing.keepalive,
            deadtime: timing.deadtime,
            lease: timing.lease,
            release: timing.release,
            guard,
            wait: wait_bound(timing.lease, timing.release),
            guarded: guarded.then(|| wait_bound(timing.lease, guard)),
            hold_back: cluster.longest_wait(),
            agreement: when(cluster.nodes.len() > 2, timing.keepalive),
            question: when(
                cluster.split_brain == SplitBrain::Witness && halved,
                timing.keepalive,
            ),
            warned: timing.warntime,
        }
    }

    /// The silence after which a group is taken over.
    pub(super) fn silence(&self, guarded: bool) -> Duration {
        let wait = match self.guarded {
            Some(wait) if guarded => wait,
            _ => self.wait,
        };
        self.deadtime.max(wait)
    }

    /// What looking for a stranger adds after such a silence: the search starts at
    /// warntime, and its verdict does not last for ever.
    fn probe(&self, silence: Duration) -> Duration {
        let overlap = silence.saturating_sub(self.warned);
        if overlap > VERDICT_VALID {
            PROBE_TIME
        } else {
            PROBE_TIME.saturating_sub(overlap)
        }
    }

    /// From the holder's silent failure to the start of the group elsewhere, at the earliest
    /// and at the latest.
    pub(super) fn takeover(&self, guarded: bool) -> [Duration; 2] {
        let silence = self.silence(guarded);
        [
            silence.saturating_sub(self.keepalive),
            silence + self.agreement + self.question + self.probe(silence),
        ]
    }

    /// Both ends of a takeover, in words.
    pub(super) fn range(&self, guarded: bool) -> String {
        let [earliest, latest] = self.takeover(guarded);
        format!("{} .. {} + S", ms(earliest), ms(latest))
    }

    /// Writes them down.
    pub(super) fn tell(&self, page: &mut Page, cluster: &Cluster) {
        let light = cluster.groups.iter().any(|group| !group.guarded);
        page.heading("What follows");
        self.lease(page, cluster);
        if light || self.guarded.is_none() {
            page.row("wait W", &ms(self.wait).to_string(), &format!(
                "1.{RHO_PERCENT:02} * (L / 0.{:02} + R), for clocks that run up to {RHO_PERCENT}% wrong. No node takes over \
                 from a silent holder earlier. It fits into deadtime, so deadtime is what decides.",
                100 - RHO_PERCENT));
        }
        page.row("gate", &ms(self.lease).to_string(),
            "Each packet of a VIP, in or out, passes a gate on the NIC that closes by itself when the lease ends. Only a \
             decision loop that makes progress moves it on: what stops PID 1 silences its VIPs within L, whatever else \
             the kernel does.");
        if let Some(wait) = self.guarded {
            page.row("guard", &ms(self.guard).to_string(), &format!(
                "R of a guarded group: release, one last keepalive in which the watchdog was fed, and the watchdog's {}. \
                 Its data may be written until the node is reset, so until then it counts as held.",
                Show(cluster.watchdog.timeout)));
            page.row("guarded wait", &ms(wait).to_string(), &format!(
                "W with that: 1.{RHO_PERCENT:02} * (L / 0.{:02} + guard). A guarded group is taken over after it, or \
                 earlier when its node says that it stopped, is heard in a new life, or is vouched for by an operator.",
                100 - RHO_PERCENT));
        }
        page.row("hold-back", &ms(self.hold_back).to_string(),
            "The longest wait of the file. A node that boots neither votes nor grants for so long: an earlier life of it may \
             have granted something that it cannot remember.");
        if !self.agreement.is_zero() {
            page.row("agreement", &format!("<{}", Show(self.agreement)), &format!(
                "The survivors agree on who is left: a proposal, the answers, the plan, each sent at once or {} after the one \
                 before. Another node that falls silent meanwhile costs up to deadtime more.",
                ms(self.keepalive / EXTRA_BEATS)));
        }
        if !self.question.is_zero() {
            page.row("question", &format!("<{}", Show(self.question)),
                "The half that is left asks the witness once per keepalive, and again once it may take over.");
        }
        let beats = self.lease.as_nanos() / self.keepalive.as_nanos().max(1);
        page.row(
            "spare beats",
            &beats.saturating_sub(2).to_string(),
            "So many heartbeats in a row may be lost on every \
             path at once before a healthy holder gives up; its own beat and the \
             echo each take up to one keepalive.",
        );
        let guarded = !light && self.guarded.is_some();
        let silence = self.silence(guarded);
        page.row("address probe", &Show(self.probe(silence)).to_string(), &format!(
            "What looking for a stranger on the VIP ({}) adds to a takeover: it starts at warntime, {} before {}.",
            Show(PROBE_TIME),
            ms(silence.saturating_sub(self.warned)),
            if guarded { "the guarded wait ends" } else { "deadtime" },
        ));
        if cluster.runners().count() < 2 {
            return;
        }
        for (guarded, whose) in kinds(cluster) {
            let [_, latest] = self.takeover(guarded);
            page.row("takeover", &ms(latest).to_string(), &format!(
                "{}{}{}the probe: from a silent failure of the holder to the start of its groups elsewhere, at the latest{whose}.",
                if guarded { "The guarded wait" } else { "deadtime" },
                if self.agreement.is_zero() { "" } else { ", agreement" },
                if self.question.is_zero() { " and " } else { ", the question and " },
            ));
        }
    }

    fn lease(&self, page: &mut Page, cluster: &Cluster) {
        let origin = match cluster.timing.written.lease {
            true => "Written in the file.".to_owned(),
            false => format!(
                "The largest that fits: (deadtime / 1.{RHO_PERCENT:02} - R) * 0.{:02}.",
                100 - RHO_PERCENT
            ),
        };
        let confirmed = match (cluster.split_brain, cluster.nodes.len()) {
            (SplitBrain::Accept, _) => {
                page.row("lease L", &ms(self.lease).to_string(), &format!(
                    "With \"accept\" silence ends no lease; L is how long the gate stays open once the loop of a holder stops. {origin}"));
                return;
            }
            (SplitBrain::Ping, _) => {
                "nobody confirmed to hear, neither the other node nor the ping group,"
            }
            (SplitBrain::Witness, _) => {
                "no majority confirmed to hear, nor half of the votes with the witness,"
            }
            (SplitBrain::Quorum, _) => "no majority confirmed to hear",
        };
        page.row("lease L", &ms(self.lease).to_string(), &format!(
            "A holder that {confirmed} for this long gives its VIPs up by itself, within R. It counts from the moment it \
             sent the last confirmed heartbeat. {origin}"));
    }
}

/// The kinds of groups in the file, and whose they are where there are both.
pub(super) fn kinds(cluster: &Cluster) -> Vec<(bool, String)> {
    let kind = |guarded: bool| {
        let groups = cluster.groups.iter();
        let names = groups
            .filter(|group| group.guarded == guarded)
            .map(|group| group.name.as_str());
        names.collect::<Vec<_>>()
    };
    match (&kind(false)[..], &kind(true)[..]) {
        (_, []) => vec![(false, String::new())],
        ([], _) => vec![(true, String::new())],
        (light, guarded) => vec![
            (false, format!(" ({})", light.join(", "))),
            (true, format!(" (guarded {})", guarded.join(", "))),
        ],
    }
}
