//! What the host must have, and how it gets it. As root on Debian this installs what is
//! missing, after saying so; otherwise it prints the one line to type. Never touches
//! package sources.

use crate::Result;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something a command needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A C linker and the static C library: the node's program is linked with them.
    StaticLinker,
    /// The emulator with its firmware.
    Qemu,
    /// The house test asks it which files are part of the checkout.
    Git,
    /// A test builds a container image with it.
    Umoci,
    /// `cargo fmt`.
    Rustfmt,
    /// `cargo clippy`.
    Clippy,
}

impl Need {
    /// What it is, for a message.
    fn what(self) -> &'static str {
        match self {
            Self::StaticLinker => "a C linker with the static C library",
            Self::Qemu => "qemu-system-x86_64, which runs the lab's machines",
            Self::Git => "git, which lists the files of the checkout",
            Self::Umoci => "umoci, which builds a test's container image",
            Self::Rustfmt => "cargo fmt",
            Self::Clippy => "cargo clippy",
        }
    }

    fn met(self) -> bool {
        match self {
            Self::StaticLinker => {
                let path = output("cc", &["-print-file-name=libc.a"]);
                // The compiler answers with the bare name when it has no such file.
                path.is_some_and(|path| Path::new(path.trim()).is_absolute())
            }
            Self::Qemu => in_path("qemu-system-x86_64").is_some(),
            Self::Git => in_path("git").is_some(),
            Self::Umoci => in_path("umoci").is_some(),
            Self::Rustfmt => output(&cargo(), &["fmt", "--version"]).is_some(),
            Self::Clippy => output(&cargo(), &["clippy", "--version"]).is_some(),
        }
    }

    /// What brings it.
    fn remedy(self) -> Remedy {
        match self {
            Self::StaticLinker => Remedy::Packages("gcc libc6-dev"),
            Self::Qemu => Remedy::Packages("qemu-system-x86"),
            Self::Git => Remedy::Packages("git"),
            Self::Umoci => Remedy::Packages("umoci"),
            Self::Rustfmt => Remedy::Line("rustup component add rustfmt"),
            Self::Clippy => Remedy::Line("rustup component add clippy"),
        }
    }
}

enum Remedy {
    /// Debian packages.
    Packages(&'static str),
    /// A line that the person types: the toolchain is not ours to change.
    Line(&'static str),
}

/// This host and what may be done to it.
pub(crate) struct Host {
    may_install: bool,
}

impl Host {
    pub(crate) fn new(may_install: bool) -> Self {
        Self { may_install }
    }

    /// Makes sure that all of `needs` are met, installing where that is allowed.
    ///
    /// # Errors
    /// Names what is missing with the lines to type.
    pub(crate) fn require(&self, needs: &[Need]) -> Result {
        let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.met()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut packages = Vec::new();
        let mut lines = Vec::new();
        for need in &missing {
            match need.remedy() {
                Remedy::Packages(names) => packages.extend(names.split(' ')),
                Remedy::Line(line) => lines.push(line.to_owned()),
            }
        }
        if !packages.is_empty() {
            if self.can_install() {
                install(&packages)?;
            } else {
                let list = packages.join(" ");
                let sudo = if is_root() { "" } else { "sudo " };
                lines.push(format!(
                    "{sudo}apt-get install -y --no-install-recommends {list}"
                ));
            }
        }
        let missing: Vec<&str> = missing
            .iter()
            .filter(|need| !need.met())
            .map(|need| need.what())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "this host lacks {}\n  next: {}",
            missing.join("; "),
            lines.join(" && ")
        )
        .into())
    }

    /// Fetches fresh package lists. Says `false` where that is not allowed or not possible.
    ///
    /// # Errors
    /// When the client fails.
    pub(crate) fn update_lists(&self) -> Result<bool> {
        if !self.can_install() {
            return Ok(false);
        }
        eprintln!("  the package lists are missing or old: apt-get update");
        apt_get(&["update"])?;
        Ok(true)
    }

    fn can_install(&self) -> bool {
        self.may_install && is_root() && in_path("apt-get").is_some()
    }
}

fn install(packages: &[&str]) -> Result {
    eprintln!(
        "  this host lacks {}: installing with apt-get",
        packages.join(", ")
    );
    let arguments = |packages: &[&str]| {
        let mut arguments = vec![
            "install".to_owned(),
            "-y".to_owned(),
            "--no-install-recommends".to_owned(),
        ];
        arguments.extend(packages.iter().map(|name| (*name).to_owned()));
        arguments
    };
    let arguments = arguments(packages);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The first try fails on a fresh machine, whose lists are empty or old.
    apt_get(&arguments).or_else(|_| {
        apt_get(&["update"])?;
        apt_get(&arguments)
    })
}

fn apt_get(arguments: &[&str]) -> Result {
    let output = Command::new("apt-get")
        .arg("-q")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let line = arguments.join(" ");
    Err(format!(
        "apt-get {line} failed: {}\n  next: correct that and run the same command again",
        words.trim()
    )
    .into())
}

/// Told by the owner of this process's own entry in /proc.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Standard output of a program that succeeded.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}
