//! Events as people read them: one line, the file's names, the evidence.
//!
//! Owns words only. A line says what happened, then why; times are in milliseconds.

mod verdict;

use core::fmt::{Result, Write};

use crate::config::{Config, SplitBrain};
use crate::placement::Reasons;
use crate::surface::{
    Cause, Command, DiskTrouble, Event, Evidence, Fatal, Gone, Health, PathState, Reason, Reject,
    Sight,
};
use crate::types::{BootId, GroupId, NodeId, NodeSet, Now, PathId, ResourceId};
use crate::witness::{Holder, Word};

impl Event {
    /// Writes it as one line, with the names and bounds of a file: the one that the engine
    /// ran when it queued the event, see [`crate::surface::Effect::Adopted`].
    ///
    /// # Errors
    /// Only what `out` itself fails with.
    pub fn text(&self, config: &Config, out: &mut impl Write) -> Result {
        Text { config, out }.event(self)
    }
}

struct Text<'a, W> {
    config: &'a Config,
    out: &'a mut W,
}

impl<W: Write> Text<'_, W> {
    #[allow(
        clippy::too_many_lines,
        reason = "one line per event; splitting it would hide the list"
    )]
    fn event(&mut self, event: &Event) -> Result {
        match *event {
            Event::Path { peer, path, state } => {
                self.node(peer)?;
                self.put(": path ")?;
                self.path(path)?;
                self.put(match state {
                    PathState::Up => " is up",
                    PathState::OneWay => " is heard one way only",
                    PathState::Down => " is down",
                })
            }
            Event::Carrier { path, up } => {
                self.path(path)?;
                self.put(if up { ": carrier" } else { ": no carrier" })
            }
            Event::Health { health } => self.put(match health {
                Health::Green => "this node is well again",
                Health::Yellow => "this node is strained (health yellow)",
                Health::Red => "this node is ill (health red)",
            }),
            Event::Reachable { yes, ping } => {
                self.put(if yes {
                    "clients reach this node"
                } else {
                    "clients no longer reach this node"
                })?;
                self.ping(ping)
            }
            Event::Heard { peer, boot, uptime } => {
                self.node(peer)?;
                self.put(" is heard")?;
                self.life(boot, uptime)
            }
            Event::Late { peer, silent } => {
                self.node(peer)?;
                self.compare(
                    ": late, silent",
                    silent,
                    "warntime",
                    self.config.timing.warntime,
                )
            }
            Event::Back { peer, silent } => {
                self.node(peer)?;
                self.put(" is heard again after ")?;
                self.ms(silent)
            }
            Event::Dead { peer, evidence } => {
                self.node(peer)?;
                self.put(" is dead: ")?;
                self.evidence(&evidence)
            }
            Event::Restarted {
                peer,
                old,
                new,
                uptime,
                silent,
            } => {
                self.node(peer)?;
                write!(
                    self.out,
                    " restarted (boot {:016x} after {:016x}): up for ",
                    new.0, old.0
                )?;
                self.ms(uptime)?;
                self.put(", its old life silent for ")?;
                self.ms(silent)
            }
            Event::Twin {
                node,
                kept,
                refused,
            } => {
                self.put("two machines are ")?;
                self.node(node)?;
                write!(
                    self.out,
                    ": boot {:016x} stays, boot {:016x} is refused",
                    kept.0, refused.0
                )
            }
            Event::Refused { yes: true, other } => {
                write!(self.out, "another machine is ")?;
                self.node(self.config.me)?;
                write!(
                    self.out,
                    " (boot {:016x}) and was there first: this one gives everything up",
                    other.0
                )
            }
            Event::Refused { yes: false, .. } => {
                self.put("the other machine with this identity is gone: taking part again")
            }
            Event::OtherFile {
                peer,
                yes: true,
                hash,
            } => {
                self.node(peer)?;
                write!(
                    self.out,
                    " runs another cluster file ({hash:016x}, here {:016x}): ",
                    self.config.file_hash
                )?;
                self.put("takeover goes on, voluntary moves are frozen")
            }
            Event::OtherFile { peer, .. } => {
                self.node(peer)?;
                self.put(" runs the same cluster file again")
            }
            Event::Staged { hash } => {
                write!(self.out, "a new cluster file ({hash:016x}) is staged: ")?;
                self.put("it runs when an operator adopts it")
            }
            Event::Parts { group } => {
                self.group(group)?;
                self.put(": stops, the new cluster file changes it; it starts again when that runs")
            }
            Event::Adopted { hash, before } => {
                write!(
                    self.out,
                    "the new cluster file ({hash:016x}) runs from here on; "
                )?;
                write!(
                    self.out,
                    "after a power loss this node boots the one of its image"
                )?;
                write!(self.out, " (until now {before:016x})")
            }
            Event::Withdrawn { unready } => {
                self.put("the switch to the new cluster file is given up, the old one goes on: ")?;
                if unready.is_empty() {
                    return self
                        .put("an operator wants another one, or a node that was waited for");
                }
                self.nodes(unready)?;
                self.put(" did not get ready; look there, then adopt again")
            }
            Event::Stalled { gap } => {
                self.put("this node stood still for ")?;
                self.ms(gap)?;
                self.put(": silence in that time proves nothing")
            }
            Event::Waiting { until } => {
                write!(
                    self.out,
                    "waiting for the other nodes until {}.{:03} s",
                    until.as_secs(),
                    until.subsec_millis()
                )
            }
            Event::Alone { evidence } => {
                self.put("deciding alone: ")?;
                self.evidence(&evidence)
            }
            Event::NoEvidence { peer, ping } => {
                self.node(peer)?;
                self.put(" is silent, but nothing proves that this node is not the one cut off")?;
                self.ping(ping)
            }
            Event::NoQuorum { heard, votes, of } => {
                write!(
                    self.out,
                    "no quorum: {votes} of {of} votes hear each other ("
                )?;
                self.nodes(heard)?;
                self.put("), too few to decide")
            }
            Event::Unguarded { group, granted } => {
                self.group(group)?;
                self.put(": may not run here, it is guarded and ")?;
                match granted {
                    Some(granted) => {
                        self.put("the watchdog fires only after ")?;
                        self.ms(granted)
                    }
                    None => self.put("this node has no watchdog"),
                }
            }
            Event::LeftOut { epoch } => write!(
                self.out,
                "the others went on without this node: its view {epoch} is void, it joins anew"
            ),
            Event::View { epoch, members } => {
                write!(self.out, "view {epoch}: ")?;
                self.nodes(members)
            }
            Event::Unanswered { peer, epoch } => {
                self.node(peer)?;
                write!(self.out, " did not answer the proposal of view {epoch}")
            }
            Event::Plan {
                group,
                to,
                cause,
                reasons,
            } => {
                self.group(group)?;
                self.put(": goes to ")?;
                self.nodes(to)?;
                self.put(match cause {
                    Cause::Start => " (first start)",
                    Cause::Failover => " (failover)",
                    Cause::Failback => " (failback to a preferred node)",
                    Cause::Move => " (an operator's wish)",
                    Cause::Health => " (its node does not reach the clients)",
                    Cause::Displaced => " (it makes room, or follows another group)",
                })?;
                self.reasons(&reasons)
            }
            Event::Takeover {
                group,
                from,
                epoch,
                evidence,
            } => {
                self.group(group)?;
                self.put(": taking over from ")?;
                self.node(from)?;
                write!(self.out, " (epoch {epoch}): ")?;
                self.evidence(&evidence)
            }
            Event::Starting {
                group,
                epoch,
                reason,
            } => {
                self.group(group)?;
                write!(self.out, ": starting (epoch {epoch}, ")?;
                self.reason(reason)?;
                self.put(")")
            }
            Event::Awaits { group, first } => {
                self.group(group)?;
                self.put(": waits until this runs: ")?;
                self.group(first)
            }
            Event::Started { group, took } => {
                self.group(group)?;
                self.put(": started in ")?;
                self.ms(took)
            }
            Event::Stopping { group, reason } => {
                self.group(group)?;
                self.put(": stopping (")?;
                self.reason(reason)?;
                self.put(")")
            }
            Event::Released { group, epoch } => {
                self.group(group)?;
                write!(self.out, ": released (epoch {epoch})")
            }
            Event::Stopped { group } => {
                self.group(group)?;
                self.put(": stopped")
            }
            Event::Superseded {
                group,
                epoch,
                by,
                newer,
            } => {
                self.group(group)?;
                self.put(": giving way to ")?;
                self.node(by)?;
                write!(
                    self.out,
                    ", which took over (epoch {newer}) while we held it (epoch {epoch})"
                )
            }
            Event::Conflict {
                group,
                peer,
                ours,
                theirs,
            } => {
                self.group(group)?;
                self.put(": also held by ")?;
                self.node(peer)?;
                write!(
                    self.out,
                    " (epoch {theirs}, here {ours}), neither from the other: giving way"
                )
            }
            Event::Kept { group, from } => {
                self.group(group)?;
                self.put(": kept, ")?;
                self.node(from)?;
                self.put(" gives way; announcing again")
            }
            Event::LeaseEnded { peer, ping } => {
                self.put("the lease ended: ")?;
                match peer {
                    Some(silent) => {
                        self.put("last peer heard ")?;
                        self.ms(silent)?;
                        self.put(" ago")?;
                    }
                    None => self.put("no peer heard")?,
                }
                self.ping(ping)
            }
            Event::Failed {
                resource,
                failures,
                threshold,
            } => {
                self.resource(resource)?;
                write!(self.out, ": failed ({failures} of {threshold})")
            }
            Event::Recovered { resource } => {
                self.resource(resource)?;
                self.put(": runs again")
            }
            Event::StartFailed { resource, overdue } => {
                self.resource(resource)?;
                self.put(if overdue {
                    ": start took too long"
                } else {
                    ": start failed"
                })
            }
            Event::StopBlocked { group, resource } => {
                self.group(group)?;
                self.put(" is blocked: ")?;
                self.resource(resource)?;
                self.put(
                    " could not be stopped; it stays as it is until an operator says `cleanup`",
                )
            }
            Event::AddressTaken { resource } => {
                self.resource(resource)?;
                self.put(": another host on the network answers for this address; not bound until it goes away")
            }
            Event::Banned {
                group,
                until: Some(until),
            } => {
                self.group(group)?;
                write!(
                    self.out,
                    ": may not run here until {}.{:03} s",
                    until.as_secs(),
                    until.subsec_millis()
                )
            }
            Event::Banned { group, until: None } => {
                self.group(group)?;
                self.put(": may run here again")
            }
            Event::NoEligible {
                group,
                kept,
                reasons,
            } => {
                self.group(group)?;
                self.put(": no node may run it")?;
                if let Some(node) = kept {
                    self.put(", ")?;
                    self.node(node)?;
                    self.put(" keeps it")?;
                }
                self.reasons(&reasons)
            }
            Event::Quarantined { node, exits } => {
                self.node(node)?;
                write!(
                    self.out,
                    " restarted {exits} times without leaving: it runs nothing until an operator says `online`"
                )
            }
            Event::Commanded { command } => self.command(command),
            Event::Restored { wishes, serial } => write!(
                self.out,
                "state partition: {wishes} operator wishes of before are known again (table {serial})"
            ),
            Event::ImageFile => self.put(
                "state partition: another cluster file was adopted before this boot, the one of \
                 this image runs; apply that file again, and flash an image that carries it",
            ),
            Event::Disk { trouble } => self.disk(trouble),
            Event::DiskWorks => {
                self.put("state partition: works again, and keeps what operators wish")
            }
            Event::Left => self.put("left in order"),
            Event::Watchdog { granted } => {
                self.put("hardware watchdog fires after ")?;
                self.ms(granted)
            }
            Event::Rejected {
                reject,
                path,
                total,
            } => {
                self.path(path)?;
                write!(
                    self.out,
                    ": frame rejected, {} ({total} so far)",
                    why(reject)
                )
            }
            Event::Witness { yes: true, .. } => self.put("the witness answers"),
            Event::Witness { yes: false, silent } => {
                self.put("the witness does not answer")?;
                self.since(silent)
            }
            Event::WitnessRestarted => {
                self.put("the witness was restarted: it holds off before it speaks for anybody")
            }
            Event::WitnessSaid { word, holder } => self.word(word, holder),
            Event::WitnessRejected { reject, total } => write!(
                self.out,
                "witness: answer rejected, {} ({total} frames so far)",
                why(reject)
            ),
            Event::Reset { fatal, resource } => {
                self.put("resetting this node: ")?;
                if let Some(resource) = resource {
                    self.resource(resource)?;
                    self.put(": ")?;
                }
                write!(
                    self.out,
                    "{} (fatal {})",
                    match fatal {
                        Fatal::StopFailed => "could not be stopped in time",
                        Fatal::ReleaseOverdue => "the release was not confirmed in time",
                        Fatal::HelperLost => "a privileged helper was lost",
                        Fatal::Drill => "an operator's drill",
                    },
                    fatal as u8
                )
            }
            Event::Dropped { lines } => write!(self.out, "{lines} log lines were dropped"),
        }
    }

    fn reasons(&mut self, reasons: &Reasons) -> Result {
        if reasons.are_none() {
            return Ok(());
        }
        self.put("; ")?;
        reasons.text(self.config, self.out)
    }

    /// `silent 2004 ms >= deadtime 2000 ms; crossover no carrier, lan silent; ping answered 120 ms ago`
    fn evidence(&mut self, evidence: &Evidence) -> Result {
        match (evidence.gone, evidence.silent) {
            (Gone::Silent, None) => {
                self.put("never heard, waited ")?;
                self.ms(self.config.timing.initdead)?;
            }
            (Gone::Silent, Some(silent)) => {
                self.compare("silent", silent, "deadtime", self.config.timing.deadtime)?;
            }
            (Gone::Restarted, _) => self.put("it restarted, its new life holds nothing")?,
            (Gone::Left, _) => self.put("it left in order")?,
            (Gone::Vouched, _) => self.put("an operator vouches that it is dead")?,
        }
        let mut separator = "; ";
        for n in 0..self.config.paths.len() {
            let sight = match evidence.paths[n] {
                Sight::Elsewhere => continue,
                Sight::NoCarrier => " no carrier",
                Sight::Silent => " silent",
                Sight::OneWay => " one-way",
                Sight::Up => " up",
            };
            self.put(separator)?;
            self.path(PathId::from_index(n))?;
            self.put(sight)?;
            separator = ", ";
        }
        if self.config.pings {
            self.ping(evidence.ping)?;
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result {
        self.put("operator: ")?;
        match command {
            Command::Standby(node, on) => {
                self.put(if on { "standby " } else { "online " })?;
                self.node(node)
            }
            Command::Maintenance(on) => self.put(match on {
                true => "maintenance: nothing is touched",
                false => "maintenance is over",
            }),
            Command::Manage(group, on) => {
                self.put(if on { "manage " } else { "unmanage " })?;
                self.group(group)
            }
            Command::Move(group, node, once) => {
                self.put("move ")?;
                self.group(group)?;
                self.put(" to ")?;
                self.node(node)?;
                self.put(if once { " once" } else { "" })
            }
            Command::TakeoverAnyway => self.put("takeover anyway, the silent nodes are dead"),
            Command::Cleanup(group) => {
                self.put("cleanup ")?;
                self.group(group)
            }
            Command::Leave => self.put("leave"),
            Command::Adopt(hash) => write!(self.out, "adopt cluster file {hash:016x}"),
        }
    }

    /// What is wrong, and what to do.
    fn disk(&mut self, trouble: DiskTrouble) -> Result {
        self.put("state partition: ")?;
        match trouble {
            DiskTrouble::Unread(waited) => {
                self.put("not found or not read for ")?;
                self.ms(waited)?;
                self.put("; look at the disk and the partition's name")?;
            }
            DiskTrouble::Foreign => {
                self.put("holds something that is not kodo's and is left alone; clear it with `wipefs` or name another")?;
            }
            DiskTrouble::Unreadable => {
                return self.put("what is on it does not open (damaged, another cluster, an earlier key): wishes of before are lost, it is written anew");
            }
            DiskTrouble::Overdue(waited) => {
                self.put("a write is not confirmed for ")?;
                self.ms(waited)?;
                self.put("; look at the disk")?;
            }
            DiskTrouble::Refused(errno) => {
                write!(
                    self.out,
                    "the kernel refused a write with errno {errno}; look at the disk"
                )?;
            }
            DiskTrouble::Gone => self.put("it went away; look at the disk")?,
        }
        self.put(". Until it works, this node keeps no wishes through a power loss")
    }

    /// `; last 120 ms ago`
    fn since(&mut self, silent: Option<Now>) -> Result {
        let Some(silent) = silent else {
            return self.put(", and never has since boot");
        };
        self.put("; the last answer came ")?;
        self.ms(silent)?;
        self.put(" ago")
    }

    fn word(&mut self, word: Word, holder: Option<Holder>) -> Result {
        match word {
            Word::Granted => self.put("the witness speaks for this node"),
            Word::Idle => self.put("the witness was not asked for its word"),
            Word::Unproven => self.put("the witness wants a fresh question first"),
            Word::Taken => {
                self.put("the witness speaks for ")?;
                match holder {
                    Some(Holder { node, left }) => {
                        self.node(node)?;
                        write!(self.out, ", for {left} ms more")
                    }
                    None => self.put("another node"),
                }
            }
            Word::HoldingOff(left) => {
                write!(self.out, "the witness has just started and grants nothing for {left} ms more")
            }
            Word::WaitTooLong => self.put(
                "the witness never grants: its hold-off is shorter than this cluster's bound W; start it with a longer --hold-off",
            ),
        }
    }

    fn put(&mut self, text: &str) -> Result {
        self.out.write_str(text)
    }

    fn ms(&mut self, time: Now) -> Result {
        write!(self.out, "{} ms", time.as_millis())
    }

    fn compare(&mut self, what: &str, is: Now, name: &str, bound: Now) -> Result {
        write!(
            self.out,
            "{what} {} ms >= {name} {} ms",
            is.as_millis(),
            bound.as_millis()
        )
    }

    fn ping(&mut self, age: Option<Now>) -> Result {
        match age {
            Some(age) if self.config.split_brain == SplitBrain::WITNESS => {
                self.put("; the witness spoke for a question of ")?;
                self.ms(age)?;
                self.put(" ago")
            }
            None if self.config.split_brain == SplitBrain::WITNESS => {
                self.put("; the witness did not speak for this node")
            }
            Some(age) => {
                self.put("; ping answered ")?;
                self.ms(age)?;
                self.put(" ago")
            }
            None if self.config.pings => self.put("; ping never answered"),
            None => Ok(()),
        }
    }

    fn life(&mut self, boot: BootId, uptime: Now) -> Result {
        write!(self.out, " (boot {:016x}, up for ", boot.0)?;
        self.ms(uptime)?;
        self.put(")")
    }

    fn nodes(&mut self, nodes: NodeSet) -> Result {
        for (n, node) in nodes.iter().enumerate() {
            if n > 0 {
                self.put(", ")?;
            }
            self.node(node)?;
        }
        Ok(())
    }

    fn node(&mut self, node: NodeId) -> Result {
        match self.config.nodes.get(node.index()) {
            Some(name) => self.out.write_str(name),
            None => write!(self.out, "node #{}", node.0),
        }
    }

    fn path(&mut self, path: PathId) -> Result {
        match self.config.paths.get(path.index()) {
            Some(path) => self.out.write_str(&path.name),
            None => write!(self.out, "path #{}", path.0),
        }
    }

    fn group(&mut self, group: GroupId) -> Result {
        match self.config.groups.get(group.index()) {
            Some(group) => self.out.write_str(&group.name),
            None => write!(self.out, "group #{}", group.0),
        }
    }

    fn resource(&mut self, resource: ResourceId) -> Result {
        match self.config.resources.get(resource.index()) {
            Some(resource) => self.out.write_str(&resource.name),
            None => write!(self.out, "resource #{}", resource.0),
        }
    }

    fn reason(&mut self, reason: Reason) -> Result {
        self.put(match reason {
            Reason::Start => "first start",
            Reason::Failover => "failover",
            Reason::Failback => "failback",
            Reason::Move => "an operator's wish",
            Reason::Recover => "restart in place",
            Reason::Yield => "giving way",
            Reason::Shutdown => "shutdown",
        })
    }
}

fn why(reject: Reject) -> &'static str {
    match reject {
        Reject::Malformed => "it does not decode",
        Reject::OtherCluster => "it is of another cluster",
        Reject::Forged => "no accepted key signed it",
        Reject::WrongPath => "it was sent on another path",
        Reject::Own => "it is our own",
        Reject::Replayed => "it was sent before",
        Reject::Stale => "it answers nothing that we sent lately",
        Reject::Twin => "it is of a second machine with one identity",
    }
}
