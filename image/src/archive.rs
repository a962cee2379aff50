//! The initramfs as a tree of entries and as a cpio archive (newc, the only form the
//! kernel unpacks). Two trees with equal entries give equal bytes: sorted by path, time
//! zero, inode numbers by position.
//!
//! Invariant: what stands above an entry is a directory, never a link. The kernel follows
//! links while it unpacks, so an entry below one would land wherever that points to. Paths
//! of strangers go through [`Tree::settle`] first.

use crate::error::{Error, Result};
use cpio::newc;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;

/// Links that are followed for one path, as the kernel bounds them.
const LINKS_MAX: usize = 40;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file with its content; names that share it are one file.
    File(Arc<Vec<u8>>),
    /// A symbolic link and where it points to.
    Symlink(String),
    /// A character device, for `/dev/console` before devtmpfs is mounted.
    CharDevice {
        /// Driver number.
        major: u32,
        /// Device number within the driver.
        minor: u32,
    },
}

/// One entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// What it is.
    pub node: Node,
    /// Where it came from, for `manifest.json`.
    pub origin: String,
}

/// A tree of entries, keyed by path without a leading slash.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry's own path; empty for the root.
    pub path: String,
    /// The links on the way.
    pub links: Vec<String>,
}

impl Tree {
    /// Adds a file and the directories above it.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>, origin: &str) {
        self.put(path, mode, Node::File(Arc::new(content)), origin);
    }

    /// Adds a symbolic link and the directories above it.
    pub fn symlink(&mut self, path: &str, target: &str, origin: &str) {
        self.put(path, 0o777, Node::Symlink(target.to_owned()), origin);
    }

    /// Adds a directory and those above it.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.put(path, mode, Node::Directory, "layout");
    }

    /// Adds a character device.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.put(path, mode, Node::CharDevice { major, minor }, "layout");
    }

    /// Adds an entry, and the directories above it.
    ///
    /// # Panics
    /// When something else than a directory stands above it.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        for (at, _) in path.match_indices('/') {
            let above = self
                .entries
                .entry(path[..at].to_owned())
                .or_insert_with(|| Entry {
                    mode: 0o755,
                    owner: (0, 0),
                    node: Node::Directory,
                    origin: "layout".to_owned(),
                });
            assert!(
                above.node == Node::Directory,
                "/{path} is below a directory"
            );
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// What stands at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entry that a path leads to, all links followed, and what it is.
    pub fn find(&self, path: &str) -> Option<(Found, &Entry)> {
        let found = self.resolve(path)?;
        let entry = self.get(&found.path)?;
        Some((found, entry))
    }

    /// Content of the file that a path leads to.
    pub fn content(&self, path: &str) -> Option<&Arc<Vec<u8>>> {
        match self.find(path)?.1 {
            Entry {
                node: Node::File(content),
                ..
            } => Some(content),
            _ => None,
        }
    }

    /// Removes what stands at a path, and everything below it.
    pub fn remove(&mut self, path: &str) {
        self.entries.remove(path);
        for below in self.below(path) {
            self.entries.remove(&below);
        }
    }

    /// Paths of everything below a directory.
    pub fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        self.entries
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect()
    }

    /// Where a path leads, links followed as a process with this root sees them: absolute
    /// ones begin here, and nothing climbs above. `None` where something is missing, or links
    /// go round in a circle.
    pub fn resolve(&self, path: &str) -> Option<Found> {
        let mut todo: VecDeque<&str> = path.split('/').collect();
        let mut at: Vec<&str> = Vec::new();
        let mut links = Vec::new();
        while let Some(part) = todo.pop_front() {
            match part {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                part => at.push(part),
            }
            let here = at.join("/");
            match &self.get(&here)?.node {
                Node::Symlink(target) => {
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    links.push(here);
                    if links.len() > LINKS_MAX {
                        return None;
                    }
                    for part in target.split('/').rev() {
                        todo.push_front(part);
                    }
                }
                // What follows a file cannot be there.
                Node::File(_) | Node::CharDevice { .. } if !todo.is_empty() => return None,
                _ => {}
            }
        }
        Some(Found {
            path: at.join("/"),
            links,
        })
    }

    /// The path at which an entry for `path` is to be put: the directories above it resolved,
    /// so that none of them is a link; those that are missing will be made. `None` when a file
    /// is in the way, or links go round in a circle.
    pub fn settle(&self, path: &str) -> Option<String> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = String::new();
        for part in above.split('/').filter(|part| !part.is_empty()) {
            let next = if at.is_empty() {
                part.to_owned()
            } else {
                format!("{at}/{part}")
            };
            at = match self.get(&next) {
                None => next,
                Some(entry) if entry.node == Node::Directory => next,
                // A link to what is not there has no directory to put something into.
                Some(_) => self.resolve(&next)?.path,
            };
            let usable = at.is_empty()
                || self
                    .get(&at)
                    .is_none_or(|entry| entry.node == Node::Directory);
            if !usable {
                return None;
            }
        }
        Some(if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}/{name}")
        })
    }

    /// Puts another tree below a directory of this one.
    pub fn graft(&mut self, at: &str, tree: Self) {
        self.directory(at, 0o755);
        for (path, entry) in tree.entries {
            self.insert(&format!("{at}/{path}"), entry);
        }
    }

    /// All entries in archive order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// Bytes of all files; what names share counts once.
    pub fn size(&self) -> u64 {
        let names = self.names();
        let shared = |content: &Arc<Vec<u8>>| names[&Arc::as_ptr(content)].1;
        let file = |(at, entry): (usize, &Entry)| match &entry.node {
            Node::File(content) if shared(content) == at => content.len() as u64,
            _ => 0,
        };
        self.entries.values().enumerate().map(file).sum()
    }

    /// For each content: how many names it has, and the position of the first.
    fn names(&self) -> BTreeMap<*const Vec<u8>, (u32, usize)> {
        let mut names = BTreeMap::new();
        for (at, entry) in self.entries.values().enumerate() {
            if let Node::File(content) = &entry.node {
                names.entry(Arc::as_ptr(content)).or_insert((0, at)).0 += 1;
            }
        }
        names
    }

    fn put(&mut self, path: &str, mode: u32, node: Node, origin: &str) {
        let entry = Entry {
            mode,
            owner: (0, 0),
            node,
            origin: origin.to_owned(),
        };
        self.insert(path, entry);
    }

    /// Writes the archive. Archives may follow one another in one initramfs: each ends in
    /// its own trailer.
    ///
    /// # Errors
    /// When a file is 4 GiB or larger, which the format cannot say.
    pub fn to_cpio(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let names = self.names();
        for (position, (path, entry)) in self.entries.iter().enumerate() {
            let refuse = |why: &dyn std::fmt::Display| {
                Error::new(format!("cannot put /{path} into the initramfs")).because(why)
            };
            let shared = match &entry.node {
                Node::File(content) => names.get(&Arc::as_ptr(content)).copied(),
                _ => None,
            };
            let (count, first) = shared.unwrap_or((1, position));
            let inode = u32::try_from(first + 1).map_err(|error| refuse(&error))?;
            let header = newc::Builder::new(path)
                .ino(inode)
                .nlink(count)
                .uid(entry.owner.0)
                .gid(entry.owner.1)
                .mode(entry.mode);
            let (header, content) = match &entry.node {
                Node::Directory => (
                    header.set_mode_file_type(newc::ModeFileType::Directory),
                    &[][..],
                ),
                Node::File(content) => (
                    header.set_mode_file_type(newc::ModeFileType::Regular),
                    // The kernel links the later names to the first, which has the content.
                    if first == position {
                        content.as_slice()
                    } else {
                        &[]
                    },
                ),
                Node::Symlink(target) => (
                    header.set_mode_file_type(newc::ModeFileType::Symlink),
                    target.as_bytes(),
                ),
                Node::CharDevice { major, minor } => (
                    header
                        .set_mode_file_type(newc::ModeFileType::Char)
                        .rdev_major(*major)
                        .rdev_minor(*minor),
                    &[][..],
                ),
            };
            let length = u32::try_from(content.len()).map_err(|error| refuse(&error))?;
            let mut writer = header.write(&mut out, length);
            writer.write_all(content).map_err(|error| refuse(&error))?;
            writer.finish().map_err(|error| refuse(&error))?;
        }
        newc::trailer(&mut out)
            .map_err(|error| Error::new("cannot end the initramfs").because(error))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(archive: &[u8]) -> Vec<(String, u32, u32)> {
        let mut rest = archive;
        let mut seen = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).expect("entry");
            let entry = reader.entry();
            if entry.is_trailer() {
                return seen;
            }
            assert_eq!((entry.uid(), entry.gid(), entry.mtime()), (0, 0, 0));
            seen.push((entry.name().to_owned(), entry.mode(), entry.file_size()));
            rest = reader.finish().expect("next");
        }
    }

    #[test]
    fn order_of_insertion_does_not_show() {
        let (mut one, mut two) = (Tree::default(), Tree::default());
        one.file("etc/kodo/key", 0o600, b"k".to_vec(), "a");
        one.file("init", 0o755, b"elf".to_vec(), "b");
        two.file("init", 0o755, b"elf".to_vec(), "b");
        two.directory("etc/kodo", 0o755);
        two.file("etc/kodo/key", 0o600, b"k".to_vec(), "a");
        assert_eq!(one.to_cpio().expect("one"), two.to_cpio().expect("two"));
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let mut tree = Tree::default();
        tree.directory("usr/lib", 0o755);
        tree.symlink("lib", "usr/lib", "a");
        tree.symlink("up", "../../../usr", "a");
        tree.symlink("abs", "/lib/x", "a");
        tree.symlink("round", "round", "a");
        tree.symlink("nowhere", "/gone", "a");
        tree.file("usr/lib/x", 0o644, b"x".to_vec(), "a");
        for path in [
            "lib/x",
            "/up/lib/x",
            "abs",
            "usr/./lib/../lib//x",
            "../../lib/x",
        ] {
            assert_eq!(tree.resolve(path).expect(path).path, "usr/lib/x", "{path}");
        }
        assert_eq!(tree.resolve("abs").expect("abs").links, ["abs", "lib"]);
        for path in ["round", "nowhere", "usr/lib/x/y", "gone"] {
            assert_eq!(tree.resolve(path), None, "{path}");
        }
        assert_eq!(tree.settle("lib/y").as_deref(), Some("usr/lib/y"));
        assert_eq!(tree.settle("lib").as_deref(), Some("lib"));
        assert_eq!(tree.settle("up/new/y").as_deref(), Some("usr/new/y"));
        for path in ["round/y", "usr/lib/x/y", "nowhere/y"] {
            assert_eq!(tree.settle(path), None, "{path}");
        }
    }

    #[test]
    #[should_panic(expected = "is below a directory")]
    fn nothing_is_put_below_a_link() {
        let mut tree = Tree::default();
        tree.symlink("lib", "/etc", "a");
        tree.file("lib/shadow", 0o644, Vec::new(), "a");
    }

    #[test]
    fn names_of_one_file_share_it() {
        let mut tree = Tree::default();
        tree.file("b", 0o755, b"program".to_vec(), "a");
        let entry = tree.get("b").expect("b").clone();
        tree.insert("a", entry.clone());
        tree.insert("c", entry);
        assert_eq!(tree.size(), 7);
        let sizes: Vec<_> = listing(&tree.to_cpio().expect("archive"))
            .into_iter()
            .map(|(name, _, size)| (name, size))
            .collect();
        assert_eq!(sizes, [("a".into(), 7), ("b".into(), 0), ("c".into(), 0)]);
    }

    #[test]
    fn parents_come_first_and_modes_hold() {
        let mut tree = Tree::default();
        tree.file("etc/kodo/key", 0o600, b"secret".to_vec(), "a");
        tree.directory("etc/kodo", 0o700);
        tree.char_device("dev/console", 0o600, 5, 1);
        let want = [
            ("dev", 0o040_755, 0),
            ("dev/console", 0o020_600, 0),
            ("etc", 0o040_755, 0),
            ("etc/kodo", 0o040_700, 0),
            ("etc/kodo/key", 0o100_600, 6),
        ]
        .map(|(name, mode, size)| (name.to_owned(), mode, size));
        assert_eq!(listing(&tree.to_cpio().expect("archive")), want);
    }
}
