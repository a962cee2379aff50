//! Weights and capacities by themselves: a group that no node has room for, and sums that
//! are out of range.

use toml::Spanned;

use super::groups::Groups;
use super::nodes::Nodes;
use crate::diagnostic::{Diagnostic, Sink};

/// Judges every weight against the nodes that may run its group.
pub(super) fn judge(sink: &mut Sink<'_>, nodes: &Nodes, groups: &Groups) {
    let mut sum = 0u32;
    for (group, places) in groups.list.iter().zip(&groups.places) {
        let Some(place) = &places.weight else {
            continue;
        };
        sum += u32::from(group.weight);
        if sum >= u32::from(u16::MAX) {
            sink.push(
                Diagnostic::error(place.clone(), format!("the groups weigh {sum} together"))
                    .because(format!(
                        "a node without a `capacity` carries {}, and none of them can be refused there",
                        u16::MAX - 1
                    ))
                    .help("count weights and capacities in larger units"),
            );
            return;
        }
        let may = (0..nodes.list.len()).filter(|node| group.may_run(*node));
        let may: Vec<_> = may.map(|node| &nodes.list[node]).collect();
        let capacities: Option<Vec<&Spanned<u16>>> =
            may.iter().map(|node| node.capacity.as_ref()).collect();
        // a node without one has room for everything
        let Some(capacities) = capacities else {
            continue;
        };
        let largest = capacities.iter().max_by_key(|capacity| *capacity.get_ref());
        let Some(largest) = largest.filter(|largest| *largest.get_ref() < group.weight) else {
            continue;
        };
        sink.push(
            Diagnostic::error(
                place.clone(),
                format!("`{}` weighs more than any node carries", group.name),
            )
            .see(largest.span(), "the most, of the nodes that may run it")
            .because(format!(
                "it takes {} of a node's capacity, and the largest has {}: it could never run",
                group.weight,
                largest.get_ref()
            ))
            .help("correct its `weight`, the nodes' `capacity`, or let a larger node run it"),
        );
    }
}
