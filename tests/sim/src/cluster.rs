//! From a plan to the nodes' configurations, through the shipped reader of cluster files.
//!
//! Owns the text of the simulated cluster file and the addresses in it.

use core::net::Ipv4Addr;
use std::fmt::Write as _;

use kodo_config::Cluster;

use crate::plan::{ClusterPlan, File};

/// The VIP.
pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 33);
/// The gateway, and the ping group.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// The client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 100);
/// Position of the LAN port in every node's file entry.
pub const LAN_PORT: u8 = 0;
/// Position of the crossover port.
pub const CROSSOVER_PORT: u8 = 1;

const KEY: &str = "73696d756c6174656420636c757374657273206e656564206e6f207365637265";
const WRONG_KEY: &str = "73696d756c6174656420666f7267657273206861766520616e6f74686572206b";

/// The static address of a node.
#[must_use]
pub fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 0, 18 + u8::try_from(node).unwrap_or(0))
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

fn parse(text: &str) -> Cluster {
    match Cluster::parse("sim.toml", text, &|_, _| Err("no other files".into())) {
        Ok(cluster) => cluster,
        Err(errors) => panic!("{errors:#?}\n{text}"),
    }
}

fn text(plan: &ClusterPlan, file: File, key: &str) -> String {
    let mut text = String::new();
    let policy = if plan.ping_decides { "ping" } else { "accept" };
    let failback = if plan.auto_failback { "auto" } else { "manual" };
    let backoff = match file {
        File::Same => "5s",
        File::Changed => "6s",
    };
    let mut write = |part: std::fmt::Arguments<'_>| {
        text.write_fmt(part).expect("a String takes everything");
    };
    write(format_args!(
        "schema = 1\n[cluster]\nname = \"sim\"\nkey = \"{key}\"\nprofile = \"{}\"\n\
         split_brain = \"{policy}\"\ndrills = true\n",
        plan.profile
    ));
    if plan.pings {
        write(format_args!("ping = [\"{GATEWAY}\"]\n"));
    }
    write(format_args!(
        "[watchdog]\ntimeout = \"{}ms\"\n",
        plan.watchdog.as_millis()
    ));
    for node in 0..2 {
        let hex = |port| {
            let [a, b, c, d, e, f] = mac(node, port);
            format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
        };
        write(format_args!(
            "[[node]]\nname = \"node{}\"\n\
             [[node.nic]]\nrole = \"lan\"\nmac = \"{}\"\naddress = [\"{}/24\"]\ngateway = [\"{GATEWAY}\"]\n\
             [[node.nic]]\nrole = \"crossover\"\nmac = \"{}\"\n",
            node + 1,
            hex(LAN_PORT),
            address(node),
            hex(CROSSOVER_PORT),
        ));
        if let Some(baud) = plan.baud {
            write(format_args!(
                "[[node.serial]]\ndevice = \"ttyS1\"\nbaud = {baud}\n"
            ));
        }
    }
    write(format_args!(
        "[[service]]\nname = \"web\"\nkind = \"builtin\"\nport = 80\nbackoff_max = \"{backoff}\"\n\
         [service.probe]\npath = \"/\"\ninterval = \"1s\"\ntimeout = \"1s\"\nrise = 1\nfall = 2\n\
         [[vip]]\nname = \"vip\"\naddress = \"{VIP}/24\"\n\
         [[group]]\nname = \"www\"\nmembers = [\"web\", \"vip\"]\nprefer = [\"node1\", \"node2\"]\n\
         failback = \"{failback}\"\nmigration_threshold = {}\nfailure_timeout = \"{}ms\"\n",
        plan.migration_threshold,
        plan.failure_timeout.as_millis()
    ));
    text
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
        assert_eq!(same.file_hash(), forged(&plan).file_hash());
        assert_eq!(node(&same, 1).engine.me.index(), 1);
    }
}
