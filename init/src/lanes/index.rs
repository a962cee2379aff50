//! The image's `modules.index`: which module drives what, what it needs, where it is.
//!
//! Owns reading it and loading from it. The image makes it from what the modules say of
//! themselves, with lines `file MODULE PATH`, `dep MODULE DEP…` (all of it, in load order),
//! `alias PATTERN MODULE` and `builtin MODULE`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use kodo_sys::Result;

/// What a module is for, in the order of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A watchdog.
    Watchdog,
    /// A NIC.
    Network,
    /// Anything else.
    Other,
    /// A disk, its controller, or what both need: loaded by the disk lane, which may hang.
    Disk,
}

/// Where the kernel keeps its drivers of disks.
const DISKS: [&str; 5] = ["/block/", "/scsi/", "/ata/", "/nvme/", "/fusion/"];

/// What can be loaded.
#[derive(Debug, Default)]
pub(crate) struct Index {
    directory: PathBuf,
    files: HashMap<String, String>,
    dependencies: HashMap<String, Vec<String>>,
    /// By [`bus`].
    aliases: HashMap<String, Vec<(String, String)>>,
    /// Tried already, for better or worse.
    tried: HashSet<String>,
    /// Why there is nothing to load.
    pub(crate) trouble: Option<String>,
}

impl Index {
    /// Reads `DIRECTORY/modules.index`. Without it nothing can be loaded; a kernel with
    /// everything built in still works.
    pub(crate) fn open(directory: &Path) -> Index {
        let path = directory.join("modules.index");
        match std::fs::read_to_string(&path) {
            Ok(text) => Index::parse(directory, &text),
            Err(error) => Index {
                trouble: Some(format!("{}: {error}; no driver is loaded", path.display())),
                ..Index::default()
            },
        }
    }

    fn parse(directory: &Path, text: &str) -> Index {
        let mut index = Index {
            directory: directory.into(),
            ..Index::default()
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("file"), Some(module), Some(path)) => {
                    index.files.insert(module.into(), path.into());
                }
                (Some("dep"), Some(module), Some(first)) => {
                    let all = std::iter::once(first)
                        .chain(words)
                        .map(str::to_owned)
                        .collect();
                    index.dependencies.insert(module.into(), all);
                }
                (Some("alias"), Some(pattern), Some(module)) => {
                    let of_bus = index.aliases.entry(bus(pattern).into()).or_default();
                    of_bus.push((pattern.into(), module.into()));
                }
                // Built-in modules are loaded already.
                _ => {}
            }
        }
        index
    }

    /// The modules whose patterns match a device.
    pub(crate) fn modules_for<'a>(&'a self, alias: &'a str) -> impl Iterator<Item = &'a str> {
        let of_bus = self.aliases.get(bus(alias)).into_iter().flatten();
        of_bus
            .filter(move |(pattern, _)| matches(pattern.as_bytes(), alias.as_bytes()))
            .map(|(_, module)| module.as_str())
    }

    pub(crate) fn has(&self, module: &str) -> bool {
        self.files.contains_key(module)
    }

    /// What a module is for, by where the kernel keeps it.
    pub(crate) fn kind(&self, module: &str) -> Kind {
        match self.files.get(module) {
            Some(path) if path.contains("/watchdog/") => Kind::Watchdog,
            Some(path) if path.contains("/net/") => Kind::Network,
            Some(path) if DISKS.iter().any(|place| path.contains(place)) => Kind::Disk,
            _ => Kind::Other,
        }
    }

    /// Everything to load for a module, itself last.
    pub(crate) fn with_dependencies(&self, module: &str) -> Vec<String> {
        let before = self.dependencies.get(module).into_iter().flatten().cloned();
        before.chain([module.to_owned()]).collect()
    }

    /// Loads a module and everything that it needs. False when that was tried before.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn load_with_dependencies(&mut self, module: &str) -> Result<bool> {
        let mut loaded = false;
        for name in self.with_dependencies(module) {
            loaded = self.load(&name)?;
        }
        Ok(loaded)
    }

    /// Loads one module, without its dependencies. False when that was tried before.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn load(&mut self, module: &str) -> Result<bool> {
        let Some(file) = self.files.get(module) else {
            return Ok(false);
        };
        if !self.tried.insert(module.to_owned()) {
            return Ok(false);
        }
        kodo_sys::module::load(&self.directory.join(file), "")?;
        Ok(true)
    }
}

