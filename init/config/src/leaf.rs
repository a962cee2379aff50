//! Values that TOML writes as strings: durations, addresses, hardware addresses, names, choices;
//! and those that are a word or a number.
//!
//! Owns their spelling. A value of the wrong TOML type is serde's error, the table's
//! first; a string that does not read is kept as a [`Flaw`], so that all of a file's
//! flaws are told at once.

use core::fmt;
use core::marker::PhantomData;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;

use kodo_engine::config::{SCORES, Score};
use kodo_engine::limits;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use crate::cluster::{Bond, Cidr, Mac, PciAddress, Worth};
use crate::time;

/// A value written as a string, with its place in the file.
pub(crate) type Text<T> = Spanned<Leaf<T>>;

/// What came of reading such a string.
#[derive(Clone, Debug)]
pub(crate) struct Leaf<T>(pub(crate) Result<T, Flaw>);

/// Why a string does not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// What is wrong with it.
    pub(crate) message: String,
    /// What to write.
    pub(crate) help: Option<String>,
    /// The likely value, without quotes.
    pub(crate) fix: Option<String>,
}

impl Flaw {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Some(help.into()),
            fix: None,
        }
    }
}

/// A type that is written as a string in the cluster file.
pub(crate) trait Parse: Sized {
    /// As in "expected ...".
    const WHAT: &'static str;
    /// Reads the string.
    fn parse(text: &str) -> Result<Self, Flaw>;
    /// Reads a bare number, where one makes sense or deserves more than "wrong type".
    fn number(_number: i64) -> Option<Result<Self, Flaw>> {
        None
    }
}

impl<'de, T: Parse> Deserialize<'de> for Leaf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Parse> Visitor<'_> for Reader<T> {
            type Value = Leaf<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::WHAT)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Leaf(T::parse(text)))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                match T::number(number) {
                    Some(read) => Ok(Leaf(read)),
                    None => Err(E::invalid_type(
                        serde::de::Unexpected::Signed(number),
                        &self,
                    )),
                }
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1) + 1;
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words
        .into_iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A closed set of words.
pub(crate) trait Choice: Sized + Copy + 'static {
    /// As in "expected ...".
    const WHAT: &'static str;
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Choice> Parse for T {
    const WHAT: &'static str = <T as Choice>::WHAT;
    fn parse(text: &str) -> Result<Self, Flaw> {
        let words = || T::WORDS.iter().map(|(word, _)| *word);
        if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let near = nearest(text, words());
        Err(Flaw {
            message: format!("\"{text}\" is not {}", <T as Choice>::WHAT),
            help: Some(match near {
                Some(near) => format!("did you mean \"{near}\"? It can be {}", one_of(words())),
                None => format!("write {}", one_of(words())),
            }),
            fix: near.map(Into::into),
        })
    }
}

/// A name of a node, resource, group or operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

/// Longest name that fits everywhere it is shown.
pub(crate) const NAME_MAX: usize = limits::NAME;

impl Parse for Name {
    const WHAT: &'static str = "a name in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let rule = format!(
            "use 1 to {NAME_MAX} of a-z, A-Z, 0-9, '-' and '_', beginning with a letter or digit"
        );
        if text.is_empty() {
            return Err(Flaw::new("the name is empty", rule));
        }
        if text.len() > NAME_MAX {
            return Err(Flaw::new(
                format!("the name is {} bytes long", text.len()),
                rule,
            ));
        }
        if let Some(odd) = text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))
        {
            return Err(Flaw::new(format!("the name contains {odd:?}"), rule));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Flaw::new(
                format!("the name begins with {:?}", &text[..1]),
                rule,
            ));
        }
        Ok(Self(text.into()))
    }
}

impl Parse for Duration {
    const WHAT: &'static str = "a duration in quotes, such as \"250ms\" or \"2s\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        time::parse(text).map_err(|why| {
            let unitless = text.trim().parse::<u32>().is_ok();
            Flaw {
                message: format!("\"{text}\" is not a duration: {why}"),
                help: Some("write a number and a unit: ms, s, min or h, such as \"250ms\", \"2s\" or \"1min 30s\"".into()),
                fix: unitless.then(|| format!("{}ms", text.trim())),
            }
        })
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        Some(Err(Flaw {
            message: format!("the number {number} is not a duration: it has no unit"),
            help: Some("write it in quotes with ms, s, min or h".into()),
            fix: (number >= 0).then(|| format!("{number}ms")),
        }))
    }
}

/// Of a clone: on how many nodes it runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clones {
    /// On every node that may run it.
    All,
    /// On so many.
    On(u8),
}

impl Parse for Clones {
    const WHAT: &'static str = "a number of nodes, or \"all\" in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        match text {
            "all" => Ok(Self::All),
            _ => Err(Flaw::new(
                format!("\"{text}\" is not a number of nodes"),
                "write a number without quotes, or \"all\" for every node that may run the group",
            )),
        }
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        let count = u8::try_from(number)
            .ok()
            .filter(|count| (1..=limits::NODES).contains(&usize::from(*count)));
        Some(count.map(Self::On).ok_or_else(|| {
            Flaw::new(
                format!("a group cannot run on {number} nodes"),
                format!("write 1 to {}, or \"all\" in quotes", limits::NODES),
            )
        }))
    }
}

