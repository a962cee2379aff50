//! The probe child: asks services whether they are well.
//!
//! Owns the request and the judgement of its answer. Over TCP a service is well when it takes
//! a connection. Over HTTP it is well when it answers a `GET` of its probe path on loopback in
//! time, with a status below 400 or the one that is expected, and with the text that is expected.
//! Without such a text only the head of the answer is read; with one the request is of
//! HTTP/1.0, whose answers are not cut into chunks. `Kodo-Promotion: 5` in it says how fit the instance is to be
//! promoted; without it, or with what is no number, that is 0. Decides nothing about
//! restarts: the supervisor counts.
//!
//! A service may be hung, hostile or speak another protocol; each probe is bounded in
//! time and bytes, and so is the number in flight: while all places are taken, further
//! requests wait in the socket, where PID 1's own timeout judges them.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use kodo_node::io::ProbeError;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::channel::Channel;
use crate::relay::{self, DATAGRAM, ProbeResult, ToProbe};

/// Probes in flight: two per service, should PID 1 ever ask again before an answer.
const IN_FLIGHT: usize = 2 * kodo_node::limits::SERVICES;
/// Bytes of a [`ProbeResult`], generously.
const MESSAGE: usize = 64;
/// Bytes of a response's head that are looked at.
const HEAD: usize = 8 * 1024;
/// Bytes of an answer, its head among them, in which a text is looked for.
const PAGE: usize = 256 * 1024;
/// Header lines that are looked at; more are not an honest answer to a probe.
const HEADERS: usize = 64;
/// The header by which a service says how fit it is to be promoted.
const PROMOTION: &str = "kodo-promotion";

/// What to ask, by `ServiceId`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeConfig {
    /// One per service that the node knows; `None` where there is nothing to ask.
    pub services: Vec<Option<Target>>,
}

/// How to ask one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its TCP port on 127.0.0.1.
    pub port: u16,
    /// What it is asked there.
    pub ask: Ask,
    /// From connecting to the last byte that is looked at.
    pub timeout: Duration,
}

/// What a service is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Whether it takes a connection.
    Tcp,
    /// For a page.
    Http {
        /// Path and query, beginning with `/`, without control characters or spaces.
        path: String,
        /// The only status that is right; otherwise all below 400 are.
        status: Option<u16>,
        /// What the page must hold.
        body: Option<String>,
    },
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
            Error::Io(error) => write!(f, "probe: the socket to PID 1 failed: {error}"),
            Error::Orphaned => f.write_str("probe: PID 1 closed the socket"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

/// Serves PID 1 on `fd`, which speaks [`ToProbe`], for ever.
///
/// # Errors
/// When the socket fails or PID 1 goes away.
pub fn run(fd: OwnedFd) -> Result<Infallible, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(fd))
}

async fn serve(fd: OwnedFd) -> Result<Infallible, Error> {
    let channel = Arc::new(Channel::new(fd)?);
    let mut config = Arc::new(ProbeConfig::default());
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut buffer = vec![0; DATAGRAM + 1];
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let datagram = channel.recv(&mut buffer).await?.ok_or(Error::Orphaned)?;
        // PID 1 is the same binary: it does not write anything else.
        let request = match relay::decode(datagram) {
            Ok(ToProbe::Ask(request)) => request,
            Ok(ToProbe::Setup(services)) => {
                // What is being asked already is answered by the old ones.
                config = Arc::new(services);
                continue;
            }
            Err(_) => continue,
        };
        let (channel, config) = (Arc::clone(&channel), Arc::clone(&config));
        tokio::spawn(async move {
            let result = match config.services.get(usize::from(request.service.0)) {
                Some(Some(target)) => ask(target).await,
                // Nobody can be asked.
                Some(None) | None => Err(ProbeError::Refused),
            };
            let mut buffer = [0; MESSAGE];
            let result = ProbeResult {
                token: request.token,
                result,
            };
            if let Ok(answer) = relay::encode(&result, &mut buffer) {
                // Should PID 1 be gone, the receiving side sees it.
                let _ = channel.send(answer).await;
            }
            drop(place);
        });
    }
}

async fn ask(target: &Target) -> Result<i16, ProbeError> {
    match timeout(target.timeout, exchange(target)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ProbeError::Timeout),
    }
}

