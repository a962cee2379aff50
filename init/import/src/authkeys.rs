//! `authkeys`: the method and key that sign heartbeats.

use super::{Draft, Place};

/// Notes what was there. The key itself is never taken over, nor shown: it was made for a
/// weaker method, and often by hand.
pub(super) fn read(draft: &mut Draft, file: &str, text: &str) {
    for (index, line) in text.lines().enumerate() {
        let place = Place::new(file, index + 1);
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (None, _) => {}
            (Some("auth"), Some(id)) if id.parse::<u32>().is_ok() => draft.note(
                &place,
                line,
                "one method only, HMAC-SHA-256: make a key with `kodo keygen cluster.key`",
            ),
            (Some(id), Some(method)) if id.parse::<u32>().is_ok() => draft.note(
                &place,
                &format!("{id} {}", method.chars().take(4).collect::<String>()),
                "this key is not taken over: a cluster key is 32 random bytes; `kodo keygen cluster.key` makes one",
            ),
            _ => draft.note(&place, "a line", "not understood as a line of authkeys"),
        }
    }
}
