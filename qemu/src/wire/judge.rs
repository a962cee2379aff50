//! The judge of promise 1: did two nodes answer for one VIP at once?
//!
//! Owns the reading of recorded [`Sighting`]s into tenures and overlaps. It knows the
//! wire only: a tenure is a run of a node's frames for a VIP, and two tenures that
//! interleave are two owners at once, whatever the nodes' logs say.
//!
//! A node's run of frames is cut in two where another node spoke in between and the node
//! had fallen silent: for [`SILENCE`], or for [`HANDOVER`] and then came back with an
//! announcement, as a node does that takes an address anew (within [`BINDING`]). The lab asks the LAN for each
//! VIP ten times a second (see [`crate::Options::census`]), so an owner is never silent
//! that long; without that census only the frames that happened to pass can be judged.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::sighting::{Kind, Sighting};
use crate::time::{LabTime, seconds};

/// An owner silent for this long, while another spoke, had given the VIP up.
pub const SILENCE: Duration = Duration::from_secs(1);
/// Giving up, agreeing and taking back need at least this long.
pub const HANDOVER: Duration = Duration::from_millis(250);
/// Whoever is asked in the moment in which it binds an address answers before it announces.
pub const BINDING: Duration = Duration::from_millis(100);
/// Frames kept as evidence of one overlap.
const EVIDENCE: usize = 16;

/// One node's time as the owner of a VIP, as the wire shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tenure {
    /// The VIP.
    pub vip: IpAddr,
    /// Who spoke for it.
    pub node: Arc<str>,
    /// Its first frame.
    pub from: LabTime,
    /// Its last frame.
    pub until: LabTime,
    /// How the first frame spoke.
    pub opened: Kind,
    /// How many frames were recorded.
    pub frames: usize,
}

/// Two nodes that spoke for one VIP at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The VIP.
    pub vip: IpAddr,
    /// The node whose tenure began first.
    pub old: Arc<str>,
    /// The node that took over.
    pub new: Arc<str>,
    /// From when both spoke.
    pub from: LabTime,
    /// The last moment of it; the same as `from` when a single frame is the proof.
    pub until: LabTime,
    /// Frames around and within it, oldest first, at most sixteen.
    pub evidence: Vec<Sighting>,
}

impl Overlap {
    /// How long both spoke.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vip,
            old,
            new,
            from,
            ..
        } = self;
        let ms = self.duration().as_millis();
        write!(
            f,
            "{vip}: {old} and {new} both answered for {ms} ms from {}",
            seconds(*from)
        )?;
        for frame in &self.evidence {
            write!(
                f,
                "\n    {:>10} {} {} ({})",
                seconds(frame.at),
                frame.node,
                frame.kind,
                frame.mac
            )?;
        }
        Ok(())
    }
}

/// The tenures of one VIP, by their beginning. `frames` are all of that VIP, oldest first.
#[must_use]
pub fn tenures<'a>(frames: impl IntoIterator<Item = &'a Sighting>) -> Vec<Tenure> {
    let frames: Vec<&Sighting> = frames.into_iter().collect();
    let announces = |at: usize| {
        let first = frames[at];
        let soon = frames[at..]
            .iter()
            .take_while(|frame| frame.at <= first.at + BINDING);
        let mut own = soon.filter(|frame| frame.node == first.node);
        own.any(|frame| frame.kind == Kind::Announcement)
    };
    let mut tenures: Vec<Tenure> = Vec::new();
    let mut spoke_last: Option<Arc<str>> = None;
    for (at, frame) in frames.iter().enumerate() {
        let other_spoke = spoke_last.as_ref().is_some_and(|last| *last != frame.node);
        let open = tenures
            .iter_mut()
            .rev()
            .find(|tenure| tenure.node == frame.node);
        let silent = open
            .as_ref()
            .map(|tenure| frame.at.saturating_sub(tenure.until));
        let came_back = other_spoke
            && silent
                .is_some_and(|silent| silent >= SILENCE || (silent >= HANDOVER && announces(at)));
        match open {
            Some(tenure) if !came_back => {
                tenure.until = frame.at;
                tenure.frames += 1;
            }
            _ => tenures.push(Tenure {
                vip: frame.vip,
                node: Arc::clone(&frame.node),
                from: frame.at,
                until: frame.at,
                opened: frame.kind,
                frames: 1,
            }),
        }
        spoke_last = Some(Arc::clone(&frame.node));
    }
    tenures
}

