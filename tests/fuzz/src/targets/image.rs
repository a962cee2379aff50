//! What the image builder reads of strangers: container images, their layers, programs.
//!
//! A mutation can hardly guess a digest, so layers have a target of their own.

use std::io::Cursor;

use kodo_image::archive::{Node, Tree};
use kodo_image::root::unpack::{Room, Rules, Unpacker};
use kodo_image::root::{elf, oci};

use super::Target;

const WORDS: &[&[u8]] = &[
    b"ustar",
    b"../",
    b"/",
    b".wh.",
    b".wh..wh..opq",
    b"77777777777\0",
    b"00000000000\0",
    b"1",
    b"2",
    b"5",
    b"L",
    b"x",
    b"\x80\xff\xff\xff\xff\xff\xff\xff",
];

/// Container images.
pub const OCI: Target = Target {
    name: "image-oci",
    run: run_oci,
    examples: || vec![saved()],
    words: WORDS,
    longest: 16 * 1024,
    inputs: 1_000,
};

/// Layers over a root that has links in it.
pub const LAYER: Target = Target {
    name: "image-layer",
    run: run_layer,
    examples: || vec![layer()],
    words: WORDS,
    longest: 8 * 1024,
    inputs: 4_000,
};

/// Programs and libraries.
pub const ELF: Target = Target {
    name: "image-elf",
    run: |bytes| {
        // Every answer will do but a panic.
        let _ = elf::needs(bytes);
    },
    examples: || {
        let own = std::fs::read("/proc/self/exe").unwrap_or_default();
        vec![own[..own.len().min(8 * 1024)].to_vec()]
    },
    words: &[
        b"\x7fELF",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0",
    ],
    longest: 8 * 1024,
    inputs: 4_000,
};

/// An archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, *content)
            .expect("into memory");
    }
    builder.into_inner().expect("into memory")
}

fn layer() -> Vec<u8> {
    archive(&[
        ("bin/web", b"x"),
        ("lib/a", b"y"),
        ("etc/.wh.a", b""),
        ("run/.wh..wh..opq", b""),
    ])
}

fn saved() -> Vec<u8> {
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:0"]},"config":{"Cmd":["/x"],"User":"a:b"}}"#;
    let manifest = br#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]"#;
    archive(&[
        ("c.json", config),
        ("l.tar", &layer()),
        ("manifest.json", manifest),
    ])
}

fn run_oci(bytes: &[u8]) {
    if let Ok(image) = oci::read(&mut Cursor::new(bytes), |_, _| {}) {
        check(&image.tree);
    }
}

fn run_layer(bytes: &[u8]) {
    let mut tree = Tree::default();
    tree.file("usr/lib/x", 0o644, b"x".to_vec(), "base");
    tree.symlink("lib", "usr/lib", "base");
    tree.symlink("run", "/../../usr", "base");
    tree.symlink("round", "round", "base");
    let mut room = Room::default();
    let read = Unpacker::new(&mut tree, &mut room, Rules::Layer, "layer").archive(bytes);
    if read.is_ok() {
        check(&tree);
    }
}

/// No entry lies below a link or climbs: the archive that a kernel unpacks stays below the root.
fn check(tree: &Tree) {
    for (path, entry) in tree.entries() {
        assert!(
            !path.split('/').any(|part| matches!(part, "" | "." | "..")),
            "{path:?}"
        );
        for (end, _) in path.match_indices('/') {
            let above = tree.get(&path[..end]).map(|entry| &entry.node);
            assert_eq!(above, Some(&Node::Directory), "{path:?}");
        }
        assert_eq!(entry.mode & !0o1777, 0, "{path:?}");
    }
}
