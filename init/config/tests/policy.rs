//! Priorities, weights, clones, locations, colocations and orders: what the nodes get of
//! them, and that a clash of rules is told exactly when there is one, and no rule too many.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write as _;
use std::time::Duration;

use kodo_config::cluster::{Bond, Colocation, Location, Order, Worth};
use kodo_config::{Cluster, Diagnostic, Severity};
use kodo_engine::GroupId;
use kodo_engine::config::{self as engine, Together};
use proptest::prelude::*;

const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

fn parse(text: &str) -> Result<Cluster, Vec<Diagnostic>> {
    Cluster::parse("policy.toml", text, &|_, _| Err("none".into()))
}

fn accepted(text: &str) -> Cluster {
    parse(text).unwrap_or_else(|items| panic!("{}\n{text}", items[0]))
}

/// A file of nodes with these capacities, and of groups without VIPs with these lines.
fn file(capacities: &[Option<u16>], groups: &[String]) -> String {
    let mut text = format!(
        "schema = 1\n[cluster]\nname = \"many\"\nkey = \"{KEY}\"\nsplit_brain = \"accept\"\n"
    );
    for (node, capacity) in (1..).zip(capacities) {
        let capacity = capacity.map_or(String::new(), |units| format!("capacity = {units}\n"));
        write!(
            text,
            "[[node]]\nname = \"node{node}\"\n{capacity}\
             [[node.nic]]\nrole = \"lan\"\nmac = \"52:54:00:00:{node:02x}:01\"\naddress = [\"10.0.0.{node}/24\"]\n\
             [[node.nic]]\nrole = \"crossover\"\nmac = \"52:54:00:00:{node:02x}:02\"\n"
        )
        .unwrap();
    }
    for (group, lines) in groups.iter().enumerate() {
        write!(
            text,
            "[[service]]\nname = \"service{group}\"\nport = {}\n\
             [[group]]\nname = \"group{group}\"\nmembers = [\"service{group}\"]\n{lines}",
            8000 + group
        )
        .unwrap();
    }
    text
}

fn example() -> String {
    let groups = [
        "priority = -3\nweight = 2\nfailback = \"delayed\"\nfailback_delay = \"5m\"\nstickiness = 7\n",
        "prefer = [\"node3\", \"node1\"]\nstart_failure_is_fatal = false\non_stop_failure = \"block\"\nhealth = \"only-green\"\n",
        "clones = \"all\"\n",
    ];
    file(&[Some(4), None, Some(9)], &groups.map(String::from))
        + "[[location]]\ngroup = \"group0\"\nnodes = [\"node3\", \"node1\"]\nscore = 50\n\
           [[location]]\ngroup = \"group2\"\nnode = \"node2\"\nscore = \"never\"\n\
           [[location]]\ngroup = \"group1\"\nnode = \"node1\"\nscore = -7\n\
           [[colocation]]\ngroup = \"group0\"\nwith = \"group2\"\nscore = \"must\"\n\
           [[colocation]]\ngroup = \"group1\"\nwith = \"group0\"\nscore = -40\n\
           [[order]]\nfirst = \"group2\"\nthen = \"group0\"\n\
           [[order]]\nfirst = \"group2\"\nthen = \"group1\"\nkind = \"should\"\n"
}

#[test]
fn the_nodes_get_what_the_file_says() {
    let cluster = accepted(&example());
    let at = |node, score| Location {
        node,
        worth: Worth::Score(score),
    };
    assert_eq!(cluster.groups[0].locations, [at(0, 50), at(2, 50)]);
    assert_eq!(
        cluster.colocations[1],
        Colocation {
            group: 1,
            with: 0,
            bond: Bond::Score(-40)
        }
    );
    assert_eq!(
        cluster.orders[1],
        Order {
            first: 2,
            then: 1,
            must: false
        }
    );
    let config = cluster.node("node2").unwrap().engine;
    let [first, second, third] = &config.groups[..] else {
        panic!("three groups")
    };
    assert_eq!(first.location[..], [Some(52), Some(1), Some(50)]);
    assert_eq!(second.location[..], [Some(-7), None, Some(1)]);
    assert_eq!(third.location[..], [Some(2), None, Some(0)]);
    assert_eq!(
        (first.priority, first.weight, first.stickiness, first.clones),
        (-3, 2, 7, None)
    );
    assert_eq!(
        first.failback,
        engine::Failback::Delayed(Duration::from_secs(300))
    );
    let stops = [first, second].map(|group| group.on_stop_failure);
    assert_eq!(
        stops,
        [engine::OnStopFailure::Fence, engine::OnStopFailure::Block]
    );
    assert_eq!(first.health, engine::HealthRule::None);
    assert_eq!(second.health, engine::HealthRule::OnlyGreen);
    assert!(first.start_failure_is_fatal && !second.start_failure_is_fatal);
    assert_eq!(third.clones, Some(2), "of those that may run it");
    assert_eq!(config.capacity[..], [4, u16::MAX, 9]);
    assert_eq!(
        config.colocations[..],
        [
            engine::Colocation {
                group: GroupId(0),
                with: GroupId(2),
                bond: Together::Must
            },
            engine::Colocation {
                group: GroupId(1),
                with: GroupId(0),
                bond: Together::Score(-40)
            },
        ]
    );
    assert_eq!(
        config.orders[..],
        [
            engine::Order {
                first: GroupId(2),
                then: GroupId(0),
                must: true
            },
            engine::Order {
                first: GroupId(2),
                then: GroupId(1),
                must: false
            },
        ]
    );
}

