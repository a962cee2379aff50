//! What differs between two files of one cluster, for people, and what a node can do about it
//! while it runs.
//!
//! Owns the list of differences and the judgement of each: taken over while the cluster runs,
//! at the price of a restart of its own group, or only by images that are built anew. Every
//! field of [`Cluster`] is named here, so that none is forgotten: what the hash tells apart,
//! the list tells too. Shows no secret.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use kodo_engine::GroupId;
use kodo_engine::reload;

use crate::cluster::{
    Admin, Agent, Bond, Cluster, EvenSplit, Failback, Group, HealthRule, Location, Member, Nic,
    Node, OnStopFailure, Order, Origin, Path, Probe, ProbeKind, Quarantine, Recipe, Root, Serial,
    Service, ServiceKind, SplitBrain, Timing, Token, User, Vip, Watchdog, Witness, Worth,
};
use crate::size;
use crate::time::Show;
use crate::words::and;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is, in the file's words: "group www: failback".
    pub place: String,
    /// What the old file says there; `None` when it has no such thing.
    pub was: Option<String>,
    /// What the new file says there; `None` when it has no such thing any more.
    pub becomes: Option<String>,
    /// What it takes.
    pub takes: Takes,
}

/// What a difference takes to become true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// Nothing: what runs goes on.
    Nothing,
    /// The group that it is about stops, and starts again.
    Restart,
    /// Images of the new file, and booting the nodes from them one by one.
    Images,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match (&self.was, &self.becomes) {
            (Some(was), Some(becomes)) => write!(f, "{was} -> {becomes}"),
            (None, Some(becomes)) => write!(f, "new, {becomes}"),
            (Some(was), None) => write!(f, "gone, was {was}"),
            (None, None) => f.write_str("changed"),
        }?;
        f.write_str(match self.takes {
            Takes::Nothing => "",
            Takes::Restart => " (its group restarts)",
            Takes::Images => " (needs new images)",
        })
    }
}

impl Cluster {
    /// What differs from an older file of this cluster, in the file's order.
    #[must_use]
    pub fn changes(&self, old: &Cluster) -> Vec<Change> {
        let mut list = List::default();
        whole(&mut list, old, self);
        list.0
    }

