//! What a service runs: the words of its origin and of its root, its recipe's among them.
//!
//! Lists add to the recipe's, other words replace them. A recipe is checked by itself, like
//! a file of its own; its mistakes are told where the cluster file names it.

use core::ops::Range;
use std::collections::BTreeMap;

use toml::Spanned;

use super::{bounds, take};
use crate::cluster::{Agent, Origin, Recipe, Root, ServiceKind, User};
use crate::diagnostic::{Diagnostic, Severity, Sink};
use crate::leaf::{Parse, Text};
use crate::place::{AgentName, Package, Place};
use crate::raw;
use crate::read::{self, Entry};
use crate::secrets::Loader;
use crate::start;

/// Entries of each list; far more than anybody has needed, and few enough to read.
const LIST_MAX: usize = 128;
/// Writable directories: each is a mount of its own at every start.
const WRITABLE_MAX: usize = 16;
/// What every service has of its own, and must not be written to.
const OWN: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The words of a root, of a service or of a recipe.
#[derive(Debug, Default)]
pub(super) struct Words {
    origin: Option<Spanned<Origin>>,
    keep: Vec<String>,
    links: BTreeMap<String, String>,
    agent: Option<Spanned<AgentName>>,
    parameters: BTreeMap<String, String>,
    files_at: Option<Spanned<String>>,
    command: Option<Spanned<String>>,
    arguments: Option<Vec<String>>,
    environment: BTreeMap<String, String>,
    directory: Option<String>,
    writable: Vec<Spanned<String>>,
    user: Option<User>,
    pub(super) bounds: bounds::Words,
    /// Words that say nothing without an origin.
    need_origin: Vec<(&'static str, Range<usize>)>,
}

impl Words {
    /// Whether they name an OCF agent.
    pub(super) fn has_agent(&self) -> bool {
        self.agent.is_some()
    }
}

/// What a recipe says.
#[derive(Debug)]
pub(super) struct Followed {
    recipe: Recipe,
    place: Range<usize>,
    pub(super) words: Words,
    /// Its `[probe]`, found without mistakes.
    pub(super) probe: Option<Entry<raw::Probe>>,
}

/// Reads the words of a service or of a recipe.
pub(super) fn words(sink: &mut Sink<'_>, raw: raw::Recipe) -> Words {
    let mut all = Words::default();
    let places = [
        ("ocf", raw.ocf.as_ref().map(Spanned::span)),
        ("parameters", raw.parameters.as_ref().map(Spanned::span)),
        ("keep", raw.keep.as_ref().map(Spanned::span)),
        ("links", raw.links.as_ref().map(Spanned::span)),
        ("command", raw.command.as_ref().map(Spanned::span)),
        ("arguments", raw.arguments.as_ref().map(Spanned::span)),
        ("environment", raw.environment.as_ref().map(Spanned::span)),
        ("directory", raw.directory.as_ref().map(Spanned::span)),
        ("writable", raw.writable.as_ref().map(Spanned::span)),
        ("user", raw.user.as_ref().map(Spanned::span)),
        ("files_at", raw.files_at.as_ref().map(Spanned::span)),
        ("stop_signal", raw.stop_signal.as_ref().map(Spanned::span)),
    ];
    all.need_origin = places
        .into_iter()
        .filter_map(|(word, span)| Some((word, span?)))
        .collect();
    all.origin = origin(sink, raw.program, raw.debian, raw.oci);
    all.keep = list(sink, raw.keep, "keep", LIST_MAX)
        .into_iter()
        .map(|pattern| pattern.into_inner().0)
        .collect();
    all.links = raw
        .links
        .map(|table| links(sink, table))
        .unwrap_or_default();
    all.agent = raw.ocf.and_then(|text| take(sink, text));
    all.parameters = raw
        .parameters
        .map(|table| parameters(sink, table))
        .unwrap_or_default();
    let place = |sink: &mut Sink<'_>, text: Text<Place>| {
        let place = take(sink, text)?;
        Some(Spanned::new(place.span(), place.into_inner().0))
    };
    all.files_at = raw.files_at.and_then(|text| place(sink, text));
    all.command = raw.command.and_then(|text| place(sink, text));
    if let Some(command) = all
        .command
        .as_ref()
        .filter(|command| command.get_ref() == "/")
    {
        sink.push(
            Diagnostic::error(command.span(), "the root itself is no program").help(
                "write the program's path in the service's root, such as \"/usr/sbin/nginx\"",
            ),
        );
    }
    all.directory = raw
        .directory
        .and_then(|text| place(sink, text))
        .map(Spanned::into_inner);
    all.arguments = raw.arguments.map(|list| arguments(sink, list));
    all.environment = raw
        .environment
        .map(|table| environment(sink, table))
        .unwrap_or_default();
    all.writable = writable(sink, raw.writable);
    all.user = raw
        .user
        .and_then(|text| take(sink, text))
        .map(Spanned::into_inner);
    all.bounds = bounds::Words::read(sink, raw.memory, raw.pids, raw.cpu, raw.stop_signal);
    all
}

