//! The node's memory of what happened: a ring of lines, newest wins.
//!
//! Owns sequence numbers and the ring; lines leave once through [`Log::poll`] for the
//! console and may be read again through [`Log::page`] by the admin child. It never
//! blocks the writer: a line too long is cut, a reader too slow sees a gap in `seq`.

use core::fmt;

use heapless::{Deque, String, Vec};
use kodo_engine::Now;
use kodo_engine::surface::Level;

use crate::io::LogLine;
use crate::limits;

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Deque<LogLine, { limits::LOG_RING }>,
    /// Sequence number of the next line.
    next: u64,
    /// Sequence number of the next line that `poll` gives out.
    polled: u64,
}

impl Log {
    /// Writes one line.
    pub(crate) fn write(&mut self, at: Now, level: Level, text: fmt::Arguments<'_>) {
        self.write_with(at, level, |out| fmt::Write::write_fmt(out, text));
    }

    /// Writes one line that `render` spells out; what does not fit is cut.
    pub(crate) fn write_with(
        &mut self,
        at: Now,
        level: Level,
        render: impl FnOnce(&mut Cut<'_>) -> fmt::Result,
    ) {
        let mut text = String::new();
        // Cut never fails: a line that is too long is still worth its beginning.
        let _ = render(&mut Cut(&mut text));
        if self.lines.is_full() {
            self.lines.pop_front();
        }
        let line = LogLine {
            seq: self.next,
            at,
            level,
            text,
        };
        self.next += 1;
        let pushed = self.lines.push_back(line);
        debug_assert!(pushed.is_ok(), "a place was made");
    }

    /// The oldest line not yet given out.
    pub(crate) fn poll(&mut self) -> Option<LogLine> {
        let line = self.lines.iter().find(|line| line.seq >= self.polled)?;
        self.polled = line.seq + 1;
        Some(line.clone())
    }

    /// Lines from `from` on, as many as one page holds, and where to go on.
    pub(crate) fn page(&self, from: u64) -> (Vec<LogLine, { limits::LOG_PAGE }>, u64) {
        let lines: Vec<LogLine, { limits::LOG_PAGE }> = self
            .lines
            .iter()
            .filter(|line| line.seq >= from)
            .take(limits::LOG_PAGE)
            .cloned()
            .collect();
        let next = lines
            .last()
            .map_or(from.min(self.next), |line| line.seq + 1);
        (lines, next)
    }

    /// Text of the newest line.
    pub(crate) fn newest(&self) -> &str {
        self.lines.back().map_or("", |line| line.text.as_str())
    }
}

/// A writer that keeps what fits and drops the rest, at a character boundary.
pub(crate) struct Cut<'a>(&'a mut String<{ limits::LOG_TEXT }>);

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.push(c).is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: u64) -> Log {
        let mut log = Log::default();
        for n in 0..lines {
            log.write(Now::from_secs(n), Level::Info, format_args!("line {n}"));
        }
        log
    }

    #[test]
    fn every_line_is_polled_once_in_order() {
        let mut log = log(3);
        let mut seen = [0; 3];
        for slot in &mut seen {
            *slot = log.poll().expect("three lines").seq;
        }
        assert_eq!(seen, [0, 1, 2]);
        assert!(log.poll().is_none());
    }

    #[test]
    fn a_full_ring_forgets_the_oldest_and_shows_the_gap() {
        let mut log = log(limits::LOG_RING as u64 + 5);
        assert_eq!(log.poll().expect("a line").seq, 5);
        assert_eq!(log.page(0).0[0].seq, 5);
    }

    #[test]
    fn pages_join_without_loss() {
        let log = log(40);
        let (mut from, mut count) = (0, 0);
        loop {
            let (lines, next) = log.page(from);
            if lines.is_empty() {
                assert_eq!(next, 40);
                break;
            }
            count += lines.len();
            from = next;
        }
        assert_eq!(count, 40);
    }

    #[test]
    fn a_long_line_is_cut_not_lost() {
        let mut log = Log::default();
        log.write(Now::ZERO, Level::Warn, format_args!("{:ö>300}", ""));
        assert_eq!(log.newest().len(), limits::LOG_TEXT);
    }
}