#[test]
fn every_new_meaning_changes_the_hash() {
    let mut hashes = vec![accepted(&example()).file_hash()];
    for (old, new) in [
        ("priority = -3", "priority = -4"),
        ("weight = 2", "weight = 3"),
        ("\"5m\"", "\"6m\""),
        ("stickiness = 7", "stickiness = 8"),
        ("fatal = false", "fatal = true"),
        ("\"only-green\"", "\"migrate-on-red\""),
        ("\"block\"", "\"fence\""),
        ("clones = \"all\"", "clones = 1"),
        ("capacity = 9", "capacity = 8"),
        ("score = 50", "score = 51"),
        ("score = -7", "score = \"never\""),
        ("score = \"must\"", "score = \"never\""),
        ("score = -40", "score = 40"),
        ("kind = \"should\"", "kind = \"must\""),
    ] {
        let text = example().replace(old, new);
        let hash = accepted(&text).file_hash();
        assert!(!hashes.contains(&hash), "{new}");
        hashes.push(hash);
    }
    let same = example().replace("clones = \"all\"", "clones = 2");
    assert_eq!(accepted(&same).file_hash(), hashes[0]);
}

#[test]
fn quarantine_is_off_until_the_file_says_when() {
    let with = |lines: &str| {
        let text = example().replace("split_brain", &format!("{lines}split_brain"));
        accepted(&text)
    };
    let rule = |lines: &str| with(lines).node("node1").unwrap().engine.quarantine;
    assert_eq!(rule(""), None);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let quarantine = |exits, window| Some(engine::Quarantine { exits, window });
    assert_eq!(rule("quarantine_exits = 3\n"), quarantine(3, minutes(10)));
    let both = "quarantine_exits = 3\nquarantine_window = \"1h\"\n";
    assert_eq!(rule(both), quarantine(3, minutes(60)));
    let hashes = ["", "quarantine_exits = 3\n", "quarantine_exits = 4\n", both];
    let mut hashes = hashes.map(|lines| with(lines).file_hash()).to_vec();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 4);
}

/// What the guide shows is a cluster file, once its nodes and services are described.
#[test]
fn the_guide_shows_what_is_accepted() {
    let guide = include_str!("../policy.md");
    let (_, shown) = guide.split_once("```toml\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let (node, groups) = shown.split_once("\n\n").unwrap();
    assert!(node.contains("capacity = 4"), "the first table is node1");
    let text = file(&[Some(4), None, None], &[])
        + groups
        + "[[service]]\nname = \"web\"\n\
           [[service]]\nname = \"collector\"\nport = 81\n\
           [[vip]]\nname = \"vip\"\naddress = \"10.0.0.99/24\"\n\
           [[vip]]\nname = \"db-vip\"\naddress = \"10.0.0.98/24\"\n";
    let cluster = accepted(&text);
    let said: Vec<_> = cluster.notes.iter().map(|note| note.severity).collect();
    assert!(!said.contains(&Severity::Warning), "{:?}", cluster.notes);
    let engine = cluster.node("node1").unwrap().engine;
    assert_eq!(engine.groups[0].location[..], [Some(2), Some(1), Some(50)]);
}

/// One rule of a small cluster, as `kodo check` words it.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Capacity(usize, u16),
    Weight(usize, u16),
    Prefer(usize, Vec<usize>),
    Never(usize, usize),
    Must(usize, usize),
    Apart(usize, usize),
}

impl Rule {
    fn text(&self) -> String {
        match self {
            Rule::Capacity(node, units) => format!("node{} carries {units}", node + 1),
            Rule::Weight(group, units) => format!("`group{group}` weighs {units}"),
            Rule::Prefer(group, nodes) => {
                let nodes: Vec<_> = nodes
                    .iter()
                    .map(|node| format!("node{}", node + 1))
                    .collect();
                let nodes = kodo_config::words::and(&nodes);
                format!("`group{group}` runs on {nodes} only")
            }
            Rule::Never(group, node) => format!("`group{group}` never runs on node{}", node + 1),
            Rule::Must(group, with) => format!("`group{group}` must be with `group{with}`"),
            Rule::Apart(group, with) => format!("`group{group}` is never with `group{with}`"),
        }
    }
}

const NODES: usize = 3;
const GROUPS: usize = 4;

