//! A whole build from a made-up kernel package, without network, compiler or QEMU.

use super::*;
use crate::artefact::{BootNic, BootSerial};
use crate::plan::{File, Machine};
use crate::progress::Silent;

const KEY: &[u8] = b"0011223344556677001122334455667700112233445566770011223344556677";

/// A package with a kernel of no use and every module that the manifest names.
fn package(dir: &Path) -> PathBuf {
    let mut files = vec![
        ("boot/vmlinuz-6.12.1".to_owned(), b"MZ".to_vec()),
        ("lib/modules/6.12.1/modules.builtin".to_owned(), Vec::new()),
        (
            "lib/modules/6.12.1/modules.builtin.modinfo".to_owned(),
            Vec::new(),
        ),
    ];
    for module in Manifest::parse(MANIFEST).expect("manifest").modules {
        let elf = crate::modinfo::tests::module(b"depends=\0");
        files.push((format!("lib/modules/6.12.1/kernel/{module}.ko"), elf));
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("./{path}"), content.as_slice())
            .expect("append");
    }
    let data = zstd::encode_all(tar.into_inner().expect("tar").as_slice(), 1).expect("zstd");
    let deb = dir.join("linux-image-6.12.1-amd64_6.12.1-1_amd64.deb");
    let mut ar = ar::Builder::new(std::fs::File::create(&deb).expect("deb"));
    let header = ar::Header::new(b"data.tar.zst".to_vec(), data.len() as u64);
    ar.append(&header, data.as_slice()).expect("append");
    deb
}

fn machine(name: &str) -> Machine {
    let nic = BootNic {
        role: "lan".into(),
        mac: None,
        pci: None,
        address: Some("192.168.0.18/24".into()),
        more_addresses: Vec::new(),
    };
    Machine {
        name: name.into(),
        nics: vec![nic],
        serial: vec![BootSerial {
            role: "console".into(),
            baud: None,
            peer: None,
        }],
        watchdog: true,
        state_partition: None,
    }
}

fn request(dir: &Path, out: &str, nodes: &[&str]) -> Request {
    let program = dir.join("program");
    write(&program, b"elf").expect("program");
    let key = File {
        path: "etc/kodo/key".into(),
        mode: 0o600,
        content: KEY.to_vec(),
        origin: "cluster.key".into(),
    };
    Request {
        workspace: dir.to_owned(),
        program: Some(program),
        kernel: kernel::Source::Deb(package(dir)),
        out: dir.join(out),
        plan: Plan {
            cluster: "web".into(),
            vips: vec!["192.168.0.33/24".into()],
            witness: None,
            nodes: nodes.iter().map(|name| machine(name)).collect(),
            files: vec![key],
            roots: vec![service(dir)],
        },
    }
}

/// A service that is a program of its operator's, with a secret in its environment.
fn service(dir: &Path) -> root::Wanted {
    use kodo_config::cluster::ServiceKind;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/web.toml");
    let text = std::fs::read_to_string(example).expect("example");
    let words = "program = \"run\"\nenvironment = { PASSWORD = \"hidden\" }";
    let text = text.replace("kind = \"builtin\"", words);
    let cluster = kodo_config::Cluster::parse("web.toml", &text, &|_, _| Err("none".into()));
    let cluster = cluster.unwrap_or_else(|items| panic!("{}", items[0]));
    let ServiceKind::Root(root) = &cluster.services[0].kind else {
        panic!("a root")
    };
    write(&dir.join("run"), b"static").expect("program");
    root::Wanted {
        name: "web".into(),
        port: 80,
        root: (**root).clone(),
        files: None,
        base: dir.to_owned(),
    }
}

