//! How the node's own words become JSON.

use std::time::Duration;

use kodo_engine::{NodeId, NodeSet, surface};
use kodo_node::{io, status};

use super::{
    Counters, Disk, DrillKind, Fitness, Gate, Group, GroupFacts, GroupState, HaltKind, Health,
    Level, LogLine, Member, Node, NodeFacts, NodeHealth, Path, PathState, Preference, Role, Status,
    View, Watchdog, Witness, WitnessWord,
};

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl From<&status::Status> for Status {
    fn from(node: &status::Status) -> Status {
        let mut status = Status {
            schema: 1,
            cluster: node.cluster.as_str().to_owned(),
            node: node.node.as_str().to_owned(),
            uptime_ms: ms(node.uptime),
            file: super::file(node.file),
            role: node.role.into(),
            health: Health::Healthy,
            concerns: Vec::new(),
            notes: Vec::new(),
            staged: node.next.staged.map(super::file),
            waits_for: names(node, node.next.waits_for),
            view: node.view.as_ref().map(|view| self::view(node, view)),
            reachable: node.reachable,
            witness: node.witness.as_ref().map(Witness::from),
            watchdog: node.watchdog.as_ref().map(|(name, granted)| Watchdog {
                name: name.as_str().to_owned(),
                timeout_ms: ms(*granted),
            }),
            gate: if node.gate { Gate::Kernel } else { Gate::None },
            maintenance: node.maintenance,
            nodes: node
                .nodes
                .iter()
                .zip((0..).map(NodeId))
                .map(|(one, id)| self::node(node, one, id))
                .collect(),
            groups: node
                .groups
                .iter()
                .map(|group| self::group(node, group))
                .collect(),
            counters: node.counters.into(),
            last_event: node.last_event.as_str().to_owned(),
        };
        crate::health::judge(&mut status);
        status
    }
}

fn view(node: &status::Status, view: &status::View) -> View {
    let members = view.members.iter();
    View {
        epoch: view.epoch,
        members: members.map(|name| name.as_str().to_owned()).collect(),
        written_off: names(node, view.written_off),
    }
}

impl From<&status::WitnessStatus> for Witness {
    fn from(witness: &status::WitnessStatus) -> Witness {
        Witness {
            address: witness.address.as_str().to_owned(),
            reachable: witness.reachable,
            since_ms: witness.since.map(ms),
            life: witness.life.map(|life| format!("{life:016x}")),
            word: match witness.word {
                status::WitnessWord::None => WitnessWord::None,
                status::WitnessWord::Idle => WitnessWord::Idle,
                status::WitnessWord::Granted => WitnessWord::Granted,
                status::WitnessWord::Taken => WitnessWord::Taken,
                status::WitnessWord::HoldingOff => WitnessWord::HoldingOff,
                status::WitnessWord::WaitTooLong => WitnessWord::WaitTooLong,
            },
            holder: witness.holder.as_ref().map(|name| name.as_str().to_owned()),
        }
    }
}

fn node(status: &status::Status, node: &status::NodeStatus, id: NodeId) -> Node {
    let sees = &status.sees;
    Node {
        name: node.name.as_str().to_owned(),
        role: node.role.into(),
        standby: node.standby,
        quarantined: node.quarantined,
        health: node.health.into(),
        disk: node.disk.into(),
        carries: node.carries,
        boot: node.boot.map(|boot| format!("{boot:016x}")),
        silent_ms: node.silent.map(ms),
        same_file: node.same_file,
        placement: Some(NodeFacts {
            leaving: sees.leaving.contains(id),
            foreign: sees.foreign.contains(id),
            reachable: sees.reachable.contains(id),
            lost: sees.lost.contains(id),
            found: sees.found.contains(id),
            unsteady: sees.unsteady.contains(id),
        }),
        paths: node.paths.iter().map(Path::from).collect(),
    }
}

impl From<status::DiskStatus> for Disk {
    fn from(disk: status::DiskStatus) -> Disk {
        match disk {
            status::DiskStatus::None => Disk::None,
            status::DiskStatus::Failing => Disk::Failing,
            status::DiskStatus::Writing => Disk::Writing,
            status::DiskStatus::Kept => Disk::Kept,
        }
    }
}

impl From<&status::PathStatus> for Path {
    fn from(path: &status::PathStatus) -> Path {
        Path {
            name: path.name.as_str().to_owned(),
            state: path.state.into(),
        }
    }
}

/// Nodes by their names, in the file's order.
fn names(status: &status::Status, nodes: NodeSet) -> Vec<String> {
    let known = nodes.iter().filter_map(|at| status.nodes.get(at.index()));
    known.map(|node| node.name.as_str().to_owned()).collect()
}

