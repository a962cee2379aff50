//! Signals as messages.
//!
//! Owns blocking signals and reading them from a descriptor, so that no handler ever
//! interrupts the loop.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Result, check};

/// The signals that PID 1 listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A child ended.
    Child,
    /// Asked to end.
    Terminate,
    /// Ctrl-alt-del on the console.
    Interrupt,
    /// Power is failing, or the power button.
    Power,
}

const LISTENED: [(Signal, libc::c_int); 4] = [
    (Signal::Child, libc::SIGCHLD),
    (Signal::Terminate, libc::SIGTERM),
    (Signal::Interrupt, libc::SIGINT),
    (Signal::Power, libc::SIGPWR),
];

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to a whole sigset_t.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset initialised it.
    let mut set = unsafe { set.assume_init() };
    for (signal, number) in LISTENED {
        if signals.contains(&signal) {
            // SAFETY: `set` is an initialised sigset_t and the number is valid.
            unsafe { libc::sigaddset(&raw mut set, number) };
        }
    }
    set
}

/// Blocked signals, read as messages.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// Blocks `signals` in this process and opens a descriptor that delivers them.
    ///
    /// # Errors
    /// What `sigprocmask` or `signalfd` says.
    pub fn new(signals: &[Signal]) -> Result<SignalFd> {
        let set = set_of(signals);
        // SAFETY: `set` is valid; the old mask is not wanted.
        check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
        // SAFETY: `set` is valid; -1 asks for a new descriptor.
        let fd = check(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        })?;
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(SignalFd { fd })
    }

    /// The next signal, if one is waiting.
    pub fn take(&self) -> Option<Signal> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut info) {
            Ok(len) if len == info.len() => {
                let number = i32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
                LISTENED
                    .iter()
                    .find(|(_, n)| *n == number)
                    .map(|(signal, _)| *signal)
            }
            _ => None,
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// In a fresh child: no signal blocked, none ignored.
pub(crate) fn reset() {
    let set = set_of(&[]);
    // SAFETY: `set` is valid; the old mask is not wanted.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
    for number in 1..=31 {
        // SAFETY: restores a default action (Rust's start-up made SIGPIPE ignored); KILL
        // and STOP refuse, which is right.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}
