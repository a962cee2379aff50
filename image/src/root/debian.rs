//! A root from Debian packages, reduced to what is started and what is named.
//!
//! The package client says which packages belong together; they are fetched as they turn out
//! to be needed: first those that are named, then the dependencies of those whose programs
//! lack a library. No maintainer script runs.

use super::closure::{self, Closure, Files};
use super::unpack::{Room, Rules, Unpacker};
use super::{Patterns, Source, merged};
use crate::apt::{self, Package, Packages};
use crate::archive::{Node, Tree};
use crate::cache::{Cache, read};
use crate::deb;
use crate::error::{Error, Result};
use crate::kernel::hex;
use crate::progress::Progress;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// What is asked of the packages.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Packages that are named.
    pub packages: &'a [String],
    /// Files that are kept.
    pub keep: &'a Patterns,
    /// What is started.
    pub command: &'a str,
    /// Files that come from elsewhere later, whose needs count as well.
    pub overlay: &'a Tree,
}

/// Builds the root; returns the packages that it holds files of.
///
/// # Errors
/// When packages cannot be had, or something that is needed is in none of them.
pub fn root(
    wanted: &Wanted<'_>,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<(Tree, Vec<Source>)> {
    progress.begin("resolve packages", None);
    let offers = apt::with_dependencies(wanted.packages)?;
    progress.end(&format!("{} candidates", offers.len()));
    from_offers(wanted, &offers, cache, progress)
}

fn from_offers(
    wanted: &Wanted<'_>,
    offers: &Packages,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<(Tree, Vec<Source>)> {
    let mut pool = Pool {
        tree: merged(),
        room: Room::default(),
        have: BTreeSet::new(),
        offers,
    };
    let mut next: BTreeSet<String> = wanted.packages.iter().cloned().collect();
    loop {
        pool.fetch(&next, cache, progress)?;
        let state = pool.state(wanted);
        next = pool.answers(&state);
        if next.is_empty() {
            return pool.reduced(&state, wanted);
        }
    }
}

/// Packages unpacked so far.
struct Pool<'a> {
    tree: Tree,
    room: Room,
    have: BTreeSet<String>,
    offers: &'a Packages,
}

/// What is needed of the pool, and what it lacks.
struct State {
    closure: Closure,
    /// Kept paths.
    kept: BTreeSet<String>,
    /// Patterns that nothing matches.
    unmatched: Vec<String>,
}

impl Files for Tree {
    fn open(&self, path: &str) -> Option<(String, Arc<Vec<u8>>)> {
        let (found, entry) = self.find(path)?;
        match &entry.node {
            Node::File(content) => Some((format!("/{}", found.path), Arc::clone(content))),
            _ => None,
        }
    }
}

