//! Reads Debian packages. A .deb is an `ar` archive whose `data.tar.*` member holds the
//! files; owns that unwrapping and nothing of what the files mean. Runs no maintainer
//! script and trusts no path in the archive.

use crate::error::{Error, Result};
use crate::progress::Progress;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path};
use std::rc::Rc;

/// Calls `visit` with the path (no leading `./`) and content of every regular file.
///
/// # Errors
/// When the package is damaged or packed in a way this reader does not know, or when
/// `visit` fails.
pub fn for_each_file(
    deb: &Path,
    progress: &mut dyn Progress,
    mut visit: impl FnMut(&Path, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    for_each_entry(deb, progress, |entry| {
        if !entry.header().entry_type().is_file() {
            return Ok(());
        }
        let path = entry.path().map_err(|error| damaged(deb, &error))?;
        let path = path.into_owned();
        let clean = path.strip_prefix(".").unwrap_or(&path);
        if !clean
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            let why = format!("{} leads out of the package", path.display());
            return Err(damaged(deb, &why));
        }
        visit(clean, entry)
    })
}

fn damaged(deb: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::file("read the package", deb, error)
        .next("delete that file and run the same command again")
}

/// Calls `visit` with every entry, as it is written.
///
/// # Errors
/// As [`for_each_file`].
pub fn for_each_entry(
    deb: &Path,
    progress: &mut dyn Progress,
    mut visit: impl FnMut(&mut tar::Entry<'_, &mut dyn Read>) -> Result<()>,
) -> Result<()> {
    let damaged = |error: &dyn std::fmt::Display| damaged(deb, error);
    let file = File::open(deb).map_err(|error| Error::file("open", deb, &error))?;
    let read = Rc::new(Cell::new(0));
    let counted = Counted {
        inner: BufReader::with_capacity(1 << 16, file),
        read: Rc::clone(&read),
    };
    let mut archive = ar::Archive::new(counted);
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(|error| damaged(&error))?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(suffix) = name.strip_prefix("data.tar") else {
            continue;
        };
        let mut data: Box<dyn Read + '_> = match suffix {
            "" => Box::new(member),
            ".xz" => Box::new(lzma_rust2::XzReader::new(member, true)),
            ".zst" => Box::new(zstd::Decoder::new(member).map_err(|error| damaged(&error))?),
            other => return Err(damaged(&format!("data.tar{other} is an unknown packing"))),
        };
        let mut tar = tar::Archive::new(&mut *data as &mut dyn Read);
        for entry in tar.entries().map_err(|error| damaged(&error))? {
            let mut entry = entry.map_err(|error| damaged(&error))?;
            progress.advance(read.get());
            visit(&mut entry)?;
        }
        return Ok(());
    }
    Err(damaged(&"it has no data.tar"))
}

/// A reader that tells how far it came, for the progress bar.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn package(member: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let mut builder = ar::Builder::new(file.reopen().expect("reopen"));
        for (name, bytes) in [("debian-binary", b"2.0\n".as_slice()), (member, data)] {
            let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
            builder.append(&header, bytes).expect("append");
        }
        file
    }

    fn tarball(path: &str) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.as_gnu_mut().expect("gnu header").name[..path.len()]
            .copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder
            .append(&header, b"hello".as_slice())
            .expect("append");
        builder.into_inner().expect("finish")
    }

    fn files(deb: &Path) -> Result<Vec<(String, String)>> {
        let mut seen = Vec::new();
        for_each_file(deb, &mut Silent, |path, content| {
            let mut text = String::new();
            content
                .read_to_string(&mut text)
                .map_err(|e| Error::new("read").because(e))?;
            seen.push((path.display().to_string(), text));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn unwraps_plain_and_zstd() {
        let want = [("boot/vmlinuz".to_owned(), "hello".to_owned())];
        let plain = package("data.tar", &tarball("./boot/vmlinuz"));
        assert_eq!(files(plain.path()).expect("plain"), want);
        let packed = zstd::encode_all(tarball("./boot/vmlinuz").as_slice(), 1).expect("zstd");
        let packed = package("data.tar.zst", &packed);
        assert_eq!(files(packed.path()).expect("zstd"), want);
    }

    #[test]
    fn refuses_what_it_cannot_trust() {
        let outside = package("data.tar", &tarball("../etc/passwd"));
        assert!(
            files(outside.path())
                .unwrap_err()
                .to_string()
                .contains("leads out")
        );
        let unknown = package("data.tar.lz", b"");
        assert!(
            files(unknown.path())
                .unwrap_err()
                .to_string()
                .contains("unknown packing")
        );
        let empty = package("control.tar", b"");
        assert!(
            files(empty.path())
                .unwrap_err()
                .to_string()
                .contains("no data.tar")
        );
    }
}
