//! What passed: raw frames per cable for tests that replay them, sightings per VIP for
//! the judge.
//!
//! Owns bounded memories; the oldest go first. Capture files have everything.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::flow::Fate;
use super::mac::EtherType;
use super::sighting::{Kind, Sighting};
use crate::time::LabTime;

/// Frames of everyday protocols kept per cable.
const ORDINARY: usize = 4096;
/// Frames of other protocols (heartbeats) and serial chunks kept per cable.
const SPECIAL: usize = 16_384;
/// Sightings kept per VIP: hours of a busy lab.
const SIGHTINGS: usize = 1_000_000;
/// Of packets that one node sends in a row, the first and the last of so long are kept: no
/// other node spoke in between, so the judge misses nothing.
const THIN: Duration = Duration::from_millis(20);
/// A node that spoke for a VIP this recently is shown as its owner, unless another one has
/// begun since and only that one speaks.
const RECENT: Duration = Duration::from_secs(1);

/// One frame, or one chunk of serial bytes, as it entered a cable.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When.
    pub at: LabTime,
    /// From which end.
    pub from: Arc<str>,
    /// What.
    pub data: Arc<[u8]>,
    /// What became of it.
    pub fate: Fate,
    /// Whether a test put it there.
    pub injected: bool,
}

/// The memory of one cable.
#[derive(Debug, Default)]
pub(super) struct Tape {
    ordinary: VecDeque<Recorded>,
    special: VecDeque<Recorded>,
}

impl Tape {
    pub(super) fn add(&mut self, ethernet: bool, frame: Recorded) {
        let kind = EtherType::of(&frame.data);
        let everyday = [
            Some(EtherType::IPV4),
            Some(EtherType::IPV6),
            Some(EtherType::ARP),
        ]
        .contains(&kind);
        let (tape, room) = if ethernet && everyday {
            (&mut self.ordinary, ORDINARY)
        } else {
            (&mut self.special, SPECIAL)
        };
        if tape.len() == room {
            tape.pop_front();
        }
        tape.push_back(frame);
    }

    pub(super) fn since(&self, from: LabTime) -> Vec<Recorded> {
        let mut frames: Vec<Recorded> = self
            .ordinary
            .iter()
            .chain(&self.special)
            .filter(|frame| frame.at >= from)
            .cloned()
            .collect();
        frames.sort_by_key(|frame| frame.at);
        frames
    }
}

/// Who speaks for one VIP.
#[derive(Debug)]
pub(super) struct VipRecord {
    pub(super) vip: IpAddr,
    sightings: VecDeque<Sighting>,
    /// Who spoke within [`RECENT`], in order of appearance.
    recent: Vec<Speaker>,
    /// What was told last.
    told: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Speaker {
    node: Arc<str>,
    first: LabTime,
    last: LabTime,
}

/// A change in who speaks for a VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The VIP.
    pub vip: IpAddr,
    /// Who speaks for it now; several is trouble.
    pub owners: Vec<Arc<str>>,
    /// Since when.
    pub at: LabTime,
}

