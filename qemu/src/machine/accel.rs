//! Which accelerator QEMU gets.
//!
//! Owns one hard-won rule: `/dev/kvm` that opens and answers proves nothing. In nested
//! machines it may be there while guests hang in their firmware, so the processor's own
//! flags decide.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// The variable that overrides the choice: `tcg` or `kvm`.
pub const VARIABLE: &str = "KODO_ACCEL";

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Emulation: works everywhere.
    Tcg,
    /// The processor itself.
    Kvm,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        })
    }
}

impl FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tcg" => Ok(Self::Tcg),
            "kvm" => Ok(Self::Kvm),
            other => Err(format!("`{other}` is no accelerator: say tcg or kvm")),
        }
    }
}

/// Chooses: what the variable says, else KVM where the processor can, else emulation.
///
/// # Errors
/// When the variable says something else than `tcg` or `kvm`.
pub fn choose() -> Result<Accel, String> {
    if let Ok(wish) = std::env::var(VARIABLE) {
        return wish.parse().map_err(|why| format!("{VARIABLE}: {why}"));
    }
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let openable = std::fs::File::options()
        .read(true)
        .write(true)
        .open(Path::new("/dev/kvm"))
        .is_ok();
    Ok(if openable && virtualises(&cpuinfo) {
        Accel::Kvm
    } else {
        Accel::Tcg
    })
}

fn virtualises(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags
        .flat_map(str::split_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_decide() {
        assert!(virtualises("model name : x\nflags\t\t: fpu vmx sse\n"));
        assert!(virtualises("flags : svm\n"));
        assert!(!virtualises("flags : fpu hypervisor\nbugs : vmx\n"));
        assert!(!virtualises(""));
    }
}
