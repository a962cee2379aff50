//! `kodo apply` and `kodo diff`: a changed cluster file for nodes that run.
//!
//! Owns the order, which a person can stop until the last step: check the file here, find every
//! node, let each compare the file with what it runs, show what differs and what placement will
//! do about it, ask, hand the file to every node, have them change together, wait until all
//! have. Decides nothing: each node checks the file itself, and the nodes agree on the instant.
//! One refusal, by whomever, and nothing is changed anywhere.

mod nodes;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kodo_admin::api::{self, FileRead, Status};
use kodo_config::bundle::NONCE;
use kodo_config::words::and;
use kodo_config::{Bundle, Cluster, secrets};

use self::nodes::{Node, Nodes};
use crate::client::{Authority, Failure};
use crate::foresee::{self, Future, action};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Beside the time that groups need to stop: the nodes agree within seconds.
const AGREE: Duration = Duration::from_secs(30);
/// An answer that a busy node did not give in time is asked for so often.
const TRIES: usize = 5;

/// What the command line says.
pub(crate) struct Wish {
    pub(crate) file: PathBuf,
    /// Nodes that may be missing.
    pub(crate) without: Vec<String>,
    /// Nothing is changed.
    pub(crate) look_only: bool,
    /// Nobody is asked.
    pub(crate) yes: bool,
}

/// How it ended.
pub(crate) enum End {
    /// Done, or nothing to do.
    Done,
    /// Refused, here or by a node; nothing was changed.
    Refused(String),
    /// Nobody could say.
    Unknown(String),
    /// The person said no.
    Declined,
}

/// A person who reads, and may be asked.
pub(crate) struct Desk<'d> {
    pub(crate) say: &'d mut dyn FnMut(&str),
    pub(crate) ask: &'d mut dyn FnMut(&str) -> bool,
}

/// A file that was found to be sound here.
struct Ready {
    cluster: Cluster,
    bundle: Bundle,
}

/// Applies, or only compares, a file.
///
/// # Errors
/// When a node does not know the token, or answers something else.
pub(crate) fn run(
    wish: &Wish,
    named: &[Authority],
    token: &str,
    load: &dyn Fn(&Path) -> Result<Cluster, String>,
    desk: &mut Desk<'_>,
) -> Result<End, Failure> {
    let ready = match read(&wish.file, load) {
        Ok(ready) => ready,
        Err(why) => return Ok(End::Refused(why)),
    };
    let cluster = &ready.cluster;
    let places = match nodes::places(cluster, named) {
        Ok(places) => places,
        Err(why) => return Ok(End::Refused(why)),
    };
    let nodes = nodes::find(cluster, places, token)?;
    if let Some(end) = missing(wish, &nodes) {
        return Ok(end);
    }
    let sealed = match seal(ready.bundle, cluster, &nodes.found) {
        Ok(sealed) => sealed,
        Err(why) => return Ok(End::Refused(why)),
    };
    let read = match verdicts(&nodes.found, &sealed, false, desk) {
        Ok(read) => read,
        Err(end) => return Ok(end),
    };
    let hash = api::file(cluster.file_hash());
    let runs = |node: &&Node| node.status.file == hash;
    if nodes.found.iter().all(|node| runs(&node)) {
        (desk.say)("Every node runs this file already: nothing to do.\n");
        return Ok(End::Done);
    }
    (desk.say)(&differences(&nodes.found, &read));
    (desk.say)(&moves(cluster, &nodes));
    if wish.look_only {
        return Ok(End::Done);
    }
    if !wish.yes && !(desk.ask)("Change all nodes to this file?") {
        return Ok(End::Declined);
    }
    if let Err(end) = verdicts(&nodes.found, &sealed, true, desk) {
        return Ok(end);
    }
    let first = &nodes.found[0];
    match first.adopt(&hash) {
        // Asked is asked: the nodes' own word tells.
        Ok(_) | Err(Failure::Uncertain(..)) => {}
        Err(Failure::Refused(place, error)) => {
            return Ok(End::Refused(format!(
                "{place} refused: {}; nothing was changed\n  try: {}",
                error.error, error.hint
            )));
        }
        Err(failure) => return Err(failure),
    }
    let end = wait(&nodes.found, &hash, patience(cluster), desk)?;
    if let End::Done = end {
        (desk.say)(&after(&wish.file, &read, &nodes.missing));
    }
    Ok(end)
}

