//! What a program or library says that it needs: interpreter, libraries, where to look for
//! them. Reads the dynamic section alone; a static program has none and needs nothing.

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// What an object needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The dynamic loader.
    pub interpreter: Option<String>,
    /// Names of libraries, in the object's order.
    pub libraries: Vec<String>,
    /// Directories for these and for what they need in turn.
    pub rpath: Vec<String>,
    /// Directories for these alone.
    pub runpath: Vec<String>,
}

/// Reads an object; `None` for what is none.
///
/// # Errors
/// When it is damaged, or not for the nodes' kind of machine.
pub fn needs(bytes: &[u8]) -> Result<Option<Needs>, String> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    read(bytes).map(Some)
}

fn read(bytes: &[u8]) -> Result<Needs, String> {
    const OTHER: &str = "it is for another kind of machine; nodes are x86-64";
    let damaged = |error: object::Error| format!("it is damaged: {error}");
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| OTHER.to_owned())?;
    let endian = header.endian().map_err(|_| OTHER.to_owned())?;
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Err(OTHER.into());
    }
    let mut needs = Needs::default();
    let segments = header.program_headers(endian, bytes).map_err(damaged)?;
    let mut entries = &[][..];
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, bytes).map_err(damaged)? {
            needs.interpreter = Some(text(path)?);
        }
        if let Some(found) = segment.dynamic(endian, bytes).map_err(damaged)? {
            entries = found;
        }
    }
    let value = |tag| {
        let entry = entries.iter().find(|entry| entry.tag(endian) == tag);
        entry.map(|entry| entry.val(endian))
    };
    let Some(table) = value(elf::DT_STRTAB) else {
        return Ok(needs);
    };
    let size = value(elf::DT_STRSZ).unwrap_or(0);
    let strings = segments.iter().find_map(|segment| {
        let loaded = segment.p_type(endian) == elf::PT_LOAD;
        let range = loaded.then(|| segment.data_range(endian, bytes, table, size));
        range?.ok().flatten()
    });
    let strings = strings.ok_or("it is damaged: its names are not in it")?;
    for entry in entries
        .iter()
        .take_while(|entry| entry.tag(endian) != elf::DT_NULL)
    {
        let tag = entry.tag(endian);
        if ![elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH].contains(&tag) {
            continue;
        }
        let start = usize::try_from(entry.val(endian)).unwrap_or(usize::MAX);
        let rest = strings
            .get(start..)
            .ok_or("it is damaged: a name lies outside")?;
        let name = text(rest)?;
        let directories = || {
            name.split(':')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
        };
        match tag {
            elf::DT_NEEDED => needs.libraries.push(name),
            elf::DT_RPATH => needs.rpath.extend(directories()),
            _ => needs.runpath.extend(directories()),
        }
    }
    Ok(needs)
}

/// The text before the first zero byte.
fn text(bytes: &[u8]) -> Result<String, String> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]);
    text.map(str::to_owned)
        .map_err(|_| "it is damaged: a name is no text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_a_program_that_needs_libc() {
        let own = std::fs::read("/proc/self/exe").expect("this program");
        let needs = needs(&own).expect("sound").expect("an object");
        assert!(
            needs
                .interpreter
                .expect("a loader")
                .starts_with("/lib64/ld-linux")
        );
        assert!(
            needs.libraries.iter().any(|name| name == "libc.so.6"),
            "{:?}",
            needs.libraries
        );
    }

    #[test]
    fn what_is_no_object_needs_nothing() {
        assert_eq!(needs(b"#!/bin/sh\n"), Ok(None));
        assert_eq!(needs(b""), Ok(None));
    }

    #[test]
    fn damage_and_other_machines_are_told() {
        assert!(needs(b"\x7fELF").expect_err("cut").contains("another kind"));
        let mut own = std::fs::read("/proc/self/exe").expect("this program");
        own[18] = 183;
        assert!(needs(&own).expect_err("arm").contains("another kind"));
        own[18] = 62;
        own.truncate(200);
        assert!(needs(&own).expect_err("cut").contains("damaged"));
    }
}
