//! The admin child: HTTP and JSON for operators, on the node's static LAN addresses.
//!
//! | endpoint | body | answer |
//! | --- | --- | --- |
//! | `GET /` | | a status page for browsers; asks for a token |
//! | `GET /v1/status` | | [`api::Status`](crate::api::Status) |
//! | `GET /v1/log?from=N` | | [`api::Log`](crate::api::Log) |
//! | `POST /v1/standby` | `{"node": "node1", "on": true}` | [`api::Done`](crate::api::Done) |
//! | `POST /v1/move` | `{"group": "www", "node": "node2", "once": true}`; `once` may be left out | `Done` |
//! | `POST /v1/maintenance` | `{"on": true}` | `Done` |
//! | `POST /v1/manage` | `{"group": "www", "on": false}` | `Done` |
//! | `POST /v1/takeover-anyway` | | `Done` |
//! | `POST /v1/cleanup` | `{"group": "www"}` | `Done` |
//! | `POST /v1/drill` | `{"kind": "service-kill"}` | `Done` |
//! | `POST /v1/halt` | `{"kind": "power-off"}` | `Done` |
//! | `POST /v1/file` | a sealed cluster file, to be staged | [`api::FileRead`](crate::api::FileRead) |
//! | `POST /v1/file/diff` | the same, only to be compared with the running one | `FileRead` |
//! | `POST /v1/file/adopt` | `{"hash": "0123456789abcdef"}` | `Done` |
//!
//! Everything under `/v1` wants `Authorization: Bearer TOKEN`. What was not done answers
//! with [`api::Error`](crate::api::Error) and a status of its own: 400 bad request, 401
//! no valid token, 403 drills are off, 404 no such thing in the cluster file, 409 refused
//! by the node, 413 too long, 422 a file that this node cannot run, 429 too many wrong tokens, 503 too busy, 504 no answer from PID 1.
//!
//! Owns authentication, limits and the translation; knows no cluster key and decides
//! nothing. Tokens travel in the clear: the management LAN must be trusted until the API
//! speaks TLS. It never asks PID 1 for more than [`limits::PENDING`] things at once, so
//! that a crowd of operators costs the decision loop a bounded amount of work.

mod auth;
mod gate;
pub mod limits;
mod node;
mod page;
mod reply;
mod routes;
mod serve;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub use auth::Token;
pub use kodo_node::status::Name;

/// What the admin child must know.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// TCP port; 5580 unless the file says otherwise.
    pub port: u16,
    /// The node's static LAN addresses. Addresses that are not there yet are waited for.
    pub addresses: Vec<IpAddr>,
    /// Who may ask.
    pub tokens: Vec<Token>,
    /// Names of the nodes, in cluster-file order: the position is the `NodeId`.
    pub nodes: Vec<String>,
    /// Names of the groups, in cluster-file order: the position is the `GroupId`.
    pub groups: Vec<String>,
}

/// Why the child cannot go on.
#[derive(Debug)]
pub enum Error {
    /// The runtime or the socket to PID 1 failed.
    Io(io::Error),
    /// PID 1 closed its end.
    Orphaned,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "admin: the socket to PID 1 failed: {error}"),
            Error::Orphaned => f.write_str("admin: PID 1 closed the socket"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// Serves operators for ever; `fd` leads to PID 1, which speaks [`crate::relay`].
///
/// Lines for the log (who was refused, which address is served) go to standard error.
///
/// # Errors
/// When the socket fails or PID 1 goes away.
pub fn run(fd: OwnedFd, config: AdminConfig) -> Result<Infallible, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let node = Arc::new(node::Node::new(fd)?);
        let addresses = config.addresses.clone();
        let port = config.port;
        let app = Arc::new(routes::App::new(config, Arc::clone(&node)));
        serve::start(addresses, port, &app);
        Err(node.pump().await)
    })
}
