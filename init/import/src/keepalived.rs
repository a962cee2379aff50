//! `keepalived.conf`: its VRRP instances. One file is one node's.

use super::draft::{Failback, Fault, Group, Member};
use super::{Draft, Place, haresources};

/// Deepest nesting that is followed; real files have four levels.
const DEPTH_MAX: usize = 16;

/// The blocks whose lines are addresses.
const ADDRESSES: [&str; 2] = ["virtual_ipaddress", "virtual_ipaddress_excluded"];

/// Characters of a block that are kept for its note.
const BLOCK_MAX: usize = 4_000;

/// A block that has no place in a cluster file, as one line.
struct Foreign {
    place: Place,
    text: String,
    /// Blocks around it.
    depth: usize,
    why: &'static str,
}

impl Foreign {
    fn new(place: Place, words: &[&str], depth: usize, why: &'static str) -> Self {
        Self {
            place,
            text: format!("{}:", words.join(" ")),
            depth,
            why,
        }
    }

    fn says(&mut self, words: &[&str], end: &str) {
        if self.text.len() > BLOCK_MAX {
            return;
        }
        let secret = words.first().is_some_and(|word| word.contains("pass"));
        let shown = if secret { &words[..1] } else { words };
        self.text.push(' ');
        self.text.push_str(&shown.join(" "));
        self.text.push_str(end);
    }
}

/// Names a word that stands outside of all blocks, such as an `include`.
fn outside(draft: &mut Draft, file: &str, pending: &mut Option<(usize, Vec<&str>)>) {
    if let Some((number, words)) = pending.take() {
        draft.note(
            &Place::new(file, number),
            &words.join(" "),
            "only blocks are understood here; of an included file name that file too",
        );
    }
}

struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
    opens: bool,
    closes: bool,
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().enumerate().flat_map(|(index, line)| {
        let line = line.split(['#', '!']).next().unwrap_or("");
        // A brace ends a statement wherever it stands.
        line.split_inclusive(['{', '}']).map(move |part| Line {
            number: index + 1,
            words: part
                .trim_end_matches(['{', '}'])
                .split_whitespace()
                .collect(),
            opens: part.ends_with('{'),
            closes: part.ends_with('}'),
        })
    })
}

pub(super) fn read(draft: &mut Draft, file: &str, text: &str) -> Result<(), Fault> {
    let first = draft.nodes.len();
    let node = lines(text)
        .find(|line| line.words.first() == Some(&"router_id"))
        .and_then(|line| line.words.get(1).copied());
    let begun = Place::new(file, 1);
    let mut node = draft.node(node.unwrap_or(&format!("node{}", first + 1)), &begun);
    if draft.nodes.len() == first {
        // The files of both nodes say the same: nodes are told apart by their files.
        node = draft.node(&format!("node{}", first + 1), &begun);
    }
    let mut blocks: Vec<(String, usize)> = Vec::new();
    let mut pending: Option<(usize, Vec<&str>)> = None;
    let mut group: Option<(Group, u8)> = None;
    // What has no place here is named as a whole block, with all that it says.
    let mut foreign: Option<Foreign> = None;
    for line in lines(text) {
        let place = Place::new(file, line.number);
        if line.opens {
            // The name may stand on the line before the brace.
            let words = match pending.take() {
                Some((_, words)) if line.words.is_empty() => words,
                word => {
                    pending = word;
                    outside(draft, file, &mut pending);
                    line.words.clone()
                }
            };
            let kind = words.first().copied().unwrap_or("");
            if blocks.len() >= DEPTH_MAX {
                return Err(Fault::new(
                    place,
                    "blocks inside blocks without end",
                    "close the braces",
                ));
            }
            if blocks.is_empty() && kind == "vrrp_instance" {
                let name = words.get(1).copied().unwrap_or("vrrp");
                group = Some((Group::new(super::draft::tidy(name), place), 100));
            } else if let Some(block) = &mut foreign {
                block.says(&words, " {");
            } else if blocks.is_empty() {
                foreign = Some(Foreign::new(place, &words, 0, section(kind)));
            } else if blocks.len() > 1 || !ADDRESSES.contains(&kind) {
                foreign = Some(Foreign::new(place, &words, blocks.len(), instance(kind)));
            }
            blocks.push((kind.to_owned(), line.number));
            continue;
        }
        if line.words.is_empty() {
        } else if let Some(block) = &mut foreign {
            // The node's name is taken from there.
            if line.words[0] != "router_id" {
                block.says(&line.words, ";");
            }
        } else if let Some((group, priority)) = &mut group {
            let inside = blocks.last().map_or("", |(kind, _)| kind.as_str());
            match (blocks.len(), inside) {
                (1, _) => word(draft, group, priority, &line, &place),
                _ if ADDRESSES.contains(&inside) => {
                    match haresources::address(line.words.first().copied().unwrap_or("")) {
                        Some((address, prefix)) => {
                            if line.words.len() > 1 {
                                draft.note(
                                    &place,
                                    &line.words.join(" "),
                                    "carried over as a VIP; its port follows from its network",
                                );
                            }
                            group.members.push(Member::Vip {
                                name: String::new(),
                                address,
                                prefix,
                                place: place.clone(),
                            });
                        }
                        None => draft.note(&place, &line.words.join(" "), "not a numeric address"),
                    }
                }
                _ => {}
            }
        } else if !line.closes {
            // The name of a block whose brace is on the next line, or a word outside of blocks.
            outside(draft, file, &mut pending);
            pending = Some((line.number, line.words.clone()));
        }
        if line.closes {
            if blocks.pop().is_none() {
                return Err(Fault::new(
                    place,
                    "this brace closes nothing",
                    "remove it, or open its block",
                ));
            }
            if let Some(block) = &mut foreign {
                if blocks.len() == block.depth {
                    draft.note(&block.place, block.text.trim_end_matches(';'), block.why);
                    foreign = None;
                } else {
                    block.text.push_str(" }");
                }
            }
            if blocks.is_empty()
                && let Some((group, priority)) = group.take()
            {
                finish(draft, group, &node, priority);
            }
        }
    }
    outside(draft, file, &mut pending);
    match blocks.pop() {
        Some((kind, number)) => Err(Fault::new(
            Place::new(file, number),
            format!("the block `{kind}` is not closed"),
            "close it with `}`",
        )),
        None => Ok(()),
    }
}

