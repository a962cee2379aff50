//! Which kernel modules go into the image: reads the curated manifest, follows what the
//! modules say of themselves, and writes `modules.index`, the one file that init needs to
//! load them. Never judges whether a device needs a module: that is the node's coldplug.
//!
//! `modules.index` stands beside the modules, in `/lib/modules/<uname -r>/`, and has one
//! fact a line:
//!
//! ```text
//! file MODULE PATH         relative to the index
//! dep MODULE DEP...        what to load before it, all of it, in this order
//! alias PATTERN MODULE     shell pattern over MODALIAS strings
//! builtin MODULE           a wanted module that the kernel has built in
//! ```
//!
//! Module names are in the kernel's form (`_`, never `-`).

use crate::cache::read;
use crate::error::{Error, Result};
use crate::modinfo::{self, ModInfo, normal};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The manifest as shipped.
pub const MANIFEST: &str = include_str!("../modules.manifest");

/// The curated manifest, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Wanted modules, in normal form.
    pub modules: Vec<String>,
    /// Wanted as well where a node has a state partition.
    pub disks: Vec<String>,
    /// Packages to look in for firmware.
    pub firmware: Vec<FirmwareRule>,
}

/// Firmware files under a prefix come from a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareRule {
    /// Debian package.
    pub package: String,
    /// Prefix relative to /lib/firmware, such as `rtl_nic/`.
    pub prefix: String,
}

impl Manifest {
    /// Reads the format described at the head of `modules.manifest`.
    ///
    /// # Errors
    /// Names the first line that is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let mut manifest = Self::default();
        let mut disks = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.starts_with('[') {
                disks = line.starts_with("[disk]");
                continue;
            }
            if line.is_empty() {
                continue;
            }
            match *line.split_whitespace().collect::<Vec<_>>() {
                [module] if disks => manifest.disks.push(normal(module)),
                [module] => manifest.modules.push(normal(module)),
                ["firmware", package, prefix] => manifest.firmware.push(FirmwareRule {
                    package: package.to_owned(),
                    prefix: prefix.to_owned(),
                }),
                _ => {
                    return Err(Error::new(format!(
                        "cannot read modules.manifest line {number}: {line}"
                    ))
                    .next("write one module name, or `firmware PACKAGE PREFIX`"));
                }
            }
        }
        Ok(manifest)
    }
}

/// A module taken into the image.
#[derive(Debug)]
pub struct Module {
    /// Path below the module directory, without the packing's suffix.
    pub path: String,
    /// The ELF file, decompressed: the archive packs it better than `.xz` inside would,
    /// and the node spends no time on it.
    pub elf: Vec<u8>,
    /// What it says of itself.
    pub info: ModInfo,
    /// What to load before it, in order, closed over dependencies of dependencies.
    pub before: Vec<String>,
}

/// The chosen modules.
#[derive(Debug, Default)]
pub struct Selection {
    /// By name.
    pub modules: BTreeMap<String, Module>,
    /// Wanted modules that the kernel has built in.
    pub builtin: Vec<String>,
}

/// One kernel's modules on disk.
pub struct Library {
    paths: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    root: PathBuf,
}

