//! The engine: one node's decisions, and the doors in and out.
//!
//! Owns the state and the fixed order of the stages: detect, agree, lease, place,
//! run, keep, beat. Each input changes facts, then all stages run; each stage is a file or two of
//! this directory and looks at facts only, so it does not matter in which order facts
//! came. Never performs anything: it leaves effects to be polled.

mod agree;
mod arbiter;
mod beat;
mod block;
mod command;
mod detect;
mod fit;
mod frame;
mod gate;
mod health;
mod hinder;
mod keep;
mod lease;
mod place;
mod promote;
mod quarantine;
mod recover;
mod report;
mod run;
mod same;
mod status;
mod switch;
mod wish;

use heapless::Deque;

use crate::claims::Hold;
use crate::codec::{Assigned, Codec};
use crate::config::Config;
use crate::counters::Counters;
use crate::group::{Group, Member};
use crate::limits;
use crate::membership::Electorate;
use crate::operator::Registers;
use crate::peer::Peer;
use crate::progress::{Progress, Stage};
use crate::rng::Rng;
use crate::sends::Sends;
use crate::surface::{Effect, Event, Evidence, Fatal, Gone, PathState, Role, View};
use crate::timers::Timers;
use crate::timing;
use crate::twin::Twin;
use crate::types::{BootId, NodeId, NodeSet, Now, PathId, ResourceId};

use arbiter::Witness;
use beat::Beats;
use gate::Gates;
use health::Wellness;
pub use hinder::Hindrance;
use keep::Keeper;
use switch::{Staged, Wanted};

/// How often the stages run for one input while they still change something.
/// Released, planned and started again in one breath takes three.
const ROUNDS: usize = 5;

/// One node's decisions.
///
/// # Contract
/// - Every `handle_*` takes the time of its input; time never goes back (asserted).
/// - After every `handle_*`, drain [`Engine::poll_effect`] and perform the effects in
///   that order; then call [`Engine::handle_timer`] no later than
///   [`Engine::poll_deadline`]. Earlier or more often is harmless.
/// - Every [`Effect::Start`] and [`Effect::Stop`] is answered by
///   [`Engine::handle_report`], in order, per resource.
/// - Nothing here allocates, waits, or reads a clock.
#[derive(Clone, Debug)]
pub struct Engine {
    config: Config,
    boot: BootId,
    /// W of a light group, and of a guarded one.
    wait_bound: Now,
    guard_bound: Now,
    /// The largest W that the file's groups need: what a fresh node waits for.
    hold_back: Now,
    now: Now,
    deadline: Now,
    codec: Codec,
    sends: Sends,
    beats: Beats,
    rng: Rng,
    carriers: [Carrier; limits::PATHS],
    peers: [Peer; limits::NODES],
    /// Nodes that run another cluster file, as far as heard; since when; and whether that
    /// was said.
    other_file: NodeSet,
    files_differ_since: [Option<Now>; limits::NODES],
    told_files: NodeSet,
    /// The file to run next, and the one that ran before this one.
    staged: Option<Staged>,
    left_file: Option<u64>,
    wanted: Option<Wanted>,
    shown: [[PathState; limits::PATHS]; limits::NODES],
    /// Since when a path has been one-way, until that is reported.
    doubted: [[Option<Now>; limits::PATHS]; limits::NODES],
    absent: [Absent; limits::NODES],
    granted: [Granted; limits::NODES],
    clients: [Clients; limits::NODES],
    wellness: Wellness,
    backoff: [Backoff; limits::NODES],
    /// When each node last became a member of our view.
    joined_at: [Now; limits::NODES],
    exits: [Exits; limits::NODES],
    twin: Twin,
    role: Role,
    view: Option<View>,
    view_since: Now,
    ballot: Option<View>,
    ballot_since: Now,
    /// The newest epoch agreed to or installed here: never again one as old.
    agreed: u64,
    /// Since when those that we hear have a view without us.
    left_out: Option<Now>,
    /// [`Config::terms`], for every beat.
    terms: u32,
    /// The newest epoch of views and tenures known.
    epoch: u64,
    lonely: Lonely,
    /// Since when members do not all hear each other.
    torn_since: Option<Now>,
    /// That votes are missing was said.
    short: bool,
    /// Nodes that an operator vouched for here as dead, and that nobody heard since.
    vouched: NodeSet,
    /// Nodes whose votes do not count: those of the newest view installed here, less those
    /// that came back by a view voted for since. Outlives the view.
    written_off: NodeSet,
    /// The newest view voted for by which some of them come back, until it is installed, or
    /// its author shows that it never was.
    pledged: Option<View>,
    lease: Lease,
    witness: Option<Witness>,
    gates: Gates,
    plan: Plan,
    groups: [Group; limits::GROUPS],
    resources: [Member; limits::RESOURCES],
    registers: Registers,
    keeper: Keeper,
    timers: Timers,
    progress: Progress,
    effects: Deque<Pending, { limits::EFFECTS }>,
    counters: Counters,
    unreported: u32,
    rejected_at: [Option<Now>; frame::REASONS],
    watchdog: Option<Now>,
    leaving_since: Now,
    resetting: bool,
    /// A stage changed something that an earlier stage looks at.
    again: bool,
}

