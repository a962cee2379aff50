//! Firmware that chosen drivers declare, taken from Debian's packages where an enabled
//! component carries them. Much of it is not free software: whether to enable that
//! component is the host owner's decision, so sources are never edited here; what is
//! left out is said, with the drivers it concerns.

use crate::apt::{self, Packages};
use crate::cache::{Cache, make_directory};
use crate::deb;
use crate::error::{Error, Result};
use crate::modules::{FirmwareRule, Selection, unpacked};
use crate::progress::Progress;
use std::path::{Path, PathBuf};

/// One firmware file for the image.
#[derive(Debug)]
pub struct File {
    /// Relative to /lib/firmware.
    pub name: String,
    /// Its bytes, decompressed.
    pub content: Vec<u8>,
    /// Package and version.
    pub origin: String,
}

/// Gathers the declared files that `rules` can provide from the packages in `offers`.
///
/// # Errors
/// When a package that the client offers cannot be fetched or read.
pub fn gather(
    selection: &Selection,
    rules: &[FirmwareRule],
    offers: &Packages,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Vec<File>> {
    let declared = selection.firmware();
    let mut files = Vec::new();
    let mut absent = Vec::new();
    for rule in rules {
        let mut wanted = declared
            .iter()
            .filter(|(file, _)| file.starts_with(&rule.prefix))
            .peekable();
        let Some((_, users)) = wanted.peek() else {
            continue;
        };
        let Some(package) = offers.get(&rule.package) else {
            absent.push(format!("{} (for {})", rule.package, users.join(", ")));
            continue;
        };
        let root = provide(package, cache, progress)?;
        for (name, _) in wanted {
            // Drivers declare files for chips that Debian's package never had; the
            // driver copes or says so when such a chip is there.
            if let Some(path) = find(&root, name) {
                files.push(File {
                    name: (*name).to_owned(),
                    content: unpacked(&path)?,
                    origin: format!("{} {}", package.name, package.version),
                });
            }
        }
    }
    if !absent.is_empty() {
        progress.note(&format!(
            "firmware left out: no enabled apt component carries {}; adapters that need it stay dark \
             (enable non-free-firmware and build again to include it)",
            absent.join(", ")
        ));
    }
    Ok(files)
}

/// The package's /lib/firmware in the cache.
fn provide(package: &apt::Package, cache: &Cache, progress: &mut dyn Progress) -> Result<PathBuf> {
    let key = format!("firmware-1/{}", package.tag());
    if let Some(root) = cache.get(&key) {
        return Ok(root);
    }
    let scratch = cache.scratch()?;
    progress.begin(
        &format!("download {} {}", package.name, package.version),
        Some(package.size),
    );
    let deb = apt::download(package, scratch.path(), progress)?;
    let root = scratch.path().join("firmware");
    make_directory(&root)?;
    deb::for_each_file(&deb, progress, |path, content| {
        let path = path.strip_prefix("usr").unwrap_or(path);
        let Ok(name) = path.strip_prefix("lib/firmware") else {
            return Ok(());
        };
        let target = root.join(name);
        if let Some(parent) = target.parent() {
            make_directory(parent)?;
        }
        let refuse = |error: std::io::Error| Error::file("write", &target, &error);
        let mut file = std::fs::File::create(&target).map_err(refuse)?;
        std::io::copy(content, &mut file).map_err(refuse)?;
        Ok(())
    })?;
    progress.end(&crate::report::size(package.size));
    cache.put(&key, &root)
}

/// The file of this name, as it is or packed.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    ["", ".xz", ".zst"]
        .iter()
        .map(|suffix| root.join(format!("{name}{suffix}")))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::write;
    use crate::modinfo::ModInfo;
    use crate::modules::Module;

    /// Keeps the notes.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Progress for Notes {
        fn begin(&mut self, _: &str, _: Option<u64>) {}
        fn advance(&mut self, _: u64) {}
        fn item(&mut self, _: &str) {}
        fn end(&mut self, _: &str) {}
        fn note(&mut self, text: &str) {
            self.0.push(text.to_owned());
        }
    }

    fn selection() -> Selection {
        let module = |files: &[&str]| Module {
            path: String::new(),
            elf: Vec::new(),
            info: ModInfo {
                firmware: files.iter().map(|file| (*file).to_owned()).collect(),
                ..ModInfo::default()
            },
            before: Vec::new(),
        };
        let mut selection = Selection::default();
        selection
            .modules
            .insert("r8169".into(), module(&["rtl_nic/a.fw", "rtl_nic/gone.fw"]));
        selection
            .modules
            .insert("bnx2".into(), module(&["bnx2/b.fw"]));
        selection
    }

    fn rule(package: &str, prefix: &str) -> FirmwareRule {
        FirmwareRule {
            package: package.into(),
            prefix: prefix.into(),
        }
    }

    #[test]
    fn takes_declared_files_and_names_what_is_left_out() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let cache = Cache::at(dir.path().to_owned());
        let package = apt::Package {
            name: "firmware-realtek".into(),
            version: "1".into(),
            size: 0,
            sha256: String::new(),
            depends: Vec::new(),
            needs: Vec::new(),
            provides: Vec::new(),
        };
        let scratch = cache.scratch().expect("scratch");
        let root = scratch.path().join("firmware");
        make_directory(&root.join("rtl_nic")).expect("directory");
        let packed = zstd::encode_all(b"bytes".as_slice(), 1).expect("zstd");
        write(&root.join("rtl_nic/a.fw.zst"), &packed).expect("file");
        write(&root.join("rtl_nic/undeclared.fw"), b"x").expect("file");
        cache
            .put(&format!("firmware-1/{}", package.tag()), &root)
            .expect("put");

        let offers = Packages::from([(package.name.clone(), package)]);
        let rules = [
            rule("firmware-realtek", "rtl_nic/"),
            rule("firmware-bnx2", "bnx2/"),
            rule("unused", "tigon/"),
        ];
        let mut notes = Notes::default();
        let files = gather(&selection(), &rules, &offers, &cache, &mut notes).expect("gathers");
        let seen: Vec<_> = files
            .iter()
            .map(|file| (file.name.as_str(), file.content.as_slice()))
            .collect();
        assert_eq!(seen, [("rtl_nic/a.fw", b"bytes".as_slice())]);
        let [note] = notes.0.as_slice() else {
            panic!("{:?}", notes.0);
        };
        assert!(note.contains("firmware-bnx2 (for bnx2)") && !note.contains("unused"));
    }
}
