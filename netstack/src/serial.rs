//! Heartbeats on a serial line: `0x00 COBS(payload, CRC-32C) 0x00`.
//!
//! COBS leaves no zero inside a frame, so a zero always ends whatever went before. Each
//! frame both begins and ends with one: noise between two frames is cut off before the
//! next begins, and a frame that noise hits takes no other with it. CRC-32C finds what
//! noise did to a frame; who sent it is the payload's own business.
//!
//! Never keeps more than one frame, never gives out bytes whose CRC is wrong.

use cobs::{CobsEncoder, DecodeResult, DecoderState};
use crc::{CRC_32_ISCSI, Crc, Table};
use heapless::Vec;

use crate::limits;

/// Bytes of the check sequence.
const CHECK: usize = 4;
/// A payload with its check sequence.
const CHECKED: usize = limits::FRAME + CHECK;

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// Bytes on the line for a payload of so many bytes, at worst.
pub const fn wire_len(payload: usize) -> usize {
    2 + cobs::max_encoding_length(payload + CHECK)
}

/// Frames a payload. `None` when it is empty or longer than [`limits::FRAME`].
pub fn encode(payload: &[u8]) -> Option<Vec<u8, { limits::SERIAL }>> {
    if payload.is_empty() || payload.len() > limits::FRAME {
        return None;
    }
    let mut line = Vec::new();
    line.resize(limits::SERIAL, 0).ok()?;
    let mut encoder = CobsEncoder::new(&mut line[1..]);
    encoder.push(payload).ok()?;
    encoder.push(&CRC.checksum(payload).to_be_bytes()).ok()?;
    let encoded = encoder.finalize();
    line.truncate(1 + encoded);
    // Explicitly: the encoder may leave a code of its own just behind the end.
    line.push(0).ok()?;
    Some(line)
}

/// The receiving end of one line.
#[derive(Debug)]
pub struct Decoder {
    state: DecoderState,
    /// What the frame under way has decoded to.
    frame: Vec<u8, CHECKED>,
    /// Bytes since the last zero, not yet known to be noise.
    pending: u32,
    /// The frame under way is longer than any valid one: skip to the next zero.
    skipping: bool,
    noise: u32,
    broken: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            state: DecoderState::Idle,
            frame: Vec::new(),
            pending: 0,
            skipping: false,
            noise: 0,
            broken: 0,
        }
    }
}

impl Decoder {
    /// Takes bytes from the front of `bytes` up to the end of the next valid frame and
    /// gives its payload; `None` when all are taken. Call it until it says `None`.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<&[u8]> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if self.push(byte) {
                return self.frame.get(..self.frame.len().saturating_sub(CHECK));
            }
        }
        None
    }

    /// Bytes other than zero that belong to no valid frame. Saturates.
    pub fn noise(&self) -> u32 {
        self.noise
    }

    /// Runs of bytes between two zeros that are no valid frame. Saturates.
    pub fn broken(&self) -> u32 {
        self.broken
    }

    /// True when this byte ends a valid frame.
    fn push(&mut self, byte: u8) -> bool {
        if byte == 0 {
            return self.end();
        }
        if self.pending == 0 {
            self.frame.clear();
        }
        self.pending = self.pending.saturating_add(1);
        if self.skipping {
            self.noise = self.noise.saturating_add(1);
            return false;
        }
        let kept = match self.state.feed(byte) {
            Ok(DecodeResult::DataContinue(byte)) => self.frame.push(byte).is_ok(),
            Ok(DecodeResult::NoData) => true,
            Ok(DecodeResult::DataComplete) | Err(_) => false,
        };
        if !kept {
            self.skipping = true;
            self.noise = self.noise.saturating_add(self.pending);
        }
        false
    }

    /// A zero came: judges what is between it and the zero before.
    fn end(&mut self) -> bool {
        let complete = matches!(self.state.feed(0), Ok(DecodeResult::DataComplete));
        let valid = complete && !self.skipping && checked(&self.frame);
        if !valid && self.pending > 0 {
            self.broken = self.broken.saturating_add(1);
            if !self.skipping {
                self.noise = self.noise.saturating_add(self.pending);
            }
        }
        self.state = DecoderState::Idle;
        self.pending = 0;
        self.skipping = false;
        valid
    }
}

/// True when the bytes are a payload and its check sequence.
fn checked(frame: &[u8]) -> bool {
    match frame.split_last_chunk::<CHECK>() {
        Some((payload, check)) => {
            !payload.is_empty() && CRC.checksum(payload) == u32::from_be_bytes(*check)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
