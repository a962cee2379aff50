//! A lab without a terminal: lines in, lines out.

use std::io::BufRead;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Shared, say};
use crate::command::Outcome;
use crate::error::Result;
use crate::time::seconds;

/// The end is looked for this often.
const LOOK: Duration = Duration::from_millis(500);

/// Reads commands until they end; then stays if that was asked for.
pub(super) fn run(shared: &Arc<Shared>, stay: bool) -> Result<()> {
    let lab = shared.session.lab();
    if let Some(url) = lab.client().url() {
        say(&format!("the service will be at {url}; type `help`\n"));
    }
    let news = {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("news".to_owned())
            .spawn(move || tell_news(&shared))
    };
    let input = {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || take_commands(&shared, stay))
    };
    lab.power_on_all()?;
    while !shared.is_over() {
        lab.journal()
            .wait(lab.journal().len(), Instant::now() + LOOK);
    }
    if let Ok(news) = news {
        let _ = news.join();
    }
    // The input may block for ever; it ends with the process.
    drop(input);
    Ok(())
}

fn take_commands(shared: &Shared, stay: bool) {
    for line in std::io::stdin()
        .lock()
        .lines()
        .map_while(std::result::Result::ok)
    {
        match shared.session.run(&line) {
            Ok(Outcome::Said(text)) => say(&text),
            Ok(Outcome::Watch(node)) => shared.watch(node),
            Ok(Outcome::Quit) => break,
            Err(error) => say(&format!("error: {error}\n")),
        }
        if shared.is_over() {
            return;
        }
    }
    if !stay {
        shared.quit();
    }
}

fn tell_news(shared: &Shared) {
    let journal = shared.session.lab().journal();
    let mut seen = 0;
    while !shared.is_over() {
        journal.wait(seen, Instant::now() + LOOK);
        let watched = shared.watched();
        for entry in journal.from(seen) {
            seen += 1;
            let line = watched
                .as_deref()
                .and_then(|node| entry.event.console_line(node));
            match line {
                Some(line) => say(&format!("{line}\n")),
                None if entry.event.is_news() => {
                    say(&format!("{:>10}  {}\n", seconds(entry.at), entry.event));
                }
                None => {}
            }
        }
    }
}
