//! The power button, as an input device.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `struct input_event`: two longs of time, type, code, value.
const EVENT: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;
const O_NONBLOCK: i32 = 0o4000;

/// The buttons found.
#[derive(Debug, Default)]
pub(super) struct Buttons(Vec<Option<File>>);

impl Buttons {
    /// Opens an input device if it is a power button: its number and descriptor.
    pub(super) fn open(&mut self, device: &Path) -> Option<(u64, BorrowedFd<'_>)> {
        let node = device.file_name()?.to_str()?;
        let name = fs::read_to_string(device.join("device/name")).ok()?;
        if !node.starts_with("event") || name.trim() != "Power Button" {
            return None;
        }
        let path = Path::new("/dev/input").join(node);
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .ok()?;
        let number = self.0.len() as u64;
        self.0.push(Some(file));
        Some((number, self.0.last()?.as_ref()?.as_fd()))
    }

    fn slot(&mut self, number: u64) -> Option<&mut Option<File>> {
        self.0.get_mut(usize::try_from(number).ok()?)
    }

    /// A button was unplugged.
    pub(super) fn take(&mut self, number: u64) -> Option<File> {
        self.slot(number)?.take()
    }

    /// Reads a button's events: whether it was pressed.
    pub(super) fn pressed(&mut self, number: u64) -> bool {
        let Some(file) = self.slot(number).and_then(Option::as_mut) else {
            return false;
        };
        let mut events = [0; EVENT * 16];
        let len = file.read(&mut events).unwrap_or(0);
        events[..len].chunks_exact(EVENT).any(is_press)
    }
}

fn is_press(event: &[u8]) -> bool {
    let field = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
    field(16) == EV_KEY && field(18) == KEY_POWER && field(20) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_not_a_release() {
        let mut event = [0; EVENT];
        event[16] = 1;
        event[18] = 116;
        assert!(!is_press(&event));
        event[20] = 1;
        assert!(is_press(&event));
        event[18] = 30;
        assert!(!is_press(&event));
    }
}
