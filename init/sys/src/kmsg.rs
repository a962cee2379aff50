//! The kernel's log: where words go when nothing else is left to carry them.
//!
//! Owns writing to `/dev/kmsg` without allocating. What is written there survives in
//! pstore where the machine has one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::Result;

/// How loud a line is. Only `Critical` passes the console level that PID 1 sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loud {
    /// Shown on the console even there: the last words before a reset.
    Critical,
    /// Kept in the kernel's ring only.
    Quiet,
}

/// The kernel's log, open for writing.
#[derive(Debug)]
pub struct Kmsg {
    file: File,
}

impl Kmsg {
    /// Opens `/dev/kmsg`.
    ///
    /// # Errors
    /// What `open` says.
    pub fn open() -> Result<Kmsg> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        Ok(Kmsg { file })
    }

    /// Writes one line, cut to 512 bytes. Failure is ignored: there is nobody to tell.
    pub fn write(&self, loud: Loud, text: core::fmt::Arguments<'_>) {
        let mut line = Line {
            bytes: [0; 512],
            len: 0,
        };
        let level = match loud {
            Loud::Critical => "<2>kodo: ",
            Loud::Quiet => "<6>kodo: ",
        };
        // A full line cuts the text, which is what it is for.
        let _ = core::fmt::Write::write_str(&mut line, level);
        let _ = core::fmt::write(&mut line, text);
        let _ = (&self.file).write(&line.bytes[..line.len]);
    }
}

/// A line on the stack that cuts what does not fit.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let room = self.bytes.len() - self.len;
        let take = s.len().min(room);
        self.bytes[self.len..self.len + take].copy_from_slice(&s.as_bytes()[..take]);
        self.len += take;
        if take < s.len() {
            Err(core::fmt::Error)
        } else {
            Ok(())
        }
    }
}
