//! From a plan to the nodes' configurations, through the shipped reader of cluster files.
//!
//! Owns the text of the simulated cluster file and the addresses in it.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::fmt::Write as _;

use kodo_config::Cluster;

use crate::plan::{ClusterPlan, File, Plan, Policy, Rule};

/// Groups of a cluster, as far as scenarios go.
pub const GROUPS: usize = 8;
/// The gateway, and the ping group.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// The witness.
pub const WITNESS: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 5);
/// Its port.
pub const WITNESS_PORT: u16 = 5581;
/// The client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);
/// A service that has not started by then never will.
const START: Duration = Duration::from_secs(10);
/// Position of the LAN port in every node's file entry.
pub const LAN_PORT: u8 = 0;
/// Position of the crossover port.
pub const CROSSOVER_PORT: u8 = 1;

const KEY: &str = "73696d756c6174656420636c757374657273206e656564206e6f207365637265";
const WITNESS_KEY: &str = "746865207769746e657373206f66207468652073696d756c61746f7220736565";
const NEW_KEY: &str = "61206b6579207468617420636f6d657320616674657220746865206f6c64206f";
const WRONG_KEY: &str = "73696d756c6174656420666f7267657273206861766520616e6f74686572206b";

/// The VIP of a group.
#[must_use]
pub fn vip(group: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 0, 33 + u8::try_from(group).unwrap_or(0))
}

/// Which group's VIP an address is.
#[must_use]
pub fn group_of(address: Ipv4Addr) -> Option<usize> {
    (0..GROUPS).find(|group| vip(*group) == address)
}

/// The static address of a node.
#[must_use]
pub fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 0, 64 + u8::try_from(node).unwrap_or(0))
}

/// The hardware address of a machine's port.
#[must_use]
pub fn mac(machine: usize, port: u8) -> [u8; 6] {
    [
        0x52,
        0x54,
        0,
        0,
        1 + u8::try_from(machine).unwrap_or(0),
        1 + port,
    ]
}

/// The cluster file as a node with this variant of it reads it.
///
/// # Panics
/// When the shipped reader refuses it: the plan is wrong.
#[must_use]
pub fn cluster(plan: &ClusterPlan, file: File) -> Cluster {
    parse(&text(plan, file, KEY))
}

/// The same cluster with another key: what a forger would run.
///
/// # Panics
/// As [`cluster`].
#[must_use]
pub fn forged(plan: &ClusterPlan) -> Cluster {
    parse(&text(plan, File::Same, WRONG_KEY))
}

/// The cluster files of a run, each read once.
#[derive(Debug)]
pub struct Files(Vec<(File, Cluster)>);

impl Files {
    /// Of this plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Files {
        let mut all: Vec<(File, Cluster)> = Vec::new();
        for file in plan.files() {
            if all.iter().all(|(known, _)| *known != file) {
                all.push((file, cluster(&plan.cluster, file)));
            }
        }
        Files(all)
    }

    /// This variant.
    ///
    /// # Panics
    /// When the plan does not name it: a bug.
    #[must_use]
    pub fn of(&self, file: File) -> &Cluster {
        let mut all = self.0.iter();
        let found = all.find(|(known, _)| *known == file);
        &found.expect("a file of the plan").1
    }
}

fn parse(text: &str) -> Cluster {
    let keys = |_, path: &str| match path {
        "both" => Ok(format!("{KEY}\n{NEW_KEY}\n")),
        "turned" => Ok(format!("{NEW_KEY}\n{KEY}\n")),
        "new" => Ok(format!("{NEW_KEY}\n")),
        _ => Err("no other files".into()),
    };
    match Cluster::parse("sim.toml", text, &keys) {
        Ok(cluster) => cluster,
        Err(errors) => panic!("{errors:#?}\n{text}"),
    }
}

