//! What a person reads: a status and a log as text for a terminal.
//!
//! Owns layout. Words that mean trouble are in capitals, so that they stand out without
//! colour, on any terminal and in any mail. What is wrong stands last, where the eye is
//! when the command is done.

use std::fmt::Write as _;

use kodo_admin::api::{
    Disk, Gate, Group, GroupState, Health, Level, LogLine, Node, NodeHealth, Path, PathState, Role,
    Status, Witness, WitnessWord,
};

/// Groups, nodes, paths, alerts.
pub(crate) fn status(status: &Status) -> String {
    let mut out = String::new();
    let health = match status.health {
        Health::Healthy => "healthy",
        Health::Degraded => "DEGRADED",
    };
    let _ = writeln!(
        out,
        "{}: {health}, as {} sees it, up {}",
        status.cluster,
        status.node,
        span(status.uptime_ms)
    );
    if status.maintenance {
        out.push_str("MAINTENANCE: nothing is started, stopped or moved\n");
    }
    out.push_str("\nGROUPS\n");
    table(
        &mut out,
        status.groups.iter().map(|group| group_row(status, group)),
    );
    out.push_str("\nNODES\n");
    table(
        &mut out,
        status.nodes.iter().map(|node| node_row(status, node)),
    );
    let peers = || status.nodes.iter().filter(|node| !node.paths.is_empty());
    if peers().next().is_some() {
        out.push_str("\nPATHS\n");
        table(&mut out, peers().map(path_row));
    }
    let facts = facts(status);
    if !facts.is_empty() {
        let _ = write!(out, "\n{facts}");
    }
    if !status.concerns.is_empty() {
        out.push_str("\nALERTS\n");
        for concern in &status.concerns {
            let _ = writeln!(out, "  {concern}");
        }
    }
    out
}