    /// Whether nodes that run `old` can go over to this file while they run; `changes` are all
    /// that differ.
    ///
    /// # Errors
    /// What stands against it, and what to do instead.
    pub fn unfit(&self, old: &Cluster, changes: &[Change]) -> Result<(), String> {
        let fixed = changes
            .iter()
            .filter(|change| change.takes == Takes::Images);
        let fixed: Vec<String> = fixed.map(|change| format!("\n  {change}")).collect();
        if !fixed.is_empty() {
            return Err(format!(
                "running nodes cannot change this:{}\nbuild images of the new file and boot the nodes from them one by one",
                fixed.concat()
            ));
        }
        let heard = |by: &Cluster, from: &Cluster| {
            from.keys
                .first()
                .is_some_and(|signs| by.keys.contains(signs))
        };
        if !heard(old, self) {
            return Err(
                "the new file signs with a key that the running one does not accept: \
                 nodes that have changed would not be heard; first apply the running file with the \
                 new key as the second line of the key file"
                    .to_owned(),
            );
        }
        if !heard(self, old) {
            return Err(
                "the new file does not accept the key with which the running one signs: \
                 nodes that have not changed yet would not be heard; keep it as the second line of \
                 the key file until the new key signs everywhere"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The groups of `old` that stop when nodes that run it go over to this file.
    ///
    /// # Errors
    /// Why they would refuse it.
    pub fn parting(&self, old: &Cluster) -> Result<Vec<GroupId>, String> {
        let first = |file: &Cluster| {
            file.nodes
                .first()
                .map_or(String::new(), |it| it.name.clone())
        };
        let running = old.node(&first(old)).map_err(|error| error.to_string())?;
        let (next, _) = self.node_after(&first(self), &running)?;
        let parts =
            reload::parting(&running.engine, &next.engine).map_err(|why| why.to_string())?;
        let changes = self.changes(old);
        let mut fixed = changes
            .iter()
            .filter(|change| change.takes == Takes::Images);
        match fixed.next() {
            Some(change) => Err(change.to_string()),
            None => Ok(parts.collect()),
        }
    }
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    fn push(&mut self, place: String, was: Option<String>, becomes: Option<String>, takes: Takes) {
        if was != becomes {
            self.0.push(Change {
                place,
                was,
                becomes,
                takes,
            });
        }
    }

    fn word(&mut self, place: &str, word: &str, takes: Takes, was: String, becomes: String) {
        self.push(format!("{place}: {word}"), Some(was), Some(becomes), takes);
    }

    fn time(&mut self, place: &str, word: &str, takes: Takes, times: [core::time::Duration; 2]) {
        let [was, becomes] = times.map(|time| Show(time).to_string());
        self.word(place, word, takes, was, becomes);
    }

    /// Two lists of named things, in the file's order: what is gone, what stays, what is new.
    fn named<T>(
        &mut self,
        kind: &str,
        (was, becomes): (&[T], &[T]),
        name: impl Fn(&T) -> &str,
        show: &(impl Fn(&T) -> String, impl Fn(&T) -> String),
        mut both: impl FnMut(&mut List, &str, &T, &T),
    ) {
        let find = |list: &[T], wanted: &T| list.iter().position(|one| name(one) == name(wanted));
        for one in was {
            let place = format!("{kind} {}", name(one));
            match find(becomes, one) {
                Some(at) => both(self, &place, one, &becomes[at]),
                None => self.push(place, Some(show.0(one)), None, Takes::Nothing),
            }
        }
        for one in becomes.iter().filter(|one| find(was, one).is_none()) {
            self.push(
                format!("{kind} {}", name(one)),
                None,
                Some(show.1(one)),
                Takes::Nothing,
            );
        }
    }
}

fn names<'n>(list: impl Iterator<Item = &'n str>) -> String {
    let list: Vec<&str> = list.collect();
    match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    }
}

fn each<T: fmt::Display>(list: &[T]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    names(list.iter().map(String::as_str))
}

fn whole(list: &mut List, old: &Cluster, new: &Cluster) {
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

fn served(service: &Service) -> String {
    format!("{} on port {}", kind(&service.kind), service.port)
}

fn asked(kind: &ProbeKind) -> String {
    match kind {
        ProbeKind::Tcp => "a connection".to_owned(),
        ProbeKind::Http { path, status, body } => {
            let status = status.map(|status| format!(" with status {status}"));
            let body = body.as_ref().map(|body| format!(" that holds {body:?}"));
            let rest = [status, body].into_iter().flatten().collect::<String>();
            format!("the page {path}{rest}")
        }
    }
}

fn kind(kind: &ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Builtin => "builtin",
        ServiceKind::Root(_) => "in a root of its own",
    }
}

/// What the image builder made of a root is there for good; how it is started is not.
fn root(list: &mut List, place: &str, old: &Root, new: &Root) {
    let Root {
        origin,
        recipe,
        keep,
        links,
        agent,
        files_at,
        command,
        arguments,
        environment,
        directory,
        writable,
        user,
    } = new;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let images = Takes::Images;
    let shown = |origin: &toml::Spanned<Origin>| match origin.get_ref() {
        Origin::Program(path) => format!("the program {path}"),
        Origin::Debian(packages) => format!("Debian's {}", packages.join(", ")),
        Origin::Oci(path) => format!("the container image {path}"),
    };
    list.word(place, "origin", images, shown(&old.origin), shown(origin));
    let named = |recipe: &Option<Recipe>| {
        or_none(recipe.as_ref().map(|recipe| match recipe {
            Recipe::Ready(name) | Recipe::Directory(name) => name.clone(),
        }))
    };
    list.word(place, "recipe", images, named(&old.recipe), named(recipe));
    list.word(place, "keep", images, each(&old.keep), each(keep));
    let pairs = |links: &BTreeMap<String, String>| {
        let pairs = links.iter().map(|(from, to)| format!("{from} to {to}"));
        each(&pairs.collect::<Vec<_>>())
    };
    list.word(place, "links", images, pairs(&old.links), pairs(links));
    let who = |agent: &Option<Agent>| {
        let name = |agent: &Agent| format!("{}:{}", agent.provider, agent.kind);
        or_none(agent.as_ref().map(name))
    };
    list.word(place, "ocf", images, who(&old.agent), who(agent));
    let told = |agent: &Option<Agent>| {
        let parameters = agent.as_ref().map(|agent| agent.parameters.clone());
        parameters.unwrap_or_default()
    };
    let (was, becomes) = (told(&old.agent), told(agent));
    variables(list, place, "parameters", &was, &becomes);
    let at = |place: &Option<String>| or_none(place.clone());
    list.word(place, "files_at", images, at(&old.files_at), at(files_at));
    let was = each(&old.writable);
    list.word(place, "writable", images, was, each(writable));
    let who = |user: &Option<User>| {
        or_none(user.as_ref().map(|user| match user {
            User::Id(id) => id.to_string(),
            User::Name(name) => name.clone(),
        }))
    };
    list.word(place, "user", images, who(&old.user), who(user));
    let again = Takes::Restart;
    list.word(place, "command", again, at(&old.command), at(command));
    let all = |arguments: &Option<Vec<String>>| or_none(arguments.as_ref().map(|all| each(all)));
    let was = all(&old.arguments);
    list.word(place, "arguments", again, was, all(arguments));
    variables(list, place, "environment", &old.environment, environment);
    let was = at(&old.directory);
    list.word(place, "directory", again, was, at(directory));
}

/// By their names: values may be secret.
fn variables(
    list: &mut List,
    place: &str,
    word: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) {
    if old != new {
        let shown = |all: &BTreeMap<String, String>| names(all.keys().map(String::as_str));
        let other = match old.keys().eq(new.keys()) {
            true => " with other values",
            false => "",
        };
        let becomes = format!("{}{other}", shown(new));
        list.word(place, word, Takes::Restart, shown(old), becomes);
    }
}

fn service(list: &mut List, place: &str, old: &Service, new: &Service) {
    let Service {
        name: _,
        kind,
        port,
        files,
        promotable,
        bounds,
        stop_signal,
        probe,
        start_timeout,
        stop_timeout,
        backoff_min,
        backoff_max,
    } = new;
    let Probe {
        kind: asks,
        interval,
        timeout,
        rise,
        fall,
    } = probe;
    let live = Takes::Nothing;
    let kinds = [&old.kind, kind].map(|one| self::kind(one).to_owned());
    let [was, becomes] = kinds;
    list.word(place, "kind", Takes::Images, was, becomes);
    let rooted = match (&old.kind, kind) {
        (ServiceKind::Root(was), ServiceKind::Root(becomes)) => {
            root(list, place, was, becomes);
            true
        }
        _ => false,
    };
    // Files of a root may name it.
    let takes = if rooted {
        Takes::Images
    } else {
        Takes::Restart
    };
    list.word(place, "port", takes, old.port.to_string(), port.to_string());
    let path_of = |files: &Option<toml::Spanned<String>>| match files {
        Some(files) => files.get_ref().clone(),
        None => "none".to_owned(),
    };
    // The image has the old ones under the service's name.
    let takes = match (&old.files, files) {
        (Some(_), Some(_)) => Takes::Images,
        _ if rooted => Takes::Images,
        _ => Takes::Restart,
    };
    list.word(place, "files", takes, path_of(&old.files), path_of(files));
    list.word(
        place,
        "promotable",
        Takes::Restart,
        old.promotable.to_string(),
        promotable.to_string(),
    );
    let most = |memory: Option<u64>| memory.map_or_else(|| "shared".to_owned(), size::show);
    let was = most(old.bounds.memory);
    list.word(place, "memory", live, was, most(bounds.memory));
    let was = old.bounds.pids.to_string();
    list.word(place, "pids", live, was, bounds.pids.to_string());
    let most = |cpu: Option<u32>| cpu.map_or_else(|| "shared".to_owned(), |cpu| cpu.to_string());
    list.word(place, "cpu", live, most(old.bounds.cpu), most(bounds.cpu));
    let [was, becomes] = [old.stop_signal, *stop_signal].map(|signal| signal.word().to_owned());
    list.word(place, "stop_signal", live, was, becomes);
    let [was, becomes] = [&old.probe.kind, asks].map(asked);
    list.word(place, "probe", live, was, becomes);
    list.time(
        place,
        "probe interval",
        live,
        [old.probe.interval, *interval],
    );
    list.time(place, "probe timeout", live, [old.probe.timeout, *timeout]);
    list.word(
        place,
        "probe rise",
        live,
        old.probe.rise.to_string(),
        rise.to_string(),
    );
    list.word(
        place,
        "probe fall",
        live,
        old.probe.fall.to_string(),
        fall.to_string(),
    );
    list.time(
        place,
        "start_timeout",
        live,
        [old.start_timeout, *start_timeout],
    );
    list.time(
        place,
        "stop_timeout",
        live,
        [old.stop_timeout, *stop_timeout],
    );
    list.time(place, "backoff_min", live, [old.backoff_min, *backoff_min]);
    list.time(place, "backoff_max", live, [old.backoff_max, *backoff_max]);
}

fn member(cluster: &Cluster, member: Member) -> &str {
    match member {
        Member::Service(at) => &cluster.services[at].name,
        Member::Vip(at) => &cluster.vips[at].name,
    }
}

fn members(cluster: &Cluster, group: &Group) -> String {
    names(group.members.iter().map(|one| member(cluster, *one)))
}

fn group(
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
fn rules(list: &mut List, old: &Cluster, new: &Cluster) {
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
fn ways(list: &mut List, old: &[Path], new: &[Path]) {
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
