//! The status panel: the whole node on one screen, plain ANSI.

use std::fmt::Write;

use core::time::Duration;
use kodo_engine::surface::{Health, PathState};
use kodo_node::status::{DiskStatus, GroupState, GroupStatus, NodeStatus, Role, Status};

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
/// To the upper left corner, cursor hidden.
const HOME: &str = "\x1b[?25l\x1b[H";
/// From the cursor to the end of the line, and of the screen.
const REST_OF_LINE: &str = "\x1b[K\r\n";
const REST_OF_SCREEN: &str = "\x1b[J";

/// The screen's text, redrawn from its upper left corner.
pub(super) fn render(status: &Status, recent: &[String], size: Option<(u16, u16)>) -> String {
    let (rows, columns) = size.map_or((25, 80), |(rows, columns)| {
        (usize::from(rows), usize::from(columns))
    });
    let mut lines = summary(status);
    let fit = |line: &str| line.chars().take(columns.saturating_sub(1)).collect();
    lines.push(fit(&format!("last event: {}", status.last_event)));
    lines.push(String::new());
    lines.extend(recent.iter().map(|line| fit(line)));
    lines.truncate(rows.saturating_sub(1));
    format!(
        "{HOME}{}{REST_OF_LINE}{REST_OF_SCREEN}",
        lines.join(REST_OF_LINE)
    )
}

fn summary(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(format!(
        "{BOLD}kodo{RESET}  cluster {BOLD}{}{RESET}  node {BOLD}{}{RESET}  {}{}{RESET}  up {}",
        status.cluster,
        status.node,
        role_colour(status.role),
        role(status.role),
        age(status.uptime)
    ));
    let watchdog = match &status.watchdog {
        Some((name, granted)) => format!("{name}, {} s", granted.as_secs()),
        None => format!("{RED}none{RESET}"),
    };
    let lan = if status.reachable {
        "reachable".to_owned()
    } else {
        format!("{RED}not reachable{RESET}")
    };
    let witness = match &status.witness {
        None => String::new(),
        Some(witness) if witness.reachable => "   witness answers".to_owned(),
        Some(_) => format!("   witness {RED}does not answer{RESET}"),
    };
    let gate = match status.gate {
        true => String::new(),
        false => format!("   gate {RED}none{RESET}"),
    };
    lines.push(format!(
        "watchdog {watchdog}{gate}   public network {lan}{witness}"
    ));
    if status.maintenance {
        lines.push(format!(
            "{YELLOW}maintenance: nothing is started, stopped or moved{RESET}"
        ));
    }
    lines.push(String::new());
    for node in status.nodes.iter().filter(|node| node.name != status.node) {
        lines.push(peer(node));
    }
    let itself = |node: &&NodeStatus| node.name == status.node;
    for node in status.nodes.iter().filter(itself) {
        let held = held_back(node);
        if !held.is_empty() {
            lines.push(format!("this node{held}"));
        }
    }
    lines.push(String::new());
    for group in &status.groups {
        let (colour, state) = state(group.state);
        let mut line = format!(
            "group {BOLD}{}{RESET}  on {BOLD}{}{RESET}  here {colour}{state}{RESET}",
            group.name,
            place(status, group)
        );
        if let Some(first) = &group.waits_for {
            let _ = write!(line, "  {YELLOW}waits for {first}{RESET}");
        }
        if let Some(node) = &group.stuck_on {
            let _ = write!(line, "  {RED}cannot be stopped on {node}{RESET}");
        }
        if !group.managed {
            let _ = write!(line, "  {YELLOW}not managed{RESET}");
        }
        for member in &group.members {
            let (colour, word) = self::state(member.state);
            let _ = write!(line, "  {} {colour}{word}{RESET}", member.name);
        }
        if group.failures > 0 {
            let _ = write!(line, "  {YELLOW}{} failure(s){RESET}", group.failures);
        }
        lines.push(line);
    }
    lines.push(String::new());
    lines
}

/// Who holds a group, or where its clones run.
fn place(status: &Status, group: &GroupStatus) -> String {
    let Some(clones) = group.clones else {
        let holder = group.holder.as_ref();
        return holder.map_or("nobody", |name| name.as_str()).to_owned();
    };
    let runs_on = group.runs_on.iter();
    let names = runs_on.filter_map(|at| status.nodes.get(at.index()));
    let names: Vec<&str> = names.map(|node| node.name.as_str()).collect();
    match names.is_empty() {
        true => format!("nobody, 0 of {clones}"),
        false => format!("{}, {} of {clones}", names.join(" "), names.len()),
    }
}

/// Why a node takes nothing.
fn held_back(node: &NodeStatus) -> String {
    let mut text = String::new();
    if node.standby {
        let _ = write!(text, "  {YELLOW}standby by operator{RESET}");
    }
    if node.health != Health::Green {
        let _ = write!(text, "  {RED}ill{RESET}");
    }
    if node.quarantined {
        let _ = write!(text, "  {RED}in quarantine{RESET}");
    }
    if node.disk == DiskStatus::Failing {
        let _ = write!(text, "  {RED}state partition fails{RESET}");
    }
    text
}

