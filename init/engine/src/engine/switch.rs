//! From one cluster file to another while the cluster runs.
//!
//! Owns the staged file, the wish for it, and the moment of the switch. What the new file
//! changes ([`crate::reload`]) stops first, and stays down; who is so far is *ready* and
//! says so. When all members are, the coordinator proposes a view of the same members
//! under the new file ([`View::file`]), and whoever installs that view adopts: in that
//! instant groups, resources, rules and keys are the new file's, and all that is known of
//! groups is carried over by tag. Tenures, debts, leases, lives and views stay as they are.
//!
//! A member that is not ready does not vote for such a view, and who voted begins nothing
//! before that view is installed or void. So nobody begins under the new file what another
//! member still runs under the old one, whatever the two files call it. A node that missed
//! the switch adopts when it has the file and is ready: the view in which it is says which.
//! Never starts or stops anything: that is the run stage's.

use core::hash::{Hash, Hasher};

use super::{Engine, Plan, Small};
use crate::codec::Assigned;
use crate::config::Config;
use crate::group::Group;
use crate::limits;
use crate::operator::{Key, Stamp, mark};
use crate::peer::{Life, Said};
use crate::reload::{self, GroupSet, Unfit};
use crate::surface::{Event, Phase, Refusal, Role, View};
use crate::timers::Timer;
use crate::timing;
use crate::types::{GroupId, NodeId, NodeSet, Now};

/// A cluster file that could run next.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    config: Config,
    /// Groups of the running file that must be down when it is adopted.
    parts: GroupSet,
}

/// The newest wish for a file, and since when it is known here.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Wanted {
    stamp: Stamp,
    file: u32,
    since: Now,
    /// Members that are not ready, as long as it is pending.
    unready: NodeSet,
}

impl Hash for Staged {
    fn hash<H: Hasher>(&self, to: &mut H) {
        (self.config.file_hash, self.parts).hash(to);
    }
}

impl Staged {
    fn mark(&self) -> u32 {
        mark(self.config.file_hash)
    }
}

impl Engine {
    /// Keeps a cluster file to be run next, in place of one that was staged before. Staging
    /// the running one keeps nothing.
    ///
    /// # Errors
    /// Why the cluster cannot go over to it while it runs; nothing has changed then.
    pub fn stage(&mut self, now: Now, next: &Config) -> Result<(), Unfit> {
        self.enter(now);
        let fit = self.examine(next);
        if fit.is_ok() {
            self.changed();
        }
        self.decide(now);
        fit
    }

    fn examine(&mut self, next: &Config) -> Result<(), Unfit> {
        let voted = self.ballot.map(|ballot| ballot.file);
        if self
            .staged
            .as_ref()
            .is_some_and(|it| voted == Some(it.mark()))
            && !self.runs(voted)
        {
            return Err(Unfit::Busy);
        }
        if next.file_hash == self.config.file_hash {
            if next.keys != self.config.keys {
                return Err(Unfit::Keys);
            }
            self.staged = None;
            return Ok(());
        }
        let parts = reload::compare(&self.config, next)?;
        let hash = next.file_hash;
        self.staged = Some(Staged {
            config: next.clone(),
            parts,
        });
        self.log(Event::Staged { hash });
        Ok(())
    }

    /// The hash of the file staged here.
    pub fn staged(&self) -> Option<u64> {
        Some(self.staged.as_ref()?.config.file_hash)
    }

    /// Members for which the switch waits, as far as heard: empty when none is under way.
    pub fn switch_waits_for(&self) -> NodeSet {
        match self.wanted_file() {
            Some(file) if self.file() != file => self.unready(file),
            _ => NodeSet::EMPTY,
        }
    }

    /// The running file's name in heartbeats.
    pub(super) fn file(&self) -> u32 {
        mark(self.config.file_hash)
    }

    fn runs(&self, file: Option<u32>) -> bool {
        file == Some(self.file())
    }

    /// What is staged here, for the beats.
    pub(super) fn next_file(&self) -> u32 {
        self.staged.as_ref().map_or(0, Staged::mark)
    }

    /// The file that operators want, if they want one.
    fn wanted_file(&self) -> Option<u32> {
        let (file, _) = self.registers.file()?;
        (file != 0).then_some(file)
    }

