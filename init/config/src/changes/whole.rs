//! What is said once for the whole cluster, and of its machines.

use std::collections::BTreeSet;

use super::group::{group, members, rules, ways};
use super::service::{served, service};
use super::{List, Takes, each, names};
use crate::cluster::{
    Admin, Cluster, EvenSplit, Group, Nic, Node, Quarantine, Serial, SplitBrain, Timing, Token,
    Vip, Watchdog, Witness,
};
use crate::time::Show;

pub(super) fn whole(list: &mut List, old: &Cluster, new: &Cluster) {
    let Cluster {
        name,
        keys,
        timing,
        split_brain,
        even_split,
        witness,
        quarantine,
        ping,
        drills,
        admin,
        watchdog,
        nodes,
        services,
        vips,
        groups,
        colocations: _,
        orders: _,
        paths,
        notes: _,
    } = new;
    let images = Takes::Images;
    list.word("cluster", "name", images, old.name.clone(), name.clone());
    if old.keys != *keys {
        let kept = |key: &kodo_engine::Key| old.keys.iter().position(|own| own == key);
        let words = keys.iter().map(|key| match kept(key) {
            Some(0) => "the one that signed",
            Some(_) => "the one that was accepted",
            None => "a fresh one",
        });
        let (signs, accepts) = keys_of(&words.collect::<Vec<_>>());
        let was = match old.keys.len() {
            1 => "one key",
            _ => "two keys",
        };
        let becomes = format!("signs with {signs}{accepts}");
        list.word("cluster", "key", Takes::Nothing, was.to_owned(), becomes);
    }
    clock(list, &old.timing, timing);
    split(
        list,
        (old.split_brain, old.even_split),
        (*split_brain, *even_split),
    );
    arbiter(list, old.witness.as_ref(), witness.as_ref());
    let limit = |rule: &Quarantine| {
        let Quarantine { exits, window } = rule;
        format!("{exits} deaths, each within {}", Show(*window))
    };
    list.push(
        "quarantine".to_owned(),
        old.quarantine.as_ref().map(limit),
        quarantine.as_ref().map(limit),
        Takes::Nothing,
    );
    list.word("cluster", "ping", images, each(&old.ping), each(ping));
    list.word(
        "cluster",
        "drills",
        Takes::Nothing,
        old.drills.to_string(),
        drills.to_string(),
    );
    operators(list, old.admin.as_ref(), admin.as_ref());
    let Watchdog { timeout, softdog } = watchdog;
    list.time(
        "watchdog",
        "timeout",
        images,
        [old.watchdog.timeout, *timeout],
    );
    list.word(
        "watchdog",
        "softdog",
        images,
        old.watchdog.softdog.to_string(),
        softdog.to_string(),
    );
    machines(list, &old.nodes, nodes);
    // Positions of members and of nodes that stay are the nodes' own: the order counts.
    list.named(
        "service",
        (&old.services, services),
        |service| &service.name,
        &(served, served),
        service,
    );
    list.named(
        "vip",
        (&old.vips, vips),
        |vip| &vip.name,
        &(
            |vip: &Vip| vip.address.to_string(),
            |vip: &Vip| vip.address.to_string(),
        ),
        |list, place, was, becomes| {
            let Vip {
                name: _,
                address,
                lan,
            } = becomes;
            let restart = Takes::Restart;
            list.word(
                place,
                "address",
                restart,
                was.address.to_string(),
                address.to_string(),
            );
            list.word(
                place,
                "lan",
                restart,
                (was.lan + 1).to_string(),
                (lan + 1).to_string(),
            );
        },
    );
    list.named(
        "group",
        (&old.groups, groups),
        |group| &group.name,
        &(
            |group: &Group| members(old, group),
            |group: &Group| members(new, group),
        ),
        |list, place, was, becomes| self::group(list, place, (old, was), (new, becomes)),
    );
    let order = |cluster: &Cluster| names(cluster.groups.iter().map(|group| group.name.as_str()));
    let same = |cluster: &Cluster| -> BTreeSet<String> {
        cluster
            .groups
            .iter()
            .map(|group| group.name.clone())
            .collect()
    };
    if same(old) == same(new) {
        list.word(
            "groups",
            "order in the file",
            Takes::Nothing,
            order(old),
            order(new),
        );
    }
    rules(list, old, new);
    ways(list, &old.paths, paths);
}