/// Every window in which two nodes spoke for one VIP at once. `frames` are all of that
/// VIP, oldest first.
#[must_use]
pub fn overlaps(frames: &[Sighting]) -> Vec<Overlap> {
    let tenures = tenures(frames);
    let mut found = Vec::new();
    for (at, new) in tenures.iter().enumerate() {
        for old in &tenures[..at] {
            if old.node != new.node && old.until >= new.from {
                windows(frames, old, new, &mut found);
            }
        }
    }
    found.sort_by_key(|overlap| (overlap.from, overlap.until));
    found
}

/// The longest overlap of all.
#[must_use]
pub fn worst(overlaps: &[Overlap]) -> Option<&Overlap> {
    overlaps.iter().max_by_key(|overlap| overlap.duration())
}

/// Adds the times at which both tenures were being spoken for without a long silence.
fn windows(frames: &[Sighting], old: &Tenure, new: &Tenure, found: &mut Vec<Overlap>) {
    let theirs = spans(frames, new);
    for (old_from, old_until) in spans(frames, old) {
        for &(new_from, new_until) in &theirs {
            let (from, until) = (old_from.max(new_from), old_until.min(new_until));
            if from <= until {
                let evidence = evidence(frames, old, new, from, until);
                let (old, new) = (Arc::clone(&old.node), Arc::clone(&new.node));
                found.push(Overlap {
                    vip: frames[0].vip,
                    old,
                    new,
                    from,
                    until,
                    evidence,
                });
            }
        }
    }
}

/// A tenure cut where its node was silent for [`SILENCE`].
fn spans(frames: &[Sighting], tenure: &Tenure) -> Vec<(LabTime, LabTime)> {
    let mut spans: Vec<(LabTime, LabTime)> = Vec::new();
    for at in frames
        .iter()
        .filter(|f| f.node == tenure.node)
        .map(|f| f.at)
    {
        if at < tenure.from || at > tenure.until {
            continue;
        }
        match spans.last_mut() {
            Some((_, until)) if at.saturating_sub(*until) < SILENCE => *until = at,
            _ => spans.push((at, at)),
        }
    }
    spans
}

/// Each node's last frame before the window, then those within it, then each one's next.
fn evidence(
    frames: &[Sighting],
    old: &Tenure,
    new: &Tenure,
    from: LabTime,
    until: LabTime,
) -> Vec<Sighting> {
    let of_both = || {
        frames
            .iter()
            .filter(|f| f.node == old.node || f.node == new.node)
    };
    let edge = |node: &Arc<str>, after: bool| {
        let mut of_node = of_both().filter(|f| f.node == *node);
        if after {
            of_node.find(|f| f.at > until)
        } else {
            of_node.rfind(|f| f.at < from)
        }
    };
    let within: Vec<&Sighting> = of_both()
        .filter(|f| f.at >= from && f.at <= until)
        .collect();
    // Long windows are told by their ends; the record has the rest.
    let room = EVIDENCE - 4;
    let within = if within.len() > room {
        [&within[..room / 2], &within[within.len() - room / 2..]].concat()
    } else {
        within
    };
    let before = [&old.node, &new.node].map(|node| edge(node, false));
    let after = [&old.node, &new.node].map(|node| edge(node, true));
    let mut all: Vec<Sighting> = before
        .into_iter()
        .flatten()
        .chain(within)
        .chain(after.into_iter().flatten())
        .cloned()
        .collect();
    all.sort_by_key(|f| f.at);
    all
}

#[cfg(test)]
mod tests;
