//! Archives as strangers write them.

use super::*;

/// One entry of a made-up archive.
pub(crate) struct Made<'a> {
    pub(crate) kind: tar::EntryType,
    pub(crate) path: &'a str,
    pub(crate) link: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) mode: u32,
}

pub(crate) fn file<'a>(path: &'a str, content: &'a [u8]) -> Made<'a> {
    Made {
        kind: tar::EntryType::Regular,
        path,
        link: "",
        content,
        mode: 0o644,
    }
}

fn of(kind: tar::EntryType, path: &'static str, link: &'static str) -> Made<'static> {
    Made {
        kind,
        path,
        link,
        content: b"",
        mode: 0o755,
    }
}

fn dir(path: &'static str) -> Made<'static> {
    of(tar::EntryType::Directory, path, "")
}

fn link(path: &'static str, target: &'static str) -> Made<'static> {
    of(tar::EntryType::Symlink, path, target)
}

/// An archive of these, whatever their names.
pub(crate) fn archive(entries: &[Made<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for made in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(made.kind);
        header.set_size(made.content.len() as u64);
        header.set_mode(made.mode);
        header.set_uid(7);
        header.set_gid(8);
        let gnu = header.as_gnu_mut().expect("gnu");
        gnu.name[..made.path.len()].copy_from_slice(made.path.as_bytes());
        gnu.linkname[..made.link.len()].copy_from_slice(made.link.as_bytes());
        header.set_cksum();
        builder.append(&header, made.content).expect("append");
    }
    builder.into_inner().expect("finish")
}

