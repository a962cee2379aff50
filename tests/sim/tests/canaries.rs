//! The canaries' patches apply to the tree as it is; `cargo xtask sim --canaries` sends
//! them into it, one by one, and waits for each to die.

use std::path::Path;
use std::process::Command;

#[test]
fn every_canary_can_be_sent() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = home.join("../..");
    let mut canaries = 0;
    for entry in std::fs::read_dir(home.join("canaries")).expect("the canaries") {
        let patch = entry.expect("an entry").path();
        let output = Command::new("git")
            .args(["apply", "--check", "--whitespace=nowarn"])
            .arg(&patch)
            .current_dir(&root)
            .output()
            .expect("git");
        assert!(
            output.status.success(),
            "{}: {}make it anew",
            patch.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        canaries += 1;
    }
    assert!(
        canaries >= 5,
        "lease, watchdog, boot id, echo and stop at least"
    );
}
