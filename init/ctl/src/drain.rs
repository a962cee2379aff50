//! `kodo drain`: a node on standby, and a person who wants to know when it is empty.
//!
//! Owns the wait: asks for the status until the node carries nothing, and says what is still
//! there. Ends early when waiting cannot help. Undoes nothing: the node stays on standby.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kodo_admin::api::{Group, Role, Status};

use crate::client::{Client, Failure};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// How the wait ended.
pub(crate) enum End {
    /// The node carries nothing any more; this says where its groups are now.
    Empty(String),
    /// It still does; this says what.
    Not(String),
    /// Nobody can say; this says why.
    Unknown(String),
}

/// What a status says of a node that is to become empty.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It carries nothing.
    Empty,
    /// It still carries this.
    Carries(String),
    /// It carries something, and waiting does not change that.
    Stays(String),
    /// It is silent: what it carries is not known.
    Silent,
}

/// Waits until `node` carries nothing, for at most `timeout`.
///
/// # Errors
/// When a node answers something else than a status, or does not know the token. That none
/// answers for a while is waited out.
pub(crate) fn wait(client: &Client, node: &str, timeout: Duration) -> Result<End, Failure> {
    let begun = Instant::now();
    let mut progress = Progress::new();
    loop {
        let (what, known) = match client.status() {
            Ok(status) => match look(&status, node) {
                Seen::Empty => {
                    progress.over();
                    let spent = begun.elapsed().as_secs();
                    let whereto = whereto(&status);
                    return Ok(End::Empty(format!(
                        "{node} holds nothing any more, after {spent} s{whereto}"
                    )));
                }
                Seen::Stays(why) => {
                    progress.over();
                    return Ok(End::Not(why));
                }
                Seen::Carries(what) => (format!("{node} still holds {what}"), true),
                Seen::Silent => {
                    let what = format!("{node} is silent: what it still holds is not known");
                    (what, false)
                }
            },
            Err(Failure::Unreachable(_)) => ("no node answers".to_owned(), false),
            Err(failure) => {
                progress.over();
                return Err(failure);
            }
        };
        if begun.elapsed() >= timeout {
            progress.over();
            let what = format!("{what}, after {} s", timeout.as_secs());
            return Ok(match known {
                true => End::Not(what),
                false => End::Unknown(what),
            });
        }
        progress.say(&what, begun.elapsed());
        sleep(LOOK);
    }
}

fn look(status: &Status, name: &str) -> Seen {
    let node = status.nodes.iter().find(|node| node.name == name);
    let holds = |group: &&Group| {
        group.holder.as_deref() == Some(name) || group.nodes.iter().any(|node| node == name)
    };
    let held: Vec<&Group> = status.groups.iter().filter(holds).collect();
    let names = |groups: &[&Group]| {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        names.join(", ")
    };
    if node.is_some_and(|node| node.role == Role::Dead) {
        return Seen::Silent;
    }
    if status.maintenance && !held.is_empty() {
        return Seen::Stays(format!(
            "{name} keeps {}: maintenance is on, and nothing is moved",
            names(&held)
        ));
    }
    let left: Vec<&Group> = held.iter().copied().filter(|g| !g.managed).collect();
    if !left.is_empty() {
        return Seen::Stays(format!(
            "{name} keeps {}: not managed, and so not moved",
            names(&left)
        ));
    }
    match node {
        _ if !held.is_empty() => Seen::Carries(names(&held)),
        Some(node) if node.carries || node.role == Role::Active => {
            Seen::Carries("what it is stopping".to_owned())
        }
        _ => Seen::Empty,
    }
}

/// `: www on node2, db NOWHERE`
fn whereto(status: &Status) -> String {
    let place = |group: &Group| {
        let nodes = match (&group.holder, group.nodes.as_slice()) {
            (Some(holder), _) => format!("on {holder}"),
            (None, []) => "NOWHERE".to_owned(),
            (None, nodes) => format!("on {}", nodes.join(" and ")),
        };
        format!("{} {nodes}", group.name)
    };
    let places: Vec<String> = status.groups.iter().map(place).collect();
    match places.is_empty() {
        true => String::new(),
        false => format!(": {}", places.join(", ")),
    }
}