fn into(tree: &mut Tree, rules: Rules, entries: &[Made<'_>]) -> Result<(), Refused> {
    let mut room = Room::default();
    Unpacker::new(tree, &mut room, rules, "test").archive(archive(entries).as_slice())
}

/// Layers over each other; paths and contents of what is left.
fn layers(all: &[&[Made<'_>]]) -> Result<Vec<String>, Refused> {
    let mut tree = Tree::default();
    for layer in all {
        into(&mut tree, Rules::Layer, layer)?;
    }
    let shown = |(path, entry): (&str, &Entry)| match &entry.node {
        Node::Directory => format!("{path}/"),
        Node::File(content) => format!("{path}={}", String::from_utf8_lossy(content)),
        Node::Symlink(target) => format!("{path}->{target}"),
        Node::CharDevice { .. } => unreachable!("refused"),
    };
    Ok(tree.entries().map(shown).collect())
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    let base: &[_] = &[
        dir("etc/"),
        file("etc/a", b"1"),
        file("etc/ab", b"1"),
        file("b/c/d", b"1"),
    ];
    let one = layers(&[base, &[file("etc/.wh.a", b""), file("b/.wh.c", b"")]]);
    assert_eq!(one.expect("layers"), ["b/", "etc/", "etc/ab=1"]);
    // What the same layer brings stays, before and after.
    let opaque = layers(&[
        base,
        &[
            file("etc/new", b"2"),
            file("etc/.wh..wh..opq", b""),
            file("etc/deep/new", b"2"),
        ],
    ]);
    assert_eq!(
        opaque.expect("layers"),
        [
            "b/",
            "b/c/",
            "b/c/d=1",
            "etc/",
            "etc/deep/",
            "etc/deep/new=2",
            "etc/new=2"
        ]
    );
    let own = layers(&[base, &[file("etc/a", b"2"), file("etc/.wh.a", b"")]]);
    assert!(own.expect("layers").contains(&"etc/a=2".to_owned()));
    let gone = layers(&[base, &[file("no/where/.wh.x", b""), file(".wh.etc", b"")]]);
    assert_eq!(gone.expect("layers"), ["b/", "b/c/", "b/c/d=1"]);
    let bookkeeping = layers(&[base, &[file(".wh..wh.plnk", b"")]]);
    assert_eq!(bookkeeping.expect("layers").len(), 6);
}

#[test]
fn whiteouts_of_nothing_and_of_parents_are_refused() {
    for name in [".wh.", "etc/.wh..", "etc/.wh..."] {
        let refused = layers(&[&[dir("etc/"), file(name, b"")]]);
        assert_eq!(refused, Err(Refused::Whiteout(name.into())), "{name}");
    }
}

#[test]
fn nothing_leaves_the_root() {
    for name in ["../etc/passwd", "a/../../b", "/..", "a/.."] {
        let refused = layers(&[&[file(name, b"x")]]);
        assert_eq!(refused, Err(Refused::Escapes(name.into())), "{name}");
    }
    assert_eq!(
        layers(&[&[file("/etc//./x", b"1")]]).expect("inside"),
        ["etc/", "etc/x=1"]
    );
    // Through a link one lands where the link leads inside of the root.
    let through = layers(&[&[
        dir("real/"),
        link("abs", "/real"),
        link("up", "../../../real"),
        file("abs/x", b"1"),
        file("up/y", b"2"),
    ]]);
    assert_eq!(
        through.expect("inside"),
        [
            "abs->/real",
            "real/",
            "real/x=1",
            "real/y=2",
            "up->../../../real"
        ]
    );
    // The link itself is replaced, not followed.
    let replaced = layers(&[&[file("real", b"1"), link("x", "real")], &[file("x", b"2")]]);
    assert_eq!(replaced.expect("inside"), ["real=1", "x=2"]);
    for entries in [
        vec![link("a", "/nowhere"), file("a/x", b"1")],
        vec![link("a", "a"), file("a/x", b"1")],
        vec![file("a", b"1"), file("a/x", b"1")],
    ] {
        assert_eq!(layers(&[&entries]), Err(Refused::Blocked("a/x".into())));
    }
}

#[test]
fn whiteouts_through_links_stay_inside_too() {
    let through = layers(&[
        &[file("real/x", b"1"), link("l", "/real")],
        &[file("l/.wh.x", b"")],
    ]);
    assert_eq!(through.expect("inside"), ["l->/real", "real/"]);
}

#[test]
fn devices_pipes_and_the_unknown_are_refused() {
    for kind in [
        tar::EntryType::Char,
        tar::EntryType::Block,
        tar::EntryType::Fifo,
    ] {
        let refused = layers(&[&[of(kind, "dev/x", "")]]);
        assert_eq!(refused, Err(Refused::Device("dev/x".into())), "{kind:?}");
    }
    let refused = layers(&[&[of(tar::EntryType::new(b'Z'), "x", "")]]);
    assert_eq!(refused, Err(Refused::Unknown("x".into())));
}

#[test]
fn hard_links_share_a_file_of_the_root() {
    let mut tree = Tree::default();
    let hard = of(tar::EntryType::Link, "bin/b", "bin/a");
    into(&mut tree, Rules::Layer, &[file("bin/a", b"program"), hard]).expect("unpacks");
    assert_eq!(tree.size(), 7, "one file with two names");
    for target in ["bin/none", "bin"] {
        let hard = of(
            tar::EntryType::Link,
            "x",
            if target == "bin" { "bin" } else { "bin/none" },
        );
        let refused = layers(&[&[dir("bin/"), hard]]);
        assert_eq!(refused, Err(Refused::NoTarget(target.into())));
    }
    let outside = layers(&[&[of(tar::EntryType::Link, "x", "../../etc/shadow")]]);
    assert_eq!(outside, Err(Refused::Escapes("../../etc/shadow".into())));
}

#[test]
fn rights_do_not_grow_and_owners_stay() {
    let mut tree = Tree::default();
    let mut made = file("su", b"x");
    made.mode = 0o6755;
    into(&mut tree, Rules::Layer, &[made]).expect("unpacks");
    let entry = tree.get("su").expect("su");
    assert_eq!((entry.mode, entry.owner), (0o755, (7, 8)));
}

#[test]
fn packages_keep_links_to_directories_and_layers_replace_them() {
    let entries: &[_] = &[dir("lib/"), file("lib/x", b"1")];
    let merged = || {
        let mut tree = Tree::default();
        tree.directory("usr/lib", 0o755);
        tree.symlink("lib", "usr/lib", "layout");
        tree
    };
    let (mut package, mut layer) = (merged(), merged());
    into(&mut package, Rules::Package, entries).expect("package");
    into(&mut layer, Rules::Layer, entries).expect("layer");
    assert!(package.get("usr/lib/x").is_some() && layer.get("lib/x").is_some());
    // No whiteouts in packages.
    into(&mut package, Rules::Package, &[file("lib/.wh.x", b"")]).expect("package");
    assert!(package.get("usr/lib/x").is_some());
}

#[test]
fn sizes_are_bounded_before_anything_is_read() {
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").expect("path");
    header.set_size(limits::ROOT_BYTES + 1);
    header.set_mode(0o644);
    header.set_cksum();
    let mut tree = Tree::default();
    let mut room = Room::default();
    let refused = Unpacker::new(&mut tree, &mut room, Rules::Layer, "test")
        .archive(header.as_bytes().as_slice());
    assert_eq!(refused, Err(Refused::TooLarge("huge".into())));
    let mut room = Room {
        bytes: 1000,
        entries: 3,
    };
    let deep = archive(&[file("a/b/c/d", b"")]);
    let refused =
        Unpacker::new(&mut tree, &mut room, Rules::Layer, "test").archive(deep.as_slice());
    assert_eq!(
        refused,
        Err(Refused::TooMany),
        "directories above count too"
    );
    let mut cut = archive(&[file("a", &[7; 2000])]);
    cut.truncate(1000);
    let mut room = Room::default();
    let refused = Unpacker::new(&mut tree, &mut room, Rules::Layer, "test").archive(cut.as_slice());
    assert!(matches!(refused, Err(Refused::Damaged(_))), "{refused:?}");
}
