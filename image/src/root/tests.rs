//! Roots from images and programs, put together with overlays and files.

use super::*;
use crate::progress::Silent;

fn tree() -> Tree {
    let mut tree = merged();
    tree.file("usr/lib/a/mod_x.so", 0o644, b"x".to_vec(), "p 1");
    tree.file("usr/lib/a/mod_y.so", 0o644, b"y".to_vec(), "p 1");
    tree.file("usr/lib/a/deep/z.so", 0o644, b"z".to_vec(), "p 1");
    tree.symlink("usr/lib/b", "a/mod_x.so", "p 1");
    tree
}

fn matches(pattern: &str) -> (Vec<String>, Vec<String>) {
    let patterns = Patterns::new(&[pattern.to_owned()]).expect("a pattern");
    let (kept, unmatched) = patterns.matches(&tree());
    (kept.into_iter().collect(), unmatched)
}

#[test]
fn patterns_match_within_names_by_either_path() {
    let both = vec!["usr/lib/a/mod_x.so".to_owned(), "usr/lib/a/mod_y.so".into()];
    assert_eq!(matches("/usr/lib/a/*.so"), (both.clone(), vec![]));
    assert_eq!(matches("/lib/a/mod_?.so"), (both, vec![]));
    assert_eq!(matches("/usr/lib/a/**/*.so").0.len(), 3);
    assert_eq!(matches("/usr/lib/a").0.len(), 3, "all of a directory");
    let linked = vec!["usr/lib/a/mod_x.so".to_owned(), "usr/lib/b".into()];
    assert_eq!(matches("/usr/lib/b"), (linked, vec![]));
    for nothing in ["/usr/lib/*.so", "/usr/lib/c", "/usr/bin"] {
        assert_eq!(matches(nothing).1, [nothing], "{nothing}");
    }
    assert!(Patterns::new(&["/a/[".into()]).is_err());
}

#[test]
fn overlays_win_and_stay_inside() {
    let mut root = tree();
    let mut over = Tree::default();
    over.file("lib/a/mod_x.so", 0o644, b"mine".to_vec(), "overlay");
    over.file(
        "usr/lib/a/mod_y.so/below",
        0o644,
        b"mine".to_vec(),
        "overlay",
    );
    lay_over(&mut root, &over);
    assert_eq!(
        root.content("usr/lib/a/mod_x.so").expect("x").as_slice(),
        b"mine"
    );
    assert_eq!(
        root.content("usr/lib/a/mod_y.so/below")
            .expect("y")
            .as_slice(),
        b"mine"
    );
    assert!(matches!(
        root.get("lib").expect("lib").node,
        Node::Symlink(_)
    ));
}

#[test]
fn mount_points_are_no_links() {
    let mut root = tree();
    root.symlink("var/run", "/run", "p 1");
    root.directory("run", 0o755);
    mount_point(&mut root, "/run/web").expect("made");
    assert!(root.get("run/web").is_some());
    for (place, next) in [
        ("/var/run", "\"/run\""),
        ("/lib/a/mod_x.so", "/usr/lib/a/mod_x.so"),
        ("/var/run/new", "without links"),
        ("/usr/lib/a/mod_x.so", "its directory"),
    ] {
        let error = mount_point(&mut root, place).expect_err(place).to_string();
        assert!(error.contains(next), "{error}");
    }
}

/// The cluster of an example with other words for its service.
fn wanted(dir: &Path, service: &str) -> Wanted {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/web.toml");
    let text = std::fs::read_to_string(example).expect("example");
    let file = dir.join("cluster.toml");
    std::fs::write(&file, text.replace("kind = \"builtin\"", service)).expect("cluster file");
    let (plan, _) = crate::plan::load(&file).unwrap_or_else(|error| panic!("{error}"));
    plan.roots.into_iter().next().expect("a root")
}

#[test]
fn a_program_a_recipe_and_files_become_a_root() {
    let dir = tempfile::tempdir().expect("directory");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("above")).expect("directory");
        std::fs::write(path, text).expect("file");
    };
    write("mine/bin/run", "#!/bin/sh\n");
    write(
        "mine/recipe.toml",
        "program = \"bin/run\"\nkeep = [\"/etc/ld.so.conf\"]\nwritable = [\"/run/x\"]\nfiles_at = \"/site\"\nenvironment = { A = \"1\", B = \"1\" }\n",
    );
    write("mine/overlay/etc/passwd", "who:x:4000:4001::/:\n");
    write("mine/overlay/etc/conf", "port @PORT@ of @NAME@\n");
    write("content/index.html", "hello");
    let service =
        "recipe = \"./mine\"\nfiles = \"content\"\nuser = \"who\"\nenvironment = { B = \"2\" }";
    let wanted = wanted(dir.path(), service);
    let cache = Cache::at(dir.path().join("cache"));
    let built = build(&wanted, &cache, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    let text =
        |path: &str| String::from_utf8_lossy(built.tree.content(path).expect(path)).into_owned();
    assert_eq!(text("/etc/conf"), "port 80 of web\n");
    assert_eq!(text("/site/index.html"), "hello");
    assert!(built.tree.content("/etc/ld.so.conf").is_some());
    assert!(
        built.tree.content("/bin/sh").is_some(),
        "the script's interpreter"
    );
    assert!(built.tree.get("run/x").is_some() && built.tree.get("proc").is_some());
    assert_eq!(built.launch.command, "/usr/bin/run");
    assert!(
        built.launch.environment.contains(&"A=1".into())
            && built.launch.environment.contains(&"B=2".into())
    );
    assert_eq!(
        built
            .launch
            .identity
            .as_ref()
            .map(|who| (who.user, who.group)),
        Some((4000, 4001))
    );
    assert_eq!(
        Start::from_bytes(&built.start.to_bytes()),
        Ok(built.start.clone())
    );
    assert!(Start::from_bytes(b"\xff\xff").is_err());
    let again = build(&wanted, &cache, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        again.tree.to_cpio().expect("one"),
        built.tree.to_cpio().expect("two"),
        "equal inputs, equal bytes"
    );
}

#[test]
fn what_cannot_start_is_refused() {
    let launch = |command: &str, directory: &str| Launch {
        command: command.into(),
        arguments: vec![],
        environment: vec![],
        directory: directory.into(),
        identity: None,
    };
    let mut root = tree();
    root.file("usr/bin/run", 0o755, vec![], "a");
    startable(&root, &launch("/bin/run", "/")).expect("starts");
    for (command, directory, why) in [
        ("/bin/gone", "/", "not in the root"),
        ("/lib/a/mod_x.so", "/", "not executable"),
        ("/usr/bin", "/", "no file"),
        ("/bin/run", "/gone", "no such directory"),
    ] {
        let error = startable(&root, &launch(command, directory))
            .expect_err(why)
            .to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn commands_are_found_as_a_shell_would() {
    let mut root = merged();
    root.file("usr/bin/node", 0o755, vec![], "a");
    root.file("app/run", 0o755, vec![], "a");
    let found = |command: &str| looked_up(&root, command, "/opt/bin:/bin", "/app");
    assert_eq!(found("node").as_deref(), Some("/bin/node"));
    assert_eq!(found("./run").as_deref(), Some("/app/./run"));
    assert_eq!(found("/x").as_deref(), Some("/x"));
    assert_eq!(found("gone"), None);
}
