//! Images as tools write them, and as nobody should.

use super::*;
use crate::root::unpack::tests::{Made, archive, file};
use serde_json::{Value, json};
use std::io::Cursor;

/// How a layer is packed.
type Pack = fn(&[u8]) -> Vec<u8>;

fn sha(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, bytes).expect("gzip");
    out.finish().expect("gzip")
}

fn config(layers: &[Vec<u8>]) -> Value {
    let ids: Vec<String> = layers
        .iter()
        .map(|layer| format!("sha256:{}", sha(layer)))
        .collect();
    json!({
        "os": "linux", "architecture": "amd64",
        "config": {"Entrypoint": ["/bin/web"], "Cmd": ["--port", "80"], "Env": ["A=b=c"], "User": "web", "WorkingDir": "/srv"},
        "rootfs": {"type": "layers", "diff_ids": ids},
    })
}

/// Named files as an archive.
fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, content.as_slice())
            .expect("append");
    }
    builder.into_inner().expect("finish")
}

/// The files of an OCI layout whose layers are packed by `pack`.
fn layout(layers: &[Vec<u8>], config: &Value, pack: Pack) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut blob = |bytes: Vec<u8>| {
        let digest = sha(&bytes);
        files.push((format!("blobs/sha256/{digest}"), bytes));
        json!({"mediaType": "x", "digest": format!("sha256:{digest}"), "size": 1})
    };
    let layers: Vec<Value> = layers.iter().map(|layer| blob(pack(layer))).collect();
    let config = blob(config.to_string().into_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
    let mut manifest = blob(manifest.into_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "web:1"});
    let nested = json!({"manifests": [manifest, {"digest": "sha256:x", "platform": {"os": "linux", "architecture": "arm64"}}]});
    let mut nested = blob(nested.to_string().into_bytes());
    nested["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
    files.push((
        "oci-layout".into(),
        b"{\"imageLayoutVersion\": \"1.0.0\"}".to_vec(),
    ));
    files.push((
        "index.json".into(),
        json!({"manifests": [nested]}).to_string().into_bytes(),
    ));
    files
}