fn peer(node: &NodeStatus) -> String {
    let mut line = format!(
        "peer {BOLD}{}{RESET}  {}{}{RESET}",
        node.name,
        role_colour(node.role),
        role(node.role)
    );
    line.push_str(&held_back(node));
    if let Some(silent) = node.silent {
        let _ = write!(line, "  heard {} ms ago", silent.as_millis());
    }
    if !node.same_file {
        let _ = write!(line, "  {YELLOW}other cluster file{RESET}");
    }
    for path in &node.paths {
        let (colour, word) = match path.state {
            PathState::Up => (GREEN, "up"),
            PathState::OneWay => (YELLOW, "one-way"),
            PathState::Down => (RED, "down"),
        };
        let _ = write!(line, "  {} {colour}{word}{RESET}", path.name);
    }
    line
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Observer => "observer",
        Role::Standby => "standby",
        Role::Active => "active",
        Role::Refused => "refused",
        Role::Dead => "dead",
    }
}

fn role_colour(role: Role) -> &'static str {
    match role {
        Role::Active | Role::Standby => GREEN,
        Role::Observer => YELLOW,
        Role::Refused | Role::Dead => RED,
    }
}

fn state(state: GroupState) -> (&'static str, &'static str) {
    match state {
        GroupState::Stopped => ("", "stopped"),
        GroupState::Starting => (YELLOW, "starting"),
        GroupState::Started => (GREEN, "started"),
        GroupState::Stopping => (YELLOW, "stopping"),
        GroupState::Blocked => (RED, "blocked"),
    }
}

fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kodo_engine::placement::{Nodes, State};
    use kodo_engine::{NodeId, NodeSet};
    use kodo_node::status::{Counters, MemberStatus, PathStatus};

    fn status() -> Status {
        let name = |text: &str| heapless::String::try_from(text).unwrap();
        let path = |text: &str, state| PathStatus {
            name: name(text),
            state,
        };
        let paths = [
            path("crossover", PathState::Up),
            path("lan", PathState::OneWay),
        ];
        let peer = NodeStatus {
            name: name("node2"),
            role: Role::Standby,
            standby: false,
            quarantined: false,
            health: Health::Green,
            disk: DiskStatus::None,
            carries: false,
            boot: Some(7),
            silent: Some(Duration::from_millis(40)),
            same_file: true,
            paths: paths.into_iter().collect(),
        };
        let vip = MemberStatus {
            name: name("vip"),
            state: GroupState::Started,
        };
        let group = GroupStatus {
            name: name("www"),
            managed: true,
            clones: None,
            promotes: None,
            runs_on: NodeSet::EMPTY,
            waits_for: None,
            stuck_on: None,
            holder: Some(name("node1")),
            epoch: 3,
            state: GroupState::Started,
            failures: 2,
            sees: State::default(),
            once: false,
            members: [vip].into_iter().collect(),
        };
        Status {
            cluster: name("web"),
            node: name("node1"),
            uptime: Duration::from_secs(3700),
            file: 0,
            role: Role::Active,
            view: None,
            next: Default::default(),
            maintenance: false,
            sees: Nodes::default(),
            nodes: [peer].into_iter().collect(),
            groups: [group].into_iter().collect(),
            watchdog: None,
            gate: true,
            reachable: true,
            witness: None,
            counters: Counters::default(),
            last_event: heapless::String::try_from("www: started").unwrap(),
        }
    }

    /// The text without its colours.
    fn plain(text: &str) -> String {
        let mut plain = String::new();
        let mut in_code = false;
        for c in text.chars() {
            match (in_code, c) {
                (false, '\x1b') => in_code = true,
                (true, c) if c.is_ascii_alphabetic() => in_code = false,
                (true, _) => {}
                (false, c) => plain.push(c),
            }
        }
        plain
    }

    #[test]
    fn the_screen_tells_role_peers_paths_groups_and_the_last_event() {
        let recent = ["kodo[    1.000000] info www: started".to_owned()];
        let text = plain(&render(&status(), &recent, Some((25, 80))));
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines,
            [
                "kodo  cluster web  node node1  active  up 1 h 1 min",
                "watchdog none   public network reachable",
                "",
                "peer node2  standby  heard 40 ms ago  crossover up  lan one-way",
                "",
                "group www  on node1  here started  vip started  2 failure(s)",
                "",
                "last event: www: started",
                "",
                "kodo[    1.000000] info www: started",
                ""
            ]
        );
    }

    #[test]
    fn the_screen_tells_what_is_left_alone_and_what_waits() {
        let name = |text: &str| heapless::String::try_from(text).unwrap();
        let mut status = status();
        status.maintenance = true;
        status.nodes[0].quarantined = true;
        let mut itself = status.nodes[0].clone();
        itself.name = name("node1");
        (itself.standby, itself.quarantined) = (true, false);
        let _ = status.nodes.insert(0, itself);
        let mut cache = status.groups[0].clone();
        cache.name = name("cache");
        (cache.holder, cache.clones) = (None, Some(2));
        cache.failures = 0;
        cache.runs_on = NodeSet::only(NodeId(1));
        cache.state = GroupState::Stopped;
        cache.waits_for = Some(name("www"));
        cache.managed = false;
        let _ = status.groups.push(cache);
        let text = plain(&render(&status, &[], Some((25, 99))));
        for line in [
            "maintenance: nothing is started, stopped or moved",
            "this node  standby by operator",
            "peer node2  standby  in quarantine  heard 40 ms ago  crossover up  lan one-way",
            "group cache  on node2, 1 of 2  here stopped  waits for www  not managed  vip started",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
        }
    }

    #[test]
    fn a_small_screen_shows_the_beginning() {
        let text = plain(&render(&status(), &["x".repeat(300)], Some((4, 20))));
        assert_eq!(text.split("\r\n").count(), 4);
        assert!(text.starts_with("kodo  cluster web"));
    }
}