impl VipRecord {
    pub(super) fn new(vip: IpAddr) -> Self {
        Self {
            vip,
            sightings: VecDeque::new(),
            recent: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Adds a frame; tells when it made another owner.
    pub(super) fn add(&mut self, sighting: Sighting) -> Option<Ownership> {
        let at = sighting.at;
        let mut recent = self.recent.iter_mut();
        match recent.find(|speaker| speaker.node == sighting.node) {
            Some(speaker) => speaker.last = at,
            None => self.recent.push(Speaker {
                node: Arc::clone(&sighting.node),
                first: at,
                last: at,
            }),
        }
        if self.is_run(&sighting) {
            self.sightings.pop_back();
        } else if self.sightings.len() == SIGHTINGS {
            self.sightings.pop_front();
        }
        self.sightings.push_back(sighting);
        self.change(at)
    }

    /// Whether the last sighting lies within a run of packets that goes on with this one.
    fn is_run(&self, new: &Sighting) -> bool {
        let alike =
            |old: &Sighting| old.node == new.node && old.kind == Kind::Ip && old.mac == new.mac;
        let mut back = self.sightings.iter().rev();
        new.kind == Kind::Ip
            && back.next().is_some_and(alike)
            && back
                .next()
                .is_some_and(|old| alike(old) && new.at.saturating_sub(old.at) < THIN)
    }

    /// Forgets owners that fell silent; tells when that changed anything, as of their last frame.
    pub(super) fn expire(&mut self, now: LabTime) -> Option<Ownership> {
        let gone = |speaker: &Speaker| now.saturating_sub(speaker.last) > RECENT;
        let lasts = self.recent.iter().filter(|speaker| gone(speaker));
        let at = lasts.map(|speaker| speaker.last).max()?;
        self.recent.retain(|speaker| !gone(speaker));
        self.change(at)
    }

    fn change(&mut self, at: LabTime) -> Option<Ownership> {
        let now = self.ownership(at);
        (now.owners != self.told).then(|| {
            self.told.clone_from(&now.owners);
            now
        })
    }

    /// When [`VipRecord::expire`] may have something to say.
    pub(super) fn deadline(&self) -> Option<LabTime> {
        let first = self.recent.iter().map(|speaker| speaker.last).min()?;
        Some(first + RECENT + Duration::from_millis(1))
    }

    pub(super) fn ownership(&self, at: LabTime) -> Ownership {
        let begun = self.recent.iter().map(|speaker| speaker.first).max();
        let speaks = |speaker: &&Speaker| Some(speaker.last) >= begun;
        let owners = self.recent.iter().filter(speaks);
        Ownership {
            vip: self.vip,
            owners: owners.map(|speaker| Arc::clone(&speaker.node)).collect(),
            at,
        }
    }

    pub(super) fn since(&self, from: LabTime) -> Vec<Sighting> {
        let start = self
            .sightings
            .partition_point(|sighting| sighting.at < from);
        self.sightings.range(start..).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mac::Mac;

    fn seen(at: u64, node: &str) -> Sighting {
        let at = Duration::from_millis(at);
        let vip = [192, 168, 0, 33].into();
        Sighting {
            at,
            vip,
            node: node.into(),
            kind: Kind::Ip,
            mac: Mac([0; 6]),
        }
    }

    #[test]
    fn owners_come_and_go() {
        let mut record = VipRecord::new([192, 168, 0, 33].into());
        let names = |change: Option<Ownership>| {
            change.map(|c| {
                (
                    c.at.as_millis(),
                    c.owners
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join("+"),
                )
            })
        };
        assert_eq!(names(record.add(seen(100, "a"))), Some((100, "a".into())));
        assert_eq!(names(record.add(seen(200, "a"))), None);
        // A takeover, as long as the old one says nothing more.
        assert_eq!(names(record.add(seen(300, "b"))), Some((300, "b".into())));
        assert_eq!(names(record.expire(Duration::from_millis(1250))), None);
        assert_eq!(
            names(record.expire(Duration::from_millis(1400))),
            Some((300, String::new()))
        );
        assert_eq!(record.deadline(), None);
        assert_eq!(record.since(Duration::from_millis(200)).len(), 2);
        record.add(seen(2000, "a"));
        record.add(seen(2100, "b"));
        assert_eq!(
            names(record.add(seen(2200, "a"))),
            Some((2200, "a+b".into()))
        );
        assert_eq!(names(record.add(seen(2300, "b"))), None);
        record.add(seen(2900, "b"));
        assert_eq!(
            names(record.expire(Duration::from_millis(3250))),
            Some((2200, "b".into()))
        );
    }

    #[test]
    fn runs_of_packets_are_thinned_but_keep_their_ends() {
        let mut record = VipRecord::new([192, 168, 0, 33].into());
        for at in 0..=1000 {
            record.add(seen(at, "a"));
        }
        record.add(seen(1001, "b"));
        record.add(seen(1002, "a"));
        let kept = record.since(LabTime::ZERO);
        assert!((50..110).contains(&kept.len()), "{}", kept.len());
        let tail: Vec<(u128, &str)> = kept[kept.len() - 3..]
            .iter()
            .map(|s| (s.at.as_millis(), &*s.node))
            .collect();
        assert_eq!(tail, [(1000, "a"), (1001, "b"), (1002, "a")]);
        let gaps = kept.windows(2).map(|pair| pair[1].at - pair[0].at);
        assert!(gaps.max().unwrap() <= THIN);
    }

    #[test]
    fn chatter_does_not_push_heartbeats_out() {
        let mut tape = Tape::default();
        let mut frame = [0u8; 60];
        frame[12..14].copy_from_slice(&EtherType::KODO.0.to_be_bytes());
        let add = |tape: &mut Tape, frame: &[u8]| {
            tape.add(
                true,
                Recorded {
                    at: LabTime::ZERO,
                    from: "a".into(),
                    data: frame.into(),
                    fate: Fate::Passed,
                    injected: false,
                },
            );
        };
        add(&mut tape, &frame);
        frame[12..14].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        for _ in 0..10_000 {
            add(&mut tape, &frame);
        }
        assert_eq!(tape.since(LabTime::ZERO).len(), ORDINARY + 1);
    }
}
