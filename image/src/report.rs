//! Sizes as people read them, and the table that compares them with the budgets.

use std::fmt::Write as _;

/// A line of the size report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// Bytes.
    pub size: u64,
    /// Bytes allowed, where a promise exists.
    pub budget: Option<u64>,
}

impl Line {
    /// Whether the promise is kept.
    pub fn holds(&self) -> bool {
        self.budget.is_none_or(|budget| self.size <= budget)
    }
}

/// `12.3 MB`, `45 kB` or `678 B`; decimal units as in the budgets.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{} kB", (bytes + 500) / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The report as a table for a fixed-width screen.
pub fn table(lines: &[Line]) -> String {
    let width = lines
        .iter()
        .map(|line| line.what.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        let _ = write!(text, "{:width$}  {:>9}", line.what, size(line.size));
        if let Some(budget) = line.budget {
            let verdict = if line.holds() { "ok" } else { "OVER" };
            let _ = write!(text, "  of {:>9}  {verdict}", size(budget));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let line = |what: &str, size, budget| Line {
            what: what.to_owned(),
            size,
            budget,
        };
        let lines = [
            line("init", 2_550_000, Some(3_000_000)),
            line("kernel", 12_400, None),
            line("x", 9, Some(8)),
        ];
        assert_eq!(
            table(&lines),
            "init       2.5 MB  of    3.0 MB  ok\nkernel      12 kB\nx             9 B  of       8 B  OVER\n"
        );
    }
}
