//! The cases of `tests/policy`: what the cluster does, written down so that people can
//! judge it.
//!
//! A file has clusters and cases. `%% NAME` begins a cluster: `nodes a b=4`, a number being a
//! node's capacity, with `; quorum` behind it where votes decide and `; quorum first` where
//! the first node settles ties; then tables of a cluster file; a group's members are made up. `== TITLE`
//! begins a case of the cluster before it. `down NODE` and `runs GROUP=NODE` say how it
//! begins; without `runs`, groups are where they start. `> EVENT` is something that happens,
//! and below it is all that is done about it, in order, or `nothing`. `> start` is the start
//! of a cold cluster, `> why GROUP` asks for the verdict of each node.

use std::fmt::Write as _;
use std::path::Path;

use kodo_config::Cluster;

use super::*;

/// All but the first digit of a cluster's keys.
const KEY: &str = "0112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
/// Fewer would mean that some got lost.
const CASES: usize = 150;

struct Case<'a> {
    file: String,
    title: &'a str,
    cluster: &'a str,
    /// Comments aside.
    lines: Vec<&'a str>,
}

/// A cluster's part of a file: its name, and its text.
type Clusters<'a> = Vec<(&'a str, String)>;

fn split<'a>(file: &str, text: &'a str) -> (Clusters<'a>, Vec<Case<'a>>) {
    let mut clusters: Clusters<'a> = Vec::new();
    let mut cases: Vec<Case<'a>> = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix("%% ") {
            clusters.push((name, String::new()));
            inside = false;
        } else if let Some(title) = line.strip_prefix("== ") {
            inside = true;
            cases.push(Case {
                file: file.to_owned(),
                title,
                cluster: clusters.last().expect("a case has a cluster").0,
                lines: Vec::new(),
            });
        } else if inside {
            let case = cases.last_mut().expect("inside one");
            if !line.is_empty() && !line.starts_with('#') {
                case.lines.push(line);
            }
        } else if let Some((_, cluster)) = clusters.last_mut() {
            let _ = writeln!(cluster, "{line}");
        }
    }
    (clusters, cases)
}

/// A whole cluster file around some tables, read by the real reader.
fn read(text: &str) -> Result<Cluster, String> {
    let (nodes, tables) = text.split_once('\n').expect("nodes, then tables");
    let mut words = nodes.split("; ");
    let nodes = words.next().and_then(|nodes| nodes.strip_prefix("nodes "));
    let nodes = nodes.expect("nodes come first");
    let (mut split, mut keys) = ("accept", "1");
    for word in words {
        match word.strip_prefix("keys ") {
            Some(numbers) => keys = numbers,
            None => split = word,
        }
    }
    let split = match split {
        "quorum first" => "quorum\"\neven_split = \"first",
        split => split,
    };
    let mut file = format!(
        "schema = 1\n[cluster]\nname = \"case\"\nsplit_brain = \"{split}\"\n\
         key_file = \"keys\"\n"
    );
    for (n, node) in nodes.split_whitespace().enumerate() {
        let (name, capacity) = match node.split_once('=') {
            Some((name, capacity)) => (name, format!("capacity = {capacity}\n")),
            None => (node, String::new()),
        };
        let n = n + 1;
        let _ = write!(
            file,
            "[[node]]\nname = \"{name}\"\n{capacity}\
             [[node.nic]]\nrole = \"lan\"\nmac = \"52:54:00:00:{n:02x}:01\"\n\
             address = [\"10.0.0.{n}/24\"]\n\
             [[node.nic]]\nrole = \"crossover\"\nmac = \"52:54:00:00:{n:02x}:02\"\n"
        );
    }
    let mut made = 0;
    // what a group promotes has two roles
    let promoted: Vec<&str> = tables
        .lines()
        .filter_map(|line| line.strip_prefix("promotes = \"")?.strip_suffix('"'))
        .collect();
    for (n, table) in tables.split("[[group]]").enumerate() {
        if n == 0 {
            file.push_str(table);
            continue;
        }
        made += 1;
        let vip = !table.split("[[").next().unwrap_or("").contains("clones");
        let promotes = table.split("[[").next().unwrap_or("").contains("promotes");
        let members = match (vip, promotes) {
            (_, true) => format!("\"v{made}\""),
            (true, false) => format!("\"s{made}\", \"v{made}\""),
            (false, false) => format!("\"s{made}\""),
        };
        let _ = write!(file, "[[group]]\nmembers = [{members}]{table}");
        let name = |name: &&str| table.contains(&format!("name = \"{name}\"\n"));
        let promotable = promoted.iter().any(name) && !vip;
        if !promotes {
            let _ = write!(
                file,
                "\n[[service]]\nname = \"s{made}\"\nport = {}\npromotable = {promotable}\n",
                8000 + made
            );
        }
        if vip {
            let _ = write!(
                file,
                "\n[[vip]]\nname = \"v{made}\"\naddress = \"10.0.0.{}/24\"\n",
                100 + made
            );
        }
    }
    let load = |_, path: &str| match path {
        "keys" => Ok(keys
            .split(' ')
            .map(|number| format!("{number}{KEY}\n"))
            .collect()),
        _ => Err(format!("no {path}")),
    };
    Cluster::parse("case", &file, &load).map_err(|items| {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        items.join("\n")
    })
}

