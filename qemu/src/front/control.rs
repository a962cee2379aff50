//! The same commands from a second terminal.
//!
//! Owns a unix socket that only the lab's user can reach, and a file in the lab's home that
//! says where it is (a socket's own path must be short). A command goes in as one line;
//! what it says comes back as JSON lines, the last of which tells how it went.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Shared;
use crate::command::Outcome;
use crate::error::{Context, Error, Result};

/// The file in the lab's home that names the socket.
const POINTER: &str = "control";
/// A client's line is longer than this by mistake.
const LONGEST: u64 = 64 * 1024;
/// A watcher that went away is noticed this often.
const LOOK: Duration = Duration::from_millis(500);

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    /// Text to print.
    Said(String),
    /// It was done.
    Done,
    /// It was not, and why.
    Failed(String),
}

/// The open door; closing it ends its thread.
pub(crate) struct Door {
    pointer: PathBuf,
    socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens it.
    pub(super) fn open(home: &Path, shared: &Arc<Shared>) -> Result<Self> {
        std::fs::create_dir_all(home).context(|| format!("cannot make {}", home.display()))?;
        let pointer = home.join(POINTER);
        if is_running(home) {
            let home = home.display();
            return Err(Error::Command(format!(
                "a lab is running in {home} already: end it with `cargo xtask lab quit`, or choose another --dir"
            )));
        }
        let socket = shared.session.lab().socket_dir().join("control");
        let what = || format!("cannot listen at {}", socket.display());
        let listener = UnixListener::bind(&socket).context(what)?;
        std::fs::set_permissions(&socket, Permissions::from_mode(0o600)).context(what)?;
        std::fs::write(&pointer, socket.display().to_string())
            .context(|| format!("cannot write {}", pointer.display()))?;
        let serve = {
            let shared = Arc::clone(shared);
            move || serve(&listener, &shared)
        };
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(serve);
        let thread = thread.context(|| "cannot start a thread".to_owned())?;
        Ok(Self {
            pointer,
            socket,
            shared: Arc::clone(shared),
            thread: Some(thread),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shared.quit();
        let _ = std::fs::remove_file(&self.pointer);
        // Wakes the thread, which then sees that it is over.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends a command to the lab that runs in `home` and prints what it says. True when it
/// was done.
///
/// # Errors
/// When no lab runs there, or it went away.
pub fn send(home: &Path, command: &str, out: &mut dyn Write) -> Result<bool> {
    let mut stream = find(home)?;
    let gone = || "the lab went away".to_owned();
    writeln!(stream, "{}", command.replace('\n', " ")).context(gone)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.context(gone)?) {
            Ok(Reply::Said(text)) => {
                // A reader that went away has read enough.
                if out
                    .write_all(text.as_bytes())
                    .and_then(|()| out.flush())
                    .is_err()
                {
                    return Ok(true);
                }
            }
            Ok(Reply::Done) => return Ok(true),
            Ok(Reply::Failed(why)) => {
                let _ = writeln!(out, "{why}");
                return Ok(false);
            }
            Err(error) => {
                return Err(Error::Command(format!(
                    "the lab said something odd: {error}"
                )));
            }
        }
    }
    Err(Error::Command(gone()))
}

/// Whether a lab runs in this home.
#[must_use]
pub fn is_running(home: &Path) -> bool {
    find(home).is_ok()
}

fn find(home: &Path) -> Result<UnixStream> {
    let none = || {
        let home = home.display();
        Error::Command(format!(
            "no lab is running in {home}: start one with `cargo xtask lab`"
        ))
    };
    let path = std::fs::read_to_string(home.join(POINTER)).map_err(|_| none())?;
    UnixStream::connect(path.trim()).map_err(|_| none())
}

fn serve(listener: &UnixListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().map_while(std::result::Result::ok) {
        if shared.is_over() {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that cannot be served sees its connection close.
        let _ = std::thread::Builder::new()
            .name("command".to_owned())
            .spawn(move || answer(&stream, &shared));
    }
}

fn answer(stream: &UnixStream, shared: &Shared) {
    let mut line = String::new();
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(std::io::Read::take(reader, LONGEST));
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let last = match shared.session.run(&line) {
        Ok(Outcome::Said(text)) => {
            if !say(stream, &Reply::Said(text)) {
                return;
            }
            Reply::Done
        }
        Ok(Outcome::Watch(Some(node))) => {
            watch(stream, shared, &node);
            Reply::Done
        }
        Ok(Outcome::Watch(None)) => Reply::Done,
        Ok(Outcome::Quit) => {
            shared.quit();
            Reply::Done
        }
        Err(error) => Reply::Failed(format!("error: {error}")),
    };
    say(stream, &last);
}

fn say(mut stream: &UnixStream, reply: &Reply) -> bool {
    let text = serde_json::to_string(reply).unwrap_or_default();
    writeln!(stream, "{text}").is_ok()
}

/// Sends a console's lines as they come, until the client goes away or the lab ends.
fn watch(stream: &UnixStream, shared: &Shared, node: &str) {
    let journal = shared.session.lab().journal();
    let mut seen = journal.len();
    while !shared.is_over() {
        journal.wait(seen, Instant::now() + LOOK);
        let mut text = String::new();
        for entry in journal.from(seen) {
            seen += 1;
            if let Some(line) = entry.event.console_line(node) {
                text += &format!("{line}\n");
            }
        }
        // An empty one costs nothing and tells whether anybody is still there.
        if !say(stream, &Reply::Said(text)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::TempDir;

    #[test]
    fn a_home_without_a_lab_says_so() {
        let home = TempDir::new();
        let told = |home: &Path| {
            send(home, "status", &mut Vec::new())
                .unwrap_err()
                .to_string()
        };
        assert!(told(home.path()).contains("no lab is running"));
        std::fs::write(home.path().join(POINTER), "/nowhere/s/control").unwrap();
        assert!(told(home.path()).contains("start one with"));
    }
}
