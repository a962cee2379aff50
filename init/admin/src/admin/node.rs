//! PID 1, as the admin child sees it: ask, and wait a bounded time for the answer.
//!
//! Owns the tokens that join answers to questions. A late answer finds nobody and is
//! dropped.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kodo_node::io::{Reply, Request, Token};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Error, Name, limits};
use crate::channel::Channel;
use crate::relay::{self, DATAGRAM, FileRead, FileRefused, FromNode, ToNode};

/// The way to PID 1.
#[derive(Debug)]
pub(super) struct Node {
    channel: Channel,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next: u32,
    waiting: HashMap<u32, oneshot::Sender<FromNode>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Enough questions are open already; this one was not asked.
    Busy,
    /// It was asked, and nothing came in time.
    Silent,
}

impl Node {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Node> {
        Ok(Node {
            channel: Channel::new(fd)?,
            pending: Mutex::default(),
        })
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, NoAnswer> {
        let message = |token| ToNode::Ask { token, request };
        match self.exchange(message, None, limits::NODE_TIMEOUT).await? {
            FromNode::Reply { reply, .. } => Ok(reply),
            FromNode::File { .. } => Err(NoAnswer::Silent),
        }
    }

    /// Hands a sealed cluster file on, and waits for what becomes of it.
    pub(super) async fn file(
        &self,
        operator: Name,
        stage: bool,
        sealed: &[u8],
    ) -> Result<Result<FileRead, FileRefused>, NoAnswer> {
        let memory = memory(sealed).map_err(|_| NoAnswer::Busy)?;
        let message = |token| ToNode::File {
            token,
            operator,
            stage,
        };
        match self
            .exchange(message, Some(&memory), limits::FILE_TIMEOUT)
            .await?
        {
            FromNode::File { verdict, .. } => Ok(verdict),
            FromNode::Reply { .. } => Err(NoAnswer::Silent),
        }
    }

    async fn exchange(
        &self,
        message: impl FnOnce(Token) -> ToNode,
        descriptor: Option<&OwnedFd>,
        limit: Duration,
    ) -> Result<FromNode, NoAnswer> {
        let (answer, waiting) = oneshot::channel();
        let ticket = self.enter(answer).ok_or(NoAnswer::Busy)?;
        let asked = async {
            let mut buffer = [0; 1024];
            let message = message(Token(ticket.token));
            let datagram = relay::encode(&message, &mut buffer).map_err(|_| NoAnswer::Silent)?;
            let sent = match descriptor {
                None => self.channel.send(datagram).await,
                Some(descriptor) => self.channel.send_with(datagram, descriptor).await,
            };
            sent.map_err(|_| NoAnswer::Silent)?;
            waiting.await.map_err(|_| NoAnswer::Silent)
        };
        timeout(limit, asked).await.unwrap_or(Err(NoAnswer::Silent))
    }

    /// Hands answers to who waits for them, until PID 1 is gone.
    pub(super) async fn pump(&self) -> Error {
        let mut buffer = vec![0; DATAGRAM + 1];
        loop {
            let datagram = match self.channel.recv(&mut buffer).await {
                Ok(Some(datagram)) => datagram,
                Ok(None) => return Error::Orphaned,
                Err(error) => return Error::Io(error),
            };
            // PID 1 is the same binary: it does not write anything else.
            let Ok(answer) = relay::decode::<FromNode>(datagram) else {
                continue;
            };
            let (FromNode::Reply { token, .. } | FromNode::File { token, .. }) = &answer;
            let waiting = self.pending().waiting.remove(&token.0);
            if let Some(waiting) = waiting {
                let _ = waiting.send(answer);
            }
        }
    }

    fn enter(&self, answer: oneshot::Sender<FromNode>) -> Option<Ticket<'_>> {
        let mut pending = self.pending();
        if pending.waiting.len() >= limits::PENDING {
            return None;
        }
        let token = pending.next;
        pending.next = pending.next.wrapping_add(1);
        pending.waiting.insert(token, answer);
        Some(Ticket { node: self, token })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes in memory that can be handed to another process.
fn memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(kodo_sys::memory::anonymous(c"kodo-file")?);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// A question's place among the open ones; given back however the wait ends.
struct Ticket<'n> {
    node: &'n Node,
    token: u32,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.node.pending().waiting.remove(&self.token);
    }
}
