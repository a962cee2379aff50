//! Entries of tar archives into a tree: packages, and layers of container images.
//!
//! Trusts nothing in the archive. No entry lands outside of the tree, whatever its name says
//! and whatever links came before it; devices, sockets and what has no name in UTF-8 are
//! refused. Set-user and set-group bits are dropped: a service gains no rights.

use crate::archive::{Entry, Node, Tree};
use crate::limits;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

/// Why an archive is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The name climbs with `..`.
    Escapes(String),
    /// The name is no text, too long, or empty.
    Name(String),
    /// A device, a pipe or a socket.
    Device(String),
    /// Something else than files, directories and links.
    Unknown(String),
    /// A directory above it is a file, or a link that leads nowhere.
    Blocked(String),
    /// A hard link to what is no file of the archive.
    NoTarget(String),
    /// A whiteout that names no single thing.
    Whiteout(String),
    /// More bytes than a root may have.
    TooLarge(String),
    /// More entries than a root may have.
    TooMany,
    /// It ends early or is no archive.
    Damaged(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Escapes(path) => write!(f, "the entry {path:?} leads out of the root"),
            Self::Name(path) => write!(f, "the entry {path:?} has a name that cannot be used"),
            Self::Device(path) => {
                write!(
                    f,
                    "{path:?} is a device or a pipe; a service gets those from the node"
                )
            }
            Self::Unknown(path) => write!(f, "the entry {path:?} is of an unknown kind"),
            Self::Blocked(path) => write!(f, "the entry {path:?} lies below what is no directory"),
            Self::NoTarget(path) => write!(f, "{path:?} is a hard link to what is not there"),
            Self::Whiteout(path) => write!(f, "the whiteout {path:?} names nothing"),
            Self::TooLarge(path) => write!(
                f,
                "with {path:?} the root would be larger than {}",
                crate::report::size(limits::ROOT_BYTES)
            ),
            Self::TooMany => write!(f, "it has more than {} entries", limits::ROOT_ENTRIES),
            Self::Damaged(why) => write!(f, "it is damaged: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// What a root may still take.
#[derive(Clone, Debug)]
pub struct Room {
    bytes: u64,
    entries: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            bytes: limits::ROOT_BYTES,
            entries: limits::ROOT_ENTRIES,
        }
    }
}

impl Room {
    fn take(&mut self, path: &str, bytes: u64) -> Result<(), Refused> {
        self.entries = self.entries.checked_sub(1).ok_or(Refused::TooMany)?;
        let whole = bytes.saturating_add(path.len() as u64);
        let left = self.bytes.checked_sub(whole);
        self.bytes = left.ok_or_else(|| Refused::TooLarge(path.to_owned()))?;
        Ok(())
    }

    /// Bytes that may still come.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// How an archive's entries meet what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// As dpkg unpacks: a directory leaves a link to a directory in place.
    Package,
    /// As a layer of a container image: names that begin with `.wh.` remove.
    Layer,
}

/// One archive on its way into a tree.
#[derive(Debug)]
pub struct Unpacker<'a> {
    tree: &'a mut Tree,
    room: &'a mut Room,
    rules: Rules,
    origin: &'a str,
    /// What this archive has put there: its own whiteouts spare that.
    own: BTreeSet<String>,
}

impl<'a> Unpacker<'a> {
    /// Begins an archive whose files come from `origin`.
    pub fn new(tree: &'a mut Tree, room: &'a mut Room, rules: Rules, origin: &'a str) -> Self {
        Self {
            tree,
            room,
            rules,
            origin,
            own: BTreeSet::new(),
        }
    }

    /// Takes all entries of an archive.
    ///
    /// # Errors
    /// At the first entry that is refused.
    pub fn archive(&mut self, archive: impl Read) -> Result<(), Refused> {
        let damaged = |error: std::io::Error| Refused::Damaged(error.to_string());
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(damaged)? {
            self.entry(&mut entry.map_err(damaged)?)?;
        }
        Ok(())
    }

