//! Breaking sentences into lines.

/// Words of `text` in lines of at most `width` characters, where words allow it.
pub(crate) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_whole_words() {
        assert_eq!(lines("a bc  def g", 4), ["a bc", "def", "g"]);
        assert_eq!(lines("unbreakable", 4), ["unbreakable"]);
        assert_eq!(lines("", 4), [""]);
    }
}