impl Library {
    /// Lists the modules of the tree that is `/lib/modules/<release>` when installed.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let mut library = Self {
            paths: BTreeMap::new(),
            builtin: BTreeSet::new(),
            root: root.to_owned(),
        };
        library.scan(&root.join("kernel"))?;
        for line in String::from_utf8_lossy(&read(&root.join("modules.builtin"))?).lines() {
            library.builtin.extend(module_name(line));
        }
        for (key, value) in modinfo::pairs(&read(&root.join("modules.builtin.modinfo"))?) {
            if key.ends_with(".alias") && !value.contains(':') {
                library.builtin.insert(normal(value));
            }
        }
        Ok(library)
    }

    fn scan(&mut self, dir: &Path) -> Result<()> {
        let refuse = |error: std::io::Error| Error::file("list", dir, &error);
        for entry in std::fs::read_dir(dir).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            if entry.file_type().map_err(refuse)?.is_dir() {
                self.scan(&entry.path())?;
            } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                self.paths.insert(name, entry.path());
            }
        }
        Ok(())
    }

    /// Takes the wanted modules and all they need.
    ///
    /// # Errors
    /// When a wanted module or a dependency does not exist, or a file is damaged.
    pub fn select(&self, wanted: &[String]) -> Result<Selection> {
        let mut selection = Selection::default();
        for name in wanted {
            if self.paths.contains_key(name) {
                self.take(name, &mut selection, &mut Vec::new())?;
            } else if self.builtin.contains(name) {
                selection.builtin.push(name.clone());
            } else {
                return Err(Error::new(format!("this kernel has no module {name}"))
                    .next("correct or remove that line in image/modules.manifest"));
            }
        }
        Ok(selection)
    }

    fn take(&self, name: &str, selection: &mut Selection, path: &mut Vec<String>) -> Result<()> {
        if selection.modules.contains_key(name) {
            return Ok(());
        }
        if path.iter().any(|seen| seen == name) {
            return Err(Error::new(format!(
                "modules depend on each other: {} {name}",
                path.join(" ")
            )));
        }
        let Some(file) = self.paths.get(name) else {
            return Err(
                Error::new(format!("module {} needs {name}", path.join(" needs ")))
                    .because("this kernel has no such module"),
            );
        };
        let elf = unpacked(file)?;
        let info = modinfo::read(&elf).map_err(|error| Error::file("read", file, &error))?;
        path.push(name.to_owned());
        // A soft dependency may name an alias or nothing at all: it helps if it is there.
        let soft = info
            .pre
            .iter()
            .filter(|name| self.paths.contains_key(*name));
        let mut before = Vec::new();
        for need in soft.chain(&info.depends) {
            if !self.paths.contains_key(need) && self.builtin.contains(need) {
                continue;
            }
            self.take(need, selection, path)?;
            let deeper = &selection.modules[need].before;
            for module in deeper.iter().chain([need]) {
                if !before.contains(module) {
                    before.push(module.clone());
                }
            }
        }
        path.pop();
        let relative = file
            .strip_prefix(&self.root)
            .unwrap_or(file)
            .to_string_lossy();
        let end = relative.find(".ko").map_or(relative.len(), |at| at + 3);
        let module = Module {
            path: relative[..end].to_owned(),
            elf,
            info,
            before,
        };
        selection.modules.insert(name.to_owned(), module);
        Ok(())
    }
}

impl Selection {
    /// The text of `modules.index`.
    pub fn index(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.modules {
            let _ = writeln!(text, "file {name} {}", module.path);
            if !module.before.is_empty() {
                let _ = writeln!(text, "dep {name} {}", module.before.join(" "));
            }
            for alias in &module.info.aliases {
                // A pattern with a space would split the line; no bus makes one.
                if !alias.contains(char::is_whitespace) {
                    let _ = writeln!(text, "alias {alias} {name}");
                }
            }
        }
        for name in &self.builtin {
            let _ = writeln!(text, "builtin {name}");
        }
        text
    }

    /// Firmware declared by the chosen modules: file name to the modules that use it.
    pub fn firmware(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, module) in &self.modules {
            for file in &module.info.firmware {
                files.entry(file).or_default().push(name);
            }
        }
        files
    }
}

/// `i2c_i801` for `drivers/i2c/busses/i2c-i801.ko.xz`; nothing for what is no module.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = file
        .strip_suffix(".xz")
        .or_else(|| file.strip_suffix(".zst"))
        .unwrap_or(file);
    stem.strip_suffix(".ko").map(normal)
}

