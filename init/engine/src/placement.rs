//! Where each group should run: a pure function of what the coordinator knows.
//!
//! Owns the order of arguments for and against a move. Never starts or stops
//! anything, and never looks at a clock: what time decides (damping, settling) comes
//! in as sets.
//!
//! Stability first: a running group stays, unless an operator wants it elsewhere,
//! its node may not run it any more, its node lost the clients while another has
//! them, or a more preferred node is back and the file says `failback = "auto"`.

use crate::config::Failback;
use crate::surface::Cause;
use crate::types::{NodeId, NodeSet};

/// What is known about one group and the nodes that might run it.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Nodes of the file that may run it, most preferred first.
    pub order: &'a [NodeId],
    /// From the file.
    pub failback: Failback,
    /// Members of the view whose file has the group.
    pub members: NodeSet,
    /// Nodes that leave, or were refused.
    pub leaving: NodeSet,
    /// Nodes that operators put on standby.
    pub standby: NodeSet,
    /// Of those, learned from another view: a merge, not an order to this one.
    pub foreign: NodeSet,
    /// Nodes where the group may not run at present: fail count, stranger on the VIP.
    pub banned: NodeSet,
    /// Nodes that reach the clients.
    pub reachable: NodeSet,
    /// Nodes that have not reached the clients for the settling time.
    pub lost: NodeSet,
    /// Nodes that have reached the clients for the settling time: when the LAN comes
    /// back, one node hears of it first, and that is no reason to move.
    pub found: NodeSet,
    /// Nodes that lost the clients within the damping window: no failback to them yet.
    pub unsteady: NodeSet,
    /// Who holds it.
    pub holder: Option<NodeId>,
    /// Where the plan wants it so far.
    pub planned: Option<NodeId>,
    /// An operator's preferred node, and whether that wish is still to be fulfilled.
    pub prefer: Option<(NodeId, bool)>,
    /// The nodes run different files: no voluntary moves.
    pub frozen: bool,
    /// No move for reachability within the damping window of the last one.
    pub damped: bool,
    /// Nobody held it before.
    pub first: bool,
}

/// Where a group should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// As planned so far, or where it is.
    Stay(NodeId),
    /// On this node from now on.
    Go(NodeId, Cause),
    /// A holder keeps it although no node may run it.
    Keep(NodeId),
    /// No node may run it.
    Nowhere,
}

/// Places one group.
pub fn place(scene: &Scene<'_>) -> Placed {
    let here = scene
        .planned
        .or(scene.holder)
        .filter(|node| scene.members.contains(*node));
    match here {
        Some(node) if scene.eligible(node) => scene.reconsider(node),
        Some(node) => scene.evacuate(node),
        None => match scene.best() {
            Some(node) if scene.first => Placed::Go(node, Cause::Start),
            Some(node) => Placed::Go(node, Cause::Failover),
            None => Placed::Nowhere,
        },
    }
}

