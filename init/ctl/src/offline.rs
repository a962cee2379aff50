//! What `kodo` does without a cluster: judge a cluster file, explain its timing, foretell
//! what it does, make secrets.
//!
//! Owns the printing and the files it writes; the judgement is `kodo_config`'s. Speaks to no
//! node. Never overwrites a key: the old one may be the only way to talk to a running cluster.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use kodo_admin::api::Status;
use kodo_config::report::{Style, load, summary};
use kodo_config::{Cluster, explain, secrets, words};

use crate::apply;
use crate::cli::Import;
use crate::run::{DONE, REFUSED};
use crate::simulate::{self, Simulate};

/// Random bytes of a token: 160 bits, 40 characters to copy.
const TOKEN_BYTES: usize = 20;
/// Read and written by its owner only.
const SECRET_MODE: u32 = 0o600;

/// `kodo check FILE`: prints what is wrong with it, or its remarks and one line about it.
pub(crate) fn check(path: &Path) -> u8 {
    read(path).map_or(REFUSED, |cluster| {
        print(&verdict(path, &cluster));
        DONE
    })
}

/// `kodo explain timing FILE`: prints every bound and where it comes from.
pub(crate) fn explain_timing(path: &Path) -> u8 {
    match load(path, style(io::stdout().is_terminal())) {
        Ok((cluster, _)) => {
            print(&explain::timing(&cluster));
            DONE
        }
        Err(drawn) => refuse(&drawn),
    }
}

/// `kodo simulate FILE`: prints what the cluster would do about each event, the running one
/// if there is its status.
pub(crate) fn simulate(asked: &Simulate, status: Option<&Status>) -> u8 {
    let style = style(io::stdout().is_terminal());
    let cluster = |path: &Path| load(path, style).map(|(cluster, _)| cluster);
    let told = cluster(&asked.file).and_then(|file| {
        simulate::tell(&file, status, asked, &cluster).map_err(|why| format!("kodo: {why}\n"))
    });
    match told {
        Ok(text) => {
            print(&text);
            DONE
        }
        Err(why) => refuse(&why),
    }
}

/// Reads a cluster file, or draws what is wrong with it, for `kodo apply`.
pub(crate) fn loaded(path: &Path) -> Result<Cluster, String> {
    load(path, style(io::stderr().is_terminal())).map(|(cluster, _)| cluster)
}

/// `kodo diff OLD NEW`: prints what differs, and whether nodes that run could go over to it.
pub(crate) fn diff(old: &Path, new: &Path) -> u8 {
    let (old, new) = match (loaded(old), loaded(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => return refuse(&why),
    };
    let (text, unfit) = apply::compare(&old, &new);
    print(&text);
    match unfit {
        Ok(()) => DONE,
        Err(why) => refuse(&format!("kodo: {why}\n")),
    }
}

/// `kodo import FILES`: writes a cluster file of other programs' files, and says on standard
/// error what was not carried over.
pub(crate) fn import(asked: &Import) -> u8 {
    let made = import_text(asked);
    let (text, draft) = match made {
        Ok(made) => made,
        Err(why) => return refuse(&format!("kodo: {why}\n")),
    };
    for note in draft.notes() {
        eprintln!("{note}");
    }
    let Some(output) = &asked.output else {
        print(&text);
        return DONE;
    };
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(output)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            print(&format!(
                "{0} is written. Look for REPLACE in it, then: kodo check {0}\n",
                output.display()
            ));
            DONE
        }
        Err(error) => refuse(&format!(
            "kodo: {} was not written: {error}; name a file that does not exist yet\n",
            output.display()
        )),
    }
}

fn import_text(asked: &Import) -> Result<(String, kodo_import::Draft), String> {
    let mut draft = kodo_import::Draft::default();
    for path in &asked.files {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| {
                // One byte more than is taken, so that a larger file is refused as such.
                file.take(kodo_import::TEXT_MAX as u64 + 1)
                    .read_to_end(&mut bytes)
            })
            .map_err(|error| format!("{name}: {error}; name a file that can be read"))?;
        kodo_import::read(&mut draft, &name, &bytes).map_err(|fault| fault.to_string())?;
    }
    let known = kodo_import::Known {
        nodes: asked.nodes.clone(),
        gateway: asked.gateway,
    };
    kodo_import::write(draft, &known)
}

