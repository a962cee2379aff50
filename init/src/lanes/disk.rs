//! The disk lane: the partition that keeps operators' wishes.
//!
//! Owns all that touches a disk, each step of which may hang for ever when the disk does:
//! loading its driver, finding the partition, reading and writing it. Nobody waits for this
//! lane: PID 1 and the node go on without it, and alert. It is told what to look for once
//! all other drivers are loaded, so that a disk that hangs while it is found hangs no NIC.
//!
//! The partition has two slots of a page. A table goes into the one that its serial number's
//! lowest bit names: the newest table that is there for certain is never written over.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use kodo_node::limits::SLOT;
use kodo_sys::Result;
use kodo_sys::disk::{Disk, PAGE, Page};
use kodo_sys::netlink::Events;
use kodo_sys::poll::{Interest, Poller, Ready};

use super::index::{Index, Kind};
use super::uevent::Uevent;
use super::{Link, children};
use crate::wire::{FromDisk, ToDisk};

const _: () = assert!(SLOT == PAGE, "a slot is a page");

const KEY_PID1: u64 = 0;
const KEY_UEVENTS: u64 = 1;

/// Bytes of uevents kept while a disk is slow.
const UEVENT_BUFFER: usize = 1 << 20;
const ENODEV: i32 = 19;

/// Runs until PID 1 is gone.
pub(crate) fn run() -> Result<()> {
    let mut pid1 = Link::inherit("kodo-disk")?;
    let Some((ToDisk::Find(name), _)) = pid1.receive()? else {
        return Ok(());
    };
    let release = kodo_sys::machine::kernel_release();
    let index = Index::open(&Path::new("/lib/modules").join(release));
    Lane::new(pid1, index, name)?.serve()
}

struct Lane {
    pid1: Link,
    poller: Poller,
    uevents: Events,
    index: Index,
    aliases: HashSet<String>,
    /// The partition's name.
    name: String,
    open: Option<(String, Disk)>,
}

impl Lane {
    fn new(pid1: Link, index: Index, name: String) -> Result<Lane> {
        let poller = Poller::new()?;
        // Before the first look at sysfs, so that nothing falls in between.
        let uevents = Events::devices(UEVENT_BUFFER)?;
        poller.add(&pid1, KEY_PID1, Interest::Read)?;
        poller.add(&uevents, KEY_UEVENTS, Interest::Read)?;
        Ok(Lane {
            pid1,
            poller,
            uevents,
            index,
            aliases: HashSet::new(),
            name,
            open: None,
        })
    }

    fn serve(&mut self) -> Result<()> {
        self.look_at_everything()?;
        let mut ready = Ready::new();
        loop {
            self.poller.wait(&mut ready, None)?;
            for wake in ready.iter() {
                match wake.key {
                    KEY_UEVENTS => self.uevents()?,
                    _ => match self.pid1.receive()? {
                        Some((ToDisk::Write { serial, table }, _)) => self.write(serial, &table)?,
                        Some((ToDisk::Find(_), _)) => {}
                        None => return Ok(()),
                    },
                }
            }
        }
    }

    fn look_at_everything(&mut self) -> Result<()> {
        for bus in children(Path::new("/sys/bus")) {
            for device in children(&bus.join("devices")) {
                if let Ok(alias) = fs::read_to_string(device.join("modalias")) {
                    self.load_for(alias.trim())?;
                }
            }
        }
        self.look()
    }

    fn uevents(&mut self) -> Result<()> {
        let mut buffer = [0; 8192];
        loop {
            let len = match self.uevents.receive(&mut buffer) {
                Ok(len) => len,
                Err(error) if kodo_sys::would_block(&error) => return Ok(()),
                // Lost: the present state tells what was in them.
                Err(_) => return self.look_at_everything(),
            };
            let Some(event) = Uevent::parse(&buffer[..len]) else {
                continue;
            };
            if let (true, Some(alias)) = (event.added, event.modalias) {
                self.load_for(alias)?;
            }
            match (event.subsystem, event.added) {
                ("block", true) => self.look()?,
                ("block", false) => {
                    let gone =
                        |(device, _): &mut (String, Disk)| Some(device.as_str()) == event.name;
                    if self.open.take_if(gone).is_some() {
                        self.pid1.send(&FromDisk::Gone, None)?;
                        self.look()?;
                    }
                }
                _ => {}
            }
        }
    }

