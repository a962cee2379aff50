//! `[cluster]`, `[admin]` and `[watchdog]`: secrets, who decides in a split, and what
//! the file's author must know about that.

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use kodo_engine::Key;
use toml::Spanned;

use super::nodes::{Node, Nodes};
use super::resources::Resources;
use super::{Unique, take, take_all, timing, too_many};
use crate::cluster::{Admin, Profile, Role, SplitBrain, Token, Watchdog};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::Leaf;
use crate::raw;
use crate::read::Entry;
use crate::secrets::{self, Loader, Secret};
use crate::time::Show;

/// The first bytes of the key in the published example.
const EXAMPLE_KEY: [u8; 8] = *b"example!";
/// The token in the published example.
const EXAMPLE_TOKEN: &str = "kodo-example-token";

/// `[cluster]` with the places of its values.
pub(super) struct General {
    pub(super) name: Option<Spanned<String>>,
    pub(super) keys: Vec<Key>,
    pub(super) profile: Option<Spanned<Profile>>,
    pub(super) drills: Option<Spanned<bool>>,
    pub(super) split_brain: Option<Spanned<SplitBrain>>,
    pub(super) ping: Vec<Spanned<IpAddr>>,
    /// Where `ping` is, when it names anybody.
    ping_span: Option<Range<usize>>,
}

/// `[admin]` with the place of its port.
pub(super) struct AdminChecked {
    pub(super) value: Admin,
    pub(super) port: Range<usize>,
}

/// `[watchdog]` with the place of its timeout, when it was written.
pub(super) struct WatchdogChecked {
    pub(super) value: Watchdog,
    place: Option<Range<usize>>,
}

/// Reads `[cluster]`.
pub(super) fn general(
    sink: &mut Sink<'_>,
    table: Entry<raw::General>,
    load: Loader<'_>,
) -> General {
    let Entry { span, value: raw } = table;
    let name = take(sink, raw.name).map(|name| Spanned::new(name.span(), name.into_inner().0));
    let keys = keys(sink, &span, raw.key, raw.key_file, load);
    let policy_written = raw.split_brain.is_some();
    let split_brain = raw.split_brain.and_then(|text| take(sink, text));
    if !policy_written {
        sink.push(
            Diagnostic::error(span.clone(), "the file does not say who decides in a split: `split_brain`")
                .because("two nodes that live but do not hear each other cannot both be right, and no default fits everybody")
                .help("write `split_brain = \"ping\"` with `ping = [\"192.168.0.1\"]`, or `split_brain = \"accept\"` to accept two owners"),
        );
    }
    let ping_span = raw
        .ping
        .as_ref()
        .filter(|list| !list.get_ref().is_empty())
        .map(Spanned::span);
    let ping = take_all(sink, raw.ping.map(Spanned::into_inner));
    General {
        name,
        keys,
        profile: raw.profile.and_then(|text| take(sink, text)),
        drills: raw.drills,
        split_brain,
        ping,
        ping_span,
    }
}

fn keys(
    sink: &mut Sink<'_>,
    table: &Range<usize>,
    inline: Option<crate::leaf::Text<crate::leaf::Hex256>>,
    file: Option<Spanned<String>>,
    load: Loader<'_>,
) -> Vec<Key> {
    let (span, read) = match (inline, file) {
        (Some(inline), Some(file)) => {
            sink.push(
                Diagnostic::error(file.span(), "the key is given twice")
                    .see(inline.span(), "as text here")
                    .help("keep `key_file`: this file can then be shown to others"),
            );
            return Vec::new();
        }
        (None, None) => {
            sink.push(
                Diagnostic::error(table.clone(), "the cluster has no key")
                    .because("heartbeats are signed with it; without one any machine on the LAN could give orders")
                    .help("run `kodo keygen cluster.key` and write `key_file = \"cluster.key\"`"),
            );
            return Vec::new();
        }
        (Some(inline), None) => {
            let span = inline.span();
            let Leaf(read) = inline.into_inner();
            (
                span,
                read.map_err(|flaw| flaw.message)
                    .and_then(|hex| secrets::sound(hex.0))
                    .map(|key| vec![key]),
            )
        }
        (None, Some(file)) => {
            let read = load(Secret::Key, file.get_ref())
                .map_err(|why| format!("it cannot be read: {why}"))
                .and_then(|text| secrets::parse_keys(&text));
            (file.span(), read)
        }
    };
    match read {
        Ok(keys) => {
            if keys.iter().any(|key| key.0.starts_with(&EXAMPLE_KEY)) {
                sink.push(
                    Diagnostic::warning(span, "this is the key of the published example")
                        .because("everybody knows it: anyone on the network can forge heartbeats")
                        .help("for anything but a lab run `kodo keygen cluster.key` and write `key_file = \"cluster.key\"`"),
                );
            }
            keys
        }
        Err(why) => {
            sink.push(
                Diagnostic::error(span, "the cluster key is no good")
                    .because(why)
                    .help("`kodo keygen cluster.key` makes one; a key is 64 hex digits"),
            );
            Vec::new()
        }
    }
}

