//! A root around one program of the build host: the program, and the libraries that it needs
//! from where the host has them. A static program comes alone.

use super::closure::{self, Files, SYSTEM, UNWINDER};
use super::{Source, SourceKind, merged, put};
use crate::archive::Tree;
use crate::cache::read;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Where the program is put.
const PLACE: &str = "/usr/bin";

/// The host's own files.
struct Host;

impl Files for Host {
    fn open(&self, path: &str) -> Option<(String, Arc<Vec<u8>>)> {
        let real = std::fs::canonicalize(path).ok()?;
        if !real.is_file() {
            return None;
        }
        Some((
            real.to_str()?.to_owned(),
            Arc::new(std::fs::read(&real).ok()?),
        ))
    }
}

/// Builds the root; returns where the program is in it, and which packages of the host it
/// has files of. `keep` are patterns of more host files, `shown` is the program as the
/// cluster file calls it.
///
/// # Errors
/// When a file cannot be read, or the host lacks a library.
pub fn root(program: &Path, shown: &str, keep: &[String]) -> Result<(Tree, String, Vec<Source>)> {
    let refuse = |why: &dyn std::fmt::Display| Error::file("use the program", program, why);
    let real = std::fs::canonicalize(program).map_err(|error| {
        refuse(&error).next("correct `program`; it is relative to the cluster file")
    })?;
    let name = program.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refuse(&"its name is not UTF-8"))?;
    let start = real
        .to_str()
        .ok_or_else(|| refuse(&"its path is not UTF-8"))?
        .to_owned();
    let kept = kept(keep)?;
    let mut from: BTreeSet<String> = kept.iter().cloned().collect();
    from.insert(start.clone());
    let mut closure = closure::follow(&Host, &from, &configured(Path::new("/etc/ld.so.conf"), 0));
    // Few programs end threads in the way that needs it.
    closure.missing.remove(UNWINDER);
    if let Some((path, why)) = closure.broken.first() {
        return Err(refuse(&format!("{path} cannot be used: {why}"))
            .next("build the program for the nodes"));
    }
    if !closure.missing.is_empty() {
        let lost = closure::told(&closure.missing);
        return Err(refuse(&format!("this host lacks {lost}"))
            .next("install what has these here, or link the program statically"));
    }
    let loaders = closure
        .paths
        .iter()
        .find(|path| path.ends_with("/libc.so.6"));
    let libraries = loaders
        .and_then(|path| path.rsplit_once('/'))
        .map_or("/usr/lib", |(at, _)| at);

    let owners = owners(&closure.paths);
    let mut tree = merged();
    for path in &closure.paths {
        if *path == start && !kept.contains(path) {
            continue;
        }
        let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
        let found = SYSTEM.contains(&directory) || kept.contains(path) || !file.contains(".so");
        let at = if found {
            path.clone()
        } else {
            format!("{libraries}/{file}")
        };
        let origin = owners.get(path).map_or_else(
            || format!("host {path}"),
            |source| {
                format!(
                    "{} {}",
                    source.name,
                    source.version.as_deref().unwrap_or("")
                )
            },
        );
        put(&mut tree, &at, 0o755, read(Path::new(path))?, &origin)?;
    }
    let command = format!("{PLACE}/{name}");
    put(&mut tree, &command, 0o755, read(&real)?, shown)?;
    let mut sources: Vec<Source> = owners.into_values().collect();
    sources.sort();
    sources.dedup();
    Ok((tree, command, sources))
}

/// The host's files that match patterns.
fn kept(patterns: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for pattern in patterns {
        let refuse = |why: &dyn std::fmt::Display| {
            Error::new(format!("cannot keep {pattern}"))
                .because(why)
                .next("correct `keep`")
        };
        let paths = glob::glob(pattern).map_err(|error| refuse(&error))?;
        let before = all.len();
        for path in paths {
            let path = path.map_err(|error| refuse(&error))?;
            if path.is_file() {
                all.push(
                    path.to_str()
                        .ok_or_else(|| refuse(&"a name is not UTF-8"))?
                        .to_owned(),
                );
            }
        }
        if all.len() == before {
            return Err(refuse(&"no file of this host matches"));
        }
    }
    Ok(all)
}