/// The one origin.
fn origin(
    sink: &mut Sink<'_>,
    program: Option<Spanned<String>>,
    debian: Option<Spanned<Vec<Text<Package>>>>,
    oci: Option<Spanned<String>>,
) -> Option<Spanned<Origin>> {
    let mut found: Vec<Spanned<Origin>> = Vec::new();
    for (word, path, make) in [
        ("program", program, Origin::Program as fn(String) -> Origin),
        ("oci", oci, Origin::Oci),
    ] {
        let Some(path) = path else { continue };
        if path.get_ref().is_empty() || path.get_ref().contains('\0') {
            sink.push(
                Diagnostic::error(path.span(), format!("`{word}` names no file"))
                    .help("write a file's path relative to this file"),
            );
        }
        found.push(Spanned::new(path.span(), make(path.into_inner())));
    }
    if let Some(packages) = debian {
        let span = packages.span();
        if packages.get_ref().is_empty() {
            sink.push(
                Diagnostic::error(span.clone(), "`debian` names no package")
                    .help("write the packages that hold the program: [\"apache2-bin\"]"),
            );
        }
        let names = list(sink, Some(packages), "debian", LIST_MAX);
        let names = names.into_iter().map(|name| name.into_inner().0).collect();
        found.push(Spanned::new(span, Origin::Debian(names)));
    }
    found.sort_by_key(|origin| origin.span().start);
    if let [first, second, ..] = &found[..] {
        sink.push(
            Diagnostic::error(second.span(), "the service has two origins")
                .see(first.span(), "the first")
                .because("its root is made from one of `program`, `debian` and `oci`")
                .help("remove one of them"),
        );
    }
    found.into_iter().next()
}

/// The values of a bounded list.
fn list<T>(
    sink: &mut Sink<'_>,
    texts: Option<Spanned<Vec<Text<T>>>>,
    word: &str,
    limit: usize,
) -> Vec<Spanned<T>> {
    let Some(texts) = texts else {
        return Vec::new();
    };
    if texts.get_ref().len() > limit {
        sink.push(
            Diagnostic::error(
                texts.span(),
                format!("`{word}` has more than {limit} entries"),
            )
            .help("write fewer; a pattern stands for many files"),
        );
    }
    super::take_all(sink, Some(texts.into_inner()))
}

fn arguments(sink: &mut Sink<'_>, list: Spanned<Vec<Spanned<String>>>) -> Vec<String> {
    for argument in list.get_ref() {
        if argument.get_ref().contains('\0') {
            sink.push(
                Diagnostic::error(argument.span(), "an argument cannot hold a zero byte")
                    .help("write it without"),
            );
        }
    }
    list.into_inner()
        .into_iter()
        .map(Spanned::into_inner)
        .collect()
}

/// A name that every shell takes for a variable's.
fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(plain)
}

