//! `kodo simulate FILE`: says what a cluster would do, before there is one or as it is now.
//!
//! Owns the events on the command line, in the order in which they were typed, and what is
//! printed of each. What would happen is `foresee`'s. Speaks to no node: a running cluster's
//! status is handed in.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use kodo_admin::api::Status;
use kodo_config::Cluster;
use kodo_config::words::and;
use kodo_engine::config::Config;
use kodo_engine::types::{GroupId, NodeId, NodeSet};

use crate::foresee::{self, Future, WORDS, Word, action, judged};

/// What the command line says of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Simulate {
    pub(crate) file: PathBuf,
    start: Start,
    events: Vec<(&'static Word, String)>,
}

/// How it begins, and what is asked of it.
#[derive(Clone, Debug, Args)]
struct Start {
    /// Begin with the running cluster as it is now: where its groups run, what failed, what
    /// operators asked for. Asks a node of --node or KODO_NODE, which must run FILE.
    #[arg(long, conflicts_with_all = ["down", "runs"])]
    running: bool,
    /// Node that is down from the start; may be given several times.
    #[arg(long, value_name = "NODE")]
    down: Vec<String>,
    /// Where a group runs at first; the others are where placement puts them. May be given
    /// several times, of a clone for each node.
    #[arg(long, value_name = "GROUP=NODE")]
    runs: Vec<String>,
    /// After each event, say of every node what speaks for or against this group there.
    #[arg(long, value_name = "GROUP")]
    why: Vec<String>,
}

impl Simulate {
    /// Whether it begins with a running cluster.
    pub(crate) fn is_of_running(&self) -> bool {
        self.start.running
    }
}

impl Args for Simulate {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("file")
            .help("The cluster file")
            .required(true)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf));
        let command = Start::augment_args(command.arg(file));
        let event = |word: &Word| {
            let arg = Arg::new(word.name)
                .long(word.name)
                .help(word.help)
                .help_heading("Events, in the order in which they happen")
                .action(ArgAction::Append);
            match word.takes.value_name() {
                Some(name) => arg.value_name(name),
                None => arg.num_args(0).default_missing_value(""),
            }
        };
        command.args(WORDS.iter().map(event))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Simulate::augment_args(command)
    }
}

