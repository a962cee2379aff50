//! What an operator is told who wants a group on a node that cannot have it now.
//!
//! Asks placement itself, with everything that this node knows: the coordinator judges in the
//! same way. The wish stays open all the same; nothing is decided here.

use core::fmt;

use super::Engine;
use crate::placement::{self, Verdict};
use crate::types::{GroupId, NodeId, NodeSet};

/// Why a group does not go where it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// Which group.
    pub group: GroupId,
    /// Where it is wanted.
    pub node: NodeId,
    /// What speaks against that. When nothing does, another group would have to leave.
    pub why: Verdict,
    /// Where it runs meanwhile.
    pub runs: NodeSet,
}

impl Engine {
    /// What keeps a group from a node that an operator wants it on, as things are now; `None`
    /// when it goes there, or is there.
    pub fn hindrance(&mut self, group: GroupId, node: NodeId) -> Option<Hindrance> {
        let members = self.view?.members;
        let nodes = self.survey(self.now, members, &mut |_| {});
        let states = self.states(self.now, members, &mut |_| {});
        let scene = self.scene(nodes, &states);
        let placed = placement::place(&scene);
        let runs = placed.get(group.index())?.nodes;
        (!runs.contains(node)).then(|| Hindrance {
            group,
            node,
            why: placement::verdict(&scene, &placed, group.index(), node),
            runs,
        })
    }

    /// That in words, with the file's names.
    ///
    /// # Errors
    /// When `out` has no room.
    pub fn hindrance_text(&self, what: &Hindrance, out: &mut impl fmt::Write) -> fmt::Result {
        let nodes = &self.config.nodes;
        let name = |node: NodeId| nodes.get(node.index()).map_or("?", |name| name.as_str());
        let groups = &self.config.groups;
        let title = |group: GroupId| groups.get(group.index()).map_or("?", |g| g.name.as_str());
        let (group, node) = (title(what.group), name(what.node));
        match what.why {
            Verdict::NotMember => write!(out, "{node} is not a member of the view"),
            Verdict::OtherFile => write!(out, "{node} runs a cluster file without {group}"),
            Verdict::Never => write!(out, "the file does not let {group} run on {node}"),
            Verdict::Leaving => write!(out, "{node} is leaving"),
            Verdict::Standby if self.registers.quarantined(what.node) => {
                write!(out, "{node} is in quarantine until it is called online")
            }
            Verdict::Standby => write!(out, "{node} is on standby"),
            Verdict::Banned => write!(out, "{group} failed on {node}"),
            Verdict::Unwell => write!(out, "{node} is too ill for {group}"),
            Verdict::Without(with) => {
                write!(
                    out,
                    "{group} must be with {}, which stays elsewhere",
                    title(with)
                )
            }
            Verdict::Apart(other) => {
                write!(
                    out,
                    "{group} must not be with {}, which is on {node}",
                    title(other)
                )
            }
            Verdict::Full { weight, free } => {
                write!(
                    out,
                    "{node} has no room for {group}: it takes {weight} of {free}"
                )
            }
            Verdict::Open { serves: false, .. } => write!(out, "{node} does not reach the clients"),
            Verdict::Open { .. } => write!(out, "other groups would have to leave for it"),
        }?;
        match what.runs.lowest() {
            Some(runs) => write!(out, "; until that ends {group} stays on {}", name(runs)),
            None => write!(out, "; until that ends {group} is down"),
        }
    }
}