fn environment(
    sink: &mut Sink<'_>,
    table: Spanned<BTreeMap<String, Spanned<String>>>,
) -> BTreeMap<String, String> {
    for (name, value) in table.get_ref() {
        if !is_variable(name) || value.get_ref().contains('\0') {
            sink.push(
                Diagnostic::error(
                    value.span(),
                    format!(
                        "{name:?} is not the name of a variable, or its value holds a zero byte"
                    ),
                )
                .help("write a name of letters, digits and '_', such as LANG = \"C.UTF-8\""),
            );
        } else if name.starts_with("KODO_") {
            sink.push(
                Diagnostic::error(
                    value.span(),
                    format!("the variable {name} is the node's own"),
                )
                .because("with KODO_ variables every service is told where and why it runs")
                .help("choose another name"),
            );
        }
    }
    let table = table.into_inner().into_iter();
    table
        .map(|(name, value)| (name, value.into_inner()))
        .collect()
}

/// Links: both ends are places in the root.
fn links(
    sink: &mut Sink<'_>,
    table: Spanned<BTreeMap<String, Spanned<String>>>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (from, to) in table.into_inner() {
        match (Place::parse(&from), Place::parse(to.get_ref())) {
            (Ok(Place(from)), Ok(Place(to))) if from != "/" => {
                all.insert(from, to);
            }
            _ => sink.push(
                Diagnostic::error(to.span(), format!("{from:?} cannot be such a link"))
                    .because("a link and what it leads to are absolute paths in the service's root")
                    .help("write both: { \"/usr/bin/awk\" = \"/usr/bin/mawk\" }"),
            ),
        }
    }
    all
}

/// What an OCF agent is told.
fn parameters(
    sink: &mut Sink<'_>,
    table: Spanned<BTreeMap<String, Spanned<String>>>,
) -> BTreeMap<String, String> {
    for (name, value) in table.get_ref() {
        if !is_variable(name) {
            let wrong = format!("{name:?} is not the name of an agent's parameter");
            sink.push(Diagnostic::error(value.span(), wrong).help(
                "write a name of letters, digits and '_', as the agent's meta-data has it, without OCF_RESKEY_",
            ));
        } else if name.starts_with("OCF_RESKEY_") {
            let wrong = format!("{name:?} has its prefix already");
            let short = name.trim_start_matches("OCF_RESKEY_");
            sink.push(
                Diagnostic::error(value.span(), wrong)
                    .because("the node puts OCF_RESKEY_ before every parameter's name")
                    .help(format!("write `{short}`")),
            );
        } else if name.starts_with("CRM_meta_") || name.starts_with("crm_") {
            let wrong = format!("{name:?} is the cluster's to say, not the file's");
            sink.push(
                Diagnostic::error(value.span(), wrong)
                    .because("agents are told timeouts, intervals and roles as the node has them")
                    .help("write `start_timeout`, `stop_timeout` and `[service.probe]` instead"),
            );
        } else if value.get_ref().contains('\0') {
            sink.push(
                Diagnostic::error(value.span(), "a parameter cannot hold a zero byte")
                    .help("write it without"),
            );
        }
    }
    let table = table.into_inner().into_iter();
    table
        .map(|(name, value)| (name, value.into_inner()))
        .collect()
}

fn writable(sink: &mut Sink<'_>, texts: Option<Spanned<Vec<Text<Place>>>>) -> Vec<Spanned<String>> {
    let places = list(sink, texts, "writable", WRITABLE_MAX);
    let mut all: Vec<Spanned<String>> = Vec::new();
    for place in places {
        let (span, path) = (place.span(), place.into_inner().0);
        let within = |outer: &str| below(&path, outer);
        if path == "/" {
            sink.push(
                Diagnostic::error(span.clone(), "the whole root cannot be writable")
                    .because("what a service can change of itself, an intruder can change as well")
                    .help("name the directories that it writes to: [\"/run/NAME\", \"/tmp\"]"),
            );
        } else if let Some(own) = OWN.into_iter().find(|own| within(own)) {
            sink.push(
                Diagnostic::error(span.clone(), format!("{path} cannot be made writable"))
                    .because(format!("every service gets its {own} from the node"))
                    .help("name another directory, or leave it out"),
            );
        }
        all.push(Spanned::new(span, path));
    }
    all
}

