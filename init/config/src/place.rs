//! What a service's root is described with: places and patterns in it, packages, users.
//!
//! Owns their spelling. A place leads nowhere but into the root: absolute, without `..`.

use crate::cluster::User;
use crate::leaf::{Flaw, Parse};

/// Longest path or pattern; the kernel's own bound is 4096.
const PATH_MAX: usize = 1024;
/// Longest name of a user, as useradd bounds it.
const USER_MAX: usize = 32;
/// Identities of this node's own processes, and of services that name no user.
const OWN_IDS: core::ops::RangeInclusive<u32> = 100..=299;
/// Largest identity: -1 means "leave it" to the kernel, and 65534 is nobody's own.
const ID_MAX: u32 = 60_000_000;

/// An absolute path in a service's root, in its shortest form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) String);

impl Parse for Place {
    const WHAT: &'static str = "an absolute path in quotes, such as \"/usr/sbin/nginx\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        sound(text, "a path").map(Self)
    }
}

/// A pattern of files in a service's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) String);

impl Parse for Pattern {
    const WHAT: &'static str = "an absolute pattern in quotes, such as \"/usr/share/perl5/**\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        sound(text, "a pattern").map(Self)
    }
}

fn sound(text: &str, what: &str) -> Result<String, Flaw> {
    if !text.starts_with('/') {
        return Err(Flaw {
            message: format!("\"{text}\" is not an absolute path"),
            help: Some(format!(
                "write {what} as the service sees it, from its own root on, beginning with a slash"
            )),
            fix: (!text.is_empty() && !text.starts_with('.')).then(|| format!("/{text}")),
        });
    }
    if text.len() > PATH_MAX || text.contains(|c: char| c.is_control()) {
        return Err(Flaw::new(
            "this is not a path",
            format!("write up to {PATH_MAX} bytes without control characters"),
        ));
    }
    let parts = || text.split('/').filter(|part| !matches!(*part, "" | "."));
    if parts().any(|part| part == "..") {
        return Err(Flaw::new(
            format!("\"{text}\" climbs with `..`"),
            "write where it leads to: nothing above a service's root can be reached",
        ));
    }
    Ok(format!("/{}", parts().collect::<Vec<_>>().join("/")))
}

/// Name of a Debian package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package(pub(crate) String);

