//! The cluster's keys and the operators' tokens: where they come from and how their files look.
//!
//! A key file holds one or two keys of 64 hex digits, one a line: the first signs, both
//! are accepted, so that a key is replaced without a missed beat. The witness's holds one:
//! the witness accepts two, so nodes need not. A tokens file holds
//! `name sha256hex` lines. Both may have blank lines and `#` comments.
//! Never shows a secret: errors name a line, not its text.

use std::path::Path;

use kodo_engine::Key;
use sha2::{Digest, Sha256};

use crate::cluster::Token;
use crate::leaf::{Hex256, Name, Parse};

/// Which file beside the cluster file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The text of the cluster's `key_file`.
    Key,
    /// The text of the witness's `key_file`.
    Witness,
    /// The text of `tokens_file`.
    Tokens,
    /// The text of a recipe; no secret, but read the same way.
    Recipe,
}

/// Fetches the text of such a file by its path as the cluster file writes it, or says why not.
pub type Loader<'a> = &'a dyn Fn(Secret, &str) -> Result<String, String>;

/// A loader that reads files relative to the directory of the cluster file.
pub fn beside(cluster_file: &Path) -> impl Fn(Secret, &str) -> Result<String, String> {
    let directory = cluster_file
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default();
    move |_, path| std::fs::read_to_string(directory.join(path)).map_err(|error| error.to_string())
}

/// Lines with content, without comments, each with its number from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            (
                number + 1,
                line.split('#').next().unwrap_or_default().trim(),
            )
        })
        .filter(|(_, line)| !line.is_empty())
}

/// Reads a key file.
///
/// # Errors
/// Which line is wrong, and what is.
pub fn parse_keys(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for (number, line) in lines(text) {
        keys.push(parse_key(line).map_err(|why| format!("line {number}: {why}"))?);
    }
    match keys.len() {
        0 => Err("it holds no key".into()),
        1 | 2 => Ok(keys),
        n => Err(format!(
            "it holds {n} keys; at most the new one and the old one are accepted"
        )),
    }
}

/// Reads one key of 64 hex digits.
///
/// # Errors
/// What is wrong with it.
fn parse_key(text: &str) -> Result<Key, String> {
    Hex256::parse(text)
        .map_err(|flaw| flaw.message)
        .and_then(|hex| sound(hex.0))
}

/// Refuses a key that somebody typed: repeated bytes, all zeros.
pub(crate) fn sound(bytes: [u8; 32]) -> Result<Key, String> {
    let mut distinct = bytes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    // Of 32 random bytes fewer than 8 distinct ones are a matter of 10^-30.
    if distinct.len() < 8 {
        return Err("the key is not random".into());
    }
    Ok(Key(bytes))
}

/// Reads a tokens file.
///
/// # Errors
/// Which line is wrong, and what is.
pub fn parse_tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in lines(text) {
        let (name, hash) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("line {number}: wanted a name and a SHA-256 in hex"))?;
        let Name(name) =
            Name::parse(name).map_err(|flaw| format!("line {number}: {}", flaw.message))?;
        let Hex256(sha256) = Hex256::parse(hash.trim())
            .map_err(|flaw| format!("line {number}: {}", flaw.message))?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(format!("line {number}: {name} has a token already"));
        }
        tokens.push(Token { name, sha256 });
    }
    Ok(tokens)
}

/// A line for a tokens file: what is kept of an operator's token.
#[must_use]
pub fn token_line(name: &str, token: &str) -> String {
    format!("{name} {}\n", hex(&sha256(token)))
}

/// What a node keeps of a token.
#[must_use]
pub fn sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn key_files() {
        let two = format!(
            "# rotated in May\n{NEW}  # new\n\n{}\n",
            NEW.replace("00", "ff")
        );
        let keys = parse_keys(&two).unwrap();
        assert_eq!((keys.len(), keys[0].0[31], keys[1].0[0]), (2, 31, 255));
        assert!(parse_keys("# nothing\n").unwrap_err().contains("no key"));
        assert!(
            parse_keys(&format!("{NEW}\n").repeat(3))
                .unwrap_err()
                .contains("3 keys")
        );
        assert_eq!(
            parse_keys("\n1234\n").unwrap_err(),
            "line 2: 4 characters where 64 hex digits are needed"
        );
        assert!(
            parse_keys(&"00".repeat(32))
                .unwrap_err()
                .contains("not random")
        );
    }

    #[test]
    fn token_files() {
        let text = format!(
            "# operators\n{}{}",
            token_line("ada", "secret"),
            token_line("bob", "other")
        );
        let tokens = parse_tokens(&text).unwrap();
        assert_eq!(tokens[0].name, "ada");
        assert_eq!(
            hex(&tokens[0].sha256),
            "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
        );
        assert!(
            parse_tokens(&token_line("ada", "x").repeat(2))
                .unwrap_err()
                .contains("already")
        );
        assert!(parse_tokens("ada").unwrap_err().contains("line 1"));
        assert!(parse_tokens("ada 00").unwrap_err().contains("64 hex"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let token = Token {
            name: "ada".into(),
            sha256: [7; 32],
        };
        assert_eq!(format!("{token:?}"), "Token { name: \"ada\", .. }");
        assert_eq!(format!("{:?}", parse_key(NEW).unwrap()), "Key(secret)");
    }
}