    /// Loads the drivers of disks for a device; the dev lane loads all others.
    fn load_for(&mut self, alias: &str) -> Result<()> {
        if alias.is_empty() || !self.aliases.insert(alias.to_owned()) {
            return Ok(());
        }
        let modules: Vec<String> = self.index.modules_for(alias).map(str::to_owned).collect();
        for module in modules {
            if self.index.kind(&module) != Kind::Disk {
                continue;
            }
            if let Err(error) = self.index.load_with_dependencies(&module) {
                self.trouble(&format!("disk driver {module} does not load: {error}"))?;
            }
        }
        Ok(())
    }

    /// Opens and reads the partition, if it is there and not open yet.
    fn look(&mut self) -> Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let found = find(Path::new("/sys/class/block"), &self.name);
        let Some(device) = found.first() else {
            return Ok(());
        };
        if found.len() > 1 {
            let text = format!(
                "{} partitions are named {}: {device} is used",
                found.len(),
                self.name
            );
            self.trouble(&text)?;
        }
        match read(&Path::new("/dev").join(device)) {
            Ok((disk, slots)) => {
                let found = FromDisk::Found {
                    device: device.clone(),
                    slots: slots.map(|slot| slot.0.to_vec()),
                };
                self.open = Some((device.clone(), disk));
                self.pid1.send(&found, None)
            }
            Err(error) => {
                let text = format!("state partition {} ({device}): {error}", self.name);
                self.trouble(&text)
            }
        }
    }

    fn write(&mut self, serial: u64, table: &[u8]) -> Result<()> {
        let mut page = Page::new();
        let result = match (&self.open, page.0.get_mut(..table.len())) {
            (Some((_, disk)), Some(place)) => {
                place.copy_from_slice(table);
                let slot = u8::from(serial % 2 == 1);
                disk.write(slot, &page)
                    .map_err(|error| kodo_sys::errno(&error))
            }
            _ => Err(ENODEV),
        };
        self.pid1.send(&FromDisk::Written { serial, result }, None)
    }

    fn trouble(&mut self, text: &str) -> Result<()> {
        self.pid1.send(&FromDisk::Trouble(text.into()), None)
    }
}

/// Opens a partition and reads its slots.
fn read(path: &Path) -> Result<(Disk, [Page; 2])> {
    let disk = Disk::open(path)?;
    let slots = [disk.read(0)?, disk.read(1)?];
    Ok((disk, slots))
}

/// Names below `/dev` of the partitions with this name, in order.
fn find(class: &Path, name: &str) -> Vec<String> {
    let mut found: Vec<String> = children(class)
        .into_iter()
        .filter_map(|device: PathBuf| {
            let text = fs::read_to_string(device.join("uevent")).ok()?;
            let value = |key: &str| {
                let mut lines = text.lines();
                lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            };
            (value("PARTNAME")? == name).then(|| value("DEVNAME").map(str::to_owned))?
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_by_its_name_in_the_gpt() {
        let class = std::env::temp_dir().join(format!("kodo-class-{}", std::process::id()));
        let device = |name: &str, uevent: &str| {
            fs::create_dir_all(class.join(name)).unwrap();
            fs::write(class.join(name).join("uevent"), uevent).unwrap();
        };
        device("vda", "MAJOR=254\nDEVNAME=vda\nDEVTYPE=disk\n");
        device(
            "vda2",
            "DEVNAME=vda2\nDEVTYPE=partition\nPARTN=2\nPARTNAME=kodo-state\n",
        );
        device("vda1", "DEVNAME=vda1\nPARTNAME=kodo-state-old\n");
        device("sdb1", "DEVNAME=sdb1\nPARTNAME=kodo-state\n");
        let found = find(&class, "kodo-state");
        let other = find(&class, "kodo");
        fs::remove_dir_all(&class).unwrap();
        assert_eq!(found, ["sdb1", "vda2"]);
        assert!(other.is_empty());
    }
}
