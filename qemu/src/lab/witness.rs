//! The witness of the cluster: a real program on this machine, behind a host on the LAN.
//!
//! Owns its process and puts its log lines into the journal. Knows of it only how it is
//! called, that it listens where `--listen` says, and that it says so in its first line
//! (`… listens on ADDR:PORT …`).

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Lab;
use crate::console::log_line;
use crate::core::Core;
use crate::error::{Context as _, Error, Result};
use crate::journal::Event;
use crate::lan;

/// Its name in the journal, and that of its host: its cable is `lan-witness`.
const NAME: &str = "witness";

/// How the witness is called; `--listen ADDR:PORT` is added.
#[derive(Clone, Debug)]
pub struct WitnessProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The witness's place, which outlasts its process.
#[derive(Debug)]
pub(super) struct Attendant {
    at: SocketAddr,
    child: Option<Child>,
}

impl Lab {
    /// Starts the witness at the address that `boot.json` gives it; again after
    /// [`Lab::stop_witness`], when it has forgotten everything.
    ///
    /// # Errors
    /// When the cluster has none, its address is not on the nodes' first LAN, it runs
    /// already, or the program does not start.
    pub fn start_witness(&self, program: &WitnessProgram) -> Result<()> {
        let place = self
            .boot
            .witness
            .ok_or_else(|| Error::Command("boot.json names no witness".to_owned()))?;
        let mut attendant = self.attendant();
        let known = attendant.as_ref().map(|attendant| attendant.at);
        if attendant.as_ref().is_some_and(Attendant::is_alive) {
            return Err(Error::Command("the witness runs already".to_owned()));
        }
        let home = lan::at_home(&self.boot, place.address).ok_or_else(|| {
            Error::Command(format!(
                "the witness's address {} is not on the nodes' first LAN",
                place.address
            ))
        })?;
        self.act("the witness starts".to_owned());
        let (child, at) = launch(
            program,
            known.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()),
            &self.core,
        )?;
        *attendant = Some(Attendant {
            at,
            child: Some(child),
        });
        match known {
            None => self.add_relay(NAME, home, place.port, at),
            Some(_) => Ok(()),
        }
    }

    /// Kills the witness, as a power cut of its machine would.
    pub fn stop_witness(&self) {
        self.act("the witness is killed".to_owned());
        if let Some(attendant) = self.attendant().as_mut() {
            attendant.stop();
        }
    }

    fn attendant(&self) -> MutexGuard<'_, Option<Attendant>> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attendant {
    fn is_alive(&self) -> bool {
        self.child.is_some()
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch(
    program: &WitnessProgram,
    listen: SocketAddr,
    core: &Arc<Core>,
) -> Result<(Child, SocketAddr)> {
    let name = program.program.display();
    let mut child = Command::new(&program.program)
        .args(&program.arguments)
        .args(["--listen", &listen.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context(|| format!("cannot run {name}"))?;
    let output = child.stdout.take().map(BufReader::new);
    let first = output.and_then(|mut output| {
        let mut line = String::new();
        output.read_line(&mut line).ok()?;
        let (_, place) = line.split_once("listens on ")?;
        let at = place.split_whitespace().next()?.parse().ok()?;
        write_down(core, &line);
        Some((at, output))
    });
    let Some((at, output)) = first else {
        let _ = child.kill();
        let _ = child.wait();
        let why = "the witness did not say where it listens; what it said stands above";
        return Err(Error::Command(why.to_owned()));
    };
    follow(output, core)?;
    Ok((child, at))
}

/// Writes its lines into the journal until its output ends.
fn follow(output: BufReader<ChildStdout>, core: &Arc<Core>) -> Result<()> {
    let core = Arc::downgrade(core);
    std::thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(move || {
            for line in output.lines().map_while(std::result::Result::ok) {
                let Some(core) = core.upgrade() else { return };
                write_down(&core, &line);
            }
        })
        .context(|| "cannot start a thread".to_owned())?;
    Ok(())
}

fn write_down(core: &Core, line: &str) {
    let line = line.trim_end();
    let node = NAME.into();
    core.note(match log_line(line) {
        Some(log) => Event::Log {
            node,
            level: log.level,
            uptime: log.uptime,
            text: log.text.to_owned(),
        },
        None => Event::Console {
            node,
            text: line.to_owned(),
        },
    });
}
