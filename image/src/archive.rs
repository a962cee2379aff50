//! The initramfs as a tree of entries and as a cpio archive (newc, the only form the
//! kernel unpacks). Two trees with equal entries give equal bytes: sorted by path, owned
//! by root, time zero, inode numbers by position.

use crate::error::{Error, Result};
use cpio::newc;
use std::collections::BTreeMap;
use std::io::Write;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file with its content.
    File(Vec<u8>),
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

impl Tree {
    /// Adds a file and the directories above it.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>, origin: &str) {
        self.put(path, mode, Node::File(content), origin);
    }

    /// Adds a directory and those above it.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.put(path, mode, Node::Directory, "layout");
    }

    /// Adds a character device.
    pub fn char_device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.put(path, mode, Node::CharDevice { major, minor }, "layout");
    }

    /// All entries in archive order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let file = |entry: &Entry| match &entry.node {
            Node::File(content) => content.len() as u64,
            Node::Directory | Node::CharDevice { .. } => 0,
        };
        self.entries.values().map(file).sum()
    }

    fn put(&mut self, path: &str, mode: u32, node: Node, origin: &str) {
        for (at, _) in path.match_indices('/') {
            self.entries
                .entry(path[..at].to_owned())
                .or_insert_with(|| Entry {
                    mode: 0o755,
                    node: Node::Directory,
                    origin: "layout".to_owned(),
                });
        }
        let origin = origin.to_owned();
        self.entries
            .insert(path.to_owned(), Entry { mode, node, origin });
    }

    /// Writes the archive. Archives may follow one another in one initramfs: each ends in
    /// its own trailer.
    ///
    /// # Errors
    /// When a file is 4 GiB or larger, which the format cannot say.
    pub fn to_cpio(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            let refuse = |why: &dyn std::fmt::Display| {
                Error::new(format!("cannot put /{path} into the initramfs")).because(why)
            };
            let header = newc::Builder::new(path).ino(inode).mode(entry.mode);
            let (header, content) = match &entry.node {
                Node::Directory => (
                    header.set_mode_file_type(newc::ModeFileType::Directory),
                    &[][..],
                ),
                Node::File(content) => (
                    header.set_mode_file_type(newc::ModeFileType::Regular),
                    content.as_slice(),
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
