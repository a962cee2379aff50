//! The console child: what a person in front of the machine sees.
//!
//! Owns writing the log to the console (descriptor 1; usually a serial line, possibly
//! slow, possibly stopped) and the status panel to the first virtual terminal (descriptor
//! 0, where there is a display). Both may block here for as long as they like: PID 1 drops
//! lines that this process does not take in time. There is nothing to type.

mod panel;

use std::io::Write;
use std::os::fd::OwnedFd;

use kodo_engine::surface::Level;
use kodo_node::io::LogLine;
use kodo_sys::Result;

use crate::lanes::Link;
use crate::wire::ToConsole;

/// Log lines that the panel shows.
const SHOWN: usize = 8;

/// Runs until PID 1 is gone.
pub(crate) fn run() -> Result<()> {
    let mut pid1 = Link::inherit("kodo-console")?;
    let console = std::fs::File::from(kodo_sys::process::inherited(1)?);
    let kernel_log = std::fs::File::from(kodo_sys::process::inherited(2)?);
    let screen = kodo_sys::process::inherited(0)
        .ok()
        .filter(|fd| kodo_sys::tty::size(fd).is_some());
    let mut recent: Vec<String> = Vec::new();
    let mut status = None;
    while let Some((message, _)) = pid1.receive::<ToConsole>()? {
        match message {
            ToConsole::Log(line) => {
                let line = render(&line);
                // One write, so that the kernel's own lines do not fall in between. A
                // console that fails is nobody's problem but its reader's.
                let _ = (&console).write_all(format!("{line}\r\n").as_bytes());
                let _ = (&kernel_log).write_all(format!("<6>{line}").as_bytes());
                if recent.len() == SHOWN {
                    recent.remove(0);
                }
                recent.push(line);
            }
            ToConsole::Status(new) => status = Some(new),
        }
        if let (Some(screen), Some(status)) = (&screen, &status) {
            draw(
                screen,
                &panel::render(status, &recent, kodo_sys::tty::size(screen)),
            );
        }
    }
    Ok(())
}

fn draw(screen: &OwnedFd, text: &str) {
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = kodo_sys::tty::write(screen, rest) {
        rest = &rest[written..];
    }
}

/// One line of the log, as the lab and people read it.
fn render(line: &LogLine) -> String {
    let level = match line.level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Alert => "ALERT",
    };
    // What came from outside the node must not move the cursor.
    let visible = |c: char| if c.is_control() { '?' } else { c };
    let text: String = line.text.chars().map(visible).collect();
    format!(
        "kodo[{:>5}.{:06}] {level} {text}",
        line.at.as_secs(),
        line.at.subsec_micros()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn line(at: Duration, level: Level, text: &str) -> String {
        let text = heapless::String::try_from(text).unwrap();
        render(&LogLine {
            seq: 7,
            at,
            level,
            text,
        })
    }

    #[test]
    fn a_line_has_its_time_level_and_text() {
        assert_eq!(
            line(
                Duration::from_micros(12_345_678),
                Level::Alert,
                "www: taking over"
            ),
            "kodo[   12.345678] ALERT www: taking over"
        );
        assert_eq!(
            line(Duration::from_secs(1_234_567), Level::Info, "a\x1bb\n"),
            "kodo[1234567.000000] info a?b?"
        );
    }
}
