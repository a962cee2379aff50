//! The built-in web service: a node's own page and static files from the image.
//!
//! | path | answer |
//! | --- | --- |
//! | `/kodo` | the node page: which node, which cluster, how long the service has run |
//! | `/` | `index.html` of the directory, or the node page when there is none |
//! | anything else | the file of that name below the directory |
//!
//! Every answer names the node in `X-Kodo-Node`, and of a promotable service its role in
//! `X-Kodo-Role` ([`role`]). Files are found by the kernel with
//! `openat2(RESOLVE_BENEATH)`, so no path, however written, leaves the directory, not
//! even through a symbolic link ([`files`]).
//!
//! A service like any other: started and stopped by the supervisor, TERM ends it in
//! order. It knows nothing of the cluster but two names. It serves from the image, which
//! lies in memory: a read never waits for a disk, so it needs no threads. On hyper alone:
//! tower-http's file service brings tokio's blocking thread pool, a MIME database and
//! date handling that a node with one content per image has no use for.

mod files;
mod limits;
mod page;
mod path;
pub mod role;
mod serve;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::channel::Channel;

/// What the web service must know.
#[derive(Debug)]
pub struct WebConfig {
    /// TCP port, on every address of the node, IPv4 and IPv6: the VIP comes and goes.
    pub port: u16,
    /// Where the files are; `None`: the node page is all there is.
    pub directory: Option<PathBuf>,
    /// This node's name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// Where its role is told, if it has one.
    pub roles: Option<OwnedFd>,
}

/// Why the service cannot run.
#[derive(Debug)]
pub enum Error {
    /// The port could not be bound.
    Bind(u16, io::Error),
    /// The directory could not be opened.
    Directory(PathBuf, io::Error),
    /// The runtime or the signal handler could not be made.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bind(port, error) => write!(f, "web: cannot listen on port {port}: {error}"),
            Error::Directory(path, error) => {
                write!(f, "web: cannot open {}: {error}", path.display())
            }
            Error::Io(error) => write!(f, "web: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// Serves until SIGTERM; then finishes what is in flight, for a bounded time.
///
/// # Errors
/// When it cannot begin.
pub fn run(mut config: WebConfig) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let listener = serve::bind(config.port).map_err(|error| Error::Bind(config.port, error))?;
        let role = match config.roles.take() {
            None => None,
            Some(fd) => {
                let role = role::Present::default();
                tokio::spawn(role.clone().listen(Channel::new(fd)?));
                Some(role)
            }
        };
        let site = serve::Site::open(config, role)?;
        serve::serve(listener, site, async move {
            term.recv().await;
        })
        .await;
        Ok(())
    })
}
