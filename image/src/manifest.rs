//! `manifest.json`: every file of the image with its origin, and how each service with a root
//! is started. Names secrets, shows none.

use crate::archive::{Node, Tree};
use crate::kernel::{self, Kernel, hex};
use crate::root;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The whole manifest.
#[derive(Debug, Serialize)]
pub struct Contents<'a> {
    schema: u32,
    kernel: &'a kernel::Origin,
    kernel_release: &'a str,
    services: Vec<Service<'a>>,
    files: Vec<Content<'a>>,
}

#[derive(Debug, Serialize)]
struct Service<'a> {
    name: &'a str,
    command: &'a [String],
    /// Names only: values may be secrets.
    environment: Vec<&'a str>,
    directory: &'a str,
    /// Absent: a user of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u32>,
    sources: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    path: String,
    mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    /// Of the content. For secrets too: a random key cannot be guessed back from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    origin: &'a str,
}

impl<'a> Contents<'a> {
    /// Of an image made of these.
    pub fn of(kernel: &'a Kernel, trees: &[&'a Tree], roots: &'a [root::Built]) -> Self {
        let mut files = Vec::new();
        for (path, entry) in trees.iter().flat_map(|tree| tree.entries()) {
            let (link, content) = match &entry.node {
                Node::File(content) => (None, Some(content)),
                Node::Symlink(target) => (Some(target.as_str()), None),
                Node::Directory | Node::CharDevice { .. } => continue,
            };
            files.push(Content {
                path: format!("/{path}"),
                mode: format!("{:04o}", entry.mode),
                link,
                size: content.map(|content| content.len()),
                sha256: content.map(|content| hex(&Sha256::digest(content.as_slice()))),
                origin: &entry.origin,
            });
        }
        Self {
            schema: 1,
            kernel: &kernel.origin,
            kernel_release: &kernel.release,
            services: roots.iter().map(service).collect(),
            files,
        }
    }
}

fn service(root: &root::Built) -> Service<'_> {
    let names = root
        .launch
        .environment
        .iter()
        .filter_map(|pair| pair.split('=').next());
    let source = |source: &root::Source| match &source.version {
        Some(version) => format!("{} {version}", source.name),
        None => source.name.clone(),
    };
    Service {
        name: &root.name,
        command: &root.launch.arguments,
        environment: names.collect(),
        directory: &root.launch.directory,
        user: root.launch.identity.as_ref().map(|identity| identity.user),
        sources: root.sources.iter().map(source).collect(),
    }
}
