//! Starting a QEMU that dies with the lab.
//!
//! Owns the way from arguments to a running process with an open control channel. The
//! promise "machines never outlive the lab" rests on three things here: `setpriv` asks
//! the kernel to kill QEMU when its parent thread ends, a shell then checks that the
//! parent was still there to begin with, and only then becomes QEMU.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::argv::{Shape, Sockets, arguments};
use crate::boot::BootNode;
use crate::error::{Context, Error, Result};

/// A QEMU that has not said hello by then will not.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// Becomes QEMU unless the lab is gone already: `$0` is the lab's process id.
const STILL_THERE: &str = r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#;

/// How a machine is started, again and again.
pub(crate) struct Launch {
    pub(crate) node: Arc<str>,
    pub(crate) boot: BootNode,
    pub(crate) shape: Shape,
    pub(crate) sockets: Sockets,
    /// QEMU's own words go here.
    pub(crate) log: PathBuf,
    listener: UnixListener,
}

impl Launch {
    /// Opens the control socket that QEMU will connect to.
    pub(crate) fn prepare(
        node: Arc<str>,
        boot: BootNode,
        shape: Shape,
        sockets: Sockets,
        log: PathBuf,
    ) -> Result<Self> {
        let what = || format!("cannot listen at {}", sockets.qmp.display());
        let listener = UnixListener::bind(&sockets.qmp).context(what)?;
        listener.set_nonblocking(true).context(what)?;
        Ok(Self {
            node,
            boot,
            shape,
            sockets,
            log,
            listener,
        })
    }

    /// Starts QEMU, stopped before its first instruction. Must be called on a thread that
    /// lives as long as the machine may: its end kills the machine.
    pub(crate) fn start(&self) -> Result<(Child, UnixStream)> {
        // A former QEMU's connection, if it never got that far.
        while self.listener.accept().is_ok() {}
        let log =
            File::create(&self.log).context(|| format!("cannot create {}", self.log.display()))?;
        let copy = log
            .try_clone()
            .context(|| format!("cannot use {}", self.log.display()))?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "sh", "-c", STILL_THERE])
            .arg(std::process::id().to_string())
            .arg(&self.shape.qemu)
            .args(arguments(
                &self.node,
                &self.boot,
                &self.shape,
                &self.sockets,
            ))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            // A Ctrl-C at the lab's prompt is not for the machines.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                self.fail(&format!(
                    "cannot start `setpriv` (package util-linux): {error}"
                ))
            })?;
        match self.hello(&mut child) {
            Ok(stream) => Ok((child, stream)),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }

    /// Waits until QEMU connects to the control socket.
    fn hello(&self, child: &mut Child) -> Result<UnixStream> {
        let deadline = Instant::now() + HELLO_WITHIN;
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                stream
                    .set_nonblocking(false)
                    .context(|| "cannot use a control socket".to_owned())?;
                return Ok(stream);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.fail(&format!(
                    "QEMU ended at once ({status}): {}",
                    self.last_words()
                )));
            }
            if Instant::now() > deadline {
                let words = self.last_words();
                return Err(self.fail(&format!(
                    "QEMU did not start within {} s: {words}",
                    HELLO_WITHIN.as_secs()
                )));
            }
            // Its end is not seen by this poll, hence the short turns.
            let mut fds = [PollFd::from_borrowed_fd(
                self.listener.as_fd(),
                PollFlags::IN,
            )];
            let turn = Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            let _ = poll(&mut fds, Some(&turn));
        }
    }

    /// The end of what QEMU said.
    pub(crate) fn last_words(&self) -> String {
        let Ok(file) = File::open(&self.log) else {
            return String::new();
        };
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(5)..].join("; ")
    }

    fn fail(&self, what: &str) -> Error {
        Error::Machine {
            node: self.node.to_string(),
            what: what.to_owned(),
        }
    }
}
