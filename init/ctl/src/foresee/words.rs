//! The words for events, actions and verdicts: the same on the command line and in cases.
//!
//! Owns their spelling. Decides nothing.

use kodo_engine::config::Config;
use kodo_engine::placement::Verdict;
use kodo_engine::surface::{Cause, Health};
use kodo_engine::types::{GroupId, NodeId, ResourceId};

use super::{Action, Why};

/// Something that happens to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Fail(NodeId),
    Join(NodeId),
    Leave(NodeId),
    Standby(NodeId),
    StandbyElsewhere(NodeId),
    Online(NodeId),
    Quarantine(NodeId),
    Health(NodeId, Health),
    /// A stop failed there, and the file says to leave it alone then.
    Stuck(GroupId, NodeId),
    LoseClients(NodeId),
    RegainClients(NodeId),
    OtherFile(NodeId),
    SameFile(NodeId),
    Broken(GroupId, NodeId),
    Stop(GroupId),
    Crash(GroupId, NodeId),
    Promotion(GroupId, NodeId, i16),
    Cleanup(GroupId),
    /// The last says that the wish ends when it is fulfilled.
    Move(GroupId, NodeId, bool),
    Maintenance(bool),
    Manage(GroupId, bool),
    /// Whatever was too recent is not any more.
    Wait,
}

/// What an event is called, and what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) help: &'static str,
}

/// How an event's value becomes one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    Node(fn(NodeId) -> Event),
    Group(fn(GroupId) -> Event),
    /// A group, or a member of one.
    Member(fn(GroupId) -> Event),
    Pair(fn(GroupId, NodeId) -> Event),
    Score(fn(GroupId, NodeId, i16) -> Event),
    Switch(fn(bool) -> Event),
    Nothing(Event),
    /// Another cluster file: no event of its own.
    File,
}

const fn word(name: &'static str, takes: Takes, help: &'static str) -> Word {
    Word { name, takes, help }
}

/// All events.
pub(crate) const WORDS: &[Word] = &[
    word(
        "fail",
        Takes::Node(Event::Fail),
        "It loses power, and is known to be gone",
    ),
    word(
        "join",
        Takes::Node(Event::Join),
        "It is a healthy member (again), and has reached the clients for a while",
    ),
    word(
        "leave",
        Takes::Node(Event::Leave),
        "It is halted in order: it gives everything up first",
    ),
    word(
        "standby",
        Takes::Node(Event::Standby),
        "As `kodo standby NODE`",
    ),
    word(
        "standby-elsewhere",
        Takes::Node(Event::StandbyElsewhere),
        "After a split heals it turns out that the other part was told `kodo standby NODE`",
    ),
    word(
        "online",
        Takes::Node(Event::Online),
        "As `kodo online NODE`; ends a quarantine too",
    ),
    word(
        "quarantine",
        Takes::Node(Event::Quarantine),
        "It has died too often",
    ),
    word(
        "red",
        Takes::Node(|node| Event::Health(node, Health::Red)),
        "It has been ill for a while: health red",
    ),
    word(
        "yellow",
        Takes::Node(|node| Event::Health(node, Health::Yellow)),
        "It has been strained for a while: health yellow",
    ),
    word(
        "green",
        Takes::Node(|node| Event::Health(node, Health::Green)),
        "It has been well again for a while",
    ),
    word(
        "stuck",
        Takes::Pair(Event::Stuck),
        "The group cannot be stopped on the node, and `on_stop_failure` is \"block\"",
    ),
    word(
        "lose-clients",
        Takes::Node(Event::LoseClients),
        "It does not reach the clients any more, for longer than the settling time",
    ),
    word(
        "regain-clients",
        Takes::Node(Event::RegainClients),
        "It has reached the clients again for the settling time; failbacks to it still wait",
    ),
    word(
        "other-file",
        Takes::Node(Event::OtherFile),
        "It runs another cluster file than the rest: voluntary moves freeze",
    ),
    word(
        "same-file",
        Takes::Node(Event::SameFile),
        "It runs the same cluster file again",
    ),
    word(
        "broken",
        Takes::Pair(Event::Broken),
        "The group's failures on the node reach `migration_threshold`",
    ),
    word(
        "stop",
        Takes::Member(Event::Stop),
        "It stops by itself and does not come back: the same, on each node where it runs. A \
         group, or the service or VIP of one",
    ),
    word(
        "crash",
        Takes::Pair(Event::Crash),
        "An instance fails once on the node and is restarted in place: a role it had is lost",
    ),
    word(
        "promotion",
        Takes::Score(Event::Promotion),
        "How fit the node's instance says it is to be promoted by the group; below 0: it must not be",
    ),
    word(
        "cleanup",
        Takes::Group(Event::Cleanup),
        "As `kodo cleanup GROUP`",
    ),
    word(
        "move",
        Takes::Pair(|group, node| Event::Move(group, node, false)),
        "As `kodo move GROUP NODE`: it prefers the node from then on",
    ),
    word(
        "move-once",
        Takes::Pair(|group, node| Event::Move(group, node, true)),
        "The same, but it prefers the node only until it is there",
    ),
    word(
        "maintenance",
        Takes::Switch(Event::Maintenance),
        "Nothing is touched until it is over",
    ),
    word(
        "unmanage",
        Takes::Group(|group| Event::Manage(group, false)),
        "The group is left alone",
    ),
    word(
        "manage",
        Takes::Group(|group| Event::Manage(group, true)),
        "The group is looked after again",
    ),
    word(
        "wait",
        Takes::Nothing(Event::Wait),
        "Time passes: damping, a failback's delay and waiting for a steady node are over",
    ),
    word("apply", Takes::File, "All nodes get another cluster file"),
];

