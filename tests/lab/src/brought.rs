//! Services that scenarios bring along, in every way in which somebody can: what is built from
//! the example pair, by umoci, or by the compiler of this host.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kodo_image::archive::{Node, Tree};
use kodo_image::cache::Cache;
use kodo_image::progress::Silent;
use kodo_image::{plan, root};

use crate::image::workspace;

/// The example pair with this service in it, as a file in a directory.
///
/// # Panics
/// When the example changed its words.
#[must_use]
pub fn pair_with(dir: &Path, service: &str) -> PathBuf {
    let example = workspace().join("image/examples/web.toml");
    let text = std::fs::read_to_string(example).expect("the example");
    let word = "kind = \"builtin\"                # the web server in the image\n";
    assert!(text.contains(word), "the example does not say `{word}`");
    let file = dir.join("cluster.toml");
    let text = text.replace(word, service);
    // an agent is asked by its monitor
    let text = match service.contains("ocf") {
        true => text.replace("\npath = ", "\n# path = "),
        false => text,
    };
    std::fs::write(&file, text).expect("a cluster file");
    file
}

/// Builds the only root of a cluster file.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn build(file: &Path) -> (root::Wanted, root::Built) {
    let (plan, _) = plan::load(file).unwrap_or_else(|error| panic!("{error}"));
    let [wanted] = &plan.roots[..] else {
        panic!("one service with a root")
    };
    let cache = Cache::user().unwrap_or_else(|error| panic!("{error}"));
    let built = root::build(wanted, &cache, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    (wanted.clone(), built)
}

/// Writes a root to disk.
///
/// # Panics
/// When the disk does not take it.
pub fn lay_out(tree: &Tree, at: &Path) {
    for (path, entry) in tree.entries() {
        let path = at.join(path);
        match &entry.node {
            Node::Directory => std::fs::create_dir_all(&path).expect("a directory"),
            Node::File(content) => {
                std::fs::write(&path, content.as_slice()).expect("a file");
                let mode = std::fs::Permissions::from_mode(entry.mode);
                std::fs::set_permissions(&path, mode).expect("its mode");
            }
            Node::Symlink(target) => symlink(target, &path).expect("a link"),
            Node::CharDevice { .. } => unreachable!("a root has no devices"),
        }
    }
}

/// Runs a tool of the host.
fn tool(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// A container image that umoci builds: nginx, which serves port 80, in one layer, a page and a
/// whiteout in the next ones. `image.tar` in the directory.
///
/// # Panics
/// When a tool is missing or fails.
pub fn container(dir: &Path) {
    let (_, nginx) = build(&pair_with(dir, "recipe = \"nginx\"\n"));
    let (root, page) = (dir.join("nginx"), dir.join("page"));
    std::fs::create_dir(&root).expect("a directory");
    lay_out(&nginx.tree, &root);
    std::fs::write(root.join("var/www/html/first.html"), "of the first layer").expect("a page");
    std::fs::write(&page, "from the second layer").expect("a page");
    let layout = dir.join("layout").display().to_string();
    let (image, page) = (format!("{layout}:web"), page.display().to_string());
    tool("umoci", &["init", "--layout", &layout]);
    tool("umoci", &["new", "--image", &image]);
    tool(
        "umoci",
        &[
            "insert",
            "--image",
            &image,
            &root.display().to_string(),
            "/",
        ],
    );
    tool(
        "umoci",
        &[
            "insert",
            "--image",
            &image,
            &page,
            "/var/www/html/index.html",
        ],
    );
    tool(
        "umoci",
        &[
            "insert",
            "--image",
            &image,
            "--whiteout",
            "/var/www/html/first.html",
        ],
    );
    let mut words = vec!["config", "--image", &image, "--config.entrypoint", "nginx"];
    for word in ["-e", "stderr", "-c", "/etc/nginx/nginx.conf"] {
        words.extend(["--config.cmd", word]);
    }
    words.extend([
        "--config.env",
        "PATH=/usr/sbin:/usr/bin",
        "--config.user",
        "4000:4001",
    ]);
    tool("umoci", &words);
    tool("umoci", &["gc", "--layout", &layout]);
    let archive = dir.join("image.tar").display().to_string();
    tool("tar", &["-C", &layout, "-cf", &archive, "."]);
}

/// Compiles [`PROGRAM`], statically linked: `server` in the directory.
///
/// # Panics
/// When the compiler is missing or fails.
pub fn program(dir: &Path) {
    let source = dir.join("server.rs");
    std::fs::write(&source, PROGRAM).expect("a source file");
    let (source, target) = (source.display().to_string(), dir.join("server"));
    let target = target.display().to_string();
    let words = ["--edition=2024", "-O", "-C", "target-feature=+crt-static"];
    let words = [&words[..], &["-o", &target, &source]].concat();
    tool("rustc", &words);
}

/// Serves its page at the port of its first argument and names its node, as the examples do.
const PROGRAM: &str = r#"
use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let node = std::env::var("KODO_NODE").unwrap_or_default();
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let listener = std::net::TcpListener::bind(("0.0.0.0", port.expect("a port")))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        // Whoever hangs up is not answered.
        let _ = stream.read(&mut [0; 1024]);
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Kodo-Node";
        let _ = write!(stream, "{head}: {node}\r\nContent-Length: 8\r\n\r\nmy page\n");
    }
    Ok(())
}
"#;
