//! The status panel: the whole node on one screen, plain ANSI.

use std::fmt::Write;

use core::time::Duration;
use kodo_engine::surface::PathState;
use kodo_node::status::{GroupState, NodeStatus, Role, Status};

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
    lines.push(String::new());
    for line in recent {
        lines.push(line.chars().take(columns.saturating_sub(1)).collect());
    }
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
    lines.push(format!("watchdog {watchdog}   public network {lan}"));
    lines.push(String::new());
    for node in status.nodes.iter().filter(|node| node.name != status.node) {
        lines.push(peer(node));
    }
    lines.push(String::new());
    for group in &status.groups {
        let (colour, state) = state(group.state);
        let mut line = format!(
            "group {BOLD}{}{RESET}  on {BOLD}{}{RESET}  here {colour}{state}{RESET}",
            group.name,
            group.holder.as_ref().map_or("nobody", |name| name.as_str())
        );
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
    lines.push(format!("last event: {}", status.last_event));
    lines
}

fn peer(node: &NodeStatus) -> String {
    let mut line = format!(
        "peer {BOLD}{}{RESET}  {}{}{RESET}",
        node.name,
        role_colour(node.role),
        role(node.role)
    );
    if node.standby {
        let _ = write!(line, "  {YELLOW}standby by operator{RESET}");
    }
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
