//! What a status means: is the cluster healthy, and if not, what is wrong.
//!
//! Owns the sentences that the page, the command and scripts all show, so that they never
//! disagree. Judges from one node's status alone and changes nothing.

use crate::api::{
    Disk, Gate, Group, GroupState, Health, Node, NodeHealth, PathState, Role, Status, Witness,
    WitnessWord,
};

/// Fills `health`, `concerns` and `notes` from the rest.
pub(crate) fn judge(status: &mut Status) {
    let mut concerns = Vec::new();
    let mut notes = Vec::new();
    if status.view.is_none() {
        concerns.push(format!(
            "{} is in no view and decides nothing: fresh from boot, or left out by the others",
            status.node
        ));
    }
    if status.maintenance {
        concerns.push(
            "maintenance is on: nothing is started, stopped or moved, and nothing taken over"
                .to_owned(),
        );
    }
    for group in &status.groups {
        judge_group(status, group, &mut concerns, &mut notes);
    }
    for node in &status.nodes {
        judge_node(status, node, &mut concerns);
    }
    if !status.reachable {
        concerns.push(format!("{} does not reach the public network", status.node));
    }
    if status.watchdog.is_none() {
        concerns.push(format!(
            "{} has no watchdog: stuck, it would stay stuck",
            status.node
        ));
    }
    if let Some(concern) = status.witness.as_ref().and_then(witness) {
        concerns.push(concern);
    }
    if status.gate == Gate::None {
        notes.push(format!(
            "{} has no gate: stuck, it answers for its addresses until its watchdog fires",
            status.node
        ));
    }
    let counters = &status.counters;
    for (count, what) in [
        (counters.forged, "signed with a wrong key"),
        (counters.replayed, "old ones sent again"),
        (counters.twin, "from a second machine with one identity"),
    ] {
        if count > 0 {
            notes.push(format!(
                "{} rejected {count} heartbeats {what}",
                status.node
            ));
        }
    }
    status.health = if concerns.is_empty() {
        Health::Healthy
    } else {
        Health::Degraded
    };
    status.concerns = concerns;
    status.notes = notes;
}

/// What keeps the witness from deciding the next split.
fn witness(witness: &Witness) -> Option<String> {
    let address = &witness.address;
    if !witness.reachable {
        let since = witness
            .since_ms
            .map_or("yet".to_owned(), |since| format!("for {}", seconds(since)));
        return Some(format!(
            "the witness {address} has not answered {since}: half a cluster cannot go on alone"
        ));
    }
    match witness.word {
        WitnessWord::HoldingOff => Some(format!(
            "the witness {address} has just started and speaks for nobody yet"
        )),
        WitnessWord::WaitTooLong => Some(format!(
            "the witness {address} never speaks for this cluster: its --hold-off is too short"
        )),
        _ => None,
    }
}

fn judge_group(
    status: &Status,
    group: &Group,
    concerns: &mut Vec<String>,
    notes: &mut Vec<String>,
) {
    let name = &group.name;
    if let Some(clones) = group.clones {
        judge_clones(status, group, clones, concerns);
    } else {
        judge_holder(status, group, concerns);
    }
    if !group.managed {
        concerns.push(format!(
            "{name} is not managed: it is watched only, and nobody takes it over"
        ));
    }
    if let Some(node) = &group.stuck_on {
        concerns.push(format!(
            "{name} could not be stopped on {node}: nobody touches it there until it is cleaned up"
        ));
    }
    let here = group.holder.as_ref() == Some(&status.node);
    if group.state == GroupState::Blocked && !here && group.stuck_on.is_none() {
        concerns.push(format!("{name} cannot be started on {}", status.node));
    }
    if group.failures > 0 {
        let times = if group.failures == 1 { "time" } else { "times" };
        notes.push(format!(
            "{name} failed {} {times} on {}",
            group.failures, status.node
        ));
    }
}

