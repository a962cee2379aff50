//! The door for heartbeats: from bytes to facts.
//!
//! Owns the order of checks: layout and MAC, our own echo, path, identity and
//! freshness; only then is anything believed. Every reject is counted.

use super::{Engine, Small};
use crate::claims::Hold;
use crate::codec::{Beat, Standing};
use crate::config::ResourceKind;
use crate::group::Member;
use crate::limits;
use crate::operator;
use crate::peer::{Arrival, Audition, Said, Standpoint};
use crate::surface::{Event, Gone, Reject};
use crate::types::{BootId, GroupId, NodeId, Now, PathId};

/// How many reasons there are to reject a frame.
pub(super) const REASONS: usize = Reject::Twin as usize + 1;

impl Engine {
    /// A heartbeat's bytes arrived on `path`. Gives the sender once it has proven
    /// itself, so that the caller may trust its hardware address.
    ///
    /// # Errors
    /// Why it changed nothing. Counted in [`Engine::counters`].
    pub fn handle_frame(&mut self, now: Now, path: PathId, bytes: &[u8]) -> Result<NodeId, Reject> {
        self.enter(now);
        let result = self.hear(now, path, bytes);
        match result {
            Ok(_) => self.counters.accepted = self.counters.accepted.saturating_add(1),
            Err(reject) => {
                self.counters.count(reject);
            }
        }
        self.decide(now);
        result
    }

    fn hear(&mut self, now: Now, path: PathId, bytes: &[u8]) -> Result<NodeId, Reject> {
        let opened = self.codec.open(bytes);
        let beat = opened.inspect_err(|reject| self.report_reject(now, *reject, path))?;
        let known = self.config.paths.get(path.index());
        if known.is_none_or(|known| operator::tag(&known.name) != beat.core.path) {
            self.report_reject(now, Reject::WrongPath, path);
            return Err(Reject::WrongPath);
        }
        if beat.core.sender == self.config.me {
            return Err(self.hear_own_name(now, path, &beat));
        }
        self.hear_peer(now, path, &beat)
    }

    /// A beat is fresh when it echoes something that we sent within deadtime.
    fn is_fresh(&self, now: Now, beat: &Beat) -> bool {
        let echo = beat.echo(self.config.me, self.boot);
        let sent = echo.and_then(|echo| self.sends.time_of(echo.heard));
        sent.is_some_and(|sent| now - sent <= self.config.timing.deadtime)
    }

    fn hear_own_name(&mut self, now: Now, path: PathId, beat: &Beat) -> Reject {
        if beat.boot() == self.boot {
            return Reject::Own;
        }
        let audition = self.twin.hear(now, path, beat.boot(), beat.core.seq);
        let patience = 2 * self.config.timing.deadtime;
        match audition {
            Audition::Replayed => Reject::Replayed,
            Audition::Heard { .. } if self.is_fresh(now, beat) => {
                self.twin.confirm(
                    now,
                    beat.boot(),
                    beat.uptime(),
                    beat.core.standing == Standing::Refused,
                );
                self.report_twin(now, self.config.me, self.boot, beat);
                Reject::Twin
            }
            Audition::Heard { since } => {
                if now - since > patience {
                    self.report_reject(now, Reject::Stale, path);
                }
                Reject::Stale
            }
        }
    }

    fn hear_peer(&mut self, now: Now, path: PathId, beat: &Beat) -> Result<NodeId, Reject> {
        let sender = beat.core.sender;
        let arrival = Arrival {
            now,
            path,
            boot: beat.boot(),
            uptime: beat.uptime(),
            seq: beat.core.seq,
            fresh: self.is_fresh(now, beat),
            // out of our view, or in one of those that decide while we do not
            removed: !self.is_member(sender) || (beat.core.leased && !self.holds_lease(now)),
            patience: 2 * self.config.timing.deadtime,
            settle: limits::MISSED * self.interval(sender),
            // a part that outvotes the other removes the dead one by itself
            forget: if self.counts_votes() {
                Now::MAX
            } else {
                limits::BACKOFF * self.config.timing.deadtime
            },
        };
        let standpoint = self.peers[sender.index()].hear(&arrival);
        match standpoint {
            Standpoint::News
            | Standpoint::First
            | Standpoint::Restarted { .. }
            | Standpoint::Replaced { .. } => {
                self.believe(&arrival, beat, standpoint);
                Ok(sender)
            }
            Standpoint::Echo => Ok(sender),
            Standpoint::Stale { doubtful } => {
                // answer soon: our echo is what makes its next beat fresh
                let settled = self.peers[sender.index()]
                    .life
                    .as_ref()
                    .is_some_and(|life| !life.late);
                if !settled {
                    self.beats.urge();
                }
                if doubtful {
                    self.report_reject(now, Reject::Stale, path);
                }
                Err(Reject::Stale)
            }
            Standpoint::Replayed { deep } => {
                if deep {
                    self.report_reject(now, Reject::Replayed, path);
                }
                Err(Reject::Replayed)
            }
            Standpoint::Twin { kept } => {
                self.report_twin(now, sender, kept, beat);
                Err(Reject::Twin)
            }
        }
    }

