//! Stage one: who is heard, late or dead; paths; reachability; second machines.
//!
//! Owns the detector. Silence counts from the newest *fresh* beat and only while our
//! own loop ran. Never removes anybody: that is the next stage, with evidence.

use super::Engine;
use crate::codec::Bond;
use crate::config::ResourceKind;
use crate::limits;
use crate::surface::{Event, Evidence, Gone, PathState, Role, Sight};
use crate::timers::Timer;
use crate::twin::Change;
use crate::types::{BootId, GroupId, NodeId, Now, PathId};

use super::Small;

impl Engine {
    pub(super) fn detect(&mut self, now: Now) {
        self.timers.clear(Timer::Detect);
        for peer in self.others() {
            self.watch(now, peer);
            self.watch_paths(now, peer);
        }
        self.watch_clients(now);
        self.watch_health(now);
        self.watch_twin(now);
    }

    /// Late at warntime, dead at deadtime.
    fn watch(&mut self, now: Now, peer: NodeId) {
        let timing = self.config.timing;
        let Some(life) = &mut self.peers[peer.index()].life else {
            return;
        };
        let silent = life.silence(now);
        let since = life.fresh_at + life.excused;
        self.timers.set(Timer::Detect, since + timing.warntime);
        self.timers.set(Timer::Detect, since + timing.deadtime);
        if silent >= timing.warntime && !life.late {
            life.late = true;
            self.log(Event::Late { peer, silent });
            self.probe_for(peer);
        }
        let Some(life) = self.peers[peer.index()]
            .life
            .as_mut()
            .filter(|life| !life.dead)
        else {
            return;
        };
        if silent >= timing.deadtime {
            life.dead = true;
            let evidence = self.evidence(now, peer, Gone::Silent);
            self.log(Event::Dead { peer, evidence });
            self.changed();
        }
    }

    /// Looks early for strangers on the VIPs that would come here.
    fn probe_for(&mut self, peer: NodeId) {
        if self.role != Role::Member {
            return;
        }
        for n in 0..self.config.groups.len() {
            let group = GroupId::from_index(n);
            let held = self.peers[peer.index()]
                .life
                .as_ref()
                .is_some_and(|life| life.said.claim(group).may_act());
            if !held || !self.config.groups[n].may_run(self.config.me) {
                continue;
            }
            for m in 0..self.config.groups[n].members.len() {
                let resource = self.config.groups[n].members[m];
                let vip = self.config.resources[resource.index()].kind == ResourceKind::Vip;
                // an early look is a favour: it gives way to actions
                if vip && self.effects.len() < limits::EFFECTS - limits::ACTIONS {
                    self.act(Small::Probe(resource));
                }
            }
        }
    }

    /// Reports changes of each path's state towards a peer.
    fn watch_paths(&mut self, now: Now, peer: NodeId) {
        for n in 0..self.config.paths.len() {
            let path = PathId::from_index(n);
            let ends = self.config.paths[n].ends;
            if !ends.contains(peer) || !ends.contains(self.config.me) {
                continue;
            }
            if let Some(life) = &self.peers[peer.index()].life
                && let Some(at) = life.heard_at[n]
            {
                self.timers.set(Timer::Detect, at + self.window(path));
            }
            let state = self.sense(now, peer, path);
            let settled = self.is_settled(now, peer, path, state);
            if !settled || self.shown[peer.index()][n] == state {
                continue;
            }
            self.shown[peer.index()][n] = state;
            self.log(Event::Path { peer, path, state });
        }
    }

    /// Every path is one-way for a moment when it comes or goes: that is no news
    /// before it has lasted.
    fn is_settled(&mut self, now: Now, peer: NodeId, path: PathId, state: PathState) -> bool {
        let window = self.window(path);
        let doubted = &mut self.doubted[peer.index()][path.index()];
        if state != PathState::OneWay {
            *doubted = None;
            return true;
        }
        let until = *doubted.get_or_insert(now) + window;
        self.timers.set(Timer::Detect, until);
        now >= until
    }

    /// A path's state towards a peer, from what is heard at both ends.
    fn sense(&self, now: Now, peer: NodeId, path: PathId) -> PathState {
        let Some(life) = &self.peers[peer.index()].life else {
            return PathState::Down;
        };
        if !self.carriers[path.index()].up {
            return PathState::Down;
        }
        let heard_at = life.heard_at[path.index()];
        let lately = heard_at.is_some_and(|at| now - at < self.window(path));
        // A slow path's last frame is no news when a faster one has fallen silent since.
        let spoke = now - life.fresh_at < self.window(life.fresh_on);
        let since = heard_at.is_some_and(|at| at >= life.fresh_at + self.config.timing.keepalive);
        let hears = lately && (spoke || since);
        let heard = spoke && life.said.paths & (1 << path.0) != 0;
        match (hears, heard) {
            (true, true) => PathState::Up,
            (false, false) => PathState::Down,
            _ => PathState::OneWay,
        }
    }

