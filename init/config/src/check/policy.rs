//! `[cluster]`, `[witness]`, `[admin]` and `[watchdog]`: their values, and their secrets.

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use kodo_engine::Key;
use toml::Spanned;

use super::{Unique, quarantine, take, take_all, timing};
use crate::cluster::{Admin, EvenSplit, Profile, Quarantine, SplitBrain, Token, Watchdog, Witness};
use crate::diagnostic::{Diagnostic, Sink};
use crate::leaf::{Hex256, Leaf, Text};
use crate::raw;
use crate::read::Entry;
use crate::secrets::{self, Loader, Secret};
use crate::time::Show;

/// The first bytes of the key in the published example.
const EXAMPLE_KEY: [u8; 8] = *b"example!";
/// Where a witness listens unless told otherwise: beside the operators' API.
const WITNESS_PORT: u16 = 5581;
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
    pub(super) ping_span: Option<Range<usize>>,
    pub(super) even_split: Option<Spanned<EvenSplit>>,
    pub(super) quarantine: Option<Quarantine>,
}

/// `[witness]` with the places of its values.
pub(super) struct WitnessChecked {
    pub(super) span: Range<usize>,
    pub(super) address: Option<Spanned<IpAddr>>,
    pub(super) value: Option<Witness>,
}

/// `[admin]` with the place of its port.
pub(super) struct AdminChecked {
    pub(super) value: Admin,
    pub(super) port: Range<usize>,
}

/// `[watchdog]`, and where it accepts less.
pub(super) struct WatchdogChecked {
    pub(super) value: Watchdog,
    /// Where the file accepts the kernel's own timer.
    pub(super) softdog: Option<Range<usize>>,
}

