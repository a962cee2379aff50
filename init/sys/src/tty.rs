//! Serial lines as raw bytes.
//!
//! Owns opening a tty for heartbeats: eight bits, no parity, no flow control, no
//! modem lines, never blocking. The serialport crate was weighed against this: it
//! makes its descriptors blocking and brings its own errno crate, for three calls
//! that rustix has.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, InputModes, OptionalActions, SpecialCodeIndex};

use crate::Result;

/// Opens `path` raw at `baud`, without waiting for carrier and without becoming
/// anybody's controlling terminal. What was received before is thrown away.
///
/// # Errors
/// What `open` or `tcsetattr` says; `EINVAL` for a speed that the driver lacks.
pub fn open_raw(path: &Path, baud: u32) -> Result<OwnedFd> {
    let fd = rustix::fs::open(
        path,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut attributes = rustix::termios::tcgetattr(&fd)?;
    attributes.make_raw();
    attributes
        .input_modes
        .remove(InputModes::IXON | InputModes::IXOFF | InputModes::IXANY);
    attributes
        .control_modes
        .remove(ControlModes::CRTSCTS | ControlModes::CSTOPB | ControlModes::HUPCL);
    attributes
        .control_modes
        .insert(ControlModes::CLOCAL | ControlModes::CREAD);
    attributes.special_codes[SpecialCodeIndex::VMIN] = 1;
    attributes.special_codes[SpecialCodeIndex::VTIME] = 0;
    attributes.set_speed(baud)?;
    rustix::termios::tcsetattr(&fd, OptionalActions::Now, &attributes)?;
    rustix::termios::tcflush(&fd, rustix::termios::QueueSelector::IFlush)?;
    Ok(fd)
}

/// Opens a terminal for writing text, such as the console.
///
/// # Errors
/// What `open` says.
pub fn open_text(path: &Path) -> Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// The size of a terminal in rows and columns, if it has one.
#[must_use]
pub fn size(fd: impl crate::AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Reads what has arrived. `Ok(0)` means hung up.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what `read` says.
pub fn read(fd: impl crate::AsFd, buffer: &mut [u8]) -> Result<usize> {
    Ok(rustix::io::read(fd, buffer)?)
}

/// Writes as much as fits now.
///
/// # Errors
/// `WouldBlock` when nothing fits; else what `write` says.
pub fn write(fd: impl crate::AsFd, bytes: &[u8]) -> Result<usize> {
    Ok(rustix::io::write(fd, bytes)?)
}
