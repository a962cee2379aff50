//! A service's own root directory: from its origin, its recipe's overlay and its files to a
//! tree, and to what is started in it.
//!
//! Order: the origin ([`debian`], [`oci`], [`host`]), then the overlay, then the files, each
//! over what was there; then the directories that the node mounts something on. What is
//! started must be there in the end. Equal inputs give equal trees.

pub mod closure;
pub mod debian;
pub mod elf;
pub mod host;
pub mod identity;
pub mod oci;
pub mod recipes;
pub mod unpack;

use crate::archive::{Entry, Node, Tree};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::plan::add_directory;
use crate::progress::Progress;
use kodo_config::cluster::{Agent, Cluster, Origin, Root, Service, ServiceKind};
use kodo_config::start::{Launch, Start};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A service that has a root.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its TCP port, for overlays.
    pub port: u16,
    /// What the cluster file and its recipe say.
    pub root: Root,
    /// Its files, and how the cluster file calls them.
    pub files: Option<String>,
    /// The cluster file's directory.
    pub base: PathBuf,
}

/// A service's root.
#[derive(Clone, Debug)]
pub struct Built {
    /// The service's name.
    pub name: String,
    /// Its files.
    pub tree: Tree,
    /// What the image must remember of how it is started.
    pub start: Start,
    /// How it is started.
    pub launch: Launch,
    /// What it is made from, apart from the operator's own files.
    pub sources: Vec<Source>,
}

/// Something with a version that files came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of what was taken, in hex.
    pub sha256: Option<String>,
    /// What it is.
    pub kind: SourceKind,
}

/// What a [`Source`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A Debian package.
    Debian,
    /// A container image.
    Oci,
    /// A program of the operator's.
    Program,
}

/// The services of a cluster that have a root. `base` is the cluster file's directory.
pub fn wanted(cluster: &Cluster, base: &Path) -> Vec<Wanted> {
    let want = |service: &Service| match &service.kind {
        ServiceKind::Builtin => None,
        ServiceKind::Root(root) => Some(Wanted {
            name: service.name.clone(),
            port: service.port,
            root: (**root).clone(),
            files: service.files.as_ref().map(|files| files.get_ref().clone()),
            base: base.to_owned(),
        }),
    };
    cluster.services.iter().filter_map(want).collect()
}

/// Builds a service's root.
///
/// # Errors
/// Says which step failed, and what to do about it.
pub fn build(wanted: &Wanted, cache: &Cache, progress: &mut dyn Progress) -> Result<Built> {
    let name = &wanted.name;
    let of_service = |error: Error| error.within(&format!("service {name}"));
    raw(wanted, cache, progress).map_err(of_service)
}

fn raw(wanted: &Wanted, cache: &Cache, progress: &mut dyn Progress) -> Result<Built> {
    let root = &wanted.root;
    let mut over = match &root.recipe {
        Some(recipe) => recipes::overlay(recipe, &wanted.base, &wanted.name, wanted.port)?,
        None => Tree::default(),
    };
    if let (Some(directory), Some(at)) = (&wanted.files, &root.files_at) {
        let mut files = Vec::new();
        add_directory(&wanted.base.join(directory), directory, at, &mut files)?;
        for file in files {
            put(&mut over, &file.path, file.mode, file.content, &file.origin)?;
        }
    }
    for (from, to) in &root.links {
        link(&mut over, from, to)?;
    }
    let mut start = Start::default();
    let (mut tree, sources) = match root.origin.get_ref() {
        Origin::Debian(packages) => {
            let keep = Patterns::new(&root.keep)?;
            let asked = debian::Wanted {
                packages,
                keep: &keep,
                command: root.command.as_deref().unwrap_or_default(),
                overlay: &over,
            };
            debian::root(&asked, cache, progress)?
        }
        Origin::Program(program) => {
            progress.begin(&format!("gather what {program} needs"), None);
            let (tree, command, mut sources) =
                host::root(&wanted.base.join(program), program, &root.keep)?;
            progress.end(&crate::report::size(tree.size()));
            start.entrypoint = vec![command];
            sources.push(Source {
                name: program.clone(),
                version: None,
                sha256: None,
                kind: SourceKind::Program,
            });
            (tree, sources)
        }
        Origin::Oci(file) => {
            let (tree, known, source) = container(&wanted.base.join(file), file, progress)?;
            start = known;
            (tree, vec![source])
        }
    };
    lay_over(&mut tree, &over);
    if root.agent.is_some() {
        runner(&mut tree)?;
    }
    for place in ["/dev", "/proc"]
        .into_iter()
        .chain(root.writable.iter().map(String::as_str))
    {
        mount_point(&mut tree, place)?;
    }
    if let Some(user) = &root.user {
        let identity = identity::of_file(&tree, user).map_err(|why| {
            Error::new("cannot use `user`")
                .because(why)
                .next("write a number, or put an etc/passwd with that user into the service's `files` or a recipe's overlay")
        })?;
        start.identity = Some(identity);
    }
    let launch = root.launch(&start).map_err(|why| {
        Error::new("cannot start it")
            .because(why)
            .next("add `command` to the service")
    })?;
    startable(&tree, &launch)?;
    Ok(Built {
        name: wanted.name.clone(),
        tree,
        start,
        launch,
        sources,
    })
}

