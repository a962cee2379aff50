//! Every bound of the admin child.

use std::time::Duration;

/// Connections at once.
pub const CONNECTIONS: usize = 32;
/// Connections at once from one source: a stuck browser leaves room for the next person.
pub const CONNECTIONS_PER_SOURCE: usize = 12;
/// Longest life of a connection, whatever happens on it: a peer that reads nothing
/// gives its place back.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// To receive a request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
pub const HEAD: usize = 8 * 1024;
/// Header lines of a request.
pub const HEADERS: usize = 32;
/// To receive the body and answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(7);
/// Bytes of a request's body: two names and some JSON.
pub const BODY: usize = 1024;
/// Bytes of a sealed cluster file: what the nodes' reader takes.
pub const FILE: usize = 128 * 1024;
/// A process is started to read a cluster file, and killed when it takes 4 s.
pub const FILE_TIMEOUT: Duration = Duration::from_secs(6);
/// PID 1 answers an operator in microseconds when all is well; a command that has not
/// been answered for so long may never be.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests to PID 1 without an answer.
pub const PENDING: usize = 8;
/// Pause before an address that could not be bound is tried again.
pub const BIND_RETRY: Duration = Duration::from_secs(1);
/// Wrong tokens from one source that are answered at once.
pub const WRONG_TOKENS: u32 = 10;
/// One more is allowed after each such pause.
pub const WRONG_TOKEN_REFILL: Duration = Duration::from_secs(2);
/// Sources whose wrong tokens are counted; the one longest ago is forgotten first.
pub const SOURCES: usize = 256;

const _: () = assert!(
    CONNECTIONS_PER_SOURCE < CONNECTIONS,
    "one source cannot fill the house"
);
const _: () = assert!(
    NODE_TIMEOUT.as_nanos() < REQUEST_TIMEOUT.as_nanos(),
    "the explanation that PID 1 is silent must still be sent"
);
const _: () = assert!(
    NODE_TIMEOUT.as_nanos() < FILE_TIMEOUT.as_nanos()
        && FILE_TIMEOUT.as_nanos() < REQUEST_TIMEOUT.as_nanos(),
    "so must be what became of a file"
);
const _: () = assert!(
    REQUEST_TIMEOUT.as_nanos() < CONNECTION_LIFE.as_nanos(),
    "a connection outlives its first request"
);
