//! PID 1, as the admin child sees it: ask, and wait a bounded time for the answer.
//!
//! Owns the tokens that join answers to questions. A late answer finds nobody and is
//! dropped.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kodo_node::io::{Reply, Request, Token};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Error, limits};
use crate::channel::Channel;
use crate::relay::{self, DATAGRAM, FromNode, ToNode};

/// The way to PID 1.
#[derive(Debug)]
pub(super) struct Node {
    channel: Channel,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next: u32,
    waiting: HashMap<u32, oneshot::Sender<Reply>>,
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
        let (answer, waiting) = oneshot::channel();
        let ticket = self.enter(answer).ok_or(NoAnswer::Busy)?;
        let asked = async {
            let mut buffer = [0; 1024];
            let message = ToNode {
                token: Token(ticket.token),
                request,
            };
            let datagram = relay::encode(&message, &mut buffer).map_err(|_| NoAnswer::Silent)?;
            self.channel
                .send(datagram)
                .await
                .map_err(|_| NoAnswer::Silent)?;
            waiting.await.map_err(|_| NoAnswer::Silent)
        };
        timeout(limits::NODE_TIMEOUT, asked)
            .await
            .unwrap_or(Err(NoAnswer::Silent))
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
            let waiting = self.pending().waiting.remove(&answer.token.0);
            if let Some(waiting) = waiting {
                let _ = waiting.send(answer.reply);
            }
        }
    }

    fn enter(&self, answer: oneshot::Sender<Reply>) -> Option<Ticket<'_>> {
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