/// Nodes with an instance that a group could promote.
fn promotion(node: &status::Status, group: &status::GroupStatus) -> Vec<Fitness> {
    let sees = &group.sees;
    let fit = sees.known.minus(sees.unfit);
    let fit = fit.iter().filter(|_| group.promotes.is_some());
    let fitness = |at: NodeId| {
        Some(Fitness {
            node: node.nodes.get(at.index())?.name.as_str().to_owned(),
            score: *sees.scores.get(at.index())?,
        })
    };
    fit.filter_map(fitness).collect()
}

fn group(node: &status::Status, group: &status::GroupStatus) -> Group {
    let named = |name: &status::Name| name.as_str().to_owned();
    let sees = &group.sees;
    let prefer = |(at, pending): (NodeId, bool)| {
        let node = node.nodes.get(at.index())?;
        Some(Preference {
            node: named(&node.name),
            pending,
            once: group.once,
        })
    };
    Group {
        name: named(&group.name),
        managed: group.managed,
        clones: group.clones,
        holder: group.holder.as_ref().map(named),
        nodes: names(node, group.runs_on),
        promotes: group.promotes.as_ref().map(named),
        promotion: promotion(node, group),
        waits_for: group.waits_for.as_ref().map(named),
        stuck_on: group.stuck_on.as_ref().map(named),
        epoch: group.epoch,
        state: group.state.into(),
        failures: group.failures,
        placement: Some(GroupFacts {
            planned: names(node, sees.planned),
            holders: names(node, sees.holders),
            banned: names(node, sees.banned),
            waiting: names(node, sees.waiting),
            prefer: sees.prefer.and_then(prefer),
            damped: sees.damped,
            first: sees.first,
        }),
        members: group.members.iter().map(Member::from).collect(),
    }
}

impl From<&status::MemberStatus> for Member {
    fn from(member: &status::MemberStatus) -> Member {
        Member {
            name: member.name.as_str().to_owned(),
            state: member.state.into(),
        }
    }
}

impl From<status::Role> for Role {
    fn from(role: status::Role) -> Role {
        match role {
            status::Role::Observer => Role::Observer,
            status::Role::Standby => Role::Standby,
            status::Role::Active => Role::Active,
            status::Role::Refused => Role::Refused,
            status::Role::Dead => Role::Dead,
        }
    }
}

impl From<surface::Health> for NodeHealth {
    fn from(health: surface::Health) -> NodeHealth {
        match health {
            surface::Health::Green => NodeHealth::Green,
            surface::Health::Yellow => NodeHealth::Yellow,
            surface::Health::Red => NodeHealth::Red,
        }
    }
}

impl From<surface::PathState> for PathState {
    fn from(state: surface::PathState) -> PathState {
        match state {
            surface::PathState::Up => PathState::Up,
            surface::PathState::OneWay => PathState::OneWay,
            surface::PathState::Down => PathState::Down,
        }
    }
}

impl From<status::GroupState> for GroupState {
    fn from(state: status::GroupState) -> GroupState {
        match state {
            status::GroupState::Stopped => GroupState::Stopped,
            status::GroupState::Starting => GroupState::Starting,
            status::GroupState::Started => GroupState::Started,
            status::GroupState::Stopping => GroupState::Stopping,
            status::GroupState::Blocked => GroupState::Blocked,
        }
    }
}

impl From<status::Counters> for Counters {
    fn from(counters: status::Counters) -> Counters {
        let status::Counters {
            forged,
            malformed,
            replayed,
            stale,
            twin,
            noise,
            unsent,
        } = counters;
        Counters {
            forged,
            malformed,
            replayed,
            stale,
            twin,
            noise,
            unsent,
        }
    }
}

impl From<&io::LogLine> for LogLine {
    fn from(line: &io::LogLine) -> LogLine {
        LogLine {
            seq: line.seq,
            at_us: u64::try_from(line.at.as_micros()).unwrap_or(u64::MAX),
            level: match line.level {
                surface::Level::Info => Level::Info,
                surface::Level::Warn => Level::Warn,
                surface::Level::Alert => Level::Alert,
            },
            text: line.text.as_str().to_owned(),
        }
    }
}

impl From<DrillKind> for io::Drill {
    fn from(kind: DrillKind) -> io::Drill {
        match kind {
            DrillKind::ServiceKill => io::Drill::ServiceKill,
            DrillKind::KernelPanic => io::Drill::KernelPanic,
            DrillKind::Pid1Stuck => io::Drill::Pid1Stuck,
            DrillKind::Pid1Dies => io::Drill::Pid1Dies,
        }
    }
}

impl From<HaltKind> for io::Halt {
    fn from(kind: HaltKind) -> io::Halt {
        match kind {
            HaltKind::PowerOff => io::Halt::PowerOff,
            HaltKind::Reboot => io::Halt::Reboot,
        }
    }
}
