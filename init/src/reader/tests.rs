//! What this node makes of files, good and bad, sealed as operators seal them.

use super::*;

const FILE: &str = r#"
schema = 1
[cluster]
name = "web"
key_file = "KEYS"
profile = "lab"
split_brain = "accept"
[admin]
tokens_file = "tokens"
[[node]]
name = "node1"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:01:01"
address = ["192.168.0.18/24"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:01:02"
[[node]]
name = "node2"
[[node.nic]]
role = "lan"
mac = "52:54:00:00:02:01"
address = ["192.168.0.19/24"]
[[node.nic]]
role = "crossover"
mac = "52:54:00:00:02:02"
[[service]]
name = "web"
kind = "builtin"
port = 80
[[vip]]
name = "vip"
address = "192.168.0.33/24"
[[group]]
name = "www"
members = ["web", "vip"]
"#;

const OLD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEW: &str = "ffeeddccbbaa99887766554433221100fedcba9876543210fedcba9876543210";

/// A file whose keys are "old", "new+old" and so on.
fn gathered(text: &str, keys: &str) -> (Bundle, Cluster) {
    let load = |secret, _: &str| match secret {
        kodo_config::Secret::Key => Ok(keys
            .replace("old", OLD)
            .replace("new", NEW)
            .replace('+', "\n")),
        _ => Ok(kodo_config::secrets::token_line("ada", "a token")),
    };
    Bundle::gather("new.toml", text, &load).unwrap_or_else(|items| panic!("{}", items[0]))
}

/// What node1 makes of a change, when the keys change too.
fn made(change: (&str, &str), old: &str, new: &str) -> Result<(Read, Running), String> {
    let (bundle, cluster) = gathered(FILE, old);
    let config = cluster.node("node1").unwrap();
    let running = Running {
        bundle,
        config,
        starts: crate::plan::Starts::new(),
    };
    assert!(FILE.contains(change.0));
    let (bundle, next) = gathered(&FILE.replace(change.0, change.1), new);
    let sealed = bundle
        .seal(&next.keys[0], &[cluster.file_hash()], [1; 12])
        .unwrap();
    read(&running, "node1", &["docs".to_owned()], &sealed)
}

#[test]
fn a_file_that_the_node_can_run() {
    let more = "[[service]]\nname = \"docs\"\nkind = \"builtin\"\nport = 8080\nfiles = \"site\"\n\
                [[group]]\nname = \"docs\"\nmembers = [\"docs\"]\n[[vip]]";
    let (made, keeps) = made(("[[vip]]", more), "old", "old").unwrap();
    assert_eq!(
        made.changes,
        [
            "service docs: new, builtin on port 8080",
            "group docs: new, docs"
        ]
    );
    let setup = made.duties.services[1].as_ref().unwrap();
    assert_eq!(
        (setup.name.as_str(), setup.reads.as_deref(), setup.id),
        ("docs", Some("/srv/docs"), 201)
    );
    assert_eq!(made.duties.probe.services[1].as_ref().unwrap().port, 8080);
    assert_eq!(
        made.duties.vips,
        made.config
            .netstack
            .vips
            .iter()
            .map(|vip| vip.address)
            .collect::<Vec<_>>()
    );
    assert_eq!(keeps.config, made.config);
    assert_eq!(
        keeps.bundle.cluster("again").unwrap().file_hash(),
        made.config.engine.file_hash
    );

    // And back: its place is kept, nothing is behind it.
    let (bundle, old) = gathered(FILE, "old");
    let sealed = bundle
        .seal(&old.keys[0], &[made.config.engine.file_hash], [2; 12])
        .unwrap();
    let (made, _) = read(&keeps, "node1", &[], &sealed).unwrap();
    assert_eq!(made.duties.services.len(), 2);
    assert_eq!(made.duties.services[1], None);
    assert_eq!(made.duties.probe.services[1], None);
}

#[test]
fn files_that_it_cannot_run() {
    let group = "[[service]]\nname = \"api\"\nkind = \"builtin\"\nport = 81\nfiles = \"api\"\n\
                 [[group]]\nname = \"api\"\nmembers = [\"api\"]\n[[vip]]";
    for (change, says) in [
        (
            ("[[vip]]", group),
            "service api: the image of this node has no files for it",
        ),
        (
            ("profile = \"lab\"", "profile = \"fast\""),
            "timing: keepalive: 250ms -> 40ms (needs new images)",
        ),
        (
            ("192.168.0.19", "192.168.0.20"),
            "node node2: nic 1: lan 52:54:00:00:02:01, addresses 192.168.0.19/24",
        ),
    ] {
        let why = made(change, "old", "old").unwrap_err();
        assert!(why.contains(says), "{why}");
        assert!(why.contains("build images of the new file"), "{why}");
    }
}

#[test]
fn keys_change_in_three_steps_and_in_no_other_way() {
    let nothing = ("schema", "schema");
    for (old, new) in [
        ("old", "old+new"),
        ("old+new", "new+old"),
        ("new+old", "new"),
    ] {
        assert!(made(nothing, old, new).is_ok(), "{old} to {new}");
    }
    for (old, new, says) in [
        (
            "old",
            "new",
            "signs with a key that the running one does not accept",
        ),
        (
            "old",
            "new+old",
            "signs with a key that the running one does not accept",
        ),
        (
            "old+new",
            "new",
            "does not accept the key with which the running one signs",
        ),
    ] {
        let why = made(nothing, old, new).unwrap_err();
        assert!(why.contains(says), "{old} to {new}: {why}");
    }
}

#[test]
fn a_file_that_is_none_is_told_with_its_lines() {
    let (bundle, cluster) = gathered(FILE, "old");
    let config = cluster.node("node1").unwrap();
    let running = Running {
        bundle,
        config,
        starts: crate::plan::Starts::new(),
    };
    // Nobody can gather such a bundle from a file; a newer `kodo` may.
    let (bundle, _) = gathered(FILE, "old");
    let mut bytes = bundle.to_bytes();
    let name = b"name = \"node2\"";
    let at = bytes.windows(name.len()).position(|bytes| bytes == name);
    bytes[at.unwrap() + name.len() - 2] = b'1';
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    let sealed = bundle
        .seal(&cluster.keys[0], &[cluster.file_hash()], [1; 12])
        .unwrap();
    let why = read(&running, "node1", &[], &sealed).unwrap_err();
    assert!(why.starts_with("cluster file:"), "{why}");
    assert!(why.contains("error"), "{why}");
}

#[test]
fn long_words_are_cut_where_letters_end() {
    let long = shortened("é".repeat(FILE_TEXT));
    assert!(long.len() <= FILE_TEXT && long.ends_with("é ..."));
    let change = |n: usize| Change {
        place: format!("group {n}"),
        was: Some("x".repeat(100)),
        becomes: Some("y".repeat(100)),
        takes: kodo_config::changes::Takes::Nothing,
    };
    let many: Vec<Change> = (0..1000).map(change).collect();
    let lines = lines(&many);
    assert_eq!(
        *lines.last().unwrap(),
        format!("and {} more", 1000 - (lines.len() - 1))
    );
    assert!(lines.iter().map(String::len).sum::<usize>() <= FILE_TEXT);
}
