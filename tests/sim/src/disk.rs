//! A machine's state partition: slow, hanging, torn by a power cut; and what it says.

use core::time::Duration;

use kodo_node::io::Input;
use kodo_node::status::DiskStatus;

use crate::facts::Kept;
use crate::queue::Happening;
use crate::rng::Rng;
use crate::world::World;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two slots, and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    slots: [Vec<u8>; 2],
    /// PID 1 waits for it to be found.
    wanted: bool,
    /// Its node says that it holds all wishes.
    kept: bool,
    /// The write under way.
    writing: Option<(u64, Vec<u8>)>,
}

impl Disk {
    /// A write that was under way is there, is not, or is torn: it was not confirmed.
    pub(crate) fn loses_power(&mut self, rng: &mut Rng) {
        self.wanted = false;
        self.kept = false;
        let Some((serial, mut table)) = self.writing.take() else {
            return;
        };
        let slot = &mut self.slots[usize::from(serial % 2 == 1)];
        match rng.below(3) {
            0 => {}
            1 => *slot = table,
            _ => {
                let whole = rng.index(table.len());
                table.truncate(whole);
                table.extend(slot.get(whole..).unwrap_or_default());
                *slot = table;
            }
        }
    }
}

impl World {
    /// The disk's driver begins to look for it.
    pub(crate) fn start_disk(&mut self, id: usize) {
        if self.machines[id].config.engine.keeps_state {
            let machine = &mut self.machines[id];
            machine.disk.wanted = true;
            let wait = machine.rng.time(ms(50), ms(900));
            self.later(id, wait, Happening::DiskActs);
        }
    }

    /// PID 1 wants a table written. Mostly that takes milliseconds.
    pub(crate) fn persist(&mut self, id: usize, serial: u64, table: &[u8]) {
        let now = self.now();
        let machine = &mut self.machines[id];
        if machine.disk.writing.is_some() {
            self.checks
                .broken("disk", now, "two writes under way at once");
            return;
        }
        machine.disk.writing = Some((serial, table.to_vec()));
        let slow = machine.rng.chance(100);
        let longest = if slow { ms(4000) } else { ms(30) };
        let wait = machine.rng.time(ms(1), longest);
        self.later(id, wait, Happening::DiskActs);
    }

    /// The disk does what it was asked, unless it hangs.
    pub(crate) fn disk_acts(&mut self, id: usize) {
        let machine = &mut self.machines[id];
        if machine.ills.hung_disk {
            return;
        }
        let found = core::mem::take(&mut machine.disk.wanted);
        let written = machine.disk.writing.take();
        if found {
            self.later(id, ms(1), Happening::DiskFound);
        }
        if let Some((serial, table)) = written {
            self.machines[id].disk.slots[usize::from(serial % 2 == 1)] = table;
            self.later(id, ms(1), Happening::DiskWritten(serial));
        }
    }

    pub(crate) fn disk_found(&mut self, id: usize) {
        let slots = self.machines[id].disk.slots.clone();
        self.step(id, Input::StateFound([&slots[0], &slots[1]]));
    }

    pub(crate) fn disk_written(&mut self, id: usize, serial: u64) {
        self.step(id, Input::StateWritten(serial, Ok(())));
    }

    /// Takes note when a node begins to say that its disk holds all wishes: those it must
    /// know again after any power cut.
    pub(crate) fn watch_disk(&mut self, id: usize) {
        let at = self.now();
        let machine = &mut self.machines[id];
        let Some(node) = machine.node.as_ref().filter(|_| self.plan.cluster.disks) else {
            return;
        };
        let status = node.status();
        let kept = status.nodes[id].disk == DiskStatus::Kept;
        if kept && !machine.disk.kept {
            let nodes = status.nodes.iter().enumerate();
            let standby = nodes.filter_map(|(n, node)| node.standby.then_some(n));
            self.facts.kept.push(Kept {
                at,
                machine: id,
                standby: standby.collect(),
                maintenance: status.maintenance,
            });
        }
        self.machines[id].disk.kept = kept;
    }
}
