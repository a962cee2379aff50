//! Where a lab keeps its things on the host.
//!
//! Owns two directories: a lasting one for captures, consoles and the timeline, and a
//! short-lived one for sockets, whose paths must be short. Both are for the lab's user only.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Context, Result};

/// A directory of this name belongs to the process whose number follows.
const PREFIX: &str = "kodo-lab-";

/// A lab's directories; the short-lived one goes with it.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    sockets: PathBuf,
    /// The lasting directory was asked for, or is worth keeping.
    keep: bool,
}

impl Place {
    /// Makes them; `dir` is the lasting one, if somebody cares where it is.
    pub(crate) fn make(dir: Option<&Path>) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        sweep(&base);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = base.join(format!("{PREFIX}{}-{n}", std::process::id()));
        let sockets = own.join("s");
        let keep = dir.is_some();
        let dir = dir.map_or_else(|| own.join("log"), Path::to_path_buf);
        for wanted in [&sockets, &dir] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(wanted);
            made.context(|| format!("cannot make the directory {}", wanted.display()))?;
        }
        Ok(Self { dir, sockets, keep })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// Keeps the lasting directory even though nobody asked for it.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let own = self.sockets.parent().unwrap_or(&self.sockets);
        let inside = self.dir.starts_with(own);
        let gone = if inside && self.keep {
            &self.sockets
        } else {
            own
        };
        // What stays behind is swept up by the next lab.
        let _ = std::fs::remove_dir_all(gone);
    }
}

/// Removes the sockets of labs that ended without doing so themselves.
fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next())
        else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            // Somebody else's cannot be removed and is left to them.
            let _ = std::fs::remove_dir_all(entry.path().join("s"));
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::TempDir;

    #[test]
    fn unwanted_directories_go_and_wanted_ones_stay() {
        let place = Place::make(None).unwrap();
        let (dir, sockets) = (place.dir().to_owned(), place.sockets().to_owned());
        assert!(dir.is_dir() && sockets.is_dir());
        drop(place);
        assert!(!dir.exists() && !sockets.exists());

        let wanted = TempDir::new();
        let place = Place::make(Some(&wanted.path().join("lab"))).unwrap();
        let (dir, sockets) = (place.dir().to_owned(), place.sockets().to_owned());
        drop(place);
        assert!(dir.is_dir() && !sockets.exists());

        let mut place = Place::make(None).unwrap();
        let dir = place.dir().to_owned();
        place.keep();
        drop(place);
        assert!(dir.is_dir());
        std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }
}