/// How a list of keys is used: who signs, and who else is accepted.
fn keys_of(words: &[&'static str]) -> (&'static str, String) {
    let accepts = match words.get(1) {
        Some(other) => format!(", accepts {other} too"),
        None => ", accepts no other".to_owned(),
    };
    (words.first().copied().unwrap_or("none"), accepts)
}

fn clock(list: &mut List, old: &Timing, new: &Timing) {
    let Timing {
        profile: _,
        keepalive,
        warntime,
        deadtime,
        initdead,
        linkwait,
        lease,
        release,
        written: _,
    } = new;
    for (word, was, becomes) in [
        ("keepalive", old.keepalive, keepalive),
        ("warntime", old.warntime, warntime),
        ("deadtime", old.deadtime, deadtime),
        ("initdead", old.initdead, initdead),
        ("linkwait", old.linkwait, linkwait),
        ("lease", old.lease, lease),
        ("release", old.release, release),
    ] {
        list.time("timing", word, Takes::Images, [was, *becomes]);
    }
}

fn split(list: &mut List, old: (SplitBrain, EvenSplit), new: (SplitBrain, EvenSplit)) {
    let policy = |policy| match policy {
        SplitBrain::Accept => "accept",
        SplitBrain::Ping => "ping",
        SplitBrain::Quorum => "quorum",
        SplitBrain::Witness => "witness",
    };
    let tie = |tie| match tie {
        EvenSplit::None => "none",
        EvenSplit::First => "first",
    };
    let images = Takes::Images;
    list.word(
        "cluster",
        "split_brain",
        images,
        policy(old.0).into(),
        policy(new.0).into(),
    );
    list.word(
        "cluster",
        "even_split",
        images,
        tie(old.1).into(),
        tie(new.1).into(),
    );
}

fn arbiter(list: &mut List, old: Option<&Witness>, new: Option<&Witness>) {
    let show = |witness: &Witness| {
        let Witness {
            address,
            port,
            key: _,
        } = witness;
        format!("{address} port {port}")
    };
    let images = Takes::Images;
    list.push("witness".to_owned(), old.map(show), new.map(show), images);
    if let (Some(old), Some(new)) = (old, new)
        && old.key != new.key
    {
        list.word(
            "witness",
            "key",
            images,
            "one key".into(),
            "another one".into(),
        );
    }
}

fn operators(list: &mut List, old: Option<&Admin>, new: Option<&Admin>) {
    let port = |admin: &Admin| {
        let Admin { port, tokens: _ } = admin;
        format!("port {port}")
    };
    list.push(
        "admin".to_owned(),
        old.map(port),
        new.map(port),
        Takes::Images,
    );
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    list.named(
        "admin token",
        (&old.tokens, &new.tokens),
        |token| &token.name,
        &(
            |_: &Token| "valid".to_owned(),
            |_: &Token| "valid".to_owned(),
        ),
        |list, place, was, becomes| {
            let Token { name: _, sha256 } = becomes;
            if was.sha256 != *sha256 {
                list.word(
                    place,
                    "sha256",
                    Takes::Nothing,
                    "one token".into(),
                    "another one".into(),
                );
            }
        },
    );
}

fn machines(list: &mut List, old: &[Node], new: &[Node]) {
    let images = Takes::Images;
    let order = |nodes: &[Node]| names(nodes.iter().map(|node| node.name.as_str()));
    list.word("nodes", "names in order", images, order(old), order(new));
    for (was, becomes) in old
        .iter()
        .zip(new)
        .filter(|(was, new)| was.name == new.name)
    {
        let Node {
            name,
            votes,
            voter,
            capacity,
            nics,
            serial,
            state_partition,
        } = becomes;
        let place = format!("node {name}");
        list.word(
            &place,
            "votes",
            images,
            was.votes.to_string(),
            votes.to_string(),
        );
        list.word(
            &place,
            "voter",
            images,
            was.voter.to_string(),
            voter.to_string(),
        );
        let room = |capacity| match capacity {
            u16::MAX => "no limit".to_owned(),
            some => some.to_string(),
        };
        list.word(
            &place,
            "capacity",
            Takes::Nothing,
            room(was.capacity),
            room(*capacity),
        );
        let partition = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        list.word(
            &place,
            "state_partition",
            images,
            partition(&was.state_partition),
            partition(state_partition),
        );
        for at in 0..was.nics.len().max(nics.len()) {
            let show = |nics: &[Nic]| nics.get(at).map(port);
            list.push(
                format!("{place}: nic {}", at + 1),
                show(&was.nics),
                show(nics),
                images,
            );
        }
        for at in 0..was.serial.len().max(serial.len()) {
            let show = |lines: &[Serial]| {
                lines.get(at).map(|line| {
                    let Serial { device, baud } = line;
                    format!("{device} at {baud} baud")
                })
            };
            let place = format!("{place}: serial {}", at + 1);
            list.push(place, show(&was.serial), show(serial), images);
        }
    }
}

fn port(nic: &Nic) -> String {
    let Nic {
        role,
        id,
        addresses,
        gateways,
    } = nic;
    format!(
        "{} {id}, addresses {}, gateways {}",
        role.word(),
        each(addresses),
        each(gateways)
    )
}