/// A path's end here.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Carrier {
    up: bool,
    since: Now,
}

/// A node outside the view, as far as taking over from it goes.
#[derive(Clone, Copy, Debug, Default)]
struct Absent {
    /// What proved that it was gone, when more was known than silence, and when.
    gone: Option<(Gone, Now)>,
    /// As of its removal.
    evidence: Option<Evidence>,
    /// That evidence is missing was said.
    doubted: bool,
}

/// The newest grant that this node gave another one, whichever of its lives.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Granted {
    /// The other counts its lease from when it sent that beat, which was earlier.
    /// `None` once it is known to be over: that life restarted, or let go in order.
    at: Option<Now>,
    /// The largest W of its file, where that is another one than ours.
    bound: Now,
    /// That a light group may be taken from it was said.
    eased: bool,
}

/// Whether a node reaches the clients.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Clients {
    reachable: Option<bool>,
    found_since: Option<Now>,
    lost_since: Option<Now>,
    wavered: Option<Now>,
}

/// A node that did not answer a proposal, or that other members did not hear.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Backoff {
    until: Now,
    step: u32,
    /// When it was last at fault.
    at: Now,
}

/// How often a node restarted without leaving, lately.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Exits {
    count: u8,
    /// The last one.
    at: Now,
}

/// Waiting for the others after boot.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Lonely {
    until: Option<Now>,
    over: bool,
}

/// The right to act as a holder.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Lease {
    until: Now,
    /// Newest answered ping, by the time its request was sent.
    ping: Option<Now>,
    /// The first of the unbroken run of answers that the newest belongs to.
    ping_since: Now,
    /// Pings carry it on, grants no longer do.
    carried: bool,
    /// The witness's newest word: when its question was sent, and for whom it is.
    word: Option<(Now, NodeSet)>,
    /// Its end was said.
    lost: bool,
}

/// Where the coordinator wants each group, under the present view.
#[derive(Clone, Debug, Default, Hash)]
struct Plan {
    version: u32,
    lines: [Option<Assigned>; limits::GROUPS],
}

/// An effect; a heartbeat, question or table is laid out only when it is polled.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "no allocation")]
enum Pending {
    Send(PathId),
    Ask,
    Persist,
    Effect(Small),
}

/// An [`Effect`] without a frame in it.
#[derive(Clone, Debug)]
enum Small {
    Start(ResourceId, crate::surface::Reason),
    Stop(ResourceId, crate::surface::Reason),
    Probe(ResourceId),
    Announce(ResourceId),
    Gate(ResourceId, Now),
    FeedWatchdog,
    ResetSelf(Fatal),
    Adopted(u64),
    Log(Event),
}

impl Engine {
    /// A fresh life `boot` of node `config.me`. `boot` must be random; `seed` only
    /// spreads retries in time. `config` comes validated: this asserts it.
    pub fn new(config: Config, boot: BootId, seed: u64, now: Now) -> Engine {
        config.assert_valid();
        let wait_bound = timing::wait_bound(config.timing.lease, config.timing.release);
        let guard_bound = timing::wait_bound(config.timing.lease, config.timing.guard);
        let guarded = config.groups.iter().any(|group| group.guarded);
        let hold_back = if guarded {
            wait_bound.max(guard_bound)
        } else {
            wait_bound
        };
        Engine {
            boot,
            wait_bound,
            guard_bound,
            hold_back,
            now,
            deadline: now,
            codec: Codec::new(&config),
            sends: Sends::new(),
            beats: Beats::new(now),
            rng: Rng::new(seed ^ boot.0),
            carriers: [Carrier::default(); limits::PATHS],
            peers: core::array::from_fn(|_| Peer::default()),
            other_file: NodeSet::EMPTY,
            files_differ_since: [None; limits::NODES],
            told_files: NodeSet::EMPTY,
            staged: None,
            left_file: None,
            wanted: None,
            shown: [[PathState::Down; limits::PATHS]; limits::NODES],
            doubted: [[None; limits::PATHS]; limits::NODES],
            absent: [Absent::default(); limits::NODES],
            granted: [Granted {
                // an earlier life of ours may have granted until we booted
                at: Some(Now::ZERO),
                bound: Now::ZERO,
                eased: false,
            }; limits::NODES],
            clients: [Clients::default(); limits::NODES],
            wellness: Wellness::default(),
            backoff: [Backoff::default(); limits::NODES],
            joined_at: [Now::ZERO; limits::NODES],
            exits: [Exits::default(); limits::NODES],
            twin: Twin::default(),
            role: Role::Observer,
            view: None,
            view_since: now,
            ballot: None,
            ballot_since: now,
            agreed: 0,
            left_out: None,
            terms: config.terms(),
            epoch: 0,
            lonely: Lonely::default(),
            torn_since: None,
            short: false,
            vouched: NodeSet::EMPTY,
            written_off: NodeSet::EMPTY,
            pledged: None,
            lease: Lease::default(),
            witness: Witness::new(&config, boot, hold_back, now),
            gates: Gates::new(now),
            plan: Plan::default(),
            groups: core::array::from_fn(|_| Group::new()),
            resources: [Member::Idle; limits::RESOURCES],
            registers: Registers::new(&config),
            keeper: Keeper::new(config.keeps_state),
            timers: Timers::new(),
            progress: Progress::default(),
            effects: Deque::new(),
            counters: Counters::default(),
            unreported: 0,
            rejected_at: [None; frame::REASONS],
            watchdog: None,
            leaving_since: now,
            resetting: false,
            again: false,
            config,
        }
    }

