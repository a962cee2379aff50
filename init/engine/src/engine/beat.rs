//! Stage six: heartbeats. When, on which paths, and what they say.
//!
//! Owns the tick. Every keepalive one beat goes out on all paths that are due (a slow
//! line may have a longer interval), with one sequence number; only the timer input
//! makes it. A change that others wait for sends an extra beat at once, with any
//! input: a burst of [`limits::EXTRA_BEATS`], and as many per keepalive after that;
//! on a narrow or slow path at most one per half its interval. While beats get lost, one
//! more goes out halfway between two ticks: a lease spans few beats.

use super::{Engine, Pending};
use crate::codec::{Bond, Core, GroupLine, Hears, Standing};
use crate::limits;
use crate::operator;
use crate::surface::{Frame, Role};
use crate::timers::Timer;
use crate::types::{GroupId, NodeId, Now, PathId};

/// When beats were sent and are due.
#[derive(Clone, Debug, Hash)]
pub(super) struct Beats {
    /// The next keepalive tick.
    tick: Now,
    /// By path: when the next ordinary beat is due, and when the last beat went out.
    due: [Now; limits::PATHS],
    last: [Option<Now>; limits::PATHS],
    /// Paths that owe an extra beat, one bit each.
    urgent: u8,
    /// The beat between this tick and the next was asked for.
    nudged: bool,
    /// Until when beats count as getting lost.
    lossy_until: Now,
    /// When the extra beats sent so far would be paid off at the long-term rate (the
    /// generic cell rate algorithm, ITU-T I.371 annex A).
    paid: Now,
    /// The beat going out.
    seq: u64,
    at: Now,
}

impl Beats {
    pub(super) fn new(now: Now) -> Beats {
        Beats {
            tick: now,
            due: [now; limits::PATHS],
            last: [None; limits::PATHS],
            urgent: 0,
            nudged: false,
            lossy_until: Now::ZERO,
            paid: Now::ZERO,
            seq: 0,
            at: now,
        }
    }

    /// Others should hear of a change now.
    pub(super) fn urge(&mut self) {
        self.urgent = u8::MAX;
    }

    /// When the next keepalive tick is due.
    pub(super) fn tick(&self) -> Now {
        self.tick
    }
}

impl Engine {
    /// The keepalive tick, if it is due.
    pub(super) fn tick(&mut self, now: Now) -> bool {
        let keepalive = self.config.timing.keepalive;
        if now < self.beats.tick {
            return false;
        }
        self.beats.nudged = false;
        self.beats.tick += keepalive;
        if self.beats.tick <= now {
            self.beats.tick = now + keepalive;
        }
        let mut paths = 0u8;
        let me = self.config.me;
        for (n, path) in self.config.paths.iter().enumerate() {
            if now >= self.beats.due[n] && path.ends.contains(me) {
                paths |= 1 << n;
                // due at the tick that is nearest to a whole interval
                self.beats.due[n] = now + path.keepalive - keepalive / 2;
            }
        }
        self.send_on(now, paths);
        self.ask_witness(now);
        true
    }

    /// Extra beats on the paths that owe one and may send it; the others get a timer.
    pub(super) fn urgent(&mut self, now: Now) {
        self.timers.clear(Timer::Extra);
        let keepalive = self.config.timing.keepalive;
        if !self.beats.nudged && self.loses_beats(now) {
            let halfway = self.beats.tick.saturating_sub(keepalive / 2);
            self.beats.nudged = now >= halfway;
            if self.beats.nudged {
                self.beats.urge();
            } else {
                self.timers.set(Timer::Extra, halfway);
            }
        }
        let interval = keepalive / limits::EXTRA_BEATS;
        let burst = interval * (limits::EXTRA_BEATS - 1);
        let mut paths = 0;
        for (n, path) in self.config.paths.iter().enumerate() {
            if self.beats.urgent & (1 << n) == 0 || !path.ends.contains(self.config.me) {
                continue;
            }
            let narrow = path.budget < limits::FRAME || path.keepalive > keepalive;
            let spacing = if narrow {
                path.keepalive / 2
            } else {
                Now::ZERO
            };
            let rested = self.beats.last[n].map_or(Now::ZERO, |last| last + spacing);
            let at = rested.max(self.beats.paid.saturating_sub(burst));
            if now >= at {
                paths |= 1 << n;
            } else {
                self.timers.set(Timer::Extra, at);
            }
        }
        if paths != 0 {
            self.beats.paid = self.beats.paid.max(now) + interval;
            self.send_on(now, paths);
        }
    }

    /// Beats were lost within the damping window: a member was not heard for longer than
    /// a beat takes to come.
    fn loses_beats(&mut self, now: Now) -> bool {
        let late = |node: NodeId| {
            let life = self.peers[node.index()].alive();
            life.is_some_and(|life| now - life.fresh_at > self.interval(node) * 3 / 2)
        };
        if self.fellows().iter().any(late) {
            self.lost_beats(now);
        }
        now < self.beats.lossy_until
    }

