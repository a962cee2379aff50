//! A new file's tables beside the running one's: what is still there keeps its id.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use kodo_config::Cluster;
use kodo_node::config::Target;
use kodo_node::io::ServiceId;
use kodo_node::{Config, Seats, Unfit};

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/examples/web.toml");
    fs::read_to_string(path).unwrap()
}

fn lowered(text: &str) -> Config {
    let load = |_, _: &str| Err("not found".to_owned());
    Cluster::parse("web.toml", text, &load)
        .unwrap()
        .node("node1")
        .unwrap()
}

/// One more service and VIP, before the others in the file.
fn more(n: usize) -> String {
    format!(
        "[[service]]\nname = \"more{n}\"\nkind = \"builtin\"\nport = {}\n\
         [[vip]]\nname = \"vip{n}\"\naddress = \"192.168.0.{}/24\"\n\
         [[group]]\nname = \"group{n}\"\nmembers = [\"more{n}\", \"vip{n}\"]\nprefer = [\"node1\"]\n",
        8000 + n,
        100 + n
    )
}

fn grown(n: usize) -> String {
    example().replacen("[[service]]", &format!("{}[[service]]", more(n)), 1)
}

fn names(config: &Config) -> Vec<&str> {
    let resources = config.engine.resources.iter();
    resources.map(|resource| resource.name.as_str()).collect()
}

fn members(config: &Config, group: usize) -> Vec<&str> {
    let members = config.engine.groups[group].members.iter();
    members.map(|id| names(config)[id.index()]).collect()
}

#[test]
fn what_is_new_comes_last_and_what_was_there_stays() {
    let running = lowered(&example());
    let mut next = lowered(&grown(1));
    assert_eq!(names(&next), ["more1", "web", "vip1", "vip"]);
    let seats = next.seat(&running).unwrap();
    assert_eq!(names(&next), ["web", "vip", "more1", "vip1"]);
    assert_eq!(seats, Seats::from_iter([ServiceId(1), ServiceId(0)]));
    assert_eq!(members(&next, 0), ["more1", "vip1"]);
    assert_eq!(members(&next, 1), ["web", "vip"]);
    assert_eq!(next.supervisor.services[1].name, "more1");
    assert_eq!(next.netstack.vips[1].address.to_string(), "192.168.0.101");
    assert_eq!(next.resources[2], Target::Service(ServiceId(1)));
}

#[test]
fn what_is_gone_leaves_its_entry_and_comes_back_to_it() {
    let grown_up = lowered(&grown(1));
    let mut next = lowered(&example());
    next.seat(&grown_up).unwrap();
    assert_eq!(names(&next), names(&grown_up), "in no group any more");
    assert_eq!(members(&next, 0), ["web", "vip"]);
    let mut again = lowered(&grown(1));
    again.seat(&next).unwrap();
    assert_eq!(names(&again), names(&grown_up));
}

#[test]
fn a_vip_by_another_name_keeps_its_place_by_its_address() {
    let running = lowered(&example());
    let renamed = example()
        .replace("name = \"vip\"", "name = \"front\"")
        .replace("\"web\", \"vip\"", "\"web\", \"front\"");
    let mut next = lowered(&renamed);
    next.seat(&running).unwrap();
    assert_eq!(names(&next), ["web", "front"]);
}

#[test]
fn tables_that_came_and_went_too_often_are_full() {
    let mut running = lowered(&example());
    let mut full = None;
    for n in 1..20 {
        let mut next = lowered(&grown(n));
        match next.seat(&running) {
            Ok(_) => running = next,
            Err(unfit) => {
                full = Some((n, unfit));
                break;
            }
        }
    }
    assert_eq!(
        full,
        Some((8, Unfit::Full)),
        "eight services, one of them web"
    );
}