    /// A path's carrier at this end came or went (a serial line was opened or closed).
    /// A path is without carrier until this says otherwise.
    pub fn handle_carrier(&mut self, now: Now, path: PathId, up: bool) {
        self.enter(now);
        if path.index() < self.config.paths.len() && self.carriers[path.index()].up != up {
            self.carriers[path.index()] = Carrier { up, since: now };
            self.log(Event::Carrier { path, up });
            self.beats.urge();
        }
        self.decide(now);
    }

    /// Time passed. The only input that earns the watchdog's feed.
    pub fn handle_timer(&mut self, now: Now) {
        self.enter(now);
        self.progress.begin();
        self.judge(now);
        let ticked = self.tick(now);
        self.progress.mark(Stage::Beat);
        self.urgent(now);
        self.schedule(now);
        if self.progress.spend() && ticked && !self.resetting {
            self.earn_gates(now);
            self.act(Small::FeedWatchdog);
        }
    }

    /// A member of the ping group answered a request that was sent at `sent`.
    pub fn handle_ping(&mut self, now: Now, sent: Now) {
        self.enter(now);
        if sent <= now && self.lease.ping.is_none_or(|newest| sent > newest) {
            let patience = self.ping_patience();
            self.lease.answered(sent, patience);
        }
        self.decide(now);
    }

    /// The hardware watchdog is open; `granted` is the timeout that its driver gave.
    pub fn handle_watchdog(&mut self, now: Now, granted: Now) {
        self.enter(now);
        self.watchdog = Some(granted);
        self.log(Event::Watchdog { granted });
        self.decide(now);
    }

