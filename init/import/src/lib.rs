//! From the files of Heartbeat, Pacemaker and keepalived to a cluster file.
//!
//! Each format has a module that reads it into one [`Draft`]; [`write()`] makes the cluster file
//! of it. Nothing is left out silently: what has no place in a cluster file becomes a [`Note`]
//! with the line where it stood and the reason. Parsers are total. Opens and writes no file, and
//! is no part of a node: it runs on the operator's host.

mod authkeys;
mod cib;
mod draft;
mod hacf;
mod haresources;
mod keepalived;
mod write;

use draft::Place;
pub use draft::{Draft, Fault, Note};
pub use write::{Known, NodeOption, write};

/// Largest file that is looked at: far above any real one, far below what hurts.
pub const TEXT_MAX: usize = 1 << 20;

/// What a file is, by its name or, if that says nothing, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    HaCf,
    HaResources,
    AuthKeys,
    Cib,
    Keepalived,
}

/// Reads one file into the draft.
///
/// # Errors
/// When the file cannot be understood at all: what is wrong, where, and what to do.
pub fn read(draft: &mut Draft, file: &str, bytes: &[u8]) -> Result<(), Fault> {
    if bytes.len() > TEXT_MAX {
        return Err(Fault::new(
            Place::new(file, 1),
            "this is too large to be a configuration file",
            "name the file itself, not an archive or a log",
        ));
    }
    let text = String::from_utf8_lossy(bytes);
    match kind(file, &text) {
        Some(Kind::HaCf) => hacf::read(draft, file, &text),
        Some(Kind::HaResources) => haresources::read(draft, file, &text),
        Some(Kind::AuthKeys) => authkeys::read(draft, file, &text),
        Some(Kind::Cib) => cib::read(draft, file, &text)?,
        Some(Kind::Keepalived) => keepalived::read(draft, file, &text)?,
        None => {
            return Err(Fault::new(
                Place::new(file, 1),
                "neither the name nor the content says what this is",
                "give it the name that its program knows it by: ha.cf, haresources, authkeys, \
                 cib.xml or keepalived.conf",
            ));
        }
    }
    Ok(())
}

fn kind(file: &str, text: &str) -> Option<Kind> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let named = [
        ("haresources", Kind::HaResources),
        ("authkeys", Kind::AuthKeys),
        ("ha.cf", Kind::HaCf),
        ("keepalived", Kind::Keepalived),
        (".xml", Kind::Cib),
    ];
    if let Some((_, kind)) = named.iter().find(|(part, _)| name.contains(part)) {
        return Some(*kind);
    }
    if text.trim_start().starts_with('<') {
        return Some(Kind::Cib);
    }
    if text.contains("vrrp_instance") {
        return Some(Kind::Keepalived);
    }
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?) {
            ("auth", number) if number.parse::<u32>().is_ok() => Some(Kind::AuthKeys),
            ("node" | "keepalive" | "deadtime" | "auto_failback", _) => Some(Kind::HaCf),
            (first, second)
                if !first.starts_with('#')
                    && (second.contains("::") || haresources::address(second).is_some()) =>
            {
                Some(Kind::HaResources)
            }
            _ => None,
        }
    })
}
