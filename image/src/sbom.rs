//! `sbom.spdx.json`: the image's bill of materials, as SPDX 2.3 in JSON. One package for the
//! image, one for each thing with a version that is in it. Equal images give equal bills: the
//! time of creation is the epoch's, and the name space is made of the content.
//!
//! What is not known is said so: licences are in the packages' own files, which are not read.

use crate::archive::{Node, Tree};
use crate::kernel::{Kernel, hex};
use crate::root::{self, Source, SourceKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";
const UNKNOWN: &str = "NOASSERTION";

/// The bill of an image made of these.
pub fn of(cluster: &str, kernel: &Kernel, trees: &[&Tree], roots: &[root::Built]) -> Value {
    let mut packages = vec![package(
        IMAGE,
        &format!("kodo image of {cluster}"),
        None,
        None,
        None,
    )];
    let version = env!("CARGO_PKG_VERSION");
    packages.push(package("SPDXRef-kodo", "kodo", Some(version), None, None));
    let mut relations = vec![
        relation(DOCUMENT, "DESCRIBES", IMAGE),
        relation(IMAGE, "CONTAINS", "SPDXRef-kodo"),
    ];
    let kernel = Source {
        name: kernel.origin.package.clone(),
        version: Some(kernel.origin.version.clone()),
        sha256: Some(kernel.origin.sha256.clone()),
        kind: SourceKind::Debian,
    };
    let all: BTreeSet<&Source> = roots
        .iter()
        .flat_map(|root| &root.sources)
        .chain([&kernel])
        .collect();
    for source in all {
        let id = id(source);
        packages.push(package(
            &id,
            &source.name,
            source.version.as_deref(),
            source.sha256.as_deref(),
            locator(source),
        ));
        relations.push(relation(IMAGE, "CONTAINS", &id));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("kodo-{cluster}"),
        "documentNamespace": format!("urn:kodo:image:{}", content(trees)),
        "creationInfo": {
            "created": "1970-01-01T00:00:00Z",
            "creators": [format!("Tool: kodo-image-{version}")],
        },
        "packages": packages,
        "relationships": relations,
    })
}

fn package(
    id: &str,
    name: &str,
    version: Option<&str>,
    sha256: Option<&str>,
    locator: Option<String>,
) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": if id == "SPDXRef-kodo" { env!("CARGO_PKG_LICENSE") } else { UNKNOWN },
        "copyrightText": UNKNOWN,
    });
    if let Some(version) = version {
        package["versionInfo"] = version.into();
    }
    if let Some(sha256) = sha256 {
        package["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
    }
    if let Some(locator) = locator {
        package["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": locator,
        }]);
    }
    package
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// Letters, digits, dots and dashes are what an id may have.
fn id(source: &Source) -> String {
    let plain = |text: &str| -> String {
        let one = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        };
        text.chars().map(one).collect()
    };
    // What makes two of them differ may be lost above.
    let exact = hex(&Sha256::digest(format!("{source:?}")));
    let kind = match source.kind {
        SourceKind::Debian => "deb",
        SourceKind::Oci => "oci",
        SourceKind::Program => "program",
    };
    format!("SPDXRef-{kind}-{}-{}", plain(&source.name), &exact[..8])
}

/// The package URL, where such packages have one.
fn locator(source: &Source) -> Option<String> {
    let version = source.version.as_ref()?;
    match source.kind {
        SourceKind::Debian => {
            let encoded = version.replace('%', "%25").replace('+', "%2B");
            Some(format!(
                "pkg:deb/debian/{}@{}?arch=amd64",
                source.name.replace('+', "%2B"),
                encoded.replace(':', "%3A")
            ))
        }
        SourceKind::Oci | SourceKind::Program => None,
    }
}

/// Hash of all that is in the image.
fn content(trees: &[&Tree]) -> String {
    let mut hash = Sha256::new();
    for (path, entry) in trees.iter().flat_map(|tree| tree.entries()) {
        hash.update(format!("{path}\0{:o}\0{:?}\0", entry.mode, entry.owner));
        match &entry.node {
            Node::File(content) => hash.update(Sha256::digest(content.as_slice())),
            Node::Symlink(target) => hash.update(target),
            Node::Directory | Node::CharDevice { .. } => {}
        }
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_locators_keep_to_their_alphabets() {
        let source = |version: &str| Source {
            name: "libstdc++6".into(),
            version: Some(version.into()),
            sha256: None,
            kind: SourceKind::Debian,
        };
        let (one, two) = (id(&source("1:12.2+a~b")), id(&source("1:12.2+a-b")));
        assert_ne!(one, two);
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        assert!(
            one.strip_prefix("SPDXRef-")
                .expect("prefix")
                .chars()
                .all(legal),
            "{one}"
        );
        assert_eq!(
            locator(&source("1:12.2+a~b")).expect("a package"),
            "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2%2Ba~b?arch=amd64"
        );
    }
}
