//! Builds the node's one program: statically linked, so the image needs no library.
//! Uses the cargo that runs us and a target directory of its own: the flags differ from
//! the host's build, and neither shall throw away the other's work.

use crate::error::{Error, Result};
use crate::progress::Progress;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The only target that the host's toolchain has for sure. It must be named: without
/// `--target` the flags below would reach procedural macros, which cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Static, and position-independent: address randomisation is worth 68 kB to children
/// that parse what strangers send.
const FLAGS: &str = "-C target-feature=+crt-static";

/// Compiles `init` from the workspace at `workspace` and returns the file's path.
///
/// # Errors
/// When it does not compile; the compiler has said why on standard error.
pub fn build(workspace: &Path, progress: &mut dyn Progress) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = target_directory(workspace)?.join("node");
    // Cargo draws its own progress on a terminal; a bar of ours would fight with it.
    progress.note("compiling the node's program (a minute or two the first time)");
    let status = Command::new(&cargo)
        .current_dir(workspace)
        .args([
            "build",
            "--quiet",
            "--package",
            "kodo-init",
            "--bin",
            "init",
        ])
        .args(["--profile", "image", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .map_err(|error| Error::new(format!("cannot run {}", cargo.display())).because(error))?;
    if !status.success() {
        return Err(Error::new("the node's program does not compile").because(status).next(
            "read the compiler's words above; a missing linker or libc is `apt-get install gcc libc6-dev`",
        ));
    }
    Ok(target.join(TARGET).join("image/init"))
}

/// Where this workspace's builds go.
fn target_directory(workspace: &Path) -> Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    // Relative to the directory the person is in, as cargo itself reads the variable.
    let base = std::env::current_dir()
        .map_err(|error| Error::new("cannot tell the current directory").because(error))?;
    Ok(if target == Path::new("target") {
        workspace.join(target)
    } else {
        base.join(target)
    })
}
