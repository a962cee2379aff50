//! What happened, as a person reads it and as one number.
//!
//! Owns the hash that two runs of one plan must share, and the lines of a story, which
//! are kept only when somebody wants to read them.

use core::fmt;
use core::time::Duration;

use kodo_engine::surface::Level;

use crate::clock::At;
use crate::plan::Machine;

/// The record of a run.
#[derive(Debug)]
pub struct Story {
    hash: u64,
    kept: Option<Vec<String>>,
    alerts: Vec<Alert>,
}

/// A line of a node's log that asks for a person.
#[derive(Clone, Debug)]
pub struct Alert {
    /// When.
    pub at: At,
    /// Which machine wrote it.
    pub machine: usize,
    /// How bad.
    pub level: Level,
    /// What it says.
    pub text: String,
}

impl Story {
    pub(crate) fn new(keep: bool) -> Story {
        Story {
            hash: 0x6b6f_646f,
            kept: keep.then(Vec::new),
            alerts: Vec::new(),
        }
    }

    /// Everything so far as one number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// Warnings and alerts of all nodes.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// Takes bytes into the hash.
    pub(crate) fn digest(&mut self, at: At, machine: usize, bytes: &[u8]) {
        let mut take = |word: u64| {
            self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        };
        take(at.as_secs() << 32 | u64::from(at.subsec_nanos()));
        take((machine as u64) << 32 | bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            take(u64::from_le_bytes(word));
        }
    }

    /// What the world did.
    pub(crate) fn world(&mut self, at: At, text: fmt::Arguments<'_>) {
        if let Some(kept) = &mut self.kept {
            kept.push(format!("{}  ----- {text}", Stamp(at)));
        }
    }

    /// What a machine did below PID 1.
    pub(crate) fn machine(&mut self, at: At, machine: usize, text: fmt::Arguments<'_>) {
        if let Some(kept) = &mut self.kept {
            kept.push(format!("{}  {}       {text}", Stamp(at), Machine(machine)));
        }
    }

    /// A node's own log line, with its own clock.
    pub(crate) fn log(
        &mut self,
        at: At,
        machine: usize,
        local: Duration,
        level: Level,
        text: &str,
    ) {
        self.digest(at, machine, text.as_bytes());
        if level >= Level::Warn {
            self.alerts.push(Alert {
                at,
                machine,
                level,
                text: text.to_owned(),
            });
        }
        if let Some(kept) = &mut self.kept {
            let word = match level {
                Level::Info => "info ",
                Level::Warn => "warn ",
                Level::Alert => "ALERT",
            };
            kept.push(format!(
                "{}  {} {word} [{}.{:06}] {text}",
                Stamp(at),
                Machine(machine),
                local.as_secs(),
                local.subsec_micros()
            ));
        }
    }
}

/// A group's VIP in a story; the first one, often the only one, has no number.
pub(crate) struct Vip(pub(crate) usize);

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VIP{}", Number(self.0))
    }
}

/// A group's number behind the word for something of it.
pub(crate) struct Number(pub(crate) usize);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " {}", more + 1),
        }
    }
}

/// World time in a story.
pub(crate) struct Stamp(pub(crate) At);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}
