//! Single arguments, one group at a time, and what groups do to each other.

use super::*;
use crate::config::{Group, ranked};
use crate::types::{GroupId, Now};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const BOTH: NodeSet = NodeSet(0b11);
const ONLY_A: NodeSet = NodeSet(0b01);
const ONLY_B: NodeSet = NodeSet(0b10);

/// One group on two nodes.
#[derive(Clone, Copy)]
struct One {
    failback: Failback,
    members: NodeSet,
    leaving: NodeSet,
    standby: NodeSet,
    foreign: NodeSet,
    banned: NodeSet,
    reachable: NodeSet,
    lost: NodeSet,
    found: NodeSet,
    unsteady: NodeSet,
    holder: Option<NodeId>,
    planned: Option<NodeId>,
    prefer: Option<(NodeId, bool)>,
    frozen: bool,
    damped: bool,
    first: bool,
}

/// Both healthy members, A preferred, failback auto, A holds.
fn scene() -> One {
    One {
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

fn on_b() -> One {
    One {
        holder: Some(B),
        ..scene()
    }
}

fn group(prefer: &[NodeId]) -> Group {
    Group {
        failback: Failback::Auto,
        ..Group::new(
            heapless::String::new(),
            Vec::new(),
            ranked(limits::NODES, prefer),
        )
    }
}

fn set(node: Option<NodeId>) -> NodeSet {
    node.map_or(NodeSet::EMPTY, NodeSet::only)
}

fn stay(node: NodeId) -> Placed {
    Placed {
        nodes: NodeSet::only(node),
        step: Step::Stay,
    }
}

fn go(node: NodeId, cause: Cause) -> Placed {
    Placed {
        nodes: NodeSet::only(node),
        step: Step::Go(cause),
    }
}

fn keep(node: NodeId) -> Placed {
    Placed {
        nodes: NodeSet::only(node),
        step: Step::Keep,
    }
}

const NOWHERE: Placed = Placed {
    nodes: NodeSet::EMPTY,
    step: Step::Nowhere,
};

#[track_caller]
fn check(one: One, expect: Placed) {
    let rule = Group {
        failback: one.failback,
        ..group(&[A, B])
    };
    let placed = place(&Scene {
        groups: &[rule],
        colocations: &[],
        capacity: &[0; limits::NODES],
        nodes: Nodes {
            members: one.members,
            leaving: one.leaving,
            standby: one.standby,
            foreign: one.foreign,
            reachable: one.reachable,
            lost: one.lost,
            found: one.found,
            unsteady: one.unsteady,
            frozen: one.frozen,
        },
        states: &[State {
            known: one.members,
            banned: one.banned,
            unwell: NodeSet::EMPTY,
            holders: set(one.holder),
            planned: set(one.planned),
            prefer: one.prefer,
            waiting: NodeSet::EMPTY,
            damped: one.damped,
            first: one.first,
            ..State::default()
        }],
    });
    assert_eq!(placed[0], expect);
}

#[test]
fn nobody_holds_it() {
    let idle = One {
        holder: None,
        ..scene()
    };
    check(
        One {
            first: true,
            ..idle
        },
        go(A, Cause::Start),
    );
    check(idle, go(A, Cause::Failover));
    check(
        One {
            standby: ONLY_A,
            ..idle
        },
        go(B, Cause::Failover),
    );
    check(
        One {
            reachable: ONLY_B,
            ..idle
        },
        go(B, Cause::Failover),
    );
    check(
        One {
            reachable: NodeSet::EMPTY,
            ..idle
        },
        go(A, Cause::Failover),
    );
    check(
        One {
            banned: BOTH,
            ..idle
        },
        NOWHERE,
    );
    check(
        One {
            prefer: Some((B, false)),
            ..idle
        },
        go(B, Cause::Failover),
    );
}

#[test]
fn a_running_group_stays() {
    check(scene(), stay(A));
    check(
        One {
            failback: Failback::Manual,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            members: ONLY_B,
            ..on_b()
        },
        stay(B),
    );
}

#[test]
fn failback_waits_for_a_healthy_steady_member_of_the_same_file() {
    check(on_b(), go(A, Cause::Failback));
    check(
        One {
            frozen: true,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            banned: ONLY_A,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            standby: ONLY_A,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            reachable: ONLY_B,
            found: ONLY_B,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            unsteady: ONLY_A,
            ..on_b()
        },
        stay(B),
    );
    check(
        One {
            prefer: Some((B, false)),
            ..on_b()
        },
        stay(B),
    );
}

#[test]
fn an_operators_wish_moves_it_once() {
    check(
        One {
            prefer: Some((B, true)),
            ..scene()
        },
        go(B, Cause::Move),
    );
    check(
        One {
            prefer: Some((B, true)),
            frozen: true,
            ..scene()
        },
        stay(A),
    );
    check(
        One {
            prefer: Some((B, true)),
            standby: ONLY_B,
            ..scene()
        },
        stay(A),
    );
    check(
        One {
            prefer: Some((B, true)),
            planned: Some(B),
            ..scene()
        },
        stay(B),
    );
    let manual = One {
        failback: Failback::Manual,
        prefer: Some((B, false)),
        ..scene()
    };
    check(manual, stay(A));
}

#[test]
fn lost_clients_move_it_unless_damped_or_lost_everywhere() {
    let lost = One {
        reachable: ONLY_B,
        found: ONLY_B,
        lost: ONLY_A,
        ..scene()
    };
    check(lost, go(B, Cause::Health));
    // the ping group is back, and the other node only heard of it first
    check(
        One {
            found: NodeSet::EMPTY,
            ..lost
        },
        stay(A),
    );
    check(
        One {
            frozen: true,
            ..lost
        },
        go(B, Cause::Health),
    );
    check(
        One {
            damped: true,
            ..lost
        },
        stay(A),
    );
    check(
        One {
            reachable: NodeSet::EMPTY,
            found: NodeSet::EMPTY,
            lost: BOTH,
            ..scene()
        },
        stay(A),
    );
    check(
        One {
            reachable: ONLY_B,
            ..scene()
        },
        stay(A),
    );
}

#[test]
fn a_node_that_may_not_run_it_hands_it_over() {
    check(
        One {
            standby: ONLY_A,
            ..scene()
        },
        go(B, Cause::Move),
    );
    check(
        One {
            leaving: ONLY_A,
            ..scene()
        },
        go(B, Cause::Move),
    );
    check(
        One {
            banned: ONLY_A,
            ..scene()
        },
        go(B, Cause::Failover),
    );
    check(
        One {
            banned: ONLY_A,
            planned: Some(B),
            ..scene()
        },
        stay(B),
    );
}

#[test]
fn without_another_node_a_failing_group_stays_and_a_standby_one_stops() {
    let alone = One {
        members: ONLY_A,
        ..scene()
    };
    check(
        One {
            banned: ONLY_A,
            ..alone
        },
        keep(A),
    );
    check(
        One {
            banned: ONLY_A,
            holder: None,
            planned: Some(A),
            ..alone
        },
        NOWHERE,
    );
    check(
        One {
            standby: ONLY_A,
            ..alone
        },
        NOWHERE,
    );
    check(
        One {
            leaving: ONLY_A,
            ..alone
        },
        NOWHERE,
    );
}

#[test]
fn a_merge_that_leaves_nobody_keeps_the_holder() {
    check(
        One {
            standby: BOTH,
            foreign: ONLY_A,
            ..scene()
        },
        keep(A),
    );
    check(
        One {
            standby: BOTH,
            ..scene()
        },
        NOWHERE,
    );
}

/// Groups that all nodes of three may run, each with what it holds.
struct Many {
    groups: std::vec::Vec<Group>,
    states: std::vec::Vec<State>,
    pairs: std::vec::Vec<Colocation>,
    capacity: [u16; 3],
    members: NodeSet,
}

const C: NodeId = NodeId(2);
const ALL: NodeSet = NodeSet(0b111);

fn many(holders: &[Option<NodeId>]) -> Many {
    let held = |holder: &Option<NodeId>| State {
        known: ALL,
        holders: set(*holder),
        ..State::default()
    };
    Many {
        groups: holders
            .iter()
            .map(|_| Group {
                failback: Failback::Manual,
                ..group(&[A, B, C])
            })
            .collect(),
        states: holders.iter().map(held).collect(),
        pairs: std::vec::Vec::new(),
        capacity: [0; 3],
        members: ALL,
    }
}

impl Many {
    fn pair(mut self, group: u8, with: u8, bond: Together) -> Many {
        self.pairs.push(Colocation {
            group: GroupId(group),
            with: GroupId(with),
            bond,
        });
        self
    }

    fn weights(mut self, weights: &[u16], capacity: [u16; 3]) -> Many {
        for (group, weight) in self.groups.iter_mut().zip(weights) {
            group.weight = *weight;
        }
        self.capacity = capacity;
        self
    }

    fn dead(mut self, node: NodeId) -> Many {
        self.members = self.members.without(node);
        self
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            groups: &self.groups,
            colocations: &self.pairs,
            capacity: &self.capacity,
            nodes: Nodes {
                members: self.members,
                reachable: self.members,
                found: self.members,
                ..Nodes::default()
            },
            states: &self.states,
        }
    }

    #[track_caller]
    fn check(&self, expect: &[Placed]) {
        assert_eq!(place(&self.scene())[..], *expect);
    }
}

#[test]
fn what_must_be_together_goes_together() {
    let both = many(&[Some(B), Some(B)]).pair(0, 1, Together::Must).dead(B);
    both.check(&[go(A, Cause::Failover), go(A, Cause::Failover)]);
    // the follower may not run where the other one is best off
    let mut apart = many(&[None, None]).pair(0, 1, Together::Must);
    apart.groups[0].location = ranked(3, &[C]);
    apart.check(&[go(C, Cause::Failover), go(C, Cause::Failover)]);
    // and where it may run nowhere, it alone is down
    apart.groups[0].location = ranked(3, &[]);
    apart.check(&[NOWHERE, go(A, Cause::Failover)]);
}

#[test]
fn what_must_be_apart_stays_apart() {
    let apart = many(&[Some(A), Some(B)]).pair(0, 1, Together::Never);
    apart.check(&[stay(A), stay(B)]);
    many(&[Some(A), Some(B)])
        .pair(0, 1, Together::Never)
        .dead(A)
        .check(&[go(C, Cause::Failover), stay(B)]);
    many(&[Some(A), Some(B)])
        .pair(0, 1, Together::Never)
        .dead(A)
        .dead(C)
        .check(&[go(B, Cause::Failover), NOWHERE]);
}

#[test]
fn the_spare_takes_what_it_has_room_for() {
    let spare = || many(&[Some(A), Some(B)]).weights(&[2, 2], [2, 2, 2]);
    spare().dead(A).check(&[go(C, Cause::Failover), stay(B)]);
    spare()
        .dead(A)
        .dead(C)
        .check(&[go(B, Cause::Failover), NOWHERE]);
    let mut ranked = spare().dead(A).dead(C);
    ranked.groups[1].priority = 1;
    ranked.check(&[NOWHERE, stay(B)]);
}

#[test]
fn room_is_made_by_moving_what_can_move() {
    // the big one fits on C only, where a small one is that fits on B
    let mut full = many(&[Some(A), Some(C)])
        .weights(&[3, 1], [3, 1, 3])
        .dead(A);
    full.groups[1].location = ranked(3, &[C, B]);
    full.check(&[go(C, Cause::Failover), go(B, Cause::Displaced)]);
}

#[test]
fn clones_run_on_as_many_nodes_as_they_want() {
    let mut clone = many(&[None, None]).pair(1, 0, Together::Must);
    clone.groups[0].clones = Some(2);
    let expect = [
        Placed {
            nodes: NodeSet(0b101),
            step: Step::Go(Cause::Failover),
        },
        go(C, Cause::Failover),
    ];
    clone.groups[0].location = ranked(3, &[C, A]);
    clone.groups[1].location = ranked(3, &[B, C, A]);
    clone.check(&expect);
    assert_eq!(
        verdict(&clone.scene(), &expect, 1, B),
        Verdict::Without(GroupId(0))
    );
}

#[test]
fn what_is_pinned_is_not_touched() {
    let mut pinned = many(&[Some(A), None]).pair(1, 0, Together::Must);
    pinned.states[0].pinned = true;
    pinned.states[0].banned = ONLY_A;
    pinned.states[1].pinned = true;
    pinned.check(&[stay(A), NOWHERE]);
    pinned.states[1].pinned = false;
    pinned.check(&[stay(A), go(A, Cause::Failover)]);
}

#[test]
fn stickiness_outweighs_a_small_advantage() {
    let mut auto = many(&[Some(B)]);
    auto.groups[0].failback = Failback::Auto;
    auto.check(&[go(A, Cause::Failback)]);
    auto.groups[0].stickiness = 1;
    auto.check(&[stay(B)]);
    auto.groups[0].failback = Failback::Delayed(Now::from_secs(60));
    auto.groups[0].stickiness = 0;
    auto.states[0].waiting = ONLY_A;
    auto.check(&[stay(B)]);
    auto.states[0].waiting = NodeSet::EMPTY;
    auto.check(&[go(A, Cause::Failback)]);
}

#[test]
fn a_failed_group_is_not_kept_where_a_clone_is_that_it_must_not_be_with() {
    let mut kept = many(&[Some(A), Some(A)]).dead(B).dead(C);
    kept.groups[0].clones = Some(1);
    kept.states[1].banned = ONLY_A;
    kept.check(&[stay(A), keep(A)]);
    kept.pair(1, 0, Together::Never).check(&[stay(A), NOWHERE]);
}

#[test]
fn clones_leave_room_to_what_is_pinned() {
    let mut full = many(&[Some(A), None]).weights(&[1, 1], [1, 1, 0]);
    full.states[0].pinned = true;
    full.groups[1].clones = Some(2);
    full.check(&[stay(A), go(B, Cause::Failover)]);
    let apart = many(&[Some(A), None]).pair(0, 1, Together::Never);
    let mut apart = apart.dead(C);
    apart.states[0].pinned = true;
    apart.groups[1].clones = Some(2);
    apart.check(&[stay(A), go(B, Cause::Failover)]);
}

#[test]
fn a_wish_that_is_frozen_is_no_cause() {
    let wish = One {
        prefer: Some((B, true)),
        frozen: true,
        reachable: ONLY_B,
        found: ONLY_B,
        lost: ONLY_A,
        ..scene()
    };
    check(wish, go(B, Cause::Health));
}

#[test]
fn what_must_be_together_moves_together() {
    let pair = || many(&[Some(A), Some(A)]).pair(1, 0, Together::Must);
    for wished in [0, 1] {
        let mut wish = pair();
        wish.states[wished].prefer = Some((B, true));
        let cause = |group| match group == wished {
            true => Cause::Move,
            false => Cause::Displaced,
        };
        wish.check(&[go(B, cause(0)), go(B, cause(1))]);
    }
    let mut back = many(&[Some(B), Some(B)]).pair(1, 0, Together::Must);
    back.groups[0].failback = Failback::Auto;
    back.check(&[go(A, Cause::Failback), go(A, Cause::Displaced)]);
    // the follower alone draws nothing back
    let mut back = many(&[Some(B), Some(B)]).pair(1, 0, Together::Must);
    back.groups[1].failback = Failback::Auto;
    back.check(&[stay(B), stay(B)]);
}
