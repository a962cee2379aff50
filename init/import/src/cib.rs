//! `cib.xml`: resources and constraints, as Heartbeat 2 (`from`, `to`, rules) and Pacemaker
//! (`first`, `then`, `rsc`, `with-rsc`) write them.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::draft::{Failback, Fault, Group, Member, Table, duration, is_web, no_place};
use super::{Draft, Place, haresources};

/// Elements that are looked at: more than any cluster has.
const ELEMENTS_MAX: u32 = 1 << 18;
/// The cluster file's largest score.
const SCORE_MAX: i64 = 1_000_000;

/// Why a resource with roles is left to a person.
const ROLES: &str = "roles exist here, for a service with a hook of its own and not for a resource script: \
                     write a service with `promotable`, a group with `clones` and one that `promotes` it";

struct Reader<'a, 'input> {
    draft: &'a mut Draft,
    file: &'a str,
    document: &'a Document<'input>,
    /// From the id of a resource to its group.
    homes: BTreeMap<String, String>,
    symmetric: bool,
    /// The files list the nodes, so that a rule can name none of its own.
    nodes_known: bool,
    defaults: BTreeMap<String, String>,
}

pub(super) fn read(draft: &mut Draft, file: &str, text: &str) -> Result<(), Fault> {
    let options = ParsingOptions {
        nodes_limit: ELEMENTS_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let line = usize::try_from(error.pos().row).unwrap_or(1);
        Fault::new(
            Place::new(file, line),
            format!("not sound XML: {error}"),
            "write the file anew with `cibadmin -Q`",
        )
    })?;
    Reader {
        draft,
        file,
        document: &document,
        homes: BTreeMap::new(),
        symmetric: true,
        nodes_known: false,
        defaults: BTreeMap::new(),
    }
    .cib();
    Ok(())
}

/// The elements of that name below one.
fn all<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().filter(move |n| n.has_tag_name(name))
}

/// The name-value pairs right below an element's attribute sets, not those of its children.
fn pairs(node: Node<'_, '_>) -> BTreeMap<String, String> {
    let sets = [
        "instance_attributes",
        "meta_attributes",
        "attributes",
        "cluster_property_set",
    ];
    node.children()
        .filter(|set| sets.contains(&set.tag_name().name()))
        .flat_map(|set| all(set, "nvpair"))
        .filter_map(|pair| {
            Some((
                pair.attribute("name")?.replace('_', "-"),
                pair.attribute("value")?.to_owned(),
            ))
        })
        .collect()
}

fn yes(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "true" | "yes" | "on" | "1" | "y"
    )
}

/// A score; infinite ones lie beyond `SCORE_MAX`.
fn score(written: &str) -> Option<i64> {
    match written.trim().to_ascii_uppercase().as_str() {
        "INFINITY" | "+INFINITY" => Some(i64::MAX),
        "-INFINITY" => Some(i64::MIN),
        other => {
            let number: i64 = other.parse().ok()?;
            Some(match number {
                n if n >= SCORE_MAX => i64::MAX,
                n if n <= -SCORE_MAX => i64::MIN,
                n => n,
            })
        }
    }
}

impl<'a, 'input> Reader<'a, 'input> {
    fn place(&self, node: Node<'_, '_>) -> Place {
        let row = self.document.text_pos_at(node.range().start).row;
        Place::new(self.file, usize::try_from(row).unwrap_or(1))
    }

    fn note(&mut self, node: Node<'_, '_>, why: &str) {
        let place = self.place(node);
        let id = node
            .attribute("id")
            .or(node.attribute("name"))
            .unwrap_or("");
        let what = format!("{} {id}", node.tag_name().name());
        self.draft.note(&place, what.trim_end(), why);
    }

