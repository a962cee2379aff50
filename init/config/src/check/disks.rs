//! State partitions: what it means when only some nodes have one.

use super::nodes::Nodes;
use crate::diagnostic::{Diagnostic, Sink};

/// Tells which nodes bring nothing back after a loss of power of all.
pub(super) fn judge(sink: &mut Sink<'_>, nodes: &Nodes) {
    let Some(first) = nodes
        .list
        .iter()
        .find_map(|node| node.state_partition.as_ref())
    else {
        return;
    };
    let without = nodes
        .list
        .iter()
        .filter(|node| node.state_partition.is_none());
    let without: Vec<&str> = without.map(super::nodes::Node::title).collect();
    if !without.is_empty() {
        sink.push(
            Diagnostic::warning(
                first.span(),
                format!("{} keeps no operator wishes on disk", without.join(" and ")),
            )
            .because(
                "after a loss of power of all nodes, what operators wished is known again only once a node with a \
                 state partition is back; wishes made before that lose against what it brings",
            )
            .help("give every node a `state_partition`, or none"),
        );
    }
}