/// Adds the instance, or to the one that another node's file told of, what this node is to it.
fn finish(draft: &mut Draft, mut group: Group, node: &str, priority: u8) {
    let same = |known: &Group| {
        known.members.iter().any(|one| {
            group.members.iter().any(|two| match (one, two) {
                (Member::Vip { address: one, .. }, Member::Vip { address: two, .. }) => one == two,
                _ => false,
            })
        })
    };
    group.priority = Some(i16::from(priority));
    if let Some(known) = draft.groups.iter_mut().find(|known| same(known)) {
        if known
            .priority
            .is_some_and(|best| best < i16::from(priority))
        {
            known.prefer.insert(0, node.to_owned());
            known.priority = group.priority;
        } else {
            known.prefer.push(node.to_owned());
        }
        return;
    }
    group.name = draft.fresh(&group.name);
    for member in &mut group.members {
        if let Member::Vip { name, .. } = member {
            *name = draft.fresh("vip");
        }
    }
    group.prefer = vec![node.to_owned()];
    if group.failback.is_none() {
        group.failback = Some(Failback::Auto);
    }
    draft.group(group);
}

fn word(draft: &mut Draft, group: &mut Group, priority: &mut u8, line: &Line<'_>, place: &Place) {
    let value = line.words.get(1).copied().unwrap_or("");
    let why = match line.words.first().copied().unwrap_or("") {
        "priority" => match value.parse() {
            Ok(number) => {
                *priority = number;
                return;
            }
            Err(_) => "not a number up to 255",
        },
        "nopreempt" => {
            group.failback = Some(Failback::Manual);
            return;
        }
        "preempt" => {
            group.failback = Some(Failback::Auto);
            return;
        }
        "preempt_delay" => match super::draft::duration(value) {
            Some(time) => {
                group.failback = Some(Failback::Delayed(time));
                return;
            }
            None => "not a duration of more than nothing",
        },
        "state" => "who is first follows from `prefer`",
        "interface" | "dev" => "the port of a VIP follows from its network",
        "virtual_router_id" => "groups have names, and no VRRP is spoken",
        "advert_int" => "see `keepalive` in `[timing]`: it is for the whole cluster, and shorter",
        "mcast_src_ip" | "unicast_src_ip" => "heartbeats are raw Ethernet frames on every port",
        "notify" | "notify_master" | "notify_backup" | "notify_fault" | "notify_stop"
        | "smtp_alert" => "no scripts and no mail from nodes; watch `kodo status` and `kodo log`",
        word if word.starts_with("garp") => "an address is announced when it is taken, always",
        _ => "no such word here",
    };
    draft.note(place, &line.words.join(" "), why);
}

fn section(kind: &str) -> &'static str {
    match kind {
        "global_defs" => "mail, SNMP and tuning of keepalived's own",
        "virtual_server" | "virtual_server_group" | "real_server" => {
            "no load balancing in the kernel (LVS)"
        }
        "vrrp_script" | "vrrp_track_process" | "vrrp_track_file" => {
            "no scripts run on a node; a service has its own `[service.probe]`"
        }
        "vrrp_sync_group" => {
            "write the addresses that move together into one group, or join groups with `[[colocation]]`"
        }
        _ => "nothing here is like it",
    }
}

fn instance(kind: &str) -> &'static str {
    match kind {
        "authentication" => {
            "its password is not taken over: heartbeats are signed with `key`, see `kodo keygen`"
        }
        "track_interface" => "every port counts by its carrier and `ping`, without a word",
        "track_script" | "track_process" | "track_file" => {
            "no scripts run on a node; a service has its own `[service.probe]`"
        }
        "virtual_routes" | "virtual_rules" => "no routes or rules that move with a group",
        "unicast_peer" => "heartbeats are raw Ethernet frames on every port",
        _ => "nothing here is like it",
    }
}
