//! The machine as a whole: its kernel's version, its name, its end.

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

/// Resets the machine this instant, as SysRq-b does: no driver is asked first, so nothing
/// can delay it, and the machine is silent on its networks at once.
///
/// # Errors
/// When `/proc/sysrq-trigger` cannot be written; on success it does not return.
pub fn reset_at_once() -> Result<()> {
    std::fs::write("/proc/sysrq-trigger", "b")
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
