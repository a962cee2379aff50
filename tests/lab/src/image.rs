//! Images of the example cluster, and of copies of it in which some words differ.
//!
//! Owns where they are built. A variant is built once per run of the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use kodo_image::cache::Cache;
use kodo_image::progress::Silent;
use kodo_image::{Request, build};

/// The example's cluster file with some of its words replaced: `(old, new)` pairs.
pub type Variant = &'static [(&'static str, &'static str)];

/// The root of the checkout.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/lab lies two levels below the root")
}

/// Builds a variant's image; its `boot.json`.
///
/// # Panics
/// When a word to be replaced is not in the example, or the image cannot be built.
#[must_use]
pub fn boot_json(variant: Variant) -> PathBuf {
    static BUILT: LazyLock<Mutex<BTreeMap<Variant, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(boot) = built.get(variant) {
        return boot.clone();
    }
    let mut text = std::fs::read_to_string(workspace().join("image/examples/web.toml"))
        .expect("the example cluster file");
    for (old, new) in variant {
        assert!(text.contains(old), "the example does not say `{old}`");
        text = text.replace(old, new);
    }
    let out = workspace().join(format!("target/lab/{}", built.len()));
    std::fs::create_dir_all(&out).expect("a directory for the image");
    let file = out.join("cluster.toml");
    std::fs::write(&file, text).expect("the variant's cluster file");
    let (request, _) =
        Request::of_cluster(workspace(), &file, &out).unwrap_or_else(|error| panic!("{error}"));
    let cache = Cache::user().unwrap_or_else(|error| panic!("{error}"));
    let done = build(&request, &cache, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    built.insert(variant, done.boot.clone());
    done.boot
}
