//! Services that are somebody else's programs, one of every origin, all on one pair: each with a
//! group and a VIP of its own, in an image that has them all.

use std::time::Duration;

use kodo_tests_lab::{PAIR, Story, brought};

/// As for the built-in server; the programs and their libraries are read from memory.
const TAKEOVER: Duration = Duration::from_secs(20);
/// For what a service and a node do at once, under emulation.
const SOON: Duration = Duration::from_secs(30);
/// What the image needs, and room for six services to serve.
const MEMORY_MB: u32 = 512;

/// By the positions of their VIPs, the file's own first. The container image says its port
/// itself.
const SERVICES: [&str; 6] = ["web", "blog", "apache", "nginx", "haproxy", "shop"];
const PORTS: &[u16] = &[81, 80, 82, 83, 84, 85];

/// The words of the services beside the built-in one; what they bring is in a directory.
fn words(dir: &str) -> String {
    let origins = [
        format!("oci = \"{dir}/image.tar\"\nwritable = [\"/run/nginx\"]"),
        "recipe = \"apache\"".to_owned(),
        "recipe = \"nginx\"".to_owned(),
        "recipe = \"haproxy\"".to_owned(),
        format!("program = \"{dir}/server\"\narguments = [\"85\"]"),
    ];
    let named = SERVICES.iter().zip(PORTS).skip(1);
    let blocks = named
        .zip(origins)
        .enumerate()
        .map(|(at, ((name, port), origin))| {
            format!(
                "\n[[service]]\nname = \"{name}\"\nport = {port}\n{origin}\n\
                 [[vip]]\nname = \"{name}-vip\"\naddress = \"192.168.0.{}/24\"\n\
                 [[group]]\nname = \"{name}\"\nmembers = [\"{name}\", \"{name}-vip\"]\n\
                 prefer = [\"node1\", \"node2\"]\nfailback = \"manual\"\n",
                40 + at
            )
        });
    blocks.collect()
}

/// Every service serves; all are killed and run again in place; their node dies and the other
/// one serves them all.
#[test]
fn every_origin() {
    let dir = tempfile::tempdir().expect("a directory");
    brought::container(dir.path());
    brought::program(dir.path());
    let last = "failure_timeout = \"10min\"       # without a failure for so long: forgotten\n";
    let more = format!("{last}{}", words(&dir.path().display().to_string()));
    let variant = [("port = 80\n", "port = 81\n"), (last, &*more.leak())];
    let pair = PAIR.with(Box::leak(Box::new(variant))).serving(PORTS);
    let story = Story::sized(pair, MEMORY_MB);
    story.power_on_pair();
    story.all_served_by(&["node1"; 6], TAKEOVER);

    let killed = story.now();
    let drilled = story.admin("node1").drill("service-kill");
    drilled.expect("drills are allowed");
    for service in SERVICES {
        story.says("node1", &format!("{service}: runs again"), killed, SOON);
    }
    story.all_served_by(&["node1"; 6], TAKEOVER);
    for (vip, service) in SERVICES.iter().enumerate() {
        println!(
            "{service}: outage in place {:?}",
            story.outage_at(vip, killed)
        );
    }

    let cut = story.now();
    story.foretell("--fail node1");
    story.lab.power_off("node1").expect("power off");
    story.all_served_by(&["node2"; 6], TAKEOVER);
    for (vip, service) in SERVICES.iter().enumerate() {
        println!(
            "{service}: outage with move {:?}",
            story.outage_at(vip, cut)
        );
    }
    story.end();
}
