//! Static files: finding them safely, and streaming them.
//!
//! Owns the one way to open a file: below the directory's descriptor, resolved by the
//! kernel without leaving it. Reads are plain and synchronous: the files are in memory.
//!
//! No validators are sent: images are built with fixed times, so two contents may share
//! size and time, and a cache that believed them would keep the old one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::limits;

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

/// What has a name below it.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file and its size in bytes.
    File(File, u64),
    /// A directory.
    Directory,
}

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Directory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Looks a name up. `None`: nothing that may be served.
    pub(super) fn find(&self, name: &str) -> Option<Found> {
        let name = if name.is_empty() { "." } else { name };
        // NONBLOCK: opening a FIFO must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let fd = rustix::fs::openat2(&self.0, name, flags, Mode::empty(), resolve).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                Some(Found::File(fd.into(), u64::try_from(stat.st_size).ok()?))
            }
            FileType::Directory => Some(Found::Directory),
            _ => None,
        }
    }
}

/// The content type that a name's ending stands for.
pub(super) fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it at once; empty when it was sent.
    Whole(Bytes),
    /// A file, from where it stands, so many bytes.
    File(File, u64),
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match &mut *self {
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(_, 0) => None,
            Content::File(file, left) => Some(read(file, left)),
        };
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl Content {
    fn left(&self) -> u64 {
        match self {
            Content::Whole(bytes) => bytes.len() as u64,
            Content::File(_, left) => *left,
        }
    }
}

fn read(file: &mut File, left: &mut u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(limits::CHUNK);
    let mut chunk = vec![0; wanted];
    let read = file.read(&mut chunk)?;
    if read == 0 {
        // It became shorter: the promised length cannot be kept, and the client must see it.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    chunk.truncate(read);
    *left -= read as u64;
    Ok(chunk.into())
}