    fn cib(&mut self) {
        let root = self.document.root();
        for list in all(root, "nodes") {
            for node in list.children().filter(|n| n.has_tag_name("node")) {
                let place = self.place(node);
                if let Some(name) = node.attribute("uname").or(node.attribute("id")) {
                    self.draft.node(name, &place);
                }
                if pairs(node).get("standby").is_some_and(|word| yes(word)) {
                    self.draft.note(
                        &place,
                        "standby",
                        "a command, `kodo standby NODE`, not a word of the file",
                    );
                }
            }
        }
        for config in all(root, "crm_config") {
            for pair in all(config, "nvpair") {
                self.property(pair);
            }
        }
        for list in all(root, "rsc_defaults") {
            self.defaults.extend(all(list, "nvpair").filter_map(|pair| {
                Some((
                    pair.attribute("name")?.replace('_', "-"),
                    pair.attribute("value")?.to_owned(),
                ))
            }));
        }
        for list in all(root, "op_defaults").filter(Node::has_children) {
            self.note(
                list,
                "write `start_timeout` and `stop_timeout` at each service",
            );
        }
        for list in all(root, "resources") {
            for resource in list.children().filter(Node::is_element) {
                self.resource(resource);
            }
        }
        self.nodes_known = !self.draft.nodes.is_empty();
        for list in all(root, "constraints") {
            for rule in list.children().filter(Node::is_element) {
                match rule.tag_name().name() {
                    "rsc_location" => self.location(rule),
                    "rsc_colocation" => self.colocation(rule),
                    "rsc_order" => self.order(rule),
                    _ => self.note(rule, "no such rule here"),
                }
            }
        }
    }

    fn property(&mut self, pair: Node<'_, '_>) {
        let (Some(name), Some(value)) = (pair.attribute("name"), pair.attribute("value")) else {
            return;
        };
        let name = name.replace('_', "-");
        let why = match name.as_str() {
            "symmetric-cluster" => {
                self.symmetric = yes(value);
                return;
            }
            "default-resource-stickiness" => {
                self.defaults
                    .insert("resource-stickiness".to_owned(), value.to_owned());
                return;
            }
            "cluster-name" => {
                self.draft.cluster = Some(super::draft::tidy(value));
                return;
            }
            "dc-version"
            | "have-watchdog"
            | "cluster-infrastructure"
            | "last-lrm-refresh"
            | "expected-quorum-votes"
            | "default-action-timeout"
            | "dc-deadtime"
            | "cluster-recheck-interval"
            | "cluster-delay"
            | "transition-idle-timeout" => "state or tuning of its daemons",
            "no-quorum-policy" => {
                "see `split_brain`; with \"quorum\" a part without the majority stops, always"
            }
            "stonith-enabled" | "stonith-action" | "stonith-timeout" | "startup-fencing" => {
                "no fencing devices: a lost node is waited for until its watchdog has reset it; see `guarded`"
            }
            "maintenance-mode" | "is-managed-default" => {
                "a command: `kodo maintenance on`, `kodo unmanage GROUP`"
            }
            "start-failure-is-fatal" => {
                "a word of each group, `start_failure_is_fatal`; true unless the file says otherwise"
            }
            "default-resource-failure-stickiness" => "see `migration_threshold`",
            _ => "no such option here",
        };
        let place = self.place(pair);
        self.draft.note(&place, &format!("{name}={value}"), why);
    }

    fn resource(&mut self, node: Node<'_, '_>) {
        let kind = node.tag_name().name();
        let id = node.attribute("id").unwrap_or("unnamed");
        match kind {
            "primitive" | "group" => self.group(node, id, None),
            "clone" => {
                let words = pairs(node);
                if words.get("promotable").is_some_and(|word| yes(word)) {
                    self.note(node, ROLES);
                    return;
                }
                let count = match words.get("clone-max").and_then(|n| n.parse::<u8>().ok()) {
                    Some(n) if n > 0 => n.to_string(),
                    _ => "\"all\"".to_owned(),
                };
                for word in [
                    "clone-node-max",
                    "interleave",
                    "globally-unique",
                    "notify",
                    "ordered",
                ] {
                    if let Some(value) = words.get(word) {
                        let place = self.place(node);
                        self.draft.note(
                            &place,
                            &format!("clone {id}: {word}={value}"),
                            "one instance on a node, and none knows of the others",
                        );
                    }
                }
                if let Some(inner) = node
                    .children()
                    .find(|n| n.has_tag_name("primitive") || n.has_tag_name("group"))
                {
                    if let Some(inner) = inner.attribute("id") {
                        let name = super::draft::tidy(id);
                        self.homes.insert(inner.to_owned(), name);
                    }
                    self.group(inner, id, Some(count));
                }
            }
            "master_slave" | "master" => self.note(node, ROLES),
            "template" => self.note(node, "templates: write each service out"),
            "bundle" => self.note(node, "containers: no bundles here"),
            _ => self.note(node, "no such resource here"),
        }
    }

