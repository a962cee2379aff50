//! Messages drawn with the file's own lines, for people at a terminal.
//!
//! Owns the drawing, and reading a cluster file from disk with its secrets beside it.
//! Keys and hashes in the drawn lines are struck out: terminals are logged.

use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin as From, Patch, Renderer, Snippet};

use crate::cluster::{Origin, ServiceKind};
use crate::diagnostic::{Diagnostic, Severity, Sink};
use crate::secrets::beside;
use crate::{Cluster, Diagnostic as Item, wrap};

/// How messages are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// ASCII without colours: for logs and tests.
    Plain,
    /// Colours and line-drawing characters: for terminals.
    Terminal,
}

/// Longest run of hex digits that is no secret.
const HEX_SHOWN: usize = 31;

/// Draws messages about `text`, one below the other, each ended by an empty line.
#[must_use]
pub fn render(items: &[Diagnostic], text: &str, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Terminal => Renderer::styled().decor_style(DecorStyle::Unicode),
    }
    .term_width(100);
    let text = struck_out(text);
    items
        .iter()
        .map(|item| one(item, &text, &renderer) + "\n\n")
        .collect()
}

/// "2 errors and 1 warning"; empty without either.
#[must_use]
pub fn summary(items: &[Diagnostic]) -> String {
    let count = |severity, word: &str| match items
        .iter()
        .filter(|item| item.severity == severity)
        .count()
    {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts = [
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
        count(Severity::Note, "note"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match &parts[..] {
        [] => String::new(),
        [only] => only.clone(),
        [first, last] => format!("{first} and {last}"),
        [first, second, last, ..] => format!("{first}, {second} and {last}"),
    }
}

/// Reads and checks the cluster file at `path`, its secrets beside it.
/// With the cluster come its warnings and notes, drawn.
///
/// # Errors
/// What is wrong with it, drawn and ready to be printed.
pub fn load(path: &Path, style: Style) -> Result<(Cluster, String), String> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        format!("error: the cluster file {name} cannot be read: {error}\nhelp: give the path of an existing file, such as image/examples/web.toml\n")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{name}:{line}: error: this line is not UTF-8 text\nhelp: save the file as UTF-8\n")
    })?;
    let read = Cluster::parse(&name, &text, &beside(path)).and_then(|cluster| {
        let missing = missing_files(&cluster, path, &text);
        if missing.is_empty() {
            Ok(cluster)
        } else {
            Err(missing)
        }
    });
    match read {
        Ok(cluster) => {
            let drawn = render(&cluster.notes, &text, style);
            Ok((cluster, drawn))
        }
        Err(items) => {
            let drawn = render(&items, &text, style);
            Err(format!("{drawn}{name} is refused: {}\n", summary(&items)))
        }
    }
}

/// Services whose `files` or origin are not there.
fn missing_files(cluster: &Cluster, path: &Path, text: &str) -> Vec<Diagnostic> {
    let name = path.display().to_string();
    let mut sink = Sink::new(&name, text);
    for files in cluster
        .services
        .iter()
        .filter_map(|service| service.files.as_ref())
    {
        let directory = path.parent().unwrap_or(Path::new("")).join(files.get_ref());
        if !directory.is_dir() {
            sink.push(
                Diagnostic::error(
                    files.span(),
                    format!("there is no directory {}", directory.display()),
                )
                .because("the image carries a copy of it, and the service serves from there")
                .help("create it, or correct the path; it is relative to the cluster file"),
            );
        }
    }
    for service in &cluster.services {
        let ServiceKind::Root(root) = &service.kind else {
            continue;
        };
        let (Origin::Program(file) | Origin::Oci(file)) = root.origin.get_ref() else {
            continue;
        };
        let file = path.parent().unwrap_or(Path::new("")).join(file);
        if !file.is_file() {
            sink.push(
                Diagnostic::error(
                    root.origin.span(),
                    format!("there is no file {}", file.display()),
                )
                .because("the service's root is made from it")
                .help("create it, or correct the path; it is relative to the cluster file"),
            );
        }
    }
    sink.finish()
}

fn one(item: &Item, text: &str, renderer: &Renderer) -> String {
    let level = match item.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut main = Group::with_title(level.primary_title(&item.message));
    if item.span.is_empty() && item.at.line == 1 && item.at.column == 1 {
        main = main.element(From::path(&item.file));
    } else {
        let primary = AnnotationKind::Primary
            .span(item.span.clone())
            .label(item.label.as_deref());
        let related = item.related.iter().map(|other| {
            AnnotationKind::Context
                .span(other.span.clone())
                .label(other.text.as_str())
        });
        main = main.element(
            Snippet::source(text)
                .path(&item.file)
                .annotation(primary)
                .annotations(related),
        );
    }
    if let Some(reason) = &item.reason {
        main = main.element(Level::NOTE.with_name(Some("why")).message(wrapped(reason)));
    }
    let mut repair = None;
    if let Some(help) = &item.help {
        match &item.fix {
            Some((span, replacement)) => {
                let patch = Patch::new(span.clone(), replacement.as_str());
                let title = Level::HELP.secondary_title(help);
                repair = Some(title.element(Snippet::source(text).patch(patch)));
            }
            None => main = main.element(Level::HELP.message(wrapped(help))),
        }
    }
    let groups: Vec<_> = core::iter::once(main).chain(repair).collect();
    renderer.render(&groups)
}

/// A sentence in lines that fit beside the drawing.
fn wrapped(text: &str) -> String {
    wrap::lines(text, 82).join("\n")
}

/// The text with every long run of hex digits replaced by as many `x`.
fn struck_out(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(rest.len());
        if run > HEX_SHOWN {
            shown.extend(core::iter::repeat_n('x', run));
        } else {
            shown.push_str(&rest[..run]);
        }
        let next = rest[run..]
            .chars()
            .next()
            .map_or(run, |c| run + c.len_utf8());
        shown.push_str(&rest[run..next]);
        rest = &rest[next..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out() {
        let key = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdef0123";
        assert_eq!(
            struck_out(&format!("é key = \"{key}\" # deadbeef")),
            format!("é key = \"{}\" # deadbeef", "x".repeat(64))
        );
        assert_eq!(struck_out("52:54:00:00:01:01"), "52:54:00:00:01:01");
    }

    #[test]
    fn files_must_exist() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
        let text = std::fs::read_to_string(&example).unwrap();
        let path = std::env::temp_dir().join(format!("kodo-config-{}.toml", std::process::id()));
        std::fs::write(
            &path,
            text.replace("# files = \"site\"", "files = \"kodo-no-such-site\""),
        )
        .unwrap();
        let refused = load(&path, Style::Plain).unwrap_err();
        assert!(
            refused.contains("error: there is no directory")
                && refused.contains("refused: 1 error"),
            "{refused}"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(
            load(&path, Style::Plain)
                .unwrap_err()
                .contains("cannot be read")
        );
        assert!(load(&example, Style::Terminal).is_ok());
    }

    #[test]
    fn sums_up() {
        assert_eq!(summary(&[]), "");
        let of = |severities: &[Severity]| {
            let items: Vec<_> = severities
                .iter()
                .map(|severity| Diagnostic {
                    severity: *severity,
                    ..Diagnostic::error(0..0, "x")
                })
                .collect();
            summary(&items)
        };
        assert_eq!(of(&[Severity::Error]), "1 error");
        assert_eq!(
            of(&[Severity::Error, Severity::Error, Severity::Note]),
            "2 errors and 1 note"
        );
        assert_eq!(
            of(&[Severity::Error, Severity::Warning, Severity::Note]),
            "1 error, 1 warning and 1 note"
        );
    }
}
