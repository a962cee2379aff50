//! Every system call that PID 1 and its helpers make, and all of kodo's `unsafe`.
//!
//! Owns: narrow safe functions over the kernel's interface, mostly on rustix, with
//! `libc` where rustix has no door (signalfd, scheduling class, packet sockets,
//! `clone3`, watchdog requests). It holds mechanisms only: no policy, no retries, no
//! log lines, and nothing that knows what a cluster is.
//!
//! Every file descriptor made here is close-on-exec. Errors are `std::io::Error`
//! built from the errno, which allocates nothing.
#![cfg(target_os = "linux")]

mod bpf;
pub mod clock;
pub mod confine;
pub mod counting;
pub mod deaf;
pub mod disk;
pub mod filter;
pub mod gate;
pub mod kmsg;
pub mod link;
pub mod machine;
pub mod memory;
pub mod module;
pub mod mount;
pub mod neighbour;
pub mod netlink;
pub mod packet;
pub mod poll;
pub mod process;
pub mod root;
mod sandbox;
pub mod schedule;
pub mod seqpacket;
pub mod signal;
pub mod tty;
pub mod watchdog;
pub mod wire;

pub use std::io::{Error, Result};
pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The errno of an error, or `EIO` where it came from elsewhere.
#[must_use]
pub fn errno(error: &Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// True when the call would have had to wait.
#[must_use]
pub fn would_block(error: &Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
}

/// Turns a libc return value into a result.
fn check(value: libc::c_int) -> Result<libc::c_int> {
    if value < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(value)
    }
}