/// What stands before the first colon or wildcard: `acpi*:PNP0C0C:*` is about `acpi`.
fn bus(alias: &str) -> &str {
    let end = alias.find([':', '*', '?', '[']);
    end.map_or(alias, |end| &alias[..end])
}

/// Shell pattern matching as modules use it: `*`, `?` and `[a-z]`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last `*` has to eat one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if let Some(next) = step(pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((after_star, eaten)) = retry {
            retry = Some((after_star, eaten + 1));
            p = after_star;
            t = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the pattern goes on after matching one byte, if it does.
fn step(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let end = p + pattern[p..].iter().position(|b| *b == b']')?;
            let set = &pattern[p + 1..end];
            let mut i = 0;
            while i < set.len() {
                let (low, high) = if set.get(i + 1) == Some(&b'-') && i + 2 < set.len() {
                    i += 3;
                    (set[i - 3], set[i - 1])
                } else {
                    i += 1;
                    (set[i - 1], set[i - 1])
                };
                if (low..=high).contains(&byte) {
                    return Some(end + 1);
                }
            }
            None
        }
        literal => (literal == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_kernel_s_tools_do() {
        let cases = [
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            (
                "pci:v00008086d000025ABsv*sd*bc*sc*i*",
                "pci:v00008086d000025ABsv00001AF4sd00001100bc08sc80i00",
                true,
            ),
            (
                "pci:v00008086d000025ABsv*sd*bc*sc*i*",
                "pci:v00008086d000025ACsv00001AF4sd00001100bc08sc80i00",
                false,
            ),
            ("usb:v0BDAp81[5-7]?d*", "usb:v0BDAp8152d3000", true),
            ("usb:v0BDAp81[5-7]?d*", "usb:v0BDAp8192d3000", false),
            ("acpi*:PNP0C0C:*", "acpi:PNP0C0C:", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("[", "[", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn an_index_knows_files_dependencies_and_aliases() {
        let index = Index::parse(
            Path::new("/lib/modules/x"),
            "file virtio_net kernel/drivers/net/virtio_net.ko\ndep virtio_net failover net_failover\n\
             alias virtio:d00000001v* virtio_net\nfile i6300esb kernel/drivers/watchdog/i6300esb.ko\n\
             file sd_mod kernel/drivers/scsi/sd_mod.ko\nfile button drivers/acpi/button.ko\nalias acpi*:PNP0C0C:* button\n\
             builtin af_packet\nnonsense\nalias short\n",
        );
        assert_eq!(
            index
                .modules_for("virtio:d00000001v00001AF4")
                .collect::<Vec<_>>(),
            ["virtio_net"]
        );
        assert_eq!(
            index.modules_for("acpi:PNP0C0C:").collect::<Vec<_>>(),
            ["button"]
        );
        assert_eq!(
            index.with_dependencies("virtio_net"),
            ["failover", "net_failover", "virtio_net"]
        );
        assert!(index.has("i6300esb") && !index.has("af_packet"));
        assert_eq!(
            ["i6300esb", "virtio_net", "button", "sd_mod"].map(|module| index.kind(module)),
            [Kind::Watchdog, Kind::Network, Kind::Other, Kind::Disk]
        );
    }

    #[test]
    fn without_an_index_there_is_a_reason() {
        let index = Index::open(Path::new("/nowhere"));
        assert!(index.trouble.unwrap().contains("/nowhere/modules.index"));
    }
}