/// Reads a container image.
fn container(
    path: &Path,
    shown: &str,
    progress: &mut dyn Progress,
) -> Result<(Tree, Start, Source)> {
    let refuse = |why: &dyn std::fmt::Display| Error::file("use the container image", path, why);
    let file = std::fs::File::open(path).map_err(|error| {
        refuse(&error).next("correct `oci`; it is relative to the cluster file")
    })?;
    progress.begin(&format!("unpack {shown}"), None);
    let step = |layer: usize, layers: usize| progress.item(&format!("layer {layer} of {layers}"));
    let image = oci::read(&mut std::io::BufReader::new(file), step).map_err(|fault| {
        refuse(&fault).next("save it again: `podman save`, `docker save` and `skopeo copy … oci-archive:FILE` write what is read here")
    })?;
    progress.end(&crate::report::size(image.tree.size()));
    let oci::Image {
        tree,
        run,
        name,
        digest,
        ..
    } = image;
    let mut command: Vec<String> = run.entrypoint.unwrap_or_default();
    let mut arguments = run.cmd.unwrap_or_default();
    if command.is_empty() && !arguments.is_empty() {
        command.push(arguments.remove(0));
    }
    let pairs = run.env.unwrap_or_default();
    let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
    let directory = run.working_dir.filter(|directory| !directory.is_empty());
    let mut start = Start {
        entrypoint: command,
        arguments,
        environment: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        directory,
        identity: None,
    };
    if let Some(first) = start.entrypoint.first_mut() {
        let path = start
            .environment
            .get("PATH")
            .map_or(kodo_config::start::PATH, String::as_str);
        let directory = start.directory.as_deref().unwrap_or("/");
        if let Some(found) = looked_up(&tree, first, path, directory) {
            *first = found;
        }
    }
    let user = run.user.unwrap_or_default();
    start.identity = identity::of_image(&tree, &user)
        .map_err(|why| refuse(&why).next("name another `user` in the cluster file"))?;
    if start.identity.is_none() {
        progress.note(&format!(
            "{shown} would run as root; it gets a user of its own instead"
        ));
    }
    let source = Source {
        name: name.unwrap_or_else(|| shown.to_owned()),
        version: Some(digest.clone()),
        sha256: digest.strip_prefix("sha256:").map(str::to_owned),
        kind: SourceKind::Oci,
    };
    Ok((tree, start, source))
}

/// A command as a shell would find it, as an absolute path.
fn looked_up(tree: &Tree, command: &str, path: &str, directory: &str) -> Option<String> {
    if command.starts_with('/') {
        return Some(command.to_owned());
    }
    let places: Vec<&str> = match command.contains('/') {
        true => vec![directory],
        false => path.split(':').collect(),
    };
    let mut found = places
        .into_iter()
        .map(|place| format!("{}/{command}", place.trim_end_matches('/')));
    found.find(|path| tree.content(path).is_some())
}

/// Puts a tree's files over another's.
pub(crate) fn lay_over(tree: &mut Tree, over: &Tree) {
    for (path, entry) in over.entries() {
        if entry.node == Node::Directory {
            continue;
        }
        // The overlay wins over a file that stands where it needs a directory.
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            let usable = tree
                .find(above)
                .is_some_and(|(_, entry)| entry.node == Node::Directory);
            if let (false, Some(blocked)) = (usable, tree.settle(above)) {
                tree.remove(&blocked);
            }
        }
        if let Some(at) = tree.settle(path) {
            tree.remove(&at);
            tree.insert(&at, entry.clone());
        }
    }
}

/// Puts one file into a root.
fn put(tree: &mut Tree, path: &str, mode: u32, content: Vec<u8>, origin: &str) -> Result<()> {
    let path = path.trim_start_matches('/');
    let at = tree.settle(path).ok_or_else(|| {
        Error::new(format!("cannot put {origin} at /{path}"))
            .because("a file stands where a directory is needed")
            .next("choose another place")
    })?;
    tree.file(&at, mode, content, origin);
    Ok(())
}

/// Makes a link between two places of a root.
fn link(tree: &mut Tree, from: &str, to: &str) -> Result<()> {
    let at = tree.settle(from.trim_start_matches('/')).ok_or_else(|| {
        Error::new(format!("cannot make the link {from}"))
            .because("a file stands where a directory is needed")
            .next("correct `links`")
    })?;
    tree.symlink(&at, to, "links");
    Ok(())
}

/// What an OCF agent needs of the node: its program's place in the root, under all its names.
/// Whatever a package has there is real Pacemaker, and of no use here.
fn runner(tree: &mut Tree) -> Result<()> {
    put(
        tree,
        Agent::RUNNER,
        0o755,
        Vec::new(),
        "the node's own program",
    )?;
    for name in Agent::SCORE {
        if let Some(at) = tree.settle(name.trim_start_matches('/')) {
            tree.remove(&at);
        }
        link(tree, name, Agent::RUNNER)?;
    }
    Ok(())
}

