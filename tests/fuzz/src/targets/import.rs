//! The files of other programs that `kodo import` reads.

use std::path::Path;

use kodo_config::Cluster;
use kodo_import::{Draft, Known, read, write};

use super::Target;

/// One file of any of them: the first byte says which name it has.
pub const OLD: Target = Target {
    name: "import",
    run,
    examples: samples,
    words: &[
        b"\\\n",
        b"::",
        b"/24/eth0",
        b"vrrp_instance V {",
        b"virtual_ipaddress {",
        b"}",
        b"<primitive id=\"\" class=\"ocf\" type=\"IPaddr2\">",
        b"<rsc_location id=\"\" rsc=\"\" score=\"INFINITY\"/>",
        b"<!DOCTYPE x [<!ENTITY y \"z\">]>",
        b"&y;",
        b"-INFINITY",
        b"99999999999999999999",
        b"255.0.255.0",
        "\u{e9}\u{1f493}\u{202e}".as_bytes(),
        b"\0",
    ],
    longest: 16 * 1024,
    inputs: 400,
};

const NAMES: [&str; 5] = [
    "authkeys",
    "cib.xml",
    "ha.cf",
    "haresources",
    "keepalived.conf",
];

/// What is written, the checker takes; what is refused has a reason.
fn run(bytes: &[u8]) {
    let (which, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let mut draft = Draft::default();
    let name = NAMES[usize::from(*which) % NAMES.len()];
    if let Err(fault) = read(&mut draft, name, bytes) {
        assert!(fault.to_string().starts_with(name), "{fault}");
        return;
    }
    let Ok((text, _)) = write(draft, &Known::default()) else {
        return;
    };
    let no_files = |_, name: &str| Err(format!("{name} is not read"));
    if let Err(items) = Cluster::parse("cluster.toml", &text, &no_files) {
        panic!("the checker refuses what was written: {items:#?}\n{text}");
    }
}

/// The real files of the crate's own tests.
fn samples() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../init/import/samples");
    let mut cases: Vec<_> = std::fs::read_dir(root)
        .expect("the samples")
        .map(|case| case.expect("a directory that can be read").path())
        .collect();
    cases.sort();
    let mut samples = Vec::new();
    for case in cases {
        for (which, name) in (0..).zip(NAMES) {
            if let Ok(mut bytes) = std::fs::read(case.join(name)) {
                bytes.insert(0, which);
                samples.push(bytes);
            }
        }
    }
    samples
}
