//! `kodo simulate FILE`: says what a cluster would do, before there is one.
//!
//! Owns the events on the command line, in the order in which they were typed, and what is
//! printed of each. What would happen is `foresee`'s. Speaks to no node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
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

/// What would happen, as people read it. `load` reads another cluster file.
///
/// # Errors
/// When the command line names what the file does not have, or another file is refused.
pub(crate) fn tell(
    cluster: &Cluster,
    asked: &Simulate,
    load: &dyn Fn(&Path) -> Result<Cluster, String>,
) -> Result<String, String> {
    let config = engine(cluster)?;
    let start = &asked.start;
    let down: Result<NodeSet, String> = start
        .down
        .iter()
        .map(|name| foresee::node(&config, name))
        .collect();
    let runs: Result<Vec<_>, String> = start
        .runs
        .iter()
        .map(|pair| foresee::pair(&config, pair))
        .collect();
    let mut future = Future::new(config, down?);
    future.settle();
    future.put(&runs?);
    let mut text = String::from("at first\n");
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
                let other = engine(&load(Path::new(value))?)?;
                lines.extend(future.apply(&other));
            }
        }
        let actions = future.settle();
        lines.extend(actions.iter().map(|one| action(future.config(), *one)));
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

/// What the engine gets; of its own node nothing is asked.
fn engine(cluster: &Cluster) -> Result<Config, String> {
    let first = cluster.nodes.first().ok_or("the file has no node")?;
    let config = cluster
        .node(&first.name)
        .map_err(|error| error.to_string())?;
    Ok(config.engine)
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
        use clap::Parser as _;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../image/examples/web.toml");
        let line = ["simulate", file].into_iter().chain(events.iter().copied());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        let load = |path: &Path| Ok(load(path, Style::Plain)?.0);
        tell(&load(&line.simulate.file)?, &line.simulate, &load)
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
             \nfail node1\n  start www on node2 (failover)\n\
             \njoin node1\n  nothing is done\n\
             \nwait\n  nothing is done\n\
             \nmove www=node1\n  stop www on node2\n  start www on node1 (operator's wish)\n\
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
}
