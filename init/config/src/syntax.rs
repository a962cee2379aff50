//! Syntax errors of the `toml` crate, told with what to write instead.
//!
//! Owns wording, and which errors merely follow from another: the crate finds them.

use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::diagnostic::{Diagnostic, Sink};

/// Tells all syntax errors. `document` is what the parser made of the text.
pub(crate) fn tell(sink: &mut Sink<'_>, document: &Spanned<DeTable<'_>>, errors: &[Error]) {
    let mut keys = Vec::new();
    collect(document.get_ref(), &mut keys);
    let mut errors: Vec<_> = errors.iter().collect();
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    // Where a table that was written twice begins, for the second time.
    let mut again = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if error.message() != "duplicate key" {
            let item = reworded(sink, error.message(), span);
            sink.push(item);
            continue;
        }
        let (header, key) = (header(sink, &span), sink.text(span.clone()));
        let follows = again.is_some_and(|start| !sink.text(start..span.start).contains("\n["));
        if header.is_none() && follows {
            continue;
        }
        let title = header.map_or_else(|| format!("`{key}`"), |header| format!("`{header}`"));
        again = header.map(|_| span.start);
        let first = keys
            .iter()
            .filter(|(known, place)| known == key && place.start < span.start);
        let first = first
            .map(|(_, place)| place)
            .max_by_key(|place| place.start);
        let mut item = Diagnostic::error(span.clone(), format!("{title} is written twice"))
            .because("one of the two would silently win")
            .help(match header {
                Some(header) if !header.starts_with("[[") => {
                    "put the keys of both below one header"
                }
                Some(_) => "a table of this name is above: write single or double brackets at both",
                None => "remove one of them",
            });
        if let Some(first) = first {
            item = item.see(first.clone(), "here first");
        }
        sink.push(item);
    }
}

/// All keys of the document and where they are.
fn collect(table: &DeTable<'_>, keys: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        keys.push((key.get_ref().to_string(), key.span()));
        inside(value.get_ref(), keys);
    }
}

fn inside(value: &DeValue<'_>, keys: &mut Vec<(String, Range<usize>)>) {
    match value {
        DeValue::Table(table) => collect(table, keys),
        DeValue::Array(values) => values
            .iter()
            .for_each(|value| inside(value.get_ref(), keys)),
        _ => {}
    }
}

/// The line around a place, when it is a table's header.
fn header<'a>(sink: &Sink<'a>, span: &Range<usize>) -> Option<&'a str> {
    let whole = sink.whole();
    let start = whole.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = whole[start..].lines().next()?;
    let line = line.split('#').next().unwrap_or_default().trim();
    (line.starts_with('[') && line.ends_with(']')).then_some(line)
}

/// One error in the file author's terms.
fn reworded(sink: &Sink<'_>, message: &str, span: Range<usize>) -> Diagnostic {
    let starts = |words: &[&str]| words.iter().any(|word| message.starts_with(word));
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    if starts(&[
        "string values must be quoted",
        "invalid float",
        "invalid integer",
        "invalid date",
        "invalid time",
    ]) && let Some(place) = bare_value(sink, &span)
    {
        let text = sink.text(place.clone());
        let item = Diagnostic::error(place, format!("`{text}` is not a TOML value"));
        return match text {
            "yes" | "on" | "True" | "TRUE" => item.help("write `true`").fix("true"),
            "no" | "off" | "False" | "FALSE" => item.help("write `false`").fix("false"),
            _ => item
                .help("write it in double quotes")
                .fix(format!("\"{text}\"")),
        };
    }
    if starts(&["string values must be quoted"]) {
        return Diagnostic::error(span, "a value is missing")
            .help("write a value after `=`, strings in double quotes");
    }
    if starts(&["invalid basic string", "invalid literal string"]) {
        return Diagnostic::error(span, "the string does not end on its line")
            .help("add the closing quote");
    }
    if starts(&["key with no value"]) {
        return Diagnostic::error(span, "a key without a value")
            .help("write `key = value`, or `[name]` for a table");
    }
    let item = Diagnostic::error(span, what);
    if starts(&["unclosed"]) {
        item.help(format!("add the closing {expected}"))
    } else if expected.is_empty() {
        item.help("see https://toml.io for the file's syntax")
    } else {
        item.help(format!("TOML wants {expected} here"))
    }
}

/// The bytes of an unquoted value around an error, when there are any on that line.
fn bare_value(sink: &Sink<'_>, span: &Range<usize>) -> Option<Range<usize>> {
    let whole = sink.whole();
    let before = whole.get(..span.start)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let from = before[line..]
        .rfind(['=', '[', ','])
        .map(|at| line + at + 1)?;
    let until = whole[from..]
        .find(['\n', '#', ',', ']'])
        .map_or(whole.len(), |at| from + at);
    let text = whole.get(from..until)?;
    let start = from + (text.len() - text.trim_start().len());
    let value = text.trim();
    let quoted = value.contains(['"', '\'', '=', '{', '}']);
    (!value.is_empty() && !quoted).then(|| start..start + value.len())
}
