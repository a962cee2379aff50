//! Mounting pseudo file systems.

use std::ffi::CString;
use std::path::Path;

use rustix::mount::MountFlags;

use crate::Result;

/// What may not happen on a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// No set-uid, no devices, no execution.
    Strict,
    /// No set-uid, no execution; devices work (`/dev`).
    Devices,
}

/// Mounts a file system of type `kind` on `target`, which must exist. One that is
/// mounted there already is success.
///
/// # Errors
/// What `mount` says.
pub fn mount(kind: &str, target: &Path, options: &str, guard: Guard) -> Result<()> {
    let flags = match guard {
        Guard::Strict => MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        Guard::Devices => MountFlags::NOSUID | MountFlags::NOEXEC,
    };
    let data = CString::new(options)?;
    match rustix::mount::mount(kind, target, kind, flags, Some(data.as_c_str())) {
        Ok(()) | Err(rustix::io::Errno::BUSY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
