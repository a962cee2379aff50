//! The cluster file and the files of secrets beside it.

use std::path::Path;

use kodo_config::cluster::ServiceKind;
use kodo_config::report::{self, Style};
use kodo_config::start::Start;
use kodo_config::{Cluster, Severity, explain, secrets};
use kodo_node::Node;

use super::Target;

/// Cluster files.
pub const CLUSTER: Target = Target {
    name: "config-cluster",
    run: run_cluster,
    examples: files,
    words: &[
        b"[[node]]\n",
        b"[[node.nic]]\n",
        b"[timing]\n",
        b"[[vip]]\n",
        b"[[group]]\n",
        b"= \"0ms\"\n",
        b"= 18446744073709551615\n",
        b"= -1\n",
        b"\"99999999999999999999d\"",
        b"\"::ffff:192.168.0.1/129\"",
        b"\"\"",
        b"[]",
        b"{}",
        b"'''",
        "\u{e9}\u{1f493}\u{202e}".as_bytes(),
        b"\r\n",
        b"\t",
        b"#",
        b"\0",
    ],
    longest: 16 * 1024,
    inputs: 400,
};

/// Key and token files.
pub const SECRETS: Target = Target {
    name: "config-secrets",
    run: run_secrets,
    examples: || {
        let key = "6578616d706c6521206e6576657220757365206f7574736964652061206c6162\n";
        vec![
            key.into(),
            format!("# the new one\n{key}\n{key} # the old one\n").into_bytes(),
            secrets::token_line("operator", "a token").into_bytes(),
        ]
    },
    words: &[
        b"\n",
        b"#",
        b" ",
        b"\t",
        b"\r\n",
        "\u{e9}".as_bytes(),
        b"0000000000000000",
    ],
    longest: 1024,
    inputs: 20_000,
};

/// Recipes.
pub const RECIPE: Target = Target {
    name: "config-recipe",
    run: run_recipe,
    examples: || {
        let ready = kodo_config::recipe::READY.iter();
        ready.map(|(_, text)| text.as_bytes().to_vec()).collect()
    },
    words: &[
        b"program = \"x\"\n",
        b"oci = \"x\"\n",
        b"debian = [\"x1\"]\n",
        b"[probe]\n",
        b"environment = { A = \"\" }\n",
        b"user = 0\n",
        b"\"/..\"",
        b"[]",
        b"\0",
    ],
    longest: 8 * 1024,
    inputs: 400,
};

/// The commented example that ships.
pub(crate) fn example() -> &'static str {
    include_str!("../../../../image/examples/web.toml")
}

fn run_cluster(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let load = |_, path: &str| match path {
        "missing" => Err("no such file".into()),
        _ => Ok(path.to_owned()),
    };
    match Cluster::parse("cluster.toml", &text, &load) {
        Ok(cluster) => {
            check_notes(&cluster.notes, &text);
            let _ = explain::timing(&cluster);
            for node in &cluster.nodes {
                // The parts assert what was promised to them: nothing more to check.
                let config = cluster.node(&node.name).expect("it is in the file");
                let _ = Node::new(config, 1, 1, core::time::Duration::ZERO);
            }
            let again = Cluster::parse("cluster.toml", &text, &load).expect("accepted before");
            assert_eq!(again.file_hash(), cluster.file_hash());
        }
        Err(items) => {
            let error = |item: &kodo_config::Diagnostic| item.severity == Severity::Error;
            assert!(items.iter().any(error), "refused without a reason");
            check_notes(&items, &text);
        }
    }
}

fn run_recipe(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = example().replace("kind = \"builtin\"", "recipe = \"./r\"");
    let load = |_, _: &str| Ok(text.clone().into_owned());
    if let Ok(cluster) = Cluster::parse("cluster.toml", &file, &load) {
        let ServiceKind::Root(root) = &cluster.services[0].kind else {
            panic!("a recipe makes a root")
        };
        assert!(
            !root
                .writable
                .iter()
                .any(|path| path == "/" || path.contains(".."))
        );
        let known = Start {
            entrypoint: vec!["/x".into()],
            ..Start::default()
        };
        root.launch(&known).expect("bounded when it was checked");
    }
}

fn check_notes(items: &[kodo_config::Diagnostic], text: &str) {
    for style in [Style::Plain, Style::Terminal] {
        let drawn = report::render(items, text, style);
        assert_eq!(drawn.is_empty(), items.is_empty());
    }
    let _ = report::summary(items);
}

fn run_secrets(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(keys) = secrets::parse_keys(&text) {
        assert!((1..=2).contains(&keys.len()));
    }
    let tokens = secrets::parse_tokens(&text).unwrap_or_default();
    let names: std::collections::BTreeSet<_> = tokens.iter().map(|token| &token.name).collect();
    assert_eq!(names.len(), tokens.len(), "two tokens with one name");
}

/// The shipped example, and every good and bad file that the configuration's own tests use.
fn files() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../init/config/tests");
    let mut paths: Vec<_> = ["good", "bad"]
        .iter()
        .flat_map(|kind| std::fs::read_dir(tests.join(kind)).expect("the configuration's tests"))
        .map(|file| file.expect("a directory that can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    let files = paths
        .iter()
        .map(|path| std::fs::read(path).expect("a file that can be read"));
    files.chain([example().as_bytes().to_vec()]).collect()
}
