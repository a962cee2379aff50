//! `[[service]]` and `[[vip]]`: what groups are made of.

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use kodo_node::limits as node;
use toml::Spanned;

use super::nodes::{Nodes, usable};
use super::policy::AdminChecked;
use super::{Unique, roots, take, too_many};
use crate::cluster::{Cidr, Probe, ProbeKind, Role, Service, ServiceKind, Vip};
use crate::diagnostic::{Diagnostic, Sink};
use crate::raw::{self, ProbeWord};
use crate::read::Entry;
use crate::secrets::Loader;
use crate::time::Show;

/// Services and VIPs, with the places of their names.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) services: Vec<Service>,
    pub(super) vips: Vec<Vip>,
    pub(super) service_names: Vec<Range<usize>>,
    pub(super) vip_names: Vec<Range<usize>>,
    pub(super) vip_addresses: Vec<Spanned<Cidr>>,
    /// Whether all of them could be read.
    pub(super) complete: bool,
}

/// Reads all services and VIPs.
pub(super) fn read(
    sink: &mut Sink<'_>,
    services: Vec<(Entry<raw::Service>, Option<Entry<raw::Probe>>)>,
    vips: Vec<Entry<raw::Vip>>,
    nodes: &Nodes,
    admin: Option<&AdminChecked>,
    load: Loader<'_>,
    readable: bool,
) -> Resources {
    let mut all = Resources {
        complete: readable,
        ..Resources::default()
    };
    let mut names = Unique::new();
    let mut ports = Unique::new();
    if let Some(admin) = admin {
        ports.insert(admin.value.port, admin.port.clone());
    }
    let spans: Vec<_> = services
        .iter()
        .map(|(entry, _)| entry.span.clone())
        .collect();
    too_many(sink, "services", &spans, node::SERVICES);
    for (entry, probe) in services {
        let span = entry.span.clone();
        let written = entry.value.port.as_ref().map(Spanned::span);
        let label = if written.is_some() {
            "this port"
        } else {
            "port 80 is the default"
        };
        let port = written.unwrap_or(span);
        let Some((service, name)) = service(sink, entry, probe, load) else {
            all.complete = false;
            continue;
        };
        all.complete &= !twice(sink, &mut names, &service.name, &name);
        if let Some(first) = ports.insert(service.port, port.clone()) {
            sink.push(
                Diagnostic::error(port, format!("port {} is taken", service.port))
                    .label(label)
                    .see(first, "by this one")
                    .because("a service listens on every address of its node")
                    .help("write another `port`"),
            );
        }
        all.services.push(service);
        all.service_names.push(name);
    }
    let spans: Vec<_> = vips.iter().map(|entry| entry.span.clone()).collect();
    too_many(sink, "VIPs", &spans, node::VIPS);
    for Entry { value: raw, .. } in vips {
        let name = take(sink, raw.name);
        let address = take(sink, raw.address);
        let (Some(name), Some(address)) = (name, address) else {
            all.complete = false;
            continue;
        };
        let (place, name) = (name.span(), name.into_inner().0);
        all.complete &= !twice(sink, &mut names, &name, &place);
        let usable = usable(sink, &address);
        let lan = usable
            .then(|| home(sink, &name, &address, nodes))
            .flatten()
            .unwrap_or(0);
        let first = all
            .vips
            .first()
            .map(|vip| vip.lan)
            .zip(all.vip_addresses.first().map(Spanned::span));
        if let Some((_, first)) = first.filter(|(first, _)| *first != lan) {
            sink.push(
                Diagnostic::error(address.span(), "the VIPs are on different LANs")
                    .see(first, "the first VIP")
                    .because("this version judges by one public network whether a node can serve")
                    .help("put all VIPs on one of the LANs"),
            );
        }
        all.vips.push(Vip {
            name,
            address: *address.get_ref(),
            lan,
        });
        all.vip_names.push(place);
        all.vip_addresses.push(address);
    }
    collisions(sink, &all, nodes);
    all
}

fn twice(
    sink: &mut Sink<'_>,
    names: &mut Unique<String>,
    name: &str,
    place: &Range<usize>,
) -> bool {
    if let Some(first) = names.insert(name.to_lowercase(), place.clone()) {
        sink.push(
            Diagnostic::error(place.clone(), format!("the name `{name}` is taken"))
                .see(first, "by this one")
                .because("groups name their members, services and VIPs alike")
                .help("give it another name; capitals make no difference"),
        );
        return true;
    }
    false
}

