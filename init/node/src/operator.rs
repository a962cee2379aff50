//! What operators ask for: the door from the admin child to the engine.
//!
//! Owns the order of answer and consequence: an operator always hears "agreed" before
//! the drill breaks the node or the halt stops it.

use core::fmt::{self, Write as _};

use heapless::String;
use kodo_engine::surface::{Ack, Command, Level, Refusal, Role};
use kodo_engine::{Config, GroupId, Hindrance, NodeId, NodeSet};

use crate::io::{Output, Refused, Reply, Request, Token};
use crate::limits;
use crate::node::Node;

/// What will be replied. Made into a [`Reply`] only when it is polled: a status is large.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status,
    Log { from: u64 },
    Ok(Ack),
    Open(Ack, Hindrance),
    Refused(Refused),
}

/// Nobody else hears of it, and nothing is left of it.
const HERE: Ack = Ack {
    nodes: 1,
    disks: NodeSet::EMPTY,
};

impl Node {
    /// Takes an operator's request; [`Node::poll_operator`] answers it.
    pub(crate) fn request(&mut self, token: Token, request: Request) {
        let answer = match request {
            Request::Status => Answer::Status,
            Request::Log { from } => Answer::Log { from },
            Request::Command { command, operator } => {
                let result = self.engine.handle_command(self.now, command);
                let hindrance = match (command, result) {
                    (Command::Move(group, node, _), Ok(_)) => self.engine.hindrance(group, node),
                    _ => None,
                };
                let config = &self.config.engine;
                self.log.write_with(self.now, Level::Info, |out| {
                    write!(out, "operator {operator}: ")?;
                    describe(out, config, command)?;
                    match result {
                        Ok(ack) => write!(
                            out,
                            ": agreed, {} node(s) will hear of it, {} will keep it on disk",
                            ack.nodes,
                            ack.disks.len()
                        ),
                        Err(refusal) => write!(out, ": refused: {}", why(refusal)),
                    }
                });
                match (result, hindrance) {
                    (Ok(ack), None) => Answer::Ok(ack),
                    (Ok(ack), Some(hindrance)) => {
                        self.log.write_with(self.now, Level::Warn, |out| {
                            self.engine.hindrance_text(&hindrance, out)
                        });
                        Answer::Open(ack, hindrance)
                    }
                    (Err(refusal), _) => Answer::Refused(Refused::Engine(refusal)),
                }
            }
            Request::Drill { drill, operator } if self.config.drills => {
                self.log.write(
                    self.now,
                    Level::Alert,
                    format_args!("operator {operator}: drill {drill}"),
                );
                self.drill = Some((self.now + limits::DRILL_DELAY, drill));
                Answer::Ok(HERE)
            }
            Request::Drill { drill, operator } => {
                self.log.write(
                    self.now,
                    Level::Warn,
                    format_args!("operator {operator}: drill {drill} refused: the cluster file does not say drills = true"),
                );
                Answer::Refused(Refused::DrillsForbidden)
            }
            Request::Halt { halt, operator } => {
                self.leave(halt, &operator);
                Answer::Ok(HERE)
            }
        };
        self.answer = Some((token, answer));
    }

    /// The answer that is due, then what follows from it.
    pub(crate) fn poll_operator(&mut self) -> Option<Output> {
        if let Some((token, answer)) = self.answer.take() {
            return Some(Output::Reply(token, self.reply(answer)));
        }
        if let Some((_, drill)) = self.drill.take_if(|(at, _)| *at <= self.now) {
            return Some(Output::Drill(drill));
        }
        (self.engine.role() == Role::Left)
            .then(|| self.halt.take())
            .flatten()
            .map(Output::Halt)
    }

    fn reply(&self, answer: Answer) -> Reply {
        match answer {
            Answer::Status => Reply::Status(self.status()),
            Answer::Log { from } => {
                let (lines, next) = self.log.page(from);
                Reply::Log { lines, next }
            }
            Answer::Ok(Ack { nodes, disks }) => Reply::Ok { nodes, disks },
            Answer::Open(Ack { nodes, disks }, hindrance) => {
                let mut why = String::new();
                let fits = self.engine.hindrance_text(&hindrance, &mut why);
                debug_assert!(fits.is_ok(), "limits::WHY has room");
                Reply::Open { nodes, disks, why }
            }
            Answer::Refused(refused) => Reply::Refused(refused),
        }
    }
}

/// A command in the file's names. An id that the file does not have is shown as a number.
fn describe(out: &mut impl fmt::Write, config: &Config, command: Command) -> fmt::Result {
    let node = |id: NodeId| {
        config
            .nodes
            .get(usize::from(id.0))
            .map_or("unknown node", |name| name.as_str())
    };
    let group = |id: GroupId| {
        config
            .groups
            .get(usize::from(id.0))
            .map_or("unknown group", |group| group.name.as_str())
    };
    match command {
        Command::Standby(id, true) => write!(out, "standby {}", node(id)),
        Command::Standby(id, false) => write!(out, "online {}", node(id)),
        Command::Move(g, n, false) => write!(out, "move {} to {}", group(g), node(n)),
        Command::Move(g, n, true) => write!(out, "move {} to {} once", group(g), node(n)),
        Command::Maintenance(true) => out.write_str("maintenance on"),
        Command::Maintenance(false) => out.write_str("maintenance off"),
        Command::Manage(g, true) => write!(out, "manage {}", group(g)),
        Command::Manage(g, false) => write!(out, "unmanage {}", group(g)),
        Command::TakeoverAnyway => out.write_str("takeover-anyway"),
        Command::Cleanup(g) => write!(out, "cleanup {}", group(g)),
        Command::Leave => out.write_str("leave"),
        Command::Adopt(hash) => write!(out, "adopt cluster file {hash:016x}"),
    }
}

fn why(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "no such node or group in the cluster file",
        Refusal::NotMember => "the node is not a member of the view",
        Refusal::NotEligible => {
            "the node is on standby, its fail count forbids it, or it has no instance to promote"
        }
        Refusal::PeerAlive => "the peer is heard: it is alive",
        Refusal::Frozen => "the nodes run different cluster files",
        Refusal::Untouched => "maintenance is on, or the group is not managed",
        Refusal::Blocked => "its stop failed on a node: it stays there until `cleanup`",
        Refusal::NotNow => "this node is leaving, refused as a twin, or in no view",
        Refusal::NotStaged(_) => "a member has not staged that cluster file",
    }
}
