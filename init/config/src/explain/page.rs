//! A page of text for a terminal: headings, rows of values, cases with their waits.

use core::time::Duration;

use crate::time::Show;
use crate::wrap;

/// Width of the page.
const WIDTH: usize = 88;
/// Columns before the explanations.
const MARGIN: usize = 26;

/// The text so far.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    pub(super) fn title(&mut self, text: &str) {
        self.line(&format!("{text}\n{}", "=".repeat(text.chars().count())));
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.line(&format!("\n{text}\n{}", "-".repeat(text.chars().count())));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        for line in wrap::lines(text, WIDTH) {
            self.line(&line);
        }
    }

    /// A name, its value, and what it means.
    pub(super) fn row(&mut self, name: &str, value: &str, meaning: &str) {
        // A long name has a line to itself.
        let (above, name) = match name.chars().count() {
            ..15 => (None, name),
            _ => (Some(format!("  {name}")), ""),
        };
        if let Some(above) = above {
            self.line(&above);
        }
        let mut head = format!("  {name:<14}{value:>8}  ");
        let mut lines = wrap::lines(meaning, WIDTH - MARGIN).into_iter();
        if head.chars().count() > MARGIN {
            self.line(&head);
            head = " ".repeat(MARGIN);
        }
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{head}{first}"));
        for line in lines {
            self.line(&format!("{:MARGIN$}{line}", ""));
        }
    }

    /// Something that fails, what clients wait, and why so long.
    pub(super) fn case(&mut self, what: &str, wait: &str, why: &str) {
        self.line(&format!("\n  {what}"));
        let mut head = format!("    {wait}");
        for line in wrap::lines(why, WIDTH - MARGIN) {
            if head.chars().count() >= MARGIN {
                self.line(&head);
                head.clear();
            }
            self.line(&format!("{head:<MARGIN$}{line}"));
            head.clear();
        }
    }
}

/// Rounded up to what the eye can use.
pub(super) fn ms(value: Duration) -> Show {
    let up = value + Duration::from_nanos(999_999);
    Show(Duration::new(up.as_secs(), up.subsec_millis() * 1_000_000))
}