impl Parse for Package {
    const WHAT: &'static str = "a package's name in quotes";
    fn parse(text: &str) -> Result<Self, Flaw> {
        // Debian policy 5.6.1; it also keeps options of the package client out.
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if text.len() < 2 || text.len() > 128 || !begins || !text.chars().all(plain) {
            return Err(Flaw::new(
                format!("\"{text}\" is not the name of a Debian package"),
                "write the binary package's name alone, such as \"apache2-bin\"; `apt-cache search WORD` finds it",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// An OCF resource agent: `provider:type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentName {
    pub(crate) provider: String,
    pub(crate) kind: String,
}

impl Parse for AgentName {
    const WHAT: &'static str = "an agent in quotes, such as \"heartbeat:apache\"";
    fn parse(text: &str) -> Result<Self, Flaw> {
        let sound = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.len() <= AGENT_MAX
                && part.chars().all(plain)
        };
        let parts: Vec<&str> = text.split(':').filter(|part| !part.is_empty()).collect();
        let likely = match parts[..] {
            [provider, kind] if !OTHERS.contains(&provider) && sound(provider) && sound(kind) => {
                if text == format!("{provider}:{kind}") && provider != "ocf" {
                    return Ok(Self {
                        provider: provider.into(),
                        kind: kind.into(),
                    });
                }
                match provider {
                    "ocf" => Some(format!("heartbeat:{kind}")),
                    _ => Some(format!("{provider}:{kind}")),
                }
            }
            [kind] if sound(kind) => Some(format!("heartbeat:{kind}")),
            ["ocf", provider, kind] if sound(provider) && sound(kind) => {
                Some(format!("{provider}:{kind}"))
            }
            _ => None,
        };
        let help = match parts[..] {
            [other, ..] if OTHERS.contains(&other) => format!(
                "of Pacemaker's classes of agents only OCF's run here, not \"{other}\"; for a program of your own leave `ocf` out and write `command`"
            ),
            _ => "write its provider and its name, as the directories below /usr/lib/ocf/resource.d are called: \"heartbeat:apache\"".into(),
        };
        Err(Flaw {
            message: format!("\"{text}\" is not an OCF agent"),
            help: Some(help),
            fix: likely,
        })
    }
}

/// Pacemaker's other classes of agents.
const OTHERS: [&str; 6] = ["lsb", "systemd", "service", "upstart", "stonith", "nagios"];
/// Longest name of an agent or its provider.
const AGENT_MAX: usize = 64;

impl Parse for User {
    const WHAT: &'static str = "a user's name in quotes, or a number";
    fn parse(text: &str) -> Result<Self, Flaw> {
        if let Ok(number) = text.parse::<u32>() {
            return id(i64::from(number));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if text.len() > USER_MAX || !begins || !text.chars().all(plain) {
            return Err(Flaw::new(
                format!("\"{text}\" is not a user's name"),
                "write a name that stands in /etc/passwd of the service's root, or a number",
            ));
        }
        if text == "root" {
            return Err(root());
        }
        Ok(Self::Name(text.into()))
    }
    fn number(number: i64) -> Option<Result<Self, Flaw>> {
        Some(id(number))
    }
}

fn root() -> Flaw {
    Flaw::new(
        "no service runs as root",
        "leave `user` out: the service then has a user of its own, and may still bind ports below 1024",
    )
}

fn id(number: i64) -> Result<User, Flaw> {
    match u32::try_from(number) {
        Ok(0) => Err(root()),
        Ok(id) if OWN_IDS.contains(&id) => Err(Flaw::new(
            format!("the user {id} is taken by the node itself"),
            format!(
                "write a number outside {} to {}",
                OWN_IDS.start(),
                OWN_IDS.end()
            ),
        )),
        Ok(id) if id <= ID_MAX => Ok(User::Id(id)),
        _ => Err(Flaw::new(
            format!("{number} is not a user's number"),
            format!("write 1 to {ID_MAX}"),
        )),
    }
}

/// Whether a number that a root's `/etc/passwd` gives may be a service's.
pub(crate) fn may_be(number: u32) -> Result<(), String> {
    id(i64::from(number)).map(drop).map_err(|flaw| flaw.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_in_the_root() {
        let place = |text: &str| Place::parse(text).map(|place| place.0);
        assert_eq!(place("/run//nginx/./").unwrap(), "/run/nginx");
        assert_eq!(place("/").unwrap(), "/");
        for bad in [
            "",
            "run",
            "/a/../b",
            "/..",
            "/a\0b",
            &format!("/{}", "x".repeat(2000)),
        ] {
            assert!(place(bad).is_err(), "{bad:?}");
        }
        assert_eq!(place("usr/bin").unwrap_err().fix.unwrap(), "/usr/bin");
    }

    #[test]
    fn packages_are_no_options() {
        assert!(Package::parse("libstdc++6").is_ok());
        for bad in ["", "x", "-o", "--purge", "a b", "Apache2", "x=1", "../x"] {
            assert!(Package::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn agents_have_a_provider_and_a_name() {
        let name = AgentName::parse("heartbeat:IPaddr2").unwrap();
        assert_eq!((&*name.provider, &*name.kind), ("heartbeat", "IPaddr2"));
        for (bad, fix) in [
            ("Dummy", Some("heartbeat:Dummy")),
            ("ocf:pacemaker:Stateful", Some("pacemaker:Stateful")),
            ("ocf::heartbeat:Dummy", Some("heartbeat:Dummy")),
            ("heartbeat::Dummy", Some("heartbeat:Dummy")),
            ("lsb:apache2", None),
            ("systemd:apache2", None),
            ("heartbeat:../../bin/sh", None),
            ("heartbeat:.ocf-shellfuncs", None),
            ("a:b:c", None),
            ("", None),
        ] {
            let flaw = AgentName::parse(bad).unwrap_err();
            assert_eq!(flaw.fix.as_deref(), fix, "{bad}");
        }
    }

    #[test]
    fn nobody_is_root() {
        assert_eq!(
            User::parse("www-data").unwrap(),
            User::Name("www-data".into())
        );
        assert_eq!(User::parse("33").unwrap(), User::Id(33));
        for bad in ["root", "0", "200", "", "a:b", "-x", "ü"] {
            assert!(User::parse(bad).is_err(), "{bad}");
        }
        for bad in [0, -1, 100, 299, i64::from(u32::MAX)] {
            assert!(User::number(bad).unwrap().is_err(), "{bad}");
        }
    }
}