/// Reads `[admin]`.
pub(super) fn admin(
    sink: &mut Sink<'_>,
    table: Entry<raw::Admin>,
    tokens: Vec<Entry<raw::Token>>,
    load: Loader<'_>,
) -> AdminChecked {
    let Entry { span, value: raw } = table;
    let place = raw.port.as_ref().map_or(span.clone(), Spanned::span);
    let port = raw.port.map_or(5580, Spanned::into_inner);
    if port == 0 {
        sink.push(
            Diagnostic::error(place.clone(), "port 0 is not a port")
                .help("write 5580, or leave it out")
                .fix("5580"),
        );
    }
    let mut all: Vec<Token> = Vec::new();
    let mut names = Unique::new();
    let inline = !tokens.is_empty();
    for token in tokens {
        let (name, hash) = (take(sink, token.value.name), take(sink, token.value.sha256));
        let (Some(name), Some(hash)) = (name, hash) else {
            continue;
        };
        if let Some(first) = names.insert(name.get_ref().0.clone(), name.span()) {
            sink.push(
                Diagnostic::error(
                    name.span(),
                    format!("`{}` has a token already", name.get_ref().0),
                )
                .see(first, "the first one")
                .help("give every operator a name of their own"),
            );
        }
        if hash.get_ref().0 == secrets::sha256(EXAMPLE_TOKEN) {
            sink.push(
                Diagnostic::warning(hash.span(), "this is the token of the published example")
                    .because("everybody knows it: anyone on the LAN can move groups")
                    .help("for anything but a lab run `kodo keygen --token NAME`"),
            );
        }
        all.push(Token {
            name: name.into_inner().0,
            sha256: hash.into_inner().0,
        });
    }
    if let Some(file) = raw.tokens_file {
        if inline {
            sink.push(
                Diagnostic::error(file.span(), "tokens are given in a file and in this file")
                    .help("keep `tokens_file`: this file can then be shown to others"),
            );
        }
        let read = load(Secret::Tokens, file.get_ref())
            .map_err(|why| format!("it cannot be read: {why}"))
            .and_then(|text| secrets::parse_tokens(&text));
        match read {
            Ok(tokens) => all = tokens,
            Err(why) => sink.push(
                Diagnostic::error(file.span(), "the tokens file is no good")
                    .because(why)
                    .help("`kodo keygen --token NAME` makes a token and its line; a line is a name and 64 hex digits"),
            ),
        }
    } else if !inline {
        sink.push(
            Diagnostic::error(span.clone(), "the operators' API has no tokens")
                .because("every call must say whose it is; without tokens nobody could use it")
                .help("run `kodo keygen --token NAME`, or remove `[admin]`"),
        );
    }
    AdminChecked {
        value: Admin { port, tokens: all },
        port: place,
    }
}

