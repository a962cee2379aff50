//! Machines' consoles: bytes to lines, and a node's log lines out of them.
//!
//! Owns the reading of the log line's shape, `kodo[   12.345678] ALERT text`. Everything
//! else on a console is kept as it is, without terminal control sequences.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A line longer than this is cut in two.
const LONGEST: usize = 4096;

/// How bad a node finds what it logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Normal life.
    Info,
    /// Something to look at.
    Warn,
    /// Something to get up for.
    Alert,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info ",
            Self::Warn => "warn ",
            Self::Alert => "ALERT",
        })
    }
}

/// A node's log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// How bad.
    pub level: Level,
    /// The node's time since boot.
    pub uptime: Duration,
    /// What happened and why.
    pub text: &'a str,
}

/// Finds a node's log line in a console line. The kernel may have put something before it.
#[must_use]
pub fn log_line(line: &str) -> Option<LogLine<'_>> {
    let rest = &line[line.find("kodo[")? + "kodo[".len()..];
    let (uptime, rest) = rest.split_once(']')?;
    let uptime: f64 = uptime
        .trim()
        .parse()
        .ok()
        .filter(|s| (0.0..1e9).contains(s))?;
    let (level, text) = rest.trim_start().split_once(' ')?;
    let level = match level {
        "info" => Level::Info,
        "warn" => Level::Warn,
        "ALERT" => Level::Alert,
        _ => return None,
    };
    let text = kernel_stamp(text).map_or(text, |at| &text[..at]);
    Some(LogLine {
        level,
        uptime: Duration::from_secs_f64(uptime),
        text: text.trim(),
    })
}

/// Where the kernel broke into a line with one of its own, `[    3.133155] …`.
fn kernel_stamp(text: &str) -> Option<usize> {
    text.match_indices('[').map(|(at, _)| at).find(|at| {
        let stamp = text[at + 1..]
            .split_once("] ")
            .map_or("", |(stamp, _)| stamp)
            .trim_start();
        let parts = stamp.split_once('.');
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        parts.is_some_and(|(whole, rest)| digits(whole) && rest.len() == 6 && digits(rest))
    })
}

/// Cuts a console's bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    escape: Escape,
}

#[derive(Debug, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Started,
    /// After ESC [.
    Sequence,
}

impl Lines {
    /// Takes bytes; gives whole lines that are not blank.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match (&self.escape, byte) {
                (Escape::None, 0x1b) => self.escape = Escape::Started,
                (Escape::Started, b'[') => self.escape = Escape::Sequence,
                (Escape::Started, _) | (Escape::Sequence, 0x40..=0x7e) => {
                    // A screen that redraws itself moves the cursor where a line would end.
                    if matches!(byte, b'H' | b'J' | b'f' | b'c') {
                        self.end(&mut lines);
                    }
                    self.escape = Escape::None;
                }
                (Escape::Sequence, _) | (Escape::None, b'\r' | 0) => {}
                (Escape::None, b'\n') => self.end(&mut lines),
                (Escape::None, byte) => {
                    self.partial.push(byte);
                    if self.partial.len() >= LONGEST {
                        self.end(&mut lines);
                    }
                }
            }
        }
        lines
    }

    fn end(&mut self, lines: &mut Vec<String>) {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        if !line.is_empty() {
            lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_found() {
        let line =
            "[    1.2] x kodo[   12.345678] ALERT www: taking over from node2: silent for 2004 ms";
        let log = log_line(line).unwrap();
        assert_eq!(
            (log.level, log.uptime),
            (Level::Alert, Duration::from_micros(12_345_678))
        );
        assert_eq!(log.text, "www: taking over from node2: silent for 2004 ms");
        for other in [
            "kodo[",
            "kodo[x] info a",
            "kodo[1.0] panic a",
            "kodo[-1] info a",
            "[ 1.0] kernel",
            "",
        ] {
            assert_eq!(log_line(other), None, "{other}");
        }
    }

    #[test]
    fn the_kernel_may_break_in() {
        let text = |line: &'static str| log_line(line).unwrap().text;
        assert_eq!(
            text("kodo[ 3.1] info boot: a [b] 1.5[    3.133155] load x"),
            "boot: a [b] 1.5"
        );
        assert_eq!(
            text("kodo[ 3.1] info [1.5] is no stamp [ 2.25] either"),
            "[1.5] is no stamp [ 2.25] either"
        );
    }

    #[test]
    fn lines_come_whole_and_plain() {
        let mut lines = Lines::default();
        assert!(lines.take(b"ab").is_empty());
        assert_eq!(
            lines.take(b"c\r\n\r\n\x1b[1;31mred\x1b[0m\x1b[2;1Hnext\n"),
            ["abc", "red", "next"]
        );
        assert_eq!(lines.take(&vec![b'x'; LONGEST + 1]).len(), 1);
    }
}