fn written(rules: &[Rule]) -> String {
    let mut capacities = [None; NODES];
    let mut groups: Vec<String> = vec![String::new(); GROUPS];
    let mut tables = String::new();
    for rule in rules {
        match rule {
            Rule::Capacity(node, units) => capacities[*node] = Some(*units),
            Rule::Weight(group, units) => writeln!(groups[*group], "weight = {units}").unwrap(),
            Rule::Prefer(group, nodes) => {
                let nodes: Vec<_> = nodes
                    .iter()
                    .map(|node| format!("\"node{}\"", node + 1))
                    .collect();
                writeln!(groups[*group], "prefer = [{}]", nodes.join(", ")).unwrap();
            }
            Rule::Never(group, node) => write!(
                tables,
                "[[location]]\ngroup = \"group{group}\"\nnode = \"node{}\"\nscore = \"never\"\n",
                node + 1
            )
            .unwrap(),
            Rule::Must(group, with) | Rule::Apart(group, with) => {
                let score = if matches!(rule, Rule::Must(..)) {
                    "must"
                } else {
                    "never"
                };
                write!(
                    tables,
                    "[[colocation]]\ngroup = \"group{group}\"\nwith = \"group{with}\"\nscore = \"{score}\"\n"
                )
                .unwrap();
            }
        }
    }
    file(&capacities, &groups) + &tables
}

/// Whether some arrangement gives every group a node and follows all rules.
fn possible(rules: &[Rule]) -> bool {
    let arrangements = NODES.pow(u32::try_from(GROUPS).unwrap());
    (0..arrangements).any(|mut code| {
        let at: [usize; GROUPS] = std::array::from_fn(|_| {
            let node = code % NODES;
            code /= NODES;
            node
        });
        let weight = |group: usize| {
            rules.iter().find_map(|rule| match rule {
                Rule::Weight(of, units) if *of == group => Some(*units),
                _ => None,
            })
        };
        let load = |node: usize| -> u16 {
            let here = (0..GROUPS).filter(|group| at[*group] == node);
            here.filter_map(weight).sum()
        };
        rules.iter().all(|rule| match rule {
            Rule::Capacity(node, units) => load(*node) <= *units,
            Rule::Weight(..) => true,
            Rule::Prefer(group, nodes) => nodes.contains(&at[*group]),
            Rule::Never(group, node) => at[*group] != *node,
            Rule::Must(group, with) => at[*group] == at[*with],
            Rule::Apart(group, with) => at[*group] != at[*with],
        })
    })
}

/// Rules without those that are refused by themselves.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let capacities = prop::collection::vec(prop::option::of(2..6_u16), NODES);
    let weights = prop::collection::vec(prop::option::of(1..3_u16), GROUPS);
    let nodes = prop::sample::subsequence((0..NODES).collect::<Vec<_>>(), 1..=NODES);
    let prefers = prop::collection::vec(prop::option::weighted(0.3, nodes), GROUPS);
    let nevers = prop::collection::vec((0..GROUPS, 0..NODES), 0..3);
    let pairs = prop::collection::vec((0..GROUPS, 1..GROUPS, any::<bool>()), 0..5);
    (capacities, weights, prefers, nevers, pairs).prop_map(
        |(capacities, weights, prefers, nevers, pairs)| {
            let mut rules = Vec::new();
            let capacities = capacities.into_iter().enumerate();
            rules.extend(capacities.filter_map(|(node, units)| Some(Rule::Capacity(node, units?))));
            let weights = weights.into_iter().enumerate();
            rules.extend(weights.filter_map(|(group, units)| Some(Rule::Weight(group, units?))));
            let prefers = prefers.into_iter().enumerate();
            rules.extend(prefers.filter_map(|(group, nodes)| Some(Rule::Prefer(group, nodes?))));
            for (group, node) in nevers {
                let excluded = |rule: &Rule| {
                    matches!(rule, Rule::Prefer(of, nodes) if *of == group && !nodes.contains(&node))
                };
                if !rules.iter().any(excluded) && !rules.contains(&Rule::Never(group, node)) {
                    rules.push(Rule::Never(group, node));
                }
            }
            for (group, step, must) in pairs {
                let with = (group + step) % GROUPS;
                // "must" only towards lower numbers: no circles
                let (group, with) = (group.max(with), group.min(with));
                let rule = if must { Rule::Must(group, with) } else { Rule::Apart(group, with) };
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
            rules
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Judged by trying every arrangement.
    #[test]
    fn clashes_are_told_exactly(rules in rules()) {
        let text = written(&rules);
        match parse(&text) {
            Ok(_) => prop_assert!(possible(&rules), "{text}"),
            Err(items) => {
                prop_assert!(!possible(&rules), "{}\n{text}", items[0]);
                for item in items.iter().filter(|item| item.severity == Severity::Error) {
                    let told: Vec<_> = item.label.iter().chain(item.related.iter().map(|see| &see.text)).collect();
                    let clash: Vec<_> = rules.iter().filter(|rule| told.contains(&&rule.text())).cloned().collect();
                    prop_assert_eq!(clash.len(), told.len(), "{}", item);
                    prop_assert!(!possible(&clash), "{}", item);
                    for spared in &clash {
                        let others: Vec<_> = clash.iter().filter(|rule| *rule != spared).cloned().collect();
                        prop_assert!(possible(&others), "{} is one too many: {}", spared.text(), item);
                    }
                }
            }
        }
    }
}
