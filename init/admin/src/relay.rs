//! The datagrams between PID 1 and its children: one postcard message each, over a
//! `SOCK_SEQPACKET` socketpair.
//!
//! Owns shapes and the codec. Both ends are the same binary, so there is no version. The
//! decoder is total all the same: a child may be compromised, and PID 1 reads what it
//! writes. Encoding needs no allocation: PID 1 has none to give.

use kodo_node::io::{ProbeError, Reply, Request, ServiceId, Token};
use kodo_node::status::Name;
use serde::{Deserialize, Serialize};

use crate::probe::ProbeConfig;

/// Bytes of the largest datagram. A status with every table full fits (see the tests).
pub const DATAGRAM: usize = 20 * 1024;

/// From the admin child to PID 1: an operator's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// For the node.
    Ask {
        /// Comes back with the answer.
        token: Token,
        /// The wish.
        request: Request,
    },
    /// A sealed cluster file, in the memory that comes along as a descriptor. Neither this
    /// child nor PID 1 looks into it.
    File {
        /// Comes back with the answer.
        token: Token,
        /// Whose it is, for the log.
        operator: Name,
        /// To be staged; otherwise only compared with the running one.
        stage: bool,
    },
}

/// From PID 1 to the admin child: the answer to the [`ToNode`] with the same token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "no allocation; one lives at a time"
)]
pub enum FromNode {
    /// The node's.
    Reply {
        /// From the request.
        token: Token,
        /// The answer.
        reply: Reply,
    },
    /// What became of a file.
    File {
        /// From the request.
        token: Token,
        /// What it changes, or why it was refused.
        verdict: Result<FileRead, FileRefused>,
    },
}

/// A cluster file that this node can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRead {
    /// Its hash.
    pub hash: u64,
    /// What differs from the running one, a line each; at most [`FILE_TEXT`] bytes.
    pub changes: Vec<String>,
    /// Whether it is staged now.
    pub staged: bool,
}

/// Why a file was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileRefused {
    /// Another one is being read at this moment.
    Busy,
    /// Its reader did not end in time, or not in order.
    Unread,
    /// What is wrong with it; at most [`FILE_TEXT`] bytes.
    Wrong(String),
}

/// Bytes of the text about a file: what fits a screen or two, and half a datagram.
pub const FILE_TEXT: usize = 8 * 1024;

const _: () = assert!(
    FILE_TEXT * 2 <= DATAGRAM,
    "an answer about a file is sent whole"
);

/// From PID 1 to the probe child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProbe {
    /// The services from now on. Comes first, and again when the cluster file changes.
    Setup(ProbeConfig),
    /// Ask one of them.
    Ask(ProbeRequest),
}

/// Ask a service whether it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Comes back with the answer.
    pub token: Token,
    /// Which service.
    pub service: ServiceId,
}

/// From the probe child to PID 1: what became of the [`ProbeRequest`] with the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// From the request.
    pub token: Token,
    /// Well and so fit to be promoted, or not well and why.
    pub result: Result<i16, ProbeError>,
}

/// A message that does not fit the buffer: more than [`DATAGRAM`] bytes, or a buffer too
/// small for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Bytes that are not exactly one message of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Writes a message to the front of `buffer` and returns that part.
///
/// # Errors
/// [`TooLarge`] when it does not fit.
pub fn encode<'b, T: Serialize>(message: &T, buffer: &'b mut [u8]) -> Result<&'b [u8], TooLarge> {
    let written = postcard::to_slice(message, buffer).map_err(|_| TooLarge)?;
    if written.len() > DATAGRAM {
        Err(TooLarge)
    } else {
        Ok(written)
    }
}

/// Reads one message that fills the whole datagram.
///
/// # Errors
/// [`Malformed`] for anything else.
pub fn decode<T: for<'de> Deserialize<'de>>(datagram: &[u8]) -> Result<T, Malformed> {
    match postcard::take_from_bytes(datagram) {
        Ok((message, [])) => Ok(message),
        _ => Err(Malformed),
    }
}