/// The content of a file, decompressed as its suffix says.
pub(crate) fn unpacked(file: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let packed = read(file)?;
    let damaged = |error: std::io::Error| Error::file("decompress", file, &error);
    let mut content = Vec::new();
    match file.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => {
            let mut decoder = lzma_rust2::XzReader::new(packed.as_slice(), true);
            decoder.read_to_end(&mut content).map_err(damaged)?;
        }
        Some("zst") => content = zstd::decode_all(packed.as_slice()).map_err(damaged)?,
        _ => content = packed,
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{make_directory, write};
    use crate::modinfo::tests::module;

    /// A kernel's module tree with these modules: name and `.modinfo`.
    fn library(modules: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let kernel = dir.path().join("kernel/net");
        make_directory(&kernel).expect("kernel");
        for (name, text) in modules {
            let elf = module(text.as_bytes());
            let packed = zstd::encode_all(elf.as_slice(), 1).expect("zstd");
            write(&kernel.join(format!("{name}.ko.zst")), &packed).expect("module");
        }
        write(
            &dir.path().join("modules.builtin"),
            b"kernel/net/packet/af_packet.ko\n",
        )
        .expect("list");
        write(
            &dir.path().join("modules.builtin.modinfo"),
            b"crc32c.alias=crypto-crc32c\0",
        )
        .expect("list");
        let library = Library::open(dir.path()).expect("opens");
        (dir, library)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn dependencies_are_closed_and_ordered() {
        let (_dir, library) = library(&[
            ("igb", "alias=pci:v1*\0depends=i2c-algo-bit,dca\0"),
            ("i2c-algo-bit", "depends=i2c-core\0"),
            ("i2c-core", "depends=\0"),
            ("dca", "depends=i2c-core\0"),
            ("unrelated", "depends=\0"),
        ]);
        let selection = library.select(&names(&["igb"])).expect("selects");
        assert_eq!(
            selection.modules["igb"].before,
            ["i2c_core", "i2c_algo_bit", "dca"]
        );
        assert!(!selection.modules.contains_key("unrelated"));
        assert_eq!(
            selection.index(),
            "file dca kernel/net/dca.ko\ndep dca i2c_core\n\
             file i2c_algo_bit kernel/net/i2c-algo-bit.ko\ndep i2c_algo_bit i2c_core\n\
             file i2c_core kernel/net/i2c-core.ko\n\
             file igb kernel/net/igb.ko\ndep igb i2c_core i2c_algo_bit dca\nalias pci:v1* igb\n"
        );
    }

    #[test]
    fn soft_dependencies_come_first_when_they_exist() {
        let (_dir, library) = library(&[
            (
                "r8169",
                "depends=libphy\0softdep=pre: realtek nowhere crypto-crc32c\0",
            ),
            ("realtek", "depends=libphy\0"),
            ("libphy", "depends=\0"),
        ]);
        let selection = library.select(&names(&["r8169"])).expect("selects");
        assert_eq!(selection.modules["r8169"].before, ["libphy", "realtek"]);
    }

    #[test]
    fn built_in_is_noted_and_unknown_is_refused() {
        let (_dir, library) = library(&[
            ("a", "depends=missing\0"),
            ("b", "depends=c\0"),
            ("c", "depends=b\0"),
        ]);
        let selection = library.select(&names(&["af_packet"])).expect("selects");
        assert_eq!(selection.index(), "builtin af_packet\n");
        let refuse = |name: &str| library.select(&names(&[name])).unwrap_err().to_string();
        assert!(refuse("nonsense").contains("no module nonsense"));
        assert!(refuse("a").contains("module a needs missing"));
        assert!(refuse("b").contains("depend on each other"));
    }

    #[test]
    fn the_shipped_manifest_reads() {
        let manifest = Manifest::parse(MANIFEST).expect("reads");
        for module in ["virtio_net", "i6300esb", "softdog", "i2c_i801"] {
            assert!(
                manifest.modules.iter().any(|name| name == module),
                "{module}"
            );
        }
        assert!(manifest.disks.contains(&"virtio_blk".to_owned()));
        assert!(
            !manifest
                .modules
                .iter()
                .any(|name| manifest.disks.contains(name))
        );
        assert!(
            Manifest::parse("e1000 e1000e")
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }
}
