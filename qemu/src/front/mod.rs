//! A lab in front of a person: a prompt with a live table, plain lines where there is no
//! terminal, and a door for commands from a second terminal.
//!
//! Owns what is printed when, and the end of the lab by a command, a signal or the end of
//! the input. All of it does what [`crate::command`] says.

pub mod control;
mod editor;
mod plain;
mod tui;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::command::Session;
use crate::command::script::Script;
use crate::error::{Context, Error, Result};
use crate::lab::Lab;

/// A lab that several fronts work on.
pub(crate) struct Shared {
    pub(crate) session: Session,
    /// The console whose lines are shown as they come.
    watched: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn quit(&self) {
        self.session.end();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.session.is_over()
    }

    fn watch(&self, node: Option<String>) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = node;
    }

    fn watched(&self) -> Option<String> {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How a lab is shown.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// Where a second terminal looks for this lab.
    pub home: std::path::PathBuf,
    /// Goes on after the end of the input, for a lab in the background.
    pub stay: bool,
}

/// Shows a lab until somebody ends it. Its machines are switched on first.
///
/// # Errors
/// When a machine does not start, or the host refuses something.
pub fn run(lab: Lab, options: &FrontOptions) -> Result<()> {
    let shared = share(lab);
    let _door = control::Door::open(&options.home, &shared)?;
    end_on_signals(&shared)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let shown = if terminal {
        tui::run(&shared)
    } else {
        plain::run(&shared, options.stay)
    };
    shared.quit();
    let saved = shared.session.lab().save(None);
    // A terminal's cursor is left where the prompt was.
    say(&format!("\r{}", left_at(shared.session.lab())));
    shown.and(saved)
}

/// Replays a script and leaves its timeline and captures in the lab's directory.
///
/// # Errors
/// The first command's that failed.
pub fn run_script(lab: Lab, script: &Script, home: &Path) -> Result<()> {
    let shared = share(lab);
    let _door = control::Door::open(home, &shared)?;
    end_on_signals(&shared)?;
    let lab = shared.session.lab();
    let done = script.run(&shared.session, &mut |text| {
        say(text);
    });
    if done.is_err() {
        say(&format!("\n{}", lab.timeline()));
    }
    lab.save(None)?;
    say(&left_at(lab));
    done
}

fn share(lab: Lab) -> Arc<Shared> {
    Arc::new(Shared {
        session: Session::new(lab),
        watched: Mutex::new(None),
    })
}

/// A signal ends the lab in order: the timeline is saved, the captures are whole.
fn end_on_signals(shared: &Arc<Shared>) -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context(|| "cannot wait for signals".to_owned())?;
    let shared = Arc::downgrade(shared);
    let wait = move || {
        for _ in signals.forever() {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            // Whoever asks twice means it.
            if shared.is_over() {
                std::process::exit(130);
            }
            shared.quit();
        }
    };
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait);
    thread.map(drop).map_err(|source| Error::Io {
        what: "cannot start a thread".to_owned(),
        source,
    })
}

fn left_at(lab: &Lab) -> String {
    format!("timeline, captures and consoles: {}\n", lab.dir().display())
}

/// Prints; a reader that went away ends nothing.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
