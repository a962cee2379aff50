//! The machine as a whole: its kernel's version, its name, and its end, which only PID 1
//! may bring about.

use rustix::system::RebootCommand;

use crate::{Error, Result};

/// Only PID 1 may end the machine: a call from a test, or from a process that was started
/// by mistake, must not.
fn as_pid_1() -> Result<()> {
    if pid() == 1 {
        Ok(())
    } else {
        Err(Error::from_raw_os_error(libc::EPERM))
    }
}

/// The running kernel's release, as in `/lib/modules/RELEASE`.
#[must_use]
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// Sets the host name.
///
/// # Errors
/// What `sethostname` says.
pub fn set_hostname(name: &str) -> Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Makes ctrl-alt-del a signal (SIGINT) to PID 1 instead of an instant reset.
///
/// # Errors
/// What `reboot` says.
pub fn ctrl_alt_del_is_a_signal() -> Result<()> {
    as_pid_1()?;
    Ok(rustix::system::reboot(RebootCommand::CadOff)?)
}

/// Resets the machine now. Nothing is synced: kodo keeps no file system.
///
/// # Errors
/// What `reboot` says; on success it does not return.
pub fn reset() -> Result<()> {
    as_pid_1()?;
    Ok(rustix::system::reboot(RebootCommand::Restart)?)
}

/// Resets the machine this instant, as SysRq-b does: no driver is asked first, so nothing
/// can delay it, and the machine is silent on its networks at once.
///
/// # Errors
/// When `/proc/sysrq-trigger` cannot be written; on success it does not return.
pub fn reset_at_once() -> Result<()> {
    as_pid_1()?;
    std::fs::write("/proc/sysrq-trigger", "b")
}

/// Powers the machine off now.
///
/// # Errors
/// What `reboot` says; on success it does not return.
pub fn power_off() -> Result<()> {
    as_pid_1()?;
    Ok(rustix::system::reboot(RebootCommand::PowerOff)?)
}

/// Panics the kernel, as SysRq-c does.
///
/// # Errors
/// When `/proc/sysrq-trigger` cannot be written; on success it does not return.
pub fn panic_kernel() -> Result<()> {
    as_pid_1()?;
    std::fs::write("/proc/sysrq-trigger", "c")
}

/// A number that no other machine and no other boot draws, for boot ids and seeds. It
/// need not be secret, so it does not wait for the kernel's generator to be seeded in
/// full, which takes seconds on a machine without RDRAND: what the generator has at once
/// (the real-time clock, the cycle counter, the firmware's serial numbers, the NICs'
/// addresses) is unique already.
///
/// # Errors
/// What `getrandom` says.
pub fn unique() -> Result<u64> {
    let mut bytes = [0u8; 8];
    // Eight bytes are never cut short.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::INSECURE)?;
    Ok(u64::from_le_bytes(bytes))
}

/// This process.
#[must_use]
pub fn pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_pid_1_ends_the_machine() {
        for end in [reset, reset_at_once, power_off, panic_kernel] {
            assert_eq!(end().unwrap_err().raw_os_error(), Some(libc::EPERM));
        }
    }

    #[test]
    fn unique_numbers_differ() {
        assert_ne!(unique().unwrap(), unique().unwrap());
    }
}