impl Parse for Worth {
    const WHAT: &'static str = "a number, or \"never\" in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        match text {
            "never" => Ok(Self::Never),
            "must" | "INFINITY" | "+INFINITY" => Err(Flaw::new(
                format!("\"{text}\" is not what a node can be worth"),
                "a group that runs on this node only names it alone in its `prefer`; here write a number, or \"never\"",
            )),
            _ => Err(no_score(text, &["never"])),
        }
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        Some(score(number).map(Self::Score))
    }
}

impl Parse for Bond {
    const WHAT: &'static str = "a number, or \"must\" or \"never\" in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        match text {
            "must" => Ok(Self::Must),
            "never" => Ok(Self::Never),
            _ => Err(no_score(text, &["must", "never"])),
        }
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        Some(score(number).map(Self::Score))
    }
}

/// What a text that is no score was meant to be; the words of Pacemaker are known.
fn no_score(text: &str, words: &[&str]) -> Flaw {
    let meant = match text {
        "INFINITY" | "+INFINITY" => "must",
        "-INFINITY" => "never",
        other => other,
    };
    let near = nearest(meant, words.iter().copied());
    let all = one_of(words.iter().copied());
    Flaw {
        message: format!("\"{text}\" is not a score"),
        help: Some(match near {
            Some(near) => {
                format!("did you mean \"{near}\"? It can be {all}, or a number without quotes")
            }
            None => format!("write {all}, or a number without quotes"),
        }),
        fix: near.map(Into::into),
    }
}

/// A score within what the engine can add up.
fn score(number: i64) -> Result<Score, Flaw> {
    let score = Score::try_from(number)
        .ok()
        .filter(|score| SCORES.contains(score));
    score.ok_or_else(|| {
        Flaw::new(
            format!("the score {number} is too large"),
            format!("write {} to {}", SCORES.start(), SCORES.end()),
        )
    })
}

impl Parse for IpAddr {
    const WHAT: &'static str = "an IP address in quotes, such as \"192.168.0.1\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        match (IpAddr::from_str(address), address == text) {
            (Ok(address), true) => Ok(address),
            (Ok(address), false) => Err(Flaw {
                message: format!(
                    "\"{text}\" carries a prefix length; a single address is wanted here"
                ),
                help: Some("leave out the part from the slash on".into()),
                fix: Some(address.to_string()),
            }),
            (Err(_), _) => Err(not_an_address(text)),
        }
    }
}

impl Parse for Cidr {
    const WHAT: &'static str =
        "an address with its prefix length in quotes, such as \"192.168.0.18/24\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let Some((address, prefix)) = text.split_once('/') else {
            return Err(match IpAddr::from_str(text) {
                Ok(address) => Flaw {
                    message: format!("\"{text}\" has no prefix length"),
                    help: Some("add the network's prefix length, such as /24 for the netmask 255.255.255.0".into()),
                    fix: Some(format!("{text}/{}", if address.is_ipv4() { 24 } else { 64 })),
                },
                Err(_) => not_an_address(text),
            });
        };
        let Ok(address) = IpAddr::from_str(address) else {
            return Err(not_an_address(address));
        };
        let widest = if address.is_ipv4() { 32 } else { 128 };
        match prefix.parse::<u8>() {
            Ok(prefix) if (1..=widest).contains(&prefix) => Ok(Self { address, prefix }),
            _ => Err(Flaw {
                message: format!("\"/{prefix}\" is not a prefix length"),
                help: Some(format!(
                    "write /1 to /{widest}; the netmask 255.255.255.0 is /24"
                )),
                fix: netmask(prefix).map(|prefix| format!("{address}/{prefix}")),
            }),
        }
    }
}

/// A dotted netmask as a prefix length.
fn netmask(text: &str) -> Option<u32> {
    let bits = u32::from(core::net::Ipv4Addr::from_str(text).ok()?);
    (bits.count_ones() == bits.leading_ones() && bits != 0).then(|| bits.leading_ones())
}

fn not_an_address(text: &str) -> Flaw {
    let help = if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
        "write the numeric address: host names would need a name service while failing over"
    } else {
        "write four numbers from 0 to 255 (192.168.0.18), or an IPv6 address (fd00::18)"
    };
    Flaw::new(format!("\"{text}\" is not an IP address"), help)
}

