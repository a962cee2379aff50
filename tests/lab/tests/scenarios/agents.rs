//! OCF resource agents as Debian has them: asked, failing, moved, promoted.

use std::time::Duration;

use kodo_tests_lab::{GROUP, PAIR, PROMOTABLE, Story, Variant};

/// Agents are shells that run many programs, which take their time under emulation.
const SOON: Duration = Duration::from_secs(60);
/// What the largest of these images needs, and some room to serve.
const MEMORY_MB: u32 = 256;
/// The same where the agent is small and machines are three.
const THREE_MB: u32 = 160;

/// A member of the example's group that does nothing but remember that it was started, and
/// forgets it once.
const FORGETFUL: Variant = &[
    (
        "[[vip]]\n",
        concat!(
            "[[service]]\nname = \"keeper\"\nport = 81\nrecipe = \"",
            env!("CARGO_MANIFEST_DIR"),
            "/recipes/forgetful\"\n\n[service.probe]\ninterval = \"1s\"\n\n[[vip]]\n"
        ),
    ),
    (
        "members = [\"web\", \"vip\"]",
        "members = [\"web\", \"keeper\", \"vip\"]",
    ),
];

#[test]
fn a_failing_monitor_leads_to_recovery() {
    let story = Story::sized(PAIR.with(FORGETFUL), MEMORY_MB);
    let began = story.now();
    story.lab.power_on_all().expect("power");
    let active = story.serving(SOON);
    let code = "lab:forgetful monitor: not running (code 7)";
    story.says(&active, code, began, SOON);
    story.says(&active, "start for RECOVER", began, SOON);
    story.settled();

    // In order, it is stopped by its agent.
    let heir = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--move {GROUP}={heir}"));
    let asked = story.admin(&active).move_group(GROUP, &heir);
    asked.expect("agreed");
    story.served_by(&heir, SOON);
    assert!(story.said(&active, "keeper says: stop for", before));
    assert!(story.said(&heir, "keeper says: start for MOVE", before));
    println!("an agent, moved: outage {:?}", story.outage(before));
    story.settled();

    // And a node that dies stops nothing.
    let before = story.now();
    story.foretell(&format!("--fail {heir}"));
    story.lab.power_off(&heir).expect("power off");
    story.served_by(&active, SOON);
    assert!(story.said(&active, "keeper says: start for FAILOVER", before));
    println!("an agent, power loss: outage {:?}", story.outage(before));
    story.end();
}

#[test]
fn the_apache_agent_serves() {
    let variant: Variant = &[
        ("kind = \"builtin\"", "recipe = \"ocf-apache\""),
        ("start_timeout = \"10s\"", "start_timeout = \"40s\""),
        ("stop_timeout = \"2s\"", "stop_timeout = \"20s\""),
        (
            "path = \"/\"\ninterval = \"1s\"\ntimeout = \"1s\"",
            "interval = \"5s\"\ntimeout = \"20s\"",
        ),
    ];
    let story = Story::sized(PAIR.with(variant), MEMORY_MB);
    story.power_on_pair();
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&standby, SOON);
    println!("the apache agent: outage {:?}", story.outage(cut));
    story.end();
}

#[test]
fn a_stateful_agent_is_promoted_on_failover() {
    let variant: Variant = &[
        (
            "kind = \"builtin\"\nport = 80\npromotable = true",
            "recipe = \"ocf-stateful\"\nport = 81\npromotable = true",
        ),
        (
            "[[vip]]\n",
            "[[service]]\nname = \"web\"\nport = 80\n\n[[vip]]\n",
        ),
        ("members = [\"vip\"]", "members = [\"web\", \"vip\"]"),
    ];
    let story = Story::of_sized(PROMOTABLE.with(variant), THREE_MB);
    let active = story.serving(SOON);
    scores(&story, &active, &active, 3);
    let heir = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&heir, SOON);
    println!("a stateful agent: outage {:?}", story.outage(cut));
    scores(&story, &heir, &heir, 2);
    story.end();
}

/// So many instances say how fit they are: as Stateful does it, the promoted one 10 and each
/// other one 5.
fn scores(story: &Story, asked: &str, promoted: &str, nodes: usize) {
    story.status(asked, "scores of its agents", SOON, |status| {
        let groups = status["groups"].as_array()?;
        let primary = groups.iter().find(|one| one["name"] == "primary")?;
        let all = primary["promotion"].as_array()?;
        let as_agent_says = all.iter().all(|one| {
            let score = if one["node"] == promoted { 10 } else { 5 };
            one["score"] == score
        });
        (all.len() == nodes && as_agent_says).then_some(())
    });
}