/// Makes a directory that the node will mount something on. The node follows links from its
/// own root, not from the service's: there must be none on the way.
fn mount_point(tree: &mut Tree, place: &str) -> Result<()> {
    let path = place.trim_start_matches('/');
    let refuse = |why: String, next: String| {
        Error::new(format!("cannot make {place} a mount point"))
            .because(why)
            .next(next)
    };
    match tree.resolve(path) {
        Some(found) if found.path != path => Err(refuse(
            format!("it is a link to /{}", found.path),
            format!("write \"/{}\" in `writable` instead", found.path),
        )),
        Some(_) => match tree.get(path).map(|entry| &entry.node) {
            Some(Node::Directory) => Ok(()),
            _ => Err(refuse("it is a file".into(), "name its directory".into())),
        },
        None if tree.settle(path).as_deref() == Some(path) && tree.get(path).is_none() => {
            tree.directory(path, 0o755);
            Ok(())
        }
        None => Err(refuse(
            "a link on the way leads elsewhere".into(),
            "write the path without links".into(),
        )),
    }
}

/// Whether what is started is there and can be executed.
fn startable(tree: &Tree, launch: &Launch) -> Result<()> {
    let command = &launch.command;
    let next = match command.starts_with(Agent::ROOT) {
        true => {
            "correct `ocf`, or add what has that agent: of Debian's packages resource-agents or pacemaker-resource-agents"
        }
        false => "correct `command`; it is a path in the service's root",
    };
    let refuse = |why: &str| {
        Error::new(format!("cannot start {command}"))
            .because(why)
            .next(next)
    };
    match tree.find(command) {
        None => Err(refuse("it is not in the root")),
        Some((
            _,
            Entry {
                node: Node::File(_),
                mode,
                ..
            },
        )) if mode & 0o111 != 0 => Ok(()),
        Some((
            _,
            Entry {
                node: Node::File(_),
                ..
            },
        )) => Err(refuse("it is not executable")),
        Some(_) => Err(refuse("it is no file")),
    }?;
    match tree.find(&launch.directory) {
        Some((_, entry)) if entry.node == Node::Directory => Ok(()),
        None if launch.directory == "/" => Ok(()),
        _ => Err(
            Error::new(format!("cannot start {command} in {}", launch.directory))
                .because("the root has no such directory")
                .next("correct `directory`"),
        ),
    }
}

/// A root with the directories of a merged `/usr`, as Debian has them since version 12:
/// whichever of the two names a package or a program uses, it finds the same file.
pub(crate) fn merged() -> Tree {
    let mut tree = Tree::default();
    for name in ["bin", "lib", "lib64", "sbin"] {
        tree.directory(&format!("usr/{name}"), 0o755);
        tree.symlink(name, &format!("usr/{name}"), "layout");
    }
    tree
}

/// Patterns of kept files.
#[derive(Debug)]
pub struct Patterns(Vec<(String, glob::Pattern)>);

impl Patterns {
    /// Reads them.
    ///
    /// # Errors
    /// When one is no pattern.
    pub fn new(texts: &[String]) -> Result<Self> {
        let read = |text: &String| {
            let pattern = glob::Pattern::new(text).map_err(|error| {
                Error::new(format!("cannot keep {text}"))
                    .because(error)
                    .next("correct `keep`")
            })?;
            Ok((text.clone(), pattern))
        };
        texts.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// Paths of files and links that match, and the patterns that match nothing. A plain path
    /// of a directory means all of it.
    pub fn matches(&self, tree: &Tree) -> (BTreeSet<String>, Vec<String>) {
        const OPTIONS: glob::MatchOptions = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        let (mut kept, mut unmatched) = (BTreeSet::new(), Vec::new());
        let is_leaf = |path: &String| {
            tree.get(path)
                .is_some_and(|entry| entry.node != Node::Directory)
        };
        let is_file = |path: &String| {
            tree.get(path)
                .is_some_and(|entry| matches!(entry.node, Node::File(_)))
        };
        for (text, pattern) in &self.0 {
            let mut found: Vec<String> = match tree.resolve(text) {
                Some(found) => {
                    let below = tree.below(&found.path);
                    found
                        .links
                        .into_iter()
                        .chain([found.path])
                        .chain(below)
                        .collect()
                }
                None => {
                    let paths = tree.entries().map(|(path, _)| path.to_owned());
                    // The real path of a pattern below /bin, /lib or /sbin is below /usr.
                    let matched = |path: &String| {
                        let full = format!("/{path}");
                        let short = full
                            .strip_prefix("/usr")
                            .filter(|rest| tree.resolve(rest).is_some());
                        let is = |path: &str| pattern.matches_with(path, OPTIONS);
                        is(&full) || short.is_some_and(is)
                    };
                    paths.filter(matched).collect()
                }
            };
            found.retain(is_leaf);
            if !found.iter().any(is_file) {
                unmatched.push(text.clone());
            }
            kept.extend(found);
        }
        (kept, unmatched)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