fn facts(status: &Status) -> String {
    let mut out = String::new();
    if let Some(view) = &status.view {
        let _ = writeln!(out, "view {}: {}", view.epoch, view.members.join(", "));
    }
    if let Some(staged) = &status.staged {
        let _ = write!(out, "cluster file: {}, staged {staged}", status.file);
        if !status.waits_for.is_empty() {
            let _ = write!(out, ", waits for {}", status.waits_for.join(", "));
        }
        out.push('\n');
    }
    if let Some(watchdog) = &status.watchdog {
        let _ = writeln!(
            out,
            "watchdog: {}, {}",
            watchdog.name,
            span(watchdog.timeout_ms)
        );
    }
    if let Some(witness) = &status.witness {
        let _ = writeln!(out, "witness: {}", self::witness(witness));
    }
    match status.gate {
        Gate::Kernel => out.push_str("gate: kernel\n"),
        Gate::None => out.push_str("gate: none\n"),
        Gate::Unknown => {}
    }
    let rejected = rejected(status);
    if !rejected.is_empty() {
        let _ = writeln!(out, "rejected since boot: {rejected}");
    }
    if !status.last_event.is_empty() {
        let _ = writeln!(out, "last event: {}", status.last_event);
    }
    for note in &status.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// `192.168.0.5, answers for 3 min, speaks for node1`
fn witness(witness: &Witness) -> String {
    let mut out = witness.address.clone();
    let _ = match (witness.reachable, witness.since_ms) {
        (true, since) => write!(out, ", answers for {}", span(since.unwrap_or(0))),
        (false, Some(since)) => write!(out, ", NO ANSWER for {}", span(since)),
        (false, None) => write!(out, ", NEVER ANSWERED"),
    };
    if !witness.reachable {
        return out;
    }
    out.push_str(match witness.word {
        WitnessWord::HoldingOff => ", HOLDING OFF after its start",
        WitnessWord::WaitTooLong => ", ITS HOLD-OFF IS TOO SHORT",
        _ => "",
    });
    match &witness.holder {
        Some(holder) => {
            let _ = write!(out, ", speaks for {holder}");
        }
        None => out.push_str(", speaks for nobody"),
    }
    out
}

fn group_row(status: &Status, group: &Group) -> Vec<String> {
    let down = matches!(group.state, GroupState::Stopped | GroupState::Blocked);
    let here = match group.clones {
        Some(_) => !down,
        None => group.holder.as_ref() == Some(&status.node),
    };
    let place = match (&group.holder, group.clones) {
        (Some(holder), _) => format!("on {holder}"),
        (None, Some(clones)) if !group.nodes.is_empty() => {
            let (nodes, runs) = (group.nodes.join(", "), group.nodes.len());
            match runs < usize::from(clones) {
                true => format!("on {nodes} (ONLY {runs} of {clones})"),
                false => format!("on {nodes}"),
            }
        }
        (None, _) => "NOWHERE".to_owned(),
    };
    let state = |state: GroupState| match state {
        GroupState::Started => "started",
        GroupState::Starting => "STARTING",
        GroupState::Stopping => "STOPPING",
        GroupState::Stopped => "STOPPED",
        GroupState::Blocked => "BLOCKED",
        GroupState::Unknown => "UNKNOWN",
    };
    let members = match here {
        true => {
            let member = |member: &kodo_admin::api::Member| match member.state {
                GroupState::Started => member.name.clone(),
                other => format!("{} {}", member.name, state(other)),
            };
            group
                .members
                .iter()
                .map(member)
                .collect::<Vec<_>>()
                .join(", ")
        }
        false if group.state == GroupState::Blocked => format!("BLOCKED on {}", status.node),
        false => String::new(),
    };
    let mut remarks = Vec::new();
    if let Some(clone) = &group.promotes {
        let fit = group.promotion.iter();
        let fit = fit.map(|fit| format!("{} ({})", fit.node, fit.score));
        let fit = fit.collect::<Vec<_>>().join(", ");
        remarks.push(match fit.is_empty() {
            true => format!("NO INSTANCE of {clone} to promote"),
            false => format!("may promote {clone} on {fit}"),
        });
    }
    if let Some(first) = &group.waits_for {
        remarks.push(format!("WAITS for {first} on {}", status.node));
    }
    if let Some(node) = &group.stuck_on {
        remarks.push(format!("CANNOT BE STOPPED on {node}"));
    }
    if !group.managed {
        remarks.push("NOT MANAGED by order".to_owned());
    }
    if let Some(facts) = &group.placement {
        if !facts.banned.is_empty() {
            remarks.push(format!("BARRED from {}", facts.banned.join(", ")));
        }
        if let Some(wish) = &facts.prefer {
            remarks.push(format!("wanted on {} by order", wish.node));
        }
    }
    match group.failures {
        0 => {}
        1 => remarks.push(format!("1 failure on {}", status.node)),
        n => remarks.push(format!("{n} failures on {}", status.node)),
    }
    let running = if here {
        state(group.state).to_owned()
    } else {
        String::new()
    };
    vec![
        group.name.clone(),
        place,
        running,
        members,
        remarks.join(", "),
    ]
}

fn node_row(status: &Status, node: &Node) -> Vec<String> {
    let role = match node.role {
        Role::Active => "active",
        Role::Standby => "standby",
        Role::Observer => "OBSERVER (fresh from boot)",
        Role::Refused => "REFUSED (identity taken)",
        Role::Dead => "DEAD",
        Role::Unknown => "UNKNOWN",
    };
    let heard = match node.silent_ms {
        _ if node.name == status.node => "answers you".to_owned(),
        Some(silent) => format!("heard {} ago", span(silent)),
        None => "never heard".to_owned(),
    };
    let mut remarks = Vec::new();
    if node.standby {
        remarks.push("ON STANDBY by order");
    }
    if node.quarantined {
        remarks.push("IN QUARANTINE");
    }
    match node.health {
        NodeHealth::Yellow => remarks.push("HEALTH YELLOW"),
        NodeHealth::Red => remarks.push("HEALTH RED"),
        NodeHealth::Green | NodeHealth::Unknown => {}
    }
    match node.disk {
        Disk::None | Disk::Unknown => {}
        Disk::Kept => remarks.push("wishes kept on disk"),
        Disk::Writing => remarks.push("wishes on their way to disk"),
        Disk::Failing => remarks.push("STATE PARTITION FAILS"),
    }
    if !node.same_file {
        remarks.push("OTHER CLUSTER FILE");
    }
    vec![
        node.name.clone(),
        role.to_owned(),
        heard,
        remarks.join(", "),
    ]
}

fn path_row(node: &Node) -> Vec<String> {
    let path = |path: &Path| {
        let state = match path.state {
            PathState::Up => "up",
            PathState::OneWay => "ONE WAY",
            PathState::Down => "DOWN",
            PathState::Unknown => "UNKNOWN",
        };
        format!("{} {state}", path.name)
    };
    std::iter::once(format!("to {}", node.name))
        .chain(node.paths.iter().map(path))
        .collect()
}

fn rejected(status: &Status) -> String {
    let c = &status.counters;
    [
        (c.forged, "forged"),
        (c.malformed, "malformed"),
        (c.replayed, "replayed"),
        (c.stale, "stale"),
        (c.twin, "of a twin"),
        (c.noise, "bytes of noise"),
        (c.unsent, "unsent"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect::<Vec<_>>()
    .join(", ")
}

/// Rows of cells, each column as wide as its widest cell.
fn table(out: &mut String, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            if *width > 0 {
                let _ = write!(line, " {cell:width$}  ");
            }
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// One line of the log, as on the node's console.
pub(crate) fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Alert => "ALERT",
    };
    let (seconds, micros) = (line.at_us / 1_000_000, line.at_us % 1_000_000);
    format!("[{seconds:>5}.{micros:06}] {level:<5} {}", line.text)
}

/// A duration with one unit, as precise as one wants to read it.
fn span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..10 if ms % 1000 >= 100 => format!("{s}.{} s", ms % 1000 / 100),
        1..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn healthy() -> Value {
        let path = |name: &str| json!({"name": name, "state": "up"});
        json!({
            "schema": 1, "cluster": "web", "node": "node1", "uptime_ms": 754_321, "role": "active",
            "health": "healthy", "concerns": [], "notes": [],
            "view": {"epoch": 3, "members": ["node1", "node2"]},
            "reachable": true, "watchdog": {"name": "i6300esb", "timeout_ms": 5000},
            "gate": "kernel",
            "nodes": [
                {"name": "node1", "role": "active", "standby": false, "boot": "01",
                 "silent_ms": null, "same_file": true, "paths": []},
                {"name": "node2", "role": "standby", "standby": false, "boot": "02",
                 "silent_ms": 120, "same_file": true,
                 "paths": [path("crossover"), path("lan"), path("serial")]},
            ],
            "groups": [
                {"name": "www", "holder": "node1", "epoch": 2, "state": "started", "failures": 0,
                 "members": [{"name": "web", "state": "started"}, {"name": "vip", "state": "started"}]},
            ],
            "counters": {},
            "last_event": "www: started on node1",
        })
    }

    fn check(value: Value, expected: &str) {
        let read: Status = serde_json::from_value(value).unwrap();
        let shown = status(&read);
        assert_eq!(shown, expected, "shown:\n{shown}");
    }

    #[test]
    fn a_healthy_pair() {
        let expected = "\
web: healthy, as node1 sees it, up 12 min

GROUPS
  www   on node1   started   web, vip

NODES
  node1   active    answers you
  node2   standby   heard 120 ms ago

PATHS
  to node2   crossover up   lan up   serial up

view 3: node1, node2
watchdog: i6300esb, 5 s
gate: kernel
last event: www: started on node1
";
        check(healthy(), expected);
    }

    #[test]
    fn a_witness_is_a_line() {
        let line = |witness: Value| {
            let mut value = healthy();
            value["witness"] = witness;
            let shown = status(&serde_json::from_value(value).unwrap());
            let line = shown.lines().find(|line| line.starts_with("witness"));
            line.map(str::to_owned)
        };
        let witness = |reachable: bool, since: Value, word: &str, holder: Value| {
            json!({"address": "192.168.0.5", "reachable": reachable, "since_ms": since,
                   "life": "01", "word": word, "holder": holder})
        };
        for (value, expected) in [
            (
                witness(true, json!(180_000), "taken", json!("node2")),
                "witness: 192.168.0.5, answers for 3 min, speaks for node2",
            ),
            (
                witness(true, json!(1_000), "holding-off", json!(null)),
                "witness: 192.168.0.5, answers for 1 s, HOLDING OFF after its start, speaks for nobody",
            ),
            (
                witness(false, json!(12_000), "idle", json!(null)),
                "witness: 192.168.0.5, NO ANSWER for 12 s",
            ),
            (
                witness(false, json!(null), "none", json!(null)),
                "witness: 192.168.0.5, NEVER ANSWERED",
            ),
        ] {
            assert_eq!(line(value).as_deref(), Some(expected));
        }
        assert_eq!(line(json!(null)), None);
    }

    #[test]
    fn the_standby_tells_the_same() {
        let mut value = healthy();
        value["node"] = json!("node2");
        value["nodes"][1]["silent_ms"] = json!(null);
        value["nodes"][1]["paths"] = json!([]);
        value["nodes"][0]["silent_ms"] = json!(80);
        value["nodes"][0]["paths"] = json!([{"name": "crossover", "state": "up"}]);
        value["groups"][0]["state"] = json!("stopped");
        let expected = "\
web: healthy, as node2 sees it, up 12 min

GROUPS
  www   on node1

NODES
  node1   active    heard 80 ms ago
  node2   standby   answers you

PATHS
  to node1   crossover up

view 3: node1, node2
watchdog: i6300esb, 5 s
gate: kernel
last event: www: started on node1
";
        check(value, expected);
    }

    #[test]
    fn after_a_takeover() {
        let mut value = healthy();
        value["health"] = json!("degraded");
        value["concerns"] = json!(["node2 is dead: silent for 12 s"]);
        value["notes"] = json!(["www failed 2 times on node1"]);
        value["groups"][0]["failures"] = json!(2);
        value["nodes"][1]["role"] = json!("dead");
        value["nodes"][1]["silent_ms"] = json!(12_345);
        value["nodes"][1]["standby"] = json!(true);
        for path in value["nodes"][1]["paths"].as_array_mut().unwrap() {
            path["state"] = json!("down");
        }
        value["view"] = json!({"epoch": 4, "members": ["node1"]});
        value["counters"] = json!({"forged": 3, "noise": 17});
        let expected = "\
web: DEGRADED, as node1 sees it, up 12 min

GROUPS
  www   on node1   started   web, vip   2 failures on node1

NODES
  node1   active   answers you
  node2   DEAD     heard 12 s ago   ON STANDBY by order

PATHS
  to node2   crossover DOWN   lan DOWN   serial DOWN

view 4: node1
watchdog: i6300esb, 5 s
gate: kernel
rejected since boot: 3 forged, 17 bytes of noise
last event: www: started on node1
note: www failed 2 times on node1

ALERTS
  node2 is dead: silent for 12 s
";
        check(value, expected);
    }

    #[test]
    fn everything_is_wrong() {
        let mut value = healthy();
        value["health"] = json!("degraded");
        value["concerns"] = json!(["www runs nowhere", "node2 was never heard"]);
        value["view"] = json!(null);
        value["watchdog"] = json!(null);
        value["last_event"] = json!("");
        value["groups"][0]["holder"] = json!(null);
        value["groups"][0]["state"] = json!("blocked");
        value["nodes"][0]["role"] = json!("observer");
        value["nodes"][1]["role"] = json!("dead");
        value["nodes"][1]["silent_ms"] = json!(null);
        value["nodes"][1]["same_file"] = json!(false);
        value["nodes"][1]["paths"][0]["state"] = json!("one-way");
        value["nodes"][1]["paths"][1]["state"] = json!("sideways");
        let expected = "\
web: DEGRADED, as node1 sees it, up 12 min

GROUPS
  www   NOWHERE   BLOCKED on node1

NODES
  node1   OBSERVER (fresh from boot)   answers you
  node2   DEAD                         never heard   OTHER CLUSTER FILE

PATHS
  to node2   crossover ONE WAY   lan UNKNOWN   serial up

gate: none

ALERTS
  www runs nowhere
  node2 was never heard
";
        value["gate"] = json!("none");
        check(value, expected);
    }

    #[test]
    fn what_is_left_alone_and_what_waits() {
        let mut value = healthy();
        value["maintenance"] = json!(true);
        value["nodes"][1]["quarantined"] = json!(true);
        value["nodes"][1]["health"] = json!("red");
        value["nodes"][0]["disk"] = json!("kept");
        value["nodes"][1]["disk"] = json!("failing");
        let www = value["groups"][0].clone();
        let group = |name: &str, edit: Value| {
            let mut group = www.clone();
            group["name"] = json!(name);
            let group = group.as_object_mut().unwrap();
            group.extend(edit.as_object().unwrap().clone());
            json!(group)
        };
        value["groups"] = json!([
            group(
                "dns",
                json!({"holder": null, "clones": 2, "nodes": ["node1", "node2"]})
            ),
            group(
                "ntp",
                json!({"holder": null, "clones": 2, "nodes": ["node2"],
                                "state": "stopped", "waits_for": "dns"})
            ),
            group(
                "www",
                json!({"managed": false, "failures": 1, "placement": {
                "planned": ["node1"], "holders": ["node1"], "banned": ["node2"], "waiting": [],
                "prefer": {"node": "node2", "pending": true, "once": false},
                "damped": false, "first": false}})
            ),
            group(
                "db",
                json!({"holder": null, "state": "stopped", "waits_for": "www"})
            ),
            group(
                "mail",
                json!({"holder": "node2", "state": "stopped", "stuck_on": "node2"})
            ),
            group(
                "one",
                json!({"promotes": "dns", "members": [{"name": "dns role", "state": "started"}],
                       "promotion": [{"node": "node1", "score": 5}, {"node": "node2", "score": 0}]})
            ),
            group(
                "two",
                json!({"promotes": "dns", "holder": null, "state": "stopped"})
            ),
        ]);
        let read: Status = serde_json::from_value(value).unwrap();
        let expected = "\
web: healthy, as node1 sees it, up 12 min
MAINTENANCE: nothing is started, stopped or moved

GROUPS
  dns    on node1, node2          started   web, vip
  ntp    on node2 (ONLY 1 of 2)                        WAITS for dns on node1
  www    on node1                 started   web, vip   NOT MANAGED by order, BARRED from node2, wanted on node2 by order, 1 failure on node1
  db     NOWHERE                                       WAITS for www on node1
  mail   on node2                                      CANNOT BE STOPPED on node2
  one    on node1                 started   dns role   may promote dns on node1 (5), node2 (0)
  two    NOWHERE                                       NO INSTANCE of dns to promote

NODES
  node1   active    answers you        wishes kept on disk
  node2   standby   heard 120 ms ago   IN QUARANTINE, HEALTH RED, STATE PARTITION FAILS
";
        let shown = status(&read);
        assert!(shown.starts_with(expected), "shown:\n{shown}");
    }

    #[test]
    fn a_group_on_its_way() {
        let mut value = healthy();
        value["groups"][0]["state"] = json!("starting");
        value["groups"][0]["members"][1]["state"] = json!("starting");
        let read: Status = serde_json::from_value(value).unwrap();
        let shown = status(&read);
        assert!(
            shown.contains("  www   on node1   STARTING   web, vip STARTING\n"),
            "{shown}"
        );
    }

    #[test]
    fn log_lines_align() {
        let line = |at_us, level, text: &str| {
            log_line(&LogLine {
                seq: 0,
                at_us,
                level,
                text: text.to_owned(),
            })
        };
        assert_eq!(
            line(1_500_000, Level::Info, "up"),
            "[    1.500000] info  up"
        );
        assert_eq!(
            line(98_765_000_042, Level::Alert, "x"),
            "[98765.000042] ALERT x"
        );
    }

    #[test]
    fn spans_have_one_unit() {
        for (ms, text) in [
            (0, "0 ms"),
            (1_050, "1 s"),
            (1_250, "1.2 s"),
            (10_000, "10 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
