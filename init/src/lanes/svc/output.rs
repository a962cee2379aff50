//! What a service writes, as bounded lines at a bounded rate.
//!
//! Owns cutting a byte stream into lines and counting what is too much. A service that
//! floods its output loses lines; it can neither block nor slow anything.

use std::time::Duration;

/// Bytes of one line; the rest of a longer one is dropped.
pub(super) const LINE: usize = 160;
/// Lines that may come at once.
const BURST: u32 = 40;
/// One more line is allowed each time this has passed.
const REFILL: Duration = Duration::from_millis(100);

/// The lines of one service.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Lines that may still pass.
    credit: u32,
    refilled: Duration,
    dropped: u32,
}

impl Lines {
    /// Nothing written yet.
    pub(super) fn new(now: Duration) -> Lines {
        Lines {
            line: Vec::with_capacity(LINE),
            credit: BURST,
            refilled: now,
            dropped: 0,
        }
    }

    /// Takes what was written. `give` gets each whole line and the number of lines lost
    /// before it; false means that it could not be given and is lost too.
    pub(super) fn take(
        &mut self,
        now: Duration,
        bytes: &[u8],
        mut give: impl FnMut(&str, u32) -> bool,
    ) {
        self.refill(now);
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line(&mut give);
            } else if self.line.len() < LINE {
                self.line.push(*byte);
            }
        }
    }

    fn refill(&mut self, now: Duration) {
        let periods = now.saturating_sub(self.refilled).as_millis() / REFILL.as_millis();
        if periods > 0 {
            self.credit = BURST.min(
                self.credit
                    .saturating_add(u32::try_from(periods).unwrap_or(BURST)),
            );
            self.refilled = now;
        }
    }

    fn end_line(&mut self, give: &mut impl FnMut(&str, u32) -> bool) {
        let text: String = String::from_utf8_lossy(&self.line)
            .chars()
            .filter(|c| !c.is_control() || *c == '\t')
            .collect();
        self.line.clear();
        if text.is_empty() {
            return;
        }
        if self.credit > 0 && give(&text, self.dropped) {
            self.credit -= 1;
            self.dropped = 0;
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lines: &mut Lines, now: Duration, bytes: &[u8]) -> Vec<(String, u32)> {
        let mut out = Vec::new();
        lines.take(now, bytes, |line, dropped| {
            out.push((line.to_owned(), dropped));
            true
        });
        out
    }

    #[test]
    fn lines_come_whole_cut_and_without_control_characters() {
        let mut lines = Lines::new(Duration::ZERO);
        assert_eq!(given(&mut lines, Duration::ZERO, b"half"), []);
        assert_eq!(
            given(&mut lines, Duration::ZERO, b" done\n\nred \x1b[31m\n"),
            [("half done".into(), 0), ("red [31m".into(), 0)]
        );
        let long = [vec![b'x'; 10_000], vec![b'\n']].concat();
        assert_eq!(given(&mut lines, Duration::ZERO, &long)[0].0.len(), LINE);
    }

    #[test]
    fn a_flood_is_counted_not_passed_on() {
        let mut lines = Lines::new(Duration::ZERO);
        assert_eq!(
            given(&mut lines, Duration::ZERO, &b"flood\n".repeat(1000)).len(),
            BURST as usize
        );
        let later = given(&mut lines, Duration::from_secs(1), b"calm\n");
        assert_eq!(later, [("calm".into(), 1000 - BURST)]);
    }
}