    fn group(&mut self, node: Node<'_, '_>, id: &str, clones: Option<String>) {
        let place = self.place(node);
        let primitives: Vec<_> = if node.has_tag_name("primitive") {
            vec![node]
        } else {
            node.children()
                .filter(|n| n.has_tag_name("primitive"))
                .collect()
        };
        let mut members = Vec::new();
        for primitive in &primitives {
            members.extend(self.primitive(*primitive, clones.is_some()));
        }
        let name = self.draft.fresh(&format!(
            "{id}{}",
            if primitives.len() == 1 && members.len() == 1 {
                "-group"
            } else {
                ""
            }
        ));
        for home in primitives
            .iter()
            .filter_map(|n| n.attribute("id"))
            .chain(node.attribute("id"))
            .chain([id])
        {
            self.homes.insert(home.to_owned(), name.clone());
        }
        let mut group = Group::new(name, place);
        group.members = members;
        self.words(node, &mut group, clones.is_some());
        group.clones = clones;
        self.draft.group(group);
    }

    fn words(&mut self, node: Node<'_, '_>, group: &mut Group, cloned: bool) {
        let mut words = self.defaults.clone();
        words.extend(pairs(node));
        let place = group.place.clone();
        let stickiness = words
            .get("resource-stickiness")
            .map_or(Some(0), |word| score(word));
        if !cloned {
            match stickiness {
                Some(i64::MAX) => group.failback = Some(Failback::Manual),
                Some(n) => {
                    group.failback = Some(Failback::Auto);
                    group.stickiness = u32::try_from(n).ok().filter(|n| *n > 0);
                }
                None => {}
            }
        }
        for (name, value) in &words {
            let why = match name.as_str() {
                "migration-threshold" => match (score(value), value.parse::<u8>()) {
                    (_, Ok(n)) if n > 0 => {
                        group.threshold = Some(n);
                        continue;
                    }
                    _ => "from 1 to 255 here; without the line it is 3",
                },
                "failure-timeout" => match duration(value) {
                    Some(time) => {
                        group.failure_timeout = Some(time);
                        continue;
                    }
                    None => "failures are forgotten after 10min, or what `failure_timeout` says",
                },
                "priority" => match value.parse() {
                    Ok(n) => {
                        group.priority = Some(n);
                        continue;
                    }
                    Err(_) => "from -32768 to 32767 here",
                },
                "target-role" if value.eq_ignore_ascii_case("started") => continue,
                "target-role" => {
                    "what is in the file runs; leave the group out, or `kodo standby` a node"
                }
                "is-managed" => "a command: `kodo unmanage GROUP`",
                "multiple-active"
                | "allow-migrate"
                | "resource-failure-stickiness"
                | "ordered"
                | "collocated"
                | "container" => "no such word here",
                _ => continue,
            };
            self.draft
                .note(&place, &format!("{}: {name}={value}", group.name), why);
        }
    }