    /// Takes one entry.
    ///
    /// # Errors
    /// Why it is refused; the tree is of no use then.
    pub fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), Refused> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let path = clean(&entry.path_bytes())?;
        if path.is_empty() {
            // The root itself, which is there.
            return Ok(());
        }
        if self.rules == Rules::Layer && self.whiteout(&path)? {
            return Ok(());
        }
        let mode = entry.header().mode().unwrap_or(0o644) & 0o1777;
        let id = |id: std::io::Result<u64>| u32::try_from(id.unwrap_or(0)).unwrap_or(0);
        let owner = (id(entry.header().uid()), id(entry.header().gid()));
        let size = if kind.is_file() { entry.size() } else { 0 };
        self.room.take(&path, size)?;
        let target = |entry: &tar::Entry<'_, R>| -> Result<String, Refused> {
            let bytes = entry.link_name_bytes().unwrap_or_default();
            let text = std::str::from_utf8(&bytes).ok();
            let text = text.filter(|text| !text.is_empty() && text.len() <= limits::PATH_BYTES);
            text.map(str::to_owned)
                .ok_or_else(|| Refused::Name(path.clone()))
        };
        let node = if kind.is_file() {
            let mut content = Vec::new();
            let read = entry.take(size).read_to_end(&mut content);
            let read = read.map_err(|error| Refused::Damaged(error.to_string()))?;
            if read as u64 != size {
                return Err(Refused::Damaged(format!("{path:?} ends early")));
            }
            Node::File(Arc::new(content))
        } else if kind.is_dir() {
            Node::Directory
        } else if kind.is_symlink() {
            Node::Symlink(target(entry)?)
        } else if kind.is_hard_link() {
            let linked = self.hard_link(&target(entry)?)?;
            return self.put(&path, linked);
        } else if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
            return Err(Refused::Device(path));
        } else {
            return Err(Refused::Unknown(path));
        };
        let entry = Entry {
            mode,
            owner,
            node,
            origin: self.origin.to_owned(),
        };
        self.put(&path, entry)
    }

    /// The file that a hard link names.
    fn hard_link(&self, target: &str) -> Result<Entry, Refused> {
        let clean = clean(target.as_bytes())?;
        let at = self.tree.settle(&clean).and_then(|at| self.tree.get(&at));
        let entry = at.filter(|entry| matches!(entry.node, Node::File(_) | Node::Symlink(_)));
        entry.cloned().ok_or(Refused::NoTarget(clean))
    }

    fn put(&mut self, path: &str, entry: Entry) -> Result<(), Refused> {
        let at = self
            .tree
            .settle(path)
            .ok_or_else(|| Refused::Blocked(path.to_owned()))?;
        for (end, _) in at.match_indices('/') {
            if self.tree.get(&at[..end]).is_none() {
                self.room.take(&at[..end], 0)?;
            }
        }
        if entry.node == Node::Directory {
            let leads = self
                .tree
                .find(&at)
                .map(|(found, entry)| (found.path, entry.node.clone()));
            match leads {
                // Only mode and owner are new.
                Some((there, Node::Directory)) if there == at => {}
                Some((_, Node::Directory)) if self.rules == Rules::Package => return Ok(()),
                _ => self.tree.remove(&at),
            }
        } else {
            self.tree.remove(&at);
        }
        self.tree.insert(&at, entry);
        self.own.insert(at);
        Ok(())
    }

    /// Whether the entry was a whiteout, which has then been followed.
    fn whiteout(&mut self, path: &str) -> Result<bool, Refused> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(hidden) = name.strip_prefix(".wh.") else {
            return Ok(false);
        };
        if matches!(hidden, "" | "." | "..") {
            return Err(Refused::Whiteout(path.to_owned()));
        }
        let Some(directory) = self.tree.resolve(above).map(|found| found.path) else {
            // Nothing is there that could be hidden.
            return Ok(true);
        };
        let inside = |name: &str| {
            if directory.is_empty() {
                name.to_owned()
            } else {
                format!("{directory}/{name}")
            }
        };
        let doomed = if hidden == ".wh..opq" {
            self.tree.below(&directory)
        } else if hidden.starts_with(".wh.") {
            // Bookkeeping of one storage driver; never content.
            return Ok(true);
        } else {
            let hidden = inside(hidden);
            let mut doomed = self.tree.below(&hidden);
            doomed.push(hidden);
            doomed
        };
        // What this layer itself brings stays, and so do the directories above that.
        let spared = |path: &String| {
            let below = format!("{path}/");
            let next = self.own.range(below.clone()..).next();
            self.own.contains(path) || next.is_some_and(|own| own.starts_with(&below))
        };
        for path in doomed
            .into_iter()
            .filter(|path| !spared(path))
            .collect::<Vec<_>>()
        {
            self.tree.remove(&path);
        }
        Ok(true)
    }
}

/// A name without `./` and leading slashes; empty for the root itself.
fn clean(bytes: &[u8]) -> Result<String, Refused> {
    let lossy = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::Name(lossy()))?;
    if text.len() > limits::PATH_BYTES || text.contains('\0') {
        return Err(Refused::Name(lossy()));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(Refused::Escapes(text.to_owned())),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
pub(crate) mod tests;
