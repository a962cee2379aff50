//! The serial heartbeat lines: bytes in, bytes out, never waiting.

use std::os::fd::OwnedFd;

use kodo_node::io::{Input, Line};
use kodo_node::limits;
use kodo_sys::poll::Interest;
use kodo_sys::{AsFd, tty};

use super::key::Key;
use super::{Level, Pid1};
use crate::plan::Plan;

/// Bytes that wait for a slow line: the rest of one transmission and a whole next one.
const WAITING: usize = 2 * limits::SERIAL;

/// All lines of this node.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Vec<LineIo>,
    /// Transmissions that found no room.
    pub(super) unsent: u32,
}

#[derive(Debug, Default)]
struct LineIo {
    tty: Option<OwnedFd>,
    waiting: heapless::Vec<u8, WAITING>,
}

impl Lines {
    pub(super) fn new(plan: &Plan) -> Lines {
        Lines {
            lines: plan.lines.iter().map(|_| LineIo::default()).collect(),
            unsent: 0,
        }
    }
}

impl LineIo {
    /// Writes what waits. True while some of it has to wait on.
    fn flush(&mut self) -> bool {
        let Some(tty) = &self.tty else { return false };
        // A line in error takes nothing; its end is told by the dev lane.
        let written = tty::write(tty, &self.waiting).unwrap_or(0);
        self.waiting.drain(..written);
        !self.waiting.is_empty()
    }
}

impl Pid1 {
    /// The dev lane opened a line.
    pub(super) fn line_ready(&mut self, line: Line, tty: OwnedFd) {
        if let Err(error) = self
            .poller
            .add(&tty, Key::Line(line).number(), Interest::Read)
        {
            return self.note(Level::Alert, &format!("serial line {}: {error}", line.0));
        }
        if let Some(io) = self.lines.lines.get_mut(usize::from(line.0)) {
            io.tty = Some(tty);
            self.give(Input::LineReady(line, true));
        }
    }

    /// A line's device went away.
    pub(super) fn line_gone(&mut self, line: Line) {
        let Some(io) = self.lines.lines.get_mut(usize::from(line.0)) else {
            return;
        };
        if let Some(tty) = io.tty.take() {
            io.waiting.clear();
            // Closing it would do the same.
            let _ = self.poller.remove(&tty);
            self.give(Input::LineReady(line, false));
        }
    }

    /// A line has bytes, or room.
    pub(super) fn serial(&mut self, line: Line, read: bool, write: bool) {
        let Some(io) = self.lines.lines.get_mut(usize::from(line.0)) else {
            return;
        };
        if write && !io.flush() {
            self.want_room(line, false);
        }
        let Some(tty) = self
            .lines
            .lines
            .get(usize::from(line.0))
            .and_then(|io| io.tty.as_ref())
        else {
            return;
        };
        let mut bytes = [0; 1024];
        match tty::read(tty, &mut bytes) {
            Ok(0) if read => self.line_gone(line),
            Ok(0) => {}
            Ok(len) => self.give(Input::Serial(line, &bytes[..len])),
            Err(error) if kodo_sys::would_block(&error) => {}
            // Hung up, or its driver failed.
            Err(_) => self.line_gone(line),
        }
    }

    /// Queues a transmission behind what waits; one that does not fit is lost whole.
    pub(super) fn transmit(&mut self, line: Line, bytes: &[u8]) {
        let Some(io) = self.lines.lines.get_mut(usize::from(line.0)) else {
            return;
        };
        if io.tty.is_none() || io.waiting.extend_from_slice(bytes).is_err() {
            self.lines.unsent = self.lines.unsent.saturating_add(1);
        } else if io.flush() {
            self.want_room(line, true);
        }
    }

    fn want_room(&self, line: Line, room: bool) {
        let interest = if room {
            Interest::ReadWrite
        } else {
            Interest::Read
        };
        if let Some(tty) = self
            .lines
            .lines
            .get(usize::from(line.0))
            .and_then(|io| io.tty.as_ref())
        {
            // It is in the set since it was opened.
            let _ = self
                .poller
                .modify(tty.as_fd(), Key::Line(line).number(), interest);
        }
    }
}