impl FromArgMatches for Simulate {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Simulate, clap::Error> {
        let mut events: Vec<(usize, &'static Word, String)> = Vec::new();
        for word in WORDS {
            let places = matches.indices_of(word.name).into_iter().flatten();
            let values = matches.get_many::<String>(word.name).into_iter().flatten();
            events.extend(
                places
                    .zip(values)
                    .map(|(at, value)| (at, word, value.clone())),
            );
        }
        events.sort_by_key(|(at, ..)| *at);
        let file = matches.get_one::<PathBuf>("file").cloned();
        Ok(Simulate {
            file: file.unwrap_or_default(),
            start: Start::from_arg_matches(matches)?,
            events: events
                .into_iter()
                .map(|(_, word, value)| (word, value))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Simulate::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What would happen, as people read it; of the running cluster with this status, or else of
/// one that begins. `load` reads another cluster file.
///
/// # Errors
/// When the command line names what the file does not have, another file is refused, or the
/// status does not tell enough.
pub(crate) fn tell(
    cluster: &Cluster,
    status: Option<&Status>,
    asked: &Simulate,
    load: &dyn Fn(&Path) -> Result<Cluster, String>,
) -> Result<String, String> {
    let start = &asked.start;
    let mut file = cluster.clone();
    let mut future = begin(foresee::config(cluster)?, status, start)?;
    let mut text = match status {
        Some(status) => format!("now, as {} says\n", status.node),
        None => String::from("at first\n"),
    };
    for n in 0..future.config().groups.len() {
        let _ = writeln!(text, "  {}", place(&future, GroupId::from_index(n)));
    }
    reasons(&mut text, &future, &start.why)?;
    for (word, value) in &asked.events {
        let _ = writeln!(text, "\n{}", format!("{} {value}", word.name).trim_end());
        let mut lines = Vec::new();
        match word.takes.event(future.config(), value)? {
            Some(event) => lines.extend(future.happen(event).err()),
            None => {
                let new = load(Path::new(value))?;
                match future.apply(&file, &new) {
                    Ok(told) => {
                        lines.extend(told);
                        file = new;
                    }
                    Err(why) => lines.push(why),
                }
            }
        }
        let actions = future.settle();
        for (n, one) in actions.iter().enumerate() {
            lines.push(action(future.config(), *one));
            // of a clone, which starts on several nodes, once
            let more = |next: &foresee::Action| next.starts() == one.starts();
            let last = !actions.get(n + 1).is_some_and(more);
            let because = one
                .starts()
                .filter(|_| last)
                .and_then(|group| future.because(group));
            lines.extend(because.map(|why| format!("  because {why}")));
        }
        if lines.is_empty() {
            lines.push("nothing is done".to_owned());
        }
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        let down = actions.iter().filter_map(|one| match one {
            foresee::Action::Down(group) | foresee::Action::Keep(group, _) => Some(*group),
            _ => None,
        });
        let down: Vec<String> = down
            .map(|group| {
                future.config().groups[group.index()]
                    .name
                    .as_str()
                    .to_owned()
            })
            .filter(|name| !start.why.contains(name))
            .collect();
        reasons(&mut text, &future, &down)?;
        reasons(&mut text, &future, &start.why)?;
    }
    Ok(text)
}

/// How things are before anything happens.
fn begin(config: Config, status: Option<&Status>, start: &Start) -> Result<Future, String> {
    if let Some(status) = status {
        return Future::running(config, status);
    }
    let down = start.down.iter().map(|name| foresee::node(&config, name));
    let down: NodeSet = down.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
    let runs = start.runs.iter().map(|pair| foresee::pair(&config, pair));
    let runs: Vec<_> = runs.collect::<Result<_, _>>()?;
    let mut future = Future::new(config, down);
    future.settle();
    future.put(&runs);
    Ok(future)
}

/// Where a group runs.
fn place(future: &Future, group: GroupId) -> String {
    let config = future.config();
    let nodes: Vec<&str> = future
        .runs(group)
        .iter()
        .map(|node: NodeId| config.nodes[node.index()].as_str())
        .collect();
    let name = &config.groups[group.index()].name;
    match nodes.is_empty() {
        true => format!("{name} is down"),
        false => format!("{name} on {}", and(&nodes)),
    }
}

fn reasons(text: &mut String, future: &Future, groups: &[String]) -> Result<(), String> {
    for name in groups {
        let _ = writeln!(text, "  why {name}:");
        for (node, verdict) in future.why(foresee::group(future.config(), name)?) {
            let _ = writeln!(text, "    {}", judged(future.config(), node, verdict));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kodo_config::report::{Style, load};

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        simulate: Simulate,
    }

    fn run(events: &[&str]) -> Result<String, String> {
        of(None, events)
    }

    fn of(status: Option<&Status>, events: &[&str]) -> Result<String, String> {
        use clap::Parser as _;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
        let line = ["simulate", file].into_iter().chain(events.iter().copied());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        let load = |path: &Path| Ok(load(path, Style::Plain)?.0);
        tell(&load(&line.simulate.file)?, status, &line.simulate, &load)
    }

    #[test]
    fn events_happen_in_the_order_in_which_they_are_typed() {
        let told = run(&[
            "--fail",
            "node1",
            "--join",
            "node1",
            "--wait",
            "--move",
            "www=node1",
            "--fail",
            "node2",
        ]);
        assert_eq!(
            told.unwrap(),
            "at first\n  www on node1\n\
             \nfail node1\n  start www on node2 (failover)\n    because node1: not a member\n\
             \njoin node1\n  nothing is done\n\
             \nwait\n  nothing is done\n\
             \nmove www=node1\n  stop www on node2\n  start www on node1 (operator's wish)\n    \
             because worth 1 there; node2: open, worth 0\n\
             \nfail node2\n  nothing is done\n"
        );
    }

    #[test]
    fn what_is_down_is_explained() {
        let told = run(&["--down", "node2", "--standby", "node1"]).unwrap();
        assert!(
            told.ends_with("standby node1\n  stop www on node1\n  www is down\n  why www:\n    node1: on standby\n    node2: not a member\n"),
            "{told}"
        );
    }

    #[test]
    fn the_same_file_changes_nothing_and_mistakes_are_told() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
        let told = run(&["--runs", "www=node2", "--apply", file]).unwrap();
        assert!(
            told.starts_with("at first\n  www on node2\n") && told.ends_with("nothing is done\n"),
            "{told}"
        );
        assert!(
            run(&["--fail", "node3"])
                .unwrap_err()
                .contains("no node `node3`")
        );
        assert!(
            run(&["--broken", "www"])
                .unwrap_err()
                .contains("not GROUP=NODE")
        );
    }
    /// The example pair as node2 tells of it: it holds the group, an operator wants it on
    /// node1 once that is open again, and node1 is on standby.
    fn running(change: impl Fn(&mut serde_json::Value)) -> Status {
        let facts = serde_json::json!({"leaving": false, "foreign": false, "reachable": true,
            "lost": false, "found": true, "unsteady": false});
        let node = |name: &str, standby: bool| {
            serde_json::json!({"name": name, "role": "standby", "standby": standby, "boot": null,
                "silent_ms": null, "same_file": true, "placement": facts, "paths": []})
        };
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
        let cluster = load(Path::new(file), Style::Plain).unwrap().0;
        let config = foresee::config(&cluster).unwrap();
        let mut status = serde_json::json!({
            "schema": 1, "cluster": "web", "node": "node2", "uptime_ms": 1, "role": "active",
            "file": format!("{:016x}", config.file_hash), "health": "degraded", "concerns": [],
            "notes": [], "view": {"epoch": 3, "members": ["node1", "node2"]}, "reachable": true,
            "watchdog": null, "nodes": [node("node1", true), node("node2", false)],
            "groups": [{"name": "www", "holder": "node2", "epoch": 3, "state": "started",
                "failures": 0, "members": [],
                "placement": {"planned": ["node2"], "holders": ["node2"], "banned": [],
                    "waiting": [], "damped": false, "first": false,
                    "prefer": {"node": "node1", "pending": true, "once": false}}}],
            "counters": {}, "last_event": ""});
        change(&mut status);
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_running_cluster_goes_on_from_where_it_is() {
        let told = of(Some(&running(|_| ())), &["--running", "--online", "node1"]).unwrap();
        assert_eq!(
            told,
            "now, as node2 says\n  www on node2\n\
             \nonline node1\n  stop www on node2\n  start www on node1 (operator's wish)\n    \
             because worth 1 there; node2: open, worth 0\n"
        );
        let banned = running(|status| {
            status["groups"][0]["placement"]["banned"] = serde_json::json!(["node1"]);
        });
        let told = of(Some(&banned), &["--running", "--online", "node1"]).unwrap();
        assert!(
            told.ends_with("nothing is done\n"),
            "it failed there: {told}"
        );
        let alone = running(|status| {
            status["view"]["members"] = serde_json::json!(["node2"]);
        });
        let told = of(Some(&alone), &["--running", "--standby", "node2"]).unwrap();
        assert!(told.contains("node1: not a member"), "{told}");
    }

    #[test]
    fn a_file_that_nodes_refuse_is_said_to_be_refused() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
        let text = std::fs::read_to_string(file).unwrap();
        // what the engine never hears of, too
        let other = text.replace("ping = [\"192.168.0.1\"]", "ping = [\"192.168.0.9\"]");
        let other = Cluster::parse("other", &other, &|_, _| Err(String::new())).unwrap();
        let line = <Line as clap::Parser>::try_parse_from(["simulate", file, "--apply", "other"]);
        let load = |path: &Path| match path.to_str() {
            Some("other") => Ok(other.clone()),
            _ => Ok(load(path, Style::Plain)?.0),
        };
        let simulate = line.unwrap().simulate;
        let told = tell(&load(&simulate.file).unwrap(), None, &simulate, &load).unwrap();
        let says = "refused while the nodes run: cluster: ping: 192.168.0.1 -> 192.168.0.9";
        assert!(told.contains(says), "{told}");
    }

    #[test]
    fn what_a_node_cannot_know_is_refused() {
        for (word, change) in [
            ("no member", "view"),
            ("another cluster file", "file"),
            ("too old", "groups"),
            ("does not hear node1", "nodes"),
        ] {
            let status = running(|status| match change {
                "view" => status["view"] = serde_json::Value::Null,
                "nodes" => status["nodes"][0]["role"] = serde_json::json!("dead"),
                "file" => status["file"] = serde_json::json!("0123456789abcdef"),
                _ => status["groups"][0]["placement"] = serde_json::Value::Null,
            });
            let why = of(Some(&status), &["--running"]).unwrap_err();
            assert!(
                why.contains(word) && why.contains("--node") || word == "another cluster file",
                "{why}"
            );
        }
        assert!(
            run(&["--running", "--down", "node1"]).is_err(),
            "one way to begin"
        );
    }
}
