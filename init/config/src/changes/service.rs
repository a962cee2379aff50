//! Services: what they are, where they come from, how they are started and asked.

use std::collections::BTreeMap;

use super::{List, Takes, each, names};
use crate::cluster::{Agent, Origin, Probe, ProbeKind, Recipe, Root, Service, ServiceKind, User};
use crate::size;

pub(super) fn served(service: &Service) -> String {
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

pub(super) fn service(list: &mut List, place: &str, old: &Service, new: &Service) {
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