/// One line that changes on a terminal; elsewhere a line for each piece of news.
struct Progress {
    terminal: bool,
    said: String,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            terminal: io::stderr().is_terminal(),
            said: String::new(),
        }
    }

    fn say(&mut self, what: &str, spent: Duration) {
        let mut err = io::stderr().lock();
        // Whoever does not want to read it misses nothing.
        let _ = match self.terminal {
            true => write!(err, "\r{what} ({} s)\x1b[K", spent.as_secs()),
            false if self.said == what => Ok(()),
            false => writeln!(err, "{what}"),
        };
        let _ = err.flush();
        what.clone_into(&mut self.said);
    }

    /// What follows begins on a line of its own.
    fn over(&mut self) {
        if self.terminal && !self.said.is_empty() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(edit: impl Fn(&mut Value)) -> Status {
        let node = |name, role| {
            json!({"name": name, "role": role, "standby": false, "boot": null,
                   "silent_ms": 80, "same_file": true, "paths": []})
        };
        let mut value = json!({
            "schema": 1, "cluster": "web", "node": "node2", "uptime_ms": 5000, "role": "active",
            "health": "healthy", "concerns": [], "notes": [], "view": null, "reachable": true,
            "watchdog": null, "counters": {}, "last_event": "",
            "nodes": [node("node1", "active"), node("node2", "standby")],
            "groups": [{"name": "www", "holder": "node1", "epoch": 2, "state": "stopped",
                        "failures": 0, "members": []}],
        });
        edit(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn seen(edit: impl Fn(&mut Value)) -> Seen {
        look(&status(edit), "node1")
    }

    #[test]
    fn a_node_is_empty_when_nothing_of_it_is_up() {
        let carries = |what: &str| Seen::Carries(what.to_owned());
        assert_eq!(seen(|_| {}), carries("www"));
        let moved = |value: &mut Value| {
            value["groups"][0]["holder"] = json!("node2");
            value["nodes"][0]["role"] = json!("standby");
        };
        assert_eq!(seen(moved), Seen::Empty);
        // Its address is free, a service still stops.
        let stopping = |value: &mut Value| {
            moved(value);
            value["nodes"][0]["carries"] = json!(true);
        };
        assert_eq!(seen(stopping), carries("what it is stopping"));
        let clone = |value: &mut Value| {
            moved(value);
            value["groups"][0]["holder"] = json!(null);
            value["groups"][0]["clones"] = json!(2);
            value["groups"][0]["nodes"] = json!(["node1", "node2"]);
        };
        assert_eq!(seen(clone), carries("www"));
    }

    #[test]
    fn what_waiting_does_not_change_is_said_at_once() {
        let stays = |why: &str| Seen::Stays(why.to_owned());
        assert_eq!(
            seen(|value| value["maintenance"] = json!(true)),
            stays("node1 keeps www: maintenance is on, and nothing is moved")
        );
        assert_eq!(
            seen(|value| value["groups"][0]["managed"] = json!(false)),
            stays("node1 keeps www: not managed, and so not moved")
        );
    }

    #[test]
    fn a_silent_node_is_not_called_empty() {
        let silent = |value: &mut Value| {
            value["groups"][0]["holder"] = json!("node2");
            value["nodes"][0]["role"] = json!("dead");
        };
        assert_eq!(seen(silent), Seen::Silent);
    }

    #[test]
    fn it_says_where_everything_is_now() {
        let text = whereto(&status(|value| {
            let www = value["groups"][0].clone();
            let groups = value["groups"].as_array_mut().unwrap();
            for (name, nodes) in [("db", json!([])), ("dns", json!(["node2", "node3"]))] {
                let mut group = www.clone();
                group["name"] = json!(name);
                group["holder"] = json!(null);
                group["nodes"] = nodes;
                groups.push(group);
            }
        }));
        assert_eq!(text, ": www on node1, db NOWHERE, dns on node2 and node3");
    }
}
