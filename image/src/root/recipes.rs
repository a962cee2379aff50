//! The overlays of recipes: configuration files that go into a service's root. Those of the
//! ready recipes are part of the program, so that it needs no checkout.

use super::put;
use crate::archive::Tree;
use crate::error::Result;
use crate::plan::{File, add_directory};
use kodo_config::cluster::Recipe;
use std::path::Path;

/// In an overlay's text files: the service's port and name.
const PORT: &str = "@PORT@";
const NAME: &str = "@NAME@";

macro_rules! overlay {
    ($($recipe:literal: $($path:literal),+;)+) => {
        &[$(($recipe, &[$((
            $path,
            include_bytes!(concat!("../../recipes/", $recipe, "/overlay/", $path)),
        )),+])),+]
    };
}

type Overlay = (&'static str, &'static [(&'static str, &'static [u8])]);

const READY: &[Overlay] = overlay! {
    "apache": "etc/apache2/apache2.conf", "var/www/html/index.html";
    "haproxy": "etc/haproxy/haproxy.cfg", "etc/haproxy/index.html";
    "nginx": "etc/nginx/nginx.conf", "var/www/html/index.html";
    "ocf-apache": "etc/apache2/apache2.conf", "etc/apache2/envvars", "var/www/html/index.html";
};

/// The overlay of a recipe for one service; `base` is the cluster file's directory.
///
/// # Errors
/// When a file of it cannot be read.
pub fn overlay(recipe: &Recipe, base: &Path, service: &str, port: u16) -> Result<Tree> {
    let files: Vec<File> = match recipe {
        Recipe::Ready(name) => {
            let known = READY.iter().find(|(known, _)| known == name);
            // Some need no files of their own.
            let files = known.map_or(&[][..], |(_, files)| files);
            let file = |(path, content): &(&str, &[u8])| File {
                path: (*path).to_owned(),
                mode: 0o644,
                content: content.to_vec(),
                origin: format!("recipe {name}"),
            };
            files.iter().map(file).collect()
        }
        Recipe::Directory(path) => {
            let directory = base.join(path).join("overlay");
            let mut files = Vec::new();
            if directory.is_dir() {
                add_directory(&directory, &format!("{path}/overlay"), "", &mut files)?;
            }
            files
        }
    };
    let mut tree = Tree::default();
    for file in files {
        let content = match String::from_utf8(file.content) {
            Ok(text) => text
                .replace(PORT, &port.to_string())
                .replace(NAME, service)
                .into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        put(&mut tree, &file.path, file.mode, content, &file.origin)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_every_file_of_the_ready_recipes() {
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        for (name, _) in kodo_config::recipe::READY {
            let ready = overlay(&Recipe::Ready(name.into()), Path::new(""), "web", 81).expect(name);
            let copied = Recipe::Directory(name.into());
            let copied = overlay(&copied, &recipes, "web", 81).expect(name);
            let paths = |tree: &Tree| tree.below("");
            assert_eq!(paths(&ready), paths(&copied), "{name}");
            let all: Vec<_> = paths(&ready)
                .iter()
                .filter_map(|path| ready.content(path))
                .map(|c| String::from_utf8_lossy(c).into_owned())
                .collect();
            assert!(
                all.is_empty() || all.iter().any(|text| text.contains("81")),
                "{name} serves on no port"
            );
            assert!(
                all.iter()
                    .all(|text| !text.contains(PORT) && !text.contains(NAME)),
                "{name}"
            );
        }
    }
}
