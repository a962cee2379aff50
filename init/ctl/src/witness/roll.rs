//! Which clusters a witness serves: lists of its own, and cluster files.
//!
//! Owns reading them. A cluster file is judged as everywhere, but its cluster key and
//! tokens are not asked for: a witness needs neither and should not have them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use kodo_config::{Cluster, Secret, Severity, secrets};
use kodo_engine::Key;
use serde::Deserialize;

/// Clusters of one witness. Each costs a few kilobytes and nothing while it is quiet.
const CLUSTERS: usize = 1_000;

/// One cluster to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// Its name.
    pub(super) name: String,
    /// Keys that nodes may sign with; an answer is signed as its question was.
    pub(super) keys: Vec<Key>,
    /// Names of its nodes, as far as known, in the order of its file.
    pub(super) nodes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    cluster: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    key: Option<String>,
    key_file: Option<String>,
    #[serde(default)]
    nodes: Vec<String>,
}

/// Reads all files.
pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Served>, String> {
    let mut all: Vec<Served> = Vec::new();
    for file in files {
        let file = file.as_ref();
        let read = read_one(file).map_err(|why| format!("{}: {why}", file.display()))?;
        all.extend(read);
    }
    if all.len() > CLUSTERS {
        return Err(format!(
            "{} clusters are more than the {CLUSTERS} that one witness serves",
            all.len()
        ));
    }
    let mut seen = HashSet::new();
    for cluster in &all {
        for key in &cluster.keys {
            if !seen.insert((Cluster::id_of(&cluster.name), key.0)) {
                return Err(format!(
                    "cluster {} is listed twice, or shares its key with another cluster of that \
                     name: their questions could not be told apart",
                    cluster.name
                ));
            }
        }
    }
    Ok(all)
}

fn read_one(file: &Path) -> Result<Vec<Served>, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
    if table.get("cluster").is_some_and(toml::Value::is_table) {
        return cluster_file(file, &text).map(|cluster| vec![cluster]);
    }
    let list: List = toml::from_str(&text).map_err(|error| format!("{error}"))?;
    list.cluster
        .into_iter()
        .map(|entry| {
            let name = entry.name.clone();
            listed(file, entry).map_err(|why| format!("cluster {name}: {why}"))
        })
        .collect()
}

fn listed(file: &Path, entry: Entry) -> Result<Served, String> {
    let keys = match (entry.key, entry.key_file) {
        (Some(key), None) => secrets::parse_keys(&key)?,
        (None, Some(path)) => {
            let path = file.with_file_name(path);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            secrets::parse_keys(&text).map_err(|why| format!("{}: {why}", path.display()))?
        }
        _ => return Err("wants either `key` or `key_file`".into()),
    };
    Ok(Served {
        name: entry.name,
        keys,
        nodes: entry.nodes,
    })
}

fn cluster_file(file: &Path, text: &str) -> Result<Served, String> {
    let here = secrets::beside(file);
    let load = |secret: Secret, path: &str| match secret {
        Secret::Witness | Secret::Recipe => here(secret, path),
        // Stand-ins of the right form; nothing here uses them.
        Secret::Key => Ok((0..32).map(|byte| format!("{byte:02x}")).collect()),
        Secret::Tokens => Ok(secrets::token_line("nobody", "nothing")),
    };
    let cluster = Cluster::parse(&file.display().to_string(), text, &load);
    let cluster = cluster.map_err(|diagnostics| {
        let errors = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error);
        errors
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    let witness = cluster
        .witness
        .ok_or("this cluster has no `[witness]` table: it would never ask")?;
    Ok(Served {
        keys: vec![witness.key],
        nodes: cluster.nodes.into_iter().map(|node| node.name).collect(),
        name: cluster.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn two() -> String {
        ONE.replace("00", "ff")
    }

    /// A directory with these files that goes away with the value.
    struct Files(PathBuf);

    impl Files {
        fn new(test: &str, files: &[(&str, &str)]) -> Files {
            let directory =
                std::env::temp_dir().join(format!("kodo-roll-{test}-{}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            for (name, text) in files {
                fs::write(directory.join(name), text).unwrap();
            }
            Files(directory)
        }

        fn read(&self, names: &[&str]) -> Result<Vec<Served>, String> {
            let paths: Vec<PathBuf> = names.iter().map(|name| self.0.join(name)).collect();
            read(&paths)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_list_names_clusters_keys_and_nodes() {
        let list = format!(
            "[[cluster]]\nname = \"web\"\nkey_file = \"web.key\"\nnodes = [\"a\", \"b\"]\n\
             [[cluster]]\nname = \"shop\"\nkey = \"{ONE}\"\n"
        );
        let keys = format!("{ONE}\n{}\n", two());
        let files = Files::new("list", &[("list.toml", &list), ("web.key", &keys)]);
        let served = files.read(&["list.toml"]).unwrap();
        assert_eq!((served[0].keys.len(), served[1].keys.len()), (2, 1));
        assert_eq!((&*served[0].name, &*served[1].name), ("web", "shop"));
        assert_eq!(served[0].nodes, ["a", "b"]);
    }

    #[test]
    fn a_cluster_file_needs_only_the_witness_key() {
        let example = include_str!("../../../../image/examples/web.toml");
        let file = example
            .replace("split_brain = \"ping\"", "split_brain = \"witness\"")
            .replace("ping = [\"192.168.0.1\"]\n", "")
            + "\n[witness]\naddress = \"192.168.0.5\"\nkey_file = \"witness.key\"\n";
        let files = Files::new("file", &[("web.toml", &file), ("witness.key", &two())]);
        let served = files.read(&["web.toml"]).unwrap();
        assert_eq!(served[0].name, "web");
        assert_eq!(served[0].nodes, ["node1", "node2"]);
        let files = Files::new("without", &[("web.toml", example)]);
        let why = files.read(&["web.toml"]).unwrap_err();
        assert!(why.contains("no `[witness]` table"), "{why}");
    }

    #[test]
    fn mistakes_are_named() {
        let entry = |rest: &str| format!("[[cluster]]\nname = \"web\"\n{rest}\n");
        let twice = entry(&format!("key = \"{ONE}\"")).repeat(2);
        for (text, expect) in [
            (entry(""), "either `key` or `key_file`"),
            (entry("key = \"12\""), "cluster web: line 1: 2 characters"),
            (entry("key_file = \"none.key\""), "none.key: No such file"),
            (entry("colour = 1"), "unknown field `colour`"),
            (twice, "listed twice"),
            ("cluster = 3".into(), "invalid type"),
            ("= 3".into(), "line 1"),
        ] {
            let files = Files::new("mistakes", &[("list.toml", &text)]);
            let why = files.read(&["list.toml"]).unwrap_err();
            assert!(why.contains(expect), "{why}");
        }
        let why = read(&["/no/such/file"]).unwrap_err();
        assert!(why.starts_with("/no/such/file: No such file"), "{why}");
    }

    #[test]
    fn one_name_with_two_keys_is_two_clusters() {
        let entry = |key: &str| format!("[[cluster]]\nname = \"web\"\nkey = \"{key}\"\n");
        let text = entry(ONE) + &entry(&two());
        let files = Files::new("names", &[("list.toml", &text)]);
        assert_eq!(files.read(&["list.toml"]).unwrap().len(), 2);
    }
}