/// Two files side by side, without any node: what differs, and whether nodes that run could go
/// from one to the other.
pub(crate) fn compare(old: &Cluster, new: &Cluster) -> (String, Result<(), String>) {
    let changes = new.changes(old);
    let mut text = String::new();
    for change in &changes {
        let _ = writeln!(text, "{change}");
    }
    if changes.is_empty() {
        text.push_str("The two files mean the same.\n");
    }
    (text, new.unfit(old, &changes))
}

fn read(path: &Path, load: &dyn Fn(&Path) -> Result<Cluster, String>) -> Result<Ready, String> {
    // Its drawn messages, and what only this host can check.
    load(path)?;
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let (bundle, cluster) =
        Bundle::gather(&name, &text, &secrets::beside(path)).map_err(|items| {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            items.join("\n")
        })?;
    Ok(Ready { cluster, bundle })
}

/// A node that cannot be asked would be left with the old file: only who says so goes on.
fn missing(wish: &Wish, nodes: &Nodes) -> Option<End> {
    let left_out: Vec<&String> = nodes
        .missing
        .iter()
        .filter(|name| !wish.without.contains(name))
        .collect();
    if nodes.found.is_empty() {
        return Some(End::Unknown(format!(
            "no node answered\n  {}\n  try: the addresses after --node or in KODO_NODE, power, the LAN",
            nodes.silent.join("\n  ")
        )));
    }
    if left_out.is_empty() {
        return None;
    }
    let flags: Vec<String> = left_out
        .iter()
        .map(|name| format!("--without {name}"))
        .collect();
    Some(End::Unknown(format!(
        "{} cannot be asked; nothing was changed\n  {}\n  try: `kodo apply {}` when they are back; or now with {}: \
         they come back with the file of their images, and get this one when it is applied again",
        and(&left_out),
        nodes.silent.join("\n  "),
        wish.file.display(),
        flags.join(" "),
    )))
}

/// Sealed with the key that signs from now on: nodes must accept it already.
fn seal(bundle: Bundle, cluster: &Cluster, nodes: &[Node]) -> Result<Vec<u8>, String> {
    let running: BTreeSet<u64> = nodes
        .iter()
        .filter_map(|node| u64::from_str_radix(&node.status.file, 16).ok())
        .collect();
    let running: Vec<u64> = running.into_iter().collect();
    let nonce = crate::offline::random::<NONCE>().map_err(|error| error.to_string())?;
    let key = cluster.keys.first().ok_or("the file has no key")?;
    bundle
        .seal(key, &running, nonce)
        .map_err(|error| error.to_string())
}

/// What every node says of the file, each shown; the end, when one refuses it.
fn verdicts(
    nodes: &[Node],
    sealed: &[u8],
    stage: bool,
    desk: &mut Desk<'_>,
) -> Result<Vec<FileRead>, End> {
    let mut read = Vec::new();
    let mut refused = String::new();
    let mut unknown = false;
    for node in nodes {
        match patiently(|| node.file(sealed, stage)) {
            Ok(verdict) => {
                if stage {
                    (desk.say)(&format!("{}: has it\n", node.name));
                }
                read.push(verdict);
            }
            Err(Failure::Refused(_, error)) => {
                let _ = writeln!(refused, "{} refuses the file: {}", node.name, error.error);
            }
            Err(failure) => {
                unknown = true;
                let _ = writeln!(refused, "{}: {failure}", node.name);
            }
        }
    }
    let refused = refused.trim_end();
    match (refused.is_empty(), unknown) {
        (true, _) => Ok(read),
        (false, false) => Err(End::Refused(format!(
            "{refused}\nNothing was changed anywhere."
        ))),
        (false, true) => Err(End::Unknown(format!(
            "{refused}\nNothing was changed anywhere."
        ))),
    }
}

/// A node that reads somebody's file, or restarts its API, has a better answer in a moment.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut tries = 1;
    loop {
        match ask() {
            Err(Failure::Unreachable(_) | Failure::Uncertain(..)) if tries < TRIES => {}
            answer => return answer,
        }
        tries += 1;
        sleep(LOOK);
    }
}

/// What differs from what each node runs: nodes that run the same are told together.
fn differences(nodes: &[Node], read: &[FileRead]) -> String {
    let mut told: Vec<(&[String], Vec<&str>)> = Vec::new();
    for (node, verdict) in nodes.iter().zip(read) {
        match told
            .iter_mut()
            .find(|(changes, _)| *changes == verdict.changes)
        {
            Some((_, names)) => names.push(&node.name),
            None => told.push((&verdict.changes, vec![&node.name])),
        }
    }
    let mut text = String::new();
    for (changes, names) in told {
        if changes.is_empty() {
            let _ = writeln!(text, "{}: no difference", and(&names));
            continue;
        }
        let _ = writeln!(text, "What changes on {}:", and(&names));
        for change in changes {
            let _ = writeln!(text, "  {change}");
        }
    }
    text
}

