//! How a service is started: what the cluster file says, completed by what the image knows.
//!
//! Some of it is only known once a root was built: whom a name in its `/etc/passwd` means, and
//! a container image's own command and environment. The image builder leaves that as a
//! [`Start`] beside the cluster file, and PID 1 puts both together; what the cluster file says
//! wins, so that a changed file means what it says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Root;
use crate::place;

/// Where an image has the [`Start`] of a service, below this directory by the service's name.
pub const DIRECTORY: &str = "/etc/kodo/start";
/// Bytes of what a service is started with, all strings together: a helper's message carries
/// that of all services.
pub const BYTES: usize = 3000;
/// Where programs are looked for unless a service says otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an image knows of how a service is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The container image's entry point, or the program; the first one is an absolute path
    /// in the root.
    pub entrypoint: Vec<String>,
    /// What follows it unless the file has `arguments`.
    pub arguments: Vec<String>,
    /// The container image's environment.
    pub environment: BTreeMap<String, String>,
    /// The container image's working directory.
    pub directory: Option<String>,
    /// Who runs it; otherwise a user of its own.
    pub identity: Option<Identity>,
}

/// A user of a service's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User.
    pub user: u32,
    /// Its first group.
    pub group: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
}

/// A service as it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Absolute path in the root.
    pub command: String,
    /// The zeroth is the command.
    pub arguments: Vec<String>,
    /// `NAME=value`, `PATH` included.
    pub environment: Vec<String>,
    /// Working directory in the root.
    pub directory: String,
    /// Who runs it; otherwise a user of its own.
    pub identity: Option<Identity>,
}

impl Start {
    /// As the image carries it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self)
            .unwrap_or_else(|error| unreachable!("plain data encodes: {error}"))
    }

    /// Reads what the image carries.
    ///
    /// # Errors
    /// When it is not what the builder of this version wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        match postcard::take_from_bytes(bytes) {
            Ok((start, [])) => Ok(start),
            _ => Err("it is damaged, or of another version of kodo; build the image anew".into()),
        }
    }
}

impl Identity {
    /// Whether a service may be this user.
    ///
    /// # Errors
    /// Why not: root, or one of this node's own.
    pub fn allowed(&self) -> Result<(), String> {
        place::may_be(self.user)
    }
}

impl Root {
    /// What is started: the file's own words, then the image's.
    ///
    /// # Errors
    /// When neither names a command, or all of it is too long.
    pub fn launch(&self, start: &Start) -> Result<Launch, String> {
        let own = self.command.iter().cloned();
        let (mut arguments, known): (Vec<String>, &[String]) = match &self.command {
            Some(_) => (own.collect(), &[]),
            None => (start.entrypoint.clone(), &start.arguments),
        };
        let command = arguments
            .first()
            .cloned()
            .ok_or("nothing says what is started")?;
        arguments.extend_from_slice(self.arguments.as_deref().unwrap_or(known));
        let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
        environment.extend(start.environment.clone());
        environment.extend(self.environment.clone());
        let parameters = self.agent.iter().flat_map(|agent| &agent.parameters);
        environment
            .extend(parameters.map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.clone())));
        let launch = Launch {
            command,
            arguments,
            environment: environment
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            directory: self
                .directory
                .as_ref()
                .or(start.directory.as_ref())
                .map_or_else(|| "/".into(), Clone::clone),
            identity: start.identity.clone(),
        };
        let strings = launch.arguments.iter().chain(&launch.environment);
        let bytes: usize = strings.chain(&self.writable).map(String::len).sum();
        if bytes > BYTES {
            return Err(format!(
                "arguments, environment and writable paths are {bytes} bytes long together; {BYTES} are possible"
            ));
        }
        Ok(launch)
    }
}