/// Reads `[cluster]`.
pub(super) fn general(
    sink: &mut Sink<'_>,
    table: Entry<raw::General>,
    load: Loader<'_>,
) -> General {
    let Entry { span, value: raw } = table;
    let name = take(sink, raw.name).map(|name| Spanned::new(name.span(), name.into_inner().0));
    let keys = keys(sink, &Wanted::CLUSTER, &span, (raw.key, raw.key_file), load);
    if let Some(last) = raw.last_man_standing
        && *last.get_ref()
    {
        sink.push(
            Diagnostic::error(last.span(), "`last_man_standing` cannot be kept")
                .because(
                    "each node that is lost would take its votes with it, down to the last one. A node must then remember \
                     across its own power loss that it was among the lost, or it begins anew with the old votes while \
                     the last one serves; these nodes are diskless and forget everything",
                )
                .help(
                    "leave it out; after a loss that leaves no majority an operator who knows that the others are dead \
                     says so with `kodo takeover-anyway`",
                ),
        );
    }
    let policy_written = raw.split_brain.is_some();
    let split_brain = raw.split_brain.and_then(|text| take(sink, text));
    if !policy_written {
        sink.push(
            Diagnostic::error(span.clone(), "the file does not say who decides in a split: `split_brain`")
                .because("two nodes that live but do not hear each other cannot both be right, and no default fits everybody")
                .help("three votes or more: write `split_brain = \"quorum\"`. A pair: \"witness\" with a `[witness]` on a third machine, or \"ping\" with `ping = [\"192.168.0.1\"]`. Or \"accept\" to accept two owners"),
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
        even_split: raw.even_split.and_then(|text| take(sink, text)),
        quarantine: quarantine::read(sink, raw.quarantine_exits, raw.quarantine_window),
    }
}

/// Which key is wanted, in words.
struct Wanted {
    secret: Secret,
    /// Its owner, as in "the … key".
    whose: &'static str,
    /// What it is for.
    signs: &'static str,
    /// A name for its file.
    file: &'static str,
    /// What whoever knows it can do.
    forge: &'static str,
}

impl Wanted {
    const CLUSTER: Self = Self {
        secret: Secret::Key,
        whose: "cluster",
        signs: "heartbeats are signed with it; without one any machine on the LAN could give orders",
        file: "cluster.key",
        forge: "heartbeats",
    };
    const WITNESS: Self = Self {
        secret: Secret::Witness,
        whose: "witness",
        signs: "questions to the witness and its answers are signed with it; without one any machine on the way could decide",
        file: "witness.key",
        forge: "the witness's answers",
    };
}

/// Reads `[witness]`. `keys` are the cluster's.
pub(super) fn witness(
    sink: &mut Sink<'_>,
    table: Entry<raw::Witness>,
    keys: &[Key],
    load: Loader<'_>,
) -> WitnessChecked {
    let Entry { span, value: raw } = table;
    let address = take(sink, raw.address);
    let port = match raw.port {
        Some(port) if *port.get_ref() == 0 => {
            sink.push(
                Diagnostic::error(port.span(), "port 0 is not a port")
                    .help(format!("write {WITNESS_PORT}, or leave it out"))
                    .fix(WITNESS_PORT.to_string()),
            );
            WITNESS_PORT
        }
        port => port.map_or(WITNESS_PORT, Spanned::into_inner),
    };
    let place = match (&raw.key, &raw.key_file) {
        (Some(key), _) => key.span(),
        (None, Some(file)) => file.span(),
        (None, None) => span.clone(),
    };
    let given = (raw.key, raw.key_file);
    let own = self::keys(sink, &Wanted::WITNESS, &span, given, load);
    let key = match &own[..] {
        [_, _, ..] => {
            sink.push(
                Diagnostic::error(place, "the witness's key file holds two keys")
                    .because("the nodes sign with one; it is the witness that accepts an old and a new key while they change")
                    .help("keep the new one here, and give the witness both"),
            );
            None
        }
        [key] if keys.contains(key) => {
            sink.push(
                Diagnostic::error(place, "the witness has the cluster's key")
                    .because("the witness runs on a machine outside the cluster; whoever reads its key there could forge heartbeats")
                    .help("run `kodo keygen witness.key` and write `key_file = \"witness.key\"`"),
            );
            None
        }
        own => own.first().cloned(),
    };
    let value = address.as_ref().zip(key).map(|(address, key)| Witness {
        address: *address.get_ref(),
        port,
        key,
    });
    WitnessChecked {
        span,
        address,
        value,
    }
}

/// Reads a key, or the keys of a file.
fn keys(
    sink: &mut Sink<'_>,
    wanted: &Wanted,
    table: &Range<usize>,
    given: (Option<Text<Hex256>>, Option<Spanned<String>>),
    load: Loader<'_>,
) -> Vec<Key> {
    let Wanted {
        secret,
        whose,
        signs,
        file: name,
        forge,
    } = *wanted;
    let make = format!("run `kodo keygen {name}` and write `key_file = \"{name}\"`");
    let (span, read) = match given {
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
                Diagnostic::error(table.clone(), format!("the {whose} has no key"))
                    .because(signs)
                    .help(make),
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
            let read = load(secret, file.get_ref())
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
                        .because(format!(
                            "everybody knows it: anyone on the network can forge {forge}"
                        ))
                        .help(format!("for anything but a lab {make}")),
                );
            }
            keys
        }
        Err(why) => {
            sink.push(
                Diagnostic::error(span, format!("the {whose} key is no good"))
                    .because(why)
                    .help(format!(
                        "`kodo keygen {name}` makes one; a key is 64 hex digits"
                    )),
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
    let raw = table.map(|table| table.value).unwrap_or_default();
    let accepted = raw.softdog.filter(|softdog| *softdog.get_ref());
    let softdog = accepted.is_some();
    let accepted = accepted.map(|softdog| softdog.span());
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
            softdog: accepted,
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
                .because("watchdog hardware counts whole seconds, and a node that is stuck stays so until it fires")
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
        softdog: accepted,
    })
}
