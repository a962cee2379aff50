//! Shows the steps of a build: a bar when a person watches, quiet lines otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use kodo_image::progress::Progress;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Draws on standard error, so that standard output stays the command's own.
pub(crate) struct Steps {
    watched: bool,
    bar: ProgressBar,
    step: String,
    since: Instant,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            watched: std::io::stderr().is_terminal(),
            bar: ProgressBar::hidden(),
            step: String::new(),
            since: Instant::now(),
        }
    }
}

impl Progress for Steps {
    fn begin(&mut self, step: &str, total: Option<u64>) {
        step.clone_into(&mut self.step);
        self.since = Instant::now();
        if !self.watched {
            return;
        }
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "  {prefix} [{bar:30}] {decimal_bytes} of {decimal_total_bytes}, {eta} left",
            ),
            None => (
                ProgressBar::new_spinner(),
                "  {prefix} {spinner} {elapsed} {msg}",
            ),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = bar;
    }

    fn advance(&mut self, done: u64) {
        self.bar.set_position(done);
    }

    fn item(&mut self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    fn end(&mut self, outcome: &str) {
        self.bar.finish_and_clear();
        let seconds = self.since.elapsed().as_secs_f32();
        eprintln!("  {} ({outcome}, {seconds:.1} s)", self.step);
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| eprintln!("  note: {text}"));
    }
}

impl Drop for Steps {
    /// A step that failed leaves no half bar behind.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
