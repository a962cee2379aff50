//! The machine as a whole: its kernel's version, its name, its end.

use std::time::Duration;

use rustix::system::RebootCommand;

use crate::Result;

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
    Ok(rustix::system::reboot(RebootCommand::CadOff)?)
}

/// Resets the machine now. Nothing is synced: kodo keeps no file system.
///
/// # Errors
/// What `reboot` says; on success it does not return.
pub fn reset() -> Result<()> {
    Ok(rustix::system::reboot(RebootCommand::Restart)?)
}

/// Powers the machine off now.
///
/// # Errors
/// What `reboot` says; on success it does not return.
pub fn power_off() -> Result<()> {
    Ok(rustix::system::reboot(RebootCommand::PowerOff)?)
}

/// Panics the kernel, as SysRq-c does.
///
/// # Errors
/// When `/proc/sysrq-trigger` cannot be written; on success it does not return.
pub fn panic_kernel() -> Result<()> {
    std::fs::write("/proc/sysrq-trigger", "c")
}

/// A random number from the kernel's generator, for boot ids and seeds. Early in the
/// boot of a machine without much entropy this waits, but no longer than `limit`:
/// then the best that the kernel has is taken.
///
/// # Errors
/// What `getrandom` says.
pub fn random(limit: Duration) -> Result<u64> {
    let deadline = crate::clock::boottime() + limit;
    let mut bytes = [0u8; 8];
    loop {
        let flags = if crate::clock::boottime() < deadline {
            rustix::rand::GetRandomFlags::NONBLOCK
        } else {
            rustix::rand::GetRandomFlags::INSECURE
        };
        match rustix::rand::getrandom(&mut bytes, flags) {
            Ok(8) => return Ok(u64::from_le_bytes(bytes)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => crate::clock::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// This process.
#[must_use]
pub fn pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}
