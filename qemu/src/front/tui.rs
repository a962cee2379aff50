//! The prompt on a terminal: news scroll by above, a live table and the line being typed
//! stay below.
//!
//! Owns the terminal while it runs and gives it back however it ends. Commands run on a
//! thread of their own, one after the other, so that the table lives on during a `wait`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{
    self, Event as TermEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui::layout::{Constraint, Layout, Position};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table, Widget, Wrap};
use ratatui::{DefaultTerminal, Frame, TerminalOptions, Viewport};

use super::Shared;
use super::editor::{Edit, Editor, Key};
use crate::board::{Row as NodeRow, Snapshot};
use crate::command::Outcome;
use crate::command::help::verbs;
use crate::console::Level;
use crate::error::{Context, Result};
use crate::journal::{Entry, Event};
use crate::time::seconds;

/// The table is drawn anew this often.
const DRAW: Duration = Duration::from_millis(250);
/// Keys and news are looked for this often.
const LOOK: Duration = Duration::from_millis(40);
const PROMPT: &str = "lab> ";

/// What a command said, or why it failed.
type Said = Result<String, String>;

struct Front<'a> {
    shared: &'a Arc<Shared>,
    editor: Editor,
    /// Names that a line may be completed with.
    names: Vec<String>,
    commands: Sender<String>,
    said: Receiver<Said>,
    /// Commands under way.
    busy: usize,
    seen: usize,
    snapshot: Snapshot,
}

