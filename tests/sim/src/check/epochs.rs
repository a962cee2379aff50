//! Promise 4: epochs grow within shared memory.
//!
//! Owns what each life said last. Within one life neither the view's nor a tenure's
//! epoch falls, and another holder always comes with a greater one, but where the old
//! holder, the new one or the witness of both were apart a moment ago: they shared no
//! memory then.

use core::time::Duration;

use kodo_node::status::{Name, Status};

use crate::check::Found;
use crate::check::hearing::Hearing;
use crate::clock::At;
use crate::machine::Machine;
use crate::plan::Plan;

/// A status is asked for this often.
const EVERY: Duration = Duration::from_millis(40);
/// What two halves did apart shows in each other's status for so long.
const MEMORY: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Epochs {
    next: Vec<At>,
    said: Vec<Said>,
    groups: usize,
}

#[derive(Clone, Debug, Default)]
struct Said {
    view: u64,
    /// By group: the tenure's epoch, and its holder.
    tenures: Vec<(u64, Option<Name>)>,
}

impl Epochs {
    pub(crate) fn new(plan: &Plan) -> Epochs {
        let machines = plan.machines.len();
        let groups = plan.cluster.group_count();
        let said = Said {
            view: 0,
            tenures: vec![(0, None); groups],
        };
        Epochs {
            next: vec![Duration::ZERO; machines],
            said: vec![said; machines],
            groups,
        }
    }

    pub(crate) fn life_begins(&mut self, id: usize) {
        self.said[id].view = 0;
        self.said[id].tenures.fill((0, None));
    }

    pub(crate) fn wants(&mut self, now: At, id: usize) -> bool {
        let due = now >= self.next[id];
        if due {
            self.next[id] = now + EVERY;
        }
        due
    }

    pub(crate) fn status(
        &mut self,
        now: At,
        id: usize,
        status: &Status,
        machines: &[Machine],
        hearing: &Hearing,
    ) -> Found {
        let position = |name: &Name| status.nodes.iter().position(|node| node.name == *name);
        let parted = |old: &Name, new: &Name| {
            let (Some(old), Some(new)) = (position(old), position(new)) else {
                return false;
            };
            [(old, new), (id, old), (id, new)]
                .into_iter()
                .any(|(a, b)| hearing.parted(now, a, b, MEMORY, machines))
        };
        let said = &mut self.said[id];
        let view = status.view.as_ref().map_or(said.view, |view| view.epoch);
        let mut found = None;
        if view < said.view {
            found = Some(format!("view epoch fell from {} to {view}", said.view));
        }
        said.view = view;
        for (group, (tenure, holder)) in said.tenures.iter_mut().enumerate().take(self.groups) {
            let says = &status.groups[group];
            let number = group + 1;
            if says.epoch < *tenure {
                let epoch = says.epoch;
                found = Some(format!(
                    "tenure epoch of group {number} fell from {tenure} to {epoch}"
                ));
            } else if let (Some(old), Some(new)) = (&*holder, &says.holder)
                && old != new
                && says.epoch <= *tenure
                && !parted(old, new)
            {
                found = Some(format!(
                    "group {number} went from {old} to {new} under epoch {} after {tenure}",
                    says.epoch
                ));
            }
            *tenure = says.epoch;
            if says.holder.is_some() {
                holder.clone_from(&says.holder);
            }
        }
        found.map(|text| ("4", text))
    }
}
