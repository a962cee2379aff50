//! Images of the example clusters, of copies of them in which some words differ, and of what
//! `kodo import` makes of old files.
//!
//! Owns where they are built. A variant is built once per run of the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use kodo_image::cache::Cache;
use kodo_image::progress::Silent;
use kodo_image::{Request, build, program};
use kodo_qemu::WitnessProgram;

/// A cluster file with some of its words replaced: `(old, new)` pairs.
pub type Variant = &'static [(&'static str, &'static str)];

/// A cluster of `image/examples`, or a variant of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cluster {
    file: &'static str,
    pub(crate) voter: Option<&'static str>,
    /// Of the services behind the VIPs.
    pub(crate) ports: &'static [u16],
    words: Variant,
    /// What `kodo import` is told instead, in the directory of its samples.
    imported: &'static [&'static str],
}

/// The pair that most scenarios run on.
pub const PAIR: Cluster = Cluster::of("web.toml", None);
/// Three nodes of which two decide.
pub const THREE: Cluster = Cluster::of("three.toml", None);
/// Two nodes, and a third that votes and runs nothing.
pub const VOTER: Cluster = Cluster::of("voter.toml", Some("node3"));

/// Three nodes with an instance each, of which one is promoted.
pub const PROMOTABLE: Cluster = Cluster::of("promotable.toml", None);

/// A pair that asks a witness.
pub const WITNESS: Cluster = Cluster::of("witness.toml", None);

/// Three services and a spare machine for all of them.
pub const N_PLUS_ONE: Cluster = Cluster::of("nplus1.toml", None).serving(&[80, 81, 82]);
/// Two services, each at home on one node and a guest on the other.
pub const MUTUAL: Cluster = Cluster::of("mutual.toml", None).serving(&[80, 81]);

/// What a Heartbeat 1 pair becomes: its files, and what they do not say.
pub const FROM_HEARTBEAT: Cluster = Cluster {
    imported: &[
        "made-heartbeat-pair/ha.cf",
        "made-heartbeat-pair/haresources",
        "made-heartbeat-pair/authkeys",
        "--gateway=192.168.0.1",
        "--machine=alpha=192.168.0.18/24,52:54:00:00:01:01,52:54:00:00:01:02",
        "--machine=beta=192.168.0.19/24,52:54:00:00:02:01,52:54:00:00:02:02",
    ],
    words: &[("[cluster]\n", OPERATOR)],
    ..Cluster::of("made-heartbeat-pair", None)
};

/// What a CIB of Heartbeat 2 becomes. It says nothing of timing, and the lab is slow.
pub const FROM_CIB: Cluster = Cluster {
    imported: &[
        "made-cib-heartbeat2/cib.xml",
        "--gateway=192.168.0.1",
        "--machine=node1=192.168.0.18/24,52:54:00:00:01:01,52:54:00:00:01:02",
        "--machine=node2=192.168.0.19/24,52:54:00:00:02:01,52:54:00:00:02:02",
    ],
    words: &[
        ("split_brain =", "profile = \"lab\"\nsplit_brain ="),
        ("[cluster]\n", OPERATOR),
    ],
    ..Cluster::of("made-cib-heartbeat2", None)
};

/// The examples' operator, by whose token stories ask the nodes.
const OPERATOR: &str = "[admin]
port = 5580

[[admin.token]]
name = \"operator\"
sha256 = \"f1949bfbff34061457ffa7ce51d172d8a25882868e9ef2a472ff9bc525a098f3\"

[cluster]
";

/// The witness of a story has just begun like its nodes; what it forgot is over after W.
const HOLD_OFF: &str = "3s";

impl Cluster {
    const fn of(file: &'static str, voter: Option<&'static str>) -> Self {
        Self {
            file,
            voter,
            ports: &[80],
            words: &[],
            imported: &[],
        }
    }

    /// The same with as many VIPs, and services on these ports behind them.
    #[must_use]
    pub const fn serving(self, ports: &'static [u16]) -> Self {
        Self { ports, ..self }
    }

    /// The same with some words replaced.
    #[must_use]
    pub const fn with(self, words: Variant) -> Self {
        Self { words, ..self }
    }
}

/// The root of the checkout.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/lab lies two levels below the root")
}

/// A cluster's file.
pub(crate) fn text(cluster: Cluster) -> String {
    let mut text = if cluster.imported.is_empty() {
        let example = workspace().join("image/examples").join(cluster.file);
        std::fs::read_to_string(example).expect("the example cluster file")
    } else {
        import(cluster.imported)
    };
    for (old, new) in cluster.words {
        assert!(text.contains(old), "the cluster file does not say `{old}`");
        text = text.replace(old, new);
    }
    text
}

/// What the real command makes of old files.
fn import(words: &[&str]) -> String {
    let made = Command::new(command())
        .arg("import")
        .args(words)
        .current_dir(workspace().join("init/import/samples"))
        .output()
        .expect("the command runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "kodo import {words:?}: {said}");
    String::from_utf8(made.stdout).expect("a cluster file")
}

/// Builds a cluster's image; its `boot.json`.
///
/// # Panics
/// When a word to be replaced is not in the example, or the image cannot be built.
#[must_use]
pub fn boot_json(cluster: Cluster) -> PathBuf {
    static BUILT: LazyLock<Mutex<BTreeMap<Cluster, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(boot) = built.get(&cluster) {
        return boot.clone();
    }
    let text = text(cluster);
    let out = workspace().join(format!("target/lab/{}", built.len()));
    std::fs::create_dir_all(&out).expect("a directory for the image");
    let file = out.join("cluster.toml");
    std::fs::write(&file, text).expect("the variant's cluster file");
    let (request, _) =
        Request::of_cluster(workspace(), &file, &out).unwrap_or_else(|error| panic!("{error}"));
    let cache = Cache::user().unwrap_or_else(|error| panic!("{error}"));
    let done = build(&request, &cache, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    built.insert(cluster, done.boot.clone());
    done.boot
}

/// The file that a cluster's image was built from.
#[must_use]
pub(crate) fn cluster_file(cluster: Cluster) -> PathBuf {
    boot_json(cluster).with_file_name("cluster.toml")
}

/// The real `kodo` command.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub(crate) fn command() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = program::build(workspace(), &program::COMMAND, &mut Silent);
        program.unwrap_or_else(|error| panic!("{error}"))
    });
    BUILT.clone()
}

/// The witness of a cluster: the real program, told by the cluster's own file.
#[must_use]
pub(crate) fn witness(cluster: Cluster) -> WitnessProgram {
    let file = cluster_file(cluster).display().to_string();
    let words = ["witness", "--hold-off", HOLD_OFF, "--cluster", &file];
    WitnessProgram {
        program: command(),
        arguments: words.map(str::to_owned).to_vec(),
    }
}
