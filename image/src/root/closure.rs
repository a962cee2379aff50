//! Everything that programs need to start: libraries of libraries, loaders, interpreters of
//! scripts. Follows what objects say of themselves the way the dynamic loader does
//! (ld.so(8)), without running anything. What programs open by name later, modules above
//! all, nobody can see in them: recipes name it.

use super::elf;
use crate::limits;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Where Debian's loader looks by itself, and those of other distributions.
pub const SYSTEM: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
/// The library that the C library opens by itself when a thread ends.
pub const UNWINDER: &str = "libgcc_s.so.1";
const LIBC: &str = "libc.so.6";

/// Where objects are looked for.
pub trait Files {
    /// The file that a path leads to: its own path, and its content.
    fn open(&self, path: &str) -> Option<(String, Arc<Vec<u8>>)>;
}

/// What came of following.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Paths by which objects ask for each other; the beginnings among them.
    pub paths: BTreeSet<String>,
    /// Names that nothing answers to, and the paths of the objects that need them.
    pub missing: BTreeMap<String, BTreeSet<String>>,
    /// Objects that cannot be used, and why.
    pub broken: Vec<(String, String)>,
}

/// Follows `from`, absolute paths. `more` are directories where the loader looks as well.
pub fn follow(files: &dyn Files, from: &BTreeSet<String>, more: &[String]) -> Closure {
    let mut all = Closure::default();
    let mut queue: VecDeque<Asked> = from
        .iter()
        .map(|path| Asked {
            path: path.clone(),
            by: String::new(),
            rpath: Vec::new(),
        })
        .collect();
    while let Some(asked) = queue.pop_front() {
        if all.paths.len() >= limits::OBJECTS {
            let why = format!("more than {} objects need each other", limits::OBJECTS);
            all.broken.push((asked.path, why));
            break;
        }
        if all.paths.contains(&asked.path) {
            continue;
        }
        let Some((real, content)) = files.open(&asked.path) else {
            all.missing.entry(asked.path).or_default().insert(asked.by);
            continue;
        };
        all.paths.insert(asked.path.clone());
        match elf::needs(&content) {
            Err(why) => all.broken.push((asked.path, why)),
            Ok(Some(needs)) => {
                let wanted = object(files, &asked, &real, needs, more, &mut all.missing);
                queue.extend(wanted);
            }
            Ok(None) => queue.extend(script(&content).into_iter().map(|path| Asked {
                path,
                by: asked.path.clone(),
                rpath: Vec::new(),
            })),
        }
    }
    all
}

/// A path that an object needs.
struct Asked {
    path: String,
    by: String,
    /// What those who led here say of where to look.
    rpath: Vec<String>,
}

/// What an object needs, found.
fn object(
    files: &dyn Files,
    asked: &Asked,
    real: &str,
    mut needs: elf::Needs,
    more: &[String],
    missing: &mut BTreeMap<String, BTreeSet<String>>,
) -> Vec<Asked> {
    let directory = real.rsplit_once('/').map_or("", |(directory, _)| directory);
    let expand = |path: &String| {
        path.replace("${ORIGIN}", directory)
            .replace("$ORIGIN", directory)
            .replace("$LIB", "lib/x86_64-linux-gnu")
    };
    let mut rpath = asked.rpath.clone();
    if needs.runpath.is_empty() {
        rpath.extend(needs.rpath.iter().map(expand));
    }
    let own: Vec<String> = match needs.runpath.is_empty() {
        true => rpath.clone(),
        false => needs.runpath.iter().map(expand).collect(),
    };
    if asked.path.ends_with(&format!("/{LIBC}")) {
        needs.libraries.push(UNWINDER.into());
    }
    let next = |path: String| Asked {
        path,
        by: asked.path.clone(),
        rpath: rpath.clone(),
    };
    let mut wanted: Vec<Asked> = needs.interpreter.into_iter().map(next).collect();
    for name in needs.libraries {
        if name.contains('/') {
            wanted.push(next(name));
            continue;
        }
        let system = SYSTEM.iter().map(|directory| (*directory).to_owned());
        let places = own
            .iter()
            .cloned()
            .chain(more.iter().cloned())
            .chain(system);
        let mut places = places.map(|directory| format!("{directory}/{name}"));
        match places.find(|path| files.open(path).is_some()) {
            Some(path) => wanted.push(next(path)),
            None => {
                missing.entry(name).or_default().insert(asked.path.clone());
            }
        }
    }
    wanted
}

/// The interpreter of a script, and the program that `env` is to find.
fn script(content: &[u8]) -> Vec<String> {
    let Some(rest) = content.strip_prefix(b"#!") else {
        return Vec::new();
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
    let mut words = line.split_whitespace();
    let Some(interpreter) = words.next() else {
        return Vec::new();
    };
    let mut wanted = vec![interpreter.to_owned()];
    if interpreter.ends_with("/env")
        && let Some(program) = words.find(|word| !word.starts_with('-'))
    {
        wanted.push(format!("/usr/bin/{program}"));
    }
    wanted
}

/// What is missing, for a message: each name and who needs it.
pub fn told(missing: &BTreeMap<String, BTreeSet<String>>) -> String {
    let lines = missing.iter().map(|(name, who)| {
        let who: Vec<&str> = who
            .iter()
            .map(String::as_str)
            .filter(|who| !who.is_empty())
            .collect();
        match who.is_empty() {
            true => name.clone(),
            false => format!("{name} (needed by {})", who.join(", ")),
        }
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by their content.
    struct Given(BTreeMap<&'static str, Vec<u8>>);

    impl Files for Given {
        fn open(&self, path: &str) -> Option<(String, Arc<Vec<u8>>)> {
            let content = self.0.get(path)?;
            Some((path.to_owned(), Arc::new(content.clone())))
        }
    }

    fn from(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn scripts_lead_to_their_interpreters() {
        let files = Given(BTreeMap::from([
            ("/run.sh", b"#! /usr/bin/env -S perl -w\n".to_vec()),
            ("/usr/bin/env", b"x".to_vec()),
        ]));
        let closure = follow(&files, &from(&["/run.sh"]), &[]);
        assert_eq!(closure.paths, from(&["/run.sh", "/usr/bin/env"]));
        assert_eq!(told(&closure.missing), "/usr/bin/perl (needed by /run.sh)");
    }

    #[test]
    fn the_c_library_opens_one_more_by_itself() {
        const PATH: &str = "/lib/x86_64-linux-gnu/libc.so.6";
        let libc = std::fs::read(PATH).expect("the C library of Debian");
        let files = Given(BTreeMap::from([(PATH, libc)]));
        let closure = follow(&files, &from(&[PATH]), &[]);
        assert!(closure.missing[UNWINDER].contains(PATH));
    }

    #[test]
    fn libraries_are_found_or_named() {
        let own = std::fs::read("/proc/self/exe").expect("this program");
        let files = Given(BTreeMap::from([
            ("/p", own),
            ("/opt/libc.so.6", b"not really".to_vec()),
            ("/lib64/ld-linux-x86-64.so.2", b"x".to_vec()),
        ]));
        let closure = follow(&files, &from(&["/p"]), &["/opt".into()]);
        assert!(closure.paths.contains("/opt/libc.so.6"));
        assert!(
            closure.missing[UNWINDER].contains("/p"),
            "{:?}",
            closure.missing
        );
    }
}
