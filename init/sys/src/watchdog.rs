//! The watchdog device, by the requests of `Documentation/watchdog/watchdog-api.rst`.
//!
//! Owns the device's interface. Opening it starts the countdown; closing the last
//! copy without the magic character leaves it running.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{self, Getter, Updater, opcode};

use crate::Result;

const BASE: u8 = b'W';
const GET_SUPPORT: ioctl::Opcode = opcode::read::<Info>(BASE, 0);
const GET_BOOT_STATUS: ioctl::Opcode = opcode::read::<i32>(BASE, 2);
const KEEP_ALIVE: ioctl::Opcode = opcode::read::<i32>(BASE, 5);
const SET_TIMEOUT: ioctl::Opcode = opcode::read_write::<i32>(BASE, 6);
const GET_TIMEOUT: ioctl::Opcode = opcode::read::<i32>(BASE, 7);

/// `WDIOF_CARDRESET`: this watchdog caused the last reset.
const CARD_RESET: i32 = 0x20;

/// `struct watchdog_info`.
#[repr(C)]
struct Info {
    options: u32,
    firmware: u32,
    identity: [u8; 32],
}

/// An open, running watchdog.
#[derive(Debug)]
pub struct Watchdog {
    fd: OwnedFd,
}

impl Watchdog {
    /// Opens `path`, which starts the countdown.
    ///
    /// # Errors
    /// What `open` says; `EBUSY` when somebody else holds it.
    pub fn open(path: &Path) -> Result<Watchdog> {
        let fd = rustix::fs::open(
            path,
            OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        )?;
        Ok(Watchdog { fd })
    }

    /// Takes over a watchdog that another process opened.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Watchdog {
        Watchdog { fd }
    }

    /// Gives the descriptor away; the countdown goes on.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// What the driver calls itself.
    ///
    /// # Errors
    /// What the request says.
    pub fn identity(&self) -> Result<String> {
        // SAFETY: GET_SUPPORT writes one struct watchdog_info, which `Info` mirrors.
        let getter = unsafe { Getter::<GET_SUPPORT, Info>::new() };
        // SAFETY: a Getter with a matching opcode and type is a sound ioctl.
        let info = unsafe { ioctl::ioctl(&self.fd, getter) }?;
        let end = info
            .identity
            .iter()
            .position(|b| *b == 0)
            .unwrap_or(info.identity.len());
        Ok(String::from_utf8_lossy(&info.identity[..end]).into_owned())
    }

    /// Whether this watchdog caused the last reset, as far as the driver knows.
    ///
    /// # Errors
    /// What the request says.
    pub fn caused_last_reset(&self) -> Result<bool> {
        // SAFETY: GET_BOOT_STATUS writes one int.
        let getter = unsafe { Getter::<GET_BOOT_STATUS, i32>::new() };
        // SAFETY: a Getter with a matching opcode and type is a sound ioctl.
        let flags = unsafe { ioctl::ioctl(&self.fd, getter) }?;
        Ok(flags & CARD_RESET != 0)
    }

    /// Asks for `timeout`, rounded up to seconds (at least one), and returns what the
    /// driver granted, read back.
    ///
    /// # Errors
    /// What the requests say. A driver with a fixed timeout refuses the change; the
    /// value read back is then still the truth.
    pub fn set_timeout(&self, timeout: Duration) -> Result<Duration> {
        let whole = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let mut seconds = i32::try_from(whole.max(1)).unwrap_or(i32::MAX);
        // SAFETY: SET_TIMEOUT reads and writes one int.
        let updater = unsafe { Updater::<SET_TIMEOUT, i32>::new(&mut seconds) };
        // SAFETY: an Updater with a matching opcode and type is a sound ioctl.
        let refused = unsafe { ioctl::ioctl(&self.fd, updater) }.is_err();
        match self.timeout() {
            Ok(granted) => Ok(granted),
            // Some drivers answer the change but not the question.
            Err(_) if !refused => Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            Err(error) => Err(error),
        }
    }

    fn timeout(&self) -> Result<Duration> {
        // SAFETY: GET_TIMEOUT writes one int.
        let getter = unsafe { Getter::<GET_TIMEOUT, i32>::new() };
        // SAFETY: a Getter with a matching opcode and type is a sound ioctl.
        let seconds = unsafe { ioctl::ioctl(&self.fd, getter) }?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Starts the countdown anew.
    ///
    /// # Errors
    /// What the request says.
    pub fn feed(&self) -> Result<()> {
        // SAFETY: KEEP_ALIVE takes no data although its number names an int; drivers
        // that write one find room for it in the Getter.
        let request = unsafe { Getter::<KEEP_ALIVE, i32>::new() };
        // SAFETY: a Getter with a matching opcode and type is a sound ioctl.
        unsafe { ioctl::ioctl(&self.fd, request) }?;
        Ok(())
    }

    /// Closes it with the magic character, which stops the countdown unless the
    /// driver was built never to stop. False when the driver did not take the character.
    #[must_use]
    pub fn disarm(self) -> bool {
        rustix::io::write(&self.fd, b"V").is_ok()
    }
}

impl AsFd for Watchdog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
