//! Groups, and the rules between them.

use super::{List, Takes, names};
use crate::cluster::{
    Bond, Cluster, Failback, Group, HealthRule, Location, Member, OnStopFailure, Order, Path, Worth,
};
use crate::time::Show;
use crate::words::and;

fn member(cluster: &Cluster, member: Member) -> &str {
    match member {
        Member::Service(at) => &cluster.services[at].name,
        Member::Vip(at) => &cluster.vips[at].name,
    }
}

pub(super) fn members(cluster: &Cluster, group: &Group) -> String {
    names(group.members.iter().map(|one| member(cluster, *one)))
}

pub(super) fn group(
    list: &mut List,
    place: &str,
    (old, was): (&Cluster, &Group),
    (new, becomes): (&Cluster, &Group),
) {
    let Group {
        name: _,
        guarded,
        members: _,
        prefer: _,
        locations: _,
        priority,
        weight,
        clones,
        promotes,
        stickiness,
        failback,
        migration_threshold,
        failure_timeout,
        health,
        start_failure_is_fatal,
        on_stop_failure,
    } = becomes;
    let (live, restart) = (Takes::Nothing, Takes::Restart);
    list.word(
        place,
        "members",
        restart,
        members(old, was),
        members(new, becomes),
    );
    list.word(
        place,
        "guarded",
        restart,
        was.guarded.to_string(),
        guarded.to_string(),
    );
    let instances = |clones: Option<u8>| match clones {
        None => "none".to_owned(),
        Some(n) => n.to_string(),
    };
    list.word(
        place,
        "clones",
        restart,
        instances(was.clones),
        instances(*clones),
    );
    let clone = |cluster: &Cluster, of: Option<usize>| match of {
        None => "none".to_owned(),
        Some(at) => cluster.groups[at].name.clone(),
    };
    list.word(
        place,
        "promotes",
        restart,
        clone(old, was.promotes),
        clone(new, *promotes),
    );
    let prefer = |cluster: &Cluster, group: &Group| {
        names(
            group
                .prefer
                .iter()
                .map(|at| cluster.nodes[*at].name.as_str()),
        )
    };
    list.word(
        place,
        "prefer",
        live,
        prefer(old, was),
        prefer(new, becomes),
    );
    let worth = |cluster: &Cluster, group: &Group| {
        let each = group.locations.iter().map(|Location { node, worth }| {
            let worth = match worth {
                Worth::Never => "never".to_owned(),
                Worth::Score(score) => score.to_string(),
            };
            format!("{} {worth}", cluster.nodes[*node].name)
        });
        let each: Vec<String> = each.collect();
        names(each.iter().map(String::as_str))
    };
    list.word(
        place,
        "location scores",
        live,
        worth(old, was),
        worth(new, becomes),
    );
    list.word(
        place,
        "priority",
        live,
        was.priority.to_string(),
        priority.to_string(),
    );
    list.word(
        place,
        "weight",
        live,
        was.weight.to_string(),
        weight.to_string(),
    );
    list.word(
        place,
        "stickiness",
        live,
        was.stickiness.to_string(),
        stickiness.to_string(),
    );
    let back = |failback| match failback {
        Failback::Auto => "auto".to_owned(),
        Failback::Manual => "manual".to_owned(),
        Failback::Delayed(delay) => format!("delayed by {}", Show(delay)),
    };
    list.word(place, "failback", live, back(was.failback), back(*failback));
    list.word(
        place,
        "migration_threshold",
        live,
        was.migration_threshold.to_string(),
        migration_threshold.to_string(),
    );
    list.time(
        place,
        "failure_timeout",
        live,
        [was.failure_timeout, *failure_timeout],
    );
    let ill = |health| match health {
        HealthRule::None => "none".to_owned(),
        HealthRule::MigrateOnRed => "migrate-on-red".to_owned(),
        HealthRule::OnlyGreen => "only-green".to_owned(),
    };
    list.word(place, "health", live, ill(was.health), ill(*health));
    list.word(
        place,
        "start_failure_is_fatal",
        live,
        was.start_failure_is_fatal.to_string(),
        start_failure_is_fatal.to_string(),
    );
    let stuck = |then| match then {
        OnStopFailure::Fence => "fence".to_owned(),
        OnStopFailure::Block => "block".to_owned(),
    };
    let (old, new) = (stuck(was.on_stop_failure), stuck(*on_stop_failure));
    list.word(place, "on_stop_failure", live, old, new);
}

/// Rules between groups: what is in one file and not in the other.
pub(super) fn rules(list: &mut List, old: &Cluster, new: &Cluster) {
    let pairs = |cluster: &Cluster| -> Vec<(String, String)> {
        let name = |at: usize| cluster.groups[at].name.as_str();
        let pairs = cluster.colocations.iter().map(|pair| {
            let bond = match pair.bond {
                Bond::Must => "must".to_owned(),
                Bond::Never => "never".to_owned(),
                Bond::Score(score) => score.to_string(),
            };
            let place = format!(
                "colocation of {} with {}",
                name(pair.group),
                name(pair.with)
            );
            (place, bond)
        });
        pairs.collect()
    };
    let orders = |cluster: &Cluster| -> Vec<(String, String)> {
        let name = |at: usize| cluster.groups[at].name.as_str();
        let orders = cluster.orders.iter().map(|Order { first, then, must }| {
            let kind = if *must { "must" } else { "should" };
            let place = format!("order of {}", and(&[name(*first), name(*then)]));
            (format!("{place}: {} first", name(*first)), kind.to_owned())
        });
        orders.collect()
    };
    for [was, becomes] in [[pairs(old), pairs(new)], [orders(old), orders(new)]] {
        let places = was.iter().chain(
            becomes
                .iter()
                .filter(|(place, _)| was.iter().all(|(known, _)| known != place)),
        );
        for (place, _) in places {
            let find = |rules: &[(String, String)]| {
                let found = rules.iter().find(|(known, _)| known == place);
                found.map(|(_, word)| word.clone())
            };
            list.push(place.clone(), find(&was), find(&becomes), Takes::Nothing);
        }
    }
}

/// Heartbeat paths follow from the nodes, which were compared; but a serial line's pace also
/// follows from how many groups a heartbeat tells of.
pub(super) fn ways(list: &mut List, old: &[Path], new: &[Path]) {
    for becomes in new {
        let Path {
            name,
            kind: _,
            index: _,
            ends: _,
            keepalive,
            budget: _,
            public,
        } = becomes;
        let Some(was) = old.iter().find(|path| path.name == *name) else {
            continue;
        };
        let place = format!("path {name}");
        list.time(
            &place,
            "keepalive",
            Takes::Nothing,
            [was.keepalive, *keepalive],
        );
        list.word(
            &place,
            "carries VIPs",
            Takes::Images,
            was.public.to_string(),
            public.to_string(),
        );
    }
}
