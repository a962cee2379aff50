//! Every bound of the web service.

use std::time::Duration;

/// Connections at once; further ones wait in the kernel's queue.
pub(super) const CONNECTIONS: usize = 256;
/// The kernel's queue.
pub(super) const BACKLOG: u32 = 256;
/// To receive a request's head, and the longest pause between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
pub(super) const HEAD: usize = 16 * 1024;
/// Header lines of a request.
pub(super) const HEADERS: usize = 64;
/// A client that takes no byte of an answer for so long is gone.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(30);
/// To finish what is in flight after TERM. Shorter than any sane stop timeout.
pub(super) const GRACE: Duration = Duration::from_millis(1500);
/// Pause after a failed accept (out of descriptors).
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Bytes of a file that are read at a time.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes of a decoded path.
pub(super) const PATH: usize = 1024;