impl Pool<'_> {
    fn fetch(
        &mut self,
        names: &BTreeSet<String>,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        for name in names {
            self.have.insert(name.clone());
            let Some(package) = self.offers.get(name) else {
                return Err(Error::new(format!("cannot use the package {name}"))
                    .because("it is virtual: others provide it")
                    .next("name the real package in `debian`"));
            };
            let deb = fetched(package, cache, progress)?;
            let origin = origin(package);
            let mut unpacker =
                Unpacker::new(&mut self.tree, &mut self.room, Rules::Package, &origin);
            progress.begin(&format!("unpack {}", package.name), Some(package.size));
            let refuse = |why: super::unpack::Refused| {
                Error::file("unpack", &deb, &why).next("report it: Debian ships no such package")
            };
            deb::for_each_entry(&deb, progress, |entry| {
                unpacker.entry(entry).map_err(refuse)
            })?;
            progress.end(&crate::report::size(package.size));
        }
        Ok(())
    }

    fn state(&self, wanted: &Wanted<'_>) -> State {
        let mut tree = self.tree.clone();
        super::lay_over(&mut tree, wanted.overlay);
        let (kept, unmatched) = wanted.keep.matches(&tree);
        // Links to directories need nothing.
        let files = kept.iter().filter(|path| tree.content(path).is_some());
        let mut from: BTreeSet<String> = files.map(|path| format!("/{path}")).collect();
        from.insert(wanted.command.to_owned());
        let overlay = wanted.overlay.entries();
        from.extend(overlay.filter_map(|(path, entry)| match &entry.node {
            Node::File(_) => Some(format!("/{path}")),
            Node::Symlink(target) => match tree.find(path) {
                None => Some(target.clone()),
                Some((found, entry)) => {
                    matches!(entry.node, Node::File(_)).then(|| format!("/{}", found.path))
                }
            },
            _ => None,
        }));
        State {
            closure: closure::follow(&tree, &from, &[]),
            kept,
            unmatched,
        }
    }

    /// The packages that may hold what is missing: dependencies of those that miss it.
    fn answers(&self, state: &State) -> BTreeSet<String> {
        let named = |path: &String| {
            state
                .closure
                .missing
                .get(path)
                .is_some_and(|who| who.contains(""))
        };
        let lost = !state.unmatched.is_empty() || state.closure.missing.keys().any(named);
        let asking: BTreeSet<&str> = if lost {
            // Anybody's dependencies.
            self.have.iter().map(String::as_str).collect()
        } else {
            let who = state.closure.missing.values().flatten();
            let owner = |path: &String| Some(package_of(&self.tree.find(path)?.1.origin));
            who.filter_map(owner).collect()
        };
        let needs = asking.into_iter().filter_map(|name| self.offers.get(name));
        let needs = needs.flat_map(|package| &package.needs);
        let real = needs.flat_map(|need| {
            let provides =
                move |package: &&Package| package.name == *need || package.provides.contains(need);
            self.offers.values().filter(provides)
        });
        real.map(|package| package.name.clone())
            .filter(|name| !self.have.contains(name))
            .collect()
    }

    /// Only what is kept and needed.
    fn reduced(self, state: &State, wanted: &Wanted<'_>) -> Result<(Tree, Vec<Source>)> {
        let refuse = |why: String| {
            Error::new(format!(
                "the packages {} are not enough",
                wanted.packages.join(", ")
            ))
            .because(why)
        };
        if let Some(pattern) = state.unmatched.first() {
            return Err(refuse(format!("nothing in them matches {pattern}"))
                .next("correct `keep`, or add the package that has it to `debian`: `apt-file search` and packages.debian.org find it"));
        }
        if !state.closure.missing.is_empty() {
            return Err(refuse(format!("they lack {}", closure::told(&state.closure.missing)))
                .next("add the packages that have these to `debian`; essential ones such as dash or coreutils are nobody's dependency"));
        }
        if let Some((path, why)) = state.closure.broken.first() {
            return Err(
                refuse(format!("{path} cannot be used: {why}")).next("leave it out of `keep`")
            );
        }
        let mut root = merged();
        let needed = state.closure.paths.iter().map(String::as_str);
        for path in needed.chain(state.kept.iter().map(String::as_str)) {
            // What is not here comes from the overlay.
            let Some((found, _)) = self.tree.find(path) else {
                continue;
            };
            for path in found.links.iter().chain([&found.path]) {
                if let Some(entry) = self.tree.get(path) {
                    root.insert(path, entry.clone());
                }
            }
        }
        let used: BTreeSet<&str> = root
            .entries()
            .filter(|(_, entry)| entry.node != Node::Directory)
            .map(|(_, entry)| package_of(&entry.origin))
            .collect();
        let sources = self
            .offers
            .values()
            .filter(|package| used.contains(package.name.as_str()));
        let sources = sources.map(|package| Source {
            name: package.name.clone(),
            version: Some(package.version.clone()),
            sha256: Some(package.sha256.clone()),
            kind: super::SourceKind::Debian,
        });
        let sources = sources.collect();
        Ok((root, sources))
    }
}

