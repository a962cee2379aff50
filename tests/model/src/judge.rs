//! The promises, judged from outside: who acts, who heard whom, when.
//!
//! Owns what must be remembered to judge. Knows of an engine what others are told by its
//! public doors, and nothing of why it did what it did.

use kodo_engine::surface::RunState;

use crate::setting::{GROUP, NODES, Policy, RELEASE, Setting, TICK};
use crate::state::{Node, State, digest};

/// What can go wrong, each a promise of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Two nodes act as owner, and nothing excuses it.
    TwoOwners,
    /// A takeover before the old owner's stop, restart or bound.
    EarlyTakeover,
    /// An old owner heard of a newer one and did not give way in time.
    LateYield,
    /// An epoch fell, or a tenure began under one already known.
    EpochFell,
    /// All is well for long enough, and the group does not run where it should.
    NeverSettled,
    /// A node reset itself although every stop was in time.
    Reset,
    /// An assertion of the engine failed.
    Panicked,
}

impl Broken {
    /// All of them, with what must always hold instead.
    pub const ALL: [(Broken, &'static str); 7] = [
        (Broken::TwoOwners, "one owner at a time"),
        (Broken::EarlyTakeover, "no takeover before its bound"),
        (Broken::LateYield, "an old owner gives way in time"),
        (Broken::EpochFell, "epochs grow"),
        (Broken::NeverSettled, "a mended cluster settles"),
        (Broken::Reset, "nobody resets itself"),
        (Broken::Panicked, "no assertion fails"),
    ];
}

/// What happened in the last tick: shows that the model is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Mark {
    /// A node took over from a silent one.
    Takeover = 1,
    /// A split or a death is over: everybody is in one view again.
    Rejoined = 2,
    /// A node that restarted is in the view of all.
    Rebooted = 4,
    /// A lease ended, and its holder gave way.
    LeaseEnded = 8,
    /// An old owner met its successor.
    Superseded = 16,
    /// The group moved as planned: stopped here, started there.
    Handover = 32,
}

impl Mark {
    /// All of them, as a table says it.
    pub const ALL: [(Mark, &'static str); 6] = [
        (Mark::Takeover, "a takeover"),
        (Mark::Rejoined, "a heal"),
        (Mark::Rebooted, "a rejoin after a reboot"),
        (Mark::LeaseEnded, "a lease that ends"),
        (Mark::Superseded, "an old owner that meets a new one"),
        (Mark::Handover, "a planned move"),
    ];
}

/// How a node's newest tenure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tenure {
    /// None, or its stop was confirmed.
    Over,
    /// It acts, or its life ended while it did.
    Open { life: u8 },
}

/// The last heartbeat of a sender that a node accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heard {
    pub(crate) life: u8,
    /// Its tenure, and whether it says that it holds.
    pub(crate) tenure: u64,
    pub(crate) holds: bool,
    /// When, by the hearer's clock; of a fellow member only.
    pub(crate) at: u64,
}

/// What is remembered of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    tenure: Tenure,
    /// Epoch of the tenure that it acts under.
    epoch: u64,
    /// Greatest tenure known to this life, and greatest view it was in.
    known: u64,
    view: u64,
    /// It may act beside another until then: its clock stood, it could not know.
    grace: u64,
    /// Until then only its kernel's gate keeps it silent: its loop stands, or did until now.
    gated_until: u64,
    /// It heard of a newer owner: it must have stopped by then.
    stops_by: Option<u64>,
    /// By sender: what was heard of it last.
    heard: [Option<Heard>; NODES],
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Judge {
    pub(crate) broken: Option<Broken>,
    records: [Record; NODES],
    /// Nodes were apart lately: with nobody to decide, both may act until then.
    parted_until: u64,
    /// Since when nothing is wrong in the world.
    pub(crate) mended_since: Option<u64>,
    /// For so many ticks all was as it should be, and nothing changed.
    pub(crate) calm: u8,
    picture: u64,
    pub(crate) marks: u16,
}

