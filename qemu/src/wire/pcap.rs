//! One capture file per cable, readable by every packet analyser.
//!
//! Owns the classic pcap format with nanosecond stamps (the magic of
//! draft-ietf-opsawg-pcap). Never fails loudly: a full disk must not stop the wires.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::flow::Medium;
use crate::error::{Context, Result};

/// Nanosecond-resolution pcap, host byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// LINKTYPE_USER0: a byte that tells the direction, then the bytes of a serial line.
const USER0: u32 = 147;
/// The longest frame kept whole.
const SNAP: u32 = 65_535;

/// A capture ends at this size: a lab left alone must not fill the disk.
const LARGEST: u64 = 256 << 20;

/// A capture file being written.
#[derive(Debug)]
pub(super) struct Pcap {
    out: BufWriter<File>,
    serial: bool,
    written: u64,
}

impl Pcap {
    /// Starts a capture.
    pub(super) fn create(path: &Path, medium: Medium) -> Result<Self> {
        let serial = medium != Medium::Ethernet;
        let file = File::create(path).context(|| format!("cannot create {}", path.display()))?;
        let mut out = BufWriter::with_capacity(64 * 1024, file);
        let link = if serial { USER0 } else { ETHERNET };
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_ne_bytes());
        header.extend(2u16.to_ne_bytes());
        header.extend(4u16.to_ne_bytes());
        for field in [0, 0, SNAP, link] {
            header.extend(field.to_ne_bytes());
        }
        out.write_all(&header)
            .context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            out,
            serial,
            written: 0,
        })
    }

    /// Adds a frame, or serial bytes from the cable's end number `from`, at this time since 1970.
    pub(super) fn add(&mut self, at: Duration, from: usize, data: &[u8]) {
        if self.written > LARGEST {
            return;
        }
        let extra = usize::from(self.serial);
        let data = &data[..data.len().min(SNAP as usize - extra)];
        let len = u32::try_from(data.len() + extra).unwrap_or(SNAP);
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(17);
        for field in [seconds, at.subsec_nanos(), len, len] {
            header.extend(field.to_ne_bytes());
        }
        if self.serial {
            header.push(u8::from(from != 0));
        }
        self.written += (header.len() + data.len()) as u64;
        // A full disk must not stop the wires; the file is then short.
        let _ = self
            .out
            .write_all(&header)
            .and_then(|()| self.out.write_all(data));
    }

    /// Hands everything to the host.
    pub(super) fn flush(&mut self) {
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_documented_one() {
        let dir = crate::test::TempDir::new();
        let path = dir.path().join("a.pcap");
        let mut pcap = Pcap::create(&path, Medium::Serial { baud: 9600 }).unwrap();
        pcap.add(Duration::new(5, 7), 1, b"abc");
        pcap.flush();
        let bytes = std::fs::read(&path).unwrap();
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(16), word(20)), (MAGIC, SNAP, USER0));
        assert_eq!((word(24), word(28), word(32), word(36)), (5, 7, 4, 4));
        assert_eq!(&bytes[40..], b"\x01abc");
    }
}
