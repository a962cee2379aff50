//! The unprivileged children that parse what comes from outside: their first steps.
//!
//! Owns the hand-over from this binary to `kodo-admin`: the channel that was inherited,
//! and the setup that comes as its first message, so that no token shows in a list of
//! processes.

use std::path::PathBuf;

use kodo_admin::{admin, probe, web};

use crate::lanes::{CHANNEL, Link};
use crate::wire::AdminSetup;

/// Runs the child `name` until it fails or PID 1 is gone.
pub(crate) fn run(name: &str) -> Result<(), String> {
    let mut link = Link::inherit(&format!("kodo-{name}")).map_err(|error| error.to_string())?;
    let ended = match name {
        "admin" => {
            let setup: AdminSetup = first(&mut link)?;
            admin::run(link.into_fd(), admin_config(setup)?).map_err(|error| error.to_string())
        }
        _ => probe::run(link.into_fd()).map_err(|error| error.to_string()),
    };
    ended.map(|never| match never {})
}

fn first<T: serde::de::DeserializeOwned>(link: &mut Link) -> Result<T, String> {
    match link.receive() {
        Ok(Some((setup, _))) => Ok(setup),
        Ok(None) => Err("PID 1 is gone".into()),
        Err(error) => Err(format!("setup: {error}")),
    }
}

fn admin_config(setup: AdminSetup) -> Result<admin::AdminConfig, String> {
    let token = |(name, sha256): (String, [u8; 32])| {
        let name = admin::Name::try_from(name.as_str())
            .map_err(|_| format!("token name {name} is too long"))?;
        Ok(admin::Token { name, sha256 })
    };
    Ok(admin::AdminConfig {
        port: setup.port,
        addresses: setup.addresses,
        tokens: setup
            .tokens
            .into_iter()
            .map(token)
            .collect::<Result<_, String>>()?,
        nodes: setup.nodes,
        groups: setup.groups,
    })
}

/// Tells the built-in web service at the other end of the channel its role.
pub(crate) fn web_role(arguments: &[String]) -> Result<(), String> {
    let word = arguments.first().map_or("", String::as_str);
    let role = web::role::Role::of(word).ok_or_else(|| format!("{word} is no role"))?;
    let channel = kodo_sys::process::inherited(CHANNEL).map_err(|error| error.to_string())?;
    web::role::tell(channel, role).map_err(|error| format!("not taken: {error}"))
}

/// Runs the built-in web service: `port=80 node=NAME cluster=NAME [directory=PATH] [roles]`.
pub(crate) fn web(arguments: &[String]) -> Result<(), String> {
    let value = |name: &str| {
        arguments.iter().find_map(|argument| {
            argument
                .strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        })
    };
    let wanted = |name: &str| value(name).ok_or_else(|| format!("{name}= is missing"));
    let config = web::WebConfig {
        port: wanted("port")?
            .parse()
            .map_err(|error| format!("port=: {error}"))?,
        directory: value("directory").map(PathBuf::from),
        node: wanted("node")?,
        cluster: wanted("cluster")?,
        roles: match arguments.iter().any(|argument| argument == "roles") {
            true => {
                let channel = kodo_sys::process::inherited(CHANNEL);
                Some(channel.map_err(|error| format!("roles: {error}"))?)
            }
            false => None,
        },
    };
    web::run(config).map_err(|error| error.to_string())
}