/// `kodo keygen FILE`: writes a fresh cluster key to a file that does not exist yet.
pub(crate) fn keygen(path: &Path) -> u8 {
    let written = random::<32>().and_then(|key| create(path, &format!("{}\n", secrets::hex(&key))));
    match written {
        Ok(()) => {
            print(&format!(
                "{0} holds a fresh cluster key. Keep it out of version control, and write into \
                 `[cluster]`:\n\n    key_file = \"{0}\"\n\nrelative to the cluster file. All nodes need \
                 images with the same key; nodes that run change theirs by `kodo apply`.\n",
                path.display()
            ));
            DONE
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refuse(&format!(
            "kodo: {0} exists and is left as it is: it may be the key of a running cluster.\n\
             Name another file, or move {0} away first.\n",
            path.display()
        )),
        Err(error) => refuse(&format!(
            "kodo: no key was written to {}: {error}\n",
            path.display()
        )),
    }
}

/// `kodo keygen --token NAME [FILE]`: makes an operator's token and shows it once. Its hash
/// goes to the end of the tokens file, or is printed as a table for the cluster file.
pub(crate) fn keygen_token(name: &str, file: Option<&Path>) -> u8 {
    match make_token(name, file) {
        Ok(text) => {
            print(&text);
            DONE
        }
        Err(why) => refuse(&format!("kodo: no token was made: {why}\n")),
    }
}

fn make_token(name: &str, file: Option<&Path>) -> Result<String, String> {
    let token = random::<TOKEN_BYTES>().map_err(|error| error.to_string())?;
    let token = secrets::hex(&token);
    let line = secrets::token_line(name, &token);
    // The same reader as on a node judges the name.
    secrets::parse_tokens(&line)?;
    let mut text = String::new();
    match file {
        Some(file) => {
            add_line(file, &line)?;
            let _ = writeln!(
                text,
                "{} knows {name} from now on. Its token, shown only here:\n",
                file.display()
            );
            let _ = writeln!(text, "    {token}\n");
            let _ = writeln!(
                text,
                "Write into `[admin]` of the cluster file: tokens_file = \"{}\"",
                file.display()
            );
        }
        None => {
            let hash = secrets::hex(&secrets::sha256(&token));
            let _ = writeln!(
                text,
                "The token of {name}, shown only here:\n\n    {token}\n"
            );
            let _ = writeln!(text, "Write into the cluster file, below `[admin]`:\n");
            let _ = writeln!(
                text,
                "    [[admin.token]]\n    name = \"{name}\"\n    sha256 = \"{hash}\""
            );
        }
    }
    let _ = writeln!(
        text,
        "\nNodes accept it once they run that file: `kodo apply`, or an image built from it."
    );
    Ok(text)
}

/// Appends to a tokens file that stays one.
fn add_line(file: &Path, line: &str) -> Result<(), String> {
    let place = |error: io::Error| format!("{}: {error}", file.display());
    let mut text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(place(error)),
    };
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    text.push_str(gap);
    text.push_str(line);
    secrets::parse_tokens(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    let mut open = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(SECRET_MODE)
        .open(file)
        .map_err(place)?;
    open.write_all(format!("{gap}{line}").as_bytes())
        .map_err(place)
}

/// Reads a cluster file and prints its remarks, or what refuses it.
fn read(path: &Path) -> Option<Cluster> {
    match load(path, style(io::stdout().is_terminal())) {
        Ok((cluster, remarks)) => {
            print(&remarks);
            Some(cluster)
        }
        Err(drawn) => {
            refuse(&drawn);
            None
        }
    }
}

/// One line about an accepted file.
fn verdict(path: &Path, cluster: &Cluster) -> String {
    let nodes: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let paths: Vec<_> = cluster
        .paths
        .iter()
        .map(|path| path.name.as_str())
        .collect();
    let groups: Vec<_> = cluster
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    let remarks = match summary(&cluster.notes) {
        none if none.is_empty() => String::new(),
        some => format!(", with {some}"),
    };
    format!(
        "{} is accepted{remarks}: cluster {}, nodes {}, heartbeats on {}, groups {}; file {:016x}\n",
        path.display(),
        cluster.name,
        words::and(&nodes),
        paths.join(", "),
        if groups.is_empty() {
            "none".to_owned()
        } else {
            groups.join(", ")
        },
        cluster.file_hash(),
    )
}

fn style(terminal: bool) -> Style {
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colours {
        Style::Terminal
    } else {
        Style::Plain
    }
}

/// A new file that only its owner reads.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(SECRET_MODE)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Whoever reads it may have enough: a closed pipe is not worth a word.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn refuse(text: &str) -> u8 {
    let _ = io::stderr().lock().write_all(text.as_bytes());
    REFUSED
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("kodo-offline-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_fresh_private_and_never_overwritten() {
        let directory = scratch("key");
        let (one, two) = (directory.join("one.key"), directory.join("two.key"));
        assert_eq!((keygen(&one), keygen(&two)), (DONE, DONE));
        assert_eq!(mode(&one), SECRET_MODE);
        let (first, second) = (
            fs::read_to_string(&one).unwrap(),
            fs::read_to_string(&two).unwrap(),
        );
        assert_ne!(first, second);
        assert_eq!(secrets::parse_keys(&first).unwrap().len(), 1);
        assert_eq!(keygen(&one), REFUSED);
        assert_eq!(fs::read_to_string(&one).unwrap(), first);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let directory = scratch("token");
        let file = directory.join("operators.tokens");
        let shown = make_token("ada", Some(&file)).unwrap();
        fs::write(&file, fs::read_to_string(&file).unwrap().trim_end()).unwrap();
        make_token("bob", Some(&file)).unwrap();
        let kept = fs::read_to_string(&file).unwrap();
        let tokens = secrets::parse_tokens(&kept).unwrap();
        let token = shown
            .lines()
            .find(|line| line.starts_with("    "))
            .unwrap()
            .trim();
        assert_eq!(tokens[0].sha256, secrets::sha256(token));
        assert_eq!((tokens.len(), tokens[1].name.as_str()), (2, "bob"));
        assert!(!kept.contains(token));
        assert!(
            make_token("ada", Some(&file))
                .unwrap_err()
                .contains("already")
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), kept);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_token_can_go_into_the_cluster_file() {
        let shown = make_token("ada", None).unwrap();
        assert!(shown.contains("[[admin.token]]\n    name = \"ada\"\n    sha256 = \""));
        assert!(make_token("a b", None).is_err());
    }

    #[test]
    fn the_example_is_accepted_and_explained() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
        assert_eq!((check(&path), explain_timing(&path)), (DONE, DONE));
        let (cluster, _) = load(&path, Style::Plain).unwrap();
        let line = verdict(&path, &cluster);
        assert!(
            line.contains(
                "is accepted, with 2 warnings and 2 notes: cluster web, nodes node1 and node2"
            ),
            "{line}"
        );
        assert_eq!(check(Path::new("no-such-file.toml")), REFUSED);
    }
}