fn layers() -> Vec<Vec<u8>> {
    let one: &[Made<'_>] = &[file("bin/web", b"old"), file("etc/a", b"1")];
    let two: &[Made<'_>] = &[file("bin/web", b"new"), file("etc/.wh.a", b"")];
    vec![archive(one), archive(two)]
}

fn parse(bytes: Vec<u8>) -> Result<Image, Fault> {
    read(&mut Cursor::new(bytes), |_, _| {})
}

fn judge(image: &Image) {
    assert_eq!(
        image.tree.content("bin/web").expect("web").as_slice(),
        b"new"
    );
    assert!(image.tree.get("etc/a").is_none());
    assert_eq!(
        image.run.entrypoint.as_deref(),
        Some(&["/bin/web".to_owned()][..])
    );
    assert_eq!(image.run.user.as_deref(), Some("web"));
    assert_eq!(image.name.as_deref(), Some("web:1"));
    assert_eq!(
        image.tree.get("bin/web").expect("web").origin,
        format!("layer {}", image.layers[1])
    );
}

#[test]
fn layouts_are_read_however_layers_are_packed() {
    let packings: [Pack; 3] = [<[u8]>::to_vec, gzip, |bytes| {
        zstd::encode_all(bytes, 1).expect("zstd")
    }];
    for pack in packings {
        let image = parse(tar_of(&layout(&layers(), &config(&layers()), pack))).expect("reads");
        judge(&image);
    }
}

fn docker() -> Vec<(String, Vec<u8>)> {
    let layers = layers();
    let config = config(&layers).to_string().into_bytes();
    let name = format!("{}.json", sha(&config));
    let manifest =
        json!([{"Config": name, "RepoTags": ["web:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    vec![
        (name, config),
        ("a/layer.tar".into(), layers[0].clone()),
        ("b/layer.tar".into(), layers[1].clone()),
        ("manifest.json".into(), manifest.to_string().into_bytes()),
    ]
}

#[test]
fn docker_archives_are_read() {
    judge(&parse(tar_of(&docker())).expect("reads"));
}

#[test]
fn what_is_not_what_it_promises_is_refused() {
    let good = layout(&layers(), &config(&layers()), gzip);
    for (position, (name, _)) in good
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| name.starts_with("blobs"))
    {
        let mut bad = good.clone();
        bad[position].1.push(b' ');
        let fault = parse(tar_of(&bad)).expect_err(name);
        assert!(matches!(fault, Fault::Digest(_)), "{name}: {fault}");
        bad.remove(position);
        let fault = parse(tar_of(&bad)).expect_err(name);
        assert!(matches!(fault, Fault::Lost(_)), "{name}: {fault}");
    }
    // The configuration names other layers, fewer, or another machine.
    let mut other = config(&layers());
    other["rootfs"]["diff_ids"][1] = json!(format!("sha256:{}", "0".repeat(64)));
    let fault = parse(tar_of(&layout(&layers(), &other, gzip))).expect_err("another layer");
    assert!(matches!(fault, Fault::Digest(_)), "{fault}");
    let fewer = config(&layers()[..1]);
    let fault = parse(tar_of(&layout(&layers(), &fewer, gzip))).expect_err("fewer");
    assert_eq!(fault, Fault::Layers(2));
    let mut arm = config(&layers());
    arm["architecture"] = "arm64".into();
    let fault = parse(tar_of(&layout(&layers(), &arm, gzip))).expect_err("arm");
    assert_eq!(fault, Fault::OtherMachine);
    let mut wrong = docker();
    wrong[0].1.push(b'\n');
    assert!(matches!(parse(tar_of(&wrong)), Err(Fault::Digest(_))));
}

#[test]
fn what_is_no_image_is_told_apart() {
    assert_eq!(
        parse(gzip(b"x")).expect_err("gzip"),
        Fault::Packed("gunzip")
    );
    assert_eq!(
        parse(tar_of(&[("x".into(), vec![1])])).expect_err("nothing"),
        Fault::NoImage
    );
    assert!(matches!(parse(vec![7; 2000]), Err(Fault::Archive(_))));
    let two = json!([{"Config": "a", "Layers": []}, {"Config": "b", "Layers": []}]);
    let two = tar_of(&[("manifest.json".into(), two.to_string().into_bytes())]);
    assert_eq!(parse(two).expect_err("two"), Fault::Several(2));
    let climbing = json!({"manifests": [{"digest": "sha256:../../../etc/shadow"}]});
    let climbing = tar_of(&[("index.json".into(), climbing.to_string().into_bytes())]);
    assert!(matches!(parse(climbing), Err(Fault::UnknownDigest(_))));
    let large = vec![b' '; usize::try_from(limits::JSON_BYTES).expect("small") + 1];
    let large = tar_of(&[("index.json".into(), large)]);
    assert!(matches!(parse(large), Err(Fault::TooLarge(_))));
}

#[test]
fn layers_may_end_with_their_last_byte() {
    let mut layers = layers();
    // A header, and three bytes of its block.
    layers[0].truncate(512 + 512 + 512 + 1);
    let image = parse(tar_of(&layout(&layers, &config(&layers), gzip))).expect("reads");
    judge(&image);
    let promised = config(&layers);
    layers[0].truncate(512 + 2);
    let fault = parse(tar_of(&layout(&layers, &promised, gzip))).expect_err("cut");
    assert!(matches!(fault, Fault::Digest(_)), "{fault}");
}

#[test]
fn a_bad_layer_is_named() {
    let bad = vec![archive(&[file("../x", b"")])];
    let fault = parse(tar_of(&layout(&bad, &config(&bad), gzip))).expect_err("climbs");
    assert!(
        matches!(&fault, Fault::Layer(_, Refused::Escapes(path)) if path == "../x"),
        "{fault}"
    );
}

#[test]
fn a_bomb_ends_at_the_bound() {
    // One long name that unpacks to more than a root may hold.
    let zeros = vec![0; 1 << 20];
    let mut tar = tar::Header::new_gnu();
    tar.set_entry_type(tar::EntryType::GNULongName);
    tar.set_size(3 * limits::ROOT_BYTES);
    tar.set_cksum();
    let mut out = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
    std::io::Write::write_all(&mut out, tar.as_bytes()).expect("zstd");
    for _ in 0..((3 * limits::ROOT_BYTES) >> 20) {
        std::io::Write::write_all(&mut out, &zeros).expect("zstd");
    }
    let bomb = out.finish().expect("zstd");
    let digest = sha(&bomb);
    let mut files = Vec::new();
    let config = config(&[Vec::new()]).to_string().into_bytes();
    let manifest = json!({"config": {"digest": format!("sha256:{}", sha(&config))}, "layers": [{"digest": format!("sha256:{digest}")}]});
    let manifest = manifest.to_string().into_bytes();
    let index = json!({"manifests": [{"digest": format!("sha256:{}", sha(&manifest))}]});
    for blob in [bomb, config, manifest] {
        files.push((format!("blobs/sha256/{}", sha(&blob)), blob));
    }
    files.push(("index.json".into(), index.to_string().into_bytes()));
    let fault = parse(tar_of(&files)).expect_err("a bomb");
    assert!(
        matches!(&fault, Fault::Layer(_, Refused::Damaged(why)) if why.contains("more than a root")),
        "{fault}"
    );
}