fn text(plan: &ClusterPlan, file: File, key: &str) -> String {
    let mut text = String::new();
    let policy = match plan.policy {
        Policy::Accept => "accept",
        Policy::Ping => "ping",
        Policy::Quorum | Policy::QuorumFirst => "quorum",
        Policy::Witness => "witness",
    };
    let key = match file {
        File::BothKeys => "key_file = \"both\"".into(),
        File::Turned => "key_file = \"turned\"".into(),
        File::NewKey => "key_file = \"new\"".into(),
        File::Same | File::Changed | File::Slower | File::Remade => format!("key = \"{key}\""),
    };
    let mut write = |part: std::fmt::Arguments<'_>| {
        text.write_fmt(part).expect("a String takes everything");
    };
    write(format_args!(
        "schema = 1\n[cluster]\nname = \"sim\"\n{key}\nprofile = \"{}\"\n\
         split_brain = \"{policy}\"\ndrills = true\n",
        plan.profile
    ));
    if plan.pings {
        write(format_args!("ping = [\"{GATEWAY}\"]\n"));
    }
    if plan.policy == Policy::QuorumFirst {
        write(format_args!("even_split = \"first\"\n"));
    }
    if let Some((exits, window)) = plan.quarantine {
        let window = window.as_millis();
        write(format_args!(
            "quarantine_exits = {exits}\nquarantine_window = \"{window}ms\"\n"
        ));
    }
    write(format_args!(
        "[watchdog]\ntimeout = \"{}ms\"\n",
        plan.watchdog.as_millis()
    ));
    if file == File::Slower {
        // Three times what the profile says.
        let deadtime = match plan.profile.as_str() {
            "lab" => "6s",
            "fast" => "600ms",
            _ => "1500ms",
        };
        write(format_args!("[timing]\ndeadtime = \"{deadtime}\"\n"));
    }
    if plan.policy == Policy::Witness {
        write(format_args!(
            "[witness]\naddress = \"{WITNESS}\"\nport = {WITNESS_PORT}\nkey = \"{WITNESS_KEY}\"\n"
        ));
    }
    for node in 0..plan.nodes {
        write(format_args!("{}", Entry { plan, node }));
    }
    for group in 0..plan.group_count() {
        write(format_args!("{}", Group { plan, group, file }));
    }
    if plan.agents > 0 {
        write(format_args!(
            "[[service]]\nname = \"agent\"\nport = 79\n\
             [[group]]\nname = \"agents\"\nmembers = [\"agent\"]\nclones = {}\n",
            plan.agents
        ));
    }
    // After the others, so that these keep their numbers.
    for group in (0..plan.group_count()).filter(|group| plan.promotable(*group)) {
        write(format_args!("{}", Instances { plan, group }));
    }
    for rule in &plan.rules {
        write(format_args!("{}", Constraint(*rule)));
    }
    text
}

/// One `[[node]]` of the file.
struct Entry<'a> {
    plan: &'a ClusterPlan,
    node: usize,
}

impl std::fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Entry { plan, node } = *self;
        let hex = |port| mac(node, port).map(|byte| format!("{byte:02x}")).join(":");
        writeln!(f, "[[node]]\nname = \"node{}\"", node + 1)?;
        if plan.votes(node) != 1 {
            writeln!(f, "votes = {}", plan.votes(node))?;
        }
        if node >= plan.runners() {
            writeln!(f, "voter = true")?;
        } else if let Some(capacity) = plan.capacity {
            writeln!(f, "capacity = {capacity}")?;
        }
        if plan.disks {
            writeln!(f, "state_partition = \"kodo-state\"")?;
        }
        writeln!(
            f,
            "[[node.nic]]\nrole = \"lan\"\nmac = \"{}\"\naddress = [\"{}/24\"]\ngateway = [\"{GATEWAY}\"]",
            hex(LAN_PORT),
            address(node),
        )?;
        if plan.private {
            let mac = hex(CROSSOVER_PORT);
            writeln!(f, "[[node.nic]]\nrole = \"crossover\"\nmac = \"{mac}\"")?;
        }
        let baud = plan.baud.unwrap_or_default();
        for (device, (_, peer)) in lines_of(plan, node).into_iter().enumerate() {
            let device = device + 1;
            writeln!(
                f,
                "[[node.serial]]\ndevice = \"ttyS{device}\"\nbaud = {baud}"
            )?;
            if plan.nodes > 2 {
                writeln!(f, "peer = \"node{}\"", peer + 1)?;
            }
        }
        Ok(())
    }
}

/// One service, its VIP, and the group of both.
struct Group<'a> {
    plan: &'a ClusterPlan,
    group: usize,
    file: File,
}

impl std::fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Group { plan, group, file } = *self;
        let number = match group {
            0 => String::new(),
            more => (more + 1).to_string(),
        };
        let backoff = match file {
            File::Changed => "6s",
            _ => "5s",
        };
        let port = match file {
            File::Remade if group == 0 => 8080,
            _ => 80 + group,
        };
        let prefer: Vec<_> = plan
            .prefer(group)
            .iter()
            .map(|node| format!("\"node{}\"", node + 1))
            .collect();
        let also = plan.groups.get(group).cloned().unwrap_or_default();
        let failback = match also.delay {
            Some(_) => "delayed",
            None if plan.auto_failback => "auto",
            None => "manual",
        };
        let promotable = plan.promotable(group);
        let members = match promotable {
            true => format!("\"vip{number}\"]\npromotes = \"web{number}\""),
            false => format!("\"web{number}\", \"vip{number}\"]"),
        };
        write!(
            f,
            "[[service]]\nname = \"web{number}\"\nkind = \"builtin\"\nport = {}\nbackoff_max = \"{backoff}\"\n\
             start_timeout = \"{}ms\"\npromotable = {promotable}\n\
             [service.probe]\npath = \"/\"\ninterval = \"1s\"\ntimeout = \"1s\"\nrise = 1\nfall = 2\n\
             [[vip]]\nname = \"vip{number}\"\naddress = \"{}/24\"\n\
             [[group]]\nname = \"www{number}\"\nmembers = [{members}\nprefer = [{}]\n\
             failback = \"{failback}\"\nmigration_threshold = {}\nfailure_timeout = \"{}ms\"\n",
            port,
            // failures must not be forgotten before they can add up
            START.min(plan.failure_timeout / 2).as_millis(),
            vip(group),
            prefer.join(", "),
            plan.migration_threshold,
            plan.failure_timeout.as_millis()
        )?;
        if plan.guarded(group) {
            writeln!(f, "guarded = true")?;
        }
        if let Some(delay) = also.delay {
            writeln!(f, "failback_delay = \"{}ms\"", delay.as_millis())?;
        }
        if also.block {
            writeln!(f, "on_stop_failure = \"block\"")?;
        }
        if also.priority != 0 {
            writeln!(f, "priority = {}", also.priority)?;
        }
        if also.weight != 0 {
            writeln!(f, "weight = {}", also.weight)?;
        }
        Ok(())
    }
}