impl Parse for Mac {
    const WHAT: &'static str = "a hardware address in quotes, such as \"52:54:00:00:01:01\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let help =
            "write six pairs of hex digits with colons, as printed on the card or by a boot screen";
        let octets: Option<Vec<u8>> = text
            .split([':', '-'])
            .map(|pair| {
                (pair.len() == 2)
                    .then(|| u8::from_str_radix(pair, 16).ok())
                    .flatten()
            })
            .collect();
        let Some(octets) = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok()) else {
            return Err(Flaw::new(
                format!("\"{text}\" is not a hardware (MAC) address"),
                help,
            ));
        };
        if octets == [0; 6] {
            return Err(Flaw::new("the hardware address is all zero", help));
        }
        if octets[0] & 1 == 1 {
            return Err(Flaw::new(
                format!("\"{text}\" is a multicast address; no card has it as its own"),
                "check the first pair: its lowest bit must be 0",
            ));
        }
        Ok(Self(octets))
    }
}

impl Parse for PciAddress {
    const WHAT: &'static str = "a PCI address in quotes, such as \"0000:03:00.0\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let hex = |digits: &str, widest: usize| {
            (!digits.is_empty()
                && digits.len() <= widest
                && digits.bytes().all(|c| c.is_ascii_hexdigit()))
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
        };
        let read = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, device) = rest.rsplit_once(':')?;
            let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
            let (domain, bus) = (hex(domain, 8)?, hex(bus, 2)?);
            let (device, function) = (hex(device, 2)?, hex(function, 1)?);
            (device < 32 && function < 8)
                .then(|| Self(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}")))
        };
        read().ok_or_else(|| {
            Flaw::new(
                format!("\"{text}\" is not a PCI address"),
                "write domain:bus:device.function in hex, such as \"0000:03:00.0\"",
            )
        })
    }
}

/// 256 bits in hex: the cluster key, or the SHA-256 of an operator's token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hex256(pub(crate) [u8; 32]);

impl fmt::Debug for Hex256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex256(secret)")
    }
}

impl Parse for Hex256 {
    const WHAT: &'static str = "64 hex digits in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let help = "it is 64 digits of 0-9 and a-f; `kodo keygen` makes one";
        let digits: Vec<char> = text.chars().collect();
        if digits.len() != 64 {
            return Err(Flaw::new(
                format!("{} characters where 64 hex digits are needed", digits.len()),
                help,
            ));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = pair
                .iter()
                .try_fold(0, |sum, c| Some(sum * 16 + c.to_digit(16)?));
            let Some(value) = value.and_then(|value| u8::try_from(value).ok()) else {
                return Err(Flaw::new("a character that is not a hex digit", help));
            };
            *byte = value;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix<T: Parse>(text: &str) -> Option<String> {
        T::parse(text).err().and_then(|flaw| flaw.fix)
    }

    #[test]
    fn addresses() {
        let cidr = Cidr::parse("192.168.0.18/24").unwrap();
        assert_eq!(
            (cidr.address.to_string(), cidr.prefix),
            ("192.168.0.18".into(), 24)
        );
        assert_eq!(fix::<Cidr>("192.168.0.18").unwrap(), "192.168.0.18/24");
        assert_eq!(fix::<Cidr>("fd00::18").unwrap(), "fd00::18/64");
        assert_eq!(
            fix::<Cidr>("10.0.0.1/255.255.252.0").unwrap(),
            "10.0.0.1/22"
        );
        assert!(Cidr::parse("10.0.0.1/33").is_err());
        assert!(Cidr::parse("10.0.0.1/0").is_err());
        assert_eq!(fix::<IpAddr>("10.0.0.1/8").unwrap(), "10.0.0.1");
        assert!(
            IpAddr::parse("gateway.example")
                .unwrap_err()
                .help
                .unwrap()
                .contains("numeric")
        );
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(
            Mac::parse("52-54-00-00-01-0A").unwrap().to_string(),
            "52:54:00:00:01:0a"
        );
        for bad in [
            "",
            "52:54:00:00:01",
            "52:54:00:00:01:0",
            "+1:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
        ] {
            assert!(Mac::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PciAddress::parse("03:00.0").unwrap().0, "0000:03:00.0");
        assert_eq!(PciAddress::parse("0000:AF:1f.7").unwrap().0, "0000:af:1f.7");
        for bad in ["", "3", "03:00", "03:20.0", "03:00.8", "zz:00.0", "é:00.0"] {
            assert!(PciAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_hex() {
        assert!(Name::parse("node-1_b").is_ok());
        for bad in ["", "-x", "a b", "ü", "0123456789012345678901234567890123"] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Hex256::parse(&"0f".repeat(32)).unwrap().0, [15; 32]);
        assert!(Hex256::parse(&"é".repeat(64)).is_err());
        assert!(Hex256::parse("00").is_err());
    }

    #[test]
    fn nearest_is_not_far() {
        assert_eq!(
            nearest("keepaliv", ["deadtime", "keepalive"]),
            Some("keepalive")
        );
        assert_eq!(
            nearest("dead_time", ["deadtime", "keepalive"]),
            Some("deadtime")
        );
        assert_eq!(nearest("Ping", ["ping", "accept"]), Some("ping"));
        assert_eq!(nearest("colour", ["deadtime", "keepalive"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
