//! Real configurations, each with the cluster file that comes of it; see `samples/README.md`.
//!
//! `KODO_BLESS=1` writes the expected files anew; read them before they are committed.

use std::fs;
use std::path::{Path, PathBuf};

use kodo_config::Cluster;
use kodo_import::{Draft, Known, read, write};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

fn sources(case: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(case)
        .expect("a case")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| !path.ends_with("cluster.toml"))
        .collect();
    files.sort();
    let named = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        let name = name.into_owned();
        (name, fs::read(&path).expect("its bytes"))
    };
    files.into_iter().map(named).collect()
}

/// The cluster file of what can be read, which the checker always accepts.
fn import(files: &[(String, Vec<u8>)]) -> Result<String, String> {
    let mut draft = Draft::default();
    for (name, bytes) in files {
        read(&mut draft, name, bytes).map_err(|fault| fault.to_string())?;
    }
    let (text, _) = write(draft, &Known::default())?;
    let no_files = |_, name: &str| Err(format!("{name} is not read"));
    if let Err(items) = Cluster::parse("cluster.toml", &text, &no_files) {
        panic!("the checker refuses it: {items:#?}\n{text}");
    }
    Ok(text)
}

/// The same of files that are written here.
fn import_of(files: &[(&str, &str)]) -> String {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
    let files: Vec<_> = files.iter().map(owned).collect();
    import(&files).expect("a cluster file")
}

/// A CIB of two nodes with one address, and this among its options and rules.
fn cib(options: &str, rules: &str) -> String {
    format!(
        r#"<cib><configuration>
        <crm_config><cluster_property_set id="p">{options}</cluster_property_set></crm_config>
        <nodes><node id="1" uname="a"/><node id="2" uname="b"/></nodes>
        <resources><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
        <instance_attributes id="i"><nvpair id="n" name="ip" value="10.0.0.9"/></instance_attributes>
        </primitive></resources><constraints>{rules}</constraints></configuration></cib>"#
    )
}

#[test]
fn each_real_configuration_gives_its_cluster_file() {
    let cases = cases();
    assert!(cases.len() >= 12, "a dozen at least: {}", cases.len());
    for case in cases {
        let text =
            import(&sources(&case)).unwrap_or_else(|why| panic!("{}: {why}", case.display()));
        let expected = case.join("cluster.toml");
        if std::env::var_os("KODO_BLESS").is_some() {
            fs::write(&expected, &text).expect("blessed");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(text, known, "{}", case.display());
    }
}

/// Parsers are total: cut off anywhere, or with any byte changed, a file gives a sound
/// cluster file or a reason.
#[test]
fn damaged_files_give_a_result_or_a_reason() {
    for case in cases() {
        let files = sources(&case);
        for (index, (_, bytes)) in files.iter().enumerate() {
            let step = (bytes.len() / 6).max(1);
            for at in (0..bytes.len()).step_by(step) {
                for odd in [b'}', b'"', 0xff] {
                    let mut damaged = files.clone();
                    damaged[index].1[at] = odd;
                    let _ = import(&damaged);
                }
                let mut damaged = files.clone();
                damaged[index].1.truncate(at);
                let _ = import(&damaged);
            }
        }
    }
}

#[test]
fn a_file_that_nothing_names_is_refused_with_what_to_do() {
    let mut draft = Draft::default();
    let fault = read(&mut draft, "notes", b"hello").expect_err("unknown");
    assert!(fault.to_string().starts_with("notes:1: "), "{fault}");
    assert!(fault.to_string().contains("ha.cf"), "{fault}");
}

#[test]
fn no_password_and_no_key_is_shown() {
    let text = import_of(&[
        (
            "ha.cf",
            "node a b\nstonith_host * baytech 10.0.0.3 login SECRET\n",
        ),
        ("authkeys", "auth 1\n1 sha1 SECRET\n"),
        (
            "keepalived.conf",
            "vrrp_instance V { authentication { auth_pass SECRET\n} }\n",
        ),
    ]);
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn addresses_come_after_the_services_that_they_lead_to() {
    let text = import_of(&[
        ("ha.cf", "node a b\n"),
        ("haresources", "a 10.0.0.9 httpd\n"),
    ]);
    assert!(text.contains("members = [\"httpd\", \"vip\"]"), "{text}");
    assert!(text.contains("the order in group-a"), "{text}");
}

#[test]
fn what_cannot_be_pinged_is_named() {
    let pings = (1..=9)
        .map(|n| format!("ping 10.0.0.{n}0\n"))
        .collect::<String>()
        + "ping fd00::1 gate\n";
    let text = import_of(&[
        ("ha.cf", &format!("node a b\n{pings}")),
        ("haresources", "a 10.0.0.9\n"),
    ]);
    for left in ["ha.cf:10: ping 10.0.0.90", "ha.cf:11: ping fd00::1", "gate"] {
        assert!(text.contains(left), "{left} in\n{text}");
    }
}

#[test]
fn infinite_scores_mean_what_they_meant() {
    let rules = r#"<rsc_location id="l" rsc="ip" node="a" score="INFINITY"/>
        <rsc_location id="m" rsc="ip" node="b" score="-INFINITY"/>"#;
    let text = import_of(&[("cib.xml", &cib("", rules))]);
    assert!(text.contains("node = \"a\"\nscore = 1000000"), "{text}");
    assert!(text.contains("node = \"b\"\nscore = \"never\""), "{text}");
    assert!(!text.contains("prefer"), "others may run it: {text}");
    let opt_in = r#"<nvpair id="o" name="symmetric-cluster" value="false"/>"#;
    let text = import_of(&[("cib.xml", &cib(opt_in, rules))]);
    assert!(text.contains("prefer = [\"a\"]\n"), "{text}");
    assert!(!text.contains("[[location]]"), "{text}");
}

#[test]
fn each_line_of_a_block_that_has_no_place_is_named() {
    let text = import_of(&[(
        "keepalived.conf",
        "include more.conf\nvirtual_server 10.0.0.7 80 {\n lb_algo rr\n real_server 10.0.0.8 80 {\n \
         weight 7\n }\n}\nvrrp_instance V {\n virtual_ipaddress {\n 10.0.0.9\n }\n track_script {\n \
         chk_it\n }\n}\n",
    )]);
    let text = text.replace("\n#         ", " ");
    for named in [
        "keepalived.conf:1: include more.conf",
        "keepalived.conf:2: virtual_server 10.0.0.7 80: lb_algo rr; real_server 10.0.0.8 80 { weight 7; }",
        "keepalived.conf:12: track_script: chk_it",
    ] {
        assert!(text.contains(named), "{named} in\n{text}");
    }
}