fn service(
    sink: &mut Sink<'_>,
    entry: Entry<raw::Service>,
    probe: Option<Entry<raw::Probe>>,
    load: Loader<'_>,
) -> Option<(Service, Range<usize>)> {
    let Entry {
        span,
        value: mut raw,
    } = entry;
    let own = roots::words(sink, raw.root());
    let name = take(sink, raw.name);
    let builtin = raw.kind.and_then(|kind| take(sink, kind));
    let named = raw.recipe.is_some();
    let mut followed = raw
        .recipe
        .and_then(|recipe| roots::follow(sink, &recipe, load));
    let port = match raw.port {
        Some(port) if *port.get_ref() == 0 => {
            sink.push(
                Diagnostic::error(port.span(), "port 0 is not a port")
                    .help("write the port that clients use: 80")
                    .fix("80"),
            );
            80
        }
        port => port.map_or(80, Spanned::into_inner),
    };
    let files = raw.files;
    if let Some(files) = &files
        && (files.get_ref().is_empty() || files.get_ref().contains('\0'))
    {
        sink.push(
            Diagnostic::error(files.span(), "`files` names no directory").help(
                "write a directory relative to this file, such as \"site\", or leave the line out",
            ),
        );
    }
    let agent = own.has_agent() || followed.as_ref().is_some_and(|it| it.words.has_agent());
    let (start, stop) = if agent {
        AGENT_ACTIONS
    } else {
        (10_000, 2_000)
    };
    let start_timeout = at_least(sink, raw.start_timeout, "start_timeout", start, 100);
    let stop_timeout = at_least(sink, raw.stop_timeout, "stop_timeout", stop, 10);
    let backoff_place = raw
        .backoff_min
        .as_ref()
        .or(raw.backoff_max.as_ref())
        .map(Spanned::span);
    let backoff_min = at_least(sink, raw.backoff_min, "backoff_min", 200, 10);
    let backoff_max = at_least(
        sink,
        raw.backoff_max,
        "backoff_max",
        30_000.max(backoff_min.map_or(0, millis)),
        10,
    );
    if let (Some(min), Some(max)) = (backoff_min, backoff_max)
        && min > max
    {
        sink.push(
            Diagnostic::error(
                backoff_place.unwrap_or(span.clone()),
                format!(
                    "`backoff_min` {} is longer than `backoff_max` {}",
                    Show(min),
                    Show(max)
                ),
            )
            .because("the wait before a restart begins with the one and grows to the other")
            .help("exchange the two, or leave one out"),
        );
    }
    let advised = followed.as_mut().and_then(|followed| followed.probe.take());
    let probe = self::probe(sink, probe, advised, agent);
    let base = followed.as_ref().map(|followed| followed.words.bounds);
    let (bounds, stop_signal) = own.bounds.or(base.unwrap_or_default());
    // A recipe that could not be read leaves open what the service is.
    let kind = (!named || followed.is_some()).then(|| {
        let builtin = builtin.as_ref().map(Spanned::span);
        let files = files.as_ref().map(Spanned::span);
        roots::kind(sink, &span, builtin, files.as_ref(), own, followed)
    });
    if let (Some(Some(ServiceKind::Root(root))), Some(promotable)) = (&kind, &raw.promotable)
        && root.agent.is_none()
        && *promotable.get_ref()
    {
        sink.push(
            Diagnostic::error(promotable.span(), "nothing can tell this program its role")
                .see(root.origin.span(), "where the program comes from")
                .because("the built-in web server and OCF agents can be told; other programs know no roles")
                .help("remove `promotable`, or name an agent that can promote it by `ocf`"),
        );
    }
    let name = name?;
    let place = name.span();
    let service = Service {
        name: name.into_inner().0,
        kind: kind??,
        port,
        files,
        promotable: raw.promotable.is_some_and(Spanned::into_inner),
        bounds,
        stop_signal,
        probe: probe?,
        start_timeout: start_timeout?,
        stop_timeout: stop_timeout?,
        backoff_min: backoff_min?,
        backoff_max: backoff_max?,
    };
    Some((service, place))
}

/// How long an OCF agent's start and stop may take unless the file says otherwise, in
/// milliseconds: Pacemaker's own default for both.
const AGENT_ACTIONS: (u64, u64) = (20_000, 20_000);

