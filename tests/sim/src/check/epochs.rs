//! Promise 4: epochs grow within shared memory.
//!
//! Owns what each life said last. Within one life neither the view's nor the tenure's
//! epoch falls, and another holder always comes with a greater one, but where the two
//! halves of a split each made a tenure of their own: they shared no memory then.

use core::time::Duration;

use kodo_node::status::{Name, Status};

use crate::check::Found;
use crate::clock::At;
use crate::origin::MACHINES;

/// A status is asked for this often.
const EVERY: Duration = Duration::from_millis(40);

#[derive(Debug, Default)]
pub(crate) struct Epochs {
    next: [At; MACHINES],
    said: [Said; MACHINES],
}

#[derive(Clone, Debug, Default)]
struct Said {
    view: u64,
    tenure: u64,
    holder: Option<Name>,
}

impl Epochs {
    pub(crate) fn life_begins(&mut self, id: usize) {
        self.said[id] = Said::default();
    }

    pub(crate) fn wants(&mut self, now: At, id: usize) -> bool {
        let due = now >= self.next[id];
        if due {
            self.next[id] = now + EVERY;
        }
        due
    }

    pub(crate) fn status(&mut self, id: usize, status: &Status, parted: bool) -> Found {
        let said = &mut self.said[id];
        let view = status.view.as_ref().map_or(said.view, |view| view.epoch);
        let group = &status.groups[0];
        let found = if view < said.view {
            Some(format!("view epoch fell from {} to {view}", said.view))
        } else if group.epoch < said.tenure {
            Some(format!(
                "tenure epoch fell from {} to {}",
                said.tenure, group.epoch
            ))
        } else if let (Some(old), Some(new)) = (&said.holder, &group.holder)
            && old != new
            && group.epoch <= said.tenure
            && !parted
        {
            Some(format!(
                "the group went from {old} to {new} under epoch {} after {}",
                group.epoch, said.tenure
            ))
        } else {
            None
        };
        said.view = view;
        said.tenure = group.epoch;
        if group.holder.is_some() {
            said.holder.clone_from(&group.holder);
        }
        found.map(|text| ("4", text))
    }
}