/// What placement does about it, from where things are now.
fn moves(cluster: &Cluster, nodes: &Nodes) -> String {
    let all = nodes.found.iter();
    let mut told: Vec<_> = all.map(|node| foretold(cluster, &node.status)).collect();
    // one that knows comes first
    told.sort_by_key(Result::is_err);
    match told.into_iter().next() {
        None => String::new(),
        Some(Ok(lines)) if lines.is_empty() => "Placement: nothing is moved.\n".to_owned(),
        Some(Ok(lines)) => format!(
            "Placement, beside what restarts:\n  {}\n",
            lines.join("\n  ")
        ),
        Some(Err(why)) => format!("Placement is not foretold: {why}\n"),
    }
}

fn foretold(cluster: &Cluster, status: &Status) -> Result<Vec<String>, String> {
    let mut future = Future::under(foresee::config(cluster)?, status)?;
    let actions = future.settle();
    let told = actions.iter().map(|one| action(future.config(), *one));
    Ok(told.collect())
}

/// How long the change may take: what it changes stops first.
fn patience(cluster: &Cluster) -> Duration {
    let stops = cluster.services.iter().map(|service| service.stop_timeout);
    AGREE + stops.sum::<Duration>()
}

/// Waits until every node runs the file.
fn wait(
    nodes: &[Node],
    hash: &str,
    patience: Duration,
    desk: &mut Desk<'_>,
) -> Result<End, Failure> {
    let begun = Instant::now();
    let mut waiting: Vec<&Node> = nodes.iter().collect();
    loop {
        let mut given_up = 0;
        let mut left = Vec::new();
        for node in waiting {
            match node.look() {
                Ok(status) if status.file == hash => {
                    (desk.say)(&format!("{}: runs it\n", node.name));
                }
                Ok(status) => {
                    given_up += usize::from(status.staged.is_none());
                    left.push(node);
                }
                Err(Failure::Unreachable(_) | Failure::Uncertain(..)) => left.push(node),
                Err(failure) => return Err(failure),
            }
        }
        waiting = left;
        if waiting.is_empty() {
            return Ok(End::Done);
        }
        let names: Vec<&str> = waiting.iter().map(|node| node.name.as_str()).collect();
        if begun.elapsed() >= patience {
            return Ok(End::Unknown(format!(
                "{} did not change within {} s{}\n  try: kodo status and kodo log there; apply the file again",
                and(&names),
                patience.as_secs(),
                if given_up > 0 { ", and gave it up" } else { "" },
            )));
        }
        sleep(LOOK);
    }
}

/// What must still be said.
fn after(file: &Path, read: &[FileRead], missing: &[String]) -> String {
    let file = file.display();
    let mut text = format!(
        "\nEvery node that answers runs {file}.\n\
         A node that boots runs the file of its image again: put images of {file} in place before \
         the next boot (`cargo xtask image --cluster {file} --out DIR`), or apply it again after it.\n"
    );
    if !missing.is_empty() {
        let _ = writeln!(
            text,
            "{}: comes back with the file of its image; then apply {file} again.",
            and(missing)
        );
    }
    let changes = || read.iter().flat_map(|verdict| &verdict.changes);
    let keys = changes().find(|change| change.starts_with("cluster: key:"));
    if let Some(next) = keys.and_then(|keys| next_key(keys)) {
        let _ = writeln!(text, "{next}");
    }
    text
}

/// The next step of a rotation, by what has become of the keys.
fn next_key(keys: &str) -> Option<&'static str> {
    let ends = |words: &str| keys.ends_with(words);
    if ends("accepts a fresh one too") {
        Some(
            "Keys, step 1 of 3 is done: both are accepted, the old one signs. Next: swap the two lines \
             of the key file, and apply again.",
        )
    } else if ends("accepts the one that signed too") {
        Some(
            "Keys, step 2 of 3 is done: the new one signs. Next: delete the second line of the key \
             file, the old key, and apply again.",
        )
    } else if ends("accepts no other") {
        Some("Keys, step 3 of 3 is done: the old one is accepted nowhere any more.")
    } else {
        None
    }
}