    /// A beat of ours, or to us, did not arrive.
    pub(super) fn lost_beats(&mut self, now: Now) {
        self.beats.lossy_until = now + limits::DAMPING * self.config.timing.deadtime;
    }

    /// One beat on some paths.
    fn send_on(&mut self, now: Now, paths: u8) {
        self.beats.urgent &= !paths;
        if paths == 0 {
            return;
        }
        self.beats.seq = self.sends.next(now);
        self.beats.at = now;
        for n in 0..self.config.paths.len() {
            if paths & (1 << n) != 0 {
                self.beats.last[n] = Some(now);
                self.send(PathId::from_index(n));
            }
        }
    }

    fn send(&mut self, path: PathId) {
        let queued = self.effects.push_back(Pending::Send(path));
        assert!(queued.is_ok(), "effects are drained after every input");
    }

    /// Lays out the beat for one path.
    pub(super) fn seal(&self, path: PathId) -> Frame {
        let at = self.beats.at;
        let file = &self.config.paths[path.index()];
        let core = Core {
            sender: self.config.me,
            path: operator::tag(&file.name),
            boot: self.boot.0,
            uptime: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            seq: self.beats.seq,
            file_hash: self.config.file_hash,
            next: self.next_file(),
            ready: self.is_clear_of_file(),
            standing: self.standing(at),
            reachable: self.reaches_clients(at),
            health: self.wellness.said,
            mesh: self.mesh(),
            vouched: self.vouched,
            owes: self.owes(at, self.wait_bound),
            owes_guarded: self.owes(at, self.guard_bound.max(self.wait_bound)),
            leased: self.holds_lease(at),
            alone: self.lonely.over,
            bound: u32::try_from(self.hold_back.as_millis() + 1).unwrap_or(u32::MAX),
            terms: self.terms,
            view: self.view,
            ballot: self.ballot,
            epoch: self.epoch,
            plan: self.plan.version,
            disk: self.keeper.disk(),
            groups: (0..self.config.groups.len())
                .map(|n| self.group_line(GroupId::from_index(n)))
                .collect(),
        };
        let registers = self.registers.in_turn(self.beats.seq);
        self.codec
            .seal(&core, self.echoes(path), registers, file.budget)
    }

    fn standing(&self, now: Now) -> Standing {
        match self.role {
            Role::Observer if self.is_ready(now) => Standing::Ready,
            Role::Observer => Standing::Held,
            Role::Member => Standing::Member,
            Role::Leaving | Role::Left => Standing::Leaving,
            Role::Refused => Standing::Refused,
        }
    }

    fn group_line(&self, group: GroupId) -> GroupLine {
        let own = &self.groups[group.index()];
        GroupLine {
            tag: self.registers.tag(group),
            claim: own.claim,
            banned: self.is_barred(group),
            phase: own.phase,
            fit: self.own_fitness(group),
            assigned: self.plan.lines[group.index()],
        }
    }

    /// What we heard, those first that are at this path's other end: on a narrow one only
    /// they fit. A candidate, which waits for its echo, comes before a second life, which
    /// can miss one.
    fn echoes(&self, path: PathId) -> impl Iterator<Item = Hears> + '_ {
        let at = self.beats.at;
        let near = move |node: &NodeId| self.config.paths[path.index()].ends.contains(*node);
        let nearest = self.others().filter(near);
        let farther = self.others().filter(move |node| !near(node));
        let lives = nearest
            .chain(farther)
            .filter_map(move |node| self.echo_life(at, node));
        let own = self.echo_candidate(at, self.config.me);
        let candidates = self
            .others()
            .filter_map(move |node| self.echo_candidate(at, node));
        let first = lives.clone().take(1);
        first.chain(candidates).chain(own).chain(lives.skip(1))
    }

    fn echo_life(&self, at: Now, node: NodeId) -> Option<Hears> {
        let peer = &self.peers[node.index()];
        let life = peer.life.as_ref()?;
        Some(Hears {
            node,
            boot: life.boot.0,
            heard: life.heard,
            granted: life.granted,
            paths: peer.paths(at, |path| self.window(path)),
            bond: Bond::Confirmed,
        })
    }

    fn echo_candidate(&self, at: Now, node: NodeId) -> Option<Hears> {
        let candidates = if node == self.config.me {
            &self.twin.candidates
        } else {
            &self.peers[node.index()].candidates
        };
        let candidate = candidates.in_turn(self.beats.seq, at, 2 * self.config.timing.deadtime)?;
        Some(Hears {
            node,
            boot: candidate.boot.0,
            heard: candidate.heard,
            granted: 0,
            paths: candidate.paths(at, |path| self.window(path)),
            bond: if candidate.refused {
                Bond::Refused
            } else {
                Bond::Candidate
            },
        })
    }
}