impl Takes {
    /// What stands for the value in help; `None` when there is none.
    pub(crate) fn value_name(self) -> Option<&'static str> {
        match self {
            Takes::Node(_) => Some("NODE"),
            Takes::Group(_) => Some("GROUP"),
            Takes::Member(_) => Some("NAME"),
            Takes::Pair(_) => Some("GROUP=NODE"),
            Takes::Score(_) => Some("GROUP=NODE:SCORE"),
            Takes::Switch(_) => Some("on|off"),
            Takes::File => Some("FILE"),
            Takes::Nothing(_) => None,
        }
    }

    /// The event about a value; `None` for another file.
    ///
    /// # Errors
    /// When the cluster file does not have what the value names.
    pub(crate) fn event(self, config: &Config, value: &str) -> Result<Option<Event>, String> {
        Ok(Some(match self {
            Takes::Node(event) => event(node(config, value)?),
            Takes::Group(event) => event(group(config, value)?),
            Takes::Member(event) => event(group_with(config, value)?),
            Takes::Pair(event) => {
                let (group, node) = pair(config, value)?;
                event(group, node)
            }
            Takes::Score(event) => {
                let flaw =
                    || format!("`{value}` is not GROUP=NODE:SCORE, a score of -32768 to 32767");
                let (place, score) = value.rsplit_once(':').ok_or_else(flaw)?;
                let (group, node) = pair(config, place)?;
                event(group, node, score.parse().map_err(|_| flaw())?)
            }
            Takes::Switch(event) => match value {
                "on" => event(true),
                "off" => event(false),
                _ => return Err(format!("`{value}` is neither on nor off")),
            },
            Takes::Nothing(event) => event,
            Takes::File => return Ok(None),
        }))
    }
}

pub(crate) fn node(config: &Config, name: &str) -> Result<NodeId, String> {
    let found = config.nodes.iter().position(|node| node == name);
    found
        .map(NodeId::from_index)
        .ok_or_else(|| format!("there is no node `{name}` in the file"))
}

pub(crate) fn group(config: &Config, name: &str) -> Result<GroupId, String> {
    let found = config.groups.iter().position(|group| group.name == name);
    found
        .map(GroupId::from_index)
        .ok_or_else(|| format!("there is no group `{name}` in the file"))
}

/// The group of this name, or else the one with a member of this name.
fn group_with(config: &Config, name: &str) -> Result<GroupId, String> {
    let member = |id: &ResourceId| config.resources[id.index()].name == name;
    let mut groups = config.groups.iter();
    let holds = groups.position(|group| group.members.iter().any(member));
    let holds = holds.map(GroupId::from_index);
    let named = group(config, name).ok().or(holds);
    named.ok_or_else(|| format!("there is no group, service or VIP `{name}` in the file"))
}

/// `GROUP=NODE`
pub(crate) fn pair(config: &Config, text: &str) -> Result<(GroupId, NodeId), String> {
    let (one, other) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not GROUP=NODE"))?;
    Ok((group(config, one)?, node(config, other)?))
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Start => "first start",
        Cause::Failover => "failover",
        Cause::Failback => "failback",
        Cause::Move => "operator's wish",
        Cause::Health => "clients out of reach",
        Cause::Displaced => "makes room, or follows",
    }
}

/// An action as people read it.
pub(crate) fn action(config: &Config, action: Action) -> String {
    let group = |id: GroupId| config.groups[id.index()].name.as_str();
    let node = |id: NodeId| config.nodes[id.index()].as_str();
    match action {
        Action::Stop(id, at) => format!("stop {} on {}", group(id), node(at)),
        Action::Start(id, at, Why::Placed(why)) => {
            format!("start {} on {} ({})", group(id), node(at), cause(why))
        }
        Action::Start(id, at, Why::After(first)) => {
            format!(
                "start {} on {} (after {})",
                group(id),
                node(at),
                group(first)
            )
        }
        Action::Start(id, at, Why::Changed) => {
            format!("start {} on {} (changed)", group(id), node(at))
        }
        Action::Keep(id, at) => format!("keep {} on {}", group(id), node(at)),
        Action::Quorum(false) => "too few votes are left to decide".to_owned(),
        Action::Quorum(true) => "there are enough votes again".to_owned(),
        Action::Down(id) => format!("{} is down", group(id)),
        Action::Wait(id, first) => format!("{} waits for {}", group(id), group(first)),
    }
}

/// What speaks for or against a group on a node.
pub(crate) fn judged(config: &Config, at: NodeId, verdict: Verdict) -> String {
    let mut text = format!("{}: ", config.nodes[at.index()]);
    // a String takes everything
    let _ = verdict.text(config, &mut text);
    text
}