/// Reads `[watchdog]`. Drivers count whole seconds.
pub(super) fn watchdog(
    sink: &mut Sink<'_>,
    table: Option<Entry<raw::Watchdog>>,
    timing: Option<&timing::Checked>,
) -> Option<WatchdogChecked> {
    let header = table.as_ref().map(|table| table.span.clone());
    let raw = table.map(|table| table.value).unwrap_or_default();
    let softdog = raw.softdog.is_some_and(Spanned::into_inner);
    let Some(text) = raw.timeout else {
        let seconds = match timing.map(|timing| timing.value.profile) {
            Some(Profile::Lab) => 5,
            _ => 2,
        };
        let value = Watchdog {
            timeout: Duration::from_secs(seconds),
            softdog,
        };
        return Some(WatchdogChecked {
            value,
            place: header,
        });
    };
    let timeout = take(sink, text)?;
    let value = *timeout.get_ref();
    if value.subsec_nanos() != 0
        || value < Duration::from_secs(1)
        || value > Duration::from_secs(60)
    {
        sink.push(
            Diagnostic::error(timeout.span(), format!("{} is not a watchdog timeout", Show(value)))
                .because("watchdog hardware counts whole seconds, and a stuck node answers for its VIPs until it fires")
                .help("write 1s to 60s; 2s suits real machines")
                .fix(format!("\"{}s\"", (value.as_secs() + u64::from(value.subsec_nanos() != 0)).clamp(1, 60))),
        );
    }
    if let Some(timing) = timing
        && value < timing.value.keepalive * 3
    {
        sink.push(
            Diagnostic::error(
                timeout.span(),
                format!(
                    "the watchdog's {} is less than three keepalives",
                    Show(value)
                ),
            )
            .see(timing.keepalive.clone(), "keepalive follows from here")
            .because("it is fed once in each round of heartbeats")
            .help(format!(
                "write {}s or more",
                (timing.value.keepalive * 3).as_secs() + 1
            )),
        );
    }
    Some(WatchdogChecked {
        value: Watchdog {
            timeout: value,
            softdog,
        },
        place: Some(timeout.span()),
    })
}

/// Judges `split_brain` and its evidence.
pub(super) fn arbiter(
    sink: &mut Sink<'_>,
    general: &General,
    nodes: &Nodes,
    resources: &Resources,
) {
    let limit = kodo_netstack::limits::TARGETS;
    let spans: Vec<_> = general.ping.iter().map(Spanned::span).collect();
    too_many(sink, "ping targets", &spans, limit);
    if let Some(policy) = &general.split_brain
        && *policy.get_ref() == SplitBrain::Ping
        && general.ping_span.is_none()
    {
        sink.push(
            Diagnostic::error(policy.span(), "`split_brain = \"ping\"` needs somebody to ping")
                .because("the side that still reaches the ping group may go on; without one nobody may")
                .help("write `ping = [\"192.168.0.1\"]` with addresses that every client depends on: the gateway, the switch"),
        );
    }
    let mut seen = Unique::new();
    for target in &general.ping {
        let address = *target.get_ref();
        if let Some(first) = seen.insert(address, target.span()) {
            sink.push(
                Diagnostic::error(target.span(), format!("{address} is named twice"))
                    .see(first, "here")
                    .help("remove one of the two"),
            );
        }
        if address.is_loopback() || address.is_multicast() || address.is_unspecified() {
            sink.push(
                Diagnostic::error(
                    target.span(),
                    format!("{address} cannot prove that the network is there"),
                )
                .help("write the address of a router or switch on the LAN"),
            );
            continue;
        }
        let own = nodes.list.iter().find_map(|node| {
            node.nics
                .iter()
                .flat_map(|nic| &nic.addresses)
                .find(|own| own.get_ref().address == address)
                .map(|own| (node, own))
        });
        if let Some((node, own)) = own {
            sink.push(
                Diagnostic::error(
                    target.span(),
                    format!("{address} is {}'s own address", node.title()),
                )
                .see(own.span(), "given here")
                .because("the ping group decides between the nodes, so none of them may be in it")
                .help("write the address of a router or switch on the LAN"),
            );
            continue;
        }
        if let Some(vip) = resources
            .vip_addresses
            .iter()
            .find(|vip| vip.get_ref().address == address)
        {
            sink.push(
                Diagnostic::error(target.span(), format!("{address} is a VIP"))
                    .see(vip.span(), "given here")
                    .because("its holder would always reach it, whatever happened to the network")
                    .help("write the address of a router or switch on the LAN"),
            );
            continue;
        }
        if !nodes.complete {
            continue;
        }
        let reaches = |node: &&Node| {
            node.ports(Role::Lan).any(|nic| {
                nic.addresses
                    .iter()
                    .any(|own| own.get_ref().contains(address))
                    || nic
                        .gateways
                        .iter()
                        .any(|gateway| gateway.get_ref().is_ipv4() == address.is_ipv4())
            })
        };
        let lost: Vec<_> = nodes.list.iter().filter(|node| !reaches(node)).collect();
        if !lost.is_empty() {
            let titles: Vec<_> = lost.iter().map(|node| node.title()).collect();
            let item = Diagnostic::error(
                target.span(),
                format!("no way from {} to {address}", titles.join(" and ")),
            )
            .because("no lan port there has such a network, or a gateway of that family")
            .help("write a target on the LAN itself, or give the lan ports a `gateway`");
            sink.push(
                lost.iter()
                    .fold(item, |item, node| item.see(node.span.clone(), "from here")),
            );
        }
    }
}