/// Whether a path is another one, or below it.
fn below(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads the recipe that a service names.
pub(super) fn follow(
    sink: &mut Sink<'_>,
    named: &Spanned<String>,
    load: Loader<'_>,
) -> Option<Followed> {
    let place = named.span();
    let recipe = match Recipe::named(named.get_ref()) {
        Ok(recipe) => recipe,
        Err(help) => {
            sink.push(
                Diagnostic::error(place, format!("there is no recipe `{}`", named.get_ref()))
                    .help(help),
            );
            return None;
        }
    };
    let (text, file) = match recipe.text(load) {
        Ok(found) => found,
        Err(why) => {
            sink.push(
                Diagnostic::error(
                    place,
                    format!("the recipe `{}` cannot be read: {why}", named.get_ref()),
                )
                .because("a recipe is a directory with a file `recipe.toml`, relative to the cluster file")
                .help("correct the path, or copy one of image/recipes there"),
            );
            return None;
        }
    };
    let mut inner = Sink::new(&file, &text);
    let read = read::recipe(&mut inner).map(|(entry, probe)| {
        let words = words(&mut inner, entry.value);
        (words, probe)
    });
    let agent = read.as_ref().is_some_and(|(words, _)| words.has_agent());
    // Once more for its mistakes only: the values are needed again with the service's.
    if let Some((_, Some(probe))) = read::recipe(&mut Sink::new(&file, &text)) {
        super::resources::probe(&mut inner, Some(probe), None, agent);
    }
    let mistakes = inner.finish();
    if let Some(first) = mistakes
        .iter()
        .find(|item| item.severity == Severity::Error)
    {
        sink.push(
            Diagnostic::error(
                place,
                format!("the recipe `{}` has a mistake", named.get_ref()),
            )
            .because(first.to_string())
            .help("correct the recipe"),
        );
        return None;
    }
    let (words, probe) = read?;
    Some(Followed {
        recipe,
        place,
        words,
        probe,
    })
}

/// Puts a service's own words and its recipe's together. `span` is the service's table.
pub(super) fn kind(
    sink: &mut Sink<'_>,
    span: &Range<usize>,
    builtin: Option<Range<usize>>,
    files: Option<&Range<usize>>,
    own: Words,
    followed: Option<Followed>,
) -> Option<ServiceKind> {
    let (recipe, base) = match followed {
        Some(Followed {
            recipe,
            place,
            words,
            ..
        }) => (Some((recipe, place)), words),
        None => (None, Words::default()),
    };
    let origin = joined(sink, own.origin, base.origin, recipe.as_ref());
    let Some(origin) = origin else {
        return without_origin(sink, &own.need_origin, recipe).then_some(ServiceKind::Builtin);
    };
    if let Some(place) = builtin {
        sink.push(
            Diagnostic::error(place, "the built-in web server needs no origin")
                .see(origin.span(), "the origin")
                .help("remove `kind`, or the origin and the words that go with it"),
        );
    }
    let written = |word: &str| {
        let mut words = own.need_origin.iter();
        words
            .find(|(known, _)| *known == word)
            .map(|(_, span)| span.clone())
    };
    if let (Origin::Oci(_), Some(place)) = (origin.get_ref(), written("keep")) {
        sink.push(
            Diagnostic::error(place, "a container image is taken whole")
                .because("`keep` saves files from being left out, and nothing of it is")
                .help("remove `keep`"),
        );
    }
    let mut arguments = own.arguments.or(base.arguments);
    let agent = agent(
        sink,
        [own.agent, base.agent],
        [base.parameters, own.parameters],
        &origin,
        &own.need_origin,
    );
    let command = match &agent {
        Some(agent) => {
            arguments = None;
            Some(Spanned::new(origin.span(), agent.program()))
        }
        None => own.command.or(base.command),
    };
    match (origin.get_ref(), &command) {
        (Origin::Debian(_), None) if written("command").or(written("ocf")).is_none() => sink.push(
            Diagnostic::error(origin.span(), "nothing says what is started")
                .because("packages hold many programs")
                .help("add `command`, the program's absolute path: \"/usr/sbin/nginx\""),
        ),
        (Origin::Program(_), Some(command)) if agent.is_none() => sink.push(
            Diagnostic::error(command.span(), "the program itself is what is started")
                .see(origin.span(), "the program")
                .help("remove `command`; what follows it goes into `arguments`"),
        ),
        _ => {}
    }
    let own_files_at = own.files_at.is_some();
    let files_at = own.files_at.or(base.files_at);
    match (&files, &files_at) {
        (Some(files), None) => sink.push(
            Diagnostic::error(
                (*files).clone(),
                "nothing says where in the service's root these files go",
            )
            .help("add `files_at`, such as \"/var/www/html\""),
        ),
        (None, Some(at)) if own_files_at => sink.push(
            Diagnostic::error(at.span(), "there are no files to put there")
                .help("add `files`, a directory relative to this file, or remove `files_at`"),
        ),
        _ => {}
    }
    let mut writable = base.writable;
    writable.extend(own.writable);
    if agent.is_some() {
        writable.push(Spanned::new(origin.span(), Agent::STATE.into()));
    }
    let mut environment = base.environment;
    environment.extend(own.environment);
    let mut keep = base.keep;
    keep.extend(own.keep);
    let mut links = base.links;
    links.extend(own.links);
    let hidden = writable.iter().find(|place| {
        let hides = |path: &Spanned<String>| below(path.get_ref(), place.get_ref());
        command.as_ref().is_some_and(hides)
            || files.is_some() && files_at.as_ref().is_some_and(hides)
    });
    if let Some(hidden) = hidden {
        sink.push(
            Diagnostic::error(span.clone(), format!("the writable {} would hide what is below it", hidden.get_ref()))
                .because("a writable directory is memory, empty at each start; the program or its files lie there")
                .help("name a directory below it that is empty"),
        );
    }
    let mut paths: Vec<String> = writable.into_iter().map(Spanned::into_inner).collect();
    paths.sort();
    paths.dedup();
    let root = Root {
        origin,
        recipe: recipe.map(|(recipe, _)| recipe),
        keep,
        links,
        agent,
        files_at: files_at.map(Spanned::into_inner),
        command: command.map(Spanned::into_inner),
        arguments,
        environment,
        directory: own.directory.or(base.directory),
        writable: paths,
        user: own.user.or(base.user),
    };
    bounded(sink, span, &root);
    Some(ServiceKind::Root(Box::new(root)))
}

/// The OCF agent, the service's before its recipe's, with the parameters of both; and what
/// does not go with one. `words` are the service's own.
fn agent(
    sink: &mut Sink<'_>,
    named: [Option<Spanned<AgentName>>; 2],
    parameters: [BTreeMap<String, String>; 2],
    origin: &Spanned<Origin>,
    words: &[(&'static str, Range<usize>)],
) -> Option<Agent> {
    let written = |wanted: &str| {
        let found = words.iter().find(|(word, _)| *word == wanted);
        found.map(|(_, place)| place.clone())
    };
    let Some(named) = named.into_iter().flatten().next() else {
        if let Some(place) = written("parameters") {
            sink.push(
                Diagnostic::error(place, "only OCF agents have `parameters`").help(
                    "add `ocf`, the agent, or tell the program by `arguments` and `environment`",
                ),
            );
        }
        return None;
    };
    if let Origin::Program(_) = origin.get_ref() {
        sink.push(
            Diagnostic::error(origin.span(), "one program is not all that an agent needs")
                .because("agents are scripts: they need their shell, and programs that they call")
                .help("write `debian` or `oci` instead, or a recipe that has them"),
        );
    }
    for word in ["command", "arguments"] {
        if let Some(place) = written(word) {
            sink.push(
                Diagnostic::error(place, format!("`{word}` says nothing of an OCF agent"))
                    .because("the agent is what is started, with the names of its actions")
                    .help(format!(
                        "remove `{word}`; what the agent must know goes into `[service.parameters]`"
                    )),
            );
        }
    }
    if let Some(place) = written("stop_signal") {
        sink.push(
            Diagnostic::error(place, "an OCF agent is not asked to end by a signal")
                .because("its stop action ends the service")
                .help("remove `stop_signal`"),
        );
    }
    let AgentName { provider, kind } = named.into_inner();
    Some(Agent {
        provider,
        kind,
        parameters: parameters.into_iter().flatten().collect(),
    })
}

/// The service's origin, or its recipe's; packages of both.
fn joined(
    sink: &mut Sink<'_>,
    own: Option<Spanned<Origin>>,
    base: Option<Spanned<Origin>>,
    recipe: Option<&(Recipe, Range<usize>)>,
) -> Option<Spanned<Origin>> {
    let base = base.zip(recipe).map(|(origin, (recipe, place))| {
        let origin = match origin.into_inner() {
            Origin::Program(path) => Origin::Program(recipe.beside(path)),
            Origin::Oci(path) => Origin::Oci(recipe.beside(path)),
            packages @ Origin::Debian(_) => packages,
        };
        Spanned::new(place.clone(), origin)
    });
    let (own, base) = match (own, base) {
        (Some(own), Some(base)) => (own, base),
        (own, base) => return own.or(base),
    };
    match (own.get_ref(), base.get_ref()) {
        (Origin::Debian(more), Origin::Debian(packages)) => {
            let mut all = packages.clone();
            all.extend(more.iter().filter(|name| !packages.contains(name)).cloned());
            Some(Spanned::new(own.span(), Origin::Debian(all)))
        }
        (Origin::Debian(_), _) | (_, Origin::Debian(_)) => {
            sink.push(
                Diagnostic::error(own.span(), "the service has two origins")
                    .see(base.span(), "this recipe brings the other")
                    .help("remove one of them"),
            );
            Some(own)
        }
        _ => Some(own),
    }
}

/// A service without an origin is the built-in web server, which knows no other words.
fn without_origin(
    sink: &mut Sink<'_>,
    words: &[(&'static str, Range<usize>)],
    recipe: Option<(Recipe, Range<usize>)>,
) -> bool {
    if let Some((_, place)) = recipe {
        sink.push(
            Diagnostic::error(place, "neither the recipe nor the service has an origin")
                .help("add one of `program`, `debian` and `oci`"),
        );
        return false;
    }
    for (word, place) in words {
        if *word == "ocf" {
            sink.push(
                Diagnostic::error(place.clone(), "nothing brings the agent")
                    .because("a node has no agents, and no shell to run them with")
                    .help("add an origin that does: a recipe, such as \"ocf-dummy\", or `debian = [\"resource-agents\", ...]` with what the agent calls in `keep`"),
            );
            continue;
        }
        sink.push(
            Diagnostic::error(
                place.clone(),
                format!("`{word}` says nothing of the built-in web server"),
            )
            .because("the service has no origin, so the image's own web server runs")
            .help("add an origin: `program`, `debian`, `oci`, or a `recipe` that has one"),
        );
    }
    words.is_empty()
}

/// What is known of the start must fit already; the image's part comes on top.
fn bounded(sink: &mut Sink<'_>, span: &Range<usize>, root: &Root) {
    let stand_in = start::Start {
        entrypoint: vec![String::new()],
        ..start::Start::default()
    };
    if let Err(why) = root.launch(&stand_in) {
        sink.push(
            Diagnostic::error(span.clone(), why)
                .because("all that a service is started with travels in one bounded message")
                .help("put what is long into a file of the service's root"),
        );
    }
}
