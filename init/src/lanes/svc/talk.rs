//! The channel to a main process that runs an OCF agent.
//!
//! Owns what was asked there and not answered. That process runs as the service's user and may
//! be taken over: an answer that nobody waits for, or that does not read, ends the channel, and
//! from then on the service is neither well nor told anything.

use std::os::fd::{AsFd, BorrowedFd};

use kodo_node::io::{ActError, ProbeError, Token};
use kodo_sys::Result;
use kodo_sys::seqpacket::Channel;

use crate::wire::{self, FromAgent, FromSvc, ToAgent, Turn};

/// Bytes of a message, generously.
const MESSAGE: usize = 64;

const EBUSY: i32 = 16;

/// The other end is gone, or speaks out of turn.
#[derive(Debug)]
pub(super) struct Closed;

/// The channel of one life.
#[derive(Debug)]
pub(super) struct Talk {
    channel: Channel,
    /// The newest probe.
    probe: Option<Token>,
    /// Older ones that may still be answered: by then nobody waits.
    overtaken: u32,
    /// The role that it is being told.
    turn: Option<Token>,
}

impl Talk {
    pub(super) fn new(channel: Channel) -> Talk {
        Talk {
            channel,
            probe: None,
            overtaken: 0,
            turn: None,
        }
    }

    pub(super) fn probe(&mut self, token: Token) -> std::result::Result<(), ProbeError> {
        if self.probe.replace(token).is_some() {
            self.overtaken = self.overtaken.saturating_add(1);
        }
        self.send(ToAgent::Probe(token))
            .map_err(|_| ProbeError::Refused)
    }

    pub(super) fn tell_role(
        &mut self,
        token: Token,
        turn: Turn,
    ) -> std::result::Result<(), ActError> {
        if self.turn.is_some() {
            return Err(ActError::Errno(EBUSY));
        }
        self.turn = Some(token);
        let request = match turn {
            Turn::Promote(_) => ToAgent::Promote(token),
            Turn::Demote => ToAgent::Demote(token),
        };
        self.send(request)
            .map_err(|error| ActError::Errno(kodo_sys::errno(&error)))
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        self.send(ToAgent::Stop)
    }

    fn send(&self, request: ToAgent) -> Result<()> {
        let mut buffer = [0; MESSAGE];
        let bytes = wire::encode(&request, &mut buffer)?;
        self.channel.send(bytes, None)
    }

    /// What it says that somebody waits for; `Err` when the channel is to be closed.
    pub(super) fn hear(&mut self) -> std::result::Result<Option<FromSvc>, Closed> {
        self.heard().ok_or(Closed)
    }

    fn heard(&mut self) -> Option<Option<FromSvc>> {
        let mut buffer = [0; MESSAGE];
        let received = self.channel.receive(&mut buffer).ok()?;
        match wire::decode(&buffer[..received.len]).ok()? {
            FromAgent::Probed(token, result) => {
                if self.probe.take_if(|asked| *asked == token).is_none() {
                    self.overtaken = self.overtaken.checked_sub(1)?;
                    return Some(None);
                }
                Some(Some(FromSvc::Probed(token, result)))
            }
            FromAgent::Told(token, result) => {
                self.turn.take_if(|asked| *asked == token)?;
                Some(Some(FromSvc::Done(token, result.map_err(ActError::Ended))))
            }
        }
    }

    /// Who still waits for a role to be told; a probe without an answer has failed by itself.
    pub(super) fn waiting(&mut self) -> Option<Token> {
        self.turn.take()
    }
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