/// A group that runs on several nodes at once.
fn judge_clones(status: &Status, group: &Group, clones: u8, concerns: &mut Vec<String>) {
    let name = &group.name;
    let waits = |what: &str| match &group.waits_for {
        Some(first) => format!("{name} {what}: {} waits for {first}", status.node),
        None => format!("{name} {what}"),
    };
    match group.nodes.len() {
        0 => concerns.push(waits("runs nowhere")),
        runs if runs < usize::from(clones) => {
            concerns.push(waits(&format!(
                "runs on {} only, and should on {clones} nodes",
                group.nodes.join(", ")
            )));
        }
        _ => {}
    }
}

/// A group that one node holds.
fn judge_holder(status: &Status, group: &Group, concerns: &mut Vec<String>) {
    let name = &group.name;
    match &group.holder {
        None => concerns.push(match &group.waits_for {
            Some(first) => format!("{name} runs nowhere: {} waits for {first}", status.node),
            None => format!("{name} runs nowhere"),
        }),
        Some(holder) if *holder == status.node => match group.state {
            GroupState::Started => {}
            GroupState::Blocked if group.stuck_on.is_some() => {}
            state => concerns.push(format!("{name} is {} on {holder}", state.word())),
        },
        Some(holder) => {
            if status
                .nodes
                .iter()
                .any(|node| node.name == *holder && node.role == Role::Dead)
            {
                concerns.push(format!("{name} was last seen on {holder}, which is silent"));
            }
        }
    }
}

fn judge_node(status: &Status, node: &Node, concerns: &mut Vec<String>) {
    let name = &node.name;
    match (node.role, node.silent_ms) {
        (Role::Dead, None) => concerns.push(format!("{name} was never heard")),
        (Role::Dead, Some(silent)) => {
            concerns.push(format!("{name} is dead: silent for {}", seconds(silent)));
        }
        (Role::Observer, _) => {
            concerns.push(format!(
                "{name} is not a member: fresh from boot, or not heard by every member"
            ));
        }
        (Role::Refused, _) => {
            concerns.push(format!(
                "{name} is refused: another machine carries its identity"
            ));
        }
        (Role::Active | Role::Standby | Role::Unknown, _) => {}
    }
    if node.quarantined {
        concerns.push(format!(
            "{name} is in quarantine: it died too often, and takes nothing until it is called online"
        ));
    }
    match node.health {
        NodeHealth::Green | NodeHealth::Unknown => {}
        NodeHealth::Yellow => concerns.push(format!("{name} is strained: its health is yellow")),
        NodeHealth::Red => concerns.push(format!("{name} is ill: its health is red")),
    }
    if node.disk == Disk::Failing {
        concerns.push(format!(
            "{name}'s state partition does not answer: it keeps no wishes through a power loss"
        ));
    }
    if node.standby {
        concerns.push(format!("{name} was put on standby and takes nothing over"));
    }
    if !node.same_file {
        concerns.push(format!(
            "{name} runs another cluster file: groups are not moved by hand"
        ));
    }
    if node.role == Role::Dead || node.name == status.node {
        return;
    }
    for path in &node.paths {
        match path.state {
            PathState::Up | PathState::Unknown => {}
            PathState::OneWay => {
                concerns.push(format!("path {} to {name} works one way only", path.name));
            }
            PathState::Down => concerns.push(format!("path {} to {name} is down", path.name)),
        }
    }
}

/// `1500` as `1.5 s`: whole seconds from ten on.
fn seconds(ms: u64) -> String {
    if ms < 10_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        format!("{} s", ms / 1000)
    }
}

impl GroupState {
    /// As it stands in a sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            GroupState::Stopped => "stopped",
            GroupState::Starting => "starting",
            GroupState::Started => "started",
            GroupState::Stopping => "stopping",
            GroupState::Blocked => "blocked",
            GroupState::Unknown => "in a state that this program does not know",
        }
    }
}
