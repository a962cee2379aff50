//! An operator with the real `kodo` and a cluster file of his own, beside a running story.
//!
//! Owns the files that are written for him, and where the program finds the nodes: their
//! addresses are on the lab's LAN, which this machine reaches only by its doors.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::image::{Cluster, Variant, command, text, workspace};
use crate::story::{Story, TOKEN};

/// What became of a command.
#[derive(Debug)]
pub struct Told {
    /// Its exit code.
    pub code: i32,
    /// Everything it said.
    pub text: String,
}

/// A directory with a cluster file and what it names.
#[derive(Debug)]
pub struct Desk {
    directory: PathBuf,
    cluster: Cluster,
    files: Cell<u32>,
}

impl Desk {
    /// An empty one for a story of this cluster.
    ///
    /// # Panics
    /// When there is no place for it.
    #[must_use]
    pub fn new(name: &str, cluster: Cluster) -> Desk {
        let directory = workspace().join("target/lab/desks").join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory for the operator");
        Desk {
            directory,
            cluster,
            files: Cell::new(0),
        }
    }

    /// Writes what a cluster file names: a key file, or a file that a service serves.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.directory.join(name);
        let parent = path.parent().expect("it lies in the directory");
        std::fs::create_dir_all(parent).expect("a directory");
        std::fs::write(&path, content).expect("written");
    }

    /// The story's cluster file with these words replaced, and this at its end: a new one.
    ///
    /// # Panics
    /// When it cannot be written, or does not say what is to be replaced.
    #[must_use]
    pub fn file(&self, words: Variant, more: &str) -> PathBuf {
        let number = self.files.get() + 1;
        self.files.set(number);
        let file = self.directory.join(format!("cluster-{number}.toml"));
        let content = text(self.cluster.with(words)) + more;
        std::fs::write(&file, content).expect("written");
        file
    }

    /// Runs `kodo WORDS FILE` against all nodes of the story.
    ///
    /// # Panics
    /// When the program cannot be built or started.
    #[must_use]
    pub fn kodo(story: &Story, words: &[&str], file: &Path) -> Told {
        let nodes = story.nodes();
        let places = nodes
            .iter()
            .map(|node| story.admin(node).address().to_string());
        let places: Vec<String> = places.collect();
        let done = Command::new(command())
            .args(words)
            .arg(file)
            .env("KODO_NODE", places.join(","))
            .env("KODO_TOKEN", TOKEN)
            .output()
            .expect("kodo runs");
        let text =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let told = Told {
            code: done.status.code().unwrap_or(-1),
            text: text.concat(),
        };
        story
            .lab
            .note(&format!("kodo {}: exit {}", words.join(" "), told.code));
        println!(
            "kodo {}: exit {}\n{}",
            words.join(" "),
            told.code,
            told.text
        );
        told
    }
}