/// The directories that the host's loader was told of.
fn configured(file: &Path, depth: usize) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut all = Vec::new();
    for line in text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
    {
        match line.strip_prefix("include ") {
            Some(pattern) if depth < 4 => {
                let base = file.parent().unwrap_or(Path::new("/"));
                let pattern = base.join(pattern.trim());
                let files = pattern
                    .to_str()
                    .and_then(|pattern| glob::glob(pattern).ok());
                for file in files.into_iter().flatten().flatten() {
                    all.extend(configured(&file, depth + 1));
                }
            }
            None if line.starts_with('/') => all.push(line.to_owned()),
            _ => {}
        }
    }
    all
}

/// Which installed packages these files are of; empty on a host without dpkg.
fn owners(paths: &BTreeSet<String>) -> BTreeMap<String, Source> {
    let ask = |arguments: &[&str], more: &mut dyn Iterator<Item = PathBuf>| {
        let output = Command::new("dpkg-query")
            .env("LC_ALL", "C")
            .args(arguments)
            .args(more)
            .output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    };
    // dpkg knows a file by the path it was packed with, on either side of /usr.
    let both = |path: &String| {
        [
            path.clone(),
            format!("/usr{path}"),
            path.trim_start_matches("/usr").to_owned(),
        ]
    };
    let real = |path: &String| {
        std::fs::canonicalize(path)
            .ok()?
            .to_str()
            .map(str::to_owned)
    };
    let forms = |path: &String| {
        let real = real(path).unwrap_or_default();
        [both(path), both(&real)].concat()
    };
    let all: Vec<String> = paths
        .iter()
        .flat_map(forms)
        .filter(|path| path.starts_with('/'))
        .collect();
    let found = ask(&["-S"], &mut all.iter().map(PathBuf::from));
    let lines = found.lines().filter_map(|line| line.split_once(": "));
    let lines: BTreeMap<&str, &str> = lines
        .map(|(package, path)| (path, package.split([':', ',']).next().unwrap_or(package)))
        .collect();
    let packages: BTreeSet<&str> = lines.values().copied().collect();
    if packages.is_empty() {
        return BTreeMap::new();
    }
    let text = ask(
        &["-W", "-f", "${Package} ${Version}\n"],
        &mut packages.iter().map(PathBuf::from),
    );
    let versions: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let owner = |path: &String| {
        let package = *forms(path)
            .iter()
            .find_map(|form| lines.get(form.as_str()))?;
        let version = versions.get(package)?;
        let source = Source {
            name: package.to_owned(),
            version: Some((*version).to_owned()),
            sha256: None,
            kind: SourceKind::Debian,
        };
        Some((path.clone(), source))
    };
    paths.iter().filter_map(owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_brings_its_libraries() {
        let own = std::env::current_exe().expect("this program");
        let (tree, command, _) = root(&own, "bin/self", &[]).expect("builds");
        assert!(tree.content(&command).is_some());
        for library in [
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/libc.so.6",
        ] {
            assert!(tree.content(library).is_some(), "{library}");
        }
        let again = closure::follow(&tree, &BTreeSet::from([command]), &[]);
        assert!(again.missing.is_empty(), "{:?}", again.missing);
    }

    #[test]
    fn what_is_no_program_comes_alone_and_what_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let script = dir.path().join("run");
        std::fs::write(&script, "#!/no/such/shell\n").expect("script");
        let error = root(&script, "run", &[])
            .expect_err("no interpreter")
            .to_string();
        assert!(error.contains("/no/such/shell"), "{error}");
        let error = root(&dir.path().join("gone"), "gone", &[])
            .expect_err("gone")
            .to_string();
        assert!(error.contains("correct `program`"), "{error}");
        let error = kept(&["/no/such/*".into()])
            .expect_err("nothing")
            .to_string();
        assert!(error.contains("no file of this host"), "{error}");
    }
}