/// Shows the lab until it is over.
pub(super) fn run(shared: &Arc<Shared>) -> Result<()> {
    let lab = shared.session.lab();
    // Title, heading, one row per node, VIPs, client, cables, prompt.
    let rows = lab.nodes().count() + lab.boot().vips.len() + 5;
    let height = u16::try_from(rows).unwrap_or(12);
    let options = TerminalOptions {
        viewport: Viewport::Inline(height),
    };
    let mut terminal =
        ratatui::try_init_with_options(options).context(|| "cannot use the terminal".to_owned())?;
    let (commands, queue) = channel();
    let (tell, said) = channel();
    let worker = {
        let (shared, tell) = (Arc::clone(shared), tell.clone());
        std::thread::Builder::new()
            .name("commands".to_owned())
            .spawn(move || work(&shared, &queue, &tell))
    };
    let starter = {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("power".to_owned())
            .spawn(move || {
                if let Err(error) = shared.session.lab().power_on_all() {
                    let _ = tell.send(Err(error.to_string()));
                }
            })
    };
    let mut front = Front {
        shared,
        editor: Editor::default(),
        names: names(shared),
        commands,
        said,
        busy: 0,
        seen: 0,
        snapshot: Snapshot::default(),
    };
    let welcome = lab
        .client()
        .url()
        .map(|url| format!("kodo lab: the service will be at {url}. Type `help`."));
    let shown = front.live(&mut terminal, welcome);
    let cleared = terminal.clear();
    ratatui::restore();
    shared.quit();
    drop(front);
    for thread in [worker, starter].into_iter().flatten() {
        // A command that still waits ends with the process.
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
    shown
        .and(cleared)
        .context(|| "the terminal failed".to_owned())
}

fn work(shared: &Shared, queue: &Receiver<String>, tell: &Sender<Said>) {
    while let Ok(line) = queue.recv() {
        let said = match shared.session.run(&line) {
            Ok(Outcome::Said(text)) => Ok(text),
            Ok(Outcome::Watch(node)) => {
                shared.watch(node);
                Ok(String::new())
            }
            Ok(Outcome::Quit) => {
                shared.quit();
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        if tell.send(said).is_err() {
            return;
        }
    }
}

fn names(shared: &Shared) -> Vec<String> {
    let lab = shared.session.lab();
    let cables = lab
        .wire()
        .cables()
        .into_iter()
        .map(|cable| cable.name.to_string());
    let words = [
        "all",
        "on",
        "off",
        "service-kill",
        "kernel-panic",
        "pid1-stuck",
        "client",
        "vip",
        "within",
        "none",
    ];
    lab.nodes()
        .map(str::to_owned)
        .chain(cables)
        .chain(words.map(str::to_owned))
        .collect()
}

impl Front<'_> {
    fn live(
        &mut self,
        terminal: &mut DefaultTerminal,
        welcome: Option<String>,
    ) -> std::io::Result<()> {
        if let Some(welcome) = welcome {
            print_above(terminal, &[Line::styled(welcome, Modifier::BOLD)])?;
        }
        let mut drawn: Option<Instant> = None;
        while !self.shared.is_over() {
            let mut changed = false;
            if event::poll(LOOK)? {
                changed = true;
                if let TermEvent::Key(key) = event::read()?
                    && key.kind != KeyEventKind::Release
                {
                    self.press(terminal, key)?;
                }
            }
            changed |= self.news(terminal)?;
            while let Ok(said) = self.said.try_recv() {
                changed = true;
                self.busy = self.busy.saturating_sub(1);
                let (text, style) = match said {
                    Ok(text) => (text, Style::new()),
                    Err(text) => (format!("error: {text}"), Style::new().fg(Color::Red)),
                };
                let lines = text
                    .lines()
                    .map(|line| Line::styled(line.to_owned(), style));
                print_above(terminal, &lines.collect::<Vec<_>>())?;
            }
            if changed || drawn.is_none_or(|at| at.elapsed() > DRAW) {
                drawn = Some(Instant::now());
                self.snapshot = self
                    .shared
                    .session
                    .board()
                    .snapshot(self.shared.session.lab());
                terminal.draw(|frame| self.draw(frame))?;
            }
        }
        Ok(())
    }

    fn press(&mut self, terminal: &mut DefaultTerminal, key: KeyEvent) -> std::io::Result<()> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let key = match key.code {
            KeyCode::Char('c') if control && self.busy > 0 => {
                self.shared.session.cancel();
                return Ok(());
            }
            KeyCode::Char('c') if control && self.editor.text().is_empty() => {
                print_above(terminal, &[Line::from("`quit` or Ctrl-D ends the lab")])?;
                return Ok(());
            }
            KeyCode::Char('d') if control && self.editor.text().is_empty() => {
                self.shared.quit();
                return Ok(());
            }
            KeyCode::Char('a') if control => Key::Home,
            KeyCode::Char('e') if control => Key::End,
            KeyCode::Char('c' | 'u') if control => Key::KillStart,
            KeyCode::Char('k') if control => Key::KillEnd,
            KeyCode::Char('w') if control => Key::KillWord,
            KeyCode::Char('d') if control => Key::Delete,
            KeyCode::Char(_) if control => return Ok(()),
            KeyCode::Char(letter) => Key::Letter(letter),
            KeyCode::Enter => Key::Enter,
            KeyCode::Backspace => Key::Backspace,
            KeyCode::Delete => Key::Delete,
            KeyCode::Left => Key::Left,
            KeyCode::Right => Key::Right,
            KeyCode::Home => Key::Home,
            KeyCode::End => Key::End,
            KeyCode::Up => Key::Up,
            KeyCode::Down => Key::Down,
            KeyCode::Tab => Key::Tab,
            _ => return Ok(()),
        };
        let names = &self.names;
        let words = |at: usize| {
            if at == 0 {
                verbs().map(str::to_owned).collect()
            } else {
                names.clone()
            }
        };
        match self.editor.key(key, words) {
            Edit::Edited => Ok(()),
            Edit::Choices(choices) => print_above(
                terminal,
                &[Line::styled(choices.join("  "), Color::DarkGray)],
            ),
            Edit::Entered(line) if line.trim().is_empty() => Ok(()),
            Edit::Entered(line) => {
                print_above(
                    terminal,
                    &[Line::styled(format!("{PROMPT}{line}"), Modifier::BOLD)],
                )?;
                self.busy += 1;
                // The worker ends only with the lab.
                let _ = self.commands.send(line);
                Ok(())
            }
        }
    }

    /// Prints what happened since the last time; true when there was anything.
    fn news(&mut self, terminal: &mut DefaultTerminal) -> std::io::Result<bool> {
        let entries = self.shared.session.lab().journal().from(self.seen);
        self.seen += entries.len();
        let watched = self.shared.watched();
        let lines: Vec<Line<'static>> = entries
            .iter()
            .filter_map(|entry| news_line(entry, watched.as_deref()))
            .collect();
        let any = !lines.is_empty();
        print_above(terminal, &lines)?;
        Ok(any)
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let snapshot = &self.snapshot;
        let remarks = snapshot.remarks();
        let table_height = u16::try_from(snapshot.rows.len() + 1).unwrap_or(3);
        let [title, table, below, prompt] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(table_height),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let url = snapshot.url.as_deref().unwrap_or("no VIP");
        let rule = format!(
            "── cluster {} ── {} s ── {url} ",
            snapshot.cluster,
            snapshot.at.as_secs()
        );
        let rest = usize::from(title.width).saturating_sub(rule.chars().count());
        frame.render_widget(
            Line::styled(rule + &"─".repeat(rest), Color::DarkGray),
            title,
        );
        let widths = [
            Constraint::Length(10),
            Constraint::Length(8),
            Constraint::Length(9),
            Constraint::Length(46),
            Constraint::Min(8),
        ];
        let heading = Row::new(["NODE", "POWER", "ROLE", "PATHS", "HOLDS"]).style(Color::DarkGray);
        frame.render_widget(
            Table::new(snapshot.rows.iter().map(node_row), widths).header(heading),
            table,
        );
        let tone = |line: &str| {
            let bad =
                line.contains("AT ONCE") || line.contains("nobody") || line.contains("no answer");
            if bad {
                Color::Red
            } else if line.starts_with("cables") {
                Color::Yellow
            } else {
                Color::Green
            }
        };
        let lines: Vec<Line<'_>> = remarks
            .iter()
            .map(|line| Line::styled(line.as_str(), tone(line)))
            .collect();
        frame.render_widget(Paragraph::new(lines), below);
        let busy = if self.busy > 0 { "… " } else { "" };
        let text = format!("{busy}{PROMPT}{}", self.editor.text());
        frame.render_widget(text.as_str(), prompt);
        let column = busy.chars().count() + PROMPT.len() + self.editor.cursor();
        let column = u16::try_from(column)
            .unwrap_or(u16::MAX)
            .min(prompt.width.saturating_sub(1));
        frame.set_cursor_position(Position::new(prompt.x + column, prompt.y));
    }
}

fn node_row(row: &NodeRow) -> Row<'static> {
    let power = if row.power == "on" {
        Color::Green
    } else {
        Color::Red
    };
    let role = match row.role.as_str() {
        "active" => Color::Green,
        "standby" => Color::Cyan,
        "observer" => Color::Yellow,
        _ => Color::Red,
    };
    let path = |(name, state): &(String, String)| {
        let tone = match state.as_str() {
            "up" => Color::Green,
            bad if bad.starts_with("one-way") => Color::Yellow,
            _ => Color::Red,
        };
        Span::styled(format!("{name} {state}  "), tone)
    };
    let paths: Vec<Span<'static>> = row.paths.iter().map(path).collect();
    Row::new([
        Line::from(row.node.clone()),
        Line::styled(row.power.clone(), power),
        Line::styled(row.role.clone(), role),
        Line::from(paths),
        Line::from(row.holds.join(" ")),
    ])
}