    /// The next thing to do; call until `None` after every input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.unreported > 0 && self.effects.len() < limits::EFFECTS - limits::ACTIONS {
            let lines = core::mem::take(&mut self.unreported);
            self.log(Event::Dropped { lines });
        }
        Some(match self.effects.pop_front()? {
            Pending::Send(path) => Effect::Send(path, self.seal(path)),
            Pending::Ask => Effect::Ask(self.question()),
            Pending::Persist => Effect::Persist(self.keeper.serial(), self.table()),
            Pending::Effect(small) => match small {
                Small::Start(resource, reason) => Effect::Start(resource, reason),
                Small::Stop(resource, reason) => Effect::Stop(resource, reason),
                Small::Probe(resource) => Effect::Probe(resource),
                Small::Announce(resource) => Effect::Announce(resource),
                Small::Gate(resource, until) => Effect::Gate(resource, until),
                Small::FeedWatchdog => Effect::FeedWatchdog,
                Small::ResetSelf(fatal) => Effect::ResetSelf(fatal),
                Small::Adopted(hash) => Effect::Adopted(hash),
                Small::Log(event) => Effect::Log(event),
            },
        })
    }

    /// When [`Engine::handle_timer`] wants to run next, at the latest.
    pub fn poll_deadline(&self) -> Now {
        self.deadline
    }

    /// Takes note of the time, and of time in which this loop did not run.
    fn enter(&mut self, now: Now) {
        assert!(
            now >= self.now,
            "time went back from {:?} to {now:?}",
            self.now
        );
        let timing = &self.config.timing;
        let overdue = now.saturating_sub(self.deadline);
        if overdue >= timing.keepalive / 2 {
            for life in self.peers.iter_mut().filter_map(|peer| peer.life.as_mut()) {
                life.excused += overdue;
            }
            if overdue >= timing.warntime {
                self.log(Event::Stalled { gap: overdue });
            }
        }
        // The watchdog should have fired in that time, and others count on it.
        let fired = self.watchdog.is_some_and(|granted| overdue >= granted);
        let files = self.config.groups.iter().zip(&self.groups);
        let holds_data = files
            .filter(|(file, _)| file.guarded)
            .any(|(_, group)| group.claim.may_act());
        if fired && holds_data {
            self.reset(Fatal::ReleaseOverdue, None);
        }
        self.now = now;
        // What is overdue is excused once, however many inputs are waiting.
        self.deadline = self.deadline.max(now);
    }

    /// What follows from an input other than the timer.
    fn decide(&mut self, now: Now) {
        self.judge(now);
        self.urgent(now);
        self.schedule(now);
    }

    /// All stages, in their order, until they agree.
    fn judge(&mut self, now: Now) {
        self.timers.begin(now);
        for _ in 0..ROUNDS {
            self.again = false;
            self.detect(now);
            self.progress.mark(Stage::Detect);
            self.agree(now);
            self.progress.mark(Stage::Agree);
            self.renew(now);
            self.progress.mark(Stage::Lease);
            self.place(now);
            self.progress.mark(Stage::Place);
            self.run(now);
            self.progress.mark(Stage::Run);
            if !self.again {
                break;
            }
        }
        self.move_gates(now);
        self.keep(now);
    }

    /// The next deadline. A keepalive tick that is due stays due until
    /// [`Engine::handle_timer`] comes: no other input may take its place.
    fn schedule(&mut self, now: Now) {
        let next = self.timers.next().unwrap_or(Now::MAX);
        self.deadline = next.min(self.beats.tick()).max(now);
    }

    /// Notes that others should hear of a change now, and that earlier stages should
    /// look again.
    fn changed(&mut self) {
        self.again = true;
        self.beats.urge();
    }

    /// Queues an action. Actions always have room: each resource has at most one
    /// start, one stop, one announcement and two moves of its gate under way between two
    /// inputs.
    fn act(&mut self, action: Small) {
        let queued = self.effects.push_back(Pending::Effect(action));
        assert!(queued.is_ok(), "effects are drained after every input");
    }

    /// Queues a log line, or counts it as dropped: actions go first.
    fn log(&mut self, event: Event) {
        let room = self.effects.len() < limits::EFFECTS - limits::ACTIONS;
        if !room
            || self
                .effects
                .push_back(Pending::Effect(Small::Log(event)))
                .is_err()
        {
            self.counters.dropped = self.counters.dropped.saturating_add(1);
            self.unreported = self.unreported.saturating_add(1);
        }
    }

    /// This node cannot keep its promises.
    fn reset(&mut self, fatal: Fatal, resource: Option<ResourceId>) {
        if !self.resetting {
            self.resetting = true;
            self.log(Event::Reset { fatal, resource });
            self.act(Small::ResetSelf(fatal));
        }
    }

    /// The other nodes of the file.
    fn others(&self) -> impl Iterator<Item = NodeId> + Clone + use<> {
        let me = self.config.me;
        (0..self.config.nodes.len())
            .map(NodeId::from_index)
            .filter(move |node| *node != me)
    }

    /// The other members of the view.
    fn fellows(&self) -> NodeSet {
        self.view
            .map(|view| view.members.without(self.config.me))
            .unwrap_or_default()
    }

    /// The other nodes that are heard both ways.
    fn mesh(&self) -> NodeSet {
        self.others()
            .filter(|node| self.peers[node.index()].alive().is_some())
            .collect()
    }

    /// Who has a say at present.
    fn electorate(&self) -> Electorate<'_> {
        self.electorate_without(self.not_counted())
    }

    /// Nodes whose votes do not count at present.
    fn not_counted(&self) -> NodeSet {
        let pledged = self.pledged.map(|view| view.written_off);
        pledged.map_or(self.written_off, |off| self.written_off.both(off))
    }

    /// Who has a say when these nodes are written off.
    fn electorate_without(&self, written_off: NodeSet) -> Electorate<'_> {
        Electorate {
            rule: self.config.split_brain,
            votes: &self.config.votes,
            written_off,
        }
    }

    /// Whether anything of any group may still act here.
    fn holds_any(&self) -> bool {
        self.groups
            .iter()
            .any(|group| matches!(group.claim.hold, Hold::Holding | Hold::Releasing))
    }

    /// A path is heard while its newest frame is younger than this.
    fn window(&self, path: PathId) -> Now {
        limits::MISSED * self.config.paths[path.index()].keepalive
    }
}

#[cfg(test)]
mod tests;
