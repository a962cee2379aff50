//! Memory that is never taken away.

use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use rustix::mm::MlockAllFlags;

use crate::Result;

/// Locks all present and future pages of this process, and faults them in now: the
/// loop then never waits for memory reclaim.
///
/// # Errors
/// What `mlockall` says.
pub fn lock_all() -> Result<()> {
    Ok(rustix::mm::mlockall(
        MlockAllFlags::CURRENT | MlockAllFlags::FUTURE,
    )?)
}

/// Memory without a name that can be handed to another process.
///
/// # Errors
/// What `memfd_create` says.
pub fn anonymous(name: &core::ffi::CStr) -> Result<OwnedFd> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?)
}

/// Bytes of this process that are in memory now, by the kernel's count.
#[must_use]
pub fn resident() -> Option<u64> {
    let mut text = [0u8; 128];
    let file = std::fs::File::open("/proc/self/statm").ok()?;
    let len = std::io::Read::read(&mut &file, &mut text).ok()?;
    let pages = std::str::from_utf8(&text[..len])
        .ok()?
        .split_ascii_whitespace()
        .nth(1)?;
    Some(pages.parse::<u64>().ok()? * rustix::param::page_size() as u64)
}

/// Tells glibc to keep every allocation in its main heap and never to give memory
/// back, so that a locked process does not map and unmap while it runs.
pub fn keep_heap() {
    // SAFETY: mallopt takes two integers and changes allocator parameters only.
    unsafe { libc::mallopt(libc::M_MMAP_MAX, 0) };
    // SAFETY: as above.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, -1) };
}