/// The clone of a promotable service.
struct Instances<'a> {
    plan: &'a ClusterPlan,
    group: usize,
}

impl std::fmt::Display for Instances<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.group {
            0 => "web".to_owned(),
            more => format!("web{}", more + 1),
        };
        write!(
            f,
            "[[group]]\nname = \"{name}\"\nmembers = [\"{name}\"]\nclones = \"all\"\n\
             migration_threshold = {}\nfailure_timeout = \"{}ms\"\n",
            self.plan.migration_threshold,
            self.plan.failure_timeout.as_millis()
        )
    }
}

/// One rule between two groups.
struct Constraint(Rule);

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pair = |f: &mut std::fmt::Formatter<'_>, group, with, score: &str| {
            let (group, with) = (group_name(group), group_name(with));
            writeln!(
                f,
                "[[colocation]]\ngroup = \"{group}\"\nwith = \"{with}\"\nscore = {score}"
            )
        };
        match self.0 {
            Rule::Together(group, with) => pair(f, group, with, "\"must\""),
            Rule::Apart(group, with) => pair(f, group, with, "\"never\""),
            Rule::Worth(group, with, score) => pair(f, group, with, &score.to_string()),
            Rule::After { first, then, must } => {
                let (first, then) = (group_name(first), group_name(then));
                let kind = if must { "must" } else { "should" };
                writeln!(
                    f,
                    "[[order]]\nfirst = \"{first}\"\nthen = \"{then}\"\nkind = \"{kind}\""
                )
            }
        }
    }
}

/// A group's name in the file.
fn group_name(group: usize) -> String {
    match group {
        0 => "www".into(),
        more => format!("www{}", more + 1),
    }
}

/// The serial lines at a node in the order of its ports: which one, and who is there.
#[must_use]
pub fn lines_of(plan: &ClusterPlan, node: usize) -> Vec<(usize, usize)> {
    let lines = plan.line_ends().into_iter().enumerate();
    lines
        .filter_map(|(line, (from, to))| match node {
            _ if node == from => Some((line, to)),
            _ if node == to => Some((line, from)),
            _ => None,
        })
        .collect()
}

/// A node's configuration, as PID 1 would make it from the file.
///
/// # Panics
/// When there is no such node: the plan is wrong.
#[must_use]
pub fn node(cluster: &Cluster, node: usize) -> kodo_node::Config {
    let name = &cluster.nodes[node].name;
    cluster.node(name).expect("a name from the same file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::calm;

    #[test]
    fn the_file_is_accepted_and_its_variants_differ() {
        let plan = calm(1).cluster;
        let same = cluster(&plan, File::Same);
        assert_ne!(same.file_hash(), cluster(&plan, File::Changed).file_hash());
        assert_ne!(same.file_hash(), forged(&plan).file_hash());
        assert_eq!(node(&same, 1).engine.me.index(), 1);
    }

    #[test]
    fn files_of_every_size_and_policy_are_accepted() {
        for (nodes, policy) in [
            (2, Policy::Witness),
            (3, Policy::Quorum),
            (4, Policy::QuorumFirst),
            (5, Policy::Accept),
            (32, Policy::Quorum),
        ] {
            let mut plan = calm(1).cluster;
            (plan.nodes, plan.policy) = (nodes, policy);
            plan.pings = false;
            plan.baud = (nodes <= 5).then_some(115_200);
            plan.lines = nodes;
            plan.groups = vec![crate::plan::GroupPlan::default(); 3];
            let file = cluster(&plan, File::Same);
            let last = node(&file, nodes - 1);
            assert_eq!(last.engine.nodes.len(), nodes);
            assert_eq!(last.engine.groups.len(), 3);
            assert_eq!(last.engine.witness_key.is_some(), policy == Policy::Witness);
        }
    }

    #[test]
    fn each_line_has_two_ends() {
        let mut plan = calm(1).cluster;
        assert_eq!(lines_of(&plan, 1), [(0, 0)]);
        (plan.nodes, plan.lines) = (3, 3);
        assert_eq!(lines_of(&plan, 0), [(0, 1), (2, 2)]);
        assert_eq!(lines_of(&plan, 2), [(1, 1), (2, 0)]);
    }
}
