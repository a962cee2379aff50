//! Services that are somebody else's programs: brought into the image by a recipe, served by
//! both nodes in turn.

use std::time::Duration;

use kodo_tests_lab::{Story, Variant};

/// As for the built-in server; the program and its libraries are read from memory.
const TAKEOVER: Duration = Duration::from_secs(20);

/// What the largest of these images needs, and some room to serve.
const MEMORY_MB: u32 = 256;

/// The service serves, its node dies, the other one serves.
fn survives_power_loss(variant: Variant) {
    let story = Story::sized(variant, MEMORY_MB);
    story.power_on_pair();
    let active = story.serving(TAKEOVER);
    let standby = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&standby, TAKEOVER);
    println!("{variant:?}: outage {:?}", story.outage(cut));
    story.end();
}

#[test]
fn apache() {
    survives_power_loss(&[("kind = \"builtin\"", "recipe = \"apache\"")]);
}

#[test]
fn nginx() {
    survives_power_loss(&[("kind = \"builtin\"", "recipe = \"nginx\"")]);
}

#[test]
fn haproxy() {
    survives_power_loss(&[("kind = \"builtin\"", "recipe = \"haproxy\"")]);
}
