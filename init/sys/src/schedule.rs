//! Scheduling classes.

use crate::{Result, check};

/// Makes this process real-time (`SCHED_FIFO`, 1 low to 99 high). Its children are
/// ordinary again (`SCHED_RESET_ON_FORK`). The kernel's own throttle for real-time
/// tasks stays in force, so that a spinning process cannot stop the kernel.
///
/// # Errors
/// What `sched_setscheduler` says.
pub fn real_time(priority: u8) -> Result<()> {
    let parameter = libc::sched_param {
        sched_priority: i32::from(priority),
    };
    // SAFETY: pid 0 is this process and `parameter` is a valid sched_param for the call.
    check(unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameter,
        )
    })?;
    Ok(())
}

/// Whether this process is in a real-time class.
#[must_use]
pub fn is_real_time() -> bool {
    // SAFETY: pid 0 is this process; the call reads nothing of ours.
    let policy = unsafe { libc::sched_getscheduler(0) };
    policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO
}