/// After so many ticks with nothing wrong in the world the cluster must be settled.
pub(crate) const SETTLES: u64 = 40;
/// So many calm ticks are as good as any number of them.
pub(crate) const CALM: u8 = 4;

impl Judge {
    pub(crate) fn new() -> Judge {
        let record = Record {
            tenure: Tenure::Over,
            epoch: 0,
            known: 0,
            view: 0,
            grace: 0,
            gated_until: 0,
            stops_by: None,
            heard: [None; NODES],
        };
        Judge {
            broken: None,
            records: [record; NODES],
            parted_until: 0,
            mended_since: None,
            calm: 0,
            picture: 0,
            marks: 0,
        }
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        self.marks |= mark as u16;
    }

    pub(crate) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    pub(crate) fn life_begins(&mut self, n: usize) {
        let record = &mut self.records[n];
        (record.known, record.view, record.stops_by) = (0, 0, None);
        record.heard = [None; NODES];
        (record.grace, record.gated_until) = (0, 0);
    }

    /// A machine goes on whose clock stood, or just its loop.
    pub(crate) fn resumes(&mut self, n: usize, stood: bool, now: u64, setting: &Setting) {
        if stood {
            // by its own clock, which may be slow
            self.records[n].grace = now + (setting.lease() + RELEASE) * 102 / 100;
        } else {
            self.records[n].gated_until = now + RELEASE * 102 / 100;
        }
    }

    /// A node cannot keep its promises: only if its loop stood still has it a reason.
    pub(crate) fn resets(&mut self, n: usize, now: u64) {
        if now >= self.records[n].gated_until {
            self.breaks(Broken::Reset);
        }
    }

    /// A loop stands still.
    pub(crate) fn stalls(&mut self, n: usize) {
        self.records[n].gated_until = u64::MAX;
    }

    /// A heartbeat was accepted; of a fellow member, or of another node that nothing was
    /// granted to.
    pub(crate) fn heard(
        &mut self,
        n: usize,
        from: usize,
        mut heard: Heard,
        fellow: bool,
        acts: bool,
        now: u64,
    ) {
        let record = &mut self.records[n];
        if !fellow {
            let before = record.heard[from].filter(|before| before.life == heard.life);
            heard.at = before.map_or(0, |before| before.at);
        }
        record.heard[from] = Some(heard);
        record.known = record.known.max(heard.tenure);
        let newer = heard.holds && heard.tenure > record.epoch;
        if acts && newer && record.stops_by.is_none() {
            record.stops_by = Some(now + RELEASE * 102 / 100);
        }
    }

    /// A node begins to act.
    pub(crate) fn begins(
        &mut self,
        n: usize,
        nodes: &[Node],
        now: u64,
        epoch: u64,
        members: &[usize],
        setting: &Setting,
    ) {
        if epoch <= self.records[n].known {
            self.breaks(Broken::EpochFell);
        }
        let (wait, accept) = (setting.wait(), setting.policy == Policy::Accept);
        for other in (0..nodes.len()).filter(|other| *other != n) {
            let Tenure::Open { life } = self.records[other].tenure else {
                continue;
            };
            // everybody in its view has granted: the last of them counts
            let early = members
                .iter()
                .filter(|member| nodes[**member].brain.is_some())
                .any(|member| {
                    match self.records[*member].heard[other] {
                        Some(heard) if heard.life > life => false,
                        // it began when it was on its own already
                        Some(heard) if accept && !heard.holds => false,
                        heard => {
                            let at = heard.map_or(0, |heard| heard.at);
                            nodes[*member].local(now) < at + wait
                        }
                    }
                });
            // a machine whose clock stood believes in what it read before
            if early && now >= self.records[n].grace {
                self.breaks(Broken::EarlyTakeover);
            }
        }
        let record = &mut self.records[n];
        record.tenure = Tenure::Open {
            life: nodes[n].lives,
        };
        (record.epoch, record.known, record.stops_by) = (epoch, epoch, None);
    }

