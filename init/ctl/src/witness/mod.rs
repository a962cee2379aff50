//! `kodo witness`: one program that speaks for one part at a time of each cluster that is
//! split.
//!
//! Owns the socket, the clock and the log; who gets the word is decided by
//! [`kodo_engine::witness::Granter`], one for each cluster. One thread, one datagram at a
//! time, nothing on disk: a restart is safe because of the hold-off. Never answers what
//! no key of a cluster signed.

mod desk;
mod roll;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::time::Duration;

use kodo_engine::limits;
use kodo_sys::{clock, confine, machine};

use self::desk::{Desk, Line};
use crate::cli::Witness;
use crate::run::REFUSED;

/// User id of nobody, on every Linux.
const NOBODY: u32 = 65_534;
/// How often is looked at what the passing of time alone changes.
const LOOK: Duration = Duration::from_secs(1);

/// Serves until it is killed; returns only when it cannot begin or go on.
pub(crate) fn run(options: &Witness) -> u8 {
    let why = match serve(options) {
        Ok(never) => match never {},
        Err(why) => why,
    };
    eprintln!("kodo witness: {why}");
    REFUSED
}

fn serve(options: &Witness) -> Result<Infallible, String> {
    let clusters = roll::read(&options.cluster)?;
    let socket = UdpSocket::bind(options.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let place = socket.local_addr().map_err(|error| error.to_string())?;
    socket
        .set_read_timeout(Some(LOOK))
        .map_err(|error| error.to_string())?;
    confine::shed_root(NOBODY).map_err(|error| format!("cannot give up root: {error}"))?;

    let names: Vec<String> = clusters
        .iter()
        .map(|cluster| cluster.name.clone())
        .collect();
    let start = clock::boottime();
    let mut life = || machine::unique().map_err(|error| format!("no random number: {error}"));
    let mut desk = Desk::new(clusters, options.hold_off, start, &mut life)?;
    let log = |line: &Line| say(clock::boottime().saturating_sub(start), line);
    log(&Line::info(format!(
        "listens on {place} for {}: {}; grants nothing for {} s after this start",
        match names.len() {
            1 => "1 cluster".to_owned(),
            n => format!("{n} clusters"),
        },
        names.join(", "),
        options.hold_off.as_secs_f64()
    )));
    // A byte more than any question has: what is too long must not look whole.
    let mut buffer = [0; limits::WITNESS + 1];
    let mut looked = start;
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                let answer = desk.hear(clock::boottime(), from, &buffer[..len]);
                if let Some(answer) = answer {
                    // A lost answer is asked for again.
                    let _ = socket.send_to(&answer, from);
                }
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(format!("cannot receive: {error}")),
        }
        let now = clock::boottime();
        if now.saturating_sub(looked) >= LOOK {
            looked = now;
            desk.look(now);
        }
        desk.lines().for_each(|line| log(&line));
    }
}

/// Nobody asked, or somebody complained about an answer.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}

/// One line of the log, as on a node's console, with the time since the start. A log that
/// is gone stops nothing.
fn say(at: Duration, line: &Line) {
    let (level, text) = (line.level(), &line.text);
    let _ = writeln!(
        io::stdout().lock(),
        "kodo[{:>5}.{:06}] {level:<5} {text}",
        at.as_secs(),
        at.subsec_micros()
    );
}