impl Scene<'_> {
    /// May run it, leaving reachability aside.
    fn eligible(&self, node: NodeId) -> bool {
        let barred = [self.leaving, self.standby, self.banned];
        self.order.contains(&node)
            && self.members.contains(node)
            && !barred.iter().any(|set| set.contains(node))
    }

    /// All eligible nodes, most preferred first; an operator's wish comes before the file's.
    fn ranked(&self) -> impl Iterator<Item = NodeId> + '_ {
        let wish = self
            .prefer
            .map(|(node, _)| node)
            .filter(|node| self.order.contains(node));
        let rest = self
            .order
            .iter()
            .copied()
            .filter(move |node| Some(*node) != wish);
        wish.into_iter()
            .chain(rest)
            .filter(|node| self.eligible(*node))
    }

    /// The best node: one that reaches the clients, or else any eligible one.
    fn best(&self) -> Option<NodeId> {
        self.ranked()
            .find(|node| self.reachable.contains(*node))
            .or_else(|| self.ranked().next())
    }

    /// It runs, or is about to run, where it may.
    fn reconsider(&self, here: NodeId) -> Placed {
        if let Some((wish, true)) = self.prefer
            && wish != here
            && !self.frozen
            && self.eligible(wish)
        {
            return Placed::Go(wish, Cause::Move);
        }
        let serves = |node: &NodeId| self.found.contains(*node);
        if self.lost.contains(here)
            && !self.damped
            && let Some(node) = self.ranked().find(serves)
        {
            return Placed::Go(node, Cause::Health);
        }
        if self.failback == Failback::Auto && !self.frozen {
            let better = self.ranked().take_while(|node| *node != here);
            let mut steady = better.filter(|node| serves(node) && !self.unsteady.contains(*node));
            if let Some(node) = steady.next() {
                return Placed::Go(node, Cause::Failback);
            }
        }
        Placed::Stay(here)
    }

    /// It is where it may not run.
    fn evacuate(&self, here: NodeId) -> Placed {
        if let Some(node) = self.best() {
            let ordered = self.standby.contains(here) || self.leaving.contains(here);
            return Placed::Go(
                node,
                if ordered {
                    Cause::Move
                } else {
                    Cause::Failover
                },
            );
        }
        let holds = self.holder == Some(here);
        let told =
            self.leaving.contains(here) || (self.standby.contains(here) && self.foreign.is_empty());
        if holds && !told && self.order.contains(&here) {
            Placed::Keep(here)
        } else {
            Placed::Nowhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);
    const BOTH: NodeSet = NodeSet(0b11);
    const ONLY_A: NodeSet = NodeSet(0b01);
    const ONLY_B: NodeSet = NodeSet(0b10);

    /// Both healthy members, A preferred, failback auto, A holds.
    fn scene() -> Scene<'static> {
        Scene {
            order: &[A, B],
            failback: Failback::Auto,
            members: BOTH,
            leaving: NodeSet::EMPTY,
            standby: NodeSet::EMPTY,
            foreign: NodeSet::EMPTY,
            banned: NodeSet::EMPTY,
            reachable: BOTH,
            lost: NodeSet::EMPTY,
            found: BOTH,
            unsteady: NodeSet::EMPTY,
            holder: Some(A),
            planned: None,
            prefer: None,
            frozen: false,
            damped: false,
            first: false,
        }
    }

    fn on_b() -> Scene<'static> {
        Scene {
            holder: Some(B),
            ..scene()
        }
    }

    #[track_caller]
    fn check(scene: Scene<'_>, expect: Placed) {
        assert_eq!(place(&scene), expect);
    }

    #[test]
    fn nobody_holds_it() {
        let idle = Scene {
            holder: None,
            ..scene()
        };
        check(
            Scene {
                first: true,
                ..idle
            },
            Placed::Go(A, Cause::Start),
        );
        check(idle, Placed::Go(A, Cause::Failover));
        check(
            Scene {
                standby: ONLY_A,
                ..idle
            },
            Placed::Go(B, Cause::Failover),
        );
        check(
            Scene {
                reachable: ONLY_B,
                ..idle
            },
            Placed::Go(B, Cause::Failover),
        );
        check(
            Scene {
                reachable: NodeSet::EMPTY,
                ..idle
            },
            Placed::Go(A, Cause::Failover),
        );
        check(
            Scene {
                banned: BOTH,
                ..idle
            },
            Placed::Nowhere,
        );
        check(
            Scene {
                prefer: Some((B, false)),
                ..idle
            },
            Placed::Go(B, Cause::Failover),
        );
    }

    #[test]
    fn a_running_group_stays() {
        check(scene(), Placed::Stay(A));
        check(
            Scene {
                failback: Failback::Manual,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                members: ONLY_B,
                ..on_b()
            },
            Placed::Stay(B),
        );
    }

    #[test]
    fn failback_waits_for_a_healthy_steady_member_of_the_same_file() {
        check(on_b(), Placed::Go(A, Cause::Failback));
        check(
            Scene {
                frozen: true,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                banned: ONLY_A,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                standby: ONLY_A,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                reachable: ONLY_B,
                found: ONLY_B,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                unsteady: ONLY_A,
                ..on_b()
            },
            Placed::Stay(B),
        );
        check(
            Scene {
                prefer: Some((B, false)),
                ..on_b()
            },
            Placed::Stay(B),
        );
    }

    #[test]
    fn an_operators_wish_moves_it_once() {
        check(
            Scene {
                prefer: Some((B, true)),
                ..scene()
            },
            Placed::Go(B, Cause::Move),
        );
        check(
            Scene {
                prefer: Some((B, true)),
                frozen: true,
                ..scene()
            },
            Placed::Stay(A),
        );
        check(
            Scene {
                prefer: Some((B, true)),
                standby: ONLY_B,
                ..scene()
            },
            Placed::Stay(A),
        );
        check(
            Scene {
                prefer: Some((B, true)),
                planned: Some(B),
                ..scene()
            },
            Placed::Stay(B),
        );
        let manual = Scene {
            failback: Failback::Manual,
            prefer: Some((B, false)),
            ..scene()
        };
        check(manual, Placed::Stay(A));
    }

    #[test]
    fn lost_clients_move_it_unless_damped_or_lost_everywhere() {
        let lost = Scene {
            reachable: ONLY_B,
            found: ONLY_B,
            lost: ONLY_A,
            ..scene()
        };
        check(lost, Placed::Go(B, Cause::Health));
        // the ping group is back, and the other node only heard of it first
        check(
            Scene {
                found: NodeSet::EMPTY,
                ..lost
            },
            Placed::Stay(A),
        );
        check(
            Scene {
                frozen: true,
                ..lost
            },
            Placed::Go(B, Cause::Health),
        );
        check(
            Scene {
                damped: true,
                ..lost
            },
            Placed::Stay(A),
        );
        check(
            Scene {
                reachable: NodeSet::EMPTY,
                found: NodeSet::EMPTY,
                lost: BOTH,
                ..scene()
            },
            Placed::Stay(A),
        );
        check(
            Scene {
                reachable: ONLY_B,
                ..scene()
            },
            Placed::Stay(A),
        );
    }

    #[test]
    fn a_node_that_may_not_run_it_hands_it_over() {
        check(
            Scene {
                standby: ONLY_A,
                ..scene()
            },
            Placed::Go(B, Cause::Move),
        );
        check(
            Scene {
                leaving: ONLY_A,
                ..scene()
            },
            Placed::Go(B, Cause::Move),
        );
        check(
            Scene {
                banned: ONLY_A,
                ..scene()
            },
            Placed::Go(B, Cause::Failover),
        );
        check(
            Scene {
                banned: ONLY_A,
                planned: Some(B),
                ..scene()
            },
            Placed::Stay(B),
        );
    }

    #[test]
    fn without_another_node_a_failing_group_stays_and_a_standby_one_stops() {
        let alone = Scene {
            members: ONLY_A,
            ..scene()
        };
        check(
            Scene {
                banned: ONLY_A,
                ..alone
            },
            Placed::Keep(A),
        );
        check(
            Scene {
                banned: ONLY_A,
                holder: None,
                planned: Some(A),
                ..alone
            },
            Placed::Nowhere,
        );
        check(
            Scene {
                standby: ONLY_A,
                ..alone
            },
            Placed::Nowhere,
        );
        check(
            Scene {
                leaving: ONLY_A,
                ..alone
            },
            Placed::Nowhere,
        );
    }

    #[test]
    fn a_merge_that_leaves_nobody_keeps_the_holder() {
        check(
            Scene {
                standby: BOTH,
                foreign: ONLY_A,
                ..scene()
            },
            Placed::Keep(A),
        );
        check(
            Scene {
                standby: BOTH,
                ..scene()
            },
            Placed::Nowhere,
        );
    }
}