/// What the chosen policies promise and what they cannot, in plain words.
pub(super) fn remarks(
    sink: &mut Sink<'_>,
    general: &General,
    timing: Option<&timing::Checked>,
    watchdog: Option<&WatchdogChecked>,
) {
    let targets: Vec<_> = general
        .ping
        .iter()
        .map(|target| target.get_ref().to_string())
        .collect();
    let targets = targets.join(", ");
    let item = match &general.split_brain {
        Some(policy) if *policy.get_ref() == SplitBrain::Accept => Diagnostic::note(
            policy.span(),
            "in a split, both nodes will run the groups",
        )
        .because(
            "\"accept\" promises that a node that hears nobody always serves, whatever else failed. \
             It cannot promise one owner: when every heartbeat path is cut and both nodes live, both answer for \
             the VIPs until a path returns. Harmless for pages that are the same on both, never for data",
        )
        .help(if general.ping.is_empty() {
            "add independent heartbeat paths, or use \"ping\". Without `ping` targets only a lost carrier shows that a node is off the LAN"
        } else {
            "add independent heartbeat paths, or use \"ping\". The `ping` targets still move groups away from a node that is off the LAN"
        }),
        Some(policy) => Diagnostic::note(policy.span(), "in a split, the side that reaches the ping group serves")
            .because(format!(
                "\"ping\" promises that a node that does not reach {targets} gives its groups up before the other takes them. \
                 It proves isolation, not exclusivity: when every heartbeat path is cut and both nodes still reach the \
                 targets (a switch that drops our frames but passes IP), both serve; when neither does, neither serves"
            ))
            .help("keep a crossover or serial path beside the LAN, so that no single cut is a split"),
        None => return,
    };
    sink.push(item);
    if let Some(drills) = &general.drills
        && *drills.get_ref()
    {
        sink.push(
            Diagnostic::note(drills.span(), "operators may break nodes on purpose")
                .because("`kodo drill` kills services, panics the kernel or hangs PID 1 of a node for whoever has a token")
                .help("leave `drills` out once the cluster has proved itself"),
        );
    }
    if let (Some(timing), Some(watchdog)) = (timing, watchdog)
        && watchdog.value.timeout > timing.value.deadtime
    {
        let timeout = Show(watchdog.value.timeout);
        sink.push(
            Diagnostic::note(
                watchdog.place.clone().unwrap_or_else(|| timing.deadtime.clone()),
                format!("a node whose PID 1 hangs may answer for its VIPs for up to {timeout} beside its successor"),
            )
            .because(format!(
                "its kernel goes on answering until the watchdog ({timeout}) resets the machine, and the other node takes over after {}; \
                 power loss, kernel panic and network faults are not concerned",
                Show(timing.value.deadtime)
            )),
        );
    }
}