    /// The greatest tenure known to a node.
    pub(crate) fn known(&self, n: usize) -> u64 {
        self.records[n].known
    }

    /// Its stop was confirmed.
    pub(crate) fn ends(&mut self, n: usize) {
        self.records[n].tenure = Tenure::Over;
        self.records[n].stops_by = None;
    }

    /// A link does not work, or a node does not hear.
    pub(crate) fn parted(&mut self, now: u64) {
        self.parted_until = now + 6 * TICK;
    }

    /// At every instant: who acts?
    pub(crate) fn look(&mut self, now: u64, nodes: &[Node], setting: &Setting) {
        let excused = setting.policy == Policy::Accept && now < self.parted_until;
        let owners = (0..nodes.len()).filter(|n| {
            // a machine that stands still altogether answers nobody
            let node = &nodes[*n];
            let silent = now < self.records[*n].gated_until && node.local(now) >= node.gate;
            node.acts && node.paused.is_none() && !silent && now >= self.records[*n].grace
        });
        if owners.count() > 1 && !excused {
            self.breaks(Broken::TwoOwners);
        }
        for (n, node) in nodes.iter().enumerate() {
            let late = self.records[n].stops_by.is_some_and(|by| now > by);
            if node.acts && !node.stands() && late {
                self.breaks(Broken::LateYield);
            }
        }
    }

    /// At the end of a tick.
    pub(crate) fn sum_up(state: &mut State, mended: bool, policy: Policy) {
        let State {
            now, nodes, judge, ..
        } = state;
        for (n, node) in nodes.iter().enumerate() {
            let Some(brain) = &node.brain else { continue };
            let view = brain.engine.view().map_or(0, |view| view.epoch);
            if view > 0 && view < judge.records[n].view {
                judge.breaks(Broken::EpochFell);
            }
            judge.records[n].view = judge.records[n].view.max(view);
            let all = brain
                .engine
                .view()
                .is_some_and(|view| view.members.len() == nodes.len());
            if all && node.lives > 1 {
                judge.mark(Mark::Rebooted);
            }
        }
        let picture = digest(&nodes.iter().map(picture).collect::<Vec<_>>());
        let same = picture == judge.picture;
        judge.picture = picture;
        let calm = same && is_calm(nodes, mended, policy);
        judge.calm = if calm { (judge.calm + 1).min(CALM) } else { 0 };
        judge.mended_since = match judge.mended_since {
            _ if !mended => None,
            None => Some(*now),
            since => since,
        };
        let overdue = judge
            .mended_since
            .is_some_and(|since| *now >= since + SETTLES * TICK);
        if overdue && judge.calm == 0 {
            judge.breaks(Broken::NeverSettled);
        }
    }
}

/// What others can see of a node.
fn picture(node: &Node) -> impl std::hash::Hash + use<> {
    let engine = node.brain.as_ref().map(|brain| &*brain.engine);
    (
        node.on(),
        node.acts,
        engine.and_then(kodo_engine::Engine::view),
        engine.map(kodo_engine::Engine::role),
        engine.map(|engine| engine.claim(GROUP)),
    )
}

/// Everybody that runs is in one view, and one of them has the group up: the preferred one
/// when nothing is wrong, but where a move for reachability damps the way back for longer
/// than a search can wait.
fn is_calm(nodes: &[Node], mended: bool, policy: Policy) -> bool {
    let running = || nodes.iter().filter(|node| node.runs());
    let view = |node: &Node| node.brain.as_ref().and_then(|brain| brain.engine.view());
    let one_view = running()
        .all(|node| view(node).is_some_and(|view| view.members.len() == running().count()))
        && running()
            .map(view)
            .all(|other| other == running().next().and_then(view));
    let owners: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].acts).collect();
    let [owner] = owners[..] else { return false };
    let up = nodes[owner]
        .brain
        .as_ref()
        .is_some_and(|brain| brain.engine.group(GROUP).state == RunState::Started);
    one_view && up && (owner == 0 || !mended || policy == Policy::Ping)
}
