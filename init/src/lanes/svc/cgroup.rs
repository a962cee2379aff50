//! cgroup v2: one directory per service and child, bounded as a whole and killed as a whole.
//!
//! Owns the layout `/sys/fs/cgroup/{services,children}/NAME` and its bounds. PID 1 and the
//! lanes stay in the root, above all limits.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kodo_config::cluster::Bounds;
use kodo_sys::Result;

/// Bytes that services leave to PID 1, its helpers and the kernel: a node runs in 96 MB.
const RESERVE: u64 = 48 << 20;
/// What one of this node's own children may take.
const CHILD: Bounds = Bounds {
    memory: Some(32 << 20),
    pids: 32,
    cpu: None,
};

/// The two branches below the root of the hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// Whose cgroup it is, and so what it may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// A service's.
    Service(Bounds),
    /// This node's own child's.
    Child,
}

/// The period of `cpu.max` in microseconds, the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

impl Tree {
    /// Where PID 1 mounts it.
    pub(super) fn standard() -> Tree {
        Tree {
            root: "/sys/fs/cgroup".into(),
        }
    }

    /// Anywhere else in a mounted hierarchy.
    #[cfg(test)]
    pub(super) fn at(root: PathBuf) -> Tree {
        Tree { root }
    }

    fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    fn children(&self) -> PathBuf {
        self.root.join("children")
    }

    /// Makes the branches and hands down the controllers that the kernel has.
    pub(super) fn prepare(&self) -> Result<()> {
        let mut missing = None;
        for directory in [self.root.clone(), self.services(), self.children()] {
            fs::create_dir_all(&directory)?;
            for controller in ["+cpu", "+memory", "+pids"] {
                if let Err(error) = fs::write(directory.join("cgroup.subtree_control"), controller)
                {
                    missing = Some(error);
                }
            }
        }
        let bound = memory_total().map(|total| (total / 2).max(total.saturating_sub(RESERVE * 2)));
        if let Some(bound) = bound {
            limit(&self.services(), "memory.max", bound)?;
        }
        // Services get the smaller share of a busy processor.
        limit(&self.children(), "cpu.weight", 400)?;
        missing.map_or(Ok(()), Err)
    }

    /// Makes the cgroup `name`.
    pub(super) fn make(&self, name: &str, whose: Whose) -> Result<Cgroup> {
        let (branch, bounds) = match whose {
            Whose::Service(bounds) => (self.services(), bounds),
            Whose::Child => (self.children(), CHILD),
        };
        let directory = branch.join(name);
        fs::create_dir_all(&directory)?;
        // Half a service is worse than none: the supervisor starts all of it again.
        limit(&directory, "memory.oom.group", 1)?;
        let cgroup = Cgroup::open(directory)?;
        cgroup.bound(bounds)?;
        Ok(cgroup)
    }
}

/// Sets a bound; one whose controller is missing was told by `prepare`.
fn limit(directory: &Path, file: &str, value: impl Display) -> Result<()> {
    let path = directory.join(file);
    if path.exists() {
        fs::write(path, value.to_string())
    } else {
        Ok(())
    }
}

fn memory_total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = text
        .lines()
        .next()?
        .split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()?;
    Some(kilobytes * 1024)
}

/// One cgroup.
#[derive(Debug)]
pub(super) struct Cgroup {
    /// Its directory, for starting a process in it.
    pub(super) directory: File,
    /// Readable with priority when it becomes empty or populated.
    pub(super) events: File,
    path: PathBuf,
}

impl Cgroup {
    fn open(path: PathBuf) -> Result<Cgroup> {
        Ok(Cgroup {
            directory: File::open(&path)?,
            events: File::open(path.join("cgroup.events"))?,
            path,
        })
    }

    /// What it may take from now on. Less memory than it has ends what is in it.
    pub(super) fn bound(&self, bounds: Bounds) -> Result<()> {
        let most =
            |value: Option<u64>| value.map_or_else(|| "max".into(), |value| value.to_string());
        limit(&self.path, "pids.max", bounds.pids)?;
        limit(&self.path, "memory.max", most(bounds.memory))?;
        let quota = bounds.cpu.map(|cpu| u64::from(cpu) * CPU_PERIOD / 100);
        limit(
            &self.path,
            "cpu.max",
            format_args!("{} {CPU_PERIOD}", most(quota)),
        )
    }

    /// KILL to every process in it, also to those that are just being forked.
    pub(super) fn kill(&self) -> Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// Whether no process is left in it.
    pub(super) fn is_empty(&self) -> bool {
        let mut text = String::new();
        let mut events = &self.events;
        events.seek(SeekFrom::Start(0)).is_ok()
            && events.read_to_string(&mut text).is_ok()
            && text.lines().any(|line| line == "populated 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as the kernel has them: what is written to them is looked at, and no kernel is
    /// needed that has all controllers.
    #[test]
    fn bounds_are_set_and_taken_back() {
        let root = std::env::temp_dir().join(format!("kodo-bounds-{}", std::process::id()));
        let service = root.join("services/web");
        fs::create_dir_all(&service).unwrap();
        let files = ["pids.max", "memory.max", "cpu.max", "memory.oom.group"];
        for file in files.into_iter().chain(["cgroup.events"]) {
            fs::write(service.join(file), "").unwrap();
        }
        let written = || files.map(|file| fs::read_to_string(service.join(file)).unwrap());
        let mut bounds = Bounds {
            memory: Some(64 << 20),
            pids: 100,
            cpu: Some(150),
        };
        let tree = Tree::at(root.clone());
        let cgroup = tree.make("web", Whose::Service(bounds)).unwrap();
        assert_eq!(written(), ["100", "67108864", "150000 100000", "1"]);
        (bounds.memory, bounds.cpu) = (None, None);
        cgroup.bound(bounds).unwrap();
        assert_eq!(written(), ["100", "max", "max 100000", "1"]);
        fs::remove_dir_all(root).unwrap();
    }
}