    /// Takes what a fresh beat says for true, and what follows from it at once.
    fn believe(&mut self, arrival: &Arrival, beat: &Beat, standpoint: Standpoint) {
        let (now, sender) = (arrival.now, beat.core.sender);
        let registers = &self.registers;
        let said = Said::new(beat, self.config.me, self.boot, |tag| registers.group(tag));
        let old = self.peers[sender.index()].life.as_ref();
        let left = old.is_some_and(|life| life.said.standing == Standing::Leaving);
        let before = self.peers[sender.index()].believe(arrival, said);
        // Whoever somebody hears is not dead.
        self.vouched = self.vouched.minus(beat.core.mesh).without(sender);
        let gone = &mut self.absent[sender.index()].gone;
        *gone = gone.filter(|(gone, _)| *gone != Gone::Vouched);
        match (standpoint, before) {
            (Standpoint::Restarted { old, silent }, _) => {
                self.absent[sender.index()].gone = Some((Gone::Restarted, now));
                self.granted[sender.index()].at = None;
                self.log(Event::Restarted {
                    peer: sender,
                    old,
                    new: arrival.boot,
                    uptime: arrival.uptime,
                    silent,
                });
                if !left {
                    self.count_exit(now, sender);
                }
                self.changed();
            }
            (Standpoint::News, Some(before)) => {
                if before.late {
                    self.log(Event::Back {
                        peer: sender,
                        silent: before.silent,
                    });
                    self.changed();
                }
                self.relieve(sender, &before.said);
            }
            _ => {
                self.log(Event::Heard {
                    peer: sender,
                    boot: arrival.boot,
                    uptime: arrival.uptime,
                });
                self.changed();
            }
        }
        self.note_file(now, sender, beat.core.file_hash);
        self.learn(beat);
        self.grant(now, sender, beat);
    }

    /// Epochs, tenures and operators' wishes spread with every fresh beat.
    fn learn(&mut self, beat: &Beat) {
        let sender = beat.core.sender;
        let foreign = beat.core.view != self.view;
        self.epoch = self.epoch.max(beat.core.epoch);
        for line in &beat.core.groups {
            self.epoch = self.epoch.max(line.claim.tenure);
            if let Some(group) = self.registers.group(line.tag) {
                let known = &mut self.groups[group.index()].known[sender.index()];
                *known = line.claim.tenure.max(*known);
            }
        }
        for register in &beat.registers {
            self.epoch = self.epoch.max(register.stamp.epoch);
            if self.registers.merge(*register, foreign) {
                self.changed();
            }
        }
    }

    /// A peer that gave a group up while we hold it: tell the LAN again where it is.
    fn relieve(&mut self, peer: NodeId, before: &Said) {
        for n in 0..self.config.groups.len() {
            let group = GroupId::from_index(n);
            let gave_up = before.claim(group).may_act()
                && self.peers[peer.index()]
                    .life
                    .as_ref()
                    .is_some_and(|life| !life.said.claim(group).may_act());
            if gave_up && self.groups[n].claim.hold == Hold::Holding {
                self.announce(group);
            }
        }
    }

    /// Announces the VIPs of a group that are up here.
    pub(super) fn announce(&mut self, group: GroupId) {
        for m in 0..self.config.groups[group.index()].members.len() {
            let resource = self.config.groups[group.index()].members[m];
            let vip = self.config.resources[resource.index()].kind == ResourceKind::Vip;
            if vip && self.resources[resource.index()] == Member::Running {
                self.act(Small::Announce(resource));
            }
        }
    }

    /// Says that frames are rejected, at most once per [`limits::REJECT_LOG`] and reason.
    fn report_reject(&mut self, now: Now, reject: Reject, path: PathId) {
        if self.may_report(now, reject) {
            let total = self.counters.of(reject).saturating_add(1);
            self.log(Event::Rejected {
                reject,
                path,
                total,
            });
        }
    }

    fn report_twin(&mut self, now: Now, node: NodeId, kept: BootId, beat: &Beat) {
        if self.may_report(now, Reject::Twin) {
            self.log(Event::Twin {
                node,
                kept,
                refused: beat.boot(),
            });
        }
    }

    fn may_report(&mut self, now: Now, reject: Reject) -> bool {
        let last = &mut self.rejected_at[reject as usize];
        let may = last.is_none_or(|at| now - at >= limits::REJECT_LOG);
        if may {
            *last = Some(now);
        }
        may
    }
}
