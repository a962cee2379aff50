//! The datagrams between PID 1 and its children: one postcard message each, over a
//! `SOCK_SEQPACKET` socketpair.
//!
//! Owns shapes and the codec. Both ends are the same binary, so there is no version. The
//! decoder is total all the same: a child may be compromised, and PID 1 reads what it
//! writes. Encoding needs no allocation: PID 1 has none to give.

use kodo_node::io::{ProbeError, Reply, Request, ServiceId, Token};
use serde::{Deserialize, Serialize};

/// Bytes of the largest datagram. A status with every table full fits (see the tests).
pub const DATAGRAM: usize = 20 * 1024;

/// From the admin child to PID 1: an operator's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToNode {
    /// Comes back with the answer.
    pub token: Token,
    /// The wish.
    pub request: Request,
}

/// From PID 1 to the admin child: the answer to the [`ToNode`] with the same token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromNode {
    /// From the request.
    pub token: Token,
    /// The answer.
    pub reply: Reply,
}

/// From PID 1 to the probe child: ask a service whether it is well.
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
