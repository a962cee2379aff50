//! A partition that is read and written page by page, past the page cache.
//!
//! Past it, because what is read must come from the disk, because a write must be on the
//! disk when it returns, and because the kernel's direct path is the one that may wait for
//! a hanging disk without being taken for a hung task (`blk_wait_io`), which panics here.
//! Any call may wait for ever: never call one from PID 1.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::Result;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// One page, where a disk's controller can reach it.
#[derive(Clone)]
#[repr(C, align(4096))]
pub struct Page(pub [u8; PAGE]);

impl Page {
    /// Zeroes.
    #[must_use]
    pub fn new() -> Page {
        Page([0; PAGE])
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

/// An open partition.
#[derive(Debug)]
pub struct Disk(File);

impl Disk {
    /// Opens a block device.
    ///
    /// # Errors
    /// What `open` says.
    pub fn open(path: &Path) -> Result<Disk> {
        let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Disk(fd.into()))
    }

    /// Reads the page with this number.
    ///
    /// # Errors
    /// What `pread` says; a partition that ends before.
    pub fn read(&self, number: u8) -> Result<Page> {
        let mut page = Page::new();
        self.0.read_exact_at(&mut page.0, offset(number))?;
        Ok(page)
    }

    /// Writes the page with this number, and returns when it is on the disk.
    ///
    /// # Errors
    /// What `pwrite` says.
    pub fn write(&self, number: u8, page: &Page) -> Result<()> {
        self.0.write_all_at(&page.0, offset(number))
    }
}

fn offset(number: u8) -> u64 {
    u64::from(number) * PAGE as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_written_and_read_apart() {
        let path = std::env::temp_dir().join(format!("kodo-disk-{}", std::process::id()));
        std::fs::write(&path, [7; 2 * PAGE]).unwrap();
        let disk = Disk::open(&path);
        std::fs::remove_file(&path).unwrap();
        let disk = match disk {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                eprintln!("not tested: no direct access to files here");
                return;
            }
            disk => disk.unwrap(),
        };
        let mut page = Page::new();
        page.0[..4].copy_from_slice(b"kodo");
        disk.write(1, &page).unwrap();
        assert_eq!(disk.read(0).unwrap().0, [7; PAGE]);
        assert_eq!(disk.read(1).unwrap().0, page.0);
        assert!(disk.read(2).is_err(), "there are two");
    }
}