    /// What is known of a peer at this moment, for the timeline.
    pub(super) fn evidence(&self, now: Now, peer: NodeId, gone: Gone) -> Evidence {
        let mut paths = [Sight::Elsewhere; limits::PATHS];
        for (n, path) in self.config.paths.iter().enumerate() {
            if !path.ends.contains(peer) || !path.ends.contains(self.config.me) {
                continue;
            }
            paths[n] = match self.sense(now, peer, PathId::from_index(n)) {
                _ if !self.carriers[n].up => Sight::NoCarrier,
                PathState::Up => Sight::Up,
                PathState::OneWay => Sight::OneWay,
                PathState::Down => Sight::Silent,
            };
        }
        let silent = self.peers[peer.index()]
            .life
            .as_ref()
            .map(|life| life.silence(now));
        Evidence {
            gone,
            silent,
            paths,
            ping: self.ping_age(now),
        }
    }

    /// Age of the newest answered ping.
    pub(super) fn ping_age(&self, now: Now) -> Option<Now> {
        self.lease.ping.map(|sent| now - sent)
    }

    /// Whether clients reach this node: carrier on a public path, and the ping group
    /// answered not long ago.
    pub(super) fn reaches_clients(&self, now: Now) -> bool {
        let mut public = self.public();
        let carrier =
            public.clone().next().is_none() || public.any(|path| self.carriers[path.index()].up);
        let answered = self
            .ping_age(now)
            .is_some_and(|age| age < limits::PING_SILENCE * self.config.timing.deadtime);
        carrier && (answered || !self.config.pings)
    }

    /// Paths that end here.
    pub(super) fn own_paths(&self) -> impl Iterator<Item = PathId> + Clone + '_ {
        let paths = self.config.paths.iter().enumerate();
        paths
            .filter(|(_, path)| path.ends.contains(self.config.me))
            .map(|(n, _)| PathId::from_index(n))
    }

    /// Those of them on which clients live.
    pub(super) fn public(&self) -> impl Iterator<Item = PathId> + Clone + '_ {
        self.own_paths()
            .filter(|path| self.config.paths[path.index()].public)
    }

    /// Follows who reaches the clients, this node included.
    fn watch_clients(&mut self, now: Now) {
        if let Some(sent) = self.lease.ping {
            self.timers
                .set(Timer::Detect, sent + self.config.timing.deadtime);
        }
        let me = self.config.me;
        for n in 0..self.config.nodes.len() {
            let node = NodeId::from_index(n);
            let reachable = if node == me {
                Some(self.reaches_clients(now))
            } else {
                self.peers[n].alive().map(|life| life.said.reachable)
            };
            let before = self.clients[n];
            if before.reachable == reachable {
                continue;
            }
            let clients = &mut self.clients[n];
            clients.reachable = reachable;
            clients.found_since = (reachable == Some(true)).then_some(now);
            clients.lost_since = (reachable == Some(false)).then_some(now);
            if before.reachable == Some(true) && reachable == Some(false) {
                clients.wavered = Some(now);
            }
            self.again = true;
            if node == me {
                self.beats.urge();
                let ping = self.ping_age(now);
                self.log(Event::Reachable {
                    yes: reachable == Some(true),
                    ping,
                });
            }
        }
    }

    /// Another machine with our identity, seen by us or by a peer.
    fn watch_twin(&mut self, now: Now) {
        let deadtime = self.config.timing.deadtime;
        let refused_by = self.others().find_map(|peer| {
            let life = self.peers[peer.index()].alive()?;
            // one stranger that met the other machine first does not dethrone a member
            let heeded = self.view.is_none() || self.is_member(peer);
            (life.said.bond == Bond::Refused && heeded).then_some(life.said.kept?)
        });
        if let Some(at) = self.twin.deadline(deadtime) {
            self.timers.set(Timer::Detect, at);
        }
        let leaving = matches!(self.role, Role::Leaving | Role::Left);
        match self.twin.judge(now, self.boot, deadtime, refused_by) {
            Some(Change::Refuse(other)) if !leaving => self.refuse(other),
            // Where exclusion rests on who votes, a machine that was refused must not vote in
            // another part just because it no longer hears the one that does.
            Some(Change::Recover(_)) if self.is_exclusive() && !self.is_called_on() => {
                self.twin.stay_refused();
            }
            Some(Change::Recover(other)) if !leaving => {
                self.role = Role::Observer;
                self.lonely = super::Lonely::default();
                self.log(Event::Refused { yes: false, other });
                self.changed();
            }
            _ => {}
        }
    }

    /// A refused machine is known as what it is to somebody that it hears: the other one
    /// gave way, or is dead and replaced for those who went on without it.
    fn is_called_on(&self) -> bool {
        let confirmed = |peer: NodeId| {
            let life = self.peers[peer.index()].alive();
            life.is_some_and(|life| life.said.bond == Bond::Confirmed)
        };
        self.twin.is_heard() || self.others().any(confirmed)
    }

    /// Gives everything up: another machine with this identity was there first.
    fn refuse(&mut self, other: BootId) {
        self.role = Role::Refused;
        self.view = None;
        self.ballot = None;
        self.log(Event::Refused { yes: true, other });
        self.changed();
    }
}
