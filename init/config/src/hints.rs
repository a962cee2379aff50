//! Unknown keys and type errors, told with a suggestion.
//!
//! Owns wording only: serde and the `toml` crate find the errors.

use core::ops::Range;

use toml::Spanned;
use toml::de::DeString;

use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::nearest;
use crate::read;

/// A key that its table does not know.
pub(crate) fn unknown_key(
    key: &Spanned<DeString<'_>>,
    is_table: bool,
    header: &str,
    known: &[&str],
) -> Diagnostic {
    let word = key.get_ref().as_ref();
    let place = if header.starts_with('[') {
        format!("`{header}`")
    } else {
        header.to_owned()
    };
    let item = Diagnostic::error(
        key.span(),
        format!(
            "{place} has no {} `{word}`",
            if is_table { "table" } else { "key" }
        ),
    );
    let vocabulary = read::vocabulary();
    let elsewhere = vocabulary
        .iter()
        .find(|(_, keys)| keys.contains(&word))
        .map(|(header, _)| *header);
    let header_of = vocabulary
        .iter()
        .map(|(header, _)| *header)
        .find(|header| header.trim_matches(['[', ']']).rsplit('.').next() == Some(word));
    match (nearest(word, known.iter().copied()), header_of, elsewhere) {
        (_, Some(header), _) => item.help(format!("did you mean the table `{header}`?")),
        (Some(near), _, _) => item.help(format!("did you mean `{near}`?")).fix(near),
        (_, _, Some(header)) => item.help(format!("`{word}` belongs to `{header}`")),
        _ => item.help(format!("it knows {}", list(known))),
    }
}

fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A table's first type error. `places` are its keys and where their values are.
pub(crate) fn wrong_type(
    sink: &Sink<'_>,
    error: &toml::de::Error,
    header: &str,
    table: &Range<usize>,
    places: &[(String, Range<usize>)],
) -> Diagnostic {
    let span = error.span().unwrap_or_else(|| table.clone());
    let message = error.message();
    if let Some(key) = message.strip_prefix("missing field ") {
        return Diagnostic::error(table.clone(), format!("this `{header}` has no {key}"))
            .help(format!("add a line {key} = ... below it"));
    }
    let key = places
        .iter()
        .find(|(_, place)| place.start <= span.start && span.end <= place.end);
    let what = key.map_or_else(
        || format!("a value in `{header}`"),
        |(key, _)| format!("`{key}`"),
    );
    let Some((found, expected)) = message.split_once(", expected ") else {
        return Diagnostic::error(span, format!("{what}: {message}"));
    };
    let found = found.split_once(": ").map_or(found, |(_, found)| found);
    let found = found.split_once(' ').map_or(found, |(kind, _)| kind);
    let found = match found {
        "sequence" => "a list",
        "string" => "a string",
        "integer" => "a number",
        "floating" => "a fraction",
        "boolean" => "true or false",
        "map" => "a table",
        other => other,
    };
    let wanted = match expected {
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "a sequence" => "a list in square brackets",
        "a string" => "a string in double quotes",
        "a boolean" => "true or false",
        other => other,
    };
    let text = sink.text(span.clone());
    let item = Diagnostic::error(span, format!("{what} must be {wanted}"));
    let item = match message.starts_with("invalid value") {
        true => item.label("out of range"),
        false => item.label(format!("this is {found}")),
    };
    let unquoted = text.trim_matches(['"', '\'']);
    match (found, wanted) {
        ("a string", "a list in square brackets") => item
            .help("write square brackets around it")
            .fix(format!("[{text}]")),
        ("a string", "true or false") if matches!(unquoted, "true" | "false") => {
            item.help("leave out the quotes").fix(unquoted)
        }
        ("a string", wanted)
            if wanted.starts_with("a whole number") && unquoted.parse::<u32>().is_ok() =>
        {
            item.help("leave out the quotes").fix(unquoted)
        }
        ("a list", wanted) if wanted.contains("in quotes") => {
            item.help("write a single value without brackets")
        }
        (_, wanted) if wanted.contains("in quotes, such as") => {
            item.help("write it in double quotes, in that form")
        }
        ("a number" | "a fraction" | "true or false", wanted) if wanted.contains("quotes") => item
            .help("write it in double quotes")
            .fix(format!("\"{text}\"")),
        _ => item.help(format!("write {wanted}")),
    }
}