#[test]
fn a_build_is_complete_repeatable_and_keeps_its_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("temporary directory");
    let cache = Cache::at(dir.path().join("cache"));
    let build = |out: &str| {
        build(
            &request(dir.path(), out, &["node1", "node2"]),
            &cache,
            &mut Silent,
        )
    };
    let (one, two) = (build("one").expect("first"), build("two").expect("second"));
    assert_eq!(one.report, two.report);

    for entry in std::fs::read_dir(dir.path().join("one")).expect("list") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_owned();
        let content = read(&path).expect("read");
        assert_eq!(
            content,
            read(&dir.path().join("two").join(&name)).expect("read"),
            "{}",
            name.display()
        );
        let mode = std::fs::metadata(&path).expect("meta").permissions().mode() & 0o777;
        let secret = content.windows(KEY.len()).any(|window| window == KEY);
        assert!(!secret || mode == 0o600, "{} shows the key", name.display());
    }
    let boot = read(&one.boot).expect("boot.json");
    let boot: Boot = serde_json::from_slice(&boot).expect("reads");
    assert_eq!(boot.nodes.keys().collect::<Vec<_>>(), ["node1", "node2"]);
    assert_eq!(
        boot.nodes["node1"].pvh, None,
        "that kernel has no PVH entry"
    );

    let manifest = read(&dir.path().join("one").join(name::MANIFEST)).expect("manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("reads");
    let files = manifest["files"].as_array().expect("files");
    let find = |path: &str| files.iter().find(|file| file["path"] == path).expect(path);
    assert_eq!(find("/etc/kodo/key")["mode"], "0600");
    assert_eq!(find("/init")["size"], 3);
    assert_eq!(find("/srv/web/usr/bin/run")["origin"], "run");
    assert_eq!(find("/srv/web/bin")["link"], "usr/bin");
    assert_eq!(find("/etc/kodo/start/web")["mode"], "0600");
    assert_eq!(manifest["services"][0]["command"][0], "/usr/bin/run");
    assert_eq!(manifest["services"][0]["environment"][0], "PASSWORD");
    assert!(!manifest.to_string().contains("hidden"), "values stay out");
    assert!(
        one.report
            .iter()
            .any(|line| line.what == "service web, packed")
    );
    let module = find("/lib/modules/6.12.1/kernel/virtio_net.ko");
    assert_eq!(module["origin"], "linux-image-6.12.1-amd64 6.12.1-1");
    assert_eq!(module["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn a_node_that_left_the_cluster_leaves_no_loader_behind() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let cache = Cache::at(dir.path().join("cache"));
    let out = dir.path().join("out");
    build(
        &request(dir.path(), "out", &["node1", "node2"]),
        &cache,
        &mut Silent,
    )
    .expect("first");
    assert!(out.join("node2.ipxe").exists());
    build(&request(dir.path(), "out", &["node1"]), &cache, &mut Silent).expect("second");
    assert!(out.join("node1.grub").exists() && !out.join("node2.ipxe").exists());
}

/// What the specification of SPDX 2.3 demands of a document, its packages and relations.
#[test]
fn the_bill_of_materials_is_whole() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let cache = Cache::at(dir.path().join("cache"));
    build(&request(dir.path(), "out", &["node1"]), &cache, &mut Silent).expect("builds");
    let bill = read(&dir.path().join("out").join(name::SBOM)).expect("bill");
    let bill: serde_json::Value = serde_json::from_slice(&bill).expect("reads");
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().expect(key).to_owned();
    for (key, want) in [
        ("spdxVersion", "SPDX-2.3"),
        ("dataLicense", "CC0-1.0"),
        ("SPDXID", "SPDXRef-DOCUMENT"),
    ] {
        assert_eq!(text(&bill, key), want);
    }
    assert!(
        text(&bill, "documentNamespace").starts_with("urn:"),
        "a unique URI"
    );
    assert!(text(&bill["creationInfo"], "created").ends_with('Z'));
    let packages = bill["packages"].as_array().expect("packages");
    let mut ids = Vec::new();
    for package in packages {
        assert!(!text(package, "name").is_empty());
        assert_eq!(text(package, "downloadLocation"), "NOASSERTION");
        ids.push(text(package, "SPDXID"));
    }
    let names: Vec<String> = packages
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    for name in ["kodo", "linux-image-6.12.1-amd64", "run"] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} is not in {names:?}"
        );
    }
    let kernel = packages
        .iter()
        .find(|package| package["name"] == "linux-image-6.12.1-amd64")
        .expect("kernel");
    assert_eq!(
        kernel["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/linux-image-6.12.1-amd64@6.12.1-1?arch=amd64"
    );
    ids.push("SPDXRef-DOCUMENT".into());
    let relations = bill["relationships"].as_array().expect("relationships");
    for relation in relations {
        assert!(
            ids.contains(&text(relation, "spdxElementId"))
                && ids.contains(&text(relation, "relatedSpdxElement")),
            "{relation}"
        );
    }
    assert_eq!(
        relations.len(),
        packages.len(),
        "each is described or contained"
    );
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "ids differ");
}
