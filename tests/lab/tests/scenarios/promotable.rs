//! A promotable service: an instance on each of three nodes, and one of them is promoted.
//!
//! What an instance is, clients are asked: through the VIP, and at each node's own address.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use kodo_tests_lab::{PROMOTABLE, Story};

/// What follows from a fault, a guarded group's wait for the watchdog included.
const SOON: Duration = Duration::from_secs(30);
/// An answer of one request.
const ANSWER: Duration = Duration::from_secs(5);
/// The group that promotes.
const PRIMARY: &str = "primary";
/// The clone of which it promotes an instance.
const CLONE: &str = "db";

#[test]
fn promotable() {
    let story = Story::of(PROMOTABLE);
    let active = story.serving(SOON);
    is_promoted(&story, &active);
    fit(&story, &active, 3);

    // An operator moves the role; the instances stay where they are.
    let heir = story.other(&active);
    let before = story.now();
    story.foretell(&format!("--move {PRIMARY}={heir}"));
    let asked = story.admin(&active).move_group(PRIMARY, &heir);
    asked.expect("agreed");
    story.served_by(&heir, SOON);
    is_promoted(&story, &heir);
    println!("promotable, moved: outage {:?}", story.outage(before));
    story.settled();
    assert!(!story.said(&active, "service db exited", before));

    // The promoted instance dies: another one is promoted, and the next life is ordinary.
    let (active, before) = (heir, story.now());
    let heir = story.other(&active);
    story.foretell(&format!("--crash {CLONE}={active}"));
    let killed = story.admin(&active).drill("service-kill");
    killed.expect("drills are allowed");
    story.served_by(&heir, SOON);
    is_promoted(&story, &heir);
    println!("promotable, crashed: outage {:?}", story.outage(before));
    story.settled();
    is_promoted(&story, &heir);

    // Its node loses its power.
    let (active, before) = (heir, story.now());
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    let heir = story.other(&active);
    story.served_by(&heir, SOON);
    println!("promotable, power loss: outage {:?}", story.outage(before));
    assert_eq!(role(&story, &heir).as_deref(), Some("promoted"));
    fit(&story, &heir, 2);
    story.foretell(&format!("--join {active}"));
    story.lab.power_on(&active).expect("power on");
    story.settled();
    is_promoted(&story, &heir);
    story.end();
}

/// This node's instance is the promoted one, no other is, and the VIP leads to it.
fn is_promoted(story: &Story, node: &str) {
    assert_eq!(through_vip(story).as_deref(), Some("promoted"));
    for one in story.nodes() {
        let expect = if one == node {
            "promoted"
        } else {
            "unpromoted"
        };
        let shown = |_: &_| role(story, &one).filter(|role| role == expect);
        let what = format!("{expect} {one}");
        let found = story.lab.wait_for(&what, SOON, shown);
        found.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// As many nodes have an instance that could be promoted, each as fit as it says.
fn fit(story: &Story, asked: &str, nodes: usize) {
    story.status(asked, "instances to promote", SOON, |status| {
        let groups = status["groups"].as_array()?;
        let primary = groups.iter().find(|one| one["name"] == PRIMARY)?;
        let fit = primary["promotion"].as_array()?;
        let all = fit.iter().all(|one| one["score"] == 5);
        (primary["promotes"] == "db" && fit.len() == nodes && all).then_some(())
    });
}

/// What the instance at a node's own address says it is.
fn role(story: &Story, node: &str) -> Option<String> {
    ask(story.lab.own_port(node).expect("a node on the LAN"))
}

fn through_vip(story: &Story) -> Option<String> {
    ask(story.lab.client().port().expect("a VIP"))
}

fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream
        .write_all(b"GET /kodo HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-kodo-role")
            .then(|| value.trim().to_owned())
    })
}