/// Reads a probe; what it leaves open, a recipe may advise. An OCF `agent` is asked by its
/// monitor action, as often as Pacemaker's examples do.
pub(super) fn probe(
    sink: &mut Sink<'_>,
    entry: Option<Entry<raw::Probe>>,
    advised: Option<Entry<raw::Probe>>,
    agent: bool,
) -> Option<Probe> {
    let own = entry.map(|entry| entry.value).unwrap_or_default();
    let advised = advised.map(|entry| entry.value).unwrap_or_default();
    let kind = kind(sink, &own, &advised, agent);
    let raw = raw::Probe {
        interval: own.interval.or(advised.interval),
        timeout: own.timeout.or(advised.timeout),
        rise: own.rise.or(advised.rise),
        fall: own.fall.or(advised.fall),
        ..raw::Probe::default()
    };
    let (often, long, lost) = if agent {
        (10_000, 20_000, 1)
    } else {
        (1_000, 1_000, 2)
    };
    let interval = at_least(sink, raw.interval, "interval", often, 50);
    let timeout = at_least(sink, raw.timeout, "timeout", long, 50);
    let mut count = |value: Option<Spanned<u8>>, what: &str, default: u8| match value {
        Some(value) if *value.get_ref() == 0 => {
            sink.push(
                Diagnostic::error(
                    value.span(),
                    format!("`{what}` of 0 would judge before asking"),
                )
                .help("write 1 or more")
                .fix("1"),
            );
            default
        }
        value => value.map_or(default, Spanned::into_inner),
    };
    let (rise, fall) = (count(raw.rise, "rise", 1), count(raw.fall, "fall", lost));
    Some(Probe {
        kind,
        interval: interval?,
        timeout: timeout?,
        rise,
        fall,
    })
}

/// Longest path of a probe's request, and longest text that its answer must hold.
const PROBE_PATH_MAX: usize = 128;

/// What a probe asks: its own words, then what a recipe advises.
fn kind(sink: &mut Sink<'_>, own: &raw::Probe, advised: &raw::Probe, agent: bool) -> ProbeKind {
    let word = |probe: &raw::Probe| probe.kind.clone();
    let pages = [
        ("path", own.path.as_ref().map(Spanned::span)),
        ("status", own.status.as_ref().map(Spanned::span)),
        ("body", own.body.as_ref().map(Spanned::span)),
    ];
    let pages = pages
        .into_iter()
        .filter_map(|(word, place)| Some((word, place?)));
    let pages: Vec<_> = pages.collect();
    let named = word(own).and_then(|text| take(sink, text));
    if agent {
        let kind = named.map(|kind| ("kind", kind.span()));
        for (word, place) in kind.into_iter().chain(pages) {
            sink.push(
                Diagnostic::error(place, "an OCF agent is not asked for a page")
                    .because("its monitor action says whether the service is well")
                    .help(format!(
                        "remove `{word}`; if the agent can ask for a page, its parameters say which"
                    )),
            );
        }
        return ProbeKind::Tcp;
    }
    if let (Some(ProbeWord::Tcp), [(word, place), ..]) =
        (named.as_ref().map(Spanned::get_ref), &pages[..])
    {
        sink.push(
            Diagnostic::error(place.clone(), format!("a probe over TCP has no `{word}`"))
                .because("it asks for a connection, and for no page")
                .help(format!("remove `{word}`, or write kind = \"http\"")),
        );
    }
    let http = (!pages.is_empty()).then_some(ProbeWord::Http);
    let advice = word(advised).and_then(|text| take(sink, text));
    let named = named.map(Spanned::into_inner).or(http);
    if named.or(advice.map(Spanned::into_inner)) == Some(ProbeWord::Tcp) {
        return ProbeKind::Tcp;
    }
    let path = own.path.clone().or_else(|| advised.path.clone());
    let status = own.status.clone().or_else(|| advised.status.clone());
    let body = own.body.clone().or_else(|| advised.body.clone());
    ProbeKind::Http {
        path: path.map_or_else(|| "/".into(), |path| sound_path(sink, path)),
        status: status.map(|status| {
            if !(200..=599).contains(status.get_ref()) {
                let wrong = format!("{} is not the status of a whole answer", status.get_ref());
                let help =
                    "write the one that is right, 200 to 599; without `status` all below 400 are";
                sink.push(Diagnostic::error(status.span(), wrong).help(help));
            }
            status.into_inner()
        }),
        body: body.map(|body| {
            if body.get_ref().is_empty() || body.get_ref().len() > PROBE_PATH_MAX {
                sink.push(
                    Diagnostic::error(body.span(), "this is no text to look for")
                        .because("the probe looks for it in the first 256K of the page")
                        .help(format!(
                            "write 1 to {PROBE_PATH_MAX} bytes of the page as it is sent"
                        )),
                );
            }
            body.into_inner()
        }),
    }
}

fn sound_path(sink: &mut Sink<'_>, path: Spanned<String>) -> String {
    let plain = path.get_ref().bytes().all(|c| c.is_ascii_graphic());
    if !path.get_ref().starts_with('/') || !plain || path.get_ref().len() > PROBE_PATH_MAX {
        let item = Diagnostic::error(path.span(), "this is not the path of an HTTP request").help(format!(
            "write up to {PROBE_PATH_MAX} printable characters beginning with a slash: \"/health\""
        ));
        let fixable = plain && !path.get_ref().is_empty() && path.get_ref().len() < PROBE_PATH_MAX;
        sink.push(if fixable {
            item.fix(format!("\"/{}\"", path.get_ref().trim_start_matches('/')))
        } else {
            item
        });
    }
    path.into_inner()
}

