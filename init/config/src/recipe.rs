//! Recipes: what a program that many people run needs in the image, so that a cluster file
//! need not say it.
//!
//! A recipe is a directory with `recipe.toml`, whose keys are defaults of a `[[service]]`,
//! and `overlay/`, whose files go into the service's root. Some are ready; who wants another
//! one copies a directory and names it by its path. Owns finding a recipe's text; the image
//! builder owns the overlays.

use crate::cluster::Recipe;
use crate::leaf::{nearest, one_of};
use crate::secrets::{self, Loader, Secret};

/// The ready recipes, by name, and their texts.
pub const READY: [(&str, &str); 6] = [
    (
        "apache",
        include_str!("../../../image/recipes/apache/recipe.toml"),
    ),
    (
        "haproxy",
        include_str!("../../../image/recipes/haproxy/recipe.toml"),
    ),
    (
        "nginx",
        include_str!("../../../image/recipes/nginx/recipe.toml"),
    ),
    (
        "ocf-apache",
        include_str!("../../../image/recipes/ocf-apache/recipe.toml"),
    ),
    (
        "ocf-dummy",
        include_str!("../../../image/recipes/ocf-dummy/recipe.toml"),
    ),
    (
        "ocf-stateful",
        include_str!("../../../image/recipes/ocf-stateful/recipe.toml"),
    ),
];

/// A recipe's file in its directory.
const FILE: &str = "recipe.toml";

impl Recipe {
    /// What the cluster file names: a ready recipe by a bare word, a directory by a path.
    pub(crate) fn named(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Directory(text.trim_end_matches('/').into()));
        }
        let names = || READY.iter().map(|(name, _)| *name);
        if names().any(|name| name == text) {
            return Ok(Self::Ready(text.into()));
        }
        let ready = one_of(names());
        Err(match nearest(text, names()) {
            Some(near) => format!("did you mean \"{near}\"? Ready are {ready}"),
            None => format!(
                "write {ready}, or the path of a recipe's directory with a slash: \"./mine\""
            ),
        })
    }

    /// Its text, and how messages call its file.
    pub(crate) fn text(&self, load: Loader<'_>) -> Result<(String, String), String> {
        match self {
            Self::Ready(name) => {
                let ready = READY.iter().find(|(known, _)| known == name);
                let text = ready.map_or("", |(_, text)| text);
                Ok((text.to_owned(), format!("{name}/{FILE}")))
            }
            Self::Directory(path) => {
                let file = format!("{path}/{FILE}");
                Ok((load(Secret::Recipe, &file)?, file))
            }
        }
    }

    /// A path that the recipe writes, as one of the cluster file.
    pub(crate) fn beside(&self, path: String) -> String {
        match self {
            Self::Directory(directory) if !path.starts_with('/') => format!("{directory}/{path}"),
            _ => path,
        }
    }
}

/// Under which name an image carries the recipe that the cluster file's loader was asked for
/// by `path`.
#[must_use]
pub fn carried(path: &str) -> String {
    format!(
        "recipe-{}.toml",
        &secrets::hex(&secrets::sha256(path))[..16]
    )
}
