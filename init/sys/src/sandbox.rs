//! Landlock: what of the file system a child may still see.
//!
//! Owns the three system calls of `Documentation/userspace-api/landlock.rst`. The crate
//! for it was weighed: it negotiates versions of access rights that are not wanted here,
//! where everything but one directory is refused.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{Error, Result};

/// Every right over files that the first version of Landlock knows but executing: what
/// the image holds to execute is kodo itself, and a child begins by executing it.
const RIGHTS: u64 = 0x1fff & !1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const RULE_PATH_BENEATH: libc::c_int = 1;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

fn allow(ruleset: &OwnedFd, path: &OwnedFd, rights: u64) -> Result<()> {
    let rule = PathBeneath {
        allowed: rights,
        parent: path.as_raw_fd(),
    };
    // SAFETY: `rule` is a valid landlock_path_beneath_attr for the call.
    let added = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const rule,
            0,
        )
    };
    if added < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes from the calling process, and from whatever it executes, all rights over files
/// that are not open yet, but for executing `program` and reading below `readable`. Needs no-new-privileges. A
/// kernel without Landlock leaves everything as it is, which is no error: users, modes
/// and capabilities guard the files as well.
///
/// # Errors
/// What a kernel with Landlock says.
pub(crate) fn forget_files(program: &OwnedFd, readable: Option<&OwnedFd>) -> Result<()> {
    let rights = RIGHTS;
    // SAFETY: the attribute is one u64 of rights, as the first version has it.
    let ruleset = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const rights,
            size_of::<u64>(),
            0,
        )
    };
    let Some(ruleset) = i32::try_from(ruleset).ok().filter(|fd| *fd >= 0) else {
        return match Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => {
                Ok(())
            }
            error => Err(error),
        };
    };
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    // Executing a file counts as reading it.
    allow(&ruleset, program, READ_FILE)?;
    if let Some(readable) = readable {
        allow(&ruleset, readable, READ_FILE | READ_DIR)?;
    }
    // SAFETY: takes a descriptor and a number.
    if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) } < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}