/// A package's files say where they come from in this form.
fn origin(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

fn package_of(origin: &str) -> &str {
    origin.split(' ').next().unwrap_or(origin)
}

/// The package's file, from the cache or from the client.
fn fetched(package: &Package, cache: &Cache, progress: &mut dyn Progress) -> Result<PathBuf> {
    let key = format!("deb/{}.deb", package.tag());
    let deb = match cache.get(&key) {
        Some(deb) => deb,
        None => {
            let scratch = cache.scratch()?;
            progress.begin(
                &format!("download {} {}", package.name, package.version),
                Some(package.size),
            );
            let deb = apt::download(package, scratch.path(), progress)?;
            progress.end(&crate::report::size(package.size));
            cache.put(&key, &deb)?
        }
    };
    if hex(&Sha256::digest(read(&deb)?)) != package.sha256 {
        return Err(
            Error::file("use", &deb, &"it is not what the package lists promise")
                .next("delete that file and run the same command again"),
        );
    }
    Ok(deb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{make_directory, write};
    use crate::progress::Silent;
    use crate::root::unpack::tests::{archive, file};
    use std::path::Path;

    /// A package in the cache, as if it had been fetched.
    fn package(cache: &Path, name: &str, needs: &[&str], files: &[(&str, &str)]) -> Package {
        let entries: Vec<_> = files
            .iter()
            .map(|(path, text)| file(path, text.as_bytes()))
            .collect();
        let data = archive(&entries);
        let mut deb = ar::Builder::new(Vec::new());
        let header = ar::Header::new(b"data.tar".to_vec(), data.len() as u64);
        deb.append(&header, data.as_slice()).expect("a package");
        let deb = deb.into_inner().expect("a package");
        make_directory(&cache.join("deb")).expect("directory");
        write(&cache.join(format!("deb/{name}_1.deb")), &deb).expect("file");
        Package {
            name: name.into(),
            version: "1".into(),
            size: 0,
            sha256: hex(&Sha256::digest(&deb)),
            depends: Vec::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            provides: vec![format!("{name}-virtual")],
        }
    }

    fn offers(cache: &Path) -> Packages {
        let app: &[_] = &[
            ("./usr/bin/app", "#!/bin/shell"),
            ("./usr/share/doc/app", "x"),
            ("./etc/app/a.conf", "a"),
        ];
        let shell = package(
            cache,
            "shell",
            &["base"],
            &[("./bin/shell", "#!/bin/base"), ("./bin/other", "x")],
        );
        let all = [
            package(cache, "app", &["shell-virtual", "idle"], app),
            package(cache, "base", &["never"], &[("./usr/bin/base", "x")]),
            package(cache, "idle", &["never"], &[("./usr/bin/idle", "x")]),
            // Nobody needs it: fetching it would fail.
            Package {
                name: "never".into(),
                provides: Vec::new(),
                ..shell.clone()
            },
        ];
        let all = all.into_iter().chain([shell]);
        all.map(|package| (package.name.clone(), package)).collect()
    }

    fn build(
        cache: &Path,
        offers: &Packages,
        keep: &[&str],
        over: &Tree,
    ) -> Result<(Tree, Vec<Source>)> {
        let keep: Vec<String> = keep.iter().map(|pattern| (*pattern).to_owned()).collect();
        let keep = Patterns::new(&keep)?;
        let wanted = Wanted {
            packages: &["app".to_owned()],
            keep: &keep,
            command: "/usr/bin/app",
            overlay: over,
        };
        from_offers(&wanted, offers, &Cache::at(cache.to_owned()), &mut Silent)
    }

    #[test]
    fn packages_come_as_they_are_needed_and_leave_the_rest_behind() {
        let dir = tempfile::tempdir().expect("directory");
        let offers = offers(dir.path());
        let (tree, sources) = build(dir.path(), &offers, &["/etc/app/*.conf"], &Tree::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let files: Vec<&str> = tree
            .entries()
            .filter(|(_, entry)| matches!(entry.node, Node::File(_)))
            .map(|(path, _)| path)
            .collect();
        assert_eq!(
            files,
            [
                "etc/app/a.conf",
                "usr/bin/app",
                "usr/bin/base",
                "usr/bin/shell"
            ]
        );
        assert_eq!(tree.get("usr/bin/shell").expect("shell").origin, "shell 1");
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["app", "base", "shell"]);
    }

    #[test]
    fn a_link_brings_what_it_leads_to() {
        let dir = tempfile::tempdir().expect("directory");
        let mut offers = offers(dir.path());
        offers.remove("never");
        let mut over = Tree::default();
        over.symlink("usr/bin/awk", "/bin/other", "links");
        let (tree, _) =
            build(dir.path(), &offers, &[], &over).unwrap_or_else(|error| panic!("{error}"));
        assert!(tree.get("usr/bin/other").is_some());
        over.symlink("usr/bin/which", "/bin/gone", "links");
        let error = build(dir.path(), &offers, &[], &over).expect_err("refused");
        assert!(error.to_string().contains("they lack /bin/gone"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("directory");
        let mut offers = offers(dir.path());
        offers.remove("base");
        offers.remove("never");
        let refused = |keep: &[&str]| {
            build(dir.path(), &offers, keep, &Tree::default())
                .expect_err("refused")
                .to_string()
        };
        assert!(
            refused(&[]).contains("they lack /bin/base (needed by /bin/shell)"),
            "{}",
            refused(&[])
        );
        assert!(refused(&["/etc/gone"]).contains("nothing in them matches /etc/gone"));
        let mut over = Tree::default();
        over.file("usr/bin/base", 0o755, b"x".to_vec(), "overlay");
        build(dir.path(), &offers, &[], &over).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn a_package_that_is_not_the_promised_one_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let mut offers = offers(dir.path());
        offers.get_mut("app").expect("app").sha256 = "0".repeat(64);
        let error = build(dir.path(), &offers, &[], &Tree::default()).expect_err("refused");
        assert!(
            error
                .to_string()
                .contains("not what the package lists promise"),
            "{error}"
        );
    }
}
