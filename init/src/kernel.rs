//! The kernel's part of the boot: pseudo file systems and how it behaves in trouble.
//!
//! Owns mounts, sysctls and the kernel command line. A kernel that is stuck, out of
//! memory or wrong about itself must reset the machine: the peer is waiting for it.

use std::fs;
use std::path::Path;

use kodo_sys::mount::{Guard, mount};

/// What is mounted where, in this order. The last two are not on every machine.
const MOUNTS: [(&str, &str, &str, Guard); 9] = [
    ("devtmpfs", "/dev", "mode=0755", Guard::Devices),
    ("proc", "/proc", "", Guard::Strict),
    ("sysfs", "/sys", "", Guard::Strict),
    ("tmpfs", "/run", "mode=0755,size=4m", Guard::Strict),
    ("tmpfs", "/tmp", "mode=1777,size=8m", Guard::Strict),
    (
        "devpts",
        "/dev/pts",
        "mode=0600,ptmxmode=0000",
        Guard::Strict,
    ),
    ("cgroup2", "/sys/fs/cgroup", "", Guard::Strict),
    ("pstore", "/sys/fs/pstore", "", Guard::Strict),
    ("efivarfs", "/sys/firmware/efi/efivars", "", Guard::Strict),
];
const OPTIONAL: [&str; 2] = ["pstore", "efivarfs"];

/// Fail fast, quietly: below `/proc/sys`. Those that a kernel lacks are left out.
const SETTINGS: [(&str, &str); 18] = [
    // Reset one second after a panic; make everything doubtful a panic.
    ("kernel/panic", "1"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/softlockup_panic", "1"),
    ("kernel/hardlockup_panic", "1"),
    ("kernel/panic_on_rcu_stall", "1"),
    ("kernel/panic_on_io_nmi", "1"),
    ("kernel/unknown_nmi_panic", "1"),
    ("kernel/panic_on_unrecovered_nmi", "1"),
    ("kernel/hung_task_timeout_secs", "60"),
    ("kernel/hung_task_panic", "1"),
    // The node survives what its services do to memory: the offender is killed.
    ("vm/panic_on_oom", "0"),
    ("vm/overcommit_memory", "0"),
    // Only errors and worse on the console, which belongs to the node's own log.
    ("kernel/printk", "4 4 1 4"),
    ("kernel/printk_devkmsg", "on\n"),
    ("kernel/sysrq", "0"),
    ("kernel/dmesg_restrict", "1"),
    // In a user namespace of its own a service would have every capability over it, and with
    // them the kernel's less trodden paths.
    ("user/max_user_namespaces", "0"),
    // Routing between the LAN and the crossover is nobody's business.
    ("net/ipv4/ip_forward", "0"),
];

/// Mounts everything. What did not work, for the log.
pub(crate) fn mount_all() -> Vec<String> {
    let mut troubles = Vec::new();
    for (kind, target, options, guard) in MOUNTS {
        let target = Path::new(target);
        // In sysfs the directories are the kernel's; elsewhere the image has them.
        let made = if target.exists() {
            Ok(())
        } else {
            fs::create_dir_all(target)
        };
        let result = made.and_then(|()| mount(kind, target, options, guard));
        if let Err(error) = result
            && !OPTIONAL.contains(&kind)
        {
            troubles.push(format!("mounting {kind} on {}: {error}", target.display()));
        }
    }
    troubles
}

/// Makes the kernel fail fast. What did not work, for the log.
pub(crate) fn settle() -> Vec<String> {
    let mut troubles = Vec::new();
    for (name, value) in SETTINGS {
        let path = Path::new("/proc/sys").join(name);
        if path.exists()
            && let Err(error) = fs::write(&path, value)
        {
            troubles.push(format!("{}: {error}", path.display()));
        }
    }
    if let Err(error) = kodo_sys::machine::ctrl_alt_del_is_a_signal() {
        troubles.push(format!("ctrl-alt-del: {error}"));
    }
    troubles
}

/// The value of `NAME=VALUE` on the kernel's command line; the last one counts.
pub(crate) fn parameter(name: &str) -> Option<String> {
    find_parameter(&fs::read_to_string("/proc/cmdline").ok()?, name)
}

fn find_parameter(line: &str, name: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace().rev();
    words.find_map(|word| {
        word.strip_prefix(name)?
            .strip_prefix('=')
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_parameter_counts() {
        let line = "console=tty0 console=ttyS0,115200 kodo.node=node1 quiet kodo.nodes=x\n";
        assert_eq!(find_parameter(line, "kodo.node").as_deref(), Some("node1"));
        assert_eq!(
            find_parameter(line, "console").as_deref(),
            Some("ttyS0,115200")
        );
        assert_eq!(find_parameter(line, "quiet"), None);
    }
}