/// How fit to be promoted a service that is well says to be.
async fn exchange(target: &Target) -> Result<i16, ProbeError> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))
        .await
        .map_err(|_| ProbeError::Refused)?;
    match &target.ask {
        Ask::Tcp => Ok(0),
        Ask::Http { path, status, body } => page(stream, path, *status, body.as_deref()).await,
    }
}

async fn page(
    mut stream: TcpStream,
    path: &str,
    status: Option<u16>,
    body: Option<&str>,
) -> Result<i16, ProbeError> {
    let minor = u8::from(body.is_none());
    let request = format!(
        "GET {path} HTTP/1.{minor}\r\nHost: localhost\r\nUser-Agent: kodo-probe\r\nConnection: close\r\n\r\n"
    );
    // A service that hangs up in the middle of it speaks no HTTP.
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|_| ProbeError::Garbage)?;
    let mut answer = Vec::with_capacity(HEAD);
    let head = loop {
        if !more(&mut stream, &mut answer, HEAD).await {
            return Err(ProbeError::Garbage);
        }
        if let Some(head) = answer_of(&answer)? {
            break head;
        }
    };
    let right = match status {
        Some(status) => head.status == status,
        None => (200..=399).contains(&head.status),
    };
    if !right {
        return Err(ProbeError::Status(head.status));
    }
    let Some(text) = body.map(str::as_bytes) else {
        return Ok(head.promotion);
    };
    let mut looked = head.length;
    loop {
        if holds(&answer[looked..], text) {
            return Ok(head.promotion);
        }
        // It may have begun where this ends.
        looked = looked.max(answer.len().saturating_sub(text.len()));
        if !more(&mut stream, &mut answer, PAGE).await {
            return Err(ProbeError::Text);
        }
    }
}

/// Reads on, up to so many bytes in all. False when there is no more.
async fn more(stream: &mut TcpStream, answer: &mut Vec<u8>, limit: usize) -> bool {
    let room = limit.saturating_sub(answer.len()) as u64;
    let read = stream.take(room).read_buf(answer).await;
    matches!(read, Ok(1..))
}

fn holds(page: &[u8], text: &[u8]) -> bool {
    text.is_empty() || page.windows(text.len()).any(|part| part == text)
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// How fit to be promoted the service says to be.
    promotion: i16,
    /// In bytes.
    length: usize,
}

/// What a complete response head says; `None` while it is only the beginning of one.
fn answer_of(head: &[u8]) -> Result<Option<Head>, ProbeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(length)) => Ok(response.code.map(|status| Head {
            status,
            promotion: promotion(response.headers),
            length,
        })),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(ProbeError::Garbage),
    }
}

/// How fit a service says it is, cut to what a heartbeat carries.
fn promotion(headers: &[httparse::Header<'_>]) -> i16 {
    let said = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(PROMOTION));
    let text = said.and_then(|header| std::str::from_utf8(header.value).ok());
    let score = text.and_then(|text| text.trim().parse::<i64>().ok());
    let score = score.unwrap_or(0).clamp(i16::MIN.into(), i16::MAX.into());
    i16::try_from(score).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_heads_only() {
        let whole = b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\nbody";
        let head = Head {
            status: 204,
            promotion: 0,
            length: whole.len() - "body".len(),
        };
        assert_eq!(answer_of(whole), Ok(Some(head)));
        for cut in 0..b"HTTP/1.1 204 No Content\r\nX: y\r\n\r".len() {
            assert_eq!(answer_of(&whole[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(answer_of(b"SSH-2.0-OpenSSH\r\n"), Err(ProbeError::Garbage));
        assert_eq!(answer_of(&[0xff; 40]), Err(ProbeError::Garbage));
    }

    #[test]
    fn a_service_says_how_fit_it_is() {
        for (said, score) in [
            ("Kodo-Promotion: 5", 5),
            ("kodo-promotion:-1", -1),
            ("Kodo-Promotion: 99999999", i16::MAX),
            ("Kodo-Promotion: best", 0),
            ("X-Promotion: 5", 0),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{said}\r\n\r\n");
            let read = answer_of(head.as_bytes()).map(|head| head.map(|head| head.promotion));
            assert_eq!(read, Ok(Some(score)), "{said}");
        }
    }
}
