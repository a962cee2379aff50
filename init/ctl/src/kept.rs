//! What a loss of power leaves of a wish: asked of the disks, not promised.
//!
//! Owns the short wait until the nodes that will keep a wish say that they have, and the
//! words for it. Never makes the wish wait: it was taken before.

use std::thread::sleep;
use std::time::{Duration, Instant};

use kodo_admin::api::{Disk, Status};

use crate::client::Client;

/// A write takes milliseconds; a disk that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);

/// One line on what became of a wish on the disks of these nodes.
pub(crate) fn line(client: &Client, nodes: &[String]) -> String {
    let begun = Instant::now();
    loop {
        let kept = match client.status() {
            Ok(status) => kept(&status, nodes),
            Err(_) => Vec::new(),
        };
        if kept.len() == nodes.len() || begun.elapsed() >= PATIENCE {
            return words(nodes, &kept);
        }
        sleep(LOOK);
    }
}

/// Those of them that have it on disk.
fn kept<'a>(status: &Status, nodes: &'a [String]) -> Vec<&'a String> {
    let has = |name: &&String| {
        let mut known = status.nodes.iter();
        known.any(|node| node.name == **name && node.disk == Disk::Kept)
    };
    nodes.iter().filter(has).collect()
}

fn words(nodes: &[String], kept: &[&String]) -> String {
    let late: Vec<&str> = nodes
        .iter()
        .filter(|node| !kept.contains(node))
        .map(String::as_str)
        .collect();
    let kept: Vec<&str> = kept.iter().map(|node| node.as_str()).collect();
    let mut line = String::new();
    if !kept.is_empty() {
        line = format!("kept through a loss of all power on {}", kept.join(", "));
    }
    if !late.is_empty() {
        let and = if line.is_empty() { "" } else { "; " };
        line.push_str(&format!(
            "{and}not confirmed yet on {}: see `kodo status`",
            late.join(", ")
        ));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_confirmed_is_called_kept() {
        let nodes = ["node1", "node2"].map(str::to_owned);
        let all = [&nodes[0], &nodes[1]];
        assert_eq!(
            words(&nodes, &all),
            "kept through a loss of all power on node1, node2\n"
        );
        assert_eq!(
            words(&nodes, &all[1..]),
            "kept through a loss of all power on node2; not confirmed yet on node1: see `kodo status`\n"
        );
        assert_eq!(
            words(&nodes, &[]),
            "not confirmed yet on node1, node2: see `kodo status`\n"
        );
    }
}