    /// Checks an operator's wish for a file, and makes it known.
    pub(super) fn want_file(&mut self, hash: u64) -> Result<(), Refusal> {
        let me = self.config.me;
        let Some(view) = self.view.filter(|_| self.role == Role::Member) else {
            return Err(Refusal::NotNow);
        };
        let file = mark(hash);
        let here = hash == self.config.file_hash || self.staged() == Some(hash);
        if !here {
            return Err(Refusal::NotStaged(me));
        }
        let mut others = view.members.without(me).iter();
        if let Some(node) = others.find(|node| !self.has(*node, file)) {
            return Err(Refusal::NotStaged(node));
        }
        let known = |life: &Life| [hash, self.config.file_hash].contains(&life.said.file);
        let fellows = self.fellows();
        let mut lives = fellows
            .iter()
            .filter_map(|node| self.peers[node.index()].alive());
        if !lives.all(known) {
            return Err(Refusal::Frozen);
        }
        let parts = self.staged.as_ref().map(|staged| staged.parts);
        let parts = |id: &GroupId| parts.is_some_and(|parts| parts.contains(*id));
        let groups = (0..self.config.groups.len()).map(GroupId::from_index);
        for id in groups.filter(parts) {
            let is = |what: fn(Phase) -> bool| {
                let mut members = view.members.iter();
                members.any(|node| what(self.phase_on(node, id)))
            };
            if is(|phase| phase == Phase::Blocked) {
                return Err(Refusal::Blocked);
            }
            if self.is_pinned(id) && is(|phase| phase != Phase::Idle) {
                return Err(Refusal::Untouched);
            }
        }
        self.registers.write(Key::File, file, self.epoch, me);
        Ok(())
    }

    /// A member runs a file, or has it staged, as far as heard.
    fn has(&self, node: NodeId, file: u32) -> bool {
        let life = self.peers[node.index()].alive();
        life.is_some_and(|life| mark(life.said.file) == file || life.said.next == file)
    }

    /// Another member runs a file.
    fn is_run_by_a_fellow(&self, file: u32) -> bool {
        let fellows = self.fellows();
        let mut lives = fellows
            .iter()
            .filter_map(|node| self.peers[node.index()].alive());
        lives.any(|life| mark(life.said.file) == file)
    }

    /// Members that neither run a file nor are ready for it.
    fn unready(&self, file: u32) -> NodeSet {
        let me = self.config.me;
        let ready = |node: NodeId| {
            if node == me {
                return self.file() == file
                    || (self.next_file() == file && self.is_clear_of_file());
            }
            let life = self.peers[node.index()].alive();
            life.is_some_and(|life| {
                mark(life.said.file) == file || (life.said.next == file && life.said.ready)
            })
        };
        let members = self.view.map(|view| view.members).unwrap_or_default();
        members.iter().filter(|node| !ready(*node)).collect()
    }

    /// The staged file is called for: what it changes stops, and starts no more. The view runs
    /// it already, or operators want it and no member lacks it: else stopping would be for
    /// nothing.
    fn is_called_for(&self) -> bool {
        let (Some(staged), Some(view)) = (&self.staged, self.view) else {
            return false;
        };
        let file = staged.mark();
        let mut fellows = view.members.without(self.config.me).iter();
        view.file == file
            || (self.wanted_file() == Some(file) && fellows.all(|node| self.has(node, file)))
    }

    /// A group must be down for the staged file, now.
    pub(super) fn is_parting(&self, id: GroupId) -> bool {
        let parts = self
            .staged
            .as_ref()
            .is_some_and(|staged| staged.parts.contains(id));
        parts && self.is_called_for()
    }

    /// All that the staged file changes is down, and stays so.
    pub(super) fn is_clear_of_file(&self) -> bool {
        let groups = self.groups.iter().take(self.config.groups.len());
        let mut ids = groups.zip((0..).map(GroupId));
        let down = |staged: &Staged| {
            ids.all(|(group, id)| {
                let idle = group.phase == Phase::Idle && !group.claim.may_act();
                idle || !staged.parts.contains(id)
            })
        };
        self.is_called_for() && self.staged.as_ref().is_some_and(down)
    }