/// What the case says, with what really happens in the place of what should.
fn play(case: &Case<'_>, clusters: &Clusters<'_>) -> Result<String, String> {
    let cluster = |name: &str| {
        let found = clusters.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| format!("no cluster {name}"))?;
        read(text)
    };
    let mut file = cluster(case.cluster)?;
    let config = config(&file)?;
    let mut text = String::new();
    let (begin, events): (Vec<&str>, Vec<&str>) = case
        .lines
        .iter()
        .partition(|line| !line.starts_with(['>', ' ']));
    let mut down = NodeSet::EMPTY;
    let mut runs = Vec::new();
    for line in begin {
        let _ = writeln!(text, "{line}");
        let (word, values) = line.split_once(' ').ok_or("a word alone")?;
        for value in values.split_whitespace() {
            match word {
                "down" => down = down.with(words::node(&config, value)?),
                "runs" => runs.push(words::pair(&config, value)?),
                _ => return Err(format!("what is {word}?")),
            }
        }
    }
    let mut future = Future::new(config, down);
    let begun = future.settle();
    future.put(&runs);
    for event in events.iter().filter_map(|line| line.strip_prefix("> ")) {
        let _ = writeln!(text, "> {event}");
        let (name, value) = event.split_once(' ').unwrap_or((event, ""));
        let lines: Vec<String> = match name {
            "start" => begun
                .iter()
                .map(|one| action(&future.config, *one))
                .collect(),
            "why" => {
                let group = words::group(&future.config, value)?;
                let word = |(node, verdict)| judged(&future.config, node, verdict);
                future.why(group).into_iter().map(word).collect()
            }
            _ => {
                let word = WORDS.iter().find(|word| word.name == name);
                let word = word.ok_or_else(|| format!("no event {name}"))?;
                let before = match word.takes.event(&future.config, value)? {
                    Some(event) => future.happen(event).err().into_iter().collect(),
                    None => {
                        let new = cluster(value)?;
                        match future.apply(&file, &new) {
                            Ok(lines) => {
                                file = new;
                                lines
                            }
                            Err(why) => vec![why],
                        }
                    }
                };
                let done = future.settle();
                let done = done.iter().map(|one| action(&future.config, *one));
                before.into_iter().chain(done).collect()
            }
        };
        let lines = if lines.is_empty() {
            vec!["nothing".to_owned()]
        } else {
            lines
        };
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    Ok(text)
}

#[test]
fn the_cluster_does_what_the_cases_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the cases")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let (mut count, mut titles, mut wrong) = (0, Vec::new(), String::new());
    for path in files {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().unwrap_or_default().display().to_string();
        let (clusters, cases) = split(&name, &text);
        for case in cases {
            count += 1;
            titles.push(format!("{}: {}", case.file, case.title));
            let expect: String = case.lines.iter().map(|line| format!("{line}\n")).collect();
            let got = play(&case, &clusters).unwrap_or_else(|why| format!("{why}\n"));
            if got != expect {
                let _ = writeln!(
                    wrong,
                    "{}: {}\n{}",
                    case.file,
                    case.title,
                    difference(&expect, &got)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= CASES, "only {count} cases");
    let all = titles.len();
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), all, "two cases have one title");
}

/// Both texts, line by line; what differs is marked.
fn difference(expect: &str, got: &str) -> String {
    let (expect, got): (Vec<_>, Vec<_>) = (expect.lines().collect(), got.lines().collect());
    let same = expect.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for line in &expect[..same] {
        let _ = writeln!(text, "  {line}");
    }
    for line in &expect[same..] {
        let _ = writeln!(text, "- {line}");
    }
    for line in &got[same..] {
        let _ = writeln!(text, "+ {line}");
    }
    text
}
