//! cgroup v2: one directory per service and child, bounded as a whole and killed as a whole.
//!
//! Owns the layout `/sys/fs/cgroup/{services,children}/NAME` and its bounds. PID 1 and the
//! lanes stay in the root, above all limits.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kodo_sys::Result;

/// Bytes that services leave to PID 1, its helpers and the kernel: a node runs in 96 MB.
const RESERVE: u64 = 48 << 20;
/// Processes and threads of one service: a fork bomb ends here.
const SERVICE_TASKS: u64 = 512;
/// Bytes and tasks of one of this node's own children.
const CHILD_MEMORY: u64 = 32 << 20;
const CHILD_TASKS: u64 = 32;

/// The two branches below the root of the hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// The bounds of one cgroup.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds {
    /// Of a service.
    Service,
    /// Of this node's own child.
    Child,
}

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

    fn branch(&self, bounds: Bounds) -> PathBuf {
        self.root.join(match bounds {
            Bounds::Service => "services",
            Bounds::Child => "children",
        })
    }

    /// Makes the branches and hands down the controllers that the kernel has.
    pub(super) fn prepare(&self) -> Result<()> {
        let mut missing = None;
        for directory in [
            self.root.clone(),
            self.branch(Bounds::Service),
            self.branch(Bounds::Child),
        ] {
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
            limit(&self.branch(Bounds::Service), "memory.max", bound)?;
        }
        // Services get the smaller share of a busy processor.
        limit(&self.branch(Bounds::Child), "cpu.weight", 400)?;
        missing.map_or(Ok(()), Err)
    }

    /// Makes the cgroup `name`.
    pub(super) fn make(&self, name: &str, bounds: Bounds) -> Result<Cgroup> {
        let directory = self.branch(bounds).join(name);
        fs::create_dir_all(&directory)?;
        let (memory, tasks) = match bounds {
            Bounds::Service => (None, SERVICE_TASKS),
            Bounds::Child => (Some(CHILD_MEMORY), CHILD_TASKS),
        };
        limit(&directory, "pids.max", tasks)?;
        limit(&directory, "memory.oom.group", 1)?;
        if let Some(memory) = memory {
            limit(&directory, "memory.max", memory)?;
        }
        Cgroup::open(&directory)
    }
}

/// Sets a bound; one whose controller is missing was told by `prepare`.
fn limit(directory: &Path, file: &str, value: u64) -> Result<()> {
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
    kill: PathBuf,
}

impl Cgroup {
    fn open(directory: &Path) -> Result<Cgroup> {
        Ok(Cgroup {
            directory: File::open(directory)?,
            events: File::open(directory.join("cgroup.events"))?,
            kill: directory.join("cgroup.kill"),
        })
    }

    /// KILL to every process in it, also to those that are just being forked.
    pub(super) fn kill(&self) -> Result<()> {
        fs::write(&self.kill, "1")
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
