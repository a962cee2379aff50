//! Builds the product's programs: statically linked, so that the image needs no library and
//! the command runs on any Linux host.
//! Uses the cargo that runs us and a target directory of its own: the flags differ from
//! the host's build, and neither shall throw away the other's work.

use crate::error::{Error, Result};
use crate::progress::Progress;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The only target that the host's toolchain has for sure. It must be named: without
/// `--target` the flags below would reach procedural macros, which cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Static, and position-independent: address randomisation is worth 68 kB to children
/// that parse what strangers send.
const FLAGS: &str = "-C target-feature=+crt-static";

/// What `cargo` says of a finished crate, as far as a person waits for it.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// A program of the product.
#[derive(Debug)]
pub struct Program {
    package: &'static str,
    bin: &'static str,
    what: &'static str,
}

/// What runs on a node.
pub const NODE: Program = Program {
    package: "kodo-init",
    bin: "init",
    what: "the node's program",
};

/// What operators and witnesses run.
pub const COMMAND: Program = Program {
    package: "kodo-ctl",
    bin: "kodo",
    what: "the kodo command",
};

/// Compiles a program from the workspace at `workspace` and returns the file's path.
///
/// # Errors
/// When it does not compile, with the compiler's words.
pub fn build(workspace: &Path, program: &Program, progress: &mut dyn Progress) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = target_directory(workspace)?.join("node");
    let no_cargo =
        |error: io::Error| Error::new(format!("cannot run {}", cargo.display())).because(error);
    // A file and not a pipe: nobody reads it before the end.
    let words = tempfile::tempfile().map_err(no_cargo)?;
    progress.begin(&format!("compile {}", program.what), None);
    let mut child = Command::new(&cargo)
        .current_dir(workspace)
        .args(["build", "--quiet"])
        .args(["--package", program.package, "--bin", program.bin])
        .args(["--profile", "image", "--target", TARGET])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--target-dir",
        ])
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(words.try_clone().map_err(no_cargo)?)
        .spawn()
        .map_err(no_cargo)?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(no_cargo)?;
            // Lines of other kinds are none of our business.
            if let Ok(Message {
                reason,
                target: Some(target),
            }) = serde_json::from_str(&line)
                && reason == "compiler-artifact"
            {
                progress.item(&target.name);
            }
        }
    }
    let status = child.wait().map_err(no_cargo)?;
    if !status.success() {
        return Err(Error::new(format!("{} does not compile", program.what)).because(read_back(words)).next(
            "correct what the compiler names; a missing linker or libc is `apt-get install gcc libc6-dev`",
        ));
    }
    let program = target.join(TARGET).join("image").join(program.bin);
    progress.end(&crate::report::size(
        std::fs::metadata(&program).map_or(0, |meta| meta.len()),
    ));
    Ok(program)
}

fn read_back(mut words: File) -> String {
    let mut text = String::new();
    match words
        .rewind()
        .and_then(|()| words.read_to_string(&mut text))
    {
        Ok(_) => format!("\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// Where this workspace's builds go.
fn target_directory(workspace: &Path) -> Result<PathBuf> {
    let Some(chosen) = std::env::var_os("CARGO_TARGET_DIR") else {
        return Ok(workspace.join("target"));
    };
    // Relative to the directory the person is in, as cargo itself reads the variable.
    std::path::absolute(chosen)
        .map_err(|error| Error::new("cannot use CARGO_TARGET_DIR").because(error))
}