fn millis(value: Duration) -> u64 {
    u64::try_from(value.as_millis()).unwrap_or(u64::MAX)
}

/// A duration with a default and a smallest value, both in milliseconds.
pub(super) fn at_least(
    sink: &mut Sink<'_>,
    text: Option<crate::leaf::Text<Duration>>,
    what: &str,
    default: u64,
    smallest: u64,
) -> Option<Duration> {
    let Some(text) = text else {
        return Some(Duration::from_millis(default));
    };
    let value = take(sink, text)?;
    let smallest = Duration::from_millis(smallest);
    if *value.get_ref() < smallest {
        sink.push(
            Diagnostic::error(
                value.span(),
                format!("`{what}` {} is too short", Show(*value.get_ref())),
            )
            .help(format!("write {} or more", Show(smallest))),
        );
    }
    Some(value.into_inner())
}

/// The LAN whose network holds a VIP on every node that may carry it.
fn home(sink: &mut Sink<'_>, name: &str, vip: &Spanned<Cidr>, nodes: &Nodes) -> Option<usize> {
    if !nodes.complete || nodes.list.is_empty() {
        return None;
    }
    let Cidr { address, prefix } = *vip.get_ref();
    let lans = |node: &super::nodes::Node| {
        node.ports(Role::Lan)
            .enumerate()
            .filter(|(_, nic)| {
                nic.addresses
                    .iter()
                    .any(|own| own.get_ref().contains(address))
            })
            .map(|(index, _)| index)
            .collect::<Vec<_>>()
    };
    let runners = || nodes.list.iter().filter(|node| node.runs());
    let common = runners()
        .map(lans)
        .reduce(|a, b| a.into_iter().filter(|lan| b.contains(lan)).collect());
    let Some(lan) = common.unwrap_or_default().first().copied() else {
        let missing = runners().find(|node| lans(node).is_empty());
        let mut item = Diagnostic::error(
            vip.span(),
            match missing {
                Some(node) => format!("the VIP `{name}` {address} is in no LAN network of {}", node.title()),
                None => format!("the VIP `{name}` {address} is in different LANs on the nodes"),
            },
        )
        .because("clients look for it on the network of the lan ports; elsewhere nobody would hear it answer");
        for nic in runners().flat_map(|node| node.ports(Role::Lan)) {
            for own in &nic.addresses {
                item = item.see(own.span(), "a LAN address");
            }
        }
        sink.push(item.help("write an address of that network that no machine has"));
        return None;
    };
    let own = runners()
        .flat_map(|node| node.ports(Role::Lan))
        .flat_map(|nic| &nic.addresses);
    if let Some(own) = own.into_iter().find(|own| own.get_ref().contains(address))
        && own.get_ref().prefix != prefix
    {
        sink.push(
            Diagnostic::error(
                vip.span(),
                format!(
                    "the VIP `{name}` says /{prefix}, its LAN is a /{}",
                    own.get_ref().prefix
                ),
            )
            .see(own.span(), "the LAN's prefix length")
            .help("write the LAN's prefix length")
            .fix(format!("\"{address}/{}\"", own.get_ref().prefix)),
        );
    }
    Some(lan)
}

/// A VIP that is somebody's own address.
fn collisions(sink: &mut Sink<'_>, all: &Resources, nodes: &Nodes) {
    let mut seen: Unique<IpAddr> = Unique::new();
    for vip in &all.vip_addresses {
        let address = vip.get_ref().address;
        if let Some(first) = seen.insert(address, vip.span()) {
            sink.push(
                Diagnostic::error(vip.span(), format!("the VIP {address} is given twice"))
                    .see(first, "the first time")
                    .help("give every VIP its own address"),
            );
        }
        let ports = || {
            nodes
                .list
                .iter()
                .flat_map(|node| node.nics.iter().map(move |nic| (node, nic)))
        };
        let own = ports().find_map(|(node, nic)| {
            let own = nic
                .addresses
                .iter()
                .find(|own| own.get_ref().address == address)?;
            Some((node, own.span()))
        });
        if let Some((node, place)) = own {
            sink.push(
                Diagnostic::error(
                    vip.span(),
                    format!("the VIP {address} is {}'s own address", node.title()),
                )
                .see(place, "given here")
                .because("a VIP moves between the nodes; a node's own address stays")
                .help("choose an address that no machine has"),
            );
        }
        let gateway = ports()
            .flat_map(|(_, nic)| &nic.gateways)
            .find(|gateway| *gateway.get_ref() == address);
        if let Some(gateway) = gateway {
            sink.push(
                Diagnostic::error(vip.span(), format!("the VIP {address} is the gateway"))
                    .see(gateway.span(), "named here")
                    .help("choose an address that no machine has"),
            );
        }
    }
}