    /// The file for which a view of these members would be the switch: wanted, and all of
    /// them run it or are ready.
    pub(super) fn switches_to(&self, members: NodeSet) -> Option<u32> {
        let view = self.view?;
        let file = self.wanted_file()?;
        let all = members == view.members && self.unready(file).is_empty();
        (all && view.file != file).then_some(file)
    }

    /// The file of the next view: the one to switch to; else that of the present view, as
    /// long as one of its members runs it.
    pub(super) fn file_of(&self, members: NodeSet) -> u32 {
        let runs = |file: &u32| *file == self.file() || self.is_run_by_a_fellow(*file);
        let present = self.view.map(|view| view.file).filter(runs);
        let switch = self.switches_to(members);
        switch.or(present).unwrap_or(self.file())
    }

    /// A proposal would be the switch of this very view to a file for which this node is not
    /// ready.
    pub(super) fn declines_file(&self, author: &Said, ballot: &View) -> bool {
        let Some(view) = self.view else {
            return false;
        };
        let switch = author.view == self.view && ballot.file != view.file;
        let ready = self.next_file() == ballot.file && self.is_clear_of_file();
        switch && !ready && self.file() != ballot.file
    }

    /// Follows the wish for a file: tells what parts, adopts what the view runs already, and
    /// gives up what takes too long.
    pub(super) fn switch(&mut self, now: Now) {
        self.watch_files(now);
        if self.may_adopt() {
            let lines = self.plan.lines;
            self.adopt(now, lines);
        }
        self.note_wish(now);
        let Some(Wanted { file, since, .. }) = self.wanted.filter(|wanted| wanted.file != 0) else {
            return;
        };
        let unready = self.unready(file);
        if let Some(wanted) = &mut self.wanted {
            wanted.unready = unready;
        }
        let leads = self
            .view
            .is_some_and(|view| view.coordinator == self.config.me);
        if !leads || self.file() == file || self.is_run_by_a_fellow(file) {
            return;
        }
        let until = since + self.switch_bound();
        self.timers.set(Timer::Agree, until);
        let voting = self.ballot.is_some_and(|ballot| ballot.file == file);
        if now >= until && !voting {
            self.registers
                .write(Key::File, 0, self.epoch, self.config.me);
            self.note_wish(now);
        }
    }

    /// How long a wish waits: for the stops that it asks for, and for votes.
    fn switch_bound(&self) -> Now {
        let parts = |id: GroupId| self.staged.as_ref().is_none_or(|it| it.parts.contains(id));
        let groups = self.config.groups.iter().zip((0..).map(GroupId));
        let members = groups
            .filter(|(_, id)| parts(*id))
            .flat_map(|(group, _)| &group.members);
        let stops = members.map(|member| self.config.resources[member.index()].stop_timeout);
        limits::SWITCH * self.config.timing.deadtime + stops.sum::<Now>()
    }

    /// Takes note of a new wish, and says that one is over.
    fn note_wish(&mut self, now: Now) {
        let Some((file, stamp)) = self.registers.file() else {
            return;
        };
        if self.wanted.is_some_and(|wanted| wanted.stamp == stamp) {
            return;
        }
        if let Some(before) = self.wanted.filter(|before| before.file != file)
            && before.file == self.next_file()
        {
            let unready = before.unready;
            self.log(Event::Withdrawn { unready });
        }
        self.wanted = Some(Wanted {
            stamp,
            file,
            since: now,
            unready: NodeSet::EMPTY,
        });
        self.changed();
    }

    /// This node is ready, and the view is of the staged file.
    pub(super) fn may_adopt(&self) -> bool {
        let file = self.view.map(|view| view.file);
        file == Some(self.next_file()) && self.is_clear_of_file()
    }