    fn primitive(&mut self, node: Node<'_, '_>, cloned: bool) -> Option<Member> {
        let place = self.place(node);
        let id = node.attribute("id").unwrap_or("unnamed");
        let agent = [
            node.attribute("class"),
            node.attribute("provider"),
            node.attribute("type"),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(":");
        let kind = node.attribute("type").unwrap_or("");
        let words = pairs(node);
        for op in all(node, "op") {
            if let Some(what) = op
                .attribute("on-fail")
                .or(op.attribute("on_fail"))
                .filter(|w| *w != "restart")
            {
                self.note(op, &format!("on-fail={what}: a service that fails is restarted, and its group leaves after `migration_threshold` failures"));
            }
            if op.attribute("name") == Some("monitor") {
                self.note(
                    op,
                    "the built-in server is probed every second; see `[service.probe]`",
                );
            }
        }
        if matches!(kind, "IPaddr" | "IPaddr2" | "IPv6addr") {
            let written = words.get("ip").or(words.get("ipv6addr"));
            let Some((address, mut prefix)) = written.and_then(|ip| haresources::address(ip))
            else {
                self.note(node, "no numeric `ip`");
                return None;
            };
            if cloned {
                self.note(
                    node,
                    "a clone holds no VIP: its address would be on several nodes at once",
                );
                return None;
            }
            let mask = words.get("cidr-netmask").or(words.get("netmask"));
            prefix = mask.and_then(|mask| haresources::prefix(mask)).or(prefix);
            for word in ["nic", "broadcast", "clusterip-hash", "lvs-support"] {
                if let Some(value) = words.get(word) {
                    self.draft.note(
                        &place,
                        &format!("{id}: {word}={value}"),
                        "the port of a VIP follows from its network",
                    );
                }
            }
            let name = self.draft.fresh(id);
            return Some(Member::Vip {
                name,
                address,
                prefix,
                place,
            });
        }
        if !is_web(kind) {
            let why = if node.attribute("class") == Some("stonith") {
                no_place("stonith")
            } else {
                no_place(kind)
            };
            self.draft.note(&place, &format!("{id} ({agent})"), why);
            return None;
        }
        for (word, value) in words.iter().filter(|(word, _)| {
            !matches!(
                word.as_str(),
                "port"
                    | "target-role"
                    | "is-managed"
                    | "priority"
                    | "migration-threshold"
                    | "failure-timeout"
                    | "resource-stickiness"
            )
        }) {
            self.draft.note(
                &place,
                &format!("{id}: {word}={value}"),
                "a parameter of its script; the built-in server has none",
            );
        }
        let timeout = |action: &str| {
            all(node, "op")
                .find(|op| op.attribute("name") == Some(action))
                .and_then(|op| duration(op.attribute("timeout")?))
        };
        let name = self.draft.fresh(id);
        Some(Member::Service {
            name,
            was: agent,
            port: words.get("port").and_then(|port| port.parse().ok()),
            start_timeout: timeout("start"),
            stop_timeout: timeout("stop"),
            place,
        })
    }

    /// The group of a resource that a rule names.
    fn home(&mut self, rule: Node<'_, '_>, names: &[&str]) -> Option<String> {
        let id = names.iter().find_map(|name| rule.attribute(*name));
        let home = id.and_then(|id| self.homes.get(id).cloned());
        if home.is_none() {
            let why = match id {
                Some(id) => format!("it names {id}, which was not carried over"),
                None => "resource sets and patterns: name the pairs".to_owned(),
            };
            self.note(rule, &why);
        }
        home
    }

    fn location(&mut self, rule: Node<'_, '_>) {
        let Some(group) = self.home(rule, &["rsc"]) else {
            return;
        };
        let inner: Vec<_> = all(rule, "rule").collect();
        if let Some(node) = rule.attribute("node") {
            self.placed(rule, &group, node, rule.attribute("score"));
            return;
        }
        for rule in inner {
            let expressions: Vec<_> = rule.children().filter(Node::is_element).collect();
            let node = match &expressions[..] {
                [one]
                    if one.attribute("attribute") == Some("#uname")
                        && one.attribute("operation") == Some("eq") =>
                {
                    one.attribute("value")
                }
                _ => None,
            };
            match node {
                Some(node) => self.placed(rule, &group, node, rule.attribute("score")),
                None => self.note(rule, "rules by date, attribute or several tests: of health only the LAN counts, by carrier and `ping`"),
            }
        }
    }

    fn placed(&mut self, rule: Node<'_, '_>, group: &str, node: &str, written: Option<&str>) {
        let place = self.place(rule);
        if self.nodes_known && !self.draft.nodes.contains(&super::draft::tidy(node)) {
            self.note(rule, "it names a node that is not among the nodes");
            return;
        }
        let node = self.draft.node(node, &place);
        let Some(worth) = written.and_then(score) else {
            self.note(rule, "its score is not a number");
            return;
        };
        if !self.symmetric {
            // Who is not named may not run it: `prefer`, in the order of the scores.
            if worth < 0 {
                self.note(
                    rule,
                    "with symmetric-cluster=false: the node is not in `prefer`, so it never runs this",
                );
            } else if let Some(group) = self.draft.groups.iter_mut().find(|g| g.name == group) {
                group.only = true;
                group.scored.push((worth, node));
            }
            return;
        }
        let worth = match worth {
            i64::MIN => "\"never\"".to_owned(),
            // The largest there is: above any stickiness, and no ban of the others.
            i64::MAX => SCORE_MAX.to_string(),
            n => {
                if n < 0 {
                    self.note(
                        rule,
                        "carried over as a score: there a sum below 0 bars the node, here only \"never\" does",
                    );
                }
                n.to_string()
            }
        };
        self.table(
            rule,
            "[[location]]",
            vec![
                ("group", quoted(group)),
                ("node", quoted(&node)),
                ("score", worth),
            ],
            vec![group.to_owned()],
        );
    }

    fn colocation(&mut self, rule: Node<'_, '_>) {
        let Some(group) = self.home(rule, &["rsc", "from"]) else {
            return;
        };
        let Some(with) = self.home(rule, &["with-rsc", "to"]) else {
            return;
        };
        let roles = ["rsc-role", "with-rsc-role"]
            .iter()
            .find_map(|role| rule.attribute(*role));
        if let Some(role) = roles.filter(|role| *role != "Started") {
            self.note(rule, &format!("it is about the role {role}"));
            return;
        }
        if group == with {
            return;
        }
        let bond = match rule.attribute("score").and_then(score) {
            Some(i64::MAX) => "\"must\"".to_owned(),
            Some(i64::MIN) => "\"never\"".to_owned(),
            Some(n) => n.to_string(),
            None => {
                self.note(rule, "its score is not a number");
                return;
            }
        };
        self.table(
            rule,
            "[[colocation]]",
            vec![
                ("group", quoted(&group)),
                ("with", quoted(&with)),
                ("score", bond),
            ],
            vec![group, with],
        );
    }

    fn order(&mut self, rule: Node<'_, '_>) {
        // In Heartbeat's form `from` starts after `to`, unless its type is "before".
        let before = rule.attribute("type") == Some("before");
        let (early, late) = if before {
            ("from", "to")
        } else {
            ("to", "from")
        };
        let Some(first) = self.home(rule, &["first", early]) else {
            return;
        };
        let Some(then) = self.home(rule, &["then", late]) else {
            return;
        };
        for (word, usual) in [
            ("first-action", "start"),
            ("then-action", "start"),
            ("symmetrical", "true"),
        ] {
            if let Some(value) = rule.attribute(word).filter(|value| *value != usual) {
                self.note(
                    rule,
                    &format!(
                        "no {word}={value} here: a group starts after another and stops before it"
                    ),
                );
                return;
            }
        }
        if first == then {
            return;
        }
        let kind = match (
            rule.attribute("kind"),
            rule.attribute("score").and_then(score),
        ) {
            (Some("Serialize"), _) => {
                self.note(rule, "no kind=Serialize here");
                return;
            }
            (Some("Optional"), _) | (None, Some(0)) => "\"should\"",
            _ => "\"must\"",
        };
        self.table(
            rule,
            "[[order]]",
            vec![
                ("first", quoted(&first)),
                ("then", quoted(&then)),
                ("kind", kind.to_owned()),
            ],
            vec![first, then],
        );
    }

    fn table(
        &mut self,
        rule: Node<'_, '_>,
        header: &'static str,
        keys: Vec<(&'static str, String)>,
        groups: Vec<String>,
    ) {
        let was = format!(
            "{} {}",
            rule.tag_name().name(),
            rule.attribute("id").unwrap_or("")
        );
        let place = self.place(rule);
        self.draft.table(Table {
            place,
            was,
            header,
            keys,
            groups,
        });
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
