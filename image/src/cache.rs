//! Where downloads and unpacked kernels are kept: outside the checkout, keyed by version,
//! never with a secret inside. Every item appears whole, by rename, so two builds at once
//! or a build that was interrupted leave nothing half.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The cache's root directory.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/kodo`, else `~/.cache/kodo`.
    ///
    /// # Errors
    /// When neither variable is set.
    pub fn user() -> Result<Self> {
        let absolute = |name: &str| {
            let value = PathBuf::from(std::env::var_os(name)?);
            value.is_absolute().then_some(value)
        };
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        base.map(|base| Self::at(base.join("kodo"))).ok_or_else(|| {
            Error::new("cannot place the cache")
                .because("neither XDG_CACHE_HOME nor HOME is set")
                .next("set XDG_CACHE_HOME to a directory with 300 MB of space")
        })
    }

    /// A cache at a given place.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The finished item of this key, if it is there.
    pub fn get(&self, key: &str) -> Option<PathBuf> {
        let path = self.root.join(key);
        path.exists().then_some(path)
    }

    /// An empty directory on the cache's file system, removed when dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        make_directory(&self.root)?;
        tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&self.root)
            .map_err(|error| Error::file("make a directory in", &self.root, &error))
    }

    /// Puts a finished file or directory under `key`. An item that is already there wins:
    /// equal keys mean equal content.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put(&self, key: &str, finished: &Path) -> Result<PathBuf> {
        let path = self.root.join(key);
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        match std::fs::rename(finished, &path) {
            Err(_) if path.exists() => Ok(path),
            Err(error) => Err(Error::file("write", &path, &error)),
            Ok(()) => Ok(path),
        }
    }
}

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| Error::file("make the directory", path, &error))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::file("read", path, &error))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|error| Error::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_builds_wins() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let cache = Cache::at(dir.path().join("kodo"));
        assert_eq!(cache.get("kernel/x"), None);
        for text in ["one", "two"] {
            let scratch = cache.scratch().expect("scratch");
            let item = scratch.path().join("item");
            make_directory(&item).expect("item");
            write(&item.join("text"), text.as_bytes()).expect("text");
            cache.put("kernel/x", &item).expect("put");
        }
        let item = cache.get("kernel/x").expect("cached");
        assert_eq!(read(&item.join("text")).expect("text"), b"one");
    }
}
