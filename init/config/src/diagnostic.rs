//! What the file's author is told: where, what, why and what to do next.
//!
//! Owns the shape of a message and its plain one-paragraph form. Drawing it with the
//! file's own lines is `report`'s work. Never holds the text of a secret.

use core::fmt;
use core::ops::Range;

/// How serious a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// Accepted, and probably not what its author wants.
    Warning,
    /// Accepted; something that its author must know, such as what a policy cannot promise.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A position in the file, as editors count it: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Another place that a message speaks of: the first of two duplicates, for example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// Where that is.
    pub at: Position,
    /// What is to be seen there.
    pub text: String,
}

/// One message about the cluster file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How serious it is.
    pub severity: Severity,
    /// The file's name as given to `Cluster::parse`.
    pub file: String,
    /// Bytes of the file that it is about.
    pub span: Range<usize>,
    /// Where they begin.
    pub at: Position,
    /// What is wrong, in one line.
    pub message: String,
    /// A few words for the very place.
    pub label: Option<String>,
    /// Why that matters.
    pub reason: Option<String>,
    /// What to do next.
    pub help: Option<String>,
    /// Text that repairs it when it replaces these bytes.
    pub fix: Option<(Range<usize>, String)>,
    /// Other places that it speaks of.
    pub related: Vec<Related>,
}

impl Diagnostic {
    fn new(severity: Severity, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: String::new(),
            span,
            at: Position { line: 1, column: 1 },
            message: message.into(),
            label: None,
            reason: None,
            help: None,
            fix: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message)
    }

    pub(crate) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message)
    }

    pub(crate) fn note(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, span, message)
    }

    pub(crate) fn label(mut self, text: impl Into<String>) -> Self {
        self.label = Some(text.into());
        self
    }

    pub(crate) fn because(mut self, text: impl Into<String>) -> Self {
        self.reason = Some(text.into());
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// A replacement for the bytes the message is about.
    pub(crate) fn fix(mut self, text: impl Into<String>) -> Self {
        self.fix = Some((self.span.clone(), text.into()));
        self
    }

    pub(crate) fn see(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.related.push(Related {
            span,
            at: Position { line: 1, column: 1 },
            text: text.into(),
        });
        self
    }
}

impl fmt::Display for Diagnostic {
    /// One paragraph: the first line as compilers write it, then reason, help and related places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            at,
            message,
            ..
        } = self;
        write!(f, "{file}:{}:{}: {severity}: {message}", at.line, at.column)?;
        if let Some(label) = &self.label {
            write!(f, " ({label})")?;
        }
        for Related { at, text, .. } in &self.related {
            write!(f, "\n  {file}:{}:{}: {text}", at.line, at.column)?;
        }
        if let Some(reason) = &self.reason {
            write!(f, "\n  why: {reason}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Gathers messages about one text and places them in it.
pub(crate) struct Sink<'a> {
    file: &'a str,
    text: &'a str,
    items: Vec<Diagnostic>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            items: Vec::new(),
        }
    }

    /// The bytes at a place; empty when there are none.
    pub(crate) fn text(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// The whole file.
    pub(crate) fn whole(&self) -> &'a str {
        self.text
    }

    pub(crate) fn push(&mut self, mut item: Diagnostic) {
        item.file = self.file.into();
        item.span = self.clamp(&item.span);
        item.at = self.position(item.span.start);
        for related in &mut item.related {
            related.span = self.clamp(&related.span);
            related.at = self.position(related.span.start);
        }
        self.items.push(item);
    }

    /// Whether anything so far refuses the file.
    pub(crate) fn failed(&self) -> bool {
        self.items
            .iter()
            .any(|item| item.severity == Severity::Error)
    }

    /// Everything said, most serious first, then in the file's order.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.items
            .sort_by_key(|item| (item.severity, item.span.start));
        self.items
    }

    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        start..floor(span.end).max(start)
    }

    fn position(&self, at: usize) -> Position {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let mut sink = Sink::new("f", "a\nbé = 1\n");
        sink.push(Diagnostic::error(6..7, "here"));
        sink.push(Diagnostic::error(900..901, "beyond"));
        sink.push(Diagnostic::warning(4..4, "inside a character"));
        let at: Vec<_> = sink
            .finish()
            .iter()
            .map(|d| (d.at.line, d.at.column))
            .collect();
        assert_eq!(at, [(2, 4), (3, 1), (2, 2)]);
    }

    #[test]
    fn plain_form_says_where_what_why_and_what_next() {
        let mut sink = Sink::new("web.toml", "a = 1\na = 2\n");
        sink.push(
            Diagnostic::error(6..7, "twice")
                .see(0..1, "first here")
                .because("it is")
                .help("remove one"),
        );
        assert_eq!(
            sink.finish()[0].to_string(),
            "web.toml:2:1: error: twice\n  web.toml:1:1: first here\n  why: it is\n  help: remove one"
        );
    }
}