/// How an event is shown, if it is.
fn news_line(entry: &Entry, watched: Option<&str>) -> Option<Line<'static>> {
    if let Some(line) = watched.and_then(|node| entry.event.console_line(node)) {
        return Some(Line::styled(line, Color::DarkGray));
    }
    if !entry.event.is_news() {
        return None;
    }
    let tone = match &entry.event {
        Event::Log {
            level: Level::Alert,
            ..
        }
        | Event::ClientLost { .. }
        | Event::Watchdog { .. } => Color::Red,
        Event::Owners { owners, .. } if owners.len() > 1 => Color::Red,
        Event::Log {
            level: Level::Warn, ..
        }
        | Event::Carrier { up: false, .. } => Color::Yellow,
        Event::ClientAnswered { .. } | Event::Owners { .. } => Color::Green,
        Event::Action { .. } => Color::Cyan,
        _ => Color::Reset,
    };
    Some(Line::styled(
        format!("{:>10}  {}", seconds(entry.at), entry.event),
        tone,
    ))
}

/// Prints lines above the table; they scroll away like any output.
fn print_above(terminal: &mut DefaultTerminal, lines: &[Line<'static>]) -> std::io::Result<()> {
    let width = terminal.size()?.width.max(1);
    // In portions that surely fit on the screen.
    for some in lines.chunks(8) {
        let text = Paragraph::new(some.to_vec()).wrap(Wrap { trim: false });
        let rows = |line: &Line<'_>| line.width().max(1).div_ceil(usize::from(width));
        let height = u16::try_from(some.iter().map(rows).sum::<usize>()).unwrap_or(u16::MAX);
        terminal.insert_before(height, |buffer| text.render(buffer.area, buffer))?;
    }
    Ok(())
}
