//! The line at the prompt: editing, history, completion.
//!
//! Owns no terminal: keys come in, the text and the cursor are looked at.

/// A key, as far as a line of text cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Enter,
    Backspace,
    Delete,
    Left,
    Right,
    Home,
    End,
    Up,
    Down,
    /// Removes the word before the cursor.
    KillWord,
    /// Removes everything before the cursor.
    KillStart,
    /// Removes everything from the cursor on.
    KillEnd,
    Tab,
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// The line changed, or not.
    Edited,
    /// The line is finished.
    Entered(String),
    /// Several words would do.
    Choices(Vec<String>),
}

/// A line being typed, and those typed before.
#[derive(Clone, Debug, Default)]
pub(super) struct Editor {
    text: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// Which line of the history is shown, and what was typed before looking there.
    shown: Option<(usize, String)>,
}

impl Editor {
    pub(super) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// In letters from the start.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Takes a key; `words` are the ones that may stand at a place of a line.
    pub(super) fn key(&mut self, key: Key, words: impl Fn(usize) -> Vec<String>) -> Edit {
        match key {
            Key::Letter(letter) => {
                self.text.insert(self.cursor, letter);
                self.cursor += 1;
            }
            Key::Enter => {
                let line = self.text();
                self.set("");
                self.shown = None;
                if !line.trim().is_empty() && self.history.last() != Some(&line) {
                    self.history.push(line.clone());
                }
                return Edit::Entered(line);
            }
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Up => self.look_back(),
            Key::Down => self.look_forward(),
            Key::KillWord => {
                let start = self.word_start(true);
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            Key::KillStart => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::KillEnd => self.text.truncate(self.cursor),
            Key::Tab => return self.complete(words),
            Key::Backspace | Key::Delete => {}
        }
        Edit::Edited
    }

    fn set(&mut self, text: &str) {
        self.text = text.chars().collect();
        self.cursor = self.text.len();
    }

    fn look_back(&mut self) {
        let (at, typed) = match self.shown.take() {
            Some((at, typed)) => (at.saturating_sub(1), typed),
            None if self.history.is_empty() => return,
            None => (self.history.len() - 1, self.text()),
        };
        self.set(&self.history[at].clone());
        self.shown = Some((at, typed));
    }

    fn look_forward(&mut self) {
        let Some((at, typed)) = self.shown.take() else {
            return;
        };
        match self.history.get(at + 1).cloned() {
            Some(line) => {
                self.set(&line);
                self.shown = Some((at + 1, typed));
            }
            None => self.set(&typed),
        }
    }

    /// Where the word at the cursor begins; `blanks` before the cursor belong to it.
    fn word_start(&self, blanks: bool) -> usize {
        let mut at = self.cursor;
        while blanks && at > 0 && self.text[at - 1] == ' ' {
            at -= 1;
        }
        while at > 0 && self.text[at - 1] != ' ' {
            at -= 1;
        }
        at
    }

    fn complete(&mut self, words: impl Fn(usize) -> Vec<String>) -> Edit {
        let start = self.word_start(false);
        let before: String = self.text[..start].iter().collect();
        let part: String = self.text[start..self.cursor].iter().collect();
        let mut fits = words(before.split_whitespace().count());
        fits.retain(|word| word.starts_with(&part));
        fits.sort();
        fits.dedup();
        let Some(first) = fits.first() else {
            return Edit::Edited;
        };
        let common = fits.iter().fold(first.chars().count(), |common, word| {
            common.min(
                first
                    .chars()
                    .zip(word.chars())
                    .take_while(|(a, b)| a == b)
                    .count(),
            )
        });
        let mut whole: Vec<char> = first.chars().take(common).collect();
        if fits.len() == 1 {
            whole.push(' ');
        }
        let grew = whole.len() > part.chars().count();
        self.text.splice(start..self.cursor, whole.iter().copied());
        self.cursor = start + whole.len();
        if fits.len() > 1 && !grew {
            Edit::Choices(fits)
        } else {
            Edit::Edited
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(at: usize) -> Vec<String> {
        let list: &[&str] = if at == 0 {
            &["power", "pause", "status"]
        } else {
            &["node1", "node2", "crossover"]
        };
        list.iter().map(ToString::to_string).collect()
    }

    fn typed(editor: &mut Editor, text: &str) {
        for letter in text.chars() {
            editor.key(Key::Letter(letter), words);
        }
    }

    #[test]
    fn lines_are_edited() {
        let mut editor = Editor::default();
        typed(&mut editor, "cut crosover");
        for _ in 0..4 {
            editor.key(Key::Left, words);
        }
        typed(&mut editor, "s");
        assert_eq!(editor.text(), "cut crossover");
        editor.key(Key::KillWord, words);
        assert_eq!((editor.text().as_str(), editor.cursor()), ("cut over", 4));
        editor.key(Key::KillEnd, words);
        editor.key(Key::Backspace, words);
        editor.key(Key::Home, words);
        editor.key(Key::Delete, words);
        assert_eq!(editor.text(), "ut");
        editor.key(Key::End, words);
        editor.key(Key::KillStart, words);
        assert_eq!(editor.key(Key::Backspace, words), Edit::Edited);
        assert_eq!(editor.key(Key::Enter, words), Edit::Entered(String::new()));
    }

    #[test]
    fn history_comes_back_and_goes() {
        let mut editor = Editor::default();
        for line in ["one", "two", "two"] {
            typed(&mut editor, line);
            editor.key(Key::Enter, words);
        }
        typed(&mut editor, "thr");
        editor.key(Key::Up, words);
        assert_eq!(editor.text(), "two");
        editor.key(Key::Up, words);
        editor.key(Key::Up, words);
        assert_eq!(editor.text(), "one");
        editor.key(Key::Down, words);
        editor.key(Key::Down, words);
        assert_eq!(editor.text(), "thr");
    }

    #[test]
    fn words_are_completed() {
        let mut editor = Editor::default();
        typed(&mut editor, "p");
        assert_eq!(
            editor.key(Key::Tab, words),
            Edit::Choices(vec!["pause".into(), "power".into()])
        );
        typed(&mut editor, "a");
        editor.key(Key::Tab, words);
        typed(&mut editor, "n");
        editor.key(Key::Tab, words);
        assert_eq!(editor.text(), "pause node");
        assert_eq!(
            editor.key(Key::Tab, words),
            Edit::Choices(vec!["node1".into(), "node2".into()])
        );
        typed(&mut editor, "x");
        assert_eq!(editor.key(Key::Tab, words), Edit::Edited);
    }
}