    /// From here on the staged file is the one that runs. `lines` is the plan so far.
    pub(super) fn adopt(&mut self, now: Now, lines: [Option<Assigned>; limits::GROUPS]) {
        let Some(Staged { config, parts }) = self.staged.take() else {
            return;
        };
        let from = reload::matched(&self.config, &config);
        self.gates.adopt(&self.config, &config);
        let old = core::mem::replace(&mut self.config, config);
        self.codec.adopt(&self.config);
        self.registers.adopt(&self.config);
        self.carry_groups(&from, parts);
        self.carry_plan(&from, lines);
        self.carry_bounds();
        for node in self.others() {
            if let Some(life) = &mut self.peers[node.index()].life {
                life.said.regroup(&from);
                let hash = life.said.file;
                self.note_file(now, node, hash);
            }
        }
        self.left_file = Some(old.file_hash);
        let (hash, before) = (self.config.file_hash, old.file_hash);
        self.act(Small::Adopted(hash));
        self.log(Event::Adopted { hash, before });
        self.changed();
    }

    /// What is known of a group goes where its tag is. One that was something else has failed
    /// nowhere yet; its tenures count on.
    fn carry_groups(&mut self, from: &reload::From, parts: GroupSet) {
        let old = core::mem::replace(&mut self.groups, core::array::from_fn(|_| Group::new()));
        for (group, from) in self.groups.iter_mut().zip(from) {
            let Some(from) = from else { continue };
            *group = old[from.index()].clone();
            group.awaits = None;
            if parts.contains(*from) {
                (group.failures, group.banned_until) = (0, None);
                (group.unguarded, group.unplaced) = (false, false);
            }
        }
    }

    /// The coordinator goes on from where groups were, as far as they may still be there; its
    /// plan is newer than any of this view. The others wait for it.
    fn carry_plan(&mut self, from: &reload::From, lines: [Option<Assigned>; limits::GROUPS]) {
        let leads = self
            .view
            .is_some_and(|view| view.coordinator == self.config.me);
        if !leads {
            self.plan = Plan::default();
            return;
        }
        self.plan.version += 1;
        self.plan.lines = [None; limits::GROUPS];
        for (n, group) in self.config.groups.iter().enumerate() {
            let line = from[n].and_then(|from| lines[from.index()]);
            let may = |line: &Assigned| line.nodes.iter().all(|node| group.may_run(node));
            self.plan.lines[n] = line.filter(may);
        }
    }

    /// Bounds grow with the new file and never shrink: a node outside the view may still run
    /// by the old one, and what it was granted is owed by that one's W.
    fn carry_bounds(&mut self) {
        let before = self.hold_back;
        for granted in &mut self.granted {
            granted.bound = granted.bound.max(before);
        }
        let timing = &self.config.timing;
        if self.config.groups.iter().any(|group| group.guarded) {
            let guard = timing::wait_bound(timing.lease, timing.guard);
            self.hold_back = self.hold_back.max(guard);
        }
        if let Some(witness) = &mut self.witness {
            witness.wait(self.hold_back);
        }
    }

    /// Notes which file a peer runs.
    pub(super) fn note_file(&mut self, now: Now, peer: NodeId, hash: u64) {
        let yes = hash != self.config.file_hash;
        if yes == self.other_file.contains(peer) {
            return;
        }
        self.files_differ_since[peer.index()] = yes.then_some(now);
        self.other_file = if yes {
            self.other_file.with(peer)
        } else {
            self.other_file.without(peer)
        };
        self.changed();
    }

    /// Says that a peer runs another file, unless that is the switch: one of us has just
    /// adopted what the other one is about to.
    fn watch_files(&mut self, now: Now) {
        let settle = limits::SWITCH * self.config.timing.deadtime;
        for peer in self.others() {
            let told = self.told_files.contains(peer);
            let Some(since) = self.files_differ_since[peer.index()] else {
                if told {
                    self.told_files = self.told_files.without(peer);
                    let hash = self.config.file_hash;
                    self.log(Event::OtherFile {
                        peer,
                        yes: false,
                        hash,
                    });
                }
                continue;
            };
            let Some(life) = &self.peers[peer.index()].life else {
                continue;
            };
            let hash = life.said.file;
            let switching = [self.staged(), self.left_file].contains(&Some(hash));
            if told || (switching && now < since + settle) {
                self.timers.set(Timer::Agree, since + settle);
                continue;
            }
            self.told_files = self.told_files.with(peer);
            self.log(Event::OtherFile {
                peer,
                yes: true,
                hash,
            });
        }
    }
}
